"""What the decoders draw, on the digits model."""

from __future__ import annotations

from dataclasses import replace

from studies.gallery.plots import sample_grids

FIGURE = replace(
    sample_grids.FIGURE,
    summary="samples of digits: AR beside each method, with their passes",
    needs=sample_grids.grid_of("digits"),
    paper="",
)
