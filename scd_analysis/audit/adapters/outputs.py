"""What verification functions return, in the ways that are common, as emitted tokens and numbers of accepted drafts.

One window of L = 4 drafts a b c d, of which a and b are accepted and c is replaced by x::

    tokens+counts      [a b x . .], 3          how many tokens are committed
    tokens+accepted    [a b x . .], 2          how many drafts were accepted, or a mask [1 1 0 .]
    padded             [a b x -1 -1]
    accepted+bonus     2, x                    or a mask, and a replacement for each position
    list               [a, b, x]
"""

from __future__ import annotations

from collections.abc import Callable, Sized
from dataclasses import dataclass
from typing import Any

import numpy as np

from scd_analysis.errors import InputError
from scd_analysis.evidence.batch import Longs
from scd_analysis.validate import as_array

NONE = -1


@dataclass(frozen=True)
class Window:
    """What a reader needs to know.

    Attributes
    ----------
    drafts : Long[B, L]
    vocab_size : int
    placeholder : int
        Of padded output.
    bonus : bool
        Whether a window accepted whole commits one token more.
    """

    drafts: Longs
    vocab_size: int
    placeholder: int
    bonus: bool

    @property
    def size(self) -> int:
        """L."""
        return self.drafts.shape[1]

    @property
    def most(self) -> int:
        """Tokens that a window commits at most."""
        return self.size + self.bonus


Emitted = tuple[Longs, Longs]
"""Long[B, L + 1] tokens committed, then -1; and Long[B], how many of them are accepted drafts."""


def _pair(returned: Any, what: str) -> tuple[Any, ...]:
    if not isinstance(returned, (tuple, list)) or len(returned) < 2:
        raise InputError(
            f"kernel: expected {what} to be returned, got {type(returned).__name__}; "
            f"other conventions are output={', '.join(map(repr, READERS))}"
        )
    return tuple(returned)


def _whole(value: Any, name: str) -> Longs:
    """Whole numbers as they are, and not what is left of others."""
    given = as_array(value, name)
    bad = given != np.trunc(given)
    if bad.any():
        first = tuple(int(i) for i in np.argwhere(bad)[0])
        raise InputError(f"{name}{list(first)} = {given[first]}: expected a whole number")
    return given.astype(np.int64)


def _tokens(value: Any, window: Window, widest: int) -> Longs:
    tokens = _whole(value, "kernel's tokens")
    expected = (len(window.drafts), widest)
    if tokens.ndim != 2 or len(tokens) != expected[0] or tokens.shape[1] > widest:
        raise InputError(f"kernel's tokens have shape {tokens.shape}: expected {expected}")
    return tokens


def _per_window(value: Any, window: Window, name: str) -> Longs:
    out = _whole(value, f"kernel's {name}")
    if out.shape == (len(window.drafts), 1):
        out = out[:, 0]
    if out.shape != (len(window.drafts),):
        raise InputError(f"kernel's {name} have shape {out.shape}: expected {(len(window.drafts),)}")
    return out


def _cut(tokens: Longs, counts: Longs, window: Window) -> Longs:
    padded = np.full((len(tokens), window.size + 1), NONE, dtype=np.int64)
    padded[:, : tokens.shape[1]] = tokens
    for i, k in np.argwhere((padded < 0) & (np.arange(window.size + 1) < counts[:, None]))[:1]:
        raise InputError(
            f"kernel's tokens[{i}, {k}] = {padded[i, k]}: not a token of a vocabulary of {window.vocab_size}"
        )
    return np.where(np.arange(window.size + 1) < counts[:, None], padded, NONE)


def _of_counts(tokens: Longs, counts: Longs, window: Window) -> Emitted:
    accepted = counts - 1
    if not window.bonus:  # the last of L tokens is then an accepted draft or a replacement, which never equals it
        whole = (counts == window.size) & (tokens[:, min(window.size, tokens.shape[1]) - 1] == window.drafts[:, -1])
        accepted = np.where(whole, window.size, accepted)
    return _cut(tokens, counts, window), accepted


def tokens_and_counts(returned: Any, window: Window) -> Emitted:
    """Tokens Long[B, at most L + 1], and how many of each row are committed."""
    out, counts, *_ = _pair(returned, "(tokens, counts)")
    tokens, counts = _tokens(out, window, window.size + 1), _per_window(counts, window, "counts")
    most = min(window.most, tokens.shape[1])
    for i in np.flatnonzero((counts < 1) | (counts > most))[:1]:
        hint = "; counts of accepted drafts are output='tokens+accepted'" if counts[i] == 0 else ""
        raise InputError(f"kernel's counts[{i}] = {counts[i]}: must lie between 1 and {most}{hint}")
    return _of_counts(tokens, counts, window)


