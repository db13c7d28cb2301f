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
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from scd_analysis.audit.adapters.stored import Shelf
from scd_analysis.audit.target import Target
from scd_analysis.errors import InputError, LawError
from scd_analysis.evidence.batch import Batch, Floats, Longs, make_batch
from scd_analysis.evidence.catalogue import is_small
from scd_analysis.validate import LAW_TOLERANCE, check_tokens

SUFFIXES = (".jsonl", ".ndjson", ".parquet")
COLUMNS = ("tokens", "logprobs", "top_tokens", "top_logprobs")

MOST_TOKENS = 2**31

LEAST_REST = 1e-6
"""Probability that is left for what is not listed, at least: log-probabilities in float32 are not known any better."""


@dataclass(frozen=True)
class Laws:
    """Sequences with their laws.

    Attributes
    ----------
    tokens : Long[S, N]
        Tokens, or ranks.
    probs : Float[S, N, V]
    """

    tokens: Longs
    probs: Floats


class RecordedTarget(Target):
    """The recorded laws in place of a model's: asked for each sequence once, in the order of the file.

    Parameters
    ----------
    laws : Laws
    """

    def __init__(self, laws: Laws) -> None:
        self._laws, self._table, self.grid_width = laws, None, None
        self._shelf = Shelf(len(laws.tokens))
        self.num_tokens, self.vocab_size = laws.probs.shape[1:]

    def check(self, rng: np.random.Generator) -> None:
        """Laws were checked when they were read; whether they look ahead, a file cannot show."""

    def countable_law(self) -> tuple[Floats, str] | None:
        """Return the law of the first token, if all sequences share it."""
        first = self._laws.probs[:, 0]
        return (first[0], "the first token") if np.abs(first - first[0]).max() < LEAST_REST else None

    def batch(self, tokens: Longs, rng: np.random.Generator) -> Batch:
        """Return the next sequences with their laws."""
        rows = self._shelf.take(len(tokens))
        if not (self._laws.tokens[rows] == tokens).all():
            raise InputError("tokens: are not those of the file, whose laws go with its own sequences only")
        cells = None
        if is_small(self.vocab_size, self.num_tokens):
            cells = tokens @ self.vocab_size ** np.arange(self.num_tokens - 1, -1, -1)
        return make_batch(tokens, self._laws.probs[rows], rng.random(tokens.shape), cells=cells)


class RecordedFile:
    """See :func:`recorded_file`.

    Attributes
    ----------
    num_available : int
    target_model : RecordedTarget or None
        The laws of the file, if it has any.
    """

    def __init__(self, path: str | Path) -> None:
        rows = [_Row(where, values) for where, values in _read(Path(path))]
        if not rows:
            raise InputError(f"{path}: holds no sequence")
        self._rows, self.num_available, self._shelf = rows, len(rows), Shelf(len(rows))
        laws = _laws(rows)
        self.target_model = None if laws is None else RecordedTarget(laws)
        self._coded = None if laws is None else laws.tokens

    def __call__(self, model: Any, num_sequences: int, seed: int) -> Longs:
        """Return the next sequences; as the tokens they are, for a model that is not the file's.

        Raises
        ------
        InputError
            If fewer are left, or a token is outside the model's vocabulary, or a length is not the model's.
        """
        rows = self._shelf.take(num_sequences)
        if model is self.target_model and self._coded is not None:
            return self._coded[rows]
        for row in self._rows[rows]:
            if len(row.tokens) != model.num_tokens:
                raise InputError(f"{row.where}: tokens has {len(row.tokens)} entries, the model {model.num_tokens}")
            check_tokens(row.tokens, int(model.vocab_size), f"{row.where}: tokens")
        return np.stack([row.tokens for row in self._rows[rows]])


def recorded_file(path: str | Path) -> RecordedFile:
    """Make a subject of a file of tokens with log-probabilities; the audit then needs no model.

    Parameters
    ----------
    path : path
        JSON lines or Parquet, with the columns ``tokens`` and ``logprobs``, or ``top_tokens`` and ``top_logprobs``;
        others are not looked at. The top of :mod:`scd_analysis.audit.adapters.recorded_file` shows them.

    Raises
    ------
    InputError
        Naming the file, the row and the column.
    LawError
        If log-probabilities are not those of a law.
    """
    return RecordedFile(path)


