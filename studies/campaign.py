"""Is every stored result of one commit? Makes those anew that are not: ``make results``.

A result names the command that repeats it and the commits that its rows are of. It stands where no code has changed
since. Others are made anew, ``--jobs`` at a time, and those that look at the clock one by one at the end, alone. What
is stopped goes on where it was: rows of this code are kept, and rows of other code are set aside.
"""

from __future__ import annotations

import argparse
import json
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from joblib import Parallel, delayed

from studies.store import CODE, FOLDER, ROOT, Rows, commit, load, run_main, save

FIRST = ("exact_laws",)
"""What other studies read."""

QUESTION = "how long a result takes to be made"
MINUTES = "minutes"

_CLOCK = re.compile(r"perf_counter|studies\.timing|bench_streaming\.measured")


@dataclass(frozen=True)
class Result:
    """What a stored result says of itself.

    Attributes
    ----------
    name : str
    command : str
        What repeats it, such as ``python -m studies.power``.
    device : str
        ``cpu``, or a card's name.
    commits : tuple of str
        Of everything in it.
    """

    name: str
    command: str
    device: str
    commits: tuple[str, ...]

    @classmethod
    def read(cls, path: Path) -> Result:
        """Read a result.

        Raises
        ------
        KeyError
            If it does not say what repeats it.
        """
        content = json.loads(path.read_text())
        commits = tuple(sorted(set(commits_in(content))))
        return cls(path.stem, content["command"], content["device"], commits)

    @property
    def words(self) -> list[str]:
        """The command, run by this Python."""
        first, *others = shlex.split(self.command)
        return [sys.executable if first == "python" else first, *others]

    @property
    def is_timed(self) -> bool:
        """Whether its study looks at the clock, so that nothing may run beside it."""
        modules = [word for word in self.words if word.startswith("studies.")]
        sources = [ROOT / Path(*module.split(".")).with_suffix(".py") for module in modules]
        return any(_CLOCK.search(source.read_text()) for source in sources)

    @property
    def stands(self) -> bool:
        """Whether no code has changed since any part of it was made."""
        return bool(self.commits) and not any(map(has_changed_since, self.commits))

    @property
    def refused(self) -> str:
        """Why it cannot be made here; empty if it can."""
        if self.device == "cpu" or torch.cuda.is_available():
            return ""
        return f"it is of {self.device}, and no CUDA device is here"


def commits_in(content: Any) -> Iterator[str]:
    """Every commit that a result names, of the whole or of a row."""
    if isinstance(content, dict):
        for key, value in content.items():
            if isinstance(value, str) and (key == "commit" or key.endswith("_commit")):
                yield value
            else:
                yield from commits_in(value)
    elif isinstance(content, list):
        for value in content:
            yield from commits_in(value)


@lru_cache(maxsize=256)
def has_changed_since(commit: str) -> bool:
    """Whether code differs from that of a commit, which may be one that nobody has."""
    done = subprocess.run(["git", "diff", "--quiet", commit, "--", *CODE], cwd=ROOT, capture_output=True, check=False)
    return done.returncode != 0


def stored(folder: Path = FOLDER) -> list[Result]:
    """Every result, those first that others read."""
    results = [Result.read(path) for path in sorted(folder.glob("*.json"))]
    return sorted(results, key=lambda result: result.name not in FIRST)


def set_aside(build: Path) -> list[Path]:
    """Move rows of studies that were stopped, and are of other code, out of the way; give where they are now."""
    moved = []
    for path in sorted(build.glob("**/*.rows.jsonl")):
        commits = set(commits_in([json.loads(line) for line in path.read_text().splitlines() if line.endswith("}")]))
        if any(map(has_changed_since, commits)):
            path = path.rename(path.with_name(f"{path.name}.of-{min(commits)}"))
            moved.append(path)
    return moved


