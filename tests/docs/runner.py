"""Runs a page from top to bottom, as a reader would who saves its files and types its commands."""

from __future__ import annotations

import io
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from importlib import invalidate_caches
from pathlib import Path
from types import ModuleType
from typing import Any

from scd_analysis.cli import commands as command_line
from tests.docs.fences import Fence, commands, fences, patched, same

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
OUTPUT = "Output"


class Page:
    """A page under way.

    Parameters
    ----------
    path : Path
    folder : Path
        Where its files are written; the working directory while it runs.
    outputs : list, optional
        Gathers blocks, what they show and what is printed, instead of comparing the two.
    """

    def __init__(self, path: Path, folder: Path, outputs: list[tuple[Fence, str, str]] | None = None) -> None:
        self.path, self.folder, self.outputs = path, folder, outputs
        self.namespace: dict[str, Any] = {"__name__": "__main__"}
        self.printed, self.status = "", 0
        self.left_out: list[Fence] = []

    def run(self, flag: str | None = None) -> None:
        """Run every block, those with ``flag`` too."""
        with _working_in(self.folder):
            for fence in fences(self.path):
                self._run(fence, flag)

    def _run(self, fence: Fence, flag: str | None) -> None:
        place = f"{self.path.name}, line {fence.line}"
        if fence.flags & {"no-run", "gpu"} and flag not in fence.flags:
            self.left_out.append(fence)
            return
        if fence.title == OUTPUT:
            self._compare(fence.body, self.printed, fence, place)
        elif fence.language == "diff":
            file = self.folder / str(fence.title)
            self._write(file, patched(file.read_text(), fence.body, place))
        elif fence.title is not None:
            self._write(self.folder / fence.title, fence.body)
        elif fence.language == "python":
            code = compile("\n" * (fence.line - 1) + fence.body, str(self.path), "exec")
            with redirect_stdout(io.StringIO()) as out:
                exec(code, self.namespace)
            self.printed = out.getvalue()
        elif fence.language == "console":
            for command, shown in commands(fence.body):
                self.printed = self._command(command)
                if shown.strip():
                    self._compare(shown, self.printed, fence, f"{place}: {command}")

    def _write(self, file: Path, text: str) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        invalidate_caches()

    def _compare(self, shown: str, printed: str, fence: Fence, place: str) -> None:
        if self.outputs is not None:
            self.outputs.append((fence, shown, printed))
        elif not same(shown, printed):
            raise AssertionError(f"{place}: the page shows\n{shown}\nand what is printed is\n{printed}")

    def _command(self, command: str) -> str:
        words = shlex.split(command, comments=True)
        if words[:2] == ["echo", "$?"]:
            return f"{self.status}\n"
        if words[0] == "scd-analysis":
            return self._scd_analysis(words)
        assert words[0] in ("pytest", "python"), f"{command}: not a command that pages use"
        words = [sys.executable, *words[1:]] if words[0] == "python" else [sys.executable, "-m", *words]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "100", "NO_COLOR": "1"}
        done = subprocess.run(words, capture_output=True, text=True, timeout=900, check=False, env=environment)
        self.status = done.returncode
        return done.stdout + done.stderr

    def _scd_analysis(self, words: list[str]) -> str:
        with _own_modules_set_aside(self.folder), redirect_stdout(io.StringIO()) as out:
            self.status, line = command_line.run(words[1:])
        return out.getvalue() + ("" if line is None else f"scd-analysis: {line}\n")


@contextmanager
def _working_in(folder: Path) -> Iterator[None]:
    """Work in a folder whose modules can be imported, and forget them afterwards."""
    before, path = Path.cwd(), list(sys.path)
    os.chdir(folder)
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        os.chdir(before)
        sys.path[:] = path
        _take_out(folder)


@contextmanager
def _own_modules_set_aside(folder: Path) -> Iterator[None]:
    """Import the folder's modules anew, as another process would."""
    before = _take_out(folder)
    try:
        yield
    finally:
        _take_out(folder)
        sys.modules.update(before)


def _take_out(folder: Path) -> dict[str, ModuleType]:
    own = {n: m for n, m in sys.modules.items() if str(getattr(m, "__file__", "") or "").startswith(str(folder))}
    for name in own:
        del sys.modules[name]
    return own
