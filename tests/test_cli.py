"""The command line, as a user types it: exit statuses, one clear error line, JSON."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

MODULE = """
from reference import TabularModel
from reference.subjects import subject

model = TabularModel.random(3, 3, 0.7, seed=3)
good, bad = subject("scd-mc", 3), subject("sjd-vp-uncorrected", 3)
number = 7
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cli")
    (folder / "mine.py").write_text(MODULE)
    return folder


def run(place: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "scd_analysis.cli", *words]
    return subprocess.run(command, cwd=place, capture_output=True, text=True, timeout=240, check=False)


ERRORS = [
    (["trace", "scd", "--model", "mine:model", "--out", "a.zarr"], "method='scd' is not known; known: ar, jacobi"),
    (["trace", "sjd", "--model", "lumina", "--out", "a.zarr"], "name='lumina' is not known; known: digits, photos"),
    (["trace", "sjd", "--model", "mine:absent", "--out", "a.zarr"], "model='mine:absent' is not known"),
    (["trace", "sjd", "--model", "mine:model", "--window", "0", "--out", "a.zarr"], "window = 0"),
    (["report", "absent.zarr"], "no such file"),
    (["report", "absent.json"], "not a verdict"),
    (["audit", "mine", "--model", "mine:model"], "write it as module:attribute"),
    (["audit", "absent:thing", "--model", "mine:model"], "subject='absent:thing' is not known"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("words", "message"), ERRORS, ids=lambda x: " ".join(x[:3]) if isinstance(x, list) else "")
def test_bad_input_is_one_line_and_status_two(place, words, message):
    done = run(place, *words)
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (place / "a.zarr").exists()


@pytest.mark.slow
def test_trace_and_report(place):
    done = run(place, "trace", "scd-mc", "--model", "mine:model", "--window", "2", "--out", "run.zarr", "--json")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""  # silent in a pipe
    summary = json.loads(done.stdout)
    assert summary["method"] == "scd-mc"
    assert summary["num_sequences"] == 16
    again = run(place, "report", "run.zarr", "--json")
    assert json.loads(again.stdout) == summary
    assert "speedup" in run(place, "report", "run.zarr").stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("subject", "options", "status", "outcome"),
    [
        ("mine:good", ["--max-sequences", "20000"], 0, "NOT_REFUTED"),
        ("mine:bad", ["--max-sequences", "60000"], 1, "REFUTED"),
        ("mine:good", ["--max-sequences", "20"], 3, "INCONCLUSIVE"),
    ],
)
def test_the_exit_status_of_an_audit_is_its_verdict(place, subject, options, status, outcome):
    done = run(place, "audit", subject, "--model", "mine:model", *options, "--json", "--out", f"{outcome}.json")
    assert done.returncode == status, done.stderr
    assert json.loads(done.stdout)["outcome"] == outcome
    assert outcome in run(place, "report", f"{outcome}.json").stdout


@pytest.mark.slow
def test_every_command_has_help_with_an_example(place):
    for command in ("trace", "audit", "exact", "figures", "report"):
        done = run(place, command, "--help")
        assert done.returncode == 0
        assert f"scd-analysis {command}" in done.stdout
