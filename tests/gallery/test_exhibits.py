"""What the gallery draws of our runs: every exhibit has its marks, its words and its files; some, their numbers."""

from __future__ import annotations

import base64
import io
import json
import re
import sys
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.axes import Axes
from numpy.testing import assert_allclose
from PIL import Image

from scd_analysis.errors import InputError, UnknownNameError
from scd_analysis.figures import Run, plots
from scd_analysis.figures.base import Settings
from scd_analysis.figures.provenance import settings_of
from scd_analysis.figures.registry import all_figures
from scd_analysis.figures.rendering import check_figures, render, write
from scd_analysis.figures.style import style
from scd_analysis.trace import trajectories
from studies.gallery import of_traces
from studies.gallery.registry import exhibits
from tests.figures.conftest import Patches, decoded, write_foreign
from tests.gallery.conftest import TINY

Runs = Callable[[str], list[Run]]
ALL = exhibits()
PLACES = ("sequence", "window", "tokens", "age", "row", "column")
"""Columns that say where a number belongs."""

NAMES = [name for name, exhibit in ALL.items() if not exhibit.result]


def computed(runs_of: Runs, name: str) -> tuple[pd.DataFrame, Settings]:
    runs = runs_of(name)
    return exhibits()[name].compute(runs), settings_of(runs, "tiny", None)


def drawn(runs_of: Runs, name: str) -> dict[str, Axes]:
    frame, _ = computed(runs_of, name)
    with style():
        _, axes = exhibits()[name].layout(frame)
        exhibits()[name].draw(frame, axes)
    return axes


def test_every_module_of_both_packages_is_found() -> None:
    folders = (files("scd_analysis.figures") / "plots", files("studies.gallery") / "plots")
    modules = {item.name.removesuffix(".py") for folder in folders for item in folder.iterdir()}
    assert set(ALL) == {name for name in modules if not name.startswith("__")}
    assert set(all_figures()) < set(ALL)


NEW = """
from scd_analysis.figures.plots.hamming_by_lag import FIGURE

SUMMARY = "a figure of somebody's own"
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The name of a figure that is one new file."""
    (tmp_path / "of_my_own.py").write_text(NEW)
    monkeypatch.setattr(plots, "__path__", [*plots.__path__, str(tmp_path)])
    yield "of_my_own"
    sys.modules.pop("scd_analysis.figures.plots.of_my_own", None)


@pytest.mark.slow
def test_a_figure_is_one_file(own: str, runs_of: Runs, tmp_path: Path) -> None:
    """It is drawn of any trace, and in the gallery of our runs."""
    assert all_figures()[own].summary == "a figure of somebody's own"
    assert own not in ALL
    path = write_foreign(tmp_path / "run.zarr", laws=False)
    assert {one.name for one in render([own], trace=path, out=tmp_path / "out")} >= {f"{own}.png"}
    frame, settings = computed(runs_of, own)
    assert exhibits()[own].caption(frame, settings).startswith("Hamming distance")


@pytest.mark.parametrize("gone", ["FIGURE", "SUMMARY"])
def test_a_figure_and_what_it_shows_come_together(own: str, tmp_path: Path, gone: str) -> None:
    path = tmp_path / f"{own}.py"
    path.write_text("\n".join(line for line in NEW.splitlines() if gone not in line))
    with pytest.raises(TypeError, match=f"{own}: states one of FIGURE and SUMMARY without the other"):
        all_figures()


def test_words_on_a_figure_that_is_not_there_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(of_traces.PAPERS, "nope", "The papers say much.")
    with pytest.raises(UnknownNameError, match="nope"):
        exhibits()


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_axes_say_what_they_show(runs_of: Runs, name: str) -> None:
    axes = drawn(runs_of, name)
    for label, ax in axes.items():
        assert ax.get_xlabel(), label
        assert ax.has_data() or ax.images, label
    if not name.startswith("sample_grids"):
        assert next(iter(axes.values())).get_ylabel()


@pytest.mark.parametrize("name", NAMES)
def test_caption_speaks_from_the_data(runs_of: Runs, name: str) -> None:
    frame, settings = computed(runs_of, name)
    caption = exhibits()[name].caption(frame, settings)
    assert re.search(r"\d", caption)
    assert "1.23 bits a token held out" in caption
    assert "seed 0" in caption
    assert "nan" not in caption
    numbers = frame.select_dtypes("number").columns
    changed = frame.assign(**{column: frame[column] * 1.7 for column in numbers if column not in PLACES})
    assert exhibits()[name].caption(changed, settings) != caption


