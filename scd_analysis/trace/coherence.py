"""What a record says twice, it says alike: damage is told from evidence.

Some variables of a trace are functions of others, whatever the decoder did, right or wrong: the window moves by what
was committed, a bonus token is that of the finished sequence, two numbers of one pair of laws bound each other. Where
they contradict each other the record is damaged or was written wrongly, which says nothing of the decoder: an error.
What a record says against the model or against theory is what an audit looks for: evidence.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from scd_analysis.errors import TraceError
from scd_analysis.validate import refuse_where

if TYPE_CHECKING:
    import xarray as xr

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]

JUDGED_BY = ("draft_prob_of_token", "target_prob_of_token", "total_variation", "collision_independent")
"""Numbers of laws that a verdict rests on: of every draft, or of none."""

ROUNDED = 1e-2
"""How far numbers of one pair of laws may be off one another: numbers in bfloat16 stay below it."""


def check_coherent(part: xr.Dataset) -> None:
    """Check that what some sequences of a trace say twice agrees.

    Parameters
    ----------
    part : xarray.Dataset
        Few enough sequences to load, with their numbers as coordinate ``sequence``.

    Raises
    ------
    TraceError
        Naming the variable, the index and the value.
    """
    values = {str(name): part[name].values.astype(np.float64) for name in part.data_vars}
    first = int(part["sequence"].values[0]) if part.sizes["sequence"] else 0
    used = ~np.isnan(values["draft_token"])
    _check_bases(values, used, first)
    _check_commits(values, used, first)
    _check_bonus(values, first)
    _check_recorded_of_all(values, used, first)
    _check_numbers(values, first)


def _refuse(name: str, bad: Array, values: dict[str, Array], first: int, what: str) -> None:
    refuse_where(bad, values[name], name, what, TraceError, first)


def _check_bases(values: dict[str, Array], used: Array, first: int) -> None:
    """Passes follow one another, also over those that a sequence took no part in, and stay inside the sequence."""
    base, moved = values["base"], values["num_committed"]
    length = values["tokens"].shape[1]
    held = used.any(axis=-1) | ~np.isnan(moved) | ~np.isnan(values["bonus_token"])
    _refuse("base", np.isnan(base) & held, values, first, "missing, and the pass holds tokens")
    _refuse("base", (base < 0) | (base > length), values, first, f"must lie between 0 and {length}")
    after = base + moved
    _refuse("num_committed", after > length, values, first, f"commits beyond the last of {length} tokens")
    last = np.full(len(base), np.nan)
    for t in range(base.shape[1]):
        made = ~np.isnan(base[:, t])
        wrong = np.zeros(base.shape, dtype=bool)
        wrong[:, t] = made & ~np.isnan(last) & (base[:, t] != last)
        gap = (base[:, t] - last)[wrong[:, t]][:1].sum()
        _refuse("base", wrong, values, first, "is not where the pass before left off" + remedy(gap))
        last = np.where(made, after[:, t], last)


def remedy(gap: float) -> str:
    """What a loop may have meant whose window moved by so many tokens more than it committed."""
    if gap == 1:
        return "; a token that a pass commits behind its drafts, or without any, is bonus_token"
    return ""


def _check_commits(values: dict[str, Array], used: Array, first: int) -> None:
    """What was drawn from the residual is what was committed and not accepted."""
    accepted, committed = values["accepted"] == 1, values["committed"] == 1
    drawn, known = values["residual_drawn"] == 1, used & ~np.isnan(values["residual_drawn"])
    other = known & (drawn != (committed & ~accepted))
    _refuse("residual_drawn", other, values, first, "1 where a committed draft was not accepted, and nowhere else")


def _check_bonus(values: dict[str, Array], first: int) -> None:
    """A bonus token is the last one that its pass commits."""
    bonus, tokens = values["bonus_token"], values["tokens"]
    s, t = np.nonzero(~np.isnan(bonus))
    position = (values["base"] + values["num_committed"])[s, t] - 1
    inside = (position >= 0) & (position < tokens.shape[1])
    final = np.full(bonus.shape, np.nan)
    final[s[inside], t[inside]] = tokens[s[inside], position[inside].astype(np.int64)]
    wrong = ~np.isnan(final) & (final != bonus)
    _refuse("bonus_token", wrong, values, first, "the finished sequence holds another token")


def _check_recorded_of_all(values: dict[str, Array], used: Array, first: int) -> None:
    """A number of laws that is recorded of some drafts is recorded of all."""
    for name in JUDGED_BY:
        missing = used & np.isnan(values[name])
        if not missing[used].all():
            _refuse(name, missing, values, first, "missing, and recorded of other drafts")


def _check_numbers(values: dict[str, Array], first: int) -> None:
    """Bounds between the numbers of a pair of laws; False where one is unknown.

    With p and q of one token: ``|p - q| <= TV``, ``p q <= C <= 1 - TV``, ``p^2 <= exp(-H2)`` and ``H2 <= H``; the law
    of a draft that is certain is a point mass, and then ``TV = 1 - p`` and ``C = p``.
    """
    draft, target, variation, collision = (values[name] for name in JUDGED_BY)
    entropy, renyi2 = values["entropy"], values["renyi2"]
    gap = variation - np.abs(target - draft)
    _refuse("total_variation", gap < -ROUNDED, values, first, "less than the laws differ at the draft alone")
    least = collision - target * draft
    _refuse("collision_independent", least < -ROUNDED, values, first, "less than at the draft alone")
    most = 1 - variation - collision
    _refuse("collision_independent", most < -ROUNDED, values, first, "more than any coupling allows, 1 - TV")
    certain = draft >= 1
    for name, number, expected in (
        ("total_variation", variation, 1 - target),
        ("collision_independent", collision, target),
    ):
        off = certain & (np.abs(number - expected) > ROUNDED)
        _refuse(name, off, values, first, "is not that of a point mass, which the draft's probability says")
    largest = np.exp(-renyi2 / 2) - target
    _refuse("target_prob_of_token", largest < -ROUNDED, values, first, "more than the recorded Renyi-2 entropy allows")
    order = entropy - renyi2
    _refuse("renyi2", order < -ROUNDED * (1 + np.abs(entropy)), values, first, "more than the recorded Shannon entropy")
