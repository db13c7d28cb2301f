"""What the gallery knows of a figure beyond how it is drawn: the runs or the result behind it, and what papers say."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from scd_analysis.figures.base import Figure

STUDIED = ("sjd", "scd-mc", "scd-gs")
"""What most figures show. SJD-PAC's tokens are SCD-MC's, so its marks would lie on those."""


@dataclass(frozen=True)
class RunSpec:
    """A decode that a figure needs.

    Attributes
    ----------
    model : str
        Name of a shipped model.
    method : str
        Name of a method of the reference decoder.
    window : int
        L.
    num_sequences : int
        How many; any longer run of the same kind will do, because sequence i is the same in both.
    """

    model: str
    method: str
    window: int
    num_sequences: int


@dataclass(frozen=True)
class Scale:
    """How much to decode.

    Attributes
    ----------
    name : str
        For the settings of a figure.
    sequences : int
        Sequences a method at the main window.
    window : int
        The main window.
    windows : tuple of int
        Of the sweep.
    sweep_sequences : int
        Sequences a method at the other windows.
    samples : int
        Images a method in sample grids.
    """

    name: str
    sequences: int
    window: int
    windows: tuple[int, ...]
    sweep_sequences: int
    samples: int


FULL = Scale("full", sequences=64, window=32, windows=(8, 16, 32, 64), sweep_sequences=32, samples=8)
QUICK = Scale("quick", sequences=6, window=32, windows=(8, 32, 64), sweep_sequences=4, samples=4)

Needs = Callable[[Scale], list[RunSpec]]


def no_runs(scale: Scale) -> list[RunSpec]:
    """What a figure of a stored result needs."""
    return []


def main_runs(methods: Sequence[str] = STUDIED) -> Needs:
    """The runs at the main window that most figures read."""

    def needs(scale: Scale) -> list[RunSpec]:
        return [RunSpec("photos", method, scale.window, scale.sequences) for method in methods]

    return needs


@dataclass(frozen=True)
class Exhibit(Figure):
    """A figure of the gallery.

    Attributes
    ----------
    needs : callable
        Scale to the runs of the reference decoder that it is computed from.
    result : str
        The study whose stored result it is computed from instead; empty where runs are.
    paper : str
        What the papers report; ends the caption, unless somebody's trace is drawn.
    """

    needs: Needs = no_runs
    result: str = ""
    paper: str = ""
