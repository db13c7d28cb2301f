"""ZipAR, PJD: a row of the image is begun before the one above is finished."""

from __future__ import annotations

from torch import Tensor

from reference.broken.altered import Altered
from reference.broken.fault import Fault
from reference.methods import get_method
from reference.models.base import TargetModel, grid_of, read_laws
from scd_analysis.conditions import Condition


def hide_row_ends(model: TargetModel, tokens: Tensor, laws: Tensor) -> Tensor:
    """The first token of every row does not see the second half of the row above; it sees token 0 in its place."""
    grid = grid_of(model)
    width = grid[1] if grid else max(1, model.num_tokens // 2)
    out = laws.clone()
    for start in range(width, laws.shape[1], width):
        hidden = tokens[:, :start].clone()
        hidden[:, start - max(1, width // 2) :] = 0
        out[:, start] = read_laws(model, hidden)[:, -1]
    return out


FAULT = Fault(
    name="rows-in-parallel",
    condition=Condition.TARGET,
    summary="the first token of a row is drawn before the row above is finished, in a context that lacks its end",
    source="as in ZipAR and PJD, which change the conditioning context; our rendering of that family",
    of=get_method("scd-mc"),
    corrupt=lambda model: Altered(model, hide_row_ends),
    rival=True,
)
