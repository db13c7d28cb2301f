"""A model that is a table: one law for every prefix. Small enough that the exact law of anything can be computed."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from scd_analysis.errors import InputError
from scd_analysis.validate import as_array, check_at_least, check_between, check_laws, check_tokens

_MAX_ENTRIES = 2**27


class TabularModel:
    """Full-context tables: ``tables[k]`` holds the law of token k for each of the V^k prefixes.

    Parameters
    ----------
    tables : list of array
        ``tables[k]`` is Float[V^k, V]; prefix ``(x_0, ..., x_(k-1))`` has index ``sum_i x_i V^(k-1-i)``.
    grid : tuple of int, optional
        (height, width) with ``height * width = num_tokens``, for initial drafts from the upper neighbour.

    Raises
    ------
    InputError
        If the shapes disagree.
    LawError
        If an entry is not a law.
    """

    def __init__(self, tables: list[object], grid: tuple[int, int] | None = None) -> None:
        check_at_least(len(tables), 1, "len(tables)")
        arrays = [as_array(table, f"tables[{k}]") for k, table in enumerate(tables)]
        self.vocab_size = int(arrays[0].shape[-1])
        self.num_tokens = len(arrays)
        for k, array in enumerate(arrays):
            expected = (self.vocab_size**k, self.vocab_size)
            if array.shape != expected:
                raise InputError(f"tables[{k}] has shape {array.shape}: expected {expected}")
            check_laws(array, f"tables[{k}]")
        if grid is not None and grid[0] * grid[1] != self.num_tokens:
            raise InputError(f"grid = {grid}: does not hold {self.num_tokens} tokens")
        self.grid = grid
        self.laws = torch.from_numpy(np.concatenate(arrays))
        self.offsets = torch.tensor(
            [(self.vocab_size**k - 1) // max(self.vocab_size - 1, 1) for k in range(len(arrays))]
        )
        if self.vocab_size == 1:
            self.offsets = torch.arange(len(arrays))

    @classmethod
    def random(
        cls,
        vocab_size: int,
        num_tokens: int,
        concentration: float = 1.0,
        seed: int = 0,
        zeros: float = 0.0,
        grid: tuple[int, int] | None = None,
    ) -> TabularModel:
        """Dirichlet laws, independent for every prefix.

        Parameters
        ----------
        vocab_size, num_tokens : int
            V and N; V^N entries must fit in memory.
        concentration : float
            Of the symmetric Dirichlet; small is peaked.
        seed : int
            Of the tables.
        zeros : float
            Probability that an entry is set to zero (at least one entry of a law stays).
        grid : tuple of int, optional
            As for the class.
        """
        check_at_least(vocab_size, 1, "vocab_size")
        check_at_least(num_tokens, 1, "num_tokens")
        check_between(zeros, 0.0, 1.0, "zeros")
        if not concentration > 0:
            raise InputError(f"concentration = {concentration}: must be positive")
        if vocab_size**num_tokens > _MAX_ENTRIES:
            raise InputError(f"vocab_size ** num_tokens = {vocab_size**num_tokens}: more than {_MAX_ENTRIES} entries")
        rng = np.random.default_rng(seed)
        tables: list[object] = []
        for k in range(num_tokens):
            weights = rng.gamma(concentration, size=(vocab_size**k, vocab_size)) + 1e-300
            keep = rng.random(weights.shape) >= zeros
            keep[np.arange(len(weights)), weights.argmax(-1)] = True
            weights = weights * keep
            tables.append(weights / weights.sum(-1, keepdims=True))
        return cls(tables, grid)

    def _prefix_index(self, tokens: Tensor) -> Tensor:
        """Long[B, t] -> Long[B, t + 1], rows of ``laws``."""
        code = tokens.new_zeros(len(tokens))
        index = [code]
        for k in range(tokens.shape[1]):
            code = code * self.vocab_size + tokens[:, k]
            index.append(code + int(self.offsets[k + 1]))
        return torch.stack(index, dim=1)

    def next_token_probs(self, tokens: Tensor) -> Tensor:
        """Law of every next token: Long[B, t] -> Float64[B, t + 1, V], ``t < num_tokens``.

        Raises
        ------
        InputError
            For a token outside the vocabulary, or too many of them.
        """
        if tokens.ndim != 2 or tokens.shape[1] >= self.num_tokens:
            raise InputError(f"tokens has shape {tuple(tokens.shape)}: expected [B, t] with t < {self.num_tokens}")
        check_tokens(tokens.cpu().numpy(), self.vocab_size, "tokens")
        return self.laws.to(tokens.device)[self._prefix_index(tokens)]

    def open_session(self, num_sequences: int, device: torch.device) -> _TabularSession:
        """Start a batch; rows are looked up, nothing is cached."""
        return _TabularSession(self, device)


class _TabularSession:
    def __init__(self, model: TabularModel, device: torch.device) -> None:
        self.model = model
        self.table = model.laws.to(device)

    def laws(self, tokens: Tensor, rows: Tensor, reach: int) -> Tensor:
        """See :class:`reference.models.base.Session`."""
        index = self.model._prefix_index(tokens[:, :reach]).gather(1, rows)
        return self.table[index]

    def keep(self, index: Tensor) -> None:
        """See :class:`reference.models.base.Session`; there is nothing to keep."""
