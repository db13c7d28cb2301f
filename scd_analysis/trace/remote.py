"""Traces in stores that are named by a URL: what is there, and the place where one is written.

A store has no locks, so that two writers at one URL are not told apart, and no archives: a trace there is a folder. An
object is there whole or not at all, so that a chunk that is there is finished.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

from zarr.core.buffer import Buffer, BufferPrototype
from zarr.storage import FsspecStore, WrapperStore

from scd_analysis.common.urls import file_system, name_of
from scd_analysis.errors import InputError, TraceError
from scd_analysis.trace.damage import one_line
from scd_analysis.trace.headers import HEADER_BYTES
from scd_analysis.trace.place import HEADER, foreign_among


class Remote:
    """The files below a URL, as they are now.

    Attributes
    ----------
    url : str
    sizes : dict of str to int
        Of every file, by its path from the URL.

    Raises
    ------
    InputError
        If what it takes to reach the store is not installed.
    TraceError
        If the store does not answer.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._fs, self._root = file_system(url)
        with _asked(url):
            self._fs.invalidate_cache()  # another process may have written since
            found = self._fs.find(self._root, detail=True)
        files = {path[len(self._root) :].lstrip("/"): int(one["size"] or 0) for path, one in found.items()}
        self.sizes = {key: size for key, size in files.items() if key and not key.endswith("/")}  # marks of folders

    def read(self, keys: list[str]) -> dict[str, bytes]:
        """Read some files, side by side.

        Raises
        ------
        TraceError
            If one is gone, or the store does not answer.
        """
        with _asked(self.url):
            return dict(zip(keys, self._fs.cat_ranges(self._paths(keys), 0, None, on_error="raise"), strict=True))

    def write(self, files: dict[str, bytes]) -> None:
        """Write some files, side by side.

        Raises
        ------
        TraceError
            If the store does not answer.
        """
        with _asked(self.url):
            self._fs.pipe(dict(zip(self._paths(list(files)), files.values(), strict=True)))
        self.sizes |= {key: len(content) for key, content in files.items()}

    def remove(self, keys: list[str]) -> None:
        """Delete some files."""
        with _asked(self.url):
            self._fs.rm(self._paths(keys))

    def _paths(self, keys: list[str]) -> list[str]:
        return [f"{self._root}/{key}" for key in keys]


KEPT_BYTES = 2**28
"""Of chunks, as they are stored, that are kept in memory: an audit reads each some twenty times."""


class Recent:
    """Chunks that were read last, as they are stored; to be used from Zarr's own thread only.

    Parameters
    ----------
    most : int
        Bytes of all together.
    """

    def __init__(self, most: int) -> None:
        self._most, self._bytes = most, 0
        self._kept: OrderedDict[tuple[str, str], Buffer] = OrderedDict()

    def get(self, key: tuple[str, str]) -> Buffer | None:
        """Return a chunk of a store, by a name of that store that no other has, and its own."""
        if key not in self._kept:
            return None
        self._kept.move_to_end(key)
        return self._kept[key]

    def put(self, key: tuple[str, str], buffer: Buffer) -> None:
        """Keep a chunk, and let those go that were not asked for for longest."""
        if key in self._kept or len(buffer) > self._most:
            return
        self._kept[key] = buffer
        self._bytes += len(buffer)
        while self._bytes > self._most:
            self._bytes -= len(self._kept.popitem(last=False)[1])


RECENT = Recent(KEPT_BYTES)
"""One of all stores, so that shards do not add up."""


def names_at(url: str) -> list[str]:
    """Names of what is directly below a URL; none where there is nothing.

    Raises
    ------
    InputError
        If what it takes to reach the store is not installed.
    TraceError
        If the store does not answer.
    """
    fs, root = file_system(url)
    with _asked(url):
        fs.invalidate_cache()
        try:
            return [name_of(path) for path in fs.ls(root, detail=False)]
        except FileNotFoundError:
            return []


@contextmanager
def _asked(url: str) -> Iterator[None]:
    """Turn whatever a store, or the way to it, raises into one line."""
    try:
        yield
    except Exception as error:
        raise TraceError(f"{url}: cannot be reached ({one_line(error)})") from None


def opened_remote(url: str) -> FsspecStore:
    """Open a store for Zarr."""
    file_system(url)  # which says what is missing
    return FsspecStore.from_url(url)


class RemotePlace:
    """A URL that a trace is written to; as :class:`scd_analysis.trace.place.Place`, but without a lock.

    Attributes
    ----------
    store : Store
        To write to; what goes wrong there is an ``InputError`` that names the URL.

    Parameters
    ----------
    url : str
    overwrite : bool
        Whether a trace that is there may be replaced.

    Raises
    ------
    InputError
        If something is there that may not be replaced, or the store does not answer.
    """

    def __init__(self, url: str, overwrite: bool) -> None:
        if url.endswith(".zip"):
            raise InputError(f"path = {url}: a .zip is written to a file system only; name a folder")
        there = Remote(url)
        if there.sizes:
            if not overwrite:
                raise InputError(f"path = {url}: exists already; pass overwrite=True to replace it")
            _clear(there)
        self.store = _Writing(opened_remote(url), url)

    def finish(self) -> None:
        """Do nothing: all is there."""

    def release(self) -> None:
        """Do nothing: nothing was locked."""


def _clear(there: Remote) -> None:
    """Delete a trace, its mark last, so that what is left of a stopped deletion is still known."""
    small = there.sizes.get(HEADER, HEADER_BYTES + 1) <= HEADER_BYTES
    foreign = foreign_among(there.sizes, there.read([HEADER])[HEADER] if small else None)
    if foreign is not None:
        raise InputError(f"path = {there.url}: is not replaced, since {foreign}; overwrite=True replaces traces only")
    others = [key for key in there.sizes if key != HEADER]
    for keys in filter(None, (others, [HEADER])):
        there.remove(keys)


class _Writing(WrapperStore[FsspecStore]):  # type: ignore[misc]  # zarr is not typed here
    """A store whose failures say which URL failed, and what is kept."""

    def __init__(self, store: FsspecStore, url: str = "") -> None:
        super().__init__(store)
        self._url = url

    def _with_store(self, store: FsspecStore) -> _Writing:
        return _Writing(store, self._url)

    @contextmanager
    def _kept(self, key: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            raise InputError(
                f"path = {self._url}: {key} cannot be written ({one_line(error)}); the chunks that were finished are "
                "kept"
            ) from error

    async def get(self, key: str, prototype: BufferPrototype, byte_range: Any = None) -> Buffer | None:
        """Read a file, as a chunk is that is filled by two passes."""
        with self._kept(key):
            return await self._store.get(key, prototype, byte_range)

    async def set(self, key: str, value: Buffer) -> None:
        """Write a file."""
        with self._kept(key):
            await self._store.set(key, value)

    async def exists(self, key: str) -> bool:
        """Whether a file is there."""
        with self._kept(key):
            return bool(await self._store.exists(key))

    async def delete(self, key: str) -> None:
        """Delete a file."""
        with self._kept(key):
            await self._store.delete(key)

    async def list_prefix(self, prefix: str) -> AsyncIterator[str]:
        """Names of files below a folder."""
        with self._kept(prefix):
            async for key in self._store.list_prefix(prefix):
                yield key

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        """Names of what is in a folder."""
        with self._kept(prefix):
            async for key in self._store.list_dir(prefix):
                yield key
