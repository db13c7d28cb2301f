"""Writes a trace while a decoder runs: one chunk is filled while the last is written.

A stopped run loses what was in the buffer; a killed one at most the chunk that was being written, too.
"""

from __future__ import annotations

import math
import warnings
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import zarr
from zarr.abc.store import Store
from zarr.codecs import BloscCodec
from zarr.errors import ContainsArrayError, ContainsGroupError
from zarr.storage import MemoryStore

from scd_analysis.common.urls import place_of
from scd_analysis.common.versions import library_versions
from scd_analysis.errors import InputError
from scd_analysis.trace.compact import LawForm
from scd_analysis.trace.damage import one_line
from scd_analysis.trace.layouts import NONE, LastPass, committed_behind
from scd_analysis.trace.place import Place
from scd_analysis.trace.remote import RemotePlace
from scd_analysis.trace.rows import check_whole_laws, checked_attributes, checked_ends, checked_rows
from scd_analysis.trace.schema import BY_TOKEN, REQUIRED, SCHEMA_VERSION, VARIABLES
from scd_analysis.trace.shards import shard_in
from scd_analysis.validate import MOST_TOKENS, as_array, check_at_least, check_between, check_integer

Array = npt.NDArray[Any]

_CHUNK_BYTES = 2**24
"""Largest chunk of one variable, before compression."""

MOST = dict.fromkeys(("vocab_size", "num_sequences"), 2**31 - 1)
"""Of a trace; other sizes are at most ``MOST_TOKENS``."""

_WHOLE_LAWS = BloscCodec(cname="lz4", clevel=1, shuffle="bitshuffle")
"""Probabilities hardly compress: a quick look for runs is as good as a long one."""


def _place(path: str | Path, overwrite: bool) -> Place | RemotePlace:
    place = place_of(path)
    if isinstance(place, str):
        return RemotePlace(place, overwrite)
    try:
        return Place(place, overwrite)
    except InputError:
        raise
    except (OSError, ValueError) as error:  # too long a name, or where nobody may write
        raise InputError(f"path = {str(path)!a:.200}: cannot be written to ({one_line(error)})") from None


