"""What a caller gives of a trace, checked and completed before it is written."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import numpy.typing as npt

from scd_analysis.errors import InputError
from scd_analysis.laws import kernels
from scd_analysis.trace.headers import read_json
from scd_analysis.trace.schema import COMPACT, FLAGS, LAWS, SCALARS_OF_LAWS, VARIABLES
from scd_analysis.validate import (
    as_array,
    check_laws,
    check_tokens,
    index_text,
    law_tolerance,
    precision_of,
    refuse_where,
)

Array = npt.NDArray[Any]


def checked_rows(given: dict[str, Any], sizes: dict[str, int]) -> dict[str, Array]:
    """Check one iteration, derive what follows from it, and say which slots are unused.

    Parameters
    ----------
    given : dict
        ``base`` and other variables of :mod:`scd_analysis.trace.schema`, as array_like with leading dimension B.
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
    _check_ranges(rows, used, sizes["vocab"])
    laws = _checked_laws(rows, given, used)
    rows.update({name: law for name, law in laws.items() if precision_of(given[name])})
    rows.update(_scalars_of_laws(rows, laws))
    rows.setdefault("committed", _leading(rows["accepted"].astype(bool) & used))
    rows.setdefault("residual_drawn", rows["committed"] * (1 - rows["accepted"]))
    bonus = rows.get("bonus_token", np.full(len(base), -1)) >= 0
    rows.setdefault("num_committed", (rows["committed"] * used).sum(1) + bonus)
    rows["draft_token"] = np.where(used, rows["draft_token"], -1)
    return {"base": base, **rows}


def checked_attributes(given: dict[str, Any], taken: dict[str, Any]) -> dict[str, Any]:
    """Check that attributes can be written, and that none has the name of one that the trace needs itself.

    Raises
    ------
    InputError
        Naming the attribute.
    """
    for name, value in given.items():
        if name in taken:
            raise InputError(f"{name} = {value!a:.60}: a trace has an attribute of this name already")
        try:
            read_json(json.dumps({str(name): value}, allow_nan=False, ensure_ascii=False).encode(), "it")
        except RecursionError:
            raise InputError(f"{name!a}: cannot be written as JSON: it is nested too deep") from None
        except (TypeError, ValueError) as error:
            called = name if name.isprintable() else ascii(name)
            raise InputError(f"{called} = {value!a:.200}: cannot be written as JSON: {error}") from None
    return given


def checked_ends(given: dict[str, Any], batch: int, num_tokens: int, vocab_size: int) -> dict[str, Array]:
    """Check what is known of a batch that is finished: ``tokens``, Long[B, N], and ``nfe``, Long[B]; -1 is unknown.

    Raises
    ------
    InputError
        For a shape that disagrees, or a value out of range.
    """
    ends = {"tokens": (0, vocab_size - 1), "nfe": (1, np.iinfo(np.int32).max)}
    shapes = {"tokens": (batch, num_tokens), "nfe": (batch,)}
    rows = {name: as_array(value, name, np.int64) for name, value in given.items() if value is not None}
    for name, values in rows.items():
        if values.shape != shapes[name]:
            raise InputError(f"{name} has shape {values.shape}: expected {shapes[name]}")
        low, high = ends[name]
        what = f"must lie between {low} and {high}, or be -1 where it is unknown"
        refuse_where((values != -1) & ((values < low) | (values > high)), values, name, what)
    return rows


def check_whole_laws(rows: dict[str, Array], stored: tuple[str, ...]) -> None:
    """Check that a trace that stores laws is given one of each kind for every draft.

    Raises
    ------
    InputError
        Naming the law and the draft that lack.
    """
    for name in stored:
        if name not in rows and (rows["draft_token"] >= 0).any():
            first = index_text(np.argwhere(rows["draft_token"] >= 0)[0])
            raise InputError(f"{name}: not given, for draft_token{first}; a trace with laws holds both of every draft")


