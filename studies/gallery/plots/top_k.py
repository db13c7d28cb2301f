"""What top-k sampling does to the speed-up."""

from __future__ import annotations

from studies.gallery import sweeps

SUMMARY = "speed-up by the k of top-k sampling"

FIGURE = sweeps.of_processor(
    "the k of top-k sampling",
    "top_k",
    "k",
    "k of top-k (tokens kept)",
    "k = 1 is greedy decoding, and the largest k keeps the whole vocabulary.",
    log=True,
    paper="The papers' own numbers by k we have not on file.",
)
