"""The script of a nightly job says what its audits said, the worst first."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.docs.fences import fences
from tests.docs.runner import DOCS

(SCRIPT,) = (fence.body for fence in fences(DOCS / "how-to" / "ci.md") if fence.title == "nightly.sh")

STANDS_IN = """#!/bin/sh
echo "$@" >> asked
case "$*" in
  *--against*) exit $PAIR ;;
  *--target*) exit $WEIGHTS ;;
esac
"""


@pytest.mark.parametrize(
    ("pair", "weights", "status"),
    [(0, 0, 0), (1, 0, 1), (0, 1, 1), (2, 1, 1), (2, 0, 2), (3, 2, 2), (0, 3, 3), (3, 0, 3)],
)
def test_the_worst_status_is_the_nights(tmp_path: Path, pair: int, weights: int, status: int) -> None:
    (tmp_path / "scd-analysis").write_text(STANDS_IN)
    (tmp_path / "scd-analysis").chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    said = {"PATH": path, "PAIR": str(pair), "WEIGHTS": str(weights), "MODEL": "a folder"}
    done = subprocess.run(["sh", "-c", SCRIPT], cwd=tmp_path, env=said, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (status, "")
    on, weighed, trend = (tmp_path / "asked").read_text().splitlines()
    (night,) = (tmp_path / "nights").iterdir()
    assert f"--seed {night.name.replace('-', '')}" in on
    assert f"--out nights/{night.name}/weights.json" in weighed
    assert trend == "trend nights --output trend.html"
