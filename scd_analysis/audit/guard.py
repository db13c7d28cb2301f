"""Calling somebody else's code: what it raises becomes one line, and it may not take for ever."""

from __future__ import annotations

import _thread
import ctypes
import inspect
import os
import signal
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from scd_analysis.common.foreign import TimeIsUpError, announced, can_be_rung, foreign
from scd_analysis.errors import InputError

AGAIN = 0.5
"""Seconds after which code that has swallowed an interruption is interrupted again; it may clean up in between."""

INSIST = 5e-3
"""Seconds between the interruptions after these."""


def guarded(name: str, call: Callable[[], Any], timeout: float | None = None) -> Any:
    """Call somebody else's code.

    Parameters
    ----------
    name : str
        Of what is called, for the message.
    call : callable
        Without arguments. What it returns is read in there, if reading it may run code too.
    timeout : float, optional
        Seconds it may take. On the main thread it is interrupted there, again and again if it swallows that or takes
        the timer away; elsewhere it is left to itself on a thread of its own. What cannot be interrupted from within is
        an operation that never returns to Python, and code that swallows interruptions and takes the signal away, too:
        there the call takes as long as it takes, unless it is made on the command line, whose supervisor ends it.

    Raises
    ------
    InputError
        If it raises anything else than one, or is not done in time, even if it returns something after that.
    """
    process = os.getpid()
    try:
        with announced(name, timeout), np.errstate():
            if timeout is None:
                with foreign(f"{name} raised"):
                    return call()
            if can_be_rung():
                return _interrupted(name, call, timeout)
            return _on_a_thread(name, call, timeout)
    finally:
        if os.getpid() != process:  # it has forked, and this is the copy: there is one audit, not two
            os._exit(2)


def _too_late(name: str, timeout: float) -> InputError:
    return InputError(f"{name} did not return within {timeout:g} s")


def _interrupted(name: str, call: Callable[[], Any], timeout: float) -> Any:
    alarm = _Alarm(timeout)
    alarm.start()
    try:
        try:
            with foreign(f"{name} raised"):
                returned = call()
        finally:
            alarm.over = True
    except InputError:
        if not alarm.rang:
            raise
    except alarm.kind:
        pass
    finally:
        alarm.over = True
        alarm.stop()
    if alarm.rang:  # what it returned after an interruption that it has swallowed may be half of something
        raise _too_late(name, timeout) from None
    return returned


class _Alarm:
    """Interrupts the main thread when time is up, by a signal, and where that is taken away from another thread.

    Attributes
    ----------
    kind : type
        The error that is raised there; one of its own, since guarded calls may be nested.
    rang : bool
        Whether it has interrupted anything.
    over : bool
        Set when the call has ended: from then on nothing is interrupted.
    """

    def __init__(self, timeout: float) -> None:
        self.kind: type[TimeIsUpError] = type("TimeIsUpError", (TimeIsUpError,), {})
        again = staticmethod(partial(_thread.interrupt_main, signal.SIGALRM))
        self._twice: type[TimeIsUpError] = type("TimeIsUpError", (self.kind,), {"__init__": again})
        self._is_second = False
        self.rang = self.over = self._insisted = False
        self._timeout, self._thread = timeout, threading.get_ident()
        self._ended, self._lock = threading.Event(), threading.Lock()

    def start(self) -> None:
        """Begin to measure."""
        self._before = signal.signal(signal.SIGALRM, self._ring) or signal.SIG_DFL
        threading.Thread(target=self._insist, daemon=True).start()
        signal.setitimer(signal.ITIMER_REAL, self._timeout)

    def _ring(self, *_: object) -> None:
        """Interrupt; when that was swallowed before, twice at once.

        The second comes at the first step after the first is caught, outside of what has caught it.
        """
        if self.over:
            return
        kind = self._twice if self.rang and not self._is_second else self.kind
        signal.setitimer(signal.ITIMER_REAL, INSIST if self.rang else AGAIN)
        self.rang, self._is_second = True, kind is self._twice
        raise kind

    def _insist(self) -> None:
        """Interrupt from outside: the timer, or what it calls, may have been replaced."""
        pause = self._timeout + 2 * AGAIN
        while not self._ended.wait(pause):
            with self._lock:
                if not self._ended.is_set():
                    self.rang = self._insisted = True
                    _raise_in(self._thread, self.kind)
                    if signal.getsignal(signal.SIGALRM) == self._ring:
                        signal.pthread_kill(self._thread, signal.SIGALRM)  # wakes it where it sleeps
            pause = INSIST

    def stop(self) -> None:
        """Put everything back."""
        with self._lock:
            self._ended.set()
        signal.setitimer(signal.ITIMER_REAL, 0)
        if self._insisted:
            _take_what_is_under_way()
            time.sleep(1e-3)  # a signal under way arrives while it still does nothing
        signal.signal(signal.SIGALRM, self._before)


def _raise_in(thread: int, kind: type[BaseException]) -> None:
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(kind))


class _Settled(BaseException):
    """Takes the place of an interruption that was not raised yet."""


def _take_what_is_under_way() -> None:
    """Catch an interruption that is due on this thread; taking it back would leave the interpreter looking for it."""
    try:
        _raise_in(threading.get_ident(), _Settled)
        while True:
            pass
    except _Settled:
        return


def _on_a_thread(name: str, call: Callable[[], Any], timeout: float) -> Any:
    returned: list[Any] = []
    raised: list[BaseException] = []

    def run() -> None:
        try:
            with foreign(f"{name} raised"):
                returned.append(call())
        except BaseException as error:  # handed on to the caller
            raised.append(error)

    worker = threading.Thread(target=run, daemon=True)
    worker.start()
    worker.join(timeout)
    if raised:
        raise raised[0]
    if not returned:
        raise _too_late(name, timeout)
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
