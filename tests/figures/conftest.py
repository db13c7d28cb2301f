"""A tiny model with pixels, and runs of it: small enough that every figure is computed and drawn in a second."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import reference
import scd_analysis
from scd_analysis.figures import Run
from scd_analysis.figures.base import COUPLING_OF


class Patches:
    """A Markov chain over six grey levels, laid out 4 by 6."""

    vocab_size, num_tokens = 6, 24
    name = "patches"
    grid = (4, 6)

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self.table = torch.from_numpy(rng.dirichlet(np.full(6, 0.5), size=7))
        self.card = {"bits_per_token_held_out": 1.2345}

    def next_token_probs(self, tokens: torch.Tensor) -> torch.Tensor:
        start = torch.full((len(tokens), 1), 6, dtype=torch.long)
        return self.table[torch.cat([start, tokens], dim=1)]

    def to_pixels(self, tokens: torch.Tensor) -> torch.Tensor:
        return (tokens.float() / 5).view(len(tokens), 4, 6, 1).expand(-1, -1, -1, 3)


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def runs() -> list[Run]:
    """Runs of the tiny model: independent drafts, and both couplings."""
    return [decoded(method) for method in ("sjd", "scd-mc", "scd-gs")]


def decoded(method: str) -> Run:
    out = reference.decode(Patches(), method, window=5, num_sequences=4, progress=False)
    assert out.trace is not None
    settings = {"model": "patches", "method": method, "window": 5, "num_sequences": 4, "seed": 0}
    return Run(method, 5, out.trace, COUPLING_OF.get(method), settings | {"bits_per_token_held_out": 1.2345})


@pytest.fixture(scope="session")
def sjd_with_laws() -> Run:
    out = reference.decode(Patches(), "sjd", window=5, num_sequences=3, record="laws", progress=False)
    assert out.trace is not None
    return Run("sjd", 5, out.trace, "independent")


def write_foreign(path: Path, *, laws: bool, window: int = 3, sequences: int = 3) -> Path:
    """A trace as somebody else's loop writes it, with no attribute and no variable more than it must have."""
    rng, vocab, length = np.random.default_rng(1), 4, 8
    with scd_analysis.TraceWriter(path, vocab_size=vocab, num_tokens=length, window=window, decoder="mine") as trace:
        base, rows = np.zeros(sequences, dtype=np.int64), np.arange(sequences)
        drafts = rng.integers(vocab, size=(sequences, window))
        while len(rows):
            accepted = rng.random((len(rows), window)) < 0.5
            after = np.where(accepted, drafts, (drafts + 1) % vocab)
            probs = {name: rng.dirichlet(np.ones(vocab), size=drafts.shape) for name in ("draft_probs", "target_probs")}
            more: dict[str, Any] = probs if laws else {}
            trace.append(base=base, draft_token=drafts, next_token=after, accepted=accepted, sequence=rows, **more)
            moved = np.minimum(np.cumprod(accepted, axis=1).sum(1) + 1, np.minimum(window, length - base))
            new = rng.integers(vocab, size=drafts.shape)
            drafts = np.take_along_axis(np.concatenate([after, new], 1), moved[:, None] + np.arange(window), 1)
            left = base + moved < length
            base, rows, drafts = (base + moved)[left], rows[left], drafts[left]
    return path
