"""Figures that are made together: which there are, what they are drawn from, and the pages that show them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic

import pandas as pd

from scd_analysis.common.files import Kind, Output
from scd_analysis.figures.base import Settings
from scd_analysis.figures.decoding import IN_FULL, Decoding
from scd_analysis.figures.registry import Shown, chosen
from scd_analysis.figures.rendering import DEFAULT_OUT, Report, check_figures, check_folder, drawn, silent, written

Make = Callable[[], tuple[pd.DataFrame, Settings]]
"""Gives the frame behind a figure, and what it was made with."""


@dataclass(frozen=True)
class Collection(Generic[Shown]):
    """Figures that are made together.

    Attributes
    ----------
    figures : mapping of str to Figure
        By name.
    prepare : callable
        Figures, how to decode and whom to report to, to what makes each figure's frame; decodes what they need.
    pages : mapping of str to Kind
        Files that show the figures, by name.
    write_pages : callable
        Writes those files into a folder of figures, and names them.
    check_pages : callable
        What is wrong with those of a folder, by file.
    """

    figures: Mapping[str, Shown]
    prepare: Callable[[Sequence[Shown], Decoding, Report], list[tuple[Shown, Make]]]
    pages: Mapping[str, Kind]
    write_pages: Callable[[Path], list[Path]]
    check_pages: Callable[[Path], dict[str, str]]

    def render(
        self,
        names: Sequence[str] = (),
        *,
        out: str | Path | None = None,
        decoding: Decoding = IN_FULL,
        report: Report = silent,
    ) -> list[Path]:
        """Make figures.

        Parameters
        ----------
        names : sequence of str
            Figures; all by default.
        out : path, optional
            Folder to write to, ``figures`` by default.
        decoding : Decoding
            How to make what they are drawn from.
        report : callable
            Hears of progress.

        Returns
        -------
        list of Path
            What was written: for each figure a PNG, an SVG and the JSON of its frame; then the pages.

        Raises
        ------
        InputError
            For an unknown name, or a file in the folder that this program did not write. Nothing is written before all
            is drawn, and no file by halves.
        """
        figures, folder = chosen(names, self.figures), Path(out) if out is not None else DEFAULT_OUT
        check_folder(folder, [figure.name for figure in figures], self.pages)
        outputs: list[Output] = []
        todo = self.prepare(figures, decoding, report)
        for count, (figure, make) in enumerate(todo):
            report("drawing", figure.name, count / len(todo))
            outputs += drawn(figure, *make(), folder)
        return written(outputs, folder, self.write_pages, report)

    def check(self, names: Sequence[str] = (), *, out: str | Path | None = None) -> dict[str, str]:
        """Draw every figure of a folder again from its stored frame, and its pages, and compare.

        Parameters
        ----------
        names : sequence of str
            Figures; all by default, and the pages with them.
        out : path, optional
            The folder, ``figures`` by default. Nothing in it is changed.

        Returns
        -------
        dict of str to str
            What is wrong, by figure or file; empty if nothing is.

        Raises
        ------
        UnknownNameError
            For the first name that is not known.
        """
        folder = Path(out) if out is not None else DEFAULT_OUT
        problems = check_figures(chosen(names, self.figures), folder)
        return problems if names else problems | self.check_pages(folder)
