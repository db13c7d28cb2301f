"""What top-p sampling does to the speed-up."""

from __future__ import annotations

from studies.gallery import sweeps

SUMMARY = "speed-up by the p of top-p sampling"

FIGURE = sweeps.of_processor(
    "the p of top-p sampling",
    "top_p",
    "p",
    "p of top-p (probability kept)",
    "p = 1 keeps the whole vocabulary.",
)
