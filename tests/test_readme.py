"""The README is a map whose examples run and say what it says; what pages count is as many as they say."""

import json
import re
from pathlib import Path

import pytest

from reference import METHODS, get_method
from reference.broken import faults
from scd_analysis.audit.verdict import Outcome
from scd_analysis.conditions import Condition
from tests.docs.site import prose

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
PAGES = {
    p.relative_to(ROOT).as_posix(): p for p in (*ROOT.glob("*.md"), ROOT / "figures" / "README.md", *DOCS.rglob("*.md"))
}

WORDS = ("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
ROWS = json.loads((ROOT / "studies" / "results" / "verdict_table.json").read_text())["rows"]
MEASURED = {row["rule"] for row in ROWS if row["kind"] != "method"}
COUNTED = {"planted faults": len(MEASURED), "conditions": len(Condition), "outcomes": len(Outcome)}
"""What pages count, and how many there are; of planted faults those that were measured, which a new one is not yet."""

PARTS = {("docs/verdict.md", "four conditions")}
"""Where some of them are counted and not all: those that a trace without a model speaks of."""


def run(marker: str, capsys: pytest.CaptureFixture[str]) -> str:
    (block,) = [b for b in BLOCKS if marker in b]
    exec(compile(block, "README.md", "exec"), {})
    return capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.strip().splitlines()[-1][:40])
def test_every_block_runs_by_itself(block, tmp_path, monkeypatch):
    """In a namespace of its own; with fewer sequences than a reader would take, and without calling a test."""
    monkeypatch.chdir(tmp_path)
    block = block.replace("max_sequences=60_000", "max_sequences=64")
    exec(compile(block, "README.md", "exec"), {"__name__": "readme"})


@pytest.mark.slow
def test_audit_your_own_decoder(capsys):
    assert run("sjd-vp-uncorrected", capsys).startswith("REFUTED")


def test_the_readme_is_a_map():
    assert len(README.splitlines()) <= 120
    assert len(BLOCKS) >= 2


def test_every_page_that_the_readme_links_is_there():
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / target).exists(), target


def missing(text):
    """Files and folders that a text names in code and that are not there."""
    rooms = [ROOT / name for name in ("scd_analysis", "reference", "studies", "tests", "docs")]
    for name in re.findall(r"`([a-z_./]+(?:/|\.py|\.md))`", text):
        if not (ROOT / name).exists() and not any(next(room.rglob(name.rstrip("/")), None) for room in rooms):
            yield name


def test_the_rooms_that_contributing_names_are_there():
    text = (ROOT / "CONTRIBUTING.md").read_text()
    assert "`audit/conditions/`" in text
    assert list(missing(text)) == []
    assert list(missing("`audit/directions.py` `audit/bets.py` `audit/rooms/` `validate.py`")) == [
        "audit/directions.py",
        "audit/rooms/",
    ]


def counts(text):
    """Every "43 planted faults" or "five conditions" of a text, code aside, as (what is said, number, noun)."""
    for found in re.finditer(
        rf"\b(\d+|{'|'.join(WORDS)}) ({'|'.join(COUNTED)})\b", " ".join(prose(text).split()), re.I
    ):
        said = found[1].lower()
        yield found[0].lower(), int(said) if said.isdigit() else WORDS.index(said) + 2, found[2].lower()


@pytest.mark.parametrize("name", PAGES)
def test_what_a_page_counts_is_as_many(name):
    for said, number, noun in counts(PAGES[name].read_text()):
        assert number == COUNTED[noun] or (name, said) in PARTS, said


def test_counts_are_read():
    """The twin; and the pages do count."""
    text = "Of 42 planted\nfaults, six conditions and Four outcomes\n```\n7 outcomes\n```\n"
    assert [number for _, number, _ in counts(text)] == [42, 6, 4]
    said = {(name, what) for name, path in PAGES.items() for what, _, _ in counts(path.read_text())}
    assert {noun for _, what in said for noun in COUNTED if noun in what} == set(COUNTED)
    assert PARTS <= said
    assert set(faults()) >= MEASURED


def first_cells(page, heading):
    """The first column of the table with this heading, without marks."""
    lines = iter(page.read_text().splitlines())
    next(line for line in lines if line.startswith(f"| {heading} |"))
    next(lines)
    for line in lines:
        if not line.startswith("|"):
            return
        yield re.sub(r"[`*]|\(.*\)", "", line.split("|")[1]).strip(), line


def test_the_tables_of_pages_are_complete():
    """Of named methods those that were measured, which a new one is not yet."""
    methods = dict(first_cells(DOCS / "reference-decoder.md", "method"))
    named = [name for name in METHODS if name in methods]
    assert [name for name in methods if name != "coupling_mixture"] == named
    assert set(named) >= {*METHODS} & {row["rule"] for row in ROWS}
    assert [name for name in named if "**not** exact" in methods[name]] == [
        name for name in named if not get_method(name).lossless
    ]
    assert [name for name, _ in first_cells(DOCS / "verdict.md", "condition")] == list(Condition)
    assert {name for name, _ in first_cells(DOCS / "verdict.md", "outcome")} == {outcome.name for outcome in Outcome}
