"""The map of theorems names functions and tests that exist, and leaves nothing out that claims a theorem."""

from __future__ import annotations

from pathlib import Path

import pytest

from scd_analysis import evidence, exact, laws
from scd_analysis.trace import trajectories
from tests.docs.runner import DOCS
from tests.docs.theorems import claims, entries, found, missing_tests

MAP = (DOCS / "theorems.md").read_text(encoding="utf-8")
ENTRIES = entries(MAP)
LISTED = {id(found(name)): name for entry in ENTRIES for name in entry.functions}


def test_every_line_of_the_map_was_read() -> None:
    lines = [line for line in MAP.splitlines() if line.startswith("|") and "`tests/" in line]
    assert len(ENTRIES) == len(lines) > 25
    assert all(entry.statement and entry.source and entry.tests for entry in ENTRIES)


def test_functions_exist() -> None:
    assert ENTRIES[0].functions
    for entry in ENTRIES:
        for name in entry.functions:
            found(name)


def test_tests_exist() -> None:
    assert missing_tests([test for entry in ENTRIES for test in entry.tests]) == []


@pytest.mark.parametrize("name", sorted(claims(laws, trajectories, evidence, exact)))
def test_what_names_a_source_is_on_the_map(name: str) -> None:
    assert id(found(name)) in LISTED


@pytest.mark.parametrize("package", [exact, laws])
def test_public_functions_of_exact_laws_and_measures_are_on_the_map(package: object) -> None:
    for name in getattr(package, "__all__", ["total_variation", "verified_law", "entropy"]):
        if name not in ("CannotEnumerate", "Comparison", "Draws", "EnumeratedDraws", "SampledDraws"):  # no theorem
            assert id(getattr(package, name)) in LISTED, name


def test_a_name_that_does_not_exist_is_found() -> None:
    for name, words in (("scd_analysis.laws.total", "no attribute 'total'"), ("nowhere.at_all", "no such module")):
        with pytest.raises(LookupError, match=words):
            found(name)


def test_a_test_that_does_not_exist_is_found(tmp_path: Path) -> None:
    (tmp_path / "test_x.py").write_text("def test_there():\n    pass\n", encoding="utf-8")
    names = ["test_x.py::test_there", "test_x.py::test_gone", "test_y.py::test_there"]
    assert missing_tests(names, tmp_path) == names[1:]


def test_a_claim_that_is_not_on_the_map_is_found() -> None:
    names = set(claims(laws, evidence))
    assert {"scd_analysis.laws.verified_law", "scd_analysis.evidence.pit"} <= names
    assert "scd_analysis.laws.COUPLINGS" not in names
    assert entries("| `a.b` | says | so | `tests/x.py::test_y` |")[0].functions == ["a.b"]
    assert entries("| `a.b` | says | so | no test |") == []
