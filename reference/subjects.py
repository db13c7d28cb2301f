"""The reference decoder as subjects of an audit: ``reference.subjects:scd_mc`` and so on, or :func:`subject`.

Every named method is one, by its name with underscores.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from reference.decoder import decode
from reference.methods import METHODS, Method
from reference.models.base import TargetModel

Subject = Callable[[TargetModel, int, int], Tensor]


def subject(method: str | Method, window: int = 16, device: torch.device | str | None = None) -> Subject:
    """A callable ``(model, num_sequences, seed) -> Long[num_sequences, N]``.

    Parameters
    ----------
    method : str or Method
        As for :func:`reference.decode`.
    window : int
        L.
    device : torch.device or str, optional
        Where to decode.
    """

    def draw(model: TargetModel, num_sequences: int, seed: int) -> Tensor:
        return decode(model, method, window, num_sequences, seed, record=None, device=device, progress=False).tokens

    return draw


globals().update({name.replace("-", "_"): subject(name) for name in METHODS})

if TYPE_CHECKING:

    def __getattr__(name: str) -> Subject: ...