def _read(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Read the rows, each with a name for messages."""
    if not path.is_file():
        raise InputError(f"{path}: there is no such file")
    if path.suffix.lower() == ".parquet":
        yield from _read_parquet(path)
        return
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")  # other ends of lines may stand inside a string
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is not UTF-8 ({error.reason} at byte {error.start})") from None
    for number, line in enumerate(lines, start=1):
        if line.strip():
            where = f"{path}, line {number}"
            try:
                values = json.loads(line)
            except ValueError as error:
                raise InputError(f"{where}: is not JSON ({error})") from None
            if not isinstance(values, dict):
                raise InputError(f"{where}: is a {type(values).__name__}, expected an object with the key tokens")
            yield where, {name: value for name, value in values.items() if value is not None}


def _read_parquet(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ModuleNotFoundError:
        raise InputError(f"{path}: reading Parquet needs pyarrow; pip install 'scd-analysis[parquet]'") from None
    try:
        file = parquet.ParquetFile(path)
        known = [name for name in COLUMNS if name in file.schema_arrow.names]
        if "top_logprobs" in known:
            _check_lists(file.schema_arrow.field("top_logprobs").type, f"{path}: top_logprobs")
        number = 0
        for batch in file.iter_batches(columns=known):
            for values in batch.to_pylist():
                yield f"{path}, row {number}", {name: value for name, value in values.items() if value is not None}
                number += 1
    except (pyarrow.ArrowException, OSError) as error:
        raise InputError(f"{path}: is not Parquet ({str(error).splitlines()[0]})") from None


def _check_lists(kind: Any, name: str) -> None:
    """Refuse objects in Parquet: each comes back with every key of the file, so that what it lacked is lost."""
    from pyarrow import types

    inner = getattr(kind, "value_type", kind)
    if types.is_struct(inner) or types.is_map(inner) or types.is_map(kind):
        raise InputError(f"{name} has {inner} for each token: in Parquet, write lists, with top_tokens beside them")


class _Row:
    """One sequence, checked by itself."""

    def __init__(self, where: str, values: dict[str, Any]) -> None:
        self.where = where
        if "tokens" not in values:
            raise InputError(f"{where}: has no tokens; the columns are {', '.join(map(str, values)) or 'none'}")
        self.tokens = _whole(values["tokens"], f"{where}: tokens")
        self.logprobs: Floats | None = None
        self.top: list[dict[int, float]] | None = None
        if "logprobs" in values:
            self.logprobs = self._all(values["logprobs"])
        elif "top_logprobs" in values:
            self.top = self._most_probable(values["top_logprobs"], values.get("top_tokens"))

    @property
    def kind(self) -> str:
        """What it holds of laws."""
        return "logprobs" if self.logprobs is not None else "top_logprobs" if self.top is not None else "no laws"

    def _all(self, value: Any) -> Floats:
        name = f"{self.where}: logprobs"
        if isinstance(value, list) and value and not isinstance(value[0], list):
            raise InputError(
                f"{name} has one number a token: the log-probabilities of the drawn tokens alone leave the law "
                "unknown; give all V of each token, or top_tokens and top_logprobs"
            )
        self._same_length(value, name)
        sizes = {len(law) if isinstance(law, list) else -1 for law in value}
        if len(sizes) != 1 or min(sizes) < 2:
            raise InputError(f"{name} has laws of {sorted(sizes)} entries: each token has V of them")
        laws = np.array([[_log(x, f"{name}[{j}]") for x in law] for j, law in enumerate(value)])
        for j, total in enumerate(np.exp(laws).sum(axis=1)):
            if abs(total - 1) > LAW_TOLERANCE:
                raise LawError(f"{name}[{j}]: the probabilities sum to {total:.6g}, not to 1; natural logarithms?")
        check_tokens(self.tokens, laws.shape[1], f"{self.where}: tokens")
        return laws

    def _most_probable(self, value: Any, ids: Any) -> list[dict[int, float]]:
        name = f"{self.where}: top_logprobs"
        self._same_length(value, name)
        if ids is not None:
            self._same_length(ids, f"{self.where}: top_tokens")
        out = []
        for j, law in enumerate(value):
            place = f"{name}[{j}]"
            if isinstance(law, dict):
                listed, numbers = list(law), list(law.values())
            elif ids is None:
                raise InputError(f"{place}: which tokens these are is not said; give top_tokens too")
            else:
                listed, numbers = ids[j], law
                if not isinstance(listed, list) or not isinstance(numbers, list) or len(listed) != len(numbers):
                    raise InputError(f"{place} and top_tokens[{j}] are not lists of one length")
            tokens = _whole(listed, f"{place}: tokens")
            pairs = dict(zip(tokens.tolist(), (_log(x, place) for x in numbers), strict=True))
            total = math.fsum(math.exp(x) for x in pairs.values())
            if len(pairs) < len(tokens) or total > 1 + LAW_TOLERANCE:
                what = "names a token twice" if len(pairs) < len(tokens) else f"sums to {total:.6g}, which is above 1"
                raise LawError(f"{place}: {what}")
            out.append(pairs)
        return out

    def _same_length(self, value: Any, name: str) -> None:
        if not isinstance(value, list) or len(value) != len(self.tokens):
            size = len(value) if isinstance(value, list) else type(value).__name__
            raise InputError(f"{name} has {size} entries: tokens has {len(self.tokens)}")


def _whole(value: Any, name: str) -> Longs:
    """A list of tokens; JSON has them as keys too."""
    if not isinstance(value, list) or not value:
        raise InputError(f"{name} = {value!r}: expected a list of whole numbers")
    out = []
    for j, x in enumerate(value):
        plain = int(x) if isinstance(x, str) and x.isdecimal() else x
        if isinstance(plain, bool) or not isinstance(plain, int) or not 0 <= plain < MOST_TOKENS:
            raise InputError(f"{name}[{j}] = {x!r}: a token is a whole number, 0 or more and below 2**31")
        out.append(plain)
    return np.array(out, dtype=np.int64)


def _log(value: Any, name: str) -> float:
    """A log-probability; null is that of an impossible token."""
    if value is None:
        return -math.inf
    if isinstance(value, bool) or not isinstance(value, (int, float)) or math.isnan(value) or value > LAW_TOLERANCE:
        raise LawError(f"{name} has {value!r}: a log-probability is a number, 0 at most")
    return float(value)


def _laws(rows: list[_Row]) -> Laws | None:
    """Lay all sequences out side by side."""
    first = rows[0]
    for row in rows:
        if row.kind != first.kind:
            raise InputError(f"{row.where}: has {row.kind}, {first.where} has {first.kind}")
    if first.kind == "no laws":
        return None
    if first.logprobs is not None:
        size = first.logprobs.shape[1]
        for row in rows:
            if row.logprobs is not None and row.logprobs.shape[1] != size:
                raise InputError(f"{row.where}: logprobs has {row.logprobs.shape[1]} a token, {first.where} {size}")
        return _side_by_side([(row.tokens, np.exp(row.logprobs)) for row in rows if row.logprobs is not None], size)
    _check_not_the_drawn_alone(rows)
    listed = _told_apart(rows)
    return _side_by_side([_ranked(row, listed) for row in rows], listed + 1)


def _check_not_the_drawn_alone(rows: list[_Row]) -> None:
    """Lists of one token each, that was always drawn: no coincidence where the law gives it less than certainty."""
    pairs = [pair for row in rows for pair in zip(row.tokens.tolist(), row.top or (), strict=True)]
    if all(list(law) == [token] for token, law in pairs) and math.fsum(law[token] for token, law in pairs) < -20:
        raise InputError(
            f"{rows[0].where}: top_logprobs lists the drawn token of each and, in the whole file, no other: the drawn "
            "tokens alone leave the law unknown; give the K most probable of each, or all V"
        )


def _told_apart(rows: list[_Row]) -> int:
    """How many ranks are told apart: those that every list has, or all, if the lists are whole laws."""
    whole, sizes = 1, dict[int, str]()
    for row in rows:
        for j, law in enumerate(row.top or ()):
            if math.fsum(math.exp(x) for x in law.values()) >= 1 - LAW_TOLERANCE:
                whole = max(whole, len(law))
            else:
                sizes.setdefault(len(law), f"{row.where}: top_logprobs[{j}]")
    if not sizes:
        return whole
    least, most = min(sizes), max(sizes)
    if most > least + 1:  # the drawn token may be added to a list
        raise InputError(
            f"{sizes[least]} has {least} entries, {sizes[most]} has {most}: only ranks that all lists have could be "
            "judged; give as many of each token, but for a drawn token that is added"
        )
    return least


def _ranked(row: _Row, listed: int) -> tuple[Longs, Floats]:
    """Replace each token by its rank among the ``listed`` most probable, or ``listed``."""
    ranks, laws = [], []
    for token, law in zip(row.tokens.tolist(), row.top or (), strict=True):
        order = sorted(law, key=lambda x: (-law[x], x))[:listed]
        ranks.append(order.index(token) if token in order else listed)
        probs = [math.exp(law[x]) for x in order]
        probs += [0.0] * (listed - len(probs))  # a whole law of fewer tokens
        laws.append([*probs, max(1 - math.fsum(probs), LEAST_REST)])
    return np.array(ranks), np.array(laws)


def _side_by_side(sequences: list[tuple[Longs, Floats]], vocab_size: int) -> Laws:
    length = max(len(tokens) for tokens, _ in sequences)
    tokens = np.zeros((len(sequences), length), dtype=np.int64)
    probs = np.zeros((len(sequences), length, vocab_size))
    probs[..., 0] = 1
    for i, (own, laws) in enumerate(sequences):
        tokens[i, : len(own)], probs[i, : len(own)] = own, laws / laws.sum(axis=1, keepdims=True)
    return Laws(tokens, probs)
