"""Docstrings as the site wants them: roles and literal blocks of reStructuredText become Markdown."""

from __future__ import annotations

import re
from typing import Any

from griffe import Extension, Object

REFERENCE = re.compile(r"^( *)\.\. (\[\d+\]) ", re.MULTILINE)
ROLE = re.compile(r":(?:attr|class|data|func|meth|mod):`~?([^`]+)`")


class Roles(Extension):
    """``:func:`x``` becomes ``x`` in code, ``[1]_`` becomes ``[1]``, ``::`` before a literal block a colon."""

    def on_object(self, *, obj: Object, **_: Any) -> None:
        """Rewrite a docstring before it is parsed."""
        if obj.docstring is not None:
            text = ROLE.sub(r"`\1`", obj.docstring.value)
            text = REFERENCE.sub(r"\1\2 ", re.sub(r"(\[\d+\])_", r"\1", text))
            obj.docstring.value = re.sub(r"::\n\n(?= )", ":\n\n", text)
