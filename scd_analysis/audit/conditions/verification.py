"""Verification: a draft is accepted with probability min(1, p/q), else redrawn from (p - q)+, freshly."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scd_analysis.audit.bets import ESTABLISHED, Bet, Elsewhere, Process, Rank, Seen, blended, leaning
from scd_analysis.audit.conditions.declared_law import DRAFTS, TO_THE_TARGET
from scd_analysis.audit.conditions.words import too_often
from scd_analysis.audit.observations import repeated
from scd_analysis.audit.observations.acceptance import Acceptances, acceptances
from scd_analysis.audit.observations.replacements import Bonuses, Replacements, bonuses, replacements
from scd_analysis.audit.observations.variates import VARIATE_BINS, OfDrafts, of_drafts
from scd_analysis.conditions import Condition
from scd_analysis.evidence.features import number, sharpness, uniform

if TYPE_CHECKING:
    from scd_analysis.audit.watch import Watch


def _rule(name: str, law: Seen, rule: str) -> Bet:
    more, less = f"drafts are accepted with probability {rule}", f"drafts are accepted less, not {rule}"
    return Bet(name, more, less, law=law, stated=True)


def _were_chosen(watch: Watch) -> bool:
    """Whether too many acceptances mean that commits were chosen, and not that drafts were tested wrongly."""
    if watch.flags_follow_variates or watch.waited:
        return True
    drafts, unseen = watch.of(DRAFTS), not watch.inconsistent[2]
    return unseen and drafts.log_e_value >= ESTABLISHED and drafts.is_led_by(TO_THE_TARGET)


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
    elsewhere=Elsewhere(lambda watch: watch.waited > 0, Condition.SELECTION),
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
)  # fmt: skip

FOR_LIFE = Process(
    "variates-repeated-for-life",
    Condition.VERIFICATION,
    repeated.for_life,
    (Bet("repeated", "a position has the same acceptance variate at two passes", law=repeated.Repetitions.always),),
    Rank.EQUAL_VARIATES,
    blended(),
)

PROCESSES = (ACCEPTANCE, REPLACEMENT, BONUS, BONUS_VARIATE, OF_DRAFTS, FOR_LIFE)
