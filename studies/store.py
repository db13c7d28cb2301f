"""Results as JSON beside the code, each with what it takes to repeat it."""

from __future__ import annotations

import argparse
import json
import os
import resource
import shlex
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from scd_analysis.common.files import Kind, write_file
from scd_analysis.common.versions import library_versions

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "studies" / "results"

CODE = (
    "requirements.lock",
    "scd_analysis",
    "reference",
    "studies",
    ":(exclude)studies/results",
    ":(exclude)studies/gallery",
    ":(exclude)studies/campaign.py",
    ":(exclude)studies/minutes.json",
)
"""What results depend on, as Git names it."""


def commit() -> str:
    """The commit of the checkout, with ``+`` where its code has been changed since; ``unknown`` outside one."""
    head = _git("rev-parse", "--short", "HEAD")
    return head + "+" * bool(_git("status", "--porcelain", "--", *CODE)) if head else "unknown"


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip()


def command(study: str, arguments: Sequence[str]) -> str:
    """What repeats a result: a study, and what it was told."""
    return shlex.join(["python", "-m", f"studies.{study}", *(word for word in arguments if word != "--fresh")])


def command_line(description: str | None, **numbers: int | tuple[int, str]) -> argparse.ArgumentParser:
    """What a study is told: whole numbers, by their defaults and with help where they need it, and ``--fresh``."""
    parser = argparse.ArgumentParser(description=description)
    for name, given in numbers.items():
        default, about = given if isinstance(given, tuple) else (given, None)
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, default=default, help=about)
    parser.add_argument("--fresh", action="store_true", help="do not go on from an interrupted run")
    return parser


def _of_this_process(name: str) -> str:
    """The command line of this process where that is a study, else the study of that name."""
    spec = sys.modules["__main__"].__spec__
    is_study = spec is not None and spec.name.startswith("studies.")
    return command(spec.name.removeprefix("studies."), sys.argv[1:]) if spec and is_study else command(name, ())


def run_main(main: Callable[[], int | None]) -> NoReturn:
    """Run a command line, and exit with its status; where its reader has gone, as ``head`` has, with 1 and no word.

    Raises
    ------
    BrokenPipeError
        If something else than standard output was closed.
    """
    try:
        status = main()
        sys.stdout.flush()
    except BrokenPipeError as error:
        try:
            print(flush=True)
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what is left to be told on the way out
            status = 1
        else:
            raise error
    sys.exit(status)


def in_child(words: Sequence[str], **environment: str) -> dict[str, Any]:
    """Run Python on a command line, in a process of its own, and read what it prints last, a JSON object.

    Raises
    ------
    RuntimeError
        With the last thing that it said, if it fails.
    """
    command, own = [sys.executable, *words], {**os.environ, **environment}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=own)
    if done.returncode:
        raise RuntimeError(f"{shlex.join(words)}: {done.stderr.strip().splitlines()[-1]}")
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def peak_bytes() -> int:
    """The most resident memory of this process so far; it began with the peak of the one that started it."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024  # Linux counts in KiB


def save(name: str, question: str, content: dict[str, Any], folder: Path = FOLDER, device: str = "cpu") -> Path:
    """Write a result, whole or not at all."""
    made_by = {"command": _of_this_process(name), "device": device, "commit": commit()}
    result: dict[str, Any] = {"question": question, **made_by, "versions": library_versions(), **content}
    folder.mkdir(parents=True, exist_ok=True)
    return write_file(folder / f"{name}.json", _text(result), Kind.RESULT)


def _text(result: dict[str, Any]) -> str:
    """JSON with one row a line, so that a change of a row is one line of a diff."""
    head = {key: value for key, value in result.items() if key != "rows"}
    lines = json.dumps(head, indent=1, allow_nan=False)
    if "rows" not in result:
        return lines + "\n"
    rows = ",\n".join("  " + json.dumps(row, allow_nan=False) for row in result["rows"])
    return f'{lines[:-2]},\n "rows": [\n{rows}\n ]\n}}\n'


def load(name: str, folder: Path = FOLDER) -> dict[str, Any]:
    """Read a result."""
    content: dict[str, Any] = json.loads((folder / f"{name}.json").read_text())
    return content


class Rows:
    """Rows of a result that is being made: kept one by one, so that a stopped study goes on where it was.

    Parameters
    ----------
    name : str
        Of the study.
    keys : tuple of str
        Columns that name a row.
    fresh : bool
        Forget what is there.
    """

    def __init__(self, name: str, keys: tuple[str, ...], *, fresh: bool = False, folder: Path = Path("build")) -> None:
        self._path, self._keys = folder / f"{name}.rows.jsonl", keys
        self._path.parent.mkdir(parents=True, exist_ok=True)
        if fresh:
            self._path.unlink(missing_ok=True)
        kept = self._path.read_text() if self._path.exists() else ""
        *lines, half = kept.split("\n")
        self.rows: list[dict[str, Any]] = [json.loads(line) for line in lines]
        if half:  # of a row that was being written when the study was killed
            os.truncate(self._path, len((kept[: -len(half)]).encode()))

    def has(self, *key: Any) -> bool:
        """Whether the row of this key is there."""
        return any(all(row[k] == v for k, v in zip(self._keys, key, strict=True)) for row in self.rows)

    def beside(self, rows: dict[Any, dict[str, Any]], name: str) -> dict[Any, dict[str, Any]]:
        """Rows of another part of a study, by the only column that names one, with these in them.

        The commit of these is in the column ``{name}_commit``.
        """
        out = dict(rows)
        for row in self.rows:
            own = {f"{name}_{key}" if key == "commit" else key: value for key, value in row.items()}
            out[row[self._keys[0]]] = out.get(row[self._keys[0]], {}) | own
        return out

    def add(self, row: dict[str, Any]) -> None:
        """Keep a row with the commit that it is of, and print it."""
        row = {**row, "commit": commit()}
        self.rows.append(row)
        with self._path.open("a") as file:
            file.write(json.dumps(row) + "\n")
        print(json.dumps({k: v for k, v in row.items() if not isinstance(v, (list, dict))}), flush=True)
