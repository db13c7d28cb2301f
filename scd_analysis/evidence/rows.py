"""Bets by the row that a sequence has in its batch, and by the size of the batch.

Sequences are independent under the null, so that neither says anything of a token. A decoder whose rows are mixed up,
or of which half draw no noise, is wrong in some rows only: over all rows together that is a weak departure of another
kind, and would be named as one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from scd_analysis.evidence.batch import Batch, Floats, Longs
from scd_analysis.evidence.directed import log_bets, shrunk
from scd_analysis.evidence.features import Feature, contrast, sharpness
from scd_analysis.evidence.halves import WORDS as HALVES
from scd_analysis.evidence.moments import Numbered, moments, read_of
from scd_analysis.evidence.pieces import OfLaws
from scd_analysis.evidence.portfolio import Family
from scd_analysis.evidence.ridge import RidgeTilt

Bools = npt.NDArray[np.bool_]

SINGLE_ROWS = 64
"""Rows that are each bet on by themselves: as many as the first batches have."""

PRIOR_TOKENS = (10.0, 300.0)
"""A single row has few tokens, and may be all wrong."""

MIXED_PRIOR_TOKENS = (300.0,)

FAR_APART = 5.0
"""Standard deviations between the means of some rows and of the others, from which the rows are named; there are some
two hundred sets."""

WEIGHTS = {"by-row": 1.0, "rows-mixed": 0.5, "by-half": 0.5}
"""Of the families, where all others together have 25 or more: what is nothing to do with rows pays ln(1 + 2/25) nats at
most."""


@dataclass(frozen=True)
class Sets:
    """Some sets of rows of a kind, of which a fault may concern one.

    Attributes
    ----------
    kind : str
        As it appears in the names of arms.
    words : tuple of str
        Where each is: "in the first half of every batch".
    among : callable
        From numbers of rows Long[S] and the size of the batch to membership, Bool[S, K].
    """

    kind: str
    words: tuple[str, ...]
    among: Callable[[Longs, int], Bools]


def _halves(number: Longs, size: int) -> Bools:
    first = 2 * number < size
    return np.stack([first, ~first], axis=1)


def _each(number: Longs, size: int) -> Bools:
    return np.asarray(number[:, None] == np.arange(SINGLE_ROWS))


def _each_again(number: Longs, size: int) -> Bools:
    return _each(number % SINGLE_ROWS, size)


PERIODS = tuple((every, start) for every in (2, 4, 8) for start in range(every))
FIRST_OF_LATER = (1, 8, 32)
LARGER = 64

SETS = (
    Sets("half", HALVES, _halves),
    Sets(
        "period",
        tuple(
            f"in every {every}{'nd' if every == 2 else 'th'} row of a batch, from row {k} on" for every, k in PERIODS
        ),
        lambda number, size: np.stack([number % every == start for every, start in PERIODS], axis=1),
    ),
    Sets("row", tuple(f"in row {k} of every batch" for k in range(SINGLE_ROWS)), _each),
    Sets("row-again", tuple(f"in row {k} of every {SINGLE_ROWS} of a batch" for k in range(SINGLE_ROWS)), _each_again),
    Sets(
        "later",
        tuple(f"in the rows of a batch from row {first} on" for first in FIRST_OF_LATER),
        lambda number, size: np.stack([number >= first for first in FIRST_OF_LATER], axis=1),
    ),
    Sets("last", ("in the last row of every batch",), lambda number, size: (number == size - 1)[:, None]),
    Sets(
        "size",
        (
            f"in batches of more than {LARGER} sequences",
            "in batches of an odd number of sequences",
            "in batches whose number of sequences is no multiple of 8",
        ),
        lambda number, size: np.tile([size > LARGER, size % 2 == 1, size % 8 != 0], (len(number), 1)),
    ),
)

DIRECTIONS = (
    Feature("sharpness", "the laws are sharper than the target's", "the laws are flatter than the target's",
            sharpness, 0.0),
    Feature("number", "tokens of a high number come too often", "tokens of a low number come too often",
            Numbered(0.0, 1.0), 0.0),
)  # fmt: skip


class ByRow:
    """Lean along a direction in one set of rows only, by an amount that each set learns for itself.

    An arm is the mean over the sets of a kind, each of which is an e-process that does not bet elsewhere.

    Parameters
    ----------
    directions : tuple of Feature
    prior_tokens : tuple of float
        The grid of c: how many tokens the prior at no bet is worth.
    """

    def __init__(
        self, directions: tuple[Feature, ...] = DIRECTIONS, prior_tokens: tuple[float, ...] = PRIOR_TOKENS
    ) -> None:
        self._directions, self._priors = directions, np.asarray(prior_tokens)
        self._learned = [[_Learned(len(one.words), self._priors) for one in SETS] for _ in directions]

    @property
    def arms(self) -> tuple[str, ...]:
        """Name each direction, kind of sets and prior."""
        return tuple(
            f"by-row:{f.name}:{one.kind}:{c:g}" for f in self._directions for one in SETS for c in self._priors
        )

    @property
    def looks_at(self) -> tuple[OfLaws, ...]:
        """See :class:`~scd_analysis.evidence.bettor.Looking`."""
        return tuple(one for one in (read_of(feature.values) for feature in self._directions) if one is not None)

    def bet(self, batch: Batch) -> Floats:
        """Bet on every token, knowing all tokens before it; where rows are not known, on nothing."""
        if batch.rows is None:
            return np.zeros((len(batch), len(self.arms)))
        among = [one.among(batch.rows.number, batch.rows.size) for one in SETS]
        growth = []
        for feature, learned in zip(self._directions, self._learned, strict=True):
            score, mean, information = moments(feature.values, batch, batch.known)
            growth += [
                own.bet(feature, where, score, mean, information) for own, where in zip(learned, among, strict=True)
            ]
        return np.concatenate(growth, axis=1)

    def is_apart(self, arm: int) -> bool:
        """Whether the rows that the arm speaks of lean otherwise than all others."""
        of, kind = divmod(arm // len(self._priors), len(SETS))
        return self._learned[of][kind].apart(arm % len(self._priors)) >= FAR_APART

    def describe(self, arm: int) -> str:
        """Say in which rows, and which way they lean."""
        of, kind = divmod(arm // len(self._priors), len(SETS))
        best, score = self._learned[of][kind].best(arm % len(self._priors))
        feature = self._directions[of]
        return f"{SETS[kind].words[best]}, {feature.more if score > 0 else feature.less}"


class _Learned:
    """What the sets of one kind have learned along one direction, and won."""

    def __init__(self, num_sets: int, priors: Floats) -> None:
        self._priors = priors
        self._score, self._information, self._seen = (np.zeros(num_sets) for _ in range(3))
        self._wealth = np.zeros((num_sets, len(priors)))
        self._all_score = self._all_information = 0.0

    def bet(self, feature: Feature, where: Bools, score: Floats, mean: Floats, information: Floats) -> Floats:
        """Return Float[S, C], the growth of the mean over sets; where Bool[S, K], the others Float[S, N]."""
        own, row = np.nonzero(where.T)  # by set, in order
        step = np.zeros((*where.shape, len(self._priors)))
        if len(own):
            observed = score[row], information[row], np.ones_like(score[row])
            learned = self._score, self._information, self._seen
            total, varied, seen = (_running(of, own, start) for of, start in zip(observed, learned, strict=True))
            bets = log_bets(feature, shrunk(total, varied, seen, self._priors), score[row], mean[row])
            step[row, own] = bets.sum(axis=1)
            for where_it_stood, of in zip(learned, observed, strict=True):
                np.add.at(where_it_stood, own, of.sum(axis=1))
        self._all_score += float(score.sum())
        self._all_information += float(information.sum())
        wealth = self._wealth + np.cumsum(step, axis=0)
        mixture = np.logaddexp.reduce(np.concatenate([self._wealth[None], wealth]), axis=1)
        self._wealth = wealth[-1]
        return np.asarray(np.diff(mixture, axis=0))

    def apart(self, prior: int) -> float:
        """How many standard deviations the mean of the richest set is from that of all other rows."""
        best, score = self.best(prior)
        own, other = self._information[best], self._all_information - self._information[best]
        if min(own, other) <= 1e-9:
            return 0.0
        return float(abs(score / own - (self._all_score - score) / other) / np.sqrt(1 / own + 1 / other))

    def best(self, prior: int) -> tuple[int, float]:
        """Return the richest set, and the sum of its centred feature."""
        best = int(self._wealth[:, prior].argmax())
        return best, float(self._score[best])


def _running(values: Floats, own: Longs, start: Floats) -> Floats:
    """Return the sum before each of the values Float[P, N], row by row, that belong to one set, from where it stood."""
    flat = values.ravel()
    total = np.concatenate([[0.0], np.cumsum(flat)])
    first = np.searchsorted(own, own) * values.shape[1]  # where the set's values begin
    return np.asarray((total[:-1].reshape(values.shape) - total[first][:, None]) + start[own][:, None])


def _at_row(batch: Batch, other: Longs) -> Floats:
    """The laws of other rows of the batch, Float[S, N, V]; a row's own where the other is not in this part of it."""
    assert batch.rows is not None
    there = other - batch.rows.number[0]
    within = (there >= 0) & (there < len(batch))
    return batch.target_probs[np.where(within, there, np.arange(len(batch)))]


