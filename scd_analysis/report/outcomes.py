"""Worst outcomes: what speaks most against the subject, what is bounded, and where drafts fail most."""

from __future__ import annotations

from typing import Any

import pandas as pd

from scd_analysis.audit.verdict import Verdict, size_in_words
from scd_analysis.evidence.certificate import Certificate
from scd_analysis.report.markup import Child, Markup, element
from scd_analysis.report.sections import section
from scd_analysis.report.tables import table
from scd_analysis.report.words import count, nats, number
from scd_analysis.report.worst import worst


def worst_section(verdict: Verdict | None, frame: pd.DataFrame | None) -> Markup | None:
    """Findings, certificate and resolutions of a verdict; positions of a trace."""
    parts: list[Child] = []
    if verdict is not None:
        parts += _findings(verdict)
        if verdict.certificate is not None:
            parts += [element("h3", "How far from the target it can be"), element("p", certified(verdict.certificate))]
        parts += _size(verdict)
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
    if not verdict.epsilon_refuted and not verdict.epsilon:
        return []
    rows = [
        (number(epsilon), nats(log_e_value), "refuted" if epsilon <= (verdict.epsilon_refuted or 0) else "stands")
        for epsilon, log_e_value in verdict.log_e_by_epsilon
    ]
    what = (
        "ln E against every law of a token lying within epsilon of the target's in total variation, at its largest. "
        "Refuted is what was refuted with all smaller ones."
    )
    words = size_in_words(verdict)
    inside = table(what, ("Epsilon", "ln E", "The ball"), rows, stacked=False)
    return [
        element("h3", "How far from the target it is at least"),
        element("p", f"{words[0].upper()}{words[1:]}."),
        inside,
    ]


def _resolutions(resolutions: Any) -> list[Child]:
    if not isinstance(resolutions, dict) or not resolutions:
        return []
    ranked = sorted(resolutions.items(), key=lambda item: -float(item[1]))
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
