"""Drafts whose noise came before, further away: a table with fewer rows than positions, a ring that is not filled anew.

Neighbours are looked at in :mod:`scd_analysis.audit.observations` and :mod:`scd_analysis.audit.variates`.
"""

from __future__ import annotations

import numpy as np

from scd_analysis.audit.commits import Bools
from scd_analysis.audit.observations import View, earlier_position, is_drawn
from scd_analysis.audit.variates import VARIATE_BINS, bins_of
from scd_analysis.evidence.batch import Batch, Floats, Longs, observations
from scd_analysis.evidence.pit import between, pit_interval
from scd_analysis.evidence.races import second_winner

DISTANCES = range(2, 9)
ENTRIES = 64
"""Of a larger vocabulary V one position in V / 64 is looked at: races of all would take as long as everything else."""

MESSAGES = {f"apart-{d}": f"a draft is drawn with the noise of the position {d} before" for d in DISTANCES} | {
    "apart-window": "a draft is drawn with the noise of the position a window before: its ring is not filled anew",
    "apart-row": "a draft is drawn with the noise of the position above it",
}


def races(view: View, noise: Floats) -> Batch | None:
    """Drafts under their declared laws, and where Gumbel noise that has already drawn another would draw them."""
    declared = view.commits.draft_probs
    if declared is None:
        return None
    token, drawn = view.commits.draft, _is_redrawn(view)
    stride = max(1, declared.shape[-1] // ENTRIES)
    at = np.nonzero(drawn & (np.arange(drawn.shape[1]) % stride == 0))
    if not len(at[0]):
        return None
    laws, companions = declared[at], {}
    for name, back in _distances(view).items():
        there, before = _before(drawn, at, back)
        law = np.full(laws.shape, np.nan)
        law[there] = second_winner(laws[there], declared[before], token[before])
        companions[name] = law
    return observations(at, token[at], laws, noise[at], companions, {})


def inverse_cdfs(view: View, noise: Floats) -> Batch | None:
    """Where drafts lie in their declared laws, and where they would with another's variate, of the same pass."""
    declared, iteration = view.commits.draft_probs, view.commits.iteration
    if declared is None:
        return None
    drawn = _is_redrawn(view)
    at = np.nonzero(drawn)
    if not len(at[0]):
        return None
    low, high = pit_interval(declared[at], view.commits.draft[at])
    lows, highs = np.full(drawn.shape, np.nan), np.full(drawn.shape, np.nan)
    lows[at], highs[at] = low, high
    flat, companions = np.full((len(low), VARIATE_BINS), 1 / VARIATE_BINS), {}
    for name, back in _distances(view).items():
        there, before = _before(drawn, at, back)
        same = iteration[before] == iteration[at][there]  # committed together, so redrawn together
        there[there], before = same, (before[0][same], before[1][same])
        law = np.full(flat.shape, np.nan)
        law[there] = between(flat[there], lows[before], highs[before])
        companions[name] = law
    return observations(at, bins_of(low + noise[at] * (high - low)), flat, noise[at], companions, {})


def _is_redrawn(view: View) -> Bools:
    return np.asarray(is_drawn(view.commits) & (view.commits.age > 0))


def _distances(view: View) -> dict[str, int]:
    """Names of distances that there are, each once."""
    known = {f"apart-{d}": d for d in DISTANCES} | {"apart-window": view.commits.passes.used.shape[2]}
    known |= {"apart-row": view.grid_width} if view.grid_width else {}
    once = {d: name for name, d in reversed(known.items()) if 1 < d < view.commits.final.shape[1]}
    return {name: d for d, name in once.items()}


def _before(drawn: Bools, at: tuple[Longs, ...], back: int) -> tuple[Bools, tuple[Longs, Longs]]:
    """Which of the places have one that was redrawn ``back`` positions before, and these."""
    there = earlier_position(drawn, back, False)[at]
    return there, (at[0][there], at[1][there] - back)
