"""The page as a string: what it says, what it must never let through, how it is written."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import re
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from scd_analysis import Outcome, Verdict, audit
from scd_analysis.audit.verdict import Finding
from scd_analysis.errors import InputError, TraceError
from scd_analysis.evidence.certificate import Certificate
from scd_analysis.report import charts, page, render, write_report
from scd_analysis.report.load import load_verdict, read_trace, read_verdict
from scd_analysis.report.markup import Markup, data, element
from scd_analysis.report.words import nats, number, rate
from scd_analysis.trace.trajectories import commit_lengths
from tests.figures.conftest import write_foreign

Stale = tuple[Verdict, xr.Dataset]
HOSTILE = "</script><img src=x onerror=\"document.title='broken'\">&'"
ALARM = "a lossless decoder is refuted with probability at most 10⁻⁶"
PLAIN = Verdict(Outcome.NOT_REFUTED, 1.5, 1e-6, 2_000, 8_000, 0.04, (), {"resolution_wanted": 0.2})


class Reader(HTMLParser):
    """Collects elements and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in {"meta"}:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "script" not in self.open and "style" not in self.open:
            self.text.append(data)


def words(text: str) -> str:
    """What a reader reads, elements apart."""
    return " ".join(" ".join(Reader(text).text).split())


# -- what it says ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("outcome", "sentence"),
    [
        (Outcome.REFUTED, f"Refuted: mine does not sample from its target law ({ALARM})."),
        (
            Outcome.NOT_REFUTED,
            "Not refuted at resolution 0.04: 2,000 sequences of mine show no departure from the target law, and one of "
            f"that size would have been found with probability 0.99 ({ALARM}).",
        ),
        (Outcome.EXACT, "Exact: every branch of mine was enumerated, and its law is the target law."),
        (
            Outcome.INCONCLUSIVE,
            "Inconclusive: 2,000 sequences do not refute mine, but would have shown only departures of 0.04 or more, "
            f"and 0.2 was asked for ({ALARM}).",
        ),
    ],
)
def test_the_verdict_is_one_sentence_with_its_error_rate(outcome: Outcome, sentence: str) -> None:
    shown = render(dataclasses.replace(PLAIN, outcome=outcome), title="mine")
    heading = re.search(r"<h1>.*?</h1>", shown, re.DOTALL)
    assert heading is not None
    assert "".join(Reader(heading[0]).text)[2:] == sentence


@pytest.mark.slow
def test_a_verdict_and_its_json_make_the_same_page(stale: Stale, tmp_path: Path) -> None:
    verdict, trace = stale
    (tmp_path / "v.json").write_text(verdict.to_json())
    assert read_verdict(json.loads(verdict.to_json())) == dataclasses.replace(verdict, record=_json(verdict.record))
    assert load_verdict(tmp_path / "v.json").conditions == verdict.conditions
    shown = [render(v, trace, sequences=1) for v in (verdict, json.loads(verdict.to_json()))]
    assert shown[0] == shown[1]


def _json(value: Any) -> Any:
    return json.loads(json.dumps(value))


@pytest.mark.slow
def test_a_refutation_says_what_broke_and_where(stale: Stale) -> None:
    verdict, trace = stale
    assert verdict.diagnosis is not None
    said = words(render(verdict, trace))
    assert "Broken condition, declared-law: a draft has the law declared for it" in said
    assert f"ln E {nats(verdict.log_e_value)} of 13.82" in said
    assert f"First seen in sequence {verdict.diagnosis.first_seen:,}" in said
    place = f"Show sequence {verdict.diagnosis.first_seen}, position {verdict.diagnosis.position}"
    assert place in said
    assert place not in words(render(verdict))  # no trace to show it in
    for report in verdict.conditions:
        assert f"{report.condition.value} {report.condition.statement}" in said
    assert "✗ broken" in said
    assert said.count("✓ not refuted") == sum(report.status == "not refuted" for report in verdict.conditions)
    assert "Total variation on whole sequences between 0" in said


