"""Small spaces, written out: the law of every token after every prefix, and what follows from it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from scd_analysis.evidence.batch import Floats, Longs

DEEPEST = 2
"""How many tokens back a companion law forgets."""


@dataclass(frozen=True)
class Tabulated:
    """All conditional laws of a model over V**N sequences.

    Attributes
    ----------
    rows : tuple of Float[V**j, V]
        The law of token j after each prefix of length j, first token most significant.
    companions : dict of str to tuple of Float[V**j, V]
        Other laws by prefix (see :func:`companion_laws`).
    """

    rows: tuple[Floats, ...]
    companions: dict[str, tuple[Floats, ...]]

    @property
    def vocab_size(self) -> int:
        """V."""
        return int(self.rows[0].shape[1])

    def joint_law(self) -> Floats:
        """Return Float[V**N], the probability of every sequence."""
        law = np.ones(1)
        for row in self.rows:
            law = (law[:, None] * row).ravel()
        return law

    def look_up(self, tokens: Longs) -> tuple[Floats, dict[str, Floats], Longs]:
        """Return the laws Float[S, N, V], the companions and the cells Long[S] of sequences Long[S, N]."""
        prefixes = [np.zeros(len(tokens), dtype=np.int64)]
        for j in range(tokens.shape[1]):
            prefixes.append(prefixes[-1] * self.vocab_size + tokens[:, j])
        laws = np.stack([row[prefix] for row, prefix in zip(self.rows, prefixes, strict=False)], axis=1)
        others = {
            name: np.stack([row[prefix] for row, prefix in zip(rows, prefixes, strict=False)], axis=1)
            for name, rows in self.companions.items()
        }
        return laws, others, prefixes[-1]


def tabulate(rows: tuple[Floats, ...]) -> Tabulated:
    """Build the table with its companion laws."""
    return Tabulated(rows, companion_laws(rows))


def companion_laws(rows: tuple[Floats, ...]) -> dict[str, tuple[Floats, ...]]:
    """Build the laws that a faulty decoder is likely to lean to.

    A draft of position j was drawn after a prefix whose last tokens were themselves drafts. With y those tokens, drawn
    from the target after the tokens before, and ``q = p(. | .., y)``:

    ``stale-d``
        the mean of q over the last d tokens: the output of a decoder that does not correct a draft;
    ``unresidual-d``
        the mean of ``min(p, q) + TV(p, q) p``: a rejection replaced by a draw from p;
    ``kept-d``
        the mean of ``p`` tilted by ``(q/p)^(1/2)``: a draft kept where it should have been rejected.
    """
    depths = range(1, min(DEEPEST, len(rows) - 1) + 1)
    out: dict[str, tuple[Floats, ...]] = {}
    for depth in depths:
        triples = [_companions_of(rows, j, depth) for j in range(len(rows))]
        for i, name in enumerate((f"stale-{depth}", f"unresidual-{depth}", f"kept-{depth}")):
            out[name] = tuple(triple[i] for triple in triples)
    return out


def _companions_of(rows: tuple[Floats, ...], j: int, depth: int) -> tuple[Floats, Floats, Floats]:
    if j < depth:
        return rows[j], rows[j], rows[j]
    vocab = rows[0].shape[1]
    weight = np.ones((vocab ** (j - depth), 1))
    for k in range(j - depth, j):
        weight = (weight[..., None] * rows[k].reshape(len(weight), -1, vocab)).reshape(len(weight), -1)
    siblings = rows[j].reshape(vocab ** (j - depth), -1, vocab)  # [stem, last tokens, V]
    own, draft = siblings[:, :, None], siblings[:, None]
    stale = np.broadcast_to((weight[..., None] * siblings).sum(axis=1, keepdims=True), siblings.shape)
    overlap = np.minimum(own, draft)
    uncorrected = overlap + (1 - overlap.sum(-1, keepdims=True)) * own
    kept = np.sqrt(own * draft)
    kept = kept / np.maximum(kept.sum(-1, keepdims=True), 1e-300)
    mean = [np.einsum("sb,sabv->sav", weight, law) for law in (uncorrected, kept)]
    return stale.reshape(-1, vocab), mean[0].reshape(-1, vocab), mean[1].reshape(-1, vocab)
