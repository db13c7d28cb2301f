"""One batch of a subject: the call, and the checks on what comes back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from scd_analysis.audit.guard import guarded
from scd_analysis.contracts import Subject, as_drawn, is_trace
from scd_analysis.errors import InputError
from scd_analysis.evidence.batch import Longs
from scd_analysis.validate import as_array, check_tokens

if TYPE_CHECKING:
    import xarray as xr

MOST_VOCABULARY = 2**31 - 1
READ_ONCE = 2**24
"""Bytes up to which a trace is read as a whole: each of its variables is looked at several times."""


@dataclass(frozen=True)
class Ask:
    """A batch to be drawn."""

    number: int
    num_sequences: int
    seed: int


@dataclass(frozen=True)
class Drawing:
    """How a batch is drawn, here or in another process.

    Attributes
    ----------
    subject : Subject
    model : TargetModel or None
    vocab_size, num_tokens : int or None
        V and N; None is whatever comes.
    timeout : float or None
        Seconds that one batch may take.
    called : str
        What the subject is called in messages.
    """

    subject: Subject
    model: Any
    vocab_size: int | None
    num_tokens: int | None
    timeout: float | None
    called: str

    def __call__(self, num_sequences: int, seed: int) -> Any:
        """Return Long[num_sequences, N] or a trace.

        Raises
        ------
        InputError
            If the subject raises or takes too long, or if what comes back has another shape, is not integer, or has a
            token outside the vocabulary.
        """
        name = f"{self.called}(model, {num_sequences}, {seed})"

        def drawn() -> Any:  # attributes of what is returned are the subject's code too
            found = as_drawn(self.subject(self.model, num_sequences, seed))
            return (self._trace if is_trace(found) else self._tokens)(found, name, num_sequences)

        return guarded(name, drawn, self.timeout)

    def _tokens(self, returned: Any, name: str, num_sequences: int) -> Longs:
        tokens = as_array(returned, name, None)
        is_any = self.num_tokens is None and tokens.ndim == 2 and tokens.shape[1]
        expected = (num_sequences, tokens.shape[1] if is_any else self.num_tokens)
        if tokens.shape != expected:
            raise InputError(f"{name} has shape {tokens.shape}: expected {expected}")
        if not np.issubdtype(tokens.dtype, np.integer):
            raise InputError(f"{name} has dtype {tokens.dtype}: tokens are integers")
        tokens = tokens.astype(np.int64)
        check_tokens(tokens, self.vocab_size or MOST_VOCABULARY, name)
        return tokens

    def _trace(self, trace: xr.Dataset, name: str, num_sequences: int) -> xr.Dataset:
        found = (trace.sizes.get("sequence"), trace.sizes.get("position"), trace.attrs.get("vocab_size"))
        known = (num_sequences, self.num_tokens, self.vocab_size)
        expected = tuple(shown if stated is None else stated for shown, stated in zip(found, known, strict=True))
        if found != expected:
            raise InputError(f"{name} is a trace of (sequences, tokens, vocabulary) = {found}: expected {expected}")
        from scd_analysis.trace import validate
        from scd_analysis.trace.damage import named

        try:
            if trace.nbytes <= READ_ONCE:
                with named("trace"):
                    trace = trace.compute()
            validate(trace, laws=True)
        except InputError as error:
            raise type(error)(f"{name}: {error}") from None
        return trace
