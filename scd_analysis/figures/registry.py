"""Finds figures: modules of :mod:`scd_analysis.figures.plots` with a ``FIGURE``. A new figure is a new file."""

from __future__ import annotations

import pkgutil
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module

import pandas as pd

from scd_analysis.figures import plots
from scd_analysis.figures.base import FROM_TRACE, Figure, Settings
from scd_analysis.validate import check_known


def all_figures() -> dict[str, Figure]:
    """Every figure by name, in alphabetical order."""
    found = {}
    for module in pkgutil.iter_modules(plots.__path__):
        figure = getattr(import_module(f"{plots.__name__}.{module.name}"), "FIGURE", None)
        if isinstance(figure, Figure):
            found[module.name] = replace(figure, name=module.name, caption=_with_paper(figure))
    return dict(sorted(found.items()))


def _with_paper(figure: Figure) -> Callable[[pd.DataFrame, Settings], str]:
    """The caption, ended by what the papers report; of somebody's trace they report nothing."""

    def caption(frame: pd.DataFrame, settings: Settings) -> str:
        own = figure.caption(frame, settings)
        return f"{own} {figure.paper}" if figure.paper and settings.get("scale") != FROM_TRACE else own

    return caption


def get_figure(name: str) -> Figure:
    """A figure by name.

    Raises
    ------
    UnknownNameError
        Listing the names.
    """
    known = all_figures()
    check_known(name, known, "figure")
    return known[name]
