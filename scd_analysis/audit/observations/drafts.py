"""Drafts under their declared laws, and the laws that slips would have drawn them from instead."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from scd_analysis.audit.commits import Entries, Scalars
from scd_analysis.audit.observations.view import Observations, View, against_the_rest, is_drawn
from scd_analysis.evidence.batch import Floats, Longs
from scd_analysis.laws.kernels import tilted


class Drafts(Observations):
    """Drafts at the pass that commits their position.

    The other laws are functions of earlier positions; what the position itself went through is not, and is left alone.
    """

    def is_old(self) -> Floats:
        """One where a draft survived a pass."""
        return self.pick((self.view.commits.age > 1).astype(float))

    def target(self) -> Floats | None:
        """The law that drafts are verified against."""
        laws = self.view.target_probs
        return None if laws is None else self.pick(laws)

    def of_slot_before(self) -> Floats | None:
        """The law that is declared for the draft in the slot before, at the same pass."""
        commits, (sequence, position) = self.view.commits, self.at
        if commits.draft_probs is None:
            return None
        before = sequence, np.maximum(position - 1, 0)
        there = (self.pick(commits.slot) > 0) & (commits.iteration[before] == self.pick(commits.iteration))
        return np.where(there[:, None], commits.draft_probs[before], np.nan)

    @cached_property
    def _two_passes(self) -> tuple[Floats, Floats] | None:
        """Target laws of the pass that drew a draft, and of the pass before that."""
        before = self.view.commits.earlier
        if before is None or before.last_target_probs is None or before.earlier_target_probs is None:
            return None
        return self.pick(before.last_target_probs), self.pick(before.earlier_target_probs)

    def last_target(self) -> Floats | None:
        """The target law of the pass that drew the draft."""
        return None if self._two_passes is None else self._two_passes[0]

    def earlier(self) -> Floats | None:
        """The target law of two passes before."""
        return None if self._two_passes is None else self._two_passes[1]

    def tilted(self) -> Floats | None:
        """The last target law, tilted toward what rose (SJD-VP)."""
        if self._two_passes is None:
            return None
        last, earlier = self._two_passes
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(tilted(last, earlier))

    def by_hand(self) -> Floats | None:
        """A coupling with the last target in the residual's place."""
        if self._two_passes is None:
            return None
        shared, last = np.minimum(*self._two_passes), self._two_passes[0]
        return np.asarray(shared + (1 - shared.sum(axis=-1, keepdims=True)) * last)

    def kept(self) -> Floats | None:
        """Drafts that stay where they are likely enough, else are drawn anew."""
        if self._two_passes is None:
            return None
        last, earlier = self._two_passes
        with np.errstate(invalid="ignore"):
            kept = earlier * (last > 0.5 * earlier)
        return np.asarray(kept + (1 - kept.sum(axis=-1, keepdims=True)) * last)


def drafts(view: View, noise: Floats) -> Drafts | None:
    """Drafts under their declared laws."""
    commits = view.commits
    if commits.draft_probs is None:
        return None
    at = np.nonzero(is_drawn(commits))
    return Drafts(view, at, commits.draft[at], commits.draft_probs[at])


