"""Figures that are drawn from the stored results of studies."""

from __future__ import annotations

import re
from typing import Any

import pandas as pd
import pytest

from scd_analysis.errors import InputError
from scd_analysis.figures.base import Settings
from scd_analysis.figures.style import style
from studies.gallery.exhibit import FULL
from studies.gallery.registry import exhibits
from studies.gallery.results import load_result, settings_of_result

PLACES = ("x", "n", "alpha", "setting", "gamma", "from", "to", "batch", "window", "vocab_size")
"""Columns that say where a number belongs."""

NAMES = [name for name, figure in exhibits().items() if figure.result]


def computed(name: str) -> tuple[pd.DataFrame, Settings, dict[str, Any]]:
    result = load_result(exhibits()[name].result)
    return exhibits()[name].compute(result), settings_of_result(result), result


def test_the_three_studies_of_the_audit_are_drawn() -> None:
    assert {"audit_calibration", "audit_power", "verdict_table"} <= set(NAMES)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_it_is_drawn_without_a_run(name: str) -> None:
    figure, (frame, _, result) = exhibits()[name], computed(name)
    assert figure.needs(FULL) == []
    assert len(frame) >= len(result["rows"]) > 1
    with style():
        canvas, axes = figure.layout(frame)
        figure.draw(frame, axes)
        canvas.draw_without_rendering()
    assert all(ax.has_data() or ax.texts for ax in axes.values())


@pytest.mark.parametrize("name", NAMES)
def test_caption_speaks_from_the_data_and_names_its_command(name: str) -> None:
    frame, settings, result = computed(name)
    caption = exhibits()[name].caption(frame, settings)
    assert re.search(r"\d", caption)
    assert result["command"] in caption
    assert "nan" not in caption
    numbers = frame.select_dtypes("number").columns
    changed = frame.assign(**{column: frame[column] * 1.7 for column in numbers if column not in PLACES})
    assert exhibits()[name].caption(changed, settings) != caption


def test_a_missing_result_says_how_to_make_it() -> None:
    with pytest.raises(InputError, match=r"nothing\.json is missing; make it with python -m studies\.nothing"):
        load_result("nothing")
