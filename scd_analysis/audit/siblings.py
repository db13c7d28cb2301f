"""Children of a node that one uniform variate decides on, each against what those before it left of the target's law.

A child x is accepted where ``u q(x) < p(x)``; else p becomes ``(p - q)+`` and the next is tried. With a variate of its
own for each the outcome has the law p. With one for all, a child that comes behind a rejection knows that u was not
low, so that it is accepted too rarely; or right again, where u is scaled to what the rejection left of it.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from scd_analysis.evidence.batch import Floats, Longs

MOST_PATHS, MOST_ENTRIES = 2**12, 2**22
"""Drafts that the children of one node may be, beyond which their law is not worked out; and probabilities at once."""


def of_given(target: Floats, children: Longs) -> Floats:
    """Return the law of what is committed, given the children, which are different tokens declared as point masses.

    Parameters
    ----------
    target : Float[B, V]
    children : Long[B, K]
    """
    rest, low, out = target.copy(), np.zeros(len(target)), np.zeros_like(target)
    rows = np.arange(len(target))
    for token in children.T:
        passes = np.minimum(rest[rows, token], 1)
        out[rows, token] += np.maximum(passes - low, 0)
        low = np.maximum(low, passes)
        rest[rows, token] = 0
        rest = _as_laws(rest, target)
    return out + (1 - low)[:, None] * rest


def of_drawn(target: Floats, draft: Floats, count: int, *, replaced: bool) -> Floats | None:
    """Return the law of what is committed, over children drawn from a law; None where they can be too many things.

    Parameters
    ----------
    target, draft : Float[B, V]
    count : int
        K, of children.
    replaced : bool
        Whether a token can come again.
    """
    vocab_size = target.shape[-1]
    if vocab_size**count > MOST_PATHS:
        return None
    size = max(1, MOST_ENTRIES // vocab_size ** (count + 1))
    ends = [*range(0, len(target), size), len(target)]
    parts = [_of_drawn(target[a:b], draft[a:b], count, replaced=replaced) for a, b in pairwise(ends)]
    return np.concatenate(parts) if parts else np.zeros_like(target)


def _of_drawn(target: Floats, draft: Floats, count: int, *, replaced: bool) -> Floats:
    """Follow every path of children: its probability, what it leaves of p and of q, and where u must lie."""
    out, vocab_size = np.zeros_like(target), target.shape[-1]
    every = np.tile(np.arange(vocab_size), len(target))
    window, chance, low, rest, law = np.arange(len(target)), np.ones(len(target)), np.zeros(len(target)), target, draft
    for _ in range(count):
        with np.errstate(divide="ignore", invalid="ignore"):
            passes = np.nan_to_num(np.clip(rest / law, 0, 1)).ravel()
        residual = _as_laws(np.maximum(rest - law, 0), rest)
        chance = np.repeat(chance, vocab_size) * law.ravel()
        window, low = np.repeat(window, vocab_size), np.repeat(low, vocab_size)
        rest = np.repeat(residual, vocab_size, axis=0)
        token = np.resize(every, len(window))
        np.add.at(out, (window, token), chance * np.maximum(passes - low, 0))
        low = np.maximum(low, passes)
        law = np.repeat(law, vocab_size, axis=0)
        if not replaced:
            law[np.arange(len(law)), token] = 0
            law = _as_laws(law, law)
    np.add.at(out, window, (chance * (1 - low))[:, None] * rest)
    return out


def _as_laws(weights: Floats, otherwise: Floats) -> Floats:
    """Normalise, Float[B, V]; the others where nothing is left."""
    total = weights.sum(axis=-1, keepdims=True)
    return np.where(total > 1e-14, weights / np.where(total > 0, total, 1), otherwise)
