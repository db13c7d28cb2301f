"""The command line: ``python -m scd_analysis.figures``, and the same function mounted as ``scd-analysis figures``."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scd_analysis.common import escape
from scd_analysis.common.urls import place_of
from scd_analysis.errors import InputError
from scd_analysis.figures.decoding import DEFAULT_CACHE, Decoding
from scd_analysis.figures.registry import all_figures, chosen

if TYPE_CHECKING:
    from rich.progress import TaskID

    from scd_analysis.figures.collection import Collection
    from scd_analysis.figures.rendering import Report

EXAMPLES = """Render the figures: PNG, SVG and the data behind each (JSON).

Examples:

\b
  python -m scd_analysis.figures --quick               all of them, from a few sequences
  python -m scd_analysis.figures speedup_by_window     one of them, in full
  python -m scd_analysis.figures --trace run.zarr      those that one trace of any decoder gives
  python -m scd_analysis.figures --check               do the pictures still follow from their data?
  python -m scd_analysis.figures --list                which figures there are
"""


@dataclass(frozen=True)
class Shelf:
    """The figures that there are; each of the three loads no more than it needs.

    Attributes
    ----------
    summaries : callable
        Gives what the figures show, by name.
    find : callable
        Gives the figures.
    render : callable
        :func:`scd_analysis.figures.rendering.render`.
    """

    summaries: Callable[[], Mapping[str, str]]
    find: Callable[[], Collection[Any]]
    render: Callable[..., list[Path]]


Names = Annotated[list[str] | None, typer.Argument(help="Figures to make; all by default.", metavar="[NAMES]...")]
Quick = Annotated[bool, typer.Option("--quick", help="Decode few sequences: minutes become one or two.")]
List = Annotated[bool, typer.Option("--list", help="Print names and what they show, and stop.")]
Out = Annotated[
    Path | None, typer.Option("--out", help="Folder to write to. [figures, or figures/<trace> with --trace]")
]
Trace = Annotated[
    Any, typer.Option("--trace", parser=place_of, metavar="PATH", help="Draw from this trace of any decoder.")
]
Check = Annotated[bool, typer.Option("--check", help="Draw again from the stored data; exit with 1 on a difference.")]
Cache = Annotated[Path, typer.Option("--cache", help="Where decoded traces are kept and found again.")]
Device = Annotated[str | None, typer.Option("--device", help="Where to decode: cpu, cuda, ... [the CPU]")]
Jobs = Annotated[int | None, typer.Option("--jobs", min=1, help="Runs decoded at a time. [one a core]")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the written files (the list, the findings) as JSON.")]


def figures_command(
    context: typer.Context,
    names: Names = None,
    quick: Quick = False,
    list_: List = False,
    out: Out = None,
    trace: Trace = None,
    check: Check = False,
    cache: Cache = DEFAULT_CACHE,
    device: Device = None,
    jobs: Jobs = None,
    as_json: AsJson = False,
) -> None:
    """See ``EXAMPLES``."""
    shelf: Shelf = context.obj
    try:
        if list_:
            _list(shelf.summaries(), as_json)
        elif check:
            _say(shelf.find().check(names or [], out=out), as_json)
        else:
            with _progress() as report:
                if trace is not None:
                    _check_names(names or [], shelf)
                    written = shelf.render(names or [], trace=trace, out=out, report=report)
                else:
                    decoding = Decoding(quick, cache, device, jobs)
                    written = shelf.find().render(names or [], out=out, decoding=decoding, report=report)
            lines = [str(path) for path in written]
            typer.echo(json.dumps(lines, indent=1) if as_json else "\n".join(map(escape.terminal, lines)))
    except (InputError, OSError) as error:
        typer.echo(f"error: {escape.line(error)}", err=True)
        raise typer.Exit(2) from None


figures_command.__doc__ = EXAMPLES


@contextmanager
def _progress() -> Iterator[Report]:
    """A bar on a terminal; in a pipe, only what was left out is said."""
    if not sys.stderr.isatty():
        yield lambda phase, item, share: typer.echo(_left_out(item), err=True) if phase == "left out" else None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[item]}", markup=False),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        tasks: dict[str, TaskID] = {}

        def report(phase: str, item: str, share: float) -> None:
            if phase == "left out":
                bar.console.print(escape.cell(_left_out(item)))
                return
            item = escape.line(item)
            if phase not in tasks:
                tasks[phase] = bar.add_task(phase, total=1.0, item=item)
            bar.update(tasks[phase], completed=share, item=item)

        yield report


def _left_out(item: str) -> str:
    return f"left out {escape.line(item)}"


def _check_names(names: list[str], shelf: Shelf) -> None:
    """Check that a trace gives the figures of these names; only of others there is something to find out."""
    others = [name for name in names if name not in all_figures()]
    for figure in chosen(others, shelf.find().figures) if others else ():
        raise InputError(f"figure {figure.name!r}: compares decoders or needs a model, so --trace cannot draw it")


def _list(summaries: Mapping[str, str], as_json: bool) -> None:
    width = max(map(len, summaries))
    if as_json:
        typer.echo(json.dumps(summaries, indent=1))
    else:
        typer.echo("\n".join(f"{name:{width}}  {summary}" for name, summary in summaries.items()))


def _say(problems: dict[str, str], as_json: bool) -> None:
    """Say what a check has found; the status is 1 if that is anything."""
    if as_json:
        typer.echo(json.dumps(problems, indent=1))
    for name, problem in problems.items():
        typer.echo(escape.line(f"{name}: {problem}"), err=True)
    if problems:
        raise typer.Exit(1)
    if not as_json:
        typer.echo("every figure is what its data draw")


def run_with(shelf: Shelf, words: list[str], prog_name: str) -> int:
    """Run the command on the figures that there are, and return its status.

    Errors of usage are raised.
    """
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    app.command(help=EXAMPLES)(figures_command)
    return int(app(args=words, prog_name=prog_name, standalone_mode=False, obj=shelf) or 0)
