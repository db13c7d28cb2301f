"""Every figure of the gallery: the library's, of our runs, and those of :mod:`studies.gallery.plots`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pandas as pd

from scd_analysis.figures.base import FROM_DECODE, FROM_TRACE, Settings
from scd_analysis.figures.registry import found_in
from studies.gallery import plots
from studies.gallery.exhibit import Exhibit
from studies.gallery.of_traces import exhibits_of_traces


def exhibits() -> dict[str, Exhibit]:
    """Every exhibit by name, in alphabetical order."""
    found = exhibits_of_traces() | found_in(plots, Exhibit)
    return {name: replace(found[name], caption=_with_paper(found[name])) for name in sorted(found)}


def _with_paper(exhibit: Exhibit) -> Callable[[pd.DataFrame, Settings], str]:
    """The caption, ended by what the papers report; of somebody's trace they report nothing."""

    def caption(frame: pd.DataFrame, settings: Settings) -> str:
        own = exhibit.caption(frame, settings)
        ours = settings.get("scale") not in (FROM_TRACE, FROM_DECODE)
        return f"{own} {exhibit.paper}" if exhibit.paper and ours else own

    return caption
