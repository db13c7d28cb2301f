"""Variates, uniform and new for every use.

Those of acceptance are recorded; those of inverse CDFs are known as far as the tokens that they gave tell.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from scd_analysis.audit.commits import Bools, Drawn
from scd_analysis.audit.observations.replacements import residual_laws
from scd_analysis.audit.observations.view import Observations, View, centred, earlier_position, is_redrawn
from scd_analysis.evidence.batch import Floats, Longs
from scd_analysis.evidence.pit import between, pit_interval

VARIATE_BINS = 16


def bins_of(uniform: Floats) -> Longs:
    """Bin of every variate, of :data:`VARIATE_BINS`."""
    return np.clip((np.nan_to_num(uniform) * VARIATE_BINS).astype(np.int64), 0, VARIATE_BINS - 1)


def _flat(size: int) -> Floats:
    return np.full((size, VARIATE_BINS), 1 / VARIATE_BINS)


def _has_variate(view: View) -> Bools:
    return np.asarray(~np.isnan(view.commits.deciding))


class Variates(Observations):
    """Acceptance variates, in circumstances that must not matter."""

    @cached_property
    def _known(self) -> Floats:
        """The variates, Float[S, N], NaN where there is none."""
        return self.view.commits.deciding

    def before(self) -> Floats:
        """What the position before tells of its variate, which was below p/q: p/q less one; zero for a first slot.

        Not the variate itself: given what it decided, it may be rescaled and used again.
        """
        below = earlier_position(np.where(np.isnan(self._known), np.nan, self._accept), 1, np.nan)
        return self.pick(np.where(self.view.commits.slot > 0, np.nan_to_num(below - 1), 0))

    @cached_property
    def _accept(self) -> Floats:
        """Probability of acceptance, Float[S, N]; zero where it is not known."""
        commits = self.view.commits
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.clip(np.nan_to_num(commits.target_prob / commits.draft_prob, posinf=1), 0, 1)

    def above(self) -> Floats:
        """The variate of the sequence before, from -1 to 1."""
        return self.pick(np.vstack([np.zeros((1, self._known.shape[1])), centred(self._known)[:-1]]))

    def later_slot(self) -> Floats:
        """One behind the first slot."""
        return self.pick((self.view.commits.slot > 0).astype(float))

    def likely(self) -> Floats:
        """How likely acceptance is, from -1 to 1."""
        return self.pick(centred(self._accept))


def variates(view: View, noise: Floats) -> Variates | None:
    """Acceptance variates under the uniform law, whatever the draft."""
    known = _has_variate(view)
    if not known.any():
        return None
    at = np.nonzero(known)
    return Variates(view, at, bins_of(view.commits.uniform[at]), _flat(len(at[0])))


class OfDrafts(Observations):
    """Acceptance variates, given where their drafts lie in the declared law."""

    @cached_property
    def _interval(self) -> tuple[Floats, Floats]:
        probs = self.view.commits.draft_probs
        assert probs is not None
        return pit_interval(self.pick(probs), self.pick(self.view.commits.draft))

    def of_draft(self) -> Floats:
        """The variate that drew the draft."""
        return between(self.laws, *self._interval)

    def of_draft_mirrored(self) -> Floats:
        """One less that."""
        low, high = self._interval
        return between(self.laws, 1 - high, 1 - low)


def of_drafts(view: View, noise: Floats) -> OfDrafts | None:
    """Acceptance variates where the draft's law is known: what one variate for both would tie."""
    commits = view.commits
    if commits.draft_probs is None:
        return None
    known = _has_variate(view) & ~np.isnan(commits.draft_probs).any(axis=-1)
    known &= np.nan_to_num(commits.draft_probs).max(axis=-1, initial=0) < 1
    if not known.any():
        return None
    at = np.nonzero(known)
    return OfDrafts(view, at, bins_of(commits.uniform[at]), _flat(len(at[0])))


