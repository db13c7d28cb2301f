"""From a frame to files, and from somebody's trace to a folder of them; files are drawn again to check them."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from PIL import Image

from scd_analysis.common import escape
from scd_analysis.common.files import (
    MADE_BY,
    Kind,
    Output,
    check_apart,
    check_output,
    check_writable,
    encoded,
    write_files,
)
from scd_analysis.errors import InputError
from scd_analysis.figures import foreign
from scd_analysis.figures.base import FROM_TRACE, Figure, Run, Settings
from scd_analysis.figures.provenance import commit, settings_of
from scd_analysis.figures.registry import all_figures, chosen
from scd_analysis.figures.store import Stored, as_stored, load, parse, to_text
from scd_analysis.figures.style import style

DEFAULT_OUT = Path("figures")
GALLERY = "gallery.md"
GALLERY_PAGES = {GALLERY: Kind.PAGE}
_KINDS = {".json": Kind.FRAME, ".png": Kind.PNG, ".svg": Kind.SVG}
"""Of a figure's files, by what their names end in."""

_ABOUT: dict[str, dict[str, str | None]] = {
    "png": {"Software": MADE_BY},
    "svg": {"Date": None, "Creator": MADE_BY},
    "pdf": {"CreationDate": None, "Creator": MADE_BY},
}

PIXEL_STEP, PIXEL_COUNT = 8, 10
"""A check lets this many pixels differ by more than this many of 255 levels: rounding, and nothing else."""

Report = Callable[[str, str, float], None]
"""Gets a phase (``"decoding"``, ``"drawing"``, ``"left out"``), what was done last, and the share that is done."""


def silent(phase: str, item: str, share: float) -> None:
    """Report nothing."""


def render(
    names: Sequence[str] = (), *, trace: str | Path, out: str | Path | None = None, report: Report = silent
) -> list[Path]:
    """Make figures from a trace of any decoder.

    Parameters
    ----------
    names : sequence of str
        Figures; all that the trace can give by default.
    trace : path or URL
        Directory or ``.zip``.
    out : path, optional
        Folder to write to, ``figures/<trace>`` by default.
    report : callable
        Hears of progress, and of figures that the trace cannot give.

    Returns
    -------
    list of Path
        What was written: for each figure a PNG, an SVG and the JSON of its frame; then a page of them.

    Raises
    ------
    InputError
        For an unknown name, a bad trace, a named figure that the trace cannot give, or a file in the folder that this
        program did not write. Nothing is written before all is drawn, and no file by halves.
    """
    figures = chosen(names, all_figures())
    folder = Path(out) if out is not None else _default_out(trace)
    check_apart(folder, f"out = {folder}", [trace])
    check_folder(folder, [figure.name for figure in figures], GALLERY_PAGES)
    made_from, run = commit(), foreign.open_run(trace)
    figures = list(_that_it_gives(figures, run, trace, named=bool(names), report=report))
    outputs: list[Output] = []
    for count, figure in enumerate(figures):
        report("drawing", figure.name, count / len(figures))
        try:
            outputs += _of_trace(figure, run, made_from, folder)
        except InputError as error:
            if names:
                raise
            report("left out", f"{figure.name}: {error}", 1.0)
    if not outputs:
        raise InputError(f"trace {trace}: records nothing that a figure shows")
    return written(outputs, folder, write_gallery, report)


def _that_it_gives(
    figures: list[Figure], run: Run, path: str | Path, *, named: bool, report: Report
) -> Iterator[Figure]:
    """Figures whose variables the trace has."""
    for figure in figures:
        with foreign.reading(path):
            if named:
                foreign.require(figure, run)
            missing = foreign.lacking(figure, run)
        if missing is None:
            yield figure
        else:
            report("left out", f"{figure.name}: the trace has no {missing}", 1.0)


def _of_trace(figure: Figure, run: Run, made_from: str | None, folder: Path) -> list[Output]:
    """Compute and draw one figure; what fails on somebody's trace is an error of that trace."""
    try:
        return drawn(figure, figure.compute([run]), settings_of([run], FROM_TRACE, made_from), folder)
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"figure {figure.name!r}: cannot be drawn from this trace ({foreign.said(error)})") from error


def _default_out(trace: str | Path) -> Path:
    """The gallery is not overwritten by somebody's trace, nor one trace's figures by those of another name."""
    name = re.sub(r"(\.zarr)?(\.zip)?$", "", Path(trace).resolve().name)
    if not name:
        raise InputError(f"trace = {trace}: gives no name to a folder of figures; say one with --out")
    return DEFAULT_OUT / name


def check_folder(folder: Path, names: Sequence[str], pages: Mapping[str, Kind]) -> None:
    """Check everything that will be written, before anything is decoded."""
    kinds = {f"{name}{suffix}": kind for name in names for suffix, kind in _KINDS.items()}
    if folder.is_dir():
        for name, kind in {**kinds, **pages}.items():
            check_output(folder / name, kind, "out")
    else:
        check_writable(folder, f"out = {folder}")


