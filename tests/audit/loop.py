"""A speculative Jacobi decoder in plain Python that records itself; which noise it uses where can be overridden."""

from __future__ import annotations

from collections.abc import Hashable
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import torch

import scd_analysis
from scd_analysis.exact import SampledDraws

Law = tuple[float, ...]


class Slot(NamedTuple):
    """A draft, its law, the draft that the position held a pass before, and how many passes it has been there."""

    token: int
    law: Law
    before: int | None = None
    age: int = 0


class Loop:
    """SJD right as it stands: first drafts from a declared uniform law, every use of noise by a key of its own.

    A subclass is a slip (or another right decoder): it overrides a key, or a part.
    """

    laws = True

    def __init__(self, model: Any, window: int) -> None:
        self.vocab_size, self.num_tokens, self.window = model.vocab_size, model.num_tokens, window

        @cache
        def law(prefix: tuple[int, ...]) -> Law:
            return tuple(model.next_token_probs(torch.tensor([prefix]).reshape(1, -1).long())[0, -1].tolist())

        self.law = law

    def accept_key(self, t: int, j: int, k: int) -> Hashable:
        return ("accept", t, j)

    def replace_key(self, t: int, j: int, k: int) -> Hashable:
        return ("replace", t, j)

    def draft_key(self, t: int, j: int, k: int) -> Hashable:
        return ("draft", t, j)

    def bonus_key(self, t: int, j: int) -> Hashable:
        return ("bonus", t, j)

    def acceptance(self, t: int, j: int, k: int, slot: Slot, target: Law, draws: Any) -> tuple[bool, float]:
        uniform = float(draws.uniform(self.accept_key(t, j, k)))
        return uniform * slot.law[slot.token] < target[slot.token], uniform

    def replacement(self, t: int, j: int, k: int, slot: Slot, target: Law, uniform: float, draws: Any) -> int:
        return draws.categorical(self.replace_key(t, j, k), excess(target, slot.law))

    def first(self, j: int, draws: Any) -> Slot:
        """The first draft of a position."""
        flat = (1 / self.vocab_size,) * self.vocab_size
        return Slot(draws.categorical(("first", j), flat), flat)

    def redraft(self, t: int, j: int, k: int, after: list[int], target: Law, draws: Any) -> int:
        return draws.categorical(self.draft_key(t, j, k), target)

    def commits(self, t: int, base: int, after: list[int], targets: list[Law], num_reached: int, draws: Any) -> int:
        """How many of the positions that the commit rule commits are committed now; may draw again what is not."""
        return num_reached

    def next_slot(self, token: int, target: Law, slot: Slot, waits: bool) -> Slot:
        """What a position that was not committed holds at the next pass; ``waits`` if its draft was accepted."""
        return Slot(token, target, slot.token, slot.age + 1)

    def draws(self, seed: int, i: int, num_sequences: int) -> Any:
        """Noise of sequence i."""
        return SampledDraws(seed, i)

    def __call__(self, model: Any, num_sequences: int, seed: int) -> Any:
        """The subject: a trace with laws."""
        sizes = {"vocab_size": self.vocab_size, "num_tokens": self.num_tokens, "window": self.window}
        runs = [self.run(self.draws(seed, i, num_sequences)) for i in range(num_sequences)]
        with scd_analysis.TraceWriter(laws=self.laws, decoder=type(self).__name__, **sizes) as trace:
            trace.begin_batch(num_sequences)
            for t in range(max(len(passes) for _, passes in runs)):
                index = [i for i, (_, passes) in enumerate(runs) if t < len(passes)]
                rows = [runs[i][1][t] for i in index]
                trace.append(sequence=index, **{name: np.stack([row[name] for row in rows]) for name in rows[0]})
            trace.finish_batch(tokens=np.stack([done for done, _ in runs]), nfe=[len(passes) for _, passes in runs])
        return scd_analysis.open_trace(trace.store)

    def run(self, draws: Any) -> tuple[np.ndarray, list[dict[str, Any]]]:
        """One sequence and its passes."""
        done: list[int] = []
        slots: list[Slot] = []
        passes: list[dict[str, Any]] = []
        while len(done) < self.num_tokens:
            t, base = len(passes), len(done)
            while base + len(slots) < self.num_tokens and len(slots) < self.window:
                slots.append(self.first(base + len(slots), draws))
            tokens = [slot.token for slot in slots]
            targets = [self.law((*done, *tokens[:k])) for k in range(len(slots))]
            accepted, uniforms, after = [], [0.5] * len(slots), list(tokens)
            for k, (slot, target) in enumerate(zip(slots, targets, strict=True)):
                flag, uniforms[k] = self.acceptance(t, base + k, k, slot, target, draws)
                accepted.append(flag)
                if not flag:
                    after[k] = self.replacement(t, base + k, k, slot, target, uniforms[k], draws)
                    break
            for k in range(len(accepted), len(slots)):
                after[k] = self.redraft(t, base + k, k, after, targets[k], draws)
            reached = self.commits(t, base, after, targets, len(accepted), draws)
            done += after[:reached]
            bonus = -1
            if all(accepted) and reached == len(slots) and len(done) < self.num_tokens:
                bonus = draws.categorical(self.bonus_key(t, len(done)), self.law(tuple(done)))
                done.append(bonus)
            passes.append(self._row(base, slots, targets, after, accepted, uniforms, bonus, reached))
            waits = [*accepted, *[False] * (len(slots) - len(accepted))]
            kept = zip(after[reached:], targets[reached:], slots[reached:], waits[reached:], strict=True)
            slots = [self.next_slot(*own) for own in kept if bonus < 0]
        return np.array(done), passes

    def _row(
        self, base: int, slots: list[Slot], targets: list[Law], after, accepted, uniforms, bonus, reached
    ) -> dict[str, Any]:
        def filled(values: list[Any], empty: Any) -> np.ndarray:
            return np.array([*values, *[empty] * (self.window - len(values))])

        none = (0.0,) * self.vocab_size
        return {
            "base": base,
            "draft_token": filled([slot.token for slot in slots], -1),
            "next_token": filled(after, -1),
            "accepted": filled([int(flag) for flag in accepted], 0),
            "uniform": filled(uniforms, 0.5),
            "age": filled([slot.age for slot in slots], 0),
            "committed": filled([k < reached for k in range(len(slots))], False),
            "bonus_token": bonus,
            "draft_probs": filled([slot.law for slot in slots], none),
            "target_probs": filled(targets, none),
        }


def excess(target: Law, declared: Law) -> Law:
    """``(p - q)+``."""
    return tuple(max(p - q, 0.0) for p, q in zip(target, declared, strict=True))


def inverse_cdf(weights: Law, uniform: float) -> int:
    """The token at a variate."""
    total = np.cumsum(weights)
    return int(np.searchsorted(total, uniform * total[-1], side="right").clip(max=len(weights) - 1))
