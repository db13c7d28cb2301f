"""Drafts that avoid the tokens before them: what a repetition penalty does, or drawing without replacement."""

from __future__ import annotations

import numpy as np

from scd_analysis.audit.observations import View, is_drawn
from scd_analysis.audit.pinned import against_the_rest
from scd_analysis.evidence.batch import Batch, Floats, Longs, observations


def drafts(view: View, noise: Floats) -> Batch | None:
    """Drafts under their declared laws, and under these without tokens that were there when they were drawn."""
    commits, declared = view.commits, view.commits.draft_probs
    if declared is None:
        return None
    redrawn = is_drawn(commits) & (commits.iteration > 0) & (commits.drawn_slot > 0)
    if not redrawn.any():
        return None
    passes, at = commits.passes, np.nonzero(redrawn)
    laws, token, slot = declared[at], commits.draft[at], commits.drawn_slot[at]
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
    companions = {"unlike-previous": against_the_rest(previous), "without-replacement": against_the_rest(replaced)}
    none = np.zeros(len(own), dtype=np.int64)
    return observations(at, none, against_the_rest(own), noise[at], companions, {})


def _mass(laws: Floats, token: Longs) -> Floats:
    """Probability of a token each, Float[n]; of -1, none."""
    found = np.take_along_axis(laws, np.maximum(token, 0)[:, None], axis=-1)[:, 0]
    return np.where(token >= 0, found, 0.0)


def _without(own: Floats, token: Longs, laws: Floats, avoided: Longs) -> Floats:
    """Probability of ``token`` where one token cannot come, Float[n]; NaN where that leaves nothing."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(token == avoided, 0, own / (1 - _mass(laws, avoided))))
