"""A small target model whose laws are made up, for subjects that need one and have none."""

from __future__ import annotations

from typing import Any

import numpy as np

from scd_analysis.errors import InputError
from scd_analysis.evidence.batch import Floats
from scd_analysis.validate import as_array, check_at_least

MOST_PREFIXES = 2**18
CONCENTRATION = 0.7
LEAST = 1e-3
"""No token is less probable: a law's least probable tokens come up too rarely to tell much."""


class MadeUp:
    """One law for every prefix, drawn from a symmetric Dirichlet distribution.

    Parameters
    ----------
    vocab_size, num_tokens : int
        V and N; there are V ** (N - 1) laws of the last token.
    rng : numpy.random.Generator

    Raises
    ------
    InputError
        If there would be too many laws.
    """

    def __init__(self, vocab_size: int, num_tokens: int, rng: np.random.Generator) -> None:
        check_at_least(vocab_size, 2, "vocab_size")
        check_at_least(num_tokens, 1, "num_tokens")
        if vocab_size ** (num_tokens - 1) > MOST_PREFIXES:
            raise InputError(
                f"vocab_size = {vocab_size}, num_tokens = {num_tokens}: more than {MOST_PREFIXES} laws; pass a model "
                "of your own to the audit, or smaller sizes"
            )
        self.vocab_size, self.num_tokens = vocab_size, num_tokens
        shape = np.full(vocab_size, CONCENTRATION)
        rows = [np.maximum(rng.dirichlet(shape, size=vocab_size**j), LEAST) for j in range(num_tokens)]
        self._rows = [row / row.sum(axis=-1, keepdims=True) for row in rows]

    def next_token_probs(self, tokens: Any) -> Floats:
        """Return Float[B, t + 1, V] for tokens Long[B, t]."""
        own = as_array(tokens, "tokens", np.int64)
        prefix = np.zeros(len(own), dtype=np.int64)
        out = [self._rows[0][prefix]]
        for j in range(min(own.shape[1], self.num_tokens - 1)):
            prefix = prefix * self.vocab_size + own[:, j]
            out.append(self._rows[j + 1][prefix])
        return np.stack(out, axis=1)
