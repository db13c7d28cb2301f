"""The gallery as the command makes it: what it may write on, what it decodes, and the door to it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import reference
from scd_analysis.errors import InputError
from scd_analysis.figures import __main__ as door
from scd_analysis.figures.decoding import Decoding
from scd_analysis.figures.rendering import check_folder
from studies.gallery import making, page
from studies.gallery.making import gallery
from studies.gallery.registry import exhibits
from tests.figures.conftest import Patches, write_foreign
from tests.gallery.conftest import TINY

NAME = "hamming_by_lag"


@pytest.mark.parametrize("name", ["README.md", "paper.pdf"])
def test_quick_figures_leave_a_users_page_and_decode_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("figures").mkdir()
    (Path("figures") / name).write_text("mine")
    monkeypatch.setattr(making, "RunStore", None)  # not reached
    with pytest.raises(InputError, match=f"{name}: was not written by"):
        gallery().render([NAME], decoding=Decoding(quick=True))
    assert (Path("figures") / name).read_text() == "mine"


def test_the_projects_own_folder_is_rendered_again() -> None:
    check_folder(Path(__file__).parents[2] / "figures", list(exhibits()), page.PAGES)


def test_the_door_opens_on_the_gallery_where_the_repository_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert set(door.figures_here().figures) == set(exhibits())
    monkeypatch.setattr("scd_analysis.common.shipped.ROOT", str(tmp_path))
    assert NAME in door.figures_here().figures
    assert "speedup_by_window" not in door.figures_here().figures


def test_what_is_listed_is_what_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for root in (None, tmp_path):
        if root is not None:
            monkeypatch.setattr("scd_analysis.common.shipped.ROOT", str(root))
        figures = door.figures_here().figures
        assert list(door.summaries_here().items()) == [(name, one.summary) for name, one in figures.items()]


@pytest.mark.slow
def test_an_installed_library_draws_a_decode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reference, "load_model", lambda name: Patches())
    monkeypatch.setattr(door, "WINDOW", TINY.window)
    alone = door.figures_of_a_decode()
    written = alone.render([NAME], out=tmp_path, decoding=Decoding(quick=True))
    assert {path.name for path in written} == {f"{NAME}.{kind}" for kind in ("json", "png", "svg")} | {"gallery.md"}
    assert alone.check([NAME], out=tmp_path) == {}
    assert gallery().check([NAME], out=tmp_path) == {}  # by its own caption: the papers report nothing of this decode
    text = (tmp_path / "gallery.md").read_text()
    assert "SJD" in text
    assert "SCD-GS" in text


def test_what_is_not_installed_is_said_in_a_line_and_a_trace_is_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_foreign(tmp_path / "run.zarr", laws=False)
    for name in [name for name in sys.modules if name.startswith("studies.gallery")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "reportlab", None)
    for name in [name for name in sys.modules if name.startswith("reportlab.")]:
        monkeypatch.delitem(sys.modules, name)
    assert door.run(["--trace", str(path), "--out", str(tmp_path / "out"), NAME]) == 0
    assert door.run(["--list"]) == 0
    assert door.run(["--check"]) == 2
    assert "reportlab" in (said := capsys.readouterr().err)
    assert "scd-analysis[studies]" in said
    monkeypatch.setitem(sys.modules, "reference", None)
    with pytest.raises(InputError, match=r"reference.*name a model as module:attribute"):
        door.reference_decoder()
