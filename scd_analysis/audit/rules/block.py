"""Block verification: the longest run of drafts that passes as a whole, and a residual scaled by how likely it is.

With ``w_0 = 1``, ``w_i = min(1, w_(i-1) p_i(x_i) / q_i(x_i))``, ``S_i = sum_y (w_i p_(i+1)(y) - q_(i+1)(y))+`` and
``h_i = S_i / (S_i + 1 - w_i)`` for i < L, ``h_L = w_L``: the number tau of drafts that stand is the largest i that
passes with probability h_i, and what follows them is drawn from ``(w_tau p - q)+``. Drafts decide together, so they
are bet on once a window: given all of them, tau and the token after it have known laws; given x_1 ... x_i alone,
``Pr[tau >= i] = w_i``, which takes no laws. Of the drafts themselves the first of each window is looked at, since
which of the others are committed is the others' doing.

References
----------
Sun et al.: Block verification accelerates speculative decoding. ICLR 2025 (arXiv:2403.10444), algorithm 2.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from scd_analysis.audit.bets import Bet, Process, Rank, blended, known_means, leaning
from scd_analysis.audit.checks import ROUNDING, Check, Found, Recorded, own
from scd_analysis.audit.commits import Commits
from scd_analysis.audit.conditions import declared_law, selection, target, verification
from scd_analysis.audit.conditions.verification import replaced
from scd_analysis.audit.observations.drafts import Drafts, drafts
from scd_analysis.audit.observations.replacements import Replacements
from scd_analysis.audit.observations.view import Observations, View
from scd_analysis.audit.promises import Need
from scd_analysis.audit.rules.as_rejection import FOLLOWED, UNLIKELY
from scd_analysis.audit.rules.mrs import BONUSES_DRAWN, TARGETS_COMPARED
from scd_analysis.audit.rules.rule import Group, Rule
from scd_analysis.audit.windows import Windows
from scd_analysis.conditions import Condition
from scd_analysis.evidence.batch import Floats, Longs
from scd_analysis.evidence.features import number, sharpness, uniform
from scd_analysis.laws.kernels import residual


@dataclass(frozen=True)
class Runs(Observations):
    """How many drafts of each window stand, given all of them.

    Attributes
    ----------
    windows : Windows
    where : tuple of Long[A], Long[A]
        Sequence and pass of each.
    """

    windows: Windows
    where: tuple[Longs, ...]

    def one_by_one(self) -> Floats:
        """Drafts are accepted one by one with min(1, p/q)."""
        return self.windows.law_one_by_one[self.where]

    def following(self) -> Floats:
        """Drafts are accepted one by one as recorded variates say."""
        return self.windows.following[self.where]


def _at(view: View, windows: Windows, where: tuple[Longs, ...]) -> tuple[Longs, Longs]:
    """Sequence and first position of windows (sequence, pass)."""
    return where[0], np.minimum(view.commits.passes.base[where], view.commits.final.shape[1] - 1)


def runs(view: View, noise: Floats) -> Runs | None:
    """Numbers of drafts that stand, of windows whose laws are known."""
    windows = view.windows
    if windows is None:
        return None
    law = windows.law
    where = np.nonzero((windows.size > 0) & ~np.isnan(law.sum(axis=-1)))
    if not len(where[0]):
        return None
    return Runs(view, _at(view, windows, where), windows.accepted[where], law[where], windows, where)


RUNS = Process(
    "accepted-drafts",
    Condition.VERIFICATION,
    runs,
    (
        Bet("number", "more drafts stand than block verification accepts", "fewer drafts stand than it accepts",
            number, low=0.0),
        Bet("sharpness", "the likeliest number of drafts stands too often", "it stands too rarely", sharpness, low=0.0),
        Bet("uniform", "numbers of drafts that stand lean to the uniform law", "they lean away from it", uniform),
        Bet("one-by-one", "drafts are accepted one by one", "drafts lean away from being accepted one by one",
            law=Runs.one_by_one, stated=True),
    ),
    Rank.GIVEN_THE_DRAFT,
    leaning(),
)  # fmt: skip


FOLLOWING_RUNS = Process(
    "accepted-by-variate",
    Condition.VERIFICATION,
    runs,
    (Bet("variate", "drafts are accepted one by one where a recorded variate u has u q < p", law=Runs.following),),
    Rank.GIVEN_THE_DRAFT,
    blended(FOLLOWED),
    UNLIKELY,
)


@dataclass(frozen=True)
class Reached:
    """Whether at least so many drafts of a window stand, as a number with a known mean.

    Attributes
    ----------
    drafts : int or None
        How many; None is all of them.
    """

    drafts: int | None

    def _count(self, windows: Windows) -> Longs:
        return windows.size if self.drafts is None else np.minimum(self.drafts, windows.size)

    def stands(self, seen: OfWeights) -> Floats:
        """One where they do."""
        windows = seen.windows
        return (windows.accepted >= self._count(windows))[seen.where].astype(float)

    def mean(self, seen: OfWeights) -> Floats:
        """The probability of that given the drafts up to it."""
        windows = seen.windows
        return np.take_along_axis(windows.weight, self._count(windows)[..., None], axis=-1)[..., 0][seen.where]


@dataclass(frozen=True)
class OfWeights(Observations):
    """Windows whose probabilities are known, and their laws not.

    Attributes
    ----------
    windows : Windows
    where : tuple of Long[A], Long[A]
        Sequence and pass of each.
    """

    windows: Windows
    where: tuple[Longs, ...]


def of_weights(view: View, noise: Floats) -> OfWeights | None:
    """Windows of whose drafts only the probabilities are known."""
    windows = view.windows
    if windows is None:
        return None
    there = np.arange(windows.ratio.shape[-1]) < windows.size[..., None]
    known = (windows.size > 0) & ~(np.isnan(windows.ratio) & there).any(axis=-1)
    where = np.nonzero(known & np.isnan(windows.law.sum(axis=-1)))
    if not len(where[0]):
        return None
    none = np.zeros(len(where[0]), dtype=np.int64)
    return OfWeights(view, _at(view, windows, where), none, np.ones((len(none), 1)), windows, where)


def _reached(name: str, reached: Reached, what: str) -> Bet:
    more, less = f"{what} of a window stand too often", f"{what} of a window stand too rarely"
    return Bet(name, more, less, mean=(reached.stands, reached.mean))


WEIGHTS = Process(
    "accepted-at-least",
    Condition.VERIFICATION,
    of_weights,
    (
        _reached("first", Reached(1), "first drafts"),
        _reached("two", Reached(2), "two drafts"),
        _reached("four", Reached(4), "four drafts"),
        _reached("whole", Reached(None), "all drafts"),
    ),
    Rank.GIVEN_THE_DRAFT,
    known_means,
)


class Recovered(Replacements):
    """Tokens after the drafts that stand."""

    def unscaled(self) -> Floats:
        """The residual (p - q)+ as it is."""
        return residual(self.target, self.declared)


def weights(commits: Commits) -> Floats:
    """The weight w of the drafts before each position at its commit, Float[S, N]; NaN where it is not known."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = commits.target_prob / commits.draft_prob
    out = np.ones(ratio.shape)
    for j in range(1, ratio.shape[1]):
        behind = (commits.slot[:, j] > 0) & (commits.iteration[:, j] == commits.iteration[:, j - 1])
        out[:, j] = np.where(behind, np.minimum(1, out[:, j - 1] * ratio[:, j - 1]), 1)
    return out


