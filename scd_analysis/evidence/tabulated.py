"""Small spaces, written out: the law of every token after every prefix, and what follows from it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from scd_analysis.evidence.batch import Floats, Longs
from scd_analysis.evidence.rules import companion_laws


@dataclass(frozen=True)
class Tabulated:
    """All conditional laws of a model over V**N sequences.

    Attributes
    ----------
    rows : tuple of Float[V**j, V]
        The law of token j after each prefix of length j, first token most significant.
    companions : dict of str to tuple of Float[V**j, V]
        Other laws by prefix (see :mod:`scd_analysis.evidence.rules`).
    """

    rows: tuple[Floats, ...]
    companions: dict[str, tuple[Floats, ...]]

    @property
    def vocab_size(self) -> int:
        """V."""
        return int(self.rows[0].shape[1])

    def joint_law(self) -> Floats:
        """Return Float[V**N], the probability of every sequence."""
        law = np.ones(1)
        for row in self.rows:
            law = (law[:, None] * row).ravel()
        return law

    def look_up(self, tokens: Longs) -> tuple[Floats, dict[str, Floats], Longs]:
        """Return the laws Float[S, N, V], the companions and the cells Long[S] of sequences Long[S, N]."""
        prefixes = [np.zeros(len(tokens), dtype=np.int64)]
        for j in range(tokens.shape[1]):
            prefixes.append(prefixes[-1] * self.vocab_size + tokens[:, j])
        laws = np.stack([row[prefix] for row, prefix in zip(self.rows, prefixes, strict=False)], axis=1)
        others = {
            name: np.stack([row[prefix] for row, prefix in zip(rows, prefixes, strict=False)], axis=1)
            for name, rows in self.companions.items()
        }
        return laws, others, prefixes[-1]


def tabulate(rows: tuple[Floats, ...]) -> Tabulated:
    """Build the table with its companion laws."""
    return Tabulated(rows, companion_laws(rows))
