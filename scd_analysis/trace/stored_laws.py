"""Laws of a trace, read in whatever form it holds them.

They are checked where they are read and before they are normalised: what is no law is handed to nobody.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from scd_analysis.errors import LawError, TraceError
from scd_analysis.laws import kernels
from scd_analysis.trace.compact import form_of, stored_as
from scd_analysis.trace.damage import named
from scd_analysis.trace.headers import check_memory, whole
from scd_analysis.trace.schema import HALF_SCALE, LAWS, VARIABLES
from scd_analysis.validate import LAW_TOLERANCE, check_known, index_text, refuse_improbable, refuse_where

if TYPE_CHECKING:
    import xarray as xr

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]

_ROUNDING = LAW_TOLERANCE + 1e-6
_WHOLE = 1 - _ROUNDING, 1 + _ROUNDING
"""What the entries of a whole law sum to: as given to the writer, then rounded to float32."""

_AT_ONCE = 2**22
"""Entries of laws that are compared together."""

SLACK = 1e-5
"""Between a scalar of a law and the same computed again: both are float32."""


def check_law_error(attributes: dict[str, Any], source: str) -> None:
    """Check the error that compact laws are stated to have.

    Raises
    ------
    TraceError
        If it is not ``{name: {"max": ..., "mean": ..., "laws": ...}}`` with total variations.
    """
    stated = attributes.get("law_error", {})
    if not isinstance(stated, dict) or stated.keys() - set(LAWS):
        raise TraceError(f"{source}: law_error = {stated!r:.60}: must be an object with {' and '.join(LAWS)}")
    for name, one in stated.items():
        right = isinstance(one, dict) and whole(one.get("laws"), 0, 2**63 - 1)
        if not right or not all(_is_share(one.get(part)) for part in ("max", "mean")):
            what = "must have max and mean, total variations, and laws, how many"
            raise TraceError(f"{source}: law_error[{name!r}] = {one!r:.60}: {what}")


def _is_share(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and -1e-6 <= value <= 1 + 1e-6


def sums_of(trace: xr.Dataset, name: str, form: str, vocab_size: int) -> tuple[float, float]:
    """Between which numbers the entries of a stored law sum: about one, but for what rounding or cutting does to it."""
    rounding = _ROUNDING
    if form == "float16":
        rounding += 2.0**-11 + vocab_size * HALF_SCALE * 2.0**-24  # each to the nearest, but the smallest upwards
    left_out = 0.0
    if form.startswith("top-"):
        check_law_error(trace.attrs, "trace")
        left_out = float(trace.attrs.get("law_error", {}).get(name, {}).get("max", 0.0))
    return 1 - left_out - rounding, 1 + rounding


def check_stored(laws: Array, name: str, sums: tuple[float, float] = _WHOLE, first: int = 0) -> Array:
    """Check stored laws before anything is made of them; one that is NaN throughout is none, as in an unused slot.

    Parameters
    ----------
    laws : ndarray
        Float[S, T, L, V], or whatever is kept of them.
    name : str
        The variable.
    sums : (float, float)
        Between which numbers the entries of each must sum.
    first : int
        Sequence of the trace that the first is.

    Returns
    -------
    ndarray
        The laws, as they are.

    Raises
    ------
    LawError
        Naming the variable, the index and the value.
    """
    missing = np.isnan(laws)
    here = np.asarray(~missing.all(axis=-1))
    refuse_improbable(laws, missing & here[..., None], name, first)
    total = laws.sum(axis=-1, dtype=np.float64)
    off = here & ~((total >= sums[0]) & (total <= sums[1]))
    if off.any():
        index = np.argwhere(off)[0]
        found = f"{name}{index_text(index, first)} sums to {total[tuple(index)]:.6g}"
        raise LawError(f"{found}: expected {sums[0]:.6g} to {sums[1]:.6g}")
    return laws


def check_of_drafts(trace: xr.Dataset, laws: Floats, name: str, first: int = 0) -> None:
    """Check that a trace that stores laws has one for every draft.

    Parameters
    ----------
    trace : xarray.Dataset
        With ``draft_token``.
    laws : Float[S, T, L, V]
    name : str
    first : int
        Sequence of the trace that the first is.

    Raises
    ------
    LawError
        Naming the law that is missing.
    """
    lost = ~np.isnan(trace["draft_token"].values) & np.isnan(laws[..., 0])
    refuse_where(lost, laws[..., 0], name, "the law of this draft is missing", LawError, first)


def check_kept(tokens: Floats, probs: Floats, name: str, vocab_size: int, first: int = 0) -> None:
    """Check that the tokens of a cut law are different ones of the vocabulary, there where their probabilities are."""
    bad = np.isnan(tokens) != np.isnan(probs)
    bad |= (
        (tokens < 0)
        | (tokens >= vocab_size)
        | (np.floor(tokens) != np.nan_to_num(tokens, nan=-1.0)) & ~np.isnan(tokens)
    )
    ordered = np.sort(tokens, axis=-1)
    bad[..., :1] |= (ordered[..., 1:] == ordered[..., :-1]).any(axis=-1, keepdims=True)
    refuse_where(bad, tokens, name, f"kept tokens are different ones of {vocab_size}", TraceError, first)


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
        (variable,) = stored_as(name, form)
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
        return own, kernels.total_variation(draft, target), kernels.collision_independent(draft, target)
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
    variables = stored_as(name, form)
    tokens, probs = (trace[variable].values.astype(np.float64) for variable in variables)
    check_stored(probs, variables[1], sums_of(trace, name, form, vocab_size), first)
    check_kept(tokens, probs, variables[0], vocab_size, first)
    return tokens, probs


def _errors(part: xr.Dataset, name: str, stated: float) -> Floats:
    """How far each law may be off, Float[S, T, L]: what is stated, or what a cut law is seen to leave out."""
    form = form_of(part)
    if form.startswith("top-"):
        probs = part[stored_as(name, form)[1]].values
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