def recovered(view: View, noise: Floats) -> Recovered | None:
    """Recovered tokens under the scaled residual."""
    commits, laws = view.commits, view.target_probs
    if laws is None or commits.draft_probs is None:
        return None
    weight = weights(commits)
    known = commits.rejected & ~np.isnan(commits.draft_probs.sum(axis=-1) + laws.sum(axis=-1) + weight)
    at = np.nonzero(known)
    p, q = laws[at], commits.draft_probs[at]
    scaled = residual(weight[at][:, None] * p, q)
    return Recovered(view, at, commits.final[at], scaled, p, q, commits.draft[at])


RECOVERED = Process(
    "recovered",
    Condition.VERIFICATION,
    recovered,
    (
        replaced("unscaled", Recovered.unscaled, "from (p - q)+, not scaled by how likely the run is"),
        replaced("from-target", Recovered.from_target, "from the target law itself"),
        replaced("without-draft", Recovered.without_draft, "from the target law without the draft"),
        replaced("from-declared", Recovered.from_declared, "from the declared law"),
        Bet("sharpness", "replacements are too likely", "replacements are too unlikely", sharpness, low=0.0),
        Bet("number", "replacements have a high number too often", "replacements have a low number too often",
            number, low=0.0),
    ),
    Rank.GIVEN_THE_DRAFT,
    leaning("replacements"),
)  # fmt: skip


