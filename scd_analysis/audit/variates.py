"""Observations of variates, uniform and new for every use.

Those of acceptance are recorded; those of inverse CDFs are known as far as the tokens that they gave tell.
"""

from __future__ import annotations

import numpy as np

from scd_analysis.audit.commits import Drawn, Passes
from scd_analysis.audit.observations import View, centred, earlier_position, is_drawn, residual_laws
from scd_analysis.evidence.batch import Batch, Floats, Longs, observations, observed
from scd_analysis.evidence.pit import between, pit_interval

VARIATE_BINS = 16
MOST_BITS = 32
"""Binary digits of a variate that are looked at."""

MOSTLY, FEWEST_LEFT = 0.99, 16
"""Share of the slots left uncommitted, and how many at least, that show that drafts follow verification."""


class Seen:
    """Acceptance variates of the last sequences, for later ones to be compared with.

    Parameters
    ----------
    memory : int
        How many sequences are remembered.
    """

    def __init__(self, memory: int = 1024) -> None:
        self._memory = memory
        self._last: Floats | None = None
        self._by_first: dict[float, Floats] = {}

    def others(self, uniform: Floats) -> Floats:
        """Variates of the sequence that each is compared with, Float[S, N], NaN where there is none.

        That is the last one with the same first variate, behind that variate, since it was chosen by it; or else the
        one before.

        Parameters
        ----------
        uniform : Float[S, N]
            NaN where no draft was verified.
        """
        out = np.full(uniform.shape, np.nan)
        for row, other in zip(uniform, out, strict=True):
            if self._last is not None:
                other[:] = self._last
            self._last = row
            if np.isnan(row).all():
                continue
            first = int(np.argmin(np.isnan(row)))
            known = self._by_first.pop(float(row[first]), None)
            if known is not None:
                other[: first + 1], other[first + 1 :] = np.nan, known[first + 1 :]
            self._by_first[float(row[first])] = row
            if len(self._by_first) > self._memory:
                del self._by_first[next(iter(self._by_first))]
        return out


def variates(view: View, noise: Floats) -> Batch | None:
    """Acceptance variates under the uniform law, whatever the draft."""
    commits = view.commits
    known = commits.drafted & ~np.isnan(commits.uniform)
    if not known.any():
        return None
    bins = bins_of(commits.uniform)
    laws = np.full((*bins.shape, VARIATE_BINS), 1 / VARIATE_BINS)
    with np.errstate(divide="ignore", invalid="ignore"):
        accept = np.clip(np.nan_to_num(commits.target_prob / commits.draft_prob, posinf=1), 0, 1)
    before = earlier_position(np.where(known, commits.uniform, np.nan), 1, np.nan)
    context = {
        "before": np.where(commits.slot > 0, centred(before), 0),
        "above": np.vstack([np.zeros((1, bins.shape[1])), centred(np.where(known, commits.uniform, np.nan))[:-1]]),
        "later-slot": (commits.slot > 0).astype(float),
        "draft": np.where(known, centred(accept), 0),
    }
    return observed(bins, laws, noise, known, context=context)


def of_drafts(view: View, noise: Floats) -> Batch | None:
    """Acceptance variates, given where their drafts lie in the declared law: what one variate for both would tie."""
    commits = view.commits
    if commits.draft_probs is None:
        return None
    known = commits.drafted & ~np.isnan(commits.uniform) & ~np.isnan(commits.draft_probs).any(axis=-1)
    known &= np.nan_to_num(commits.draft_probs).max(axis=-1, initial=0) < 1
    if not known.any():
        return None
    low, high = pit_interval(commits.draft_probs[known], commits.draft[known])
    flat = np.full((len(low), VARIATE_BINS), 1 / VARIATE_BINS)
    companions = {"of-draft": between(flat, low, high), "of-draft-mirrored": between(flat, 1 - high, 1 - low)}
    bins = bins_of(commits.uniform[known])
    return observations(np.nonzero(known), bins, flat, noise[known], companions, {})


def of_replacements(view: View, noise: Floats) -> Batch | None:
    """Acceptance variates, given where the replacement just before them lies in its residual."""
    commits = view.commits
    low, high = _replacement_before(view)
    known = commits.drafted & ~np.isnan(commits.uniform) & ~np.isnan(low)
    if not known.any():
        return None
    flat = np.full((int(known.sum()), VARIATE_BINS), 1 / VARIATE_BINS)
    companions = {"of-replacement": between(flat, low[known], high[known])}
    return observations(np.nonzero(known), bins_of(commits.uniform[known]), flat, noise[known], companions, {})


def _replacement_before(view: View) -> Floats:
    """Interval of the variate that drew the replacement at the position before, Float[2, S, N], NaN where none is."""
    commits, found = view.commits, residual_laws(view)
    ends = np.full((2, *commits.final.shape), np.nan)
    if found is not None:
        replaced, laws = found
        ends[:, replaced] = pit_interval(laws, commits.final[replaced])
    return np.stack([earlier_position(end, 1, np.nan) for end in ends])


