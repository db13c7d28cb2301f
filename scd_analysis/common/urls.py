"""Places that are named by a URL, ``s3://bucket/run.zarr``, and reached through fsspec."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from scd_analysis.common.foreign import said
from scd_analysis.errors import InputError

_SCHEME = re.compile(r"([a-z][a-z0-9+.-]+)://")

EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gcs", "gcs": "gcs"}
"""What brings a file system of fsspec along, by its scheme."""


class Stores:
    """How stores are reached here, by fsspec's configuration, and so from then on where this is sent.

    Workers outlive what they were started for, so what one finds in its environment may be older than what is asked.
    """

    def __reduce__(self) -> tuple[Any, ...]:
        fsspec = sys.modules.get("fsspec.config")
        return _stores_so, ({} if fsspec is None else {name: dict(kept) for name, kept in fsspec.conf.items()},)


def _stores_so(settings: dict[str, dict[str, Any]]) -> Stores:
    if settings:
        from fsspec.config import conf

        for name, kept in settings.items():
            conf.setdefault(name, {}).update(kept)
    return Stores()


def is_url(source: object) -> bool:
    """Whether a place is named by a URL; ``file://`` is one."""
    return isinstance(source, str) and _SCHEME.match(source) is not None


def place_of(source: str | Path) -> str | Path:
    """Give a place by its URL, or by its path where a file system of this machine holds it.

    Parameters
    ----------
    source : str or path
        ``"s3://bucket/run.zarr"``, ``"file:///data/run.zarr"``, ``"run.zarr"``.

    Returns
    -------
    str or Path
        A URL that does not end in ``/``; else a path.

    Raises
    ------
    InputError
        If it is a file of another machine.
    """
    if not is_url(source):
        return Path(source)
    url = str(source)
    if not url.startswith("file://"):
        return url.rstrip("/")
    parts = urlsplit(url)
    if parts.netloc not in ("", "localhost"):
        raise InputError(f"{url}: names a file of {parts.netloc!r}; those of this machine are file:///...")
    return Path(url2pathname(parts.path))


def within(place: str | Path, name: str) -> str | Path:
    """What is called ``name`` in a folder."""
    return f"{place}/{name}" if isinstance(place, str) else place / name


def name_of(place: str | Path) -> str:
    """The last part of a URL or path."""
    return str(place).rstrip("/").rpartition("/")[2]


def file_system(url: str) -> tuple[Any, str]:
    """Give fsspec's file system for a URL, set up by fsspec's own configuration, and the path there.

    Raises
    ------
    InputError
        If fsspec does not know the scheme, or what it takes is not installed: the extra is named.
    """
    scheme = url.partition("://")[0]
    try:
        import fsspec

        fs, path = fsspec.url_to_fs(url)
    except ImportError as error:
        raise InputError(f"{url}: {error}; it takes the extra scd-analysis[{EXTRAS.get(scheme, 'stores')}]") from None
    except (ValueError, OSError) as error:
        raise InputError(f"{url}: cannot be reached ({error})") from None
    return fs, str(path).rstrip("/")


def read_url(url: str, most: int) -> bytes:
    """Read a file, or as much of it as ``most`` bytes.

    Raises
    ------
    InputError
        If it cannot be read.
    """
    fs, path = file_system(url)
    try:
        return bytes(fs.cat_file(path, start=0, end=most))
    except Exception as error:  # whatever the library of a store raises
        raise InputError(f"{url}: cannot be read ({said(error)})") from None
