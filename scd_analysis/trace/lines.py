"""Where in somebody's function a statement is: by its line, or by a piece of its text."""

from __future__ import annotations

import ast
import builtins
import inspect
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import CodeType, FrameType
from typing import Any

from scd_analysis.errors import InputError


@dataclass(frozen=True)
class Place:
    """A statement.

    Attributes
    ----------
    code : CodeType
        Of the function that it is in.
    first, last : int
        Its lines, as the file counts them; of one with a body, those before the body.
    """

    code: CodeType
    first: int
    last: int

    def __contains__(self, line: int) -> bool:
        return self.first <= line <= self.last

    def __str__(self) -> str:
        return f"line {self.first}"


def code_of(function: Any) -> CodeType:
    """Return the code of a function or method, behind decorators that say what they decorate.

    Raises
    ------
    InputError
        If it has none: a class, or what is written in another language.
    """
    found = inspect.unwrap(function) if callable(function) else function
    code = getattr(getattr(found, "__func__", found), "__code__", None)
    if not isinstance(code, CodeType):
        raise InputError(f"function = {function!r:.80}: has no Python code to be watched; pass a function or a method")
    return code


def find_place(code: CodeType, at: Any) -> Place:
    """Find a statement of a function.

    Parameters
    ----------
    code : CodeType
    at : int or str
        A line as the file counts them; or a piece of a line, the whole of it first. A comment on a line of its own
        stands for the statement behind it, of the same depth.

    Raises
    ------
    InputError
        If there is no such statement, or several.
    """
    if isinstance(at, bool) or not isinstance(at, (int, str)):
        raise InputError(f"at = {at!r:.80}: a line by its number or by a piece of its text")
    try:
        source, start = inspect.getsourcelines(code)
    except (OSError, TypeError):
        raise InputError(f"function {code.co_name}: its source cannot be read, so that lines cannot be found") from None
    line = at if isinstance(at, int) else start + _found([text.strip() for text in source], at, start, code.co_name)
    if not start <= line < start + len(source):
        last = start + len(source) - 1
        raise InputError(f"at = {line}: {code.co_name} has lines {start} to {last} of {code.co_filename}")
    return _statement(code, source, start, line)


def _found(texts: list[str], at: str, start: int, name: str) -> int:
    """The number of the line, from zero, that is or holds a text."""
    if not at.strip():
        raise InputError("at = '': a piece of a line is not empty")
    for fits in (lambda text: text == at.strip(), lambda text: at.strip() in text):
        found = [i for i, text in enumerate(texts) if fits(text)]
        if len(found) == 1:
            return found[0]
        if found:
            lines = ", ".join(str(start + i) for i in found)
            raise InputError(f"at = {at!r}: lines {lines} of {name} have it; pass more of the line, or its number")
    raise InputError(f"at = {at!r}: no line of {name} has it")


def _statement(code: CodeType, source: list[str], start: int, line: int) -> Place:
    tree = ast.parse(textwrap.dedent("".join(source)))
    text = source[line - start]
    if not text.strip() or text.strip().startswith("#"):
        line = _behind(tree, source, start, line)
    spans = [span for span in _spans(tree, start) if span[0] <= line <= span[1]]
    owners = [own for own in _codes(code) if any(line == known for *_, known in own.co_lines())]
    if not spans or not owners:
        raise InputError(f"at = {line}: no statement of {code.co_name} begins or goes on there")
    first, last = min(spans, key=lambda span: span[1] - span[0])
    return Place(owners[-1], first, last)


def _behind(tree: ast.Module, source: list[str], start: int, line: int) -> int:
    """The first line of the statement behind a comment."""
    depth = len(source[line - start]) - len(source[line - start].lstrip())
    following = next((first for first, _ in sorted(_spans(tree, start)) if first > line), None)
    if following is not None:
        text = source[following - start]
        if len(text) - len(text.lstrip()) == depth:
            return following
    raise InputError(
        f"at = {line}: a comment stands for the statement behind it, and none of its depth follows; name a statement"
    )


def _spans(tree: ast.Module, start: int) -> Iterator[tuple[int, int]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.stmt):
            body = getattr(node, "body", None)
            last = body[0].lineno - 1 if body else node.end_lineno or node.lineno
            yield node.lineno + start - 1, max(last, node.lineno) + start - 1


def _codes(code: CodeType) -> Iterator[CodeType]:
    """A function's code, and that of functions written inside it, from the outside."""
    yield code
    for inner in code.co_consts:
        if isinstance(inner, CodeType) and not inner.co_name.startswith("<"):
            yield from _codes(inner)


@dataclass(frozen=True)
class Expression:
    """An expression over the local variables of a function, at a statement of it.

    Attributes
    ----------
    name : str
        What it is the value of.
    text : str
    place : Place
    code : CodeType
    """

    name: str
    text: str
    place: Place
    code: CodeType

    def __str__(self) -> str:
        return f"{self.name} ({self.text!r} at {self.place} of {self.place.code.co_name})"

    def value(self, frame: FrameType, **more: Any) -> Any:
        """Evaluate it in a frame.

        Raises
        ------
        InputError
            If that raises.
        """
        try:
            return eval(self.code, {**frame.f_globals, **frame.f_locals, **more})  # the user's own words
        except Exception as error:
            raise InputError(f"{self}: {type(error).__name__}: {error!s:.200}") from error


def expression(
    name: str, text: Any, place: Place, visible: Mapping[str, Any], more: tuple[str, ...] = ()
) -> Expression:
    """Read an expression.

    Parameters
    ----------
    name : str
        What it is the value of.
    text : str
    place : Place
    visible : mapping
        What the function sees beside its local variables.
    more : tuple of str
        Other names that it may hold.

    Raises
    ------
    InputError
        If it is no expression, or holds a name that is not a local variable.
    """
    if not isinstance(text, str):
        raise InputError(f"{name} = {text!r:.80}: a local variable by its name, or an expression of some")
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError) as error:
        raise InputError(f"{name} = {text!r}: no expression ({error!s:.120})") from None
    code = place.code
    own = (*code.co_varnames, *code.co_cellvars, *code.co_freevars)
    names = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
    bound = {node.id for node in names if not isinstance(node.ctx, ast.Load)}
    for node in names:
        if node.id not in {*own, *bound, *more} and node.id not in visible and not hasattr(builtins, node.id):
            raise InputError(
                f"{name} = {text!r}: {node.id!r} is not a local variable of {code.co_name}, which has {', '.join(own)}"
            )
    return Expression(name, text, place, compile(tree, f"<{name}>", "eval"))
