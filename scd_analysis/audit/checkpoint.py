"""What an audit has drawn so far, on disk, so that it can be resumed: the bets are made again, the draws are not.

A folder holds ``audit.json`` (which audit it is of) and, for every batch, a Zarr store with a line about it: its seed,
and its files with their digests. Nothing is opened before its bytes are known to be those that were written.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import stat
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import xarray as xr
from filelock import FileLock, Timeout

from scd_analysis.contracts import is_trace
from scd_analysis.errors import InputError
from scd_analysis.trace.store import read_dataset

REMEDY = "without this folder the batch is drawn anew"
FORMAT = 2
LOCK = "audit.lock"
PARTIAL = re.compile(r"(audit|batch-\d{5})\.(json|zarr)\.partial")
LARGEST_JSON = 2**22
PATIENCE = 2.0
"""Seconds to wait for whoever has the folder: a process that was killed lets go of it soon."""


class Checkpoint:
    """A folder with one store a batch, each complete or absent; a context, in which nobody else may use the folder.

    Attributes
    ----------
    path : Path
    where : path or URL
        What a user calls it.

    Parameters
    ----------
    path : path
        A new folder, or one that an audit of the same subject and model with the same seed has written.
    identity : dict
        What must be the same for the batches to be of use; see :func:`scd_analysis.audit.identity.identity`.
    tolerance : float
        How far numbers of the model's laws may be apart.

    Raises
    ------
    InputError
        If the folder belongs to another audit, or is in use.
    """

    def __init__(self, path: str | Path, identity: dict[str, Any], tolerance: float) -> None:
        self.path = Path(path)
        self.where: str | Path = self.path
        self._identity, self._tolerance = identity, tolerance

    def __enter__(self) -> Checkpoint:
        if self.path.exists() and not self.path.is_dir():
            raise InputError(f"checkpoint {self.path}: is not a folder")
        if self.path.is_dir() and not self._known.exists() and any(not _is_ours(each) for each in self.path.iterdir()):
            raise InputError(f"checkpoint {self.path}: the folder is not empty and holds no audit")
        self.path.mkdir(parents=True, exist_ok=True)
        self._lock = FileLock(self.path / LOCK)
        try:
            self._lock.acquire(timeout=PATIENCE)
        except Timeout:
            raise InputError(f"checkpoint {self.path}: is in use by another audit") from None
        except OSError as error:
            raise InputError(f"checkpoint {self.path}: cannot be locked ({error})") from None
        try:
            self._begin()
        except BaseException:
            self._lock.release()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lock.release()

    @property
    def _known(self) -> Path:
        return self.path / "audit.json"

    def _begin(self) -> None:
        for left in self.path.iterdir():  # of a run that was killed
            if PARTIAL.fullmatch(left.name) and left.is_dir() and not left.is_symlink():
                shutil.rmtree(left)
        if os.path.lexists(self._known):
            self._compare(_read(self._known))
        else:
            _write(self._known, {"format": FORMAT, **self._identity})

    def _compare(self, stored: dict[str, Any]) -> None:
        where = f"checkpoint {self.path}"
        if stored.get("format") != FORMAT:
            raise InputError(
                f"{where}: does not say which subject and model it is of, as older versions did not; use a new folder"
            )
        for name in ("seed", "vocab_size", "num_tokens"):
            if stored.get(name) != self._identity[name]:
                raise InputError(f"{where}: {name} = {_said(stored.get(name))}, this audit has {self._identity[name]}")
        theirs, ours = stored.get("subject"), self._identity["subject"]
        if not isinstance(theirs, dict):
            raise InputError(f"{where}: subject = {_said(theirs)}, this audit has {ours['subject']}")
        for name in [*ours, *(name for name in theirs if name not in ours)]:
            if theirs.get(name) != ours.get(name):
                there, here = (_said(of.get(name, "nothing")) for of in (theirs, ours))
                raise InputError(f"{where}: {name} = {there}, this audit has {here}; it is of another subject")
        self._compare_laws(stored.get("laws"), where)

    def _compare_laws(self, stored: Any, where: str) -> None:
        ours = self._identity["laws"]
        if not isinstance(stored, list) or len(stored) != len(ours) or any(type(x) is not float for x in stored):
            raise InputError(f"{where}: laws = {_said(stored)}: not those of this audit's model")
        gaps = [abs(x - y) for x, y in zip(stored, ours, strict=True)]
        if not all(gap <= self._tolerance for gap in gaps):  # a NaN is not
            gap = max(gaps)
            raise InputError(
                f"{where}: model: its laws after fixed prefixes were others, by {gap:.3g}; it is of another model"
            )

    def folder(self, number: int) -> Path:
        """Where a batch is."""
        return self.path / f"batch-{number:05d}.zarr"

    def holds(self, number: int) -> bool:
        """Whether a batch is there."""
        return os.path.lexists(self.folder(number))

    def load(self, number: int, seed: int) -> Any:
        """Return a stored batch, tokens or trace, or None.

        Raises
        ------
        InputError
            If it was drawn with another seed, or is not what was stored.
        """
        if not self.holds(number):
            return None
        folder = self.folder(number)
        noted = _read(folder.with_suffix(".json"))
        if noted.get("seed") != seed:
            raise InputError(f"checkpoint {folder}: was drawn with another seed than {seed}")
        if not _is_as_written(folder, noted.get("files")):
            raise InputError(f"checkpoint {folder}: is not what was stored; {REMEDY}")
        try:
            batch = xr.decode_cf(read_dataset(folder, f"checkpoint {folder}")).load()
        except Exception as error:
            raise InputError(f"checkpoint {folder}: cannot be read ({error}); {REMEDY}") from None
        return batch if "draft_token" in batch else batch["tokens"].values.astype(np.int64)

    def save(self, number: int, seed: int, drawn: Any) -> None:
        """Store a batch; under its name only once it is whole.

        Raises
        ------
        InputError
            If a trace holds what cannot be stored.
        """
        batch = drawn if is_trace(drawn) else xr.Dataset({"tokens": (("sequence", "position"), drawn)})
        folder = self.folder(number)
        partial = folder.with_name(folder.name + ".partial")
        try:
            batch.drop_encoding().to_zarr(partial, zarr_format=3, consolidated=False)
        except OSError:
            raise
        except Exception as error:
            raise InputError(f"checkpoint {folder}: cannot be written ({error})") from error
        files = {name: [size, _digest(partial / name)] for name, size in (_sizes(partial) or {}).items()}
        _write(folder.with_suffix(".json"), {"seed": seed, "files": files})
        partial.rename(folder)


def _is_ours(path: Path) -> bool:
    return path.name == LOCK or PARTIAL.fullmatch(path.name) is not None


def _write(path: Path, value: dict[str, Any]) -> None:
    partial = path.with_name(path.name + ".partial")
    partial.write_text(json.dumps(value) + "\n", encoding="utf-8")
    partial.replace(path)


def _read(path: Path) -> dict[str, Any]:
    try:
        found = path.lstat()
    except OSError:
        raise InputError(f"checkpoint {path}: is missing; {REMEDY}") from None
    if not stat.S_ISREG(found.st_mode) or found.st_size > LARGEST_JSON:
        raise InputError(f"checkpoint {path}: is not a small file")
    try:
        stored = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"checkpoint {path}: is not JSON ({error})") from None
    if not isinstance(stored, dict):
        raise InputError(f"checkpoint {path}: is a {type(stored).__name__}, expected an object")
    return stored


def _said(value: Any) -> str:
    try:
        return f"{value!r:.80}"
    except (ValueError, RecursionError):  # an integer of 10,000 digits
        return f"a {type(value).__name__}"


def _is_as_written(folder: Path, noted: Any) -> bool:
    """Compare sizes first, then digests: a file may have become one that is never read to its end."""
    try:
        sizes = _sizes(folder)
        if sizes is None or not isinstance(noted, dict) or sizes.keys() != noted.keys():
            return False
        if any(not isinstance(at, list) or len(at) != 2 or at[0] != sizes[name] for name, at in noted.items()):
            return False
        return all(_digest(folder / name) == at[1] for name, at in noted.items())
    except OSError:
        return False


def _sizes(folder: Path) -> dict[str, int] | None:
    """Return the size of every file; None where there is anything but files and folders.

    A chunk that is gone would read as zeros, so it has to be missed here.
    """
    found: dict[str, int] = {}
    if not stat.S_ISDIR(folder.lstat().st_mode):
        return None
    for parent, folders, files in os.walk(folder):
        for name in folders + files:
            path = Path(parent, name)
            state = path.lstat()
            if not stat.S_ISREG(state.st_mode) and not stat.S_ISDIR(state.st_mode):
                return None
            if stat.S_ISREG(state.st_mode):
                found[path.relative_to(folder).as_posix()] = state.st_size
    return found


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
