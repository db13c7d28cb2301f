"""Rules that draw the token that decides with the noise that drew the draft: what they have in common.

Given the draft x, the law of the deciding token y is that of a second draw whose noise is known as far as x tells it,
so such a rule is exact match with that law in the target's place. Where q is declared as a point mass, what drew x is
not known, and the law of y given x neither; given what was committed before, y has the target's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from scd_analysis.audit.bets import RARELY, Bet, Process, Rank, blended, leaning
from scd_analysis.audit.commits import Behind, Bools, Commits
from scd_analysis.audit.observations.view import Observations, View
from scd_analysis.audit.rules.exact_match import point_masses
from scd_analysis.conditions import Condition
from scd_analysis.evidence.batch import Floats, Longs
from scd_analysis.evidence.features import least_probable, most_probable, number, sharpness, uniform

MOST_RACES = 1024
"""Vocabulary up to which committed tokens are bet on by earlier races, which take as long as those that decide."""

Second = Callable[[Floats, Floats, Longs], Floats]
"""``(p, q, x)``, Float[A, V] twice and Long[A], to the law of what p draws with the noise that drew x from q."""


def both_known(commits: Commits, laws: Floats | None) -> Bools | None:
    """Where both draws are known, Bool[S, N], given the target laws Float[S, N, V]."""
    if commits.draft_probs is None or laws is None:
        return None
    with np.errstate(invalid="ignore"):
        known = commits.drafted & (commits.draft_probs.max(axis=-1) < 1) & (commits.draft_prob > 0)
    return np.asarray(known & ~np.isnan(commits.draft_probs.sum(axis=-1) + laws.sum(axis=-1)))


def given_the_draft(view: View, second_draw: Second) -> View | None:
    """See tokens under their law given the draft, and nothing of what the same noise did besides."""
    commits, laws = view.commits, view.target_probs
    raced = both_known(commits, laws)
    if raced is None or laws is None or commits.draft_probs is None or not raced.any():
        return None
    second = np.full(laws.shape, np.nan)
    second[raced] = second_draw(laws[raced], commits.draft_probs[raced], commits.draft[raced])
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
    laws, raced = view.target_probs, both_known(view.commits, view.target_probs)
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


@dataclass(frozen=True)
class CommittedAgain(Observations):
    """Committed tokens under the target law, and where noise that has drawn an earlier one would put them.

    Attributes
    ----------
    second_draw : callable
    """

    second_draw: Second

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
        out[there] = self.second_draw(self.laws[there], laws[place][there], before)
        return out


@dataclass(frozen=True)
class Coupling:
    """How a rule draws twice with one noise.

    Attributes
    ----------
    second_draw : callable
        See :data:`Second`.
    """

    second_draw: Second

    def given_the_draft(self, view: View) -> View | None:
        """See tokens under their law given the draft."""
        return given_the_draft(view, self.second_draw)

    def committed_again(self, view: View, noise: Floats) -> CommittedAgain | None:
        """Tokens that decide on drafts, under the target law, whatever the drafts are."""
        laws = view.target_probs
        if laws is None or laws.shape[-1] > MOST_RACES:
            return None
        at = np.nonzero(view.commits.drafted & ~np.isnan(laws.sum(axis=-1)))
        return CommittedAgain(view, at, view.commits.final[at], laws[at], self.second_draw)

    @property
    def tokens_shared(self) -> Process:
        """Of tokens that noise has drawn which is not new."""
        return Process(
            "committed-shared",
            Condition.INDEPENDENCE,
            self.committed_again,
            (
                Bet("previous-race", "a token is drawn with the noise of the position before",
                    law=CommittedAgain.of_previous),
                Bet("same-slot", "a token is drawn with the noise that its slot had at the pass before",
                    law=CommittedAgain.of_slot),
            ),
            Rank.GIVEN_THE_DRAFT,
            blended(),
            RARELY,
        )  # fmt: skip
