"""The same decoder once more, slowly: one sequence, plain Python, any arithmetic. The specification of the kernel.

It runs on floats with the kernel's own noise (:class:`KeyedDraws`), and then gives the same tokens; and it runs under
``scd_analysis.exact_law`` on Fractions, so that "lossless" is an equality of fractions. Randomness comes from
``draws``, whose contract is ``scd_analysis.exact.draws``: a key ``(purpose, position, iteration)`` draws once.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from reference.drafting import DraftingRule, Gumbel, Maximal, Mixture, VerificationPrediction
from reference.draws import Purpose, exponentials, inverse_cdf, uniform_pair
from reference.methods import Method
from scd_analysis.errors import InputError

Law = tuple[Any, ...]
Laws = Callable[[tuple[int, ...]], Sequence[Any]]


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
        base, iteration = len(state.committed), state.iteration
        length = 0 if self.method.drafting is None else min(self.window, self.num_tokens - base)
        slots = self._enter(state, length, draws)
        prefix, committed, survivors, rejected = state.committed, list(state.committed), [], False
        for position, slot in enumerate(slots, start=base):
            target = self._law(prefix, draws)
            token, accepted = self._verify(slot, target, position, iteration, draws)
            if rejected:
                survivors.append(self._redraft(slot, target, token, position, iteration, draws))
            else:
                committed.append(token)
                rejected = not accepted
            prefix = (*prefix, slot.token)
        if not rejected and len(committed) < self.num_tokens:
            bonus = draws.categorical((Purpose.BONUS, len(committed), iteration), self._law(prefix, draws))
            committed.append(bonus)
        return PlainState(tuple(committed), tuple(survivors), iteration + 1)

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
            neighbour = self._neighbour(position, first)
            if neighbour >= 0:
                token = known[neighbour]
            else:
                token = draws.categorical((Purpose.INITIAL, position, 0), [draws.number(1)] * self.vocab_size)
            slots.append(Slot(token, self._point(token, draws), None))
        return slots

    def _neighbour(self, position: int, first: int) -> int:
        if self.method.initial == "left":
            return first - 1
        if self.method.initial == "upper":
            assert self.width is not None
            return position - self.width * ((position - first) // self.width + 1)
        return -1

    def _verify(self, slot: Slot, target: Law, position: int, iteration: int, draws: Any) -> tuple[int, bool]:
        """Modified rejection sampling of one draft."""
        if draws.uniform((Purpose.VERIFY, position, iteration)) * slot.law[slot.token] < target[slot.token]:
            return slot.token, True
        return draws.residual(("residual", position, iteration), target, slot.law), False

    def _redraft(self, slot: Slot, target: Law, verified: int, position: int, iteration: int, draws: Any) -> Slot:
        rule = self.method.drafting
        if isinstance(rule, Mixture):
            coupled = draws.uniform(("coin", position, iteration)) < draws.number(rule.alpha)
            rule = rule.coupled if coupled else None
        if isinstance(rule, Maximal):
            return Slot(verified, target, target)
        if isinstance(rule, Gumbel):
            return Slot(draws.race((Purpose.RACE, position)).winner(target), target, target)
        drawn = self._tilted(rule, slot, target, draws) if isinstance(rule, VerificationPrediction) else target
        token = draws.categorical((Purpose.DRAFT, position, iteration), drawn)
        return Slot(token, drawn if _tracked(rule) else target, target)

    def _tilted(self, rule: VerificationPrediction, slot: Slot, target: Law, draws: Any) -> Law:
        if slot.previous is None or rule.gamma == 0:
            return target
        power = int(rule.gamma) if rule.gamma == int(rule.gamma) else rule.gamma  # keeps a Fraction a Fraction
        most, least = draws.number(rule.clip), draws.number(1) / draws.number(rule.clip)
        pairs = zip(target, slot.previous, strict=True)
        rise = [most if q == 0 else min(most, max(least, (p / q) ** power)) for p, q in pairs]
        weights = [p * w for p, w in zip(target, rise, strict=True)]
        return tuple(w / sum(weights) for w in weights)


def _tracked(rule: DraftingRule | None) -> bool:
    return not isinstance(rule, VerificationPrediction) or rule.tracked


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


def plain_decoder(model: Any, method: Method, window: int) -> PlainDecoder:
    """The plain decoder of a :class:`reference.TabularModel`.

    Raises
    ------
    InputError
        If the model has no tables.
    """
    if not hasattr(model, "laws"):
        raise InputError(f"model = {type(model).__name__}: has no tables; only a TabularModel can be decoded plainly")

    def laws(prefix: tuple[int, ...]) -> list[float]:
        tokens = torch.tensor([prefix], dtype=torch.long).reshape(1, len(prefix))
        return [float(p) for p in model.next_token_probs(tokens)[0, -1]]

    width = model.grid[1] if model.grid else None
    return PlainDecoder(laws, model.vocab_size, model.num_tokens, window, method.for_grid(model.grid), width)