@pytest.mark.slow
@pytest.mark.parametrize("name", ["speedup_by_window", "sample_grids"])
def test_an_exhibit_is_three_files_and_checks(runs_of: Runs, tmp_path: Path, name: str) -> None:
    exhibit, runs = exhibits()[name], runs_of(name)
    written = write(exhibit, exhibit.compute(runs), settings_of(runs, "tiny", "abc"), tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {path.name for path in written}
    assert check_figures([exhibit], tmp_path) == {}
    kept = json.loads((tmp_path / f"{name}.json").read_text())
    assert kept["settings"]["commit"] == "abc"
    assert {"model", "seed", "device", "weights", "versions", "runs"} <= set(kept["settings"])


def test_bits_a_token_stand_on_the_speedup_figure(runs_of: Runs) -> None:
    ax = drawn(runs_of, "speedup_by_window")["main"]
    assert "1.23 bits a token held out" in ax.get_title(loc="left")
    assert ax.get_legend_handles_labels()[1] == ["SJD", "SCD-MC", "SCD-GS", "SJD-VP"]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["3", "5"]


def test_passes_stand_under_each_image(runs_of: Runs) -> None:
    axes = drawn(runs_of, "sample_grids")
    assert len(axes) == 5 * TINY.samples
    assert all(len(ax.images) == 1 and ax.get_xlabel().endswith(" passes") for ax in axes.values())
    assert axes["ar:0"].get_xlabel() == "24 passes"


def test_the_paper_ends_a_caption_but_not_of_somebodys_trace(runs_of: Runs) -> None:
    frame, settings = computed(runs_of, "hamming_by_lag")
    figure = exhibits()["hamming_by_lag"]
    assert figure.caption(frame, settings).endswith(figure.paper)
    assert "94%" in figure.paper
    assert "94%" not in figure.caption(frame, settings | {"scale": "trace"})


def test_every_figure_of_runs_says_what_the_papers_report() -> None:
    assert [name for name in NAMES if not ALL[name].paper and name != "sample_grids_digits"] == []


def test_speedup_is_the_measure(runs_of: Runs) -> None:
    runs = runs_of("speedup_by_window")
    frame = exhibits()["speedup_by_window"].compute(runs)
    assert sorted(frame["window"].unique()) == [3, 5]
    assert set(frame["bits_per_token_held_out"]) == {1.2345}
    for run, row in zip(runs, frame.itertuples(), strict=True):
        found = trajectories.speedup(run.trace)
        assert (row.value, row.low, row.high, row.n) == (found.value, found.low, found.high, found.n)


def test_images_are_the_tokens(runs_of: Runs) -> None:
    runs = runs_of("sample_grids")
    frame = exhibits()["sample_grids"].compute(runs)
    assert list(frame["method"].unique()) == ["ar", "sjd", "scd-mc", "scd-gs", "sjd-vp"]
    assert set(frame.loc[frame["method"] == "ar", "nfe"]) == {24}
    tokens = torch.from_numpy(runs[2].trace["tokens"].values.astype(int))
    stored = np.asarray(Image.open(io.BytesIO(base64.b64decode(frame.loc[frame["method"] == "scd-mc", "png"].iloc[1]))))
    assert_allclose(stored, (Patches().to_pixels(tokens)[1].numpy() * 255).round())


def test_images_need_pixels() -> None:
    with pytest.raises(InputError, match="to_pixels"):
        exhibits()["sample_grids"].compute([decoded("sjd")])


def test_map_is_laid_out_as_the_image(runs_of: Runs) -> None:
    runs = runs_of("acceptance_map")
    frame = exhibits()["acceptance_map"].compute(runs)
    trace = runs[0].trace
    position = 9  # of a grid 4 by 6: second row, fourth column
    slot = position - trace["base"]
    accept = (1 - trace["total_variation"]).where((trace["slot"] == slot) & (trace["age"] > 0))
    place = (frame["method"] == "sjd") & (frame["row"] == 1) & (frame["column"] == 3)
    assert_allclose(frame[place]["value"], float(accept.mean(("iteration", "slot")).mean()), rtol=1e-6)
    count = frame[frame["kind"] == "entropy"].pivot(index="row", columns="column", values="n")
    assert count.loc[0, 0] == 0  # drawn before there are drafts
    assert 0 < count.loc[1, 3] <= 3 * len(trace["sequence"])


def test_a_map_needs_a_grid() -> None:
    with pytest.raises(InputError, match="has no grid"):
        exhibits()["acceptance_map"].compute([decoded("sjd")])
