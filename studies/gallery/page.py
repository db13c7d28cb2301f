"""The page of a folder of figures, ``README.md``: the story, its tables, and figures with caption, data and command.

The page is made from the stored frames alone, so that it can be made again and compared.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from scd_analysis.common import escape
from scd_analysis.common.files import Kind
from scd_analysis.errors import InputError
from scd_analysis.figures.store import Stored, load
from scd_analysis.figures.words import listed
from studies.gallery import story, tables
from studies.gallery.exhibit import Exhibit
from studies.gallery.findings import findings
from studies.gallery.registry import exhibits
from studies.gallery.story import Figures, Section
from studies.gallery.tables import Table

PAGE, PAPER = "README.md", "paper.pdf"
PAGES = {PAGE: Kind.PAGE, PAPER: Kind.PAPER}


@dataclass(frozen=True)
class Entry:
    """A figure on the page.

    Attributes
    ----------
    number : int
        From 1.
    figure : Figure
        How it is drawn.
    stored : Stored
        What is drawn.
    """

    number: int
    figure: Exhibit
    stored: Stored

    @property
    def title(self) -> str:
        """``Figure 3. Passes by coupling strength``."""
        return f"Figure {self.number}. {self.figure.summary[0].upper()}{self.figure.summary[1:]}"

    @property
    def command(self) -> str:
        """What draws it."""
        return f"python -m scd_analysis.figures {self.figure.name}"

    @property
    def made_from(self) -> str:
        """Result file or runs, and the commit."""
        settings = self.stored.settings
        of = f"studies/results/{self.figure.result}.json" if self.figure.result else f"{len(settings['runs'])} runs"
        return f"{of}, commit {settings.get('commit') or 'unknown'}"


def entries(folder: Path) -> list[Entry]:
    """The folder's figures in the order of the page."""
    known = exhibits()
    names = [name for section in story.sections(known) for name in section.figures]
    there = [name for name in names if (folder / f"{name}.json").exists()]
    return [Entry(i, known[name], load(folder / f"{name}.json")) for i, name in enumerate(there, start=1)]


def sections_of(found: list[Entry]) -> list[Section]:
    """What the story says where there are these figures."""
    names = [entry.figure.name for entry in found]
    return [left for section in story.sections(exhibits()) if (left := section.having(names)) is not None]


def abstract(found: list[Entry]) -> list[str]:
    """What this is and what was found, and what it was made with: two paragraphs without markup."""
    settings = [entry.stored.settings for entry in found]
    models: dict[str, float | None] = {}
    for one in settings:
        if one.get("model"):  # the first says the bits: sweeps may be conditional
            models.setdefault(str(one["model"]), one.get("bits_per_token_held_out"))
    said = [f"{name} ({bits:.2f} bits a token held out)" if bits else name for name, bits in sorted(models.items())]
    studies = [entry for entry in found if entry.figure.result]
    seeds = sorted({str(one["seed"]) for one in settings if "seed" in one})
    versions: dict[str, str] = {}
    for one in settings:
        versions |= one.get("versions", {})
    libraries = listed(f"{name} {versions[name]}" for name in ("python", "torch", "numpy") if name in versions)
    what = (
        "Speculative decoders draw many tokens of an autoregressive model in one forward pass, and claim to be "
        "lossless: the tokens have the model's law exactly. A referee of that claim is described, and what it found.",
        *findings(frames_of(found)),
        tables.reading(frames_of(found)),
    )
    return [
        " ".join(what),
        f"{len(found)} figures: {len(found) - len(studies)} are drawn from decodes that the command repeats, and "
        f"{len(studies)} from stored results of studies. Models: {listed(said) if said else 'unnamed'}. "
        f"Seeds: {listed(seeds) if seeds else 'none'}. Libraries: {libraries or 'unknown'}. Intervals are 95%, over "
        "sequences, wherever something was sampled. Every number of a caption or table is computed from the figures' "
        "data; python -m scd_analysis.figures --check draws every picture again, and this page, and compares.",
    ]


def text(found: list[Entry]) -> str:
    """The page, without the line on the paper."""
    out = [f"# {story.title()}", "", "Written by `python -m scd_analysis.figures`; no code here.", ""]
    for paragraph in abstract(found):
        out += [escape.markdown(paragraph), ""]
    by_name = {entry.figure.name: entry for entry in found}
    for section in sections_of(found):
        out += [f"## {section.title}", ""]
        for block in section.blocks:
            if isinstance(block, Figures):
                out += [line for name in block.names for line in _figure(by_name[name])]
            elif isinstance(block, Table):
                out += _table(block, found)
            else:
                out += [escape.markdown(block), ""]
    return "\n".join(out)


def _figure(entry: Entry) -> list[str]:
    name, made_from = entry.figure.name, escape.markdown(entry.made_from)
    return [
        *(f"### {entry.title}", "", f"![{name}]({name}.png)", "", escape.markdown(entry.stored.caption), ""),
        *(f"Data: [{name}.json]({name}.json). Vector: [{name}.svg]({name}.svg). From {made_from}.", ""),
        *(f"Command: `{entry.command}`", ""),
    ]


def _table(table: Table, found: list[Entry]) -> list[str]:
    frames = frames_of(found)
    lines = [table.heads, ("---",) * len(table.heads)]
    for row in table.rows(frames):
        cells = (*row[:-1], number_of(row[-1], found)) if table.links else row
        lines.append(tuple(cell if cell == tables.NONE else escape.markdown(cell) for cell in cells))
    after = table.after(frames)
    out = [f"### {table.title}", "", *(f"| {' | '.join(line)} |" for line in lines), ""]
    return [*out, after, ""] if after else out


def frames_of(found: list[Entry]) -> Mapping[str, Stored]:
    """Stored frames by figure."""
    return {entry.figure.name: entry.stored for entry in found}


def number_of(name: str, found: list[Entry]) -> str:
    """The number of a figure on the page."""
    return next((str(entry.number) for entry in found if entry.figure.name == name), tables.NONE)


def digest(page: str, folder: Path, found: list[Entry]) -> str:
    """Of the page and the pictures: what the paper has to be made from."""
    state = hashlib.sha256(page.encode())
    for entry in found:
        state.update(hashlib.sha256((folder / f"{entry.figure.name}.png").read_bytes()).digest())
    return state.hexdigest()


def last_line(paper: bytes) -> str:
    """Ties the page to the paper beside it."""
    return f"The same to print: [{PAPER}]({PAPER}), sha256 `{hashlib.sha256(paper).hexdigest()}`.\n"


def check(folder: Path) -> dict[str, str]:
    """What is wrong with the folder's page and paper, by file; empty if nothing is."""
    try:
        found = entries(folder)
    except InputError as error:
        return {PAGE: str(error)}
    for name in (PAGE, PAPER):
        if not (folder / name).exists():
            return {name: f"{folder / name} is missing"}
    page, paper = text(found), (folder / PAPER).read_bytes()
    problems = {}
    if (folder / PAGE).read_text(encoding="utf-8", errors="replace") != f"{page}\n{last_line(paper)}":
        problems[PAGE] = f"{folder / PAGE}: not the page that the folder's figures and paper give"
    made_from = re.search(rb"/Keywords \(([0-9a-f]{64})\)", paper)
    if made_from is None or made_from[1].decode() != digest(page, folder, found):
        problems[PAPER] = f"{folder / PAPER}: not made from the folder's figures"
    return problems
