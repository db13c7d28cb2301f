"""A sampling function with a signature of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from scd_analysis.audit.adapters.calls import Roles
from scd_analysis.audit.adapters.noise import seeded
from scd_analysis.common.foreign import attribute
from scd_analysis.errors import InputError
from scd_analysis.evidence.batch import Longs
from scd_analysis.validate import as_array

ADAPTERS = {"callable": "sampler"}

ROLES = Roles(
    "sampler",
    {
        "model": ("target", "target_model"),
        "num_sequences": ("num_samples", "batch_size", "batch", "n", "size", "count"),
        "num_tokens": ("length", "max_new_tokens", "max_length", "seq_len"),
        "seed": ("random_seed",),
        "generator": ("rng", "gen"),
    },
    ("model", "num_sequences", "seed"),
)


class Sampler:
    """See :func:`sampler`."""

    def __init__(self, function: Callable[..., Any], arguments: Any, *, one_at_a_time: bool, numpy: bool) -> None:
        self.function, self._one_at_a_time, self._numpy = function, one_at_a_time, numpy
        self._signature = ROLES.signature(function, arguments)
        if not one_at_a_time and "num_sequences" not in self._signature.roles:
            raise InputError(
                "sampler: no parameter takes num_sequences; a function that draws one sequence a call is "
                "sampler(function, one_at_a_time=True)"
            )

    def __call__(self, model: Any, num_sequences: int, seed: int) -> Any:
        """Draw sequences, Long[num_sequences, N]."""
        values = {"model": model, "num_tokens": attribute(model, "num_tokens", "model"), "seed": seed}
        values["generator"] = self._generator(seed) if "generator" in self._signature.roles else None
        with seeded(seed):
            if not self._one_at_a_time:
                return self._signature.call(self.function, {**values, "num_sequences": num_sequences})
            seeds = np.random.SeedSequence(seed).generate_state(num_sequences) >> 1
            rows = (
                self._signature.call(self.function, {**values, "num_sequences": 1, "seed": int(own)}) for own in seeds
            )
            return _stack(rows)

    def _generator(self, seed: int) -> Any:
        if self._numpy:
            return np.random.default_rng(seed)
        import torch

        return torch.Generator().manual_seed(seed)


def _stack(rows: Any) -> Any:
    arrays: list[Longs] = []
    for row in rows:
        plain = as_array(row, "sampler(...)", None)
        if plain.ndim == 2 and len(plain) == 1:
            plain = plain[0]
        if plain.ndim != 1:
            raise InputError(f"sampler returned shape {plain.shape}: one sequence a call is Long[N] or Long[1, N]")
        if arrays and plain.shape != arrays[0].shape:
            raise InputError(f"sampler returned {len(plain)} tokens after {len(arrays[0])}: sequences have one length")
        arrays.append(plain)
    return np.stack(arrays)


def sampler(
    function: Callable[..., Any], *, arguments: Any = None, one_at_a_time: bool = False, numpy: bool = False
) -> Sampler:
    """Make a subject of a sampling function that is called in another way, or draws from global generators.

    Parameters
    ----------
    function : callable
        Returns Long[num_sequences, N]. Which parameter takes what is read off their names: ``model``,
        ``num_sequences`` (or ``batch_size``, ``n``, ...), ``num_tokens`` (or ``length``, ...), ``seed``, ``generator``
        (or ``rng``). Global generators of torch, numpy and random are seeded for each call and put back after it.
    arguments : sequence of str, or mapping of str to str, optional
        Where names do not say it: these roles, in the order of its positional parameters, or parameter to role.
    one_at_a_time : bool
        Whether a call draws one sequence, Long[N] or Long[1, N].
    numpy : bool
        Whether ``generator`` is a ``numpy.random.Generator`` and not a ``torch.Generator``.

    Raises
    ------
    InputError
        If it is not clear what a parameter takes.
    """
    return Sampler(function, arguments, one_at_a_time=one_at_a_time, numpy=numpy)
