"""Image against video, on a small result made by hand."""

from __future__ import annotations

from typing import Any

import pytest

from scd_analysis.figures.store import Stored
from scd_analysis.figures.style import style
from studies.gallery import comparison
from studies.gallery.plots import image_video


@pytest.fixture
def result() -> dict[str, Any]:
    rows = [
        {"model": model, "method": method, "window": window, "n": 8, "num_tokens": tokens, "nfe_mean": tokens / gain,
         "gain": gain, "gain_low": gain - 0.2, "gain_high": gain + 0.2, "bits_per_token": bits}
        for model, tokens, bits, more in (("photos", 256, 3.2, 1.0), ("video", 1024, 1.5, 2.0))
        for method, gain in (("sjd", 2.5 * more), ("scd-mc", 4.5 * more), ("scd-gs", 4.25 * more))
        for window in (16, 64)
    ]  # fmt: skip
    return {"command": "python -m studies.video_gain", "seed": 7, "rows": rows}


def test_a_panel_a_model_in_one_scale(result: dict[str, Any]) -> None:
    frame = image_video.compute(result)
    with style():
        canvas, axes = image_video.layout(frame)
        image_video.draw(frame, axes)
        canvas.draw_without_rendering()
    assert list(axes) == ["photos", "video"]
    assert axes["photos"].get_ylim() == axes["video"].get_ylim()
    assert axes["photos"].get_ylim()[1] > 9
    assert "1.50 bits a token" in axes["video"].get_title(loc="left")


def test_caption_has_both_models_and_the_command(result: dict[str, Any]) -> None:
    said = image_video.caption(image_video.compute(result), {k: v for k, v in result.items() if k != "rows"})
    assert "SCD-GS 8.50 [8.30, 8.70]" in said
    assert "video (1024 tokens, 1.50 bits a token held out)" in said
    assert "seed 7" in said
    assert result["command"] in said


def test_it_stands_beside_what_is_published(result: dict[str, Any]) -> None:
    frames = {"image_video": Stored("image_video", "", {}, image_video.compute(result))}
    found = [one for one in comparison.lines(frames) if one.where.startswith("Cosmos") and one.figure == "image_video"]
    speeds = ["5.00 [4.80, 5.20] at window 64", "8.50 [8.30, 8.70] at window 64"]
    assert [one.measured for one in found] == ["1024, one a token", *speeds]
