"""Compare the net with what is stored, or store it anew."""

from __future__ import annotations

import sys
import time

import torch

from studies.store import run_main
from tests.net import stored
from tests.net.subjects import SUBJECTS
from tests.net.texts import printed


def main(arguments: list[str]) -> int:
    """Run the net; the status is the number of parts that differ, at most 1."""
    torch.set_num_threads(1)
    update, names = "--update" in arguments, [name for name in arguments if not name.startswith("--")]
    known = {} if update and not names else _stored()
    verdicts, differing = dict(known), 0
    for name, make in SUBJECTS.items():
        if names and not any(part in name for part in names):
            continue
        begun = time.perf_counter()
        found = stored.of_verdict(make())
        gone = stored.differences(known.get(name), found, 0)
        differing += bool(gone)
        verdicts[name] = found
        said = f"{'differs' if gone else 'as before':9} {time.perf_counter() - begun:6.2f} s  {name}"
        _say(said, *(() if update else gone[:8]))
    if not names or "texts" in names:
        texts = printed()
        gone = [] if update else stored.differences(stored.load("texts"), texts, 0)
        differing += bool(gone)
        _say(*(gone or ["texts as before"]))
        if update:
            stored.save("texts", texts)
    if update:
        stored.save("verdicts", verdicts)
        return 0
    return min(differing, 1)


def _say(*lines: str) -> None:
    sys.stdout.write("\n   ".join(lines) + "\n")
    sys.stdout.flush()


def _say(*lines: str) -> None:
    sys.stdout.write("\n   ".join(lines) + "\n")
    sys.stdout.flush()


def _stored() -> dict[str, object]:
    try:
        return dict(stored.load("verdicts"))
    except FileNotFoundError:
        return {}


if __name__ == "__main__":
    run_main(lambda: main(sys.argv[1:]))
