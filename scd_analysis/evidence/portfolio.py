"""The mixture of all bettors: one e-process, looked at after every sequence.

An average of e-processes with weights fixed beforehand is one, so no correction is paid for the number of bettors
beyond ln(1/weight) nats, and stopping when it is convincing is allowed (Ville 1939).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from scd_analysis.errors import InputError
from scd_analysis.evidence.batch import Batch, Floats
from scd_analysis.evidence.bettor import Bettor, Located, Looking
from scd_analysis.evidence.pieces import read


@dataclass(frozen=True)
class Family:
    """Some bettors that share a fixed weight.

    Attributes
    ----------
    name : str
    weight : float
        Divided evenly among the arms of the family.
    bettor : Bettor
    at_ends : bool
        Whether its bets on a sequence look at others of the same batch. Its wealth is then known at the end of the
        batch, and counts for nothing before: a mixture in which it does is no martingale in between.
    """

    name: str
    weight: float
    bettor: Bettor
    at_ends: bool = False


@dataclass(frozen=True)
class Standing:
    """Where a family stands.

    Attributes
    ----------
    name, best_arm, message : str
        The family, its richest arm, and what it means that this arm wins.
    log_e_value : float
        ln E (nats) of the family's own mixture.
    where : str
        In which rows of their batches, where the bettor tells it.
    """

    name: str
    best_arm: str
    message: str
    log_e_value: float
    where: str = ""


class Portfolio:
    """Run several bettors on the same data, mixed with fixed weights.

    Parameters
    ----------
    families : sequence of Family
        Weights are normalised to sum to one.

    Raises
    ------
    InputError
        If there is no bettor, or a weight is not positive.
    """

    def __init__(self, families: Sequence[Family]) -> None:
        if not families:
            raise InputError("families is empty: a portfolio needs at least one bettor")
        for i, family in enumerate(families):
            if not family.weight > 0:
                raise InputError(f"families[{i}].weight = {family.weight}: a weight is positive")
        self.members = tuple(families)
        total = sum(family.weight for family in families)
        self.arms = tuple(arm for family in families for arm in family.bettor.arms)
        self._log_weights = np.concatenate(
            [np.full(len(f.bettor.arms), np.log(f.weight / total / len(f.bettor.arms))) for f in families]
        )
        self._log_wealth = np.zeros(len(self.arms))
        self._looks_at = tuple(
            one for family in families if isinstance(family.bettor, Looking) for one in family.bettor.looks_at
        )
        self._at_ends = np.repeat([f.at_ends for f in families], [len(f.bettor.arms) for f in families])
        self.impossible = False
        self._log_e_value: float | None = None

    @property
    def log_wealth(self) -> Floats:
        """Return Float[arms], ln of the wealth of each (nats)."""
        return self._log_wealth

    @log_wealth.setter
    def log_wealth(self, value: Floats) -> None:
        self._log_wealth, self._log_e_value = value, None

    @property
    def log_weights(self) -> Floats:
        """Return Float[arms], ln of the fixed weights."""
        return self._log_weights.copy()

    @property
    def log_e_value(self) -> float:
        """Return ln E (nats) of the mixture; ``inf`` once a token of probability zero was seen."""
        if self.impossible:
            return float("inf")
        if self._log_e_value is None:  # asked for far more often than it changes
            self._log_e_value = float(np.logaddexp.reduce(self._log_weights + self.log_wealth))
        return self._log_e_value

    def bet(self, batch: Batch) -> Floats:
        """Bet on a batch and return the path of ln E.

        A token of target probability zero refutes outright: every law that allows it at all wins without bound.

        Returns
        -------
        Float[S]
            ln E after each sequence.

        Raises
        ------
        InputError
            If a bettor returns NaN, which would otherwise read as no evidence.
        """
        impossible = (batch.token_probs <= 0).any(axis=1)
        possible = int(impossible.argmax()) if impossible.any() else len(batch)
        path = np.full(len(batch), np.inf)
        if not self.impossible and possible:
            path[:possible] = self._bet_possible(batch.part(0, possible))
        self.impossible |= bool(impossible.any())
        return path

    def _bet_possible(self, batch: Batch) -> Floats:
        read(batch, self._looks_at)
        growth = np.concatenate([family.bettor.bet(batch) for family in self.members], axis=1)
        if np.isnan(growth).any():
            row, arm = np.argwhere(np.isnan(growth))[0]
            raise InputError(f"log bets[{row}] of arm {self.arms[arm]!r} = nan: a bet is a number")
        wealth = self.log_wealth + np.cumsum(growth, axis=0)
        self.log_wealth = wealth[-1].copy()
        wealth[:-1, self._at_ends] = -np.inf
        return np.asarray(np.logaddexp.reduce(self._log_weights + wealth, axis=1))

    def families(self) -> tuple[Standing, ...]:
        """Say where each family stands."""
        out, start = [], 0
        for family in self.members:
            wealth = self.log_wealth[start : start + len(family.bettor.arms)]
            best = int(wealth.argmax())
            log_e_value = float(np.logaddexp.reduce(wealth) - np.log(len(wealth)))
            bettor = family.bettor
            where = bettor.where(best) if isinstance(bettor, Located) else ""
            out.append(Standing(family.name, bettor.arms[best], bettor.describe(best), log_e_value, where))
            start += len(wealth)
        return tuple(out)
