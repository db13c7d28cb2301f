"""The same decoder once more, slowly: one sequence, plain Python, any arithmetic. The specification of the kernel.

It runs on floats with the kernel's own noise, and then gives the same tokens (a test has it so); and it runs under
``scd_analysis.exact_law`` on Fractions, so that "lossless" is an equality of fractions. Randomness comes from
``draws``, whose contract is ``scd_analysis.exact.draws``: a key ``(purpose, position, iteration)`` draws once. What a
rule does to a slot is the rule's own plain form (:mod:`reference.plain_forms`); one without is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, NamedTuple

import torch

from reference.draws import Purpose
from reference.methods import Method
from reference.models.base import TargetModel, grid_of
from reference.plain_forms import Law, OneCheck, OneRedraft, plain_form
from reference.verification import VerificationRule
from scd_analysis.errors import UnknownNameError

Laws = Callable[[tuple[int, ...]], Sequence[Any]]
Verdict = Callable[[], tuple[int, bool]]
"""Verify one slot, when asked: the token it holds afterwards, and whether its draft was accepted."""


@dataclass(frozen=True)
class Slot:
    """A draft: its token, the law declared for it, and the position's last target law (None before its first pass)."""

    token: int
    law: Law
    previous: Law | None


@dataclass(frozen=True)
class PlainState:
    """Committed tokens, the drafts that survived, and the number of passes made."""

    committed: tuple[int, ...]
    slots: tuple[Slot, ...]
    iteration: int


class Window(NamedTuple):
    """One pass: the slots, the target law of each, and where and when it is."""

    slots: Sequence[Slot]
    targets: Sequence[Law]
    base: int
    iteration: int

    def key(self, purpose: Hashable, i: int) -> tuple[Any, int, int]:
        """Key of a draw of slot i."""
        return purpose, self.base + i, self.iteration


