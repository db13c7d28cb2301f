"""What figures draw: artists, not pixels."""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib.resources import files

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes

from scd_analysis.errors import UnknownNameError
from scd_analysis.figures import Run, all_figures, get_figure
from scd_analysis.figures.base import Settings
from scd_analysis.figures.provenance import settings_of
from scd_analysis.figures.style import look, style
from tests.figures.conftest import TINY

Runs = Callable[[str], list[Run]]
ALL = all_figures()
PLACES = ("sequence", "window", "tokens", "age", "row", "column")
"""Columns that say where a number belongs."""

NAMES = [name for name, figure in ALL.items() if not figure.result]


def computed(runs_of: Runs, name: str) -> tuple[pd.DataFrame, Settings]:
    runs = runs_of(name)
    return get_figure(name).compute(runs), settings_of(runs, "tiny", None)


def drawn(runs_of: Runs, name: str) -> dict[str, Axes]:
    frame, _ = computed(runs_of, name)
    with style():
        _, axes = get_figure(name).layout(frame)
        get_figure(name).draw(frame, axes)
    return axes


def test_every_module_of_plots_is_found() -> None:
    folder = files("scd_analysis.figures") / "plots"
    modules = {item.name.removesuffix(".py") for item in folder.iterdir() if item.name.endswith(".py")}
    assert set(ALL) == modules - {"__init__"}
    assert {"nfe_vs_token_difference", "acceptance_trajectories", "collision_histograms", "collision_vs_tv"} <= set(
        NAMES
    )


def test_unknown_figure_lists_those_there_are() -> None:
    with pytest.raises(UnknownNameError, match=r"figure='nope' is not known; known: .*speedup_by_window"):
        get_figure("nope")


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
    caption = get_figure(name).caption(frame, settings)
    assert re.search(r"\d", caption)
    assert "1.23 bits a token held out" in caption
    assert "seed 0" in caption
    assert "nan" not in caption
    numbers = frame.select_dtypes("number").columns
    changed = frame.assign(**{column: frame[column] * 1.7 for column in numbers if column not in PLACES})
    assert get_figure(name).caption(changed, settings) != caption


def test_one_point_a_sequence_and_the_line(runs_of: Runs) -> None:
    ax = drawn(runs_of, "nfe_vs_token_difference")["main"]
    sizes = [len(np.asarray(c.get_offsets())) for c in ax.collections]
    assert sizes == [TINY.sequences, 1] * 4
    texts = [text.get_text() for text in ax.get_legend().get_texts()]  # type: ignore[union-attr]
    assert texts[:4] == ["SJD", "SCD-MC", "SCD-GS", "SJD-VP"]
    assert texts[4].startswith("least squares, r = ")


def test_three_bounds_are_drawn(runs_of: Runs) -> None:
    axes = drawn(runs_of, "collision_vs_tv")
    for ax in axes.values():
        labels = ax.get_legend_handles_labels()[1]
        upper, lower = ax.lines[:2]
        variation = np.asarray(upper.get_xdata(), dtype=float)
        np.testing.assert_allclose(np.asarray(upper.get_ydata(), dtype=float), 1 - variation)
        np.testing.assert_allclose(np.asarray(lower.get_ydata(), dtype=float), (1 - variation) / (1 + variation))
        assert any("H_2" in label for label in labels) == (ax is axes["sjd"])


def test_bits_a_token_stand_on_the_speedup_figure(runs_of: Runs) -> None:
    ax = drawn(runs_of, "speedup_by_window")["main"]
    assert "1.23 bits a token held out" in ax.get_title(loc="left")
    assert len(ax.containers) == 4
    assert [label.get_text() for label in ax.get_xticklabels()] == ["3", "5"]


def test_passes_stand_under_each_image(runs_of: Runs) -> None:
    axes = drawn(runs_of, "sample_grids")
    assert len(axes) == 5 * TINY.samples
    assert all(len(ax.images) == 1 and ax.get_xlabel().endswith(" passes") for ax in axes.values())
    assert axes["ar:0"].get_xlabel() == "24 passes"


def test_methods_differ_in_grey() -> None:
    looks = [look(method) for method in ("sjd", "scd-mc", "scd-gs", "sjd-pac", "sjd-vp")]
    for quality in ("marker", "linestyle", "hatch", "color"):
        assert len({getattr(one, quality) for one in looks}) == len(looks)


def test_the_paper_ends_a_caption_but_not_of_somebodys_trace(runs_of: Runs) -> None:
    frame, settings = computed(runs_of, "hamming_by_lag")
    figure = get_figure("hamming_by_lag")
    assert figure.caption(frame, settings).endswith(figure.paper)
    assert "94%" in figure.paper
    assert "94%" not in figure.caption(frame, settings | {"scale": "trace"})


def test_every_figure_of_runs_says_what_the_papers_report() -> None:
    assert [name for name in NAMES if not ALL[name].paper and name != "sample_grids_digits"] == []
