"""Subjects of an audit: what can be judged, as ``subject(model, num_sequences, seed) -> Long[num_sequences, N]``.

Any callable of that form is a subject. It must draw anew for every seed: one that ignores its seed repeats itself,
which the audit reports as an error. Here are the ones that need no decoder::

    ancestral                  samples the model itself, token by token: the null
    recorded(tokens)           hands out stored sequences, each once
    resolve("module:name")     looks a subject up by name, as the command line does
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np

from scd_analysis.audit.draws import Subject
from scd_analysis.audit.target import model_input
from scd_analysis.errors import InputError, UnknownNameError
from scd_analysis.evidence.batch import Longs
from scd_analysis.validate import as_array, check_laws, check_tokens

__all__ = ["Recorded", "Subject", "ancestral", "recorded", "resolve"]


def ancestral(model: Any, num_sequences: int, seed: int) -> Longs:
    """Sample the model token by token, by inverse distribution function in float64.

    Parameters
    ----------
    model : TargetModel
    num_sequences : int
    seed : int
        Of ``numpy.random.default_rng``: PCG64.

    Returns
    -------
    Long[num_sequences, N]

    Raises
    ------
    LawError
        If a law of the model is not one.
    """
    rng = np.random.default_rng(seed)
    tokens = np.zeros((num_sequences, int(model.num_tokens)), dtype=np.int64)
    for j in range(tokens.shape[1]):
        laws = as_array(model.next_token_probs(model_input(tokens[:, :j])), "model.next_token_probs(...)")[:, j]
        check_laws(laws, "model.next_token_probs(...)")
        upto = laws.cumsum(axis=1)
        chosen = (upto <= rng.random((num_sequences, 1)) * upto[:, -1:]).sum(axis=1)
        tokens[:, j] = np.minimum(chosen, laws.shape[1] - 1)
    return tokens


class Recorded:
    """Stored sequences, each handed out once, in order.

    Attributes
    ----------
    num_available : int
        The audit stops there by itself.
    """

    def __init__(self, tokens: Any) -> None:
        self._tokens = as_array(tokens, "tokens", np.int64)
        if self._tokens.ndim != 2 or not len(self._tokens):
            raise InputError(
                f"tokens has shape {self._tokens.shape}: recorded sequences are Long[S, N] with S at least 1"
            )
        self.num_available = len(self._tokens)
        self._next = 0

    def __call__(self, model: Any, num_sequences: int, seed: int) -> Longs:
        """Return the next sequences; the seed is not used, since nothing is drawn.

        Raises
        ------
        InputError
            If fewer are left.
        """
        left = self.num_available - self._next
        if num_sequences > left:
            raise InputError(f"num_sequences = {num_sequences}: {left} recorded sequences are left")
        start, self._next = self._next, self._next + num_sequences
        out = self._tokens[start : self._next]
        check_tokens(out, int(model.vocab_size), "tokens")
        return np.asarray(out)


def recorded(tokens: Any) -> Recorded:
    """Make a subject of stored sequences Long[S, N]; they must be independent draws, in any order."""
    return Recorded(tokens)


def resolve(name: str) -> Subject:
    """Look up a subject by ``module:attribute``.

    Raises
    ------
    UnknownNameError
        If the name has another form, or module or attribute do not exist.
    """
    module, _, attribute = name.partition(":")
    if not module or not attribute:
        raise UnknownNameError(f"subject={name!r} is not known; write it as module:attribute")
    try:
        found = getattr(import_module(module), attribute)
    except (ModuleNotFoundError, AttributeError) as error:
        raise UnknownNameError(f"subject={name!r} is not known: {error}") from None
    if not callable(found):
        raise UnknownNameError(f"subject={name!r} is a {type(found).__name__}: a subject is callable")
    subject: Subject = found
    return subject
