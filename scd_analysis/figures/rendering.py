"""From names to files: ``render`` computes, draws and writes; ``check`` draws again from what was written."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
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
from scd_analysis.figures import foreign, page
from scd_analysis.figures.base import FROM_TRACE, FULL, QUICK, Figure, Run, Scale
from scd_analysis.figures.paper import write_page
from scd_analysis.figures.provenance import commit, load_result, settings_of, settings_of_result
from scd_analysis.figures.registry import all_figures, get_figure
from scd_analysis.figures.store import Stored, as_stored, load, parse, to_text
from scd_analysis.figures.style import style

DEFAULT_OUT = Path("figures")
DEFAULT_CACHE = Path("build/traces")
GALLERY = "gallery.md"
_KINDS = {".json": Kind.FRAME, ".png": Kind.PNG, ".svg": Kind.SVG}
"""Of a figure's files, by what their names end in."""

PIXEL_STEP, PIXEL_COUNT = 8, 10
"""``check`` lets this many pixels differ by more than this many of 255 levels: rounding, and nothing else."""

Report = Callable[[str, str, float], None]
"""Gets a phase (``"decoding"``, ``"drawing"``, ``"left out"``), what was done last, and the share that is done."""


def silent(phase: str, item: str, share: float) -> None:
    """Report nothing."""


def chosen(names: Sequence[str]) -> list[Figure]:
    """Figures by name, all of them if none is named.

    Raises
    ------
    UnknownNameError
        For the first name that is not known.
    """
    return [get_figure(name) for name in dict.fromkeys(names)] if names else list(all_figures().values())


def render(
    names: Sequence[str] = (),
    *,
    out: str | Path | None = None,
    quick: bool = False,
    trace: str | Path | None = None,
    cache: str | Path = DEFAULT_CACHE,
    device: str | None = None,
    jobs: int | None = 1,
    report: Report = silent,
    scale: Scale | None = None,
) -> list[Path]:
    """Make figures.

    Parameters
    ----------
    names : sequence of str
        Figures; all by default.
    out : path, optional
        Folder to write to: ``figures``, or ``figures/<trace>`` with ``trace``.
    quick : bool
        Decode a few sequences only.
    trace : path, optional
        Draw from this trace, of any decoder, and decode nothing.
    cache : path
        Folder of the traces of the reference decoder.
    device : str, optional
        Where to decode.
    jobs : int, optional
        Runs decoded at a time; None: one a core. More than one starts processes, which needs a main module that can be
        imported without side effects.
    report : callable
        Hears of progress, and of figures that a trace cannot give.
    scale : Scale, optional
        How much to decode, instead of what ``quick`` says.

    Returns
    -------
    list of Path
        What was written: for each figure a PNG, an SVG and the JSON of its frame; then the page, and the paper to
        print, which a trace does not have.

    Raises
    ------
    InputError
        For an unknown name, a bad trace, a figure that the trace cannot give, or a file in the folder that this
        program did not write. Nothing is written before all is drawn, and no file by halves.
    """
    figures = chosen(names)
    folder = Path(out) if out is not None else _default_out(trace)
    _check_folder(folder, [figure.name for figure in figures], trace)
    made_from = commit()
    if trace is not None:
        pairs, label = _from_trace(figures, trace, named=bool(names), report=report), FROM_TRACE
    else:
        amount = scale or (QUICK if quick else FULL)
        pairs, label = _from_runs(figures, amount, Path(cache), device, jobs, report), amount.name
    outputs: list[Output] = []
    for count, (figure, runs) in enumerate(pairs):
        report("drawing", figure.name, count / len(pairs))
        try:
            outputs += _made(figure, runs, label, made_from, folder)
        except InputError as error:
            if trace is None or names:
                raise
            report("left out", f"{figure.name}: {error}", 1.0)
    if not outputs:
        raise InputError(f"trace {trace}: records nothing that a figure shows")
    report("drawing", "the page", 1.0)
    folder.mkdir(parents=True, exist_ok=True)
    write_files(outputs)
    return [*(one.path for one in outputs), *([write_gallery(folder)] if trace is not None else write_page(folder))]


def _made(figure: Figure, runs: list[Run], label: str, made_from: str | None, folder: Path) -> list[Output]:
    """Compute and draw one figure; what fails on somebody's trace is an error of that trace."""
    try:
        result = load_result(figure.result) if figure.result else None
        frame = as_stored(figure.compute(runs if result is None else result))
        settings = settings_of(runs, label, made_from) if result is None else settings_of_result(result)
        return drawn(figure, Stored(figure.name, figure.caption(frame, settings), settings, frame), folder)
    except InputError:
        raise
    except Exception as error:
        if label != FROM_TRACE:
            raise
        raise InputError(f"figure {figure.name!r}: cannot be drawn from this trace ({foreign.said(error)})") from error


