"""ln E, live, on a terminal; silent in a pipe."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from types import TracebackType


class Progress:
    """Show how far an audit is.

    Parameters
    ----------
    log_threshold : float
        ln(1/alpha), nats.
    limit : int
        Sequences at which the audit stops without a refutation.
    shown : bool or None
        None: where standard error is a terminal.
    """

    def __init__(self, log_threshold: float, limit: int, *, shown: bool | None) -> None:
        self._threshold, self._limit = log_threshold, limit
        self._shown = sys.stderr.isatty() if shown is None else shown
        self._stack = ExitStack()

    def __enter__(self) -> Progress:
        if self._shown:
            from rich.console import Console
            from rich.progress import BarColumn, TextColumn
            from rich.progress import Progress as Bar

            columns = (
                TextColumn("audit"),
                BarColumn(),
                TextColumn("{task.completed:,.0f}/{task.total:,.0f} sequences"),
            )
            bar = Bar(*columns, TextColumn("{task.fields[evidence]}"), console=Console(stderr=True), transient=True)
            self._bar = self._stack.enter_context(bar)
            self._task = self._bar.add_task("audit", total=self._limit, evidence="")
        return self

    def __call__(self, log_e_value: float, seen: int) -> None:
        """Update the line."""
        if self._shown:
            evidence = f"ln E = {log_e_value:.2f} of {self._threshold:.2f}"
            self._bar.update(self._task, completed=seen, evidence=evidence)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()
