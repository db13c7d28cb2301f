"""The audit of a trace: the five conditions, and the finished sequences, against the target law."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import numpy as np
import xarray as xr

from scd_analysis.audit.bets import ESTABLISHED, PRIORS, Process, Rank
from scd_analysis.audit.commits import Commits, read_commits
from scd_analysis.audit.diagnosis import CLEAR_LEAD, diagnose
from scd_analysis.audit.divergences import GreedyReport
from scd_analysis.audit.draws import FIRST_BATCH, Draws
from scd_analysis.audit.drift import DriftEvidence
from scd_analysis.audit.given import PASSES_AT_ONCE, Given
from scd_analysis.audit.judges import Judge, Part, chunk_lengths
from scd_analysis.audit.panel import Panel
from scd_analysis.audit.promises import POINT_MASSES, untested
from scd_analysis.audit.reconstruct import Reconstruction
from scd_analysis.audit.rules import RULES
from scd_analysis.audit.rules.mrs import NO_MODEL
from scd_analysis.audit.samples import SampleEvidence, ranked
from scd_analysis.audit.verdict import UNTESTED, ConditionReport, Diagnosis, Drift, Finding
from scd_analysis.audit.watch import Running, Watch
from scd_analysis.audit.windows import read_windows
from scd_analysis.conditions import Condition
from scd_analysis.contracts import is_trace
from scd_analysis.errors import InputError, TraceError
from scd_analysis.evidence.batch import Batch, Floats, Longs, Rows
from scd_analysis.evidence.certificate import Certificate
from scd_analysis.evidence.repeats import SHARED_SEED
from scd_analysis.evidence.resolution import one_observation
from scd_analysis.evidence.robust import RobustPortfolio

SAMPLES_SHARE = 0.25
"""Weight of the bets on finished sequences; the rest is the five conditions'."""

SMALLEST_PART, PART_GROWTH = 16, 1 / 8
PART_BYTES = 2**28


