"""The record of a decode: an xarray dataset on a Zarr store, read back, checked and measured.

:class:`TraceWriter` writes it while a decoder runs, and :func:`watch` fills it from a decoder that is left as it is;
:func:`open_trace` opens it, also after a crash; :func:`validate` says whether it keeps its promises. The variables are
listed in :mod:`scd_analysis.trace.schema`, and what a trace says is in :mod:`scd_analysis.trace.trajectories`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scd_analysis.trace.compact import laws_of
    from scd_analysis.trace.reader import open_trace, validate
    from scd_analysis.trace.shards import count_of, shard_in, shards_in
    from scd_analysis.trace.stored_laws import read_laws
    from scd_analysis.trace.watcher import watch
    from scd_analysis.trace.writer import TraceWriter

__all__ = [
    "TraceWriter",
    "count_of",
    "laws_of",
    "open_trace",
    "read_laws",
    "shard_in",
    "shards_in",
    "validate",
    "watch",
]

_HOME = {
    "TraceWriter": "writer",
    "count_of": "shards",
    "laws_of": "compact",
    "open_trace": "reader",
    "read_laws": "stored_laws",
    "shard_in": "shards",
    "shards_in": "shards",
    "validate": "reader",
    "watch": "watcher",
}
"""Loaded on first use: decoders that record nothing, and audits of tokens, need neither xarray nor Zarr."""


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"scd_analysis.trace.{_HOME[name]}"), name)
    raise AttributeError(f"module 'scd_analysis.trace' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
