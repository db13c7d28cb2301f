"""Of a trace, what bears on a verdict: every position at the pass that committed it.

Drafts of one position at several passes are dependent under a coupling, so a test may use one pass a position, chosen
by what earlier positions did. The pass that commits it is such a choice: it depends on earlier positions only, for a
decoder that keeps the commit rule. Positions in order, sequences in order, this is a martingale difference sequence.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from scd_analysis.audit.given import take_laws
from scd_analysis.evidence.batch import Floats, Longs
from scd_analysis.trace.trajectories import ages

if TYPE_CHECKING:
    import xarray as xr

Bools = npt.NDArray[np.bool_]

SCALARS_OF_LAWS = "total_variation", "collision_independent", "collision_gumbel"
SCALARS = (
    "base", "num_committed", "bonus_token", "draft_token", "next_token", "accepted", "committed", "age", "uniform",
    "draft_prob_of_token", "target_prob_of_token", *SCALARS_OF_LAWS,
)  # fmt: skip


@dataclass(frozen=True)
class Passes:
    """Every slot of every pass. S sequences, T passes, L slots; NaN or False outside.

    Attributes
    ----------
    base, slot_position : Long[S, T], Long[S, T, L]
        First position, and each slot's (N past the end).
    used : Bool[S, T, L]
        Whether the slot held a draft.
    reached : Bool[S, T, L]
        Slots up to and including the first that was not accepted: what the commit rule commits.
    committed, accepted : Bool[S, T, L]
    draft, after : Long[S, T, L]
        The draft, and the token afterwards.
    uniform : Float[S, T, L]
    """

    base: Longs
    slot_position: Longs
    used: Bools
    reached: Bools
    committed: Bools
    accepted: Bools
    draft: Longs
    after: Longs
    uniform: Floats

    def first(self, iteration: Longs) -> Longs:
        """First positions of the windows at passes Long[S, N]; at pass 0 where there is none."""
        return np.asarray(self.base[np.arange(len(self.base))[:, None], np.maximum(iteration, 0)])


@dataclass(frozen=True)
class Drawn:
    """Another draft, of an earlier position, that may have used the same noise.

    Attributes
    ----------
    token : Long[S, N]
        -1 where there is none.
    probs : Float[S, N, V] or None
        The target law of the pass that drew it.
    """

    token: Longs
    probs: Floats | None


@dataclass(frozen=True)
class Entries:
    """Every position at one pass other than its commit.

    Attributes
    ----------
    iteration, token : Long[S, N]
        -1 where there is none.
    probs : Float[S, N, V] or None
        The declared law.
    """

    iteration: Longs
    token: Longs
    probs: Floats | None


@dataclass(frozen=True)
class Held(Entries):
    """Every position at the first pass that left it to a later one though the commit rule commits it.

    Attributes
    ----------
    accepted, ratio : Bool[S, N], Float[S, N]
        The accept flag there, and p/q of the draft.
    """

    accepted: Bools
    ratio: Floats


@dataclass(frozen=True)
class Behind:
    """What a rule would look at that commits by later drafts; NaN where there is no such slot.

    Attributes
    ----------
    next_ratio, run_ratio : Float[S, N]
        Of the same pass: p/q of the draft in the slot after, and the product of p/q from here to the end of the run of
        nondecreasing p.
    """

    next_ratio: Floats
    run_ratio: Floats


@dataclass(frozen=True)
class Scalars:
    """Numbers of the declared law and the target law, Float[S, N] each."""

    total_variation: Floats
    collision: Floats
    collision_gumbel: Floats


@dataclass(frozen=True)
class Noise:
    """Acceptance variates, Float[S, N] each.

    Attributes
    ----------
    uniform, last_uniform, slot_uniform, diagonal_uniform : Float[S, N]
        The position's own at its commit and one pass before; and, one pass before, those that decided earlier positions
        in the same slot and in the slot after it.
    """

    uniform: Floats
    last_uniform: Floats
    slot_uniform: Floats
    diagonal_uniform: Floats


@dataclass(frozen=True)
class Earlier:
    """What earlier passes did that may bear on the draft.

    Attributes
    ----------
    draft, drawn_slot : Long[S, N]
        The position's draft one pass before, and the slot in which that pass drew the draft.
    last_target_probs, earlier_target_probs : Float[S, N, V] or None
        The position's target law one pass before, which its draft should have been drawn from, and two passes before.
    beside, same_slot, diagonal : Drawn
        What was drawn when the draft was, in the slot before it; and one pass before that, in its own slot and, for
        another position, in the slot after it.
    """

    draft: Longs
    drawn_slot: Longs
    last_target_probs: Floats | None
    earlier_target_probs: Floats | None
    beside: Drawn
    same_slot: Drawn
    diagonal: Drawn


@dataclass(frozen=True)
class Commits:
    """Every position at the pass that committed it. S sequences, N positions; NaN or -1 where there is none.

    Attributes
    ----------
    final : Long[S, N]
        The finished sequences.
    drafted, accepted, bonus : Bool[S, N]
        Whether a draft was verified there, whether it was accepted, and whether the token was drawn past the window.
    iteration, slot, age : Long[S, N]
        When and where.
    draft : Long[S, N]
    draft_prob, target_prob : Float[S, N]
        Of the draft, under the declared law and the target law.
    draft_probs, target_probs : Float[S, N, V] or None
        The two laws; None where laws were not recorded.
    behind : Behind
    passes : Passes
    scalars : Scalars or None
        None where they were not recorded, as all that follows: a group is there as a whole, or not at all.
    noise : Noise or None
    earlier : Earlier or None
        None where every draft is of the pass that verifies it.
    entries : Entries or None
        At the pass that first drafted it, unless from a point mass.
    held : Held or None
    """

    final: Longs
    drafted: Bools
    accepted: Bools
    bonus: Bools
    iteration: Longs
    slot: Longs
    age: Longs
    draft: Longs
    draft_prob: Floats
    target_prob: Floats
    draft_probs: Floats | None
    target_probs: Floats | None
    behind: Behind
    passes: Passes
    scalars: Scalars | None = None
    noise: Noise | None = None
    earlier: Earlier | None = None
    entries: Entries | None = None
    held: Held | None = None

    def __len__(self) -> int:
        return len(self.final)

    def part(self, start: int, stop: int) -> Commits:
        """Return sequences ``start ... stop - 1``."""
        return cut(self, slice(start, stop))

    @property
    def uniform(self) -> Floats:
        """The acceptance variates, Float[S, N], NaN where none was recorded."""
        return np.full(self.final.shape, np.nan) if self.noise is None else self.noise.uniform

    @property
    def deciding(self) -> Floats:
        """The acceptance variates of verified drafts, Float[S, N], NaN where none was recorded or none could matter.

        Where acceptance is certain either way a variate decides nothing, so that a decoder may use it again.
        """
        return _that_decide(self.uniform, self.drafted, _ratio(self.target_prob, self.draft_prob))

    @property
    def rejected(self) -> Bools:
        """Where the committed token replaced a draft."""
        return self.drafted & ~self.accepted


def read_commits(trace: xr.Dataset, offset: int = 0, *, decided: bool = False) -> Commits:
    """Gather what was committed, from some sequences of a trace.

    Parameters
    ----------
    trace : xarray.Dataset
        Few enough sequences to load.
    offset : int
        Number of the first of them, for messages.
    decided : bool
        Whether every position is seen at the first pass at which the commit rule commits it, instead of the one that
        did: where a decoder decides on a draft once, and commits what it decided at a later pass.

    Raises
    ------
    LawError
        If a recorded law is none.
    """
    part = {name: trace[name].values.astype(np.float64) for name in SCALARS}
    passes = _passes(part, int(trace.sizes["position"]))
    index = _commit_index(passes, int(trace.sizes["position"]))
    index = _first_index(passes, passes.reached, index).over(index) if decided else index
    ratio = _ratio(part["target_prob_of_token"], part["draft_prob_of_token"])
    bonus, tokens = _finals(trace, part, passes, index)
    (draft_probs,) = _laws(trace, "draft_probs", offset, index)
    target_probs, earlier = _earlier(trace, passes, index, offset)
    return Commits(
        final=tokens,
        drafted=index.found,
        accepted=index.take(passes.accepted, False),
        bonus=bonus,
        iteration=index.iteration,
        slot=index.slot,
        age=index.take(_age(part["age"], passes), -1),
        draft=index.take(passes.draft, -1),
        draft_prob=index.take(part["draft_prob_of_token"], np.nan),
        target_prob=index.take(part["target_prob_of_token"], np.nan),
        draft_probs=draft_probs,
        target_probs=target_probs,
        behind=Behind(
            index.take(_shift(ratio), np.nan), index.take(run_ratio(ratio, part["target_prob_of_token"]), np.nan)
        ),
        passes=passes,
        scalars=_scalars(part, index),
        noise=_noise(passes, index, ratio),
        earlier=earlier,
        entries=_entries(trace, part, passes, index, offset),
        held=None if decided else _held(trace, passes, index, ratio, offset),
    )


def _scalars(part: dict[str, npt.NDArray[Any]], index: _Index) -> Scalars | None:
    if np.isnan(part["total_variation"]).all():
        return None
    return Scalars(*(index.take(part[name], np.nan) for name in SCALARS_OF_LAWS))


def _that_decide(uniform: Floats, tested: Bools, ratio: Floats) -> Floats:
    certain = (ratio >= 1) | (ratio <= 0)
    return np.where(tested & ~certain, uniform, np.nan)


def _noise(passes: Passes, index: _Index, ratio: Floats) -> Noise | None:
    if np.isnan(passes.uniform).all():
        return None
    decided = _that_decide(passes.uniform, passes.reached, ratio)
    return Noise(
        uniform=index.take(passes.uniform, np.nan),
        last_uniform=_moved(passes, index, back=1).take(passes.uniform, np.nan),
        slot_uniform=_before(passes, index, 0).take(decided, np.nan),
        diagonal_uniform=_before(passes, index, 1).take(decided, np.nan),
    )


def _earlier(trace: xr.Dataset, passes: Passes, index: _Index, offset: int) -> tuple[Floats | None, Earlier]:
    """Return target laws at the commits, read together with those of earlier passes."""
    drawn, before_that = _moved(passes, index, back=1), _moved(passes, index, back=2)
    others = _moved(passes, index, back=1, left=1), _before(passes, drawn, 0), _before(passes, drawn, 1)
    target_probs, last, earlier, *of_others = _laws(trace, "target_probs", offset, index, drawn, before_that, *others)
    found = (_other(passes, place, laws) for place, laws in zip(others, of_others, strict=True))
    return target_probs, Earlier(drawn.take(passes.draft, -1), drawn.slot, last, earlier, *found)


def _entries(
    trace: xr.Dataset, part: dict[str, npt.NDArray[Any]], passes: Passes, index: _Index, offset: int
) -> Entries | None:
    place = _entry_index(passes, index, part["draft_prob_of_token"])
    if not place.found.any():
        return None
    (probs,) = _laws(trace, "draft_probs", offset, place)
    return Entries(place.iteration, place.take(passes.draft, -1), probs)


def _held(trace: xr.Dataset, passes: Passes, index: _Index, ratio: Floats, offset: int) -> Held | None:
    place = _first_index(passes, passes.reached & ~passes.committed, index)
    if not place.found.any():
        return None
    (probs,) = _laws(trace, "draft_probs", offset, place)
    return Held(
        iteration=place.iteration,
        token=place.take(passes.draft, -1),
        probs=probs,
        accepted=place.take(passes.accepted, False),
        ratio=place.take(ratio, np.nan),
    )


@dataclass(frozen=True)
class _Index:
    """Where each position was committed: Long[S, N], -1 where it was not by a draft."""

    iteration: Longs
    slot: Longs

    @property
    def found(self) -> Bools:
        return np.asarray(self.iteration >= 0)

    def over(self, other: _Index) -> _Index:
        """Where there is none of these, the other's."""
        iteration = np.where(self.found, self.iteration, other.iteration)
        return _Index(iteration, np.where(self.found, self.slot, other.slot))

    def take(self, values: npt.NDArray[Any], missing: Any) -> npt.NDArray[Any]:
        """[S, T, L, ...] -> [S, N, ...]."""
        rows = np.arange(len(self.slot))[:, None]
        out = values[rows, np.maximum(self.iteration, 0), np.maximum(self.slot, 0)]
        found = self.found.reshape(self.found.shape + (1,) * (out.ndim - 2))
        return np.where(found, out, missing)


