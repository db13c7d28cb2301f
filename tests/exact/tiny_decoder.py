"""A speculative Jacobi decoder in plain Python, written for these tests alone: theory, section 2, word by word."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from typing import Any

from scd_analysis.exact import Loop

Law = tuple[Any, ...]
Tables = Mapping[tuple[int, ...], Law]


def rational_tables(vocab_size: int, num_tokens: int, seed: int, *, zeros: bool = False) -> Tables:
    """Draw a full-context model whose laws are small fractions."""
    rng = random.Random(seed)
    tables = {}
    for length in range(num_tokens):
        for prefix in product(range(vocab_size), repeat=length):
            weights = [rng.randint(0 if zeros else 1, 6) for _ in range(vocab_size)]
            weights[rng.randrange(vocab_size)] += 1
            tables[prefix] = tuple(Fraction(w, sum(weights)) for w in weights)
    return tables


def target_law(tables: Tables, num_tokens: int) -> dict[tuple[int, ...], Any]:
    law: dict[tuple[int, ...], Any] = {(): 1}
    for _ in range(num_tokens):
        law = {(*x, v): p * q for x, p in law.items() for v, q in enumerate(tables[x]) if q}
    return law


@dataclass(frozen=True)
class Draft:
    token: int
    law: Law


@dataclass(frozen=True)
class State:
    iteration: int
    committed: tuple[int, ...]
    drafts: tuple[Draft, ...]


@dataclass(frozen=True)
class Decoder:
    """One of "sjd", "scd-mc", "scd-gs", with an optional fault: "stale-q", "replace-by-p", "shared-gumbel"."""

    tables: Tables
    vocab_size: int
    num_tokens: int
    window: int
    method: str
    fault: str = ""
    bonus: bool = True

    def initial_state(self) -> State:
        return State(0, (), ())

    def outcome(self, state: State) -> tuple[int, ...] | None:
        return state.committed if len(state.committed) == self.num_tokens else None

    def live(self, state: State) -> list[Any]:
        return [self._noise(j) for j in range(len(state.committed), self.num_tokens)]

    def loop(self) -> Loop:
        return Loop(self.initial_state, self.step, self.outcome, live=self.live)

    def _noise(self, position: int) -> Any:
        return ("gumbel", 0 if self.fault == "shared-gumbel" else position)

    def _one_hot(self, token: int, one: Any) -> Law:
        return tuple(one if v == token else 0 * one for v in range(self.vocab_size))

    def step(self, state: State, draws: Any) -> State:
        base, it, number = len(state.committed), state.iteration, draws.number
        length = min(self.window, self.num_tokens - base)
        drafts = list(state.drafts[:length])
        while len(drafts) < length:
            drafts.append(Draft(0, self._one_hot(0, number(1))))
        prefixes = [state.committed + tuple(d.token for d in drafts[:k]) for k in range(length + 1)]
        laws = [tuple(number(p) for p in self.tables[prefix]) for prefix in prefixes[:length]]
        committed, following, rejected = list(state.committed), [], False
        for k, (draft, p) in enumerate(zip(drafts, laws, strict=True)):
            j = base + k
            if not rejected:
                token, accepted = self._verified(draft, p, j, it, draws)
                committed.append(token)
                rejected = not accepted
            else:
                following.append(self._next(draft, p, j, it, draws))
        if not rejected and self.bonus and len(committed) < self.num_tokens:
            p = tuple(number(x) for x in self.tables[tuple(committed)])
            committed.append(draws.categorical(("bonus", len(committed), it), p))
        return State(it + 1, tuple(committed), tuple(following))

    def _verified(self, draft: Draft, p: Law, j: int, it: int, draws: Any) -> tuple[int, bool]:
        x = draft.token
        if draws.uniform(("accept", j, it)) * draft.law[x] < p[x]:
            return x, True
        if self.fault == "replace-by-p":
            return draws.categorical(("residual", j, it), p), False
        return draws.residual(("residual", j, it), p, draft.law), False

    def _next(self, draft: Draft, p: Law, j: int, it: int, draws: Any) -> Draft:
        if self.method == "sjd":
            return Draft(draws.categorical(("draft", j, it), p), p)
        if self.method == "scd-gs":
            return Draft(draws.race(self._noise(j)).winner(p), p)
        token, accepted = self._verified(draft, p, j, it, draws)
        return Draft(token, draft.law if accepted and self.fault == "stale-q" else p)


def whole(decoder: Decoder) -> Callable[[Any], tuple[int, ...]]:
    """Give the decoder as one function of the draws."""

    def sampler(draws: Any) -> tuple[int, ...]:
        state = decoder.initial_state()
        while decoder.outcome(state) is None:
            state = decoder.step(state, draws)
        return state.committed

    return sampler
