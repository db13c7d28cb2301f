"""What became of every draft: one state a cell of the explorer, one letter a state."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from scd_analysis.trace.trajectories import Arrays

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class State:
    """How a cell looks and what that means.

    Attributes
    ----------
    letter : str
        In the data of the page, and in its style sheet.
    glyph : str
        In the cell, so that colour is never the only sign.
    label, meaning : str
        In the legend.
    """

    letter: str
    glyph: str
    label: str
    meaning: str


STATES = {
    state.label: state
    for state in (
        State("a", "✓", "accepted", "verified and committed"),
        State("r", "✗", "rejected", "failed verification; the residual draw is committed"),
        State("k", "=", "kept", "waits; the next draft is the same token"),
        State("c", "≠", "changed", "waits; the next draft is another token"),
        State("b", "+", "bonus", "drawn past a window accepted whole"),
        State("o", "!", "irregular", "committed, but not as verified"),
    )
}

CELL_VARIABLES = ("base", "num_committed", "bonus_token", "draft_token", "next_token", "accepted", "committed")


def slots_in_use(part: Arrays, num_tokens: int) -> npt.NDArray[np.bool_]:
    """Slots that held a draft, Bool[S, T, L]."""
    position = part["base"][..., None] + np.arange(part["draft_token"].shape[-1])
    return np.asarray((position < num_tokens) & ~np.isnan(part["draft_token"]))


def states(part: Arrays, num_tokens: int) -> npt.NDArray[np.str_]:
    """State of every slot.

    A draft is *reached* when every draft before it in the window was accepted. The first that was not is the rejection
    of the pass, committed or not. A commit is irregular where the draft was not reached, or was accepted and yet
    another token stands there.

    Parameters
    ----------
    part : dict of str to ndarray
        ``base`` [S, T] and the slots' variables [S, T, L] of some sequences, NaN where unused.
    num_tokens : int
        N.

    Returns
    -------
    ndarray
        Str[S, T, L] of letters of :data:`STATES`; empty where there is no draft.
    """
    used = slots_in_use(part, num_tokens)
    accepted, committed = ((part[name] == 1) & used for name in ("accepted", "committed"))
    passed = np.cumprod(np.where(used, accepted, True), axis=-1).astype(bool)
    reached = np.concatenate([np.ones_like(passed[..., :1]), passed[..., :-1]], axis=-1) & used
    same = part["draft_token"] == part["next_token"]
    letter = {label: state.letter for label, state in STATES.items()}
    out = np.where(same, letter["kept"], letter["changed"])
    out[committed & accepted] = letter["accepted"]
    out[(reached | committed) & ~accepted] = letter["rejected"]
    out[committed & (~reached | (accepted & ~same))] = letter["irregular"]
    out[~used] = ""
    return out