class ConditionsJudge(Judge[Part]):
    """What traces and kernels share: a watch over the conditions, and what it says at the end.

    Parameters
    ----------
    panel : Panel
        Of the rules that the subject may follow.
    log_threshold, limit
        See :class:`Judge`.

    Attributes
    ----------
    outside : dict of Condition to str
        What the grade does not promise, and why.
    """

    def __init__(self, panel: Panel, log_threshold: float, limit: int) -> None:
        super().__init__(log_threshold, limit, panel.stated)
        self.panel = panel
        self.outside: dict[Condition, str] = {}

    @property
    def watch(self) -> Watch:
        """Over the rule that the subject follows, or would but for a fault."""
        return self.panel.nearest(refuted=self.refuted)

    @property
    def rule(self) -> str | None:
        """The name of that rule."""
        return self.watch.rule.name

    @property
    def log_e_by_rule(self) -> dict[str, float]:
        """Ln E of the watches."""
        return self.panel.log_e_values

    @property
    def hidden_rules(self) -> list[str]:
        """Those that take recorded laws, where there are none."""
        return [] if self.panel.stated else [name for name in RULES if name not in self.log_e_by_rule]

    @property
    def share(self) -> float:
        """Weight of the watch in ln E."""
        return 1.0

    def is_diagnosed(self) -> bool:
        """Whether one condition leads clearly."""
        found = diagnose(self.watch)
        return found is not None and found.lead >= CLEAR_LEAD

    def diagnosis(self) -> Diagnosis | None:
        """See :mod:`scd_analysis.audit.diagnosis`."""
        return diagnose(self.watch) if self.refuted else None

    def conditions(self) -> tuple[ConditionReport, ...]:
        """Where the five stand."""
        diagnosis = self.diagnosis()
        return tuple(self._report(condition, diagnosis) for condition in Condition)

    def _report(self, condition: Condition, diagnosis: Diagnosis | None) -> ConditionReport:
        running = [r for r in self.watch.running if r.process.condition is condition and r.observations]
        if diagnosis is not None and diagnosis.condition is not condition:
            running = [r for r in running if not rests_on(r.process, diagnosis.condition)]
        violations = [v for v in self.watch.violations.values() if v.condition is condition]
        strongest = max(running, key=lambda r: r.log_e_value, default=None)
        log_e_value = math.inf if violations else strongest.log_e_value if strongest else 0.0
        observations = max((r.observations for r in running), default=0)
        message = violations[0].message if violations else told(strongest, diagnosis) if strongest else ""
        if diagnosis is not None and diagnosis.condition is condition:
            status, message = "broken", diagnosis.cause
        elif log_e_value >= ESTABLISHED:
            status = "disturbed"
        elif not violations and (why := self._not_tested(condition)) is not None:
            status, message = "not tested", why
        else:
            status, message = "not refuted", "nothing speaks against it"
        if condition is Condition.TARGET and status in ("not refuted", "broken"):
            observations = self.watch.targets
        resolution = self._resolution(running) if observations and condition is not Condition.TARGET else None
        return ConditionReport(condition, status, log_e_value, observations, resolution, message)

    def finish(self) -> None:
        """Where the record is damaged at one place, and nothing else refutes, there is no verdict."""
        if not self.refuted and (damage := self.watch.damage) is not None:
            raise TraceError(damage)

    def untested(self) -> dict[Condition, str]:
        """See :mod:`scd_analysis.audit.promises`."""
        watch = self.watch
        return untested(watch.rule.needs, watch.events, watch.judged, tuple(self.outside))

    def missing(self) -> tuple[str, ...]:
        """Conditions that were not tested, though it takes all of them."""
        return tuple(f"{condition.value}: {what}" for condition, what in self.untested().items())

    def _not_tested(self, condition: Condition) -> str | None:
        """Why a condition was not tested, None if it was."""
        happened = self.watch.events.counts
        why = self.outside.get(condition) or self.untested().get(condition)
        if why is None and condition not in self.watch.rule.asks_of:
            return f"the rule {self.watch.rule.name!r} does not rest on it"
        if why is None and not happened["drafted"]:
            return "nothing was drafted"
        if why is None and condition is Condition.DECLARED_LAW and not happened["drawn"]:
            return f"nothing to test: {POINT_MASSES}"
        return why

    def _resolution(self, running: list[Running]) -> float | None:
        found = [
            one_observation(self.log_threshold, self._log_weight(r), r.observations, np.asarray(PRIORS))
            for r in running
        ]
        return min(found, default=None)

    def _log_weight(self, running: Running) -> float:
        own, among = max(running.portfolio.log_weights), self.watch.log_weights[self.watch.running.index(running)]
        return float(own + among) + math.log(self.share)

    def findings(self) -> tuple[Finding, ...]:
        """Checks, then processes with more than a nat."""
        checks = [Finding(v.check.name, v.message, math.inf, True) for v in self.watch.violations.values()]
        running, diagnosis = self.watch.running, self.diagnosis()
        spoken = [
            Finding(running[i].process.name, told(running[i], diagnosis), value, stands)
            for i, value, stands in ranked(np.array([r.log_e_value for r in running]))
        ]
        return (*checks, *spoken)

    def log_weights(self) -> dict[str, float]:
        """Of all arms, by process."""
        out: dict[str, float] = {}
        for running, weight in zip(self.watch.running, self.watch.log_weights, strict=True):
            base = float(weight) + math.log(self.share)
            pairs = zip(running.portfolio.arms, running.portfolio.log_weights, strict=True)
            out |= {f"{running.process.name}/{arm}": base + float(own) for arm, own in pairs}
        return out

    def resolutions(self) -> dict[str, dict[str, float]]:
        """Total variation of one observation of each condition, along one direction; one for what was not tested."""
        reports = self.conditions()
        found = {report.condition.value: report.resolution for report in reports if report.resolution is not None}
        return {self.grade: found | {condition.value: 1.0 for condition in self.untested()}}


def rests_on(process: Process, broken: Condition | None) -> bool:
    """Whether a process leans wherever the broken condition is, and so says nothing of its own.

    What is wrong the same way each time looks like noise used again; and where drafts have another law than is
    declared, whatever is bet on them leans.
    """
    return process.counts < 1 or (broken is Condition.DECLARED_LAW and process.rank is Rank.OF_THE_DRAFT)


def told(running: Running, diagnosis: Diagnosis | None) -> str:
    """What a process says; of another condition than the broken one, it is not claimed that this is so."""
    message = running.best[1]
    if diagnosis is None or diagnosis.condition is None or running.process.condition is diagnosis.condition:
        return message
    return f"{diagnosis.condition.value} explains it: as if {message}"


