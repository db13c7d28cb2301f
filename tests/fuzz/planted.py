"""Cases that must be found, so that the silence of the lane means something; nothing large is imported here."""

from __future__ import annotations

import os
import time

from scd_analysis.errors import InputError
from tests.fuzz.case import Case


def _refuses(text: str) -> None:
    raise InputError(text)


def right(case: Case) -> None:
    """Refuses as it should: nothing is found."""
    case.door("a door", lambda: _refuses("argument[0] = 3: too large"))


def raises(case: Case) -> None:
    case.door("a door", lambda: {}["absent"])


def leaves(case: Case) -> None:
    case.door("a door", lambda: os._exit(0))


def waits(case: Case) -> None:
    case.door("a door", lambda: time.sleep(100))


def hoards(case: Case) -> None:
    case.door("a door", lambda: bytearray(4 * 2**30))


def says_nothing(case: Case) -> None:
    case.door("a door", lambda: _refuses(""))
