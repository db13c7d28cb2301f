"""What goes wrong, by name. Every error is a ``ValueError`` whose one-line message names argument, index and value."""

from __future__ import annotations


class InputError(ValueError):
    """An argument is not what the function can work with."""


class LawError(InputError):
    """A law has a NaN, a negative entry or a sum away from one, or a token has no probability under its law."""


class TraceError(InputError):
    """A file is not a trace, is of a later schema, or contradicts itself."""


class CausalityError(InputError):
    """A model's law of a token changes with tokens that come later."""


class EngineError(InputError):
    """An engine is not there, goes away, or answers with something else than it was asked for."""


class UnknownNameError(InputError):
    """A name (model, method, figure, ...) that is not known; the message lists those that are."""


class CannotEnumerate(InputError):  # noqa: N818 -- the name is part of the public contract
    """A sampler uses its random choices in a way that the exact engine cannot follow."""
