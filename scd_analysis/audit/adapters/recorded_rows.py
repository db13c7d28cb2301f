"""One row of a recorded file, checked by itself and kept in arrays."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from scd_analysis.common.foreign_json import shown
from scd_analysis.errors import InputError, LawError
from scd_analysis.evidence.batch import Floats, Longs
from scd_analysis.validate import LAW_TOLERANCE, check_tokens

MOST_TOKENS = 2**31
ROW_COST = 64
"""Numbers that a row costs beside its own."""


@dataclass(frozen=True)
class Listed:
    """The most probable tokens of each position, lists one behind the other.

    Attributes
    ----------
    starts : Long[N + 1]
        Where each list begins, and the end.
    ids : Long[M]
        Tokens; within a list the most probable first.
    probs : Float[M]
    """

    starts: Longs
    ids: Longs
    probs: Floats

    def at(self, position: int) -> tuple[Longs, Floats]:
        """Return tokens and probabilities of one position."""
        own = slice(int(self.starts[position]), int(self.starts[position + 1]))
        return self.ids[own], self.probs[own]

    @property
    def sizes(self) -> Longs:
        """Return Long[N], how many are listed."""
        return np.diff(self.starts)

    @property
    def position(self) -> Longs:
        """Return Long[M], where each entry belongs."""
        return np.repeat(np.arange(len(self.starts) - 1), self.sizes)

    @property
    def rank(self) -> Longs:
        """Return Long[M], the place of each entry in its list."""
        return np.arange(len(self.ids)) - self.starts[self.position]

    def is_whole(self) -> npt.NDArray[np.bool_]:
        """Return Bool[N]: whether nothing is left for other tokens."""
        return np.add.reduceat(self.probs, self.starts[:-1]) >= 1 - LAW_TOLERANCE


@dataclass(frozen=True)
class Row:
    """One sequence.

    Attributes
    ----------
    where : str
        Its name in messages.
    prompt : bytes
        What it continues: rows with the same one have the same law.
    tokens : Long[N]
    laws : Float[N, V] or None
        Probabilities, normalised.
    top : Listed or None
    """

    where: str
    prompt: bytes
    tokens: Longs
    laws: Floats | None
    top: Listed | None

    @property
    def kind(self) -> str:
        """What it holds of laws."""
        return "logprobs" if self.laws is not None else "top_logprobs" if self.top is not None else "no laws"

    @property
    def cost(self) -> int:
        """Numbers in memory."""
        laws, listed = 0 if self.laws is None else self.laws.size, 0 if self.top is None else 2 * self.top.ids.size
        return ROW_COST + 2 * self.tokens.size + laws + listed

    def token_probs(self) -> Floats:
        """Return Float[N], the probability of each token; 0 where it is not listed."""
        if self.laws is not None:
            return np.asarray(self.laws[np.arange(len(self.tokens)), self.tokens])
        if self.top is None:
            raise AssertionError(f"{self.where}: has no laws")
        drawn = self.top.ids == self.tokens[self.top.position]
        out = np.zeros(len(self.tokens))
        out[self.top.position[drawn]] = self.top.probs[drawn]
        return out


def read_row(where: str, values: dict[str, Any]) -> Row:
    """Check one row.

    Raises
    ------
    InputError
        Naming the row, the column and the value.
    LawError
        If log-probabilities are not those of a law.
    """
    if "tokens" not in values:
        raise InputError(f"{where}: has no tokens; the columns are {shown(list(values))}")
    tokens = whole_numbers(values["tokens"], f"{where}: tokens")
    prompt = prompt_digest(values.get("prompt"), f"{where}: prompt")
    laws = top = None
    if "logprobs" in values:
        laws = _whole_laws(values["logprobs"], f"{where}: logprobs", len(tokens))
        check_tokens(tokens, laws.shape[1], f"{where}: tokens")
    elif "top_logprobs" in values:
        top = _most_probable(values["top_logprobs"], values.get("top_tokens"), where, len(tokens))
    return Row(where, prompt, tokens, laws, top)


def prompt_digest(value: Any, name: str) -> bytes:
    """What a prompt is told from others by."""
    try:
        text = json.dumps(value, sort_keys=True)
    except (TypeError, ValueError, RecursionError):
        raise InputError(f"{name} = {shown(value)}: expected a string, a number or a list") from None
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


def _whole_laws(value: Any, name: str, length: int) -> Floats:
    if isinstance(value, list) and value and not isinstance(value[0], list):
        raise InputError(
            f"{name} has one number a token: the log-probabilities of the drawn tokens alone leave the law "
            "unknown; give all V of each token, or top_tokens and top_logprobs"
        )
    _check_length(value, length, name)
    sizes = {len(law) if isinstance(law, list) else -1 for law in value}
    if len(sizes) != 1 or min(sizes) < 2:
        raise InputError(f"{name} has laws of {shown(sorted(sizes))} entries: each token has V of them")
    laws = np.exp([log_numbers(law, f"{name}[{j}]") for j, law in enumerate(value)])
    totals = laws.sum(axis=1)
    for j in np.flatnonzero(np.abs(totals - 1) > LAW_TOLERANCE):
        raise LawError(f"{name}[{j}]: the probabilities sum to {totals[j]:.6g}, not to 1; natural logarithms?")
    laws /= totals[:, None]
    return np.asarray(laws)


def _most_probable(value: Any, ids: Any, where: str, length: int) -> Listed:
    name = f"{where}: top_logprobs"
    _check_length(value, length, name)
    if ids is not None:
        _check_length(ids, length, f"{where}: top_tokens")
    lists = [_one_list(law, None if ids is None else ids[j], j, name) for j, law in enumerate(value)]
    starts = np.cumsum([0, *(len(listed) for listed, _ in lists)])
    position = np.repeat(np.arange(length), np.diff(starts))
    try:
        tokens = whole_numbers([x for listed, _ in lists for x in listed], name)
        logs = log_numbers([x for _, numbers in lists for x in numbers], name)
    except InputError:
        for j, (listed, numbers) in enumerate(lists):  # which of them?
            whole_numbers(listed, f"{name}[{j}]: tokens")
            log_numbers(numbers, f"{name}[{j}]")
        raise
    order = np.lexsort((tokens, -logs, position))
    found = Listed(starts, tokens[order], np.exp(logs[order]))
    _check_lists(found, name)
    return found


def _check_lists(found: Listed, name: str) -> None:
    """Refuse a token that is listed twice, and probabilities above one in sum."""
    order = np.lexsort((found.ids, found.position))
    same = (np.diff(found.ids[order]) == 0) & (np.diff(found.position[order]) == 0)
    for k in np.flatnonzero(same):
        raise LawError(f"{name}[{found.position[order][k]}]: names a token twice")
    totals = np.add.reduceat(found.probs, found.starts[:-1])
    for j in np.flatnonzero(totals > 1 + LAW_TOLERANCE):
        raise LawError(f"{name}[{j}]: sums to {totals[j]:.6g}, which is above 1")


def _one_list(law: Any, ids: Any, j: int, name: str) -> tuple[list[Any], list[Any]]:
    """Take one position's tokens and numbers apart."""
    place = f"{name}[{j}]"
    if isinstance(law, dict):
        tokens, numbers = [token_key(key, place) for key in law], list(law.values())
    elif ids is None:
        raise InputError(f"{place}: which tokens these are is not said; give top_tokens too")
    elif not isinstance(ids, list) or not isinstance(law, list) or len(ids) != len(law):
        raise InputError(f"{place} and top_tokens[{j}] are not lists of one length")
    else:
        tokens, numbers = ids, law
    if not tokens:
        raise InputError(f"{place}: tokens = []: expected a list of whole numbers")
    return tokens, numbers


