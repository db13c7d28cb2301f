"""Subjects that end, kill, fork, silence or outlast the process that they run in: status 1 is for what is refuted."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from scd_analysis import TraceWriter
from scd_analysis.cli import supervisor

ROOT = Path(__file__).parents[1]
MODULE = """
import asyncio, atexit, itertools, os, signal, sys, threading, time
import numpy as np
from scd_analysis.subjects import ancestral
from tests.evidence.decoders import Tables, random_tables

model = random_tables(3, 4, 0.8, np.random.default_rng(3))
PID = os.getpid()


def honest(model, n, seed):
    return ancestral(model, n, seed)


def wrong(model, n, seed):
    return np.random.default_rng(seed).integers(3, size=(n, 4))


def exits_0(*_): os._exit(0)
def exits_1(*_): os._exit(1)
def exits_3(*_): os._exit(3)
def is_killed(*_): os.kill(PID, signal.SIGKILL)
def crashes(*_): os.kill(PID, signal.SIGSEGV)
def leaves(*_): sys.exit(1)
def is_cancelled(*_): raise asyncio.CancelledError
def is_interrupted(*_): raise KeyboardInterrupt
def generator_exit(*_): raise GeneratorExit
def no_memory(*_): raise MemoryError
def recurses(*_): return recurses(*_)
def becomes_another(*_): os.execv(sys.executable, [sys.executable, "-c", ""])


def fails_a_test(*_):
    import pytest
    pytest.fail("no")


def typer_exit(*_):
    import typer
    raise typer.Exit(0)


class Odd:
    @property
    def tokens(self):
        sys.exit(0)


class Odder:
    def __call__(self, model, n, seed):
        return honest(model, n, seed)

    @property
    def verify_window(self):
        import typer
        raise typer.Exit(0)

odder = Odder()


def odd(*_): return Odd()


def closes_output(model, n, seed):
    sys.stdout.close()
    os.close(1)
    return honest(model, n, seed)


def closes_all(model, n, seed):
    os.closerange(0, 256)
    return honest(model, n, seed)


def reuses_descriptors(model, n, seed):
    os.closerange(3, 64)
    global kept
    kept = [open(f"file-{i}", "w") for i in range(60)]
    return honest(model, n, seed)


def writes_everywhere(model, n, seed):
    for descriptor in range(5, 64):
        try:
            os.write(descriptor, b'{"kind": "ended", "status": 1}' + bytes([10]))
        except OSError:
            pass
    return honest(model, n, seed)


def pretends(model, n, seed):
    print('{"outcome": "REFUTED"}')
    sys.__stdout__.write('{"outcome": "REFUTED"}')
    sys.__stdout__.flush()
    os.write(1, b'{"outcome": "REFUTED"}')
    os.system("echo REFUTED")
    return honest(model, n, seed)


def leaves_late(model, n, seed):
    atexit.register(os._exit, 1)
    return honest(model, n, seed)


def leaves_a_thread(model, n, seed):
    threading.Thread(target=time.sleep, args=(60,)).start()
    return honest(model, n, seed)


def forks(model, n, seed):
    os.fork()
    return honest(model, n, seed)


def goes_into_the_background(model, n, seed):
    if os.fork():
        os._exit(0)
    return honest(model, n, seed)


def leaves_a_process(model, n, seed):
    if not os.fork():
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(60)
        os._exit(0)
    return honest(model, n, seed)


def swallows(*_):
    while True:
        try:
            time.sleep(0.01)
        except BaseException:
            pass


def takes_timers_away(*_):
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, signal.SIG_IGN)
    time.sleep(60)


def never_returns_to_python(*_): sum(itertools.repeat(1))


def stops(*_): os.kill(PID, signal.SIGSTOP)


class Model(Tables):
    def next_token_probs(self, tokens):
        os._exit(0)

class Slow(Tables):
    def next_token_probs(self, tokens):
        sum(itertools.repeat(1))

exiting_model, slow_model = Model(model.rows), Slow(model.rows)


