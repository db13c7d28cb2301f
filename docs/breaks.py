"""Where long names in tables may break, so that no column is wider than it must be."""

from __future__ import annotations

import re
from typing import Any

CELL = re.compile(r"<td.*?</td>", re.DOTALL)
CODE = re.compile(r"(?<=<code>)[^<]+(?=</code>)")


def on_page_content(html: str, **_: Any) -> str:
    """Put ``<wbr>`` behind dots, slashes, colons and underscores of code in cells; a hook of MkDocs."""
    return CELL.sub(lambda cell: CODE.sub(lambda code: re.sub(r"([./_]|::)", r"\1<wbr>", code[0]), cell[0]), html)
