"""Noise that is used twice, seen from tokens alone: what the noise of the token before would draw now.

Where one vector of Gumbel noise, or one variate of an inverse CDF, drew the token before from the target's law there,
the law of what it draws from the target's law here is known. A decoder that shares noise between neighbours leans to it
by as much as drafts agree with the target, at the positions that share: so each position learns for itself where there
are few of them. The bettors are a family apart, at 0.06 to 0.09 nats for every other one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from scd_analysis.evidence.batch import Batch, Floats
from scd_analysis.evidence.directed import Directed, DirectedByPosition
from scd_analysis.evidence.features import Feature, contrast
from scd_analysis.evidence.pit import between, pit_interval
from scd_analysis.evidence.portfolio import Family
from scd_analysis.evidence.races import second_winner

PRIOR_TOKENS, PRIOR_SEQUENCES = (300.0,), (100.0, 3000.0)

WEIGHT = 2.0

MOST_VOCABULARY = 4096
"""Beyond it races take longer than all other bettors together."""


def _leaning(batch: Batch, name: str, law: Callable[[Batch], Floats]) -> Floats:
    """Lean to a law from the second token on, Float[S, N, V]; worked out once a batch."""
    key: Any = ("earlier-noise", name)
    if key not in batch.known:
        other = batch.target_probs.copy()
        if other.shape[1] > 1:
            other[:, 1:] = law(batch)
        batch.known[key] = contrast(batch, other)
    return np.asarray(batch.known[key])


def _same_race(batch: Batch) -> Floats:
    laws = batch.target_probs
    return second_winner(laws[:, 1:], laws[:, :-1], batch.tokens[:, :-1])


def _same_variate(batch: Batch) -> Floats:
    laws = batch.target_probs
    now, ends = laws[:, 1:], pit_interval(laws[:, :-1], batch.tokens[:, :-1])
    flat = between(now.reshape(-1, now.shape[-1]), *(end.ravel() for end in ends))
    return flat.reshape(now.shape)


def race_before(batch: Batch) -> Floats:
    """Lean to what the Gumbel noise of the token before favours."""
    return _leaning(batch, "race", _same_race)


def variate_before(batch: Batch) -> Floats:
    """Lean to what the variate of the token before gives through the inverse CDF."""
    return _leaning(batch, "variate", _same_variate)


EARLIER_NOISE = (
    Feature("race-before", "tokens are drawn with the Gumbel noise that drew the one before",
            "tokens avoid what the Gumbel noise of the one before favours", race_before),
    Feature("variate-before", "tokens are drawn with the variate that drew the one before",
            "tokens avoid what the variate of the one before favours", variate_before),
)  # fmt: skip


def of_earlier_noise(num_tokens: int, *, by_position: bool) -> list[Family]:
    """Build the bettors; ``by_position`` lets each position learn for itself."""
    if by_position:
        return [Family("earlier-noise", WEIGHT, DirectedByPosition(EARLIER_NOISE, num_tokens, PRIOR_SEQUENCES))]
    return [Family("earlier-noise", WEIGHT, Directed(EARLIER_NOISE, PRIOR_TOKENS, name="earlier-noise"))]
