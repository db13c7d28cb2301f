"""The mode under which audited PyTorch code runs: every operation passes through here."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from scd_analysis.exact.numbers import Unknown
from scd_analysis.exact.refusals import refuse
from scd_analysis.exact.run import Run, current, drawing
from scd_analysis.exact.torch.draws import drawn
from scd_analysis.exact.torch.elementwise import RULES, divided, elementwise
from scd_analysis.exact.torch.movement import MOVES, copy_out, move
from scd_analysis.exact.torch.order import HANDLERS
from scd_analysis.exact.torch.postponed import LOOKS, looks
from scd_analysis.exact.torch.schemas import schema
from scd_analysis.exact.torch.shadow import fill_random, settle, shadow_of, tensors_in

_VALUE_FREE = frozenset(
    [
        "empty_like",
        "zeros_like",
        "ones_like",
        "full_like",
        "new_empty",
        "new_zeros",
        "new_ones",
        "new_full",
        "new_empty_strided",
        "sym_size",
        "sym_numel",
        "sym_stride",
        "is_same_size",
        "set_",
        "detach_",
        "size",
        "stride",
        "numel",
        "dim",
        "is_pinned",
    ]
)


_PLAIN, _DRAWS, _COMPOSITE = 0, 1, 2

OTHER_THREAD = "it is done with variates on another thread, whose order is not known"

_kinds: dict[Any, int] = {}  # by operation; a plain dict, because this is asked before every operation


def _kind_of(func: Any) -> int:
    if torch._C._dispatch_has_kernel_for_dispatch_key(func.name(), "CompositeImplicitAutograd"):
        return _COMPOSITE
    return _DRAWS if torch.Tag.nondeterministic_seeded in func.tags else _PLAIN


class DispatchMode(TorchDispatchMode):
    """Draws, and operations on tensors that hold variates; everything else passes untouched.

    An operation that is made of others (``to``, ``reshape``, ``dropout``) comes here whole under
    ``torch.inference_mode``, where autograd does not take it apart; it is taken apart here, so that each is seen in
    its parts in every mode.
    """

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # else the first operation imports torch._dynamo, which takes seconds

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        run = current()
        if run is None:
            return func(*args, **kwargs)
        kind = _kinds.get(func)
        if kind is None:
            kind = _kinds[func] = _kind_of(func)
        if types and _own_dispatch(types):
            return NotImplemented  # a subclass takes the operation apart itself, and its parts come here
        if kind == _COMPOSITE:
            with self:
                return func.decompose(*args, **kwargs)
        if kind == _DRAWS and drawing() is not None and not _is_deterministic(func, args, kwargs):
            return drawn(run, func, args, kwargs)
        shadow = run.shadow
        if shadow is None or not (shadow.touches(args) or (kwargs and shadow.touches(tuple(kwargs.values())))):
            return func(*args, **kwargs)
        if run.thread != threading.get_ident():
            refuse(schema(func).name, OTHER_THREAD)
        return followed(run, func, args, kwargs)


def seen_on_threads(function: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap what another thread will call: modes belong to a thread, and variates are no numbers there either."""

    def call(*args: Any, **kwargs: Any) -> Any:
        if current() is None:
            return function(*args, **kwargs)
        with DispatchMode():  # type: ignore[no-untyped-call]
            return function(*args, **kwargs)

    return call


def _own_dispatch(types: Any) -> bool:
    own = torch._C._disabled_torch_dispatch_impl
    return any(getattr(kind, "__torch_dispatch__", own) is not own for kind in types)


def _is_deterministic(func: Any, args: Any, kwargs: Any) -> bool:
    """Operations that can draw but were asked not to: dropout in evaluation, attention without dropout."""
    if not schema(func).may_rest:
        return False
    given = schema(func).bind(args, kwargs)
    return given.get("train") is False or given.get("training") is False or given.get("dropout_p") == 0.0


def _holds(run: Run, values: Any) -> bool:
    shadow = shadow_of(run)
    return any(shadow.ids(tensor) is not None for tensor in tensors_in(values))


def followed(run: Run, func: Any, args: Any, kwargs: Any) -> Any:
    """Do an operation on tensors that may hold variates."""
    name = schema(func).name
    if name in _VALUE_FREE:
        return func(*args, **kwargs)
    if schema(func).is_view:
        return _viewed(run, func, name, args, kwargs)
    if run.postponed and name in LOOKS and "out" not in kwargs:
        seen = looks(run, func, args, kwargs)
        if seen is not None:
            return seen
    if run.postponed and name not in MOVES:
        for tensor in tensors_in((*args, *kwargs.values())):
            settle(run, tensor)
    target = kwargs.get("out")
    if target is None and not _holds(run, (*args, *kwargs.values())):
        return func(*args, **kwargs)
    if target is not None:
        rest = {key: value for key, value in kwargs.items() if key != "out"}
        return copy_out(run, followed(run, _without_out(func), args, rest), target)
    return _handled(run, func, name, args, kwargs)


def _viewed(run: Run, func: Any, name: str, args: Any, kwargs: Any) -> Any:
    """Do what is declared to share memory, and see that it does."""
    out = func(*args, **kwargs)
    shadow = shadow_of(run)
    if not all(shadow.knows(tensor) for tensor in tensors_in(out)) and _holds(run, args):
        refuse(name, "its result does not share the memory in which the variates are")
    return out


def _handled(run: Run, func: Any, name: str, args: Any, kwargs: Any) -> Any:
    plain = name[:-1] if name.endswith("_") and not name.endswith("__") else name
    if name in MOVES:
        return move(run, func, args, kwargs)
    if plain == "div":
        return divided(run, func, args, kwargs)
    if plain in RULES:
        return elementwise(run, func, args, kwargs, RULES[plain])
    if plain in HANDLERS:
        out = HANDLERS[plain](run, func, args, kwargs)
        return out if plain == name else copy_out(run, out, args[0])
    return _lost(run, func, name, args, kwargs)


def _lost(run: Run, func: Any, name: str, args: Any, kwargs: Any) -> Any:
    """Views share the shadow; any other operation loses sight of the variates it computes with."""
    if func._schema.is_mutable:
        refuse(name, "writing what it computes from variates is not followed")
    try:
        out = func(*args, **kwargs)
    except RuntimeError as error:
        refuse(name, f"it is not followed on variates ({error})")
    shadow = shadow_of(run)
    outputs = list(tensors_in(out))
    if any(tensor.is_nested or tensor.layout != torch.strided for tensor in outputs):
        refuse(name, "variates are followed in tensors of the ordinary layout only")
    if outputs and all(shadow.knows(tensor) for tensor in outputs):
        return out
    if not outputs or any(not tensor.dtype.is_floating_point for tensor in outputs):
        refuse(name, "what it computes from variates is not followed")
    for tensor in outputs:
        fill_random(run, tensor, [Unknown(name, "what it computes from variates is not followed")])
    return out


def _without_out(func: Any) -> Any:
    """Find the functional form of an operation that writes to ``out``."""
    packet, overload = func.overloadpacket, func._overloadname
    guesses = [overload.removesuffix("_out"), "Tensor", "default", "self"]
    names = [a.name for a in func._schema.arguments if a.name != "out"]
    for guess in guesses:
        found = getattr(packet, guess, None) if guess in packet.overloads() or guess == "default" else None
        if found is not None and [a.name for a in found._schema.arguments] == names:
            return found
    return refuse(str(packet), f"its form {overload} is not followed on variates")
