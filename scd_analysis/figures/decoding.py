"""How the runs are made that figures are drawn from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

DEFAULT_CACHE = Path("build/traces")


@dataclass(frozen=True)
class Decoding:
    """How the runs are made that figures are drawn from.

    Attributes
    ----------
    quick : bool
        Decode a few sequences only.
    cache : path
        Folder of the traces of the reference decoder.
    device : str, optional
        Where to decode.
    jobs : int, optional
        Runs decoded at a time; None: one a core. More than one starts processes, which needs a main module that can be
        imported without side effects.
    """

    quick: bool = False
    cache: str | Path = DEFAULT_CACHE
    device: str | None = None
    jobs: int | None = 1


IN_FULL = Decoding()
