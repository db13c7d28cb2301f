"""Hypothesis strategies for the code around a decoder: laws, pairs of laws, models, windows, and batches of drafts.

They aim at what breaks such code: probabilities of zero, ties, point masses, laws that are equal but for the last bit,
probabilities that a float32 sum loses, sums that are one only up to rounding. Every docstring says what examples
shrink to, so that a counterexample reads as a difference from that.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from scd_analysis.errors import InputError
from scd_analysis.testing.examples import DraftBatch, Law, Prefix, TableModel, Window
from scd_analysis.validate import check_at_least, check_known

Sizes = int | SearchStrategy[int]

PAIR_KINDS = ("equal", "unrelated", "near", "ulp", "point", "disjoint")
"""How two laws may stand to each other; see :func:`law_pairs`."""

_NEED_ZEROS = ("point", "disjoint")
_SMALLEST_EXPONENT = 100  # 2^-100 over 2^16 entries is still a normal float32
_MOST_CHANGED = 16  # entries that differ from their neighbours, so that large vocabularies stay cheap
_WIDEST_GAP = 1024  # ranks below 2^22 stay different in float32
_MOST_PREFIXES = 1024


def laws(
    *, vocab_size: Sizes | None = None, zeros: bool = True, ties: bool = True, dtype: npt.DTypeLike = np.float64
) -> SearchStrategy[Law]:
    """Laws over a vocabulary: Float[V], positive entries down to about 2^-100, sums one up to rounding.

    Examples shrink to the uniform law on the smallest vocabulary, ``[0.5, 0.5]``; without ties to ``[1/3, 2/3]``.

    Parameters
    ----------
    vocab_size : int or strategy of int, optional
        V; by default 2 to 8. Large ones are cheap: most entries are then equal.
    zeros : bool
        Whether entries may be zero, up to all but one (a point mass).
    ties : bool
        Whether positive entries may be equal.
    dtype : dtype
        float64 or float32. A float32 law is a float64 one, rounded, so its sum need not be one.

    Raises
    ------
    InputError
        If an argument is none of these.
    """
    kind = _dtype(dtype)
    return _sizes(vocab_size, 2, 8, least=1).flatmap(lambda size: _law_of(size, zeros, kind, ties))


@cache  # making a strategy costs more than drawing from it
def _law_of(size: int, zeros: bool, dtype: np.dtype[Any], ties: bool = True) -> SearchStrategy[Law]:
    return _law(size, zeros, ties, dtype)


@st.composite
def _law(draw: DrawFn, size: int, zeros: bool, ties: bool, dtype: np.dtype[Any]) -> Law:
    tokens = st.integers(0, size - 1)
    if ties:
        weights = np.ones(size)
        for token, weight in draw(_changes(size, zeros)).items():
            weights[token] = weight
    else:
        weights = _ranks(draw, size)
        if zeros:
            weights[list(draw(st.sets(tokens, max_size=min(size - 1, _MOST_CHANGED))))] = 0
    if not weights.any():
        weights[0] = 1
    if zeros and draw(st.integers(0, 4)) == 4:  # asked last: a point mass is then no simpler than a full law
        return _point_mass(draw(tokens), size, dtype)
    return np.asarray(weights / weights.sum(), dtype=dtype)


@cache
def _changes(size: int, zeros: bool) -> SearchStrategy[dict[int, float]]:
    """Weights of some tokens, where the others have weight one."""
    tiny = st.integers(1, _SMALLEST_EXPONENT).map(lambda exponent: 2.0**-exponent)
    weights = st.integers(1, 16).map(float) | tiny
    weights = weights | st.just(0.0) if zeros else weights
    return st.dictionaries(st.integers(0, size - 1), weights, max_size=min(size, _MOST_CHANGED))


def _ranks(draw: DrawFn, size: int) -> npt.NDArray[np.float64]:
    """Different whole numbers in any order; increasing, with gaps of one, when shrunk."""
    gaps = np.ones(size)
    wider = st.dictionaries(st.integers(0, size - 1), st.integers(1, _WIDEST_GAP), max_size=min(size, _MOST_CHANGED))
    for token, gap in draw(wider).items():
        gaps[token] = gap
    return np.asarray(gaps.cumsum()[draw(st.permutations(range(size)))])


def law_pairs(
    *,
    vocab_size: Sizes | None = None,
    kinds: Sequence[str] = PAIR_KINDS,
    zeros: bool = True,
    dtype: npt.DTypeLike = np.float64,
) -> SearchStrategy[tuple[Law, Law]]:
    """Two laws over one vocabulary, as a target and a draft law.

    Examples shrink to two equal uniform laws, ``[0.5, 0.5]`` twice.

    Parameters
    ----------
    vocab_size : int or strategy of int, optional
        V, at least 2; by default 2 to 8.
    kinds : sequence of str
        Which of these: ``"equal"`` to the last bit; ``"unrelated"``; ``"near"``, one entry lower and one higher, by
        2^-10 of the first down to one unit in the last place; ``"ulp"``, one entry one unit off; ``"point"``, a law and
        a point mass; ``"disjoint"``, no token in common.
    zeros : bool
        Whether entries may be zero; without them there is no ``"point"`` and no ``"disjoint"``.
    dtype : dtype
        float64 or float32.

    Raises
    ------
    InputError
        If an argument is none of these.
    """
    for kind in kinds:
        check_known(kind, PAIR_KINDS, "kinds")
    chosen = [kind for kind in kinds if zeros or kind not in _NEED_ZEROS]
    if not chosen:
        raise InputError(f"kinds = {tuple(kinds)} with zeros={zeros}: no kind is left")
    return _pair(_sizes(vocab_size, 2, 8, least=2), chosen, zeros, _dtype(dtype))


@st.composite
def _pair(
    draw: DrawFn, sizes: SearchStrategy[int], kinds: list[str], zeros: bool, dtype: np.dtype[Any]
) -> tuple[Law, Law]:
    size, kind = draw(sizes), draw(st.sampled_from(kinds))
    first = draw(_law_of(size, zeros, dtype))
    if kind == "equal":
        return first, first.copy()
    if kind == "unrelated":
        return first, draw(_law_of(size, zeros, dtype))
    if kind == "disjoint":
        share = draw(st.sets(st.integers(0, size - 1), min_size=1, max_size=size - 1))
        inside = np.isin(np.arange(size), list(share))
        return _spread(draw, inside, dtype), _spread(draw, ~inside, dtype)
    if kind == "point":
        second = _point_mass(draw(st.integers(0, size - 1)), size, dtype)
    else:
        second = _nudged(draw, first, kind == "near")
    return (second, first) if draw(st.booleans()) else (first, second)


def _spread(draw: DrawFn, where: npt.NDArray[np.bool_], dtype: np.dtype[Any]) -> Law:
    law = np.zeros(len(where), dtype)
    law[where] = draw(_law_of(int(where.sum()), True, dtype))
    return law


def _nudged(draw: DrawFn, law: Law, near: bool) -> Law:
    """Another law, close by; different in at least one entry."""
    out, one, zero = law.copy(), law.dtype.type(1), law.dtype.type(0)
    lower = _one_of(draw, law > 0)
    if not near:
        up = draw(st.booleans()) and law[lower] < 1
        out[lower] = np.nextafter(law[lower], one if up else zero)
        return out
    higher = draw(st.integers(0, len(law) - 2))
    higher += higher >= lower
    moved = law[lower] * law.dtype.type(2.0 ** -draw(st.integers(10, np.finfo(law.dtype).nmant + 1)))
    out[lower] = min(law[lower] - moved, np.nextafter(law[lower], zero))
    out[higher] = min(max(law[higher] + moved, np.nextafter(law[higher], one)), one)
    return out


def target_models(
    *,
    vocab_size: Sizes | None = None,
    num_tokens: Sizes | None = None,
    zeros: bool = True,
    ties: bool = True,
    dtype: npt.DTypeLike = np.float64,
) -> SearchStrategy[TableModel]:
    """Target models with a law for every prefix, small enough for :func:`scd_analysis.exact_law`.

    Examples shrink to one token of two, ``TableModel(num_tokens=1, default=(0.5, 0.5), laws={})``, and a counterexample
    lists only the prefixes whose law is not the default one.

    Parameters
    ----------
    vocab_size : int or strategy of int, optional
        V; by default 2 to 4.
    num_tokens : int or strategy of int, optional
        N; by default 1 to 4. There may be 1,024 prefixes.
    zeros, ties
        As for :func:`laws`, of each law by itself.
    dtype : dtype
        Of the laws: float64 or float32.

    Raises
    ------
    InputError
        If an argument is none of these.
    """
    vocabulary, lengths = _sizes(vocab_size, 2, 4, least=1), _sizes(num_tokens, 1, 4, least=1, name="num_tokens")
    if isinstance(vocab_size, int) and isinstance(num_tokens, int):
        _check_prefixes(vocab_size, num_tokens)
    return _model(vocabulary, lengths, zeros, ties, _dtype(dtype))


def _check_prefixes(vocab_size: int, num_tokens: int) -> None:
    number = sum(vocab_size**k for k in range(num_tokens))
    if number > _MOST_PREFIXES:
        raise InputError(
            f"vocab_size = {vocab_size}, num_tokens = {num_tokens}: {number} prefixes, above {_MOST_PREFIXES}"
        )


@st.composite
def _model(
    draw: DrawFn,
    vocabulary: SearchStrategy[int],
    lengths: SearchStrategy[int],
    zeros: bool,
    ties: bool,
    dtype: np.dtype[Any],
) -> TableModel:
    size, length = draw(vocabulary), draw(lengths)
    _check_prefixes(size, length)
    few = draw(st.lists(_law_of(size, zeros, dtype, ties).map(lambda law: tuple(law.tolist())), min_size=1, max_size=6))
    prefixes: list[Prefix] = [prefix for k in range(length) for prefix in product(range(size), repeat=k)]
    which = _choices(draw, len(prefixes), len(few))
    listed = {prefix: few[i] for prefix, i in zip(prefixes, which, strict=True) if few[i] != few[0]}
    return TableModel(length, few[0], listed, dtype.name)


@st.composite
def _window(draw: DrawFn, lengths: SearchStrategy[int], longest: int) -> Window:
    num_tokens = draw(lengths)
    return Window(draw(st.integers(0, num_tokens - 1)), draw(st.integers(1, longest)), num_tokens)


def windows(*, num_tokens: Sizes | None = None, max_length: int = 16) -> SearchStrategy[Window]:
    """Windows over a sequence: inside it, up to its last position, past its end, longer than all of it.

    Examples shrink to ``Window(base=0, length=1, num_tokens=1)``.

    Parameters
    ----------
    num_tokens : int or strategy of int, optional
        N; by default 1 to 12.
    max_length : int
        The longest window; it may reach past the end.

    Raises
    ------
    InputError
        If an argument is none of these.
    """
    check_at_least(max_length, 1, "max_length")
    return _window(_sizes(num_tokens, 1, 12, least=1, name="num_tokens"), max_length)


class _Cell(NamedTuple):
    token: int
    draft: Law
    target: Law


@st.composite
def _cell(draw: DrawFn, size: int, zeros: bool, dtype: np.dtype[Any]) -> _Cell:
    kinds = [kind for kind in PAIR_KINDS if zeros or kind not in _NEED_ZEROS]
    target, draft = draw(_pair(st.just(size), kinds, zeros, dtype))
    moved = (draft > 0) & (draft != target)
    return _Cell(_one_of(draw, moved if draw(st.booleans()) and moved.any() else draft > 0), draft, target)


def draft_batches(
    *,
    num_sequences: Sizes | None = None,
    window: Sizes | None = None,
    vocab_size: Sizes | None = None,
    zeros: bool = True,
    dtype: npt.DTypeLike = np.float32,
) -> SearchStrategy[DraftBatch]:
    """Drafts with their laws and target laws, as a verification is given them.

    Pairs of laws are of all kinds of :func:`law_pairs`; so there are drafts with p = q, with p one unit in the last
    place below or above q, with p = 0, drafts from a point mass, and laws whose float32 sum is not one. A batch holds
    up to four kinds of cells, so that equal rows are common.

    Examples shrink to one sequence, one draft (token 0) and uniform laws on two tokens.

    Parameters
    ----------
    num_sequences, window : int or strategy of int, optional
        B and L; by default 1 to 4 each.
    vocab_size : int or strategy of int, optional
        V, at least 2; by default 2 to 6.
    zeros : bool
        Whether laws may hold zeros.
    dtype : dtype
        float32, as decoders hold laws, or float64.

    Raises
    ------
    InputError
        If an argument is none of these.
    """
    return _batch(
        _sizes(num_sequences, 1, 4, least=1, name="num_sequences"),
        _sizes(window, 1, 4, least=1, name="window"),
        _sizes(vocab_size, 2, 6, least=2),
        zeros,
        _dtype(dtype),
    )


@st.composite
def _batch(
    draw: DrawFn,
    numbers: SearchStrategy[int],
    lengths: SearchStrategy[int],
    vocabulary: SearchStrategy[int],
    zeros: bool,
    dtype: np.dtype[Any],
) -> DraftBatch:
    number, length, size = draw(numbers), draw(lengths), draw(vocabulary)
    few = draw(st.lists(_cell(size, zeros, dtype), min_size=1, max_size=4))
    which = np.reshape(_choices(draw, number * (length + 1), len(few)), (number, length + 1))
    tokens, drafts, targets = (np.stack(parts) for parts in zip(*few, strict=True))
    return DraftBatch(tokens[which[:, :-1]].astype(np.int64), drafts[which[:, :-1]], targets[which])


def _choices(draw: DrawFn, number: int, among: int) -> list[int]:
    """So many numbers below ``among``: bytes, which Hypothesis draws at once and yet shrinks one by one."""
    return [byte % among for byte in draw(st.binary(min_size=number, max_size=number))]


def _one_of(draw: DrawFn, where: npt.NDArray[np.bool_]) -> int:
    """The index of a True entry; drawn as one of all, so that few of them are no simpler than many."""
    found = np.flatnonzero(where)
    return int(found[draw(st.integers(0, len(where) - 1)) % len(found)])


def _point_mass(token: int, size: int, dtype: np.dtype[Any]) -> Law:
    law = np.zeros(size, dtype)
    law[token] = 1
    return law


def _sizes(value: Sizes | None, low: int, high: int, *, least: int, name: str = "vocab_size") -> SearchStrategy[int]:
    if value is None:
        return st.integers(low, high)
    if isinstance(value, SearchStrategy):
        return value.map(lambda drawn: _at_least(drawn, least, name))
    if isinstance(value, bool) or not isinstance(value, int):
        raise InputError(f"{name} = {value!r}: must be a whole number or a strategy of whole numbers")
    return st.just(_at_least(value, least, name))


def _at_least(value: int, least: int, name: str) -> int:
    check_at_least(value, least, name)
    return value


def _dtype(value: npt.DTypeLike) -> np.dtype[Any]:
    dtype = np.dtype(value)
    if dtype not in (np.float64, np.float32):
        raise InputError(f"dtype = {dtype}: must be float64 or float32")
    return dtype
