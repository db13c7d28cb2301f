"""Five conditions at once: every process bets, every check looks, and ln E is their mixture."""

from __future__ import annotations

import copy
import math
import os
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

import numpy as np

from scd_analysis.audit.bets import ESTABLISHED, Bets, Process, Rank
from scd_analysis.audit.checks import ROUNDING, Check, Found, Recorded, Violation, look, violation
from scd_analysis.audit.commits import Commits
from scd_analysis.audit.conditions.verification import FLAG_AGAINST_VARIATE
from scd_analysis.audit.observations.halves import FirstHalves
from scd_analysis.audit.observations.repeated import EarlierVariates
from scd_analysis.audit.observations.view import View
from scd_analysis.audit.promises import Events
from scd_analysis.audit.rules.rule import Rule
from scd_analysis.audit.tally import Tally
from scd_analysis.audit.windows import Windows
from scd_analysis.evidence.batch import Floats, Rows
from scd_analysis.evidence.directed import Directed, Leaning
from scd_analysis.evidence.portfolio import Portfolio

CLEAR = math.log(20)
"""How much richer in ln E a family must be to be believed over another, nats."""

FEWEST_FLAGS, MOST_CONTRADICTED = 5_000, 0.05
"""Accept flags of which so few contradict their variates follow them otherwise. Fewer flags are left to the processes,
which can say why."""

LARGE = 2**20
"""Entries of laws from which processes bet side by side: NumPy lets other threads run while it is busy."""


@dataclass
class Running:
    """A process under way.

    Attributes
    ----------
    process : Process
    portfolio : Portfolio
    observations : int
        How many there were to bet on.
    crossed_at : int or None
        The sequence at which its own ln E crossed the threshold.
    """

    process: Process
    portfolio: Portfolio
    observations: int = 0
    crossed_at: int | None = None

    @property
    def log_e_value(self) -> float:
        """Its own ln E, nats."""
        return self.portfolio.log_e_value

    @property
    def best(self) -> tuple[str, str]:
        """Name of its richest family's best arm, and what that means."""
        standing = max(self.portfolio.families(), key=lambda family: family.log_e_value)
        return standing.best_arm, standing.message

    def is_led_by(self, bets: Bets) -> bool:
        """Whether its best arm is one of these bets, by itself."""
        return self.best[0].split(":")[1:2] in [[bet.name] for bet in bets]

    @property
    def cause(self) -> str:
        """What its richest family says; where that mixes directions, another that is nearly as rich says it plainer."""
        standings = sorted(self.portfolio.families(), key=lambda family: -family.log_e_value)
        near = [family for family in standings if family.log_e_value > standings[0].log_e_value - CLEAR]
        told = next((one for one in near if not one.best_arm.startswith("ridge")), standings[0])
        return f"{told.where}, {told.message}" if told.where else told.message

    @property
    def leaning(self) -> Leaning | None:
        """Along which direction its observations lean most."""
        bettors = [family.bettor for family in self.portfolio.members if isinstance(family.bettor, Directed)]
        return bettors[0].leaning() if bettors and self.observations else None


