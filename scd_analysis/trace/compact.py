"""Laws of a trace in fewer bytes, and the error that causes.

Whole laws take most of a trace. They may be stored in half precision, or cut to their most probable tokens. Either way
the scalars of a trace stay those of the exact laws, a token that was possible stays possible, and the writer compares
what it stores with what it was given: the total variation between the two, at most and on average, is an attribute.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from scd_analysis.errors import InputError
from scd_analysis.trace.schema import HALF_SCALE, LAWS, VARIABLES
from scd_analysis.validate import check_at_least, check_known

if TYPE_CHECKING:
    import xarray as xr

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]

FORMS = ("float32", "float16", "top-K")
RECORDS = ("scalars", "laws", "laws-float16", "laws-top-K")

_STEP, _NORMAL = np.float32(2.0**-24), np.float32(2.0**-14)
"""Half precision: the smallest number above zero, and the smallest with all its bits."""

_BLOCK = 2**18
"""Entries of laws that are written together: they fit in a cache."""


def laws_of(record: str) -> bool | str:
    """Which laws a value of ``record`` stands for, as :class:`scd_analysis.TraceWriter` takes them.

    Parameters
    ----------
    record : str
        ``"scalars"``, ``"laws"``, ``"laws-float16"`` or ``"laws-top-K"`` with a number K.

    Raises
    ------
    UnknownNameError
        For another one.
    """
    form = "float32" if record == "laws" else str(record).removeprefix("laws-")
    if record == "scalars":
        return False
    if form == record or not (form in FORMS[:2] or _top(form)):
        check_known(record, RECORDS, "record")
    return form


def _top(form: str) -> int:
    """K of ``"top-K"``, 0 for anything else."""
    number = form.removeprefix("top-")
    return int(number) if number != form and number.isascii() and number.isdigit() else 0


@dataclass
class _Error:
    """Total variation between laws and what is stored of them, so far."""

    largest: float = 0.0
    total: float = 0.0
    count: int = 0

    def add(self, errors: Floats) -> None:
        """Take more laws into account, Float[n]."""
        if len(errors):
            self.largest = max(self.largest, float(errors.max()))
            self.total += float(errors.sum())
            self.count += len(errors)


@dataclass
class LawForm:
    """How laws are stored, and what that has cost so far.

    Attributes
    ----------
    name : str
        ``"none"``, ``"float32"``, ``"float16"`` or ``"top-K"``.
    kept : int
        K, 0 where laws are whole.
    """

    name: str
    kept: int = 0
    _errors: dict[str, _Error] = field(default_factory=lambda: {name: _Error() for name in LAWS})

    @classmethod
    def make(cls, laws: bool | str, vocab_size: int) -> LawForm:
        """Read the argument ``laws`` of the writer.

        Raises
        ------
        UnknownNameError
            For a form that there is not.
        InputError
            If fewer than two tokens are kept, or more than there are.
        """
        if isinstance(laws, bool):
            return cls("float32" if laws else "none")
        if not isinstance(laws, str):
            raise InputError(f"laws = {laws!r}: must be True, False, or one of {', '.join(FORMS)}")
        kept = _top(laws)
        if kept:
            check_at_least(kept, 2, f"laws = {laws!r}: tokens kept")  # a draft alone may be impossible under the target
            if kept > vocab_size:
                raise InputError(f"laws = {laws!r}: keeps more tokens than the vocabulary has ({vocab_size})")
        elif laws not in FORMS[:2]:
            check_known(laws, FORMS, "laws")
        return cls(laws, kept)

    @property
    def taken(self) -> tuple[str, ...]:
        """Variables to be given, in float32."""
        return () if self.name == "none" else LAWS

    @property
    def stored(self) -> tuple[str, ...]:
        """Variables on disk."""
        return tuple(variable for name in self.taken for variable in stored_as(name, self.name))

    @property
    def attributes(self) -> dict[str, Any]:
        """What the trace says of them: ``laws``, and ``law_error`` where they are compact."""
        if self.name in ("none", "float32"):
            return {} if self.name == "none" else {"laws": self.name}
        stated = {
            name: {"max": one.largest, "mean": one.total / max(one.count, 1), "laws": one.count}
            for name, one in self._errors.items()
        }
        return {"laws": self.name, "law_error": stated}

    def store(self, rows: dict[str, Array]) -> dict[str, Array]:
        """Replace whole laws by what is stored of them, and note the error.

        Parameters
        ----------
        rows : dict of str to ndarray
            Variables of some passes, with leading dimensions (sequence, iteration); unused slots masked.
        """
        if self.name in ("none", "float32"):
            return rows
        out = {name: values for name, values in rows.items() if name not in LAWS}
        for name in LAWS:
            variables = stored_as(name, self.name)
            used = ~np.isnan(rows[name][..., 0])
            laws, draft = rows[name][used], rows["draft_token"][used]
            parts, errors = _in_blocks(laws, draft, self.kept)
            self._errors[name].add(errors)
            for variable, values in zip(variables, parts, strict=True):
                unused = -1 if VARIABLES[variable].is_integer else np.nan
                out[variable] = np.full((*used.shape, values.shape[-1]), unused, dtype=values.dtype)
                out[variable][used] = values
        return out


def stored_as(name: str, form: str) -> tuple[str, ...]:
    """Variables that hold a law in a form."""
    if form == "float32":
        return (name,)
    if form == "float16":
        return (f"{name}_half",)
    return name.replace("probs", "top_tokens"), name.replace("probs", "top_probs")


def _in_blocks(laws: Array, draft: Array, kept: int) -> tuple[list[Array], Floats]:
    """Compact laws Float[n, V], a few at a time: what is stored, and the error of each, Float[n]."""
    at_once = max(1, _BLOCK // laws.shape[-1])
    blocks = [slice(start, start + at_once) for start in range(0, max(len(laws), 1), at_once)]
    done = [_cut(laws[one], draft[one], kept) if kept else _round(laws[one]) for one in blocks]
    stored, errors = zip(*done, strict=True)
    return [np.concatenate(parts) for parts in zip(*stored, strict=True)], np.concatenate(errors)


def _round(laws: Array) -> tuple[tuple[Array, ...], Floats]:
    """Half precision in units of ``HALF_SCALE``, with the bits that ``astype`` gives, in a fraction of its time.

    Half precision holds the upper 10 bits of a fraction and, but for an offset, the exponent of float32. Below its
    smallest normal number it counts in steps; there numbers are rounded up, so that what is possible stays possible.
    """
    units = laws / np.float32(HALF_SCALE)
    few = units < _NORMAL
    steps = np.ceil(np.minimum(units, _NORMAL) / _STEP)
    bits = units.view(np.uint32)
    bits = bits + ((bits >> 13) & np.uint32(1))  # to the nearest, ties to even
    bits += np.uint32(0xFFF)
    half = (bits >> 13) - np.uint32(112 << 10)
    np.copyto(half, steps, where=few, casting="unsafe")
    bits &= np.uint32(0xFFFFE000)
    rounded = bits.view(np.float32)
    np.copyto(rounded, steps * _STEP, where=few)
    return (half.astype(np.uint16).view(np.float16),), _distance(laws, rounded)


def _distance(laws: Array, stored: Array) -> Floats:
    """Total variation of laws Float[n, V] once both are normalised."""
    whole, kept = (one.sum(axis=-1, keepdims=True) for one in (laws, stored))
    gap = laws * (kept / whole)
    gap -= stored
    return np.asarray(np.abs(gap, out=gap).sum(axis=-1, dtype=np.float64) / (2 * kept[:, 0]))


def _cut(laws: Array, draft: Array, kept: int) -> tuple[tuple[Array, ...], Floats]:
    """The draft and the most probable other tokens; the error is the share of the rest."""
    order = laws.copy()
    np.put_along_axis(order, draft[:, None].astype(np.int64), np.float32(2), axis=-1)
    tokens = np.argpartition(order, -kept, axis=-1)[:, -kept:]
    ranked = np.argsort(-np.take_along_axis(order, tokens, -1), axis=-1, kind="stable")
    tokens = np.take_along_axis(tokens, ranked, -1)
    probs = np.take_along_axis(laws, tokens, -1)
    whole = laws.sum(axis=-1, dtype=np.float64)
    return (tokens.astype(np.int32), probs), 1 - np.minimum(probs.sum(axis=-1, dtype=np.float64) / whole, 1)


def form_of(trace: xr.Dataset) -> str:
    """In which form a trace holds laws: ``"none"``, ``"float32"``, ``"float16"`` or ``"top-K"``."""
    if all(name in trace for name in LAWS):
        return "float32"
    if "target_probs_half" in trace:
        return "float16"
    return f"top-{trace.sizes['rank']}" if "target_top_probs" in trace else "none"
