"""How the engine refuses: naming the line of the audited code where it stands."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import numpy as np
import torch

from scd_analysis.errors import CannotEnumerate

_OWN = str(Path(__file__).parent)
SKIPPED = (
    _OWN,
    str(Path(torch.__file__).parent),
    str(Path(np.__file__).parent),
    str(Path(random.__file__)),
    "<frozen",
    "<__array_function__",
)

AS_A_SEED = "where it seeds a generator, seed it with a constant: a seed is ignored, and its noise has the same law"
"""What to do about a seed that is drawn from too many."""

_standing_at: str | None = None


@contextmanager
def standing_at(where: str) -> Iterator[None]:
    """Make `site` name the line where a postponed decision was asked for."""
    global _standing_at
    before, _standing_at = _standing_at, where
    try:
        yield
    finally:
        _standing_at = before


def site() -> str:
    """Name file and line of the audited code: the innermost frame outside PyTorch, NumPy and this package."""
    if _standing_at is not None:
        return _standing_at
    frame = sys._getframe(1)
    while frame is not None:
        name = frame.f_code.co_filename
        if not name.startswith(SKIPPED):
            return f"{name}:{frame.f_lineno}"
        frame = frame.f_back  # type: ignore[assignment]
    return "an unknown line"


def refuse(what: str, why: str) -> NoReturn:
    """Refuse to enumerate ``what``, naming the line of the audited code.

    Raises
    ------
    CannotEnumerate
        Always.
    """
    stop(f"{what} at {site()}: {why}")


_told: Callable[[CannotEnumerate], None] | None = None


@contextmanager
def telling(told: Callable[[CannotEnumerate], None]) -> Iterator[None]:
    """Tell somebody of every refusal, so that it counts even if the audited code catches the error."""
    global _told
    before, _told = _told, told
    try:
        yield
    finally:
        _told = before


def stop(message: str) -> NoReturn:
    """Refuse in words of its own.

    Raises
    ------
    CannotEnumerate
        Always.
    """
    error = CannotEnumerate(message)
    if _told is not None:
        _told(error)
    raise error