@dataclass
class Watch:
    """Bet on and check the conditions under one verification rule, some sequences at a time.

    Attributes
    ----------
    rule : Rule
    vocab_size : int
    rng : numpy.random.Generator
        Randomises the PIT.
    log_threshold : float
        ln(1/alpha), nats.
    tolerance : float
        See :class:`scd_analysis.audit.checks.Recorded`.
    grid_width : int or None
        Tokens in a row of an image.
    running : list of Running
    violations : dict of Check to Violation
    waited : int
        Positions that the commit rule commits and the decoder did not.
    inconsistent : list of int
        Slots whose accept flag disagrees with ``u q < p`` and with ``(1 - u) q < p``, and how many could be compared.
    contradicted : list of Violation or None
        The flags that disagree, by either.
    targets : int
        Recorded target probabilities that were compared with the model's.
    seen : EarlierVariates
        Acceptance variates so far.
    events : Events
        What happened, and needs to have been judged.
    tallies : dict of Check to Tally
        In which rows of their batches checks looked, and found something.
    """

    rule: Rule
    vocab_size: int
    rng: np.random.Generator
    log_threshold: float
    tolerance: float
    grid_width: int | None = None
    running: list[Running] = field(default_factory=list)
    violations: dict[Check, Violation] = field(default_factory=dict)
    waited: int = 0
    inconsistent: list[int] = field(default_factory=lambda: [0, 0, 0])
    targets: int = 0
    contradicted: list[Violation | None] = field(default_factory=lambda: [None, None])
    seen: EarlierVariates = field(default_factory=EarlierVariates)
    events: Events = field(default_factory=Events)
    tallies: dict[Check, Tally] = field(default_factory=dict)
    _once: Violation | None = None
    _looked: dict[Check, Tally] = field(default_factory=dict)
    _again: bool = False
    _halves: dict[str, FirstHalves] = field(default_factory=lambda: defaultdict(FirstHalves))

    def __post_init__(self) -> None:
        self.running = [
            Running(process, Portfolio(process.families(self.vocab_size)))
            for group in self.rule.groups
            for process in group.processes
        ]

    @property
    def log_e_value(self) -> float:
        """Of the mixture, nats; infinite once something impossible happened."""
        if self.violations:
            return math.inf
        return self.finite_log_e_value

    @property
    def log_weights(self) -> Floats:
        """Of the processes in the mixture, nats."""
        weights = np.array([running.process.weight for running in self.running])
        return np.log(weights / weights.sum())

    @property
    def finite_log_e_value(self) -> float:
        """Of the bets alone, nats."""
        return float(np.logaddexp.reduce([r.log_e_value for r in self.running] + self.log_weights))

    def split(self) -> Watch:
        """Return another watch that has seen the same so far."""
        other = copy.copy(self)
        other.rng = copy.deepcopy(self.rng)
        other.running = [replace(one, portfolio=copy.deepcopy(one.portfolio)) for one in self.running]
        other.violations, other.tallies = dict(self.violations), dict(self.tallies)
        other.inconsistent, other.contradicted = list(self.inconsistent), list(self.contradicted)
        other.seen, other.events = copy.deepcopy(self.seen), copy.deepcopy(self.events)
        other._halves = copy.deepcopy(self._halves)
        return other

    def of(self, process: Process) -> Running | None:
        """A process under way; None where the rule has no such process."""
        return next((running for running in self.running if running.process is process), None)

    def cause(self, found: Violation) -> str:
        """What a check found, and in which rows of their batches only."""
        where = self.tallies[found.check].where if found.check in self.tallies else ""
        return f"{where}, {found.message}" if where else found.message

    def ranked(self, *ranks: Rank) -> list[Running]:
        """Processes of these ranks that say something of their own."""
        return [r for r in self.running if r.process.rank in ranks and r.process.speaks(self)]

    @property
    def judged(self) -> dict[Process | None, int]:
        """Observations by process; by None, target probabilities that were compared with the model's."""
        return {None: self.targets} | {running.process: running.observations for running in self.running}

    @property
    def flags_compared(self) -> int:
        """Accept flags that could be compared with recorded variates."""
        return self.inconsistent[2]

    @property
    def flags_follow_variates(self) -> bool:
        """Whether variates were recorded, and accept flags are what they say."""
        return self.flags_compared > 0 and min(self.inconsistent[:2]) <= 1e-3 * self.flags_compared

    def is_established(self, process: Process, bets: Bets) -> bool:
        """Whether a process is rich enough to count, and its best arm is one of these bets by itself."""
        running = self.of(process)
        return running is not None and running.log_e_value >= ESTABLISHED and running.is_led_by(bets)

    def bet(
        self,
        commits: Commits,
        model_probs: Floats | None,
        offset: int,
        *,
        laws_recorded: bool = True,
        windows: Windows | None = None,
        only_checks: bool = False,
        rows: Rows | None = None,
    ) -> Floats:
        """Bet on some sequences and return the path of ln E, Float[S].

        Parameters
        ----------
        commits : Commits
        model_probs : Float[S, N, V] or None
            The model's law of every token given the finished sequence.
        offset : int
            Number of the first sequence.
        laws_recorded : bool
            Whether numbers of laws were recorded with the laws, so that the two were compared.
        windows : Windows, optional
            Of the sequences, for a rule that decides on windows as a whole.
        only_checks : bool
            Whether nothing is bet: ln E stays, but for what never happens.
        rows : Rows, optional
            Where the sequences stood in their batch.
        """
        commits, violations = self._check(commits, model_probs, offset, laws_recorded, rows)
        if only_checks:
            path = np.full(len(commits), self.finite_log_e_value)
        else:
            path = self._bet_all(commits, model_probs, offset, windows, rows)
        for check, tally in self._looked.items():
            self.tallies[check] = self.tallies[check] + tally if check in self.tallies else tally
        for found in violations:
            known = self.violations.get(found.check)
            self.violations[found.check] = found if known is None else known.merged(found)
        if self.rule.compares_variates:
            self._compare_flags(commits, offset)
        self.waited += int((commits.passes.reached & ~commits.passes.committed).sum())
        if not only_checks:  # what is no longer bet on need not have been judged
            self.events.add(commits)
        if self.violations:
            path[max(min(v.sequence for v in self.violations.values()) - offset, 0) :] = np.inf
        if model_probs is not None:
            self.targets += int((commits.drafted & ~np.isnan(commits.target_prob)).sum())
        return np.asarray(path)

    def _bet_all(
        self,
        commits: Commits,
        model_probs: Floats | None,
        offset: int,
        windows: Windows | None,
        rows: Rows | None,
    ) -> Floats:
        target = model_probs if commits.target_probs is None else commits.target_probs
        others = np.full(commits.final.shape, np.nan)
        if self.rule.compares_variates:
            others = self.seen.others(commits.deciding)
        view = View(
            commits, target, model_probs, others, self.vocab_size, self.grid_width, windows, None, rows, self._halves
        )
        views = [seen for group in self.rule.groups for seen in [group.see(view)] * len(group.processes)]
        noises = [self.rng.random(commits.final.shape) for _ in self.running]
        each = list(zip(self.running, views, noises, strict=True))
        if target is not None and target.size > LARGE:
            with ThreadPoolExecutor(os.cpu_count()) as pool:
                found = list(pool.map(lambda of: self._bet(of[0], of[1], of[2], offset, rows), each))
        else:
            found = [self._bet(running, view, noise, offset, rows) for running, view, noise in each]
        paths = np.stack([np.full(len(commits), path) for path in found])
        return np.asarray(np.logaddexp.reduce(paths + self.log_weights[:, None], axis=0))

    def _check(
        self, commits: Commits, model_probs: Floats | None, offset: int, laws_recorded: bool, rows: Rows | None
    ) -> tuple[Commits, list[Violation]]:
        """Look for what never happens; hold the first such slot back where one changed number would do it.

        Where laws were recorded with their numbers these were compared; flags and tokens have no such second record.
        """
        found = self._look(commits, model_probs, offset, rows)
        compared = laws_recorded and any(one.check.is_of_numbers for one in found)
        if not found or compared or self._again:
            return commits, found
        places = {(v.sequence, v.position) for v in found}
        if self._once is not None or len(places) > 1 or any(v.count > 1 for v in found):
            self._again, self._once = True, None
            return commits, found
        ((sequence, position),) = places
        self._once = found[0]
        there = np.ones(commits.final.shape, dtype=bool)
        there[sequence - offset, position] = False
        commits = replace(commits, drafted=commits.drafted & there, bonus=commits.bonus & there)
        return commits, self._look(commits, model_probs, offset, rows)

    def _look(self, commits: Commits, model_probs: Floats | None, offset: int, rows: Rows | None) -> list[Violation]:
        declared = self.rule.redeclare(commits, self.vocab_size)
        recorded = Recorded(declared, model_probs, self.tolerance, rows)
        found = list(look(self.rule.checks, recorded, offset))
        self._looked = recorded.tallies
        return found

    @property
    def damage(self) -> str | None:
        """What happened once in the whole record, and one changed number explains; None where nothing did."""
        once, compared = self._once, self.flags_compared
        if once is None and compared >= FEWEST_FLAGS and min(self.inconsistent[:2]) == 1:
            once = self.contradicted[self.inconsistent.index(1)]
        if once is None:
            return None
        place = f"sequence {once.sequence}, pass {once.iteration}, position {once.position}"
        return (
            f"trace: {place}: {once.message}, and so it is nowhere else: one changed number would do it, which is "
            "damage, and not told from a fault; laws that are recorded, or a second time, would tell"
        )

    def _bet(
        self, running: Running, view: View | None, noise: Floats, offset: int, rows: Rows | None
    ) -> Floats | float:
        """Ln E of one process after each sequence, or as it is where there is nothing to bet on."""
        batch = None if view is None else running.process.build(view, noise)
        if batch is None or not len(batch):
            return running.log_e_value
        path = np.full(len(noise), running.log_e_value)
        assert batch.sequence is not None
        after = np.searchsorted(batch.sequence, np.arange(len(path)), side="right")  # observations up to each sequence
        if rows is not None:
            batch = replace(batch, rows=Rows(rows.number[batch.sequence], rows.size))
        path = np.where(after > 0, running.portfolio.bet(batch)[after - 1], path)
        running.observations += len(batch)
        if running.crossed_at is None and (path >= self.log_threshold).any():
            running.crossed_at = offset + int((path >= self.log_threshold).argmax())
        return path

    def _compare_flags(self, commits: Commits, offset: int) -> None:
        known = commits.drafted & ~np.isnan(commits.uniform + commits.draft_prob + commits.target_prob)
        for i, variate in enumerate((commits.uniform, 1 - commits.uniform)):
            with np.errstate(invalid="ignore"):
                says, target = variate * commits.draft_prob, commits.target_prob
                wrong = known & ((says < target) != commits.accepted) & (np.abs(says - target) > ROUNDING * target)
            self.inconsistent[i] += int(wrong.sum())
            found = violation(FLAG_AGAINST_VARIATE, commits, Found(wrong, known), offset)
            before = self.contradicted[i]
            if found is not None:
                self.contradicted[i] = found if before is None else before.merged(found)
        self.inconsistent[2] += int(known.sum())
        self._contradict()

    def _contradict(self) -> None:
        """Where accept flags follow the recorded variates, but for some, those were not accepted by theirs.

        A single one is one damaged number.
        """
        *inconsistent, compared = self.inconsistent
        fewest = min(inconsistent)
        found = self.contradicted[inconsistent.index(fewest)]
        if found is not None and compared >= FEWEST_FLAGS and 1 < fewest <= MOST_CONTRADICTED * compared:
            self.violations[found.check] = found
