"""HTML by construction: a plain string is escaped; only :class:`Markup` goes in as it is."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from html import escape
from typing import Any, TypeAlias

_VOID = frozenset({"meta", "br", "input", "col"})
_OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""What HTML forbids, what turns the writing around, and what UTF-8 cannot hold."""


class Markup(str):
    """A string that is HTML already."""

    __slots__ = ()


Child: TypeAlias = "str | int | float | Iterable[Child] | None"


def join(*children: Child) -> Markup:
    """Put children together, escaping what is not markup; None is nothing."""
    return Markup("".join(_text(child) for child in children))


def _text(child: Child) -> str:
    if child is None:
        return ""
    if isinstance(child, Markup):
        return child
    if isinstance(child, (str, int, float)):
        return _escaped(child)
    return "".join(_text(each) for each in child)


def element(name: str, /, *children: Child, **attributes: Any) -> Markup:
    """Make an element.

    Parameters
    ----------
    name : str
        Of the tag.
    *children
        Markup, or text to be escaped.
    **attributes
        ``class_`` stands for class and ``aria_label`` for aria-label; None and False leave an attribute out, True
        writes its bare name.
    """
    opening = f"<{name}{''.join(_attribute(key, value) for key, value in attributes.items())}>"
    return Markup(opening if name in _VOID else f"{opening}{join(*children)}</{name}>")


def _attribute(key: str, value: Any) -> str:
    if value is None or value is False:
        return ""
    spelled = key.rstrip("_").replace("_", "-")
    return f" {spelled}" if value is True else f' {spelled}="{_escaped(value)}"'


def _escaped(value: Any) -> str:
    """Show text as it is read, and by its number what would be obeyed."""
    return escape(_OBEYED.sub(lambda found: f"\\u{ord(found[0]):04x}", str(value)))


def data(value: Any, identifier: str) -> Markup:
    """Embed JSON for the page's script; no string in it can end the element."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return element("script", Markup(text), type="application/json", id=identifier)
