"""Exact match: the target is sampled afresh at every slot, and drafts stand as long as they are what was sampled.

A fresh token y equals the draft x with probability p(x), and has else the law p without x: modified rejection sampling
of drafts that are declared as point masses. So whatever law a decoder declares for its drafts does not matter, nor what
noise drew them; that y is fresh does.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from scd_analysis.audit.commits import Commits
from scd_analysis.audit.conditions import independence, selection, target, verification
from scd_analysis.audit.observations.view import View
from scd_analysis.audit.rules.as_rejection import AS_REJECTION
from scd_analysis.audit.rules.mrs import (
    ACCEPTED_APART,
    BONUSES_DRAWN,
    COMMITS_CHOSEN,
    DRAFTS_ACCEPTED,
    DRAFTS_REPLACED,
    TARGETS_COMPARED,
)
from scd_analysis.audit.rules.rule import Group, Rule

GIVEN_THE_DRAFT = (
    verification.ACCEPTANCE,
    verification.REPLACEMENT,
    verification.BONUS,
    selection.LOOK_AHEAD,
    independence.ACCEPTANCE_SHARED,
    independence.REPLACEMENT_SHARED,
)
"""Processes that take the draft for given."""

CHECKS = (
    *selection.CHECKS,
    verification.ACCEPTED_CHANGED,
    verification.ACCEPTED_IMPOSSIBLE,
    verification.REJECTED_CERTAIN,
    verification.REPLACED_BY_ITSELF,
    verification.REPLACEMENT_IMPOSSIBLE,
    *target.CHECKS,
    verification.BONUS_IMPOSSIBLE,
)
NEEDS = (COMMITS_CHOSEN, DRAFTS_ACCEPTED, DRAFTS_REPLACED, BONUSES_DRAWN, TARGETS_COMPARED, ACCEPTED_APART)


def point_masses(commits: Commits, vocab_size: int) -> Commits:
    """Declare every draft as the point mass on itself, with no noise of its own."""
    drafted = commits.drafted
    point = (np.arange(vocab_size) == commits.draft[..., None]).astype(np.float64)
    return replace(
        commits,
        draft_prob=np.where(drafted, 1.0, np.nan),
        draft_probs=np.where(drafted[..., None], point, np.nan),
        scalars=None,
        noise=None,
        entries=None,
        held=None,
    )


def as_point_masses(view: View) -> View:
    """See drafts as point masses."""
    return replace(view, commits=point_masses(view.commits, view.vocab_size), declared=view)


RULE = Rule(
    "exact-match",
    "exact match (a draft stands if a fresh draw from the target equals it)",
    (Group((*GIVEN_THE_DRAFT, *AS_REJECTION), as_point_masses),),
    CHECKS,
    NEEDS,
    redeclare=point_masses,
    place=1,
)
