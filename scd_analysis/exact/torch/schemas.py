"""What PyTorch says about its operations' arguments, looked up once an operation."""

from __future__ import annotations

from functools import lru_cache
from typing import Any


class Schema:
    """Names and defaults of an operation's arguments.

    Attributes
    ----------
    name
        Without the namespace: ``add_`` for ``aten::add_.Tensor``.
    in_place
        Whether it writes to its first argument.
    is_view
        Whether its result shares memory with its first argument.
    may_rest
        Whether an argument can tell a random operation not to draw.
    """

    def __init__(self, func: Any) -> None:
        arguments = func._schema.arguments
        self.name: str = func._schema.name.partition("::")[2]
        self.names: list[str] = [argument.name for argument in arguments]
        self._defaults = {a.name: a.default_value for a in arguments if a.has_default_value()}
        first = arguments[0].alias_info if arguments else None
        self.in_place = first is not None and first.is_write
        self.is_view = (first is not None and not first.is_write) or self.name in ("_unsafe_view", "_reshape_alias")
        self.may_rest = not {"train", "training", "dropout_p"}.isdisjoint(self.names)

    def bind(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        """Give arguments by name, defaults filled in."""
        return {**self._defaults, **dict(zip(self.names, args, strict=False)), **kwargs}


@lru_cache(maxsize=4096)
def schema(func: Any) -> Schema:
    """Look up what PyTorch says of an operation."""
    return Schema(func)
