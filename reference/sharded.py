"""A decode by many hands: each takes a share of the sequences, and writes the shard of the trace that holds them.

No seed is derived for a share: draws are keyed by the seed of the decode and the number of the sequence
(:mod:`reference.draws`), and a share is a range of these numbers. So sequences are the same however many there are.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import scd_analysis.trace as traces  # loaded when one is read
from reference.models.base import TargetModel
from scd_analysis.common.parallel import DEATHS, Packed, WorkerKilled, outliving
from scd_analysis.errors import InputError, TraceError
from scd_analysis.laws import kernels
from scd_analysis.validate import check_at_least, check_integer

_LOOKED_AT = 16
"""Tokens of a finished shard after which the laws of the model are looked at."""

_SAME_ENTROPY = 1e-2
"""Nats by which one model's entropies may differ from device to device."""


@dataclass(frozen=True)
class Share:
    """Sequences that are decoded together.

    Attributes
    ----------
    index, count : int
        Which of how many shares.
    sequences : range
        Their numbers.
    total : int
        Sequences of all shares.
    """

    index: int
    count: int
    sequences: range
    total: int


def shares_of(num_sequences: int, size: int, jobs: int, record: str | None, out_path: str | Path | None) -> list[Share]:
    """Cut a decode into shares: as many as there are shards already, else batches enough for all jobs.

    Parameters
    ----------
    num_sequences : int
        In all.
    size : int
        Sequences of a batch, at most.
    jobs : int
    record : str or None
        As for :func:`reference.decode`.
    out_path : path, URL or None

    Raises
    ------
    InputError
        If ``jobs`` is below one, or what is recorded has no place.
    """
    check_at_least(check_integer(jobs, "jobs"), 1, "jobs")
    if record is not None and out_path is None:
        raise InputError(f"jobs = {jobs}: the shards of a trace need an out_path; with record=None nothing is written")
    there = [] if out_path is None else traces.shards_in(out_path)
    count = traces.count_of(there[0]) if there else min(num_sequences, max(jobs, -(-num_sequences // size)))
    if count > num_sequences:
        raise InputError(f"out_path = {out_path}: holds shards of {count}, and num_sequences = {num_sequences}")
    ends = [number * num_sequences // count for number in range(count + 1)]
    if out_path is not None:
        traces.shard_in(out_path, (0, count))  # said before anything is decoded
    return [Share(i, count, range(ends[i], ends[i + 1]), num_sequences) for i in range(count)]


def in_shares(
    decode_share: Callable[[Share], tuple[Tensor, Tensor]], shares: list[Share], jobs: int, advance: Any
) -> tuple[Tensor, Tensor]:
    """Decode shares side by side.

    Parameters
    ----------
    decode_share : callable
        From a share to its tokens and passes, Long[B, N] and Long[B]; it is sent to the workers.
    shares : list of Share
    jobs : int
        Shares at a time.
    advance : callable
        Hears how many tokens are there.

    Returns
    -------
    (Tensor, Tensor)
        Of all, in the order of the sequences.

    Raises
    ------
    InputError
        If the model cannot be sent, or workers are killed again and again.
    """
    try:
        packed = Packed(decode_share)
    except Exception as error:
        raise InputError(f"jobs: the model cannot be sent to a worker ({type(error).__name__}: {error})") from error
    done: list[tuple[Tensor, Tensor]] = []
    try:
        with closing(outliving(packed, shares, jobs)) as coming:
            for one in coming:
                done.append(one)
                advance(one[0].numel())
    except WorkerKilled as error:
        raise InputError(
            f"jobs = {jobs}: workers were killed {DEATHS} times in a row, as where there is not memory enough; shards "
            "that were finished are kept"
        ) from error
    return all_of(done)


def all_of(done: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    """Tokens and passes of batches, one after the other."""
    return torch.cat([tokens for tokens, _ in done]), torch.cat([nfe for _, nfe in done])


def finished(
    out_path: str | Path,
    share: Share,
    said: dict[str, Any],
    laws: bool | str,
    model: TargetModel,
    device: torch.device,
) -> tuple[Tensor, Tensor] | None:
    """Tokens and passes of a shard that is there already, None if it is not, or not whole.

    Parameters
    ----------
    out_path : path or URL
        The folder.
    share : Share
    said : dict
        Attributes that it must have.
    laws : bool or str
        In which form it must store laws.
    model : TargetModel
        Whose laws its entropies must be, after a few of its own tokens.
    device : torch.device
        Of the model.

    Raises
    ------
    InputError
        If it is of another decode.
    """
    place = traces.shard_in(out_path, (share.index, share.count))
    try:
        trace = traces.open_trace(place)
    except TraceError:
        return None
    if not trace.attrs["complete"]:
        return None
    form = "float32" if laws is True else laws or None
    for name, value in {**said, "laws": form}.items():
        if trace.attrs.get(name) != value:
            raise InputError(
                f"out_path = {place}: is there, with {name} = {trace.attrs.get(name)!r:.60}, and this decode has "
                f"{value!r:.60}; name another folder"
            )
    traces.validate(trace)
    tokens, nfe = (torch.from_numpy(trace[name].values.astype(np.int64)) for name in ("tokens", "nfe"))
    _check_model(trace, tokens[:1, :_LOOKED_AT], model, device, f"out_path = {place}")
    return tokens, nfe


def _check_model(trace: Any, tokens: Tensor, model: TargetModel, device: torch.device, where: str) -> None:
    """Compare the entropies recorded at the first slots, after tokens that stand, with those of the model's laws."""
    laws = model.next_token_probs(tokens[:, :-1].to(device))[0]
    ours = kernels.entropy(laws.double().cpu().numpy())
    first = trace[["base", "entropy"]].isel(sequence=0)
    base, entropy = first["base"].values, first["entropy"].values[:, 0]
    for t in np.flatnonzero(~np.isnan(entropy) & (base < len(ours))):
        k = int(base[t])
        if abs(ours[k] - entropy[t]) > _SAME_ENTROPY:
            raise InputError(
                f"{where}: is there, and of another model: the law of token {k} of its first sequence had an entropy "
                f"of {entropy[t]:.4g} nats, and this model's has {ours[k]:.4g}; name another folder"
            )
