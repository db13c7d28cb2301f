"""Learned laws of a token given its prefix, where sequences can be counted, bet on against a ball around the target."""

from __future__ import annotations

import numpy as np

from scd_analysis.evidence.ball import log_factors
from scd_analysis.evidence.batch import Batch, Floats, Longs
from scd_analysis.evidence.coins import Coin
from scd_analysis.evidence.sets import of_members


class Prefixes:
    """Learn the law of each token given its whole prefix, where sequences can be counted.

    One arm a concentration of a Dirichlet prior around the target, one with a mixture of them at every position, and
    one that bets on the tokens that came too often after the prefix, as a set. Counts are of earlier batches.

    Parameters
    ----------
    vocab_size, num_tokens : int
        V and N, with V**N countable.
    epsilons : Float[E]
    concentrations : Float[C]
        Prior counts of a whole position; a prefix has its share by its own probability under the target. Without any,
        sets alone are bet on.
    prior_tokens : tuple of float
        Of the sets.
    """

    def __init__(
        self,
        vocab_size: int,
        num_tokens: int,
        epsilons: Floats,
        concentrations: Floats,
        prior_tokens: tuple[float, ...],
    ) -> None:
        self._vocab_size, self._epsilons, self._concentrations = vocab_size, epsilons, concentrations
        self._counts = [np.zeros((vocab_size**j, vocab_size)) for j in range(num_tokens)]
        self._log_wealth = np.zeros((num_tokens, len(concentrations) + 1, len(epsilons)))  # the last one never bets
        self._coin, self._priors = Coin(epsilons, np.asarray(prior_tokens)), prior_tokens

    @property
    def arms(self) -> tuple[str, ...]:
        """Name each concentration, their mixture, and each prior of the sets."""
        learned = [*(f"prefixes:{c:.3g}" for c in self._concentrations), "prefixes:each"]
        return (*learned[: -1 if len(learned) == 1 else None], *(f"prefix-sets:{c:g}" for c in self._priors))

    def bet(self, batch: Batch) -> Floats:
        """Bet on each token given its prefix."""
        numbers = _prefixes(batch.tokens, self._vocab_size)
        counts = np.stack([self._counts[j][numbers[:, j]] for j in range(numbers.shape[1])], axis=1)
        laws = batch.target_probs
        share = np.cumprod(np.concatenate([np.ones((len(batch), 1)), batch.token_probs[:, :-1]], axis=1), axis=1)
        growth = [self._growth(batch, counts, c * share[..., None]) for c in self._concentrations]
        above = counts > counts.sum(axis=-1, keepdims=True) * laws
        hit, prob, active = (part.ravel() for part in of_members(above, batch))
        sets = self._coin.log_factors(hit, prob, active)
        for j in range(numbers.shape[1]):
            np.add.at(self._counts[j], (numbers[:, j], batch.tokens[:, j]), 1)
        sets = sets.reshape(*batch.tokens.shape, *sets.shape[1:]).sum(axis=1)
        if not growth:
            return sets
        learned = np.stack(growth, axis=2)
        return np.concatenate([learned.sum(axis=1), self._mixed(learned), sets], axis=1)

    def _growth(self, batch: Batch, counts: Floats, prior: Floats) -> Floats:
        """Float[S, N, E], by the predictive law of one concentration."""
        learned = prior * batch.target_probs + counts
        total = learned.sum(axis=-1, keepdims=True)
        law = np.divide(learned, total, out=batch.target_probs.copy(), where=total > 0)
        return log_factors(law, batch.target_probs, batch.tokens, self._epsilons)

    def _mixed(self, growth: Floats) -> Floats:
        """Float[S, 1, E]: the product over positions of mixtures over concentrations, no bet at all among them."""
        none = np.zeros((*growth.shape[:2], 1, growth.shape[3]))
        wealth = self._log_wealth + np.cumsum(np.concatenate([growth, none], axis=2), axis=0)
        mixture = np.logaddexp.reduce(np.concatenate([self._log_wealth[None], wealth]), axis=2)
        self._log_wealth = wealth[-1]
        return np.diff(mixture, axis=0).sum(axis=1)[:, None]

    def describe(self, arm: int) -> str:
        """Say what a win means."""
        return "the law of a token given its prefix departs from the target's by more than epsilon"


def _prefixes(tokens: Longs, vocab_size: int) -> Longs:
    """Number of the prefix of every token, Long[S, N]."""
    out = np.zeros_like(tokens)
    for j in range(1, tokens.shape[1]):
        out[:, j] = out[:, j - 1] * vocab_size + tokens[:, j - 1]
    return out
