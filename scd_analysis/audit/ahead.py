"""Batches drawn side by side ahead of the judge, who gets them in the order of their numbers."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack
from functools import lru_cache
from typing import Any

import cloudpickle

from scd_analysis.audit.drawing import Ask
from scd_analysis.common.parallel import WorkerKilled, side_by_side, workers
from scd_analysis.errors import InputError

ROUNDS_HELD = 4
"""Batches a worker that may wait for the judge: what is drawn ahead is held in memory."""

DEATHS = 3
"""Times in a row that workers may be killed before a batch arrives."""


class Sent:
    """A function that is sent to workers with every batch, and unpacked once by each.

    Parameters
    ----------
    function : callable
        From ``(num_sequences, seed)`` to what was drawn.

    Raises
    ------
    InputError
        If it cannot be sent.
    """

    def __init__(self, function: Callable[[int, int], Any]) -> None:
        try:
            self._packed = cloudpickle.dumps(function)
        except Exception as error:
            raise InputError(
                f"jobs: the subject or the model cannot be sent to a worker ({type(error).__name__}: {error}); name a "
                "function that makes it there: subjects.made_by('module:function')"
            ) from error

    def __call__(self, ask: Ask) -> Any:
        """Draw a batch."""
        return _unpacked(self._packed)(ask.num_sequences, ask.seed)


@lru_cache(maxsize=2)
def _unpacked(packed: bytes) -> Any:
    return cloudpickle.loads(packed)


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
        self._sent, self._jobs = Sent(draw), jobs
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
        given = deaths = 0
        while given < len(asks):
            coming = side_by_side(self._sent, asks[given:], self._jobs, ordered=True, pool=self._pool)
            try:
                for drawn in coming:
                    given, deaths = given + 1, 0
                    yield drawn
            except WorkerKilled as error:
                deaths += 1
                if deaths == DEATHS:
                    ask = asks[given]
                    raise InputError(
                        f"subject(model, {ask.num_sequences}, {ask.seed}): the workers that drew it were killed "
                        f"{DEATHS} times, as where there is not memory enough for jobs = {self._jobs}"
                    ) from error
            finally:
                coming.close()
