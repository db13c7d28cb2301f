"""Gumbel match: the noise of a position races for the draft and, again, for the token that decides on it.

``x = argmax(ln q + g)`` is the draft and ``y = argmax(ln p + g)`` is committed; a draft stands if y equals it. Given
x, the law of y is that of the second race's winner given the first's, so this is exact match with that law in the
target's place. Where q is declared as a point mass, what drew x is not known, and the law of y given x neither; given
what was committed before, y has the target's.

References
----------
Daliri, Musco, Suresh: Coupling without communication and drafter-invariant speculative decoding, 2024
(arXiv:2408.07978).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from scd_analysis.audit.bets import RARELY, Bet, Process, Rank, blended, known_means, leaning
from scd_analysis.audit.commits import Behind, Bools, Scalars
from scd_analysis.audit.conditions import declared_law, independence, selection, target, verification
from scd_analysis.audit.observations.view import Observations, View
from scd_analysis.audit.promises import Need
from scd_analysis.audit.rules.as_rejection import AS_REJECTION
from scd_analysis.audit.rules.exact_match import point_masses
from scd_analysis.audit.rules.mrs import BONUSES_DRAWN, DRAFTS_DRAWN, DRAFTS_REPLACED, TARGETS_COMPARED
from scd_analysis.audit.rules.rule import Group, Rule
from scd_analysis.conditions import Condition
from scd_analysis.evidence.batch import Floats, Longs
from scd_analysis.evidence.features import least_probable, most_probable, number, sharpness, uniform
from scd_analysis.evidence.races import second_winner

MOST_RACES = 1024
"""Vocabulary up to which committed tokens are bet on by earlier races, which take as long as those that decide."""


def _raced(view: View) -> Bools | None:
    """Where both races are known, Bool[S, N]."""
    commits, laws = view.commits, view.target_probs
    if commits.draft_probs is None or laws is None:
        return None
    with np.errstate(invalid="ignore"):
        known = commits.drafted & (commits.draft_probs.max(axis=-1) < 1) & (commits.draft_prob > 0)
    return np.asarray(known & ~np.isnan(commits.draft_probs.sum(axis=-1) + laws.sum(axis=-1)))


def given_the_draft(view: View) -> View | None:
    """See tokens under their law given the draft, and nothing of what the same noise did besides."""
    commits, raced, laws = view.commits, _raced(view), view.target_probs
    if raced is None or laws is None or commits.draft_probs is None or not raced.any():
        return None
    second = np.full(laws.shape, np.nan)
    second[raced] = second_winner(laws[raced], commits.draft_probs[raced], commits.draft[raced])
    own = np.take_along_axis(second, np.maximum(commits.draft, 0)[..., None], axis=-1)[..., 0]
    none = np.full(raced.shape, np.nan)
    alone = replace(
        point_masses(commits, view.vocab_size),
        drafted=raced,
        target_prob=own,
        target_probs=second,
        behind=Behind(none, none),
        earlier=None,
    )
    return replace(view, commits=alone, target_probs=second, declared=view)


class Committed(Observations):
    """Committed tokens whose draft tells nothing of them."""


def committed_tokens(view: View, noise: Floats) -> Committed | None:
    """Tokens at slots whose races are not known, under the target law."""
    laws, raced = view.target_probs, _raced(view)
    if laws is None:
        return None
    alone = view.commits.drafted & ~np.isnan(laws.sum(axis=-1))
    at = np.nonzero(alone if raced is None else alone & ~raced)
    return Committed(view, at, view.commits.final[at], laws[at])


TOKENS = Process(
    "committed",
    Condition.VERIFICATION,
    committed_tokens,
    (
        Bet("sharpness", "likely tokens are committed too often", "unlikely tokens are committed too often",
            sharpness, low=0.0),
        Bet("most-probable", "the most probable token is committed too often",
            "the most probable token is committed too rarely", most_probable, low=0.0),
        Bet("least-probable", "the least probable token is committed too often",
            "the least probable token is committed too rarely", least_probable, low=0.0),
        Bet("uniform", "committed tokens lean to the uniform law", "improbable tokens are committed too rarely",
            uniform),
        Bet("number", "tokens of a high number are committed too often",
            "tokens of a low number are committed too often", number, low=0.0),
    ),
    Rank.GIVEN_THE_DRAFT,
    leaning("committed tokens"),
)  # fmt: skip


class CommittedRaces(Observations):
    """Committed tokens under the target law, and where noise that has raced for an earlier one would put them."""

    def of_previous(self) -> Floats:
        """The noise of the position before."""
        return self._with_noise_of(self.at[1] - 1)

    def of_slot(self) -> Floats:
        """The noise of the position that the pass before committed in the same slot."""
        commits, sequence = self.view.commits, self.at[0]
        width = commits.passes.used.shape[2]
        place = np.full((len(commits), commits.passes.used.shape[1] + 1, width), -1)
        drafted = np.nonzero(commits.drafted)
        place[drafted[0], commits.iteration[drafted] + 1, commits.slot[drafted]] = drafted[1]
        return self._with_noise_of(place[sequence, commits.iteration[self.at], commits.slot[self.at]])

    def _with_noise_of(self, other: Longs) -> Floats:
        """The law given who won the race at other positions Long[A], NaN where that is not known."""
        place = self.at[0], np.maximum(other, 0)
        laws = self.view.target_probs
        assert laws is not None
        there = (other >= 0) & self.view.commits.drafted[place] & ~np.isnan(laws[place].sum(axis=-1))
        out = np.full(self.laws.shape, np.nan)
        before = self.view.commits.final[place][there]
        out[there] = second_winner(self.laws[there], laws[place][there], before)
        return out


def committed_races(view: View, noise: Floats) -> CommittedRaces | None:
    """Tokens that decide on drafts, under the target law, whatever the drafts are."""
    laws = view.target_probs
    if laws is None or laws.shape[-1] > MOST_RACES:
        return None
    at = np.nonzero(view.commits.drafted & ~np.isnan(laws.sum(axis=-1)))
    return CommittedRaces(view, at, view.commits.final[at], laws[at])


TOKENS_SHARED = Process(
    "committed-shared",
    Condition.INDEPENDENCE,
    committed_races,
    (
        Bet("previous-race", "a token is drawn with the noise of the position before", law=CommittedRaces.of_previous),
        Bet("same-slot", "a token is drawn with the noise that its slot had at the pass before",
            law=CommittedRaces.of_slot),
    ),
    Rank.GIVEN_THE_DRAFT,
    blended(),
    RARELY,
)  # fmt: skip


@dataclass(frozen=True)
class Matches(Observations):
    """How often races with the same noise have one winner.

    Attributes
    ----------
    scalars : Scalars
    """

    scalars: Scalars

    def accepted(self) -> Floats:
        """One of a draft that stands."""
        return self.pick(self.view.commits.accepted.astype(float))

    def collision(self) -> Floats:
        """The probability of that, as recorded."""
        return self.pick(np.clip(self.scalars.collision_gumbel, 0, 1))


def matches(view: View, noise: Floats) -> Matches | None:
    """Drafts whose laws were not recorded, though the probability that their races have one winner was."""
    commits, scalars, raced = view.commits, view.commits.scalars, _raced(view)
    if scalars is None:
        return None
    with np.errstate(invalid="ignore"):
        active = commits.drafted & (commits.draft_prob < 1) & ~np.isnan(scalars.collision_gumbel)
    at = np.nonzero(active if raced is None else active & ~raced)
    if not len(at[0]):
        return None
    return Matches(view, at, np.zeros(len(at[0]), dtype=np.int64), np.ones((len(at[0]), 1)), scalars)


MATCHES = Process(
    "matches",
    Condition.VERIFICATION,
    matches,
    (
        Bet("accepted", "drafts are accepted more often than one noise picks the same token twice",
            "drafts are accepted less often than one noise picks the same token twice",
            mean=(Matches.accepted, Matches.collision)),
    ),
    Rank.GIVEN_THE_DRAFT,
    known_means,
)  # fmt: skip

RULE = Rule(
    "gumbel-match",
    "Gumbel match (one noise races for the draft and for the token that decides on it)",
    (
        Group((verification.ACCEPTANCE, verification.REPLACEMENT, *AS_REJECTION), given_the_draft),
        Group((declared_law.DRAFTS, declared_law.SCALARS, independence.DRAFTS_SHARED, verification.BONUS)),
        Group((TOKENS, TOKENS_SHARED, MATCHES)),
    ),
    (
        *selection.CHECKS,
        *declared_law.CHECKS,
        verification.ACCEPTED_CHANGED,
        verification.ACCEPTED_IMPOSSIBLE,
        *target.CHECKS,
        verification.BONUS_IMPOSSIBLE,
    ),
    (
        DRAFTS_DRAWN,
        Need(
            Condition.VERIFICATION,
            "drafted",
            (verification.ACCEPTANCE, TOKENS, MATCHES),
            "the laws of the drafts and of the target were not recorded",
        ),
        replace(DRAFTS_REPLACED, judges=(verification.REPLACEMENT, TOKENS)),
        BONUSES_DRAWN,
        TARGETS_COMPARED,
    ),
    place=2,
)
