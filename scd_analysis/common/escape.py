"""Words of other people, made harmless once, at the door that they leave by: a terminal, a drawing, a page.

Names of decoders, attributes of traces, messages of somebody's exceptions and names of files are shown as they are
read, never obeyed: as markup, as an escape sequence, as mathematics, as HTML or as a link.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.text import Text

LONGEST = 32
"""Characters that a drawing has room for."""

_CODES = re.compile(r"[\\&<>$~|]|\](?=[(\[:])|^[#+=*-]|^\d+(?=[.)] )")
_NAMED = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


def terminal(text: object, *, lines: bool = False) -> str:
    r"""Show what a terminal would obey: ESC, C1, carriage returns, bidirectional overrides, lone surrogates.

    Parameters
    ----------
    text : object
        What is shown; ``str`` of it.
    lines : bool
        Leave line ends as they are: the text is a paragraph of ours.

    Returns
    -------
    str
        Printable characters, and ``\x1b``, ``\u202e``, ... for the others.
    """
    return "".join(char if _harmless(char) or (lines and char == "\n") else _spelled(char) for char in str(text))


def line(text: object) -> str:
    """Put a text on one line of a terminal: runs of blanks and line ends are one blank."""
    return terminal(" ".join(str(text).split()))


def cell(text: object) -> Text:
    """Wrap a text for ``rich``, which would otherwise read ``[bold]`` and ``[link=...]`` as markup."""
    from rich.text import Text  # here, since only tables need it

    return Text(terminal(text))


def mathtext(text: object) -> str:
    """Spell a text so that Matplotlib draws it letter by letter, and in a legend too; long ones are cut."""
    shown = line(text)
    shown = shown if len(shown) <= LONGEST else f"{shown[: LONGEST - 1]}…"
    shown = f" {shown}" if shown.startswith("_") else shown  # a legend leaves out labels that begin with one
    return shown.replace("$", r"\$")


def markdown(text: object) -> str:
    """Spell a text so that a Markdown page shows it: no HTML, link, heading, mathematics or cell of a table.

    Code spans, emphasis and brackets of intervals are left as they are, since captions have them.
    """
    return _CODES.sub(lambda found: _NAMED.get(found[0]) or _backslashed(found[0]), line(text))


def _backslashed(found: str) -> str:
    return f"{found}\\" if found.isdigit() else f"\\{found}"


def _harmless(char: str) -> bool:
    return char.isprintable() or unicodedata.category(char) == "Zs"


def _spelled(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")
