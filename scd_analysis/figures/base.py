"""What a figure is, and what it is made from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

Panels = Mapping[str, Axes]
Settings = dict[str, Any]

COUPLING_OF = {"sjd": "independent", "scd-mc": "maximal", "scd-gs": "gumbel", "sjd-pac": "maximal"}
"""How a method's successive drafts depend on each other, where theory gives their collision probability."""

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
class Run:
    """A decode that was made.

    Attributes
    ----------
    label : str
        Method, or the name a foreign decoder gave itself.
    window : int
        L.
    trace : xarray.Dataset
        Its record.
    coupling : str or None
        Of successive drafts, if known; then the draft law is also known to be the previous pass's target law.
    settings : dict
        What a reader needs to repeat it.
    model : object
        The target model, where there is one.
    """

    label: str
    window: int
    trace: xr.Dataset
    coupling: str | None = None
    settings: Settings = field(default_factory=dict)
    model: Any = None

    @property
    def bits(self) -> float | None:
        """Bits a token held out, if the model says so."""
        value = self.settings.get("bits_per_token_held_out")
        return None if value is None else float(value)


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


def no_runs(scale: Scale) -> list[RunSpec]:
    """What a figure of a stored result needs."""
    return []


FROM_TRACE = "trace"
"""The scale in the settings of a figure that is drawn from somebody's trace."""


def main_runs(scale: Scale, methods: Sequence[str] = STUDIED) -> list[RunSpec]:
    """The runs at the main window that most figures read."""
    return [RunSpec("photos", method, scale.window, scale.sequences) for method in methods]


@dataclass(frozen=True)
class Figure:
    """One figure.

    Attributes
    ----------
    summary : str
        One line, for ``--list``.
    compute : callable
        Runs, or the stored result of a study where ``result`` names one, to the data frame behind the figure.
    layout : callable
        Data frame to an empty canvas and its axes by name.
    draw : callable
        Data frame and axes to marks.
    caption : callable
        Data frame and settings to sentences; every number in them comes from there.
    needs : callable
        Scale to the runs of the reference decoder.
    variables : tuple of str
        Of the trace, that have to be there.
    any_trace : bool
        Whether one trace of any decoder is enough.
    result : str
        The study whose stored result is drawn; empty where runs are.
    paper : str
        What the papers report; ends the caption, unless somebody's trace is drawn.
    name : str
        Of its module; set by the registry.
    """

    summary: str
    compute: Callable[[Any], pd.DataFrame]
    layout: Callable[[pd.DataFrame], tuple[Canvas, dict[str, Axes]]]
    draw: Callable[[pd.DataFrame, Panels], None]
    caption: Callable[[pd.DataFrame, Settings], str]
    needs: Callable[[Scale], list[RunSpec]]
    variables: tuple[str, ...] = ()
    any_trace: bool = False
    result: str = ""
    paper: str = ""
    name: str = ""
