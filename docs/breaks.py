"""Hooks of MkDocs: where long names in tables may break, and the checkout's figures as files of the site."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

CELL = re.compile(r"<td.*?</td>", re.DOTALL)
FIGURES = Path(__file__).parents[1] / "figures"
CODE = re.compile(r"(?<=<code>)[^<]+(?=</code>)")


def on_page_content(html: str, **_: Any) -> str:
    """Put ``<wbr>`` behind dots, slashes, colons and underscores of code in cells; a hook of MkDocs."""
    return CELL.sub(lambda cell: CODE.sub(lambda code: re.sub(r"([./_]|::)", r"\1<wbr>", code[0]), cell[0]), html)


def on_files(files: Any, config: Any, **_: Any) -> Any:
    """Add the figures, which lie beside the pages' folder and not in it."""
    for path in sorted(FIGURES.glob("*.png")):
        files.append(File.generated(config, f"figures/{path.name}", abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Point at them where the site has them; in the checkout the same links work as they are written."""
    return markdown.replace("](../figures/", "](figures/")