def first_drafts(view: View) -> View:
    """See the first draft of every window only."""
    commits = view.commits
    first = commits.drafted & (commits.slot == 0)
    alone = replace(commits, drafted=first, noise=None, earlier=None, entries=None, held=None)
    return replace(view, commits=alone, declared=view)


def last_draft(seen: Drafts) -> Longs:
    """What the position held one pass before, Long[A]; -1 where it was not drafted."""
    declared = seen.view.declared
    if declared is None or declared.commits.earlier is None:
        return np.full(len(seen.tokens), -1)
    return seen.pick(declared.commits.earlier.draft)


SURVIVING = Process(
    "surviving-drafts",
    Condition.DECLARED_LAW,
    drafts,
    (
        Bet("stays", "drafts are what they were a pass before more often than their declared law says: they are not "
            "drawn anew, which a block test takes", "drafts are what they were a pass before too rarely",
            token=last_draft, low=0.0),
    ),
    Rank.OF_THE_DRAFT,
    leaning(),
)  # fmt: skip


def _first_rejected(recorded: Recorded) -> Found:
    commits = recorded.commits
    certain = commits.target_prob >= commits.draft_prob * (1 + ROUNDING)
    return Found(commits.rejected & (commits.slot == 0) & certain, commits.drafted)


FIRST_REJECTED = Check(
    "first-rejected",
    Condition.VERIFICATION,
    "the first draft of a window was rejected although p(x) is at least q(x)",
    verification.REJECTED_CERTAIN.rank,
    _first_rejected,
)


def _replacement_impossible(recorded: Recorded) -> Found | None:
    commits = recorded.commits
    if commits.target_probs is None or commits.draft_probs is None:
        return None
    scaled, declared = weights(commits)[..., None] * commits.target_probs, commits.draft_probs
    empty = np.nan_to_num(np.maximum(scaled - declared, 0)).sum(axis=-1) <= ROUNDING**2
    rounding = ROUNDING * (1 + np.maximum(commits.slot, 0))  # one factor a draft
    outside = own(scaled, commits.final) <= own(declared, commits.final) * (1 - rounding)
    return Found(commits.rejected & ~empty & outside, commits.rejected)


REPLACEMENT_IMPOSSIBLE = Check(
    "recovered-impossible",
    Condition.VERIFICATION,
    "a replacement has probability zero under the scaled residual (w p - q)+",
    verification.REPLACEMENT_IMPOSSIBLE.rank,
    _replacement_impossible,
)


def _need(condition: Condition, event: str, judges: tuple[Process, ...], missing: str) -> Need:
    return Need(condition, event, judges, missing)


RULE = Rule(
    "block",
    "block verification",
    (
        Group((RUNS, FOLLOWING_RUNS, WEIGHTS, RECOVERED, verification.BONUS)),
        Group((declared_law.DRAFTS, declared_law.SCALARS, SURVIVING), first_drafts),
    ),
    (
        *selection.CHECKS,
        *declared_law.CHECKS,
        verification.ACCEPTED_CHANGED,
        verification.ACCEPTED_IMPOSSIBLE,
        FIRST_REJECTED,
        REPLACEMENT_IMPOSSIBLE,
        *target.CHECKS,
        verification.BONUS_IMPOSSIBLE,
    ),
    (
        _need(
            Condition.DECLARED_LAW,
            "drawn first",
            (declared_law.DRAFTS, declared_law.SCALARS),
            "the laws of the drafts were not recorded, nor numbers of them and of the target laws",
        ),
        _need(
            Condition.VERIFICATION,
            "windows",
            (RUNS, WEIGHTS),
            "the probabilities of the drafts, on which acceptance rests, were not recorded",
        ),
        _need(
            Condition.VERIFICATION,
            "rejected",
            (RECOVERED,),
            "the laws that rejected drafts were replaced by were not recorded",
        ),
        BONUSES_DRAWN,
        TARGETS_COMPARED,
    ),
    decides_on_windows=True,
    place=3,
)
