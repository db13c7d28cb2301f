"""Which condition broke, where, how much, and why: read off the processes and checks of an audit with a trace.

A fault moves more than one process, so the order matters. Checks come first: they cannot be wrong by chance. Then the
processes whose null holds whatever the drafts' law is (acceptance given the draft, replacement given the rejection,
variates): a broken draft law leaves them alone, while wrong verification spoils the drafts of a coupled decoder. Where
accept flags follow recorded variates, a flag too many is a variate too low, so it was the commit that chose.
"""

from __future__ import annotations

import math

from scd_analysis.audit.bets import ESTABLISHED, Rank
from scd_analysis.audit.checks import AFTER_BETS, Violation
from scd_analysis.audit.conditions.declared_law import DRAFTS
from scd_analysis.audit.verdict import Diagnosis, Size
from scd_analysis.audit.watch import Running, Watch
from scd_analysis.conditions import Condition
from scd_analysis.evidence.certificate import mean_bounds

CLEAR_LEAD = 7.0
"""Lead in ln E of the named condition over the next, nats, beyond which nothing more need be looked at."""

DELTA = 0.05
"""Of the interval for a size."""


def diagnose(watch: Watch) -> Diagnosis | None:
    """Name the broken condition, or None where no process and no check speaks of one."""
    found = min(watch.violations.values(), key=lambda violation: violation.check.rank, default=None)
    if found is not None and found.check.rank < AFTER_BETS:
        return _of_check(watch, found)
    for rank in (Rank.EQUAL_VARIATES, Rank.EQUAL_VARIATES_ANYWHERE):
        repeated = _strongest(watch.ranked(rank))
        if repeated is not None and repeated.log_e_value >= ESTABLISHED:
            return _of_process(watch, repeated, repeated.process.condition, math.inf)
    held, drafts = _strongest(watch.ranked(Rank.HELD)), watch.of(DRAFTS)
    chosen = held is not None and drafts is not None and held.log_e_value > drafts.log_e_value
    for ranks in ((Rank.GIVEN_THE_DRAFT, *([Rank.HELD] if chosen else [])), (Rank.OF_THE_DRAFT,)):
        group = watch.ranked(*ranks)
        strongest = _strongest(group)
        if strongest is not None and strongest.log_e_value >= ESTABLISHED:
            return _weigh(watch, group)
    return None if found is None else _of_check(watch, found)


def _strongest(group: list[Running]) -> Running | None:
    return max(group, key=lambda running: running.log_e_value, default=None)


def _weigh(watch: Watch, group: list[Running]) -> Diagnosis:
    """Compare the conditions by their strongest process within a group."""
    best: dict[Condition, tuple[float, Running]] = {}
    for running in group:
        condition, weight = _condition(watch, running), running.log_e_value * running.process.counts
        if condition not in best or weight > best[condition][0]:
            best[condition] = weight, running
    (condition, (most, running)), *others = sorted(best.items(), key=lambda item: -item[1][0])
    lead = most - (others[0][1][0] if others else 0.0)
    return _of_process(watch, running, condition, lead)


def _condition(watch: Watch, running: Running) -> Condition:
    """Of which condition a process speaks here."""
    elsewhere = running.process.elsewhere
    if elsewhere is not None and elsewhere.when(watch):
        return elsewhere.condition
    return running.process.condition


def _of_check(watch: Watch, violation: Violation) -> Diagnosis:
    size = None
    if violation.size is not None:
        what = "law verified against and model's law, mean over verified positions"
        size = Size(violation.size, violation.size, what)
    share = f"{violation.message}: {violation.count:,} of {violation.checked:,} times"
    return Diagnosis(
        condition=violation.condition,
        cause=watch.cause(violation),
        position=violation.position,
        iteration=violation.iteration if violation.iteration >= 0 else None,
        first_seen=violation.sequence,
        size=size,
        evidence=(share, *_other_evidence(watch, None)),
        lead=math.inf,
    )


def _of_process(watch: Watch, running: Running, condition: Condition, lead: float) -> Diagnosis:
    leaning, cause = running.leaning, running.cause
    size = None
    if leaning is not None and leaning.count:
        low, high = mean_bounds(abs(leaning.score), leaning.count, leaning.width, DELTA)
        size = Size(
            low / leaning.width, min(high / leaning.width, 1.0), f"mean of the {running.process.name}, at least"
        )
    elsewhere = running.process.elsewhere
    if elsewhere is not None and condition is elsewhere.condition and elsewhere.cause:
        cause = elsewhere.cause
    if condition is Condition.SELECTION and watch.waited:
        cause = f"{cause}; {watch.waited:,} positions that the commit rule commits were left to a later pass"
    return Diagnosis(
        condition=condition,
        cause=cause,
        position=leaning.position if leaning is not None else None,
        iteration=None,
        first_seen=running.crossed_at,
        size=size,
        evidence=(_sentence(running), *_other_evidence(watch, running)),
        lead=lead,
    )


def _sentence(running: Running) -> str:
    return (
        f"{running.process.name}: ln E = {running.log_e_value:.1f} over {running.observations:,} observations; "
        f"{running.best[1]}"
    )


def _other_evidence(watch: Watch, named: Running | None) -> tuple[str, ...]:
    others = [r for r in watch.running if r is not named and r.log_e_value >= 1]
    return tuple(_sentence(r) for r in sorted(others, key=lambda r: -r.log_e_value)[:4])
