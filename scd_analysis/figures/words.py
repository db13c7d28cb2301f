"""Pieces of captions, so that every figure says the same thing in the same words."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pandas as pd

from scd_analysis.figures.base import Settings
from scd_analysis.figures.style import look


def listed(parts: Iterable[str]) -> str:
    """``a, b and c``."""
    *first, last = list(parts)
    return f"{', '.join(first)} and {last}" if first else last


def by_method(values: dict[str, str]) -> str:
    """``SJD 108 and SCD-MC 64``."""
    return listed(f"{look(method).label} {value}" for method, value in values.items())


def bits(settings: Settings) -> str:
    """How well the model predicts, which every speed-up depends on; empty if nobody knows."""
    value = settings.get("bits_per_token_held_out")
    return "" if value is None else f", {value:.2f} bits a token held out"


def source(settings: Settings) -> str:
    """What the runs were: model, bits a token, windows, number of sequences and seed."""
    windows = sorted({run["window"] for run in settings["runs"]})
    counts = sorted({run["num_sequences"] for run in settings["runs"]})
    model = f"Model {settings['model']}{bits(settings)}" if settings.get("model") else "Model unnamed"
    seed = f"; seed {settings['seed']}" if "seed" in settings else ""
    return f"{model}; {_span('window', windows)}; {_span('sequences a method:', counts)}{seed}."


def with_ends(row: Any, digits: int = 2) -> str:
    """``2.31 [2.20, 2.43]``, of a row with ``value``, ``low`` and ``high``."""
    value, low, high = (f"{round(float(end), digits) + 0.0:.{digits}f}" for end in (row.value, row.low, row.high))
    return f"{value} [{low}, {high}]"


def _span(what: str, values: list[int]) -> str:
    return f"{what} {listed(str(value) for value in values)}"


def methods(frame: pd.DataFrame, column: str = "method") -> list[str]:
    """Methods in the order in which they were computed."""
    return list(dict.fromkeys(frame[column]))
