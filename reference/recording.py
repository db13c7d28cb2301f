"""From what a step did to what a trace holds: scalars on the device, one transfer, masks on the host."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from reference.fast.scan import collision_gumbel, law_scalars
from reference.kernel import SweepInfo

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


def _to_host(parts: dict[str, Tensor]) -> dict[str, Array]:
    """Copy tensors of [B] and [B, L] in one transfer, as float64, which holds every integer here exactly."""
    columns = [part.reshape(len(part), -1).double() for part in parts.values()]
    joined = torch.cat(columns, dim=1).cpu().numpy()
    ends = np.cumsum([column.shape[1] for column in columns])[:-1]
    pieces = np.split(joined, ends, axis=1)
    return {name: piece[:, 0] if parts[name].ndim == 1 else piece for name, piece in zip(parts, pieces, strict=True)}


def to_host(info: SweepInfo, record: str | None) -> dict[str, Array]:
    """What the host needs of a step: the stop decision always, a row of the trace if ``record``.

    Parameters
    ----------
    info : SweepInfo
        Of the step.
    record : str or None
        As for :func:`reference.decode`; laws come whole, whatever is stored of them.

    Returns
    -------
    dict of str to ndarray
        ``num_committed`` (Long[B]) and ``laws_bad`` (Long[B]), and the variables of a trace, not yet masked.
    """
    integers = {
        "num_committed": info.num_committed,
        "laws_bad": info.laws_bad.expand(len(info.base)),
    }
    floats: dict[str, Tensor] = {}
    if record is not None:
        integers |= {
            "base": info.base,
            "bonus_token": info.bonus_token,
            "draft_token": info.draft_token,
            "next_token": info.next_token,
            "accepted": info.accepted,
            "committed": info.committed,
            "residual_drawn": info.committed & ~info.accepted,
            "age": info.age,
        }
        floats = {"uniform": info.uniform, **scalars(info)}
    rows = _to_host(integers | floats)
    rows |= {name: rows[name].astype(np.int64) for name in integers}
    if record not in (None, "scalars"):
        rows["draft_probs"] = info.draft_probs.float().cpu().numpy()
        rows["target_probs"] = info.target_probs.float().cpu().numpy()
    return rows


def masked(rows: dict[str, Array], window: int) -> dict[str, Array]:
    """Mask the slots without a draft, and widen to the trace's window."""
    used = rows["draft_token"] >= 0
    slots = used.shape[1]
    out = {}
    for name, values in rows.items():
        if values.ndim == 1:
            out[name] = values
            continue
        unused = -1 if values.dtype == np.int64 else np.nan
        values = np.where(used if values.ndim == 2 else used[..., None], values, unused)
        if slots < window:
            padding = [(0, 0), (0, window - slots), *[(0, 0)] * (values.ndim - 2)]
            values = np.pad(values, padding, constant_values=unused)
        out[name] = values
    return out
