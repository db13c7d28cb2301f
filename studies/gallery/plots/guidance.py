"""What classifier-free guidance does to the speed-up."""

from __future__ import annotations

from typing import Any

import pandas as pd

from scd_analysis.figures.base import Panels, Settings
from scd_analysis.figures.words import listed
from studies.gallery import sweeps
from studies.gallery.exhibit import Exhibit
from studies.gallery.reported import STATEMENTS
from studies.gallery.results import of_study


def compute(result: dict[str, Any]) -> pd.DataFrame:
    """Two rows a method and scale: speed-up, and entropy of the law."""
    return sweeps.long_rows(result, "guidance")


def draw(frame: pd.DataFrame, axes: Panels) -> None:
    """Speed-up and entropy by scale."""
    sweeps.draw(frame, axes, "guidance scale (1: none)", log=False)


def caption(frame: pd.DataFrame, settings: Settings) -> str:
    """Ends of every line."""
    said, law = sweeps.ends(frame)
    each = f"{settings['num_sequences']} sequences of each of {listed(settings['classes'])}"
    return (
        f"(a) Speed-up in passes by scale of classifier-free guidance, with 95% intervals: {said}. Guidance belongs to "
        f"the target law, so every scale is another law, sampled without loss; (b) its entropy, over what was sampled: "
        f"{law}. Conditional on the photograph. {of_study(settings, each)}"
    )


SUMMARY = "speed-up by scale of classifier-free guidance"

FIGURE = Exhibit(
    compute,
    sweeps.layout,
    draw,
    caption,
    result="guidance",
    paper=f"The SCD paper reports that {STATEMENTS['guidance']}; by how much we have not on file.",
)
