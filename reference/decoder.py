"""``decode``: batches of sequences, each stepped until complete. The host waits for the device once an iteration."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from reference.draws import GENERATOR
from reference.kernel import JacobiState, Settings, fill_race, init, step
from reference.methods import Method, get_method
from reference.models.base import Session, TargetModel, check_model, open_session, raise_bad_laws
from reference.recording import Array, masked, to_host
from scd_analysis.errors import InputError
from scd_analysis.trace import TraceWriter, laws_of, open_trace
from scd_analysis.validate import check_at_least, check_integer

if TYPE_CHECKING:
    import xarray
    from rich.progress import Progress

_LAW_ENTRIES = 2**22
"""Entries of one window of laws over a batch, when the batch size is chosen here."""


@dataclass(frozen=True)
class DecodeOutput:
    """What :func:`decode` returns.

    Attributes
    ----------
    tokens : Tensor
        Long[B, N], complete sequences, on the host.
    nfe : Tensor
        Long[B], forward passes until each was complete. Prefill is not counted; ancestral sampling needs N.
    trace : xarray.Dataset or None
        The record, opened lazily; see :mod:`scd_analysis.schema`.
    method : Method
        The decoder.
    """

    tokens: Tensor
    nfe: Tensor
    trace: xarray.Dataset | None
    method: Method


@torch.no_grad()
def decode(
    model: TargetModel,
    method: str | Method,
    window: int = 16,
    num_sequences: int = 64,
    seed: int = 0,
    record: str | None = "scalars",
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
    *,
    out_path: str | Path | None = None,
    batch_size: int | None = None,
    progress: bool | None = None,
) -> DecodeOutput:
    """Draw sequences from a model and record how.

    Sequence i depends on the model, the method, the window, the seed and i: not on how many are drawn, on the batch
    size, or on whether anything is recorded.

    Parameters
    ----------
    model : TargetModel
        Whose law to sample; logit processors are part of it.
    method : str or Method
        One of :data:`reference.METHODS`, or a configured object.
    window : int
        L, positions drafted and verified at a time.
    num_sequences : int
        How many to draw.
    seed : int
        Key of every draw.
    record : str or None
        ``"scalars"``, ``"laws"`` (all draft and target laws too, float32) or None; ``"laws-float16"`` and
        ``"laws-top-K"`` store laws in fewer bytes and state the error.
    device : torch.device or str, optional
        Where to compute; the model's own device, or the CPU, by default.
    dtype : torch.dtype, optional
        In which laws are held and compared; as the model gives them, at least float32, by default.
    out_path : path, optional
        Directory or ``.zip`` to which the trace is streamed; in memory by default.
    batch_size : int, optional
        Sequences decoded at a time; by default, as many as a modest amount of memory holds.
    progress : bool, optional
        Whether to show a bar on standard error; by default, if that is a terminal.

    Returns
    -------
    DecodeOutput
        Tokens, passes and trace.

    Raises
    ------
    InputError
        If an argument is out of range, or the model breaks its contract (:func:`reference.models.base.check_model`).
    LawError
        If the model gives something that is not a law, at the iteration where it does.
    """
    chosen = get_method(method)
    window, seed = check_integer(window, "window"), check_integer(seed, "seed")
    num_sequences = check_integer(num_sequences, "num_sequences")
    check_at_least(window, 1, "window")
    check_at_least(num_sequences, 1, "num_sequences")
    if batch_size is not None:
        check_at_least(check_integer(batch_size, "batch_size"), 1, "batch_size")
    if record is not None:
        laws_of(record)
    elif out_path is not None:
        raise InputError(f"out_path = {out_path}: needs record='scalars' or record='laws'")
    place = _device(model, device)
    if device is not None:
        _place_model(model, place)
    law_dtype = check_model(model, place)
    settings = replace(make_settings(model, chosen, window, seed, dtype or law_dtype), measure=record is not None)
    size = batch_size or max(1, _LAW_ENTRIES // ((settings.window + 1) * settings.vocab_size))
    writer = (
        make_writer(settings, model, record, window, num_sequences, place, out_path) if record is not None else None
    )
    total = num_sequences * settings.num_tokens
    tokens = torch.empty(num_sequences, settings.num_tokens, dtype=torch.long)
    nfe = torch.empty(num_sequences, dtype=torch.long)
    with writer or nullcontext(), _bar(progress, chosen.name, total) as advance:
        for start in range(0, num_sequences, size):
            sequence = torch.arange(start, min(start + size, num_sequences), device=place)
            done = _decode_batch(settings, open_session(model, len(sequence), place), sequence, record, writer, advance)
            tokens[start : start + size], nfe[start : start + size] = done
            if writer is not None:
                writer.finish_batch(tokens=done[0], nfe=done[1])
    trace = None if writer is None else open_trace(out_path if out_path is not None else writer.store)
    return DecodeOutput(tokens, nfe, trace, chosen)


def _decode_batch(
    settings: Settings, session: Session, sequence: Tensor, record: str | None, writer: TraceWriter | None, advance: Any
) -> tuple[Tensor, Tensor]:
    """Complete one batch: Long[B, N] and Long[B]."""
    batch, length, window = len(sequence), settings.num_tokens, settings.window
    tokens = torch.empty(batch, length, dtype=torch.long, device=sequence.device)
    nfe = torch.empty(batch, dtype=torch.long)
    if writer is not None:
        writer.begin_batch(batch)

    def on_device(index: Array) -> Tensor:
        return _to_device(index, sequence.device)

    state = init(settings, sequence)
    row, base = np.arange(batch), np.zeros(batch, dtype=np.int64)
    _fill_entering(settings, state, base - window, base)
    while len(row):
        reach = min(int(base.max()) + window, length - 1)
        state, info = step(settings, session, state, reach)
        host = to_host(info, record)  # the one synchronisation
        if host["laws_bad"].any():
            raise_bad_laws(info.target_probs, state.iteration - 1)
        if writer is not None:
            writer.write_rows(row, masked(host, writer.window))
        before, base = base, base + host["num_committed"]
        advance(int(host["num_committed"].sum()))
        finished = base >= length
        if finished.any():
            done, kept = np.flatnonzero(finished), np.flatnonzero(~finished)
            nfe[row[done]] = state.iteration
            tokens.index_copy_(0, on_device(row[done]), state.tokens.index_select(0, on_device(done)))
            row, base, before = row[kept], base[kept], before[kept]
            state = _select(state, on_device(kept))
            session.keep(on_device(kept))
        _fill_entering(settings, state, before, base)
    return tokens.cpu(), nfe


def _fill_entering(settings: Settings, state: JacobiState, before: Array, base: Array) -> None:
    """Make the noise of the positions that entered the window when its base went from ``before`` to ``base``."""
    if state.race is None or len(base) == 0:
        return
    count = np.minimum(base, settings.num_tokens - settings.window) - np.minimum(
        before, settings.num_tokens - settings.window
    )
    rows = np.repeat(np.arange(len(base)), count)
    within = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    position = before[rows] + settings.window + within
    device = state.tokens.device
    fill_race(settings, state, _to_device(rows, device), _to_device(position, device))


def _to_device(index: Array, device: torch.device) -> Tensor:
    """A copy on the device that the host does not wait for: that needs pinned memory."""
    host = torch.from_numpy(index)
    return host.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else host.to(device)


def _select(state: JacobiState, index: Tensor) -> JacobiState:
    """The same state for the sequences ``index`` only."""
    parts = {f.name: getattr(state, f.name) for f in fields(state)}
    kept: dict[str, Any] = {n: t.index_select(0, index) for n, t in parts.items() if isinstance(t, Tensor)}
    return replace(state, **kept)


def make_settings(model: TargetModel, method: Method, window: int, seed: int, dtype: torch.dtype) -> Settings:
    """Settle what stays the same during a decode.

    Raises
    ------
    InputError
        For a dtype that does not hold laws, or initial drafts that the model has no grid for.
    """
    grid: tuple[int, int] | None = getattr(model, "grid", None)
    if not dtype.is_floating_point or torch.finfo(dtype).bits < 32:
        raise InputError(f"dtype = {dtype}: must be float32 or float64; fewer bits would not hold a law")
    drafts = 0 if method.drafting is None else min(window, model.num_tokens)
    method = method.for_grid(grid)
    return Settings(method, drafts, model.vocab_size, model.num_tokens, int(seed), grid[1] if grid else None, dtype)


def _device(model: TargetModel, device: torch.device | str | None) -> torch.device:
    try:
        place = torch.device(device if device is not None else getattr(model, "device", "cpu"))
        torch.zeros(1, device=place).tolist()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise InputError(f"device = {device!r}: {str(error).splitlines()[0]}") from None
    return place


def _place_model(model: TargetModel, device: torch.device) -> None:
    move = getattr(model, "to", None)
    if callable(move):
        move(device)


def make_writer(
    settings: Settings,
    model: TargetModel,
    record: str,
    window: int,
    num_sequences: int,
    device: torch.device | str = "cpu",
    out_path: str | Path | None = None,
) -> TraceWriter:
    """Open the trace of a decode, in memory unless there is a path."""
    method = settings.method
    return TraceWriter(
        out_path,
        vocab_size=settings.vocab_size,
        num_tokens=settings.num_tokens,
        window=window,
        decoder="reference",
        laws=laws_of(record),
        num_sequences=num_sequences,
        method=method.name,
        method_settings=repr(method),
        model=str(getattr(model, "name", type(model).__name__)),
        seed=settings.seed,
        generator=GENERATOR,
        device=str(device),
        dtype=str(settings.dtype).removeprefix("torch."),
    )


@contextmanager
def _bar(progress: bool | None, label: str, total: int) -> Iterator[Any]:
    """A function to call with the number of tokens committed."""
    if not (sys.stderr.isatty() if progress is None else progress):
        yield lambda count: None
        return
    from rich.console import Console
    from rich.progress import Progress

    bar: Progress
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(f"decoding, {label}", total=total)
        yield lambda count: bar.advance(task, count)
