"""Quantile match: one uniform variate draws the draft and the token that decides on it, each by an inverse CDF.

``x = F_q^{-1}(u)`` is the draft and ``y = F_p^{-1}(u)`` is committed, tokens in the order of their numbers; a draft
stands if y equals it. Given x, u is uniform on the interval that F_q gives x, so the law of y is how much of that each
interval of F_p covers: x stands with the part that its own two intervals share, and nothing far from it replaces it.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from scd_analysis.audit.checks import Check, Found, Recorded
from scd_analysis.audit.conditions import declared_law, independence, selection, target, verification
from scd_analysis.audit.promises import Need
from scd_analysis.audit.rules.as_rejection import AS_REJECTION
from scd_analysis.audit.rules.coupled import TOKENS, Coupling, both_known
from scd_analysis.audit.rules.mrs import BONUSES_DRAWN, DRAFTS_DRAWN, DRAFTS_REPLACED, TARGETS_COMPARED
from scd_analysis.audit.rules.rule import Group, Rule
from scd_analysis.conditions import Condition
from scd_analysis.evidence.batch import Floats, Longs
from scd_analysis.evidence.pit import between, pit_interval

EDGE = 1e-3
"""How far apart two intervals may lie that one variate fell into: sums of laws in half precision stay below it."""


def second_quantile(law: Floats, first_law: Floats, first: Longs) -> Floats:
    """Return the law of an inverse CDF at the variate that gave another one its token.

    Parameters
    ----------
    law, first_law : Float[A, V]
        p and q.
    first : Long[A]
        What the inverse CDF of q gave.

    Returns
    -------
    Float[A, V]
    """
    return between(law, *pit_interval(first_law, first))


def _out_of_reach(recorded: Recorded) -> Found | None:
    commits = recorded.commits
    laws = recorded.model_probs if commits.target_probs is None else commits.target_probs
    known = both_known(commits, laws)
    if known is None or laws is None or commits.draft_probs is None:
        return None
    low, high = pit_interval(commits.draft_probs[known], commits.draft[known])
    start, end = pit_interval(laws[known], commits.final[known])
    found = np.zeros_like(known)
    found[known] = (start > high + EDGE) | (end < low - EDGE)
    return Found(found, known)


OUT_OF_REACH = Check(
    "out-of-reach",
    Condition.VERIFICATION,
    "a token was committed that no variate gives that gave the draft",
    verification.REJECTED_CERTAIN.rank,
    _out_of_reach,
)

COUPLING = Coupling(second_quantile)
TOKENS_SHARED = COUPLING.tokens_shared

RULE = Rule(
    "quantile-match",
    "quantile match (one variate gives the draft and the token that decides on it, by inverse CDFs)",
    (
        Group((verification.ACCEPTANCE, verification.REPLACEMENT, *AS_REJECTION), COUPLING.given_the_draft),
        Group((declared_law.DRAFTS, declared_law.SCALARS, independence.DRAFTS_OF_ONE_VARIATE, verification.BONUS)),
        Group((TOKENS, TOKENS_SHARED)),
    ),
    (
        *selection.CHECKS,
        *declared_law.CHECKS,
        verification.ACCEPTED_CHANGED,
        verification.ACCEPTED_IMPOSSIBLE,
        OUT_OF_REACH,
        *target.CHECKS,
        verification.BONUS_IMPOSSIBLE,
    ),
    (
        DRAFTS_DRAWN,
        Need(
            Condition.VERIFICATION,
            "drafted",
            (verification.ACCEPTANCE, TOKENS),
            "the laws of the drafts and of the target were not recorded",
        ),
        replace(DRAFTS_REPLACED, judges=(verification.REPLACEMENT, TOKENS)),
        BONUSES_DRAWN,
        TARGETS_COMPARED,
    ),
    disowns=(OUT_OF_REACH,),
    needs_laws=True,
    place=4,
)