@dataclass(frozen=True)
class PlainDecoder:
    """One sequence of :func:`reference.decode`, step by step.

    Attributes
    ----------
    laws : callable
        Prefix, a tuple of tokens, to the law of the next token.
    vocab_size, num_tokens, window : int
        V, N and L.
    method : Method
        The decoder.
    width : int or None
        Tokens a row of the image, for initial drafts from the upper neighbour.

    Raises
    ------
    InputError
        If a rule of the method has no plain form.
    """

    laws: Laws
    vocab_size: int
    num_tokens: int
    window: int
    method: Method
    width: int | None = None

    def __post_init__(self) -> None:
        own = PlainDecoder
        if self.method.drafting is not None and type(self)._redraft is own._redraft:
            plain_form(self.method.drafting, "draft_one", "drafting")
        if type(self)._verify is own._verify and type(self)._verdicts is own._verdicts:
            plain_form(self.method.verification, "verify_one", "verification")
        if type(self)._bonus_law is own._bonus_law:
            plain_form(self.method.verification, "bonus_one", "verification")

    def initial_state(self) -> PlainState:
        """Nothing committed, nothing drafted."""
        return PlainState((), (), 0)

    def outcome(self, state: PlainState) -> tuple[int, ...] | None:
        """The sequence, once it is complete."""
        return state.committed if len(state.committed) == self.num_tokens else None

    def state_key(self, state: PlainState) -> Hashable:
        """What decides the future; not the number of passes."""
        return state.committed, state.slots

    def live(self, state: PlainState) -> list[Hashable]:
        """Keys of the noise that later steps may ask for again: the races of the positions that are left."""
        return [(Purpose.RACE, j) for j in range(len(state.committed), self.num_tokens)]

    def run(self, draws: Any) -> tuple[tuple[int, ...], int]:
        """The complete sequence and the passes it took."""
        state = self.initial_state()
        while (done := self.outcome(state)) is None:
            state = self.step(state, draws)
        return done, state.iteration

    def step(self, state: PlainState, draws: Any) -> PlainState:
        """One Jacobi iteration; theory, section 2, in its order."""
        nothing = self.method.drafting is None or (self.method.copies and state.iteration == 0)
        length = 0 if nothing else min(self.window, self.num_tokens - len(state.committed))
        return self._pass(state, self._enter(state, length, draws), draws)

    def _pass(self, state: PlainState, slots: list[Slot], draws: Any) -> PlainState:
        """Verify, commit and redraft a window of drafts."""
        base, iteration, length = len(state.committed), state.iteration, len(slots)
        drafts = tuple(slot.token for slot in slots)
        context = self._context(state)
        targets = [self._law((*context, *drafts[:i]), draws) for i in range(length)]
        window = Window(slots, targets, base, iteration)
        verdicts = self._verdicts(window, draws)
        committed, survivors, rejected = list(state.committed), [], False
        for i, verdict in enumerate(verdicts):
            if rejected:
                survivors.append(self._redraft(window, i, verdict, draws))
            else:
                token, accepted = verdict()
                committed.append(token)
                rejected = not accepted
        if not rejected and len(committed) < self.num_tokens:
            law = self._bonus_law((*context, *drafts), window, draws) if slots else self._law(context, draws)
            committed.append(draws.categorical(window.key(Purpose.BONUS, length), law))
        return self._next(state, window, tuple(committed), tuple(survivors))

    def _context(self, state: PlainState) -> tuple[int, ...]:
        """The tokens before the window, as the model sees them."""
        return state.committed

    def _next(
        self, state: PlainState, window: Window, committed: tuple[int, ...], survivors: tuple[Slot, ...]
    ) -> PlainState:
        return PlainState(committed, survivors, state.iteration + 1)

    def _verdicts(self, window: Window, draws: Any) -> Sequence[Verdict]:
        """One verdict a slot, each on its own."""
        return [partial(self._verify, window, i, draws) for i in range(len(window.slots))]

    def _bonus_law(self, prefix: tuple[int, ...], window: Window, draws: Any) -> Law:
        rows = [partial(tuple, law) for law in window.targets]
        law: Law = plain_form(self.method.verification, "bonus_one", "verification")(
            [*rows, partial(self._law, prefix, draws)]
        )
        return law

    def _law(self, prefix: tuple[int, ...], draws: Any) -> Law:
        law = tuple(draws.number(p) for p in self.laws(prefix))
        return self._point(max(range(len(law)), key=law.__getitem__), draws) if self.method.greedy else law

    def _point(self, token: int, draws: Any) -> Law:
        return tuple(draws.number(int(v == token)) for v in range(self.vocab_size))

    def _enter(self, state: PlainState, length: int, draws: Any) -> list[Slot]:
        """The window: surviving drafts, then initial ones, each declared as the point mass on itself."""
        slots = list(state.slots[:length])
        first = len(state.committed) + len(slots)
        known = (*state.committed, *(slot.token for slot in slots))
        for position in range(first, len(state.committed) + length):
            token = self._initial_token(known, position, first, draws)
            slots.append(Slot(token, self._initial_law(token, draws), None))
        return slots

    def _initial_token(self, known: tuple[int, ...], position: int, first: int, draws: Any) -> int:
        initial = self.method.initial
        if initial in (None, "uniform"):
            token: int = draws.categorical((Purpose.INITIAL, position, 0), [draws.number(1)] * self.vocab_size)
            return token
        if initial == "left":
            return known[first - 1]
        if initial == "upper":
            assert self.width is not None
            above = position - self.width * ((position - first) // self.width + 1)
            return known[above if above >= 0 else first - 1]
        raise UnknownNameError(f"initial = {initial!r}: the plain decoder has no such first drafts")

    def _initial_law(self, token: int, draws: Any) -> Law:
        if self.method.initial_law == "uniform":
            return (draws.number(1) / self.vocab_size,) * self.vocab_size
        if self.method.initial_law == "point":
            return self._point(token, draws)
        raise UnknownNameError(f"initial_law = {self.method.initial_law!r}: the plain decoder has no such law")

    def _verify(self, window: Window, i: int, draws: Any) -> tuple[int, bool]:
        """Verify one draft."""
        return self._verify_by(self.method.verification, window, i, draws)

    def _verify_by(self, rule: VerificationRule, window: Window, i: int, draws: Any) -> tuple[int, bool]:
        slot, residual = window.slots[i], window.key("residual", i)
        one = OneCheck(
            target=window.targets[i],
            declared=slot.law,
            draft=slot.token,
            uniform=partial(draws.uniform, window.key(Purpose.VERIFY, i)),
            draw=partial(draws.categorical, residual),
            residual=partial(draws.residual, residual),
        )
        token, accepted = plain_form(rule, "verify_one", "verification")(one)
        return token, accepted

    def _redraft(self, window: Window, i: int, verdict: Verdict, draws: Any) -> Slot:
        slot, target = window.slots[i], window.targets[i]
        one = OneRedraft(
            target=target,
            previous=slot.previous,
            draft=slot.token,
            declared=slot.law,
            verified=verdict,
            draw=partial(draws.categorical, window.key(Purpose.DRAFT, i)),
            coin=partial(draws.uniform, window.key("coin", i)),
            race=lambda law: draws.race((Purpose.RACE, window.base + i)).winner(law),
            number=draws.number,
        )
        token, declared = plain_form(self.method.drafting, "draft_one", "drafting")(one)
        return Slot(token, declared, target)


def plain_decoder(
    model: TargetModel, method: Method, window: int, kind: type[PlainDecoder] = PlainDecoder
) -> PlainDecoder:
    """The plain decoder of a model, whose laws are asked for prefix by prefix and kept.

    Parameters
    ----------
    model : TargetModel
        Small: one call a prefix.
    method : Method
        The decoder.
    window : int
        L.
    kind : type
        A plain decoder with another step.
    """

    @cache
    def laws(prefix: tuple[int, ...]) -> list[float]:
        tokens = torch.tensor([prefix], dtype=torch.long).reshape(1, len(prefix))
        return [float(p) for p in model.next_token_probs(tokens)[0, -1]]

    grid = grid_of(model)
    width = grid[1] if grid else None
    return kind(laws, model.vocab_size, model.num_tokens, window, method.for_grid(grid), width)
