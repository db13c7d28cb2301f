"""Ten subjects have the same verdicts from one job, two processes, Dask and Ray, and with a worker killed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]


def verdicts(*words: str) -> tuple[dict[str, dict[str, object]], str]:
    command = [sys.executable, "-m", "tests.backends", *words]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1]), done.stderr


@pytest.fixture(scope="module")
def alone() -> dict[str, dict[str, object]]:
    return verdicts("alone")[0]


def test_the_subjects_are_ten_and_some_are_decided(alone: dict[str, dict[str, object]]) -> None:
    assert len(alone) == 10
    assert {verdict["outcome"] for verdict in alone.values()} == {"NOT_REFUTED", "INCONCLUSIVE", "REFUTED"}


@pytest.mark.parametrize("words", [("processes",), ("dask", "killed"), ("ray",), ("ray", "killed")])
def test_verdicts_are_the_same_wherever_jobs_run(words: tuple[str, ...], alone: dict[str, dict[str, object]]) -> None:
    module = {"dask": "distributed", "ray": "ray"}.get(words[0])
    if module is not None and find_spec(module) is None:
        pytest.skip(f"{module} is not installed: the extra {words[0]}")
    found, told = verdicts(*words)
    assert found == alone
    assert ("killed " in told) == ("killed" in words)
