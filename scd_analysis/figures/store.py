"""The data behind a figure, on disk: a JSON file with columns, caption and settings."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from scd_analysis.errors import InputError
from scd_analysis.figures.base import Settings

DIGITS = 6
"""Significant digits kept of a number: more than a page resolves."""


@dataclass(frozen=True)
class Stored:
    """A frame as it is kept.

    Attributes
    ----------
    name : str
        Of the figure.
    caption : str
        What is seen.
    settings : dict
        What it was made with.
    frame : pandas.DataFrame
        What ``draw`` gets.
    """

    name: str
    caption: str
    settings: Settings
    frame: pd.DataFrame


def _plain(value: Any) -> Any:
    """A JSON value: numbers rounded, NaN as null."""
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, np.bool_):
        return bool(value)
    if isinstance(value, int | np.integer):
        return int(value)
    number = float(value)
    return None if not np.isfinite(number) else float(f"{number:.{DIGITS}g}")


def columns_of(frame: pd.DataFrame) -> dict[str, list[Any]]:
    """Columns of a frame as JSON values."""
    return {str(name): [_plain(value) for value in frame[name].tolist()] for name in frame.columns}


def frame_of(columns: dict[str, list[Any]]) -> pd.DataFrame:
    """The frame again; missing numbers are NaN."""
    frame = pd.DataFrame(columns)
    for name, values in columns.items():
        if all(value is None or isinstance(value, int | float) for value in values):
            frame[name] = pd.to_numeric(pd.Series(values, dtype="object" if None in values else None))
    return frame


def as_stored(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame as it will be read again: a caption speaks of the numbers that are kept."""
    return frame_of(columns_of(frame))


def to_text(stored: Stored) -> str:
    """The file's content."""
    head = {"figure": stored.name, "caption": stored.caption, "settings": stored.settings}
    lines = json.dumps(head, indent=1, ensure_ascii=False, allow_nan=False)
    columns = ",\n".join(f"  {json.dumps(k)}: {json.dumps(v)}" for k, v in columns_of(stored.frame).items())
    return f'{lines[:-2]},\n "columns": {{\n{columns}\n }}\n}}\n'


def load(path: Path) -> Stored:
    """Read a stored frame.

    Raises
    ------
    InputError
        If there is none, or it is not one.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(f"{path}: the frame is missing") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({error})") from None
    return parse(text, path)


def parse(text: str, path: Path) -> Stored:
    """Parse the content of a stored frame; ``path`` is for errors.

    Raises
    ------
    InputError
        If it is not one.
    """
    try:
        content = json.loads(text)
        name, caption, settings = content["figure"], content["caption"], content["settings"]
        if not (isinstance(name, str) and isinstance(caption, str) and isinstance(settings, dict)):
            raise TypeError("figure, caption and settings are a name, a text and an object")
        return Stored(name, caption, settings, frame_of(content["columns"]))
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise InputError(f"{path}: not a stored frame ({type(error).__name__}: {error})") from None
