"""Laws of a trace in fewer bytes, and the error that causes.

Whole laws take most of a trace. They may be stored in half precision, or cut to their most probable tokens. Either way
the scalars of a trace stay those of the exact laws, a token that was possible stays possible, and the writer compares
what it stores with what it was given: the total variation between the two, at most and on average, is an attribute.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from scd_analysis.errors import InputError, TraceError
from scd_analysis.law_checks import check_kept, check_of_drafts, check_stored, sums_of
from scd_analysis.schema import HALF_SCALE, LAWS, VARIABLES
from scd_analysis.store_headers import check_memory
from scd_analysis.trace_store import named
from scd_analysis.validate import check_at_least, check_known

if TYPE_CHECKING:
    import xarray as xr

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]

FORMS = ("float32", "float16", "top-K")
RECORDS = ("scalars", "laws", "laws-float16", "laws-top-K")

_STEP, _NORMAL = np.float32(2.0**-24), np.float32(2.0**-14)
"""Half precision: the smallest number above zero, and the smallest with all its bits."""

_BLOCK, _AT_ONCE = 2**18, 2**22
"""Entries of laws that are written together (they fit in a cache), and that are compared together."""

SLACK = 1e-5
"""Between a scalar of a law and the same computed again: both are float32."""


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
        return tuple(variable for name in self.taken for variable in _stored_as(name, self.name))

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
            variables = _stored_as(name, self.name)
            used = ~np.isnan(rows[name][..., 0])
            laws, draft = rows[name][used], rows["draft_token"][used]
            parts, errors = _in_blocks(laws, draft, self.kept)
            self._errors[name].add(errors)
            for variable, values in zip(variables, parts, strict=True):
                unused = -1 if VARIABLES[variable].is_integer else np.nan
                out[variable] = np.full((*used.shape, values.shape[-1]), unused, dtype=values.dtype)
                out[variable][used] = values
        return out


def _stored_as(name: str, form: str) -> tuple[str, ...]:
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


# -- reading ---------------------------------------------------------------------------------------------------------


def form_of(trace: xr.Dataset) -> str:
    """In which form a trace holds laws: ``"none"``, ``"float32"``, ``"float16"`` or ``"top-K"``."""
    if all(name in trace for name in LAWS):
        return "float32"
    if "target_probs_half" in trace:
        return "float16"
    return f"top-{trace.sizes['rank']}" if "target_top_probs" in trace else "none"


def read_laws(trace: xr.Dataset, name: str = "target_probs", *, first: int = 0) -> Floats:
    """Laws of a trace, in whatever form it holds them.

    Parameters
    ----------
    trace : xarray.Dataset
        Few enough sequences (``isel``) to hold whole laws of.
    name : str
        ``"target_probs"`` or ``"draft_probs"``.
    first : int
        Which sequence the first is, for errors.

    Returns
    -------
    Float[S, T, L, V]
        Normalised; NaN in unused slots. In half precision or cut, they are off by the total variation that
        ``trace.attrs["law_error"]`` states. A token that a cut law did not keep has probability zero.

    Raises
    ------
    TraceError
        If the trace holds no laws, or would take more memory than the limit.
    LawError
        If what is stored is no law, to within the error of its form.
    """
    check_known(name, LAWS, "name")
    form = form_of(trace)
    if form == "none":
        raise TraceError(f"{name}: the trace holds no laws; record='laws' stores them")
    vocab_size = int(trace.attrs["vocab_size"])
    if form.startswith("top-"):
        values = _spread(*_kept(trace, name, first), vocab_size, name)
    else:
        (variable,) = _stored_as(name, form)
        values = trace[variable].values.astype(np.float64)
        check_stored(values, variable, sums_of(trace, name, form, vocab_size), first)
    return np.asarray(values / values.sum(axis=-1, keepdims=True))


def _spread(tokens: Floats, probs: Floats, vocab_size: int, name: str) -> Floats:
    """Lay out what was kept of laws by token, [..., K] -> Float[..., V]."""
    check_memory(math.prod(probs.shape[:-1]) * vocab_size * 16, f"{name}: laws {[*probs.shape[:-1], vocab_size]}")
    out = np.where(np.isnan(probs[..., :1]), np.nan, np.zeros((*probs.shape[:-1], vocab_size)))
    np.put_along_axis(out, np.nan_to_num(tokens).astype(np.int64), probs, axis=-1)
    return out


def check_recorded(trace: xr.Dataset) -> None:
    """Check stored laws against the scalars of the exact ones, to within the error that the trace states.

    A cut law holds the draft's probability itself, and leaves out no more than stated. By the triangle inequality,
    total variation and probability of an independent collision differ from the recorded ones by no more than the errors
    of the two laws together; and the probability of a draft by no more than that of its law.

    Parameters
    ----------
    trace : xarray.Dataset
        As :func:`scd_analysis.open_trace` gives it; read some passes at a time.

    Raises
    ------
    TraceError
        Naming the variable, the index and both values.
    LawError
        If what is stored is no law, or that of a draft is missing.
    """
    form = form_of(trace)
    if form == "none":
        return
    stated = trace.attrs.get("law_error", {}) if form != "float32" else {}
    most = {name: float(stated.get(name, {}).get("max", 0.0)) for name in LAWS}
    for where, part in _pieces(trace):
        errors = {name: _errors(part, name, most[name]) for name in LAWS}
        of_draft, variation, collision = _measured(part, where[0])
        for name in LAWS:
            beyond = np.maximum(errors[name], most[name])
            _compare(f"law_error of {name}", beyond * 0 + most[name], beyond, 0.0, where)
            scalar, allowed = f"{name[:-1]}_of_token", 0.0 if form.startswith("top-") else errors[name]
            _compare(scalar, part[scalar].values, of_draft[name], allowed, where)
        both = errors["draft_probs"] + errors["target_probs"]
        _compare("total_variation", part["total_variation"].values, variation, both, where)
        _compare("collision_independent", part["collision_independent"].values, collision, both, where)


def _measured(part: xr.Dataset, first: int) -> tuple[dict[str, Floats], Floats, Floats]:
    """The draft's probability under each law, total variation and independent collision, Float[S, T, L] each."""
    token = part["draft_token"].values
    if not form_of(part).startswith("top-"):
        laws = {name: read_laws(part, name, first=first) for name in LAWS}
        for name, law in laws.items():
            check_of_drafts(part, law, name, first)
        draft, target = laws.values()
        at = np.nan_to_num(token).astype(np.int64)[..., None]
        own = {name: np.take_along_axis(law, at, -1)[..., 0] for name, law in laws.items()}
        return own, np.abs(draft - target).sum(-1) / 2, (draft * target).sum(-1)
    kept = {name: _kept(part, name, first) for name in LAWS}
    own = {}
    for name, (tokens, probs) in kept.items():
        check_of_drafts(part, probs, name, first)
        # a cut law holds the draft first, as it was, or is not what it should be
        own[name] = np.where(tokens[..., 0] == token, probs[..., 0], np.where(np.isnan(token), np.nan, -1.0))
    (some, q), (others, p) = kept.values()  # not laid out by token: the vocabulary is only said to be so large
    q, p = (each / each.sum(axis=-1, keepdims=True) for each in (q, p))
    shared, collision = np.zeros(token.shape), np.zeros(token.shape)
    for k in range(q.shape[-1]):
        same = np.where(others == some[..., k : k + 1], p, 0.0)
        shared += np.minimum(same, q[..., k : k + 1]).sum(-1)
        collision += (same * q[..., k : k + 1]).sum(-1)
    return own, 1 - shared, collision


