"""Laws that a trace did not record, asked of the model again.

A target law of a pass is the model's, given what was committed and drafted then; a draft's declared law, for most
decoders, the target law of an earlier pass. Which one is told by what was recorded of both laws whatever the draft:
their total variation and collision probability. The draft's own probability would tell it, too, but only for some
drafts, and those that it can be told for are no fair sample. What cannot be told stays unknown.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from scd_analysis.audit.commits import read_commits
from scd_analysis.audit.given import PUT_TOGETHER
from scd_analysis.audit.target import Target
from scd_analysis.evidence.batch import Floats, Longs
from scd_analysis.laws.kernels import collision_independent, excess
from scd_analysis.trace.schema import BY_TOKEN

Bools = npt.NDArray[np.bool_]
BUDGET = 2**16
"""Tokens that a model is asked again about, over an audit; a model that could be written out costs nothing."""

MOST_ENTRIES = 2**25
"""Probabilities of a sequence's windows that are put together, 256 MiB of each law: beyond it nothing is."""

AT_ONCE = 32
"""Passes whose laws are asked for together."""

DEEPEST = 3
"""How many passes back a declared law is looked for."""


class Reconstruction:
    """Fill in laws while the budget lasts.

    Parameters
    ----------
    target : Target
    tolerance : float
        How far a recorded probability may be from a law's.
    """

    def __init__(self, target: Target, tolerance: float) -> None:
        self._target, self._tolerance, self._left = target, tolerance, BUDGET

    def fill(self, trace: xr.Dataset) -> xr.Dataset:
        """Return the trace with ``target_probs`` and ``draft_probs``, NaN where unknown; or as it was."""
        if "target_probs" in trace or not trace.sizes["iteration"]:
            return trace
        sequences, entries = trace.sizes["sequence"], trace.sizes["iteration"] * trace.sizes["slot"]
        if entries * self._target.vocab_size > MOST_ENTRIES:
            return trace
        cost = np.cumsum((~np.isnan(trace["base"].values)).sum(axis=1)) * self._target.num_tokens
        count = sequences if self._target.is_written_out else int((cost <= self._left).sum())
        if count == 0:
            return trace
        if not self._target.is_written_out:
            self._left -= int(cost[count - 1])
        part = trace.isel(sequence=slice(count))
        target = self._window_laws(part)
        draft = declared(part, target, self._tolerance)
        laws = {"target_probs": target, "draft_probs": draft}
        found = trace.assign({name: (BY_TOKEN, _padded(values, sequences)) for name, values in laws.items()})
        return found.assign_attrs({PUT_TOGETHER: True})

    def _window_laws(self, trace: xr.Dataset) -> Floats:
        """Return Float[S, T, L, V], the model's laws of every slot of every pass."""
        length, base = self._target.num_tokens, trace["base"].values
        final = trace["tokens"].values
        if np.isnan(final).any():  # a loop of append alone: commits say what was finished
            final = np.maximum(read_commits(trace).final, 0)
        made = ~np.isnan(base)  # passes of sequences that were not finished yet
        drafts, contexts = trace["draft_token"].values[made], final[np.nonzero(made)[0]].astype(np.int64)
        position = base[made].astype(np.int64)[:, None] + np.arange(drafts.shape[1])
        inside = ~np.isnan(drafts) & (position < length)
        each, k = np.nonzero(inside)
        contexts[each, position[each, k]] = drafts[each, k]
        rows = np.minimum(position, length - 1)
        out = np.full((*trace["draft_token"].shape, self._target.vocab_size), np.nan)
        at = np.nonzero(made)
        for start in range(0, len(contexts), AT_ONCE):  # whole sequences of laws are larger than windows of them
            block = slice(start, start + AT_ONCE)
            laws = self._target.laws(contexts[block], int(rows[block].max()) + 1)
            laws = np.take_along_axis(laws, rows[block][..., None], axis=1)
            out[at[0][block], at[1][block]] = np.where(inside[block][..., None], laws, np.nan)
        return out


def _padded(laws: Floats, sequences: int) -> Floats:
    """Append unknown laws up to so many sequences."""
    missing = np.full((sequences - len(laws), *laws.shape[1:]), np.nan)
    return np.concatenate([laws, missing]) if len(missing) else laws


def declared(trace: xr.Dataset, target: Floats, tolerance: float) -> Floats:
    """Find the law each draft was declared with.

    Parameters
    ----------
    trace : xarray.Dataset
        With ``base``, ``draft_token``, ``draft_prob_of_token``, ``total_variation`` and ``collision_independent``.
    target : Float[S, T, L, V]
        Target laws of every slot.
    tolerance : float

    Returns
    -------
    Float[S, T, L, V]
        The point mass or the uniform law of a first draft, else the target law of the latest pass that fits what was
        recorded; NaN where none does.
    """
    base = np.nan_to_num(trace["base"].values, nan=-1).astype(np.int64)
    tokens, prob = trace["draft_token"].values, trace["draft_prob_of_token"].values.astype(np.float64)
    index = np.nan_to_num(tokens).astype(np.int64)
    vocab_size = target.shape[-1]
    point = np.arange(vocab_size) == index[..., None]
    out = np.where((prob == 1)[..., None], point.astype(np.float64), np.nan)

    def fits(law: Floats, own: Floats | float, among: Bools | bool = True) -> Bools:
        variation, collision = excess(target, law).sum(axis=-1), collision_independent(target, law)
        known = {"total_variation": variation, "collision_independent": collision}
        found = np.isnan(out[..., 0]) & among
        for name, value in known.items():
            found &= np.abs(value - trace[name].values) <= tolerance
        wrong = found & ~(np.abs(own - prob) <= tolerance)  # another law of the same two numbers, here and elsewhere
        return np.asarray(found & ~wrong.any())

    flat = np.full(vocab_size, 1 / vocab_size)
    uniform = fits(flat, 1 / vocab_size, _is_first(base, tokens.shape[2]))
    out = np.where(uniform[..., None], flat, out)
    for back in range(1, DEEPEST + 1):
        laws = _earlier(target, base, back)
        own = np.take_along_axis(laws, index[..., None], axis=-1)[..., 0]
        out = np.where(fits(laws, own)[..., None], laws, out)
    return out


def _is_first(base: Longs, window: int) -> Bools:
    """Whether a slot's position entered the window at this pass, Bool[S, T, L]."""
    position = base[..., None] + np.arange(window)
    before = np.concatenate([np.zeros_like(base[:, :1]), base[:, :-1] + window], axis=1)
    return np.asarray(position >= before[..., None])


def _earlier(laws: Floats, base: Longs, back: int) -> Floats:
    """Laws of the same positions some passes before, NaN where they were not in the window."""
    sequences, passes, window, _ = laws.shape
    out: npt.NDArray[Any] = np.full_like(laws, np.nan)
    if back >= passes:
        return out
    slot = base[:, back:, None] + np.arange(window) - base[:, :-back, None]
    there = (slot >= 0) & (slot < window) & (base[:, back:, None] >= 0)
    rows, at = np.ogrid[:sequences, : passes - back]
    found = laws[rows[..., None], at[..., None], np.clip(slot, 0, window - 1)]
    out[:, back:] = np.where(there[..., None], found, np.nan)
    return out
