"""Progress on a terminal, silence in a pipe."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Report = Callable[[int, int], bool]
"""Told how many branches are done and how many are waiting; gives False, so that it can serve as "stop?"."""

_PATIENCE = 1.0  # seconds before anything is shown


@contextmanager
def reporting(show: bool | None) -> Iterator[Report]:
    """Give a function to report progress to."""
    if not (sys.stderr.isatty() if show is None else show):
        yield lambda done, waiting: False
        return
    from rich.console import Console

    started = time.monotonic()
    with Console(stderr=True).status("enumerating") as status:

        def report(done: int, waiting: int) -> bool:
            if done % 64 == 0 and time.monotonic() - started > _PATIENCE:
                status.update(f"enumerating: {done:,} branches run, {waiting:,} waiting")
            return False

        yield report
