"""The page and the paper: what stands on them, that they are made from the figures, and what ``check`` sees."""

from __future__ import annotations

import io
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from matplotlib.figure import Figure as Canvas
from pypdf import PageObject, PdfReader
from reportlab.pdfbase import pdfmetrics

from scd_analysis.figures import Run
from scd_analysis.figures.provenance import settings_of
from scd_analysis.figures.rendering import write
from scd_analysis.figures.store import Stored, load
from studies.gallery import comparison, page, reported, story
from studies.gallery.comparison import Line
from studies.gallery.making import gallery
from studies.gallery.paper import write_page
from studies.gallery.printing import HEIGHT, WIDTH, Drawing, marked, register_fonts
from studies.gallery.registry import exhibits

Runs = Callable[[str], list[Run]]
ROOT = Path(__file__).parents[2]
NAMES = ("hamming_by_lag", "nfe_vs_token_difference")


@pytest.fixture(scope="module")
def folder(runs_of: Runs, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("page")
    for name in NAMES:
        figure, runs = exhibits()[name], runs_of(name)
        write(figure, figure.compute(runs), settings_of(runs, "tiny", "abc"), out)
    write_page(out)
    return out


@pytest.fixture
def copied(folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder, tmp_path / "figures"))


def stored(name: str, rows: list[dict[str, object]]) -> dict[str, Stored]:
    return {name: Stored(name, "", {}, pd.DataFrame(rows))}


def line(frames: dict[str, Stored], start: str) -> Line:
    return next(one for one in comparison.lines(frames) if one.quantity.startswith(start))


# -- the page --------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_figure_has_number_caption_data_and_command(folder: Path) -> None:
    text = (folder / "README.md").read_text()
    for number, entry in enumerate(page.entries(folder), start=1):
        name = entry.figure.name
        assert f"## Figure {number}. " in text
        assert entry.stored.caption in text
        assert f"[{name}.json]({name}.json)" in text
        assert f"`python -m scd_analysis.figures {name}`" in text
    assert [entry.figure.name for entry in page.entries(folder)] == list(NAMES)  # the order of the page
    assert "commit abc" in text
    assert "2 figures: 2 are drawn from decodes" in text


@pytest.mark.slow
def test_page_and_paper_are_the_same_every_time(folder: Path, copied: Path) -> None:
    write_page(copied)
    for name in ("README.md", "paper.pdf"):
        assert (copied / name).read_bytes() == (folder / name).read_bytes()
    assert b"CreationDate" not in (folder / "paper.pdf").read_bytes()


def test_check_holds_of_what_was_written(folder: Path) -> None:
    assert page.check(folder) == {}
    assert not {"README.md", "paper.pdf"} & set(gallery().check(out=folder))  # absent figures are named


@pytest.mark.parametrize("name", ["README.md", "paper.pdf"])
def test_check_fails_on_a_missing_file(copied: Path, name: str) -> None:
    (copied / name).unlink()
    assert "missing" in gallery().check(out=copied)[name]


def test_check_fails_on_a_touched_page(copied: Path) -> None:
    path = copied / "README.md"
    path.write_text(path.read_text().replace("times", "tymes"))
    assert set(page.check(copied)) == {"README.md"}


def test_check_fails_on_a_touched_paper(copied: Path) -> None:
    path = copied / "paper.pdf"
    path.write_bytes(path.read_bytes() + b"%")
    assert set(page.check(copied)) == {"README.md"}  # which names the paper's digest


def test_check_fails_when_a_figure_is_newer_than_page_and_paper(copied: Path) -> None:
    path = copied / "hamming_by_lag.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {"caption": "ten times faster"}))
    assert set(page.check(copied)) == {"README.md", "paper.pdf"}


def test_check_fails_when_a_picture_is_newer_than_the_paper(copied: Path) -> None:
    path = copied / "hamming_by_lag.png"
    path.write_bytes(path.read_bytes() + b"x")
    assert set(page.check(copied)) == {"paper.pdf"}


# -- published beside measured ---------------------------------------------------------------------------------------


def test_every_published_number_stands_in_the_table() -> None:
    said = " ".join(f"{one.quantity} {one.published}" for one in comparison.lines({}))
    for part in reported.TABLES:
        for row in part.rows:
            assert row.method == "ar" or f"{row.nfe:g} passes" in said
            assert row.seconds is None or f"{row.seconds:g}" in said
            assert row.quality is None or f"{row.quality:.2f}" in said
    assert all(statement in said for statement in reported.STATEMENTS.values())
    assert all(f"{value:g}" in said for value in reported.SAMPLER_MS.values())
    assert "0.94" in said


def test_no_quantity_stands_twice() -> None:
    said = [(one.where, one.quantity) for one in comparison.lines({})]
    assert len(said) == len(set(said))


def test_nothing_agrees_where_nothing_was_measured() -> None:
    assert {one.agrees for one in comparison.lines({})} == {""}
    assert {one.measured for one in comparison.lines({})} == {"not drawn here", "not measured here"}


