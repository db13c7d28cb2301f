"""Words of other people are shown at every door, and obeyed at none."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table

from scd_analysis import Outcome, Verdict, cli
from scd_analysis.common import escape

HOSTILE = (
    "\x1b[31mred\x1b]8;;http://evil\x07",
    "\x9b31m",
    "safe\rREFUTED",
    "\u202egnp.exe",
    "\u2066x",
    "\ud800",
    "[/bold]",
    "[link=http://evil]x[/link]",
    ":smile:",
    r"$\frac$",
    r"$\$$",
    "_hidden",
    "<script>alert(1)</script>",
    "[x](javascript:alert(1))",
    "![x](http://evil)",
    "a|b",
    "&lt;",
    "",
    "\\",
)


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_a_terminal_is_given_printable_characters(text: str) -> None:
    shown = escape.terminal(text)
    assert all(char.isprintable() for char in shown)
    shown.encode("utf-8")
    out = io.StringIO()
    table = Table(title=escape.cell(text))
    table.add_row(escape.cell(text))
    Console(file=out, width=200, force_terminal=True).print(table)
    assert shown in out.getvalue()
    assert "http://evil\x1b\\" not in out.getvalue()
    assert not {"\x9b", "\u202e", "\u2066", "\r", "\x07"} & set(out.getvalue())


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_a_drawing_shows_it_letter_by_letter(text: str) -> None:
    canvas = Figure()
    ax = canvas.subplots()
    ax.plot([0, 1], label=escape.mathtext(text) or "x")
    ax.set_title(escape.mathtext(text))
    assert len(ax.legend().get_texts()) == 1
    for kind in ("png", "svg"):
        canvas.savefig(io.BytesIO(), format=kind)


def test_a_drawing_has_room_for_so_much() -> None:
    assert len(escape.mathtext("a" * 10_000)) == escape.LONGEST


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("<script>", "&lt;script&gt;"),
        ("[x](javascript:y)", r"[x\](javascript:y)"),
        ("[x]: http://evil", r"[x\]: http://evil"),
        ("a | b", r"a \| b"),
        ("# x\n\n# y", r"\# x # y"),
        ("1. x", r"1\. x"),
        ("$x$", r"\$x\$"),
        ("&lt;", "&amp;lt;"),
    ],
)
def test_a_page_shows_it(text: str, written: str) -> None:
    assert escape.markdown(text) == written


@pytest.mark.parametrize(
    "text",
    [
        "SJD 3.08 [2.95, 3.20]; Made by `python -m studies.top_k --n 3`. It is *Simple*.",
        "3.52 [2.95, 4.36]",
        "Modèle “photos”, α = 10⁻⁶",
    ],
)
def test_our_own_sentences_stay_as_they_are(text: str) -> None:
    assert escape.markdown(text) == text
    assert escape.terminal(text) == text


@pytest.mark.slow
def test_the_command_line_shows_names_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "[bold]\x1b[31m.json"
    path.write_text(Verdict(Outcome.NOT_REFUTED, 1.5, 1e-6, 2_000, 8_000, 0.04, (), {}).to_json())
    for argument, status in ((path, 0), (tmp_path / "\x1b[31mabsent.zarr", 2)):
        monkeypatch.setattr("sys.argv", ["scd-analysis", "report", str(argument)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        assert int(ended.value.code or 0) == status
        printed = "".join(capfd.readouterr()).replace("\n", "")
        assert "\x1b[31m" not in printed
        assert r"\x1b[31m" in printed
