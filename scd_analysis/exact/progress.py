"""Progress on a terminal, silence in a pipe."""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Report = Callable[[int, int], bool]
"""Told how many branches are done and how many are waiting; gives False, so that it can serve as "stop?"."""

_PATIENCE = 1.0  # seconds between two lines


@contextmanager
def reporting(show: bool | None) -> Iterator[Report]:
    """Give a function to report progress to."""
    if not (sys.stderr.isatty() if show is None else show):
        yield lambda done, waiting: False
        return
    from rich.console import Console

    console = Console(stderr=True)
    shown = time.monotonic()

    def report(done: int, waiting: int) -> bool:
        nonlocal shown
        if time.monotonic() - shown > _PATIENCE:
            state = random.getstate()  # rich draws from it, which would look like a draw of the sampler
            console.print(f"enumerating: {done:,} branches run, {waiting:,} waiting", end="\r", highlight=False)
            random.setstate(state)
            shown = time.monotonic()
        return False

    yield report
