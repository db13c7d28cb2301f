"""Traces and verdicts to report on: one worked by hand, one with a planted fault, one as large as a picture's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import scd_analysis
from reference.broken import get_fault
from scd_analysis import TraceWriter, Verdict, open_trace
from scd_analysis.report import write_report
from tests.figures.conftest import Patches


def law(*probs: float) -> list[float]:
    return list(probs)


HALF, SURE = law(0.5, 0.25, 0.125, 0.125), law(0.0, 0.0, 0.0, 1.0)


def by_hand() -> xr.Dataset:
    """Two sequences of eight tokens over four, window three; what happens is told in ``test_cells.py``.

    Every draft law is (1/2, 1/4, 1/8, 1/8); the target law is the same, but for slot 1 of the first pass, where token 3
    is certain: total variation 7/8.
    """
    q = np.tile(HALF, (2, 3, 1))
    p = q.copy()
    p[:, 1] = SURE
    writer = TraceWriter(None, vocab_size=4, num_tokens=8, window=3, decoder="by hand", laws=True)
    with writer as trace:
        both = {"base": [0, 0], "draft_token": [[1, 2, 3], [1, 2, 3]], "draft_probs": q, "target_probs": p}
        trace.append(
            **both,
            next_token=[[1, 3, 3], [2, 3, 3]],
            accepted=[[1, 0, 1], [1, 0, 1]],
            committed=[[1, 1, 0], [1, 1, 1]],
            uniform=[[0.5, 0.25, 0.125], [0.5, 0.25, 0.125]],
        )
        one = {"sequence": [0], "draft_probs": q[:1], "target_probs": q[:1]}
        trace.append(base=[2], draft_token=[[3, 1, 2]], next_token=[[2, 1, 0]], accepted=[[0, 1, 0]], **one)
        trace.append(
            base=[3], draft_token=[[1, 0, 2]], next_token=[[1, 0, 2]], accepted=[[1, 1, 1]], bonus_token=[3], **one
        )
        trace.append(base=[7], draft_token=[[2, 0, 0]], next_token=[[1, 0, 0]], accepted=[[0, 0, 0]], **one)
        trace.finish_batch(tokens=[[1, 3, 2, 1, 0, 2, 3, 1], [2, 3, 3, -1, -1, -1, -1, -1]], nfe=[4, -1])
    return open_trace(writer.store)


@pytest.fixture(scope="session")
def hand() -> xr.Dataset:
    return by_hand()


@pytest.fixture(scope="session")
def patches() -> xr.Dataset:
    """Ten sequences of 24 tokens, with their laws."""
    from reference import decode, get_method

    method = replace(get_method("scd-mc"), initial="uniform")  # redrafts enough to draw
    trace = decode(Patches(), method, window=5, num_sequences=10, record="laws", progress=False).trace
    assert trace is not None
    return trace.load()


@pytest.fixture(scope="session")
def stale() -> tuple[Verdict, xr.Dataset]:
    """A decoder with a planted fault, refuted, with the trace that refutes it."""
    fault = get_fault("stale-law")
    model = fault.model()
    trace = fault.decode(model, 3, 1_500, 1, "laws").trace
    assert trace is not None
    return scd_analysis.audit(trace, model, progress=False), trace.load()


@pytest.fixture(scope="session")
def photos_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(tmp_path_factory.mktemp("large") / "photos.html", trace=photos_sized())


def photos_sized(sequences: int = 8, passes: int = 64, window: int = 32, vocab: int = 1024) -> xr.Dataset:
    """As large as a trace of ``photos``, and worse: no law has a probable token, so that every digit counts."""
    rng = np.random.default_rng(0)
    shape, length, each = (sequences, passes, window), 256, 4
    base = np.broadcast_to(np.arange(passes) * each, (sequences, passes)).astype(float)
    used = base[..., None] + np.arange(window) < length
    tokens = rng.integers(vocab, size=(sequences, length)).astype(float)
    position = np.minimum(base[..., None] + np.arange(window), length - 1).astype(int)
    committed = np.broadcast_to(np.arange(window) < each, shape)
    final = np.take_along_axis(tokens[:, None], position, axis=2)
    drafts = rng.integers(vocab, size=shape).astype(float)
    accepted = np.broadcast_to(np.arange(window) < each - 1, shape)
    after = np.where(committed, final, rng.integers(vocab, size=shape))
    drafts = np.where(accepted, after, drafts)
    slots: dict[str, Any] = {"draft_token": drafts, "next_token": after, "accepted": accepted, "committed": committed}
    slots["residual_drawn"] = committed & ~accepted
    slots["age"] = np.broadcast_to(np.arange(passes)[:, None], shape)
    for name in ("uniform", "draft_prob_of_token", "target_prob_of_token", "total_variation", "collision_independent",
                 "collision_gumbel", "entropy", "renyi2"):  # fmt: skip
        slots[name] = rng.random(shape)
    slots["draft_prob_of_token"], slots["target_prob_of_token"] = (0.4 * rng.random(shape) for _ in range(2))
    slots["total_variation"] = 0.4 + 0.3 * rng.random(shape)  # numbers that one pair of laws may have
    slots["collision_independent"] = 0.16 + 0.14 * rng.random(shape)
    slots["entropy"] += 1
    sweep, slot = ("sequence", "iteration"), ("sequence", "iteration", "slot")
    variables: dict[str, Any] = {name: (slot, np.where(used, v, np.nan)) for name, v in slots.items()}
    for name in ("draft_probs", "target_probs"):
        laws = rng.random((*shape, vocab), dtype=np.float32)
        variables[name] = ((*slot, "vocab"), laws / laws.sum(-1, keepdims=True))
    variables |= {"base": (sweep, base), "num_committed": (sweep, np.full(base.shape, float(each)))}
    variables["bonus_token"] = (sweep, np.full(base.shape, np.nan))
    variables |= {
        "tokens": (("sequence", "position"), tokens),
        "nfe": (("sequence",), np.full(sequences, float(passes))),
    }
    attributes = {"schema_version": 1, "complete": True, "blocks": [[0, sequences, passes]], "decoder": "synthetic",
                  "vocab_size": vocab, "num_tokens": length, "window": window}  # fmt: skip
    return xr.Dataset(variables, attrs=attributes)
