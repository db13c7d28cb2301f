"""The command line in a process of its own, as a user starts it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from tests.fuzz.case import Case, unreadable

ROOT = Path(__file__).parents[2]
STATUS = {"NOT_REFUTED": 0, "EXACT": 0, "REFUTED": 1, "INCONCLUSIVE": 3, "CONTROL_REFUTED": 3}


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "SCD_COMPILE": "never", "COLUMNS": "120"}


def start(words: list[str], cwd: Path, *, stdout: int | IO[Any] = subprocess.PIPE, limit: int | None = None) -> Any:
    """Start a command; ``limit`` is the most bytes that one file may have."""

    def small_files() -> None:
        import resource
        import signal

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        assert limit is not None
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    return subprocess.Popen(
        [sys.executable, "-m", "scd_analysis.cli", *words], cwd=cwd, env=environment(), stdin=subprocess.DEVNULL,
        stdout=stdout, stderr=subprocess.PIPE, text=True, errors="replace", start_new_session=True,
        preexec_fn=None if limit is None else small_files,
    )  # fmt: skip


def finish(case: Case, process: Any, seconds: float) -> tuple[int, str, str]:
    """Status and what was printed; a command that does not end is a finding."""
    try:
        out, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, 9)
        out, err = process.communicate()
        case.found(f"the command did not end within {seconds:.0f} s")
        return 2, "", ""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, 9)  # nothing that it started may go on
    return int(process.returncode), out or "", err or ""


def check_status(
    case: Case, status: int, out: str, err: str, *, others: bool = False, readable: bool = True
) -> str | None:
    """Whether a status says what was printed; the outcome, if there is a whole verdict on standard output.

    With ``others``, lines before the last may be somebody else's; without ``readable``, nothing can be read.
    """
    outcome = _outcome(out)
    if status not in (0, 1, 2, 3):
        case.found(f"status {status}: {err[-300:]}")
    elif status == 2:
        lines = [line for line in err.splitlines() if line.strip()]
        lines = lines[-1:] if others else lines
        if readable and others and not (lines and lines[0].startswith("scd-analysis: ")):
            case.found(f"status 2, and the last line is {lines}")
        elif readable and len(lines) != 1:
            case.found(f"status 2 with {len(lines)} lines: {' / '.join(lines[-3:])[:300]}")
        elif readable and (bad := unreadable(lines[0])):
            case.found(f"status 2 with a line that {bad}")
    elif outcome is None:
        case.found(f"status {status} without a verdict: {out[:100]!r} {err[-200:]!r}")
    elif STATUS[outcome] != status:
        case.found(f"status {status} with {outcome}")
    return outcome


def _outcome(out: str) -> str | None:
    try:
        found = json.loads(out)["outcome"]
    except (ValueError, KeyError, TypeError):
        whole = re.match(r"(REFUTED|NOT_REFUTED|EXACT|INCONCLUSIVE|CONTROL_REFUTED): ln E", out)
        return whole[1] if whole else None
    return str(found) if found in STATUS else None
