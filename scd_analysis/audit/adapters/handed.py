"""What a verification function is handed besides drafts and laws: arrays or tensors, and noise.

The noise is seeded, for an audit; or followed, for an enumeration, where variates are made by calls that
:func:`scd_analysis.exact_law` intercepts.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import count
from typing import Any, Protocol

import numpy as np

from scd_analysis.audit.adapters.layout import row_seeds
from scd_analysis.evidence.batch import Floats, Longs


@dataclass(frozen=True)
class Library:
    """What a function computes with.

    Attributes
    ----------
    numpy : bool
        Whether with NumPy, and not with PyTorch.
    device : torch.device or str
        Where tensors lie.
    dtype : numpy dtype
        Of laws and variates.
    """

    numpy: bool
    device: Any = "cpu"
    dtype: Any = np.float32

    def array(self, value: Any) -> Any:
        """An array of the library; floating-point numbers get the dtype."""
        found = np.asarray(value)
        found = found.astype(self.dtype) if found.dtype.kind == "f" else found
        if self.numpy:
            return found
        import torch

        return torch.from_numpy(np.ascontiguousarray(found)).to(torch.device(self.device))

    def full(self, shape: tuple[int, ...], value: float) -> Any:
        """An array of one value, of whole numbers where the value is one."""
        return self.array(np.full(shape, value))

    def generator(self, seed: int) -> Any:
        """A generator of the library."""
        if self.numpy:
            return np.random.default_rng(seed)
        import torch

        return torch.Generator(torch.device(self.device)).manual_seed(seed)


class Noise(Protocol):
    """Where a function's variates come from."""

    @property
    def seed(self) -> int:
        """A seed, for a function that takes one."""

    def uniforms(self, shape: tuple[int, ...]) -> Any:
        """Uniform variates in the function's library."""

    def picked(self, laws: Floats) -> Longs:
        """A token of each law, Float[B, V] -> Long[B]."""

    def generator(self) -> Any:
        """A generator."""

    def generators(self, num_rows: int) -> list[Any]:
        """A generator a row."""


@dataclass(frozen=True)
class Seeded:
    """Noise from a seed, apart from what a function makes of it by itself."""

    seed: int
    library: Library

    @cached_property
    def _rng(self) -> np.random.Generator:
        return np.random.default_rng(np.random.SeedSequence(self.seed).spawn(1)[0])

    def uniforms(self, shape: tuple[int, ...]) -> Any:
        """See :class:`Noise`; multiples of 2^-24."""
        return self.library.array(self._rng.random(shape, dtype=np.float32))

    def picked(self, laws: Floats) -> Longs:
        """See :class:`Noise`."""
        upto = laws.cumsum(axis=-1)
        below = upto <= self._rng.random((len(laws), 1)) * upto[:, -1:]
        return np.asarray(np.minimum(below.sum(axis=-1), laws.shape[-1] - 1))

    def generator(self) -> Any:
        """See :class:`Noise`."""
        return self.library.generator(self.seed)

    def generators(self, num_rows: int) -> list[Any]:
        """See :class:`Noise`."""
        return [self.library.generator(int(own)) for own in row_seeds(self.seed, num_rows)]


@dataclass(frozen=True)
class Followed:
    """Noise that an enumeration follows: nothing depends on a seed, but one that is used twice is one noise."""

    library: Library
    seed: int = 0
    _more: Iterator[int] = field(default_factory=lambda: count(1))

    def uniforms(self, shape: tuple[int, ...]) -> Any:
        """See :class:`Noise`."""
        if self.library.numpy:
            return np.random.default_rng(next(self._more)).random(shape)
        import torch

        return torch.rand(shape, dtype=getattr(torch, np.dtype(self.library.dtype).name), device=self.library.device)

    def picked(self, laws: Floats) -> Longs:
        """See :class:`Noise`."""
        return np.array([self.pick(law) for law in laws])

    def pick(self, law: Floats) -> int:
        """A token of a law: one branch for each that is possible."""
        return int(random.choices(range(len(law)), weights=law.tolist())[0])

    def generator(self) -> Any:
        """See :class:`Noise`."""
        return self.library.generator(next(self._more))

    def generators(self, num_rows: int) -> list[Any]:
        """See :class:`Noise`."""
        return [self.generator() for _ in range(num_rows)]
