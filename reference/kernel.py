"""Speculative Jacobi decoding as one kernel: ``init``, then ``step`` until every sequence is complete.

A step is one forward pass. It reads the laws of the window, verifies every draft, commits up to and including the first
rejection (or all, and a bonus token), redrafts the rest, and moves the window. It reads nothing back from the device.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from reference.drafting import Sweep
from reference.draws import Purpose, exponentials, inverse_cdf, uniform_pair, uniform_pairs
from reference.fast.scan import LawScalars
from reference.methods import Method
from reference.models.base import Session, held_laws
from reference.verification import Check
from scd_analysis.errors import InputError


@dataclass(frozen=True)
class Settings:
    """What stays the same during a decode.

    Attributes
    ----------
    method : Method
        The decoder.
    window : int
        L, drafts a pass; 0 for ancestral sampling.
    vocab_size, num_tokens : int
        V and N.
    seed : int
        Of every draw.
    width : int or None
        Tokens a row of the image, for initial drafts from the upper neighbour.
    dtype : torch.dtype
        In which laws are held.
    measure : bool
        Whether the scalars of a trace are wanted.
    """

    method: Method
    window: int
    vocab_size: int
    num_tokens: int
    seed: int
    width: int | None
    dtype: torch.dtype
    measure: bool = False


@dataclass(frozen=True)
class JacobiState:
    """What the next step needs. B sequences, window of L slots, slot s is position ``base + s``.

    Attributes
    ----------
    sequence : Tensor
        Long[B], which sequence each row is; keys its draws.
    tokens : Tensor
        Long[B, N], committed tokens before ``base``, drafts in the window, after it random first drafts.
    base : Tensor
        Long[B], number of committed tokens.
    draft_probs : Tensor
        Float[B, L, V], the law each draft was drawn from.
    age : Tensor
        Long[B, L], passes since the position entered the window; 0 for an initial draft.
    previous_probs : Tensor or None
        Float[B, L, V], the last target law of each position (``draft_probs`` where there is none).
    race : Tensor or None
        Float[B, L, V], exponentials of the positions, in a ring: position j lies at ``j mod L``.
    iteration : Tensor
        Long[], passes made.
    opening : bool
        Whether none was made.
    """

    sequence: Tensor
    tokens: Tensor
    base: Tensor
    draft_probs: Tensor
    age: Tensor
    previous_probs: Tensor | None
    race: Tensor | None
    iteration: Tensor
    opening: bool


@dataclass(frozen=True)
class SweepInfo:
    """What one step did, for whoever watches.

    Attributes
    ----------
    sequence, base : Tensor
        Long[B], as before the step.
    num_accepted, num_committed : Tensor
        Long[B], leading accepted drafts, and tokens committed (with the residual or bonus draw).
    bonus_token : Tensor
        Long[B], -1 where none was drawn.
    draft_token, next_token : Tensor
        Long[B, L], the draft that was verified (-1 where none was), and the token the position holds afterwards.
    age : Tensor
        Long[B, L], of the draft.
    accepted, committed, in_window : Tensor
        Bool[B, L]; a slot past the last token is not in the window, nor is any in a pass that drafts nothing.
    uniform : Tensor
        Float64[B, L], the acceptance variates.
    target_probs, draft_probs : Tensor
        Float[B, L, V], the laws that were compared.
    laws_bad : Tensor
        Bool[], whether the model returned something that is not a law.
    scalars : LawScalars or None
        Of the two laws, where verification computed them.
    """

    sequence: Tensor
    base: Tensor
    num_accepted: Tensor
    num_committed: Tensor
    bonus_token: Tensor
    draft_token: Tensor
    next_token: Tensor
    age: Tensor
    accepted: Tensor
    committed: Tensor
    in_window: Tensor
    uniform: Tensor
    target_probs: Tensor
    draft_probs: Tensor
    laws_bad: Tensor
    scalars: LawScalars | None


def init(settings: Settings, sequence: Tensor) -> JacobiState:
    """Nothing committed, a window of initial drafts.

    Parameters
    ----------
    settings : Settings
        Of the decode.
    sequence : Tensor
        Long[B], the sequences to draw.
    """
    batch, window, vocab = len(sequence), settings.window, settings.vocab_size
    device, rule = sequence.device, settings.method.drafting
    zeros = torch.zeros(batch, dtype=torch.long, device=device)
    position = torch.arange(settings.num_tokens, device=device)
    uniform, _ = uniform_pair(settings.seed, Purpose.INITIAL, sequence[:, None], position + zeros[:, None], 0)
    laws = torch.zeros(batch, window, vocab, dtype=settings.dtype, device=device)
    state = JacobiState(
        sequence=sequence,
        tokens=(uniform * vocab).long(),
        base=zeros,
        draft_probs=laws,
        age=torch.zeros(batch, window, dtype=torch.long, device=device),
        previous_probs=laws.clone() if rule is not None and rule.needs_previous else None,
        race=torch.ones_like(laws) if settings.method.needs_race else None,
        iteration=torch.zeros((), dtype=torch.long, device=device),
        opening=True,
    )
    return _enter(settings, state, torch.ones(batch, window, dtype=torch.bool, device=device))


def fill_race(settings: Settings, state: JacobiState, row: Tensor, position: Tensor) -> None:
    """Make the race noise of positions that entered the window; in place, each position once.

    Parameters
    ----------
    settings : Settings
        Of the decode.
    state : JacobiState
        Whose ring is written.
    row, position : Tensor
        Long[n], rows of the batch and their new positions, known to the host.
    """
    if state.race is not None:
        noise = exponentials(settings.seed, state.sequence[row], position, settings.vocab_size, settings.dtype)
        state.race[row, position % settings.window] = noise


def step(settings: Settings, session: Session, state: JacobiState, reach: int) -> tuple[JacobiState, SweepInfo]:
    """One Jacobi iteration of every sequence.

    Parameters
    ----------
    settings : Settings
        Of the decode.
    session : Session
        Where laws come from.
    state : JacobiState
        Not changed, but for the session's cache.
    reach : int
        No window reaches past this position; known to the host so that the step need not ask the device.

    Returns
    -------
    tuple of (JacobiState, SweepInfo)
        The next state and what happened.
    """
    window, last = settings.window, settings.num_tokens - 1
    slots = torch.arange(window + 1, device=state.base.device)
    rows = (state.base[:, None] + slots).clamp(max=last)
    probs, laws_bad = held_laws(_laws(session, state.tokens, rows, reach), settings.dtype)
    if settings.method.greedy:
        probs = torch.zeros_like(probs).scatter_(-1, probs.argmax(-1, keepdim=True), 1.0)
    target, position = probs[:, :window], rows[:, :window]
    num_drafts = 0 if state.opening and settings.method.copies else window
    in_window = (slots[:window] < num_drafts) & (state.base[:, None] + slots[:window] <= last)

    purposes = (Purpose.VERIFY, Purpose.DRAFT, Purpose.BONUS)
    pairs = uniform_pairs(settings.seed, purposes, state.sequence[:, None], rows, state.iteration)
    (to_accept, to_replace), to_redraft, (to_add, _) = pairs

    # Verify every slot on its own.
    rule, race = settings.method.verification, _race(settings, state, position)
    draft_token = state.tokens.gather(1, position)
    laws, variates = (target, state.draft_probs), (to_accept[:, :window], to_replace[:, :window])
    check = Check(*laws, draft_token, *variates, in_window, state.age, race, settings.measure)
    accepted, verified, uniform, limit, scalars = rule.verify(check)

    # Commit the leading accepted drafts, then one more: the residual draw, or the bonus when nothing was rejected.
    num_accepted = (accepted & in_window).long().cumprod(1).sum(1)
    num_in_window = in_window.sum(1)
    committed = (slots[:window] <= num_accepted[:, None]) & in_window
    has_bonus = (num_accepted == num_in_window) & (state.base + num_in_window <= last)
    if limit is not None:
        committed &= slots[:window] < limit[:, None]
        has_bonus &= num_in_window < limit
    bonus_probs = rule.bonus_probs(probs) if num_drafts else probs[:, 0]
    bonus_token = torch.where(has_bonus, inverse_cdf(bonus_probs, to_add[:, num_drafts]), -1)
    num_committed = committed.sum(1) + has_bonus

    # Redraft what was not committed.
    drafts, declared = _redraft(settings, state, check, position, accepted, verified, to_redraft)
    next_token = torch.where(committed, verified, drafts)
    tokens = _write(state.tokens, position, next_token, in_window)
    tokens = _write(tokens, rows[:, num_drafts, None], bonus_token[:, None], has_bonus[:, None])

    moved = _move(settings, replace(state, tokens=tokens), target, declared, num_committed, num_drafts)
    info = SweepInfo(
        sequence=state.sequence,
        base=state.base,
        num_accepted=num_accepted,
        num_committed=num_committed,
        bonus_token=bonus_token,
        draft_token=torch.where(in_window, draft_token, -1),
        next_token=next_token,
        age=state.age,
        accepted=accepted,
        committed=committed,
        in_window=in_window,
        uniform=uniform,
        target_probs=target,
        draft_probs=state.draft_probs,
        laws_bad=laws_bad,
        scalars=scalars,
    )
    return moved, info


def _laws(session: Session, tokens: Tensor, rows: Tensor, reach: int) -> Tensor:
    """Ask for laws, and see that nothing was written into what was handed out; that costs no time on the device."""
    given = [tensor for tensor in (tokens, rows) if not tensor.is_inference()]  # these count no versions
    before = [tensor._version for tensor in given]
    probs = session.laws(tokens, rows, reach)
    if [tensor._version for tensor in given] != before:
        raise InputError(f"{type(session).__name__}.laws wrote into its tokens or rows, which are the decoder's own")
    return probs


def _write(tokens: Tensor, position: Tensor, values: Tensor, where: Tensor) -> Tensor:
    """Copy of ``tokens`` with ``values`` at ``position`` where ``where``; the rest lands in a column that is cut."""
    length = tokens.shape[1]
    scratch = torch.cat([tokens, tokens[:, :1]], dim=1)
    return scratch.scatter(1, torch.where(where, position, length), values)[:, :length]


def _race(settings: Settings, state: JacobiState, position: Tensor) -> Tensor | None:
    """The exponentials of every slot's position, out of the ring."""
    if state.race is None:
        return None
    ring = (position % settings.window)[..., None].expand(-1, -1, settings.vocab_size)
    return state.race.gather(1, ring)


