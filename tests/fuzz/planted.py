"""Cases that must be found: each is what the lane looks for, so that its silence means something."""

from __future__ import annotations

import os
import time

from scd_analysis import Outcome, Verdict
from scd_analysis.errors import InputError
from tests.fuzz import traces
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


def _verdict(outcome: Outcome, resolution: float) -> Verdict:
    return Verdict(outcome, 0.0, 1e-6, 64, 256, resolution, (), {})


def refutes(case: Case) -> None:
    traces.judge(case, _verdict(Outcome.REFUTED, 0.1), "NOT_REFUTED", stays=False, may_refute=False)


def passes(case: Case) -> None:
    traces.judge(case, _verdict(Outcome.NOT_REFUTED, 0.1), "REFUTED", stays=True, may_refute=True)
