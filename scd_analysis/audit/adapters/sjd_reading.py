"""What samplers of speculative Jacobi decoding take and return, in the ways that are common.

One window of L = 4 drafts a b c d: a and b are accepted, c is replaced by x, and e is the next draft behind it::

    accepted, tokens         2, [a b x e]      how many drafts were accepted, and the window afterwards
    committed, tokens        3, [a b x e]      how many tokens are committed
    accepted, replacement    2, x              next drafts are the advanced tokens
    committed_tokens         [a b x]           their number says how many
    prob                     Float[4, V]       laws declared for the window afterwards
    next_drafts, next_prob   [e], Float[1, V]  what comes behind the committed tokens, and laws declared for it
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import numpy as np

from scd_analysis.audit.adapters.calls import Roles
from scd_analysis.errors import InputError
from scd_analysis.validate import check_known

ROLES = Roles(
    "sjd_sampler",
    {
        "draft_tokens": ("draft_token", "draft_ids", "draft_token_ids", "drafts", "draft", "old_tokens",
                         "previous_tokens", "prev_tokens", "last_tokens", "current_tokens", "candidate_tokens"),
        "advanced_tokens": ("advanced_token", "advanced_ids", "advance_tokens", "new_tokens", "next_tokens",
                            "sampled_tokens", "target_tokens", "updated_tokens"),
        "draft_prob": ("draft_probs", "draft_probabilities", "draft_laws", "draft_dist", "old_prob", "old_probs",
                       "previous_probs", "prev_probs", "last_probs"),
        "advanced_prob": ("advanced_probs", "advanced_probabilities", "advance_probs", "new_prob", "new_probs",
                          "next_probs", "target_prob", "target_probs", "target_laws", "target_dist"),
        "draft_logits": ("draft_logprobs", "draft_log_probs", "old_logits", "prev_logits"),
        "advanced_logits": ("advanced_logprobs", "new_logits", "next_logits", "target_logits", "target_logprobs"),
        "uniforms": ("uniform_samples", "uniform_probs"),
        "prefix": ("input_ids", "committed_tokens", "context"),
        "base": ("position", "start", "offset"),
        "generator": ("rng", "gen"),
        "seed": ("random_seed",),
    },
    ("draft_tokens", "advanced_tokens", "draft_prob", "advanced_prob"),
)  # fmt: skip
"""What a sampler can be given: Long[B, L], Long[B, L], Float[B, L, V] twice and their logarithms, Float[B, L], the
committed tokens Long[B, base] and their number, a generator, an integer."""

PARTS = (
    "accepted",
    "committed",
    "tokens",
    "committed_tokens",
    "replacement",
    "prob",
    "next_drafts",
    "next_prob",
    "unused",
)

COUNTS = {"accepted", "committed", "committed_tokens"}
"""Each of them says how far a window was committed."""

_NAMES = {
    "accepted": ("num_accepted", "accepted_count", "num_matched", "matched", "accept_mask", "accept"),
    "committed": ("num_committed", "num_tokens"),
    "tokens": ("window_tokens", "updated_tokens"),
    "committed_tokens": ("output_tokens", "emitted", "emitted_tokens"),
    "replacement": ("replacement_token", "next_token", "recovered_token", "resampled"),
    "prob": ("probs", "window_probs", "laws"),
    "next_drafts": ("next_draft", "next_draft_tokens", "draft_tokens", "next_tokens", "drafts"),
    "next_prob": ("next_probs", "next_draft_prob", "next_draft_probs", "draft_prob", "draft_probs"),
}


@dataclass(frozen=True)
class Window:
    """What a pass gave to a sampler, one row a sequence.

    Attributes
    ----------
    drafts, advanced : tensor
        Long[B, L], and Long[B, L] or, with a bonus, Long[B, L + 1].
    draft_prob, advanced_prob : tensor
        Float[B, L, V], and Float[B, L, V] or, with a bonus, Float[B, L + 1, V].
    """

    drafts: Any
    advanced: Any
    draft_prob: Any
    advanced_prob: Any

    @property
    def size(self) -> int:
        """L."""
        return int(self.drafts.shape[1])

    @property
    def bonus(self) -> bool:
        """Whether a window accepted whole commits one token more."""
        return bool(self.advanced.shape[1] > self.size)


@dataclass(frozen=True)
class After:
    """What became of one row of a window.

    Attributes
    ----------
    accepted : int
        Drafts accepted.
    tokens, prob : tensor
        Long[L] or Long[L + 1], and laws Float[..., V] that are declared for what lies behind the committed tokens.
    committed : int
        How many of the tokens are.
    """

    accepted: int
    tokens: Any
    prob: Any
    committed: int


def parts_of(returned: Any, returns: Any, rows: int) -> dict[str, Any]:
    """Name the parts of what a sampler returned.

    Parameters
    ----------
    returned : object
        A tuple or list of parts, one part, or a mapping or record of parts by name.
    returns : sequence of str, mapping of str to str, or None
        Parts in order, or key to part; None where shapes and names say it. What is then known to be a count of accepted
        drafts or of committed tokens, and not which, is called ``"number"``.
    rows : int
        B of the call.

    Raises
    ------
    InputError
        If it is not clear what a part is, or there are others than were said.
    """
    named = _by_key(returned)
    if named is not None:
        return _named(named, returns if isinstance(returns, Mapping) else None, rows)
    if isinstance(returns, Mapping):
        raise InputError(f"returns = {returns!r}: the sampler returns a {type(returned).__name__}, which has no keys")
    own = list(returned) if isinstance(returned, (tuple, list)) and not _is_tokens(returned) else [returned]
    if returns is None:
        return _by_shape(own, rows)
    if len(own) != len(returns):
        raise InputError(f"returns = {tuple(returns)!r}: the sampler returns {len(own)} parts")
    return {part: value for part, value in zip(returns, own, strict=True) if part != "unused"}


def check_returns(returns: Any) -> None:
    """Check what a user says of the parts.

    Raises
    ------
    InputError
        If it is neither a sequence nor a mapping, or holds a part twice.
    UnknownNameError
        If there is no such part.
    """
    if returns is None:
        return
    if isinstance(returns, str) or not isinstance(returns, (Sequence, Mapping)):
        raise InputError(f"returns = {returns!r}: parts in order, or key to part")
    parts = list(returns.values()) if isinstance(returns, Mapping) else list(returns)
    for part in parts:
        check_known(part, PARTS, "returns: part")
        if part != "unused" and parts.count(part) > 1:
            raise InputError(f"returns = {returns!r}: holds {part!r} twice")


def _by_key(returned: Any) -> dict[str, Any] | None:
    if isinstance(returned, Mapping):
        return dict(returned)
    if is_dataclass(returned) and not isinstance(returned, type):
        return {field.name: getattr(returned, field.name) for field in fields(returned)}
    names = getattr(returned, "_fields", None)
    return None if names is None else dict(zip(names, returned, strict=True))


def _named(own: dict[str, Any], returns: Mapping[str, str] | None, rows: int) -> dict[str, Any]:
    if returns is not None:
        if missing := [key for key in returns if key not in own]:
            raise InputError(f"returns: {missing[0]!r} is not among {', '.join(map(repr, own))}")
        return {part: own[key] for key, part in returns.items() if part != "unused"}
    found: dict[str, Any] = {}
    for key, value in own.items():
        plain = str(key).lower()
        part = next((part for part, names in _NAMES.items() if plain in (part, *names)), None)
        if part is not None and part not in found:
            found[part] = value
    return found if COUNTS & found.keys() else _by_shape(list(own.values()), rows)


def _is_tokens(value: Any) -> bool:
    """Whether a list is one of tokens, or of rows of them, and not of several parts."""
    return isinstance(value, list) and all(isinstance(one, (int, np.integer, list)) for one in value)


def _kind(value: Any, rows: int) -> str:
    """What a part can be, by its type and shape."""
    if isinstance(value, (list, tuple)):
        return "number" if len(value) == rows and not any(isinstance(one, list) for one in value) else "tokens"
    dtype, shape = str(getattr(value, "dtype", "")), tuple(getattr(value, "shape", ()))
    if "float" in dtype:
        return "laws" if len(shape) > 1 else "other"
    is_number = not shape or shape[-1] == 1 or (len(shape) == 1 and shape[0] == rows)
    return "number" if is_number else "mask" if "bool" in dtype else "tokens"


def _by_shape(own: list[Any], rows: int) -> dict[str, Any]:
    order = {"number": ("number",), "mask": ("accepted",), "tokens": ("tokens", "next_drafts"), "laws": ("prob",)}
    if len(own) == 1 and _is_tokens(own[0]):
        return {"committed_tokens": own[0]}
    found: dict[str, Any] = {}
    for i, value in enumerate(own):
        name = next((part for part in order.get(_kind(value, rows), ()) if part not in found), None)
        if name is None:
            raise InputError(
                f"sjd_sampler: part {i} of {len(own)} that are returned could be anything; say what they are: "
                f"returns=(...) with one of {', '.join(PARTS)} for each"
            )
        found[name] = value
    if not {"number", "accepted"} & found.keys() and "tokens" in found:
        found["committed_tokens"] = found.pop("tokens")
    return found


@dataclass(frozen=True)
class Manner:
    """What shapes do not say, and a trial does.

    Attributes
    ----------
    number : str or None
        What a number counts: ``"accepted"`` or ``"committed"``.
    next_drafts : str or None
        What lies behind the committed tokens of ``tokens``: the next drafts, ``"returned"``, or nothing that is used,
        ``"advanced"``, since the next drafts are the advanced tokens.
    """

    number: str | None
    next_drafts: str | None


def read(parts: Mapping[str, Any], window: Window, manner: Manner) -> list[After]:
    """Read what a sampler returned for a window, Long[B, L].

    Raises
    ------
    InputError
        If a number is out of range, a shape disagrees, or a part is missing.
    """
    own = {manner.number if part == "number" and manner.number else part: value for part, value in parts.items()}
    rows = {part: _rows(part, value, len(window.drafts)) for part, value in own.items()}
    return [_row(rows, window, i, manner) for i in range(len(window.drafts))]


def _rows(part: str, value: Any, batch: int) -> list[Any]:
    """One entry for each row of the batch."""
    if isinstance(value, (list, tuple)):
        flat = not any(isinstance(one, (list, tuple)) or getattr(one, "ndim", 0) for one in value)
        value = [value] if flat and _DIMS[part] > 1 else value
    elif getattr(value, "ndim", 0) < _DIMS[part]:
        value = [value]
    if batch == 1 and len(value) != 1:  # one row without its batch dimension
        value = [value]
    if len(value) != batch:
        raise InputError(f"sjd_sampler's {part} has {len(value)} rows: expected {batch}")
    return list(value)


_DIMS = dict.fromkeys(("tokens", "committed_tokens", "next_drafts"), 2) | {
    "prob": 3,
    "next_prob": 3,
    "accepted": 1,
    "committed": 1,
    "number": 1,
    "replacement": 1,
}


def _row(rows: Mapping[str, list[Any]], window: Window, i: int, manner: Manner) -> After:
    own = {part: values[i] for part, values in rows.items()}
    drafts, most = window.drafts[i], window.size + window.bonus
    accepted, committed = _counts(own, drafts, most)
    head = _head(own, drafts, accepted, committed)
    tail, prob = _tail(own, window, i, committed, manner)
    return After(accepted, [*head, *tail][: max(most, committed)], prob, committed)


def _counts(own: Mapping[str, Any], drafts: Any, most: int) -> tuple[int, int]:
    """Drafts accepted, and tokens committed."""
    size = len(drafts)
    if "accepted" in own:
        flags = own["accepted"]
        if getattr(flags, "ndim", 0) and len(flags) == size and size > 1:
            accepted = next((k for k, flag in enumerate(flags) if not flag), size)
        else:
            accepted = _number(flags, "accepted", 0, size)
        return accepted, min(accepted + 1, most)
    if "committed" in own:
        committed, tokens = _number(own["committed"], "committed", 1, most), own.get("tokens")
    elif "committed_tokens" in own:
        tokens = _tokens(own["committed_tokens"])
        committed = _number(len(tokens), "number of committed_tokens", 1, most)
    else:
        raise InputError(f"sjd_sampler: nothing says how many drafts were accepted; say it: returns=, of {PARTS}")
    whole = most == size and committed == size and tokens is not None and int(tokens[size - 1]) == int(drafts[-1])
    return size if whole else committed - 1, committed


def _number(value: Any, name: str, low: int, high: int) -> int:
    found = value[0] if getattr(value, "ndim", 0) else value
    if float(found) != int(found) or not low <= int(found) <= high:
        raise InputError(f"sjd_sampler's {name} = {found}: must be a whole number between {low} and {high}")
    return int(found)


def _tokens(row: Any) -> list[Any]:
    """The tokens of a row before the first placeholder, -1."""
    row = list(row)
    return row[: next((k for k, token in enumerate(row) if int(token) < 0), len(row))]


def _head(own: Mapping[str, Any], drafts: Any, accepted: int, committed: int) -> list[Any]:
    """The committed tokens."""
    for part in ("tokens", "committed_tokens"):
        if part in own:
            if len(own[part]) < committed:
                raise InputError(f"sjd_sampler's {part}: {len(own[part])} in a row that commits {committed}")
            return list(own[part][:committed])
    if committed == accepted:
        return list(drafts[:accepted])
    if "replacement" not in own:
        raise InputError("sjd_sampler: no part holds the token that replaces a rejected draft; say it: returns=")
    other = own["replacement"]
    if getattr(other, "ndim", 0):
        other = other[accepted if len(other) > accepted and len(other) > 1 else 0]
    return [*drafts[:accepted], other]


def _tail(own: Mapping[str, Any], window: Window, i: int, committed: int, manner: Manner) -> tuple[list[Any], Any]:
    """The next drafts behind the committed tokens, and their declared laws."""
    size = window.size
    tail, prob = list(window.advanced[i][committed:size]), list(window.advanced_prob[i][committed:size])
    if "next_drafts" in own:
        found = _tokens(own["next_drafts"])[: len(tail)]
    elif "tokens" in own and ("prob" in own or manner.next_drafts == "returned"):
        found = _tokens(own["tokens"][committed:size])
    else:
        found = []
    laws = prob[: len(found)]
    if "next_prob" in own:
        laws = list(own["next_prob"][: len(found)])
    elif "prob" in own:
        laws = list(own["prob"][committed : committed + len(found)])
    if len(laws) < len(found):
        raise InputError(
            f"sjd_sampler: {len(found)} next drafts in row {i}, and {len(laws)} laws are declared for them"
        )
    return [*found, *tail[len(found) :]], [*laws, *prob[len(found) :]]
