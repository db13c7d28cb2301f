"""The one door to Zarr stores that other people made.

A store is looked through before Zarr sees it: every file is a regular one inside the folder or archive, every array
is of version 3 and of known codecs and types (:mod:`scd_analysis.trace.headers`), and a chunk is decoded only to the
size that a chunk has. Whatever goes wrong, at once or when a chunk is read later, is a :class:`TraceError` of one line.
"""

from __future__ import annotations

import asyncio
import os
import re
import stat
import zipfile
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import numpy.typing as npt
import xarray as xr
import zarr
from xarray.backends import BackendArray
from xarray.core import indexing
from zarr.abc.store import ByteRequest, Store
from zarr.core.buffer import Buffer, BufferPrototype, default_buffer_prototype
from zarr.core.sync import sync
from zarr.storage import FsspecStore, LocalStore, WrapperStore, ZipStore

from scd_analysis.common.urls import place_of
from scd_analysis.errors import TraceError
from scd_analysis.trace.damage import named, one_line
from scd_analysis.trace.headers import (
    HEADER_BYTES,
    Header,
    check_frame,
    group_attributes,
    most_stored,
    read_header,
    read_json,
)
from scd_analysis.trace.remote import RECENT, Remote, opened_remote

Array = npt.NDArray[Any]
Key = tuple[Any, ...]

_CHUNK = re.compile(r"([^/]+)/c((?:/\d{1,10})*)")
_ROOT = "zarr.json"


class GuardedStore(WrapperStore[Store]):  # type: ignore[misc]  # zarr is not typed here
    """A store that was looked through: read only, and only what was there and known then.

    Attributes
    ----------
    what : str
        How errors call it.
    attributes : dict
        Of the group.
    arrays : dict of str to Header
    chunks : dict of str to set of tuple of int
        Chunks of each array that are there.
    """

    def __init__(self, store: Store, what: str, sizes: dict[str, int], read: Callable[[str], bytes]) -> None:
        super().__init__(store)
        self.what, self._name = what, uuid4().hex  # also of what is sent to another process
        if _ROOT not in sizes:
            raise TraceError(f"{what}: not a Zarr version 3 store (it has no {_ROOT})")
        root = read_json(read(_ROOT), f"{what}: {_ROOT}")
        self.attributes = group_attributes(root, f"{what}: {_ROOT}")
        names = sorted(key.removesuffix(f"/{_ROOT}") for key in sizes if key.endswith(f"/{_ROOT}"))
        self._raw = {f"{name}/{_ROOT}": read(f"{name}/{_ROOT}") for name in names}
        self.arrays = {}
        for name in names:
            if "/" in name:
                raise TraceError(f"{what}: {name}: an array within an array or group")
            found = read_json(self._raw[f"{name}/{_ROOT}"], f"{what}: {name}")
            self.arrays[name] = read_header(found, f"{what}: {name}")
        self._sizes = sizes
        self.chunks: dict[str, set[tuple[int, ...]]] = {name: set() for name in names}
        for key, size in sizes.items():
            self._note(key, size)

    def _note(self, key: str, size: int) -> None:
        """Note a file, if it is a chunk."""
        found = _CHUNK.fullmatch(key)
        if found is None or found[1] not in self.arrays:
            return
        header, index = self.arrays[found[1]], tuple(int(i) for i in found[2].split("/")[1:])
        if len(index) != len(header.shape):
            return
        if size > most_stored(header):
            raise TraceError(f"{self.what}: {key} has {size} bytes, more than a chunk of {header.chunk_bytes} can take")
        self.chunks[found[1]].add(index)

    def _with_store(self, store: Store) -> GuardedStore:
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__)
        other._store = store
        return other

    async def get(self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None) -> Buffer | None:
        """Return what was looked through; of a chunk, what decodes to the size of one."""
        if key in self._raw:
            return prototype.buffer.from_bytes(self._raw[key])
        found = _CHUNK.fullmatch(key)
        if found is None or key not in self._sizes:
            return None
        if isinstance(self._store, LocalStore):
            self._check_still(self._store.root / key, key, self.arrays[found[1]])
        mine = self._name, key
        buffer = RECENT.get(mine) or await self._store.get(key, prototype, None)
        if buffer is None:
            raise TraceError(f"{self.what}: {key}: the chunk is gone")
        if isinstance(self._store, FsspecStore):
            RECENT.put(mine, buffer)
        start = buffer.as_numpy_array()[:32].tobytes()
        check_frame(start, len(buffer), self.arrays[found[1]], f"{self.what}: {key}")
        return buffer

    def _check_still(self, path: Path, key: str, header: Header) -> None:
        """Check that a chunk is a file of its size still: it may have become a pipe or a device."""
        try:
            found = path.stat()
        except OSError:
            return  # gone, which is told when it is read
        if not stat.S_ISREG(found.st_mode) or found.st_size > most_stored(header):
            raise TraceError(f"{self.what}: {key} has become something else since the trace was opened")

    async def get_partial_values(
        self, prototype: BufferPrototype, key_ranges: Iterable[tuple[str, ByteRequest | None]]
    ) -> list[Buffer | None]:
        """Return whole values: codecs that need parts of them are not let in."""
        return list(await asyncio.gather(*(self.get(key, prototype) for key, _ in key_ranges)))

    async def _get_many(
        self, requests: Iterable[tuple[str, BufferPrototype, ByteRequest | None]]
    ) -> AsyncIterator[tuple[str, Buffer | None]]:  # type: ignore[override]
        for key, prototype, _ in requests:
            yield key, await self.get(key, prototype)

    async def exists(self, key: str) -> bool:
        """Whether it was there."""
        return key in self._raw or key in self._sizes


