"""The story around the figures: what it puts in is there, what it cites is listed, and what it found is in the data."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from scd_analysis.conditions import Condition
from scd_analysis.figures.store import Stored, load
from studies.gallery import story
from studies.gallery.findings import FINDINGS, findings
from studies.gallery.registry import exhibits
from studies.gallery.story import Figures, Section, sections
from studies.gallery.tables import PUBLISHED, TABLES, VERDICTS, Table

FIGURES = Path(__file__).parents[2] / "figures"
KNOWN = list(exhibits())
STORY = """# A title

## One

Words over
two lines.

{figures: a,
b}

{table: verdicts}

## Two

{other figures}
"""


def stored(name: str) -> Stored:
    return load(FIGURES / f"{name}.json")


def test_sections_are_read_and_what_no_one_names_has_its_place() -> None:
    one, two = sections(["a", "b", "c"], STORY)
    assert one == Section("One", ("Words over two lines.", Figures(("a", "b")), VERDICTS))
    assert two == Section("Two", (Figures(("c",)),))
    assert story.title(STORY) == "A title"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (STORY.replace("{other figures}", "{figures: b}"), "names the figure b twice"),
        (STORY.replace("{other figures}", "{no such thing}"), "no such thing"),
    ],
)
def test_what_cannot_be_put_in_is_an_error(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        sections(["a", "b", "c"], text)


def test_a_section_of_figures_that_are_not_there_is_left_out_and_a_table_without_its_data_too() -> None:
    one, two = sections(["a", "b", "c"], STORY)
    assert one.having(["b"]) == Section("One", ("Words over two lines.", Figures(("b",))))
    assert one.having(["c"]) is None
    assert two.having(["c"]) == two


def test_every_figure_has_its_place_and_every_name_is_a_figures() -> None:
    named = [name for found in re.findall(r"\{figures: ([^}]+)\}", story.FILE.read_text()) for name in found.split(",")]
    assert {name.strip() for name in named} <= set(KNOWN)
    assert sorted(name for section in sections(KNOWN) for name in section.figures) == sorted(KNOWN)
    blocks = [block for section in sections(KNOWN) for block in section.blocks]
    assert [block for block in blocks if isinstance(block, Table)] == list(TABLES.values())
    assert all(any(isinstance(b, str) and one.statement in b for b in blocks) for one in Condition)


def test_what_is_cited_is_listed_and_what_is_listed_is_cited() -> None:
    text, _, listed = story.FILE.read_text().partition(f"## {story.REFERENCES}\n")
    said = " ".join(text.split())
    assert story.references() == sorted(story.references(), key=str.casefold)
    assert len(story.references()) == listed.count("\n[")
    assert [key for key in story.references() if key not in said] == []
    cited = re.findall(r"[A-Z][\w-]+(?: and [A-Z][\w-]+| et al\.)? (?:19|20)\d\d", said)
    assert cited
    assert set(cited) <= set(story.references())


@pytest.mark.parametrize("name", FINDINGS)
def test_a_finding_changes_with_its_data(name: str) -> None:
    right = stored(name)
    frame = right.frame.copy()
    if name == "methods_compared":
        frame.loc[frame["method"] == "sjd", "speedup"] *= 2
    elif name == "verdict_table":
        frame.loc[0, "trace_outcome"] = "REFUTED"
    elif name == "audit_power":
        frame["efficiency"] /= 2
    else:
        frame["pair"] = frame["pair"].replace("REFUTED", "NOT_REFUTED")
    (said,), (other,) = findings({name: right}), findings({name: Stored(name, "", {}, frame)})
    assert said != other
    assert re.search(r"\d", said)


def test_the_table_of_verdicts_says_what_the_data_say() -> None:
    frames = {name: stored(name) for name in VERDICTS.needs}
    rows = {row[0]: row for row in VERDICTS.rows(frames)}
    assert rows["SJD"][1:3] == ("lossless", "0")
    assert rows["SJD"][3].startswith("not refuted, ")
    rivals = [row for row in rows.values() if row[1] == "rival"]
    assert all(float(row[2]) > 0.01 and row[4].startswith("refuted, ") for row in rivals)
    assert rows["OpenVINO GenAI, draft"][3:5] == ("refuted 15 of 15", "refuted 15 of 15")
    assert rows["ONNX Runtime GenAI, draft"][5] == "-"
    assert all(len(row) == len(VERDICTS.heads) for row in rows.values())
    assert len(PUBLISHED.rows({})) > 20
