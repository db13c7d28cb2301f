"""What was found, in a sentence a figure: the end of the abstract, from the stored frames."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pandas as pd

from scd_analysis.figures.words import listed
from studies.gallery.plots.verdict_table import as_expected
from studies.gallery.tables import Frames


def _gains(frame: pd.DataFrame) -> str:
    rows = frame.drop_duplicates("method").set_index("method")["speedup"]
    return (
        f"SCD-MC and SCD-GS take {rows['scd-mc'] / rows['sjd']:.1f} and {rows['scd-gs'] / rows['sjd']:.1f} times fewer "
        "passes than SJD on a model of photographs, at no cost in law."
    )


def _rules(frame: pd.DataFrame) -> str:
    right, wrong = (frame[frame["kind"].eq("method") == is_right] for is_right in (True, False))
    return (
        f"{as_expected(right).sum()} of {len(right)} lossless methods stand, and {as_expected(wrong).sum()} of "
        f"{len(wrong)} rivals and planted slips are refuted and the right condition is named."
    )


def _power(frame: pd.DataFrame) -> str:
    return (
        f"From tokens alone a fault takes a median of {(1 / frame['efficiency']).median():.1f} times the sequences of "
        "Stein's limit, which no test can beat."
    )


def _engines(frame: pd.DataFrame) -> str:
    differs = [str(name) for name, own in frame.groupby("engine", sort=False) if (own["pair"] == "REFUTED").any()]
    alike = [str(name) for name in frame["engine"].unique() if name not in differs]
    said = [f"some mode of {listed(differs)} samples otherwise with speculation than without"] if differs else []
    said += [f"no difference is found in {listed(alike)}"] if alike else []
    return f"Of {len(differs) + len(alike)} released engines, {'; '.join(said)}."


FINDINGS: dict[str, Callable[[pd.DataFrame], str]] = {
    "methods_compared": _gains,
    "verdict_table": _rules,
    "audit_power": _power,
    "engines_judged": _engines,
}


def findings(frames: Frames) -> Iterator[str]:
    """Sentences, of the figures that are there."""
    for name, sentence in FINDINGS.items():
        if name in frames:
            yield sentence(frames[name].frame)