def _array(name: str, value: Any, batch: int, sizes: dict[str, int]) -> Array:
    """One variable, of the shape that the schema says."""
    if name not in VARIABLES or name in COMPACT or "iteration" not in VARIABLES[name].dims:
        known = ", ".join(known for known in VARIABLES if known not in COMPACT)
        raise InputError(f"{name}: not a variable of a trace; known: {known}")
    array = as_array(value, name)
    if VARIABLES[name].is_integer:
        array = as_array(np.where(np.isnan(array), -1, array), name, np.int64)  # NaN is what an opened trace has there
    expected = (batch, *(sizes[dim] for dim in VARIABLES[name].dims[2:]))
    if array.shape != expected:
        raise InputError(f"{name} has shape {array.shape}: expected {expected}")
    return array


def _drafted(tokens: Array, inside: Array) -> Array:
    """The slots that hold a draft: those before the end of the sequence, less those from the first -1 on."""
    drafted = inside & (tokens != -1)
    holes = drafted[:, 1:] & ~drafted[:, :-1]
    refuse_where(holes, tokens[:, :-1], "draft_token", "only the last slots of a window can be without a draft")
    return np.asarray(drafted)


def _leading(accepted: Array) -> Array:
    """The slots up to and including the first that is not accepted."""
    before = np.cumprod(np.concatenate([np.ones_like(accepted[:, :1]), accepted[:, :-1]], axis=1), axis=1)
    return before.astype(np.int64)


def _check_ranges(rows: dict[str, Array], used: Array, vocab_size: int) -> None:
    """Check flags and variates where there are drafts, and bonus tokens."""
    for name in (name for name in FLAGS if name in rows):
        refuse_where(used & (rows[name] != 0) & (rows[name] != 1), rows[name], name, "must be 0 or 1")
    if "uniform" in rows:
        u = rows["uniform"]
        refuse_where(used & ((u < 0) | (u > 1)), u, "uniform", "must lie between 0 and 1")
    if "bonus_token" in rows:
        bonus = rows["bonus_token"]
        what = f"neither a token of a vocabulary of {vocab_size} nor -1, which is none"
        refuse_where((bonus < -1) | (bonus >= vocab_size), bonus, "bonus_token", what)


def _checked_laws(rows: dict[str, Array], given: dict[str, Any], used: Array) -> dict[str, Array]:
    """The laws that were given, uniform where there is no draft; narrow ones divided by their sums."""
    laws = {name: np.where(used[..., None], rows[name], 1.0 / rows[name].shape[-1]) for name in LAWS if name in rows}
    for name, law in laws.items():
        check_laws(law, name, tolerance=law_tolerance(given[name]))
        if precision_of(given[name]):
            laws[name] = law / law.sum(axis=-1, keepdims=True)
    return laws


def _scalars_of_laws(rows: dict[str, Array], laws: dict[str, Array]) -> dict[str, Array]:
    """What the trace stores of the laws, where the caller gave them and not the scalars."""
    token = rows["draft_token"][..., None]
    of_token = {name: np.take_along_axis(law, token, -1)[..., 0] for name, law in laws.items()}
    derived = {}
    if "draft_probs" in laws:
        derived["draft_prob_of_token"] = of_token["draft_probs"]
        if (impossible := of_token["draft_probs"] <= 0).any():
            first = np.argwhere(impossible)[0]
            at = index_text([*first, token[tuple(first)][0]])
            raise InputError(
                f"draft_probs{at} = 0: a draft of probability zero; if it was recorded as it was drawn, another law "
                "was declared than the one that drew it"
            )
    if "target_probs" in laws:
        derived["target_prob_of_token"] = of_token["target_probs"]
        derived["entropy"] = kernels.entropy(laws["target_probs"])
        derived["renyi2"] = kernels.renyi2_entropy(laws["target_probs"])
    if len(laws) == len(LAWS):
        both = laws["target_probs"], laws["draft_probs"]
        pairs = (kernels.total_variation, kernels.collision_independent, kernels.collision_gumbel)
        derived |= {kernel.__name__: kernel(*both) for kernel in pairs}
    return {name: derived[name] for name in SCALARS_OF_LAWS if name in derived and name not in rows}