def _age(recorded: npt.NDArray[Any], passes: Passes) -> Longs:
    """Ages as recorded, else counted from the pass that first drafted the position."""
    return _whole(ages(passes.base, passes.used) if np.isnan(recorded).all() else recorded)


def _whole(values: npt.NDArray[Any]) -> Longs:
    return np.nan_to_num(values, nan=-1).astype(np.int64)


def _passes(part: dict[str, npt.NDArray[Any]], num_tokens: int) -> Passes:
    base = np.nan_to_num(part["base"], nan=num_tokens).astype(np.int64)
    position = base[..., None] + np.arange(part["draft_token"].shape[-1])
    used = (position < num_tokens) & ~np.isnan(part["draft_token"])
    accepted = (part["accepted"] == 1) & used
    before = np.cumprod(np.where(used, accepted, True), axis=-1)
    reached = used & np.concatenate([np.ones_like(before[..., :1]), before[..., :-1]], axis=-1).astype(bool)
    return Passes(
        base=base,
        slot_position=np.minimum(position, num_tokens),
        used=used,
        reached=reached,
        committed=(part["committed"] == 1) & used,
        accepted=accepted,
        draft=_whole(part["draft_token"]),
        after=_whole(part["next_token"]),
        uniform=part["uniform"],
    )


