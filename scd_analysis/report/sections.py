"""The parts of a report, each a ``section`` with a heading; what a verdict or a trace cannot fill is not there."""

from __future__ import annotations

import json
import math
from typing import Any

import xarray as xr

from scd_analysis.audit.divergences import GreedyReport, gap_in_words
from scd_analysis.audit.pair_verdict import PairVerdict
from scd_analysis.audit.verdict import ConditionReport, Diagnosis, Verdict, distance_in_words
from scd_analysis.report import charts
from scd_analysis.report.markup import Child, Markup, element, join
from scd_analysis.report.tables import figure, table
from scd_analysis.report.words import MARK, count, headline, nats, number, rate

STATUS = {"broken": "✗", "disturbed": "~", "not refuted": "✓", "not tested": "–"}


def section(identifier: str, heading: str, *children: Child) -> Markup:
    """A part of the page that its navigation leads to."""
    return element(
        "section",
        element("h2", heading, id=f"{identifier}-heading"),
        *children,
        id=identifier,
        aria_labelledby=f"{identifier}-heading",
    )


def facts(rows: dict[str, Child]) -> Markup:
    """Names and values."""
    pairs = [element("div", element("dt", name), element("dd", value)) for name, value in rows.items()]
    return element("dl", pairs, class_="facts")


def verdict_banner(verdict: Verdict, name: str) -> Markup:
    """The verdict in one sentence."""
    word, rest, alarm = headline(verdict, name)
    mark = element("span", MARK[verdict.outcome] + " ", aria_hidden="true")
    sentence = element(
        "h1", element("span", mark, word, class_="outcome"), rest, element("span", alarm, class_="alarm")
    )
    return element("div", sentence, class_=f"banner {verdict.outcome.name.lower().replace('_', '-')}")


def trace_banner(label: str, summary: dict[str, Any]) -> Markup:
    """What the trace holds, where nothing was judged."""
    size = f"{count(summary['num_sequences'], 'sequence')} of {summary['num_tokens']:,} tokens"
    unfinished = "" if summary.get("complete") else ", unfinished"
    first = element("h1", f"Trace of {label}: {size}, window {summary['window']}{unfinished}.")
    return element(
        "div", first, element("p", "A record, not a verdict: nothing on this page was judged."), class_="banner record"
    )


def _enumerated_facts(verdict: Verdict) -> dict[str, Child]:
    return {
        "Total variation": distance_in_words(verdict.record),
        "Enumerated": f"{verdict.record['branches']:,} branches, {verdict.record['outcomes']:,} outcomes",
    }


def _sampled_facts(verdict: Verdict) -> dict[str, Child]:
    return {
        "ln E": f"{nats(verdict.log_e_value)} of {nats(math.log(1 / verdict.alpha))}",
        "Error rate α": rate(verdict.alpha),
        "Judged": f"{count(verdict.num_sequences, 'sequence')}, {count(verdict.num_tokens, 'token')}",
        "Resolution": number(verdict.resolution),
        **({} if verdict.rule is None else {"Verification rule": verdict.rule}),
        **({} if verdict.epsilon == 0 else {"Epsilon": number(verdict.epsilon)}),
    }


def verdict_facts(verdict: Verdict) -> Markup:
    """The numbers of a verdict."""
    meaning = verdict.record.get("resolution_meaning")
    rows = _enumerated_facts(verdict) if verdict.is_enumerated else _sampled_facts(verdict)
    if verdict.diagnosis is not None:
        condition = verdict.diagnosis.condition
        rows["Broken"] = "no single condition" if condition is None else condition.value
    note = element("p", f"Resolution: the {meaning}.", class_="note") if isinstance(meaning, str) else None
    return join(facts(rows), note)


def diagnosis_section(diagnosis: Diagnosis, place: Markup | None) -> Markup:
    """What broke, where, how much; ``place`` leads to it in the explorer."""
    broken: list[Child] = [element("p", diagnosis.cause[:1].upper() + diagnosis.cause[1:] + ".", class_="cause")]
    if diagnosis.condition is not None:
        rule = f"Broken condition, {diagnosis.condition.value}: {diagnosis.condition.statement}."
        broken.append(element("p", rule))
    places = {"Position": diagnosis.position, "Pass": diagnosis.iteration}
    rows: dict[str, Child] = {name: value for name, value in places.items() if value is not None}
    if diagnosis.first_seen is not None:
        rows["First seen in sequence"] = f"{diagnosis.first_seen:,}"
    if diagnosis.size is not None:
        low, high = number(diagnosis.size.low), number(diagnosis.size.high)
        amount = low if low == high else f"{low} to {high}"
        rows["Total variation"] = join(amount, " ", element("small", diagnosis.size.what))
    evidence = [element("li", line) for line in diagnosis.evidence]
    listed = (element("h3", "What stands behind it, strongest first"), element("ol", evidence)) if evidence else ()
    return section("diagnosis", "What broke", *broken, facts(rows) if rows else None, place, *listed)


