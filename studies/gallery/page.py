"""The page of a folder of figures, ``README.md``: each figure with its caption, data and command, and a table.

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
from studies.gallery import comparison
from studies.gallery.exhibit import Exhibit
from studies.gallery.registry import exhibits

TITLE = "Speculative Jacobi decoding, measured and refereed"
PAGE, PAPER = "README.md", "paper.pdf"
PAGES = {PAGE: Kind.PAGE, PAPER: Kind.PAPER}
TABLE = "Published and measured here"
HEADS = ("paper's model", "quantity", "published", "measured here", "agrees", "figure")
NONE = "-"

ORDER = (
    "methods_compared",
    "speedup_by_window",
    "initial_drafts",
    "coupling_alpha",
    "hamming_by_lag",
    "nfe_vs_token_difference",
    "collision_by_age",
    "acceptance_lengths",
    "acceptance_trajectories",
    "collision_histograms",
    "collision_vs_tv",
    "entropy_acceptance",
    "acceptance_map",
    "guidance",
    "temperature",
    "top_k",
    "top_p",
    "vp_motivation",
    "image_video",
    "sample_grids",
    "sample_grids_digits",
    "verdict_table",
    "audit_power",
    "audit_calibration",
    "drift",
    "epsilon",
    "engines_judged",
    "scaling_out",
)
"""Of the figures on the page; those that are not named come last, by name."""


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
    names = [*(name for name in ORDER if name in known), *(name for name in known if name not in ORDER)]
    there = [name for name in names if (folder / f"{name}.json").exists()]
    return [Entry(i, known[name], load(folder / f"{name}.json")) for i, name in enumerate(there, start=1)]


def introduction(found: list[Entry]) -> list[str]:
    """What this is, what it was made with, and how to read it: paragraphs without markup."""
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
    return [
        "Speculative Jacobi decoding (SJD) draws many tokens of an autoregressive model in one forward pass; its "
        "coupled forms SCD-MC and SCD-GS make successive drafts agree. All three are lossless: the tokens have the "
        "target model's law exactly. These figures show what the papers show, measured on models small enough to ship, "
        "and beside them the distance from the target law, of rivals too that are fast because they change it.",
        f"{len(found)} figures: {len(found) - len(studies)} are drawn from decodes that the command repeats, and "
        f"{len(studies)} from stored results of studies. Models: {listed(said) if said else 'unnamed'}. "
        f"Seeds: {listed(seeds) if seeds else 'none'}. Libraries: {libraries or 'unknown'}. Intervals are 95%, over "
        "sequences, wherever something was sampled. Every number of a caption is computed from the data beside its "
        "figure; python -m scd_analysis.figures --check draws every picture again, and this page, and compares.",
        "A speed-up is the number of tokens over the mean number of forward passes (NFE). It depends on how well the "
        "model predicts, so absolute numbers of small models cannot be those of large ones: compare orders, shapes and "
        "statements.",
    ]


def text(found: list[Entry]) -> str:
    """The page, without the line on the paper."""
    out = [f"# {TITLE}", "", "Written by `python -m scd_analysis.figures`; no code here.", ""]
    for paragraph in introduction(found):
        out += [escape.markdown(paragraph), ""]
    table = comparison.lines(frames_of(found))
    out += [f"## {TABLE}", "", f"| {' | '.join(HEADS)} |", "| --- | --- | --- | --- | --- | --- |"]
    out += [
        f"| {' | '.join(map(escape.markdown, (one.where, one.quantity, one.published, one.measured)))} | "
        f"{one.agrees or NONE} | {number_of(one.figure, found)} |"
        for one in table
    ]
    out += ["", reading(table), ""]
    for entry in found:
        name = entry.figure.name
        out += [f"## {entry.title}", "", f"![{name}]({name}.png)", "", escape.markdown(entry.stored.caption), ""]
        made_from = escape.markdown(entry.made_from)
        out += [f"Data: [{name}.json]({name}.json). Vector: [{name}.svg]({name}.svg). From {made_from}.", ""]
        out += [f"Command: `{entry.command}`", ""]
    return "\n".join(out)


def reading(table: list[comparison.Line]) -> str:
    """How many statements hold."""
    stated = [one for one in table if one.agrees]
    words = (comparison.YES, comparison.UNSURE, comparison.NO)
    yes, unsure, no = (sum(one.agrees == word for one in stated) for word in words)
    return (
        f"Of {len(stated)} statements that can be tested here, {yes} hold, {unsure} hold within noise and {no} do not. "
        "Numbers are not compared: the models differ."
    )


def frames_of(found: list[Entry]) -> Mapping[str, Stored]:
    """Stored frames by figure."""
    return {entry.figure.name: entry.stored for entry in found}


def number_of(name: str, found: list[Entry]) -> str:
    """The number of a figure on the page."""
    return next((str(entry.number) for entry in found if entry.figure.name == name), NONE)


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
