"""The audit of a verification kernel by itself, on windows that the audit makes up.

Drafts are drawn from the laws given to the kernel, windows are independent, and laws do not depend on tokens. The law
of what is committed decides (:mod:`scd_analysis.audit.rules.any`), so that no exact rule is refuted, whichever it is.
Since the rule is mostly modified rejection sampling, *verification*, *selection* and *independence* are tested as on a
trace, and say what broke. What belongs to the decoder around the kernel cannot be tested.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from scd_analysis.audit.bets import ESTABLISHED
from scd_analysis.audit.checks import Violation
from scd_analysis.audit.commits import Behind, Commits, Passes, cut, run_ratio
from scd_analysis.audit.conditions.independence import WINDOWS_SHARE
from scd_analysis.audit.guard import guarded
from scd_analysis.audit.judges import chunk_lengths
from scd_analysis.audit.kernel_noise import (
    CALLS,
    FEWEST_PAIRS,
    PAIRS,
    SURE,
    log_odds_of_one_call,
    log_odds_of_sharing,
    log_probability,
    outcome_laws,
    pairings,
)
from scd_analysis.audit.kernel_settings import RowSettings, recognised
from scd_analysis.audit.panel import Panel
from scd_analysis.audit.rules import ANY
from scd_analysis.audit.rules.any import AnyRule, AnyRuleWithin
from scd_analysis.audit.traced import PART_GROWTH, SMALLEST_PART, ConditionsJudge
from scd_analysis.audit.verdict import ConditionReport, Diagnosis, Finding
from scd_analysis.audit.watch import Watch
from scd_analysis.audit.windows import Windows, windows_of
from scd_analysis.conditions import Condition
from scd_analysis.contracts import KernelSeen
from scd_analysis.errors import InputError
from scd_analysis.evidence.batch import Batch, Floats, Longs
from scd_analysis.evidence.robust import RobustPortfolio
from scd_analysis.validate import check_tokens

ANOTHER_RULE = "the rule is none of those that are known"

_TAKEN = "the subject is a verification function, tried on windows and laws made up by the audit"
_POINT_MASS = "; its drafts are declared as point masses"

CONCENTRATIONS = (0.1, 0.5, 1.0, 5.0)
"""Of the laws' symmetric Dirichlet: peaked to flat."""


def make_windows(
    rng: np.random.Generator,
    num_windows: int,
    window: int,
    vocab_size: int,
    *,
    point_mass: bool = False,
    draft_ids: Longs | None = None,
) -> tuple[Longs, Floats, Floats]:
    """Draw laws of many kinds, and drafts from them.

    Parameters
    ----------
    rng : numpy.random.Generator
    num_windows, window, vocab_size : int
        B, L and V.
    point_mass : bool
        Whether every draft is declared as the point mass on itself, whatever it was drawn from.
    draft_ids : Long[D], optional
        The tokens that can be drafts; by default all.

    Returns
    -------
    tuple of (Long[B, L], Float[B, L, V], Float[B, L + 1, V])
        Drafts, their laws, and target laws with the row for a bonus; float32 values. Laws are peaked, flat, with zeros,
        equal, nearly equal, or a point mass on the draft.
    """
    target, other = made_up_pair(rng, (num_windows, window + 1), vocab_size)
    kind = rng.integers(8, size=(num_windows, window, 1))
    near = as_law(target[:, :-1] ** 1.2)
    likely = (kind == 0) | (point_mass & (kind > 4))  # else windows of point masses are hardly ever accepted whole
    draft = np.where(likely, target[:, :-1], np.where(kind == 1, near, as_law(other[:, :-1])))
    if draft_ids is not None:
        draft = as_law(np.where(np.isin(np.arange(vocab_size), draft_ids), draft + 1e-6, 0))
    tokens = (draft.cumsum(axis=-1) <= rng.random((num_windows, window, 1))).sum(axis=-1)
    tokens = np.minimum(tokens, vocab_size - 1)
    held = np.take_along_axis(draft, tokens[..., None], axis=-1)[..., 0] > 0
    tokens = np.where(held, tokens, draft.argmax(axis=-1))
    point = np.arange(vocab_size) == tokens[..., None]
    return tokens, np.where(point_mass | (kind == 2), point, draft).astype(np.float64), target


