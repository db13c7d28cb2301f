"""The audit up to epsilon: bettors against balls of several radii side by side, mixed with fixed weights.

The null is that every conditional law lies within total variation epsilon of the target's. Under it nothing is said of
whole sequences but what follows from their tokens, so bets on joint cells, on repeated sequences and on the PIT have no
place here. Sets of tokens have (:mod:`scd_analysis.evidence.sets`), and laws that are learned
(:mod:`scd_analysis.evidence.prefixes`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import numpy as np

from scd_analysis.errors import InputError
from scd_analysis.evidence.batch import Batch, Floats
from scd_analysis.evidence.catalogue import FEW_TOKENS, is_small
from scd_analysis.evidence.features import features, features_of_long_sequences
from scd_analysis.evidence.portfolio import Standing
from scd_analysis.evidence.prefixes import Prefixes
from scd_analysis.evidence.sets import OUTSIDE, Sets

EPSILONS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5)
"""Radii that are asked about beside the one that was stated."""

PRIOR_TOKENS = (100.0, 10_000.0)
"""Of sets: few, since every one is bet on for all radii."""

CONCENTRATIONS = np.array([10.0, 100.0, 1e3, 1e4, 1e5])
"""Of learned laws. Fewer than where the null is one law: what matters more is whether the ball is left at all."""


Seen = TypeVar("Seen")
SeenByBettor = TypeVar("SeenByBettor", contravariant=True)


class RobustBettor(Protocol[SeenByBettor]):
    """A family of predictable bets against a ball, for several radii."""

    @property
    def arms(self) -> tuple[str, ...]:
        """Name each arm."""

    def bet(self, batch: SeenByBettor) -> Floats:
        """Return Float[S, arms, E], each arm's growth of ln wealth (nats) by radius, then learn from the batch."""

    def describe(self, arm: int) -> str:
        """Say in words what it means that this arm wins."""


@dataclass(frozen=True)
class RobustFamily(Generic[Seen]):
    """Some bettors that share a fixed weight.

    Attributes
    ----------
    name : str
    weight : float
        Divided evenly among the arms of the family.
    bettor : RobustBettor
    """

    name: str
    weight: float
    bettor: RobustBettor[Seen]


class RobustPortfolio(Generic[Seen]):
    """Run several bettors against balls of several radii, mixed with fixed weights.

    Attributes
    ----------
    epsilons : Float[E]
        The radii, ascending.
    asked : int
        Which of them decides.
    largest : Float[E]
        ln E (nats) against every ball, at its largest so far.

    Parameters
    ----------
    families : sequence of RobustFamily
        Weights are normalised to sum to one.
    epsilons : Float[E]
    asked : float
        One of them.
    """

    def __init__(self, families: Sequence[RobustFamily[Seen]], epsilons: Floats, asked: float) -> None:
        self.members, self.epsilons = tuple(families), epsilons
        self.asked = int(np.flatnonzero(epsilons == asked)[0])
        self.arms = tuple(arm for family in families for arm in family.bettor.arms)
        total = sum(family.weight for family in families)
        self.log_weights = np.concatenate(
            [np.full(len(f.bettor.arms), np.log(f.weight / total / len(f.bettor.arms))) for f in families]
        )
        self._log_wealth = np.zeros((len(self.arms), len(epsilons)))
        self.largest = np.zeros(len(epsilons))

    @property
    def log_e_values(self) -> Floats:
        """Return Float[E], ln E (nats) against every ball."""
        return np.asarray(np.logaddexp.reduce(self.log_weights[:, None] + self._log_wealth, axis=0))

    @property
    def log_e_value(self) -> float:
        """Return ln E (nats) against the ball that was asked about."""
        return float(self.log_e_values[self.asked])

    def bet(self, batch: Seen) -> Floats:
        """Bet on a batch and return the path of ln E against the ball that was asked about, Float[S].

        Raises
        ------
        InputError
            If a bettor returns NaN.
        """
        growth = np.concatenate([family.bettor.bet(batch) for family in self.members], axis=1)
        if np.isnan(growth).any():
            row, arm, _ = np.argwhere(np.isnan(growth))[0]
            raise InputError(f"log bets[{row}] of arm {self.arms[arm]!r} = nan: a bet is a number")
        wealth = self._log_wealth + np.cumsum(growth, axis=0)
        self._log_wealth = wealth[-1]
        path = np.logaddexp.reduce(self.log_weights[:, None] + wealth, axis=1)
        self.largest = np.maximum(self.largest, path.max(axis=0))
        return np.asarray(path[:, self.asked])

    def refuted(self, log_threshold: float) -> float:
        """Return the largest radius up to which every ball is refuted; zero where none is.

        A lower bound on the largest conditional total variation, at all times together with confidence 1 - alpha: were
        it above the truth, the ball of the least radius that is not below the truth would have been refuted.
        """
        stands = self.largest < log_threshold
        count = int(stands.argmax()) if stands.any() else len(stands)
        return float(self.epsilons[count - 1]) if count else 0.0

    def curve(self) -> tuple[tuple[float, float], ...]:
        """Return the radii, each with ln E (nats) against its ball at its largest so far."""
        return tuple(zip(map(float, self.epsilons), map(float, self.largest), strict=True))

    def families(self) -> tuple[Standing, ...]:
        """Say where each family stands against the ball that was asked about."""
        out, start = [], 0
        for family in self.members:
            wealth = self._log_wealth[start : start + len(family.bettor.arms), self.asked]
            best = int(wealth.argmax())
            log_e_value = float(np.logaddexp.reduce(wealth) - np.log(len(wealth)))
            out.append(Standing(family.name, family.bettor.arms[best], family.bettor.describe(best), log_e_value))
            start += len(wealth)
        return tuple(out)


def grid(epsilon: float) -> Floats:
    """Return the radii to ask about, ascending, with the one that was stated among them where it is above zero."""
    return np.array(sorted({*EPSILONS, epsilon} - {0.0}))


def robust_portfolio(
    vocab_size: int,
    num_tokens: int,
    epsilon: float,
    companions: tuple[str, ...] = (),
    grid_width: int | None = None,
) -> RobustPortfolio[Batch]:
    """Build the bettors for a model of N tokens over a vocabulary of V.

    Parameters
    ----------
    vocab_size, num_tokens : int
        V and N.
    epsilon : float
        The radius that decides; 0 where none does and the size alone is asked for, of sequences that can be counted.
    companions, grid_width
        See :func:`scd_analysis.evidence.features.features`.
    """
    if not epsilon:
        learned = Prefixes(vocab_size, num_tokens, grid(0.0), np.zeros(0), PRIOR_TOKENS)
        return RobustPortfolio([RobustFamily("prefixes", 1, learned)], grid(0.0), EPSILONS[0])
    directions = (*features(companions, grid_width), OUTSIDE)
    if num_tokens > FEW_TOKENS:
        directions += features_of_long_sequences(grid_width)
    epsilons = grid(epsilon)
    families = [RobustFamily("sets", 4, Sets(directions, epsilons, PRIOR_TOKENS))]
    if is_small(vocab_size, num_tokens):
        learned = Prefixes(vocab_size, num_tokens, epsilons, CONCENTRATIONS, PRIOR_TOKENS)
        families.append(RobustFamily("prefixes", 4, learned))
    return RobustPortfolio(families, epsilons, epsilon)
