"""Cells of a small space around a learned tilt: what directions explain, and on top of it whatever else there is.

A Dirichlet-multinomial bet on whole sequences, centred not on the null but on the null tilted along learned directions
(:class:`~scd_analysis.evidence.ridge.RidgeTilt`): with prior counts ``c b`` for the tilted law b, a cell seen m times
in n has predictive probability ``(c b + m) / (c + n)``. Where the tilt says it all, nothing is paid for the cells;
where it says little, they find the rest.
"""

from __future__ import annotations

import numpy as np

from scd_analysis.evidence.batch import Batch, Floats
from scd_analysis.evidence.bettor import earlier_occurrences
from scd_analysis.evidence.features import Feature
from scd_analysis.evidence.ridge import RidgeTilt


class TiltedCells:
    """Bet on each sequence's cell.

    Parameters
    ----------
    features : tuple of Feature
        Directions of the tilt; each position learns its own.
    num_tokens, num_cells : int
        N and V**N.
    prior_tokens : float
        How many tokens the prior at no tilt is worth.
    concentrations : Float[arms]
        Grid of prior counts.
    """

    def __init__(
        self,
        features: tuple[Feature, ...],
        num_tokens: int,
        num_cells: int,
        prior_tokens: float,
        concentrations: Floats,
    ) -> None:
        self._tilt = RidgeTilt(features, num_tokens, (prior_tokens,), by_position=True)
        self._prior, self._concentrations = prior_tokens, np.asarray(concentrations, dtype=np.float64)
        self._counts, self._seen = np.zeros(num_cells, dtype=np.int64), 0

    @property
    def arms(self) -> tuple[str, ...]:
        """Name each concentration."""
        return tuple(f"tilted-cells-{self._prior:g}:{c:.3g}" for c in self._concentrations)

    def bet(self, batch: Batch) -> Floats:
        """Bet with the tilt learned from earlier batches and the cells of all earlier sequences."""
        assert batch.cells is not None
        tilt = np.exp(self._tilt.bet(batch))  # b / p of each sequence
        null = batch.token_probs.prod(axis=1)
        before = self._counts[batch.cells] + earlier_occurrences(batch.cells)
        seen = self._seen + np.arange(len(batch), dtype=np.float64)
        weight = self._concentrations * tilt + (before / null)[:, None]
        np.add.at(self._counts, batch.cells, 1)
        self._seen += len(batch)
        return np.asarray(np.log(weight) - np.log(self._concentrations + seen[:, None]))

    def describe(self, arm: int) -> str:
        """Say what a win means."""
        return f"whole sequences depart from the target: {self._tilt.describe(0)}, and more cells by cell"
