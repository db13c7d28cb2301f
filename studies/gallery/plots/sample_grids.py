"""What the decoders draw: ancestral sampling above, every method below, with the passes each image took."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from PIL import Image

from scd_analysis.errors import InputError
from scd_analysis.figures.base import Panels, Run, Settings
from scd_analysis.figures.style import look, panels
from scd_analysis.figures.words import by_method, methods, source
from studies.gallery.exhibit import STUDIED, Exhibit, Needs, RunSpec, Scale
from studies.gallery.reported import LUMINA

METHODS = ("ar", *STUDIED, "sjd-vp")


def compute(runs: Sequence[Run]) -> pd.DataFrame:
    """One row an image: ``method``, ``sequence``, ``nfe`` and ``png`` (base64).

    Raises
    ------
    InputError
        If a run's model has no pixels.
    """
    rows = []
    for run in runs:
        for sequence, pixels in enumerate(_pixels(run)):
            rows.append((run.label, sequence, float(run.trace["nfe"].values[sequence]), _encode(pixels)))
    return pd.DataFrame(rows, columns=["method", "sequence", "nfe", "png"])


def _pixels(run: Run) -> npt.NDArray[np.uint8]:
    import torch

    if not hasattr(run.model, "to_pixels"):
        raise InputError(f"model {run.settings.get('model')!r}: has no to_pixels, so there is nothing to look at")
    tokens = torch.from_numpy(run.trace["tokens"].values.astype(np.int64))
    return np.asarray((run.model.to_pixels(tokens).cpu().numpy() * 255).round(), dtype=np.uint8)


def _encode(pixels: npt.NDArray[np.uint8]) -> str:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "png", optimize=True)
    return base64.b64encode(file.getvalue()).decode("ascii")


def _decode(text: str) -> npt.NDArray[Any]:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(text))))


def layout(frame: pd.DataFrame) -> tuple[Canvas, dict[str, Axes]]:
    """A row a method, a column a sequence."""
    columns = sorted(frame["sequence"].unique())
    mosaic = [[f"{method}:{column}" for column in columns] for method in methods(frame)]
    side = min(1.3, 6.7 / len(columns))
    return panels(mosaic, (side * len(columns) + 0.5, (side + 0.17) * len(mosaic) + 0.05))


def draw(frame: pd.DataFrame, axes: Panels) -> None:
    """Images, each with its passes."""
    for row in frame.itertuples():
        ax = axes[f"{row.method}:{row.sequence}"]
        ax.imshow(_decode(str(row.png)))
        ax.set(xticks=[], yticks=[])
        ax.set_xlabel(f"{row.nfe:.0f} passes", fontsize=7, labelpad=2)
        for spine in ax.spines.values():
            spine.set_visible(False)
        if row.sequence == frame["sequence"].min():
            ax.set_ylabel(look(str(row.method)).drawn, fontsize=9, fontweight="bold")


def caption(frame: pd.DataFrame, settings: Settings) -> str:
    """Mean passes by method."""
    means = frame.groupby("method", sort=False)["nfe"].mean()
    passes = by_method({str(method): f"{nfe:.1f}" for method, nfe in means.items()})
    return (
        "Samples by method, a column a sequence, all with the same seed (the draws differ, the law is the same), and "
        f"the forward passes each took; on average {passes}. {source(settings)}"
    )


def grid_of(model: str) -> Needs:
    """Runs of every method of one model, at the main window."""

    def needs(scale: Scale) -> list[RunSpec]:
        return [RunSpec(model, method, scale.window, scale.samples) for method in METHODS]

    return needs


SUMMARY = "samples of photos: AR beside each method, with their passes"

FIGURE = Exhibit(
    compute,
    layout,
    draw,
    caption,
    needs=grid_of("photos"),
    paper=(
        f"Quality the SCD paper reports by FID on {LUMINA.model}: AR {LUMINA.row('ar').quality}, SJD "
        f"{LUMINA.row('sjd').quality}, SCD-MC {LUMINA.row('scd-mc').quality}, SCD-GS "
        f"{LUMINA.row('scd-gs').quality:.2f}."
    ),
)