def greedy_section(report: GreedyReport) -> Markup:
    """How far greedy decoding is from the most probable tokens."""
    named = {"first": report.first, "first beyond the margin": report.first_beyond, "largest gap": report.largest}
    listed = [
        (what, f"{found.sequence:,}", f"{found.position:,}", found.token, found.most_probable, number(found.gap))
        for what, found in named.items()
        if found is not None
    ]
    counted = [(gap_in_words(one), f"{one.count:,}") for one in report.by_gap]
    where = ("Divergence", "Sequence", "Position", "Token", "Most probable", "Gap (nats)")
    return section(
        "greedy",
        "Greedy decoding",
        element("p", report.amount[:1].upper() + report.amount[1:] + "."),
        table("Tokens that are not the most probable one, given the subject's own before them.", where, listed)
        if listed
        else None,
        table("How many there are by gap.", ("Gap (nats)", "Divergences"), counted) if counted else None,
    )


def evidence_section(verdict: Verdict) -> Markup:
    """Evidence: ln E over time."""
    if not verdict.path:
        return section("evidence", "Evidence", element("p", "The verdict holds no path of ln E."))
    drawn = charts.evidence(verdict)
    return section("evidence", f"Evidence: {drawn.title}", figure(drawn, headed=False))


def control_section(verdict: PairVerdict) -> Markup:
    """What was compared beside the arms."""
    notes = verdict.notes() or ("No model was given, and seeds were not compared.",)
    return section(
        "control", "Control", element("p", verdict.sentence), element("ul", [element("li", x) for x in notes])
    )


def conditions_section(reports: tuple[ConditionReport, ...]) -> Markup:
    """The five conditions."""
    if not reports:
        only = "The audit saw finished tokens only, so it could not tell the conditions apart; an audit of a trace can."
        return section("conditions", "The five conditions", element("p", only))
    headings = ("Condition", "Status", "ln E", "Observations", "Resolution", "What the evidence says")
    rows = [
        (
            join(report.condition.value, element("small", report.condition.statement)),
            _status(report.status),
            nats(report.log_e_value),
            f"{report.observations:,}",
            number(report.resolution),
            report.message,
        )
        for report in reports
    ]
    what = (
        "Together they make a decoder lossless. Resolution: the total variation of one observation that would have "
        "been found with power 0.99."
    )
    if any(report.status == "disturbed" for report in reports):
        what += " Disturbed: there is evidence, which the broken condition explains."
    return section("conditions", "The five conditions", table(what, headings, rows))


def _status(status: str) -> Markup:
    mark = element("span", STATUS.get(status, "?"), aria_hidden="true")
    return element("span", mark, " ", status, class_=f"status {status.replace(' ', '-')}")


def figures_section(summary: dict[str, Any], drawn: list[charts.Chart]) -> Markup:
    """The trace in numbers and figures."""
    named = {
        "mean_nfe": "Passes a sequence",
        "acceptance_rate": "Accepted drafts",
        "mean_total_variation": "Mean total variation",
        "hamming_lag_1": "Drafts changed after 1 pass",
        "hamming_lag_2": "After 2 passes",
        "hamming_lag_3": "After 3 passes",
        "draft_changes_per_token": "Draft changes a token",
    }
    rows: dict[str, Child] = {}
    if summary.get("speedup") is not None:
        interval = f"{number(summary['speedup_low'])} to {number(summary['speedup_high'])}"
        rows["Speed-up in passes"] = f"{number(summary['speedup'])} (95%: {interval})"
    rows |= {label: number(summary[key]) for key, label in named.items() if summary.get(key) is not None}
    return section("figures", "The trace in figures", facts(rows), element("div", map(figure, drawn), class_="charts"))


def origin_section(verdict: Verdict | None, trace: xr.Dataset | None) -> Markup:
    """What it takes to repeat this."""
    parts: list[Child] = []
    if trace is not None:
        parts += [element("h3", "The trace"), _unfold("Attributes of the trace", dict(trace.attrs))]
    if verdict is not None and verdict.record:
        kept = ("grade", "seed", "max_sequences")
        rows: dict[str, Child] = {key.replace("_", " ").capitalize(): verdict.record.get(key) for key in kept}
        parts += [element("h3", "The audit"), facts(rows), _unfold("Everything needed to repeat it", verdict.record)]
    return section("origin", "How this was made", *parts)


def _unfold(summary: str, content: dict[str, Any]) -> Markup:
    text = json.dumps(content, indent=1, sort_keys=True, default=str)
    return element(
        "details", element("summary", summary), element("pre", text, tabindex=0, role="group", aria_label=summary)
    )
