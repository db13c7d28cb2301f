"""A command run here, with what it prints."""

from __future__ import annotations

import io
from contextlib import redirect_stderr, redirect_stdout

from scd_analysis.cli.commands import run
from scd_analysis.common import escape
from scd_analysis.errors import InputError


def shown(words: list[str], *, right: tuple[int, ...] = (0,)) -> str:
    """What a command prints on standard output, if it ends with a status that is right.

    Raises
    ------
    InputError
        Where it ends with status 2 and one line.
    RuntimeError
        Where it ends with another status, or the line is that of an error that nobody foresaw.
    """
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in range(2))
    with redirect_stdout(out), redirect_stderr(err):
        status, line = run(words)
        out.flush()
    if status == 2 and line is not None and " (in " not in line:
        raise InputError(escape.line(line))
    if status not in right:
        raise RuntimeError(f"status {status}: {line}")
    return out.buffer.getvalue().decode("utf-8")  # type: ignore[attr-defined]
