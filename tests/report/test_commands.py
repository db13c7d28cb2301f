"""``scd-analysis report --html`` and ``scd-analysis audit --html``, as a user types them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

MODULE = """
from reference import TabularModel
from reference.subjects import subject

model = TabularModel.random(3, 3, 0.7, seed=3)
good = subject("scd-mc", 3)
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cli")
    (folder / "mine.py").write_text(MODULE)
    done = run(
        folder, "trace", "scd-mc", "--model", "mine:model", "--window", "2", "--record", "laws", "--out", "run.zarr"
    )
    assert done.returncode == 0, done.stderr
    return folder


def run(place: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "scd_analysis.cli", *words]
    return subprocess.run(command, cwd=place, capture_output=True, text=True, timeout=240, check=False)


@pytest.mark.slow
def test_a_trace_a_verdict_and_an_audit_become_pages(place: Path) -> None:
    by_trace = run(place, "report", "run.zarr", "--html", "trace.html", "--json")
    assert (by_trace.returncode, by_trace.stderr) == (0, "")
    assert by_trace.stdout == run(place, "report", "run.zarr", "--json").stdout
    assert "Trajectory explorer" in (place / "trace.html").read_text(encoding="utf-8")

    audited = run(
        place, "audit", "run.zarr", "--model", "mine:model", "--html", "both.html", "--out", "v.json", "--json"
    )
    assert audited.returncode == 3, audited.stderr  # sixteen sequences decide nothing
    both = (place / "both.html").read_text(encoding="utf-8")
    assert "Inconclusive" in both
    assert "Trajectory explorer" in both

    by_verdict = run(place, "report", "v.json", "--html", "verdict.html")
    assert (by_verdict.returncode, by_verdict.stderr) == (0, "")
    assert "Inconclusive" in (place / "verdict.html").read_text(encoding="utf-8")

    live = run(place, "audit", "mine:good", "--model", "mine:model", "--max-sequences", "64", "--html", "live.html")
    assert live.returncode == 3, live.stderr
    assert "<strong>mine:good</strong>" in (place / "live.html").read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "message"),
    [
        (
            ("audit", "mine:good", "--model", "mine:absent", "--html", "absent/r.html"),
            "html = absent/r.html: there is no",
        ),
        (("report", "run.zarr", "--html", "absent/r.html"), "html = absent/r.html: there is no folder absent"),
        (("report", "mine.py", "--html", "r.html"), "not a Zarr"),
        (("report", "absent.json", "--html", "r.html"), "there is no such file"),
    ],
)
def test_bad_input_is_one_line_and_status_two(place: Path, command: tuple[str, ...], message: str) -> None:
    done = run(place, *command)
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (place / "r.html").exists()
