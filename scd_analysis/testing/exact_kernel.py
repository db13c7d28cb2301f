"""``assert_exact_kernel``: a verification kernel proved on small laws, by following its random choices."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import numpy as np

from scd_analysis.audit.adapters.handed import Followed, Library
from scd_analysis.audit.adapters.kernel import Kernel, kernel
from scd_analysis.audit.adapters.tree_kernel import TreeKernel, tree_kernel
from scd_analysis.audit.tree import Tables, Tree, TreeWindows, as_tree, draw_tree
from scd_analysis.errors import CannotEnumerate, InputError
from scd_analysis.evidence.batch import Floats, Longs
from scd_analysis.exact.engine import exact_law
from scd_analysis.testing.lossless import name_of
from scd_analysis.validate import check_at_least, check_known

TOLERANCE = 1e-9
"""Total variation of whole windows that passes: laws are handed over in float64."""

MOST_SEQUENCES = 20_000

Committed = tuple[int, ...]

Judged = tuple[tuple[int, Committed], Mapping[Committed, float], int]
"""How many drafts, and which where that matters; the law of what is committed; and paths that were followed."""


@dataclass(frozen=True)
class ExactKernel:
    """What was proved.

    Attributes
    ----------
    laws : tuple of str
        On which laws.
    branches : int
        Paths of random choices, all laws together.
    total_variation : float
        The largest, of whole windows.
    """

    laws: tuple[str, ...]
    branches: int
    total_variation: float


@dataclass(frozen=True)
class Departure:
    """Where what a kernel commits is furthest from its target law.

    Attributes
    ----------
    prefix : tuple of int
        Tokens of the window before it.
    law, target : Float[V]
        Of the next token.
    total_variation : float
        Of whole windows.
    """

    prefix: Committed
    law: Floats
    target: Floats
    total_variation: float

    def __str__(self) -> str:
        token = int(np.abs(self.law - self.target).argmax())
        there = 0.5 * float(np.abs(self.law - self.target).sum())
        after = f"after the tokens {list(self.prefix)}" if self.prefix else "for the first token"
        return (
            f"{after}, token {token} has probability {self.law[token]:.9g}, in the target law "
            f"{self.target[token]:.9g} (total variation {there:.3g} there, {self.total_variation:.3g} of whole windows)"
        )


def assert_exact_kernel(
    verify: Callable[..., Any] | Kernel | TreeKernel,
    *,
    tree: Any = None,
    drafts: str | None = None,
    vocab_size: int = 3,
    window: int = 2,
    tolerance: float = TOLERANCE,
    max_seconds: float | None = None,
    laws: Sequence[str] | None = None,
    **options: Any,
) -> ExactKernel:
    """Fail unless a verification kernel is exact, proved by enumeration on small laws.

    Drafts are drawn from laws that are known, the kernel is run along every path of its random choices, and what it
    commits, completed by draws from the target, must have the target's law (Sun et al. 2024): at every prefix, for
    laws that differ, have zeros, are equal, are flat against peaked, and are point masses. The target's law depends on
    the token before. Where the kernel takes several windows a call, a certain one lies before the one that is judged.

    Parameters
    ----------
    verify : callable
        As for :func:`scd_analysis.subjects.kernel`, or, with ``tree``, for :func:`scd_analysis.subjects.tree_kernel`;
        or what either returned, then without further options but ``tolerance`` and ``max_seconds``.
    tree : sequence of int, optional
        The parent of each node.
    drafts : str, optional
        As for the subject.
    vocab_size, window : int
        V, and L of a chain; paths multiply. With three tokens and two drafts most slips show; a rule that looks ahead
        needs them, and a fault of the third position a window of three.
    tolerance : float
        Total variation of whole windows that passes.
    max_seconds : float, optional
        What each law may take.
    laws : sequence of str, optional
        Which to try: all by default, ``"different"``, ``"target with zeros"``, ``"drafts with zeros"``, ``"equal"``,
        ``"flat drafts"``, ``"certain target"``, ``"certain drafts"``.
    options
        Passed on to the subject: ``output``, ``arguments``, ``numpy``, ``bonus``, ``layout`` and the rest.

    Returns
    -------
    ExactKernel
        What was proved.

    Raises
    ------
    AssertionError
        Naming the law, the prefix and by how much the next token's law is off.
    CannotEnumerate
        If the kernel does something with a variate that cannot be followed, or the time was not enough.
    InputError
        If an argument is not what it should be.
    """
    __tracebackhide__ = True
    subject = _subject(verify, tree, drafts, vocab_size, window, options)
    problem = _Problem.of(subject)
    known, branches, worst = laws_to_try(problem.tree, subject.vocab_size), 0, 0.0
    for name in known if laws is None else laws:
        check_known(name, known, "laws")
        tables = problem.as_handed(known[name])
        for case, law, number in problem.laws(tables, max_seconds):
            branches += number
            found = departure(law, problem.processed(tables), problem.depth(case), subject.vocab_size)
            worst = max(worst, found.total_variation)
            if found.total_variation > tolerance:
                raise AssertionError(f"{problem.name} is not exact. Laws {name!r}{problem.told(case)}: {found}")
    return ExactKernel(tuple(known if laws is None else laws), branches, worst)


def _subject(
    verify: Any, tree: Any, drafts: str | None, vocab_size: int, window: int, options: dict[str, Any]
) -> Kernel | TreeKernel:
    if isinstance(verify, (Kernel, TreeKernel)):
        if tree is not None or drafts is not None or options:
            raise InputError(f"verify is a {type(verify).__name__} that has been made: its options are stated there")
        return verify
    if tree is None:
        return kernel(verify, drafts=drafts, vocab_size=vocab_size, window=window, **options)
    return tree_kernel(verify, tree, drafts or "independent", vocab_size=vocab_size, **options)


def laws_to_try(tree: Tree, vocab_size: int) -> dict[str, Tables]:
    """Small laws of many kinds, of a window each; no entry is random."""
    size, depth = vocab_size, tree.height
    place = np.arange(size)
    ramp = np.array([[1.0 + (place + 2 * last + d) % size for last in place] for d in range(depth + 1)])
    steep = ramp**2
    holes = np.where((place + place[:, None]) % size == 0, 0, ramp)
    holes[holes.sum(axis=-1) == 0] = 1
    flat, back = np.ones_like(ramp), ramp[..., ::-1]
    point = np.where(place == (place[:, None] + 1) % size, 1.0, 0.0) + np.zeros_like(ramp)
    pairs = {
        "different": (ramp + 1, back**2),  # what a first rejection leaves has two tokens, of three already
        "target with zeros": (holes, ramp),
        "drafts with zeros": (back, holes),
        "equal": (steep, steep),
        "flat drafts": (steep**2, flat),
        "certain target": (point, ramp),
        "certain drafts": (ramp, point),
    }
    return {name: Tables(_law(target)[None], _law(draft)[None, :-1]) for name, (target, draft) in pairs.items()}


def _law(weights: Floats) -> Floats:
    return np.asarray(weights / weights.sum(axis=-1, keepdims=True))


@dataclass(frozen=True)
class _Problem:
    """A kernel with how it is put to the test: the shape of its windows, and cases that are judged by themselves.

    A case is how many drafts a window has, and, where drafts are points that come from anywhere, which they are.
    """

    subject: Kernel | TreeKernel
    tree: Tree
    drafts: str
    company: int
    lengths: tuple[int, ...]

    @classmethod
    def of(cls, subject: Kernel | TreeKernel) -> _Problem:
        company = 0 if subject.batch_size == 0 else 1 if subject.batch_size is None else subject.batch_size - 1
        if isinstance(subject, TreeKernel):
            tree, drafts = subject.tree, subject.drafts
            lengths: tuple[int, ...] = (tree.height,)
        else:
            tree = as_tree(range(-1, subject.window - 1))
            lengths = tuple(range(subject.shortest or 0, subject.window + 1))
            lengths = lengths if subject.shortest is not None else (subject.window,)
            drafts = "no-q" if subject.point_mass else "independent"
        sequences = subject.vocab_size ** (tree.height + 1)
        check_at_least(MOST_SEQUENCES, sequences, "the number of windows that can be listed")
        return cls(subject, tree, drafts, company, lengths)

    @property
    def name(self) -> str:
        """What the kernel is called."""
        return name_of(self.subject.function)

    @property
    def points(self) -> bool:
        """Whether each draft is right by itself, and not on average over its law."""
        return self.drafts in ("top-k", "no-q")

    def as_handed(self, tables: Tables) -> Tables:
        """Laws with the drafts that are possible."""
        draft = tables.draft
        if isinstance(self.subject, Kernel) and self.subject.draft_ids is not None:
            place = np.arange(draft.shape[-1])
            draft = _law(np.where(np.isin(place, self.subject.draft_ids), draft + 0.01, 0))
        if self.drafts == "without-replacement" or (self.points and isinstance(self.subject, TreeKernel)):
            draft = _law(draft + 0.02)  # enough tokens for all children
        return Tables(tables.target, draft)

    def processed(self, tables: Tables) -> Tables:
        """The laws that the kernel is to have, where it processes those it is handed."""
        if isinstance(self.subject, TreeKernel):
            return tables
        target = tables.target.copy()
        for d in range(target.shape[1]):
            for last in range(target.shape[2]):
                rows = np.repeat(target[:, d, last][:, None], self.tree.height + 1, axis=1)
                target[:, d, last] = self.subject.processed(np.repeat(rows, 1 + self.company, axis=0))[-1, 0]
        return Tables(target, tables.draft)

    def laws(self, tables: Tables, max_seconds: float | None) -> list[Judged]:
        """The law of what is committed, by case, with the number of paths that were followed."""
        found: list[Judged] = []
        for length in self.lengths:
            try:
                law = exact_law(partial(self._once, tables, length), max_seconds=max_seconds, progress=False)
            except CannotEnumerate as error:
                raise CannotEnumerate(
                    f"{self.name}: {error}\nWhat cannot be followed can be sampled: "
                    "scd_analysis.audit(subjects.kernel(...)), or subjects.tree_kernel"
                ) from None
            if not law.complete:
                raise CannotEnumerate(
                    f"{self.name}: max_seconds = {max_seconds} leaves {float(law.unexplored_mass):.3g} of the "
                    "probability; allow more, or take a smaller window or vocabulary"
                )
            cases: dict[Any, dict[Committed, float]] = {}
            for outcome, probability in law.probabilities.items():
                case, committed = cast("tuple[Committed, Committed]", outcome)
                cases.setdefault(case, {})[committed] = float(probability)
            for of, masses in cases.items():
                total = sum(masses.values())
                found.append(((length, of), {c: m / total for c, m in masses.items()}, law.branches // len(cases)))
        return found

    def _once(self, tables: Tables, length: int) -> tuple[Committed, Committed]:
        """Draw the drafts of a window, and have it verified after certain ones."""
        drawn = draw_tree(tables, self.tree, self.drafts, Followed(Library(numpy=True)).picked)
        emitted = self._verified(drawn, length)[-1]
        case = tuple(drawn.tokens[0].tolist()) if self.points else ()
        return case, tuple(int(token) for token in emitted if token >= 0)

    def _verified(self, drawn: TreeWindows, length: int) -> Longs:
        certain, order = _certain(self.tree, drawn), [1] * self.company + [0]
        tables = Tables(*(np.concatenate([getattr(part.tables, name) for part in (drawn, certain)])[order]
                          for name in ("target", "draft")))  # fmt: skip
        windows = TreeWindows(tables, np.concatenate([drawn.tokens, certain.tokens])[order])
        if isinstance(self.subject, TreeKernel):
            return self.subject.verify_followed(windows)
        draft, target = windows.draft_probs(self.tree), windows.target_probs(self.tree)
        if self.points:
            draft = (np.arange(draft.shape[-1]) == windows.tokens[..., None]).astype(np.float64)
        lengths = np.array([max(length - 1, self.lengths[0])] * self.company + [length])
        return self.subject.verify_followed(windows.tokens, draft, target, lengths)[0]

    def depth(self, case: Any) -> int:
        """Tokens of a window at most."""
        length, _ = case
        return length + (1 if isinstance(self.subject, TreeKernel) or self.subject.has_bonus else 0)

    def told(self, case: Any) -> str:
        """A case in words."""
        length, tokens = case
        words = f", {length} drafts" if len(self.lengths) > 1 else ""
        return words + (f", drafts {list(tokens)}" if tokens else "")


def _certain(tree: Tree, like: TreeWindows) -> TreeWindows:
    """A window of which everything is certain: the same token over and over, or the first ones for children."""
    size = like.tables.target.shape[-1]
    tokens = np.zeros((1, len(tree)), dtype=np.int64)
    for node in range(-1, len(tree)):
        for rank, child in enumerate(tree.children(node)):
            tokens[0, child] = rank % size
    first = np.zeros(size)
    first[0] = 1.0
    target, draft = (np.broadcast_to(first, part.shape) for part in (like.tables.target, like.tables.draft))
    return TreeWindows(Tables(target, draft), tokens)


def departure(law: Mapping[Committed, float], tables: Tables, depth: int, vocab_size: int) -> Departure:
    """Complete what is committed by draws from the target, and find the prefix where the next token is furthest off.

    Parameters
    ----------
    law : mapping of tuple of int to float
        The law of what is committed.
    tables : Tables
        Of one window.
    depth : int
        Tokens of a whole window.
    vocab_size : int
    """
    through: dict[Committed, float] = {}
    for committed, mass in law.items():
        for k in range(len(committed)):
            through[committed[: k + 1]] = through.get(committed[: k + 1], 0.0) + mass
    worst, largest, apart = None, -1.0, 0.0
    level: list[tuple[Committed, float, float, float]] = [((), 1.0, 0.0, 1.0)]  # reached, completed before, expected
    for d in range(depth):
        following = []
        for prefix, reached, completed, expected in level:
            target = tables.target[0, d, prefix[-1] if prefix else 0]
            completed += law.get(prefix, 0.0)  # these end here, and are completed from here on
            masses = [completed * float(target[v]) for v in range(vocab_size)]
            next_mass = [masses[v] + through.get((*prefix, v), 0.0) for v in range(vocab_size)]
            if reached > 0:
                next_law = np.array(next_mass) / sum(next_mass)
                weight = reached * float(np.abs(next_law - target).sum())
                if weight > largest:
                    worst, largest = (prefix, next_law, np.asarray(target)), weight
            following += [
                ((*prefix, v), next_mass[v], masses[v], expected * float(target[v])) for v in range(vocab_size)
            ]
        level = following
    apart = 0.5 * sum(abs(mass - expected) for _, mass, _, expected in level)
    assert worst is not None
    return Departure(*worst, apart)
