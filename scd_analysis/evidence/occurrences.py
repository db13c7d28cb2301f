"""How often a token occurred before: what a penalty on repetition leans on, applied twice or left out.

A penalty on frequency takes ``c`` nats off a token for every time that it occurred, one on presence ``c`` nats at its
first, and one whose counts are late or doubled at some slots of a window leans on the tokens a few positions back. All
of them are tilts along the directions here. The bettors are a family apart, so that what they cost all others is known,
``ln`` of the total weight with them over that without them: about 0.1 nats.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from scd_analysis.evidence.batch import Batch, Floats, Longs
from scd_analysis.evidence.directed import Directed
from scd_analysis.evidence.features import Feature
from scd_analysis.evidence.moments import AtToken, Moments, moments_of
from scd_analysis.evidence.portfolio import Family
from scd_analysis.evidence.ridge import RidgeTilt

MOST_TIMES = 4
"""Occurrences are counted up to so many, so that the direction is bounded."""

PRIOR_TOKENS = (100.0, 3000.0)
"""A penalty that is doubled everywhere shows within a hundred short sequences, at some slots within thousands."""

ALONE, TOGETHER = 1.0, 2.0
"""Weight of the directions one by one, and of all at once."""


def times_before(batch: Batch) -> Longs:
    """How often each token occurred before each position, Long[S, N, V]; counted once a batch."""
    if times_before in batch.known:
        return np.asarray(batch.known[times_before])
    out = np.zeros(batch.target_probs.shape, dtype=np.int64)
    rows = np.arange(len(batch))
    for j in range(1, batch.tokens.shape[1]):
        out[:, j] = out[:, j - 1]
        out[rows, j, batch.tokens[:, j - 1]] += 1
    batch.known[times_before] = out
    return out


@dataclass(frozen=True)
class ByTimes:
    """A direction by how often each token occurred before, ``of`` these numbers; zero at none."""

    of: Callable[[Longs], Floats]

    def __call__(self, batch: Batch) -> Floats:
        """Write it out."""
        return self.of(times_before(batch))

    def numbers(self, batch: Batch) -> Moments:
        """Return its moments; of a piece, by the tokens that occurred alone."""
        if batch.piece is None:
            return moments_of(self(batch), batch)
        own, mean, square = np.zeros((3, *batch.tokens.shape))
        for s, whole in enumerate(batch.piece.tokens):
            start = batch.piece.start
            stop = start + batch.tokens.shape[1]
            seen, number = np.unique(whole[:stop], return_inverse=True)
            times = np.tile(np.bincount(number[:start], minlength=len(seen)), (stop - start, 1))
            for j in range(1, stop - start):
                times[j:, number[start + j - 1]] += 1
            values, probs = self.of(times), batch.target_probs[s][:, seen]
            weighted = probs * values
            mean[s], square[s] = weighted.sum(axis=-1), np.einsum("nu,nu->n", weighted, values)
            own[s] = values[np.arange(stop - start), number[start:stop]]
        return own - mean, mean, np.maximum(square - mean * mean, 0)


def _share(times: Longs) -> Floats:
    return np.asarray(np.minimum(times, MOST_TIMES) / MOST_TIMES)


def _at_all(times: Longs) -> Floats:
    return (times > 0).astype(np.float64)


occurred, occurred_at_all = ByTimes(_share), ByTimes(_at_all)
"""How often a token occurred before, from 0 to 1 at :data:`MOST_TIMES` and more; and whether it did."""


def _back(positions: int) -> AtToken:
    """The token so many positions before."""

    def token(batch: Batch) -> Longs:
        out = np.full_like(batch.tokens, -1)
        out[:, positions:] = batch.tokens[:, : max(batch.tokens.shape[1] - positions, 0)]
        return out

    return AtToken(token)


_TWICE = "too rarely (a penalty on repetition that is applied twice)"
_NOT = "too often (a penalty on repetition that is left out)"

OCCURRENCES = (
    Feature("occurred-before", f"tokens come the oftener, the oftener they occurred before, and {_NOT}",
            f"tokens come the rarer, the oftener they occurred before, and {_TWICE}", occurred, 0.0),
    Feature("occurred-at-all", f"tokens that occurred before come {_NOT}",
            f"tokens that occurred before come {_TWICE}", occurred_at_all, 0.0),
    Feature("one-back", "the token before comes again too often", "the token before comes again too rarely",
            _back(1), 0.0),
    Feature("two-back", "the token two before comes again too often", "the token two before comes again too rarely",
            _back(2), 0.0),
    Feature("three-back", "the token three before comes again too often",
            "the token three before comes again too rarely", _back(3), 0.0),
)  # fmt: skip
"""The directions; functions of the tokens before a position alone."""


def of_occurrences(num_tokens: int, *, together: bool) -> list[Family]:
    """Build the bettors; ``together`` adds the tilt along all directions at once, which reads all laws."""
    each = Directed(OCCURRENCES, PRIOR_TOKENS, name="occurrences")
    if not together:
        return [Family("occurrences", TOGETHER, each)]
    tilt = RidgeTilt(OCCURRENCES, num_tokens, PRIOR_TOKENS, by_position=False, name="occurrences")
    return [Family("occurrences", ALONE, each), Family("occurrences-ridge", TOGETHER, tilt)]
