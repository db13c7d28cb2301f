"""Finds figures: the modules of a package with a ``FIGURE`` and a ``SUMMARY``. A new figure is a new file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from types import ModuleType
from typing import TypeVar

from scd_analysis.common.discovery import held, stated
from scd_analysis.figures import plots
from scd_analysis.figures.base import Figure
from scd_analysis.validate import check_known

Shown = TypeVar("Shown", bound=Figure)


def summaries_in(path: Iterable[str]) -> dict[str, str]:
    """What the figures of a package show, by their names, in alphabetical order; nothing is imported.

    Parameters
    ----------
    path : iterable of str
        The ``__path__`` of the package.
    """
    return stated(path, "SUMMARY")


def found_in(package: ModuleType, kind: type[Shown]) -> dict[str, Shown]:
    """Figures of one kind that a package's modules hold, by the name of the module, in alphabetical order."""
    found, summaries = {}, summaries_in(package.__path__)
    for name, figure in held(package.__name__, package.__path__, "FIGURE").items():
        if not isinstance(figure, kind):
            raise TypeError(f"{package.__name__}.{name}.FIGURE is no {kind.__name__}")
        found[name] = replace(figure, name=name, summary=summaries.get(name, ""))
    for name in sorted(found.keys() ^ summaries.keys()):
        raise TypeError(f"{package.__name__}.{name}: states one of FIGURE and SUMMARY without the other")
    return found


def all_figures() -> dict[str, Figure]:
    """Every figure that can be drawn from a trace of any decoder, by name, in alphabetical order."""
    return found_in(plots, Figure)


def chosen(names: Sequence[str], figures: Mapping[str, Shown]) -> list[Shown]:
    """Figures by name, all of them if none is named.

    Raises
    ------
    UnknownNameError
        For the first name that is not known.
    """
    for name in names:
        check_known(name, figures, "figure")
    return [figures[name] for name in dict.fromkeys(names)] if names else list(figures.values())


def get_figure(name: str) -> Figure:
    """A figure by name.

    Raises
    ------
    UnknownNameError
        Listing the names.
    """
    return chosen([name], all_figures())[0]
