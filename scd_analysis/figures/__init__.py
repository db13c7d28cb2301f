"""Figures: this module holds the code; the folder ``figures/`` of a checkout holds what it rendered, and the data.

A figure is one module of :mod:`scd_analysis.figures.plots`: ``compute`` turns runs into a data frame, ``draw`` turns
that frame into marks on axes, and nothing else passes between them. :mod:`scd_analysis.figures.rendering` writes the
picture (PNG and SVG) with its frame beside it (JSON), and redraws it from that frame to check it. Runs of the reference
decoder are kept by :mod:`scd_analysis.figures.runs`; anybody's trace comes in through
:mod:`scd_analysis.figures.foreign`. Names are loaded on first use, so that ``python -m scd_analysis.figures`` can say
where modules are looked for before any is imported.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scd_analysis.figures.base import FULL, QUICK, Figure, Run, RunSpec, Scale
    from scd_analysis.figures.registry import all_figures, get_figure
    from scd_analysis.figures.rendering import check, render

_HOME = {
    **dict.fromkeys(("FULL", "QUICK", "Figure", "Run", "RunSpec", "Scale"), "base"),
    **dict.fromkeys(("all_figures", "get_figure"), "registry"),
    **dict.fromkeys(("check", "render"), "rendering"),
}

__all__ = ["FULL", "QUICK", "Figure", "Run", "RunSpec", "Scale", "all_figures", "check", "get_figure", "render"]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"scd_analysis.figures.{_HOME[name]}"), name)
    raise AttributeError(f"module 'scd_analysis.figures' has no attribute {name!r}")
