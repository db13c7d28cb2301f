"""One iteration as a caller gives it, checked and completed before it is written."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from scd_analysis.errors import InputError
from scd_analysis.laws import KERNELS
from scd_analysis.schema import COMPACT, LAWS, SCALARS_OF_LAWS, VARIABLES
from scd_analysis.validate import as_array, check_laws, check_tokens

Array = npt.NDArray[Any]


def checked_rows(given: dict[str, Any], sizes: dict[str, int]) -> dict[str, Array]:
    """Check one iteration, derive what follows from it, and say which slots are unused.

    Parameters
    ----------
    given : dict
        ``base`` and other variables of :mod:`scd_analysis.schema`, as array_like with leading dimension B.
    sizes : dict of str to int
        Of the dimensions ``slot``, ``vocab`` and ``position``.

    Returns
    -------
    dict of str to ndarray
        Variables; ``draft_token`` is -1 in unused slots, and in no other.

    Raises
    ------
    InputError
        For an unknown variable, a shape that disagrees, or a value out of range.
    LawError
        For a law that is not one, or a draft of probability zero.
    """
    base = as_array(given["base"], "base", np.int64)
    if base.ndim != 1:
        raise InputError(f"base has shape {base.shape}: expected [B]")
    for i, committed in enumerate(base):
        if not 0 <= committed <= sizes["position"]:
            raise InputError(f"base[{i}] = {committed}: must lie between 0 and {sizes['position']}")
    rows = {name: _array(name, value, len(base), sizes) for name, value in given.items() if name != "base"}
    used = _drafted(rows["draft_token"], base[:, None] + np.arange(sizes["slot"]) < sizes["position"])
    for name in ("draft_token", "next_token"):
        rows[name] = np.where(used, rows[name], 0)
        check_tokens(rows[name], sizes["vocab"], name)
    rows.update(_scalars_of_laws(rows, used))
    rows.setdefault("committed", _leading(rows["accepted"].astype(bool) & used))
    rows.setdefault("residual_drawn", rows["committed"] * (1 - rows["accepted"]))
    bonus = rows.get("bonus_token", np.full(len(base), -1)) >= 0
    rows.setdefault("num_committed", (rows["committed"] * used).sum(1) + bonus)
    rows["draft_token"] = np.where(used, rows["draft_token"], -1)
    return {"base": base, **rows}


def _array(name: str, value: Any, batch: int, sizes: dict[str, int]) -> Array:
    """One variable, of the shape that the schema says."""
    if name not in VARIABLES or name in COMPACT or "iteration" not in VARIABLES[name].dims:
        known = ", ".join(known for known in VARIABLES if known not in COMPACT)
        raise InputError(f"{name}: not a variable of a trace; known: {known}")
    array = as_array(value, name, np.int64 if VARIABLES[name].is_integer else np.float64)
    expected = (batch, *(sizes[dim] for dim in VARIABLES[name].dims[2:]))
    if array.shape != expected:
        raise InputError(f"{name} has shape {array.shape}: expected {expected}")
    return array


def _drafted(tokens: Array, inside: Array) -> Array:
    """The slots that hold a draft: those before the end of the sequence, less those from the first -1 on."""
    drafted = inside & (tokens != -1)
    holes = drafted[:, 1:] & ~drafted[:, :-1]
    if holes.any():
        i, k = (int(index) for index in np.argwhere(holes)[0])
        raise InputError(f"draft_token[{i}, {k}] = -1: only the last slots of a window can be without a draft")
    return np.asarray(drafted)


def _leading(accepted: Array) -> Array:
    """The slots up to and including the first that is not accepted."""
    before = np.cumprod(np.concatenate([np.ones_like(accepted[:, :1]), accepted[:, :-1]], axis=1), axis=1)
    return before.astype(np.int64)


def _scalars_of_laws(rows: dict[str, Array], used: Array) -> dict[str, Array]:
    """What the trace stores of the laws, where the caller gave them and not the scalars."""
    if not all(name in rows for name in LAWS):
        return {}
    shape = rows["draft_probs"].shape
    flat = np.full(shape, 1.0 / shape[-1])
    draft, target = (np.where(used[..., None], rows[name], flat) for name in LAWS)
    check_laws(draft, "draft_probs")
    check_laws(target, "target_probs")
    token = rows["draft_token"][..., None]
    of_token = np.take_along_axis(draft, token, -1)[..., 0]
    if (of_token <= 0).any():
        first = [int(i) for i in np.argwhere(of_token <= 0)[0]]
        raise InputError(f"draft_probs{[*first, int(token[tuple(first)][0])]} = 0: a draft of probability zero")
    derived = {
        "draft_prob_of_token": of_token,
        "target_prob_of_token": np.take_along_axis(target, token, -1)[..., 0],
        "total_variation": KERNELS["total_variation"](target, draft),
        "collision_independent": KERNELS["collision_independent"](target, draft),
        "collision_gumbel": KERNELS["collision_gumbel"](target, draft),
        "entropy": KERNELS["entropy"](target),
        "renyi2": KERNELS["renyi2_entropy"](target),
    }
    return {name: derived[name] for name in SCALARS_OF_LAWS if name not in rows}
