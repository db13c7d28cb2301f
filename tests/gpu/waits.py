"""How often the host waits for a CUDA device, as torch itself sees it."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def count_waits() -> Iterator[list[str]]:
    """A list that grows by one entry at every synchronisation inside the block."""
    found: list[str] = []
    before = torch.cuda.get_sync_debug_mode()
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            yield found
        finally:
            torch.cuda.set_sync_debug_mode(before)
            found += [
                str(w.filename) + f":{w.lineno}" for w in seen if "synchronizing CUDA operation" in str(w.message)
            ]