class TraceWriter:
    """Writes a trace, by three lines in anybody's loop.

    Like this::

        with scd_analysis.TraceWriter("run.zarr", vocab_size=V, num_tokens=N, window=L, decoder="mine") as trace:
            while ...:                                   # one forward pass of the batch
                trace.append(base=base, draft_token=drafts, next_token=after, accepted=accepted,
                             draft_probs=q, target_probs=p)

    Parameters
    ----------
    path : path, URL, Zarr store or None
        A new directory, a new ``.zip``, a URL that fsspec knows (``s3://bucket/run.zarr``), or None to keep the trace
        in memory. A ``.zip`` is packed at the end, from a folder beside it whose name begins with its own.
    vocab_size, num_tokens, window : int
        V, N and L.
    decoder : str
        A name.
    laws : bool or str
        Whether to store ``draft_probs`` and ``target_probs``; their scalars are stored anyway. ``"float16"`` and
        ``"top-K"`` store them in fewer bytes and state the error that causes (:mod:`scd_analysis.trace.compact`).
    num_sequences : int, optional
        How many there will be over all batches, if that is known; room is made for them at once.
    chunk : int
        Iterations a chunk: what a crash can cost; by default 16 with laws and 32 without, or N if that is fewer.
    concurrent : bool
        Whether the decode goes on while a chunk is written; better not, where it needs all cores and chunks are large.
    overwrite : bool
        Whether an existing trace at ``path`` may be replaced; anything else is never deleted.
    shard : (int, int), optional
        Which shard of how many this is, from 0: it is written into the folder ``path``, whose shards are opened as one
        trace once all are there. Other attributes than :data:`scd_analysis.trace.shards.OF_ITS_OWN` must be the same in
        all; sequences must not, so that workers that draw by a seed have each their own.
    **attributes
        Anything else worth keeping: method, model, seed, device, dtype.

    Raises
    ------
    InputError
        If a size is below one, an attribute cannot be written, ``path`` exists and ``overwrite`` is False or something
        there was not made by a writer, or another writer is writing there; of a URL, if its file system is not known or
        not installed, and at any later call if the store fails: the chunks that were finished are there then.
    """

    def __init__(
        self,
        path: str | Path | Store | None = None,
        *,
        vocab_size: int,
        num_tokens: int,
        window: int,
        decoder: str,
        laws: bool | str = False,
        num_sequences: int | None = None,
        chunk: int | None = None,
        concurrent: bool = True,
        overwrite: bool = False,
        shard: tuple[int, int] | None = None,
        **attributes: Any,
    ) -> None:
        if chunk is None:
            chunk = min(16 if laws else 32, check_integer(num_tokens, "num_tokens"))
        given = {"vocab_size": vocab_size, "num_tokens": num_tokens, "window": window, "chunk": chunk}
        sizes = {name: check_integer(value, name) for name, value in given.items()}
        for name, value in sizes.items():
            check_at_least(value, 1, name)
            check_between(value, 1, MOST.get(name, MOST_TOKENS), name)
        self.vocab_size, self.num_tokens, self.window, self.chunk = sizes.values()
        self._num_sequences = 0 if num_sequences is None else check_integer(num_sequences, "num_sequences")
        check_between(self._num_sequences, 0, MOST["num_sequences"], "num_sequences")
        self._form = LawForm.make(laws, self.vocab_size)
        self._names = [*REQUIRED, *self._form.stored]
        self._arrays: dict[str, zarr.Array[Any]] = {}
        self._attributes = {
            "schema_version": SCHEMA_VERSION,
            "complete": False,
            "blocks": [],
            "decoder": decoder,
            "vocab_size": self.vocab_size,
            "num_tokens": self.num_tokens,
            "window": self.window,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "versions": library_versions(),
            **self._form.attributes,
        }
        if not isinstance(decoder, str):
            raise InputError(f"decoder = {decoder!r}: must be a name")
        checked_attributes({"decoder": decoder}, taken={})
        self._attributes |= checked_attributes(attributes, taken=self._attributes)
        if shard is not None:
            if not isinstance(path, str | Path):
                raise InputError(f"shard = {shard!r:.60}: path = {path!r:.60}: must be that of a folder")
            path = shard_in(path, shard)
        # last: nothing is replaced for arguments that are refused
        self._place = _place(path, overwrite) if isinstance(path, str | Path) else None
        self.store = self._place.store if self._place else path or MemoryStore()
        try:
            self._group = zarr.create_group(self.store, zarr_format=3, attributes=self._attributes)
        except (ContainsArrayError, ContainsGroupError):
            raise InputError(f"path = {self.store}: holds a group or an array already") from None
        self._blocks: list[list[int]] = []
        self._buffer: dict[str, Array] = {}
        self._spare: dict[str, Array] = {}  # written already, to be filled again: fresh memory would cost more
        self._filled = self._iterations = self._sequence_chunk = 0
        self._last = LastPass.none(0)
        self._concurrent = concurrent
        self._in_batch = self._failed = self._closed = False
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="trace")
        self._writing: Future[None] | None = None

    # -- batches ---------------------------------------------------------------------------------------------------

    def begin_batch(self, num_sequences: int) -> None:
        """Start the next batch of sequences; called by the first :meth:`append` if not before."""
        check_at_least(num_sequences, 1, "num_sequences")
        if self._closed:
            raise InputError(f"path = {self.store}: the trace is closed")
        self._flush()
        self._in_batch = True
        start = self._blocks[-1][1] if self._blocks else 0
        self._blocks.append([start, start + num_sequences, 0])
        self._iterations = 0
        self._last = LastPass.none(num_sequences)
        if not self._arrays:
            self._sequence_chunk = num_sequences
            for name in self._names:
                self._arrays[name] = self._create(name)
        for name in self._names:
            self._grow(name)

    def _shape(self, name: str, sequences: int, iterations: int) -> tuple[int, ...]:
        sizes = {
            "sequence": sequences,
            "iteration": iterations,
            "slot": self.window,
            "vocab": self.vocab_size,
            "position": self.num_tokens,
            "rank": self._form.kept,
        }
        return tuple(sizes[dim] for dim in VARIABLES[name].dims)

    def _create(self, name: str) -> zarr.Array[Any]:
        variable = VARIABLES[name]
        chunks = list(self._shape(name, self._sequence_chunk, self.chunk))
        for axis in range(len(chunks)):
            while math.prod(chunks) * np.dtype(variable.dtype).itemsize > _CHUNK_BYTES and chunks[axis] > 1:
                chunks[axis] = -(-chunks[axis] // 2)
        fill: int | float = -1 if variable.is_integer else float("nan")
        attributes: dict[str, Any] = {"units": variable.units, "description": variable.description, "_FillValue": fill}
        if not variable.is_integer:
            del attributes["_FillValue"]  # xarray takes NaN as missing without being told
        if variable.scale != 1:
            attributes["scale_factor"] = variable.scale
        return self._group.create_array(
            name,
            shape=self._shape(name, max(self._num_sequences, self._blocks[-1][1]), self.num_tokens),
            chunks=tuple(chunks),
            dtype=variable.dtype,
            fill_value=fill,
            compressors=_WHOLE_LAWS if variable.dims == BY_TOKEN else "auto",
            config={"write_empty_chunks": variable.dims == BY_TOKEN},  # to find them out takes a reading
            dimension_names=variable.dims,
            attributes=attributes,
        )

    def _grow(self, name: str, needed: int = 0) -> None:
        """Make room for the batch and ``needed`` iterations; a pass commits a token, so N iterations mostly do."""
        iterations = max([self.num_tokens, needed, *(block[2] for block in self._blocks)])
        shape = self._shape(name, max(self._num_sequences, self._blocks[-1][1]), iterations)
        if self._arrays[name].shape != shape:
            self._arrays[name].resize(shape)

    # -- recording -------------------------------------------------------------------------------------------------

    def append(
        self, *, base: Any, draft_token: Any, next_token: Any, accepted: Any, sequence: Any = None, **more: Any
    ) -> None:
        """Record one iteration of a batch.

        Parameters
        ----------
        base : array_like
            Long[B], tokens committed before the pass.
        draft_token, next_token : array_like
            Long[B, L], the drafts verified, and the tokens afterwards. A pass that drafted fewer than L has -1 in the
            last slots of ``draft_token``; what the other variables hold there is not looked at, but for a token that
            the pass commits behind its drafts (:mod:`scd_analysis.trace.layouts`).
        accepted : array_like
            Bool[B, L].
        sequence : array_like, optional
            Long[B], which sequences of the batch these are, counted from its first; all of them by default.
        **more
            Any other variable of :mod:`scd_analysis.trace.schema`, as array_like. Scalars of the laws are computed here
            from ``draft_probs`` and ``target_probs`` (Float[B, L, V]) if these are given; ``committed`` is, by default,
            the slots up to and including the first that was not accepted.

        Raises
        ------
        InputError
            For a shape that disagrees, an unknown variable, or a token outside the vocabulary.
        LawError
            For a law that is not one, or a draft of probability zero.
        """
        if self._closed:
            raise InputError(f"path = {self.store}: the trace is closed")
        given = {"base": base, "draft_token": draft_token, "next_token": next_token, "accepted": accepted, **more}
        sizes = {"slot": self.window, "vocab": self.vocab_size, "position": self.num_tokens}
        rows = checked_rows(given, sizes)
        check_whole_laws(rows, self._form.taken)
        index = np.arange(len(rows["base"])) if sequence is None else as_array(sequence, "sequence", np.int64)
        if index.shape != rows["base"].shape:
            raise InputError(f"sequence has shape {index.shape}: expected {rows['base'].shape}, as base")
        if not self._in_batch:
            self.begin_batch(len(index))
        start, stop, _ = self._blocks[-1]
        for i, row in enumerate(index):
            if not 0 <= row < stop - start:
                raise InputError(f"sequence[{i}] = {row}: the batch has {stop - start} sequences")
        if len(np.unique(index)) < len(index):
            raise InputError(f"sequence = {index.tolist()}: names a sequence twice")
        said = as_array(next_token, "next_token")
        rows["said"] = np.where((said >= 0) & (said < self.vocab_size), said, NONE).astype(np.int64)
        self._count_behind(committed_behind(self._last, index, rows))
        behind = rows.pop("said")
        self._last.note(index, self._iterations + self._filled, rows, behind)
        self.write_rows(index, rows)

    def _count_behind(self, index: Array) -> None:
        """Count the token behind the drafts of the last pass of some sequences as its bonus token."""
        last = self._last
        if (last.iteration[index] < self._iterations).any():
            self._settle()
        for sequence in index.tolist():
            iteration = int(last.iteration[sequence])
            here = iteration >= self._iterations  # in the buffer, or written already
            into: Any = self._buffer if here else self._arrays
            start = (0, self._iterations) if here else (self._blocks[-1][0], 0)
            place = sequence + start[0], iteration - start[1]
            into["num_committed"][place] = int(last.committed[sequence]) + 1
            into["bonus_token"][place] = int(last.behind[sequence])

    def write_rows(self, index: Array, rows: dict[str, Array]) -> None:
        """Record one iteration that is known to be right; the checked way in is :meth:`append`.

        Parameters
        ----------
        index : ndarray
            Long[B], rows of the batch.
        rows : dict of str to ndarray
            Variables, each with leading dimension B, of a window that may be narrower than the trace's. Slots where
            ``draft_token`` is -1 are masked here.
        """
        start, stop, _ = self._blocks[-1]
        self._buffer = self._buffer or self._empty(stop - start)
        absent = np.setdiff1d(np.arange(stop - start), index)
        used = np.zeros((len(index), self.window), dtype=bool)
        used[:, : rows["draft_token"].shape[1]] = rows["draft_token"] >= 0
        row, slot = np.nonzero(~used)
        at = slice(None) if not len(absent) and (np.diff(index) == 1).all() else index  # the quicker way to copy
        for name, buffer in self._buffer.items():
            now, fill = buffer[:, self._filled], -1 if VARIABLES[name].is_integer else np.nan
            now[absent if name in rows else slice(None)] = fill
            if name in rows and "slot" in VARIABLES[name].dims:
                now[at, : rows[name].shape[1]] = rows[name]
                now[index[row], slot] = fill
            elif name in rows:
                now[at] = rows[name]
        self._filled += 1
        if self._filled == self.chunk:
            self._hand_over()

    def _empty(self, sequences: int) -> dict[str, Array]:
        """Room for a chunk of iterations, with anything in it."""
        names = [name for name in (*REQUIRED, *self._form.taken) if "iteration" in VARIABLES[name].dims]
        shapes = {name: self._shape(name, sequences, self.chunk) for name in names}
        spare, self._spare = self._spare, {}
        if shapes == {name: array.shape for name, array in spare.items()}:
            return spare
        return {name: np.empty(shape, dtype=VARIABLES[name].dtype) for name, shape in shapes.items()}

    def finish_batch(self, *, tokens: Any = None, nfe: Any = None) -> None:
        """End the batch: write what is buffered, with the finished sequences if they are known.

        Parameters
        ----------
        tokens : array_like, optional
            Long[B, N].
        nfe : array_like, optional
            Long[B], forward passes until each sequence was complete.
        """
        if not self._blocks:
            return
        if self._in_batch and tokens is not None:
            self._amend_last(as_array(tokens, "tokens"))
        self._flush()
        start, stop, _ = self._blocks[-1]
        finished = {"tokens": tokens, "nfe": nfe}
        rows = checked_ends(finished, stop - start, self.num_tokens, self.vocab_size)
        if rows and not self._in_batch:
            raise InputError(f"{next(iter(rows))}: the batch was finished already")
        for name, values in rows.items():
            self._arrays[name][start:stop] = values
        self._in_batch = False

    def _amend_last(self, tokens: Array) -> None:
        """Where one token is missing, and the last pass names it behind its drafts, that pass committed it."""
        last = self._last
        if tokens.shape == (len(last.base), self.num_tokens):
            short = (last.iteration >= 0) & (last.base + last.committed == self.num_tokens - 1)
            index = np.flatnonzero(short & (last.behind >= 0) & (last.behind == tokens[:, -1]))
            self._count_behind(index)

    def _flush(self) -> None:
        """Write what is buffered, and wait until it is there."""
        self._hand_over()
        self._settle()

    def _hand_over(self) -> None:
        """Write what is buffered, mostly while the decode goes on; wait first for what is still being written."""
        self._settle()
        buffer, filled, first = self._buffer, self._filled, self._iterations
        self._buffer, self._filled = {}, 0
        if filled:
            self._iterations += filled
            self._writing = self._writer.submit(self._write, buffer, filled, first)
        if not self._concurrent:
            self._settle()

    def _settle(self) -> None:
        """Wait for the chunk that is being written, and raise what went wrong with it."""
        writing, self._writing = self._writing, None
        if writing is None:
            return
        try:
            writing.result()
        except Exception:
            self._failed = True  # do not write more on the way out
            raise

    def _write(self, buffer: dict[str, Array], filled: int, first: int) -> None:
        start, stop, _ = self._blocks[-1]
        for name, values in self._form.store({name: values[:, :filled] for name, values in buffer.items()}).items():
            self._grow(name, first + filled)
            self._arrays[name][start:stop, first : first + filled] = values
        self._spare = buffer
        self._blocks[-1][2] = first + filled
        # only now does a reader count the chunk as there
        self._group.attrs.update({"blocks": self._blocks, **self._form.attributes})

    # -- the end ---------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Finish the trace: cut it to the iterations there are, mark it complete, pack a ``.zip``."""
        if self._closed:
            return
        self._flush()
        if not self._arrays:
            self.begin_batch(1)
            self._blocks = [[0, 0, 0]]
        self._closed = True
        iterations = max((block[2] for block in self._blocks), default=0)
        for name, array in self._arrays.items():
            array.resize(self._shape(name, self._blocks[-1][1], iterations))
        self._group.attrs.update({"blocks": self._blocks, "complete": True})
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # consolidated metadata is not in the specification yet; xarray wants it
            zarr.consolidate_metadata(self.store)
        self._writer.shutdown()
        if self._place is not None:
            self._place.finish()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        elif self._arrays and not self._failed:
            self._flush()  # keep what there is; the trace stays marked incomplete
        self._writer.shutdown()
        if self._place is not None:
            self._place.release()
