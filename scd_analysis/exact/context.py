"""Which run is being replayed, and where in the audited code it stands."""

from __future__ import annotations

import random
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import numpy as np
import torch

from scd_analysis.errors import CannotEnumerate

if TYPE_CHECKING:
    from scd_analysis.exact.run import Run

_OWN = str(Path(__file__).parent)
SKIPPED = (
    _OWN,
    str(Path(torch.__file__).parent),
    str(Path(np.__file__).parent),
    str(Path(random.__file__)),
    "<frozen",
    "<__array_function__",
)

_active: Run | None = None


def active() -> Run | None:
    """Give the run being replayed on this thread, or None."""
    run = _active
    return run if run is not None and run.thread == threading.get_ident() else None


def current() -> Run | None:
    """Give the run being replayed, whichever thread asks; None while the engine itself computes."""
    return None if _quiet else _active


_quiet = False


@contextmanager
def quietly() -> Iterator[None]:
    """Let tensor operations of the engine itself pass untouched."""
    global _quiet
    before, _quiet = _quiet, True
    try:
        yield
    finally:
        _quiet = before


@contextmanager
def activate(run: Run) -> Iterator[None]:
    """Make ``run`` the one that draws are asked of."""
    global _active
    before, _active = _active, run
    try:
        yield
    finally:
        _active = before


def drawing() -> Run | None:
    """Give the run that a draw belongs to; None on other threads and while a module is being imported."""
    run = active()
    if run is None:
        return None
    frame = sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_filename == "<frozen importlib._bootstrap>":
            return None
        frame = frame.f_back  # type: ignore[assignment]
    return run


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


def stop(message: str) -> NoReturn:
    """Refuse, so that it counts even if the audited code catches the error.

    Raises
    ------
    CannotEnumerate
        Always.
    """
    error = CannotEnumerate(message)
    if _active is not None and _active.refused is None:
        _active.refused = error
    raise error
