"""What figures draw: artists, not pixels."""

from __future__ import annotations

import re
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

ALL = all_figures()
PLACES = ("sequence", "window", "tokens", "age", "row", "column")
"""Columns that say where a number belongs."""

NAMES = list(ALL)


def computed(runs: list[Run], name: str) -> tuple[pd.DataFrame, Settings]:
    return get_figure(name).compute(runs), settings_of(runs, "tiny", None)


def drawn(runs: list[Run], name: str) -> dict[str, Axes]:
    frame, _ = computed(runs, name)
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
    with pytest.raises(UnknownNameError, match=r"figure='nope' is not known; known: .*nfe_vs_token_difference"):
        get_figure("nope")


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_axes_say_what_they_show(runs: list[Run], name: str) -> None:
    axes = drawn(runs, name)
    for label, ax in axes.items():
        assert ax.get_xlabel(), label
        assert ax.has_data() or ax.images, label
    assert next(iter(axes.values())).get_ylabel()


@pytest.mark.parametrize("name", NAMES)
def test_caption_speaks_from_the_data(runs: list[Run], name: str) -> None:
    frame, settings = computed(runs, name)
    caption = get_figure(name).caption(frame, settings)
    assert re.search(r"\d", caption)
    assert "1.23 bits a token held out" in caption
    assert "seed 0" in caption
    assert "nan" not in caption
    numbers = frame.select_dtypes("number").columns
    changed = frame.assign(**{column: frame[column] * 1.7 for column in numbers if column not in PLACES})
    assert get_figure(name).caption(changed, settings) != caption


def test_one_point_a_sequence_and_the_line(runs: list[Run]) -> None:
    ax, (frame, _) = drawn(runs, "nfe_vs_token_difference")["main"], computed(runs, "nfe_vs_token_difference")
    points, means = (np.asarray(one.get_offsets()) for one in ax.collections)
    np.testing.assert_allclose(points, frame[["difference", "nfe"]])
    np.testing.assert_allclose(means, frame.groupby("method", sort=False)[["difference", "nfe"]].mean())
    assert len(points) == 4 * len(means) == 12
    texts = [text.get_text() for text in ax.get_legend().get_texts()]  # type: ignore[union-attr]
    assert texts[:3] == ["SJD", "SCD-MC", "SCD-GS"]
    assert texts[3].startswith("least squares, r = ")


def test_three_bounds_are_drawn(runs: list[Run]) -> None:
    axes = drawn(runs, "collision_vs_tv")
    for ax in axes.values():
        labels = ax.get_legend_handles_labels()[1]
        upper, lower = ax.lines[:2]
        variation = np.asarray(upper.get_xdata(), dtype=float)
        np.testing.assert_allclose(np.asarray(upper.get_ydata(), dtype=float), 1 - variation)
        np.testing.assert_allclose(np.asarray(lower.get_ydata(), dtype=float), (1 - variation) / (1 + variation))
        assert any("H_2" in label for label in labels) == (ax is axes["sjd"])


def test_methods_differ_in_grey() -> None:
    looks = [look(method) for method in ("sjd", "scd-mc", "scd-gs", "sjd-pac", "sjd-vp")]
    for quality in ("marker", "linestyle", "hatch", "color"):
        assert len({getattr(one, quality) for one in looks}) == len(looks)


def test_methods_that_nobody_knows_have_a_look_of_their_own() -> None:
    """The same for the same name, and among twenty names few that are alike."""
    names = [f"decoder-{i}" for i in range(20)]
    known = {look(name).color for name in ("sjd", "scd-mc", "scd-gs")}
    assert [look(name) for name in names] == [look(name) for name in names]
    assert len({(look(name).color, look(name).marker, look(name).linestyle) for name in names}) >= 16
    assert not known & {look(name).color for name in names}
