"""A command run here, with what it prints."""

from __future__ import annotations

import io
from contextlib import redirect_stderr, redirect_stdout
from typing import Any

import click


def captured(app: Any, words: list[str]) -> str:
    """What a command of a typer application prints, on both streams; what it raises comes out."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in range(2))
    try:
        with redirect_stdout(out), redirect_stderr(err):
            app(words, standalone_mode=False)
    except click.exceptions.Exit as left:
        if left.exit_code == 1:
            raise RuntimeError("status 1") from None
    shown = b""
    for stream in (out, err):
        stream.flush()
        shown += stream.buffer.getvalue()  # type: ignore[attr-defined]
    return shown.decode("utf-8")