def _accepted(value: Any, window: Window) -> Longs:
    """Counts, or a mask of which the leading ones count."""
    flags = _whole(value, "kernel's accepted")
    if flags.shape == window.drafts.shape and flags.shape[1] > 1:
        if not np.isin(flags, (0, 1)).all():
            raise InputError(f"kernel's accepted have shape {flags.shape}: a mask holds 0 and 1 only")
        return np.asarray(flags.cumprod(axis=1).sum(axis=1))
    counts = _per_window(flags, window, "accepted")
    for i in np.flatnonzero((counts < 0) | (counts > window.size))[:1]:
        hint = "; counts of committed tokens are output='tokens+counts'" if counts[i] == window.size + 1 else ""
        raise InputError(f"kernel's accepted[{i}] = {counts[i]}: must lie between 0 and {window.size}{hint}")
    return counts


def tokens_and_accepted(returned: Any, window: Window) -> Emitted:
    """Tokens Long[B, at most L + 1], and accepted drafts Long[B] or Bool[B, L]."""
    out, flags, *_ = _pair(returned, "(tokens, accepted)")
    tokens, accepted = _tokens(out, window, window.size + 1), _accepted(flags, window)
    counts = np.minimum(accepted + 1, window.most)
    for i in np.flatnonzero(counts > tokens.shape[1])[:1]:
        raise InputError(
            f"kernel's tokens have {tokens.shape[1]} columns, but window {i} commits {counts[i]}; "
            "where a window accepted whole commits no bonus token, pass bonus=False"
        )
    return _cut(tokens, counts, window), accepted


def padded(returned: Any, window: Window) -> Emitted:
    """Tokens Long[B, at most L + 1] that end with placeholders; of a tuple, the first."""
    if 0 <= window.placeholder < window.vocab_size:
        raise InputError(
            f"placeholder = {window.placeholder}: is a token of the vocabulary of {window.vocab_size}, so that its end "
            "cannot be seen; have counts returned too, as output='tokens+counts'"
        )
    tokens = _tokens(returned[0] if isinstance(returned, tuple) else returned, window, window.size + 1)
    empty = tokens == window.placeholder
    counts = tokens.shape[1] - empty.sum(axis=1)
    for i, k in np.argwhere(empty[:, :-1] & ~empty[:, 1:])[:1]:
        raise InputError(f"kernel's tokens[{i}, {k}] = {window.placeholder}: a token comes after the placeholder")
    for i in np.flatnonzero(counts > window.most)[:1]:
        raise InputError(f"kernel's tokens[{i}]: {counts[i]} tokens of a window that commits {window.most} at most")
    return _of_counts(tokens, counts, window)


def accepted_and_bonus(returned: Any, window: Window) -> Emitted:
    """Accepted drafts Long[B] or Bool[B, L]; a replacement Long[B] or one a position; the bonus token if it is apart.

    One replacement a window is the bonus token where the window was accepted whole; of one a position, that of the
    first rejection counts, or the last of L + 1.
    """
    flags, other, *more = _pair(returned, "(accepted, replacement) or (accepted, replacements, bonus)")
    accepted = _accepted(flags, window)
    rows, whole = np.arange(len(accepted)), accepted == window.size
    other = _whole(other, "kernel's replacements")
    if other.ndim == 2 and other.shape[1] in (window.size, window.size + 1) and other.shape[1] > 1:
        chosen = other[rows, np.minimum(accepted, other.shape[1] - 1)]
        has_bonus = other.shape[1] == window.size + 1
    else:
        chosen, has_bonus = _per_window(other, window, "replacements"), True
    if more:
        chosen, has_bonus = np.where(whole, _per_window(more[0], window, "bonus tokens"), chosen), True
    if window.bonus and not has_bonus and whole.any():
        raise InputError(
            f"kernel: window {int(whole.argmax())} was accepted whole and no bonus token was returned; "
            "where there is none, pass bonus=False"
        )
    tokens = np.concatenate([window.drafts, np.full((len(rows), 1), NONE)], axis=1)
    tokens[rows, accepted] = np.where(whole & ~np.asarray(window.bonus), NONE, chosen)
    return _cut(tokens, np.minimum(accepted + 1, window.most), window), accepted


def lists(returned: Any, window: Window) -> Emitted:
    """One list of committed tokens a window."""
    if not isinstance(returned, (list, tuple)) or len(returned) != len(window.drafts):
        size = len(returned) if isinstance(returned, Sized) else type(returned).__name__
        raise InputError(f"kernel: expected a list of {len(window.drafts)} lists to be returned, got {size}")
    rows = [_whole(row, f"kernel's list {i}") for i, row in enumerate(returned)]
    for i, row in enumerate(rows):
        if row.ndim != 1 or not 1 <= len(row) <= window.most:
            raise InputError(f"kernel's list {i} has shape {row.shape}: 1 to {window.most} tokens are committed")
    counts = np.array([len(row) for row in rows])
    tokens = np.full((len(rows), window.most), NONE)
    for i, row in enumerate(rows):
        tokens[i, : len(row)] = row
    return _of_counts(tokens, counts, window)


READERS: dict[str, Callable[[Any, Window], Emitted]] = {
    "tokens+counts": tokens_and_counts,
    "tokens+accepted": tokens_and_accepted,
    "padded": padded,
    "accepted+bonus": accepted_and_bonus,
    "list": lists,
}
