"""Draws and comparisons that are put off: the law is that of making them at once, from fewer branches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from scd_analysis.exact import exact_law
from scd_analysis.exact.torch.shadow import Undrawn
from tests.exact.test_kernels import F64, Table, gumbel_decode, jacobi_decode

P = torch.tensor([0.5, 0.3, 0.2], dtype=F64)
Q = torch.tensor([0.2, 0.3, 0.5], dtype=F64)
MODEL = Table(2, 3, seed=4)


def coupled_window() -> Any:
    """Modified rejection over a whole [B, L, V] window, residuals of all positions drawn at once."""
    probs, q = P.expand(2, 2, 3), Q.expand(2, 2, 3)
    drafts = torch.multinomial(q.reshape(-1, 3), 1).view(2, 2)
    ratio = (probs / q).gather(-1, drafts[..., None]).squeeze(-1)
    accept = torch.rand(2, 2, dtype=F64) < ratio
    residual = (probs - q).clamp(min=0)
    fresh = torch.multinomial((residual / residual.sum(-1, keepdim=True)).view(-1, 3), 1).view_as(drafts)
    return torch.where(accept, drafts, fresh)[0]


def short_circuit_in_python() -> Any:
    u = torch.rand(4)
    accept = u < torch.tensor([0.9, 0.5, 0.25, 0.125])
    for j in range(4):
        if not accept[j]:
            return j
    return 4


def first_rejection_by_cumprod() -> Any:
    return (torch.rand(1, 4) < 0.5).int().cumprod(-1).sum(-1)


def first_rejection_by_negation() -> Any:
    return int((~(torch.rand(4) < 0.5)).long().cumsum(0).lt(1).sum())


def all_and_any() -> Any:
    u = torch.rand(2, 3)
    return bool((u[0] < 0.5).all()), bool((u[1] < 0.5).any()), (u > 0.5).all(dim=-1)


def token_buffer() -> Any:
    seq = torch.full((1, 5), -1)
    for j in range(0, 4, 2):
        seq[:, j : j + 2] = torch.multinomial(P[None].expand(2, 3), 1).t()
    seq[0, 1] = seq[0, 0]
    other = seq.clone()
    seq.fill_(7)
    return torch.cat([other[:, :3], torch.ones(1, 1, dtype=torch.long)], -1).roll(1, -1)[0]


def token_seen_twice() -> Any:
    token = torch.multinomial(P, 1)
    twice = torch.cat([token, token])
    first = int(twice[0])
    return first, twice[1].item(), token.numpy()[0], (token == first).item(), int(token.float() * 2)


def token_as_index() -> Any:
    tokens = torch.multinomial(P, 2, replacement=True)
    table = torch.arange(9).view(3, 3)
    return int(table[tokens[0], tokens[1]]), torch.nn.functional.one_hot(tokens, 3).sum(0), tokens.max().item()


def seen_by_numpy() -> Any:
    buffer = torch.zeros(2, dtype=torch.long)
    view = buffer.numpy()
    buffer[0] = torch.multinomial(P, 1)[0]
    buffer[1:] = torch.multinomial(P, 1)
    return tuple(np.sort(view).tolist())


def mask_from_a_comparison() -> Any:
    x = torch.tensor([1, 2, 3])
    mask = torch.rand(3) < 0.5
    x[mask] = 0
    return x.masked_fill(~mask, 9)


def one_variate_compared_twice() -> Any:
    u = torch.rand(1, dtype=F64)
    low, high = u < 0.3, u < 0.6
    return bool(high), bool(low)


KERNELS: list[Callable[[], Any]] = [
    coupled_window,
    short_circuit_in_python,
    first_rejection_by_cumprod,
    first_rejection_by_negation,
    all_and_any,
    token_buffer,
    token_seen_twice,
    token_as_index,
    seen_by_numpy,
    mask_from_a_comparison,
    one_variate_compared_twice,
    lambda: jacobi_decode(MODEL),
    lambda: gumbel_decode(MODEL),
]


@pytest.mark.slow
@pytest.mark.parametrize("kernel", KERNELS, ids=lambda kernel: kernel.__name__)
def test_same_law_as_at_once(kernel: Callable[[], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    later = exact_law(kernel)
    begin = Undrawn.__init__

    def at_once(self: Undrawn, draw: Callable[[], int]) -> None:
        begin(self, draw)
        self.draw()

    monkeypatch.setattr(Undrawn, "__init__", at_once)
    now = exact_law(kernel)
    assert set(later.probabilities) == set(now.probabilities)
    assert later.total_variation(now) < 1e-14
    assert later.branches <= now.branches


@pytest.mark.slow
def test_what_nobody_looks_at_does_not_branch() -> None:
    assert exact_law(lambda: (torch.multinomial(P, 1), torch.rand(8) < 0.5)[0].shape[0]).branches == 1
    assert exact_law(first_rejection_by_cumprod).branches == 5
    assert exact_law(short_circuit_in_python).branches == 5
