"""What a figure was made with: enough to make it again."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from scd_analysis.common.versions import library_versions
from scd_analysis.figures.base import Run, Settings


def _git(*arguments: str) -> str:
    root = Path(__file__).resolve().parents[2]
    return subprocess.run(
        ["git", *arguments], cwd=root, capture_output=True, text=True, check=True, timeout=20
    ).stdout.strip()


def commit() -> str | None:
    """The commit of the checkout this package runs from, marked if the code was changed; None outside a checkout."""
    try:
        found = _git("rev-parse", "--short=12", "HEAD")
        changed = _git(
            "status", "--porcelain", "--untracked-files=no", "--", "scd_analysis", "reference", "studies/gallery"
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return found + ("-dirty" if changed else "")


def settings_of(runs: Sequence[Run], scale: str, made_from: str | None) -> Settings:
    """Settings that all runs share at the top, those in which they differ under ``runs``."""
    each = [run.settings for run in runs]
    shared = {
        name: value
        for name, value in each[0].items()
        if name not in ("method", "window", "num_sequences") and all(one.get(name) == value for one in each)
    }
    rest = [{name: value for name, value in one.items() if name not in shared} for one in each]
    versions = library_versions() | {name: version(name) for name in ("matplotlib", "pandas", "seaborn")}
    return {**shared, "scale": scale, "runs": rest, "commit": made_from, "versions": versions}