def open_store(source: str | Path | Store, what: str) -> GuardedStore:
    """Look through a store, and return it for reading.

    Parameters
    ----------
    source : path, URL or Zarr store
        A folder, a ``.zip``, a folder of another file system by its URL, or a store in memory.
    what : str
        How errors call it, ``"trace run.zarr"``.

    Raises
    ------
    TraceError
        If it is no Zarr store of version 3, or names a codec or a data type that is not known, or would take more
        memory than :data:`scd_analysis.trace.headers.MEMORY_LIMIT`, or holds what is no regular file.
    """
    try:
        return _open(source, what)
    except TraceError:
        raise
    except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise TraceError(f"{what}: not a Zarr version 3 store ({one_line(error)})") from None


def _open(source: str | Path | Store, what: str) -> GuardedStore:
    if isinstance(source, GuardedStore):
        return source
    if isinstance(source, LocalStore):
        source = source.root
    if isinstance(source, Store):
        return _in_memory(source, what)
    path = place_of(source)
    if isinstance(path, str):
        return _at_url(path, what)
    if path.is_dir():
        sizes = _folder_sizes(path, what)
        read = partial(_bounded, sizes.__getitem__, lambda key: (path / key).read_bytes(), what)
        return GuardedStore(LocalStore(path, read_only=True), what, sizes, read)
    if not stat.S_ISREG(path.stat().st_mode):
        raise TraceError(f"{what}: is neither a folder nor a file")
    if not zipfile.is_zipfile(path):
        raise TraceError(f"{what}: not a Zarr version 3 store (a file, but no .zip)")
    sizes = _zip_sizes(path, what)
    with zipfile.ZipFile(path) as archive:
        read = partial(_bounded, sizes.__getitem__, archive.read, what)
        return GuardedStore(ZipStore(path, mode="r"), what, sizes, read)


def _in_memory(store: Store, what: str) -> GuardedStore:
    async def keys() -> list[str]:
        return [key async for key in store.list()]

    def read(key: str) -> bytes:
        buffer = sync(store.get(key, default_buffer_prototype()))
        if buffer is None:
            raise TraceError(f"{what}: {key}: is gone")
        return bytes(buffer.to_bytes())

    return GuardedStore(store, what, dict.fromkeys(sync(keys()), 0), read)


def _at_url(url: str, what: str) -> GuardedStore:
    if url.endswith(".zip"):
        raise TraceError(f"{what}: a .zip is read from a file system only; copy it here, or write a folder there")
    there = Remote(url)
    if not there.sizes:
        raise TraceError(f"{what}: there is nothing at this URL")
    headers = [key for key, size in there.sizes.items() if key.endswith(_ROOT) and size <= HEADER_BYTES]
    found = there.read(headers)  # side by side: each takes as long as a request does
    read = partial(_bounded, there.sizes.__getitem__, found.__getitem__, what)
    return GuardedStore(opened_remote(url), what, there.sizes, read)


def _bounded(size: Callable[[str], int], read: Callable[[str], bytes], what: str, key: str) -> bytes:
    if size(key) > HEADER_BYTES:
        raise TraceError(f"{what}: {key} has {size(key)} bytes, at most {HEADER_BYTES} are read")
    return read(key)


def _folder_sizes(folder: Path, what: str) -> dict[str, int]:
    """Every file below a folder and its size; none may be a link out of it, or something that is no file."""
    root, sizes, left = folder.resolve(), {}, [(folder, "")]
    while left:
        here, before = left.pop()
        with os.scandir(here) as entries:
            for entry in entries:
                key = before + entry.name
                if entry.is_dir(follow_symlinks=False):
                    left.append((Path(entry.path), f"{key}/"))
                    continue
                if entry.is_symlink() and not Path(entry.path).resolve().is_relative_to(root):
                    raise TraceError(f"{what}: {key} is a link that leaves the folder; copy what it stands for")
                found = entry.stat()
                if not stat.S_ISREG(found.st_mode):
                    raise TraceError(f"{what}: {key} is not a regular file")
                sizes[key] = found.st_size
    return sizes