class TraceJudge(ConditionsJudge[xr.Dataset]):
    """Judge a subject by its traces.

    Parameters
    ----------
    evidence : SampleEvidence or None
        Bets on finished sequences; None without a model.
    panel : Panel
        Of the rules that the subject may follow.
    draws : Draws
    first : xarray.Dataset or None
        Already drawn, to see what the subject returns.
    log_threshold, limit
        See :class:`Judge`.
    until_certain : bool
        Whether one batch is enough where every target law is a point mass.
    """

    grade = "trace"

    def __init__(
        self,
        evidence: SampleEvidence | None,
        panel: Panel,
        draws: Draws,
        first: xr.Dataset | None,
        log_threshold: float,
        limit: int,
        *,
        until_certain: bool = False,
    ) -> None:
        super().__init__(panel, log_threshold, limit)
        self._evidence, self._draws, self._first, self._until_certain = evidence, draws, first, until_certain
        self.vocab_size, self.num_tokens = draws.sizes
        self._reconstruction = None if evidence is None else Reconstruction(evidence.target, panel.watches[0].tolerance)
        self._given = Given()
        self._batch, self._left = (0, 0), 0
        self.epsilon = 0.0 if evidence is None else evidence.epsilon
        self._drift = DriftEvidence(self.epsilon) if self.epsilon else None
        if self._drift is not None:
            self.outside[Condition.TARGET] = "the laws that are recorded are allowed to drift"
        if evidence is None:
            self.target_laws = "recorded"
            self.outside[Condition.TARGET] = "no model was given to compare the recorded laws with"

    @property
    def share(self) -> float:
        """What the finished sequences leave, and the drift where there is any."""
        return 1.0 if self._evidence is None else 1 - SAMPLES_SHARE * (1 if self._drift is None else 2)

    @property
    def taken(self) -> tuple[str, str]:
        """Sequential."""
        what = "five conditions" if self._evidence is None else "five conditions and the finished sequences"
        return "sequential", f"the subject shows a trace, so that the {what} are bet on, pass by pass"

    @property
    def most_at_once(self) -> int:
        """Traces are lazy, and loaded in parts."""
        return 2**15 if self._evidence is None else self._evidence.target.sequences_at_once

    def step(self) -> None:
        """As of any judge; tokens that can only be the right ones are seen to be in one batch."""
        super().step()
        if self._until_certain and not self.epsilon and self._evidence is not None and self._evidence.certain:
            self.limit = self._looked_at

    def draw(self, size: int) -> xr.Dataset:
        """Draw a trace."""
        drawn, self._first = self._draws.next(size) if self._first is None else self._first, None
        if not is_trace(drawn):
            raise InputError("subject returned a trace at first and tokens later")
        self._batch = (self._looked_at, drawn.sizes["sequence"])
        return drawn

    def parts(self, drawn: xr.Dataset) -> Iterator[tuple[xr.Dataset, int]]:
        """Parts that fit in memory."""
        most = max(1, PART_BYTES // _bytes_a_sequence(drawn))
        for start, stop in chunk_lengths(drawn.sizes["sequence"], self._looked_at, PART_GROWTH, SMALLEST_PART):
            for first in range(start, stop, most):
                last = min(stop, first + most)
                yield drawn.isel(sequence=slice(first, last)), last - first

    def bet(self, part: xr.Dataset, offset: int) -> Floats:
        """Bet on the conditions and on the sequences."""
        part = self._given.complete(_made(part), offset)
        recorded = "target_probs" in part
        part = part if self._reconstruction is None else self._reconstruction.fill(part)
        commits = read_commits(part, offset)
        _check_complete(commits, offset)
        decided = None if commits.held is None else read_commits(part, offset, decided=True)
        windows = read_windows(part, commits.passes, offset) if self.panel.asks_of_windows else None
        first, size = offset - self._batch[0], self._batch[1]
        rows = self._draws.rows(first, first + len(commits), size)
        self._left = size - first - len(commits)
        bet = partial(self.panel.bet, commits, windows=windows, rows=rows, decided=decided)
        if self._evidence is None:  # laws were recorded, or a model was needed
            return np.asarray(bet(None, offset).min(axis=0))
        batch = self._evidence.batch(commits.final, rows)
        if self._drift is not None:  # the algorithm by the laws that it used, the arithmetic by their drift
            watched = bet(None, offset, laws_recorded=recorded)
            of_drift = self._drift.bet(commits, batch.target_probs, offset, self.log_threshold)
            of_tokens = np.logaddexp(self._evidence.bet(batch), of_drift) + math.log(SAMPLES_SHARE)
            return np.asarray(np.logaddexp(of_tokens, math.log(1 - 2 * SAMPLES_SHARE) + watched).min(axis=0))
        watched = bet(batch.target_probs, offset, laws_recorded=recorded)
        of_samples = math.log(SAMPLES_SHARE) + self._evidence.bet(batch)
        return np.asarray(np.logaddexp(of_samples, math.log(1 - SAMPLES_SHARE) + watched).min(axis=0))

    def is_diagnosed(self) -> bool:
        """As of any, or laws drift.

        A first batch is looked at whole, since which rows are wrong shows by those that are right.
        """
        drifts = self._drift is not None and self._drift.crossed_at is not None
        return (drifts or super().is_diagnosed()) and (self._left == 0 or self._looked_at >= FIRST_BATCH)

    def resolutions(self) -> dict[str, dict[str, float]]:
        """Of the conditions, and of the finished sequences."""
        own = super().resolutions()
        if self._evidence is None:
            return own
        return own | self._evidence.resolutions(self.log_threshold, self.seen, math.log(SAMPLES_SHARE))

    def findings(self) -> tuple[Finding, ...]:
        """Those of the conditions, then those of the sequences; at last what could not be seen."""
        own = super().findings()
        if self._evidence is not None:
            own = (*own, *self._evidence.findings())
        unseen = self.watch.events.declared_law_unseen
        if unseen is None or self.refuted or Condition.DECLARED_LAW not in self.watch.rule.asks_of:
            return own
        return (
            *own,
            Finding(UNTESTED, f"{Condition.DECLARED_LAW.value} could not have been refuted: {unseen}", 0.0, False),
        )

    def diagnosis(self) -> Diagnosis | None:
        """Name a condition, or else what the sequences suggest: where no law is wrong, repeats mean shared noise."""
        if self.refuted and self._drift is not None and self._drift.crossed_at is not None:
            return self._drift.diagnosis()
        found = super().diagnosis()
        if found is not None or not self.refuted or self._evidence is None:
            return found
        suggested, repeated = self._evidence.diagnosis(self.seen), self._evidence.repeated()
        if repeated.log_e_value < ESTABLISHED or repeated.message != SHARED_SEED:
            return suggested
        return replace(suggested, condition=Condition.INDEPENDENCE, cause=repeated.message)

    def _report(self, condition: Condition, diagnosis: Diagnosis | None) -> ConditionReport:
        """Where a condition stands; the target's by the drift, where laws may drift."""
        if condition is not Condition.TARGET or self._drift is None:
            return super()._report(condition, diagnosis)
        return self._drift.report(diagnosis)

    def untested(self) -> dict[Condition, str]:
        """As of any judge; what the model alone would tell is not told by one that laws may be off from."""
        instead = NO_MODEL if self._drift is None else "the model's may be off by epsilon"
        return {condition: why.replace(NO_MODEL, instead) for condition, why in super().untested().items()}

    def drift(self) -> Drift | None:
        """Of the recorded laws."""
        return None if self._drift is None else self._drift.measured()

    @property
    def balls(self) -> RobustPortfolio[Batch] | None:
        """Who bets on the sequences against balls."""
        return None if self._evidence is None else self._evidence.balls

    def certificate(self) -> Certificate | None:
        """Of the sequences."""
        return None if self._evidence is None else self._evidence.certificate()

    def greedy(self) -> GreedyReport | None:
        """Of the sequences."""
        return None if self._evidence is None else self._evidence.greedy()


def tokens_of(trace: xr.Dataset, offset: int = 0) -> Longs:
    """The finished sequences of a trace, Long[S, N].

    Raises
    ------
    InputError
        If one is not finished.
    """
    commits = read_commits(trace, offset)
    _check_complete(commits, offset)
    return commits.final


class TokensOfTraces(Draws):
    """Draws of a subject that shows traces, of which only the tokens are looked at."""

    def __init__(self, draws: Draws) -> None:
        self._draws = draws

    def next(self, num_sequences: int) -> Longs:
        """Return Long[num_sequences, N]."""
        return tokens_of(self._draws.next(num_sequences))

    def rows(self, first: int, stop: int, size: int) -> Rows | None:
        """See :class:`Draws`."""
        return self._draws.rows(first, stop, size)

    def check_fresh(self, tokens: Longs, token_probs: Floats) -> None:
        """See :class:`Draws`."""
        self._draws.check_fresh(tokens, token_probs)


def _made(trace: xr.Dataset) -> xr.Dataset:
    """Leave out passes that none of the sequences made."""
    made = np.flatnonzero((~np.isnan(trace["base"].values)).any(axis=0))
    return trace.isel(iteration=slice(int(made[-1]) + 1 if len(made) else 1))


def _bytes_a_sequence(trace: xr.Dataset) -> int:
    """About what one sequence takes while it is bet on."""
    sizes, vocab_size, recorded = trace.sizes, int(trace.attrs["vocab_size"]), "target_probs" in trace
    scalars = sizes["iteration"] * sizes["slot"] * 8 * 14
    read = min(sizes["iteration"], PASSES_AT_ONCE) * sizes["slot"] * vocab_size * 8 if recorded else 0
    return int(scalars + read + sizes["position"] * vocab_size * 8 * (24 if recorded else 8))


def _check_complete(commits: Commits, offset: int) -> None:
    missing = np.argwhere(commits.final < 0)
    if len(missing):
        sequence, position = (int(i) for i in missing[0])
        raise InputError(f"trace: tokens[{offset + sequence}, {position}] is missing: the sequence is not finished")
