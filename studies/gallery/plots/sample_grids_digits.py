"""What the decoders draw, on the digits model."""

from __future__ import annotations

from dataclasses import replace

from studies.gallery.plots import sample_grids

SUMMARY = "samples of digits: AR beside each method, with their passes"

FIGURE = replace(sample_grids.FIGURE, needs=sample_grids.grid_of("digits"), paper="")