def test_something_impossible_is_infinite_in_words() -> None:
    finding = Finding("target-differs", "the law verified against is another", float("inf"), True)
    certificate = Certificate(0.1, 0.9, 0.05, 16, "whole sequences")
    verdict = dataclasses.replace(
        PLAIN, outcome=Outcome.REFUTED, log_e_value=float("inf"), findings=(finding,), certificate=certificate,
        path=((1, float("inf")),),
    )  # fmt: skip
    said = words(render(json.loads(verdict.to_json())))
    assert "ln E is ∞" in said
    assert "ln E = ∞: something impossible" in said
    assert "the law verified against is another target-differs ∞ stands" in said
    assert "between 0.1 and 0.9 with confidence 0.95 at all times together, from 16 sequences" in said


@pytest.mark.slow
def test_a_trace_alone_is_no_verdict(patches: xr.Dataset) -> None:
    said = words(render(trace=patches))
    assert "Trace of scd-mc: 10 sequences of 24 tokens, window 5." in said
    assert "nothing on this page was judged" in said
    assert "Refuted" not in said
    assert "On this page: 8 sequences of 10; of each law, the 6 most probable tokens" in said


@pytest.mark.slow
def test_a_foreign_trace_without_laws_says_what_is_missing(tmp_path: Path) -> None:
    said = words(render(trace=write_foreign(tmp_path / "run.zarr", laws=False)))
    assert "Trace of mine" in said
    assert "Nothing to show: the trace does not hold what the laws say of collisions." in said
    assert "laws were not recorded" in said
    assert "nan" not in said.lower().split()


@pytest.mark.slow
def test_ancestral_sampling_has_nothing_to_reject() -> None:
    from reference import decode
    from tests.figures.conftest import Patches

    trace = decode(Patches(), "ar", window=4, num_sequences=2, record="laws", progress=False).trace
    assert trace is not None
    said = words(render(trace=trace))
    assert "Nothing to show: no draft was committed on." in said


@pytest.mark.slow
def test_tokens_alone_tell_no_conditions() -> None:
    verdict = audit(lambda m, n, s: np.zeros((n, 2), dtype=int), _Coin(), max_sequences=64, progress=False)
    said = words(render(verdict))
    assert "The audit saw finished tokens only" in said
    assert "Trajectory explorer" not in said
    assert verdict.findings
    assert all(finding.message in said for finding in verdict.findings)


class _Coin:
    vocab_size, num_tokens = 2, 2

    def next_token_probs(self, tokens: Any) -> Any:
        import torch

        return torch.full((len(tokens), tokens.shape[1] + 1, 2), 0.5, dtype=torch.float64)


# -- what it must never do -------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("both", [True, False])
def test_nothing_given_becomes_markup(stale: Stale, both: bool) -> None:
    verdict, trace = stale
    assert verdict.diagnosis is not None
    verdict = dataclasses.replace(
        verdict,
        diagnosis=dataclasses.replace(verdict.diagnosis, cause=HOSTILE, evidence=(HOSTILE,)),
        findings=(Finding(HOSTILE, HOSTILE, 3.0, False),),
        record=verdict.record | {"resolutions": {HOSTILE: 0.1}, "resolution_meaning": HOSTILE, HOSTILE: HOSTILE},
    )
    named = trace.assign_attrs(method=HOSTILE, model=HOSTILE, decoder=HOSTILE, note=HOSTILE)
    shown = render(verdict, named if both else None, sequences=1, title=None if both else HOSTILE)
    read = Reader(shown)
    assert not read.open
    assert "img" not in {tag for tag, _ in read.elements}
    assert not [a for _, attributes in read.elements for a in attributes if a.startswith("on")]
    assert HOSTILE.replace("&", "&amp;") not in shown
    assert "".join(read.text).count(HOSTILE) >= 4


@pytest.mark.slow
def test_the_page_loads_nothing(stale: Stale) -> None:
    shown = render(*stale)
    for tag, attributes in Reader(shown).elements:
        assert tag not in {"link", "iframe", "img", "object", "embed"}
        assert "src" not in attributes
        assert (attributes.get("href") or attributes.get("xlink:href") or "#").startswith("#")
    assert "url(" not in re.sub(r"url\(#[^)]*\)", "", shown)
    policy = [a["content"] for _, a in Reader(shown).elements if a.get("http-equiv") == "Content-Security-Policy"]
    assert [str(each).split(";")[0] for each in policy] == ["default-src 'none'"]


