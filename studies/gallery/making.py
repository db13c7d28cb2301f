"""How the gallery is made: runs are decoded or found again, results are read, and each becomes its figure's frame."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pandas as pd

from scd_analysis.figures.base import Settings
from scd_analysis.figures.collection import Collection, Make
from scd_analysis.figures.decoding import Decoding
from scd_analysis.figures.provenance import commit, settings_of
from scd_analysis.figures.rendering import Report
from studies.gallery import page
from studies.gallery.exhibit import FULL, QUICK, Exhibit, Scale
from studies.gallery.paper import write_page
from studies.gallery.registry import exhibits
from studies.gallery.results import load_result, settings_of_result
from studies.gallery.runs import RunStore, available_jobs


def gallery() -> Collection[Exhibit]:
    """The gallery."""
    return Collection(exhibits(), _prepare, page.PAGES, write_page, page.check)


def _prepare(figures: Sequence[Exhibit], decoding: Decoding, report: Report) -> list[tuple[Exhibit, Make]]:
    amount = QUICK if decoding.quick else FULL
    store = RunStore(
        Path(decoding.cache),
        device=decoding.device,
        jobs=available_jobs(decoding.device) if decoding.jobs is None else decoding.jobs,
        report=lambda item, share: report("decoding", item, share),
    )
    store.prepare(spec for figure in figures for spec in figure.needs(amount))
    made_from = commit()
    return [(figure, partial(_made, figure, store, amount, made_from)) for figure in figures]


def _made(figure: Exhibit, store: RunStore, scale: Scale, made_from: str | None) -> tuple[pd.DataFrame, Settings]:
    if figure.result:
        result = load_result(figure.result)
        return figure.compute(result), settings_of_result(result)
    runs = [store.get(spec) for spec in figure.needs(scale)]
    return figure.compute(runs), settings_of(runs, scale.name, made_from)
