"""Studies that work side by side: the same rows in two processes, and a stopped study goes on where it was."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from studies import calibration, initial_drafts, store
from studies.store import Rows


def rows_of(folder: Path, monkeypatch: pytest.MonkeyPatch, *words: str) -> list[dict[str, Any]]:
    """Rows that a study of made-up audits has kept in a folder of its own, in the order of their names."""
    folder.mkdir(exist_ok=True)

    def audits(task: tuple[str, int, int, str]) -> dict[str, Any]:
        name, number, count, grade = task
        with (folder / "made").open("a") as file:
            file.write(f"{os.getpid()} {task}\n")
        largest = [float(number + place) for place in range(count)]
        return {"model": name, "method": calibration.method_of(task), "grade": grade, "largest": largest}

    monkeypatch.chdir(folder)
    monkeypatch.setattr(calibration, "audits", audits)
    monkeypatch.setattr(store, "commit", lambda: "none")
    monkeypatch.setattr(calibration, "PIT_SEQUENCES", 100)
    monkeypatch.setattr(calibration, "save", lambda *args: None)
    monkeypatch.setattr(
        "sys.argv", ["calibration", "--samples", "72", "--traces", "36", "--rules", "36", "--kernels", "30", *words]
    )
    calibration.main()
    lines = [json.loads(line) for line in (folder / "build" / "calibration.rows.jsonl").read_text().splitlines()]
    return sorted(lines, key=lambda row: (row["model"], row["method"], row["grade"]))


@pytest.mark.slow
def test_a_stopped_study_goes_on_and_two_jobs_give_its_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add, two = Rows.add, tmp_path / "two"

    def stopped(self: Rows, row: dict[str, Any]) -> None:
        add(self, row)
        if len(self.rows) == 20:
            raise KeyboardInterrupt

    monkeypatch.setattr(Rows, "add", stopped)
    with pytest.raises(KeyboardInterrupt):
        rows_of(two, monkeypatch, "--jobs", "2")
    monkeypatch.setattr(Rows, "add", add)
    kept = (two / "build" / "calibration.rows.jsonl").read_text()
    assert kept.count("\n") == 20
    (two / "made").unlink()
    together = rows_of(two, monkeypatch, "--jobs", "2")
    made = (two / "made").read_text().splitlines()
    assert (two / "build" / "calibration.rows.jsonl").read_text().startswith(kept)
    assert len(made) == len(together) - 20  # what was kept is not made again
    assert str(os.getpid()) not in {line.split()[0] for line in made}
    assert together == rows_of(tmp_path / "one", monkeypatch)
    assert len(together) == 36 * 5 + 36 + 24


@pytest.mark.slow
def test_rows_are_in_the_order_of_the_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The stored file is the same, whichever setting is done first."""
    monkeypatch.setattr(initial_drafts, "WINDOWS", (8, 64))
    monkeypatch.setattr(initial_drafts, "INITIAL_DRAFTS", ("left",))
    monkeypatch.setattr("sys.argv", ["initial_drafts", "--num-sequences", "2", "--out", str(tmp_path)])
    initial_drafts.main()
    rows = json.loads((tmp_path / "initial_drafts.json").read_text())["rows"]
    names = [(row["initial"], row["window"], row["method"]) for row in rows]
    assert names == [("left", window, method) for window in (8, 64) for method in initial_drafts.METHODS]
