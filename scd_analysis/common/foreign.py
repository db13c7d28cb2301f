"""Somebody else's code: whatever it raises, an exit too, becomes an error of ours in one line."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from scd_analysis.common.shipped import mistaken
from scd_analysis.errors import InputError


class TimeIsUpError(BaseException):
    """Raised inside code that took too long; no ``Exception``, so that it is not caught by accident."""


class Watcher(Protocol):
    """Somebody outside of this process who is told which code runs, since that code may stop the process."""

    def begin(self, name: str, limit: float | None) -> None:
        """Somebody else's code is called, and may take so many seconds."""

    def end(self) -> None:
        """It has returned."""


watcher: Watcher | None = None
"""Set by the command line."""


@contextmanager
def announced(name: str, limit: float | None = None) -> Iterator[None]:
    """Tell the watcher, if there is one, that somebody else's code is running, and what it is called."""
    told = watcher
    if told is None:
        yield
        return
    told.begin(name, limit)
    try:
        yield
    finally:
        told.end()


def can_be_rung() -> bool:
    """Whether an alarm can interrupt what runs here: on the main thread, and where the system has such a timer."""
    return threading.current_thread() is threading.main_thread() and hasattr(signal, "setitimer")


def said(error: BaseException) -> str:
    """Return the type of an error and the first line of its message, also where that cannot be had."""
    try:
        first_line = (str(error).splitlines() or [""])[0]
    except BaseException:  # the message is somebody else's code too
        first_line = "(its message cannot be read)"
    return f"{type(error).__name__}: {first_line}{mistaken(error)}"


@contextmanager
def foreign(what: str, *, only_exits: bool = False) -> Iterator[None]:
    """Run somebody else's code.

    An exit (``SystemExit``, ``asyncio.CancelledError``, ``pytest.fail``, ...) would otherwise be taken for the status
    of whoever called it. ``KeyboardInterrupt`` and the end of somebody's time are left alone.

    Parameters
    ----------
    what : str
        What is called, for the message: "subject raised", "module cannot be imported:".
    only_exits : bool
        Leave every ``Exception`` alone.

    Raises
    ------
    InputError
        If the code raises anything else than one.
    """
    try:
        yield
    except (InputError, KeyboardInterrupt, TimeIsUpError):
        raise
    except Exception as error:
        if only_exits:
            raise
        raise InputError(f"{what} {said(error)}") from error
    except BaseException as error:
        raise InputError(f"{what} {said(error)}") from error


def attribute(of: Any, name: str, called: str, absent: Any = None) -> Any:
    """Return an attribute of somebody else's object, ``absent`` where it has none; it may be a property, which is code.

    Parameters
    ----------
    of : object
    name : str
    called : str
        What the object is called in messages.
    absent : object

    Raises
    ------
    InputError
        If asking for it raises.
    """
    with foreign(f"{called}.{name} raised"):
        return getattr(of, name, absent)
