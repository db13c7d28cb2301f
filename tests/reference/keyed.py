"""The kernel's noise for the plain decoder, so that the two decoders agree token for token."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch

from reference.draws import Purpose, exponentials, inverse_cdf, uniform_pair
from scd_analysis.laws.kernels import excess


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
        return self.categorical(key, excess(list(target_probs), list(draft_probs)))

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
