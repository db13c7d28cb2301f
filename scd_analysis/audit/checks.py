"""What a lossless decoder never does: checks of a trace that need no statistics.

Each finds events that have probability zero under the five conditions, so one is enough. Comparisons of recorded
numbers allow for their rounding.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from scd_analysis.audit.commits import Bools, Commits
from scd_analysis.conditions import Condition
from scd_analysis.evidence.batch import Floats, Longs

ROUNDING = 1e-3
"""Relative difference of two recorded probabilities that may be rounding: half precision stays below it."""


ACCEPTED_CHANGED = "accepted-changed"

FEWEST_VARIATES, MOST_BITS = 8, 12
"""At least so many, and at least 2^(b - 2), that are all multiples of 2^-b: full ones recorded in bfloat16, where half
are of 2^-8 and all but one in 32 of 2^-12, are so with a probability below 1e-9."""


@dataclass(frozen=True)
class Violation:
    """Something that happened and never should.

    Attributes
    ----------
    name : str
    condition : Condition
    message : str
    sequence, position, iteration : int
        Of the first; the iteration is -1 where there is none.
    count, checked : int
        How often, out of how many.
    size : float or None
        Mean total variation over the places checked, where laws can be compared.
    """

    name: str
    condition: Condition
    message: str
    sequence: int
    position: int
    iteration: int
    count: int
    checked: int
    size: float | None = None

    def merged(self, later: Violation) -> Violation:
        """Add up two parts of one trace."""
        total = self.checked + later.checked
        size = None
        if self.size is not None and later.size is not None:
            size = (self.size * self.checked + later.size * later.checked) / total
        return replace(self, count=self.count + later.count, checked=total, size=size)


def check(commits: Commits, model_probs: Floats | None, offset: int, tolerance: float) -> Iterator[Violation]:
    """Find what a lossless decoder never does.

    Parameters
    ----------
    commits : Commits
    model_probs : Float[S, N, V] or None
        The model's law of every token given the finished sequence.
    offset : int
        Number of the first sequence.
    tolerance : float
        Difference of two probabilities up to which two computations of one law are the same.
    """
    found = [*_of_commits(commits), *_of_verification(commits), *_of_variates(commits, tolerance)]
    if model_probs is not None:
        found += [*_of_target(commits, model_probs, tolerance), *_of_bonus(commits, model_probs)]
    for name, condition, message, where, checked, size in found:
        if where.any():
            sequence, position = (int(i) for i in np.argwhere(where)[0])
            iteration = int(commits.iteration[sequence, position])
            counts = int(where.sum()), int(checked.sum())
            yield Violation(name, condition, message, offset + sequence, position, iteration, *counts, size)


def of_flags(commits: Commits, wrong: Bools, checked: Bools, offset: int) -> Violation | None:
    """Make a violation of accept flags Bool[S, N] that contradict their variates."""
    if not wrong.any():
        return None
    message = "an accept flag contradicts the recorded variate that decides it"
    sequence, position = (int(i) for i in np.argwhere(wrong)[0])
    return Violation(
        "flag-against-variate",
        Condition.VERIFICATION,
        message,
        offset + sequence,
        position,
        int(commits.iteration[sequence, position]),
        int(wrong.sum()),
        int(checked.sum()),
    )


_Found = tuple[str, Condition, str, Bools, Bools, float | None]


def _by_position(commits: Commits, where: Bools) -> Longs:
    """Count slots Bool[S, T, L] by their positions, Long[S, N]."""
    sequence, iteration, slot = np.nonzero(where)
    out = np.zeros(commits.final.shape, dtype=np.int64)
    np.add.at(out, (sequence, commits.passes.slot_position[sequence, iteration, slot]), 1)
    return out


def _of_commits(commits: Commits) -> Iterator[_Found]:
    passes = commits.passes
    times = _by_position(commits, passes.committed) + commits.bonus
    beyond = _by_position(commits, passes.committed & ~passes.reached) > 0
    everywhere = np.ones(commits.final.shape, dtype=bool)
    yield (
        "committed-beyond",
        Condition.SELECTION,
        "a position was committed although an earlier draft of the same pass was rejected",
        beyond,
        commits.drafted,
        None,
    )
    yield "committed-twice", Condition.SELECTION, "a position was committed twice", times > 1, everywhere, None


def _of_verification(commits: Commits) -> Iterator[_Found]:
    kept, rejected = commits.drafted & commits.accepted, commits.rejected
    target, draft, condition = commits.target_prob, commits.draft_prob, Condition.VERIFICATION
    yield (
        "draft-impossible",
        Condition.DECLARED_LAW,
        "a draft has probability zero under its declared law",
        (commits.drafted & (draft <= 0)),
        commits.drafted,
        None,
    )
    yield (
        ACCEPTED_CHANGED,
        condition,
        "a draft was accepted, and another token committed",
        (kept & (commits.draft != commits.final)),
        kept,
        None,
    )
    yield (
        "accepted-impossible",
        condition,
        "a draft was accepted that the target law gives probability zero",
        (kept & (target <= 0)),
        kept,
        None,
    )
    yield (
        "rejected-certain",
        condition,
        "a draft was rejected although p(x) is at least q(x)",
        (rejected & (target >= draft * (1 + ROUNDING))),
        commits.drafted,
        None,
    )
    yield (
        "replaced-by-itself",
        condition,
        "a rejected draft was replaced by itself, which the residual excludes",
        (rejected & (commits.draft == commits.final) & (draft > target * (1 + ROUNDING))),
        rejected,
        None,
    )
    if commits.target_probs is not None and commits.draft_probs is not None:
        p, q = (_own(laws, commits.final) for laws in (commits.target_probs, commits.draft_probs))
        empty = np.nan_to_num(np.maximum(commits.target_probs - commits.draft_probs, 0)).sum(axis=-1) <= ROUNDING**2
        outside = rejected & ~empty & (p <= q * (1 - ROUNDING))
        yield (
            "replacement-impossible",
            condition,
            "a replacement has probability zero under the residual (p - q)+",
            (outside),
            rejected,
            None,
        )


def _of_variates(commits: Commits, tolerance: float) -> Iterator[_Found]:
    known = commits.drafted & ~np.isnan(commits.uniform)
    variates = commits.uniform[known]
    bits = next((b for b in range(MOST_BITS + 1) if (variates * 2.0**b % 1 == 0).all()), None)
    if bits is None or len(variates) < max(FEWEST_VARIATES, 2 ** (bits - 2)):
        return
    with np.errstate(divide="ignore", invalid="ignore"):
        accept = np.clip(commits.target_prob / commits.draft_prob, 0, 1)
    raised = np.ceil(accept * 2.0**bits) / 2.0**bits - accept
    message = f"acceptance variates are multiples of 2^-{bits}, and acceptance probabilities rounded up to one"
    yield "variates-coarse", Condition.VERIFICATION, message, known & (raised > tolerance), known, None


def _of_target(commits: Commits, model_probs: Floats, tolerance: float) -> Iterator[_Found]:
    message = "the law verified against is not the model's law given the finished sequence"
    beyond = _by_position(commits, commits.passes.committed & ~commits.passes.reached) > 0  # an error of its own
    known = commits.drafted & ~np.isnan(commits.target_prob) & ~beyond
    own = _own(model_probs, np.maximum(commits.draft, 0))
    largest, size = np.where(known, np.abs(own - commits.target_prob), 0), None
    if commits.target_probs is not None:
        gap = np.abs(np.where(known[..., None], commits.target_probs - model_probs, 0))
        largest, size = np.maximum(largest, gap.max(axis=-1)), float(gap.sum() / 2 / max(known.sum(), 1))
    yield "target-differs", Condition.TARGET, message, largest > tolerance, known, size


def _of_bonus(commits: Commits, model_probs: Floats) -> Iterator[_Found]:
    impossible = commits.bonus & (_own(model_probs, commits.final) <= 0)
    message = "a bonus token has probability zero under the model's law"
    yield "bonus-impossible", Condition.VERIFICATION, message, impossible, commits.bonus, None


def _own(laws: Floats, tokens: Longs) -> Floats:
    return np.asarray(np.take_along_axis(laws, tokens[..., None], axis=-1)[..., 0])