def _lean_to(other: Callable[[Longs, int], Longs]) -> Callable[[Batch], Floats]:
    def values(batch: Batch) -> Floats:
        assert batch.rows is not None
        return contrast(batch, _at_row(batch, other(batch.rows.number, batch.rows.size)))

    return values


def _mixed(name: str, which: str, other: Callable[[Longs, int], Longs]) -> Feature:
    return Feature(
        name,
        f"rows of a batch are mixed up: tokens lean to the law of {which}",
        f"rows of a batch are mixed up: tokens lean away from the law of {which}",
        _lean_to(other),
    )


MIXED = (
    _mixed("row-before", "the row before", lambda number, size: number - 1),
    _mixed("row-after", "the row after", lambda number, size: number + 1),
    _mixed("row-beside", "the other row of each two", lambda number, size: number ^ 1),
)


class MixedRows:
    """Lean to the laws that other rows of the batch have at the same position.

    A token is bet on knowing the tokens of every row before its position: the growth of a part of a batch is known at
    its end, so that the family that holds this has ``at_ends``.
    """

    def __init__(self, num_tokens: int) -> None:
        self._tilt = RidgeTilt(MIXED, num_tokens, MIXED_PRIOR_TOKENS, by_position=False)

    @property
    def arms(self) -> tuple[str, ...]:
        """Name each prior."""
        return tuple(f"rows-mixed:{c:g}" for c in MIXED_PRIOR_TOKENS)

    def bet(self, batch: Batch) -> Floats:
        """Bet with what was learned from earlier parts; where rows are not known, on nothing."""
        if batch.rows is None:
            return np.zeros((len(batch), len(self.arms)))
        return self._tilt.bet(batch)

    def describe(self, arm: int) -> str:
        """Say to which row's law tokens lean most."""
        feature, theta = self._tilt.leading(arm)
        return feature.more if theta > 0 else feature.less