def sampler_exits(): os._exit(0)
def sampler_cancelled(): raise asyncio.CancelledError
"""

ENDED = r"ended the process with status"
NONE = [
    ("exits_0", f"{ENDED} 0 before there was a result"),
    ("exits_1", f"{ENDED} 1 before there was a result"),
    ("exits_3", f"{ENDED} 3 before there was a result"),
    ("is_killed", "ended by SIGKILL"),
    ("crashes", "segmentation fault"),
    ("leaves", "raised SystemExit: 1"),
    ("is_cancelled", "raised CancelledError"),
    ("is_interrupted", "interrupted"),
    ("generator_exit", "raised GeneratorExit"),
    ("fails_a_test", "raised Failed: no"),
    ("typer_exit", "raised Exit"),
    ("odd", "raised SystemExit: 0"),
    ("odder", "raised Exit"),
    ("no_memory", "raised MemoryError"),
    ("recurses", "raised RecursionError"),
    ("becomes_another", f"{ENDED} 0"),
    ("closes_all", "before there was a result"),
    ("reuses_descriptors", "before there was a result"),
    ("goes_into_the_background", f"{ENDED} 0"),
]
HONEST = [
    "honest",
    "closes_output",
    "writes_everywhere",
    "pretends",
    "leaves_late",
    "leaves_a_thread",
    "forks",
    "leaves_a_process",
]
SLOW = ["swallows", "takes_timers_away", "never_returns_to_python", "stops"]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile")
    (folder / "hostile.py").write_text(MODULE)
    (folder / "leaving.py").write_text("import os\nos._exit(0)\n")
    (folder / "without").mkdir()
    (folder / "without" / "torch.py").write_text("raise ModuleNotFoundError('torch', name='torch')\n")  # quicker
    return folder


@pytest.fixture
def run(place, monkeypatch, capfd):
    """As the command does it, in this process: its worker is one of its own in any case."""
    monkeypatch.chdir(place)
    monkeypatch.setenv("PYTHONPATH", f"{place / 'without'}{os.pathsep}{ROOT}")
    monkeypatch.setattr(supervisor, "GRACE", 1.0)
    monkeypatch.setattr(supervisor, "LEAVING", 1.0)

    def command(*words):
        start = time.monotonic()
        status = supervisor.supervise(words, "scd-analysis")
        assert time.monotonic() - start < 50  # the machine may be busy; what hangs, hangs for 60
        return status, *capfd.readouterr()

    return command


def audit(name, *words, model="hostile:model"):
    return "audit", f"hostile:{name}", "--model", model, "--max-sequences", "64", "--json", *words


@pytest.mark.slow
@pytest.mark.parametrize(("name", "words"), NONE)
def test_no_result_is_status_two_and_one_line(run, place, name, words):
    status, out, err = run(*audit(name))
    assert (status, out) == (2, "")
    assert words in err
    assert err.startswith("scd-analysis: ")
    assert len(err.splitlines()) == 1
    assert all(not path.read_text() for path in place.glob("file-*"))  # nothing of ours in files of theirs


@pytest.mark.slow
@pytest.mark.parametrize("name", HONEST)
def test_what_an_honest_subject_does_besides_is_its_own_affair(run, name):
    """Sixty-four sequences are too few for a verdict, so 3 is what is right."""
    status, out, _ = run(*audit(name))
    assert status == 3
    result = out if name != "writes_everywhere" else out[out.index("{\n") :]  # fmt: skip -- it writes into ours, too
    assert json.loads(result)["outcome"] == "INCONCLUSIVE"


@pytest.mark.slow
def test_a_wrong_one_is_refuted(run):
    status, out, _ = run("audit", "hostile:wrong", "--model", "hostile:model")
    assert (status, out[:7]) == (1, "REFUTED")


@pytest.mark.slow
@pytest.mark.parametrize("name", SLOW)
def test_a_timeout_is_kept_whatever_the_subject_does(run, name):
    status, out, err = run(*audit(name, "--timeout", "0.5"))
    assert (status, out) == (2, "")
    assert "did not return within 0.5 s" in err
    assert len(err.splitlines()) == 1


@pytest.mark.slow
def test_a_model_is_held_to_the_same(run):
    status, out, err = run(*audit("honest", "--timeout", "0.5", model="hostile:slow_model"))
    assert (status, out) == (2, "")
    assert "model.next_token_probs(Long[4, 3]) did not return within 0.5 s" in err
    status, out, err = run(*audit("honest", model="hostile:exiting_model"))
    assert (status, out) == (2, "")
    assert f"model.next_token_probs(Long[4, 3]) {ENDED} 0" in err
    status, _, err = run("audit", "leaving:x", "--model", "hostile:model")
    assert (status, err) == (2, f"scd-analysis: subject='leaving:x' {ENDED} 0 before there was a result\n")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "words"), [("sampler_exits", f"{ENDED} 0"), ("sampler_cancelled", "raised CancelledError")]
)
def test_exact_is_held_to_the_same(run, monkeypatch, name, words):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    status, out, err = run("exact", f"hostile:{name}")
    assert (status, out) == (2, "")
    assert words in err


def start(place, *words, **options):
    """Start a command; interrupts reach it also where this suite was started in a shell's background."""
    return subprocess.Popen(
        [sys.executable, "-m", "scd_analysis.cli", *words],
        cwd=place,
        env={"PYTHONPATH": f"{place / 'without'}{os.pathsep}{ROOT}", "PATH": ""},
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
        **options,
    )


