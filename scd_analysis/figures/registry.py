"""Finds figures: modules of :mod:`scd_analysis.figures.plots` with a ``FIGURE``. A new figure is a new file."""

from __future__ import annotations

import pkgutil
from dataclasses import replace
from importlib import import_module

from scd_analysis.figures import plots
from scd_analysis.figures.base import Figure
from scd_analysis.validate import check_known


def all_figures() -> dict[str, Figure]:
    """Every figure by name, in alphabetical order."""
    found = {}
    for module in pkgutil.iter_modules(plots.__path__):
        figure = getattr(import_module(f"{plots.__name__}.{module.name}"), "FIGURE", None)
        if isinstance(figure, Figure):
            found[module.name] = replace(figure, name=module.name)
    return dict(sorted(found.items()))


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
