"""Null moments of a direction: of its value at the token that came, given what was known before.

A direction is a function from a batch to Float[S, N, V]. Written out it costs several readings of all laws; where it is
one at a single token, or a mid-PIT, or another one scaled, its moments are known without that.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from scd_analysis.evidence.batch import Batch, Floats, Longs
from scd_analysis.evidence.pieces import OfLaws, numbers
from scd_analysis.evidence.pit import Ordering, mid_pit, pit_of

Values = Callable[[Batch], Floats]
Moments = tuple[Floats, Floats, Floats]
"""Centred value at the token, null mean, null variance; Float[S, N] each."""


def moments(values: Values, batch: Batch, known: dict[Any, Moments]) -> Moments:
    """Return the moments of a direction, keeping them in ``known`` for others that are scaled from it."""
    if values not in known:
        if isinstance(values, Scaled):
            scale, (score, mean, variance) = values.scale(batch), moments(values.base, batch, known)
            known[values] = score * scale, mean * scale, variance * scale * scale
        elif isinstance(values, OfLaws):
            known[values] = numbers(values, batch)
        elif isinstance(values, AtToken):
            known[values] = values.moments(batch)
        else:
            known[values] = moments_of(values(batch), batch)
    return known[values]


def moments_of(values: Floats, batch: Batch) -> Moments:
    """Return the moments of a direction that is written out, Float[S, N, V]."""
    weighted = np.multiply(batch.target_probs, values, out=batch.room(2))
    mean = weighted.sum(axis=-1)
    square = np.einsum("snv,snv->sn", weighted, values)
    own = np.take_along_axis(values, batch.tokens[..., None], axis=-1)[..., 0]
    return own - mean, mean, np.maximum(square - mean * mean, 0)


def read_of(values: Values) -> OfLaws | None:
    """Return what is read of laws for a direction; None where it is no more than some entries, or all at once."""
    base = values.base if isinstance(values, Scaled) else values
    return base if isinstance(base, OfLaws) else None


@dataclass(frozen=True)
class Along:
    """A direction that follows at each position from its law and that before it, ``values(batch)``: Float[S, N, V]."""

    values: Callable[[Batch], Floats]

    def __call__(self, batch: Batch) -> Floats:
        """Write it out."""
        return self.values(batch)

    def numbers(self, batch: Batch) -> Moments:
        """Return its moments."""
        return moments_of(self.values(batch), batch)


@dataclass(frozen=True)
class Scaled:
    """A direction times a number that is known before the token, ``scale(batch)``: Float[S, N]."""

    base: Values
    scale: Callable[[Batch], Floats]

    def __call__(self, batch: Batch) -> Floats:
        """Write it out."""
        return np.asarray(self.base(batch) * self.scale(batch)[..., None])


@dataclass(frozen=True)
class AtToken:
    """One at a token that is known before, ``token(batch)``: Long[S, N], negative where there is none; else zero."""

    token: Callable[[Batch], Longs]

    def __call__(self, batch: Batch) -> Floats:
        """Write it out."""
        token, out = self.token(batch)[..., None], np.zeros_like(batch.target_probs)
        np.put_along_axis(out, np.maximum(token, 0), (token >= 0).astype(np.float64), axis=-1)
        return out

    def moments(self, batch: Batch) -> Moments:
        """Of a Bernoulli variable."""
        token = self.token(batch)
        prob = np.take_along_axis(batch.target_probs, np.maximum(token, 0)[..., None], axis=-1)[..., 0]
        prob = np.where(token >= 0, prob, 0)
        return (token == batch.tokens) - prob, prob, prob * (1 - prob)


@dataclass(frozen=True)
class AtTokenOfLaw(AtToken):
    """One at a token that the law itself gives."""

    def numbers(self, batch: Batch) -> Moments:
        """Return its moments."""
        return self.moments(batch)


@dataclass(frozen=True)
class MidPit:
    """The PIT of a token with w = 1/2, scaled to [-1, 1]."""

    ordering: Ordering

    def __call__(self, batch: Batch) -> Floats:
        """Write it out."""
        return mid_pit(batch.target_probs, self.ordering)

    def of_tokens(self, batch: Batch) -> Floats:
        """Return its value at the tokens, Float[S, N]."""
        return 2 * pit_of(batch, np.full(batch.tokens.shape, 0.5), self.ordering) - 1

    def numbers(self, batch: Batch) -> Moments:
        """Mean 0 and variance ``(1 - sum p^3) / 3``, whatever the order: what jumps of size p leave of a uniform's."""
        own, (variance,) = self.of_tokens(batch), numbers(SPREAD, batch)
        return own, np.zeros_like(own), variance


@dataclass(frozen=True)
class _Spread:
    """The variance of a mid-PIT, which is the same in any order."""

    def numbers(self, batch: Batch) -> tuple[Floats]:
        probs = batch.target_probs
        variance = (1 - np.einsum("snv,snv->sn", np.multiply(probs, probs, out=batch.room(2)), probs)) / 3
        return (np.maximum(variance, 0),)


SPREAD = _Spread()


@dataclass(frozen=True)
class Numbered:
    """The token's number, spread evenly from ``low`` to ``high``."""

    low: float
    high: float

    def __call__(self, batch: Batch) -> Floats:
        """Write it out."""
        return np.broadcast_to(self._values(batch), batch.target_probs.shape)

    def _values(self, batch: Batch) -> Floats:
        return np.linspace(self.low, self.high, batch.target_probs.shape[-1])

    def numbers(self, batch: Batch) -> Moments:
        """As two products with the laws."""
        values = self._values(batch)
        mean = batch.target_probs @ values
        variance = np.maximum(batch.target_probs @ (values * values) - mean * mean, 0)
        return values[batch.tokens] - mean, mean, variance
