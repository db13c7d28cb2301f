"""Gumbel match: the noise of a position races for the draft and, again, for the token that decides on it.

``x = argmax(ln q + g)`` is the draft and ``y = argmax(ln p + g)`` is committed; a draft stands if y equals it. Given
x, the law of y is that of the second race's winner given the first's.

References
----------
Daliri, Musco, Suresh: Coupling without communication and drafter-invariant speculative decoding, 2024
(arXiv:2408.07978).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from scd_analysis.audit.bets import Bet, Process, Rank, known_means
from scd_analysis.audit.commits import Scalars
from scd_analysis.audit.conditions import declared_law, independence, selection, target, verification
from scd_analysis.audit.observations.view import Observations, View
from scd_analysis.audit.promises import Need
from scd_analysis.audit.rules.as_rejection import AS_REJECTION
from scd_analysis.audit.rules.coupled import TOKENS, Coupling, both_known
from scd_analysis.audit.rules.mrs import BONUSES_DRAWN, DRAFTS_DRAWN, DRAFTS_REPLACED, TARGETS_COMPARED
from scd_analysis.audit.rules.rule import Group, Rule
from scd_analysis.conditions import Condition
from scd_analysis.evidence.batch import Floats
from scd_analysis.evidence.races import second_winner


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
    commits, scalars, raced = view.commits, view.commits.scalars, both_known(view.commits, view.target_probs)
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

COUPLING = Coupling(second_winner)
TOKENS_SHARED = COUPLING.tokens_shared

RULE = Rule(
    "gumbel-match",
    "Gumbel match (one noise races for the draft and for the token that decides on it)",
    (
        Group((verification.ACCEPTANCE, verification.REPLACEMENT, *AS_REJECTION), COUPLING.given_the_draft),
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
