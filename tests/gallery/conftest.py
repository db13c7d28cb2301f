"""Runs of the tiny model of the figures' tests, made and kept as the gallery makes and keeps them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from scd_analysis.figures import Run
from studies.gallery.exhibit import RunSpec, Scale
from studies.gallery.registry import exhibits
from studies.gallery.runs import RunStore
from tests.figures.conftest import Patches

TINY = Scale("tiny", sequences=4, window=5, windows=(3, 5), sweep_sequences=3, samples=2)


def make_store(folder: Path, **more: Any) -> RunStore:
    settings: dict[str, Any] = {"load_model": lambda name: Patches(), "fingerprint": lambda name: "weights"}
    return RunStore(folder, **(settings | more))


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> RunStore:
    return make_store(tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="session")
def runs_of(store: RunStore) -> Callable[[str], list[Run]]:
    """Name of an exhibit to its runs, in memory."""
    loaded: dict[RunSpec, Run] = {}

    def runs(name: str) -> list[Run]:
        specs = exhibits()[name].needs(TINY)
        for spec in specs:
            if spec not in loaded:
                run = store.get(spec)
                loaded[spec] = replace(run, trace=run.trace.load())
        return [loaded[spec] for spec in specs]

    return runs
