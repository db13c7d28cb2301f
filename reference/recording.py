"""From what a step did to what a trace holds: scalars on the device, one transfer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

import scd_analysis.trace as traces  # loaded when one is written
from reference.draws import GENERATOR
from reference.fast.scan import collision_gumbel, law_scalars
from reference.kernel import Settings, SweepInfo
from reference.models.base import TargetModel

if TYPE_CHECKING:
    from scd_analysis.trace import TraceWriter

Array = npt.NDArray[Any]


def scalars(info: SweepInfo) -> dict[str, Tensor]:
    """Every scalar of the trace that the laws decide, on the device: Float[B, L] each."""
    laws = info.target_probs, info.draft_probs
    token = info.draft_token.clamp(min=0)[..., None]
    of_token = [law.gather(-1, token)[..., 0] for law in laws]
    return {
        "target_prob_of_token": of_token[0],
        "draft_prob_of_token": of_token[1],
        "collision_gumbel": collision_gumbel(*laws),
        **(info.scalars or law_scalars(*laws))._asdict(),
    }


class Report(NamedTuple):
    """What the host wants of a step, still on the device.

    Attributes
    ----------
    joined : Tensor
        Float64[B, columns], which holds every integer here exactly: one transfer.
    parts : dict of str to Tensor
        What was joined, [B] and [B, L].
    laws : dict of str to Tensor
        Float[B, L, V], if they are recorded.
    """

    joined: Tensor
    parts: dict[str, Tensor]
    laws: dict[str, Tensor]


def report(info: SweepInfo, record: str | None) -> Report:
    """What the host needs of a step: the stop decision always, a row of the trace if ``record``.

    Parameters
    ----------
    info : SweepInfo
        Of the step.
    record : str or None
        As for :func:`reference.decode`; laws come whole, whatever is stored of them.
    """
    parts = {"num_committed": info.num_committed, "laws_bad": info.laws_bad.expand(len(info.base))}
    if record is not None:
        parts |= {
            "base": info.base,
            "bonus_token": info.bonus_token,
            "draft_token": info.draft_token,
            "next_token": info.next_token,
            "accepted": info.accepted,
            "committed": info.committed,
            "residual_drawn": info.committed & ~info.accepted,
            "age": info.age,
            "uniform": info.uniform,
            **scalars(info),
        }
    joined = torch.cat([part.reshape(len(part), -1).double() for part in parts.values()], dim=1)
    recorded = record not in (None, "scalars")
    laws = {"draft_probs": info.draft_probs.float(), "target_probs": info.target_probs.float()} if recorded else {}
    return Report(joined, parts, laws)


def to_host(found: Report) -> dict[str, Array]:
    """A step's report, by name: ``num_committed`` and ``laws_bad``, and the variables of a trace."""
    columns = found.joined.cpu().numpy()
    rows, start = {}, 0
    for name, part in found.parts.items():
        width = part[0].numel()
        values = columns[:, start : start + width] if part.ndim > 1 else columns[:, start]
        rows[name] = values if part.is_floating_point() else values.astype(np.int64)
        start += width
    return rows | {name: law.cpu().numpy() for name, law in found.laws.items()}


def to_device(index: Array, device: torch.device) -> Tensor:
    """A copy on the device that the host does not wait for, which needs pinned memory."""
    host = torch.from_numpy(index)
    return host.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else host.to(device)


def make_writer(
    settings: Settings,
    model: TargetModel,
    record: str,
    window: int,
    num_sequences: int,
    device: torch.device | str = "cpu",
    out_path: str | Path | None = None,
    **shard: Any,
) -> TraceWriter:
    """Open the trace of a decode, in memory unless there is a path; ``shard`` is what one of several says besides."""
    return traces.TraceWriter(
        out_path,
        vocab_size=settings.vocab_size,
        num_tokens=settings.num_tokens,
        window=window,
        decoder="reference",
        laws=traces.laws_of(record),
        num_sequences=num_sequences,
        concurrent=record != "laws" or torch.device(device).type != "cpu",  # a pass needs the cores that would write
        device=str(device),
        **said_of(settings, model),
        **shard,
    )


def said_of(settings: Settings, model: TargetModel) -> dict[str, Any]:
    """What a trace says of the decode that it records, wherever that is done."""
    return {
        "method": settings.method.name,
        "method_settings": repr(settings.method),
        "model": str(getattr(model, "name", type(model).__name__)),
        "seed": settings.seed,
        "generator": GENERATOR,
        "dtype": str(settings.dtype).removeprefix("torch."),
    }


def of_rows(chosen: Array, rows: dict[str, Array]) -> dict[str, Array]:
    """The rows that are chosen, Bool[B]; nothing is copied if all are."""
    return rows if chosen.all() else {name: values[chosen] for name, values in rows.items()}
