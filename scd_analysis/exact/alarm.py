"""An alarm for samplers that go on for ever between two draws, or wait for something that never comes."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from scd_analysis.common.foreign import can_be_rung

_INTERVAL = 0.25  # seconds until a sampler that has swallowed the interruption is interrupted again


@contextmanager
def alarm(seconds: float | None, interrupt: Callable[[], None]) -> Iterator[None]:
    """Call ``interrupt`` after some seconds, and again and again; it may raise in whatever is being run.

    Only the main thread can be interrupted, and only where the system has such a timer; elsewhere nothing happens. A
    timer that somebody else has set is left alone if it comes first, and put back otherwise.
    """
    if seconds is None or not can_be_rung():
        yield
        return
    others, interval = signal.getitimer(signal.ITIMER_REAL)
    if 0 < others <= seconds:
        yield
        return

    def ring(*_: Any) -> None:
        interrupt()

    started, before = time.monotonic(), signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, max(seconds, 1e-3), _INTERVAL)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        if others:
            signal.setitimer(signal.ITIMER_REAL, max(others - (time.monotonic() - started), 1e-3), interval)