@pytest.mark.parametrize(("gs", "said"), [(0.5, "yes"), (0.58, "within noise"), (0.62, "no")])
def test_lags_are_judged_by_intervals(gs: float, said: str) -> None:
    rows = [
        {"method": method, "lag": lag, "value": value, "low": value - 0.02, "high": value + 0.02, "n": 9}
        for lag in (1, 2, 3)
        for method, value in (("sjd", 0.9), ("scd-mc", 0.6), ("scd-gs", gs))
    ]
    found = line(stored("hamming_by_lag", rows), "at lags 2 and 3")
    assert (found.agrees, found.figure) == (said, "hamming_by_lag")
    assert "0.600 [0.580, 0.620]" in found.measured


@pytest.mark.parametrize(("at_64", "said"), [(3.4, "yes"), (5.0, "no")])
def test_sjd_has_stopped_unless_it_is_surely_faster(at_64: float, said: str) -> None:
    rows = [
        {"method": method, "window": window, "value": value, "low": value - 0.3, "high": value + 0.3}
        for method in ("sjd", "scd-mc", "scd-gs")
        for window, value in ((16, 3.0), (64, at_64))
    ]
    assert line(stored("speedup_by_window", rows), "SJD stops").agrees == said
    assert line(stored("speedup_by_window", rows), "SCD keeps").agrees == "yes"


@pytest.mark.parametrize(("last", "said"), [(50.0, "yes"), (80.0, "no")])
def test_alpha_has_to_fall_at_every_step(last: float, said: str) -> None:
    rows = [
        {"method": "scd-mc", "alpha": alpha, "value": value, "low": value - 1, "high": value + 1}
        for alpha, value in ((0.0, 90.0), (0.5, 75.0), (1.0, last))
    ]
    assert line(stored("coupling_alpha", rows), "passes fall").agrees == said


@pytest.mark.parametrize(
    ("speeds", "said"),
    [((5.0, 4.5, 4.0), "yes"), ((5.0, 5.1, 4.9), "within noise"), ((5.0, 6.0, 4.0), "no"), ((5.0, 5.1, 5.2), "no")],
)
def test_guidance_must_not_be_surely_faster_anywhere(speeds: tuple[float, ...], said: str) -> None:
    rows = [
        {"method": "sjd", "setting": 1.0 + i, "kind": "speedup", "value": v, "low": v - 0.3, "high": v + 0.3}
        for i, v in enumerate(speeds)
    ]
    found = line(stored("guidance", rows), "larger guidance")
    assert found.agrees == said
    assert all(f"{value:.2f} [" in found.measured for value in (speeds[0], speeds[-1], max(speeds)))


def timed(faster: float) -> dict[str, Stored]:
    rows = [
        {"kind": "gain", "batch": batch, "method": method, "window": window, "n": 4, "nfe": 1.0, "time": gain,
         "seconds": 2.0 / gain}
        for batch in (1, 64)
        for method, window, gain in (("ar", 1, 1.0), ("sjd", 64, 1.25), ("scd-mc", 64, faster), ("scd-gs", 64, 2.0))
    ]  # fmt: skip
    settings = {"model": "photos", "device": "cpu", "threads": 2}
    return {"gain_in_time": Stored("gain_in_time", "", settings, pd.DataFrame(rows))}


def test_seconds_are_those_of_this_machine_and_say_so() -> None:
    seconds = {one.where: one for one in comparison.lines(timed(2.5)) if one.quantity.startswith("seconds")}
    lumina, janus, cosmos = (seconds[table.model] for table in reported.TABLES)
    assert "AR 102, SJD 43 (2.37 times)" in lumina.published
    assert lumina.measured.startswith(
        "photos, CPU with 2 threads: one at a time (mean of 4), AR 2, SJD 1.6 (1.25 times)"
    )
    assert "SCD-MC 0.8 (2.50 times)" in lumina.measured
    assert "in a batch of 64" in lumina.measured
    assert (lumina.agrees, lumina.figure) == ("", "gain_in_time")
    assert janus.measured == "not measured here"  # its window was not timed
    assert cosmos.measured == "not measured here"  # photographs say nothing of a video's seconds
    again = line(timed(4.0), "seconds a sequence, window 64")
    assert "SCD-MC 0.5 (4.00 times)" in again.measured


def test_the_sampler_s_share_is_read_from_the_split_of_a_decode() -> None:
    parts = {"model": 0.8, "verify": 0.05, "draft": 0.0, "rest": 0.15, "record_scalars": 0.1, "record_laws": 0.2}
    place = {"kind": "parts, eager", "method": "scd-mc", "window": 32, "batch": 64}
    rows = [place | {"kind": "gain", "part": "", "share": None}]
    rows += [place | {"part": part, "share": share} for part, share in parts.items()]
    settings = {"model": "photos", "device": "cpu", "threads": 2}
    frames = {"where_time_goes": Stored("where_time_goes", "", settings, pd.DataFrame(rows))}
    found = line(frames, "ms of one pass")
    assert "verification 1.66 (4.3%)" in found.published
    assert found.measured == (
        "share of the time of SCD-MC, photos, CPU with 2 threads, window 32, batch of 64: "
        "eager: model 80.0%, verification 5.0%, drafting 0.0%, bookkeeping 15.0%"
    )
    assert found.figure == "where_time_goes"


