"""Subjects of an audit: what can be judged, as ``subject(model, num_sequences, seed) -> Long[num_sequences, N]``.

Any callable of that form is a subject. It must draw anew for every seed: one that ignores its seed repeats itself,
which the audit reports as an error. Here are the ones that need no decoder::

    ancestral                  samples the model itself, token by token: the null
    recorded(tokens)           hands out stored sequences, each once
    trace(source)              hands out the sequences of a trace, each once, with all that was recorded
    kernel(function)           a verification function by itself
    resolve("module:name")     looks a subject up by name, as the command line does
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from scd_analysis.audit.draws import Subject
from scd_analysis.audit.target import model_input
from scd_analysis.errors import InputError, UnknownNameError
from scd_analysis.evidence.batch import Floats, Longs
from scd_analysis.validate import as_array, check_at_least, check_laws, check_tokens

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["Kernel", "Recorded", "Subject", "Traced", "ancestral", "kernel", "recorded", "resolve", "trace"]


def ancestral(model: Any, num_sequences: int, seed: int) -> Longs:
    """Sample the model token by token, by inverse distribution function in float64.

    Parameters
    ----------
    model : TargetModel
    num_sequences : int
    seed : int
        Of ``numpy.random.default_rng``: PCG64.

    Returns
    -------
    Long[num_sequences, N]

    Raises
    ------
    LawError
        If a law of the model is not one.
    """
    rng = np.random.default_rng(seed)
    tokens = np.zeros((num_sequences, int(model.num_tokens)), dtype=np.int64)
    for j in range(tokens.shape[1]):
        laws = as_array(model.next_token_probs(model_input(tokens[:, :j])), "model.next_token_probs(...)")[:, j]
        check_laws(laws, "model.next_token_probs(...)")
        upto = laws.cumsum(axis=1)
        chosen = (upto <= rng.random((num_sequences, 1)) * upto[:, -1:]).sum(axis=1)
        tokens[:, j] = np.minimum(chosen, laws.shape[1] - 1)
    return tokens


class Recorded:
    """Stored sequences, each handed out once, in order.

    Attributes
    ----------
    num_available : int
        The audit stops there by itself.
    """

    def __init__(self, tokens: Any) -> None:
        self._tokens = as_array(tokens, "tokens", np.int64)
        if self._tokens.ndim != 2 or not len(self._tokens):
            raise InputError(
                f"tokens has shape {self._tokens.shape}: recorded sequences are Long[S, N] with S at least 1"
            )
        self.num_available = len(self._tokens)
        self._next = 0

    def __call__(self, model: Any, num_sequences: int, seed: int) -> Longs:
        """Return the next sequences; the seed is not used, since nothing is drawn.

        Raises
        ------
        InputError
            If fewer are left.
        """
        left = self.num_available - self._next
        if num_sequences > left:
            raise InputError(f"num_sequences = {num_sequences}: {left} recorded sequences are left")
        start, self._next = self._next, self._next + num_sequences
        out = self._tokens[start : self._next]
        check_tokens(out, int(model.vocab_size), "tokens")
        return np.asarray(out)


def recorded(tokens: Any) -> Recorded:
    """Make a subject of stored sequences Long[S, N]; they must be independent draws, in any order."""
    return Recorded(tokens)


class Traced:
    """The sequences of a trace, each handed out once, in order.

    Attributes
    ----------
    vocab_size, num_tokens : int
        As recorded.
    num_available : int
        Finished sequences; the audit stops there by itself.
    """

    def __init__(self, source: str | Path | xr.Dataset) -> None:
        from scd_analysis.trace import open_trace, validate

        opened = open_trace(source) if isinstance(source, (str, Path)) else source
        validate(opened)
        finished = opened["tokens"].notnull().all("position").values
        self._trace = opened if finished.all() else opened.isel(sequence=finished)
        self.vocab_size, self.num_tokens = int(opened.attrs["vocab_size"]), int(opened.attrs["num_tokens"])
        self.num_available = int(finished.sum())
        if not self.num_available:
            raise InputError(f"trace: none of its {len(finished)} sequences is finished")
        self._next = 0

    def __call__(self, model: Any, num_sequences: int, seed: int) -> xr.Dataset:
        """Return the next sequences; the seed is not used, since nothing is drawn.

        Raises
        ------
        InputError
            If fewer are left.
        """
        left = self.num_available - self._next
        if num_sequences > left:
            raise InputError(f"num_sequences = {num_sequences}: {left} recorded sequences are left")
        start, self._next = self._next, self._next + num_sequences
        return self._trace.isel(sequence=slice(start, self._next))


def trace(source: str | Path | xr.Dataset) -> Traced:
    """Make a subject of a trace, by its path or opened.

    Parameters
    ----------
    source : path or xarray.Dataset
        As written by :class:`scd_analysis.TraceWriter`; sequences that were not finished are left out.

    Raises
    ------
    TraceError
        If it is not a trace, or contradicts itself.
    InputError
        If no sequence is finished.
    """
    return Traced(source)


class Kernel:
    """A verification function as a subject; see :func:`kernel`."""

    def __init__(self, function: Callable[..., Any], vocab_size: int, window: int, device: Any) -> None:
        if not callable(function):
            raise InputError(f"function = {function!r}: a kernel is called with drafts, laws and a generator")
        check_at_least(vocab_size, 2, "vocab_size")
        check_at_least(window, 1, "window")
        self._function, self._device = function, device
        self.vocab_size, self.window = vocab_size, window

    def verify_window(self, tokens: Longs, draft_probs: Floats, target_probs: Floats, seed: int) -> Longs:
        """Have windows verified.

        Returns
        -------
        Long[B, L + 1]
            The tokens committed, then -1.

        Raises
        ------
        InputError
            If tokens or counts have another shape.
        """
        import torch

        place = torch.device(self._device)
        generator = torch.Generator(place).manual_seed(seed)
        laws = (torch.from_numpy(law).float().to(place) for law in (draft_probs, target_probs))
        returned = self._function(torch.from_numpy(tokens).to(place), *laws, generator)
        try:
            out, count = returned
        except (TypeError, ValueError):
            raise InputError("kernel: expected (tokens, counts) to be returned") from None
        out, count = as_array(out, "kernel's tokens", np.int64), as_array(count, "kernel's counts", np.int64)
        expected = (len(tokens), self.window + 1)
        if out.ndim != 2 or len(out) != len(tokens) or out.shape[1] > self.window + 1:
            raise InputError(f"kernel's tokens have shape {out.shape}: expected {expected}")
        if count.shape != (len(tokens),):
            raise InputError(f"kernel's counts have shape {count.shape}: expected {(len(tokens),)}")
        for i in np.flatnonzero((count < 1) | (count > out.shape[1]))[:1]:
            raise InputError(f"kernel's counts[{i}] = {count[i]}: must lie between 1 and {out.shape[1]}")
        padded = np.full(expected, -1, dtype=np.int64)
        padded[:, : out.shape[1]] = out
        return np.where(np.arange(expected[1]) < count[:, None], padded, -1)


def kernel(function: Callable[..., Any], *, vocab_size: int = 6, window: int = 4, device: Any = "cpu") -> Kernel:
    """Make a subject of a verification function, to be audited without model or decoder.

    Parameters
    ----------
    function : callable
        ``function(draft_tokens, draft_probs, target_probs, generator)`` with Long[B, L], Float[B, L, V],
        Float[B, L + 1, V] and a ``torch.Generator``, to ``(tokens, counts)``: Long[B, at most L + 1] and Long[B], how
        many of each row are committed. A rejection commits its residual draw, a window accepted whole a bonus token.
    vocab_size, window : int
        V and L of the windows it is tried on.
    device : torch.device or str
        Where they lie.
    """
    return Kernel(function, vocab_size, window, device)


def resolve(name: str) -> Subject:
    """Look up a subject by ``module:attribute``.

    Raises
    ------
    UnknownNameError
        If the name has another form, or module or attribute do not exist.
    """
    module, _, attribute = name.partition(":")
    if not module or not attribute:
        raise UnknownNameError(f"subject={name!r} is not known; write it as module:attribute")
    try:
        found = getattr(import_module(module), attribute)
    except (ModuleNotFoundError, AttributeError) as error:
        raise UnknownNameError(f"subject={name!r} is not known: {error}") from None
    if not callable(found):
        raise UnknownNameError(f"subject={name!r} is a {type(found).__name__}: a subject is callable")
    subject: Subject = found
    return subject
