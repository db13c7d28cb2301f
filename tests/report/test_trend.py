"""The page of many nights: every number beside its picture, gaps that are told, and what is no night refused."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import pytest

from scd_analysis import Outcome, Verdict
from scd_analysis.cli.commands import run
from scd_analysis.common.finite import finite
from scd_analysis.errors import InputError
from scd_analysis.report import render_trend, write_trend
from scd_analysis.report.nights import read_nights
from scd_analysis.report.trend import worst_of
from scd_analysis.testing.rates import Audited, as_row
from tests.report.test_page import Reader, words

GOOD = Verdict(Outcome.NOT_REFUTED, -1.25, 1e-6, 3_000, 12_000, 0.0625, (), {"grade": "samples"}, epsilon=0.02,
               epsilon_refuted=0.0)  # fmt: skip
DRIFTS = dataclasses.replace(GOOD, log_e_value=7.5, epsilon_refuted=0.013)
BROKEN = dataclasses.replace(GOOD, outcome=Outcome.REFUTED, log_e_value=21.5, num_sequences=640, epsilon_refuted=0.034)
IMPOSSIBLE = Audited("test_a.py::test_it", "mine:f", 1e-7, 3, 12, 1.0, "REFUTED", None, math.inf)
FINE = Audited("test_a.py::test_it", "mine:f", 1e-7, 3, 4_000, 0.08, "NOT_REFUTED", None, -0.5)
DECLARED = {"kind": "declared", "name": "x", "false_fail_rate": 1e-8, "power": None, "resolution": None}


def lines(*rows: Any) -> str:
    return "".join(json.dumps(finite(as_row(row) if isinstance(row, Audited) else row)) + "\n" for row in rows)


def nights(folder: Path) -> Path:
    """Four nights of an engine and of a test suite; in the second the engine could not run."""
    for name, engine, audited in (("01", GOOD, FINE), ("02", None, FINE), ("03", DRIFTS, None), ("04", BROKEN, FINE)):
        night = folder / f"2026-12-{name}"
        night.mkdir()
        if engine is not None:
            (night / "engine.json").write_text(engine.to_json())
            (night / "engine.html").write_text("<p>passed over</p>")
        if audited is not None:
            (night / "tests.jsonl").write_text(lines(DECLARED, audited, IMPOSSIBLE))
    return folder


def test_what_is_read_is_what_was_written(tmp_path: Path) -> None:
    found = read_nights(nights(tmp_path))
    assert found.names == ("2026-12-01", "2026-12-02", "2026-12-03", "2026-12-04")
    first, second = "test_a.py::test_it (mine:f)", "test_a.py::test_it (mine:f), audit 2"
    assert list(found.subjects) == ["engine", first, second]
    engine = found.subjects["engine"]
    assert [one and (one.outcome.name, one.log_e_value, one.epsilon_refuted) for one in engine] == [
        ("NOT_REFUTED", -1.25, 0.0), None, ("NOT_REFUTED", 7.5, 0.013), ("REFUTED", 21.5, 0.034),
    ]  # fmt: skip
    assert [one and one.log_e_value for one in found.subjects[second]] == [math.inf, math.inf, None, math.inf]
    assert found.false_fail_rate == pytest.approx(3e-6 + 6e-7)


def test_files_a_night_and_one_ledger(tmp_path: Path) -> None:
    for day, verdict in enumerate((GOOD, BROKEN), start=1):
        (tmp_path / f"night-{day}.json").write_text(verdict.to_json())
    found = read_nights(tmp_path)
    assert (found.names, list(found.subjects)) == (("night-1", "night-2"), [tmp_path.name])
    (tmp_path / "scd.jsonl").write_text(lines(FINE, DECLARED, IMPOSSIBLE))
    alone = read_nights(tmp_path / "scd.jsonl")
    assert alone.names == ("1", "2")
    assert [one and one.outcome.name for one in next(iter(alone.subjects.values()))] == ["NOT_REFUTED", "REFUTED"]
    old = {
        key: value for key, value in as_row(FINE).items() if key not in ("log_e_value", "epsilon", "epsilon_refuted")
    }
    (tmp_path / "scd.jsonl").write_text(lines(old))
    assert "Nothing to show: ln E was not kept." in words(render_trend(tmp_path / "scd.jsonl"))


@pytest.mark.slow
def test_every_number_is_beside_its_picture(tmp_path: Path) -> None:
    shown = render_trend(nights(tmp_path), title="<b>mine</b> & co")
    text = words(shown)
    assert "✗ Refuted : 2 of 3 subjects in the last night, 2026-12-04" in text
    assert "refuted in any of these nights with probability at most 3.6e-06" in text
    for row in ("2026-12-04 ✗ Refuted 21.50 13.82 0.034 0.0625 640", "2026-12-03 ✓ Not refuted 7.50 13.82 0.013",
                "2026-12-02 No verdict – – – – –", "✗ Refuted ∞ 16.12 – 1 12"):  # fmt: skip
        assert row in text
    assert "1 night of 4 refuted" in text
    assert "0.034 at most so far" in text
    assert "<b>mine" not in shown


@pytest.mark.slow
def test_the_page_loads_nothing_and_runs_nothing(tmp_path: Path) -> None:
    elements = Reader(render_trend(nights(tmp_path))).elements
    assert not {tag for tag, _ in elements} & {"script", "link", "iframe", "img", "object", "embed"}
    (policy,) = (each["content"] for _, each in elements if each.get("http-equiv") == "Content-Security-Policy")
    assert policy == "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'"
    ids = [each["id"] for _, each in elements if "id" in each]
    assert len(ids) == len(set(ids))
    pictures = [each for tag, each in elements if tag == "svg"]
    assert len(pictures) == 4  # of ln E three, of epsilon the engine's
    assert all({each["aria-labelledby"], each["aria-describedby"]} <= set(ids) for each in pictures)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("last", "worst"),
    [
        ([GOOD, BROKEN, None], Outcome.REFUTED),
        ([GOOD, None], None),
        ([GOOD, dataclasses.replace(GOOD, outcome=Outcome.INCONCLUSIVE)], Outcome.INCONCLUSIVE),
        ([GOOD, dataclasses.replace(GOOD, outcome=Outcome.EXACT, alpha=0, record={"grade": "exact", "branches": 1,
          "outcomes": 1, "total_variation": [0, 0]})], Outcome.NOT_REFUTED),
    ],
)  # fmt: skip
def test_the_headline_is_the_worst_of_the_last_night(tmp_path: Path, last: Any, worst: Outcome | None) -> None:
    for night in ("1", "2"):
        (tmp_path / night).mkdir()
        for i, verdict in enumerate(last):
            if night == "1" or verdict is not None:
                (tmp_path / night / f"{i}.json").write_text((verdict or GOOD).to_json())
    found = read_nights(tmp_path)
    assert worst_of(found) is worst
    assert "in the last night, 2" in words(render_trend(found))


BAD = [
    ("1.json", "{}", "1.json: not a verdict"),
    ("1.json", GOOD.to_json().replace("-1.25", '"x"'), "verdict.log_e_value = 'x': must be a number"),
    ("1.json", GOOD.to_json()[:-9], "1.json: is not JSON"),
    ("1.jsonl", "[1]", "1.jsonl, line 1: kind = None: must be 'audit' or 'declared'"),
    ("1.jsonl", lines(DECLARED) + "{", "1.jsonl, line 2: is not JSON"),
    ("1.jsonl", lines({**as_row(FINE), "outcome": "FINE"}), "line 1.outcome = 'FINE': must be one of REFUTED"),
    ("1.jsonl", lines({**as_row(FINE), "log_e_value": "x"}), "line 1.log_e_value = 'x': must be a number"),
    ("1.jsonl", lines({**as_row(FINE), "alpha": 2}), "line 1.alpha = 2.0: must lie between 0 and 1"),
    ("1.jsonl", lines({**as_row(FINE), "epsilon_refuted": -1}), "line 1.epsilon_refuted = -1.0: must lie between 0"),
    ("1.jsonl", lines({"kind": "audit", "test": "a"}), "line 1: lacks subject"),
    ("1.jsonl", lines(DECLARED), "holds no verdict"),
    ("page.html", "", "holds no verdict"),
]


@pytest.mark.parametrize(("name", "text", "message"), BAD, ids=lambda x: str(x)[:30])
def test_what_is_no_night_is_named(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / "nights").mkdir()
    (tmp_path / "nights" / "0.json").write_text(GOOD.to_json()) if "holds no" not in message else None
    (tmp_path / "nights" / name).write_text(text)
    with pytest.raises(InputError) as caught:
        write_trend(tmp_path / "trend.html", tmp_path / "nights")
    assert message in str(caught.value)
    assert not (tmp_path / "trend.html").exists()


@pytest.mark.slow
def test_the_command_writes_it_once_and_not_into_its_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nights").mkdir()
    nights(tmp_path / "nights")
    assert run(["trend", "nights", "--output", "trend.html", "--json"]) == (0, None)
    told = json.loads(capsys.readouterr().out)
    assert told["nights"][0] == "2026-12-01"
    assert told["subjects"]["engine"][1] is None
    assert told["subjects"]["test_a.py::test_it (mine:f), audit 2"][0]["log_e_value"] == "inf"
    assert "Refuted: nights" in (tmp_path / "trend.html").read_text()
    assert run(["trend", "nights"]) == (0, None)
    assert "REFUTED, ln E = 21.50" in capsys.readouterr().out
    for more, message in (
        (["nights", "--output", "nights/trend.html"], "would be written into the input"),
        (["trend.html"], "is neither a folder nor a ledger"),
        (["absent.jsonl"], "there is no such file"),
    ):
        status, said = run(["trend", *more])
        assert (status, message in str(said)) == (2, True), said