def _default_out(trace: str | Path | None) -> Path:
    """The gallery is not overwritten by somebody's trace, nor one trace's figures by those of another name."""
    if trace is None:
        return DEFAULT_OUT
    name = re.sub(r"(\.zarr)?(\.zip)?$", "", Path(trace).resolve().name)
    if not name:
        raise InputError(f"trace = {trace}: gives no name to a folder of figures; say one with --out")
    return DEFAULT_OUT / name


def _check_folder(folder: Path, names: list[str], trace: str | Path | None) -> None:
    """Check everything that will be written, before anything is decoded."""
    kinds = {f"{name}{suffix}": kind for name in names for suffix, kind in _KINDS.items()}
    kinds |= {GALLERY: Kind.PAGE} if trace is not None else {page.PAGE: Kind.PAGE, page.PAPER: Kind.PAPER}
    if trace is not None:
        check_apart(folder, f"out = {folder}", [trace])
    if folder.is_dir():
        for name, kind in kinds.items():
            check_output(folder / name, kind, "out")
    else:
        check_writable(folder, f"out = {folder}")


def _from_runs(
    figures: list[Figure], scale: Scale, cache: Path, device: str | None, jobs: int | None, report: Report
) -> list[tuple[Figure, list[Run]]]:
    from scd_analysis.figures.runs import (
        RunStore,
        available_jobs,
    )  # the only way to PyTorch: drawing and checking do without

    jobs = available_jobs(device) if jobs is None else jobs
    store = RunStore(cache, device=device, jobs=jobs, report=lambda item, share: report("decoding", item, share))
    store.prepare(spec for figure in figures for spec in figure.needs(scale))
    return [(figure, [store.get(spec) for spec in figure.needs(scale)]) for figure in figures]


def _from_trace(
    figures: list[Figure], path: str | Path, *, named: bool, report: Report
) -> list[tuple[Figure, list[Run]]]:
    run = foreign.open_run(path)
    pairs = []
    for figure in figures:
        if named and not figure.any_trace:
            raise InputError(f"figure {figure.name!r}: compares decoders or needs a model, so --trace cannot draw it")
        with foreign.reading(path):
            if named:
                foreign.require(figure, run)
            missing = foreign.lacking(figure, run)
        if figure.any_trace and missing is not None:
            report("left out", f"{figure.name}: the trace has no {missing}", 1.0)
        elif figure.any_trace:
            pairs.append((figure, [run]))
    return pairs


def picture(figure: Figure, stored: Stored, kind: str) -> bytes:
    """Draw a stored frame: the content of a PNG or SVG file, the same every time."""
    about = {"Date": None, "Creator": MADE_BY} if kind == "svg" else {"Software": MADE_BY}
    with style(), warnings.catch_warnings():
        for said in ("Glyph .* missing from", "constrained_layout not applied"):  # somebody's name: strange, or long
            warnings.filterwarnings("ignore", said, UserWarning)
        canvas, axes = figure.layout(stored.frame)
        figure.draw(stored.frame, axes)
        file = io.BytesIO()
        canvas.savefig(file, format=kind, metadata=about)
    return file.getvalue()


def drawn(figure: Figure, stored: Stored, folder: Path) -> list[Output]:
    """A figure's three files; what is drawn is the frame as it can be read back."""
    text = to_text(stored)
    paths = [folder / f"{figure.name}{suffix}" for suffix in _KINDS]
    read_back = parse(text, paths[0])
    contents = (encoded(text), picture(figure, read_back, "png"), picture(figure, read_back, "svg"))
    return [Output(*one) for one in zip(paths, contents, _KINDS.values(), strict=True)]


def write(figure: Figure, stored: Stored, folder: Path) -> list[Path]:
    """Write a figure's three files, or none of them."""
    outputs = drawn(figure, stored, folder)
    write_files(outputs)
    return [one.path for one in outputs]


def write_gallery(folder: Path) -> Path:
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
    return folder / GALLERY


def check(names: Sequence[str] = (), *, out: str | Path | None = None) -> dict[str, str]:
    """Draw every figure of a folder again from its stored frame, and its page, and compare.

    Parameters
    ----------
    names : sequence of str
        Figures; all by default, and the page and the paper with them.
    out : path, optional
        The folder, ``figures`` by default. Nothing in it is changed.

    Returns
    -------
    dict of str to str
        What is wrong, by figure or file; empty if nothing is.

    Raises
    ------
    UnknownNameError
        For the first name that is not known.
    """
    folder = Path(out) if out is not None else DEFAULT_OUT
    found = {figure.name: _check_one(figure, folder) for figure in chosen(names)}
    problems = {name: problem for name, problem in found.items() if problem}
    return problems if names else problems | page.check(folder)


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
