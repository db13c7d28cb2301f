"""Noise that is used again, pinned down by what it did before.

Where one variate serves a slot in all sequences of a batch, or in all passes of a sequence, each use narrows it to an
interval: the accepted draft was likelier than it, the token drawn lies where it fell. What it does next is then all but
known. The variates themselves need not have been recorded.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from scd_analysis.audit.observations.acceptance import acceptance_law
from scd_analysis.audit.observations.replacements import residual_laws
from scd_analysis.audit.observations.view import Observations, View, against_the_rest, is_drawn
from scd_analysis.evidence.batch import Floats, Longs
from scd_analysis.evidence.pit import pit_interval


@dataclass(frozen=True)
class UsedAgain(Observations):
    """What slots drew, and the laws that it has where a slot's variate serves a batch, or a sequence.

    Attributes
    ----------
    name : str
        What it is that was drawn.
    low, high : Float[A]
        The interval of the variate that each use tells.
    drawn_slot : Long[S, N] or None
        Where an earlier pass drew it; -1 where none did.
    """

    name: str
    low: Floats
    high: Floats
    drawn_slot: Longs | None = None

    @cached_property
    def _place(self) -> tuple[Longs, Longs]:
        """Pass and slot of each, Long[A]; a bonus token belongs to the pass that committed the position before it."""
        commits, (sequence, position) = self.view.commits, self.at
        before = np.maximum(position - 1, 0)
        own = commits.iteration[self.at] >= 0
        iteration, slot = (
            np.where(own, where[self.at], where[sequence, before] + shift)
            for where, shift in ((commits.iteration, 0), (commits.slot, 1))
        )
        return iteration, slot

    def in_batch(self) -> Floats:
        """One variate serves a slot in several sequences."""
        iteration, slot = self._place
        return self._with_one_by(iteration * (self.view.commits.passes.used.shape[2] + 1) + slot)

    def in_slot(self) -> Floats:
        """One variate serves a slot at all passes of a sequence."""
        return self._with_one_by(self.at[0] * (self.view.commits.passes.used.shape[2] + 1) + self._place[1])

    def in_half(self) -> Floats | None:
        """One variate serves two rows half a batch apart."""
        rows = self.view.rows
        if rows is None or rows.size < 2:
            return None
        iteration, slot = self._place
        key = 2 * (iteration * (self.view.commits.passes.used.shape[2] + 1) + slot)
        if self.drawn_slot is not None:  # what an earlier pass drew, in the slot where it did
            before = self.pick(self.drawn_slot)
            key = np.where(before >= 0, key + 2 * (before - slot) + 1, key)
        row = rows.number[self.at[0]]
        narrowed = self.view.halves[self.name].narrow(row, rows.size // 2, key, self.low, self.high)
        return self._with_those(narrowed)

    def _with_one_by(self, key: Longs) -> Floats:
        return self._with_those(_narrowed(key, self.low, self.high))

    def _with_those(self, narrowed: tuple[Floats, Floats]) -> Floats:
        return against_the_rest(_share_inside(self.low, self.high, *narrowed))


def acceptances_again(view: View, noise: Floats) -> UsedAgain | None:
    """Acceptance of each draft under ``min(1, p/q)``."""
    commits = view.commits
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = commits.target_prob / commits.draft_prob
    known = commits.drafted & ~np.isnan(ratio)
    laws = acceptance_law(np.clip(ratio[known], 0, 1))
    return _used_again("acceptance", view, np.nonzero(known), commits.accepted[known].astype(np.int64), laws)


def drafts_again(view: View, noise: Floats) -> UsedAgain | None:
    """Drafts under their declared laws."""
    commits = view.commits
    if commits.draft_probs is None:
        return None
    drawn = is_drawn(commits)
    found = _used_again("draft", view, np.nonzero(drawn), commits.draft[drawn], commits.draft_probs[drawn])
    if found is None or commits.earlier is None:
        return found
    return replace(found, drawn_slot=np.where(commits.age > 0, commits.earlier.drawn_slot, -1))


def replacements_again(view: View, noise: Floats) -> UsedAgain | None:
    """Replacements of rejected drafts under the residual."""
    found = residual_laws(view)
    if found is None:
        return None
    known, laws = found
    return _used_again("replacement", view, np.nonzero(known), view.commits.final[known], laws)


def bonuses_again(view: View, noise: Floats) -> UsedAgain | None:
    """Tokens past a window that was accepted whole, under the model's law."""
    commits, laws = view.commits, view.model_probs
    if laws is None:
        return None
    return _used_again("bonus", view, np.nonzero(commits.bonus), commits.final[commits.bonus], laws[commits.bonus])


def _used_again(name: str, view: View, at: tuple[Longs, ...], tokens: Longs, laws: Floats) -> UsedAgain | None:
    if not len(tokens):
        return None
    low, high = pit_interval(laws / laws.sum(axis=-1, keepdims=True), tokens)
    none = np.zeros(len(tokens), dtype=np.int64)
    return UsedAgain(view, at, none, against_the_rest(high - low), name, low, high)


def _share_inside(low: Floats, high: Floats, start: Floats, stop: Floats) -> Floats:
    """Probability of the tokens at [low, high) for a variate that is uniform on [start, stop), Float[A] each."""
    overlap = np.minimum(high, stop) - np.maximum(low, start)
    return np.clip(overlap / np.maximum(stop - start, 1e-12), 0, 1)


def _narrowed(key: Longs, low: Floats, high: Floats) -> tuple[Floats, Floats]:
    """Intervals that earlier uses of the same key leave for its variate, Float[A] each; [0, 1] where nothing does.

    Uses that contradict each other are uses of different variates: the last one counts.
    """
    starts, stops = np.zeros_like(low), np.ones_like(high)
    known: dict[int, tuple[float, float]] = {}
    for i, (name, first, last) in enumerate(zip(key.tolist(), low.tolist(), high.tolist(), strict=True)):
        if name in known:
            starts[i], stops[i] = start, stop = known[name]
            narrowed = max(start, first), min(stop, last)
            known[name] = narrowed if narrowed[0] < narrowed[1] else (first, last)
        else:
            known[name] = first, last
    return starts, stops
