"""Drawing batches from a subject: seeds, sizes, and the checks on what comes back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from scd_analysis.errors import InputError
from scd_analysis.evidence.batch import Floats, Longs
from scd_analysis.validate import check_tokens

Subject = Callable[[Any, int, int], Any]

FIRST_BATCH = 64
REPEAT_LOG_PROB = -30.0
"""Two batches that begin alike are an accident with this probability (nats) at most before the audit calls it a seed
that was ignored."""


class Draws:
    """Ask a subject for independent batches.

    Each batch has its own seed below 2**31, all different, derived from the audit's. A subject must use it: one that
    ignores it returns the same sequences again, which is reported as an error and not as a refutation.

    Parameters
    ----------
    subject : callable
        ``subject(model, num_sequences, seed) -> Long[num_sequences, N]``.
    model : TargetModel
    seeds : numpy.random.SeedSequence
    """

    def __init__(self, subject: Subject, model: Any, seeds: np.random.SeedSequence) -> None:
        if not callable(subject):
            raise InputError(f"subject = {subject!r}: a subject is called with (model, num_sequences, seed)")
        self._subject, self._model, self._seeds = subject, model, seeds
        self._used: list[int] = []
        self._head: Longs | None = None

    def next(self, num_sequences: int) -> Longs:
        """Return Long[num_sequences, N].

        Raises
        ------
        InputError
            If what comes back has another shape, is not integer, or has a token outside the vocabulary.
        """
        seed = self._next_seed()
        returned = self._subject(self._model, num_sequences, seed)
        name = f"subject(model, {num_sequences}, {seed})"
        tokens = _as_it_is(returned, name)
        expected = (num_sequences, int(self._model.num_tokens))
        if tokens.shape != expected:
            raise InputError(f"{name} has shape {tokens.shape}: expected {expected}")
        if not np.issubdtype(tokens.dtype, np.integer):
            raise InputError(f"{name} has dtype {tokens.dtype}: tokens are integers")
        tokens = tokens.astype(np.int64)
        check_tokens(tokens, int(self._model.vocab_size), name)
        return tokens

    def check_fresh(self, tokens: Longs, token_probs: Floats) -> None:
        """Check that a batch does not begin like the one before it.

        Raises
        ------
        InputError
            If it does although that has probability below e^-30 under the target.
        """
        previous, self._head = self._head, tokens[:FIRST_BATCH].copy()
        if previous is None:
            return
        shared = min(len(previous), len(self._head))
        with np.errstate(divide="ignore"):
            log_prob = float(np.log(token_probs[:shared]).sum())
        if (previous[:shared] == self._head[:shared]).all() and log_prob < REPEAT_LOG_PROB:
            raise InputError(
                f"subject(model, ..., seed={self._used[-1]}) begins with the same {shared} sequences as with "
                f"seed={self._used[-2]}: a subject draws anew for every seed"
            )

    def _next_seed(self) -> int:
        while True:
            seed = int(self._seeds.spawn(1)[0].generate_state(1)[0] >> 1)
            if seed not in self._used:
                self._used.append(seed)
                return seed


def _as_it_is(value: Any, name: str) -> npt.NDArray[Any]:
    """Convert to an array without changing the type of its entries, so that 1.5 does not become token 1."""
    if hasattr(value, "detach"):  # a torch tensor, without importing torch
        value = value.detach().cpu().numpy()
    try:
        return np.asarray(value)
    except ValueError as error:
        raise InputError(f"{name} is not an array of tokens: {error}") from None
