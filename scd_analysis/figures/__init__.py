"""Figures of anybody's trace: each is one module of :mod:`scd_analysis.figures.plots`.

There, ``compute`` turns runs into a data frame, ``draw`` turns that frame into marks on axes, and nothing else passes
between them. :mod:`scd_analysis.figures.rendering` writes the picture (PNG and SVG) with its frame beside it (JSON)
and draws it again from that frame to check it; :mod:`scd_analysis.figures.foreign` opens anybody's trace. What else
there is to draw, as in the gallery of a checkout, comes in by the door that ``python -m scd_analysis.figures`` opens.
Names are loaded on first use, so that the command can say where modules are looked for before any is imported.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scd_analysis.figures.base import Figure, Run
    from scd_analysis.figures.registry import all_figures, get_figure
    from scd_analysis.figures.rendering import check, render

_HOME = {
    **dict.fromkeys(("Figure", "Run"), "base"),
    **dict.fromkeys(("all_figures", "get_figure"), "registry"),
    **dict.fromkeys(("check", "render"), "rendering"),
}

__all__ = ["Figure", "Run", "all_figures", "check", "get_figure", "render"]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"scd_analysis.figures.{_HOME[name]}"), name)
    raise AttributeError(f"module 'scd_analysis.figures' has no attribute {name!r}")