@pytest.mark.parametrize(
    ("method", "said"),
    [("sjd-pac", "adaptive continuation alone: 5.00 [4.50, 5.50] in passes, exact TV 0"), ("scd-mc", "not drawn here")],
)
def test_the_whole_of_sjd_pac_is_not_claimed(method: str, said: str) -> None:
    speed = {"speedup": 5.0, "speedup_low": 4.5, "speedup_high": 5.5}
    rows: list[dict[str, object]] = [
        {"method": name, "kind": kind, "value": 0.0, "low": 0.0, "high": 0.0, **speed}
        for name in (method, "grouped-acceptance")
        for kind in ("exact", "excess_bits")
    ]
    found = line(stored("methods_compared", rows), "speed-up, SJD-PAC")
    assert found.published == "4.51 in passes, 3.80 in seconds, FID 30.69"
    assert found.measured == said


# -- the paper -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sheets(folder: Path) -> list[PageObject]:
    return PdfReader(folder / "paper.pdf").pages[:]


def said(sheet: PageObject) -> str:
    return " ".join(sheet.extract_text().split())


def test_the_front_has_title_abstract_and_contents_that_lead_there(folder: Path, sheets: list[PageObject]) -> None:
    text = said(sheets[0])
    assert story.title() in text
    told = [section.title for section in page.sections_of(page.entries(folder))]
    headings = [f"{number} {heading}" for number, heading in enumerate(told, 1)]
    for part in ("Abstract.", "Contents", "Figure 1. Hamming distance", *headings):
        assert part in text
    entries = len(page.entries(folder)) + len(headings)
    assert sum("/Dest" in one or "/A" in one for one in annotations(sheets[0])) >= entries
    outline = PdfReader(folder / "paper.pdf").outline
    assert [one["/Title"] for one in outline if not isinstance(one, list)] == headings


def annotations(sheet: PageObject) -> list[dict[str, Any]]:
    return [one.get_object() for one in sheet.get("/Annots", [])]


def test_a_figure_stands_on_the_sheet_of_its_caption(folder: Path, sheets: list[PageObject]) -> None:
    """Its axes' labels are text of the drawing, and no caption says them so."""
    labels = {"hamming_by_lag": "lag (passes)", "nfe_vs_token_difference": "mean token difference (share of drafts"}
    for number, name in enumerate(NAMES, start=1):
        (sheet,) = [one for one in sheets if f"Figure {number}. " in said(one) and "Contents" not in said(one)]
        assert labels[name] in said(sheet)
        assert load(folder / f"{name}.json").caption[-60:] in said(sheet)
        assert f"python -m scd_analysis.figures {name}" in said(sheet)


def test_the_table_has_its_head_on_every_sheet_and_every_line(sheets: list[PageObject]) -> None:
    heads = [said(one) for one in sheets if "quantity published measured here" in said(one)]
    assert len(heads) > 1
    assert all(f"{row.nfe:g} passes" in " ".join(heads) for part in reported.TABLES for row in part.rows[1:])
    assert any("https://arxiv.org/abs/2510.24211" in str(one) for one in annotations(sheets[-1]))


@pytest.mark.parametrize(
    ("text", "markup"),
    [
        ("<b>a & b", "&lt;b&gt;a &amp; b"),
        ("10⁻⁶", "10<super>\N{MINUS SIGN}6</super>"),
        ("H₂", 'H<sub size="7" rise="1.5">2</sub>'),
    ],
)
def test_nothing_that_is_said_is_obeyed_but_digits_are_raised_and_lowered(text: str, markup: str) -> None:
    assert marked(text) == markup


def test_every_letter_of_the_projects_page_is_in_the_font() -> None:
    register_fonts()
    known = pdfmetrics.getFont("Serif").face.charToGlyph
    text = re.sub("<[^>]+>", "", marked((ROOT / "figures" / "README.md").read_text()))
    assert {one for one in text if ord(one) >= 32 and ord(one) not in known} == set()


def test_a_drawing_is_no_larger_than_the_page() -> None:
    def drawing(width: float, height: float) -> Drawing:
        file = io.BytesIO()
        Canvas(figsize=(width, height)).savefig(file, format="pdf")
        return Drawing(file.getvalue(), below=100)

    assert drawing(3, 2).scale == 1
    assert drawing(9, 2).width == pytest.approx(WIDTH)
    assert drawing(3, 20).height == pytest.approx(HEIGHT - 100)