def of_inverse_cdfs(view: View, noise: Floats) -> Batch | None:
    """Where drafts lie in their declared laws, given where others do that may have been drawn with the same variate."""
    commits = view.commits
    if commits.draft_probs is None:
        return None
    drawn = is_drawn(commits) & (commits.age > 0)
    if not drawn.any():
        return None
    laws = np.where(drawn[..., None], commits.draft_probs, 1.0)
    low, high = pit_interval(laws, np.maximum(commits.draft, 0))
    ends = np.where(drawn, [low, high], np.nan)
    others = {
        "previous": np.stack([earlier_position(end, 1, np.nan) for end in ends]),
        "above": np.concatenate([np.full_like(ends[:, :1], np.nan), ends[:, :-1]], axis=1),
        "beside": _interval(commits.beside),
        "same-slot": _interval(commits.same_slot),
        "diagonal": _interval(commits.diagonal),
        "acceptance": np.stack([earlier_position(commits.uniform, 1, np.nan)] * 2),
        "replacement": _replacement_before(view),
    }
    flat = np.full((*drawn.shape, VARIATE_BINS), 1 / VARIATE_BINS)
    companions = {
        name: np.where(np.isnan(first)[..., None], np.nan, between(flat, first, last))
        for name, (first, last) in others.items()
        if not np.isnan(first).all()
    }
    return observed(bins_of(low + noise * (high - low)), flat, noise, drawn, companions)


def _interval(other: Drawn) -> Floats:
    """Ends of the interval of the variate that drew another draft, Float[2, S, N], NaN where there is none."""
    if other.probs is None:
        return np.full((2, *other.token.shape), np.nan)
    ends = np.stack(pit_interval(other.probs, np.maximum(other.token, 0)))
    return np.where(other.token >= 0, ends, np.nan)


def bins_of(uniform: Floats) -> Longs:
    """Bin of every variate, of :data:`VARIATE_BINS`."""
    return np.clip((np.nan_to_num(uniform) * VARIATE_BINS).astype(np.int64), 0, VARIATE_BINS - 1)


def repeated_in_pass(view: View, noise: Floats) -> Batch | None:
    """Whether a position's acceptance variate equals that of the position before, at the same pass."""
    commits = view.commits
    same_pass = (commits.slot > 0) & (commits.iteration == earlier_position(commits.iteration, 1, -1))
    return _repeated(view, earlier_position(commits.uniform, 1, np.nan), same_pass, noise)


def repeated_in_slot(view: View, noise: Floats) -> Batch | None:
    """Whether it equals that of the same slot at the pass before, which was another position's."""
    return _repeated(view, view.commits.slot_uniform, view.commits.iteration > 0, noise)


def repeated_on_diagonal(view: View, noise: Floats) -> Batch | None:
    """Whether it equals that of the slot after at the pass before, if that was another position's."""
    return _repeated(view, view.commits.diagonal_uniform, view.commits.iteration > 0, noise)


def repeated_in_batch(view: View, noise: Floats) -> Batch | None:
    """Whether it equals that of another sequence, for the same position."""
    return _repeated(view, view.other_variates, np.ones(view.other_variates.shape, dtype=bool), noise)


def repeated_in_sequence(view: View, noise: Floats) -> Batch | None:
    """Whether it equals that of any earlier position of the sequence."""
    commits = view.commits
    known = commits.drafted & ~np.isnan(commits.uniform)
    if not known.any():
        return None
    order = np.argsort(np.where(known, commits.uniform, np.nan), axis=1, kind="stable")  # of equal ones, earlier first
    ordered = np.take_along_axis(np.where(known, commits.uniform, np.nan), order, axis=1)
    equal = np.zeros(known.shape, dtype=np.int64)
    np.put_along_axis(equal, order[:, 1:], (ordered[:, 1:] == ordered[:, :-1]).astype(np.int64), axis=1)
    each = np.where(known, 2.0 ** -_bits(commits.uniform), 0)
    chance = np.minimum(np.cumsum(each, axis=1) - each, 1)
    return _repetitions(equal, chance, noise, known)


def repeated_for_life(view: View, noise: Floats) -> Batch | None:
    """Whether it equals that of the same position at the pass before, where that one made the draft.

    It decided nothing yet; but what verification says of a slot is its next draft under maximal coupling.
    """
    if not _drafts_follow(view.commits.passes):
        return None
    return _repeated(view, view.commits.last_uniform, view.commits.age > 0, noise)


def _drafts_follow(passes: Passes) -> bool:
    """Whether the drafts that stay are those that were accepted, as far as slots say that were not committed."""
    left, kept = passes.used & ~passes.committed, passes.after == passes.draft
    accepted, rejected = left & passes.accepted, left & ~passes.accepted
    enough = min(accepted.sum(), rejected.sum()) >= FEWEST_LEFT
    return bool(enough and kept[accepted].mean() >= MOSTLY and (~kept[rejected]).mean() >= MOSTLY)


def _bits(uniform: Floats) -> Floats:
    """Binary digits of variates, up to :data:`MOST_BITS`."""
    scaled = np.nan_to_num(uniform) * 2.0**MOST_BITS
    number = scaled.astype(np.int64)
    lowest = np.where(number > 0, number & -number, 2**MOST_BITS)  # zero has no digit
    return np.where(scaled == number, MOST_BITS - np.log2(lowest), MOST_BITS)


def _repeated(view: View, other: Floats, where: np.ndarray, noise: Floats) -> Batch | None:
    known = view.commits.drafted & where & ~np.isnan(view.commits.uniform) & ~np.isnan(other)
    if not known.any():
        return None
    chance = 2.0 ** -_bits(other)  # at most: a generator that gave these digits has as many, or more
    return _repetitions((view.commits.uniform == other).astype(np.int64), chance, noise, known)


def _repetitions(equal: Longs, chance: Floats, noise: Floats, known: np.ndarray) -> Batch:
    laws = np.stack([1 - chance, chance], axis=-1)
    always = np.broadcast_to(np.array([0.0, 1.0]), laws.shape)
    return observed(equal, laws, noise, known, {"repeated": always})
