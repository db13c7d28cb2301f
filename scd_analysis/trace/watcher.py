"""Records somebody's decoder as it is: named local variables are read whenever a line of it is reached."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import FrameType, TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from scd_analysis.errors import InputError
from scd_analysis.trace.lines import Expression, Place, code_of, expression, find_place
from scd_analysis.trace.schema import VARIABLES
from scd_analysis.trace.writer import TraceWriter
from scd_analysis.validate import as_array

Array = npt.NDArray[Any]

NEEDED = ("base", "draft_token", "next_token")
RESULT = "result"
"""What the function returned, in the expression for ``tokens``."""


@dataclass
class Call:
    """One call of the function.

    Attributes
    ----------
    passes : list of dict
        Values by variable, of each time that the line was reached.
    pending : dict
        What other lines gave since.
    line : int
        The last that was reached.
    tokens : ndarray or None
        What it finished with.
    """

    passes: list[dict[str, Array]] = field(default_factory=list)
    pending: dict[str, Array] = field(default_factory=dict)
    line: int = -1
    tokens: Array | None = None

    @property
    def batched(self) -> bool:
        """Whether it decodes several sequences."""
        return any(one["draft_token"].ndim == 2 and len(one["draft_token"]) > 1 for one in self.passes)


class Watch:
    """See :func:`watch`.

    Attributes
    ----------
    num_passes : int
        How often the line was reached so far.
    """

    def __init__(
        self, function: Any, writer: TraceWriter, at: Place, read: dict[Place, list[Expression]], tokens: Any
    ) -> None:
        self._code, self._writer, self._at, self._read, self._tokens = code_of(function), writer, at, read, tokens
        self._codes = {place.code for place in read}
        self._calls: list[Call] = []
        self._open: dict[FrameType, Call] = {}
        self._reached = dict.fromkeys(read, 0)
        self._error: InputError | None = None
        self.num_passes = 0

    def __enter__(self) -> Self:
        self._before = sys.gettrace()
        sys.settrace(self._called)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        ours = sys.gettrace() == self._called
        sys.settrace(self._before)
        self._open.clear()
        if kind is not None:
            return
        if self._error is not None:  # the function caught it
            raise self._error
        if not ours:
            raise InputError(
                "watch: another tracer (a debugger, a measure of coverage) took this one's place while the function "
                "ran, so that passes may be missing"
            )
        self._check_reached()
        self._write_singles()

    # -- while it runs -------------------------------------------------------------------------------------------------

    def _called(self, frame: FrameType, event: str, argument: Any) -> Any:
        if frame.f_code not in self._codes and frame.f_code is not self._code:
            return None
        if frame.f_code is self._code and frame not in self._open:
            call = Call()
            self._calls.append(call)
            self._open[frame] = call
        return self._traced

    def _traced(self, frame: FrameType, event: str, argument: Any) -> Any:
        try:
            call = self._open.get(frame) or (self._calls[-1] if self._calls else Call())
            if event == "line":
                self._look(call, frame)
            elif event == "return" and frame in self._open and not frame.f_code.co_flags & inspect.CO_GENERATOR:
                self._close(call, frame, argument)
        except InputError as error:
            self._error = error
            raise
        return self._traced

    def _look(self, call: Call, frame: FrameType) -> None:
        line, before, call.line = frame.f_lineno, call.line, frame.f_lineno
        for place, expressions in self._read.items():
            goes_on = before in place and place.first < place.last  # a statement of several lines is reached once
            if frame.f_code is not place.code or line not in place or goes_on:
                continue
            self._reached[place] += 1
            call.pending |= {one.name: _copied(one, frame) for one in expressions}
            if place == self._at:
                call.passes.append(_completed(call.pending, self._writer))
                self.num_passes += 1
                call.pending = {}

    def _close(self, call: Call, frame: FrameType, returned: Any) -> None:
        del self._open[frame]
        if self._tokens is not None and call.passes:
            value = self._tokens.value(frame, **{RESULT: returned})
            call.tokens = as_array(value, str(self._tokens), np.int64)
        if call.batched:
            self._calls.remove(call)
            self._write_batch(call)

    # -- what is written -----------------------------------------------------------------------------------------------

    def _check_reached(self) -> None:
        name = self._code.co_name
        if not self._calls and not self.num_passes:
            raise InputError(
                f"watch: {name} was never called; a function that is compiled, or runs in another thread or process, "
                "is not seen"
            )
        for place, times in self._reached.items():
            if not times:
                raise InputError(f"watch: {place} of {name} was never reached")
        for i, call in enumerate(self._calls):
            if not call.passes:
                raise InputError(f"watch: in call {i} of {name}, {self._at} was never reached")

    def _write_batch(self, call: Call) -> None:
        """A call that decodes a batch is written when it returns."""
        size = max(len(one["draft_token"]) for one in call.passes)
        self._writer.begin_batch(size)
        for one in _with_next_drafts(call.passes):
            self._append(one)
        self._writer.finish_batch(tokens=call.tokens)

    def _write_singles(self) -> None:
        """Calls that decode one sequence each are written side by side."""
        calls, self._calls = self._calls, []
        if not calls:
            return
        self._writer.begin_batch(len(calls))
        passes = [_with_next_drafts(call.passes) for call in calls]
        for t in range(max(map(len, passes))):
            index = [i for i, own in enumerate(passes) if t < len(own)]
            rows = [passes[i][t] for i in index]
            values = {name: np.concatenate([_one(row[name], name) for row in rows]) for name in rows[0]}
            self._append({**values, "sequence": np.array(index)})
        ends = [np.ravel(call.tokens) for call in calls if call.tokens is not None]
        self._writer.finish_batch(tokens=np.stack(ends) if len(ends) == len(calls) else None)

    def _append(self, values: Mapping[str, Array]) -> None:
        try:
            self._writer.append(**values)
        except InputError as error:
            said = next(
                (one for group in self._read.values() for one in group if str(error).startswith(one.name)), None
            )
            raise type(error)(f"watch: {error}" + (f"; read as {said}" if said else "")) from None


def _copied(one: Expression, frame: FrameType) -> Array:
    """The value, apart from what the function does to it later."""
    return np.array(as_array(one.value(frame), str(one), None))


def _one(value: Array, name: str) -> Array:
    """A value of one sequence, with the dimension of a batch."""
    dims = len(VARIABLES[name].dims) - 1
    return value if value.ndim == dims else value[None]


def _completed(given: dict[str, Array], writer: TraceWriter) -> dict[str, Array]:
    """The variables of one pass, full to the window, each with as many dimensions as ``draft_token`` says."""
    given = dict(given)
    drafts = given["draft_token"]
    if drafts.ndim not in (1, 2) or drafts.shape[-1] > writer.window:
        raise InputError(
            f"watch: draft_token has shape {drafts.shape}: expected [L] of one sequence or [B, L], with L at most "
            f"{writer.window}"
        )
    batch, size = drafts.shape if drafts.ndim == 2 else (None, *drafts.shape)
    lead = () if batch is None else (batch,)
    if "num_accepted" in given:
        count = _shaped(given.pop("num_accepted"), lead, "num_accepted", batch)
        given["accepted"] = np.arange(size) < count[..., None]
    if given["next_token"].ndim and given["next_token"].shape[-1] < size:  # committed ones alone
        given["next_token"] = _padded(given["next_token"], -1, size, -1)
    shapes = {"slot": size, "vocab": writer.vocab_size}
    out = {}
    for name, value in given.items():
        dims = VARIABLES[name].dims[2:] if name in VARIABLES else ()
        shaped = _shaped(value, (*lead, *(shapes[dim] for dim in dims)), name, batch)
        out[name] = _filled(shaped, name, writer.window) if "slot" in dims else shaped
    return out


def _shaped(value: Array, expected: tuple[int, ...], name: str, batch: int | None) -> Array:
    if len(expected) == (batch is not None) and value.size == 1:  # one number for all of a batch
        return np.broadcast_to(value.reshape(()), expected)
    if value.ndim == len(expected) + 1 and 1 in (value.shape[0], value.shape[-1]):
        value = value[0] if value.shape[0] == 1 else value[..., 0]
    if value.ndim == len(expected) - 1 and batch == 1:
        value = value[None]
    if value.shape != expected:
        raise InputError(f"watch: {name} has shape {value.shape}: expected {expected}, as draft_token has it")
    return value


def _padded(value: Array, axis: int, size: int, empty: int) -> Array:
    rest = [(0, size - value.shape[i] if i == axis % value.ndim else 0) for i in range(value.ndim)]
    return np.pad(value, rest, constant_values=empty)


def _filled(value: Array, name: str, window: int) -> Array:
    """Slots without a draft come last."""
    axis = VARIABLES[name].dims.index("slot") - len(VARIABLES[name].dims)
    return _padded(value, axis, window, -1 if name == "draft_token" else 0)


def _with_next_drafts(passes: list[dict[str, Array]]) -> list[dict[str, Array]]:
    """Where the next drafts were not given, they are what the pass after verifies."""
    out = []
    for now, then in zip(passes, [*passes[1:], None], strict=True):
        token = np.atleast_2d(now["next_token"]).copy()
        drafts, base = np.atleast_2d(now["draft_token"]), np.atleast_1d(now["base"])
        for i, k in np.argwhere(token < 0):
            token[i, k] = drafts[i, k]
            if then is not None and "sequence" not in now:
                slot = base[i] + k - np.atleast_1d(then["base"])[i]
                after = np.atleast_2d(then["draft_token"])[i]
                if 0 <= slot < len(after) and after[slot] >= 0:
                    token[i, k] = after[slot]
        out.append({**now, "next_token": token.reshape(now["next_token"].shape)})
    return out


def watch(
    function: Any,
    writer: TraceWriter,
    *,
    at: int | str,
    tokens: str | None = None,
    **variables: Any,
) -> Watch:
    """Record the passes of a decoder whose code is left as it is, by reading its local variables.

    Like this, around a loop with one sequence a call or with a batch::

        with scd_analysis.TraceWriter(vocab_size=V, num_tokens=N, window=L, decoder="theirs", laws=True) as trace:
            with scd_analysis.watch(decode, trace, at="out = torch.cat", base="len(out)", draft_token="x",
                                    next_token="after", num_accepted="n", draft_probs="q", target_probs="p"):
                decode(model, seed)

    Each time the statement is reached, and before it is carried out, the variables are read, copied and recorded as one
    pass. The function runs as it is; only its own frame is traced line by line. Passes of a call that decodes a batch
    are written when it returns; calls that decode one sequence each are kept in memory and written side by side, as
    one batch, when the ``with`` statement ends.

    Parameters
    ----------
    function : callable
        A function or method in Python, called in this thread; or the function that it is written inside of.
    writer : TraceWriter
        Open, and closed by whoever made it.
    at : int or str
        The statement, reached once a pass, at which all variables hold what the pass used: its line as the file
        counts, or a piece of its text that no other line has. A comment on a line of its own stands for the statement
        behind it.
    tokens : str, optional
        The finished sequences, Long[N] or Long[B, N], as an expression of ``result``, what the function returned, and
        of its local variables at the end. By default put together from what was committed.
    **variables
        What :meth:`TraceWriter.append` takes, and ``num_accepted`` (Long[B], accepted drafts before the first
        rejection) in place of ``accepted``: each a local variable by its name, or an expression of some, such as
        ``"x[:, 1:]"``; or a pair of such and of another statement at which it is read, for what is overwritten before.
        With Long[L] drafts a call decodes one sequence, with Long[B, L] drafts a batch. L may be less than the window.

    Returns
    -------
    Watch
        To be used in a ``with`` statement. The tracer that was there before is put back; a debugger or a measure of
        coverage sees nothing meanwhile.

    Raises
    ------
    InputError
        If there is no such statement, or a name is not a local variable of the function; while it runs and at the end,
        if a variable has no value there or another shape, or a statement was never reached.
    """
    if not isinstance(writer, TraceWriter):
        raise InputError(f"writer = {writer!r:.80}: expected a TraceWriter")
    code = code_of(function)
    _check_variables(variables)
    visible = getattr(inspect.unwrap(function), "__globals__", {})
    main, end = find_place(code, at), Place(code, code.co_firstlineno, code.co_firstlineno)
    read: dict[Place, list[Expression]] = {main: []}
    for name, said in variables.items():
        text, place = (said[0], find_place(code, said[1])) if isinstance(said, (tuple, list)) else (said, main)
        read.setdefault(place, []).append(expression(name, text, place, visible))
    finished = None if tokens is None else expression("tokens", tokens, end, visible, (RESULT,))
    return Watch(function, writer, main, read, finished)


def _check_variables(variables: Mapping[str, Any]) -> None:
    known = [name for name, one in VARIABLES.items() if "iteration" in one.dims and "rank" not in one.dims]
    for name, said in variables.items():
        if name not in (*known, "num_accepted", "sequence"):
            raise InputError(f"{name}: not a variable of a trace; known: num_accepted, sequence, {', '.join(known)}")
        if isinstance(said, (tuple, list)) and len(said) != 2:
            raise InputError(f"{name} = {said!r:.80}: an expression, or a pair of one and a statement")
    missing = [name for name in NEEDED if name not in variables]
    if missing or not {"accepted", "num_accepted"} & variables.keys():
        raise InputError(f"{missing[0] if missing else 'accepted'}: not given; a trace needs it")
    if {"accepted", "num_accepted"} <= variables.keys():
        raise InputError("accepted: given, and num_accepted too")
