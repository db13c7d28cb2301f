"""What verification functions return, in the ways that are common, as emitted tokens and numbers of accepted drafts.

One window of L = 4 drafts a b c d, of which a and b are accepted and c is replaced by x::

    tokens+counts      [a b x . .], 3          how many tokens are committed
    tokens+accepted    [a b x . .], 2          how many drafts were accepted, or a mask [1 1 0 .]
    padded             [a b x -1 -1]
    accepted+bonus     2, x                    or a mask, and a replacement for each position
    list               [a, b, x]

Where windows differ in length, L is that of the longest that can be, and each row is read by its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sized
from dataclasses import dataclass
from typing import Any

import numpy as np

from scd_analysis.audit.tree import Tree
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
    lengths : Long[B], optional
        How many drafts each has; by default all L.
    """

    drafts: Longs
    vocab_size: int
    placeholder: int
    bonus: bool
    lengths: Longs | None = None

    @property
    def size(self) -> int:
        """L."""
        return self.drafts.shape[1]

    @property
    def sizes(self) -> Longs:
        """How many drafts each window has, Long[B]."""
        return np.full(len(self.drafts), self.size) if self.lengths is None else self.lengths

    @property
    def most(self) -> Longs:
        """Tokens that each window commits at most, Long[B]."""
        return np.asarray(self.sizes + self.bonus)

    @property
    def last_draft(self) -> Longs:
        """The last draft of each window, Long[B]."""
        return np.take_along_axis(self.drafts, np.maximum(self.sizes - 1, 0)[:, None], axis=1)[:, 0]


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
        place = np.clip(window.sizes, 1, tokens.shape[1]) - 1
        last = np.take_along_axis(tokens, place[:, None], axis=1)[:, 0]
        whole = (counts == window.sizes) & (last == window.last_draft)
        accepted = np.where(whole, window.sizes, accepted)
    return _cut(tokens, counts, window), accepted


def tokens_and_counts(returned: Any, window: Window) -> Emitted:
    """Tokens Long[B, at most L + 1], and how many of each row are committed."""
    out, counts, *_ = _pair(returned, "(tokens, counts)")
    tokens, counts = _tokens(out, window, window.size + 1), _per_window(counts, window, "counts")
    most = np.minimum(window.most, tokens.shape[1])
    for i in np.flatnonzero((counts < 1) | (counts > most))[:1]:
        hint = "; counts of accepted drafts are output='tokens+accepted'" if counts[i] == 0 else ""
        raise InputError(f"kernel's counts[{i}] = {counts[i]}: must lie between 1 and {most[i]}{hint}")
    return _of_counts(tokens, counts, window)


def _accepted(value: Any, window: Window) -> Longs:
    """Counts, or a mask of which the leading ones count."""
    flags = _whole(value, "kernel's accepted")
    if flags.shape == window.drafts.shape and flags.shape[1] > 1:
        if not np.isin(flags, (0, 1)).all():
            raise InputError(f"kernel's accepted have shape {flags.shape}: a mask holds 0 and 1 only")
        return np.asarray(np.minimum(flags.cumprod(axis=1).sum(axis=1), window.sizes))
    counts = _per_window(flags, window, "accepted")
    for i in np.flatnonzero((counts < 0) | (counts > window.sizes))[:1]:
        size = window.sizes[i]
        hint = "; counts of committed tokens are output='tokens+counts'" if counts[i] == size + 1 else ""
        raise InputError(f"kernel's accepted[{i}] = {counts[i]}: must lie between 0 and {size}{hint}")
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
        raise InputError(f"kernel's tokens[{i}]: {counts[i]} tokens of a window that commits {window.most[i]} at most")
    return _of_counts(tokens, counts, window)


def accepted_and_bonus(returned: Any, window: Window) -> Emitted:
    """Accepted drafts Long[B] or Bool[B, L]; a replacement Long[B] or one a position; the bonus token if it is apart.

    One replacement a window is the bonus token where the window was accepted whole; of one a position, that of the
    first rejection counts, or the last of L + 1.
    """
    flags, other, *more = _pair(returned, "(accepted, replacement) or (accepted, replacements, bonus)")
    accepted = _accepted(flags, window)
    rows, whole = np.arange(len(accepted)), accepted == window.sizes
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
        if row.ndim != 1 or not 1 <= len(row) <= window.most[i]:
            raise InputError(f"kernel's list {i} has shape {row.shape}: 1 to {window.most[i]} tokens are committed")
    counts = np.array([len(row) for row in rows])
    tokens = np.full((len(rows), window.size + window.bonus), NONE)
    for i, row in enumerate(rows):
        tokens[i, : len(row)] = row
    return _of_counts(tokens, counts, window)


def buffers(returned: Any, window: Window) -> Emitted:
    """Filled buffers: predicts Long[B * nodes], accept_index Long[B, at most L + 1], accept_token_num Long[B].

    Row b of ``accept_index`` holds the root and the accepted nodes, as places in ``predicts``, which holds the token
    that follows each.
    """
    following, path, accepted = (_whole(part, f"kernel's {name}") for part, name in zip(returned, BUFFERS, strict=True))
    accepted = _accepted(accepted, window)
    place = np.arange(path.shape[1])
    reached = place < (accepted + 1)[:, None]
    for i, k in np.argwhere(reached & ((path < 0) | (path >= len(following))))[:1]:
        raise InputError(
            f"kernel's accept_index[{i}, {k}] = {path[i, k]}: not a place in predicts, of {len(following)}"
        )
    tokens = np.where(reached, following[np.clip(path, 0, len(following) - 1)], NONE)[:, : window.size + 1]
    return _cut(tokens, accepted + 1, window), accepted


def accepted_nodes(returned: Any, drafts: Longs, tree: Tree, window: Window) -> Longs:
    """Nodes of a tree Long[B, at most D] that end with -1, and the token that follows them Long[B].

    Parameters
    ----------
    returned : tuple
    drafts : Long[B, n]
        Of each node.
    tree : Tree
    window : Window

    Returns
    -------
    Long[B, D + 1]
        The tokens committed, then -1.
    """
    path, token, *_ = _pair(returned, "(nodes, token)")
    path, token = _tokens(path, window, window.size), _per_window(token, window, "tokens")
    parent = np.full(len(path), -1)
    tokens = np.full((len(path), window.size + 1), NONE)
    counts = (path >= 0).sum(axis=1)
    for k in range(path.shape[1]):
        there, node = k < counts, path[:, k]
        fits = (node >= 0) & (node < len(tree)) & (np.array(tree.parents)[np.clip(node, 0, len(tree) - 1)] == parent)
        for i in np.flatnonzero(there & ~fits)[:1]:
            raise InputError(f"kernel's nodes[{i}, {k}] = {node[i]}: not a child of {parent[i]} in the tree")
        own = np.take_along_axis(drafts, np.maximum(node, 0)[:, None], axis=1)[:, 0]
        tokens[:, k], parent = np.where(there, own, NONE), np.where(there, node, parent)
    tokens[np.arange(len(path)), counts] = token
    return _cut(tokens, counts + 1, window)


BUFFERS = ("predicts", "accept_index", "accept_token_num")
"""Roles of what is filled, and not returned."""

READERS: dict[str, Callable[[Any, Window], Emitted]] = {
    "tokens+counts": tokens_and_counts,
    "tokens+accepted": tokens_and_accepted,
    "padded": padded,
    "accepted+bonus": accepted_and_bonus,
    "list": lists,
    "buffers": buffers,
}
