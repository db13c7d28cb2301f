"""How the windows of a call are laid out for a function, and what engines hand over with them.

Three windows a b c, d and e f, of at most L = 3 drafts::

    rows      only windows of L drafts                                              [[a b c] [. . .] [. . .]]
    padded    Long[B, L], and lengths 3 1 2 or placeholders that say where one ends [[a b c] [d - -] [e f -]]
    flat      Long[sum of lengths], with counts 3 1 2 or their running sum 3 4 6    [a b c d e f]
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np

from scd_analysis.audit.commits import Bools
from scd_analysis.errors import InputError
from scd_analysis.evidence.batch import Longs
from scd_analysis.validate import as_array, check_known, refuse_where

LAYOUTS = ("rows", "padded", "flat")

LENGTHS = ("lengths", "length_list", "longest")
RUNNING = ("cumulative_lengths", "boundaries")
"""Roles that say how long windows are; the second kind says where each starts as well."""

MAPS = ("draft_to_target", "draft_to_target_offsets")
"""Roles that say which token of the target a number of the draft's vocabulary stands for."""

DRAFT_LAWS = ("draft_probs", "draft_logits")

SLOTS = ("draft_tokens", "draft_vocab_tokens", *DRAFT_LAWS, "target_probs", "target_logits", "target_with_bonus_probs",
         "uniforms")  # fmt: skip
"""Roles with a slot for each draft, and mostly one for the token after the last."""


def settled_layout(layout: str | None, roles: tuple[str, ...]) -> str:
    """Choose how windows are laid out, by what the function takes if it is not said.

    Raises
    ------
    InputError
        If the function takes lengths, and they may belong to either layout.
    UnknownNameError
        If there is no such layout.
    """
    if layout is not None:
        check_known(layout, LAYOUTS, "layout")
        return layout
    if any(role in roles for role in RUNNING):
        return "flat"
    if any(role in roles for role in LENGTHS):
        raise InputError(
            "layout = None: the function takes the lengths of its windows; say whether each is a row with its end "
            "padded, layout='padded', or they lie end to end, layout='flat' (or layout='rows' to try full ones only)"
        )
    return "rows"


def draft_vocabulary(ids: Any, vocab_size: int, roles: tuple[str, ...]) -> Longs | None:
    """Tokens of the target that the draft's vocabulary holds, in its order; None where it is the target's own.

    A function that takes a map and is given none is tried with one that leaves out every third token.

    Raises
    ------
    InputError
        If an id is none of the target's, or comes twice.
    """
    if ids is None:
        takes_map = any(role in roles for role in (*MAPS, "draft_vocab_tokens"))
        return np.flatnonzero(np.arange(vocab_size) % 3) if takes_map else None
    found = as_array(ids, "draft_to_target", np.int64)
    if found.ndim != 1 or not len(found):
        raise InputError(f"draft_to_target has shape {found.shape}: expected ids of the target, one a draft token")
    refuse_where(
        (found < 0) | (found >= vocab_size), found, "draft_to_target", f"not a token of a vocabulary of {vocab_size}"
    )
    twice = np.array([(found[:i] == own).any() for i, own in enumerate(found)])
    refuse_where(twice, found, "draft_to_target", "comes twice")
    return found


def in_draft_vocabulary(arrays: dict[str, Any], ids: Longs, roles: tuple[str, ...]) -> dict[str, Any]:
    """Write draft laws, and drafts where a function wants them so, in the numbers of the draft's vocabulary."""
    number = np.full(int(ids.max()) + 1, -1)
    number[ids] = np.arange(len(ids))
    out = {
        **arrays,
        "draft_to_target": ids,
        "draft_to_target_offsets": ids - np.arange(len(ids)),
        "draft_vocab_tokens": number[arrays["draft_tokens"]],
    }
    if any(role in roles for role in (*MAPS, "draft_vocab_tokens")):
        out |= {name: arrays[name][..., ids] for name in DRAFT_LAWS}
    return out


@dataclass(frozen=True)
class Layout:
    """How a function wants the windows of a call.

    Attributes
    ----------
    name : str
        One of :data:`LAYOUTS`.
    window : int
        L.
    padding : int
        What stands behind the last draft of a padded window; laws there are zero.
    """

    name: str
    window: int
    padding: int

    def lay_out(self, values: Mapping[str, Any], lengths: Longs) -> dict[str, Any]:
        """Lay out what has a slot for each draft, :data:`SLOTS`; all else stays as it is.

        Parameters
        ----------
        values : mapping of str to array or tensor
            By role, of the windows of one call.
        lengths : Long[b]
        """
        if self.name == "rows":
            return dict(values)
        out = {}
        for role, value in values.items():
            there = self._there(role, value, lengths)
            if there is None:
                out[role] = value
            elif self.name == "flat":
                out[role] = value[_like(there, value)]
            else:
                out[role] = self._padded(role, value, there)
        return out

    def _there(self, role: str, value: Any, lengths: Longs) -> Bools | None:
        """Which slots are there, Bool[b, L] or Bool[b, L + 1]; None of what has no slots."""
        if role not in SLOTS or value is None:
            return None
        more = value.shape[1] - self.window
        return np.asarray(np.arange(value.shape[1]) < (lengths + more)[:, None])

    def _padded(self, role: str, value: Any, there: Bools) -> Any:
        """Fill what is behind the last draft; the target's rows stay, as an engine's would be anything."""
        if role not in ("draft_tokens", "draft_vocab_tokens", *DRAFT_LAWS):
            return value
        fill = self.padding if role.endswith("tokens") else 0.0 if role == "draft_probs" else -np.inf
        out = value.copy() if isinstance(value, np.ndarray) else value.clone()
        out[_like(~there, value)] = fill
        return out


def _like(mask: Bools, value: Any) -> Any:
    """A mask in the library of what it is put on."""
    if isinstance(value, np.ndarray):
        return mask
    import torch

    return torch.from_numpy(mask).to(value.device)


def counted(lengths: Longs) -> dict[str, Any]:
    """What says how long windows are, by role."""
    return {
        "lengths": lengths,
        "length_list": lengths.tolist(),
        "longest": int(lengths.max(initial=0)),
        "cumulative_lengths": lengths.cumsum(),
        "boundaries": np.concatenate([[0], lengths.cumsum()]),
    }


def request_settings(num_rows: int, generators: list[Any], ones: Callable[[int], Any]) -> SimpleNamespace:
    """Settings of plain requests: temperature 1, no filter, no penalty, every second with a generator of its own.

    Parameters
    ----------
    num_rows : int
    generators : list
        One a row.
    ones : callable
        From a number to an array or tensor of ones.
    """
    return SimpleNamespace(
        all_greedy=False,
        all_random=True,
        temperature=ones(num_rows),
        top_k=None,
        top_p=None,
        min_p=None,
        generators={i: own for i, own in enumerate(generators) if i % 2 == 0},
        no_penalties=True,
        allowed_token_ids_mask=None,
        bad_words_token_ids={},
        max_num_logprobs=None,
        output_token_ids=[[] for _ in range(num_rows)],
        spec_token_ids=None,
    )


def row_seeds(seed: int, num_rows: int) -> Longs:
    """A seed for the generator of every row."""
    return np.asarray(np.random.SeedSequence([seed, 1]).generate_state(num_rows, np.uint64) >> 1, dtype=np.int64)
