"""A file of tokens with the target's log-probabilities, for engines that cannot be imported.

One sequence a row, as JSON lines (``.jsonl``) or Parquet (``.parquet``; needs the extra ``parquet``)::

    {"tokens": [3, 1, 4], "logprobs": [[-1.2, ...], [...], [...]]}
    {"tokens": [3, 1, 4], "top_tokens": [[3, 7], [1, 0], [9, 2]], "top_logprobs": [[-0.2, -2.1], [...], [...]]}
    {"tokens": [3, 1, 4], "top_logprobs": [{"3": -0.2, "7": -2.1}, {...}, {...}]}          (JSON only)

Natural logarithms of the target's law of each token given the tokens before it, after every logit processor. Best
computed by the plain model on the finished sequence: laws that the engine reports show what it believed.

*All V of each token* (``logprobs``) test everything that tokens can show. *The K most probable* test the law of a
token's rank among them, or of its being none: K + 1 cells whose probabilities are known. Shorter lists are refused
unless they are whole laws. A token that an engine adds to its list because it was drawn is left out again; a list whose
length depends on the draw would hide the other cells. *The drawn token's alone* leave the law unknown: another
temperature could not be told from another model, so they are refused. Without any, the file serves with a model.
Sequences may differ in length; what follows their end is certain.

Rows of several prompts, or of requests with other settings, say which in a column ``prompt`` (a string, a number or a
list): with one prompt and the same tokens before it, a token has one law. Rows that contradict each other are refused,
and so is a file whose laws left nothing to chance.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from scd_analysis.audit.adapters.recorded_agreement import SAME_LAW, check_agreement, check_left_to_chance
from scd_analysis.audit.adapters.recorded_reading import MOST_NUMBERS, SUFFIXES, read_rows
from scd_analysis.audit.adapters.recorded_rows import Row, read_row
from scd_analysis.audit.adapters.stored import Shelf
from scd_analysis.audit.target import Target
from scd_analysis.errors import InputError
from scd_analysis.evidence.batch import Batch, Floats, Longs, make_batch
from scd_analysis.evidence.catalogue import is_small
from scd_analysis.validate import check_between, check_tokens

ADAPTERS = {"recorded-file": "recorded_file"}

__all__ = ["SUFFIXES", "RecordedFile", "RecordedTarget", "recorded_file"]

LEAST_REST = 1e-6
"""Probability that is left for what is not listed, at least: log-probabilities in float32 are not known any better."""

MOST_AT_ONCE = 2**22
"""Probabilities that one sequence may take."""

Sequence = tuple[Longs, Floats]
"""Tokens, or ranks, Long[N], with their laws, Float[N, V]."""


class RecordedTarget(Target):
    """The recorded laws in place of a model's: asked for each sequence once, in the order of the file.

    Attributes
    ----------
    laws_apart : float
        The largest total variation between two laws of one prefix.

    Parameters
    ----------
    sequences : list of tuple
    laws_apart : float
    """

    def __init__(self, sequences: list[Sequence], laws_apart: float) -> None:
        self._sequences, self._table, self.grid_width = sequences, None, None
        self.laws_apart = laws_apart
        self._shelf = Shelf(len(sequences))
        self.num_tokens = max(len(tokens) for tokens, _ in sequences)
        self.vocab_size = sequences[0][1].shape[1]

    def check(self, rng: np.random.Generator) -> None:
        """Laws were checked when they were read; whether they look ahead, a file cannot show."""

    def countable_law(self) -> tuple[Floats, str] | None:
        """Return the law of the first token, if all sequences share it."""
        first = self._sequences[0][1][0]
        shared = all(np.abs(laws[0] - first).max() < LEAST_REST for _, laws in self._sequences)
        return (first, "the first token") if shared else None

    def nats_from_kept(self, tokens: Longs, token: int) -> float:
        """Infinite: what cut a token off is not in a file."""
        return math.inf

    def tokens(self, rows: slice) -> Longs:
        """Return Long[S, N] of some sequences, token 0 after the end of each."""
        own = [tokens for tokens, _ in self._sequences[rows]]
        out = np.zeros((len(own), self.num_tokens), dtype=np.int64)
        for i, tokens in enumerate(own):
            out[i, : len(tokens)] = tokens
        return out

    def batch(self, tokens: Longs, rng: np.random.Generator, *, whole: bool = False) -> Batch:
        """Return the next sequences with their laws."""
        rows = self._shelf.take(len(tokens))
        if not (self.tokens(rows) == tokens).all():
            raise InputError("tokens: are not those of the file, whose laws go with its own sequences only")
        probs = np.zeros((*tokens.shape, self.vocab_size))
        probs[..., 0] = 1
        for i, (own, laws) in enumerate(self._sequences[rows]):
            probs[i, : len(own)] = laws
        cells = None
        if is_small(self.vocab_size, self.num_tokens):
            cells = tokens @ self.vocab_size ** np.arange(self.num_tokens - 1, -1, -1)
        return make_batch(tokens, probs, rng.random(tokens.shape), cells=cells)


class RecordedFile:
    """See :func:`recorded_file`.

    Attributes
    ----------
    num_available : int
    target_model : RecordedTarget or None
        The laws of the file, if it has any.
    """

    def __init__(self, path: str | Path, tolerance: float = SAME_LAW) -> None:
        check_between(tolerance, 0, 1, "tolerance")
        rows = _collect(Path(path))
        self.num_available, self._shelf = len(rows), Shelf(len(rows))
        self.target_model = _target(rows, tolerance)
        self._tokens = [(row.where, row.tokens) for row in rows]

    def __call__(self, model: Any, num_sequences: int, seed: int) -> Longs:
        """Return the next sequences; as the tokens they are, for a model that is not the file's.

        Raises
        ------
        InputError
            If fewer are left, or a token is outside the model's vocabulary, or a length is not the model's.
        """
        rows = self._shelf.take(num_sequences)
        if self.target_model is not None and model is self.target_model:
            return self.target_model.tokens(rows)
        for where, tokens in self._tokens[rows]:
            if len(tokens) != model.num_tokens:
                raise InputError(f"{where}: tokens has {len(tokens)} entries, the model {model.num_tokens}")
            check_tokens(tokens, int(model.vocab_size), f"{where}: tokens")
        return np.stack([tokens for _, tokens in self._tokens[rows]])


def recorded_file(path: str | Path, tolerance: float = SAME_LAW) -> RecordedFile:
    """Make a subject of a file of tokens with log-probabilities; the audit then needs no model.

    Parameters
    ----------
    path : path
        JSON lines or Parquet, with the columns ``tokens`` and ``logprobs``, or ``top_tokens`` and ``top_logprobs``, and
        ``prompt`` where there are several; others are not looked at. The top of
        :mod:`scd_analysis.audit.adapters.recorded_file` shows them.
    tolerance : float
        Total variation up to which two laws of one prompt and prefix count as one, computed twice: engines in half
        precision give slightly different ones. The verdict's resolution is no finer than what was found.

    Raises
    ------
    InputError
        Naming the file, the row and the column; also for a row or a file beyond the limits on memory.
    LawError
        If log-probabilities are not those of a law, two rows contradict each other, or nothing was left to chance.
    """
    return RecordedFile(path, tolerance)


def _collect(path: Path) -> list[Row]:
    """Read all rows, up to what fits in memory."""
    rows, numbers = list[Row](), 0
    for where, values in read_rows(path):
        rows.append(read_row(where, values))
        numbers += rows[-1].cost
        if numbers > MOST_NUMBERS:
            raise InputError(
                f"{where}: with it the file holds more than {MOST_NUMBERS:,} numbers, the most that it may"
            )
    if not rows:
        raise InputError(f"{path}: holds no sequence")
    return rows


def _target(rows: list[Row], tolerance: float) -> RecordedTarget | None:
    """Check the laws of all rows against each other, and lay them out."""
    first = rows[0]
    for row in rows:
        if row.kind != first.kind:
            raise InputError(f"{row.where}: has {row.kind}, {first.where} has {first.kind}")
    if first.kind == "no laws":
        return None
    told_apart = 0
    if first.laws is not None:
        _check_same_size(rows)
    else:
        _check_not_the_drawn_alone(rows)
        told_apart = _told_apart(rows)
        _check_width(rows, told_apart + 1)
    apart = check_agreement(rows, tolerance, told_apart)
    check_left_to_chance(rows)
    sequences = [(row.tokens, row.laws) if row.laws is not None else _ranked(row, told_apart) for row in rows]
    return RecordedTarget(sequences, apart)


def _check_same_size(rows: list[Row]) -> None:
    sizes = [0 if row.laws is None else row.laws.shape[1] for row in rows]
    for row, size in zip(rows, sizes, strict=True):
        if size != sizes[0]:
            raise InputError(f"{row.where}: logprobs has {size} a token, {rows[0].where} {sizes[0]}")


def _check_not_the_drawn_alone(rows: list[Row]) -> None:
    """Lists of one token each, that was always drawn: no coincidence where the law gives it less than certainty."""
    only = all(row.top is not None and np.array_equal(row.top.ids, row.tokens) for row in rows)
    if only and math.fsum(math.fsum(np.log(np.maximum(row.token_probs(), 1e-300))) for row in rows) < -20:
        raise InputError(
            f"{rows[0].where}: top_logprobs lists the drawn token of each and, in the whole file, no other: the drawn "
            "tokens alone leave the law unknown; give the K most probable of each, or all V"
        )


def _told_apart(rows: list[Row]) -> int:
    """How many ranks are told apart: those that every list has, or all, if the lists are whole laws."""
    whole, sizes = 1, dict[int, str]()
    for row in rows:
        if row.top is None:
            continue
        own, is_whole = row.top.sizes, row.top.is_whole()
        whole = max(whole, int(own[is_whole].max(initial=1)))
        for size in np.unique(own[~is_whole]).tolist():
            j = int(np.flatnonzero((own == size) & ~is_whole)[0])
            sizes.setdefault(size, f"{row.where}: top_logprobs[{j}]")
    if not sizes:
        return whole
    least, most = min(sizes), max(sizes)
    if most > least + 1:  # the drawn token may be added to a list
        raise InputError(
            f"{sizes[least]} has {least} entries, {sizes[most]} has {most}: only ranks that all lists have could be "
            "judged; give as many of each token, but for a drawn token that is added"
        )
    return least


def _check_width(rows: list[Row], width: int) -> None:
    """Refuse laws that would not fit, before they are laid out: one long list makes all of them as wide."""
    longest, total = max(len(row.tokens) for row in rows), sum(len(row.tokens) for row in rows)
    if longest * width > MOST_AT_ONCE or total * width > MOST_NUMBERS:
        raise InputError(
            f"{rows[0].where}: with {width - 1:,} listed tokens, laws of {longest:,} tokens a row, {total:,} in all, "
            "do not fit in memory; list fewer"
        )


def _ranked(row: Row, listed: int) -> Sequence:
    """Replace each token by its rank among the ``listed`` most probable, or ``listed``."""
    if row.top is None:
        raise AssertionError(f"{row.where}: has no lists")
    position, rank = row.top.position, row.top.rank
    kept = rank < listed
    laws = np.zeros((len(row.tokens), listed + 1))  # a whole law of fewer tokens leaves the ranks that it lacks at zero
    laws[position[kept], rank[kept]] = row.top.probs[kept]
    laws[:, listed] = np.maximum(1 - laws.sum(axis=1), LEAST_REST)
    ranks = np.full(len(row.tokens), listed)
    drawn = kept & (row.top.ids == row.tokens[position])
    ranks[position[drawn]] = rank[drawn]
    return ranks, laws / laws.sum(axis=1, keepdims=True)
