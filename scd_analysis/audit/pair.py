"""Two arms of one engine: speculation on against speculation off (theory, section 10)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from scd_analysis.audit.adapters.endpoint import NO_DRAFT, Endpoint
from scd_analysis.audit.checkpoint import Checkpoint
from scd_analysis.audit.draws import FIRST_BATCH, REPEAT_LOG_PROB, Draws
from scd_analysis.audit.identity import identity
from scd_analysis.audit.mirror import checkpoint_at
from scd_analysis.audit.opening import Asked, draw_ahead, most_sequences, opened
from scd_analysis.audit.pair_verdict import GRADE, PairVerdict
from scd_analysis.audit.progress import Progress
from scd_analysis.audit.run import record_of, verdict_of
from scd_analysis.audit.samples import SampleEvidence, SampleJudge, ranked
from scd_analysis.audit.target import Target
from scd_analysis.audit.traced import tokens_of
from scd_analysis.audit.verdict import Finding, Outcome
from scd_analysis.common.foreign import foreign
from scd_analysis.common.urls import place_of, within
from scd_analysis.contracts import SubjectSeen, as_subject, is_trace
from scd_analysis.errors import InputError
from scd_analysis.evidence.batch import Longs
from scd_analysis.evidence.resolution import one_coin, one_direction
from scd_analysis.evidence.two_sample import CHUNK, MESSAGES, PRIORS, Independence, TwoSample
from scd_analysis.evidence.two_sample_ball import STAKES
from scd_analysis.trace.remote import names_at
from scd_analysis.validate import check_between

NAMES = ("with speculation on", "with speculation off")

ENOUGH_EQUAL = 512
"""Sequences compared token for token by default: one that differs with probability 0.01 is seen with power 0.99."""

MOST_AT_ONCE = 2**10
"""Sequences drawn at a time: what an engine that goes away may lose."""

GROWTH = 16
"""One part in so many of what was seen is bet on before it is learned from."""

SMALLEST_OF_BALLS, GROWTH_OF_BALLS = 2 * CHUNK, 8
"""With an epsilon: in a larger part more sequences have the same tokens before a position."""

HELD_BACK = 256
"""Sequences of the control, at least, that are looked at before arms are said to differ."""

EQUAL = "probability that a sequence has another token anywhere, power 0.99"
APART = "total variation between laws of whole sequences of the arms, to first order, power 0.99"
BEYOND = "epsilon, and beyond it total variation between the laws of a first token, to first order, power 0.99"
"""What a resolution is of: while equal seeds give equal tokens, where they do not, and with an epsilon."""

FOLDERS = ("off", "on", "on-equal-seeds")
"""Of a checkpoint: one for each stream of draws."""


class Arm:
    """The draws of one arm, and what the model says of them.

    Parameters
    ----------
    name : str
        ``"on"`` or ``"off"``.
    subject : callable
    draws : Draws
    judge : SampleJudge or None
        Against the model, where there is one.
    """

    def __init__(self, name: str, subject: Any, draws: Draws, judge: SampleJudge | None) -> None:
        self._name, self._subject, self._draws, self.judge = name, subject, draws, judge
        self._head: Longs | None = None

    def draw(self, size: int) -> Longs:
        """Draw Long[size, N], anew for every batch.

        Raises
        ------
        InputError
            If a batch begins as the one before it did, where sequences are not all alike.
        """
        drawn = self._draws.next(size)
        tokens = tokens_of(drawn) if is_trace(drawn) else np.asarray(drawn)
        head, self._head = self._head, tokens[:FIRST_BATCH]
        if head is not None and len(head) <= len(tokens) and (head == tokens[: len(head)]).all():
            _, many = np.unique(head, axis=0, return_counts=True)
            if float((many * np.log(many / len(head))).sum()) < REPEAT_LOG_PROB:
                raise InputError(
                    f"{self._name}(model, ...) begins with the same {len(head)} sequences for two seeds: an arm draws "
                    "anew for every seed"
                )
        return tokens

    def expect(self, left: int) -> None:
        """Plan anew what is drawn ahead; see :meth:`Draws.expect`."""
        self._draws.expect(left)

    def look(self, tokens: Longs) -> None:
        """Bet on them against the model."""
        if self.judge is None:
            return
        for start in range(0, len(tokens), self.judge.most_at_once):  # laws of large vocabularies fill the memory
            part = tokens[start : start + self.judge.most_at_once]
            if not self.judge.refuted:
                self.judge.look(self.judge.evidence.batch(part), len(part))

    @property
    def proposed_nothing(self) -> bool:
        """Whether it is an engine that says that it has proposed no draft."""
        return isinstance(self._subject, Endpoint) and self._subject.drafted == 0

    @property
    def is_refuted(self) -> bool:
        """Whether the model's law is refuted."""
        return self.judge is not None and self.judge.refuted