def _redraft(
    settings: Settings,
    state: JacobiState,
    check: Check,
    position: Tensor,
    accepted: Tensor,
    verified: Tensor,
    variates: tuple[Tensor, Tensor],
) -> tuple[Tensor, Tensor]:
    """Next drafts of every slot and the laws declared for them."""
    rule, target = settings.method.drafting, check.target_probs
    if rule is None:
        return verified, target
    previous = state.previous_probs
    if previous is not None:
        previous = torch.where((state.age == 0)[..., None], target, previous)
    uniform, coin = (variate[:, : settings.window] for variate in variates)
    return rule.draft(
        Sweep(
            target_probs=target,
            previous_probs=previous,
            verified=verified,
            uniform=uniform,
            coin=coin,
            race=check.race,
            draft_token=check.draft_token,
            draft_probs=check.draft_probs,
            accepted=accepted,
            position=position,
        )
    )


def _move(
    settings: Settings, state: JacobiState, target: Tensor, declared: Tensor, num_committed: Tensor, num_drafts: int
) -> JacobiState:
    """Advance the window past what was committed; slots that enter get initial drafts."""
    window = settings.window
    source = torch.arange(window, device=target.device) + num_committed[:, None]
    entering = source >= num_drafts
    source = source.clamp(max=max(window - 1, 0))
    index = source[..., None].expand(-1, -1, settings.vocab_size)
    moved = replace(
        state,
        base=state.base + num_committed,
        draft_probs=declared.gather(1, index),
        age=state.age.gather(1, source) + 1,
        previous_probs=None if state.previous_probs is None else target.gather(1, index),
        iteration=state.iteration + 1,
        opening=False,
    )
    return _enter(settings, moved, entering)


