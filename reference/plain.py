"""The same decoder once more, slowly: one sequence, plain Python, any arithmetic. The specification of the kernel.

It runs on floats with the kernel's own noise (:class:`KeyedDraws`), and then gives the same tokens; and it runs under
``scd_analysis.exact_law`` on Fractions, so that "lossless" is an equality of fractions. Randomness comes from
``draws``, whose contract is ``scd_analysis.exact.draws``: a key ``(purpose, position, iteration)`` draws once.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, ClassVar, NamedTuple

import torch

from reference.drafting import DraftingRule, DrawnFrom, Gumbel, Maximal, Mixture, VerificationPrediction
from reference.draws import Purpose, exponentials, inverse_cdf, uniform_pair
from reference.methods import Method
from reference.models.base import TargetModel
from reference.verification import PositionRule

Law = tuple[Any, ...]
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
    """

    laws: Laws
    vocab_size: int
    num_tokens: int
    window: int
    method: Method
    width: int | None = None

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
        return self._law(prefix, draws)

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
            if self.method.copies:
                token = known[self._neighbour(position, first)]
            else:
                token = draws.categorical((Purpose.INITIAL, position, 0), [draws.number(1)] * self.vocab_size)
            slots.append(Slot(token, self._initial_law(token, draws), None))
        return slots

    def _initial_law(self, token: int, draws: Any) -> Law:
        if self.method.initial_law == "uniform":
            return (draws.number(1) / self.vocab_size,) * self.vocab_size
        return self._point(token, draws)

    def _neighbour(self, position: int, first: int) -> int:
        if self.method.initial == "upper":
            assert self.width is not None
            above = position - self.width * ((position - first) // self.width + 1)
            if above >= 0:
                return above
        return first - 1

    def _verify(self, window: Window, i: int, draws: Any) -> tuple[int, bool]:
        """Modified rejection sampling of one draft, or the method's rule for one position."""
        rule, slot, target = self.method.verification, window.slots[i], window.targets[i]
        uniform, residual = draws.uniform(window.key(Purpose.VERIFY, i)), window.key("residual", i)
        if isinstance(rule, PositionRule):
            laws, token = (tensor(target), tensor(slot.law)), slot.token
            if uniform < float(rule.acceptance(*laws)[token]):
                return token, True
            return draws.categorical(residual, floats(rule.replacement(*laws, torch.tensor(token)))), False
        if uniform * slot.law[slot.token] < target[slot.token]:
            return slot.token, True
        return draws.residual(residual, target, slot.law), False

    def _redraft(self, window: Window, i: int, verdict: Verdict, draws: Any) -> Slot:
        rule, slot, target = self.method.drafting, window.slots[i], window.targets[i]
        if isinstance(rule, Mixture):
            coupled = draws.uniform(window.key("coin", i)) < draws.number(rule.alpha)
            rule = rule.coupled if coupled else None
        if isinstance(rule, Maximal):
            return Slot(verdict()[0], target, target)
        if isinstance(rule, Gumbel):
            return Slot(draws.race((Purpose.RACE, window.base + i)).winner(target), target, target)
        drawn, declared = self._laws(rule, slot, target, draws)
        return Slot(draws.categorical(window.key(Purpose.DRAFT, i), drawn), declared, target)

    def _laws(self, rule: DraftingRule | None, slot: Slot, target: Law, draws: Any) -> tuple[Law, Law]:
        """The law drawn from and the law declared."""
        if isinstance(rule, VerificationPrediction):  # in any arithmetic
            tilted = self._tilted(rule, slot, target, draws)
            return tilted, tilted if rule.tracked else target
        if isinstance(rule, DrawnFrom):
            previous = target if slot.previous is None else slot.previous
            drawn, declared = rule.laws(tensor(target), tensor(previous))
            return floats(drawn), floats(declared)
        return target, target

    def _tilted(self, rule: VerificationPrediction, slot: Slot, target: Law, draws: Any) -> Law:
        if slot.previous is None or rule.gamma == 0:
            return target
        power = int(rule.gamma) if rule.gamma == int(rule.gamma) else rule.gamma  # keeps a Fraction a Fraction
        most, least = draws.number(rule.clip), draws.number(1) / draws.number(rule.clip)
        pairs = zip(target, slot.previous, strict=True)
        rise = [most if q == 0 else min(most, max(least, (p / q) ** power)) for p, q in pairs]
        weights = [p * w for p, w in zip(target, rise, strict=True)]
        return tuple(w / sum(weights) for w in weights)


def tensor(law: Law) -> torch.Tensor:
    """A law as Float64[V], for rules that are written for tensors."""
    return torch.tensor([float(p) for p in law], dtype=torch.float64)


def floats(law: torch.Tensor) -> Law:
    """The way back."""
    return tuple(law.tolist())


class KeyedDraws:
    """The kernel's noise for one sequence, in float64: what makes the two decoders agree token for token.

    Parameters
    ----------
    seed, sequence : int
        As in :func:`reference.decode`.
    vocab_size : int
        V.
    """

    _PAIRS: ClassVar = {"residual": (Purpose.VERIFY, 1), "coin": (Purpose.DRAFT, 1)}

    def __init__(self, seed: int, sequence: int, vocab_size: int) -> None:
        self.seed, self.sequence, self.vocab_size = seed, torch.tensor(sequence), vocab_size

    def number(self, value: Any) -> float:
        """A float."""
        return float(value)

    def uniform(self, key: tuple[Any, int, int]) -> float:
        """The variate of a key ``(purpose, position, iteration)``."""
        purpose, which = self._PAIRS.get(key[0], (key[0], 0))
        return uniform_pair(self.seed, purpose, self.sequence, torch.tensor(key[1]), key[2])[which].item()

    def categorical(self, key: tuple[Any, int, int], weights: Sequence[float]) -> int:
        """Inverse CDF at ``uniform(key)``."""
        uniform = torch.tensor(self.uniform(key), dtype=torch.float64)
        return int(inverse_cdf(torch.tensor(weights, dtype=torch.float64), uniform))

    def residual(self, key: tuple[Any, int, int], target_probs: Sequence[float], draft_probs: Sequence[float]) -> int:
        """Inverse CDF of ``(target_probs - draft_probs)+``."""
        return self.categorical(key, [max(p - q, 0.0) for p, q in zip(target_probs, draft_probs, strict=True)])

    def race(self, key: tuple[Any, int]) -> KeyedRace:
        """The position's exponentials."""
        return KeyedRace(exponentials(self.seed, self.sequence, torch.tensor(key[1]), self.vocab_size, torch.float64))


class KeyedRace:
    """Exponentials of one position, Float64[V]."""

    def __init__(self, noise: torch.Tensor) -> None:
        self.noise = noise

    def winner(self, weights: Sequence[float]) -> int:
        """``argmax_v weights[v] / e_v``."""
        return int((torch.tensor(weights, dtype=torch.float64) / self.noise).argmax())


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

    grid: tuple[int, int] | None = getattr(model, "grid", None)
    width = grid[1] if grid else None
    return kind(laws, model.vocab_size, model.num_tokens, window, method.for_grid(grid), width)
