"""Noise that is used again, pinned down by what it did before.

Where one variate serves a slot in all sequences of a batch, or in all passes of a sequence, each use narrows it to an
interval: the accepted draft was likelier than it, the token drawn lies where it fell. What it does next is then all but
known. The variates themselves need not have been recorded.
"""

from __future__ import annotations

import numpy as np

from scd_analysis.audit.observations import View, acceptance_law, is_drawn, residual_laws
from scd_analysis.evidence.batch import Batch, Floats, Longs, observations
from scd_analysis.evidence.pit import pit_interval


def acceptances(view: View, noise: Floats) -> Batch | None:
    """Acceptance of each draft under ``min(1, p/q)``."""
    commits = view.commits
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = commits.target_prob / commits.draft_prob
    known = commits.drafted & ~np.isnan(ratio)
    laws = acceptance_law(np.clip(ratio[known], 0, 1))
    return _pinned(view, noise, np.nonzero(known), commits.accepted[known].astype(np.int64), laws)


def drafts(view: View, noise: Floats) -> Batch | None:
    """Drafts under their declared laws."""
    commits = view.commits
    if commits.draft_probs is None:
        return None
    drawn = is_drawn(commits)
    return _pinned(view, noise, np.nonzero(drawn), commits.draft[drawn], commits.draft_probs[drawn])


def replacements(view: View, noise: Floats) -> Batch | None:
    """Replacements of rejected drafts under the residual."""
    found = residual_laws(view)
    if found is None:
        return None
    known, laws = found
    return _pinned(view, noise, np.nonzero(known), view.commits.final[known], laws)


def bonuses(view: View, noise: Floats) -> Batch | None:
    """Tokens past a window that was accepted whole, under the model's law."""
    commits, laws = view.commits, view.model_probs
    if laws is None:
        return None
    return _pinned(view, noise, np.nonzero(commits.bonus), commits.final[commits.bonus], laws[commits.bonus])


def _pinned(view: View, noise: Floats, at: tuple[Longs, ...], tokens: Longs, laws: Floats) -> Batch | None:
    """Observations with the laws that they have where a slot's variate serves a batch, or a sequence."""
    if not len(tokens):
        return None
    commits, (sequence, position) = view.commits, at
    before = np.maximum(position - 1, 0)  # a bonus token belongs to the pass that committed the position before it
    own = commits.iteration[at] >= 0
    iteration, slot = (
        np.where(own, where[at], where[sequence, before] + shift)
        for where, shift in ((commits.iteration, 0), (commits.slot, 1))
    )
    width = commits.passes.used.shape[2] + 1
    keys = {"in-batch": iteration * width + slot, "in-slot": sequence * width + slot}
    low, high = pit_interval(laws / laws.sum(axis=-1, keepdims=True), tokens)
    companions = {
        name: against_the_rest(_share_inside(low, high, *_narrowed(key, low, high))) for name, key in keys.items()
    }
    none = np.zeros(len(tokens), dtype=np.int64)
    return observations(at, none, against_the_rest(high - low), noise[at], companions, {})


def against_the_rest(probability: Floats) -> Floats:
    """Each observation's own token, against all others, Float[n, 2]: a blend reads no more of a law."""
    return np.stack([probability, 1 - probability], axis=-1)


def _share_inside(low: Floats, high: Floats, start: Floats, stop: Floats) -> Floats:
    """Probability of the tokens at [low, high) for a variate that is uniform on [start, stop), Float[n] each."""
    overlap = np.minimum(high, stop) - np.maximum(low, start)
    return np.clip(overlap / np.maximum(stop - start, 1e-12), 0, 1)


def _narrowed(key: Longs, low: Floats, high: Floats) -> tuple[Floats, Floats]:
    """Intervals that earlier uses of the same key leave for its variate, Float[n] each; [0, 1] where nothing does.

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
