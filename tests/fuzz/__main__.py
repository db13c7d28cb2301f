"""``python -m tests.fuzz [KIND ...]`` runs the lane; findings are listed in ``build/fuzz``, and make the status 1."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections import Counter, defaultdict
from dataclasses import asdict
from pathlib import Path

from studies.store import run_main
from tests.fuzz.kinds import KINDS, jobs_of
from tests.fuzz.pool import Result, run_all, run_case

OUT = Path("build/fuzz")


def main() -> int:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=f"of {', '.join(KINDS)}; all by default")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--rounds", type=float, default=1.0, help="so many times the usual number of cases of each kind"
    )
    parser.add_argument("--case", type=int, help="run this one alone, here, and keep its files")
    parser.add_argument("--workers", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    if unknown := set(options.kinds) - set(KINDS):
        parser.error(f"KIND = {sorted(unknown)[0]}: known are {', '.join(KINDS)}")
    options.out.mkdir(parents=True, exist_ok=True)
    if options.case is not None:
        return _alone(options)
    return _all(options)


def _alone(options: argparse.Namespace) -> int:
    (job,) = jobs_of(options.kinds, options.seed, 0, options.case)
    os.environ.setdefault("SCD_FUZZ_ORIGINALS", tempfile.mkdtemp())
    folder = options.out.resolve() / f"{job.kind}-{job.seed}-{job.number}"
    result = run_case(job, folder, lambda text: print(text, file=sys.stderr))
    print("\n".join([result.description, *result.problems, f"its files are in {folder}"]))
    return int(bool(result.problems))


def _all(options: argparse.Namespace) -> int:
    jobs = jobs_of(options.kinds, options.seed, options.rounds)
    results: list[Result] = []
    begun = shown = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="scd-fuzz-") as root:
        for result in run_all(jobs, Path(root), options.workers):
            results.append(result)
            for problem in result.problems:
                print(f"{result.again}\n  {result.description}\n  {problem}", flush=True)
            if time.monotonic() - shown > 20:
                shown = time.monotonic()
                print(f"{len(results)} of {len(jobs)} cases, {shown - begun:.0f} s", flush=True)
    _write(results, options.out)
    print(table(results))
    return int(any(result.problems for result in results))


def _write(results: list[Result], out: Path) -> None:
    by_kind: dict[str, list[dict[str, object]]] = defaultdict(list)
    for result in results:
        if result.problems:
            by_kind[result.job.kind].append({"again": result.again, **asdict(result)})
    for kind in {result.job.kind for result in results}:
        (out / f"{kind}.json").write_text(json.dumps(by_kind[kind], indent=1) + "\n")


def table(results: list[Result]) -> str:
    """Kinds, cases, cases with findings, seconds."""
    cases = Counter(result.job.kind for result in results)
    bad = Counter(result.job.kind for result in results if result.problems)
    lines = [f"{'kind':14}{'cases':>8}{'findings':>10}{'longest':>10}"]
    for kind in cases:
        longest = max(result.seconds for result in results if result.job.kind == kind)
        lines.append(f"{kind:14}{cases[kind]:8}{bad[kind]:10}{longest:8.1f} s")
    return "\n".join(lines)


if __name__ == "__main__":
    run_main(main)
