"""Whether the laws of a recorded file can be laws at all: one prompt with the same tokens behind it has one law.

A file that gives each row a law of its own, made up after the draw, agrees with any tokens. Where two rows share what
comes before a token, that shows.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from scd_analysis.audit.adapters.recorded_rows import Row
from scd_analysis.errors import LawError
from scd_analysis.evidence.batch import Floats, Longs
from scd_analysis.laws.kernels import total_variation
from scd_analysis.validate import LAW_TOLERANCE

SAME_LAW = 0.1
"""Total variation up to which two laws of one prefix are the same, computed twice. bfloat16 rounds a logit between 16
and 32 by up to 1/16: two computations differ by up to 1/8, and laws by tanh(1/16) = 0.06 at most. Batches of other
sizes give a few hundredths; a law made up for each draw differs by what the others give that token."""

NUMBERS_AT_ONCE = 2**20


def shared_prefixes(rows: list[Row]) -> Iterator[tuple[int, list[int]]]:
    """Find rows that agree in prompt and in the tokens before a position: yield the position and their numbers."""
    start: dict[bytes, list[int]] = {}
    for i, row in enumerate(rows):
        start.setdefault(row.prompt, []).append(i)
    groups, position = list(start.values()), 0
    while groups:
        further: dict[tuple[int, int], list[int]] = {}
        for number, group in enumerate(groups):
            members = [i for i in group if len(rows[i].tokens) > position]
            if len(members) > 1:
                yield position, members
                for i in members:
                    further.setdefault((number, int(rows[i].tokens[position])), []).append(i)
        groups, position = [group for group in further.values() if len(group) > 1], position + 1


def check_agreement(rows: list[Row], tolerance: float, told_apart: int) -> float:
    """Compare the laws of equal prefixes with that of the first row that has it.

    Parameters
    ----------
    rows : list of Row
        With laws, all of one kind.
    tolerance : float
        Total variation up to which they are the same.
    told_apart : int
        Ranks of listed tokens that count.

    Returns
    -------
    float
        The largest total variation between two laws that should be one; of lists, as far as they tell.

    Raises
    ------
    LawError
        Naming two rows that contradict each other.
    """
    largest = 0.0
    for position, members in shared_prefixes(rows):
        if rows[members[0]].laws is not None:
            apart = _apart(rows, members, position)
        else:
            apart = np.array([_lists_apart(rows[members[0]], rows[i], position, told_apart) for i in members])
            _check_sum(rows, members, position, tolerance)
        for k in np.flatnonzero(apart > tolerance):
            raise LawError(
                f"{rows[members[k]].where} and {rows[members[0]].where}: {rows[members[0]].kind}[{position}] are laws "
                f"of the token after the same tokens, and differ by a total variation of {apart[k]:.3g} (up to "
                f"{tolerance:g} would be rounding); rows of several prompts or settings say which in a column prompt"
            )
        largest = max(largest, float(apart.max()))
    return largest


def _apart(rows: list[Row], members: list[int], position: int) -> Floats:
    first = _law(rows[members[0]], position)
    block = max(1, NUMBERS_AT_ONCE // len(first))
    parts = []
    for start in range(0, len(members), block):
        laws = np.stack([_law(rows[i], position) for i in members[start : start + block]])
        parts.append(total_variation(laws, first))
    return np.concatenate(parts)


def _law(row: Row, position: int) -> Floats:
    if row.laws is None:
        raise AssertionError(f"{row.where}: has no whole laws")
    return np.asarray(row.laws[position])


def _lists_apart(first: Row, second: Row, position: int, told_apart: int) -> float:
    """Bound the total variation from below by what two lists tell."""
    one, other = _list(first, position), _list(second, position)
    return max(_exceeds(one, other, told_apart), _exceeds(other, one, told_apart))


def _list(row: Row, position: int) -> tuple[Longs, Floats]:
    if row.top is None:
        raise AssertionError(f"{row.where}: has no lists")
    return row.top.at(position)


def _exceeds(one: tuple[Longs, Floats], other: tuple[Longs, Floats], told_apart: int) -> float:
    """By how much the first list gives its tokens more than any law does that the second is the top of."""
    known = dict(zip(other[0].tolist(), other[1].tolist(), strict=True))
    rest = max(0.0, 1 - math.fsum(known.values()))
    least = min(rest, float(other[1][min(told_apart, len(known)) - 1]))  # what is not listed is not more probable
    common = alone = single = 0.0
    for token, prob in zip(one[0].tolist(), one[1].tolist(), strict=True):
        if token in known:
            common += max(prob - known[token], 0.0)
        else:
            alone, single = alone + prob, single + max(prob - least, 0.0)
    return common + max(single, alone - rest)


def _check_sum(rows: list[Row], members: list[int], position: int, tolerance: float) -> None:
    """Tokens that different rows list after one prefix cannot have more than probability one together."""
    seen: dict[int, float] = {}
    total = 0.0
    for i in members:
        for token, prob in zip(*(part.tolist() for part in _list(rows[i], position)), strict=True):
            if token not in seen:
                seen[token] = prob
                total += prob
        if total > 1 + tolerance:
            raise LawError(
                f"{rows[i].where} and {rows[members[0]].where}: the tokens of top_logprobs[{position}] of these and "
                f"other rows follow the same tokens, and their probabilities sum to {total:.4g}, which is above 1; "
                "rows of several prompts or settings say which in a column prompt"
            )


def check_left_to_chance(rows: list[Row]) -> None:
    """Refuse a file that gives every token that came probability one: nothing in it could have been refuted.

    Raises
    ------
    LawError
        Naming the first rows.
    """
    if all((row.token_probs() >= 1 - LAW_TOLERANCE).all() for row in rows):
        names = " and ".join(row.where for row in rows[:2])
        raise LawError(
            f"{names}: every token has probability 1, as every token of the file: nothing was left to chance, and "
            "nothing could be refuted; a greedy decoder is judged with its model, audit(path, model)"
        )
