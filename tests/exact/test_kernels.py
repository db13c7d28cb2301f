"""Sampler kernels and decode loops in the style of other people's code, enumerated unmodified, against closed forms."""

from __future__ import annotations

import importlib
import itertools
import os
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from scd_analysis.exact import assert_exact, exact_law, exact_target_law

F64 = torch.float64
TARGET = torch.tensor([0.5, 0.3, 0.2], dtype=F64)
DRAFT = torch.tensor([0.2, 0.3, 0.5], dtype=F64)


def optional(name: str) -> ModuleType:
    """Import an optional library; with SCD_REQUIRE_ALL=1 its absence is an error, else the test is skipped."""
    if os.environ.get("SCD_REQUIRE_ALL") == "1":
        return importlib.import_module(name)
    return pytest.importorskip(name)


def closed_form(drafted: torch.Tensor, accept: torch.Tensor, replacement: torch.Tensor) -> dict[int, float]:
    """The one-position oracle: out(y) = d(y) a(y) + (1 - sum d a) r(y)."""
    kept = drafted * accept
    return dict(enumerate((kept + (1 - kept.sum()) * replacement).tolist()))


def residual(p: torch.Tensor, q: torch.Tensor) -> torch.Tensor:
    left = (p - q).clamp(min=0)
    return left / left.sum()


ACCEPT = (TARGET / DRAFT).clamp(max=1)
TILT = DRAFT * torch.tensor([1.5, 1.0, 0.5], dtype=F64) / (DRAFT * torch.tensor([1.5, 1.0, 0.5], dtype=F64)).sum()
NEIGHBOURS = torch.tensor([[1.0, 1.0, 0.0], [1.0, 1.0, 1.0], [0.0, 1.0, 1.0]], dtype=F64)
SLOW = torch.tensor([0.9, 0.9, 0.9], dtype=F64)


def one_position(drafted: torch.Tensor, accept: torch.Tensor, replacement: torch.Tensor) -> Callable[[], torch.Tensor]:
    """A kernel over [B, L, V] tensors, as released decoders write it, for B = L = 1."""

    def kernel() -> torch.Tensor:
        probs = drafted[None, None]
        token = torch.multinomial(probs.flatten(0, 1), 1).view(1, 1)
        ratio = accept[None, None].gather(-1, token[..., None]).squeeze(-1)
        keep = torch.rand(1, 1, dtype=F64) < ratio
        fresh = torch.multinomial(replacement[None], 1).view(1, 1)
        return torch.where(keep, token, fresh)[0, 0]

    return kernel


