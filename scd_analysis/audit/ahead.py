"""Batches drawn side by side ahead of the judge, who gets them in the order of their numbers."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, closing
from typing import Any

from scd_analysis.audit.drawing import Ask
from scd_analysis.common.parallel import DEATHS, Packed, WorkerKilled, outliving, workers
from scd_analysis.errors import InputError

ROUNDS_HELD = 4
"""Batches a worker that may wait for the judge: what is drawn ahead is held in memory."""


def packed(draw: Callable[[int, int], Any]) -> Packed[Ask, Any]:
    """Pack what draws batches, so that workers unpack it once.

    Parameters
    ----------
    draw : callable
        From ``(num_sequences, seed)`` to what was drawn.

    Raises
    ------
    InputError
        If it cannot be sent.
    """
    try:
        return Packed(lambda ask: draw(ask.num_sequences, ask.seed))
    except Exception as error:
        raise InputError(
            f"jobs: the subject or the model cannot be sent to a worker ({type(error).__name__}: {error}); name a "
            "function that makes it there: subjects.made_by('module:function')"
        ) from error


class Ahead:
    """Rounds of batches, each drawn side by side while the one before is judged.

    Parameters
    ----------
    draw : callable
        From ``(num_sequences, seed)`` to what was drawn; it is sent to the workers.
    jobs : int
        Batches at a time.
    held : ExitStack
        Lets the workers go, at the end of the audit: what they have loaded stays until then.
    """

    def __init__(self, draw: Callable[[int, int], Any], jobs: int, held: ExitStack) -> None:
        self._draw, self._jobs = packed(draw), jobs
        self._pool = held.enter_context(workers(jobs, ordered=True))

    def size(self, seen: int) -> int:
        """Batches of the next round, after so many: few at first, since most audits that refute end early."""
        return min(max(self._jobs, seen), ROUNDS_HELD * self._jobs)

    def round(self, asks: Sequence[Ask]) -> Generator[Any, None, None]:
        """Draw batches; what a worker that was killed had not given is drawn again.

        Parameters
        ----------
        asks : sequence of Ask

        Raises
        ------
        InputError
            If the subject does, or if workers are killed again and again.

        Yields
        ------
        Long[S, N] or Dataset
            In the order of the asks.
        """
        given = 0
        try:
            with closing(outliving(self._draw, asks, self._jobs, pool=self._pool)) as coming:
                for drawn in coming:
                    given += 1
                    yield drawn
        except WorkerKilled as error:
            ask = asks[given]
            raise InputError(
                f"subject(model, {ask.num_sequences}, {ask.seed}): the workers that drew it were killed {DEATHS} "
                f"times, as where there is not memory enough for jobs = {self._jobs}"
            ) from error
