"""Files that are written from the code, each with what writes it; ``tests.docs.update`` does, and a test compares."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.docs import schema_page, stable_page, verdict_schema

GENERATED: dict[Path, Callable[[], str]] = {one.PATH: one.page for one in (schema_page, stable_page, verdict_schema)}
