"""The commands: ``trace | audit | log-probs | tiny-model | exact | figures | report | trend | schema``.

A command returns its exit status; everything that goes wrong is raised, and becomes one line and status 2 in
:func:`run`.
"""

from __future__ import annotations

import errno
import io
import json
import math
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from scd_analysis.cli.supervisor import COULD_NOT_RUN, STATUSES
from scd_analysis.common import escape
from scd_analysis.common.files import Kind, check_output, write_file
from scd_analysis.common.finite import finite
from scd_analysis.common.foreign import announced, foreign, said
from scd_analysis.common.load import load
from scd_analysis.common.shipped import search_here_last
from scd_analysis.common.urls import place_of
from scd_analysis.contracts import brings_its_law, is_model
from scd_analysis.errors import InputError, UnknownNameError
from scd_analysis.figures import __main__ as door
from scd_analysis.validate import check_known

if TYPE_CHECKING:
    from scd_analysis.audit.verdict import Verdict
    from scd_analysis.cli.engines import Request
    from scd_analysis.exact.arithmetic import ArithmeticName
    from scd_analysis.exact.engine import Options

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="The referee of speculative Jacobi decoding: record a decoder, measure it, judge it, draw it.",
)

USAGE: Any = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")
EXIT_STATUS = {"NOT_REFUTED": 0, "EXACT": 0, "REFUTED": 1, "INCONCLUSIVE": 3, "CONTROL_REFUTED": 3}

ModelOption = Annotated[str, typer.Option(help="A shipped model (digits, photos, video) or module:attribute.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a table.")]
JobsOption = Annotated[int | None, typer.Option(help="Batches drawn at a time, in processes of this machine.")]
BackendOption = Annotated[str, typer.Option(help="Of jobs: processes, dask or ray.")]
AddressOption = Annotated[str | None, typer.Option(help="Of the cluster of Dask or Ray. [one started here]")]
HtmlOption = Annotated[Path | None, typer.Option("--html", help="Write the report as one HTML file.")]


def resolve_model(name: str) -> Any:
    """A shipped model by name, or ``module:attribute``: a model, or a function that makes one.

    Raises
    ------
    UnknownNameError
        Listing the shipped models.
    """
    if ":" not in name:
        return door.reference_decoder().load_model(name)
    found = load(name, "model")
    with announced(f"model={name!r}"), foreign(f"model={name!r} raised"):
        if is_model(found, "model") or not callable(found):
            return found
        try:
            return found()
        except TypeError as error:
            raise InputError(f"model={name!r}: could not be made without arguments ({error})") from None


def _bring(*models: str | None) -> None:
    """Have ours be the package ``reference`` where one of its models is named, before anything else is imported."""
    if any(name is not None and ":" not in name for name in models):
        door.reference_decoder()


def resolve_subject(name: str, model: str | None) -> tuple[Any, Any]:
    """A subject, by ``module:attribute`` or the path or URL of a trace or recorded file, and its model.

    Raises
    ------
    UnknownNameError
        If there is no such thing.
    """
    place = place_of(name)
    is_path = isinstance(place, str) or place.exists()
    if not is_path and ":" not in name:
        known = "there is no such file; write it as module:attribute, or give the path of a trace or recorded file"
        raise UnknownNameError(f"subject={name!r} is not known; {known}")
    subject = place if is_path else load(name, "subject")
    with foreign(f"subject={name!r} raised"):
        if model is None and (is_path or brings_its_law(subject)):
            return subject, None
    return subject, resolve_model("digits" if model is None else model)


class _Shared(io.TextIOBase):
    """Standard error for code that may close what it prints to."""

    def write(self, text: str) -> int:
        """Pass it on."""
        return sys.stderr.write(text)

    def flush(self) -> None:
        """Pass it on."""
        sys.stderr.flush()

    def close(self) -> None:
        """Leave it open."""


@contextmanager
def _elsewhere() -> Iterator[None]:
    """What somebody else's code prints is not part of the result, nor is an exit of its own."""
    try:
        with redirect_stdout(_Shared()):
            yield
    except (typer.Exit, typer.Abort, USAGE) as error:
        raise InputError(f"the command's code raised {said(error)}") from error