def _kept(trace: xr.Dataset, name: str, first: int) -> tuple[Floats, Floats]:
    """Tokens and probabilities of cut laws, Float[S, T, L, K] each, checked."""
    form, vocab_size = form_of(trace), int(trace.attrs["vocab_size"])
    variables = _stored_as(name, form)
    tokens, probs = (trace[variable].values.astype(np.float64) for variable in variables)
    check_stored(probs, variables[1], sums_of(trace, name, form, vocab_size), first)
    check_kept(tokens, probs, variables[0], vocab_size, first)
    return tokens, probs


def _errors(part: xr.Dataset, name: str, stated: float) -> Floats:
    """How far each law may be off, Float[S, T, L]: what is stated, or what a cut law is seen to leave out."""
    form = form_of(part)
    if form.startswith("top-"):
        probs = part[_stored_as(name, form)[1]].values
        return np.asarray(1 - probs.sum(axis=-1, dtype=np.float64))
    return np.where(np.isnan(part["draft_token"].values), np.nan, stated)


def _pieces(trace: xr.Dataset) -> Iterator[tuple[tuple[int, int], xr.Dataset]]:
    """Parts of a trace with few enough laws to look at, and the sequence and pass each begins with."""
    entries = trace.sizes["rank"] if form_of(trace).startswith("top-") else int(trace.attrs["vocab_size"])
    window = trace.sizes["slot"] * entries
    by_slot = trace[[name for name in VARIABLES if name in trace and "slot" in VARIABLES[name].dims]]
    passes = max(1, min(trace.sizes["iteration"], _AT_ONCE // window))
    sequences = max(1, _AT_ONCE // (window * passes))
    for first in range(0, trace.sizes["sequence"], sequences):
        for t in range(0, trace.sizes["iteration"], passes):
            part = {"sequence": slice(first, first + sequences), "iteration": slice(t, t + passes)}
            with named("trace", "laws"):
                loaded = by_slot.isel(part).load()
            yield (first, t), loaded


def _compare(name: str, recorded: Array, found: Floats, allowed: Floats | float, where: tuple[int, int]) -> None:
    """Check that two numbers of every slot differ by no more than allowed, and by rounding."""
    wrong = np.abs(found - recorded) > allowed + SLACK  # False where either is unknown
    wrong |= np.isnan(found) & ~np.isnan(recorded)
    if wrong.any():
        s, t, k = (int(i) for i in np.argwhere(wrong)[0])
        raise TraceError(
            f"{name}{[where[0] + s, where[1] + t, k]} = {recorded[s, t, k]:.6g}: the stored laws give "
            f"{found[s, t, k]:.6g}, further off than their stated error allows"
        )
