"""Counts of tokens by context in two arms, and the scores and probabilities that are learned from them.

Contexts are told by 64-bit hashes, so that no vocabulary is too large and no prefix too long. Two that meet by accident
are counted together, which costs evidence and never its validity: a score may be any function of a sequence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from scd_analysis.evidence.batch import Floats, Longs

LEVELS = ("position", "previous", "position-previous", "prefix")
"""What a context is: the position, the token before, both, or all tokens before."""

_PARENT = {"position": None, "previous": None, "position-previous": "position", "prefix": "position-previous"}
MOST_EXAMPLES = 2**16
"""Cells whose place is remembered, so that it can be told."""

_BACKOFF = 2.0
"""Counts with which a context's law begins at that of the shorter context."""

_ODD, _SHIFT = np.uint64(0x9E3779B97F4A7C15), np.uint64(29)
Keys = npt.NDArray[np.uint64]


def _mixed(key: Keys, more: Keys | np.uint64) -> Keys:
    with np.errstate(over="ignore"):
        out = (key ^ more) * _ODD
        return np.asarray((out ^ (out >> _SHIFT)) * _ODD)


def context_keys(tokens: Longs, level: str) -> Keys:
    """Return UInt64[S, N], what tells the contexts of the tokens Long[S, N] apart."""
    previous = np.concatenate([np.full((len(tokens), 1), -1), tokens[:, :-1]], axis=1)
    if level != "prefix":
        return _place_keys(np.broadcast_to(np.arange(tokens.shape[1]), tokens.shape), previous, level)
    out = np.empty(tokens.shape, dtype=np.uint64)
    key = np.zeros(len(tokens), dtype=np.uint64)
    for j in range(tokens.shape[1]):
        key = _mixed(key, (previous[:, j] + 1).astype(np.uint64))
        out[:, j] = key
    return out


def _place_keys(position: Longs, previous: Longs, level: str) -> Keys:
    """Keys of places at every level but that of prefixes; -1 is the token before the first."""
    name = np.uint64(1 + LEVELS.index(level))
    place, before = (position + 1).astype(np.uint64), (previous + 1).astype(np.uint64)
    if level == "position":
        return _mixed(place, name)
    return _mixed(before, name) if level == "previous" else _mixed(_mixed(place, name), before)


class Counts:
    """How often each key came in either arm."""

    def __init__(self) -> None:
        self._rows: dict[int, int] = {}
        self._table = np.zeros((1024, 2), dtype=np.int64)

    def look_up(self, keys: Keys) -> Longs:
        """Return Long[..., 2], the counts of keys."""
        unique, inverse = np.unique(keys, return_inverse=True)
        rows = np.array([self._rows.get(key, -1) for key in unique.tolist()], dtype=np.int64)
        found = np.where(rows[:, None] >= 0, self._table[rows], 0)
        return np.asarray(found[inverse.reshape(keys.shape)])

    def add(self, keys: Keys, arm: int) -> None:
        """Count keys of an arm."""
        unique, many = np.unique(keys, return_counts=True)
        rows = np.array([self._rows.setdefault(key, len(self._rows)) for key in unique.tolist()], dtype=np.int64)
        while len(self._rows) > len(self._table):
            self._table = np.concatenate([self._table, np.zeros_like(self._table)])
        self._table[rows, arm] += many

    def __len__(self) -> int:
        return len(self._rows)


@dataclass(frozen=True)
class Laws:
    """What was counted of the tokens Long[S, N] in their contexts.

    Attributes
    ----------
    cells, contexts : Long[S, N, 2]
        How often the token came in its context, and how often the context, in either arm.
    both : Float[S, N]
        The probability of the token in both arms together.
    """

    cells: Longs
    contexts: Longs
    both: Floats


