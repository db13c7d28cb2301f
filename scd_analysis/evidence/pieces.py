"""Laws of a long sequence over a large vocabulary, read a few positions at a time and never held as float64.

At a vocabulary of 65,536 the laws of 2,304 tokens are 1.2 GB as float64, and every array made of all of them costs more
than the arithmetic: what fits into a processor's cache does not. So all numbers that bettors want of laws are worked
out together, piece by piece, and kept: one reading to see that laws are laws, and one to bet.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from queue import SimpleQueue
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
from numpy.lib.mixins import NDArrayOperatorsMixin

from scd_analysis.errors import InputError
from scd_analysis.evidence.batch import Batch, Floats, Longs, Piece
from scd_analysis.validate import as_array, check_laws

AT_ONCE = 2**18
"""Probabilities of a piece (2 MiB as float64)."""

NUM_ROOMS = 3
"""Arrays like a piece's laws that a number may be worked out in."""


@runtime_checkable
class OfLaws(Protocol):
    """Numbers a token that follow from its law, the law before it, and tokens: a hashable object."""

    def numbers(self, batch: Batch) -> tuple[Floats, ...]:
        """Return arrays of shape [S, N, ...] for a batch, or for a piece of one."""


class LawsInPieces(NDArrayOperatorsMixin):
    """Laws Float[S, N, V], normalised where they are read; it stands where an array does.

    An index makes float64 of what it picks. What has no form of its own for pieces reads the whole.

    Parameters
    ----------
    laws : array[S, N, V]
        As they came, in any precision.
    name : str
        How errors call it.
    tolerance : float
        How far from one a sum may be.

    Attributes
    ----------
    largest : Float[S, N]
        The largest probability of each.

    Raises
    ------
    LawError
        Naming the first entry or sum that is wrong.
    """

    ndim, dtype = 3, np.dtype(np.float64)

    def __init__(self, laws: npt.NDArray[Any], name: str, tolerance: float) -> None:
        self._laws, self.shape = laws, laws.shape
        self._sums, self._again, self.largest = (np.empty(laws.shape[:2]) for _ in range(3))
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            sound = all(pool.map(lambda start: self._look(start, name, tolerance), self.starts))
        if not sound:
            check_laws(as_array(laws, name), name, tolerance=tolerance)

    def _look(self, start: int, name: str, tolerance: float) -> bool:
        """Sum up a piece, twice, as whole batches are; whether it holds laws."""
        at = slice(start, start + self._length)
        piece = as_array(self._laws[:, at], name)
        total = piece.sum(axis=-1)
        with np.errstate(invalid="ignore", divide="ignore"):
            sound = bool((piece.min() >= 0) & (np.abs(total - 1) <= tolerance).all())
            law = piece / total[..., None]
            again = law.sum(axis=-1)
            self._sums[:, at], self._again[:, at], self.largest[:, at] = total, again, law.max(axis=-1) / again
        return sound

    @property
    def _length(self) -> int:
        return max(1, AT_ONCE // (self.shape[0] * self.shape[2]))

    @property
    def starts(self) -> range:
        """Where pieces begin."""
        return range(0, self.shape[1], self._length)

    @property
    def size(self) -> int:
        """S N V."""
        return self.shape[0] * self.shape[1] * self.shape[2]

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> Any:
        key = key if isinstance(key, tuple) else (key,)
        if len(key) == 1 and isinstance(key[0], slice):
            return self._rows(key[0])
        sums = self._sums, self._again
        if len(key) < 3 and not any(one is Ellipsis or one is None or np.ndim(one) > 1 for one in key):
            total, again = (of[key][..., None] for of in sums)  # the laws that it picks are whole
        else:
            total, again = (np.broadcast_to(of[..., None], self.shape)[key] for of in sums)
        return np.asarray(self._laws[key], dtype=np.float64) / total / again

    def _rows(self, rows: slice) -> LawsInPieces:
        out = object.__new__(LawsInPieces)
        out._laws, out._sums, out._again = self._laws[rows], self._sums[rows], self._again[rows]
        out.largest, out.shape = self.largest[rows], out._laws.shape
        return out

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        if copy is False:
            raise ValueError("laws in pieces are no array yet")
        return np.asarray(self[:, :], dtype=dtype)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        whole = [np.asarray(one) if isinstance(one, LawsInPieces) else one for one in inputs]
        return getattr(ufunc, method)(*whole, **options)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(np.asarray(self), name)

    def max(self, axis: int = -1) -> Floats:
        """Return the largest probability of each law, Float[S, N]; along the vocabulary only."""
        if axis not in (-1, 2):
            raise InputError(f"axis = {axis}: laws in pieces are read along the vocabulary")
        return self.largest

    def rooms(self) -> tuple[Floats, ...]:
        """Return memory for a piece: its laws with the one before, and what is worked out of them."""
        shape = (self.shape[0], self._length, self.shape[2])
        return np.empty((shape[0], shape[1] + 1, shape[2])), *(np.empty(shape) for _ in range(NUM_ROOMS))

    def piece(self, batch: Batch, start: int, rooms: tuple[Floats, ...]) -> Batch:
        """Return the positions of a batch from ``start`` on that make a piece, with their laws.

        Parameters
        ----------
        batch : Batch
        start : int
        rooms : tuple of Float
            As :meth:`rooms` gives them; the piece before this one, if it had them, is written over.
        """
        at = slice(start, min(start + self._length, self.shape[1]))
        size, first = at.stop - start, max(start - 1, 0)
        read = rooms[0][:, : size + 1]
        of, to = slice(first, at.stop), read[:, start == 0 :]
        np.copyto(to, self._laws[:, of])
        to /= self._sums[:, of, None]
        to /= self._again[:, of, None]
        if start == 0:
            read[:, 0] = read[:, 1]
        laws = read[:, 1:]
        return replace(
            batch,
            tokens=batch.tokens[:, at],
            target_probs=laws,
            uniforms=batch.uniforms[:, at],
            companions={},
            context={},
            known={},
            piece=Piece(batch.tokens, start, read[:, :-1], tuple(room[:, :size] for room in rooms[1:])),
        )


def read(batch: Batch, wanted: Iterable[OfLaws]) -> None:
    """Work out numbers of a batch's laws in one reading, where these are in pieces; ``batch.known`` keeps them."""
    laws: Any = batch.target_probs
    if not isinstance(laws, LawsInPieces):
        return
    missing = [one for one in dict.fromkeys(wanted) if one not in batch.known]

    free: SimpleQueue[tuple[Floats, ...]] = SimpleQueue()

    def look(start: int) -> list[tuple[Floats, ...]]:
        rooms = free.get()
        try:
            piece = laws.piece(batch, start, rooms)
            return [numbers(one, piece) for one in missing]
        finally:
            free.put(rooms)

    threads = os.cpu_count() or 1
    for _ in range(threads):
        free.put(laws.rooms())
    with ThreadPoolExecutor(threads) as pool:
        found = list(pool.map(look, laws.starts))
    for i, one in enumerate(missing):
        batch.known[one] = tuple(np.concatenate(parts, axis=1) for parts in zip(*(p[i] for p in found), strict=True))


def numbers(one: OfLaws, batch: Batch) -> tuple[Floats, ...]:
    """Return numbers of a batch's laws, worked out once."""
    if one not in batch.known:
        batch.known[one] = one.numbers(batch)
    found: tuple[Floats, ...] = batch.known[one]
    return found


def tokens_before(batch: Batch) -> tuple[Longs, int]:
    """Return the whole sequences Long[S, N] that a batch is a piece of, and where it begins."""
    return (batch.tokens, 0) if batch.piece is None else (batch.piece.tokens, batch.piece.start)
