"""The audit of greedy decoding: every token is compared with the most probable one, given the subject's own tokens.

Nothing is bet on, since nothing is left to chance: one token beyond the stated margin refutes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from scd_analysis.audit.divergences import Divergence, Divergences, GreedyReport
from scd_analysis.audit.draws import Draws
from scd_analysis.audit.judges import Judge
from scd_analysis.audit.target import Target
from scd_analysis.audit.verdict import Diagnosis, Finding
from scd_analysis.contracts import before_argmax
from scd_analysis.errors import InputError
from scd_analysis.evidence.batch import Floats, Longs

POWER = 0.99


def laws_of_greedy(model: Any, margin: float | None) -> Any:
    """Return the model whose largest probability greedy decoding takes; None where the subject is not judged as greedy.

    Parameters
    ----------
    model : TargetModel or None
        One that gives point masses may have the laws that they come from as ``before_argmax``, a ``TargetModel``.
    margin : float or None
        As stated.

    Raises
    ------
    InputError
        If a margin is stated, and there is no model whose laws are known.
    """
    own = None if model is None else before_argmax(model)
    if margin is None or own is not None:
        return own
    if model is None:
        raise InputError(f"margin = {margin:g}: greedy decoding is judged by a model, and none was given")
    if isinstance(model, Target):
        raise InputError(
            f"margin = {margin:g}: greedy decoding is judged by a model, and the file holds what an engine believed; "
            "give the model too"
        )
    return model


def check_greedy(margin: float | None, tolerance: float | None, rule: str | None, *, has_checkpoint: bool) -> None:
    """Refuse what has no effect on greedy decoding.

    Raises
    ------
    InputError
        Naming the argument.
    """
    if rule is not None:
        stated = "" if margin is None else f" (margin = {margin:g})"
        raise InputError(f"rule = {rule!r}: greedy decoding is judged by its tokens{stated}, not by a rule")
    if tolerance is not None and not has_checkpoint:
        refuse_tolerance(tolerance)


def refuse_tolerance(tolerance: float) -> None:
    """Say that ``tolerance`` is of something else.

    Raises
    ------
    InputError
        In any case.
    """
    raise InputError(
        f"tolerance = {tolerance:g}: is of recorded probabilities, and has no effect on greedy decoding, which is "
        "judged by its tokens; margin states how far below the most probable one a token may lie"
    )


class GreedyJudge(Judge[Longs]):
    """Judge a subject that claims to take the most probable token everywhere.

    Parameters
    ----------
    target : Target
        Of the laws before the largest is taken.
    draws : Draws
    first : Long[S, N]
        Already drawn.
    margin : float
        How far below the most probable token another one may lie, nats.
    log_threshold, limit
        See :class:`Judge`.
    """

    grade = "greedy"

    def __init__(
        self, target: Target, draws: Draws, first: Longs, margin: float, log_threshold: float, limit: int
    ) -> None:
        super().__init__(log_threshold, limit)
        self._target, self._draws = target, draws
        self._first: Longs | None = first
        self._divergences = Divergences(margin)
        self._laws_are_known = margin == 0
        self.vocab_size, self.num_tokens = target.vocab_size, target.num_tokens

    @property
    def most_at_once(self) -> int:
        """As the target allows."""
        return self._target.sequences_at_once

    @property
    def taken(self) -> tuple[str, str]:
        """Token for token."""
        return "token for token", "the subject is greedy, so that a single token beyond the margin refutes"

    def draw(self, size: int) -> Longs:
        """Draw tokens."""
        drawn: Longs = self._draws.next(size) if self._first is None else self._first
        self._first = None
        return drawn

    def parts(self, drawn: Longs) -> Iterator[tuple[Longs, int]]:
        """All at once: what follows the first divergence is counted too."""
        yield drawn, len(drawn)

    def bet(self, part: Longs, offset: int) -> Floats:
        """Compare; ln E is infinite from the first token beyond the margin."""
        different, number = np.unique(part, axis=0, return_inverse=True)
        laws = self._target.laws(different)
        self._check_known(laws)
        laws = laws[number.reshape(-1)]
        beyond = self._divergences.add(part, laws)
        return np.where(np.logical_or.accumulate(beyond), math.inf, 0.0)

    def _check_known(self, laws: Floats) -> None:
        if not self._laws_are_known and (laws.max(axis=-1) == 1).all():
            raise InputError(
                f"margin = {self._divergences.margin:g}: every law of the model is a point mass, so that how far a "
                "token lies below the most probable one is not known; give the model with its laws"
            )
        self._laws_are_known = True

    def greedy(self) -> GreedyReport:
        """How far from greedy decoding the tokens are."""
        return self._divergences.report()

    @property
    def _beyond(self) -> Divergence | None:
        return self.greedy().first_beyond

    def findings(self) -> tuple[Finding, ...]:
        """The first token beyond the margin."""
        found = self._beyond
        return () if found is None else (Finding("greedy", str(found), math.inf, True),)

    def diagnosis(self) -> Diagnosis | None:
        """Where it is."""
        found = self._beyond
        if found is None:
            return None
        said = (self.greedy().amount, str(found))
        return Diagnosis(None, str(found), found.position, None, found.sequence, None, said, math.inf)

    def resolutions(self) -> dict[str, dict[str, float]]:
        """Probability that a sequence has a token beyond the margin."""
        return {"token for token": {"any other token": 1 - (1 - POWER) ** (1 / max(self.seen, 1))}}

    def log_weights(self) -> dict[str, float]:
        """None: nothing is bet on."""
        return {}