def _commit_index(passes: Passes, num_tokens: int) -> _Index:
    iteration = np.full((len(passes.base), num_tokens), -1)
    slot = iteration.copy()
    s, t, k = np.nonzero(passes.committed)
    position = passes.slot_position[s, t, k]
    iteration[s, position], slot[s, position] = t, k
    return _Index(iteration, slot)


def _first_index(passes: Passes, where: Bools, committed: _Index) -> _Index:
    """The first pass at which each position lies in Bool[S, T, L]."""
    iteration = np.full(committed.slot.shape, -1)
    slot = iteration.copy()
    s, t, k = (place[::-1] for place in np.nonzero(where))  # backwards, so that the first pass is written last
    position = passes.slot_position[s, t, k]
    iteration[s, position], slot[s, position] = t, k
    return _Index(iteration, slot)


def _entry_index(passes: Passes, committed: _Index, draft_prob: Floats) -> _Index:
    """Where each position was first drafted, but for point masses."""
    index = _first_index(passes, passes.used, committed)
    open_ = index.found & ~(index.take(draft_prob, np.nan) >= 1)
    return _Index(np.where(open_, index.iteration, -1), np.where(open_, index.slot, -1))


def _finals(trace: xr.Dataset, part: dict[str, npt.NDArray[Any]], passes: Passes, index: _Index) -> tuple[Bools, Longs]:
    """Where bonus tokens lie, and the finished sequences, put together from commits where they were not recorded."""
    bonus = np.zeros(index.found.shape, dtype=bool)
    tokens = index.take(passes.after, -1)
    s, t = np.nonzero(~np.isnan(part["bonus_token"]))
    position = passes.base[s, t] + _whole(part["num_committed"])[s, t] - 1
    inside = (position >= 0) & (position < tokens.shape[1])
    s, t, position = s[inside], t[inside], position[inside]
    bonus[s, position] = True
    tokens[s, position] = part["bonus_token"][s, t]
    recorded = trace["tokens"].values
    return bonus, np.where(np.isnan(recorded), tokens, np.nan_to_num(recorded)).astype(np.int64)


