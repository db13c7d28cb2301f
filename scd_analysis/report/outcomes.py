"""Worst outcomes: what speaks most against the subject, what is bounded, and where drafts fail most."""

from __future__ import annotations

from typing import Any

import pandas as pd

from scd_analysis.audit.verdict import Drift, Verdict
from scd_analysis.evidence.certificate import Certificate
from scd_analysis.report import charts
from scd_analysis.report.markup import Child, Markup, element
from scd_analysis.report.sections import section
from scd_analysis.report.tables import figure, table
from scd_analysis.report.words import count, nats, number
from scd_analysis.report.worst import worst


def worst_section(verdict: Verdict | None, frame: pd.DataFrame | None) -> Markup | None:
    """Findings, certificate and resolutions of a verdict; positions of a trace."""
    parts: list[Child] = []
    if verdict is not None:
        parts += _findings(verdict)
        if verdict.certificate is not None:
            parts += [element("h3", "How far from the target it can be"), element("p", certified(verdict.certificate))]
        parts += [*_size(verdict), *_drift(verdict.drift)]
        parts += _resolutions(verdict.record.get("resolutions"))
    if frame is not None and len(frame):
        parts += [element("h3", "Positions where drafts fail most"), _positions(worst(frame))]
    return section("worst", "Worst outcomes", *parts) if parts else None


def _findings(verdict: Verdict) -> list[Child]:
    heading = element("h3", "What speaks against it most")
    if not verdict.findings:
        nothing = "enumeration found no difference" if verdict.is_enumerated else "no bettor won anything"
        return [heading, element("p", f"Nothing: {nothing}.")]
    rows = [
        (item.message, item.name, nats(item.log_e_value), "stands" if item.significant else "may be chance")
        for item in verdict.findings
    ]
    what = (
        "Bettors by their own ln E, before any correction. One that stands does so after control of the false "
        "discovery rate, or, where it watches a condition, with ln E beyond ln 1000; only the verdict has error rate α."
    )
    return [heading, table(what, ("Finding", "Bettor", "ln E", "By itself"), rows)]


def certified(certificate: Certificate) -> str:
    """A certificate as a sentence."""
    return (
        f"Total variation on {certificate.what} between {number(certificate.low)} and {number(certificate.high)} with "
        f"confidence {1 - certificate.delta:g} at all times together, from "
        f"{count(certificate.num_sequences, 'sequence')}."
    )


def _size(verdict: Verdict) -> list[Child]:
    """What is refuted of balls around the target's laws; nothing where none was, and none was asked about."""
    if not verdict.log_e_by_epsilon or not (verdict.epsilon_refuted or verdict.epsilon):
        return []
    return [element("h3", "How far from the target it is at least"), figure(charts.size(verdict), headed=False)]


def _drift(drift: Drift | None) -> list[Child]:
    """How far the laws of a trace are from the model's."""
    if drift is None:
        return []
    rows = [(one.by, f"{one.value:,}", number(one.mean), f"{one.count:,}") for one in drift.by if one.by != "position"]
    words, what = (
        str(drift),
        "Mean drift by slot, age and number of rejections before, the last of which counts for more.",
    )
    inside = table(what, ("By", "Value", "Mean drift", "Positions"), rows, stacked=False)
    heading = element("h3", "How far the recorded laws are from the model's")
    return [heading, element("p", f"Total variation: {words}."), inside]


def _resolutions(resolutions: Any) -> list[Child]:
    if not isinstance(resolutions, dict) or not resolutions:
        return []
    ranked = sorted(resolutions.items(), key=lambda item: (-float(item[1]), item[0]))
    rows = [(str(name), number(float(value))) for name, value in ranked]
    what = (
        "Total variation that would have been found with power 0.99, by direction; the largest is the verdict's "
        "resolution."
    )
    inside = table(what, ("Direction", "Total variation"), rows, stacked=False)
    return [element("h3", "What it could have found"), inside]


def _positions(frame: pd.DataFrame) -> Markup:
    columns = (frame[name].tolist() for name in ("position", "drafts", "rejected", "total_variation"))
    rows = [
        (_position_button(position), f"{drafts:,}", number(rejected), number(variation))
        for position, drafts, rejected, variation in zip(*columns, strict=True)
    ]
    what = (
        "Positions with the largest share of rejected drafts at the pass that commits them. A lossless decoder rejects "
        "as often as the mean total variation says. A position leads to the explorer."
    )
    return table(what, ("Position", "Drafts", "Rejected", "Mean total variation"), rows, stacked=False)


def _position_button(position: int) -> Markup:
    label = f"Show position {position}"
    return element("button", position, type="button", class_="goto", aria_label=label, data_position=position)
