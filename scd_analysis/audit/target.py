"""The target model as the audit sees it: checked once, then asked for the law of every token."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any, cast

import numpy as np

from scd_analysis.audit.guard import guarded
from scd_analysis.contracts import as_model
from scd_analysis.errors import CausalityError, InputError
from scd_analysis.evidence.batch import Batch, Floats, Longs, make_batch
from scd_analysis.evidence.catalogue import is_small
from scd_analysis.evidence.earlier_noise import MOST_VOCABULARY
from scd_analysis.evidence.pieces import AT_ONCE, LawsInPieces
from scd_analysis.evidence.tabulated import Tabulated, tabulate
from scd_analysis.validate import SAME_LAW, as_array, check_model_laws, check_shape, law_tolerance, precision_of

LAWS_AT_ONCE = 2**22
"""Probabilities asked for in one call of the model (32 MiB as float64)."""


class Target:
    """A model behind the ``TargetModel`` contract.

    Parameters
    ----------
    model : TargetModel
        See :class:`scd_analysis.contracts.TargetModel`.
    timeout : float, optional
        Seconds that one call of it may take.
    name : str
        Of the model, for messages.

    Raises
    ------
    InputError
        If the model lacks a part of the contract.
    """

    laws_apart = 0.0
    """Total variation within which a law is known, where it was recorded more than once."""

    _called = "model.next_token_probs"

    def __init__(self, model: Any, timeout: float | None = None, name: str = "model") -> None:
        self._model, self._timeout, self._called = as_model(model, name), timeout, f"{name}.next_token_probs"
        self.precision = 0.0
        self.vocab_size, self.num_tokens = self._model.vocab_size, self._model.num_tokens
        self.grid_width = self._model.grid_width
        self._table: Tabulated | None = None

    @property
    def companions(self) -> tuple[str, ...]:
        """Name the companion laws of every batch; empty where sequences cannot be counted."""
        return tuple(self._table.companions) if self._table else ()

    @property
    def sequences_at_once(self) -> int:
        """How many sequences fit in one batch, so that memory does not grow with an audit."""
        return max(1, min(2**15, 2**21 // (self.num_tokens * self.vocab_size)))

    @property
    def is_long(self) -> bool:
        """Whether the laws of one sequence are so many that bettors read them in pieces."""
        return self.vocab_size > MOST_VOCABULARY and self.num_tokens * self.vocab_size >= LAWS_AT_ONCE

    def check(self, rng: np.random.Generator) -> None:
        """Check laws, causality and repeatability on random tokens, and write small spaces out.

        Of long sequences one is enough: it has as many laws as four have that are short.

        Raises
        ------
        LawError
            If a law is not one.
        CausalityError
            If the law of a token changes with that token or later ones, or with the rest of the batch.
        InputError
            If laws have another shape, or change between calls.
        """
        tokens = rng.integers(self.vocab_size, size=(1 if self.is_long else 4, self.num_tokens))
        laws = self._of(tokens, kept=True)
        self._same(laws, self._of(tokens), "changes from one call to the next on the same tokens", InputError)
        if not self.is_long:
            self._same(laws[:2], self.ask(tokens[:2]), "depends on the other sequences of the batch", CausalityError)
        for changed in sorted({0, self.num_tokens // 2, self.num_tokens - 2} & set(range(self.num_tokens - 1))):
            other = tokens.copy()
            other[:, changed:] = (other[:, changed:] + 1 + rng.integers(max(self.vocab_size - 1, 1))) % self.vocab_size
            what = f"changes with tokens at position {changed} and later"
            self._same(laws, self._of(other), what, CausalityError, changed + 1)
        if is_small(self.vocab_size, self.num_tokens):
            self._table = self._write_out()

    def _of(self, tokens: Longs, *, kept: bool = False) -> Floats:
        """Return the laws of tokens Long[S, N], in pieces where they are many; ``kept`` over further calls."""
        return self._in_pieces(tokens, kept=kept) if self.is_long and len(tokens) == 1 else self.ask(tokens)

    def _same(self, first: Floats, second: Floats, what: str, error: type[InputError], stop: int | None = None) -> None:
        """Compare the laws of the first ``stop`` positions, or of all, a few at a time."""
        stop = first.shape[1] if stop is None else stop
        length = max(1, AT_ONCE // max(len(first) * self.vocab_size, 1))
        gap, at = 0.0, (0, 0, 0)
        for start in range(0, stop, length):
            apart = np.abs(first[:, start : min(start + length, stop)] - second[:, start : min(start + length, stop)])
            if apart.size and apart.max() > gap:
                s, j, v = (int(i) for i in np.unravel_index(int(apart.argmax()), apart.shape))
                gap, at = float(apart.max()), (s, start + j, v)
        if gap > SAME_LAW + self.precision:
            where = ", ".join(map(str, at))
            values = f"{float(first[at]):.6g} and {float(second[at]):.6g}"
            raise error(f"{self._called}(...)[{where}] = {values}: the law {what}")

    def countable_law(self) -> tuple[Floats, str] | None:
        """Return the law of what a certificate can count, and its name: whole sequences, or else the first token.

        None where there is no such thing.
        """
        if self._table is not None:
            return self._table.joint_law(), "whole sequences"
        return self.ask(np.zeros((1, 1 if self.is_long else self.num_tokens), dtype=np.int64))[0, 0], "the first token"

    @property
    def is_written_out(self) -> bool:
        """Whether laws are looked up, and not asked for."""
        return self._table is not None

    def laws(self, tokens: Longs, first: int | None = None) -> Floats:
        """Return Float[S, N, V], the laws of the tokens Long[S, N], or of the ``first`` of them.

        They are looked up where they were written out.
        """
        return self.ask(tokens[:, :first]) if self._table is None else self._table.look_up(tokens)[0][:, :first]

    def ask(self, tokens: Longs) -> Floats:
        """Return Float[S, t, V], the model's own laws of the tokens Long[S, t], normalised in float64."""
        block = max(1, LAWS_AT_ONCE // (tokens.shape[1] * self.vocab_size))
        parts = [self._ask_block(tokens[start : start + block]) for start in range(0, len(tokens), block)]
        return np.concatenate(parts)

    def nats_from_kept(self, tokens: Longs, token: int) -> float:
        """Return how near ``token`` after Long[t] was to being kept (nats of its logit); infinite where none knows.

        Raises
        ------
        InputError
            If the model raises, or returns no number.
        """
        asked = self._model.nats_from_kept
        if asked is None:
            return math.inf
        name = f"model.nats_from_kept({tokens.tolist()}, {token})"
        found = as_array(guarded(name, lambda: asked(tokens.copy(), token), self._timeout), name)
        if found.shape or not found >= 0:
            raise InputError(f"{name} = {found}: expected nats, not below zero")
        return float(found)

    def _ask_block(self, tokens: Longs) -> Floats:
        prefixes = tokens[:, : tokens.shape[1] - 1]
        name = f"{self._called}(Long{list(prefixes.shape)})"
        laws, self.precision, tolerance = guarded(name, lambda: self._read(prefixes), self._timeout)
        check_model_laws(laws, (*tokens.shape, self.vocab_size), f"{self._called}(...)", tolerance)
        return np.asarray(laws / laws.sum(axis=-1, keepdims=True))

    def _in_pieces(self, tokens: Longs, *, kept: bool = False) -> Floats:
        """Return Float[1, N, V], the laws of one long sequence as they came, normalised where they are read.

        They are the model's own memory, which its next call may write over, unless they are to be ``kept``.
        """
        prefixes = tokens[:, : tokens.shape[1] - 1]
        name = f"{self._called}(Long{list(prefixes.shape)})"

        def asked() -> tuple[Any, float, float]:
            laws = self._model.next_token_probs(model_input(prefixes))
            found = as_array(laws, f"{self._called}(...)", None)
            if found.dtype.kind != "f":
                found = as_array(found, f"{self._called}(...)")
            return found.copy() if kept else found, precision_of(laws), law_tolerance(laws)

        laws, self.precision, tolerance = guarded(name, asked, self._timeout)
        check_shape(laws, (*tokens.shape, self.vocab_size), f"{self._called}(...)")
        return cast(Floats, LawsInPieces(laws, f"{self._called}(...)", tolerance))  # it is indexed as an array is

    def _read(self, prefixes: Longs) -> tuple[Floats, float, float]:
        laws = self._model.next_token_probs(model_input(prefixes))
        return as_array(laws, f"{self._called}(...)"), precision_of(laws), law_tolerance(laws)

    def _write_out(self) -> Tabulated:
        """Write the laws out, with the companion laws that follow from them."""
        return tabulate(self._rows())

    def _rows(self) -> tuple[Floats, ...]:
        """Ask for the law after every prefix; token 0 fills up the rest of a prefix."""
        every = np.arange(self.vocab_size ** (self.num_tokens - 1))
        powers = self.vocab_size ** np.arange(self.num_tokens - 1, -1, -1)
        laws = self.ask((every[:, None] * self.vocab_size // powers) % self.vocab_size)
        stride = [self.vocab_size ** (self.num_tokens - 1 - j) for j in range(self.num_tokens)]
        return tuple(laws[::step, j] for j, step in enumerate(stride))

    def batch(self, tokens: Longs, rng: np.random.Generator, *, whole: bool = False) -> Batch:
        """Return sequences Long[S, N] with their laws, ready to be bet on.

        A long one comes with laws in pieces, unless ``whole`` says that all of them will be looked at together.

        Raises
        ------
        InputError
            If the model's laws are no longer those that were written out.
        """
        uniforms = rng.random(tokens.shape)
        if self.is_long and len(tokens) == 1 and not whole:
            return Batch(tokens, self._in_pieces(tokens), uniforms, grid_width=self.grid_width)
        if self._table is None:
            return make_batch(tokens, self.ask(tokens), uniforms, grid_width=self.grid_width)
        laws, companions, cells = self._table.look_up(tokens)
        self._same(laws[:8], self.ask(tokens[:8]), "changes from one call to the next on the same tokens", InputError)
        return make_batch(tokens, laws, uniforms, companions, cells, self.grid_width)


def model_input(tokens: Longs) -> Any:
    """Return a copy of tokens as a model wants them: a torch tensor where torch is installed, else an array.

    A copy, since a model may write into its input.
    """
    return _converter()(np.array(tokens, order="C"))


@lru_cache(maxsize=1)
def _converter() -> Callable[[Longs], Any]:
    try:
        import torch
    except ModuleNotFoundError:
        return lambda tokens: tokens
    return torch.from_numpy
