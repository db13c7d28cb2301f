"""Drawing batches from a subject: seeds, sizes, and the checks on what comes back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from scd_analysis.audit.guard import check_signature, guarded
from scd_analysis.contracts import Subject, as_drawn, is_trace
from scd_analysis.errors import InputError
from scd_analysis.evidence.batch import Floats, Longs, Rows
from scd_analysis.validate import as_array, check_tokens

if TYPE_CHECKING:
    import xarray as xr

    from scd_analysis.audit.checkpoint import Checkpoint

FIRST_BATCH = 64
MOST_VOCABULARY = 2**31 - 1
REPEAT_LOG_PROB = -30.0
"""Two batches that begin alike are an accident with this probability (nats) at most before the audit calls it a seed
that was ignored."""


READ_ONCE = 2**24
"""Bytes up to which a trace is read as a whole: each of its variables is looked at several times."""


class Draws:
    """Ask a subject for independent batches.

    Each batch has its own seed below 2**31, all different, derived from the audit's. A subject must use it: one that
    ignores it returns the same sequences again, which is reported as an error and not as a refutation.

    Parameters
    ----------
    subject : Subject
    model : TargetModel or None
    sizes : tuple of int or None
        V and N; None is whatever the first batch shows.
    seeds : numpy.random.SeedSequence
    checkpoint : Checkpoint, optional
        Where batches are kept, and found again.
    timeout : float, optional
        Seconds that one batch may take.
    in_batches : bool
        Whether they are drawn anew, so that a row of a batch means something; stored ones are not.
    called : str
        What the subject is called in messages.
    """

    def __init__(
        self,
        subject: Subject,
        model: Any,
        sizes: tuple[int | None, int | None],
        seeds: np.random.SeedSequence,
        checkpoint: Checkpoint | None = None,
        timeout: float | None = None,
        *,
        in_batches: bool = True,
        called: str = "subject",
    ) -> None:
        if not callable(subject):
            raise InputError(f"{called} = {subject!r}: a subject is called with (model, num_sequences, seed)")
        check_signature(subject, called, "(model, num_sequences, seed); other forms are subjects.sampler(function)", 3)
        self._timeout, self._called = timeout, called
        self.in_batches = in_batches
        self._subject, self._model, self._seeds, self._checkpoint = subject, model, seeds, checkpoint
        self._vocab_size, self._num_tokens = sizes
        self._used: list[int] = []
        self._head: Longs | None = None

    @property
    def sizes(self) -> tuple[int, int]:
        """V and N: while none is stated, as many tokens as there can be, and none in a sequence."""
        return self._vocab_size or MOST_VOCABULARY, self._num_tokens or 0

    def next(self, num_sequences: int) -> Any:
        """Return Long[num_sequences, N] or a trace; a stored batch comes in the size it has, up to that.

        Raises
        ------
        InputError
            If the subject raises or takes too long, or if what comes back has another shape, is not integer, or has a
            token outside the vocabulary.
        """
        seed, number = self._next_seed(), len(self._used) - 1
        stored = None if self._checkpoint is None else self._checkpoint.load(number, seed)
        if stored is not None:
            return stored[:num_sequences] if not is_trace(stored) else stored.isel(sequence=slice(0, num_sequences))
        name = f"{self._called}(model, {num_sequences}, {seed})"
        drawn = self._call(name, num_sequences, seed)
        if self._checkpoint is not None:
            self._checkpoint.save(number, seed, drawn)
        return drawn

    def _call(self, name: str, num_sequences: int, seed: int) -> Any:
        def drawn() -> Any:  # attributes of what is returned are the subject's code too
            returned = self._subject(self._model, num_sequences, seed)
            found = as_drawn(returned)
            return (self._trace if is_trace(found) else self._tokens)(found, name, num_sequences)

        try:
            return guarded(name, drawn, self._timeout)
        except InputError as error:
            if self._checkpoint is None or len(self._used) == 1:
                raise
            kept = f"the {len(self._used) - 1} batches before are kept in {self._checkpoint.path}"
            raise type(error)(f"{error}; {kept}") from error.__cause__

    def _tokens(self, returned: Any, name: str, num_sequences: int) -> Longs:
        tokens = as_array(returned, name, None)
        if self._num_tokens is None and tokens.ndim == 2 and tokens.shape[1]:
            self._num_tokens = tokens.shape[1]
        expected = (num_sequences, self._num_tokens)
        if tokens.shape != expected:
            raise InputError(f"{name} has shape {tokens.shape}: expected {expected}")
        if not np.issubdtype(tokens.dtype, np.integer):
            raise InputError(f"{name} has dtype {tokens.dtype}: tokens are integers")
        tokens = tokens.astype(np.int64)
        check_tokens(tokens, self.sizes[0], name)
        return tokens

    def _trace(self, trace: xr.Dataset, name: str, num_sequences: int) -> xr.Dataset:
        found = (trace.sizes.get("sequence"), trace.sizes.get("position"), trace.attrs.get("vocab_size"))
        known = (num_sequences, self._num_tokens, self._vocab_size)
        expected = tuple(shown if stated is None else stated for shown, stated in zip(found, known, strict=True))
        if found != expected:
            raise InputError(f"{name} is a trace of (sequences, tokens, vocabulary) = {found}: expected {expected}")
        from scd_analysis.trace import validate
        from scd_analysis.trace.store import named

        try:
            if trace.nbytes <= READ_ONCE:
                with named("trace"):
                    trace = trace.compute()
            validate(trace, laws=True)
        except InputError as error:
            raise type(error)(f"{name}: {error}") from None
        return trace

    def rows(self, first: int, stop: int, size: int) -> Rows | None:
        """Number the rows ``first ... stop - 1`` of a batch of ``size``; None of stored ones, which are no batch."""
        return Rows(np.arange(first, stop), size) if self.in_batches else None

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
                f"{self._called}(model, ..., seed={self._used[-1]}) begins with the same {shared} sequences as with "
                f"seed={self._used[-2]}: a subject draws anew for every seed"
            )

    def _next_seed(self) -> int:
        while True:
            seed = int(self._seeds.spawn(1)[0].generate_state(1)[0] >> 1)
            if seed not in self._used:
                self._used.append(seed)
                return seed
