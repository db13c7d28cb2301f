"""What the page and the paper say, section by section, around their figures and tables: ``story.md``, read.

That file is Markdown of a simple kind. A line ``## Title`` begins a section, blank lines part its blocks, and a block
in braces stands for what is put there: ``{figures: one, two}``, ``{other figures}``, ``{table: name}`` or
``{conditions}``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from scd_analysis.conditions import Condition
from studies.gallery.tables import TABLES, Table

FILE = Path(__file__).with_name("story.md")
REFERENCES = "References"

_PUT = re.compile(r"\{(?P<what>[a-z ]+)(: (?P<names>[^}]+))?\}")


@dataclass(frozen=True)
class Figures:
    """Figures, by name."""

    names: tuple[str, ...]


Block = str | Table | Figures
"""A paragraph, a table, or figures."""


@dataclass(frozen=True)
class Section:
    """A part of the page.

    Attributes
    ----------
    title : str
    blocks : tuple of Block
    """

    title: str
    blocks: tuple[Block, ...]

    @property
    def figures(self) -> list[str]:
        """Names of its figures."""
        return [name for block in self.blocks if isinstance(block, Figures) for name in block.names]

    def having(self, figures: Iterable[str]) -> Section | None:
        """What is left of it where there are only some figures; None if it is about others."""
        there = set(figures)
        if self.figures and not there.intersection(self.figures):
            return None
        kept = (block for block in self.blocks if not isinstance(block, Table) or there.issuperset(block.needs))
        cut = (Figures(tuple(n for n in b.names if n in there)) if isinstance(b, Figures) else b for b in kept)
        return Section(self.title, tuple(cut))


def title(text: str | None = None) -> str:
    """The title of the whole."""
    return (FILE.read_text() if text is None else text).partition("\n")[0].removeprefix("# ")


def references() -> list[str]:
    """The words by which the story cites, in the order of its last section."""
    return re.findall(r"^\[([^]]+)\]", FILE.read_text().partition(f"## {REFERENCES}\n")[2], flags=re.MULTILINE)


def sections(known: Iterable[str], text: str | None = None) -> list[Section]:
    """Read the story.

    Parameters
    ----------
    known : iterable of str
        Every figure; those that no section names come where it says ``{other figures}``.
    text : str, optional
        Of ``story.md``.

    Raises
    ------
    ValueError
        If it names a figure twice, or what it puts in is not known.
    """
    _, *parts = re.split(r"^## ", FILE.read_text() if text is None else text, flags=re.MULTILINE)
    known = list(known)
    named = [name for found in _PUT.finditer("".join(parts)) if found["what"] == "figures" for name in _names(found)]
    twice = {name for name in named if named.count(name) > 1}
    if twice:
        raise ValueError(f"story.md names the figure {min(twice)} twice")
    others = [name for name in known if name not in named]
    out = []
    for part in parts:
        heading, _, rest = part.partition("\n")
        blocks = (" ".join(block.split()) for block in rest.split("\n\n"))
        out.append(Section(heading, tuple(_read(block, known, others) for block in blocks if block)))
    return out


def _names(found: re.Match[str]) -> list[str]:
    return [name.strip() for name in (found["names"] or "").split(",")]


def _read(block: str, known: list[str], others: list[str]) -> Block:
    found = _PUT.fullmatch(block)
    if found is None:
        return block
    match found["what"]:
        case "figures":
            return Figures(tuple(name for name in _names(found) if name in known))
        case "other figures":
            return Figures(tuple(others))
        case "table":
            return TABLES[found["names"]]
        case "conditions":
            return f"The five: {'; '.join(f'{one.value} ({one.statement})' for one in Condition)}."
        case what:
            raise ValueError(f"story.md has {{{what}}}, which nothing stands for")
