"""Our own drawing interface: one plain-Python sampler, run as a sampler or enumerated, in floats or in Fractions.

Pseudo-signatures
-----------------
::

    draws.number(x)                        -> x in the arithmetic in use: float, or Fraction (exact)
    draws.uniform(key)                     -> u, a uniform variate on [0, 1): compare it, scale it, shift it
                                              u < t    u * q < p    1 - u >= t
    draws.bernoulli(key, probability)      -> bool, uniform(key) < probability
    draws.categorical(key, weights)        -> int, inverse CDF of weights at uniform(key)
    draws.residual(key, target_probs, draft_probs)
                                           -> int, categorical(key, (target_probs - draft_probs)+)
    draws.race(key).winner(weights)        -> int, argmax_v weights[v] / e_v, e_v exponential and fixed by key

Invariants
----------
* A key is hashable; by custom ``(purpose, position, iteration)``. Draws under different keys are independent.
* A key draws once: asked again, it gives the same variate. So ``race(("gumbel", position))`` is one Gumbel vector for
  the whole life of a position, and ``uniform(k)``, ``bernoulli(k, .)`` and ``categorical(k, .)`` share one variate.
* A race and a uniform under the same key are independent of each other.
* Weights need not sum to one; none is negative; one of weight zero never wins.
* What a sampler does depends on nothing random but its draws.

`EnumeratedDraws` hands these to a sampler under `exact_law`; `SampledDraws` draws from a seed.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Hashable, Sequence
from typing import Any, Protocol

from scd_analysis.exact.arithmetic import Number, as_number, normalised
from scd_analysis.exact.numbers import Variate
from scd_analysis.exact.run import Run
from scd_analysis.laws.kernels import excess


class Race(Protocol):
    """Exponential noise shared by successive races."""

    def winner(self, weights: Sequence[Any]) -> int:
        """Give ``argmax_v weights[v] / e_v``; its law is proportional to the weights.

        Parameters
        ----------
        weights
            V weights, the same V every time.
        """
        ...


class Draws(Protocol):
    """Where a sampler gets its randomness from; see the head of this module."""

    def number(self, value: Any) -> Number:
        """Convert a constant to the arithmetic in use."""
        ...

    def uniform(self, key: Hashable) -> Any:
        """Give the uniform variate of a key."""
        ...

    def bernoulli(self, key: Hashable, probability: Any) -> bool:
        """Give ``uniform(key) < probability``."""
        return bool(self.uniform(key) < probability)

    def categorical(self, key: Hashable, weights: Sequence[Any]) -> int:
        """Invert the cumulative distribution of ``weights`` at ``uniform(key)``."""
        ...

    def residual(self, key: Hashable, target_probs: Sequence[Any], draft_probs: Sequence[Any]) -> int:
        """Draw from ``(target_probs - draft_probs)+``, normalised."""
        return self.categorical(key, excess(list(target_probs), list(draft_probs)))

    def race(self, key: Hashable) -> Race:
        """Give the exponential noise of a key."""
        ...


class EnumeratedDraws(Draws):
    """Draws whose every result is visited; `exact_law` hands it to the sampler."""

    def __init__(self, run: Run) -> None:
        self._run = run

    @property
    def rational(self) -> bool:
        """Whether numbers are Fractions."""
        return self._run.known.rational

    def number(self, value: Any) -> Number:
        """Convert a constant to the arithmetic in use."""
        return self._run.known.number(value)

    def _source(self, key: Hashable) -> int:
        found = self._run.drawn.get(("uniform", key))
        if found is None:
            found = self._run.drawn[("uniform", key)] = [self._run.known.source()]
        return found[0]

    def uniform(self, key: Hashable) -> Any:
        """Give the uniform variate of a key."""
        return Variate(self._run.known, self._source(key), ())

    def categorical(self, key: Hashable, weights: Sequence[Any]) -> int:
        """Invert the cumulative distribution of ``weights`` at ``uniform(key)``."""
        law = normalised(weights, self.rational)
        last = max(index for index, p in enumerate(law) if p > 0)
        thresholds, mass = [], self.number(0)
        for p in law[:last]:
            mass += p
            thresholds.append(mass)
        return self._run.known.cut(self._source(key), (), thresholds)

    def race(self, key: Hashable) -> Race:
        """Give the exponential noise of a key."""
        return _EnumeratedRace(self._run, key)


class _EnumeratedRace:
    def __init__(self, run: Run, key: Hashable) -> None:
        self._run = run
        self._key = key

    def winner(self, weights: Sequence[Any]) -> int:
        known = self._run.known
        found = self._run.drawn.get(("race", self._key))
        if found is None:
            found = self._run.drawn[("race", self._key)] = [known.source() for _ in weights]
        if len(found) != len(weights):
            raise ValueError(f"weights has {len(weights)} entries: this race had {len(found)} before")
        return known.race(found, normalised(weights, known.rational))


class SampledDraws(Draws):
    """Draws from a seed: the value of a key depends on (seed, sequence, key) only (BLAKE2b, 53 bits).

    Parameters
    ----------
    seed, sequence
        Different pairs give independent draws.
    """

    rational = False

    def __init__(self, seed: int, sequence: int = 0) -> None:
        self._prefix = (seed, sequence)

    def number(self, value: Any) -> Number:
        """Convert a constant to a float."""
        return as_number(value, False)

    def uniform(self, key: Hashable) -> float:
        """Give the uniform variate of a key."""
        digest = hashlib.blake2b(repr((self._prefix, key)).encode(), digest_size=8).digest()
        return (int.from_bytes(digest, "little") >> 11) * 2.0**-53

    def categorical(self, key: Hashable, weights: Sequence[Any]) -> int:
        """Invert the cumulative distribution of ``weights`` at ``uniform(key)``."""
        law = normalised(weights, False)
        last = max(index for index, p in enumerate(law) if p > 0)
        left = self.uniform(key)
        for index, p in enumerate(law[:last]):
            if left < p:
                return index
            left -= p
        return last

    def race(self, key: Hashable) -> Race:
        """Give the exponential noise of a key."""
        return _SampledRace(self, key)


class _SampledRace:
    def __init__(self, draws: SampledDraws, key: Hashable) -> None:
        self._draws = draws
        self._key = key

    def winner(self, weights: Sequence[Any]) -> int:
        times = [
            -math.log1p(-self._draws.uniform(("race", self._key, index))) / float(weight) if weight > 0 else math.inf
            for index, weight in enumerate(weights)
        ]
        return min(range(len(times)), key=times.__getitem__)