def _zip_sizes(path: Path, what: str) -> dict[str, int]:
    """Every member of an archive and its size as it is unpacked."""
    sizes: dict[str, int] = {}
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
    if sum(one.compress_size for one in members) > path.stat().st_size:
        raise TraceError(f"{what}: its members overlap")
    for one in members:
        name = one.filename
        if name.startswith("/") or "\\" in name or ".." in name.split("/"):
            raise TraceError(f"{what}: {name!r}: a member's name must stay within the archive")
        if name in sizes:
            raise TraceError(f"{what}: {name!r}: is there twice")
        if one.flag_bits & 1 or one.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise TraceError(f"{what}: {name!r}: is encrypted, or compressed by other than deflate")
        if not one.is_dir():
            sizes[name] = one.file_size
    return sizes


# -- arrays ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Happened:
    """What a writer says it has written: iterations of each sequence, Long[S]; the rest reads as missing."""

    written: Array

    def hide(self, values: Array, key: Key, iterations: int, fill: float) -> Array:
        """Put ``fill`` where a chunk was begun when its writer was stopped; ``key`` says what was read."""
        sequence, iteration = self.written[key[0]], np.arange(iterations)[key[1]]
        late = np.greater_equal.outer(iteration, sequence) if np.ndim(iteration) else iteration >= sequence
        late = np.asarray(late).T
        if not late.any():
            return values
        if not late.ndim:
            return np.full_like(values, fill)
        values = values if values.flags.writeable else np.array(values)
        values[late] = fill
        return values


class Lazy(BackendArray):  # type: ignore[no-untyped-call]
    """An array that is read when it is needed, with errors that say what could not be read."""

    def __init__(self, store: GuardedStore, name: str, happened: Happened | None = None) -> None:
        header = store.arrays[name]
        self.shape, self.dtype = header.shape, header.dtype
        self._store, self._name, self._header, self._happened = store, name, header, happened
        with named(store.what, name):
            self._array = zarr.open_array(store, path=name, mode="r", zarr_format=3)

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        return indexing.explicit_indexing_adapter(key, self.shape, indexing.IndexingSupport.OUTER, self._read)

    def _read(self, key: Key) -> Array:
        with named(self._store.what, self._name):
            values = np.asarray(self._array.oindex[key])
        if self._happened is None or "iteration" not in self._header.dims:
            return values
        return self._happened.hide(values, key, self.shape[1], self._header.fill)


def read_dataset(source: str | Path | Store, what: str) -> xr.Dataset:
    """Open any store that xarray wrote of plain numbers, lazily, as it is stored.

    Parameters
    ----------
    source : path or Zarr store
    what : str
        How errors call it, ``"checkpoint runs/a/batch-00000.zarr"``.

    Raises
    ------
    TraceError
        As of :func:`open_store`; if dimensions have different sizes; later, if a chunk cannot be read.
    """
    store = open_store(source, what)
    sizes: dict[str, int] = {}
    for name, header in store.arrays.items():
        for dim, size in zip(header.dims, header.shape, strict=True):
            if sizes.setdefault(dim, size) != size:
                raise TraceError(f"{what}: {name}: {dim} has size {size}, elsewhere {sizes[dim]}")
        check_covered(store, name)
    variables = {name: lazy_variable(store, name) for name in store.arrays}
    return xr.Dataset(variables, attrs=dict(store.attributes))


def lazy_variable(store: GuardedStore, name: str, happened: Happened | None = None) -> xr.Variable:
    """Return one array of a store as a variable, undecoded."""
    data = indexing.LazilyIndexedArray(Lazy(store, name, happened))
    return xr.Variable(store.arrays[name].dims, data)


UNCOVERED = 2**16
"""Entries along an axis that no chunk is there for, at most: a shape can claim anything."""


def check_covered(store: GuardedStore, name: str) -> None:
    """Check that a declared shape is about that of the chunks that are there.

    Raises
    ------
    TraceError
        If there are more than :data:`UNCOVERED` entries along an axis without any chunk.
    """
    header = store.arrays[name]
    for axis in range(len(header.shape)):
        covered = len({index[axis] for index in store.chunks[name]}) * header.chunks[axis]
        if header.shape[axis] > covered + UNCOVERED:
            raise TraceError(
                f"{store.what}: {name}: {header.dims[axis]} has size {header.shape[axis]}, but chunks of {covered}"
            )


def chunks_between(header: Header, ranges: Iterable[tuple[int, int]]) -> Iterator[tuple[int, ...]]:
    """The chunks that hold entries of a box, given by ``(start, stop)`` along the first axes."""
    given = list(ranges)
    box = [*given, *((0, size) for size in header.shape[len(given) :])]
    return product(*(range(start // c, -(-stop // c)) for (start, stop), c in zip(box, header.chunks, strict=True)))
