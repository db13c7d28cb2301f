"""Which condition broke, where, how much, and why: read off the processes and checks of an audit with a trace.

A fault moves more than one process, so the order matters. Checks come first: they cannot be wrong by chance. Then the
processes whose null holds whatever the drafts' law is (acceptance given the draft, replacement given the rejection,
variates): a broken draft law leaves them alone, while wrong verification spoils the drafts of a coupled decoder. Where
accept flags follow recorded variates, a flag too many is a variate too low, so it was the commit that chose.
"""

from __future__ import annotations

import math

from scd_analysis.audit.checks import Violation
from scd_analysis.audit.verdict import Diagnosis, Size
from scd_analysis.audit.watch import Running, Watch
from scd_analysis.conditions import Condition
from scd_analysis.evidence.certificate import mean_bounds

ESTABLISHED = math.log(1000)
"""ln E from which a process counts when conditions are weighed against each other, nats."""

CLEAR_LEAD = 7.0
"""Lead in ln E of the named condition over the next, nats, beyond which nothing more need be looked at."""

DELTA = 0.05
"""Of the interval for a size."""

_CHECKS = (
    "accepted-changed",  # the law at what follows is then another
    "target-differs",
    "committed-beyond",
    "committed-twice",
    "accepted-impossible",
    "rejected-certain",
    "replaced-by-itself",
    "replacement-impossible",
    "bonus-impossible",
    "draft-impossible",  # under a coupling, what was wrongly accepted is drafted next
    "windows-share-noise",
    "variates-coarse",
)
_REPEATS = tuple(
    f"variates-repeated-{where}" for where in ("in-pass", "in-batch", "in-slot", "on-diagonal", "for-life")
)
_REPEATED = "variates-repeated-in-sequence"
"""What of these are alike within a sequence shows there, too."""

_GIVEN_THE_DRAFT = (
    "acceptance",
    "acceptance-shared",
    "acceptance-again",
    "kept-longest",
    "look-ahead",
    "replacement",
    "replacement-noise",
    "replacement-shared",
    "replacement-again",
    "bonus",
    "bonus-variate",
    "bonus-again",
    "variates",
    "variates-of-drafts",
    "variates-of-replacements",
    "variates-shared",
)
_HELD = ("held-drafts", "held-acceptance")
"""Of drafts that were left to a later pass: what chose them, unless all drafts are as wrong."""

_AGAIN = ("acceptance-again", "drafts-again", "replacement-again", "bonus-again")
"""Of variates that are used again. What is wrong the same way each time looks so, too: half their ln E counts."""

_BY_THE_VARIATES = ("acceptance-shared", "kept-longest")
"""Explanations of acceptance under which accept flags follow the recorded variates, where there are any."""

_OF_THE_DRAFT = (
    "drafts",
    "drafts-avoiding",
    "first-drafts",
    "draft-scalars",
    "drafts-shared",
    "drafts-shared-apart",
    "drafts-of-one-variate",
    "drafts-of-one-variate-apart",
    "drafts-again",
)


def diagnose(watch: Watch) -> Diagnosis | None:
    """Name the broken condition, or None where no process and no check speaks of one."""
    for name in _CHECKS:
        if name in watch.violations:
            return _of_check(watch, watch.violations[name])
    repeated = max((watch.named(name) for name in _REPEATS), key=lambda r: r.log_e_value)
    for running in (repeated, watch.named(_REPEATED)):
        if running.log_e_value >= ESTABLISHED:
            return _of_process(watch, running, running.process.condition, math.inf)
    chosen, excluded = _HELD if watch.of(*_HELD) > watch.of("drafts") else (), _excluded(watch)
    for group in (_GIVEN_THE_DRAFT + chosen, _OF_THE_DRAFT):
        names = tuple(name for name in group if name not in excluded)
        if watch.of(*names) >= ESTABLISHED:
            return _weigh(watch, names)
    if (contradicted := watch.violations.get("flag-against-variate")) is not None:
        return _of_check(watch, contradicted)
    return None


def _excluded(watch: Watch) -> tuple[str, ...]:
    """Processes that say nothing of their own, as the variates are there or as flags do not follow them."""
    if watch.flags_follow_variates:
        return ("acceptance-shared", "acceptance-again")  # the variates are there to be looked at themselves
    return _BY_THE_VARIATES if watch.inconsistent[2] > 0 else ()


def _weigh(watch: Watch, group: tuple[str, ...]) -> Diagnosis:
    """Compare the conditions by their strongest process within a group."""
    best: dict[Condition, tuple[float, Running]] = {}
    for running in watch.running:
        if running.process.name in group:
            condition = _condition(watch, running)
            weight = running.log_e_value / (2 if running.process.name in _AGAIN else 1)
            if condition not in best or weight > best[condition][0]:
                best[condition] = weight, running
    (condition, (most, running)), *others = sorted(best.items(), key=lambda item: -item[1][0])
    lead = most - (others[0][1][0] if others else 0.0)
    return _of_process(watch, running, condition, lead)


def _condition(watch: Watch, running: Running) -> Condition:
    """Of which condition a process speaks here."""
    if running.process.name == "acceptance" and _was_chosen(watch):
        return Condition.SELECTION
    if running.process.name == "replacement" and watch.waited:
        return Condition.SELECTION
    return running.process.condition


def _was_chosen(watch: Watch) -> bool:
    """Whether too many acceptances mean that commits were chosen, and not that drafts were tested wrongly."""
    if watch.flags_follow_variates or watch.waited:
        return True
    drafts, unseen = watch.named("drafts"), not watch.inconsistent[2]
    ahead = drafts.best[0].split(":")[1:2] in (["target"], ["target-old"])  # drafts fit a law they could not know
    return unseen and drafts.log_e_value >= ESTABLISHED and ahead


def _of_check(watch: Watch, violation: Violation) -> Diagnosis:
    size = None
    if violation.size is not None:
        what = "law verified against and model's law, mean over verified positions"
        size = Size(violation.size, violation.size, what)
    share = f"{violation.message}: {violation.count:,} of {violation.checked:,} times"
    return Diagnosis(
        condition=violation.condition,
        cause=violation.message,
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
    if condition is Condition.SELECTION and running.process.name == "acceptance":
        cause = (
            "drafts are committed accepted more often than verification accepts them: the commit was chosen afterwards"
        )
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