@dataclass(frozen=True)
class OfReplacements(Observations):
    """Acceptance variates, given where the replacement just before them lies in its residual.

    Attributes
    ----------
    interval : (Float[A], Float[A])
        Of the variate that drew it.
    """

    interval: tuple[Floats, Floats]

    def of_replacement(self) -> Floats:
        """The variate that drew it."""
        return between(self.laws, *self.interval)


def of_replacements(view: View, noise: Floats) -> OfReplacements | None:
    """Acceptance variates behind a replacement whose residual is known."""
    low, high = _replacement_before(view)
    known = _has_variate(view) & ~np.isnan(low)
    if not known.any():
        return None
    at = np.nonzero(known)
    return OfReplacements(view, at, bins_of(view.commits.uniform[at]), _flat(len(at[0])), (low[at], high[at]))


def _replacement_before(view: View) -> Floats:
    """Interval of the variate that drew the replacement at the position before, Float[2, S, N], NaN where none is."""
    commits, found = view.commits, residual_laws(view)
    ends = np.full((2, *commits.final.shape), np.nan)
    if found is not None:
        replaced, laws = found
        ends[:, replaced] = pit_interval(laws, commits.final[replaced])
    return np.stack([earlier_position(end, 1, np.nan) for end in ends])


@dataclass(frozen=True)
class InverseCdfs(Observations):
    """Where drafts lie in their declared laws, given where others do that may have been drawn with the same variate.

    Attributes
    ----------
    ends : Float[2, S, N]
        The interval of the variate of each draft, NaN where there is none.
    """

    ends: Floats

    def _with(self, ends: Floats | None) -> Floats | None:
        """The law of a variate in Float[2, S, N], or None where none is known."""
        if ends is None or np.isnan(ends[0]).all():
            return None
        first, last = (self.pick(end) for end in ends)
        return np.where(np.isnan(first)[:, None], np.nan, between(self.laws, first, last))

    def previous(self) -> Floats | None:
        """The variate of the position before."""
        return self._with(np.stack([earlier_position(end, 1, np.nan) for end in self.ends]))

    def above(self) -> Floats | None:
        """The variate of the sequence before."""
        return self._with(np.concatenate([np.full_like(self.ends[:, :1], np.nan), self.ends[:, :-1]], axis=1))

    def beside(self) -> Floats | None:
        """The variate of the slot beside."""
        earlier = self.view.commits.earlier
        return None if earlier is None else self._with(_interval(earlier.beside))

    def same_slot(self) -> Floats | None:
        """The variate that the slot had before the window moved."""
        earlier = self.view.commits.earlier
        return None if earlier is None else self._with(_interval(earlier.same_slot))

    def diagonal(self) -> Floats | None:
        """The variate of the slot after, one pass before."""
        earlier = self.view.commits.earlier
        return None if earlier is None else self._with(_interval(earlier.diagonal))

    def acceptance(self) -> Floats | None:
        """The variate that accepts the position before."""
        return self._with(np.stack([earlier_position(self.view.commits.uniform, 1, np.nan)] * 2))

    def replacement(self) -> Floats | None:
        """The variate that draws the replacement before."""
        return self._with(_replacement_before(self.view))


def inverse_cdfs(view: View, noise: Floats) -> InverseCdfs | None:
    """Where drafts lie in their declared laws."""
    commits = view.commits
    if commits.draft_probs is None:
        return None
    drawn = is_redrawn(commits)
    if not drawn.any():
        return None
    low, high = pit_interval(np.where(drawn[..., None], commits.draft_probs, 1.0), np.maximum(commits.draft, 0))
    at = np.nonzero(drawn)
    tokens = bins_of(low + noise * (high - low))[at]
    return InverseCdfs(view, at, tokens, _flat(len(tokens)), np.where(drawn, [low, high], np.nan))


def _interval(other: Drawn) -> Floats | None:
    """Ends of the interval of the variate that drew another draft, Float[2, S, N]; None where laws are unknown."""
    if other.probs is None:
        return None
    ends = np.stack(pit_interval(other.probs, np.maximum(other.token, 0)))
    return np.where(other.token >= 0, ends, np.nan)
