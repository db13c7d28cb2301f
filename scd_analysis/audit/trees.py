"""The audit of a verification kernel for trees of drafts, on windows that the audit makes up.

The law of what is committed decides (:mod:`scd_analysis.audit.rules.any`), by the committed tokens before each alone:
which node was taken, and how many drafts there were, are not looked at. So every exact rule stands.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from scd_analysis.audit.adapters.handed import Library, Seeded
from scd_analysis.audit.bets import ESTABLISHED
from scd_analysis.audit.commits import Commits, cut
from scd_analysis.audit.conditions.independence import WINDOWS_SHARE
from scd_analysis.audit.guard import guarded
from scd_analysis.audit.judges import Judge, chunk_lengths
from scd_analysis.audit.kernel_noise import log_odds_of_one_call, pairings
from scd_analysis.audit.kernels import as_law, lay_out, made_up_pair
from scd_analysis.audit.rules import ANY
from scd_analysis.audit.rules.any import OF_TREES, AnyRule, AnyRuleWithin
from scd_analysis.audit.siblings import of_drawn, of_given
from scd_analysis.audit.traced import PART_GROWTH, SMALLEST_PART
from scd_analysis.audit.tree import ROOT, Tables, Tree, TreeWindows, draw_tree
from scd_analysis.audit.verdict import Diagnosis, Finding
from scd_analysis.conditions import Condition
from scd_analysis.errors import InputError
from scd_analysis.evidence.batch import Batch, Floats, Longs
from scd_analysis.evidence.robust import RobustPortfolio

LEVELLED = 0.05
"""Share of the uniform law in laws that are drawn from without replacement: what is left of one is then well above
the rounding of float32."""

PAIRS, CALLS = 128, 3
"""Of copies of a window in one call, and other calls that they are compared with."""

POOL, MOST_BENT = 1024, 16
"""Laws of a first token of which those are kept, every batch anew, that one variate for all drafts bends most."""

WITH_LAWS = ("independent", "without-replacement")
"""Kinds of drafts that are right on average over the laws they are drawn from; of others each is one by itself."""


def make_tables(rng: np.random.Generator, num_windows: int, tree: Tree, vocab_size: int, drafts: str) -> Tables:
    """Draw laws of many kinds: peaked, flat, with zeros, equal, nearly equal.

    Parameters
    ----------
    rng : numpy.random.Generator
    num_windows : int
    tree : Tree
    vocab_size : int
    drafts : str
        How drafts will be drawn from them.
    """
    target, other = made_up_pair(rng, (num_windows, tree.height + 1, vocab_size), vocab_size)
    own, kind = target[:, :-1], rng.integers(6, size=(num_windows, tree.height, vocab_size, 1))
    draft = np.where(kind == 0, own, np.where(kind == 1, as_law(own**1.2), as_law(other[:, :-1])))
    if drafts != "independent":
        draft = as_law((1 - LEVELLED) * draft + LEVELLED / vocab_size)
    return Tables(target, draft)


def telling(rng: np.random.Generator, tables: Tables, tree: Tree, drafts: str) -> Tables:
    """Give half of all windows laws of the first token that one variate for all of its drafts would bend most.

    Of laws that are made up without looking, few show it: a hundred thousand windows then say nothing.

    Parameters
    ----------
    rng : numpy.random.Generator
    tables : Tables
    tree : Tree
    drafts : str
        How drafts will be drawn from them.
    """
    size, vocab_size = len(tables.target), tables.target.shape[-1]
    pool = make_tables(rng, POOL, Tree((ROOT,)), vocab_size, drafts)
    target, draft = pool.target[:, 0, 0], pool.draft[:, 0, 0]
    bent = of_siblings(target, draft, len(tree.children(ROOT)), drafts)
    if bent is None:
        return tables
    best = np.argsort(np.abs(bent - target).sum(axis=-1))[-MOST_BENT:]
    windows = np.flatnonzero(rng.random(size) < 0.5)
    chosen = rng.choice(best, len(windows))
    found = Tables(tables.target.copy(), tables.draft.copy())
    found.target[windows, 0, 0], found.draft[windows, 0, 0] = target[chosen], draft[chosen]
    return found


def of_siblings(target: Floats, draft: Floats, count: int, drafts: str) -> Floats | None:
    """The law of a token if one variate decides on all of its drafts, Float[B, V]; None where it is not known."""
    if count < 2 or drafts not in WITH_LAWS:
        return None
    return of_drawn(target, draft, count, replaced=drafts == "independent")


@dataclass(frozen=True)
class _Drawn:
    commits: Commits
    siblings: Floats | None

    def part(self, start: int, stop: int) -> _Drawn:
        return _Drawn(self.commits.part(start, stop), cut(self.siblings, slice(start, stop)))


class TreeJudge(Judge[_Drawn]):
    """Judge a verification kernel for trees by the law of what it commits.

    Parameters
    ----------
    kernel : subject with ``verify_tree``, ``tree``, ``drafts`` and ``vocab_size``
        See :func:`scd_analysis.subjects.tree_kernel`.
    seeds, for_pit : numpy.random.SeedSequence
        Of windows and of the kernel's generator; and of the variates that randomise PITs.
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
        kernel: Any,
        seeds: np.random.SeedSequence,
        for_pit: np.random.SeedSequence,
        log_threshold: float,
        limit: int,
        timeout: float | None = None,
        epsilon: float = 0.0,
    ) -> None:
        super().__init__(log_threshold, limit, ANY)
        self.epsilon = epsilon
        self._kernel, self._seeds, self._timeout = kernel, seeds, timeout
        self._rng = np.random.default_rng(for_pit)
        self._any: AnyRule | AnyRuleWithin
        self._any = AnyRuleWithin(kernel.vocab_size, epsilon) if epsilon else AnyRule(kernel.vocab_size, OF_TREES)
        self._alike = 0
        self.vocab_size, self.num_tokens = kernel.vocab_size, kernel.tree.height + 1

    @property
    def taken(self) -> tuple[str, str]:
        """Sequential."""
        kind = f"a tree of {len(self._kernel.tree)} drafts ({self._kernel.drafts})"
        return "sequential", f"the subject is a verification function for {kind}, tried on laws made up by the audit"

    @property
    def most_at_once(self) -> int:
        """So many that laws take 64 MiB."""
        return int(max(64, min(2**14, 2**23 // (self.num_tokens * self.vocab_size**2))))

    def draw(self, size: int) -> _Drawn:
        """Make windows, have them verified, and lay out what came back."""
        for_windows, for_kernel = self._seeds.spawn(1)[0].spawn(2)
        windows = self._windows(for_windows, size)
        emitted = self._verify(windows, _seed(for_kernel))
        if not self._looked_at and self.limit >= 2 * PAIRS:
            self._compare_windows(min(PAIRS, self.most_at_once // 2))
        if self.epsilon:
            emitted = completed(windows.tables, emitted, self._rng)
        siblings = first_of_one_variate(self._kernel.tree, self._kernel.drafts, windows)
        return _Drawn(as_commits(self._kernel.tree, self._kernel.drafts, windows, emitted), siblings)

    def _windows(self, seeds: np.random.SeedSequence, size: int) -> TreeWindows:
        kernel = self._kernel
        rng = np.random.default_rng(seeds)
        tables = make_tables(rng, size, kernel.tree, self.vocab_size, kernel.drafts)
        tables = telling(rng, tables, kernel.tree, kernel.drafts)
        noise = Seeded(_seed(seeds), Library(numpy=True))
        return draw_tree(tables, kernel.tree, kernel.drafts, noise.picked)

    def _verify(self, windows: TreeWindows, seed: int) -> Longs:
        found: Longs = guarded(f"kernel (seed {seed})", lambda: self._kernel.verify_tree(windows, seed), self._timeout)
        return found

    def _compare_windows(self, pairs: int) -> None:
        """Look whether windows of a call share noise, or calls do; in a stream of seeds apart."""
        apart = np.random.SeedSequence(self._seeds.entropy, spawn_key=(*self._seeds.spawn_key, 2**31))
        ways = pairings(pairs)
        for_windows, *seeds = apart.spawn(1 + len(ways) * (1 + CALLS))
        windows = self._windows(for_windows, pairs)
        for i, (first, second) in enumerate(ways):
            own = [_seed(seed) for seed in seeds[i * (1 + CALLS) : (i + 1) * (1 + CALLS)]]
            order = np.empty(2 * pairs, dtype=np.int64)
            order[first] = order[second] = np.arange(pairs)
            call = cut(windows, order)
            emitted, again = self._verify(call, own[0]), np.empty((2 * pairs, self.num_tokens), dtype=np.int64)
            for k, seed in enumerate(own[1:]):  # several, since what a whole call shares may be alike in two
                mine = order % CALLS == k
                again[mine] = self._verify(call, seed)[mine]
            if (emitted == again).all():
                raise InputError(
                    f"kernel: {len(emitted)} windows come out the same under other seeds: it does not draw from its "
                    "generator, its seed or a global generator"
                )
            alike, alike_apart = (emitted[first] == part[second] for part in (emitted, again))
            one_call, two_calls = alike.all(axis=1), alike_apart.all(axis=1)
            if log_odds_of_one_call((one_call,), (two_calls,)) > ESTABLISHED + np.log(len(ways)):
                self._alike = int(one_call.sum())
                return

    def parts(self, drawn: _Drawn) -> Iterator[tuple[_Drawn, int]]:
        """Parts that grow with what was seen."""
        for start, stop in chunk_lengths(len(drawn.commits), self._looked_at, PART_GROWTH, SMALLEST_PART):
            yield drawn.part(start, stop), stop - start

    def bet(self, part: _Drawn, offset: int) -> Floats:
        """Bet on committed tokens."""
        if isinstance(self._any, AnyRuleWithin):
            laws = part.commits.draft_probs
            assert laws is not None
            path = self._any.bet(part.commits, laws[:, :-1])
        else:
            path = self._any.bet(part.commits, self._rng.random(part.commits.final.shape), part.siblings)
        return np.full_like(path, np.inf) if self._alike else path

    @property
    def balls(self) -> RobustPortfolio[Batch] | None:
        """Who decides, where epsilon is above zero."""
        return self._any.portfolio if isinstance(self._any, AnyRuleWithin) else None

    def findings(self) -> tuple[Finding, ...]:
        """What the richest bettor says."""
        said = Finding("any", self._any.message, float(self._any.portfolio.log_e_value), self.refuted)
        shared = Finding("windows-share-noise", WINDOWS_SHARE.message, np.inf, True)
        return (shared, said) if self._alike else (said,)

    def diagnosis(self) -> Diagnosis | None:
        """Say what committed tokens lean to, or that windows share noise."""
        if not self.refuted:
            return None
        if self._alike:
            return Diagnosis(Condition.INDEPENDENCE, WINDOWS_SHARE.message, 0, 0, 0, None, (), np.inf)
        condition = self._any.condition if isinstance(self._any, AnyRule) else None
        return Diagnosis(condition, self._any.message, None, None, self.seen - 1, None, (), 0.0)

    def resolutions(self) -> dict[str, dict[str, float]]:
        """Total variation of one committed token, along one direction."""
        return {self.grade: {"committed tokens": self._any.resolution(self.log_threshold)}}

    def log_weights(self) -> dict[str, float]:
        """Of all arms that decide."""
        portfolio = self._any.portfolio
        return {f"any/{arm}": float(own) for arm, own in zip(portfolio.arms, portfolio.log_weights, strict=True)}


def completed(tables: Tables, emitted: Longs, rng: np.random.Generator) -> Longs:
    """Complete what windows commit by draws from the target, Long[B, D + 1].

    Factors that are fair over a ball have a mean below one under the target itself, so that the draws count; the law of
    each depends on the token before, which a mean over one position does not know.
    """
    found = emitted.copy()
    for k in range(found.shape[1]):
        left = np.flatnonzero(found[:, k] < 0)
        last = found[left, k - 1] if k else np.zeros(len(left), dtype=np.int64)
        edges = np.cumsum(tables.target[left, k, last], axis=-1)
        found[left, k] = (edges <= rng.random((len(left), 1)) * edges[:, -1:]).sum(axis=-1)
    return found


def first_of_one_variate(tree: Tree, drafts: str, windows: TreeWindows) -> Floats | None:
    """The law of the first token if one variate decides on all drafts of it, Float[B, V]; None where there is one.

    Drafts behind it are left alone: after which of them a token comes is not told by what was committed.
    """
    children, target = tree.children(ROOT), windows.tables.target[:, 0, 0]
    if drafts in WITH_LAWS:
        return of_siblings(target, windows.tables.draft[:, 0, 0], len(children), drafts)
    return of_given(target, windows.tokens[:, list(children)]) if len(children) > 1 else None


def as_commits(tree: Tree, drafts: str, windows: TreeWindows, emitted: Longs) -> Commits:
    """Arrange what a kernel commits as windows of D positions and one more, with the laws that bets may know.

    Where drafts are right on average only, the law they are drawn from after the committed tokens; where each draft is
    one by itself, the uniform law on the children of the node that the committed tokens lead to.
    """
    tables, ends = windows.tables, np.full(len(emitted), tree.height)
    known = drafts in WITH_LAWS
    draft = tables.along(tables.draft, emitted) if known else _over_children(tree, windows, emitted)
    target = tables.along(tables.target, emitted)
    with np.errstate(divide="ignore", invalid="ignore"):
        return lay_out(
            np.maximum(emitted[:, :-1], 0), draft, target, emitted, np.zeros(len(emitted), dtype=np.int64), ends
        )


def _over_children(tree: Tree, windows: TreeWindows, emitted: Longs) -> Floats:
    """The uniform law on the children after the committed tokens, Float[B, D, V]; NaN where they lead to none."""
    laws = np.full((len(emitted), tree.height, windows.tables.target.shape[-1]), np.nan)
    at = np.full(len(emitted), ROOT)
    for k in range(tree.height):
        after = np.full(len(emitted), len(tree))  # nowhere
        for node in range(ROOT, len(tree)):
            rows, children = np.flatnonzero(at == node), tree.children(node)
            if not len(rows) or not children:
                continue
            laws[rows, k] = 0
            for child in children:
                laws[rows, k, windows.tokens[rows, child]] += 1 / len(children)
                same = windows.tokens[rows, child] == emitted[rows, k]
                after[rows[same]] = child
        at = after
    return laws


def _seed(sequence: np.random.SeedSequence) -> int:
    return int(sequence.generate_state(1)[0] >> 1)
