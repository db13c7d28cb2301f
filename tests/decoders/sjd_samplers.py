"""Samplers of speculative Jacobi decoding as people release them: the same few rules in many forms, right and wrong."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch


def residual(target: torch.Tensor, draft: torch.Tensor) -> torch.Tensor:
    """``(p - q)+`` along the last axis; p where that is empty."""
    left = (target - draft).clamp(min=0)
    return torch.where(left.sum(-1, keepdim=True) > 0, left, target)


def of_laws(laws: torch.Tensor) -> torch.Tensor:
    return torch.multinomial(laws.flatten(0, -2), 1).view(laws.shape[:-1])


def accepts(draft_tokens: torch.Tensor, draft_prob: torch.Tensor, advanced_prob: torch.Tensor) -> torch.Tensor:
    p, q = (law.gather(-1, draft_tokens[..., None])[..., 0] for law in (advanced_prob, draft_prob))
    return torch.rand(draft_tokens.shape, dtype=p.dtype) * q < p


class SpeculativeJacobi:
    """The plain one: what lies behind the first rejection is drawn from the new laws."""

    def sample(self, draft_tokens, advanced_tokens, draft_prob, advanced_prob):
        accepted = accepts(draft_tokens, draft_prob, advanced_prob)
        count = accepted.long().cumprod(-1).sum(-1)
        place = torch.arange(draft_tokens.shape[-1])
        redrawn = of_laws(self.replacing(draft_prob, advanced_prob))
        tokens = torch.where(place == count[..., None], redrawn, advanced_tokens)
        return count, torch.where(place < count[..., None], draft_tokens, tokens)

    def replacing(self, draft_prob, advanced_prob):
        return residual(advanced_prob, draft_prob)


class ReplacedFromTarget(SpeculativeJacobi):
    """A rejection is replaced by a draw from the new law."""

    def replacing(self, draft_prob, advanced_prob):
        return advanced_prob


class WithEpsilon(SpeculativeJacobi):
    """1e-10 is added to the residual, as some do against empty ones."""

    def replacing(self, draft_prob, advanced_prob):
        return (advanced_prob - draft_prob).clamp(min=0) + 1e-10


class MaximalCoupling:
    """The whole window is verified, and what comes out are the next drafts; every law is the new one."""

    def __call__(self, draft_tokens, advanced_tokens, draft_prob, advanced_prob):
        kept = accepts(draft_tokens, draft_prob, advanced_prob)
        tokens = torch.where(kept, draft_tokens, of_laws(residual(advanced_prob, draft_prob)))
        return kept.long().cumprod(-1).sum(-1), tokens, self.declared(kept, draft_prob, advanced_prob)

    def declared(self, kept, draft_prob, advanced_prob):
        return advanced_prob


class AsFirstReleased(MaximalCoupling):
    """A kept draft keeps its old law."""

    def declared(self, kept, draft_prob, advanced_prob):
        return torch.where(kept[..., None], draft_prob, advanced_prob)


class Verified(NamedTuple):
    num_committed: int
    tokens: np.ndarray
    probs: np.ndarray


def in_numpy(x_old, x_new, q, p):
    """One sequence, arrays, NumPy's global noise, the number of committed tokens, a named tuple."""
    tokens, laws, committed = x_new.copy(), p.copy(), len(x_old)
    for k, token in enumerate(x_old):
        if np.random.random() * q[k, token] < p[k, token]:  # noqa: NPY002 -- as others write it
            tokens[k] = token
            continue
        left = np.maximum(p[k] - q[k], 0).astype(float)
        tokens[k] = np.random.choice(len(left), p=left / left.sum())  # noqa: NPY002
        committed = k + 1
        break
    return Verified(committed, tokens, laws)


def with_bonus(draft_tokens, draft_probs, target_probs, generator):
    """A kernel: laws of one position more, and a bonus token where all are accepted. No next drafts."""
    size = draft_tokens.shape[1]
    p = target_probs[:, :size]
    at = (law.gather(2, draft_tokens[..., None])[..., 0] for law in (p, draft_probs))
    p_x, q_x = at
    accepted = torch.rand(draft_tokens.shape, generator=generator, dtype=p_x.dtype) * q_x < p_x
    count = accepted.long().cumprod(1).sum(1)
    other = torch.multinomial(residual(p, draft_probs).flatten(0, 1), 1, generator=generator).view(-1, size)
    bonus = torch.multinomial(target_probs[:, size], 1, generator=generator)
    kept = torch.arange(size) < count[:, None]
    return torch.cat([torch.where(kept, draft_tokens, other), bonus], 1), count + 1


def as_list(draft_tokens: Any, draft_prob: Any, advanced_prob: Any) -> list[int]:
    """The committed tokens of one sequence."""
    out = []
    for x, q, p in zip(draft_tokens.tolist(), draft_prob, advanced_prob, strict=True):
        if torch.rand((), dtype=p.dtype) * q[x] >= p[x]:
            return [*out, int(torch.multinomial(residual(p, q), 1))]
        out.append(x)
    return out
