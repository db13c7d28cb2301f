"""What is observed of a trace: some sequences at a time, and observations picked out of them.

Whatever a bet may use is known before the observation: it comes from earlier positions, or from earlier stages of the
same one (the draft before its variate, both before the replacement), never from what the position went through at other
passes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from scd_analysis.audit.commits import Bools, Commits
from scd_analysis.audit.observations.halves import FirstHalves
from scd_analysis.audit.windows import Windows
from scd_analysis.evidence.batch import Floats, Longs, Rows


@dataclass(frozen=True)
class View:
    """Some sequences of a trace, as the processes see them.

    Attributes
    ----------
    commits : Commits
    target_probs : Float[S, N, V] or None
        What drafts were verified against: recorded, or the model's.
    model_probs : Float[S, N, V] or None
        The model's law given the finished sequence.
    other_variates : Float[S, N]
        Acceptance variates of another sequence that may share them; NaN where there is none.
    vocab_size : int
    grid_width : int or None
        Tokens in a row of an image.
    windows : Windows or None
        Of every pass; None where no rule is asked that decides on a window as a whole.
    declared : View or None
        As the trace declares it, where a rule sees it otherwise.
    rows : Rows or None
        Where the sequences stood in their batch; None where they were in none.
    halves : mapping of str to FirstHalves
        What is remembered of the batch's first half, by what is observed.
    """

    commits: Commits
    target_probs: Floats | None
    model_probs: Floats | None
    other_variates: Floats
    vocab_size: int
    grid_width: int | None = None
    windows: Windows | None = None
    declared: View | None = None
    rows: Rows | None = None
    halves: Mapping[str, FirstHalves] = field(default_factory=lambda: defaultdict(FirstHalves))


@dataclass(frozen=True)
class Observations:
    """Observations in order, each with its null law; a subclass knows what else may have made them.

    Attributes
    ----------
    view : View
    at : tuple of Long[A], Long[A]
        Sequence and position of each.
    tokens : Long[A]
    laws : Float[A, V]
        The null law of each, not necessarily normalised.
    """

    view: View
    at: tuple[Longs, ...]
    tokens: Longs
    laws: Floats

    def pick(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """[S, N, ...] -> [A, ...]."""
        return values[self.at]


def is_drawn(commits: Commits) -> Bools:
    """Where a draft was drawn from a law that is no point mass, Bool[S, N]."""
    assert commits.draft_probs is not None
    with np.errstate(invalid="ignore"):
        return np.asarray(commits.drafted & (commits.draft_probs.max(axis=-1, initial=0) < 1))


def is_redrawn(commits: Commits) -> Bools:
    """Where it was drawn by a pass, Bool[S, N], and is no first draft."""
    return np.asarray(is_drawn(commits) & (commits.age > 0))


def earlier_position(values: npt.NDArray[Any], back: int, missing: float) -> npt.NDArray[Any]:
    """Return what the position ``back`` before holds."""
    out = np.full_like(values, missing)
    if back < values.shape[1]:
        out[:, back:] = values[:, :-back]
    return out


def centred(values: Floats) -> Floats:
    """[0, 1] -> [-1, 1], zero where unknown."""
    return np.nan_to_num(2 * values - 1)


def against_the_rest(probability: Floats) -> Floats:
    """Each observation's own token, against all others, Float[A, 2]: a blend reads no more of a law."""
    return np.stack([probability, 1 - probability], axis=-1)