def _ratio(target: Floats, draft: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(target / draft)


def _shift(values: Floats) -> Floats:
    """Return what the slot after holds."""
    out = np.full_like(values, np.nan)
    out[..., :-1] = values[..., 1:]
    return out


def run_ratio(ratio: Floats, target: Floats) -> Floats:
    """Multiply p/q from each slot to the end of its run of nondecreasing p, Float[S, T, L] each."""
    out, after, following = np.empty_like(ratio), np.full(ratio.shape[:2], np.nan), np.full(ratio.shape[:2], np.nan)
    for k in range(ratio.shape[2] - 1, -1, -1):
        joins = following >= target[..., k]  # False where the slot after is empty
        out[..., k] = after = np.where(joins, ratio[..., k] * after, ratio[..., k])
        following = target[..., k]
    return out


def _moved(passes: Passes, index: _Index, back: int, left: int = 0) -> _Index:
    """Where each position, or the one ``left`` of it, lay ``back`` passes before its commit, if in the window."""
    rows, iteration = np.arange(len(passes.base))[:, None], np.maximum(index.iteration - back, 0)
    slot = np.arange(index.slot.shape[1]) - left - passes.base[rows, iteration]
    there = index.found & (index.iteration >= back) & (slot >= 0) & (slot < passes.used.shape[2])
    there &= passes.used[rows, iteration, np.where(there, slot, 0)]  # a pass may draft fewer than the window
    return _Index(np.where(there, iteration, -1), np.where(there, slot, -1))


def _before(passes: Passes, index: _Index, after: int) -> _Index:
    """The slot ``after`` each, one pass before; only where it held an earlier position."""
    rows, own = np.arange(len(passes.base))[:, None], np.arange(index.slot.shape[1])
    iteration, slot = index.iteration - 1, index.slot + after
    there = index.found & (iteration >= 0) & (slot < passes.used.shape[2])
    there &= passes.slot_position[rows, np.maximum(iteration, 0), np.clip(slot, 0, passes.used.shape[2] - 1)] < own
    return _Index(np.where(there, iteration, -1), np.where(there, slot, -1))


def _laws(trace: xr.Dataset, name: str, offset: int, *places: _Index) -> list[Floats | None]:
    return take_laws(trace, name, offset, [(place.iteration, place.slot) for place in places])


def _other(passes: Passes, index: _Index, laws: Floats | None) -> Drawn:
    """What a slot was given as its next draft; nothing where it was committed instead."""
    drafted = index.take(passes.used & ~passes.committed, False)
    return Drawn(np.where(drafted, index.take(passes.after, -1), -1), laws)


def cut(record: Any, rows: slice | npt.NDArray[np.int64]) -> Any:
    """Cut every array of a frozen record, and of those inside it, along its first axis."""
    if record is None or isinstance(record, np.ndarray):
        return None if record is None else record[rows]
    return replace(record, **{name: cut(value, rows) for name, value in vars(record).items()})
