"""What a figure was made with: enough to make it again."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from scd_analysis.figures.base import Run, Settings
from scd_analysis.trace_writer import library_versions


def commit() -> str | None:
    """The commit of the checkout this package runs from, marked if there are changes; None outside a checkout."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    try:
        found = subprocess.run(
            command, cwd=Path(__file__).parent, capture_output=True, text=True, check=True, timeout=20
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return found.stdout.strip() or None


def settings_of(runs: Sequence[Run], scale: str, made_from: str | None) -> Settings:
    """Settings that all runs share at the top, those in which they differ under ``runs``."""
    each = [run.settings for run in runs]
    shared = {
        name: value
        for name, value in each[0].items()
        if name not in ("method", "window", "num_sequences") and all(one.get(name) == value for one in each)
    }
    rest = [{name: value for name, value in one.items() if name not in shared} for one in each]
    versions = library_versions() | {name: version(name) for name in ("matplotlib", "pandas")}
    return {**shared, "scale": scale, "runs": rest, "commit": made_from, "versions": versions}
