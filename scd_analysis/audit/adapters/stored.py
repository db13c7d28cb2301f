"""Sequences that are there already: each is handed out once, in order."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from scd_analysis.errors import InputError
from scd_analysis.evidence.batch import Longs
from scd_analysis.validate import as_array, check_tokens

if TYPE_CHECKING:
    import xarray as xr

ADAPTERS = {"recorded": "recorded", "trace": "trace"}


class Shelf:
    """Hand out numbers ``0 ... num_available - 1``, each once.

    Attributes
    ----------
    num_available : int
    """

    def __init__(self, num_available: int) -> None:
        self.num_available = num_available
        self._next = 0

    def take(self, num_sequences: int) -> slice:
        """Return the next numbers.

        Raises
        ------
        InputError
            If fewer are left.
        """
        left = self.num_available - self._next
        if num_sequences > left:
            raise InputError(f"num_sequences = {num_sequences}: {left} recorded sequences are left")
        start, self._next = self._next, self._next + num_sequences
        return slice(start, self._next)


class Recorded:
    """Stored sequences.

    Attributes
    ----------
    num_available : int
        The audit stops there by itself.
    """

    def __init__(self, tokens: Any) -> None:
        self._tokens = as_array(tokens, "tokens", np.int64)
        if self._tokens.ndim != 2 or not len(self._tokens):
            raise InputError(
                f"tokens has shape {self._tokens.shape}: recorded sequences are Long[S, N] with S at least 1"
            )
        self.num_available = len(self._tokens)
        self._shelf = Shelf(self.num_available)

    def __call__(self, model: Any, num_sequences: int, seed: int) -> Longs:
        """Return the next sequences; the seed is not used, since nothing is drawn.

        Raises
        ------
        InputError
            If fewer are left.
        """
        out = self._tokens[self._shelf.take(num_sequences)]
        if model is not None:
            check_tokens(out, int(model.vocab_size), "tokens")
        return np.asarray(out)


def recorded(tokens: Any) -> Recorded:
    """Make a subject of stored sequences Long[S, N]; they must be independent draws, in any order."""
    return Recorded(tokens)


class Traced:
    """The sequences of a trace.

    Attributes
    ----------
    vocab_size, num_tokens : int
        As recorded.
    num_available : int
        Sequences of finished batches; the audit stops there by itself.
    trace : xarray.Dataset
        Those sequences.
    """

    def __init__(self, source: str | Path | xr.Dataset) -> None:
        from scd_analysis.trace import open_trace, validate

        opened = open_trace(source) if isinstance(source, (str, Path)) else source
        validate(opened, laws=True)
        if not opened.sizes["sequence"] or not opened.sizes["iteration"]:
            raise InputError("trace: holds no sequence")
        self.num_available = _finished(opened)
        self.trace = opened.isel(sequence=slice(self.num_available))
        self.vocab_size, self.num_tokens = int(opened.attrs["vocab_size"]), int(opened.attrs["num_tokens"])
        self._shelf = Shelf(self.num_available)

    def __call__(self, model: Any, num_sequences: int, seed: int) -> xr.Dataset:
        """Return the next sequences; the seed is not used, since nothing is drawn.

        Raises
        ------
        InputError
            If fewer are left.
        """
        return self.trace.isel(sequence=self._shelf.take(num_sequences))


def _finished(trace: xr.Dataset) -> int:
    """How many sequences lie before the first batch with one that is not finished.

    Those that are finished in such a batch were the quickest, which is a choice by what was accepted.
    """
    reached = (trace["base"] + trace["num_committed"]).max("iteration") >= trace.sizes["position"]
    missing = np.flatnonzero(~(trace["tokens"].notnull().all("position").values | reached.values))
    if not len(missing):
        return int(trace.sizes["sequence"])
    batches = trace.attrs.get("blocks", [])
    if not batches or batches[-1][1] != trace.sizes["sequence"]:  # some of its sequences: which batches they are of?
        batches = [[0, trace.sizes["sequence"]]]
    start, stop = next((first, last) for first, last, *_ in batches if first <= missing[0] < last)
    if not start:
        raise InputError(
            f"trace: sequence {missing[0]} is not finished, and those of its batch ({start} to {stop - 1}) that are "
            "were the quickest, which says nothing of the others; where its tokens are known, pass tokens= to "
            "finish_batch"
        )
    return int(start)


def trace(source: str | Path | xr.Dataset) -> Traced:
    """Make a subject of a trace, by its path or URL, or opened.

    Parameters
    ----------
    source : path, URL or xarray.Dataset
        As written by :class:`scd_analysis.TraceWriter`; it is read up to the first batch that was not finished.

    Raises
    ------
    TraceError
        If it is not a trace, or contradicts itself.
    InputError
        If no batch is finished.
    """
    return Traced(source)