@pytest.mark.slow
def test_a_closed_pipe_is_no_refutation(place):
    for words in (audit("honest"), ("--help",), ("report", "--help")):
        reading, writing = os.pipe()
        os.close(reading)
        process = start(place, *words, stdout=writing)
        os.close(writing)
        said = process.communicate(timeout=60)[1]
        assert process.returncode == 2
        assert said == "scd-analysis: standard output was closed before there was a result\n"
        process.stderr.close()


def runs(pid: int) -> bool:
    """Whether the process is there and is no zombie that nobody has waited for."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.slow
@pytest.mark.parametrize("asked", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_the_worker_goes_when_it_is_asked_to_and_when_the_supervisor_is_killed(place, asked):
    said = place / f"pid-{asked.value}"
    (place / f"waits_{asked.value}.py").write_text(
        "import os, time\nfrom hostile import model\n"
        f"def waits(*_):\n    open({str(said)!r}, 'w').write(str(os.getpid()))\n    time.sleep(60)\n"
    )
    process = start(place, "audit", f"waits_{asked.value}:waits", "--model", "hostile:model", stdout=subprocess.PIPE)
    until = time.monotonic() + 60
    while not (said.exists() and said.read_text()) and time.monotonic() < until:
        time.sleep(0.02)
    process.send_signal(asked)
    _, err = process.communicate(timeout=30)  # the worker holds these pipes, too: it ends
    assert process.returncode == (-9 if asked is signal.SIGKILL else 2)
    words = {signal.SIGTERM: "stopped by SIGTERM", signal.SIGINT: "interrupted", signal.SIGKILL: None}[asked]
    assert err == ("" if words is None else f"scd-analysis: {words}\n")
    until = time.monotonic() + 30
    while runs(int(said.read_text())) and time.monotonic() < until:
        time.sleep(0.02)  # a process closes its pipes a moment before it is gone
    assert not runs(int(said.read_text()))


@pytest.mark.slow
def test_letters_that_the_output_lacks_are_spelled(tmp_path):
    """A result on a terminal or in a file of ASCII is a result."""
    with TraceWriter(tmp_path / "run.zarr", vocab_size=2, num_tokens=2, window=1, decoder="d\xe9 \u6f22") as trace:
        trace.append(base=[0], draft_token=[[0]], next_token=[[0]], accepted=[[1]])
        trace.append(base=[1], draft_token=[[1]], next_token=[[1]], accepted=[[1]])
    environment = {"PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "ascii"}
    words = [sys.executable, "-m", "scd_analysis.cli", "report", "run.zarr"]
    done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "d\\xe9 \\u6f22" in done.stdout


@pytest.mark.slow
def test_a_working_directory_that_was_deleted_is_no_error(tmp_path):
    (tmp_path / "gone").mkdir()
    words = f"{sys.executable} -m scd_analysis.cli report {tmp_path}/absent.zarr"
    done = subprocess.run(
        ["/bin/sh", "-c", f"PATH=/bin:/usr/bin; rmdir ../gone; exec {words}"],
        cwd=tmp_path / "gone",
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr == f"scd-analysis: trace {tmp_path}/absent.zarr: there is no such file or directory\n"
