"""What the strategies draw: a target model small enough to read, a window, a batch of drafts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from scd_analysis.errors import InputError
from scd_analysis.validate import as_array, check_at_least, check_known, check_laws, check_tokens

if TYPE_CHECKING:
    from torch import Tensor

MOST_ENTRIES = 2**24

Prefix = tuple[int, ...]
Law = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True)
class TableModel:
    """A target model as a table; its repr makes it again.

    Attributes
    ----------
    num_tokens : int
        N.
    default : sequence of float
        The law of the next token after every prefix that ``laws`` does not list; its length is V.
    laws : mapping of tuple to sequence of float
        The law after these prefixes: ``{(): [0.5, 0.5], (0,): [1.0, 0.0]}``.
    dtype : str
        Of the tensors it gives: "float64" or "float32".

    Raises
    ------
    InputError
        If a prefix is too long or holds no token, a law has another length, or the table would not fit in memory.
    LawError
        If a law is not one.
    """

    num_tokens: int
    default: Sequence[float]
    laws: Mapping[Prefix, Sequence[float]] = field(default_factory=dict, hash=False)
    dtype: str = "float64"

    def __post_init__(self) -> None:
        check_known(self.dtype, ("float64", "float32"), "dtype")
        check_at_least(self.num_tokens, 1, "num_tokens")
        object.__setattr__(self, "default", self._checked(self.default, "default"))
        if self.vocab_size**self.num_tokens > MOST_ENTRIES:
            size = self.vocab_size**self.num_tokens
            raise InputError(f"vocab_size ** num_tokens = {size}: more than {MOST_ENTRIES} entries")
        listed = {}
        for prefix in sorted(self.laws, key=lambda prefix: (len(prefix), prefix)):
            if len(prefix) >= self.num_tokens:
                raise InputError(f"laws[{prefix}]: a prefix is shorter than num_tokens = {self.num_tokens}")
            check_tokens(np.array(prefix, dtype=np.int64), self.vocab_size, f"laws[{prefix}]: prefix")
            listed[prefix] = self._checked(self.laws[prefix], f"laws[{prefix}]", self.vocab_size)
        object.__setattr__(self, "laws", listed)

    def _checked(self, law: Sequence[float], name: str, size: int | None = None) -> tuple[float, ...]:
        array = as_array(law, name, self.dtype)
        check_laws(array.astype(np.float64), name)
        if array.ndim != 1 or (size is not None and len(array) != size):
            raise InputError(f"{name} has shape {array.shape}: expected {(size or 'V',)}")
        return tuple(array.tolist())

    @property
    def vocab_size(self) -> int:
        """V."""
        return len(self.default)

    @cached_property
    def _offsets(self) -> list[int]:
        """Where the prefixes of each length begin."""
        return [sum(self.vocab_size**k for k in range(length)) for length in range(self.num_tokens + 1)]

    @cached_property
    def _table(self) -> Tensor:
        import torch

        table = np.tile(np.array(self.default, dtype=self.dtype), (self._offsets[-1], 1))
        for prefix, law in self.laws.items():
            code = 0
            for token in prefix:
                code = code * self.vocab_size + token
            table[self._offsets[len(prefix)] + code] = law
        return torch.from_numpy(table)

    def law(self, prefix: Sequence[int]) -> tuple[float, ...]:
        """The law of the next token after a prefix."""
        return tuple(self.laws.get(tuple(prefix), self.default))

    def next_token_probs(self, tokens: Tensor) -> Tensor:
        """Law of every next token: Long[B, t] -> Float[B, t + 1, V], ``t < num_tokens``.

        Raises
        ------
        InputError
            For a token outside the vocabulary, or too many of them.
        """
        import torch

        if tokens.ndim != 2 or tokens.shape[1] >= self.num_tokens:
            raise InputError(f"tokens has shape {tuple(tokens.shape)}: expected [B, t] with t < {self.num_tokens}")
        check_tokens(as_array(tokens, "tokens", np.int64), self.vocab_size, "tokens")
        code = tokens.new_zeros(len(tokens))
        rows = [code]
        for k in range(tokens.shape[1]):
            code = code * self.vocab_size + tokens[:, k]
            rows.append(code + self._offsets[k + 1])
        table: Any = self._table.to(tokens.device)
        return torch.as_tensor(table[torch.stack(rows, dim=1)])


class Window(NamedTuple):
    """Where a decoder is: ``base, length, num_tokens = window``.

    Attributes
    ----------
    base : int
        The first position that is not committed.
    length : int
        L, as asked for.
    num_tokens : int
        N.
    """

    base: int
    length: int
    num_tokens: int

    @property
    def positions(self) -> range:
        """The positions in the window that the sequence has."""
        return range(self.base, min(self.base + self.length, self.num_tokens))


class DraftBatch(NamedTuple):
    """What a verification is given: ``draft_tokens, draft_probs, target_probs = batch``.

    Attributes
    ----------
    draft_tokens : ndarray
        Long[B, L], each of positive draft probability.
    draft_probs : ndarray
        Float[B, L, V].
    target_probs : ndarray
        Float[B, L + 1, V]; the last row is the law of a bonus token.
    """

    draft_tokens: npt.NDArray[np.int64]
    draft_probs: Law
    target_probs: Law

    def tensors(self) -> tuple[Tensor, Tensor, Tensor]:
        """The three as tensors of their own."""
        import torch

        tokens, draft, target = (torch.from_numpy(array.copy()) for array in self)
        return tokens, draft, target