def _enter(settings: Settings, state: JacobiState, entering: Tensor) -> JacobiState:
    """Give the slots ``entering`` (Bool[B, L], a suffix of the window) initial drafts; their laws are set in place."""
    window, last = settings.window, settings.num_tokens - 1
    if window == 0:
        return state
    slots = torch.arange(window, device=state.base.device)
    position = (state.base[:, None] + slots).clamp(max=last)
    inside = state.base[:, None] + slots <= last
    drafts = _initial_tokens(settings, state, position, entering)
    point = settings.method.initial_law == "point"
    laws = state.draft_probs.masked_fill_(entering[..., None], 0 if point else 1 / settings.vocab_size)
    if point:
        at = drafts[..., None]
        laws.scatter_(-1, at, torch.where(entering[..., None], 1.0, laws.gather(-1, at)).to(laws.dtype))
    return replace(
        state,
        tokens=_write(state.tokens, position, drafts, entering & inside),
        draft_probs=laws,
        age=torch.where(entering, 0, state.age),
    )


def _initial_tokens(settings: Settings, state: JacobiState, position: Tensor, entering: Tensor) -> Tensor:
    """First drafts, Long[B, L]: random, or copies of a neighbour that is not itself entering."""
    if settings.method.initial == "uniform":
        return state.tokens.gather(1, position)
    first = torch.where(entering, position, settings.num_tokens).amin(1, keepdim=True)  # the first position that enters
    neighbour = (first - 1).expand_as(position)
    if settings.method.initial == "upper":
        width = settings.width
        assert width is not None
        above = position - width * ((position - first) // width + 1)
        neighbour = torch.where(above >= 0, above, neighbour)
    return state.tokens.gather(1, neighbour.clamp(min=0))  # below 0 only before the first pass, which drafts nothing
