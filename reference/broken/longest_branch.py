"""Two windows of drafts are verified, and the one that commits more is kept."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import torch
from torch import Tensor

from reference.broken.fault import Fault
from reference.decoder import DecodeOutput, make_settings
from reference.draws import Purpose, inverse_cdf, uniform_pair
from reference.kernel import JacobiState, Settings, init, step
from reference.methods import get_method
from reference.models.base import TargetModel, check_model, open_session
from reference.plain import PlainDecoder, PlainState, Slot
from reference.recording import make_writer, report, to_host
from scd_analysis.conditions import Condition
from scd_analysis.trace import open_trace

BRANCHES = 2
OTHER_PASSES = 2**20
"""Added to the pass in the keys of the branches' drafts."""


def _rows(record: Any, index: Tensor) -> Any:
    """The rows ``index`` of a state or an info."""
    parts = {f.name: getattr(record, f.name) for f in fields(record)}
    return replace(record, **{n: t[index] for n, t in parts.items() if isinstance(t, Tensor) and t.ndim > 0})


def _branch(settings: Settings, state: JacobiState, sequence: Tensor) -> JacobiState:
    """Copy the kept branch and let every other one draw drafts of its own from the same declared laws."""
    state = replace(_rows(state, torch.arange(len(sequence)) // BRANCHES), sequence=sequence)
    slots = torch.arange(settings.window)
    position = (state.base[:, None] + slots).clamp(max=settings.num_tokens - 1)
    uniform, _ = uniform_pair(settings.seed, Purpose.DRAFT, sequence[:, None], position, state.iteration + OTHER_PASSES)
    other = (torch.arange(len(sequence)) % BRANCHES > 0)[:, None] & (state.age > 0)
    inside = other & (state.base[:, None] + slots < settings.num_tokens)
    drawn = torch.where(inside, inverse_cdf(state.draft_probs, uniform), state.tokens.gather(1, position))
    tokens = torch.cat([state.tokens, state.tokens[:, :1]], dim=1)
    spot = torch.where(inside, position, settings.num_tokens)
    return replace(state, tokens=tokens.scatter(1, spot, drawn)[:, : settings.num_tokens])


@torch.no_grad()
def run(
    fault: Fault, model: TargetModel, window: int, num_sequences: int, seed: int, record: str | None
) -> DecodeOutput:
    """Decode with the kernel, two rows a sequence."""
    settings = make_settings(model, fault.method, window, seed, check_model(model))
    sequence = torch.arange(num_sequences * BRANCHES)
    session, state = open_session(model, len(sequence), torch.device("cpu")), init(settings, sequence)
    writer = make_writer(settings, model, record, window, num_sequences) if record is not None else None
    if writer is not None:
        writer.begin_batch(num_sequences)
    nfe = torch.zeros(num_sequences, dtype=torch.long)
    while bool((state.base < settings.num_tokens).any()):
        unfinished = state.base[::BRANCHES] < settings.num_tokens
        nfe[unfinished] += 1
        state, info = step(settings, session, state, settings.num_tokens - 1)
        best = info.num_committed.view(-1, BRANCHES).argmax(1) + torch.arange(num_sequences) * BRANCHES
        if writer is not None:
            host = to_host(report(_rows(info, best[unfinished]), record))
            writer.write_rows(torch.nonzero(unfinished)[:, 0].numpy(), host)
        session.keep(best.repeat_interleave(BRANCHES))
        state = _branch(settings, _rows(state, best), sequence)
    tokens = state.tokens[::BRANCHES].clone()
    if writer is None:
        return DecodeOutput(tokens, nfe, None, fault.method)
    with writer:
        writer.finish_batch(tokens=tokens, nfe=nfe)
    return DecodeOutput(tokens, nfe, open_trace(writer.store), fault.method)


class _Tagged:
    """Draws of one branch: the same interface, keys of its own."""

    def __init__(self, draws: Any, branch: int) -> None:
        self._draws, self._branch, self.number = draws, branch, draws.number

    def _key(self, key: tuple[Any, ...]) -> tuple[Any, ...]:
        return ((self._branch, key[0]), *key[1:])

    def uniform(self, key: tuple[Any, ...]) -> Any:
        """See :mod:`scd_analysis.exact.draws`."""
        return self._draws.uniform(self._key(key))

    def categorical(self, key: tuple[Any, ...], weights: Any) -> int:
        """See :mod:`scd_analysis.exact.draws`."""
        return int(self._draws.categorical(self._key(key), weights))

    def residual(self, key: tuple[Any, ...], target_probs: Any, draft_probs: Any) -> int:
        """See :mod:`scd_analysis.exact.draws`."""
        return int(self._draws.residual(self._key(key), target_probs, draft_probs))


class Plain(PlainDecoder):
    """The same, one sequence."""

    def _pass(self, state: PlainState, slots: list[Slot], draws: Any) -> PlainState:
        base, ends = len(state.committed), []
        for branch in range(BRANCHES):
            own = slots
            if branch:
                keys = [((branch, "draft"), base + i, state.iteration) for i in range(len(slots))]
                own = [
                    s if s.previous is None else replace(s, token=draws.categorical(key, s.law))
                    for s, key in zip(slots, keys, strict=True)
                ]
            ends.append(super()._pass(state, own, _Tagged(draws, branch)))
        return max(ends, key=lambda end: len(end.committed))


FAULT = Fault(
    name="longest-branch",
    condition=Condition.SELECTION,
    summary="two branches of drafts are verified, each rightly, and the one that commits more is kept",
    source="PathExplore (arXiv:2606.10492) and trees that keep the longest row; its claim: quality is kept",
    of=replace(get_method("sjd"), name="longest-branch", lossless=False),
    plain=Plain,
    run=run,
    rival=True,
    same_noise=False,
)