class ByHalf:
    """Tilt along all directions together in one half of every batch only.

    Parameters
    ----------
    directions : tuple of Feature
    num_tokens : int
    """

    def __init__(self, directions: tuple[Feature, ...], num_tokens: int) -> None:
        self._tilts = [RidgeTilt(directions, num_tokens, MIXED_PRIOR_TOKENS, by_position=False) for _ in range(2)]

    @property
    def arms(self) -> tuple[str, ...]:
        """Name each half and prior."""
        return tuple(f"by-half:{half}:{c:g}" for half in ("first", "second") for c in MIXED_PRIOR_TOKENS)

    def bet(self, batch: Batch) -> Floats:
        """Bet with what was learned from earlier parts; where rows are not known, on nothing."""
        out = np.zeros((len(batch), len(self.arms)))
        if batch.rows is None:
            return out
        first = int(_halves(batch.rows.number, batch.rows.size)[:, 0].sum())  # a part lies in one batch, in order
        width = len(MIXED_PRIOR_TOKENS)
        for half, part in enumerate((slice(0, first), slice(first, len(batch)))):
            if part.start < part.stop:
                out[part, half * width : (half + 1) * width] = self._tilts[half].bet(batch.part(part.start, part.stop))
        return out

    def is_apart(self, arm: int) -> bool:
        """Whether the other half is otherwise, and has nothing of it."""
        half = arm // len(MIXED_PRIOR_TOKENS)
        own, other = self._tilts[half].summed(), self._tilts[1 - half].summed()
        is_apart = _far(own[0] / own[2] - other[0] / other[2], own[1] / own[2] ** 2 + other[1] / other[2] ** 2)
        return bool(is_apart >= FAR_APART and _far(other[0], other[1]) < FAR_APART / 2)

    def describe(self, arm: int) -> str:
        """Say in which half, and along which direction most."""
        half, prior = divmod(arm, len(MIXED_PRIOR_TOKENS))
        feature, theta = self._tilts[half].leading(prior)
        return f"{SETS[0].words[half]}, {feature.more if theta > 0 else feature.less}"


def _far(score: Floats, covariance: Floats) -> float:
    """How far from zero a sum of that covariance is: its squared length, in standard deviations above the mean."""
    scale = np.sqrt(np.maximum(np.diag(covariance), 1e-300))
    there = np.flatnonzero(scale > 1e-12)
    correlation = covariance[np.ix_(there, there)] / scale[there, None] / scale[there]
    whitened = np.linalg.solve(correlation + 1e-6 * np.eye(len(there)), score[there] / scale[there])
    return float((score[there] / scale[there] @ whitened - len(there)) / np.sqrt(2 * max(len(there), 1)))


def families_by_row(num_tokens: int, directions: tuple[Feature, ...], *, by_half: bool, mixed: bool) -> list[Family]:
    """Build the bettors on rows.

    Parameters
    ----------
    num_tokens : int
        N.
    directions : tuple of Feature
        Along which halves of batches are tilted.
    by_half, mixed : bool
        Whether to bet on halves along all directions, and on laws of other rows: both read all laws several times.
    """
    out = [Family("by-row", WEIGHTS["by-row"], ByRow())]
    if mixed:
        out.append(Family("rows-mixed", WEIGHTS["rows-mixed"], MixedRows(num_tokens), at_ends=True))
    if by_half:
        out.append(Family("by-half", WEIGHTS["by-half"], ByHalf(directions, num_tokens)))
    return out
