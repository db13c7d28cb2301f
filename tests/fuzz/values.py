"""Ways to rewrite what a trace holds, through Zarr: what comes out is a whole store."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from tests.fuzz.case import Case

DERIVED = (
    "draft_prob_of_token", "target_prob_of_token", "total_variation", "collision_independent", "collision_gumbel",
    "entropy", "renyi2",
)  # fmt: skip
LAWS = ("draft_probs", "target_probs")
OTHERS = (
    "accepted", "committed", "residual_drawn", "draft_token", "next_token", "bonus_token", "tokens", "base", "nfe",
    "age", "uniform", "num_committed",
)  # fmt: skip


@dataclass(frozen=True)
class Rewritten:
    """What was done.

    Attributes
    ----------
    description : str
    fault_stays : bool
        Whether a fault is still in what was recorded, so that it may not pass.
    may_refute : bool
        Whether what was recorded now is another decoder's, of which evidence may speak.
    """

    description: str
    fault_stays: bool
    may_refute: bool


def rewrite(case: Case, store: Path) -> Rewritten:
    """Change the values of one variable."""
    rng = case.rng
    group = zarr.open_group(str(store), mode="r+")
    name = rng.choice([n for n in (*LAWS, *LAWS, *DERIVED, *OTHERS) if n in group])
    array = group[name]
    values = np.asarray(array[:])
    how = rng.choice(
        ("nan", "some nan", "negative", "scaled", "zero", "large", "shuffled", "shifted", "flipped", "one")
    )
    changed = _changed(case, values, how)
    array[:] = changed
    no_law = name in LAWS and how not in ("shuffled", "shifted", "flipped")
    gone = how in ("nan", "some nan", "large", "negative")
    without = name == "uniform"  # a trace without variates shows a fault later, not never
    stays = name in DERIVED or no_law or (name in OTHERS and gone and not without)
    damage = no_law or gone
    return Rewritten(f"{name}: {how}", stays, not damage and name not in DERIVED)


def _changed(case: Case, values: Any, how: str) -> Any:
    generator = np.random.default_rng(case.rng.randrange(2**32))
    some = generator.random(values.shape) < case.rng.choice((0.01, 0.5))
    integer = np.issubdtype(values.dtype, np.integer)
    missing = -1 if integer else np.nan
    factor = case.rng.choice((2, -2, 0.5, 1e-3, 1e30) if not integer else (2, -2, 3))
    with np.errstate(all="ignore"):
        return {
            "nan": lambda: np.full_like(values, missing),
            "some nan": lambda: np.where(some, missing, values).astype(values.dtype),
            "negative": lambda: np.where(some, -np.abs(values) - (2 if integer else 0), values).astype(values.dtype),
            "scaled": lambda: (values * factor).astype(values.dtype),
            "zero": lambda: np.zeros_like(values),
            "large": lambda: np.where(some, 100 if integer else np.inf, values).astype(values.dtype),
            "shuffled": lambda: generator.permutation(values, axis=0),
            "shifted": lambda: np.roll(values, 1, axis=-1),
            "flipped": lambda: np.where(some & (values >= 0), 1 - values, values).astype(values.dtype),
            "one": lambda: np.where(some, 1, values).astype(values.dtype),
        }[how]()


def flip_one(case: Case, store: Path) -> str:
    """Change one recorded value to another that is possible there."""
    rng = case.rng
    group = zarr.open_group(str(store), mode="r+")
    name = rng.choice([n for n in (*LAWS, *DERIVED, *OTHERS) if n in group])
    array = group[name]
    values = np.asarray(array[:])
    used = np.argwhere((values >= 0) & np.isfinite(values))
    if not len(used):
        return f"{name}: nothing was recorded"
    index = tuple(int(i) for i in used[rng.randrange(len(used))])
    before = values[index]
    if name in ("accepted", "committed", "residual_drawn"):
        after: Any = 1 - before
    elif np.issubdtype(values.dtype, np.integer):
        after = rng.choice([x for x in range(4) if x != before])
    else:
        after = rng.choice((rng.random(), 0.0, 1.0, float(before) * (1 + 2.0 ** -rng.randrange(4, 24))))
    values[index] = after
    array[:] = values
    return f"{name}{list(index)}: {before} -> {after}"


def sizes(store: Path) -> int:
    """How many sequences a store says it has."""
    return int(json.loads((store / "nfe" / "zarr.json").read_text())["shape"][0])