class PairJudge:
    """Draw both arms until it is decided whether they have one law.

    While equal seeds give equal tokens nothing else is asked. Once they do not, the arms draw with seeds of their own,
    since a pair that shares its seed is no fair coin.

    Attributes
    ----------
    grade : str
    log_e_value, log_threshold : float
        ln E (nats) against one law of both arms, and ln(1/alpha).
    seen, limit : int
        Pairs judged, and how many there may be.

    Parameters
    ----------
    off, on : Arm
    on_equal : Arm or None
        Speculation on with the seeds of ``off``; None where that cannot be had, as of stored sequences.
    log_threshold : float
    max_sequences : int or None
    resolution : float
        What is wanted, which ends an audit whose control is refuted.
    epsilon : float
        How far the arms' laws of a token may be from each other.
    steady : bool
        Whether all batches are of one size, so that several can be drawn at a time.
    """

    grade = GRADE

    def __init__(
        self,
        off: Arm,
        on: Arm,
        on_equal: Arm | None,
        log_threshold: float,
        max_sequences: int | None,
        resolution: float,
        epsilon: float = 0.0,
        *,
        steady: bool = False,
    ) -> None:
        self._steady = steady
        self.off, self.on, self._on_equal = off, on, on_equal
        self.log_threshold, self._wanted = log_threshold, resolution
        self._stated = max_sequences
        self.limit = FIRST_BATCH if max_sequences is None else max_sequences  # until the length is known
        self.evidence, self.independence = TwoSample(epsilon, NAMES), Independence()
        self.seen, self.num_tokens, self.log_e_value, self.largest = 0, 0, 0.0, 0.0
        self.equal_seeds, self._looked_at = (0, 0), 0
        self.path: list[tuple[int, float]] = []
        self.plan: list[int] = []

    @property
    def taken(self) -> tuple[str, str]:
        """Which path is taken, and why."""
        if self.is_equal:
            return "token for token", "equal seeds give equal tokens in both arms"
        return "two samples", "equal seeds do not give equal tokens, so that only laws can be compared"

    @property
    def refuted(self) -> bool:
        """Whether the arms differ."""
        return self.log_e_value >= self.log_threshold

    @property
    def is_equal(self) -> bool:
        """Whether all that was seen was compared token for token."""
        return self._on_equal is not None

    @property
    def depends(self) -> bool:
        """Whether sequences of the control depend on their neighbours."""
        return self.independence.log_e_value >= self.log_threshold

    @property
    def decided(self) -> bool:
        """Whether more draws would change nothing.

        Arms that differ are held back until the control was looked at twice as long as that took: what is wrong with
        both is found in both, and not at the same sequence.
        """
        if self._looked_at >= self.limit or (self.refuted and self._looked_at >= max(2 * self.seen, HELD_BACK)):
            return True
        return self.depends or (self.off.is_refuted and (self.refuted or self.resolutions()[1] <= self._wanted))

    def start(self, first: Longs, subjects: tuple[Any, Any]) -> None:
        """Judge the first batch of the control, which tells the length of sequences."""
        self.num_tokens = first.shape[1]
        available = [as_subject(subject).num_available for subject in subjects]
        stops = [most_sequences(self.num_tokens, number, self._stated) for number in available]
        self.limit = min(stops)
        if self._stated is None and self.is_equal:
            self.limit = min(self.limit, ENOUGH_EQUAL)
        self._full = min(stops)
        for arm in (self.off, self.on):
            if arm.judge is not None:
                arm.judge.limit = self._full
        self.off.expect(self.limit - len(first))
        (self.on if self._on_equal is None else self._on_equal).expect(self.limit)
        self._take(first)

    def step(self) -> None:
        """Draw half as many pairs as were seen, or where batches are steady always as many, and bet on them."""
        wanted = FIRST_BATCH if self._steady else max(FIRST_BATCH, self._looked_at // 2)
        size = min(wanted, MOST_AT_ONCE, self.limit - self._looked_at)
        self._take(self.off.draw(size))

    def _take(self, off: Longs) -> None:
        """Judge a batch of the control, and draw as much with speculation on."""
        self.plan.append(len(off))
        self._looked_at += len(off)
        self.off.look(off)
        self.independence.bet(off)
        if self.refuted:
            return
        if self._on_equal is not None:
            on = self._on_equal.draw(len(off))
            same = int((on == off).all(axis=1).sum()) if on.shape == off.shape else 0
            self.equal_seeds = self.equal_seeds[0] + same, self.equal_seeds[1] + len(off)
            if same == len(off):
                self.seen += len(off)
                self.path.append((self.seen, 0.0))
                return
            self._part_ways()
        else:
            self._bet(off)

    def _part_ways(self) -> None:
        """Begin anew with seeds of their own; the batch that told the arms apart was chosen by that, and is not bet on.

        What was the same until then stays in ``equal_seeds``.
        """
        self._on_equal, self.limit = None, self._full
        for arm in (self.off, self.on):
            arm.expect(self._full)
        self.seen = self._looked_at = 0
        self.path.clear()

    def _bet(self, off: Longs) -> None:
        on = self.on.draw(len(off))
        if on.shape != off.shape:
            raise InputError(f"on(...) has shape {on.shape}, off(...) has {off.shape}: both arms make as many tokens")
        self.on.look(on)
        for start, stop in self._parts(len(off)):
            self.log_e_value = self.evidence.bet(on[start:stop], off[start:stop])
            self.seen += stop - start
            self.largest = max(self.largest, self.log_e_value)
            self.path.append((self.seen, self.log_e_value))
            if self.refuted:
                return

    def _parts(self, size: int) -> Iterator[tuple[int, int]]:
        """Cut a batch into chunks that grow with what was seen."""
        smallest, growth = (SMALLEST_OF_BALLS, GROWTH_OF_BALLS) if self.evidence.epsilon else (CHUNK, GROWTH)
        start = 0
        while start < size:
            chunk = max(smallest, self.seen // (growth * CHUNK) * CHUNK)
            yield start, min(start + chunk, size)
            start += chunk

    def resolutions(self) -> tuple[dict[str, float], float]:
        """Total variation of whole sequences found with power 0.99, by direction, and the largest.

        A pair tells half of what a sequence tells against a known law.
        """
        weights = self.evidence.log_weights
        if self.is_equal:
            by = {"another token anywhere": 1 - 0.01 ** (1 / max(self.seen, 1))}
        elif self.evidence.epsilon:
            beyond = one_coin(self.log_threshold, weights[f"set:position:{STAKES[0]:g}"], self.seen, STAKES)
            by = {"one set of tokens": min(1.0, self.evidence.epsilon + beyond)}
        else:
            weight = weights[f"sharpness:{PRIORS[0]:g}"]
            found = one_direction(self.log_threshold, weight, self.seen // 2, self.seen, np.asarray(PRIORS))
            by = dict.fromkeys(MESSAGES, found)
        return by, max(by.values())

    def findings(self) -> tuple[Finding, ...]:
        """What the winning bets say, largest evidence first; those below one nat say nothing."""
        if self.is_equal or self.depends or not self.seen:  # of arms that cannot be compared nothing is said
            return ()
        standings = self.evidence.standings()
        return tuple(
            Finding(standings[i].best_arm, standings[i].message, value, stands)
            for i, value, stands in ranked(np.array([standing.log_e_value for standing in standings]))
        )

    def outcome(self) -> tuple[Outcome, tuple[str, ...]]:
        """The outcome, and what an inconclusive one lacked."""
        if self.depends or (self.off.is_refuted and not (self.refuted and self.on.is_refuted)):
            return Outcome.CONTROL_REFUTED, ()
        if self.refuted:
            return Outcome.REFUTED, ()
        worst = self.resolutions()[1]
        missing = []
        if worst > self._wanted:
            missing.append(
                f"resolution: a total variation of {worst:.3g} would have been found, and {self._wanted:g} was asked "
                "for: allow more sequences, or ask for less"
            )
        if self.on.proposed_nothing:
            missing.append(NO_DRAFT)
        if self.on.is_refuted:
            missing.append(
                "evidence: speculation on is refuted against the model, speculation off is not, and they do not yet "
                "differ from each other: allow more sequences"
            )
        return (Outcome.INCONCLUSIVE if missing else Outcome.NOT_REFUTED), tuple(missing)


@foreign("on, off or model raised", only_exits=True)
def audit_pair(
    on: Any,
    off: Any,
    model: Any = None,
    alpha: float = 1e-6,
    max_sequences: int | None = None,
    seed: int = 0,
    *,
    resolution: float = 0.2,
    epsilon: float = 0.0,
    checkpoint: str | Path | None = None,
    timeout: float | None = None,
    jobs: int | None = None,
    progress: bool | None = None,
) -> PairVerdict:
    """Judge whether speculation changes the law of an engine, by comparing it with itself with speculation off.

    Three things are asked, the control first (theory, section 10):

    * where there is a model, speculation off is bet on against its law, and speculation on too. If the control is
      refuted, the stated law or the precision is wrong, and not speculation: ``CONTROL_REFUTED``;
    * where equal seeds give equal tokens, the arms are compared token for token, the strongest test there is;
    * else the arms draw with seeds of their own, and bets on which sequence of a pair is of which arm decide. They need
      no model: what both arms share (precision, unknown processors) cancels. Arms that have one law are ``REFUTED``
      with probability at most ``alpha``.

    The control is ``CONTROL_REFUTED`` without a model too, where its sequences depend on their neighbours, as with a
    seed that they share: then nothing can be compared. Where speculation on is refuted against the model, the control
    is too, and they differ from each other, the outcome is ``REFUTED``.

    Parameters
    ----------
    on, off : callable or path
        Speculation on, and off: whatever :func:`scd_analysis.audit` takes and shows tokens, such as
        :func:`scd_analysis.subjects.endpoint`. Of a trace the tokens are judged.
    model : TargetModel, optional
        The law that both should have; by default what ``off`` brings along as ``target_model``, if anything.
    alpha : float
        Probability, at most, of refuting arms that have one law; of refuting a control that has the model's; and of
        refuting one whose sequences are independent.
    max_sequences : int, optional
        Pairs at which it stops; by default as for :func:`scd_analysis.audit`, and 512 while equal seeds give equal
        tokens.
    seed : int
        Seeds the arms' batches.
    resolution : float
        The total variation that must have been able to be found for ``NOT_REFUTED``.
    epsilon : float
        The null of the arms is then that after any tokens the law of the next one lies, in either arm, within this
        total variation of that in the other; and of each arm against the model, that it lies within it of the model's
        (theory, section 9).
    checkpoint : path, optional
        A folder that keeps what was drawn, in a folder for each arm; see :func:`scd_analysis.audit`.
    timeout : float, optional
        Seconds that an arm may take for one batch, and the model for one call.
    jobs : int, optional
        Batches of an arm drawn at a time; the verdict is that of one job. See :func:`scd_analysis.audit`.
    progress : bool, optional
        Show ln E live on standard error; by default where that is a terminal.

    Returns
    -------
    PairVerdict

    Raises
    ------
    InputError
        If an argument, the model or an arm's output is not what the contract says, or an arm repeats itself.
    """
    check_between(resolution, 0, 1, "resolution", open_ends=True)
    asked = Asked(alpha, max_sequences, seed, epsilon=epsilon, checkpoint=checkpoint, timeout=timeout, jobs=jobs)
    with ExitStack() as held:
        judge = _open(on, off, model, asked, resolution, held)
        show = held.enter_context(Progress(judge.log_threshold, judge.limit, shown=progress))
        while not judge.decided:
            judge.step()
            show(judge.log_e_value, judge.seen)
    return _verdict(judge, alpha, resolution, seed)


def _open(on: Any, off: Any, model: Any, asked: Asked, resolution: float, held: ExitStack) -> PairJudge:
    """Look at both arms, and draw the first batch of the control."""
    subjects = {"off": opened(off), "on": opened(on)}
    seen = {name: as_subject(subject, name) for name, subject in subjects.items()}
    for name, subject in subjects.items():
        if seen[name].is_kernel or seen[name].is_tree:
            raise InputError(f"{name} = {subject!r:.60}: a kernel has no second arm; audit it by itself")
    for_off, for_on, for_checks, for_pit = asked.streams()
    model = seen["off"].target_model if model is None else model
    target = model if model is None or isinstance(model, Target) else Target(model, asked.timeout)
    if target is not None:
        target.check(np.random.default_rng(for_checks))
    sizes = _sizes(seen, target)

    def draws(name: str, seeds: np.random.SeedSequence) -> Draws:
        subject = subjects[name.partition("-")[0]]
        kept = _kept(asked, name, subject, sizes, held)
        called = name.partition("-")[0]
        made = Draws(subject, model, sizes, seeds, kept, asked.timeout, called=called)
        if asked.jobs is not None and seen[called].num_available is None:
            draw_ahead(made, seen[called], asked.jobs, 0, held)
        return made

    def judge(stream: np.random.SeedSequence) -> SampleJudge | None:
        if target is None:
            return None
        evidence = SampleEvidence(target, np.random.default_rng(stream), epsilon=asked.epsilon)
        return SampleJudge(evidence, draws_of_off, None, asked.log_threshold, FIRST_BATCH)

    is_stored = any(subject.num_available is not None for subject in seen.values())
    draws_of_off = draws("off", np.random.SeedSequence(for_off.entropy, spawn_key=for_off.spawn_key))
    pits = for_pit.spawn(2)
    control = Arm("off", subjects["off"], draws_of_off, judge(pits[0]))
    speculating = Arm("on", subjects["on"], draws("on", for_on), judge(pits[1]))
    equal = None if is_stored else Arm("on", subjects["on"], draws("on-equal-seeds", for_off), None)
    most, steady = asked.max_sequences, asked.jobs is not None
    made = PairJudge(control, speculating, equal, asked.log_threshold, most, resolution, asked.epsilon, steady=steady)
    available = [most_sequences(1, subject.num_available, most) for subject in seen.values()]
    first = made.off.draw(min(FIRST_BATCH, *available))
    made.start(first, (subjects["off"], subjects["on"]))
    return made


def _sizes(seen: dict[str, SubjectSeen], target: Target | None) -> tuple[int | None, int | None]:
    """V and N, as far as they are stated."""
    if target is not None:
        return target.vocab_size, target.num_tokens
    found: list[int | None] = []
    sizes = {
        "vocab_size": [subject.vocab_size for subject in seen.values()],
        "num_tokens": [subject.num_tokens for subject in seen.values()],
    }
    for size, stated in sizes.items():
        known = [int(value) for value in stated if value is not None]
        if len(set(known)) > 1:
            raise InputError(f"off.{size} = {known[0]}, on.{size} = {known[1]}: both arms have the same")
        found.append(known[0] if known else None)
    return found[0], found[1]


def _kept(
    asked: Asked, name: str, subject: Any, sizes: tuple[int | None, int | None], held: ExitStack
) -> Checkpoint | None:
    """The folder of one stream of draws."""
    if asked.checkpoint is None or as_subject(subject).num_available is not None:
        return None
    path = place_of(asked.checkpoint)
    if isinstance(path, Path) and path.exists() and not path.is_dir():
        raise InputError(f"checkpoint {path}: is not a folder")
    names = names_at(path) if isinstance(path, str) else os.listdir(path) if path.is_dir() else []
    others = sorted(set(names) - set(FOLDERS))
    if others:
        raise InputError(f"checkpoint {path}: holds {others[0]!r}, which is of no audit of two arms")
    return held.enter_context(
        checkpoint_at(within(path, name), identity(subject, None, sizes, asked.seed), tolerance=0.0)
    )


def _verdict(judge: PairJudge, alpha: float, wanted: float, seed: int) -> PairVerdict:
    outcome, missing = judge.outcome()
    by, worst = judge.resolutions()
    against_model = [
        None if arm.judge is None or not arm.judge.seen else verdict_of(arm.judge, alpha, wanted, seed)
        for arm in (judge.off, judge.on)
    ]
    return PairVerdict(
        outcome=outcome,
        log_e_value=judge.log_e_value,
        alpha=alpha,
        num_sequences=judge.seen,
        num_tokens=judge.seen * judge.num_tokens,
        resolution=worst,
        findings=judge.findings(),
        record=_record(judge, alpha, by, wanted, seed),
        path=tuple(judge.path),
        missing=missing,
        epsilon=judge.evidence.epsilon,
        epsilon_refuted=None if judge.is_equal else judge.evidence.balls.refuted(judge.log_threshold),
        log_e_by_epsilon=() if judge.is_equal else judge.evidence.balls.curve(),
        control=against_model[0],
        speculation=against_model[1],
        log_e_control=judge.independence.log_e_value,
        equal_seeds=judge.equal_seeds,
    )


def _record(judge: PairJudge, alpha: float, by: dict[str, float], wanted: float, seed: int) -> dict[str, Any]:
    asked = {"seed": seed, "alpha": alpha, "resolution_wanted": wanted}
    meaning = EQUAL if judge.is_equal else BEYOND if judge.evidence.epsilon else APART
    return record_of(judge, asked, (meaning, by), judge.evidence.log_weights, {})
