"""The loop of an audit, whatever it can see: draw, bet in parts, stop when decided."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, Generic, TypeVar

import numpy as np

from scd_analysis.audit.divergences import GreedyReport
from scd_analysis.audit.verdict import ConditionReport, Diagnosis, Drift, Finding
from scd_analysis.evidence.batch import Batch, Floats
from scd_analysis.evidence.certificate import Certificate
from scd_analysis.evidence.robust import RobustPortfolio

FIRST_BATCH = 64
LONGEST_PATH = 2000
Part = TypeVar("Part")


class Judge(ABC, Generic[Part]):
    """One grade of access: how to draw, and how to bet on what was drawn.

    Attributes
    ----------
    grade : str
    vocab_size, num_tokens : int
    target_laws : str
        Whose they are: ``"the model's"``, ``"recorded"`` in the trace, or ``"made up"`` by the audit.

    Parameters
    ----------
    log_threshold : float
        ln(1/alpha), nats.
    limit : int
        Sequences at which the audit stops without a refutation.
    stated_rule : str, optional
        The verification rule that the subject is said to follow.
    """

    grade: str
    vocab_size: int
    num_tokens: int
    target_laws = "the model's"
    steady = False
    """Whether all batches are of one size, so that several can be drawn at a time."""

    epsilon = 0.0
    """How far in total variation every conditional law may be from the target's."""

    def __init__(self, log_threshold: float, limit: int, stated_rule: str | None = None) -> None:
        self.log_threshold, self.limit, self.stated_rule = log_threshold, limit, stated_rule
        self.seen = 0
        self.log_e_value = 0.0
        self.plan: list[int] = []
        self.path: list[tuple[int, float]] = []
        self.largest = 0.0
        self._looked_at = 0

    @property
    def refuted(self) -> bool:
        """Whether ln E has crossed the threshold."""
        return self.log_e_value >= self.log_threshold

    @property
    def decided(self) -> bool:
        """Whether the audit may stop: refuted and diagnosed, or at its limit."""
        if self._looked_at >= self.limit:
            return True
        return self.refuted and (self._looked_at >= 2 * self.seen or self.is_diagnosed())

    def step(self) -> None:
        """Draw half as many sequences as were seen, or where batches are steady always as many, and bet on them.

        What comes after the crossing serves the diagnosis; the verdict counts the sequences up to it.
        """
        wanted = FIRST_BATCH if self.steady else max(FIRST_BATCH, self._looked_at // 2)
        size = min(wanted, self.most_at_once, self.limit - self._looked_at)
        self.look(self.draw(size), size)

    def look(self, drawn: Any, size: int) -> None:
        """Bet on ``size`` sequences that were drawn."""
        for part, count in self.parts(drawn):
            path = self.bet(part, self._looked_at)
            self._looked_at += count
            if not self.refuted:
                self._follow(path)
            if self.refuted and self.is_diagnosed():
                break
        self.plan.append(size)

    def _follow(self, path: Floats) -> None:
        if np.isnan(path).any():
            raise AssertionError("ln E = nan")
        crossed = path >= self.log_threshold
        last = int(crossed.argmax()) if crossed.any() else len(path) - 1
        self.seen, self.log_e_value = self.seen + last + 1, float(path[last])
        self.largest = max(self.largest, float(path[: last + 1].max()))
        self.path.append((self.seen, self.log_e_value))
        if len(self.path) > LONGEST_PATH:
            self.path = self.path[::2]

    @property
    @abstractmethod
    def most_at_once(self) -> int:
        """Sequences that fit in memory together."""

    @property
    @abstractmethod
    def taken(self) -> tuple[str, str]:
        """Which path is taken, and why."""

    @abstractmethod
    def draw(self, size: int) -> Any:
        """Draw so many sequences."""

    @abstractmethod
    def parts(self, drawn: Any) -> Iterator[tuple[Part, int]]:
        """Cut what was drawn into parts, with their numbers of sequences."""

    @abstractmethod
    def bet(self, part: Part, offset: int) -> Floats:
        """Bet and return ln E after each sequence of the part."""

    @abstractmethod
    def findings(self) -> tuple[Finding, ...]:
        """What the winning bettors say, largest evidence first."""

    @abstractmethod
    def resolutions(self) -> dict[str, dict[str, float]]:
        """Total variation found with power 0.99, by what it is of and by direction.

        Each of what it is of speaks for the law by itself: the finest one counts.
        """

    @abstractmethod
    def log_weights(self) -> dict[str, float]:
        """Fixed weights of all arms (ln), for the record."""

    def finish(self) -> None:
        """Refuse a verdict, once all has been seen, that would rest on a damaged record.

        Raises
        ------
        TraceError
            Naming the damage.
        """

    def missing(self) -> tuple[str, ...]:
        """What was to be tested and was not, in words; :mod:`scd_analysis.audit.promises` has the rule."""
        return ()

    @property
    def rule(self) -> str | None:
        """The verification rule that the subject follows, or would but for a fault; None where none shows."""
        return self.stated_rule

    @property
    def log_e_by_rule(self) -> dict[str, float]:
        """Ln E (nats) against every rule that was asked."""
        return {}

    @property
    def hidden_rules(self) -> list[str]:
        """Known rules that were not asked, since nothing that the subject shows tells them."""
        return []

    def is_diagnosed(self) -> bool:
        """Whether more sequences would not make the diagnosis clearer."""
        return True

    def conditions(self) -> tuple[ConditionReport, ...]:
        """Where the five conditions stand."""
        return ()

    def diagnosis(self) -> Diagnosis | None:
        """What broke."""
        return None

    def certificate(self) -> Certificate | None:
        """Bounds on a total variation."""
        return None

    def greedy(self) -> GreedyReport | None:
        """How far from greedy decoding the tokens are, where the subject is greedy."""
        return None

    def drift(self) -> Drift | None:
        """How far the laws that a decoder used are from the model's; None where that was not asked."""
        return None

    @property
    def balls(self) -> RobustPortfolio[Batch] | None:
        """Who bets against balls around the target's laws; None where nobody does."""
        return None


def chunk_lengths(total: int, seen: int, growth: float, smallest: int) -> Iterator[tuple[int, int]]:
    """Cut ``total`` sequences so that each part is at most ``growth`` times what was seen before it."""
    start = 0
    while start < total:
        stop = min(total, start + max(smallest, math.floor(growth * (seen + start))))
        yield start, stop
        start = stop
