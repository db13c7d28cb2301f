"""Speculative Jacobi decoding over full-context tables, in NumPy, with one switch a planted fault.

Small enough to read in one go and vectorised over sequences, so that a fault's law can be estimated from millions of
sequences. ``fault=None`` is lossless. The faults are those of the list in ``FAULTS``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Longs = npt.NDArray[np.int64]

FAULTS = {
    "residual-from-target": "a rejection is replaced by a draw from p",
    "stale-law": "a draft that survives keeps its old law",
    "tilted-draft": "drafts come from a tilt of p but p is declared",
    "uniform-declared": "initial drafts are the most probable token of the row before, but uniform is declared",
    "argmax-draft": "drafts are the most probable token, but p is declared",
    "first-untested": "the first token of the window is accepted untested when it was drafted from a law",
    "fresh-match": "accept iff the draft equals a fresh sample; if not, commit another fresh sample",
    "residual-clamped": "the residual is floored by 0.05 before it is normalised",
    "wrong-residual": "the residual is p without the draft, whatever q was",
    "row-shifted": "the target law of the last position is that of the row before",
    "temperature": "the laws used are sharpened by five percent",
    "half-context": "the law of a position ignores the token before the last one",
    "rejected-in-cache": "the position after a rejection is drafted and verified as if the rejected token stood",
    "keep-confident": "a rejected draft with p/q above one half is kept",
    "shared-uniform": "one uniform serves every position of an iteration",
    "truncated": "each law loses its least probable token",
}


@dataclass(frozen=True)
class Tables:
    """A target model: ``rows[j]`` is Float[V**j, V], the law of token j for every prefix."""

    rows: tuple[Floats, ...]

    @property
    def vocab_size(self) -> int:
        return int(self.rows[0].shape[1])

    @property
    def num_tokens(self) -> int:
        return len(self.rows)

    def laws(self, tokens: Longs) -> Floats:
        """Return Float[B, t+1, V] for tokens Long[B, t]."""
        prefix, out = np.zeros(len(tokens), dtype=np.int64), [self.rows[0][np.zeros(len(tokens), dtype=np.int64)]]
        for j in range(tokens.shape[1]):
            prefix = prefix * self.vocab_size + tokens[:, j]
            if j + 1 < self.num_tokens:
                out.append(self.rows[j + 1][prefix])
        return np.stack(out, axis=1)

    def next_token_probs(self, tokens: npt.NDArray[np.int64]) -> Floats:
        return self.laws(np.asarray(tokens))

    def joint(self) -> Floats:
        """Return the law of all V**N sequences, first token most significant."""
        law = np.ones(1)
        for rows in self.rows:
            law = (law[:, None] * rows).ravel()
        return law


def random_tables(vocab_size: int, num_tokens: int, concentration: float, rng: np.random.Generator) -> Tables:
    alpha = np.full(vocab_size, concentration)
    rows = [np.maximum(rng.dirichlet(alpha, size=vocab_size**j), 1e-6) for j in range(num_tokens)]
    return Tables(tuple(row / row.sum(-1, keepdims=True) for row in rows))


def draw(laws: Floats, uniforms: Floats) -> Longs:
    """Inverse CDF along the last axis; a mass of zero is never drawn."""
    total = laws.cumsum(-1)
    target = uniforms[..., None] * total[..., -1:]
    return np.minimum((total <= target).sum(-1), laws.shape[-1] - 1)


def _target(tables: Tables, tokens: Longs, fault: str | None) -> Floats:
    if fault == "half-context" and tables.num_tokens > 2:
        tokens = tokens.copy()
        seen = tokens.copy()
        laws = tables.laws(tokens[:, :-1])
        for j in range(2, tables.num_tokens):
            seen = tokens.copy()
            seen[:, j - 2] = 0
            laws[:, j] = tables.laws(seen[:, :-1])[:, j]
        return laws
    laws = tables.laws(tokens[:, :-1])
    if fault == "row-shifted":
        laws[:, -1] = laws[:, -2]
    if fault == "temperature":
        laws = laws**1.05
    if fault == "truncated":
        laws = np.where(laws == laws.min(-1, keepdims=True), 0, laws)
    return laws / laws.sum(-1, keepdims=True)


def decode(
    tables: Tables,
    num_sequences: int,
    rng: np.random.Generator,
    *,
    fault: str | None = None,
    coupled: bool = True,
    window: int = 4,
) -> Longs:
    """Decode Long[num_sequences, N] by SJD (``coupled=False``) or SCD-MC, with at most one fault."""
    size, length, vocab = num_sequences, tables.num_tokens, tables.vocab_size
    at, base = np.arange(length), np.zeros(num_sequences, dtype=np.int64)
    tokens = rng.integers(vocab, size=(size, length))
    declared = np.eye(vocab)[tokens]  # a made-up draft has a point mass as its law
    if fault == "uniform-declared":
        tokens[:, 1:] = _target(tables, tokens, None)[:, :-1].argmax(-1)
        declared = np.full_like(declared, 1 / vocab)
    previous, fresh = np.full_like(declared, 1 / vocab), np.ones((size, length), dtype=bool)
    while (base < length).any():
        target = _target(tables, tokens, fault)
        uniforms = rng.random((size, 1)) if fault == "shared-uniform" else rng.random((size, length))
        own = np.take_along_axis(target, tokens[..., None], -1)[..., 0]
        draft = np.take_along_axis(declared, tokens[..., None], -1)[..., 0]
        accepted = uniforms * draft < own
        residual = np.maximum(target - declared, 0)
        if fault == "residual-clamped":
            residual = np.maximum(residual, 0.05)
        if fault == "residual-from-target":
            residual = target
        if fault == "wrong-residual":
            residual = np.where(np.arange(vocab) == tokens[..., None], 0, target)
        if fault == "fresh-match":
            accepted = tokens == draw(target, rng.random((size, length)))
            residual = target
        if fault == "keep-confident":
            accepted |= (own > 0.5 * draft) & ~fresh
        if fault == "first-untested":
            accepted |= (at == base[:, None]) & ~fresh
        residual = np.where(residual.sum(-1, keepdims=True) > 0, residual, target)
        verified = np.where(accepted, tokens, draw(residual, rng.random((size, length))))
        inside = (at >= base[:, None]) & (at < base[:, None] + window)
        first = np.where(inside & ~accepted, at, length).min(1)
        stop = np.minimum(np.minimum(first + 1, base + window), length)
        commit = inside & (at < stop[:, None])
        later = inside & ~commit
        proposal = target
        if fault == "tilted-draft":
            proposal = target * np.clip((target / np.maximum(previous, 1e-9)), 0.25, 4)
            proposal /= proposal.sum(-1, keepdims=True)
        redrawn = verified if coupled and fault != "tilted-draft" else draw(proposal, rng.random((size, length)))
        if fault == "argmax-draft":
            redrawn = target.argmax(-1)
        law = target
        if fault == "stale-law":
            law = np.where(accepted[..., None], declared, target)
        if fault == "rejected-in-cache":
            after = (at == stop[:, None]) & inside
            tokens_next = np.where(after, draw(target, rng.random((size, length))), verified)
            commit = commit | after
            stop = np.minimum(stop + after.any(1), length)
            later = inside & ~commit
            verified = tokens_next
        tokens = np.where(commit, verified, np.where(later, redrawn, tokens))
        declared = np.where(later[..., None], law, declared)
        previous = np.where(later[..., None], target, previous)
        fresh &= ~later
        base = stop
    return tokens


def cells(tokens: Longs, vocab_size: int) -> Longs:
    """Return the number of each sequence by its tokens, first token most significant."""
    out = np.zeros(len(tokens), dtype=np.int64)
    for j in range(tokens.shape[1]):
        out = out * vocab_size + tokens[:, j]
    return out
