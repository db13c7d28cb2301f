"""What tells modified rejection sampling, sound or faulty, from the rules that see the draft as given.

Any rule may be bet against with what another would do. Most traces are of modified rejection sampling, so that is the
alternative that pays: where it is faulty, all other rules must be out before it is refuted.
"""

from __future__ import annotations

import math

import numpy as np

from scd_analysis.audit.bets import Bet, Process, Rank, blended
from scd_analysis.audit.observations.acceptance import Acceptances, acceptance_law, acceptances
from scd_analysis.audit.observations.replacements import Replacements, replacements
from scd_analysis.audit.observations.view import Observations
from scd_analysis.conditions import Condition
from scd_analysis.evidence.batch import Floats
from scd_analysis.laws.kernels import residual

UNLIKELY = math.exp(-20)
"""Weight of a bet that recorded variates decide. A rule has no such variates; but a decoder may record, under their
name, others that are no strangers to what it did, so that it takes far more than chance agreement to be out."""

FOLLOWED = (0.999, 0.95, 0.8)
"""Shares of flags that are bet to follow their variates."""

_MOSTLY = (0.5, 0.9, 0.99)


def _ratio(seen: Observations) -> Floats | None:
    """p/q of the drafts as declared, Float[A]; NaN where it is not known."""
    declared = seen.view.declared
    if declared is None:
        return None
    with np.errstate(divide="ignore", invalid="ignore"):
        return seen.pick(declared.commits.target_prob / declared.commits.draft_prob)


def by_rejection(seen: Acceptances) -> Floats | None:
    """The law of a flag under ``min(1, p/q)``."""
    ratio = _ratio(seen)
    return None if ratio is None else acceptance_law(np.clip(ratio, 0, 1))


def by_variate(seen: Acceptances) -> Floats | None:
    """What the recorded variate says of a flag under ``u < p/q``."""
    ratio, declared = _ratio(seen), seen.view.declared
    if ratio is None or declared is None or declared.commits.noise is None:
        return None
    uniform = seen.pick(declared.commits.uniform)
    return acceptance_law(np.where(np.isnan(uniform + ratio), np.nan, (uniform < ratio).astype(float)))


def of_residual(seen: Replacements) -> Floats | None:
    """The law of a replacement under ``(p - q)+``."""
    laws = _laws(seen)
    return None if laws is None else residual(*laws)


def of_target(seen: Replacements) -> Floats | None:
    """The law of a replacement that is drawn from p."""
    laws = _laws(seen)
    return None if laws is None else laws[0]


def _laws(seen: Replacements) -> tuple[Floats, Floats] | None:
    """Target law and draft law as declared, Float[A, V] each."""
    declared = seen.view.declared
    if declared is None or declared.target_probs is None or declared.commits.draft_probs is None:
        return None
    return seen.pick(declared.target_probs), seen.pick(declared.commits.draft_probs)


ACCEPTED = Process(
    "accepted-by-rejection",
    Condition.VERIFICATION,
    acceptances,
    (Bet("rejection", "drafts are accepted with probability min(1, p/q)", law=by_rejection),),
    Rank.GIVEN_THE_DRAFT,
    blended(_MOSTLY),
)
FOLLOWING = Process(
    "accepted-by-variate",
    Condition.VERIFICATION,
    acceptances,
    (Bet("variate", "drafts are accepted where their recorded variate u has u q < p", law=by_variate),),
    Rank.GIVEN_THE_DRAFT,
    blended(FOLLOWED),
    UNLIKELY,
)
REPLACED = Process(
    "replaced-by-rejection",
    Condition.VERIFICATION,
    replacements,
    (
        Bet("residual", "replacements are drawn from (p - q)+", law=of_residual),
        Bet("target", "replacements are drawn from the target law", law=of_target),
    ),
    Rank.GIVEN_THE_DRAFT,
    blended(_MOSTLY),
)
AS_REJECTION = (ACCEPTED, FOLLOWING, REPLACED)
