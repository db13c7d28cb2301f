"""What an audit has drawn so far, on disk, so that it can be resumed: the bets are made again, the draws are not."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from scd_analysis.audit.draws import is_trace
from scd_analysis.errors import InputError

REMEDY = "without this folder the batch is drawn anew"


class Checkpoint:
    """A folder with one Zarr store a batch, each complete or absent.

    Attributes
    ----------
    path : Path

    Parameters
    ----------
    path : path
        A new folder, or one that an audit of the same subject and model with the same seed has written.
    identity : dict
        What must be the same for the batches to be of use: seed, vocabulary, number of tokens.

    Raises
    ------
    InputError
        If the folder belongs to another audit.
    """

    def __init__(self, path: str | Path, identity: dict[str, Any]) -> None:
        self.path = Path(path)
        self.path.mkdir(parents=True, exist_ok=True)
        known = self.path / "audit.json"
        if known.exists():
            stored = _read(known)
            for name, value in identity.items():
                if stored.get(name) != value:
                    raise InputError(f"checkpoint {self.path}: {name} = {stored.get(name)}, this audit has {value}")
        elif any(self.path.iterdir()):
            raise InputError(f"checkpoint {self.path}: the folder is not empty and holds no audit")
        else:
            known.write_text(json.dumps(identity) + "\n")

    def _folder(self, number: int) -> Path:
        return self.path / f"batch-{number:05d}.zarr"

    def load(self, number: int, seed: int) -> Any:
        """Return a stored batch, tokens or trace, or None.

        Raises
        ------
        InputError
            If it was drawn with another seed, or is not what was stored.
        """
        folder = self._folder(number)
        if not folder.exists():
            return None
        try:
            batch = xr.open_zarr(folder, consolidated=False).load()
        except Exception as error:
            raise InputError(f"checkpoint {folder}: cannot be read ({error}); {REMEDY}") from None
        if batch.attrs.pop("audit_seed", None) != seed:
            raise InputError(f"checkpoint {folder}: was drawn with another seed than {seed}")
        if batch.attrs.pop("audit_digest", None) != _digest(batch):
            raise InputError(f"checkpoint {folder}: is not what was stored; {REMEDY}")
        return batch if "draft_token" in batch else batch["tokens"].values.astype(np.int64)

    def save(self, number: int, seed: int, drawn: Any) -> None:
        """Store a batch; under its name only once it is whole."""
        batch = drawn if is_trace(drawn) else xr.Dataset({"tokens": (("sequence", "position"), drawn)})
        batch = batch.assign_attrs(audit_seed=seed, audit_digest=_digest(batch)).drop_encoding()
        folder = self._folder(number)
        partial = folder.with_name(folder.name + ".partial")
        shutil.rmtree(partial, ignore_errors=True)
        batch.to_zarr(partial, zarr_format=3, consolidated=False)
        partial.rename(folder)


def _read(known: Path) -> dict[str, Any]:
    try:
        stored = json.loads(known.read_text())
    except ValueError as error:
        raise InputError(f"checkpoint {known}: is not JSON ({error})") from None
    if not isinstance(stored, dict):
        raise InputError(f"checkpoint {known}: is a {type(stored).__name__}, expected an object")
    return stored


def _digest(batch: xr.Dataset) -> str:
    """Of all values: a chunk that is gone reads as zeros."""
    out = hashlib.sha256()
    for name in sorted(map(str, batch.data_vars)):
        out.update(f"{name} {batch[name].dtype}".encode())
        out.update(np.ascontiguousarray(batch[name].values).tobytes())
    return out.hexdigest()
