"""What a Zarr store says of itself, read without Zarr: only what can run nothing, and fits in memory, gets further.

Zarr looks up the codecs and data types that a store names; some of them unpickle. Here names that are not on a short
list are refused first. The list is what :class:`scd_analysis.TraceWriter` and xarray write.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from scd_analysis.errors import TraceError

MEMORY_LIMIT = 2**30
"""Bytes that looking at one chunk, at one sequence, or at the laws of one pass may take; a trace that needs more is
refused before anything is allocated."""

HEADER_BYTES = 2**25
DEEPEST = 32
"""Largest ``zarr.json`` that is read, and how deep its attributes may be nested."""

DTYPES = ("bool", *(f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)), "float16", "float32",
          "float64")  # fmt: skip
CODECS = ("blosc", "zstd")
_KEYS = {
    "shape", "data_type", "chunk_grid", "chunk_key_encoding", "fill_value", "codecs", "attributes", "dimension_names",
    "zarr_format", "node_type", "storage_transformers",
}  # fmt: skip
_FILLS = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}

_COPIES = 4
"""Of a chunk, while it is decoded, and its missing entries masked."""


@dataclass(frozen=True)
class Header:
    """One array, as its ``zarr.json`` describes it.

    Attributes
    ----------
    shape, chunks : tuple of int
    dtype : numpy.dtype
    fill : float
        What entries of chunks that are not there are.
    dims : tuple of str
    codec : str or None
        ``"blosc"`` or ``"zstd"``.
    checksum : bool
        Whether four bytes of CRC follow each chunk.
    attributes : dict
    """

    shape: tuple[int, ...]
    chunks: tuple[int, ...]
    dtype: np.dtype[Any]
    fill: float
    dims: tuple[str, ...]
    codec: str | None
    checksum: bool
    attributes: dict[str, Any]

    @property
    def chunk_bytes(self) -> int:
        """Bytes of a decoded chunk."""
        return math.prod(self.chunks) * self.dtype.itemsize


def read_json(raw: bytes, name: str) -> dict[str, Any]:
    """Parse an object, strictly: no NaN, no number beyond float64, no text that is not Unicode, nothing deep.

    Raises
    ------
    TraceError
        Naming the file.
    """
    if len(raw) > HEADER_BYTES:
        raise TraceError(f"{name}: has {len(raw)} bytes, at most {HEADER_BYTES} are read")
    try:
        found = json.loads(raw.decode("utf-8"), parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise TraceError(f"{name}: is not JSON ({type(error).__name__}: {error})") from None
    if not isinstance(found, dict):
        raise TraceError(f"{name}: is a {type(found).__name__}, expected an object")
    _check_plain(found, name)
    return found


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is not a number of JSON")


def _check_plain(value: Any, name: str) -> None:
    left = [(value, 0)]
    while left:
        one, depth = left.pop()
        if depth > DEEPEST:
            raise TraceError(f"{name}: is nested more than {DEEPEST} deep")
        if isinstance(one, dict):
            left += [(each, depth + 1) for pair in one.items() for each in pair]
        elif isinstance(one, list):
            left += [(each, depth + 1) for each in one]
        elif isinstance(one, float) and not math.isfinite(one):
            raise TraceError(f"{name}: holds a number that is not finite")
        elif isinstance(one, str) and not one.isascii():
            try:
                one.encode("utf-8")
            except UnicodeEncodeError:
                raise TraceError(f"{name}: holds {one!r:.60}, which is not Unicode") from None


def group_attributes(found: dict[str, Any], name: str) -> dict[str, Any]:
    """Return the attributes of a group.

    Raises
    ------
    TraceError
        If it is no group of Zarr version 3.
    """
    if found.get("zarr_format") != 3 or found.get("node_type") != "group":
        raise TraceError(f"{name}: is not a group of Zarr version 3")
    attributes = found.get("attributes", {})
    if not isinstance(attributes, dict):
        raise TraceError(f"{name}: attributes = {attributes!r:.60}: must be an object")
    return attributes


def read_header(found: dict[str, Any], name: str) -> Header:
    """Check what describes an array.

    Raises
    ------
    TraceError
        Naming what is unknown, contradictory or too large.
    """
    if found.get("zarr_format") != 3 or found.get("node_type") != "array":
        raise TraceError(f"{name}: is not an array of Zarr version 3")
    for key in found.keys() - _KEYS:
        raise TraceError(f"{name}: {key} = {found[key]!r:.60}: not known")
    if found.get("storage_transformers"):
        raise TraceError(f"{name}: storage_transformers = {found['storage_transformers']!r:.60}: must be empty")
    if found.get("data_type") not in DTYPES:
        raise TraceError(f"{name}: data_type = {found.get('data_type')!r:.60}: known are {', '.join(DTYPES)}")
    dtype = np.dtype(found["data_type"])
    shape = _sizes(found.get("shape"), f"{name}: shape", 0)
    chunks = _sizes(_inside(found, "chunk_grid", "regular", name).get("chunk_shape"), f"{name}: chunk_shape", 1)
    if _inside(found, "chunk_key_encoding", "default", name).get("separator", "/") != "/":
        raise TraceError(f"{name}: chunk_key_encoding: the separator must be '/'")
    if len(chunks) != len(shape):
        raise TraceError(f"{name}: chunk_shape = {list(chunks)}, shape = {list(shape)}: must be as long")
    dims = found.get("dimension_names") or []
    if not isinstance(dims, list) or len(dims) != len(shape) or not all(isinstance(one, str) for one in dims):
        raise TraceError(f"{name}: dimension_names = {dims!r:.60}: expected one for each of shape {list(shape)}")
    if len(set(dims)) < len(dims):
        raise TraceError(f"{name}: dimension_names = {dims!r:.60}: names one twice")
    attributes = found.get("attributes", {})
    if not isinstance(attributes, dict):
        raise TraceError(f"{name}: attributes = {attributes!r:.60}: must be an object")
    codec, checksum = _codecs(found.get("codecs"), name)
    fill = _fill(found.get("fill_value"), dtype, name)
    header = Header(shape, chunks, dtype, fill, tuple(dims), codec, checksum, attributes)
    check_memory(header.chunk_bytes * _COPIES, f"{name}: a chunk of {list(chunks)} {dtype}")
    return header


def check_memory(needed: int, what: str) -> None:
    """Check what would be allocated against :data:`MEMORY_LIMIT`.

    Raises
    ------
    TraceError
        If it is more.
    """
    if needed > MEMORY_LIMIT:
        raise TraceError(f"{what} would take some {needed / 2**30:.3g} GiB to look at; the limit is "
                         f"{MEMORY_LIMIT / 2**30:g} GiB")  # fmt: skip


def whole(value: Any, low: int, high: int = 2**31 - 1) -> bool:
    """Whether a value from JSON is a whole number in a range; True and False are none."""
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool) and low <= int(value) <= high


def _sizes(value: Any, name: str, low: int) -> tuple[int, ...]:
    if not isinstance(value, list) or len(value) > 8 or not all(whole(one, low) for one in value):
        raise TraceError(f"{name} = {value!r:.60}: must be a list of whole numbers from {low} to 2147483647")
    return tuple(value)


def _inside(found: dict[str, Any], key: str, kind: str, name: str) -> dict[str, Any]:
    """Return the configuration of a named extension that must be of one kind."""
    given = found.get(key)
    inside = given.get("configuration", {}) if isinstance(given, dict) else None
    if not isinstance(given, dict) or given.get("name") != kind or not isinstance(inside, dict):
        raise TraceError(f"{name}: {key} = {given!r:.60}: must be {kind!r}")
    return inside


def _fill(value: Any, dtype: np.dtype[Any], name: str) -> float:
    if isinstance(value, str) and dtype.kind == "f" and value in _FILLS:
        return _FILLS[value]
    if dtype.kind == "b" and isinstance(value, bool):
        return float(value)
    if dtype.kind == "f" and isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 2**1000:
        return float(value)
    if dtype.kind in "iu" and whole(value, int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)):
        return float(value)
    raise TraceError(f"{name}: fill_value = {value!r:.60}: is no {dtype}")


def _codecs(given: Any, name: str) -> tuple[str | None, bool]:
    """The codec, and whether a checksum follows: bytes, then at most one of :data:`CODECS`, then perhaps a CRC."""
    expected = f"expected bytes, then one of {', '.join(CODECS)} or none, then crc32c or not"
    if not isinstance(given, list) or not all(isinstance(one, dict) for one in given):
        raise TraceError(f"{name}: codecs = {given!r:.60}: {expected}")
    names = [one.get("name") for one in given]
    middle = names[1:]
    checksum = bool(middle) and middle[-1] == "crc32c"
    middle = middle[:-1] if checksum else middle
    if names[:1] != ["bytes"] or len(middle) > 1 or any(one not in CODECS for one in middle):
        raise TraceError(f"{name}: codecs = {names!r:.200}: {expected}")
    for one in given:
        if not isinstance(one.get("configuration", {}), dict) or one.keys() - {"name", "configuration"}:
            raise TraceError(f"{name}: codec {one!r:.60}: expected a name and a configuration")
    return (middle[0] if middle else None), checksum


# -- chunks ----------------------------------------------------------------------------------------------------------


def most_stored(header: Header) -> int:
    """Bytes that a chunk can take as it is stored: compression that fails adds little."""
    return header.chunk_bytes + header.chunk_bytes // 64 + 4096


def check_frame(raw: bytes, length: int, header: Header, name: str) -> None:
    """Check that a stored chunk says of itself that it is as large as a chunk is, before it is decoded.

    Parameters
    ----------
    raw : bytes
        The first 32, or all.
    length : int
        How many there are.
    header : Header
    name : str

    Raises
    ------
    TraceError
        If it is cut short, or would decode to something larger or smaller.
    """
    length -= 4 if header.checksum else 0
    if header.codec is None:
        declared: int | None = length
    elif header.codec == "blosc":
        declared = int.from_bytes(raw[4:8], "little") if length >= 16 else None
        if length < 16 or int.from_bytes(raw[12:16], "little") != length:
            raise TraceError(f"{name}: the chunk is cut short, or no blosc frame")
    else:
        declared = _zstd_size(raw[:length])
    if declared != header.chunk_bytes:
        what = "an unknown number of" if declared is None else f"{declared}"
        raise TraceError(f"{name}: the chunk holds {what} bytes, expected {header.chunk_bytes}")


def _zstd_size(raw: bytes) -> int | None:
    """The content size that a Zstandard frame declares (RFC 8878, section 3.1.1.1), None if it does not."""
    if len(raw) < 6 or raw[:4] != b"\x28\xb5\x2f\xfd":
        return None
    descriptor = raw[4]
    single = bool(descriptor & 32)
    start = 5 + (not single) + (0, 1, 2, 4)[descriptor & 3]
    size = (1 if single else 0, 2, 4, 8)[descriptor >> 6]
    if not size or len(raw) < start + size:
        return None
    return int.from_bytes(raw[start : start + size], "little") + (256 if size == 2 else 0)
