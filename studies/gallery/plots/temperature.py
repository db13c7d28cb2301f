"""What temperature does to the speed-up."""

from __future__ import annotations

from studies.gallery import sweeps

SUMMARY = "speed-up by temperature"

FIGURE = sweeps.of_processor(
    "temperature",
    "temperature",
    "temperature",
    "temperature (1: as trained)",
    "At 1 the law is the one that was trained; below it is sharper, above it flatter.",
)
