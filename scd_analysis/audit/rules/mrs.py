"""Modified rejection sampling: a draft is accepted with probability min(1, p/q), else redrawn from (p - q)+.

References
----------
Leviathan, Kalman, Matias: Fast inference from transformers via speculative decoding. ICML 2023 (arXiv:2211.17192).
"""

from __future__ import annotations

from scd_analysis.audit.conditions import CHECKS, PROCESSES, declared_law, independence, selection, verification
from scd_analysis.audit.promises import Need
from scd_analysis.audit.rules.rule import Group, Rule
from scd_analysis.conditions import Condition

_PROBABILITIES = "the probabilities of the drafts, on which acceptance rests, were not recorded"

NO_MODEL = "no model was given"
"""Why bonus tokens are not judged by the conditions."""

DRAFTS_DRAWN = Need(
    Condition.DECLARED_LAW,
    "drawn",
    (declared_law.DRAFTS, declared_law.SCALARS),
    "the laws of the drafts were not recorded, nor numbers of them and of the target laws",
)
COMMITS_CHOSEN = Need(Condition.SELECTION, "drafted", (selection.LOOK_AHEAD,), _PROBABILITIES)
DRAFTS_ACCEPTED = Need(Condition.VERIFICATION, "drafted", (verification.ACCEPTANCE,), _PROBABILITIES)
DRAFTS_REPLACED = Need(
    Condition.VERIFICATION,
    "rejected",
    (verification.REPLACEMENT,),
    "the laws that rejected drafts were replaced by were not recorded",
)
BONUSES_DRAWN = Need(
    Condition.VERIFICATION,
    "bonus",
    (verification.BONUS,),
    f"bonus tokens: no trace holds their law, and {NO_MODEL}; nothing speaks against the rest",
)
TARGETS_COMPARED = Need(
    Condition.TARGET,
    "drafted",
    (None,),
    "the target probabilities of the drafts were not recorded, so that there is nothing to compare the model with",
)
ACCEPTED_APART = Need(Condition.INDEPENDENCE, "drafted", (independence.ACCEPTANCE_SHARED,), _PROBABILITIES)
DRAWN_APART = Need(
    Condition.INDEPENDENCE,
    "drawn",
    (declared_law.DRAFTS,),
    "exact laws were not recorded: only shared variates can be seen",
)

RULE = Rule(
    "mrs",
    "modified rejection sampling",
    (Group(PROCESSES),),
    CHECKS,
    (
        DRAFTS_DRAWN,
        COMMITS_CHOSEN,
        DRAFTS_ACCEPTED,
        DRAFTS_REPLACED,
        BONUSES_DRAWN,
        TARGETS_COMPARED,
        ACCEPTED_APART,
        DRAWN_APART,
    ),
    compares_variates=True,
    place=0,
)
