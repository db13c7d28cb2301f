"""The place where a trace is written: claimed by one writer, and cleared only of what a writer left there."""

from __future__ import annotations

import os
import shutil
import tempfile
import zipfile
from collections.abc import Iterable
from pathlib import Path

from filelock import FileLock, Timeout
from zarr.storage import LocalStore

from scd_analysis.errors import InputError
from scd_analysis.trace.headers import HEADER_BYTES, group_attributes, read_json, whole
from scd_analysis.trace.schema import VARIABLES

HEADER, _LOCK, _PACKED = "zarr.json", "writing.lock", "packed.tmp"


class Place:
    """A folder, or one that becomes a ``.zip``, that nobody else writes to.

    Attributes
    ----------
    store : LocalStore
        To write to.

    Parameters
    ----------
    path : path
        Of the trace.
    overwrite : bool
        Whether a trace that is there may be replaced.

    Raises
    ------
    InputError
        If something is there that may not be replaced, or somebody is writing there.
    """

    def __init__(self, path: Path, overwrite: bool) -> None:
        self._path, self._zip, self._overwrite = path, path.suffix == ".zip", overwrite
        self._check_free(path, overwrite)
        for old in leftovers(path) if self._zip else []:
            if not overwrite:
                raise InputError(f"path = {old}: exists already, an unfinished trace; overwrite=True replaces it")
            _remove(old)
        if self._zip:
            path.parent.mkdir(parents=True, exist_ok=True)
            folder = Path(tempfile.mkdtemp(prefix=f"{path.name}.", suffix=".partial", dir=path.parent))
        else:
            if path.exists():
                _remove(path)
            folder = path
            try:
                folder.mkdir(parents=True)
            except FileExistsError:
                raise InputError(f"path = {path}: is being written by another writer") from None
        self._lock = FileLock(folder / _LOCK, timeout=0, thread_local=False)
        try:
            self._lock.acquire()
        except Timeout:
            raise InputError(f"path = {path}: is being written by another writer") from None
        self.store = LocalStore(folder)

    @staticmethod
    def _check_free(path: Path, overwrite: bool) -> None:
        if not (path.exists() or path.is_symlink()):
            return
        if not overwrite:
            raise InputError(f"path = {path}: exists already; pass overwrite=True to replace it")
        foreign = what_is_foreign(path)
        if foreign is not None:
            raise InputError(f"path = {path}: is not replaced, since {foreign}; overwrite=True replaces traces only")

    def finish(self) -> None:
        """Pack a ``.zip``, put it where the trace is to be, and let go."""
        folder = Path(self.store.root)
        if not self._zip:
            self.release()
            (folder / _LOCK).unlink(missing_ok=True)
            return
        with zipfile.ZipFile(folder / _PACKED, "w", zipfile.ZIP_STORED) as archive:
            for file in sorted(folder.rglob("*")):
                if file.is_file() and file.name not in (_LOCK, _PACKED):
                    archive.write(file, file.relative_to(folder))
        self._check_free(self._path, self._overwrite)  # somebody may have put something there meanwhile
        (folder / _PACKED).replace(self._path)
        self.release()
        _clear(folder)

    def release(self) -> None:
        """Let others replace what is there."""
        self._lock.release()


def leftovers(path: Path) -> list[Path]:
    """Folders that writers of a ``.zip`` left when they were stopped; their names begin with its name."""
    if not path.parent.is_dir():
        return []
    found = (path.parent / name for name in os.listdir(path.parent))
    named = [one for one in found if one.name.startswith(f"{path.name}.") and one.name.endswith(".partial")]
    return sorted(one for one in named if one.is_dir() and not one.is_symlink() and what_is_foreign(one) is None)


def remove_leftovers(path: Path) -> None:
    """Delete what writers of a ``.zip`` left when they were stopped.

    Raises
    ------
    InputError
        If one of them is being written.
    """
    for old in leftovers(path):
        _remove(old)


def remove_trace(path: Path) -> None:
    """Delete a trace, finished or not, if there is one.

    Raises
    ------
    InputError
        If something else is there, or it is being written.
    """
    if not os.path.lexists(path):
        return
    foreign = what_is_foreign(path)
    if foreign is not None:
        raise InputError(f"path = {path}: is not removed, since {foreign}")
    _remove(path)


def what_is_foreign(path: Path) -> str | None:
    """Why a path is no trace, or not only one; None if all of it was written by a writer (or it is an empty folder)."""
    if path.is_symlink():
        return "it is a link"
    if path.is_dir():
        names = [file.relative_to(path).as_posix() for file in path.rglob("*")]
        header = path / HEADER
        raw = header.read_bytes() if header.is_file() and header.stat().st_size <= HEADER_BYTES else None
    elif zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            names = [one.filename for one in archive.infolist() if not one.is_dir()]
            small = HEADER in names and archive.getinfo(HEADER).file_size <= HEADER_BYTES
            raw = archive.read(HEADER) if small else None
    else:
        return "it is no trace"
    return foreign_among(names, raw)


def foreign_among(names: Iterable[str], raw: bytes | None) -> str | None:
    """Why files, by their names, are no trace, or not only one; ``raw`` is the header among them, None without one."""
    names = list(names)
    if not names or names == [_LOCK]:
        return None
    try:
        marked = raw is not None and whole(group_attributes(read_json(raw, HEADER), HEADER).get("schema_version"), 1)
    except InputError:
        marked = False
    if not marked:
        return "it is no trace"
    for name in names:
        first, *rest = name.split("/")
        within = rest[0] if rest else first
        known = within in (HEADER, "c", first) or within.endswith(".partial")
        if not known or not (first in VARIABLES or (not rest and first in (HEADER, _LOCK, _PACKED))):
            return f"it holds {name}, which no writer of traces made"
    return None


def _remove(path: Path) -> None:
    """Delete a trace that nobody is writing."""
    if path.is_file():
        path.unlink()
        return
    lock = FileLock(path / _LOCK, timeout=0, thread_local=False)
    try:
        lock.acquire()
    except Timeout:
        raise InputError(f"path = {path}: is being written by another writer") from None
    try:
        _clear(path)
    finally:
        lock.release()


def _clear(folder: Path) -> None:
    """Delete what a writer makes; its mark goes last, so that what is left of a stopped deletion is still known."""
    for name in VARIABLES:
        if (folder / name).is_dir():
            shutil.rmtree(folder / name)
    for file in sorted(folder.iterdir(), key=lambda one: (one.name == HEADER, one.name == _LOCK)):
        if file.is_file():
            file.unlink()
    folder.rmdir()
