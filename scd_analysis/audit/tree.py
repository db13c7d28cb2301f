"""Trees of drafts, and windows that are trees.

A tree is a list of parents: node i comes after node ``tree[i] < i``, or after the tokens before the window where
``tree[i] = -1``. In front of the window lies the root, which holds no draft. ``[-1, -1, 0, 0, 1]``::

    root --+-- 0 --+-- 2
           |       +-- 3
           +-- 1 ----- 4

A window's laws are made up as those of a chain of last tokens: the target's law of the token after d tokens of the
window depends on d and on the last of them. So laws are known after whatever is committed, before anything is drafted,
and equal tokens at equal places have equal laws, as in a model.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from scd_analysis.errors import InputError
from scd_analysis.evidence.batch import Floats, Longs
from scd_analysis.validate import as_array, check_known

DRAFTS = ("independent", "without-replacement", "top-k", "no-q")

DISTINCT = ("without-replacement", "top-k", "no-q")
"""Kinds of drafts of which the children of a node are different tokens."""

ROOT = -1


@dataclass(frozen=True)
class Tree:
    """A tree of drafts.

    Attributes
    ----------
    parents : tuple of int
        Of each node, -1 for children of the root.
    """

    parents: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.parents)

    def children(self, node: int) -> tuple[int, ...]:
        """Children of a node, or of the root, in order."""
        return tuple(i for i, parent in enumerate(self.parents) if parent == node)

    @cached_property
    def depths(self) -> tuple[int, ...]:
        """How many drafts each node ends, 1 for children of the root."""
        found: list[int] = []
        for parent in self.parents:
            found.append(1 if parent == ROOT else found[parent] + 1)
        return tuple(found)

    @property
    def height(self) -> int:
        """D: the most drafts that can be accepted."""
        return max(self.depths)

    @property
    def widest(self) -> int:
        """The most children of a node."""
        return max(len(self.children(node)) for node in range(ROOT, len(self)))

    @property
    def first_children(self) -> Longs:
        """By node, the root first and nodes counted from 1: the first child or -1, Long[n + 1]."""
        return np.array([next(iter(self.children(node)), -2) + 1 for node in range(ROOT, len(self))])

    @property
    def next_siblings(self) -> Longs:
        """By node, the root first and nodes counted from 1: the next child of the same parent or -1, Long[n + 1]."""
        found = [-1]
        for node, parent in enumerate(self.parents):
            found.append(next((own + 1 for own in self.children(parent) if own > node), -1))
        return np.array(found)


def as_tree(parents: Any) -> Tree:
    """Take a list of parents as a tree.

    Raises
    ------
    InputError
        If there is no node, or a parent does not come before its child.
    """
    found = as_array(parents, "tree", np.int64)
    if found.ndim != 1 or not len(found):
        raise InputError(f"tree has shape {found.shape}: expected the parent of each node, at least one")
    for i, parent in enumerate(found.tolist()):
        if not ROOT <= parent < i:
            raise InputError(
                f"tree[{i}] = {parent}: the parent of node {i} is -1, the root, or one of the nodes before it"
            )
    return Tree(tuple(found.tolist()))


def check_drafts(drafts: str, tree: Tree, vocab_size: int) -> None:
    """Check that there are such drafts.

    Raises
    ------
    UnknownNameError
        If the kind is not known.
    InputError
        If a node has more children than there are tokens, where they differ.
    """
    check_known(drafts, DRAFTS, "drafts")
    if drafts in DISTINCT and tree.widest > vocab_size:
        raise InputError(
            f"tree: a node has {tree.widest} children, which are different tokens with drafts={drafts!r}, "
            f"and vocab_size = {vocab_size}"
        )


@dataclass(frozen=True)
class Tables:
    """Laws of windows, by the number of tokens before and the last of them (0 where there is none).

    Attributes
    ----------
    target : Float[B, D + 1, V, V]
        ``target[:, d, last]`` is the law of token d of the window.
    draft : Float[B, D, V, V]
        Of the drafts there.
    """

    target: Floats
    draft: Floats

    def along(self, laws: Floats, committed: Longs) -> Floats:
        """The laws at every place of some tokens, Long[B, d] -> Float[B, d, V]."""
        last = np.pad(np.maximum(committed, 0), ((0, 0), (1, 0)))[:, : laws.shape[1]]
        return np.asarray(np.take_along_axis(laws, last[:, :, None, None], axis=2)[:, :, 0])


@dataclass(frozen=True)
class TreeWindows:
    """Windows that a kernel for trees is tried on.

    Attributes
    ----------
    tables : Tables
    tokens : Long[B, n]
        The draft of each node.
    """

    tables: Tables
    tokens: Longs

    def target_probs(self, tree: Tree) -> Floats:
        """The target's law after the root, then after each node, Float[B, n + 1, V]."""
        rows, root = np.arange(len(self.tokens)), self.tables.target[:, 0, 0]
        nodes = [self.tables.target[rows, depth, self.tokens[:, i]] for i, depth in enumerate(tree.depths)]
        return np.stack([root, *nodes], axis=1)

    def children_probs(self, tree: Tree) -> Floats:
        """The law of the drafts after the root, then after each node, Float[B, n + 1, V]; uniform where none follow."""
        laws = np.full((*self.tokens.shape, self.tables.target.shape[-1]), 1 / self.tables.target.shape[-1])
        laws = np.concatenate([laws[:, :1], laws], axis=1)
        for node in range(ROOT, len(tree)):
            if tree.children(node):
                laws[:, node + 1] = self._law_after(tree, node)
        return laws

    def draft_probs(self, tree: Tree) -> Floats:
        """The law from which each draft's parent had its children drawn, Float[B, n, V]."""
        return self.children_probs(tree)[:, np.array(tree.parents) + 1]

    def _law_after(self, tree: Tree, node: int) -> Floats:
        return law_after(self.tables, tree, self.tokens, node)


def law_after(tables: Tables, tree: Tree, tokens: Longs, node: int) -> Floats:
    """The law of the drafts after a node, Float[B, V]."""
    if node == ROOT:
        return tables.draft[:, 0, 0]
    return np.asarray(tables.draft[np.arange(len(tokens)), tree.depths[node], tokens[:, node]])


def draw_tree(tables: Tables, tree: Tree, drafts: str, picked: Callable[[Floats], Longs]) -> TreeWindows:
    """Draw the drafts of every node, parents first.

    Parameters
    ----------
    tables : Tables
    tree : Tree
    drafts : str
        One of :data:`DRAFTS`. Drafts of ``"no-q"`` come from anywhere; here they are drawn without replacement.
    picked : callable
        From laws, Float[B, V], to a token of each.
    """
    tokens = np.full((len(tables.target), len(tree)), -1)
    for node in range(ROOT, len(tree)):
        children = tree.children(node)
        if not children:
            continue
        law = law_after(tables, tree, tokens, node).copy()
        best = np.argsort(-law, axis=-1, kind="stable")
        for rank, child in enumerate(children):
            tokens[:, child] = best[:, rank] if drafts == "top-k" else picked(law)
            if drafts in DISTINCT and rank + 1 < len(children):
                np.put_along_axis(law, tokens[:, child, None], 0, axis=-1)
                law /= law.sum(axis=-1, keepdims=True)
    return TreeWindows(tables, tokens)