def made_up_pair(rng: np.random.Generator, lead: tuple[int, ...], vocab_size: int) -> tuple[Floats, Floats]:
    """Draw target laws, peaked to flat and some with zeros, and weights of other laws, Float[..., V] each."""
    shape = (*lead, vocab_size)
    shapes = rng.choice(CONCENTRATIONS, size=(*lead, 1))
    target, other = (rng.gamma(shapes, size=shape) + 1e-12 for _ in range(2))
    zeros = (rng.random((*lead, 1)) < 0.25) & (rng.random(shape) < 0.3)
    target = np.where(zeros & (target < target.max(axis=-1, keepdims=True)), 0, target)
    return as_law(target), other


def as_law(weights: Floats) -> Floats:
    """Normalise weights; the values are those of float32."""
    law = (weights / weights.sum(axis=-1, keepdims=True)).astype(np.float32)
    return np.asarray(law, dtype=np.float64)


@dataclass(frozen=True)
class MadeUp:
    """Windows that a kernel is tried on.

    Attributes
    ----------
    tokens : Long[B, L]
        Drafts, those behind the end of a window too.
    draft, target : Float[B, L, V], Float[B, L + 1, V]
    lengths : Long[B]
        How many drafts each window has.
    """

    tokens: Longs
    draft: Floats
    target: Floats
    lengths: Longs


class _Copies:
    """A call that holds every window twice, in places ``first`` and ``second``."""

    def __init__(self, windows: MadeUp, first: Longs, second: Longs) -> None:
        self.first, self.second = first, second
        self.order = np.empty(2 * len(first), dtype=np.int64)
        self.order[first] = self.order[second] = np.arange(len(first))
        self.call = cut(windows, self.order)

    def laws(self, target: Floats, has_bonus: bool) -> Floats:
        """What each window commits under some target laws, as :func:`outcome_laws`."""
        return outcome_laws(self.call.draft, target, self.call.tokens, has_bonus, self.call.lengths)


@dataclass(frozen=True)
class Verified:
    """Windows and what became of them, as a trace of one pass each.

    Attributes
    ----------
    commits : Commits
    windows : Windows
    draft_probs : Float[B, L, V]
        Draft laws, also of positions that were not reached.
    """

    commits: Commits
    windows: Windows
    draft_probs: Floats

    def part(self, start: int, stop: int) -> Verified:
        """Return windows ``start ... stop - 1``."""
        draft = self.draft_probs[start:stop]
        return Verified(self.commits.part(start, stop), self.windows.part(start, stop), draft)


