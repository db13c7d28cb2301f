"""What a figure is, and what it is made from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:  # what figures there are is told without anything that draws
    import pandas as pd
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

Panels: TypeAlias = "Mapping[str, Axes]"
Settings = dict[str, Any]

COUPLING_OF = {"sjd": "independent", "scd-mc": "maximal", "scd-gs": "gumbel", "sjd-pac": "maximal"}
"""How a method's successive drafts depend on each other, where theory gives their collision probability."""

FROM_TRACE, FROM_DECODE = "trace", "decode"
"""The scale in the settings of a figure that is drawn from somebody's trace, or from a decode outside the gallery."""


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
class Figure:
    """One figure.

    Attributes
    ----------
    compute : callable
        Runs to the data frame behind the figure.
    layout : callable
        Data frame to an empty canvas and its axes by name.
    draw : callable
        Data frame and axes to marks.
    caption : callable
        Data frame and settings to sentences; every number in them comes from there.
    variables : tuple of str
        Of the trace, that have to be there.
    name : str
        Of its module; set by the registry.
    summary : str
        What it shows, in one line: its module's ``SUMMARY``; set by the registry.
    """

    compute: Callable[[Any], pd.DataFrame]
    layout: Callable[[pd.DataFrame], tuple[Canvas, dict[str, Axes]]]
    draw: Callable[[pd.DataFrame, Panels], None]
    caption: Callable[[pd.DataFrame, Settings], str]
    variables: tuple[str, ...] = ()
    name: str = ""
    summary: str = ""