def written(
    outputs: Sequence[Output], folder: Path, write_pages: Callable[[Path], list[Path]], report: Report
) -> list[Path]:
    """Write the files of figures, and then the pages that show them."""
    report("drawing", "the page", 1.0)
    folder.mkdir(parents=True, exist_ok=True)
    write_files(outputs)
    return [*(one.path for one in outputs), *write_pages(folder)]


def picture(figure: Figure, stored: Stored, kind: str) -> bytes:
    """Draw a stored frame: the content of a PNG, SVG or PDF file, the same every time."""
    about = _ABOUT[kind]
    with style(), warnings.catch_warnings():
        for said in ("Glyph .* missing from", "constrained_layout not applied"):  # somebody's name: strange, or long
            warnings.filterwarnings("ignore", said, UserWarning)
        canvas, axes = figure.layout(stored.frame)
        figure.draw(stored.frame, axes)
        file = io.BytesIO()
        canvas.savefig(file, format=kind, metadata=about)
    return file.getvalue()


def drawn(figure: Figure, frame: pd.DataFrame, settings: Settings, folder: Path) -> list[Output]:
    """A figure's three files; what is drawn is the frame as it can be read back."""
    kept = as_stored(frame)
    text = to_text(Stored(figure.name, figure.caption(kept, settings), settings, kept))
    paths = [folder / f"{figure.name}{suffix}" for suffix in _KINDS]
    read_back = parse(text, paths[0])
    contents = (encoded(text), picture(figure, read_back, "png"), picture(figure, read_back, "svg"))
    return [Output(*one) for one in zip(paths, contents, _KINDS.values(), strict=True)]


def write(figure: Figure, frame: pd.DataFrame, settings: Settings, folder: Path) -> list[Path]:
    """Write a figure's three files, or none of them."""
    outputs = drawn(figure, frame, settings, folder)
    write_files(outputs)
    return [one.path for one in outputs]


def write_gallery(folder: Path) -> list[Path]:
    """Write a page of all the folder's figures with their captions."""
    lines = [
        "# Gallery",
        "",
        "Rendered by `python -m scd_analysis.figures`; no code here. Beside each picture: a vector",
    ]
    lines += ["version (SVG), and the data it was drawn from (JSON), with what it was made with.", ""]
    for name in all_figures():
        if (folder / f"{name}.json").exists():
            stored = load(folder / f"{name}.json")
            lines += [f"## {name}", "", f"![{name}]({name}.png)", "", escape.markdown(stored.caption), ""]
            lines += [f"Data: [{name}.json]({name}.json). Vector: [{name}.svg]({name}.svg).", ""]
    write_files([Output(folder / GALLERY, encoded("\n".join(lines)), Kind.PAGE)])
    return [folder / GALLERY]


def check(names: Sequence[str] = (), *, out: str | Path) -> dict[str, str]:
    """Draw figures of a folder again from their stored frames and compare: what is wrong, by figure.

    Raises
    ------
    UnknownNameError
        For the first name that is not known.
    """
    return check_figures(chosen(names, all_figures()), Path(out))


def check_figures(figures: Sequence[Figure], folder: Path) -> dict[str, str]:
    """What is wrong with figures of a folder, by name; empty if nothing is. Nothing in it is changed."""
    found = {figure.name: _check_one(figure, folder) for figure in figures}
    return {name: problem for name, problem in found.items() if problem}


def _check_one(figure: Figure, folder: Path) -> str:
    try:
        stored = load(folder / f"{figure.name}.json")
    except InputError as error:
        return str(error)
    for kind in ("png", "svg"):
        if not (folder / f"{figure.name}.{kind}").exists():
            return f"{folder / figure.name}.{kind} is missing"
    if figure.caption(stored.frame, stored.settings) != stored.caption:
        return f"{folder / figure.name}.json: the caption is not the one its data give"
    fresh = _pixels(io.BytesIO(picture(figure, stored, "png")))
    path = folder / f"{figure.name}.png"
    try:
        kept = _pixels(path)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        return f"{path}: not a picture ({foreign.said(error)})"
    if fresh.shape != kept.shape:
        return (
            f"{path} has {kept.shape[0]} x {kept.shape[1]} pixels, its frame draws {fresh.shape[0]} x {fresh.shape[1]}"
        )
    off = int((np.abs(fresh - kept).max(-1) > PIXEL_STEP).sum())
    return f"{path}: {off} pixels differ from what its frame draws" if off > PIXEL_COUNT else ""


def _pixels(source: Path | io.BytesIO) -> npt.NDArray[np.int16]:
    with Image.open(source) as image:
        return np.asarray(image.convert("RGB"), dtype=np.int16)
