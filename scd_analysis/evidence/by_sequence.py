"""Sequences that are drawn at another temperature than the rest: a few rows of a batch that hold garbage.

Averaged over all sequences a few wrong ones are a small departure; in themselves they are a large one. With
temperature 1/g the law of a token is ``norm(p^g)``. The bet on a whole sequence is ``1 - e + e r``, r the product over
its tokens of ``norm(p^g)(x) / p(x)``, for a share e of such sequences: a law over sequences is a law for each token
given those before it, so it is predictable. Nothing is learned; every other bettor loses 0.03 to 0.04 nats.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from scd_analysis.evidence.batch import Batch, Floats
from scd_analysis.evidence.pieces import OfLaws, numbers
from scd_analysis.evidence.portfolio import Family

EXPONENTS = (0.0, 0.5, 2.0, 6.0)
"""Even among what is possible; flatter; sharper; all but greedy."""

SHARES = (0.03, 0.3)
"""Of sequences: one row of a batch of 32, and one of three."""

WEIGHT = 1.0


@dataclass(frozen=True)
class _Totals:
    """Sums of the powers of each law, over what is possible: by products and roots, which take no logarithms."""

    def numbers(self, batch: Batch) -> tuple[Floats]:
        """Return Float[S, N, G], by :data:`EXPONENTS`."""
        probs, powers, squares = batch.target_probs, batch.room(0), batch.room(1)
        possible = np.count_nonzero(probs, axis=-1).astype(np.float64)
        flatter = np.sqrt(probs, out=powers).sum(axis=-1)
        sharper = np.square(probs, out=squares).sum(axis=-1)
        greedy = np.multiply(np.square(squares, out=powers), squares, out=powers).sum(axis=-1)
        return (np.stack([possible, flatter, sharper, greedy], axis=-1),)


TOTALS = _Totals()


class OtherTemperatures:
    """Bet that some sequences have another temperature, one arm an exponent and share."""

    @property
    def arms(self) -> tuple[str, ...]:
        """Name each exponent and share."""
        return tuple(f"temperature-of-some:{g:g}:{e:g}" for g in EXPONENTS for e in SHARES)

    @property
    def looks_at(self) -> tuple[OfLaws, ...]:
        """See :class:`~scd_analysis.evidence.bettor.Looking`."""
        return (TOTALS,)

    def bet(self, batch: Batch) -> Floats:
        """Bet on every sequence."""
        own, (totals,) = np.log(batch.token_probs), numbers(TOTALS, batch)
        growth = []
        for i, g in enumerate(EXPONENTS):
            ratio = ((g - 1) * own - np.log(totals[..., i])).sum(axis=1)
            growth += [np.logaddexp(np.log1p(-e), np.log(e) + ratio) for e in SHARES]
        return np.stack(growth, axis=1)

    def describe(self, arm: int) -> str:
        """Say how these sequences are."""
        kind = "flatter" if EXPONENTS[arm // len(SHARES)] < 1 else "sharper"
        return f"some sequences are drawn from {kind} laws than the target's, and others are not"


def of_sequences() -> list[Family]:
    """Build the bettor."""
    return [Family("by-sequence", WEIGHT, OtherTemperatures())]
