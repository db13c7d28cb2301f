"""Exact verification rules that engines have, one window at a time in plain NumPy, as kernels and as decoders.

They share no code with the reference decoder nor with the audit's own rules, so that either can be tried on them. A
rule is ``rule(rng, drafts, draft_laws, target_laws) -> (number of accepted drafts, the token after them)``, with one
target law more than there are drafts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
import xarray as xr

from scd_analysis import TraceWriter, open_trace

Law = npt.NDArray[np.float64]
Rule = Callable[[Any, Sequence[int], Sequence[Law], Sequence[Law]], tuple[int, int]]


class Laws(Protocol):
    """Laws of the next token."""

    vocab_size: int
    num_tokens: int

    def law(self, prefix: Sequence[int]) -> Law:
        """Return Float[V], of the token after these."""
        ...


class LookedUp:
    """The laws of a target model, one prefix at a time."""

    def __init__(self, model: Any) -> None:
        self.vocab_size, self.num_tokens = model.vocab_size, model.num_tokens
        self._model, self._known = model, dict[tuple[int, ...], Law]()

    def law(self, prefix: Sequence[int]) -> Law:
        """See :class:`Laws`."""
        key = tuple(prefix)
        if key not in self._known:
            tokens = torch.tensor([key], dtype=torch.int64).reshape(1, len(key))
            self._known[key] = np.asarray(self._model.next_token_probs(tokens), dtype=np.float64)[0, -1]
        return self._known[key]


def pick(rng: Any, law: Law) -> int:
    """Draw in proportion to a law."""
    upto = np.cumsum(law, dtype=np.float64)
    return int(min((upto <= rng.random() * upto[-1]).sum(), np.flatnonzero(law)[-1]))


def rejection(
    rng: Any, drafts: Sequence[int], draft_laws: Sequence[Law], target_laws: Sequence[Law]
) -> tuple[int, int]:
    """Modified rejection sampling."""
    for k, (x, q, p) in enumerate(zip(drafts, draft_laws, target_laws, strict=False)):
        if rng.random() * q[x] >= p[x]:
            rest = np.maximum(p - q, 0)
            return k, pick(rng, rest if rest.sum() > 0 else p)
    return len(drafts), pick(rng, target_laws[-1])


def exact_match(
    rng: Any, drafts: Sequence[int], draft_laws: Sequence[Law], target_laws: Sequence[Law]
) -> tuple[int, int]:
    """The target is sampled at every slot, and drafts stand as long as they are what was sampled."""
    for k, p in enumerate(target_laws):
        y = pick(rng, p)
        if k == len(drafts) or y != drafts[k]:
            return k, y
    raise AssertionError


def point_mass(
    rng: Any, drafts: Sequence[int], draft_laws: Sequence[Law], target_laws: Sequence[Law]
) -> tuple[int, int]:
    """Drafts are accepted with p(x), and replaced from p without x."""
    for k, (x, p) in enumerate(zip(drafts, target_laws, strict=False)):
        if rng.random() >= p[x]:
            return k, pick(rng, np.where(np.arange(len(p)) == x, 0, p))
    return len(drafts), pick(rng, target_laws[-1])


def block(
    rng: Any,
    drafts: Sequence[int],
    draft_laws: Sequence[Law],
    target_laws: Sequence[Law],
    *,
    scaled: bool = True,
) -> tuple[int, int]:
    """Block verification: the longest run that passes, and a residual that is scaled by how likely the run is."""
    size, weight = len(drafts), [1.0]
    for x, q, p in zip(drafts, draft_laws, target_laws, strict=False):
        weight.append(min(1.0, weight[-1] * p[x] / q[x]))
    accepted = 0
    for k in range(1, size + 1):
        passes = weight[k]
        if k < size:
            mass = np.maximum(weight[k] * target_laws[k] - draft_laws[k], 0).sum()
            passes = mass / (mass + 1 - weight[k]) if mass + 1 > weight[k] else 1.0
        if rng.random() < passes:
            accepted = k
    if accepted == size:
        return size, pick(rng, target_laws[size])
    scale = weight[accepted] if scaled else 1.0
    rest = np.maximum(scale * target_laws[accepted] - draft_laws[accepted], 0)
    return accepted, pick(rng, rest if rest.sum() > 1e-12 else target_laws[accepted])


def gumbel_match(
    rng: Any, drafts: Sequence[int], draft_laws: Sequence[Law], target_laws: Sequence[Law]
) -> tuple[int, int]:
    """The noise that raced for the drafts races for the tokens that decide on them; see :class:`Noisy`.

    With the noise of :class:`Uniform` this is quantile match.
    """
    for k, p in enumerate(target_laws):
        y: int = rng.race(k, p)
        if k == len(drafts) or y != drafts[k]:
            return k, y
    raise AssertionError


class Noisy:
    """Random numbers, and Gumbel noise of every slot of a pass, for rules that race."""

    def __init__(self, rng: np.random.Generator, size: int, vocab_size: int) -> None:
        self._rng, self._noise = rng, rng.gumbel(size=(size, vocab_size))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._rng, name)

    def race(self, slot: int, law: Law) -> int:
        """Return who wins the race of a slot under a law."""
        with np.errstate(divide="ignore"):
            return int((np.log(law) + self._noise[slot]).argmax())


class Uniform(Noisy):
    """Random numbers, and one uniform variate of every slot of a pass, which draws by inverse CDFs."""

    def __init__(self, rng: np.random.Generator, size: int, vocab_size: int) -> None:
        self._rng, self._noise = rng, rng.random(size)

    def race(self, slot: int, law: Law) -> int:
        """Return the token that the inverse CDF of a law gives for the variate of a slot."""
        upto = np.cumsum(law, dtype=np.float64)
        return int(min((upto <= self._noise[slot] * upto[-1]).sum(), np.flatnonzero(law)[-1]))


def as_kernel(rule: Rule, *, laws: bool = True) -> Callable[..., list[list[int]]]:
    """A verification function that returns lists, with a parameter for the laws of drafts or without one."""

    def verify(draft_tokens: Any, draft_probs: Any, target_probs: Any, rng: Any) -> list[list[int]]:
        rows = range(len(draft_tokens))
        known = [None] * len(rows) if draft_probs is None else np.asarray(draft_probs, dtype=np.float64)
        target = np.asarray(target_probs, dtype=np.float64)
        found = [rule(rng, draft_tokens[i].tolist(), known[i], target[i]) for i in rows]  # type: ignore[arg-type]
        return [[*draft_tokens[i][:a].tolist(), y] for i, (a, y) in zip(rows, found, strict=True)]

    def without(draft_tokens: Any, target_probs: Any, rng: Any) -> list[list[int]]:
        return verify(draft_tokens, None, target_probs, rng)

    return verify if laws else without


@dataclass(frozen=True)
class Loop:
    """A decoder around a rule that drafts with a model of its own, as a subject that returns a trace.

    Attributes
    ----------
    rule : callable
    draft : Laws
        Of the drafts.
    window : int
        L.
    declared : str
        ``"point-mass"``, or ``"laws"``: those that the drafts were drawn from.
    noise : type of Noisy, optional
        What draws the drafts, and decides on them; by default they are drawn with noise of their own.
    attributes : dict
        Of the trace.
    """

    rule: Rule
    draft: Laws
    window: int = 3
    declared: str = "point-mass"
    noise: type[Noisy] | None = None
    attributes: dict[str, Any] = field(default_factory=dict)

    def __call__(self, model: Any, num_sequences: int, seed: int) -> xr.Dataset:
        """Decode so many sequences."""
        target = LookedUp(model)
        rng, tokens, rows = np.random.default_rng(seed), [], []
        for _ in range(num_sequences):
            done: list[int] = []
            made: list[dict[str, Any]] = []
            while len(done) < target.num_tokens:
                done, row = self._pass(rng, done, target)
                made.append(row)
            tokens.append(done)
            rows.append(made)
        return self._written(tokens, rows, target)

    def _pass(self, rng: np.random.Generator, tokens: list[int], model: Laws) -> tuple[list[int], dict[str, Any]]:
        window, vocab_size = self.window, model.vocab_size
        size = min(window, model.num_tokens - len(tokens))
        drafts: list[int] = []
        laws: list[Law] = []
        noisy = (self.noise or Noisy)(rng, size + 1, vocab_size)
        for k in range(size):
            laws.append(self.draft.law([*tokens, *drafts]))
            drafts.append(noisy.race(k, laws[-1]) if self.noise else pick(noisy, laws[-1]))
        laws = list(np.eye(vocab_size)[drafts]) if self.declared == "point-mass" else laws
        target = [model.law([*tokens, *drafts[:k]]) for k in range(min(size, model.num_tokens - len(tokens) - 1) + 1)]
        target += target[-1:] * (size + 1 - len(target))  # behind the last token nothing is committed
        accepted, token = self.rule(noisy, drafts, laws, target)
        row: dict[str, Any] = {
            "base": len(tokens),
            "draft_token": np.full(window, -1),
            "next_token": np.zeros(window, dtype=int),
            "accepted": np.arange(window) < accepted,
            "age": np.zeros(window, dtype=int),
            "bonus_token": token if accepted == size and len(tokens) + size < model.num_tokens else -1,
            "draft_probs": np.zeros((window, vocab_size)),
            "target_probs": np.zeros((window, vocab_size)),
        }
        row["draft_token"][:size] = row["next_token"][:size] = drafts
        row["draft_probs"][:size], row["target_probs"][:size] = laws, target[:size]
        if accepted < size:
            row["next_token"][accepted] = token
        return [*tokens, *drafts[:accepted], token][: model.num_tokens], row

    def _written(self, tokens: list[list[int]], rows: list[list[dict[str, Any]]], model: Laws) -> xr.Dataset:
        sizes = {"vocab_size": model.vocab_size, "num_tokens": model.num_tokens, "window": self.window}
        with TraceWriter(None, **sizes, laws=True, decoder="rule", **self.attributes) as trace:
            trace.begin_batch(len(tokens))
            for t in range(max(map(len, rows))):
                index = [i for i, made in enumerate(rows) if t < len(made)]
                trace.append(
                    sequence=index, **{name: np.stack([rows[i][t][name] for i in index]) for name in rows[0][0]}
                )
            trace.finish_batch(tokens=np.array(tokens), nfe=[len(made) for made in rows])
        return open_trace(trace.store)
