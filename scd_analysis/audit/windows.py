"""Whole windows of a trace: what a rule looks at that decides on all drafts of a pass together."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from scd_analysis.audit.commits import Passes, cut
from scd_analysis.audit.given import law_blocks
from scd_analysis.evidence.batch import Floats, Longs

if TYPE_CHECKING:
    import xarray as xr


@dataclass(frozen=True)
class Windows:
    """The window of every pass. S sequences, T passes, L slots.

    With ``w_0 = 1`` and ``w_i = min(1, w_(i-1) p_i(x_i) / q_i(x_i))``, slot k (from 0) has the excess
    ``sum_y (w_k p(y) - q(y))+`` of its own laws.

    Attributes
    ----------
    size, accepted : Long[S, T]
        How many drafts were verified, and how many of them stand.
    ratio : Float[S, T, L]
        p/q of the drafts.
    weight : Float[S, T, L + 1]
        w_0 ... w_L.
    excess : Float[S, T, L]
        NaN where laws are unknown.
    uniform : Float[S, T, L]
        Acceptance variates, NaN where none was recorded.
    """

    size: Longs
    accepted: Longs
    ratio: Floats
    weight: Floats
    excess: Floats
    uniform: Floats

    def part(self, start: int, stop: int) -> Windows:
        """Return sequences ``start ... stop - 1``."""
        return cut(self, slice(start, stop))

    @property
    def law(self) -> Floats:
        """Law of the number of drafts that block verification accepts, Float[S, T, L + 1]; NaN where not known."""
        slots = self.ratio.shape[-1]
        place, last = np.arange(1, slots + 1), self.size[..., None]
        weight, after = self.weight[..., 1:], np.concatenate([self.excess[..., 1:], self.excess[..., :1]], axis=-1)
        rest = after + 1 - weight
        with np.errstate(divide="ignore", invalid="ignore"):
            passes = np.where(rest > 0, after / rest, 1.0)
        passes = np.where(np.isnan(after), np.nan, passes)
        passes = np.where(place == last, weight, np.where(place > last, 0.0, passes))
        fails = np.cumprod((1 - passes)[..., ::-1], axis=-1)[..., ::-1]  # that slots from here on all fail
        behind = np.concatenate([fails[..., 1:], np.ones_like(fails[..., :1])], axis=-1)
        return np.concatenate([fails[..., :1], passes * behind], axis=-1)

    @property
    def following(self) -> Floats:
        """All mass on the run of drafts whose variates have ``u q < p``, Float[S, T, L + 1]; NaN without variates."""
        there = np.arange(self.ratio.shape[-1]) < self.size[..., None]
        with np.errstate(invalid="ignore"):
            follows = np.where(there, self.uniform < self.ratio, False)
        says = np.cumprod(follows, axis=-1).sum(axis=-1)
        law = np.asarray(np.arange(self.ratio.shape[-1] + 1) == says[..., None], dtype=np.float64)
        unknown = np.where(there, np.isnan(self.uniform + self.ratio), False).any(axis=-1, keepdims=True)
        return np.where(unknown, np.nan, law)

    @property
    def law_one_by_one(self) -> Floats:
        """The law that it has where drafts are accepted one by one with min(1, p/q), Float[S, T, L + 1]."""
        there = np.arange(self.ratio.shape[-1]) < self.size[..., None]
        accept = np.where(there, np.clip(np.nan_to_num(self.ratio, posinf=1), 0, 1), 0.0)
        reached = np.concatenate([np.ones_like(accept[..., :1]), np.cumprod(accept, axis=-1)], axis=-1)
        return reached - np.concatenate([reached[..., 1:], np.zeros_like(reached[..., :1])], axis=-1)


def _weights(ratio: Floats) -> Floats:
    out = np.ones((*ratio.shape[:-1], ratio.shape[-1] + 1))
    for k in range(ratio.shape[-1]):
        out[..., k + 1] = np.minimum(1.0, out[..., k] * ratio[..., k])
    return out


def windows_of(passes: Passes, ratio: Floats, laws: Iterable[tuple[int, Floats, Floats]]) -> Windows:
    """Put windows together.

    Parameters
    ----------
    passes : Passes
    ratio : Float[S, T, L]
        p/q of the drafts.
    laws : iterable of (int, Float[S, t, L, V], Float[S, t, L, V])
        Draft laws and target laws of some passes from a number on; nothing where they are not known.
    """
    weight, excess = _weights(ratio), np.full(ratio.shape, np.nan)
    for start, draft, target in laws:
        block = slice(start, start + draft.shape[1])
        scaled = weight[:, block, :-1, None] * target
        excess[:, block] = np.maximum(scaled - draft, 0).sum(axis=-1)
    stands = np.cumprod(passes.accepted & passes.used, axis=-1)
    return Windows(passes.used.sum(axis=-1), stands.sum(axis=-1), ratio, weight, excess, passes.uniform)


def read_windows(trace: xr.Dataset, passes: Passes, offset: int) -> Windows:
    """Read the windows of some sequences of a trace.

    Parameters
    ----------
    trace : xarray.Dataset
    passes : Passes
    offset : int
        Number of the first sequence.

    Raises
    ------
    LawError
        If a recorded law is none.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = (trace["target_prob_of_token"].values / trace["draft_prob_of_token"].values).astype(np.float64)
    known = "draft_probs" in trace and "target_probs" in trace
    return windows_of(passes, np.where(passes.used, ratio, np.nan), _pairs(trace, offset) if known else ())


def _pairs(trace: xr.Dataset, offset: int) -> Iterable[tuple[int, Floats, Floats]]:
    both = (law_blocks(trace, name, offset) for name in ("draft_probs", "target_probs"))
    for (start, draft), (_, target) in zip(*both, strict=True):
        yield start, draft.astype(np.float64), target.astype(np.float64)
