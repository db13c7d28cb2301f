"""Log-probabilities as an engine reports them, row by row: what is missing is noted, and not refused."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from scd_analysis.audit.adapters.recorded_reading import read_rows
from scd_analysis.audit.adapters.recorded_rows import log_numbers, prompt_digest, token_key, whole_numbers
from scd_analysis.common.foreign_json import shown
from scd_analysis.errors import InputError
from scd_analysis.evidence.batch import Floats, Longs
from scd_analysis.validate import as_array

Position = tuple[Longs, Floats]
"""Tokens and what is reported of them, ln."""


@dataclass(frozen=True)
class Reported:
    """One sequence, and what was reported of its tokens.

    Attributes
    ----------
    where : str
        Its name in messages.
    prompt : bytes
        What it continues, or a digest of it.
    tokens : Long[N]
    positions : tuple of (Long[K], Float[K]) or None
        Tokens and their reported log-probabilities, of each position; None where nothing was reported.
    """

    where: str
    prompt: bytes
    tokens: Longs
    positions: tuple[Position | None, ...]

    @property
    def missing(self) -> tuple[int, ...]:
        """Positions of which nothing was reported."""
        return tuple(j for j, position in enumerate(self.positions) if position is None)


def reported_rows(source: Any) -> Iterator[Reported]:
    """Read what was reported, from a file or from what an engine returned.

    Parameters
    ----------
    source : path or iterable of mapping
        A recorded file, or rows with the same columns: ``tokens``, and ``logprobs`` (V numbers a token, or one, which
        is the drawn token's) or ``top_logprobs`` (with ``top_tokens``, or as mappings).

    Raises
    ------
    InputError
        Naming the row, the column and the value.
    """
    if isinstance(source, (str, Path)):
        rows: Iterable[tuple[str, Mapping[str, Any]]] = read_rows(Path(source))
    elif isinstance(source, Iterable) and not isinstance(source, Mapping):
        rows = _given(source)
    else:
        raise InputError(f"recorded = {shown(source)}: expected the path of a recorded file, or rows")
    for where, values in rows:
        yield _read(where, values)


def _given(source: Iterable[Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for i, values in enumerate(source):
        if not isinstance(values, Mapping):
            raise InputError(f"recorded[{i}] is a {type(values).__name__}, expected a mapping with the key tokens")
        yield (
            f"recorded[{i}]",
            {str(name): _plain(value, f"recorded[{i}]: {name}") for name, value in values.items() if value is not None},
        )


def _read(where: str, values: Mapping[str, Any]) -> Reported:
    if "tokens" not in values:
        raise InputError(f"{where}: has no tokens; the columns are {shown(list(values))}")
    tokens = whole_numbers(values["tokens"], f"{where}: tokens")
    column = "logprobs" if "logprobs" in values else "top_logprobs"
    reported, ids = values.get(column, []), values.get("top_tokens")
    if not isinstance(reported, list) or len(reported) > len(tokens):
        size = len(reported) if isinstance(reported, list) else type(reported).__name__
        raise InputError(f"{where}: {column} has {size} entries: tokens has {len(tokens)}")
    reported = [*reported, *[None] * (len(tokens) - len(reported))]
    positions = []
    for j, (token, value) in enumerate(zip(tokens.tolist(), reported, strict=True)):
        own = ids[j] if isinstance(ids, list) and j < len(ids) else None
        positions.append(_position(value, own, token, f"{where}: {column}[{j}]"))
    return Reported(where, prompt_digest(values.get("prompt"), f"{where}: prompt"), tokens, tuple(positions))


def _plain(value: Any, name: str) -> Any:
    """Arrays, tensors and their numbers as the lists and numbers that a file would hold."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Mapping):
        return {key: _plain(each, name) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each, name) for each in value]
    return value if value is None or isinstance(value, (str, int, float)) else as_array(value, name, None).tolist()


def _position(value: Any, ids: Any, token: int, name: str) -> Position | None:
    """Take one position apart: a law, a list with its tokens, a mapping, or the drawn token's number."""
    if value is None or (isinstance(value, (list, Mapping)) and not value):
        return None
    if isinstance(value, Mapping):
        keys = [token_key(str(key), name) for key in value]
        return whole_numbers(keys, name), log_numbers(list(value.values()), name)
    if not isinstance(value, list):
        return np.array([token]), log_numbers([value], name)
    logs = log_numbers(value, name)
    if ids is None and name.partition(": ")[2].startswith("logprobs"):
        return np.arange(len(logs)), logs
    tokens = whole_numbers(ids, f"{name}: top_tokens")
    if len(tokens) != len(logs):
        raise InputError(f"{name} and its top_tokens are not lists of one length")
    return tokens, logs