@pytest.mark.slow
def test_ids_are_unique_and_references_lead_somewhere(stale: Stale) -> None:
    elements = Reader(render(*stale)).elements
    ids = [attributes["id"] for _, attributes in elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    for _, attributes in elements:
        for name in ("for", "aria-labelledby", "aria-describedby"):
            assert set((attributes.get(name) or "").split()) <= set(ids)
        link = attributes.get("href") or attributes.get("xlink:href")
        assert link is None or link[1:] in ids


def test_a_page_of_photos_is_below_five_megabytes(photos_page: Path) -> None:
    assert photos_page.stat().st_size < 5e6
    shown = photos_page.read_text(encoding="utf-8")
    assert "8 sequences of 8; of each law" in words(shown)  # and no sequence had to go


@pytest.mark.slow
def test_charts_have_no_colour_of_their_own(stale: Stale) -> None:
    verdict, trace = stale
    run = read_trace(trace)
    for chart in (charts.evidence(verdict), charts.acceptance(run), charts.collision(run), charts.commits(trace)):
        assert chart.svg is not None
        assert not re.search(r"#[0-9a-f]{6}\b|rgb\(", chart.svg)
        assert "currentColor" in chart.svg
        assert 'role="img"' in chart.svg


# -- figures ---------------------------------------------------------------------------------------------------------


def test_frames_are_what_the_trace_says(patches: xr.Dataset) -> None:
    run = read_trace(patches)
    age, accepted = patches["age"].values, patches["accepted"].values
    frame = charts.acceptance(run).frame.set_index("age")
    assert frame.loc[1, "accepted"] == pytest.approx(float(accepted[age == 1].mean()))
    assert frame.loc[1, "1 - TV"] == pytest.approx(float(1 - patches["total_variation"].values[age == 1].mean()))
    counted = charts.commits(patches).frame.set_index("tokens")["passes"]
    assert counted.tolist() == commit_lengths(patches)[counted.index].tolist()
    rows = charts.collision(run).frame
    assert (rows["maximal"] >= rows["gumbel"] - 1e-9).all()
    assert ((rows["kept"] - rows["maximal"]).abs() < 0.25).all()


def test_many_positions_are_averaged() -> None:
    frame = pd.DataFrame({"position": np.arange(1_000), "drafts": 2, "rejected": 0.0, "total_variation": 0.5})
    frame.loc[:2, "rejected"] = [0.1, 0.2, 0.6]
    chart = charts.variation(frame)
    assert len(chart.frame) == 334
    assert chart.frame.iloc[0].tolist() == pytest.approx([1, 2, 0.3, 0.5])
    assert "means of 3 positions" in chart.caption
    assert "means" not in charts.variation(frame[:400]).caption


def test_the_path_of_the_evidence_is_whole(stale: Stale) -> None:
    verdict, _ = stale
    frame = charts.evidence(verdict).frame
    assert frame.to_numpy().tolist() == [[0, 0], *map(list, verdict.path)]


# -- input and output ------------------------------------------------------------------------------------------------

BAD: list[tuple[dict[str, Any], str]] = [
    ({}, "verdict = None, trace = None"),
    ({"verdict": 3}, "verdict = 3: expected a Verdict"),
    ({"verdict": {"outcome": "MAYBE"}}, "verdict.outcome = 'MAYBE': must be one of REFUTED, NOT_REFUTED, EXACT, INC"),
    ({"verdict": {"outcome": "EXACT"}}, "verdict: lacks log_e_value"),
    ({"trace": "absent.zarr"}, "no such file"),
    ({"trace": 3}, "trace = 3: expected a path"),
    ({"trace": "patches", "sequences": 0}, "sequences = 0"),
    ({"trace": "patches", "sequences": [1, 10]}, r"sequences\[1\] = 10: the trace has 10 sequences"),
    ({"trace": "patches", "sequences": []}, "none is asked for"),
]


@pytest.mark.parametrize(("given", "message"), BAD, ids=lambda x: str(x)[:30])
def test_bad_input_is_named(given: dict[str, Any], message: str, patches: xr.Dataset) -> None:
    if given.get("trace") == "patches":
        given = given | {"trace": patches}
    with pytest.raises(InputError, match=message):
        render(**given)


def test_a_trace_that_contradicts_itself_is_refused(patches: xr.Dataset) -> None:
    with pytest.raises(TraceError, match="must be 0 or 1"):
        render(trace=patches.assign(accepted=patches["accepted"] + 1))
    with pytest.raises(TraceError, match="holds no pass"):
        render(trace=patches.isel(sequence=slice(0, 0)))


def test_a_report_is_there_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = write_report(tmp_path / "r.html", PLAIN)
    assert out.read_text(encoding="utf-8").startswith('<!doctype html>\n<html lang="en">')
    before = out.read_bytes()
    with pytest.raises(InputError):
        write_report(out, {"outcome": "MAYBE"})

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "no space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises((OSError, InputError), match="no space left"):
        write_report(out, dataclasses.replace(PLAIN, num_sequences=3))
    assert out.read_bytes() == before
    assert list(tmp_path.iterdir()) == [out]
    with pytest.raises(InputError, match="there is no folder"):
        write_report(tmp_path / "absent" / "r.html", PLAIN)


def test_the_diagnosis_points_past_unfinished_sequences(stale: Stale) -> None:
    """An audit of a trace numbers the finished sequences, the page all of them."""
    verdict, trace = stale
    assert verdict.diagnosis is not None
    seen = verdict.diagnosis.first_seen
    assert seen is not None
    assert page._pointed_at(verdict, trace) == seen
    unfinished = trace["tokens"].copy()
    unfinished[0, -1] = np.nan
    assert page._pointed_at(verdict, trace.assign(tokens=unfinished)) == seen + 1
    assert page._pointed_at(verdict, trace.isel(sequence=slice(0, seen))) is None


# -- small parts -----------------------------------------------------------------------------------------------------


def test_markup_escapes_all_but_markup() -> None:
    assert element("p", "<&", Markup("<br>"), 3, None, ["a", element("b", '"')], class_="x", hidden=True, id=None) == (
        '<p class="x" hidden>&lt;&amp;<br>3a<b>&quot;</b></p>'
    )
    assert element("meta", name='"') == '<meta name="&quot;">'
    text = data({"a": HOSTILE}, "x")
    assert "<img" not in text
    assert json.loads(re.search(r">(.*)<", text)[1]) == {"a": HOSTILE}  # type: ignore[index]


def test_numbers_in_words() -> None:
    assert [number(x) for x in (0.12345, -1234.0, float("inf"), float("nan"), None)] == [
        "0.123",
        "−1.23e+03",
        "∞",
        "–",
        "–",
    ]
    assert [rate(x) for x in (1e-6, 0.05, 0.1, 2e-6, 1e-12)] == ["10⁻⁶", "0.05", "0.1", "2e-06", "10⁻¹²"]
    assert [nats(x) for x in (-0.5, 13.816, float("inf"))] == ["−0.50", "13.82", "∞"]


def _colours(css: str, dark: bool) -> dict[str, str]:
    light_part, dark_part = css.split("prefers-color-scheme: dark", 1)
    found = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{3,6});", light_part))
    return found | (dict(re.findall(r"--([\w-]+): (#[0-9a-f]{3,6});", dark_part)) if dark else {})


def _luminance(colour: str) -> float:
    digits = colour[1:] if len(colour) == 7 else "".join(2 * c for c in colour[1:])
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4
              for c in (int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4))]  # fmt: skip
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("dark", [False, True])
def test_text_has_contrast(dark: bool) -> None:
    """4.5 to 1 for text (WCAG 2.2, 1.4.3), on both grounds of the page and on every state of a cell."""
    assets = files("scd_analysis.report") / "assets"
    colours = _colours((assets / "page.css").read_text(), dark) | _colours((assets / "explorer.css").read_text(), dark)
    pairs = [(ink, ground) for ground in ("page", "raised")
             for ink in ("ink", "soft", "link", "blue", "orange", "green", "red", "purple")]  # fmt: skip
    pairs += [(f"on-{letter}", f"state-{letter}") for letter in "arkcbo"]
    for ink, ground in pairs:
        low, high = sorted(_luminance(colours[name]) for name in (ink, ground))
        assert (high + 0.05) / (low + 0.05) >= 4.5, (ink, ground)