def _check_length(value: Any, length: int, name: str) -> None:
    if not isinstance(value, list) or len(value) != length:
        size = len(value) if isinstance(value, list) else type(value).__name__
        raise InputError(f"{name} has {size} entries: tokens has {length}")


def token_key(key: str, place: str) -> int:
    """A token as JSON has it for a key."""
    if not (key.isascii() and key.isdecimal() and len(key) <= 10):
        raise InputError(f"{place}: tokens has {shown(key)}: a token is a whole number, 0 or more and below 2**31")
    return int(key)


def whole_numbers(value: Any, name: str) -> Longs:
    """A list of tokens."""
    if not isinstance(value, list) or not value:
        raise InputError(f"{name} = {shown(value)}: expected a list of whole numbers")
    if set(map(type, value)) != {int} or not 0 <= min(value) <= max(value) < MOST_TOKENS:
        j, bad = next((j, x) for j, x in enumerate(value) if type(x) is not int or not 0 <= x < MOST_TOKENS)
        raise InputError(f"{name}[{j}] = {shown(bad)}: a token is a whole number, 0 or more and below 2**31")
    return np.array(value, dtype=np.int64)


def log_numbers(values: list[Any], name: str) -> Floats:
    """Log-probabilities, Float[K]; null is that of an impossible token."""
    if set(map(type, values)) <= {float, int, type(None)}:
        try:
            out = np.array([-math.inf if x is None else x for x in values], dtype=np.float64)
        except OverflowError:  # a whole number of hundreds of digits
            out = np.full(len(values), math.nan)
        if (out <= LAW_TOLERANCE).all():  # not so for NaN
            return np.minimum(out, 0.0)
    bad = next(x for x in values if not _is_log(x))
    raise LawError(f"{name} has {shown(bad)}: a log-probability is a number, 0 at most")


def _is_log(value: Any) -> bool:
    if value is None:
        return True
    return (type(value) in (float, int) and -1e300 < value <= LAW_TOLERANCE) or value == -math.inf
