"""Whose `reference` a process has: theirs where they have one, ours where it is needed, else an error."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path
from types import ModuleType

import pytest

import reference
from scd_analysis.common import shipped
from scd_analysis.common.foreign import said
from scd_analysis.errors import InputError

OURS = reference.__file__


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A process of the command line in an empty folder, which has imported neither."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path])
    monkeypatch.setattr(shipped._Beside, "brought", set())
    monkeypatch.delitem(sys.modules, "reference")
    shipped.search_here_last()
    return tmp_path


def package(folder: Path, name: str = "reference") -> str:
    (folder / name).mkdir()
    (folder / name / "__init__.py").write_text("raise SystemExit('executed')\n")
    return str(folder / name / "__init__.py")


def found() -> str | None:
    spec = shipped._Beside.find_spec("reference")
    return None if spec is None else spec.origin


def test_theirs_is_found_where_it_is_code_and_no_checkout_of_ours(command: Path) -> None:
    assert found() == OURS
    (command / "reference").mkdir()
    assert found() == OURS
    (command / "reference").rmdir()
    theirs = package(command)
    assert found() == theirs
    package(command, "scd_analysis")
    assert found() == OURS


def test_what_the_command_needs_is_ours_and_stays_so_in_its_workers(command: Path) -> None:
    theirs = package(command)
    sent = pickle.dumps(shipped.Search())
    shipped.bring("reference")
    assert found() == OURS
    needs = pickle.dumps(shipped.Search())
    shipped._Beside.brought.clear()
    sys.meta_path.remove(shipped._Beside)
    pickle.loads(sent)
    assert found() == theirs
    pickle.loads(needs)
    assert found() == OURS


def test_a_program_of_somebody_elses_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    before = [*sys.meta_path]
    pickle.loads(pickle.dumps(shipped.Search()))
    assert sys.meta_path == before
    shipped.bring("reference")
    theirs = ModuleType("reference")
    theirs.__file__ = "/theirs/reference.py"
    theirs.__spec__ = shipped.ModuleSpec("reference", None, origin=theirs.__file__)
    monkeypatch.setitem(sys.modules, "reference", theirs)
    with pytest.raises(InputError, match=r"reference is /theirs/reference\.py, in place of the package reference that"):
        shipped.bring("reference")


def missed(module: ModuleType) -> str:
    try:
        return str(module.Nothing)
    except AttributeError as error:
        return said(error)


def test_an_error_names_the_file_where_another_was_meant(command: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "reference", reference)
    assert missed(reference).endswith("has no attribute 'Nothing'")  # ours is the only one
    theirs = package(command)
    assert missed(reference).endswith(f"({reference.__name__} is {OURS}, which the command needs for what comes along "
                                      f"with it, and not {theirs})")  # fmt: skip
    mine = ModuleType("reference")
    mine.__file__ = theirs
    monkeypatch.setitem(sys.modules, "reference", mine)
    assert missed(mine).endswith(f"(reference is {theirs}, and not the package that comes along with scd-analysis)")
    assert said(ModuleNotFoundError("No module named 'x'", name="x")) == "ModuleNotFoundError: No module named 'x'"
