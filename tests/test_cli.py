"""The command line, as a user types it: exit statuses, one clear error line, JSON."""

import inspect
import json
import subprocess
import sys
from pathlib import Path

import pytest

from reference import decode
from scd_analysis import audit, audit_log_probs, exact_law
from scd_analysis.cli import commands
from scd_analysis.engines.tiny import tiny_model
from scd_analysis.figures.app import figures_command
from scd_analysis.figures.decoding import Decoding
from scd_analysis.report import write_trend

ROOT = Path(__file__).parents[1]

MODULE = """
from reference import TabularModel
from reference.subjects import subject

model = TabularModel.random(3, 3, 0.7, seed=3)
good, bad = subject("scd-mc", 3), subject("sjd-vp-uncorrected", 3)
other = TabularModel.random(2, 3, 0.7, seed=3)
number = 7


def leaves(model, num_sequences, seed):
    raise SystemExit(0)


def talks(model, num_sequences, seed):
    print("drawing")
    return good(model, num_sequences, seed)


def from_random():
    import torch

    return int(torch.rand(()) < 0.5)


def exits():
    raise SystemExit(0)


half = {0: 0.5, 1: 0.5}
third = {0: 1 / 3, 1: 2 / 3}
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cli")
    (folder / "mine.py").write_text(MODULE)
    (folder / "leaving.py").write_text("raise SystemExit(0)\n")
    return folder


def run(place: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "scd_analysis.cli", *words]
    return subprocess.run(command, cwd=place, capture_output=True, text=True, timeout=240, check=False)


ERRORS = [
    (["trace", "scd", "--model", "mine:model", "--out", "a.zarr"], "method='scd' is not known; known: ar, jacobi"),
    (["trace", "sjd", "--model", "lumina", "--out", "a.zarr"], "name='lumina' is not known; known: digits, photos"),
    (["trace", "sjd", "--model", "mine:absent", "--out", "a.zarr"], "model='mine:absent' is not known"),
    (["trace", "sjd", "--model", "mine:model", "--window", "0", "--out", "a.zarr"], "window = 0"),
    (["report", "absent.zarr"], "no such file"),
    (["report", "absent.json"], "there is no such file"),
    (["audit", "mine", "--model", "mine:model"], "write it as module:attribute"),
    (["audit", "mine:leaves", "--model", "mine:model"], "raised SystemExit"),
    (["audit", "leaving:x"], "cannot be imported: SystemExit: 0"),
    (["exact", "mine:exits"], "sampler raised SystemExit: 0"),
    (["exact", "leaving:x"], "cannot be imported: SystemExit: 0"),
    (["audit", "--bogus"], "No such option: --bogus"),
    (["audit", "mine:good", "--model", "mine:model", "--seed", "-1"], "seed = -1: must be at least 0"),
    (["audit", "mine:good", "--model", "mine:model", "--draft-model", "mine:no"], "model='mine:no' is not known"),
    (["audit", "mine:good", "--model", "mine:model", "--draft-model", "mine:other"], "draft_model.vocab_size = 2: the"),
    (["audit", "mine:bad", "--model", "mine:model", "--out", "."], "out = .: is a folder; name a file"),
    (["audit", "mine:bad", "--model", "mine:model", "--html", "."], "html = .: is a folder; name a file"),
    (["audit", "absent:thing", "--model", "mine:model"], "subject='absent:thing' is not known"),
]


@pytest.fixture
def here(place, monkeypatch):
    """In the working directory of a command, whose modules are found and forgotten again."""
    monkeypatch.chdir(place)
    monkeypatch.syspath_prepend(place)
    before = set(sys.modules)
    yield place
    for name in set(sys.modules) - before:
        if getattr(sys.modules[name], "__file__", "").startswith(str(place)):
            del sys.modules[name]


@pytest.mark.slow
@pytest.mark.parametrize(("words", "message"), ERRORS, ids=lambda x: " ".join(x[:3]) if isinstance(x, list) else "")
def test_bad_input_is_one_line_and_status_two(here, words, message):
    status, line = commands.run(words, "scd-analysis")
    assert status == 2
    assert message in line
    assert len(line.strip().splitlines()) == 1
    assert not (here / "a.zarr").exists()


@pytest.mark.slow
@pytest.mark.parametrize(("words", "message"), [ERRORS[7], ERRORS[11]], ids=["a subject that leaves", "a bad option"])
def test_the_process_of_a_command_says_so_too(place, words, message):
    done = run(place, *words)
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.slow
def test_trace_and_report(place, capsys):
    done = run(place, "trace", "scd-mc", "--model", "mine:model", "--window", "2", "--out", "run.zarr", "--json")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""  # silent in a pipe
    summary = json.loads(done.stdout)
    assert summary["method"] == "scd-mc"
    assert summary["num_sequences"] == 64
    for options in (["--json"], []):
        assert commands.run(["report", str(place / "run.zarr"), *options], "scd-analysis") == (0, None)
        said = capsys.readouterr().out
        assert json.loads(said) == summary if options else "speedup" in said


@pytest.mark.slow
@pytest.mark.parametrize(
    ("subject", "options", "status", "outcome"),
    [
        ("mine:good", ["--max-sequences", "5000"], 0, "NOT_REFUTED"),
        ("mine:bad", ["--max-sequences", "60000"], 1, "REFUTED"),
        ("mine:talks", ["--max-sequences", "20"], 3, "INCONCLUSIVE"),
    ],
)
def test_the_exit_status_of_an_audit_is_its_verdict(place, capsys, subject, options, status, outcome):
    done = run(place, "audit", subject, "--model", "mine:model", *options, "--json", "--out", f"{outcome}.json")
    assert done.returncode == status, done.stderr
    assert json.loads(done.stdout)["outcome"] == outcome
    assert commands.run(["report", str(place / f"{outcome}.json")], "scd-analysis") == (0, None)
    assert outcome in capsys.readouterr().out


@pytest.mark.slow
def test_every_command_has_help_with_an_example(place):
    for command in ("trace", "audit", "log-probs", "tiny-model", "exact", "figures", "report", "schema", "trend"):
        done = run(place, command, "--help")
        assert done.returncode == 0
        assert f"scd-analysis {command}" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(("law", "status"), [("half", 0), ("third", 1)])
def test_the_exit_status_of_exact_is_whether_the_laws_agree(place, law, status):
    done = run(place, "exact", "mine:from_random", "--against", f"mine:{law}", "--json")
    assert done.returncode == status, done.stderr
    assert json.loads(done.stdout)["num_outcomes"] == 2


def test_an_error_of_ours_is_no_verdict(monkeypatch, capsys):
    def breaks(**_):
        raise ZeroDivisionError("ours")

    monkeypatch.setattr(commands, "app", breaks)
    with pytest.raises(SystemExit) as caught:
        commands.run_here(["audit"])
    assert caught.value.code == 2
    assert "ZeroDivisionError: ours (in test_cli.py, line" in capsys.readouterr().err


def options_of(command):
    return {name: p.default for name, p in inspect.signature(command).parameters.items()}


OF_FIGURES = {"context", "names", "out", "trace", "list_", "check", "as_json", "jobs"}
"""What the command alone has; and it starts a process a core, which a script may not."""

OF_CLUSTER = ("backend", "address")
OF_ENGINES = ("target", "prompt", "sampling", "num_tokens", "server", "concurrency")

TWINS = {
    commands.trace: (decode, {"model", "out", "as_json", *OF_CLUSTER}),
    commands.audit: (audit, {"out", "html", "as_json", "against", *OF_ENGINES, *OF_CLUSTER}),
    commands.log_probs: (audit_log_probs, {"out", "as_json"}),
    commands.tiny_model: (tiny_model, {"formats", "as_json"}),
    commands.trend: (write_trend, {"output", "as_json"}),
    commands.exact: (exact_law, {"against", "worst", "model", "out", "html", "as_json"}),
    figures_command: (Decoding, OF_FIGURES),
}


@pytest.mark.parametrize("command", TWINS, ids=lambda f: f.__name__)
def test_defaults_are_those_of_python(command):
    function, own = TWINS[command]
    here, there = options_of(command), options_of(function)
    shared = set(here) - own - {"method", "subject", "sampler"}
    assert shared
    assert {name: here[name] for name in shared} == {name: there[name] for name in shared}


def test_every_command_is_compared():
    names = {info.callback.__name__ for info in commands.app.registered_commands}
    assert names == {f.__name__ for f in TWINS if f is not figures_command} | {"report", "figures", "schema"}


def test_what_starts_the_work_is_light():
    code = "import sys, scd_analysis.cli.supervisor; print(*sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"typer", "numpy", "torch", "rich", "ctypes"} & set(found)


@pytest.mark.slow
def test_listing_figures_loads_nothing_that_draws():
    """It took four seconds; asking for a figure by its name loads it all, so that the absence says something."""
    code = "import sys; from scd_analysis.figures.__main__ import run; run(sys.argv[1:]); print(*sys.modules)"
    heavy = {"torch", "pandas", "xarray", "zarr", "scipy", "matplotlib", "seaborn", "PIL", "reportlab"}

    def loaded(*words):
        done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=True)
        return heavy & set(done.stdout.split())

    assert loaded("--list") == set()
    assert loaded("--check", "nope") == heavy


SHADOWS = ("zarr.py", "xarray.py", "typer.py", "random.py", "reference/__init__.py", "studies/__init__.py")


@pytest.mark.slow
@pytest.mark.parametrize("door", ["scd_analysis.cli", "scd_analysis.figures"])
def test_the_working_directory_comes_last(tmp_path, door):
    """A shadow that is executed leaves a mark."""
    for name in SHADOWS:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"open({str(tmp_path / 'mark')!r}, 'w').write({name!r})\nraise SystemExit(0)\n")
    (tmp_path / "figures_of_mine").mkdir()
    environment = {"PYTHONPATH": str(ROOT), "PYTHONSAFEPATH": "1", "PATH": ""}  # else Python itself imports them first

    def said(*words):
        return subprocess.run(
            [sys.executable, "-m", door, *words],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
            env=environment,
        )

    if door == "scd_analysis.figures":  # drawing loads all that there is
        done = said("--check", "--out", "figures_of_mine", "hamming_by_lag")
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.endswith("hamming_by_lag.json: the frame is missing\n")
    else:
        done = said("trace", "ar", "--model", "digits", "--num-sequences", "2", "--out", "run.zarr")
        assert (done.returncode, done.stderr) == (0, "")
        done = said("audit", "reference:mine", "--model", "digits")
        assert done.returncode == 2
        assert "what is installed comes before the working directory, so give yours another name" in done.stderr
    assert not (tmp_path / "mark").exists()
