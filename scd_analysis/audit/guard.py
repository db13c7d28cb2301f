"""Calling somebody else's code: what it raises becomes one line, and it may not take for ever."""

from __future__ import annotations

import inspect
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from scd_analysis.errors import InputError

AGAIN = 1.0
"""Seconds after which an interruption that the code has swallowed is tried again."""


class TimeIsUpError(BaseException):
    """Raised inside the code that took too long; no ``Exception``, so that it is not caught by accident."""


def guarded(name: str, call: Callable[[], Any], timeout: float | None = None) -> Any:
    """Call somebody else's code.

    Parameters
    ----------
    name : str
        Of what is called, for the message.
    call : callable
        Without arguments.
    timeout : float, optional
        Seconds it may take. On the main thread it is interrupted there by a signal, which waits for a single operation
        that never returns to Python; elsewhere it is left to itself on a thread of its own.

    Raises
    ------
    InputError
        If it raises anything else than one, or is not done in time.
    """
    try:
        if timeout is None:
            return call()
        if threading.current_thread() is threading.main_thread() and hasattr(signal, "setitimer"):
            with _alarm(timeout):
                return call()
        return _on_a_thread(call, timeout)
    except InputError:
        raise
    except TimeIsUpError:
        raise InputError(f"{name} did not return within {timeout:g} s") from None
    except (Exception, SystemExit) as error:  # an exit would otherwise be taken for the audit's own status
        first_line = (str(error).splitlines() or [""])[0]
        raise InputError(f"{name} raised {type(error).__name__}: {first_line}") from error


@contextmanager
def _alarm(timeout: float) -> Iterator[None]:
    def interrupt(*_: object) -> None:
        raise TimeIsUpError

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, timeout, AGAIN)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _on_a_thread(call: Callable[[], Any], timeout: float) -> Any:
    returned: list[Any] = []
    raised: list[BaseException] = []

    def run() -> None:
        try:
            returned.append(call())
        except BaseException as error:  # handed on to the caller
            raised.append(error)

    worker = threading.Thread(target=run, daemon=True)
    worker.start()
    worker.join(timeout)
    if raised:
        raise raised[0]
    if not returned:
        raise TimeIsUpError
    return returned[0]


def check_signature(function: Callable[..., Any], name: str, wanted: str, number: int) -> None:
    """Check that a function can be called with so many positional arguments.

    Raises
    ------
    InputError
        Naming what it takes.
    """
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # written in C: only a call can tell
        return
    try:
        signature.bind(*range(number))
    except TypeError:
        raise InputError(f"{name} takes {signature}: it is called with {wanted}") from None
