"""The page of what is stable notices a name that goes and a signature that changes, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from tests.docs.stable_page import PATH, entry, lines, page


@dataclass(frozen=True)
class Before:
    a: int
    b: float = 0.5

    def told(self, x: int, *, y: Any = None) -> str:
        return f"{self.a}{x}{y}"

    def _own(self) -> None: ...


@dataclass(frozen=True)
class After(Before):
    c: bool = True


@pytest.mark.parametrize(
    ("function", "shown"),
    [
        (lambda a, b=1: 0, "f(a, b=1)"),
        (lambda a, *, b=1: 0, "f(a, *, b=1)"),
        (lambda a, b=2: 0, "f(a, b=2)"),
        (lambda a: 0, "f(a)"),
    ],
)
def test_signatures_that_differ_are_shown_otherwise(function: Callable[..., Any], shown: str) -> None:
    assert entry("f", function) == shown


def test_what_a_class_has_is_shown() -> None:
    assert [*lines("X", Before)] == ["X(a, b=0.5)"]  # of this file, and not of the package
    assert [*lines("X", After)] == ["X(a, b=0.5, c=True)"]


def test_a_public_name_that_goes_and_a_method_that_changes_are_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    import scd_analysis
    from scd_analysis.trace import TraceWriter

    stored = PATH.read_text(encoding="utf-8")
    monkeypatch.setattr(scd_analysis, "__all__", [name for name in scd_analysis.__all__ if name != "audit_pair"])
    assert page() != stored
    monkeypatch.undo()
    assert page() == stored
    monkeypatch.setattr(TraceWriter, "close", lambda self, hard=False: None)
    assert page() != stored
