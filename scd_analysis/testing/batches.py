"""``assert_batch_invariant``: the same seeds in batches of other sizes, token for token."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from scd_analysis.audit.guard import guarded
from scd_analysis.audit.traced import tokens_of
from scd_analysis.contracts import as_drawn, is_trace
from scd_analysis.errors import InputError
from scd_analysis.evidence.batch import Longs
from scd_analysis.testing.lossless import name_of
from scd_analysis.validate import as_array, check_at_least, check_integer

SIZES = (1, 2, 3, 8, 17)
"""One by itself, even and odd, and no multiple of a power of two."""

SEEDS = (0, 1, 2, 3)


def assert_batch_invariant(
    subject: Any, model: Any = None, *, sizes: Sequence[int] = SIZES, seeds: Sequence[int] = SEEDS
) -> int:
    """Fail if sequences depend on how many are decoded with them.

    For a subject that claims it: with one seed, sequence i is the same whatever the number of sequences, for i below
    it, as where every draw has a key of its own. There are no statistics in it. A lossless decoder that draws its noise
    for a whole batch at a time claims no such thing, and fails here; :func:`assert_lossless` judges it.

    Parameters
    ----------
    subject : callable
        ``(model, num_sequences, seed)`` -> Long[num_sequences, N], or a trace, or an object with ``tokens`` or
        ``trace``.
    model : object
        Handed to it.
    sizes : sequence of int
        Batch sizes; all are compared with the largest.
    seeds : sequence of int
        Each is decoded in every size.

    Returns
    -------
    int
        How many tokens were compared.

    Raises
    ------
    AssertionError
        Naming the seed, the size, the sequence, the position and both tokens of the first difference; also if the
        largest batch comes out otherwise when it is decoded again.
    InputError
        If there are not two sizes, or what the subject returns are not tokens of that many sequences.
    """
    __tracebackhide__ = True
    if len(set(sizes)) < 2:
        raise InputError(f"sizes = {list(sizes)}: two different ones are compared, at least")
    if not seeds:
        raise InputError("seeds is empty: one is decoded, at least")
    for i, size in enumerate(sizes):
        check_at_least(check_integer(size, f"sizes[{i}]"), 1, f"sizes[{i}]")
    name, largest, compared = name_of(subject), max(sizes), 0
    for seed in seeds:
        whole = _tokens(subject, model, largest, seed)
        again = _tokens(subject, model, largest, seed)
        _compare(whole, again, f"{name} with seed = {seed}, decoded twice in batches of {largest}")
        for size in sorted(set(sizes) - {largest}):
            found = _tokens(subject, model, size, seed)
            what = f"{name} with seed = {seed} depends on the batch: in batches of {largest} and of {size}"
            _compare(whole[:size], found, what)
            compared += found.size
    return compared


def _tokens(subject: Any, model: Any, num_sequences: int, seed: int) -> Longs:
    """Long[num_sequences, N] of one call."""
    name = f"subject(model, {num_sequences}, {seed})"
    if not callable(subject):
        raise InputError(f"subject = {subject!r}: a subject is called with (model, num_sequences, seed)")

    def drawn() -> Any:
        found = as_drawn(subject(model, num_sequences, seed))
        return tokens_of(found) if is_trace(found) else as_array(found, name, None)

    tokens = np.asarray(guarded(name, drawn, None))
    if tokens.ndim != 2 or len(tokens) != num_sequences or not np.issubdtype(tokens.dtype, np.integer):
        raise InputError(f"{name} has shape {tokens.shape} and dtype {tokens.dtype}: expected Long[{num_sequences}, N]")
    return tokens.astype(np.int64)


def _compare(first: Longs, second: Longs, what: str) -> None:
    __tracebackhide__ = True
    if first.shape != second.shape:
        raise AssertionError(f"{what}, sequences have {first.shape[1]} and {second.shape[1]} tokens.")
    different = np.argwhere(first != second)
    if len(different):
        sequence, position = (int(i) for i in different[0])
        raise AssertionError(
            f"{what}, position {position} of sequence {sequence} has the tokens {first[sequence, position]} and "
            f"{second[sequence, position]}; {len(np.unique(different[:, 0]))} of {len(first)} sequences differ."
        )
