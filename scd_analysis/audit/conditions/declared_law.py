"""Declared law: a draft has the law declared for it, which never depends on its own position's history."""

from __future__ import annotations

from scd_analysis.audit.bets import RARELY, Bet, Process, Rank, blended, copying, known_means, leaning
from scd_analysis.audit.checks import Check, Found, Recorded
from scd_analysis.audit.observations import drafts as seen
from scd_analysis.audit.observations.drafts import Avoiding, Drafts, DraftScalars, FirstDrafts
from scd_analysis.conditions import Condition
from scd_analysis.evidence.features import least_probable, most_probable, number, sharpness, uniform

_TARGET_OF_SURVIVORS = Bet(
    "target-old",
    "drafts that survived lean to the law they are verified against: not redeclared",
    "drafts that survived lean away from the law they are verified against",
    law=Drafts.target,
    times=Drafts.is_old,
)
_TARGET = Bet(
    "target",
    "drafts lean to the law they are verified against, not to the declared one",
    "drafts lean away from the law they are verified against",
    law=Drafts.target,
    stated=True,
)
TO_THE_TARGET = (_TARGET, _TARGET_OF_SURVIVORS)
"""Bets on a law that drafts could not know when they were drawn."""

DRAFTS = Process(
    "drafts",
    Condition.DECLARED_LAW,
    seen.drafts,
    (
        Bet("sharpness", "drafts are drawn from a sharper law than declared (a lower temperature, top-k, top-p)",
            "drafts are drawn from a flatter law than declared", sharpness, low=0.0),
        Bet("most-probable", "drafts are the most probable token too often (argmax, or a smaller top-k)",
            "drafts are the most probable token too rarely", most_probable, low=0.0),
        Bet("least-probable", "drafts are the least probable token too often",
            "drafts avoid the least probable tokens (top-k, top-p)", least_probable, low=0.0),
        Bet("uniform", "drafts lean to the uniform law", "improbable tokens are drafted too rarely", uniform),
        Bet("number", "drafts have a high number too often", "drafts have a low number too often", number, low=0.0),
        *TO_THE_TARGET,
        Bet("last-target", "drafts lean to the target law of the pass that drew them, not to the declared one",
            "drafts lean away from the target law of the pass that drew them", law=Drafts.last_target, stated=True),
        Bet("tilted",
            "drafts favour tokens whose probability rose: a surviving draft keeps an old law, or a tilt is undeclared",
            "drafts favour tokens whose probability fell", law=Drafts.tilted, stated=True),
        Bet("by-hand", "a draft that would be rejected is redrawn from the target instead of the residual",
            "drafts lean away from a hand-made coupling", law=Drafts.by_hand, stated=True),
        Bet("kept", "drafts that are likely enough are kept, and the new law is declared",
            "drafts lean away from those that were kept", law=Drafts.kept, stated=True),
        Bet("earlier", "drafts lean to the law of two passes before: a draft was carried over under a new law",
            "drafts lean away from the law of two passes before", law=Drafts.earlier, stated=True),
        Bet("slot-before", "drafts are drawn from the law that is declared for the slot before: rows are off by one",
            "drafts lean away from the law that is declared for the slot before", law=Drafts.of_slot_before,
            stated=True),
    ),
    Rank.OF_THE_DRAFT,
    leaning("drafts"),
    place=0,
)  # fmt: skip

AVOIDING = Process(
    "drafts-avoiding",
    Condition.DECLARED_LAW,
    seen.avoiding_drafts,
    (
        Bet(
            "unlike-previous",
            "drafts avoid the token before them (a repetition penalty, or drawing without replacement), and the plain "
            "law is declared",
            law=Avoiding.unlike_previous,
        ),
        Bet(
            "without-replacement",
            "the drafts of a pass are drawn without replacement, and the plain law is declared",
            law=Avoiding.without_replacement,
        ),
    ),
    Rank.OF_THE_DRAFT,
    blended(),
    RARELY,
    place=1,
)

FIRST_DRAFTS = Process(
    "first-drafts",
    Condition.DECLARED_LAW,
    seen.first_drafts,
    (
        Bet("left", "first drafts copy the left neighbour while another law than a point mass is declared",
            "first drafts avoid the left neighbour", token=FirstDrafts.left, low=0.0),
        Bet("upper", "first drafts copy the upper neighbour while another law than a point mass is declared",
            "first drafts avoid the upper neighbour", token=FirstDrafts.upper, low=0.0),
    ),
    Rank.OF_THE_DRAFT,
    copying,
    place=2,
)  # fmt: skip

SCALARS = Process(
    "draft-scalars",
    Condition.DECLARED_LAW,
    seen.draft_scalars,
    (
        Bet("acceptance", "drafts are likelier to be accepted than under their declared law",
            "drafts are less likely to be accepted than under their declared law",
            mean=(DraftScalars.acceptance, DraftScalars.acceptance_mean)),
        Bet("target-prob", "drafts are likelier under the target than their declared law says",
            "drafts are less likely under the target than their declared law says",
            mean=(DraftScalars.target_prob, DraftScalars.target_prob_mean)),
    ),
    Rank.OF_THE_DRAFT,
    known_means,
    place=3,
)  # fmt: skip


def _impossible(recorded: Recorded) -> Found:
    commits = recorded.commits
    return Found(commits.drafted & (commits.draft_prob <= 0), commits.drafted)


IMPOSSIBLE = Check(
    "draft-impossible",
    Condition.DECLARED_LAW,
    "a draft has probability zero under its declared law",
    9,  # under a coupling, what was wrongly accepted is drafted next
    _impossible,
)

CHECKS = (IMPOSSIBLE,)
PROCESSES = (DRAFTS, AVOIDING, FIRST_DRAFTS, SCALARS)