RULES = {
    "modified rejection": (DRAFT, ACCEPT, residual(TARGET, DRAFT), 0.0),
    "rejection replaced by p": (DRAFT, ACCEPT, TARGET, 0.15),
    "draft is a tilt of the recorded law": (TILT, ACCEPT, residual(TARGET, DRAFT), None),
    "one-hot draft, its own law": (
        torch.tensor([0.0, 1.0, 0.0], dtype=F64),
        TARGET,
        torch.tensor([0.5, 0.0, 0.2], dtype=F64) / 0.7,
        0.0,
    ),
    "uniform law declared for a one-hot draft": (
        torch.tensor([0.0, 1.0, 0.0], dtype=F64),
        (TARGET * 3).clamp(max=1),
        residual(TARGET, torch.full((3,), 1 / 3, dtype=F64)),
        None,
    ),
    "grouped acceptance (GSD)": (
        DRAFT,
        ((NEIGHBOURS @ TARGET) / (NEIGHBOURS @ DRAFT)).clamp(max=1),
        residual(TARGET, DRAFT),
        None,
    ),
    "neighbour mass added (LANTERN)": (
        DRAFT,
        ((TARGET + torch.tensor([0.1, 0.1, 0.1], dtype=F64)) / DRAFT).clamp(max=1),
        residual(TARGET, DRAFT),
        None,
    ),
    "relaxed by a factor (COOL-SD)": (
        DRAFT,
        (0.9 * TARGET / DRAFT).clamp(max=1),
        residual(TARGET, 0.9 * DRAFT),
        None,
    ),
    "kept above a threshold (SJD++)": (DRAFT, (TARGET / DRAFT > 0.5).to(F64), TARGET, None),
    "residual floored by an epsilon": (
        DRAFT,
        ACCEPT,
        (residual(TARGET, DRAFT) + 1e-9) / (residual(TARGET, DRAFT) + 1e-9).sum(),
        None,
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("rule", RULES)
def test_one_position_oracle(rule: str) -> None:
    """With p = (.5, .3, .2), q = (.2, .3, .5), a rejection replaced by p is off by .15 (variants, first table)."""
    drafted, accept, replacement, known = RULES[rule]
    law = exact_law(one_position(drafted, accept, replacement))
    expected = closed_form(drafted, accept, replacement)
    assert law.total_variation(expected) < 1e-12
    distance = law.total_variation(dict(enumerate(TARGET.tolist())))
    if known is None:
        assert distance > 1e-10
    else:
        assert distance == pytest.approx(known, abs=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("epsilon", [1e-10, 1e-9])
def test_a_tiny_bias_in_the_residual_is_seen(epsilon: float) -> None:
    p, q = TARGET, DRAFT

    def kernel() -> int:
        x = torch.multinomial(q, 1)
        if torch.rand(1, dtype=F64) < p[x] / q[x]:
            return int(x)
        left = (p - q).clamp(min=0) + epsilon
        return int(torch.multinomial(left / left.sum(), 1))

    distance = exact_law(kernel).total_variation(dict(enumerate(p.tolist())))
    assert distance == pytest.approx(
        2 * epsilon, rel=1e-3
    )  # rejected mass .3, residual (.3, 0, 0) -> 2 epsilon / .3 off
    with pytest.raises(AssertionError, match="law differs"):
        assert_exact(kernel, dict(enumerate(p.tolist())))


class Table:
    """A full-context tabular model that follows the model contract."""

    def __init__(self, vocab_size: int, num_tokens: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.vocab_size, self.num_tokens = vocab_size, num_tokens
        self.laws = {
            prefix: torch.tensor(rng.dirichlet(np.ones(vocab_size)))
            for length in range(num_tokens + 1)
            for prefix in itertools.product(range(vocab_size), repeat=length)
        }

    def next_token_probs(self, tokens: torch.Tensor) -> torch.Tensor:
        rows = [[self.laws[tuple(row[:k])] for k in range(len(row) + 1)] for row in tokens.tolist()]
        return torch.stack([torch.stack(row) for row in rows])


def jacobi_decode(model: Any, window: int = 2, fault: str = "") -> torch.Tensor:
    """A speculative Jacobi decode as a stranger would write it: [B, L, V] tensors, masks, gathers, in-place writes."""
    n, v = model.num_tokens, model.vocab_size
    seq = torch.zeros(1, n, dtype=torch.long)
    q = torch.nn.functional.one_hot(seq, v).to(F64)
    done = 0
    while done < n:
        length = min(window, n - done)
        probs = model.next_token_probs(seq[:, : done + length - 1])[:, done : done + length]
        drafts, q_win = seq[:, done : done + length], q[:, done : done + length]
        p_x = probs.gather(-1, drafts.unsqueeze(-1)).squeeze(-1)
        q_x = q_win.gather(-1, drafts.unsqueeze(-1)).squeeze(-1)
        accept = torch.rand(1, length, dtype=F64) < (p_x / q_x).clamp_max(1.0)
        if fault == "first untested":
            accept[:, 0] = True
        n_acc = int(accept.long().cumprod(-1).sum())
        redrawn = torch.multinomial(probs.reshape(-1, v), 1).view(1, length)
        new = torch.where(torch.arange(length)[None] < n_acc, drafts, redrawn)
        if n_acc < length:
            left = (probs[:, n_acc] - q_win[:, n_acc]).clamp(min=0)
            new[:, n_acc] = torch.multinomial(left / left.sum(-1, keepdim=True), 1).squeeze(-1)
        seq[:, done : done + length] = new
        q[:, done : done + length] = probs
        done += min(n_acc + 1, length)
    return seq[0]


def test_decode_loop_is_exact() -> None:
    model = Table(2, 3, seed=0)
    law = assert_exact(lambda: jacobi_decode(model), model)
    assert law.branches < 20  # draws and comparisons that nobody looks at do not branch
    assert abs(sum(law.probabilities.values()) - 1) < 1e-12


def test_decode_loop_with_a_fault_is_not() -> None:
    model = Table(2, 3, seed=0)
    with pytest.raises(AssertionError, match="law differs"):
        assert_exact(lambda: jacobi_decode(model, fault="first untested"), model)


def gumbel_decode(model: Any, *, one_row: bool = False) -> torch.Tensor:
    """Gumbel sharing: one noise row a position for its whole life, or (the fault) one row for all."""
    n, v, window = model.num_tokens, model.vocab_size, 2
    noise = -torch.log(torch.empty(1, n, v, dtype=F64).exponential_())
    if one_row:
        noise = noise[:, :1].expand(1, n, v)
    seq = torch.zeros(1, n, dtype=torch.long)
    q = torch.nn.functional.one_hot(seq, v).to(F64)
    done = 0
    while done < n:
        stop = min(done + window, n)
        probs = model.next_token_probs(seq[:, : stop - 1])
        drafted = (probs[:, done:stop].log() + noise[:, done:stop]).argmax(-1)
        for j in range(done, stop):
            x, p = seq[0, j], probs[0, j]
            if torch.rand(()) * q[0, j, x] < p[x]:
                done = j + 1
                continue
            seq[0, j] = torch.multinomial((p - q[0, j]).relu(), 1)
            done = j + 1
            break
        fresh = slice(done, stop)
        seq[0, fresh] = drafted[0, drafted.shape[1] - (stop - done) :] if stop > done else seq[0, fresh]
        q[:, fresh] = probs[:, fresh]
    return seq[0]


@pytest.mark.slow
def test_shared_gumbel_noise_in_tensors_is_exact() -> None:
    model = Table(2, 3, seed=1)
    assert_exact(lambda: gumbel_decode(model), model)


@pytest.mark.slow
def test_one_gumbel_row_for_several_positions_is_not() -> None:
    model = Table(2, 3, seed=1)
    law = exact_law(lambda: gumbel_decode(model, one_row=True))
    assert law.total_variation(exact_target_law(model)) > 1e-3


def speculative_sampling(*, biased: bool) -> Callable[[], tuple[int, ...]]:
    """Two drafts from a smaller model, verified by transformers, completed to three tokens by ancestral sampling."""
    verify = optional("transformers.generation.utils")._speculative_sampling
    target, small = Table(3, 3, seed=2), Table(3, 3, seed=3)

    def sampler() -> tuple[int, ...]:
        tokens = torch.zeros(1, 0, dtype=torch.long)
        for _ in range(2):
            law = small.next_token_probs(tokens)[:, -1]
            tokens = torch.cat([tokens, torch.multinomial(law, 1)], dim=-1)
        draft_logits = small.next_token_probs(tokens)[:, :2].log()
        if biased:
            draft_logits = draft_logits.roll(1, dims=-1)
        prompt = torch.zeros(1, 1, dtype=torch.long)
        valid, _ = verify(torch.cat([prompt, tokens], -1), draft_logits, 2, target.next_token_probs(tokens).log())
        while valid.shape[1] < 3:
            law = target.next_token_probs(valid)[:, -1]
            valid = torch.cat([valid, torch.multinomial(law, 1)], dim=-1)
        return tuple(valid[0].tolist())

    return sampler


@pytest.mark.slow
def test_transformers_speculative_sampling_is_exact() -> None:
    law = assert_exact(speculative_sampling(biased=False), Table(3, 3, seed=2))
    assert len(law) == 27


@pytest.mark.slow
def test_transformers_speculative_sampling_with_a_wrong_declared_law_is_not() -> None:
    law = exact_law(speculative_sampling(biased=True))
    assert law.total_variation(exact_target_law(Table(3, 3, seed=2))) > 0.01