def _print_json(value: dict[str, Any]) -> None:
    plain = {k: None if isinstance(v, float) and not math.isfinite(v) else finite(v) for k, v in value.items()}
    sys.stdout.write(json.dumps(plain, indent=2, allow_nan=False) + "\n")


def _print_table(title: str, rows: dict[str, object]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=escape.cell(title), show_header=False, title_justify="left")
    for name, value in rows.items():
        table.add_row(escape.cell(name), escape.cell(value))
    Console().print(table)


@app.command()
def trace(
    method: Annotated[
        str, typer.Argument(help="ar, jacobi, sjd, scd-mc, scd-gs, sjd-pac, sjd-vp or sjd-vp-uncorrected.")
    ],
    out: Annotated[Any, typer.Option(parser=place_of, metavar="PATH", help="A new directory, a new .zip, or a URL.")],
    model: ModelOption = "photos",
    window: Annotated[int, typer.Option(help="Positions drafted and verified at a time.")] = 16,
    num_sequences: Annotated[int, typer.Option(help="Sequences to draw.")] = 64,
    seed: Annotated[int, typer.Option(help="Key of every draw.")] = 0,
    record: Annotated[str, typer.Option(help="scalars, laws, laws-float16 or laws-top-K.")] = "scalars",
    device: Annotated[str | None, typer.Option(help="cpu, cuda, ...")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Sequences decoded together. [what fits]")] = None,
    jobs: JobsOption = None,
    backend: BackendOption = "processes",
    address: AddressOption = None,
    as_json: JsonOption = False,
) -> int:
    """Decode with the reference decoder and write the trace, with `--jobs` as shards, of which finished ones are kept.

    Example: `scd-analysis trace scd-mc --model digits --window 16 --out run.zarr`; `scd-analysis trace sjd --jobs 8
    --out s3://bucket/run`
    """
    from scd_analysis.cli.cluster import cluster

    with _elsewhere(), cluster(backend, address):
        decode: Any = door.reference_decoder().decode
        asked = (resolve_model(model), method, window, num_sequences, seed, record, device)
        decode(*asked, out_path=out, batch_size=batch_size, jobs=jobs)
    _report_trace(out, as_json)
    return 0


@app.command()
def report(
    source: Annotated[
        Any,
        typer.Argument(
            parser=place_of, metavar="PATH", help="A trace or a verdict that audit --out wrote, or its URL."
        ),
    ],
    html: HtmlOption = None,
    as_json: JsonOption = False,
) -> int:
    """Summarise a trace or a verdict.

    Example: `scd-analysis report run.zarr --html report.html`
    """
    _check_outputs([source], html=html)
    is_verdict = Path(source).suffix == ".json"
    if html is not None:
        from scd_analysis.report import write_report
        from scd_analysis.report.load import load_verdict

        write_report(html, load_verdict(source) if is_verdict else None, None if is_verdict else source)
    if is_verdict:
        _report_verdict(source, as_json)
    else:
        _report_trace(source, as_json)
    return 0


@app.command()
def trend(
    source: Annotated[Path, typer.Argument(help="A folder with an entry a night, or a ledger of a test suite.")],
    output: Annotated[Path | None, typer.Option(help="Write the page as one HTML file.")] = None,
    title: Annotated[str | None, typer.Option(help="What it is of. [the name of the source]")] = None,
    as_json: JsonOption = False,
) -> int:
    """Show ln E and the refuted epsilon of subjects over many nights.

    An entry is a verdict written by audit --out (.json), a ledger of pytest --scd-ledger (.jsonl), or a folder of both;
    nights are in the order of their names. The exit status does not depend on what the verdicts are.

    Example: `scd-analysis trend nights --output trend.html`
    """
    from scd_analysis.report import write_trend
    from scd_analysis.report.nights import read_nights

    if output is not None:
        write_trend(output, source, title=title)
    nights = read_nights(source)
    if as_json:
        _print_json({"nights": nights.names, "subjects": asdict(nights)["subjects"]})
        return 0
    last = {name: row[-1] for name, row in nights.subjects.items()}
    rows: dict[str, object] = {
        name: "no verdict"
        if one is None
        else one.outcome.name + ("" if one.log_e_value is None else f", ln E = {one.log_e_value:.2f}")
        for name, one in last.items()
    }
    _print_table(f"{title or source}, night {nights.names[-1]} of {len(nights.names):,}", rows)
    return 0


def _check_outputs(inputs: Sequence[str | Path], *, html: Path | None, out: Path | None = None) -> None:
    """Check, before the work, that its files can be written."""
    if html is not None:
        check_output(html, Kind.REPORT, "html", inputs)
    if out is not None:
        check_output(out, Kind.VERDICT, "out", [*inputs, html] if html is not None else inputs)


def _report_verdict(source: str | Path, as_json: bool) -> None:
    from scd_analysis.report.load import load_verdict

    verdict = load_verdict(source)
    if as_json:
        sys.stdout.write(verdict.to_json() + "\n")
        return
    rows = {"outcome": verdict.outcome.name, "sentence": verdict.sentence, "log_e_value": verdict.log_e_value}
    rows |= {"alpha": verdict.alpha, "num_sequences": verdict.num_sequences, "resolution": verdict.resolution}
    _print_table(f"verdict {source}", rows)


def _report_trace(source: str | Path, as_json: bool) -> None:
    from scd_analysis.trace import open_trace, validate
    from scd_analysis.trace.summary import summarise

    opened = open_trace(source)
    validate(opened)
    summary = summarise(opened)
    if as_json:
        _print_json(summary)
    else:
        _print_table(f"trace {source}", {k: f"{v:.4g}" if isinstance(v, float) else v for k, v in summary.items()})


@app.command()
def audit(
    subject: Annotated[
        str,
        typer.Argument(
            help="module:attribute of a subject, a trace or recorded file, a trace's URL, or an engine's http://..."
        ),
    ],
    model: Annotated[
        str | None,
        typer.Option(help="As for trace; digits by default, unless the subject needs no model.", show_default=False),
    ] = None,
    alpha: Annotated[float, typer.Option(help="Bound on the chance of refuting a lossless subject.")] = 1e-6,
    max_sequences: Annotated[
        int | None,
        typer.Option(
            help="Stop undecided after so many. [100,000 sequences or 500,000 tokens, whichever is less]",
            show_default=False,
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the audit and of the subject's seeds.")] = 0,
    tolerance: Annotated[
        float | None,
        typer.Option(help="Of recorded target probabilities against the model's. [1e-4]", show_default=False),
    ] = None,
    margin: Annotated[
        float | None,
        typer.Option(help="Judge greedy decoding: nats that a token may lie below the most probable one."),
    ] = None,
    timeout: Annotated[float | None, typer.Option(help="Seconds that a call of the subject or model may take.")] = None,
    checkpoint: Annotated[
        Any, typer.Option(parser=place_of, metavar="PATH", help="A folder that keeps what was drawn, to go on from.")
    ] = None,
    rule: Annotated[
        str | None,
        typer.Option(
            help="mrs, exact-match, gumbel-match, block, quantile-match or any. [what stands]", show_default=False
        ),
    ] = None,
    draft_model: Annotated[
        str | None, typer.Option(help="As model: that of the drafts, so that known faults are named.")
    ] = None,
    epsilon: Annotated[float, typer.Option(help="Total variation from the model's that a token's law may have.")] = 0.0,
    jobs: JobsOption = None,
    backend: BackendOption = "processes",
    address: AddressOption = None,
    against: Annotated[
        str | None, typer.Option(help="The same with speculation off: compare the two, the control first.")
    ] = None,
    target: Annotated[Path | None, typer.Option(help="Of an engine: the folder of its transformers model.")] = None,
    prompt: Annotated[str | None, typer.Option(help="Of an engine: token ids, 1,2,3.")] = None,
    sampling: Annotated[str | None, typer.Option(help="Of an engine: temperature=1,top_k=8.")] = None,
    num_tokens: Annotated[int | None, typer.Option(help="Of an engine: tokens a sequence. [6]")] = None,
    server: Annotated[str | None, typer.Option(help="Of an engine: openai or llama.cpp. [openai]")] = None,
    concurrency: Annotated[
        str | None, typer.Option(help="Of an engine: requests at a time; 1,4,16 takes turns. [8]", show_default=False)
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write the verdict here as JSON.")] = None,
    html: HtmlOption = None,
    as_json: JsonOption = False,
) -> int:
    """Judge whether a decoder samples from its model.

    The module of a subject or model is executed; the working directory is searched after what is installed.

    Exit status: 0 not refuted or exact, 1 refuted, 2 could not run, 3 inconclusive.

    Example: `scd-analysis audit reference.subjects:scd_mc --model digits`; `scd-analysis audit run.zarr`; `scd-analysis
    audit http://127.0.0.1:8000/v1 --target FOLDER --prompt 1,2,3 --sampling temperature=1,top_k=8`
    """
    from scd_analysis.cli.cluster import cluster
    from scd_analysis.cli.engines import Request

    request = Request(prompt, sampling, target, num_tokens, server, concurrency)
    given = [place_of(subject)] if Path(place_of(subject)).exists() else []
    _check_outputs([*given, checkpoint] if checkpoint is not None else given, html=html, out=out)
    common: Any = {"max_sequences": max_sequences, "seed": seed, "timeout": timeout, "checkpoint": checkpoint}
    common |= {"epsilon": epsilon, "jobs": jobs}
    with _elsewhere(), cluster(backend, address):
        _bring(model, draft_model)
        if against is not None:
            _check_of_one_arm(tolerance=tolerance, margin=margin, rule=rule, draft_model=draft_model)
            judged, verdict = None, _compare(subject, against, model, request, alpha=alpha, **common)
        else:
            draft = None if draft_model is None else resolve_model(draft_model)
            common |= {"tolerance": tolerance, "margin": margin, "rule": rule, "draft_model": draft}
            judged, verdict = _judge(subject, model, request, alpha=alpha, **common)
    is_trace = isinstance(judged, str) or (isinstance(judged, Path) and (judged.is_dir() or judged.suffix == ".zip"))
    recorded = judged if is_trace else None
    return _show_verdict(verdict, out, html, as_json, recorded, subject)


def _check_of_one_arm(**options: Any) -> None:
    """Refuse what two arms are not asked."""
    for name, value in options.items():
        if value is not None:
            raise InputError(f"{name} = {value}: is asked of one subject, and --against compares two")


def _arm(name: str, model: str | None, request: Request, *, has_law: bool) -> tuple[Any, Any]:
    """A subject, an engine by its URL too, and the model that it is judged by."""
    from scd_analysis.cli.engines import is_url

    if is_url(name):
        law = None if model is None else resolve_model(model)
        return request.endpoint(name, has_law=has_law and law is None), law
    request.check_unused()
    return resolve_subject(name, model)


def _judge(subject: str, model: str | None, request: Request, **options: Any) -> tuple[Any, Verdict]:
    from scd_analysis import audit as run_audit

    judged, law = _arm(subject, model, request, has_law=True)
    return judged, run_audit(judged, law, **options)


def _compare(on: str, off: str, model: str | None, request: Request, **options: Any) -> Verdict:
    """Speculation on against off; without ``--model`` no law is asked for."""
    from scd_analysis import audit_pair

    speculating, law = _arm(on, model, request, has_law=False)
    control, _ = _arm(off, model, request, has_law=False)
    return audit_pair(speculating, control, None if model is None else law, **options)


def _show_verdict(
    verdict: Verdict, out: Path | None, html: Path | None, as_json: bool, recorded: str | Path | None, subject: str
) -> int:
    """Print a verdict and write its files; return the exit status."""
    text = verdict.to_json() if as_json else escape.terminal(verdict, lines=True)
    sys.stdout.write(text + "\n")  # first: writing files may fail
    sys.stdout.flush()
    if out is not None:
        write_file(out, verdict.to_json() + "\n", Kind.VERDICT, "out")
    if html is not None:
        from scd_analysis.report import write_report

        write_report(html, verdict, recorded, title=None if recorded else subject)
    return EXIT_STATUS[verdict.outcome.name]


@app.command(name="tiny-model")
def tiny_model(
    folder: Annotated[Path, typer.Argument(help="A new folder.")],
    formats: Annotated[str, typer.Option(help="Of hf, gguf, openvino and onnx, with commas.")] = "hf",
    seed: Annotated[int, typer.Option(help="Of all weights.")] = 0,
    vocab_size: Annotated[int, typer.Option(help="Tokens that it knows.")] = 32,
    as_json: JsonOption = False,
) -> int:
    """Write a tiny random target, and a near and a far draft, for engines to load.

    Example: `scd-analysis tiny-model tiny --formats hf,gguf`
    """
    from scd_analysis.engines.tiny import tiny_model as write

    written = write(folder, [name.strip() for name in formats.split(",")], seed, vocab_size)
    rows: dict[str, object] = {f"{one.role}, {one.format}": str(one.path) for one in written}
    if as_json:
        _print_json(rows)
    else:
        _print_table("tiny model", rows)
    return 0


@app.command(name="log-probs")
def log_probs(
    recorded: Annotated[Path, typer.Argument(help="A recorded file of tokens with reported log-probabilities.")],
    model: Annotated[str, typer.Option(help="As for trace: whose log-probabilities they should be.")],
    tolerance: Annotated[float, typer.Option(help="Total variation of a position that may be rounding.")] = 1e-3,
    out: Annotated[Path | None, typer.Option(help="Write the result here as JSON.")] = None,
    as_json: JsonOption = False,
) -> int:
    """Compare the log-probabilities that an engine reports with a model's own.

    Exit status: 0 they agree, 1 they differ or are processed, 2 could not run, 3 they agree, but some are missing.

    Example: `scd-analysis log-probs engine.jsonl --model mymodule:model`
    """
    from scd_analysis import audit_log_probs

    if out is not None:
        check_output(out, Kind.LOG_PROBS, "out", [recorded])
    with _elsewhere():
        found = audit_log_probs(recorded, resolve_model(model), tolerance=tolerance)
    sys.stdout.write((found.to_json() if as_json else escape.terminal(found, lines=True)) + "\n")
    sys.stdout.flush()
    if out is not None:
        write_file(out, found.to_json() + "\n", Kind.LOG_PROBS, "out")
    return {"AGREE": 0, "INCOMPLETE": 3}.get(found.outcome.name, 1)


def _judge_exactly(
    sampler: str, model: str, limits: Options, out: Path | None, html: Path | None, as_json: bool
) -> int:
    from scd_analysis import exact_verdict
    from scd_analysis.exact.report import sampler_named

    _check_outputs([], html=html, out=out)
    named = f"target = {sampler!r}: the sampler"
    with _elsewhere(), announced(named), foreign(f"{named} raised"):
        _bring(model)
        verdict = exact_verdict(sampler_named(sampler), resolve_model(model), **limits)
    return _show_verdict(verdict, out, html, as_json, None, sampler)


@app.command()
def schema() -> int:
    """Print the JSON Schema of a verdict's JSON.

    Example: `scd-analysis schema > verdict.schema.json`
    """
    from scd_analysis import verdict_schema

    sys.stdout.write(json.dumps(verdict_schema(), indent=1) + "\n")
    return 0


@app.command()
def exact(
    sampler: Annotated[str, typer.Argument(help="module:attribute of a callable without arguments, or of a Loop.")],
    against: Annotated[str | None, typer.Option(help="module:attribute of a target model, a law or a dict.")] = None,
    arithmetic: Annotated[str, typer.Option(help="float64 or rational.")] = "float64",
    max_branches: Annotated[int | None, typer.Option(help="Stop after so many, with bounds.")] = None,
    max_seconds: Annotated[float | None, typer.Option(help="Stop after so long, with bounds.")] = None,
    mass_floor: Annotated[float, typer.Option(help="Leave out branches below this probability, and say so.")] = 0.0,
    workers: Annotated[int, typer.Option(help="Processes.")] = 1,
    worst: Annotated[int, typer.Option(help="Outcomes to list.")] = 10,
    model: Annotated[
        str | None, typer.Option(help="As for trace: print a verdict on the sampler, EXACT or REFUTED, not its law.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="With --model: write the verdict here as JSON.")] = None,
    html: HtmlOption = None,
    as_json: JsonOption = False,
) -> int:
    """Compute the exact law of a sampler by replaying its random choices, or judge it by that.

    Exit status: 0 computed, and within 1e-9 of the other law if there is one; 1 further from it; 2 could not run; 3
    with parts unexplored that could make the difference. The modules that are named are executed.

    Example: `scd-analysis exact mymodule:sampler --against mymodule:law`; `scd-analysis exact mymodule:sampler --model
    mymodule:model --html report.html`
    """
    from scd_analysis.exact.judged import SAME_LAW
    from scd_analysis.exact.report import distance, run

    check_known(arithmetic, ("float64", "rational"), "arithmetic")
    numbers: ArithmeticName = "rational" if arithmetic == "rational" else "float64"
    limits: Options = {
        "arithmetic": numbers,
        "mass_floor": mass_floor,
        "max_branches": max_branches,
        "max_seconds": max_seconds,
        "workers": workers,
    }
    if model is not None:
        if against is not None:
            raise InputError(f"against = {against!r}: with --model that is the target law; give one of the two")
        return _judge_exactly(sampler, model, limits, out, html, as_json)
    if out is not None or html is not None:
        raise InputError("out, html: are of a verdict, and need --model")
    law = run(sampler, against, worst=worst, as_json=as_json, **limits)
    low, high = (0.0, 0.0) if against is None else distance(law, against, numbers)
    return 1 if low > SAME_LAW else 3 if high > SAME_LAW else 0


@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []},
)
def figures(context: typer.Context) -> int:
    """Render the figures, from the reference decoder or from a trace; `scd-analysis figures --help` says more."""
    program = str(context.parent.info_name if context.parent else context.info_name)
    return door.run(context.args, program if program == door.PROGRAM else f"{program} figures")


def run(words: Sequence[str], prog_name: str = "scd-analysis") -> tuple[int, str | None]:
    """Run a command in this process.

    Parameters
    ----------
    words : sequence of str
        Command and arguments.
    prog_name : str
        What the command was called by.

    Returns
    -------
    tuple of (int, str or None)
        The exit status, and with status 2 what there is to say. Nothing is raised, whatever the code does that is
        called; PYTHONDEVMODE=1 shows where something was.
    """
    try:
        with announced("the command"):
            status = app(args=list(words), prog_name=prog_name, standalone_mode=False)
        sys.stdout.flush()
        return (status or 0, None) if status is None or status in STATUSES else (COULD_NOT_RUN, "interrupted")
    except BaseException as error:
        if sys.flags.dev_mode:
            traceback.print_exc()
        return COULD_NOT_RUN, _line(error)


def _line(error: BaseException) -> str | None:
    """Say in one line why there is no result; None where that has been said."""
    if isinstance(error, (KeyboardInterrupt, typer.Abort)):
        return "interrupted"
    if isinstance(error, USAGE):
        if type(error).__name__ == "NoArgsIsHelpError":
            error.show()
            return None
        return f"{error.format_message()}; --help says more"
    closed = (
        error.__context__ if isinstance(error, SystemExit) else error
    )  # typer exits where standard output is closed
    if isinstance(closed, OSError) and closed.errno == errno.EPIPE:
        return "standard output was closed before there was a result"
    if isinstance(error, (InputError, OSError)):
        return str(error)
    place = traceback.extract_tb(error.__traceback__)[-1:]
    return said(error) + "".join(f" (in {Path(at.filename).name}, line {at.lineno})" for at in place)


def run_here(words: Sequence[str], prog_name: str = "scd-analysis") -> NoReturn:
    """Run a command in this process, and exit with its status."""
    search_here_last()
    status, line = run(words, prog_name)
    if line is not None:
        sys.stderr.write(f"scd-analysis: {escape.line(line)}\n")
    sys.exit(status)
