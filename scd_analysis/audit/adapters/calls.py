"""How somebody's function is called: which of its parameters takes what."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from scd_analysis.common.foreign import attribute
from scd_analysis.errors import InputError
from scd_analysis.validate import check_known

NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class Signature:
    """What a function takes.

    Attributes
    ----------
    positional : tuple of str
        Roles, in order.
    named : tuple of (str, str)
        Parameter and role of what is passed by name.
    """

    positional: tuple[str, ...]
    named: tuple[tuple[str, str], ...]

    @property
    def roles(self) -> tuple[str, ...]:
        """All of them."""
        return (*self.positional, *(role for _, role in self.named))

    def call(self, function: Callable[..., Any], values: Mapping[str, Any]) -> Any:
        """Call a function with the value of each role."""
        named = {parameter: values[role] for parameter, role in self.named}
        return function(*(values[role] for role in self.positional), **named)


@dataclass(frozen=True)
class Roles:
    """What a kind of function can be given.

    Attributes
    ----------
    what : str
        The kind, for messages.
    names : mapping of str to tuple of str
        Role to names that parameters have for it; the role's own name is one of them.
    default : tuple of str
        Roles, in order, of a function that does not name its parameters.
    """

    what: str
    names: Mapping[str, tuple[str, ...]]
    default: tuple[str, ...]

    def signature(
        self,
        function: Callable[..., Any],
        arguments: Any = None,
        *,
        known: Mapping[str, str] = NOTHING,
        leaves: Sequence[str] = (),
    ) -> Signature:
        """Find out what a function takes, by what is said of it or else by the names of its parameters.

        Parameters
        ----------
        function : callable
        arguments : sequence of str, or mapping of str to str, optional
            Roles in the order of the function's positional parameters, or parameter to role.
        known : mapping of str to str
            Parameters of an interface that is known, to their roles; the names say the rest.
        leaves : sequence of str
            Roles that optional parameters have and that are not passed.

        Raises
        ------
        InputError
            If it is no function, a parameter is of no known name, or two have the same role.
        UnknownNameError
            If ``arguments`` holds a role that there is not.
        """
        if not callable(function):
            raise InputError(f"function = {function!r}: a {self.what} is a function")
        if arguments is None:
            found = self._by_name(function, known, leaves)
        elif isinstance(arguments, Mapping):
            found = Signature((), tuple(arguments.items()))
        elif isinstance(arguments, Sequence) and not isinstance(arguments, str):
            found = Signature(tuple(arguments), ())
        else:
            raise InputError(f"arguments = {arguments!r}: roles in order, or parameter to role")
        for role in found.roles:
            check_known(role, self.names, "arguments: role")
            if found.roles.count(role) > 1:
                raise InputError(f"arguments: two parameters take {role}")
        return found

    def _by_name(self, function: Callable[..., Any], known: Mapping[str, str], leaves: Sequence[str]) -> Signature:
        try:
            parameters = inspect.signature(function).parameters.values()
        except (TypeError, ValueError):  # written in C: it does not say
            return Signature(self.default, ())
        if any(p.kind is p.VAR_POSITIONAL for p in parameters) and len(parameters) <= 2:
            return Signature(self.default, ())
        positional: list[str] = []
        named: list[tuple[str, str]] = []
        for parameter in parameters:
            role = known.get(parameter.name) or self.role(parameter.name)
            optional = parameter.default is not parameter.empty or parameter.kind in (
                parameter.VAR_POSITIONAL,
                parameter.VAR_KEYWORD,
            )
            if role is None and not optional:
                raise InputError(self._unclear(function, parameter.name))
            if role is None or (optional and role in leaves):
                continue
            if parameter.kind is parameter.POSITIONAL_ONLY:
                positional.append(role)
            else:
                named.append((parameter.name, role))
        return Signature(tuple(positional), tuple(named))

    def _unclear(self, function: Callable[..., Any], parameter: str) -> str:
        named = _named(function)
        wrapped = named if named.isidentifier() else "function"
        return (
            f"{self.what}: parameter {parameter!r} of {named}{inspect.signature(function)} "
            f"could be anything; say what it takes: arguments={{{parameter!r}: ...}} with one of "
            f"{', '.join(self.names)} for every parameter, or a tuple of these in order; or wrap it in a function "
            f"that takes what is on this list and settles the rest: "
            f"def verify({', '.join(self.default)}): return {wrapped}(..., {parameter}=...)"
        )

    def role(self, parameter: str) -> str | None:
        """Return the role that a parameter of this name has, None where it says none."""
        plain = parameter.lower().replace("_", "")
        for role, names in self.names.items():
            if plain in (name.replace("_", "") for name in (role, *names)):
                return role
        return None


def _named(function: Callable[..., Any]) -> str:
    return str(attribute(function, "__name__", "function") or type(function).__name__)
