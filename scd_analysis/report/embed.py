"""The sequences that the explorer shows: which, how much of their laws, and as what JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from scd_analysis.errors import InputError
from scd_analysis.figures.foreign import has
from scd_analysis.report.cells import CELL_VARIABLES, slots_in_use, states
from scd_analysis.trace import read_laws
from scd_analysis.trace.compact import form_of
from scd_analysis.trace.schema import LAWS
from scd_analysis.trace.trajectories import Arrays
from scd_analysis.validate import check_at_least, check_integer

MOST_TOKENS, FEWEST_TOKENS = 6, 2
"""Tokens of a law that are kept one by one, beside the draft and the token that followed it."""

BYTES = 4_200_000
"""Of JSON, so that the page stays below 5 MB."""

MOST_CELLS = 12_000
"""Of one sequence: what a browser lays out without a noticeable wait."""

_BYTES_A_CELL, _BYTES_A_TOKEN = 90, 21
_PASSES_AT_ONCE = 16

NUMBERS = {
    "uniform": "uniform",
    "draft_prob": "draft_prob_of_token",
    "target_prob": "target_prob_of_token",
    "total_variation": "total_variation",
    "collision_independent": "collision_independent",
    "collision_gumbel": "collision_gumbel",
    "entropy": "entropy",
    "renyi2": "renyi2",
    "age": "age",
}
"""Name in the page to variable of the trace."""


@dataclass(frozen=True)
class Embedded:
    """What the page holds of a trace.

    Attributes
    ----------
    sequences : list of dict
        One a sequence, in order; see :func:`encode`.
    left_out : int
        Sequences that were asked for and did not fit.
    num_sequences : int
        Of the trace.
    tokens : int
        Kept one by one of every law; 0 where laws were not recorded.
    """

    sequences: list[dict[str, Any]]
    left_out: int
    num_sequences: int
    tokens: int

    @property
    def numbers(self) -> list[int]:
        """Which sequences these are."""
        return [each["sequence"] for each in self.sequences]


def choose(sequences: int | Sequence[int], available: int, pointed_at: int | None) -> list[int]:
    """Resolve which sequences to show, the one that the diagnosis points at first.

    Raises
    ------
    InputError
        If there is no such sequence, or none is asked for.
    """
    if isinstance(sequences, (int, np.integer)):
        check_at_least(sequences, 1, "sequences")
        wanted = list(range(min(int(sequences), available)))
    else:
        wanted = [check_integer(number, f"sequences[{i}]") for i, number in enumerate(sequences)]
        for i, number in enumerate(wanted):
            if not 0 <= number < available:
                raise InputError(f"sequences[{i}] = {number}: the trace has {available} sequences")
        if not wanted:
            raise InputError("sequences: none is asked for")
    first = [pointed_at] if pointed_at is not None and pointed_at < available else []
    return list(dict.fromkeys([*first, *wanted]))


def embed(
    trace: xr.Dataset, sequences: int | Sequence[int], pointed_at: int | None = None, budget: int = BYTES
) -> Embedded:
    """Encode sequences until the budget is spent; laws are cut shorter before a sequence is left out.

    Parameters
    ----------
    trace : xarray.Dataset
        Completed, see :func:`scd_analysis.report.load.read_trace`.
    sequences : int or sequence of int
        How many from the first on, or which.
    pointed_at : int, optional
        A sequence to show in any case.
    budget : int
        Bytes of JSON.

    Raises
    ------
    InputError
        If there is no such sequence.
    """
    wanted = choose(sequences, trace.sizes["sequence"], pointed_at)
    fitting, tokens = _plan(trace, wanted, budget)
    names = [name for name in NUMBERS.values() if has(trace, name)]
    encoded: list[dict[str, Any]] = []
    spent = 0
    for number in wanted[:fitting]:
        one = encode(trace.isel(sequence=[number]), number, tokens, names)
        spent += len(json.dumps(one, separators=(",", ":")))
        if encoded and spent > budget:
            break
        encoded.append(one)
    in_order = sorted(encoded, key=lambda one: int(one["sequence"]))
    return Embedded(in_order, len(wanted) - len(encoded), trace.sizes["sequence"], tokens)


def has_laws(trace: xr.Dataset) -> bool:
    """Whether laws were recorded, in whatever form."""
    return form_of(trace) != "none"


def _plan(trace: xr.Dataset, wanted: list[int], budget: int) -> tuple[int, int]:
    """How many of the sequences fit, and how many tokens of every law beside them; rather too few than too many."""
    some = trace["draft_token"].isel(sequence=wanted).notnull().sum(("iteration", "slot")).values
    cells = np.cumsum(np.minimum(some, MOST_CELLS))
    own = 2  # the draft and its successor
    laws = has_laws(trace)
    least = _BYTES_A_CELL + (_BYTES_A_TOKEN * (FEWEST_TOKENS + own) if laws else 0)
    fitting = max(1, int((cells * least <= budget).sum()))
    fit = (budget / max(int(cells[fitting - 1]), 1) - _BYTES_A_CELL) / _BYTES_A_TOKEN - own
    return fitting, int(np.clip(fit, FEWEST_TOKENS, MOST_TOKENS)) if laws else 0


def encode(one: xr.Dataset, number: int, tokens: int, names: Sequence[str]) -> dict[str, Any]:
    """Encode one sequence, variable by variable, pass by pass, slot by slot.

    Parameters
    ----------
    one : xarray.Dataset
        Of a single sequence.
    number : int
        Which it is.
    tokens : int
        To keep of every law; 0 for no laws.
    names : sequence of str
        Numbers of a slot to keep.

    Returns
    -------
    dict
        ``sequence``, ``passes`` (how many there were), ``base``, ``bonus``, ``states`` (a string a pass), ``draft``,
        ``after``, ``accepted`` (taken alone) and ``committed`` (flags, a string a pass), the numbers under their names
        in the page, and ``laws``: ``[token, q, p, token, q, p, ..., rest of q, rest of p]`` a slot.
    """
    wanted = dict.fromkeys([*CELL_VARIABLES, *names])
    part: Arrays = {name: one[name].values[0] for name in wanted}
    happened = np.flatnonzero(~np.isnan(part["base"]))
    used = slots_in_use({name: values[None] for name, values in part.items()}, one.sizes["position"])[0]
    shown = happened[np.cumsum(used[happened].sum(1)) <= max(MOST_CELLS, int(used[happened[:1]].sum()))]
    letters = states({name: values[None] for name, values in part.items()}, one.sizes["position"])[0]

    def by_pass(name: str) -> list[list[Any]]:
        return [_short(part[name][t][used[t]]) for t in shown]

    out: dict[str, Any] = {
        "sequence": number,
        "passes": len(happened),
        "base": _short(part["base"][shown]),
        "bonus": _short(part["bonus_token"][shown]),
        "states": ["".join(letters[t]) for t in shown],
        "draft": by_pass("draft_token"),
        "after": by_pass("next_token"),
        "accepted": ["".join("01"[int(flag)] for flag in part["accepted"][t][used[t]]) for t in shown],
        "committed": ["".join("01"[int(flag)] for flag in part["committed"][t][used[t]]) for t in shown],
    }
    out |= {name: by_pass(variable) for name, variable in NUMBERS.items() if variable in part}
    if tokens and len(shown):
        out["laws"] = []
        for start in range(0, int(shown[-1]) + 1, _PASSES_AT_ONCE):
            few = one.isel(iteration=slice(start, start + _PASSES_AT_ONCE))
            q, p = (read_laws(few, name)[0] for name in LAWS)
            here = [int(t) for t in shown if start <= t < start + _PASSES_AT_ONCE]
            out["laws"] += [_laws(q[t - start][used[t]], p[t - start][used[t]], part, t, used[t], tokens) for t in here]
    return out


def _laws(
    q: npt.NDArray[np.float64],
    p: npt.NDArray[np.float64],
    part: Arrays,
    t: int,
    used: npt.NDArray[np.bool_],
    tokens: int,
) -> list[list[float]]:
    """The most probable tokens of either law of every slot of a pass, with the draft and its successor."""
    if not len(q):
        return []
    kept = min(tokens, q.shape[1])
    largest = np.argpartition(-np.maximum(q, p), kept - 1, axis=1)[:, :kept]
    out = []
    for k, row in enumerate(largest):
        own = [int(part[name][t][used][k]) for name in ("draft_token", "next_token")]
        chosen = sorted({*row.tolist(), *own}, key=lambda v: (-max(q[k, v], p[k, v]), v))
        flat: list[float] = []
        for v in chosen:
            flat += [v, *_short(np.array([q[k, v], p[k, v]]))]
        rest = np.array([1 - law[k, chosen].sum(dtype=np.float64) for law in (q, p)])
        out.append([*flat, *_short(np.where(rest < 1e-6, 0, rest))])  # what is left of a float32 law is rounding
    return out


def _short(values: npt.NDArray[Any]) -> list[Any]:
    """Numbers in three significant digits, whole ones as such, missing ones as None."""
    return [None if np.isnan(v) else int(v) if v == int(v) else float(f"{v:.3g}") for v in values.tolist()]