class Minutes:
    """How long results take: beside the code, and in the build folder what each run of a study took.

    Parameters
    ----------
    folder : path
        Of ``minutes.json``.
    build : path
    """

    def __init__(self, folder: Path, build: Path) -> None:
        self._folder, self._logs = folder, build / "results"
        self._spent = Rows("runs", ("result",), folder=self._logs)
        rows = load(MINUTES, folder)["rows"] if (folder / f"{MINUTES}.json").exists() else []
        self._rows = {row["result"]: row for row in rows}

    def told(self, results: Sequence[Result], jobs: int) -> str:
        """How long results will take, as far as it is known."""
        known = {result: self._rows[result.name]["minutes"] for result in results if result.name in self._rows}
        alone = sum(minutes for result, minutes in known.items() if result.is_timed)
        beside = [minutes for result, minutes in known.items() if not result.is_timed]
        others = f", and {len(results) - len(known)} of which it is not known" if len(known) < len(results) else ""
        return f"about {alone + max([sum(beside) / jobs, *beside]):.0f} min{others}"

    def log(self, name: str) -> Path:
        """Where a study prints."""
        return self._logs / f"{name}.log"

    def spend(self, name: str, minutes: float) -> None:
        """Add to what a result took."""
        self._spent.add({"result": name, "minutes": round(minutes, 2)})

    def keep(self, name: str) -> float:
        """Write down how long a result took in all its runs, and give it."""
        total = round(sum(row["minutes"] for row in self._spent.rows if row["result"] == name), 1)
        self._rows[name] = {"result": name, "minutes": total, "commit": commit()}
        save(MINUTES, QUESTION, {"rows": [self._rows[key] for key in sorted(self._rows)]}, self._folder)
        return total


def make(result: Result, minutes: Minutes) -> tuple[Result, int]:
    """Run the command of a result; give its exit status."""
    print(f"{result.name}: {result.command}", flush=True)
    start = time.monotonic()
    try:
        with minutes.log(result.name).open("a") as log:
            return result, subprocess.run(result.words, cwd=ROOT, stdout=log, stderr=log, check=False).returncode
    finally:
        minutes.spend(result.name, (time.monotonic() - start) / 60)


def made(results: Sequence[Result], jobs: int, minutes: Minutes) -> Iterator[tuple[Result, int]]:
    """Make results as they come: those that others read, then ``jobs`` at a time, then one by one what is timed."""
    first = [result for result in results if result.name in FIRST]
    timed = [result for result in results if result.is_timed and result not in first]
    others = [result for result in results if result not in first and result not in timed]
    for together, at_once in ((first, 1), (others, jobs), (timed, 1)):
        pool = Parallel(n_jobs=at_once, backend="threading", return_as="generator_unordered")
        yield from pool(delayed(make)(result, minutes) for result in together)


def run(results: Iterable[Result], jobs: int, minutes: Minutes) -> list[str]:
    """Make results, and print how it goes; give the names of what failed."""
    todo, failed = list(results), []
    print(f"{len(todo)} results to be made: {minutes.told(todo, jobs)}", flush=True)
    for number, (result, status) in enumerate(made(todo, jobs, minutes), 1):
        if status:
            failed.append(result.name)
            how = f"failed with status {status}; see {minutes.log(result.name)}"
        else:
            how = f"made in {minutes.keep(result.name)} min"
        print(f"[{number}/{len(todo)}] {result.name}: {how}", flush=True)
    return failed


def main(argv: Sequence[str] | None = None) -> int:
    """Make results; exit status 1 if one failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these; all by default")
    parser.add_argument("--jobs", type=int, default=1, help="studies at a time, but for those that look at the clock")
    parser.add_argument("--list", action="store_true", help="say what stands, and make nothing")
    args = parser.parse_args(argv)
    found = {result.name: result for result in stored()}
    unknown = [name for name in args.names if name not in found]
    if unknown:
        parser.error(f"{unknown[0]!r} is not a result; results: {', '.join(found)}")
    chosen = [found[name] for name in args.names or found]
    if args.list:
        for result in chosen:
            print(f"{'stands' if result.stands else 'old':>6}  {result.name}  ({', '.join(result.commits)})")
        return 0
    old = [result for result in chosen if not result.stands]
    for result in old:
        if result.refused:
            print(f"{result.name}: left as it is; {result.refused}")
    for path in set_aside(ROOT / "build"):
        print(f"set aside, since code has changed: {path}")
    failed = run([result for result in old if not result.refused], args.jobs, Minutes(FOLDER.parent, ROOT / "build"))
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        run_main(main)
    except KeyboardInterrupt:
        sys.exit("interrupted; the same command goes on")
