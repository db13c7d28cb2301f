"""A released sampler of speculative Jacobi decoding, with a loop of ours around it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from scd_analysis.audit.adapters.calls import Signature
from scd_analysis.audit.adapters.made_up import MadeUp
from scd_analysis.audit.adapters.noise import seeded
from scd_analysis.audit.adapters.sjd_reading import ROLES, After, Manner, Window, check_returns, parts_of, read
from scd_analysis.errors import InputError
from scd_analysis.trace import TraceWriter, open_trace
from scd_analysis.validate import as_array, check_at_least, check_known, check_model_laws

ADAPTERS = {"sjd-sampler": "sjd_sampler"}

INITIAL = ("uniform", "point-mass")
NEXT_DRAFTS = ("returned", "advanced")
NEEDED = 3
"""Of draft_tokens, advanced_tokens and the two laws: a method that takes so many by name is a sampler."""

SAID = {"accepted": [0, 1], "committed": [1, 2]}
"""What numbers are of windows whose first draft must be rejected, and whose second must."""

HEAVIER = 1.5
"""So many times as probable as under the draft law is token 0 where it shall be accepted surely."""


@dataclass(frozen=True)
class Called:
    """How a sampler is called.

    Attributes
    ----------
    make : callable
        Returns the function to call, and the one that draws the advanced tokens or None; anew for each group of
        sequences, so that what these keep is the group's own.
    signature : Signature
    returns : object
        See :func:`scd_analysis.audit.adapters.sjd_reading.parts_of`.
    alone : bool
        Whether it takes one sequence without a batch dimension.
    numpy : bool
        Whether it takes arrays.
    device : object
        Where its tensors lie.
    """

    make: Callable[[], tuple[Callable[..., Any], Callable[..., Any] | None]]
    signature: Signature
    returns: Any
    alone: bool
    numpy: bool
    device: Any

    def ask(self, function: Callable[..., Any], window: Window, more: Mapping[str, Any]) -> dict[str, Any]:
        """Call it for a window, and name the parts of what it returns.

        Parameters
        ----------
        function : callable
            That ``make`` returned.
        window : Window
        more : mapping of str to object
            Values of the other roles.
        """
        given = {
            "draft_tokens": window.drafts,
            "advanced_tokens": window.advanced,
            "draft_prob": window.draft_prob,
            "advanced_prob": window.advanced_prob,
            **more,
        }
        for role, law in (("draft_logits", window.draft_prob), ("advanced_logits", window.advanced_prob)):
            if role in self.signature.roles:
                given[role] = law.log()
        values = {role: self._as_taken(given[role]) for role in self.signature.roles}
        parts = parts_of(self.signature.call(function, values), self.returns, len(window.drafts))
        return {part: _as_tensor(value) for part, value in parts.items()}

    def _as_taken(self, value: Any) -> Any:
        if not hasattr(value, "detach"):
            return value
        value = (value[0] if self.alone and value.ndim else value).clone()
        return value.numpy() if self.numpy else value.to(self.device)


def _as_tensor(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return torch.from_numpy(np.ascontiguousarray(value))
    return value.detach().cpu() if hasattr(value, "detach") else value


@dataclass(frozen=True)
class Pass:
    """What one pass of a group of sequences was given, and what became of it."""

    base: tuple[int, ...]
    window: Window
    after: tuple[After, ...]


class SjdSampler:
    """See :func:`sjd_sampler`.

    Attributes
    ----------
    target_model : TargetModel
        Whose laws were made up.
    """

    def __init__(
        self,
        called: Called,
        *,
        target_model: MadeUp,
        window: int,
        bonus: bool,
        initial: str,
        next_drafts: str | None,
        batch_size: int | None,
    ) -> None:
        self.target_model = target_model
        self._called, self._window, self._bonus, self._initial = called, window, bonus, initial
        self._next_drafts, self._batch_size = next_drafts, batch_size
        self._manner: Manner | None = None

    def __call__(self, model: Any, num_sequences: int, seed: int) -> Any:
        """Decode sequences, and return the trace.

        Raises
        ------
        InputError
            If what the sampler returns cannot be read.
        """
        for_loop, for_sampler = np.random.SeedSequence(seed).generate_state(2)
        size = num_sequences if self._batch_size is None else max(self._batch_size, 1)
        manner = self._settled(seed)
        with seeded(seed):
            own = torch.Generator().manual_seed(int(for_loop))
            more = {"seed": seed, "generator": self._generator(int(for_sampler))}
            groups = [
                list(self._passes(model, min(size, num_sequences - start), manner, own, more, torch.float32))
                for start in range(0, num_sequences, size)
            ]
        return _written(groups, model, self._window)

    def one_sequence(self, model: Any = None) -> Callable[[], tuple[int, ...]]:
        """Return a sampler of one sequence, in float64, for :func:`scd_analysis.exact_law`.

        Parameters
        ----------
        model : TargetModel, optional
            By default the subject's own ``target_model``.
        """
        target, manner = self.target_model if model is None else model, self._settled(0)

        def sequence() -> tuple[int, ...]:
            more = {"seed": 0, "generator": self._generator(0)}
            passes = list(self._passes(target, 1, manner, None, more, torch.float64))
            return tuple(int(token) for token in _finished(passes, int(target.num_tokens))[0])

        return sequence

    def _generator(self, seed: int) -> Any:
        if "generator" not in self._called.signature.roles:
            return None
        if self._called.numpy:
            return np.random.default_rng(seed)
        return torch.Generator(torch.device(self._called.device)).manual_seed(seed)

    # -- the loop ----------------------------------------------------------------------------------------------------

    def _passes(
        self, model: Any, rows: int, manner: Manner, own: Any, more: Mapping[str, Any], dtype: Any
    ) -> Iterator[Pass]:
        """Decode a group of sequences, and give each pass; windows are full to the end, beyond which nothing counts."""
        last, (function, advance) = int(model.num_tokens), self._called.make()
        drafts = _Drafts(rows, last, self._window + self._bonus, int(model.vocab_size), dtype)
        drafts.enter(self._initial, own)
        base = [0] * rows
        while min(base) < last:
            place = torch.tensor(base)[:, None] + torch.arange(self._window + self._bonus)
            target = drafts.target(model, max(base) + self._window + self._bonus).gather(
                1, place[..., None].expand(-1, -1, drafts.laws.shape[2])
            )
            window = drafts.window(place, target, _advanced(advance, target, place, own), self._window)
            prefix = {"prefix": drafts.tokens[:, : base[0]]} if rows == 1 else {}
            position = {"base": base[0] if rows == 1 else torch.tensor(base)}
            noise = torch.rand(place.shape, generator=own, dtype=dtype) if self._takes("uniforms") else None
            parts = self._called.ask(function, window, {**more, **prefix, **position, "uniforms": noise})
            after = read(parts, window, manner)
            yield Pass(tuple(base), window, tuple(after))
            for i, row in enumerate(after):
                drafts.keep(i, base[i], row)
                base[i] = min(base[i] + row.committed, last)

    def _takes(self, role: str) -> bool:
        return role in self._called.signature.roles

    # -- what shapes do not say --------------------------------------------------------------------------------------

    def _settled(self, seed: int) -> Manner:
        """Find out by two windows what a number counts and what lies behind the committed tokens."""
        if self._manner is None:
            with seeded(seed):
                at_once, then = (self._tried(rejected, seed) for rejected in (0, 1))
            number = None
            if "number" in at_once[0]:
                counted = [int(_first(parts["number"])) for parts, _ in (at_once, then)]
                number = next((name for name, said in SAID.items() if said == counted), None)
                if number is None:
                    raise InputError(
                        f"sjd_sampler: of windows whose first and second draft must be rejected it returns {counted}; "
                        "say what that counts: returns=(...) with 'accepted' (drafts) or 'committed' (tokens)"
                    )
            self._manner = Manner(number, self._next_drafts or self._tail(*at_once))
        return self._manner

    def _tail(self, parts: Mapping[str, Any], window: Window) -> str | None:
        if "tokens" not in parts or {"prob", "next_drafts"} & parts.keys():
            return None
        rows = parts["tokens"]
        row = rows[0] if _is_nested(rows[0]) else rows
        behind = [int(token) for token in row[1 : window.size]]
        if any(token not in (-1, int(new)) for token, new in zip(behind, window.advanced[0, 1:], strict=False)):
            raise InputError(
                "sjd_sampler: the tokens that are returned behind the committed ones are not the advanced tokens; say "
                "whether they are the next drafts, next_drafts='returned', or not used, next_drafts='advanced'"
            )
        return "advanced"

    def _tried(self, rejected: int, seed: int) -> tuple[dict[str, Any], Window]:
        """Have a window verified in which one draft must be rejected, and all others accepted."""
        rows, vocab_size = max(self._batch_size or 1, 1), self.target_model.vocab_size
        width = self._window + self._bonus
        even, heavy = _even_and_heavy(vocab_size, torch.float32)
        target = heavy.expand(rows, width, -1).clone()
        target[:, rejected] = torch.tensor([0.0] + [1 / (vocab_size - 1)] * (vocab_size - 1))
        window = Window(
            torch.zeros((rows, self._window), dtype=torch.long),
            torch.ones((rows, width), dtype=torch.long),
            even.expand(rows, self._window, -1).clone(),
            target,
        )
        more = {"seed": seed, "generator": self._generator(seed), "base": 0, "uniforms": torch.full((rows, width), 0.5)}
        more["prefix"] = torch.zeros((rows, 0), dtype=torch.long)
        return self._called.ask(self._called.make()[0], window, more), window


class _Drafts:
    """Drafts of every position and their declared laws; beyond the last, token 0, which is always accepted."""

    def __init__(self, rows: int, last: int, width: int, vocab_size: int, dtype: Any) -> None:
        even, heavy = _even_and_heavy(vocab_size, dtype)
        self.tokens = torch.zeros((rows, last + width), dtype=torch.long)
        self.laws = even.expand(rows, last + width, -1).clone()
        self._beyond, self._last, self._dtype = heavy.expand(rows, last + width, -1), last, dtype

    def enter(self, initial: str, own: Any) -> None:
        """Draft every position for the first time."""
        if initial == "uniform":
            self.tokens[:, : self._last] = _drawn(self.laws[:, : self._last], own)
        else:
            self.laws[:, : self._last] = self.laws.new_tensor([1.0] + [0.0] * (self.laws.shape[2] - 1))

    def target(self, model: Any, stop: int) -> Any:
        """Return the target laws of all positions before ``stop``, and something for the others."""
        stop = min(stop, self._last)
        laws = model.next_token_probs(self.tokens[:, : stop - 1])
        if not hasattr(laws, "detach"):
            laws = torch.from_numpy(np.array(laws))
        expected = (len(self.tokens), stop, self.laws.shape[2])
        check_model_laws(as_array(laws, "model.next_token_probs(...)"), expected, "model.next_token_probs(...)")
        out = self._beyond.clone()
        out[:, :stop] = laws.detach().cpu().to(self._dtype)
        return out

    def window(self, place: Any, target: Any, advanced: Any, size: int) -> Window:
        """Cut out what a pass looks at."""
        advanced = advanced.masked_fill(place >= self._last, 0)
        own = place[:, :size]
        laws = self.laws.gather(1, own[..., None].expand(-1, -1, self.laws.shape[2]))
        return Window(self.tokens.gather(1, own), advanced, laws, target)

    def keep(self, row: int, base: int, after: After) -> None:
        """Put in what a pass committed and drafted."""
        for k, token in enumerate(after.tokens[: max(self._last - base, 0)]):
            self.tokens[row, base + k] = token
        start = base + after.committed
        for k, law in enumerate(after.prob[: max(self._last - start, 0)]):
            self.laws[row, start + k] = law


def _even_and_heavy(vocab_size: int, dtype: Any) -> tuple[Any, Any]:
    """The uniform law, and one that leans to token 0."""
    even = torch.full((vocab_size,), 1 / vocab_size, dtype=dtype)
    heavy = torch.full((vocab_size,), (1 - HEAVIER / vocab_size) / (vocab_size - 1), dtype=dtype)
    heavy[0] = HEAVIER / vocab_size
    return even, heavy


def _advanced(advance: Callable[..., Any] | None, target: Any, place: Any, own: Any) -> Any:
    if advance is None:
        return _drawn(target, own)
    found = _as_tensor(advance(target, place))
    if tuple(getattr(found, "shape", ())) != tuple(place.shape):
        raise InputError(f"advance(...) has shape {tuple(getattr(found, 'shape', ()))}: expected {tuple(place.shape)}")
    return found


def _drawn(laws: Any, own: Any) -> Any:
    """One token from each law, Long[B, L]."""
    return torch.multinomial(laws.flatten(0, 1), 1, generator=own).view(laws.shape[:2])


def _first(value: Any) -> Any:
    while _is_nested(value):
        value = value[0]
    return value


def _is_nested(value: Any) -> bool:
    return isinstance(value, (list, tuple)) or bool(getattr(value, "ndim", 0))


# -- the trace -----------------------------------------------------------------------------------------------------


def _written(groups: list[list[Pass]], model: Any, size: int) -> Any:
    """Write the passes of all groups side by side."""
    last, rows = int(model.num_tokens), [len(group[0].base) for group in groups]
    sizes: dict[str, Any] = {"vocab_size": int(model.vocab_size), "num_tokens": last, "window": size}
    with TraceWriter(decoder="sjd_sampler", laws=True, **sizes) as trace:
        trace.begin_batch(sum(rows))
        starts = np.cumsum([0, *rows])
        for t in range(max(map(len, groups))):
            made = [(start, group[t]) for start, group in zip(starts, groups, strict=False) if t < len(group)]
            found = [_recorded(one, start, last) for start, one in made]
            found = [one for one in found if len(one["sequence"])]
            trace.append(**{name: np.concatenate([one[name] for one in found]) for name in found[0]})
        trace.finish_batch(
            tokens=np.concatenate([_finished(group, last) for group in groups]),
            nfe=np.concatenate([_passes_made(group, last) for group in groups]),
        )
    return open_trace(trace.store)


def _finished(group: list[Pass], last: int) -> Any:
    """The finished sequences, Long[B, N]."""
    out = np.full((len(group[0].base), last), -1)
    for one in group:
        for i, (base, row) in enumerate(zip(one.base, one.after, strict=True)):
            out[i, base : base + row.committed] = [int(token) for token in row.tokens[: row.committed]][: last - base]
    return out


def _passes_made(group: list[Pass], last: int) -> Any:
    return sum((np.array(one.base) < last).astype(np.int64) for one in group)


def _recorded(one: Pass, start: int, last: int) -> dict[str, Any]:
    """One pass of one group, as a trace has it: of the sequences that were not finished."""
    base, size = np.array(one.base), one.window.size
    accepted = np.array([row.accepted for row in one.after])
    tokens = [[int(token) for token in row.tokens] for row in one.after]
    bonus = [own[size] if len(own) > size and at + size < last else -1 for own, at in zip(tokens, base, strict=True)]
    record = {
        "sequence": start + np.arange(len(base)),
        "base": base,
        "draft_token": one.window.drafts.numpy(),
        "next_token": np.array([own[:size] for own in tokens]),
        "accepted": np.arange(size) < accepted[:, None],
        "bonus_token": np.array(bonus),
        "draft_probs": one.window.draft_prob.numpy(),
        "target_probs": one.window.advanced_prob.numpy()[:, :size],
    }
    return {name: value[base < last] for name, value in record.items()}


# -- the door ------------------------------------------------------------------------------------------------------


def _function(
    subject: Any, method: str | None, init: Mapping[str, Any] | None, advance: Any
) -> tuple[Any, Callable[[], Any]]:
    """What to look at for names of parameters, and what makes the functions that are called."""
    if method is None and not inspect.isclass(subject) and _is_plain(subject):
        return subject, lambda: (subject, _bound(subject, advance, "advance"))
    name = _method(subject) if method is None else method
    _bound(subject, advance, "advance")
    shown = _bound(subject, name, "method")
    if not inspect.isclass(subject):
        return shown, lambda: (shown, _bound(subject, advance, "advance"))
    unbound = inspect.signature(shown)
    bound = _Shown(unbound.replace(parameters=list(unbound.parameters.values())[1:]), name)

    def make() -> tuple[Any, Any]:
        made = subject(**(init or {}))
        return getattr(made, name), _bound(made, advance, "advance")

    return bound, make


def _bound(subject: Any, name: Any, argument: str) -> Any:
    """A method by its name; a function as it is."""
    found = getattr(subject, name, None) if isinstance(name, str) else name
    if name is not None and not callable(found):
        raise InputError(f"{argument} = {name!r}: neither a function nor a method of {subject!r:.80}")
    return found


class _Shown:
    """A stand-in that has the signature of a method that is not bound yet."""

    def __init__(self, signature: inspect.Signature, name: str) -> None:
        self.__signature__, self.__name__ = signature, name

    def __call__(self, *args: Any) -> Any:
        raise NotImplementedError


def _is_plain(subject: Any) -> bool:
    return inspect.isroutine(subject) or not _methods(subject)


def _methods(subject: Any) -> list[str]:
    """Methods that take, by the names of their parameters, what a sampler does."""
    found = []
    for name in dir(subject):
        own = getattr(subject, name, None) if not name.startswith("_") or name == "__call__" else None
        if inspect.isroutine(own) and len(_roles(own) & set(ROLES.default)) >= NEEDED:
            found.append(name)
    return found


def _roles(function: Any) -> set[str]:
    try:
        names = inspect.signature(function).parameters
    except (TypeError, ValueError):
        return set()
    found = {ROLES.role(name) for name in names}
    return {str(role).replace("_logits", "_prob") for role in found if role is not None}


def _method(subject: Any) -> str:
    found = _methods(subject)
    if len(found) != 1:
        said = "none" if not found else " and ".join(found)
        raise InputError(
            f"sjd_sampler: of the methods of {subject!r:.80}, {said} take draft_tokens, advanced_tokens, draft_prob "
            "and advanced_prob by name; say which it is: method=..., and what it takes: arguments=..."
        )
    return found[0]


def sjd_sampler(
    sampler: Any,
    *,
    method: str | None = None,
    init: Mapping[str, Any] | None = None,
    arguments: Any = None,
    returns: Any = None,
    next_drafts: str | None = None,
    advance: Callable[..., Any] | str | None = None,
    vocab_size: int = 4,
    num_tokens: int = 6,
    window: int = 4,
    bonus: bool = False,
    initial: str = "uniform",
    batch_size: int | None = 1,
    numpy: bool = False,
    device: Any = "cpu",
    seed: int = 0,
) -> SjdSampler:
    """Make a subject of a released sampler of speculative Jacobi decoding, to be audited over several passes.

    A loop of ours is put around it: it asks the target model for the laws of a window, draws the advanced tokens from
    them, calls the sampler, commits what it says, and hands its next drafts back with the laws that are declared for
    them. Every pass is recorded with all laws, so that the five conditions are judged, *declared-law* among them.

    Parameters
    ----------
    sampler : class or callable
        The sampler. Of a class, an object is made for every group of ``batch_size`` sequences, which keeps its state.
        Which parameter takes what is read off their names, and is by default ``(draft_tokens, advanced_tokens,
        draft_prob, advanced_prob)``: the drafts of the window Long[B, L], tokens drawn from the new laws Long[B, L],
        the laws that drafts were drawn from Float[B, L, V], and the new laws, of which row k is given the drafts
        before k.
    method : str, optional
        Of a class or an object; by default the one that takes these by name.
    init : mapping, optional
        What the class is called with.
    arguments : sequence of str, or mapping of str to str, optional
        Where names do not say it: roles in the order of its positional parameters, or parameter to role. The roles:
        ``draft_tokens``, ``advanced_tokens``, ``draft_prob``, ``advanced_prob``, ``draft_logits``,
        ``advanced_logits``, ``uniforms`` Float[B, L], ``base``, ``prefix`` (committed tokens, Long[1, base]),
        ``generator``, ``seed``.
    returns : sequence of str, or mapping of str to str, optional
        Where names, types and shapes do not say it: parts in the order in which they are returned, or key to part. The
        parts: ``accepted`` (drafts, Long[B] or Bool[B, L]), ``committed`` (tokens, Long[B]), ``tokens`` (Long[B, L]:
        committed ones, then next drafts), ``committed_tokens`` (these alone), ``replacement`` (Long[B], or one a
        position), ``prob`` (Float[B, L, V], laws declared for ``tokens``), ``next_drafts`` and ``next_prob`` (what
        comes behind the committed tokens), ``unused``. Whether a number counts drafts or tokens is found by a trial.
    next_drafts : str, optional
        Where laws are not returned: whether ``tokens`` behind the committed ones are the next drafts,
        ``"returned"``, or the advanced tokens are, ``"advanced"``. What is declared for them is then the law of the
        pass, ``advanced_prob``. Asked for where a trial does not say it.
    advance : callable or str, optional
        Draws the advanced tokens, where that is the release's own: a function, or a method of the class by name, from
        Float[B, L, V] and positions Long[B, L] to Long[B, L]. By default they are drawn independently.
    vocab_size, num_tokens, window : int
        V, N and L. V and N are those of the target model that is made up; with a model of your own they are its.
    bonus : bool
        Whether advanced tokens and laws have a row behind the window, Long[B, L + 1] and Float[B, L + 1, V], of which a
        window that is accepted whole commits one token more.
    initial : str
        Drafts of positions that enter the window: ``"uniform"``, drawn and declared so, or ``"point-mass"``, token 0
        declared as certain.
    batch_size : int or None
        Sequences a call; 0 for one without the batch dimension, None for all.
    numpy : bool
        Whether it takes arrays and a ``numpy.random.Generator``, and not tensors and a ``torch.Generator``.
    device : torch.device or str
        Where tensors lie.
    seed : int
        Of the laws that are made up.

    Returns
    -------
    SjdSampler
        With ``target_model``, and ``one_sequence()`` for :func:`scd_analysis.exact_law`. Windows are full up to the end
        of a sequence: what lies beyond is accepted and not counted.

    Raises
    ------
    InputError
        If it is not clear what a parameter or a part is, or a number is out of range.
    UnknownNameError
        If there is no such role, part, or kind of drafts.
    """
    check_at_least(window, 2, "window")
    check_known(initial, INITIAL, "initial")
    check_returns(returns)
    if next_drafts is not None:
        check_known(next_drafts, NEXT_DRAFTS, "next_drafts")
    if batch_size is not None:
        check_at_least(batch_size, 0, "batch_size")
    shown, make = _function(sampler, method, init, advance)
    called = Called(make, ROLES.signature(shown, arguments), returns, batch_size == 0, numpy, device)
    if "prefix" in called.signature.roles and batch_size not in (0, 1):
        raise InputError("sjd_sampler: committed tokens are of one length in one sequence only: pass batch_size=1")
    return SjdSampler(
        called,
        target_model=MadeUp(vocab_size, num_tokens, np.random.default_rng(seed)),
        window=window,
        bonus=bonus,
        initial=initial,
        next_drafts=next_drafts,
        batch_size=batch_size,
    )