class ContextCounts:
    """Counts of both arms at every level."""

    def __init__(self) -> None:
        self._contexts = {level: Counts() for level in LEVELS}
        self._cells = {level: Counts() for level in LEVELS}
        self._tokens, self._total = Counts(), 0
        self._examples: dict[int, tuple[int, int, int]] = {}

    def learn(self, first: Longs, second: Longs) -> None:
        """Count the tokens Long[S, N] of both arms."""
        for arm, tokens in enumerate((first, second)):
            self._tokens.add(tokens.astype(np.uint64), arm)
            self._total += tokens.size
            for level in LEVELS:
                keys = context_keys(tokens, level)
                cells = _mixed(keys, tokens.astype(np.uint64))
                self._contexts[level].add(keys, arm)
                self._cells[level].add(cells, arm)
                if level == "position-previous" and len(self._examples) < MOST_EXAMPLES:
                    self._remember(cells, tokens)

    def _remember(self, cells: Keys, tokens: Longs) -> None:
        """Keep position, token before and token of every cell, for words."""
        unique, where = np.unique(cells, return_index=True)
        for cell, at in zip(unique.tolist(), where.tolist(), strict=True):
            row, j = divmod(at, tokens.shape[1])
            self._examples.setdefault(cell, (j, int(tokens[row, j - 1]) if j else -1, int(tokens[row, j])))

    def _counts(self, tokens: Longs, level: str) -> tuple[Longs, Longs]:
        """Return Long[S, N, 2] of the cells and of the contexts of tokens."""
        keys = context_keys(tokens, level)
        cells = self._cells[level].look_up(_mixed(keys, tokens.astype(np.uint64)))
        return cells, self._contexts[level].look_up(keys)

    def laws(self, tokens: Longs) -> dict[str, Laws]:
        """Return what was counted of the tokens Long[S, N], by level."""
        seen = self._tokens.look_up(tokens.astype(np.uint64)).sum(axis=-1)
        alone = (seen + 0.5) / (self._total + 0.5 * (len(self._tokens) + 1))
        out: dict[str, Laws] = {}
        for level in LEVELS:
            parent = _PARENT[level]
            shorter = alone if parent is None else out[parent].both
            cells, contexts = self._counts(tokens, level)
            both = (cells.sum(axis=-1) + _BACKOFF * shorter) / (contexts.sum(axis=-1) + _BACKOFF)
            out[level] = Laws(cells, contexts, both)
        return out

    def scores(self, tokens: Longs, concentrations: Sequence[float]) -> Floats:
        """Return Float[S, levels x concentrations], ln of the first arm's law over the second's, of each sequence."""
        prior, columns = np.asarray(concentrations), []
        for laws in self.laws(tokens).values():
            centre = prior * laws.both[..., None]
            logs = [
                np.log(centre + laws.cells[..., i, None]) - np.log(prior + laws.contexts[..., i, None]) for i in (0, 1)
            ]
            columns.append((logs[0] - logs[1]).sum(axis=1))
        return np.concatenate(columns, axis=1)

    def pooled(self, tokens: Longs) -> tuple[Floats, npt.NDArray[np.bool_]]:
        """Return Float[S, N], ln probability in both arms together, and Bool[S, N], whether it is new in its place."""
        laws = self.laws(tokens)["position-previous"]
        return np.log(laws.both), laws.cells.sum(axis=-1) == 0

    def most_different(self, level: str, names: tuple[str, str]) -> str:
        """Say which token's frequency in a context differs most between the arms."""
        if level == "prefix":
            return f"whole sequences come with other frequencies {names[0]} than {names[1]}"
        position, previous, token = np.array(list(self._examples.values())).T
        keys = _place_keys(position, previous, level)
        cells = self._cells[level].look_up(_mixed(keys, token.astype(np.uint64)))
        contexts = self._contexts[level].look_up(keys)
        with np.errstate(divide="ignore", invalid="ignore"):
            both = cells.sum(axis=1) / contexts.sum(axis=1)
            spread = np.sqrt(both * (1 - both) * (1 / contexts).sum(axis=1))
            score = np.abs(cells[:, 0] / contexts[:, 0] - cells[:, 1] / contexts[:, 1]) / spread
        worst = int(np.nan_to_num(score, nan=-1.0, posinf=-1.0).argmax())
        where = {
            "position": f"at position {position[worst]}",
            "previous": f"after token {previous[worst]}" if previous[worst] >= 0 else "at the start",
            "position-previous": f"at position {position[worst]}"
            + (f" after token {previous[worst]}" if previous[worst] >= 0 else ""),
        }[level]
        said = [f"{cells[worst, i]:,} of {contexts[worst, i]:,} times {names[i]}" for i in (0, 1)]
        return f"token {token[worst]} came {where} {said[0]}, and {said[1]}"
