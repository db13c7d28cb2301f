"""A checkpoint at a URL: batches are made and looked at in a folder of this machine, and kept in the store.

The line about a batch is written last, so that a batch that is there is whole. A store has no locks: two audits that
use one URL are not told apart.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any

from scd_analysis.audit.checkpoint import LARGEST_JSON, Checkpoint
from scd_analysis.common.urls import place_of
from scd_analysis.errors import InputError
from scd_analysis.trace.remote import Remote

KNOWN = "audit.json"


def checkpoint_at(path: str | Path, identity: dict[str, Any], tolerance: float) -> Checkpoint:
    """Give the checkpoint of a path or URL; the arguments are those of :class:`Checkpoint`."""
    place = place_of(path)
    kind = Mirrored if isinstance(place, str) else Checkpoint
    return kind(place, identity, tolerance)


class Mirrored(Checkpoint):
    """A checkpoint at a URL; see :class:`Checkpoint`, of which it is one in a temporary folder."""

    def __init__(self, url: str | Path, identity: dict[str, Any], tolerance: float) -> None:
        self._held = TemporaryDirectory(prefix="checkpoint-")
        super().__init__(self._held.name, identity, tolerance)
        self.where = url
        self._there = Remote(str(url))

    def __enter__(self) -> Checkpoint:
        try:
            return self._enter()
        except BaseException:
            self._held.cleanup()
            raise

    def _enter(self) -> Checkpoint:
        known = KNOWN in self._there.sizes
        if known:
            self._fetch([KNOWN])
        elif self._there.sizes:
            raise InputError(f"checkpoint {self.where}: is not empty and holds no audit")
        with self._named():
            super().__enter__()
        if not known:
            self._send([KNOWN])
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)
        self._held.cleanup()

    def holds(self, number: int) -> bool:
        """Whether a batch is there."""
        return f"{self.folder(number).stem}.json" in self._there.sizes

    def load(self, number: int, seed: int) -> Any:
        """Return a stored batch, as :meth:`Checkpoint.load` does."""
        if not self.holds(number):
            return None
        folder = self.folder(number)
        self._fetch([key for key in self._there.sizes if key.partition("/")[0] in (folder.name, f"{folder.stem}.json")])
        try:
            with self._named():
                return super().load(number, seed)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def save(self, number: int, seed: int, drawn: Any) -> None:
        """Store a batch; its line, with which it is there, last."""
        folder = self.folder(number)
        left = [key for key in self._there.sizes if key.startswith(f"{folder.name}/")]
        if left:  # of an audit that was stopped
            self._there.remove(left)
        with self._named():
            super().save(number, seed, drawn)
        self._send([file.relative_to(self.path).as_posix() for file in folder.rglob("*") if file.is_file()])
        self._send([f"{folder.stem}.json"])
        shutil.rmtree(folder)

    def _fetch(self, keys: list[str]) -> None:
        large = [key for key in keys if key.endswith(".json") and self._there.sizes[key] > LARGEST_JSON]
        if large:
            raise InputError(f"checkpoint {self.where}/{large[0]}: is not a small file")
        for key, content in self._there.read(keys).items():
            (self.path / key).parent.mkdir(parents=True, exist_ok=True)
            (self.path / key).write_bytes(content)

    def _send(self, keys: list[str]) -> None:
        self._there.write({key: (self.path / key).read_bytes() for key in keys})

    @contextmanager
    def _named(self) -> Iterator[None]:
        """Let errors name the URL."""
        try:
            yield
        except InputError as error:
            raise type(error)(str(error).replace(str(self.path), str(self.where))) from error.__cause__
