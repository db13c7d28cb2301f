"""A trace of assisted generation: what transformers verifies, seen at its verification function.

One pass of the target model, with K drafts behind ``base`` tokens, is one call::

    slot        0     1    ...   K-1
    draft      d0    d1          d_K-1       candidate_input_ids, the last K
    declared   q0    q1          q_K-1       softmax of candidate_logits
    target     p0    p1          p_K-1       softmax of new_logits; its row K is the law of the bonus token

Tokens that the library draws without drafts (the last one of a sequence, mostly) are passes that commit a bonus token.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from scd_analysis.evidence.batch import Floats, Longs

if TYPE_CHECKING:
    import xarray as xr


@dataclass(frozen=True)
class Verified:
    """One call of the verification function.

    Attributes
    ----------
    length : int
        Tokens before it, the prompt included.
    drafts : Long[K]
    draft_probs, target_probs : Float[K, V]
    num_accepted, num_valid : int
        Drafts accepted, and tokens that the call commits.
    """

    length: int
    drafts: Longs
    draft_probs: Floats
    target_probs: Floats
    num_accepted: int
    num_valid: int


@dataclass(frozen=True)
class Generated:
    """One sequence.

    Attributes
    ----------
    tokens : Long[N]
        Filled up after an end-of-sequence token.
    num_generated : int
        Without what was filled up.
    verified : list of Verified
    """

    tokens: Longs
    num_generated: int
    verified: list[Verified]


Watching = Callable[[list[Verified]], AbstractContextManager[None]]
"""Notes every pass of a call in a list; no draw is changed."""


def watcher(*, looked_up: bool) -> Watching | None:
    """What to watch a call by; None where this version of transformers has not what is looked for.

    Parameters
    ----------
    looked_up : bool
        Whether drafts are copied from the text so far, and verified by exact match.
    """
    from transformers.generation import candidate_generator, utils

    if not looked_up:
        return watching if callable(getattr(utils, "_speculative_sampling", None)) else None
    lookup = getattr(candidate_generator, "PromptLookupCandidateGenerator", None)
    there = all(callable(getattr(lookup, name, None)) for name in ("get_candidates", "update_candidate_strategy"))
    return looking_up if there else None


@contextmanager
def looking_up(seen: list[Verified]) -> Iterator[None]:
    """Note what prompt lookup proposes, and what became of it; no draw is changed.

    A token is drawn from the target at every slot, and drafts count as accepted as long as they equal it: the drafts
    are point masses, whose acceptance follows from the tokens.
    """
    from transformers.generation.candidate_generator import PromptLookupCandidateGenerator as Lookup

    proposed, updated = Lookup.get_candidates, Lookup.update_candidate_strategy
    last: list[tuple[int, Longs]] = []

    def propose(self: Any, input_ids: Any, *args: Any, **kwargs: Any) -> Any:
        found = proposed(self, input_ids, *args, **kwargs)
        length = input_ids.shape[1]
        last[:] = [(length, found[0][0, length:].cpu().numpy())]
        return found

    def update(self: Any, input_ids: Any, scores: Any, *args: Any, **kwargs: Any) -> Any:
        ((length, drafts),) = last
        laws = scores[0, : len(drafts)].float().softmax(dim=-1).cpu().numpy()
        committed = input_ids[0, length:].cpu().numpy()
        number = min(len(drafts), len(committed))
        accepted = int(np.cumprod(drafts[:number] == committed[:number]).sum())
        points = np.zeros_like(laws)
        np.put_along_axis(points, drafts[:, None], 1.0, axis=-1)
        seen.append(Verified(length, drafts, points, laws, accepted, len(committed)))
        return updated(self, input_ids, scores, *args, **kwargs)

    Lookup.get_candidates, Lookup.update_candidate_strategy = propose, update
    try:
        yield
    finally:
        Lookup.get_candidates, Lookup.update_candidate_strategy = proposed, updated


@contextmanager
def watching(seen: list[Verified]) -> Iterator[None]:
    """Note every call of the verification function; no draw is changed."""
    from transformers.generation import utils

    original = utils._speculative_sampling
    signature = inspect.signature(original)

    def watch(*args: Any, **kwargs: Any) -> Any:
        given = signature.bind(*args, **kwargs).arguments
        number = int(given["candidate_length"])
        declared, target = (
            given[name][0, :number].float().softmax(dim=-1).cpu().numpy() for name in ("candidate_logits", "new_logits")
        )
        ids = given["candidate_input_ids"][0]
        valid, matches = original(*args, **kwargs)
        drafts, num_accepted = ids[len(ids) - number :].cpu().numpy(), int(matches)
        if given.get("is_done_candidate", False) and valid[0].cpu().tolist() == drafts.tolist():
            num_accepted = number  # accepted whole, without a bonus token after the end of the sequence
        seen.append(Verified(len(ids) - number, drafts, declared, target, num_accepted, valid.shape[1]))
        return valid, matches

    utils._speculative_sampling = watch
    try:
        yield
    finally:
        utils._speculative_sampling = original


@dataclass(frozen=True)
class _Pass:
    base: int
    verified: Verified | None
    num_drafts: int
    num_committed: int


def _passes(sequence: Generated, prompt_length: int, end_tokens: Longs) -> list[_Pass]:
    """Put the passes of one sequence in order; what lies between calls was drawn token by token."""
    out: list[_Pass] = []
    position = 0
    for verified in sequence.verified:
        base = verified.length - prompt_length
        out += [_Pass(place, None, 0, 1) for place in range(position, base)]
        ends = np.flatnonzero(np.isin(verified.drafts, end_tokens))
        num_drafts = int(ends[0]) + 1 if len(ends) else len(verified.drafts)  # nothing comes after an end
        position = min(base + verified.num_valid, sequence.num_generated)
        out.append(_Pass(base, verified, num_drafts, position - base))
    return [*out, *(_Pass(place, None, 0, 1) for place in range(position, sequence.num_generated))]


def make_trace(
    sequences: list[Generated],
    *,
    prompt_length: int,
    end_tokens: Longs,
    vocab_size: int,
    record: str,
    **attributes: Any,
) -> xr.Dataset:
    """Write what was seen as a trace.

    Parameters
    ----------
    sequences : list of Generated
    prompt_length : int
    end_tokens : Long[E]
        End-of-sequence tokens.
    vocab_size : int
    record : str
        ``"laws"`` or ``"scalars"``.
    **attributes
        Of the trace.
    """
    from scd_analysis.trace import TraceWriter, open_trace

    passes = [_passes(sequence, prompt_length, end_tokens) for sequence in sequences]
    window = max([1, *(one.num_drafts for own in passes for one in own)])
    longest = max(len(own) for own in passes)
    tokens = np.stack([sequence.tokens for sequence in sequences])
    sizes = {"vocab_size": vocab_size, "num_tokens": tokens.shape[1], "window": window}
    with TraceWriter(
        None, **sizes, decoder="transformers", laws=record == "laws", chunk=longest, **attributes
    ) as writer:
        writer.begin_batch(len(sequences))
        for t in range(longest):
            index = [i for i, own in enumerate(passes) if t < len(own)]
            writer.append(sequence=index, **_rows([passes[i][t] for i in index], tokens[index], window, vocab_size))
        writer.finish_batch(tokens=tokens, nfe=[len(own) for own in passes])
    return open_trace(writer.store)


def _rows(passes: list[_Pass], tokens: Longs, window: int, vocab_size: int) -> dict[str, npt.NDArray[Any]]:
    """Lay one pass of several sequences out as the trace wants it."""
    shape = (len(passes), window)
    drafts, after = np.full(shape, -1), np.zeros(shape, dtype=np.int64)
    accepted, committed = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
    declared, target = np.full((*shape, vocab_size), np.nan), np.full((*shape, vocab_size), np.nan)
    bonus = np.full(len(passes), -1)
    for i, one in enumerate(passes):
        kept = min(one.num_committed, one.num_drafts)
        if one.verified is not None:
            number = one.num_drafts
            drafts[i, :number] = after[i, :number] = one.verified.drafts[:number]
            after[i, :kept] = tokens[i, one.base : one.base + kept]
            accepted[i, : min(one.verified.num_accepted, number)] = 1
            committed[i, :kept] = 1
            declared[i, :number], target[i, :number] = (
                laws[:number] for laws in (one.verified.draft_probs, one.verified.target_probs)
            )
        if one.num_committed > kept:
            bonus[i] = tokens[i, one.base + kept]
    return {
        "base": np.array([one.base for one in passes]),
        "draft_token": drafts,
        "next_token": after,
        "accepted": accepted,
        "committed": committed,
        "bonus_token": bonus,
        "age": np.zeros(shape, dtype=np.int64),
        "draft_probs": declared,
        "target_probs": target,
    }
