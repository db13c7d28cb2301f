"""Drawing batches from a subject: seeds, sizes, who draws, and what is kept."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from scd_analysis.audit.drawing import MOST_VOCABULARY, Ask, Drawing
from scd_analysis.audit.guard import check_signature
from scd_analysis.contracts import Subject, is_trace
from scd_analysis.errors import InputError
from scd_analysis.evidence.batch import Floats, Longs, Rows

if TYPE_CHECKING:
    from scd_analysis.audit.ahead import Ahead
    from scd_analysis.audit.checkpoint import Checkpoint

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
        self.in_batches = in_batches
        self._drawing = Drawing(subject, model, *sizes, timeout, called)
        self._seeds, self._checkpoint = seeds, checkpoint
        self._asked: list[int] = []
        self._given = 0
        self._head: Longs | None = None
        self._ahead: Ahead | None = None
        self._most = 0
        self._coming: Generator[Any, None, None] | None = None

    @property
    def sizes(self) -> tuple[int, int]:
        """V and N: while none is stated, as many tokens as there can be, and none in a sequence."""
        return self._drawing.vocab_size or MOST_VOCABULARY, self._drawing.num_tokens or 0

    def draw_ahead(self, jobs: int, left: int, held: ExitStack) -> None:
        """From now on draw several batches at a time, all of the size that is asked for first.

        Parameters
        ----------
        jobs : int
        left : int
            Sequences that will be asked for, at most.
        held : ExitStack
            Stops what is being drawn, at the end of the audit.
        """
        from scd_analysis.audit.ahead import Ahead

        self._ahead, self._most = Ahead(self._drawing, jobs, held), left
        held.callback(self._stop)

    def expect(self, left: int) -> None:
        """Plan anew what is drawn ahead: sequences that will be asked for from now on, at most.

        What was drawn ahead and not given is drawn again, so that sizes do not depend on the number of jobs.
        """
        self._stop()
        self._coming, self._most = None, left

    def next(self, num_sequences: int) -> Any:
        """Return Long[num_sequences, N] or a trace; a stored batch comes in the size it has, up to that.

        Raises
        ------
        InputError
            If the subject raises or takes too long, or if what comes back has another shape, is not integer, or has a
            token outside the vocabulary.
        """
        try:
            drawn = self._next(num_sequences)
        except InputError as error:
            if self._checkpoint is None or not self._given:
                raise
            kept = "the batch before is" if self._given == 1 else f"the {self._given} batches before are"
            raise type(error)(f"{error}; {kept} kept in {self._checkpoint.where}") from error.__cause__
        self._given += 1
        return drawn[:num_sequences] if not is_trace(drawn) else drawn.isel(sequence=slice(0, num_sequences))

    def _next(self, num_sequences: int) -> Any:
        if self._ahead is None:
            return self._one(Ask(self._given, num_sequences, self._seed_of(self._given)))
        found = None if self._coming is None else next(self._coming, None)
        if found is None:
            self._coming = self._round(self._ahead, num_sequences)
            found = next(self._coming, None)
        if found is None:  # a stored batch was smaller than was asked for, so that more are asked for than were planned
            found = self._one(Ask(self._given, num_sequences, self._seed_of(self._given)))
        return found

    def _stop(self) -> None:
        if self._coming is not None:
            self._coming.close()

    def _one(self, ask: Ask) -> Any:
        """Return a batch that is stored, or draw it here."""
        stored = None if self._checkpoint is None else self._checkpoint.load(ask.number, ask.seed)
        return self._kept(ask, self._drawing(ask.num_sequences, ask.seed)) if stored is None else stored

    def _kept(self, ask: Ask, drawn: Any) -> Any:
        if self._drawing.num_tokens is None and not is_trace(drawn):
            self._drawing = replace(self._drawing, num_tokens=drawn.shape[1])
        if self._checkpoint is not None:
            self._checkpoint.save(ask.number, ask.seed, drawn)
        return drawn

    def _round(self, ahead: Ahead, num_sequences: int) -> Generator[Any, None, None]:
        """Give stored batches as they are, and draw the others side by side."""
        asks = []
        for number in range(self._given, self._given + ahead.size(self._given)):
            size = min(num_sequences, self._most)
            if size:
                self._most -= size
                asks.append(Ask(number, size, self._seed_of(number)))
        is_new = {ask.number: self._checkpoint is None or not self._checkpoint.holds(ask.number) for ask in asks}
        coming = ahead.round([ask for ask in asks if is_new[ask.number]])
        for ask in asks:
            yield self._kept(ask, next(coming)) if is_new[ask.number] else self._one(ask)

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
                f"{self._drawing.called}(model, ..., seed={self._seed_of(self._given - 1)}) begins with the same "
                f"{shared} sequences as with seed={self._seed_of(self._given - 2)}: a subject draws anew for every seed"
            )

    def _seed_of(self, number: int) -> int:
        """Return the seed of a batch, another for each."""
        while len(self._asked) <= number:
            seed = int(self._seeds.spawn(1)[0].generate_state(1)[0] >> 1)
            if seed not in self._asked:
                self._asked.append(seed)
        return self._asked[number]
