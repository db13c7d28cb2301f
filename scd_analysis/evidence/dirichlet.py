"""Dirichlet-multinomial bets on cells whose null probability is fixed and known.

With prior counts ``c p0`` the predictive probability of a cell seen m times in n is ``(c p0 + m) / (c + n)``. Centred
on the null, the bet starts at no bet at all and pays about ``sqrt(K ln 1/alpha)`` in n KL to detect a weak change in
all of K cells, where ``c`` is near ``K / (2 KL)``; hence a grid of concentrations. With ``p0 = 1/K`` and ``c = K/2`` it
is the Krichevsky-Trofimov mixture [1]_, which pays ``(K - 1)/2 ln n`` instead and wins for strong changes in few cells.

References
----------
.. [1] R. Krichevsky, V. Trofimov (1981). The performance of universal encoding. IEEE Trans. Inf. Theory 27(2), 199-207.
       doi:10.1109/TIT.1981.1056331
"""

from __future__ import annotations

import numpy as np

from scd_analysis.evidence.batch import Batch, Floats, Longs
from scd_analysis.evidence.bettor import earlier_occurrences


class DirichletCounts:
    """Counts of cells within contexts, and the bets that follow from them.

    Parameters
    ----------
    num_contexts, num_cells : int
        A cell belongs to one context; the null probabilities of a context's cells sum to one.
    """

    def __init__(self, num_contexts: int, num_cells: int) -> None:
        self._contexts = np.zeros(num_contexts, dtype=np.int64)
        self._cells = np.zeros(num_cells, dtype=np.int64)

    def log_bets(self, contexts: Longs, cells: Longs, null_probs: Floats, concentrations: Floats) -> Floats:
        """Bet on a run of observations one after another, then keep their counts.

        Parameters
        ----------
        contexts, cells : Long[T]
            Where each observation falls, in order.
        null_probs : Float[T]
            The null probability of its cell within its context.
        concentrations : Float[T or 1, arms]
            Prior counts of the context, summed over its cells.

        Returns
        -------
        Float[T, arms]
            ln of predictive over null probability. Exactly sequential: each bet knows all earlier observations.
        """
        seen_cell = (self._cells[cells] + earlier_occurrences(cells))[:, None]
        seen_context = (self._contexts[contexts] + earlier_occurrences(contexts))[:, None]
        with np.errstate(divide="ignore"):  # a cell of probability zero that was seen: the bet is won outright
            bets = np.log1p(seen_cell / (concentrations * null_probs[:, None])) - np.log1p(
                seen_context / concentrations
            )
        np.add.at(self._cells, cells, 1)
        np.add.at(self._contexts, contexts, 1)
        return np.asarray(bets, dtype=np.float64)


class JointCells:
    """Whole sequences as cells: a weak change in every cell of a small space.

    Parameters
    ----------
    num_cells : int
        V**N.
    concentrations : Float[arms]
        Grid of prior counts.
    """

    def __init__(self, num_cells: int, concentrations: Floats) -> None:
        self._counts = DirichletCounts(1, num_cells)
        self._concentrations = np.asarray(concentrations, dtype=np.float64)

    @property
    def arms(self) -> tuple[str, ...]:
        """Name each concentration."""
        return tuple(f"joint-cells:{c:.3g}" for c in self._concentrations)

    def bet(self, batch: Batch) -> Floats:
        """Bet on each sequence's cell."""
        assert batch.cells is not None
        null = batch.token_probs.prod(axis=1)
        return self._counts.log_bets(np.zeros_like(batch.cells), batch.cells, null, self._concentrations[None])

    def describe(self, arm: int) -> str:
        """Say what a win means."""
        return "whole sequences occur more and less often than under the target, in many cells at once"


class PrefixCells:
    """The law of each position given its whole prefix, each position with its own mixture over concentrations.

    The arms are one a position, and one for all positions together: the *product* of their mixtures, which is a
    martingale because the positions bet on different tokens. It finds the right concentration of every position by
    itself, no bet at all included.

    Parameters
    ----------
    vocab_size, num_tokens : int
        V and N, with V**N countable.
    concentrations : Float[C]
        Grid of prior counts of a whole position; a prefix has its share by its own null probability.
    """

    def __init__(self, vocab_size: int, num_tokens: int, concentrations: Floats) -> None:
        self._vocab_size, self._num_tokens = vocab_size, num_tokens
        self._concentrations = np.asarray(concentrations, dtype=np.float64)
        self._counts = [DirichletCounts(vocab_size**j, vocab_size ** (j + 1)) for j in range(num_tokens)]
        self._log_wealth = np.zeros((num_tokens, len(concentrations) + 1))  # the last entry never bets

    @property
    def arms(self) -> tuple[str, ...]:
        """Name each position, and all of them together."""
        return (*(f"prefix-cells:{j}" for j in range(self._num_tokens)), "prefix-cells:all")

    def bet(self, batch: Batch) -> Floats:
        """Bet on each token given its prefix."""
        prefix, share = np.zeros(len(batch), dtype=np.int64), np.ones(len(batch))
        growth = np.empty((len(batch), self._num_tokens))
        for j in range(self._num_tokens):
            cells = prefix * self._vocab_size + batch.tokens[:, j]
            null = batch.token_probs[:, j]
            bets = self._counts[j].log_bets(prefix, cells, null, self._concentrations[None] * share[:, None])
            growth[:, j] = self._mixture_growth(j, np.c_[bets, np.zeros(len(batch))])
            prefix, share = cells, share * null
        return np.column_stack([growth, growth.sum(axis=1)])

    def _mixture_growth(self, j: int, bets: Floats) -> Floats:
        wealth = self._log_wealth[j] + np.cumsum(bets, axis=0)
        mixture = np.logaddexp.reduce(np.r_[self._log_wealth[j][None], wealth], axis=1)
        self._log_wealth[j] = wealth[-1]
        return np.asarray(np.diff(mixture), dtype=np.float64)

    def describe(self, arm: int) -> str:
        """Say what a win means."""
        if arm == self._num_tokens:
            return "the law of a token given its prefix departs from the target's at several positions"
        return f"the law of token {arm} given its prefix departs from the target's"
