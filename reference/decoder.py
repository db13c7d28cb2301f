"""``decode``: batches of sequences, each stepped until complete. The host waits for the device once an iteration."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

import scd_analysis.trace as traces  # loaded when one is written
from reference.fast.graphs import Passes, more_at_once, replays
from reference.kernel import JacobiState, Settings, SweepInfo, fill_race, init, step
from reference.methods import Method, get_method
from reference.models.base import (
    SHORT_PROBE,
    Session,
    TargetModel,
    check_model,
    device_of,
    grid_of,
    open_session,
    raise_bad_laws,
)
from reference.progress import tokens_bar
from reference.recording import Array, Report, make_writer, of_rows, report, said_of, to_device, to_host
from reference.sharded import Share, all_of, finished, in_shares, shares_of
from scd_analysis.errors import InputError
from scd_analysis.validate import check_at_least, check_integer

if TYPE_CHECKING:
    import xarray

    from scd_analysis.trace import TraceWriter

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
        The record, opened lazily; see :mod:`scd_analysis.trace.schema`.
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
    jobs: int | None = None,
) -> DecodeOutput:
    """Draw sequences from a model and record how.

    Sequence i depends on the model, the method, the window, the seed and i: not on how many are drawn, on the batch
    size, on how many jobs share the work, or on whether anything is recorded.

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
    out_path : path or URL, optional
        Directory or ``.zip`` to which the trace is streamed, or a URL that fsspec knows; in memory by default.
    batch_size : int, optional
        Sequences decoded at a time; by default, as many as a modest amount of memory holds (replayed: four times).
    progress : bool, optional
        Whether to show a bar on standard error; by default, if that is a terminal.
    jobs : int, optional
        Batches decoded at a time, each on one thread of PyTorch, wherever joblib runs them. Each is a shard of the
        trace, in the folder ``out_path``; finished ones that are there already are kept, so that a decode that was
        stopped goes on. See :mod:`reference.sharded`.

    Returns
    -------
    DecodeOutput
        Tokens, passes and trace.

    Raises
    ------
    InputError
        If an argument is out of range, or the model breaks its contract (:func:`reference.models.base.check_model`);
        with ``jobs``, if a shard that is there is of another decode, or workers are killed again and again.
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
        traces.laws_of(record)
    elif out_path is not None:
        raise InputError(f"out_path = {out_path}: needs record='scalars' or record='laws'")
    asked = _Asked(model, chosen, window, seed, record, device, dtype, out_path)
    settings, place, most = asked.look()
    if jobs is not None:
        shares = shares_of(num_sequences, batch_size or most, jobs, record, out_path)
        with tokens_bar(progress, chosen.name, num_sequences * settings.num_tokens) as advance:
            tokens, nfe = in_shares(partial(_decode_share, asked), shares, jobs, advance)
        return DecodeOutput(tokens, nfe, None if out_path is None else traces.open_trace(out_path), chosen)
    size = batch_size or -(-num_sequences // -(-num_sequences // most))  # no batch is much smaller than the others
    writer = None
    if record is not None:
        writer = make_writer(settings, model, record, window, num_sequences, place, out_path)
    with tokens_bar(progress, chosen.name, num_sequences * settings.num_tokens) as advance:
        tokens, nfe = _decode_all(asked, settings, place, range(num_sequences), size, writer, advance)
    trace = None if writer is None else traces.open_trace(out_path if out_path is not None else writer.store)
    return DecodeOutput(tokens, nfe, trace, chosen)


@dataclass(frozen=True)
class _Asked:
    """What a decode was asked, as it is sent to those who do it."""

    model: TargetModel
    method: Method
    window: int
    seed: int
    record: str | None
    device: torch.device | str | None
    dtype: torch.dtype | None
    out_path: str | Path | None

    def look(self) -> tuple[Settings, torch.device, int]:
        """Look at the model: what stays the same, where to compute, and how many sequences fit in a batch."""
        place, move = _device(self.model, self.device), getattr(self.model, "to", None)
        if self.device is not None and callable(move):
            move(place)
        law_dtype = check_model(self.model, place, num_tokens=SHORT_PROBE)
        settings = make_settings(self.model, self.method, self.window, self.seed, self.dtype or law_dtype)
        entries = _LAW_ENTRIES * (more_at_once(self.model, place) if self.record in (None, "scalars") else 1)
        most = max(1, entries // ((settings.window + 1) * settings.vocab_size))
        return replace(settings, measure=self.record is not None), place, most


@torch.no_grad()
def _decode_share(asked: _Asked, share: Share) -> tuple[Tensor, Tensor]:
    """Decode a share of the sequences, in whatever process this is, into its shard if they are recorded."""
    settings, place, _ = asked.look()
    if asked.record is None or asked.out_path is None:
        return _decode_all(asked, settings, place, share.sequences, len(share.sequences), None, lambda count: None)
    said = {"sequences_in_all": share.total, "window": asked.window, **said_of(settings, asked.model)}
    found = finished(asked.out_path, share, said, traces.laws_of(asked.record), asked.model, place)
    if found is not None:
        return found
    more = {"shard": (share.index, share.count), "overwrite": True, "sequences_in_all": share.total}
    size, path = len(share.sequences), asked.out_path
    writer = make_writer(settings, asked.model, asked.record, asked.window, size, place, path, **more)
    return _decode_all(asked, settings, place, share.sequences, size, writer, lambda count: None)


def _decode_all(
    asked: _Asked, settings: Settings, place: torch.device, numbers: range, size: int, writer: TraceWriter | None,
    advance: Any,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Complete sequences, some at a time: Long[B, N] and Long[B]."""
    done = []
    with writer or nullcontext():
        for start in range(numbers.start, numbers.stop, size):
            sequence = torch.arange(start, min(start + size, numbers.stop), device=place)
            session = open_session(asked.model, len(sequence), place)
            done.append(_decode_batch(settings, session, sequence, asked.record, writer, advance))
            if writer is not None:
                writer.finish_batch(tokens=done[-1][0], nfe=done[-1][1])
    return all_of(done)


def _decode_batch(
    settings: Settings, session: Session, sequence: Tensor, record: str | None, writer: TraceWriter | None, advance: Any
) -> tuple[Tensor, Tensor]:
    """Complete one batch: Long[B, N] and Long[B]."""
    batch, length, window = len(sequence), settings.num_tokens, settings.window
    tokens = torch.empty(batch, length, dtype=torch.long, device=sequence.device)
    nfe = torch.empty(batch, dtype=torch.long)
    if writer is not None:
        writer.begin_batch(batch)

    on_device = partial(to_device, device=sequence.device)

    def one_pass(state: JacobiState, reach: int) -> tuple[JacobiState, tuple[SweepInfo, Report]]:
        state, info = step(settings, session, state, reach)
        return state, (info, report(info, record))

    passes = Passes(one_pass, replays(session, sequence.device))
    state, made = init(settings, sequence), 0
    row, base, live = np.arange(batch), np.zeros(batch, dtype=np.int64), np.ones(batch, dtype=bool)
    _fill_entering(settings, state, base - window, base)
    while live.any():
        state, (info, found) = passes(state, min(int(base.max()) + window, length - 1))
        host, made = to_host(found), made + 1  # the one synchronisation
        if host["laws_bad"].any():
            raise_bad_laws(info.target_probs, made - 1)
        if writer is not None:
            writer.write_rows(row[live], of_rows(live, host))
        before, base = base, base + host["num_committed"]
        advance(int(host["num_committed"].sum()))
        finished = live & (base >= length)
        if finished.any():
            done, live = np.flatnonzero(finished), live & ~finished
            nfe[row[done]] = made
            tokens.index_copy_(0, on_device(row[done]), state.tokens.index_select(0, on_device(done)))
            if passes.pays_to_leave(len(live), live.sum()):
                kept = np.flatnonzero(live)
                row, base, before, live = row[kept], base[kept], before[kept], live[kept]
                state = _select(state, on_device(kept))
                session.keep(on_device(kept))
                passes.restart()
        _fill_entering(settings, state, before, base)
    return tokens.cpu(), nfe


def _fill_entering(settings: Settings, state: JacobiState, before: Array, base: Array) -> None:
    """Make the noise of the positions that entered the window when its base went from ``before`` to ``base``."""
    if state.race is None or len(base) == 0:
        return
    first = np.minimum(np.maximum(before + settings.window, base), settings.num_tokens)  # a bonus token needs none
    count = np.minimum(base + settings.window, settings.num_tokens) - first
    rows = np.repeat(np.arange(len(base)), count)
    within = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    position = first[rows] + within
    device = state.tokens.device
    fill_race(settings, state, to_device(rows, device), to_device(position, device))


def _select(state: JacobiState, index: Tensor) -> JacobiState:
    """The same state for the sequences ``index`` only."""
    parts = {f.name: getattr(state, f.name) for f in fields(state)}
    kept: dict[str, Any] = {n: t.index_select(0, index) for n, t in parts.items() if isinstance(t, Tensor) and t.ndim}
    return replace(state, **kept)


def make_settings(model: TargetModel, method: Method, window: int, seed: int, dtype: torch.dtype) -> Settings:
    """Settle what stays the same during a decode.

    Raises
    ------
    InputError
        For a dtype that does not hold laws, or initial drafts that the model has no grid for.
    """
    grid = grid_of(model)
    if not dtype.is_floating_point or torch.finfo(dtype).bits < 32:
        raise InputError(f"dtype = {dtype}: must be float32 or float64; fewer bits would not hold a law")
    drafts = 0 if method.drafting is None else min(window, model.num_tokens)
    method = method.for_grid(grid)
    return Settings(method, drafts, model.vocab_size, model.num_tokens, int(seed), grid[1] if grid else None, dtype)


def _device(model: TargetModel, device: torch.device | str | None) -> torch.device:
    try:
        place = torch.device(device if device is not None else device_of(model))
        torch.zeros(1, device=place).tolist()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise InputError(f"device = {device!r}: {str(error).splitlines()[0]}") from None
    return place
