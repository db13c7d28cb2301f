"""Randomised probability integral transforms, and bets that they are not uniform.

Order the vocabulary by a rule that depends on the past only; then ``U = F(x-) + w p(x)`` with ``w`` uniform is uniform
given the past, so under the null all U of all tokens are jointly independent and uniform [1]_.

References
----------
.. [1] A. P. Dawid (1984). Statistical theory: the prequential approach. JRSS A 147(2), 278-292. doi:10.2307/2981683
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from scd_analysis.evidence.batch import Batch, Floats, Longs
from scd_analysis.evidence.dirichlet import DirichletCounts
from scd_analysis.evidence.pieces import OfLaws, numbers

Ordering = Literal["rank", "token"]


def randomised_pit(target_probs: Floats, tokens: Longs, uniforms: Floats, ordering: Ordering = "rank") -> Floats:
    """Transform tokens so that they are independent and uniform under the null.

    Parameters
    ----------
    target_probs : Float[..., V]
    tokens : Long[...]
    uniforms : Float[...]
        Variates w in [0, 1).
    ordering : {"rank", "token"}
        ``"rank"``: the most probable token first, ties by number; ``"token"``: by number.

    Returns
    -------
    Float[...]
        In [0, 1).
    """
    own = np.take_along_axis(target_probs, tokens[..., None], axis=-1)
    below = np.where(_earlier(target_probs, tokens, own, ordering), target_probs, 0).sum(axis=-1)
    return _between(below, own[..., 0], uniforms)


def _between(below: Floats, own: Floats, uniforms: Floats) -> Floats:
    return np.asarray(np.clip(below + uniforms * own, 0, np.nextafter(1, 0)), dtype=np.float64)


def _earlier(target_probs: Floats, tokens: Longs, own: Floats, ordering: Ordering) -> npt.NDArray[np.bool_]:
    """What comes before the tokens in an order, Bool[..., V]; their own probability is Float[..., 1]."""
    earlier = np.arange(target_probs.shape[-1]) < tokens[..., None]
    if ordering == "rank":
        earlier &= target_probs == own
        earlier |= target_probs > own
    return earlier


@dataclass(frozen=True)
class Below:
    """Probability of what comes before each token of a batch in an order."""

    ordering: Ordering

    def numbers(self, batch: Batch) -> tuple[Floats]:
        """Return Float[S, N]."""
        probs = batch.target_probs
        earlier = _earlier(probs, batch.tokens, batch.token_probs[..., None], self.ordering)
        return (np.multiply(probs, earlier, out=batch.room(0)).sum(axis=-1),)


def pit_of(batch: Batch, uniforms: Floats, ordering: Ordering) -> Floats:
    """Transform the tokens of a batch as :func:`randomised_pit` does; what it takes of laws is read once."""
    return _between(numbers(Below(ordering), batch)[0], batch.token_probs, uniforms)


def pit_interval(probs: Floats, tokens: Longs) -> tuple[Floats, Floats]:
    """Return the ends of the interval of an inverse CDF that gives the tokens, Float[...] each.

    Parameters
    ----------
    probs : Float[..., V]
    tokens : Long[...]
    """
    high = np.take_along_axis(probs.cumsum(axis=-1), tokens[..., None], axis=-1)[..., 0]
    return high - np.take_along_axis(probs, tokens[..., None], axis=-1)[..., 0], high


def mid_pit(target_probs: Floats, ordering: Ordering = "rank") -> Floats:
    """Return Float[..., V], the PIT of every token with w = 1/2, scaled to [-1, 1]; its mean under the law is zero."""
    if ordering == "token":
        return np.asarray(2 * target_probs.cumsum(axis=-1) - target_probs - 1)
    order = np.argsort(-target_probs, axis=-1, kind="stable")
    ranked = np.take_along_axis(target_probs, order, axis=-1)
    out = np.empty_like(target_probs)
    np.put_along_axis(out, order, 2 * ranked.cumsum(axis=-1) - ranked - 1, axis=-1)
    return out


def between(law: Floats, low: Floats, high: Floats) -> Floats:
    """Return the law of an inverse CDF at a variate that is uniform between ``low`` and ``high``, Float[n] each."""
    low, high = (np.clip(np.nan_to_num(end.astype(np.float64)), 0, 1)[..., None] for end in (low, high))
    low = np.minimum(low, 1 - 1e-9)
    high = np.maximum(high, low + 1e-9)
    ends = law.cumsum(axis=-1)
    ends[..., -1] = 1.0
    ends = np.clip(ends, low, high)
    starts = np.concatenate([low, ends[..., :-1]], axis=-1)
    return np.asarray((ends - starts) / (high - low))


class PitBins:
    """Krichevsky-Trofimov bets on the bin of U, one arm a number of bins.

    Parameters
    ----------
    ordering : {"rank", "token"}
    num_bins : tuple of int
        Resolutions.
    what : str, optional
        What is observed, where it is not tokens under the target.
    """

    def __init__(self, ordering: Ordering, num_bins: tuple[int, ...], what: str | None = None) -> None:
        self._ordering: Ordering = ordering
        self._num_bins = num_bins
        self._what = what
        self._counts = [DirichletCounts(1, bins) for bins in num_bins]

    @property
    def arms(self) -> tuple[str, ...]:
        """Name each resolution."""
        return tuple(f"pit-{self._ordering}:{bins}" for bins in self._num_bins)

    @property
    def looks_at(self) -> tuple[OfLaws, ...]:
        """See :class:`~scd_analysis.evidence.bettor.Looking`."""
        return (Below(self._ordering),)

    def bet(self, batch: Batch) -> Floats:
        """Bet on the bin of every token, in order."""
        pit = pit_of(batch, batch.uniforms, self._ordering)
        return np.stack([self._growth(pit, i) for i in range(len(self._num_bins))], axis=1)

    def _growth(self, pit: Floats, i: int) -> Floats:
        bins = self._num_bins[i]
        cell = (pit.ravel() * bins).astype(np.int64)
        flat = np.full(cell.shape, 1 / bins)
        bets = self._counts[i].log_bets(np.zeros_like(cell), cell, flat, np.array([[bins / 2]]))
        return np.asarray(bets.reshape(pit.shape).sum(axis=1))

    def describe(self, arm: int) -> str:
        """Say what a win means."""
        if self._what is not None:
            return f"{self._what} are not spread as their law says ({self._num_bins[arm]} bins of the PIT)"
        order = "probability under the target" if self._ordering == "rank" else "token number"
        return f"tokens ordered by {order} are not spread as the target says ({self._num_bins[arm]} bins of the PIT)"


class PitPairs:
    """Krichevsky-Trofimov bets on the bin of U given the bin of the previous token's U: shared or reused noise.

    Parameters
    ----------
    num_bins : tuple of int
        Resolutions, one arm each.
    """

    def __init__(self, num_bins: tuple[int, ...]) -> None:
        self._num_bins = num_bins
        self._counts = [DirichletCounts(bins, bins * bins) for bins in num_bins]

    @property
    def arms(self) -> tuple[str, ...]:
        """Name each resolution."""
        return tuple(f"pit-pairs:{bins}" for bins in self._num_bins)

    @property
    def looks_at(self) -> tuple[OfLaws, ...]:
        """See :class:`~scd_analysis.evidence.bettor.Looking`."""
        return (Below("token"),)

    def bet(self, batch: Batch) -> Floats:
        """Bet on every token but the first of each sequence."""
        pit = pit_of(batch, batch.uniforms, "token")
        if pit.shape[1] < 2:
            return np.zeros((len(batch), len(self._num_bins)))
        return np.stack([self._growth(pit, i) for i in range(len(self._num_bins))], axis=1)

    def _growth(self, pit: Floats, i: int) -> Floats:
        bins = self._num_bins[i]
        bin_of = (pit * bins).astype(np.int64)
        context = bin_of[:, :-1].ravel()
        cell = context * bins + bin_of[:, 1:].ravel()
        bets = self._counts[i].log_bets(context, cell, np.full(cell.shape, 1 / bins), np.array([[bins / 2]]))
        return np.asarray(bets.reshape(len(pit), -1).sum(axis=1))

    def describe(self, arm: int) -> str:
        """Say what a win means."""
        return "neighbouring tokens of a sequence are not independent given the target's laws, as if noise were shared"
