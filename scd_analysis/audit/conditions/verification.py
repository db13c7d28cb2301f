"""Verification: a draft is accepted with probability min(1, p/q), else redrawn from (p - q)+, freshly."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from scd_analysis.audit.bets import Bet, Elsewhere, Process, Rank, Seen, Standing, blended, leaning
from scd_analysis.audit.checks import AFTER_BETS, ROUNDING, Check, Found, Recorded, own
from scd_analysis.audit.conditions.declared_law import DRAFTS, TO_THE_TARGET
from scd_analysis.audit.conditions.words import too_often
from scd_analysis.audit.observations import repeated
from scd_analysis.audit.observations.acceptance import Acceptances, acceptances
from scd_analysis.audit.observations.replacements import Bonuses, Replacements, bonuses, replacements
from scd_analysis.audit.observations.variates import VARIATE_BINS, OfDrafts, of_drafts
from scd_analysis.conditions import Condition
from scd_analysis.evidence.features import number, sharpness, uniform


def _rule(name: str, law: Seen, rule: str) -> Bet:
    more, less = f"drafts are accepted with probability {rule}", f"drafts are accepted less, not {rule}"
    return Bet(name, more, less, law=law, stated=True)


def _were_chosen(standing: Standing) -> bool:
    """Whether too many acceptances mean that commits were chosen, and not that drafts were tested wrongly."""
    if standing.flags_follow_variates or standing.waited:
        return True
    return not standing.flags_compared and standing.is_established(DRAFTS, TO_THE_TARGET)


ACCEPTANCE = Process(
    "acceptance",
    Condition.VERIFICATION,
    acceptances,
    (
        too_often("always", "for min(1, p/q)"),
        too_often("first-slot", "in the first slot of the window", Acceptances.first_slot),
        too_often("early-slot", "early in the window", Acceptances.early_slot),
        too_often("initial", "where they are initial drafts", Acceptances.initial),
        too_often("redrafted", "where they were redrafted", Acceptances.redrafted),
        too_often("last-slot", "in the last slot of the window", Acceptances.last_slot),
        too_often("unchanged", "where they are what they were one pass before", Acceptances.unchanged),
        too_often("uncertain", "where acceptance is a toss", Acceptances.uncertain),
        _rule("relaxed", Acceptances.relaxed, "min(1, w p/q), w above one"),
        _rule("much-relaxed", Acceptances.much_relaxed, "min(1, w p/q), w far above one"),
        _rule("root", Acceptances.root, "min(1, p/q) to a power below one"),
        _rule("twice", Acceptances.twice, "of two tries, either of which may accept"),
    ),
    Rank.GIVEN_THE_DRAFT,
    leaning("accept flags", 2),
    elsewhere=Elsewhere(
        _were_chosen,
        Condition.SELECTION,
        "drafts are committed accepted more often than verification accepts them: the commit was chosen afterwards",
    ),
    place=4,
)


def replaced(name: str, law: Seen, what: str, *, stated: bool = True) -> Bet:
    """A bet that rejected drafts are replaced by a draw of another kind."""
    more, less = f"rejected drafts are replaced {what}", f"replacements lean away from a draw {what}"
    return Bet(name, more, less, law=law, stated=stated)


REPLACEMENT = Process(
    "replacement",
    Condition.VERIFICATION,
    replacements,
    (
        replaced("from-target", Replacements.from_target, "from the target law itself"),
        replaced("without-draft", Replacements.without_draft, "from the target law without the draft"),
        replaced("from-declared", Replacements.from_declared, "from the declared law"),
        replaced("floored", Replacements.floored, "from a residual with a floor"),
        replaced("absolute", Replacements.absolute, "from |p - q|"),
        replaced("reversed", Replacements.reversed, "from (q - p)+"),
        replaced("logits", Replacements.of_logits, "from a residual of logits"),
        replaced("unnormalised", Replacements.unnormalised, "from a residual that was not normalised", stated=False),
        Bet("sharpness", "replacements are too likely", "replacements are too unlikely", sharpness, low=0.0),
        Bet("number", "replacements have a high number too often", "replacements have a low number too often",
            number, low=0.0),
        replaced("same-variate", Replacements.of_same_variate, "with the variate that rejected them"),
    ),
    Rank.GIVEN_THE_DRAFT,
    leaning("replacements"),
    elsewhere=Elsewhere(lambda standing: standing.waited > 0, Condition.SELECTION),
    place=8,
)  # fmt: skip

BONUS = Process(
    "bonus",
    Condition.VERIFICATION,
    bonuses,
    (
        Bet("row-before", "bonus tokens are drawn from the row before theirs",
            "bonus tokens lean away from the row before theirs", law=Bonuses.row_before, stated=True),
        Bet("sharpness", "bonus tokens are too likely", "bonus tokens are too unlikely", sharpness, low=0.0),
        Bet("uniform", "bonus tokens lean to the uniform law", "bonus tokens avoid improbable tokens", uniform),
    ),
    Rank.GIVEN_THE_DRAFT,
    leaning("bonus tokens"),
    place=11,
)  # fmt: skip

BONUS_VARIATE = Process(
    "bonus-variate",
    Condition.VERIFICATION,
    bonuses,
    (
        Bet("last-variate", "bonus tokens are drawn with the variate that accepted the last draft",
            "bonus tokens lean away from what the last accepting variate would draw",
            law=Bonuses.of_last_variate, stated=True),
    ),
    Rank.GIVEN_THE_DRAFT,
    leaning(),
    place=12,
)  # fmt: skip

OF_DRAFTS = Process(
    "variates-of-drafts",
    Condition.VERIFICATION,
    of_drafts,
    (
        Bet("of-draft", "the variate that draws a draft also accepts it",
            "acceptance variates avoid what drew the draft", law=OfDrafts.of_draft, stated=True),
        Bet("of-draft-mirrored", "the variate that draws a draft also accepts it, mirrored",
            "acceptance variates avoid the mirror of what drew the draft", law=OfDrafts.of_draft_mirrored, stated=True),
    ),
    Rank.GIVEN_THE_DRAFT,
    leaning(size=VARIATE_BINS),
    place=14,
)  # fmt: skip

FOR_LIFE = Process(
    "variates-repeated-for-life",
    Condition.VERIFICATION,
    repeated.for_life,
    (Bet("repeated", "a position has the same acceptance variate at two passes", law=repeated.Repetitions.always),),
    Rank.EQUAL_VARIATES,
    blended(),
    place=22,
)


def _accepted_changed(recorded: Recorded) -> Found:
    commits = recorded.commits
    kept = commits.drafted & commits.accepted
    return Found(kept & (commits.draft != commits.final), kept)


def _accepted_impossible(recorded: Recorded) -> Found:
    commits = recorded.commits
    kept = commits.drafted & commits.accepted
    return Found(kept & (commits.target_prob <= 0), kept)


def _rejected_certain(recorded: Recorded) -> Found:
    commits = recorded.commits
    certain = commits.target_prob >= commits.draft_prob * (1 + ROUNDING)
    return Found(commits.rejected & certain, commits.drafted)


def _replaced_by_itself(recorded: Recorded) -> Found:
    commits = recorded.commits
    excluded = commits.draft_prob > commits.target_prob * (1 + ROUNDING)
    return Found(commits.rejected & (commits.draft == commits.final) & excluded, commits.rejected)


def _replacement_impossible(recorded: Recorded) -> Found | None:
    commits = recorded.commits
    if commits.target_probs is None or commits.draft_probs is None:
        return None
    p, q = (own(laws, commits.final) for laws in (commits.target_probs, commits.draft_probs))
    empty = np.nan_to_num(np.maximum(commits.target_probs - commits.draft_probs, 0)).sum(axis=-1) <= ROUNDING**2
    return Found(commits.rejected & ~empty & (p <= q * (1 - ROUNDING)), commits.rejected)


FEWEST_VARIATES, MOST_BITS = 8, 12
"""At least so many, and at least 2^(b - 2), that are all multiples of 2^-b: full ones recorded in bfloat16, where half
are of 2^-8 and all but one in 32 of 2^-12, are so with a probability below 1e-9."""


def _variates_coarse(recorded: Recorded) -> Found | None:
    commits = recorded.commits
    known = commits.drafted & ~np.isnan(commits.uniform)
    variates = commits.uniform[known]
    bits = next((b for b in range(MOST_BITS + 1) if (variates * 2.0**b % 1 == 0).all()), None)
    if bits is None or len(variates) < max(FEWEST_VARIATES, 2 ** (bits - 2)):
        return None
    with np.errstate(divide="ignore", invalid="ignore"):
        accept = np.clip(commits.target_prob / commits.draft_prob, 0, 1)
    raised = np.ceil(accept * 2.0**bits) / 2.0**bits - accept
    message = f"acceptance variates are multiples of 2^-{bits}, and acceptance probabilities rounded up to one"
    return Found(known & (raised > recorded.tolerance), known, message)


def _bonus_impossible(recorded: Recorded) -> Found | None:
    commits = recorded.commits
    if recorded.model_probs is None:
        return None
    return Found(commits.bonus & (own(recorded.model_probs, commits.final) <= 0), commits.bonus)


def _check(name: str, message: str, rank: int, find: Callable[[Recorded], Found | None], numbers: bool = True) -> Check:
    return Check(name, Condition.VERIFICATION, message, rank, find, numbers)


ACCEPTED_CHANGED = _check(
    "accepted-changed",
    "a draft was accepted, and another token committed",
    0,  # the law at what follows is then another
    _accepted_changed,
    numbers=False,
)
ACCEPTED_IMPOSSIBLE = _check(
    "accepted-impossible",
    "a draft was accepted that the target law gives probability zero",
    4,
    _accepted_impossible,
)
REJECTED_CERTAIN = _check(
    "rejected-certain", "a draft was rejected although p(x) is at least q(x)", 5, _rejected_certain
)
REPLACED_BY_ITSELF = _check(
    "replaced-by-itself",
    "a rejected draft was replaced by itself, which the residual excludes",
    6,
    _replaced_by_itself,
)
REPLACEMENT_IMPOSSIBLE = _check(
    "replacement-impossible",
    "a replacement has probability zero under the residual (p - q)+",
    7,
    _replacement_impossible,
)
BONUS_IMPOSSIBLE = _check(
    "bonus-impossible", "a bonus token has probability zero under the model's law", 8, _bonus_impossible
)
VARIATES_COARSE = _check("variates-coarse", "acceptance variates are coarse", 11, _variates_coarse)
FLAG_AGAINST_VARIATE = Check(
    "flag-against-variate",
    Condition.VERIFICATION,
    "an accept flag contradicts the recorded variate that decides it",
    AFTER_BETS,
)
"""Found by :class:`scd_analysis.audit.watch.Watch`, once enough flags follow their variates."""

CHECKS = (
    ACCEPTED_CHANGED,
    ACCEPTED_IMPOSSIBLE,
    REJECTED_CERTAIN,
    REPLACED_BY_ITSELF,
    REPLACEMENT_IMPOSSIBLE,
    VARIATES_COARSE,
    BONUS_IMPOSSIBLE,
)
PROCESSES = (ACCEPTANCE, REPLACEMENT, BONUS, BONUS_VARIATE, OF_DRAFTS, FOR_LIFE)