@dataclass(frozen=True)
class FirstDrafts(Observations):
    """First drafts of positions, and the neighbours that they may be copies of.

    Attributes
    ----------
    entries : Entries
    """

    entries: Entries

    @cached_property
    def _first(self) -> Longs:
        """The first of the positions that enter at the same pass, Long[S, N]."""
        iteration = self.entries.iteration
        own = np.arange(iteration.shape[1])
        new = np.diff(iteration, axis=1, prepend=-2) != 0
        return np.asarray(np.maximum.accumulate(np.where(new, own, 0), axis=1))

    def left(self) -> Longs:
        """The token to the left of those that enter together."""
        return self.pick(self._known_token(self._first - 1))

    def upper(self) -> Longs:
        """The token above, known when the position enters."""
        own = np.arange(self._first.shape[1])
        width = self.view.grid_width or len(own)
        return self.pick(self._known_token(own - width * ((own - self._first) // width + 1)))

    def _known_token(self, place: Longs) -> Longs:
        """What positions Long[S, N] hold when another enters: committed, or a draft; -1 for a negative position."""
        commits, iteration = self.view.commits, np.maximum(self.entries.iteration, 0)
        passes, rows = commits.passes, np.arange(len(place))[:, None]
        slot = place - passes.first(iteration)
        draft = passes.draft[rows, iteration, np.clip(slot, 0, passes.draft.shape[2] - 1)]
        known = np.where(slot < 0, commits.final[rows, np.maximum(place, 0)], draft)
        return np.where(place >= 0, known, -1)


def first_drafts(view: View, noise: Floats) -> FirstDrafts | None:
    """First drafts of all positions under laws that were declared for them.

    Positions enter in order, so this is a martingale of its own, at the pass that first drafts each.
    """
    entries = view.commits.entries
    if entries is None or entries.probs is None:
        return None
    with np.errstate(invalid="ignore"):
        drawn = (entries.iteration > 0) & (entries.probs.max(axis=-1) < 1)  # at the first pass nothing can be copied
    if not drawn.any():
        return None
    at = np.nonzero(drawn)
    return FirstDrafts(view, at, entries.token[at], entries.probs[at], entries)


@dataclass(frozen=True)
class DraftScalars(Observations):
    """Two numbers of each draft whose means follow from its declared law, both in [0, 1].

    Attributes
    ----------
    scalars : Scalars
    """

    scalars: Scalars

    def acceptance(self) -> Floats:
        """``min(1, p/q)`` of the draft."""
        commits = self.view.commits
        with np.errstate(divide="ignore", invalid="ignore"):
            return self.pick(np.clip(commits.target_prob / commits.draft_prob, 0, 1))

    def acceptance_mean(self) -> Floats:
        """Its mean, ``1 - TV``."""
        return self.pick(np.clip(1 - self.scalars.total_variation, 0, 1))

    def target_prob(self) -> Floats:
        """``p`` of the draft."""
        return self.pick(np.clip(self.view.commits.target_prob, 0, 1))

    def target_prob_mean(self) -> Floats:
        """Its mean, ``sum p q``."""
        return self.pick(np.clip(self.scalars.collision, 0, 1))


def draft_scalars(view: View, noise: Floats) -> DraftScalars | None:
    """Numbers of drafts that are recorded even where laws are not; where the law is known, it says more."""
    commits, scalars = view.commits, view.commits.scalars
    if scalars is None:
        return None
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.clip(commits.target_prob / commits.draft_prob, 0, 1)
        active = commits.drafted & (commits.draft_prob < 1) & ~np.isnan(ratio + scalars.total_variation)
    if commits.draft_probs is not None:
        active &= np.isnan(commits.draft_probs).any(axis=-1)
    if not active.any():
        return None
    at = np.nonzero(active)
    return DraftScalars(view, at, np.zeros(len(at[0]), dtype=np.int64), np.ones((len(at[0]), 1)), scalars)


@dataclass(frozen=True)
class Avoiding(Observations):
    """Drafts against all other tokens, and under laws without tokens that were there when they were drawn.

    Attributes
    ----------
    probabilities : (Float[A], Float[A])
        Of the draft, without the one before it, and without all before it of its pass.
    """

    probabilities: tuple[Floats, Floats]

    def unlike_previous(self) -> Floats:
        """Without the draft before it."""
        return against_the_rest(self.probabilities[0])

    def without_replacement(self) -> Floats:
        """Without all drafts before it of its pass."""
        return against_the_rest(self.probabilities[1])


def avoiding_drafts(view: View, noise: Floats) -> Avoiding | None:
    """Drafts that may avoid others: what a repetition penalty does, or drawing without replacement."""
    commits, declared, earlier = view.commits, view.commits.draft_probs, view.commits.earlier
    if declared is None or earlier is None:
        return None
    redrawn = is_drawn(commits) & (commits.iteration > 0) & (earlier.drawn_slot > 0)
    if not redrawn.any():
        return None
    passes, at = commits.passes, np.nonzero(redrawn)
    laws, token, slot = declared[at], commits.draft[at], earlier.drawn_slot[at]
    own = np.take_along_axis(laws, token[:, None], axis=-1)[:, 0]
    row, iteration = at[0], commits.iteration[at] - 1
    avoided: list[Longs] = []
    mass, previous = np.zeros_like(own), own
    for back in range(1, passes.used.shape[2]):
        there, place = slot >= back, np.maximum(slot - back, 0)
        before = np.where(there, passes.after[row, iteration, place], -1)
        if back == 1:
            previous = _without(own, token, laws, before)
        drafted = passes.used[row, iteration, place] & ~passes.committed[row, iteration, place]
        before = np.where(drafted & ~np.any([before == other for other in avoided], axis=0), before, -1)
        mass += _mass(laws, before)
        avoided.append(before)
    hit = np.any([token == other for other in avoided], axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        replaced = np.where(hit, 0, own / (1 - mass))
    return Avoiding(view, at, np.zeros(len(own), dtype=np.int64), against_the_rest(own), (previous, replaced))


def _mass(laws: Floats, token: Longs) -> Floats:
    """Probability of a token each, Float[A]; of -1, none."""
    found = np.take_along_axis(laws, np.maximum(token, 0)[:, None], axis=-1)[:, 0]
    return np.where(token >= 0, found, 0.0)


def _without(own: Floats, token: Longs, laws: Floats, avoided: Longs) -> Floats:
    """Probability of ``token`` where one token cannot come, Float[A]; NaN where that leaves nothing."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(token == avoided, 0, own / (1 - _mass(laws, avoided))))


def held_drafts(view: View, noise: Floats) -> Observations | None:
    """Drafts that a pass left to a later one though the commit rule commits them, under their declared laws.

    A decoder may wait, but what it waits for must not be the draft's own doing.
    """
    held = view.commits.held
    if held is None or held.probs is None:
        return None
    with np.errstate(invalid="ignore"):
        drawn = (held.iteration >= 0) & (held.probs.max(axis=-1) < 1)
    if not drawn.any():
        return None
    at = np.nonzero(drawn)
    return Observations(view, at, held.token[at], held.probs[at])