class KernelJudge(ConditionsJudge[Verified]):
    """Judge a verification kernel by the law of what it commits, and explain by the conditions.

    Parameters
    ----------
    kernel : KernelSeen
    seeds : numpy.random.SeedSequence
        Of windows and of the kernel's generator.
    panel : Panel
        Of the rules that it may follow, which explain.
    log_threshold, limit
        See :class:`scd_analysis.audit.judges.Judge`; a window counts as a sequence.
    timeout : float, optional
        Seconds that one batch of windows may take.
    epsilon : float
        How far in total variation the law of a committed token may be from the target's.
    """

    grade = "kernel"
    target_laws = "made up"

    def __init__(
        self,
        kernel: KernelSeen,
        seeds: np.random.SeedSequence,
        panel: Panel,
        log_threshold: float,
        limit: int,
        timeout: float | None = None,
        epsilon: float = 0.0,
    ) -> None:
        super().__init__(panel, log_threshold, limit)
        self.epsilon = epsilon
        self._kernel, self._seeds, self._timeout = kernel, seeds, timeout
        self._ignores_seed: str | None = None
        self._shares_noise = False
        self._settings: RowSettings | None = None
        self._any: AnyRule | AnyRuleWithin
        self._any = AnyRuleWithin(kernel.vocab_size, epsilon) if epsilon else AnyRule(kernel.vocab_size)
        self.vocab_size, self.num_tokens = kernel.vocab_size, kernel.window + 1
        outside = "belongs to the decoder around the kernel"
        self.outside = {Condition.DECLARED_LAW: outside, Condition.TARGET: outside}

    @property
    def taken(self) -> tuple[str, str]:
        """Sequential."""
        settings = "" if self._settings is None else f"; {self._settings.message}"
        return "sequential", _TAKEN + (_POINT_MASS if self._kernel.point_mass else "") + settings

    @property
    def most_at_once(self) -> int:
        """So many that laws take 64 MiB."""
        return int(max(64, min(2**14, 2**23 // (self.num_tokens * self.vocab_size))))

    def draw(self, size: int) -> Verified:
        """Make windows, have them verified, and lay out what came back."""
        for_windows, for_kernel = self._seeds.spawn(1)[0].spawn(2)
        if not self._looked_at and self._kernel.makes_laws:
            self._settings = recognised(self._probed, self.vocab_size)
        made = self._windows(for_windows, size)
        emitted = self._verify(made, _seed(for_kernel))
        made = replace(made, target=self._processed(made.target))
        commits = lay_out(made.tokens, made.draft, made.target, *emitted, made.lengths)
        if self._ignores_seed is not None:
            raise InputError(self._ignores_seed)  # what is wrong besides was refuted by the windows before
        pairs = min(PAIRS, max(FEWEST_PAIRS, self.limit // 8), self.most_at_once // 2)
        if not self._looked_at and self.limit >= 2 * pairs:
            self._compare_windows(pairs)
        return Verified(commits, _whole_windows(commits, made), made.draft)

    def _windows(self, seeds: np.random.SeedSequence, size: int) -> MadeUp:
        kernel, rng = self._kernel, np.random.default_rng(seeds)
        made = make_windows(
            rng, size, kernel.window, self.vocab_size, point_mass=kernel.point_mass, draft_ids=kernel.draft_ids
        )
        lengths = np.full(size, kernel.window)
        if kernel.shortest is not None:
            lengths = rng.integers(kernel.shortest, kernel.window + 1, size=size)
        return MadeUp(*made, lengths)

    def _probed(self, size: int) -> tuple[Floats, Longs]:
        """Have windows verified that nothing else looks at; in a stream of seeds apart."""
        key = (*self._seeds.spawn_key, 2**31 + 1, size)
        for_windows, for_kernel = np.random.SeedSequence(self._seeds.entropy, spawn_key=key).spawn(2)
        made = self._windows(for_windows, min(size, self.most_at_once))
        return made.target, self._verify(made, _seed(for_kernel))[0]

    def _processed(self, target: Floats) -> Floats:
        """The target laws that the kernel says it verifies against, given those it was handed."""
        if self._settings is not None:
            return self._settings(target)
        found: Floats = guarded("kernel's processor", lambda: self._kernel.processed(target), self._timeout)
        return found

    def _verify(self, made: MadeUp, seed: int) -> tuple[Longs, Longs]:
        def call() -> tuple[Longs, Longs]:
            own = () if self._kernel.shortest is None else (made.lengths,)
            return self._kernel.verify_window(made.tokens, made.draft, made.target, seed, *own)

        return guarded(f"kernel (seed {seed})", call, self._timeout)

    def _compare_windows(self, pairs: int) -> None:
        """Look whether windows of a call share noise, or calls do; in a stream of seeds apart."""
        apart = np.random.SeedSequence(self._seeds.entropy, spawn_key=(*self._seeds.spawn_key, 2**31))
        ways = pairings(pairs)
        for_windows, *seeds = apart.spawn(1 + len(ways) * (1 + CALLS))
        windows = self._windows(for_windows, pairs)
        for i, way in enumerate(ways):
            own = seeds[i * (1 + CALLS) : (i + 1) * (1 + CALLS)]
            alike = self._alike(_Copies(windows, *way), [_seed(seed) for seed in own])
            if self._ignores_seed is not None:
                return
            if alike:
                self._share_noise(Violation(WINDOWS_SHARE, WINDOWS_SHARE.message, 0, 0, -1, alike, pairs))
                return

    def _share_noise(self, found: Violation) -> None:
        self._shares_noise = True
        for watch in self.panel.watches:
            watch.violations[found.check] = found

    def _alike(self, copies: _Copies, seeds: list[int]) -> int:
        """How many windows come out like their copies; 0 where chance may have done it."""
        first, second = copies.first, copies.second
        emitted, accepted = self._verify(copies.call, seeds[0])
        again, accepted_again = self._verify(copies.call, seeds[1])
        beyond = (emitted >= 0).sum(axis=1) > copies.call.lengths
        laws = copies.laws(self._processed(copies.call.target), has_bonus=bool(beyond.any()))
        if (emitted == again).all() and log_probability(laws, emitted, accepted) < -SURE:
            same = f"kernel: {len(emitted)} windows come out the same under two seeds"
            self._ignores_seed = f"{same}: it does not draw from its generator, its seed or a global generator"
            return 0
        alike, as_many = (emitted[first] == emitted[second]).all(axis=1), accepted[first] == accepted[second]
        if log_odds_of_sharing(laws[first], alike, as_many, accepted[first]) <= SURE:
            return 0
        for i, seed in enumerate(seeds[2:], 1):  # several, since what a whole call shares may be alike in two
            mine = copies.order % CALLS == i
            found = self._verify(copies.call, seed)
            again[mine], accepted_again[mine] = found[0][mine], found[1][mine]
        alike_apart = (emitted[first] == again[second]).all(axis=1)
        as_many_apart = accepted[first] == accepted_again[second]
        one_call, two_calls = (
            (alike, as_many, alike & as_many_apart),
            (alike_apart, as_many_apart, alike_apart & as_many),
        )
        return int(alike.sum()) if log_odds_of_one_call(one_call, two_calls) > ESTABLISHED else 0

    def parts(self, drawn: Verified) -> Iterator[tuple[Verified, int]]:
        """Parts that grow with what was seen."""
        for start, stop in chunk_lengths(len(drawn.commits), self._looked_at, PART_GROWTH, SMALLEST_PART):
            yield drawn.part(start, stop), stop - start

    def bet(self, part: Verified, offset: int) -> Floats:
        """Bet on committed tokens, which decides, and on the conditions, which explain."""
        commits, windows = part.commits, part.windows
        self.panel.bet(commits, commits.target_probs, offset, windows=windows)
        noise = self.panel.watches[0].rng.random(commits.final.shape)
        if isinstance(self._any, AnyRuleWithin):
            path = self._any.bet(commits, part.draft_probs)
        else:
            path = self._any.bet(commits, noise)
        return np.full_like(path, np.inf) if self._shares_noise else path

    @property
    def balls(self) -> RobustPortfolio[Batch] | None:
        """Who decides, where epsilon is above zero."""
        return self._any.portfolio if isinstance(self._any, AnyRuleWithin) else None

    @property
    def watch(self) -> Watch:
        """Over the rule that it follows; what is wrong is told in the words of modified rejection sampling."""
        return self.panel.watches[0] if self.refuted else super().watch

    @property
    def is_another_rule(self) -> bool:
        """Whether every rule that is known is refuted, and the law of what is committed is not."""
        return not self.refuted and not self.panel.stand

    @property
    def rule(self) -> str | None:
        """The rule that it follows: a known one, or another whose law stands."""
        return ANY if self.is_another_rule else super().rule

    def findings(self) -> tuple[Finding, ...]:
        """What the conditions say; of another exact rule, that it is none of those that are known."""
        known = () if self._settings is None else (
            Finding("settings", self._settings.message, self._settings.log_e_value, True),
        )  # fmt: skip
        if self.is_another_rule:
            return (*known, Finding("rule", ANOTHER_RULE, min(self.panel.log_e_values.values()), True))
        said = Finding("any", self._any.message, self._any.portfolio.log_e_value, self.refuted)
        return (*known, *(super().findings() or (said,)))

    def diagnosis(self) -> Diagnosis | None:
        """Name a condition, or say what committed tokens lean to where modified rejection sampling would stand."""
        found = super().diagnosis()
        if found is not None or not self.refuted:
            return found
        condition = self._any.condition if isinstance(self._any, AnyRule) else None
        return Diagnosis(condition, self._any.message, None, None, self.seen - 1, None, (), 0.0)

    def conditions(self) -> tuple[ConditionReport, ...]:
        """Where the five stand; those of a rule that is known say nothing of another."""
        found = super().conditions()
        if not self.is_another_rule:
            return found
        return tuple(
            replace(r, message=f"{ANOTHER_RULE}: {r.message}") if r.status == "disturbed" else r for r in found
        )

    def resolutions(self) -> dict[str, dict[str, float]]:
        """Total variation of one committed token, along one direction."""
        return {self.grade: {"committed tokens": self._any.resolution(self.log_threshold)}}

    def log_weights(self) -> dict[str, float]:
        """Of all arms that decide."""
        portfolio = self._any.portfolio
        return {f"any/{arm}": float(own) for arm, own in zip(portfolio.arms, portfolio.log_weights, strict=True)}


def _whole_windows(commits: Commits, made: MadeUp) -> Windows:
    own = made.tokens[..., None]
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.take_along_axis(made.target[:, :-1], own, axis=-1) / np.take_along_axis(made.draft, own, axis=-1)
    laws = [(0, made.draft[:, None], made.target[:, None, :-1])]
    return windows_of(commits.passes, ratio[:, None, :, 0], laws)


def _seed(sequence: np.random.SeedSequence) -> int:
    return int(sequence.generate_state(1)[0] >> 1)


def _counted(emitted: Longs, vocab_size: int) -> Longs:
    """How many tokens each window commits, Long[B]."""
    count = np.asarray((emitted >= 0).sum(axis=1))
    if (count == 0).any():
        i = int((count == 0).argmax())
        raise InputError(f"kernel: window {i} commits no token; a rejection commits its residual draw")
    check_tokens(np.maximum(emitted, 0), vocab_size, "kernel's tokens")
    return count


def lay_out(
    tokens: Longs, draft: Floats, target: Floats, emitted: Longs, num_accepted: Longs, lengths: Longs
) -> Commits:
    """Arrange the output of a kernel as commits: L + 1 positions, one pass.

    Parameters
    ----------
    tokens : Long[B, L]
    draft : Float[B, L, V]
    target : Float[B, L + 1, V]
    emitted : Long[B, L + 1]
        Tokens that the kernel commits, then -1.
    num_accepted : Long[B]
        How many of them are accepted drafts.
    lengths : Long[B]
        How many drafts each window has.

    Raises
    ------
    InputError
        If a window commits nothing, or a token is outside the vocabulary.
    """
    window, vocab_size = tokens.shape[1], target.shape[-1]
    place, ends = np.arange(window + 1), lengths[:, None]
    reached = place < _counted(emitted, vocab_size)[:, None]
    drafted = reached & (place < ends)
    accepted = drafted & (place < num_accepted[:, None])
    whole = np.pad(tokens, ((0, 0), (0, 1)), constant_values=-1)
    padded = np.where(place < ends, whole, -1)
    laws = np.concatenate([draft, np.full((len(draft), 1, vocab_size), np.nan)], axis=1)
    own = np.maximum(whole, 0)[..., None]
    draft_prob = np.where(drafted, np.take_along_axis(laws, own, axis=-1)[..., 0], np.nan)
    target_prob = np.where(drafted, np.take_along_axis(target, own, axis=-1)[..., 0], np.nan)
    ratio = np.take_along_axis(target, own, axis=-1)[..., 0] / np.take_along_axis(laws, own, axis=-1)[..., 0]
    ratio = np.where(place < ends, ratio, np.nan)
    likely = np.where(place < ends, np.take_along_axis(target, own, axis=-1)[..., 0], np.nan)
    none = np.full(drafted.shape, np.nan)
    zeros = np.zeros(drafted.shape, dtype=np.int64)
    return Commits(
        final=np.where(reached, emitted, 0),
        drafted=drafted,
        accepted=accepted,
        bonus=reached & (place == ends),
        iteration=np.where(drafted, 0, -1),
        slot=np.where(drafted, place, -1),
        age=np.where(drafted, 1, -1),
        draft=np.where(drafted, padded, -1),
        draft_prob=draft_prob,
        target_prob=target_prob,
        draft_probs=np.where(drafted[..., None], laws, np.nan),
        target_probs=target,
        behind=Behind(
            next_ratio=np.concatenate([ratio[:, 1:], none[:, :1]], axis=1),
            run_ratio=run_ratio(ratio[:, None], likely[:, None])[:, 0],
        ),
        passes=Passes(
            base=zeros[:, :1],
            slot_position=np.broadcast_to(place[None, None, :window], (len(tokens), 1, window)),
            used=(place < ends)[:, None, :window],
            reached=drafted[:, None, :window],
            committed=drafted[:, None, :window],
            accepted=accepted[:, None, :window],
            draft=padded[:, None, :window],
            after=emitted[:, None, :window],
            uniform=none[:, None, :window],
        ),
    )
