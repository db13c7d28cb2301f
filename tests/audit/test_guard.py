"""Code that raises, hangs, or is called in the wrong way: one line, exit status 2, and what was drawn is kept."""

import json
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from scd_analysis import Outcome, audit
from scd_analysis.audit.guard import guarded
from scd_analysis.cli import commands
from scd_analysis.errors import InputError, LawError
from scd_analysis.subjects import ancestral, kernel, sampler
from tests.evidence.decoders import Tables, random_tables
from tests.statistics import ledger

TABLES = random_tables(3, 4, 0.8, np.random.default_rng(3))


def hangs(model, num_sequences, seed):
    while True:
        time.sleep(0.01)


def hangs_on(model, num_sequences, seed):
    """It takes an interruption for an error of its own."""
    while True:
        try:
            hangs(model, num_sequences, seed)
        except Exception:
            continue


def raises(model, num_sequences, seed):
    raise RuntimeError("no weights\nand a second line")


def swallows(model, num_sequences, seed):
    while True:
        try:
            time.sleep(0.01)
        except BaseException:
            continue


def swallows_and_returns(model, num_sequences, seed):
    """What it has by then is not what it would have drawn."""
    tokens = np.zeros((num_sequences, 4), dtype=np.int64)
    try:
        hangs(model, num_sequences, seed)
    except BaseException:
        return tokens


def takes_the_timer_away(model, num_sequences, seed):
    signal.setitimer(signal.ITIMER_REAL, 0)
    time.sleep(20)


def takes_the_handler_away(model, num_sequences, seed):
    signal.signal(signal.SIGALRM, signal.SIG_IGN)
    while True:
        time.sleep(0.01)


def raises_another(model, num_sequences, seed):
    try:
        hangs(model, num_sequences, seed)
    except BaseException:
        raise RuntimeError("interrupted?") from None


HANGING = [
    hangs,
    hangs_on,
    swallows,
    swallows_and_returns,
    takes_the_timer_away,
    takes_the_handler_away,
    raises_another,
]


@pytest.mark.slow
@pytest.mark.parametrize("subject", HANGING)
def test_a_subject_that_hangs(subject):
    start, before = time.monotonic(), signal.getsignal(signal.SIGALRM)
    with pytest.raises(InputError, match=r"subject\(model, 64, \d+\) did not return within 0.2 s"):
        audit(subject, TABLES, timeout=0.2)
    assert time.monotonic() - start < 10
    assert signal.getsignal(signal.SIGALRM) == before
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)


@pytest.mark.parametrize("when", [1, 3, 7])
def test_a_model_that_hangs(when):
    """When it is checked, and later."""

    class Model(Tables):
        calls = 0

        def next_token_probs(self, tokens):
            Model.calls += 1
            return hangs(0, 0, 0) if Model.calls == when else super().next_token_probs(tokens)

    with pytest.raises(InputError, match=r"model.next_token_probs\(Long\[.*\]\) did not return within 0.2 s"):
        audit(lambda _, n, seed: ancestral(TABLES, n, seed), Model(TABLES.rows), timeout=0.2, progress=False)


def test_a_subject_that_hangs_on_another_thread():
    found = []
    stop = threading.Event()

    def run():
        try:
            guarded("it", lambda: stop.wait(20), timeout=0.2)
        except InputError as error:
            found.append(str(error))

    worker = threading.Thread(target=run)
    worker.start()
    worker.join(5)
    stop.set()
    assert found == ["it did not return within 0.2 s"]


def test_what_is_done_in_time_is_returned():
    assert guarded("it", lambda: 3, timeout=5) == 3
    found = []
    worker = threading.Thread(target=lambda: found.append(guarded("it", lambda: 4, timeout=5)))
    worker.start()
    worker.join(5)
    assert found == [4]
    verdict = audit(ancestral, TABLES, max_sequences=100, timeout=60, progress=False)
    assert verdict.to_json() == audit(ancestral, TABLES, max_sequences=100, progress=False).to_json()


def test_a_subject_that_raises():
    with pytest.raises(InputError, match=r"^subject\(model, 64, \d+\) raised RuntimeError: no weights$") as caught:
        audit(raises, TABLES)
    assert isinstance(caught.value.__cause__, RuntimeError)
    with pytest.raises(LawError, match=r"^mine$"):  # what says itself what is wrong is left alone
        guarded("it", lambda: (_ for _ in ()).throw(LawError("mine")))
    with pytest.raises(KeyboardInterrupt):
        guarded("it", lambda: (_ for _ in ()).throw(KeyboardInterrupt()))


def test_a_model_and_a_kernel_that_raise():
    class Model:
        vocab_size, num_tokens = 3, 4

        def next_token_probs(self, tokens):
            raise ZeroDivisionError

    with pytest.raises(InputError, match=r"model.next_token_probs\(Long\[4, 3\]\) raised ZeroDivisionError: $"):
        audit(ancestral, Model())
    with pytest.raises(InputError, match=r"kernel \(seed \d+\) raised RuntimeError: no weights"):
        audit(kernel(lambda *args: raises(0, 0, 0)))
    with pytest.raises(InputError, match=r"kernel \(seed \d+\) did not return within 0.2 s"):
        audit(kernel(lambda *args: hangs(0, 0, 0)), timeout=0.2)


@pytest.mark.parametrize("subject", [lambda model, n: 0, lambda: 0, lambda model, n, seed, more: 0])
def test_a_wrong_signature(subject):
    with pytest.raises(InputError, match=r"subject takes \(.*\): it is called with \(model, num_sequences, seed\)"):
        audit(subject, TABLES)
    with pytest.raises(InputError, match="timeout = 0"):
        audit(ancestral, TABLES, timeout=0)


class Tires:
    """Raises at its third batch, until it has rested."""

    def __init__(self, tired_by):
        self.failure, self.calls = tired_by, 0

    def __call__(self, model, num_sequences, seed):
        self.calls += 1
        if self.failure and self.calls == 3:
            self.failure(model, num_sequences, seed)
        return ancestral(model, num_sequences, seed)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("failure", "words"), [(raises, "raised RuntimeError"), (hangs, "did not return within 0.5 s")]
)
def test_what_was_drawn_is_kept(tmp_path, failure, words):
    options = {"max_sequences": 300, "progress": False}
    with pytest.raises(InputError, match=rf"{words}.*; the 2 batches before are kept in {tmp_path / 'audit'}$"):
        audit(Tires(failure), TABLES, checkpoint=tmp_path / "audit", timeout=0.5, **options)
    rested = Tires(None)
    resumed = audit(rested, TABLES, checkpoint=tmp_path / "audit", **options)
    whole = Tires(None)
    assert resumed.to_json() == audit(whole, TABLES, **options).to_json()
    assert rested.calls == whole.calls - 2


STANDS = ledger("sampling functions: right ones are not refuted at 1e-7", 4e-7)


def draw(model, size, rng):
    out = np.zeros((size, model.num_tokens), dtype=np.int64)
    for j in range(model.num_tokens):
        laws = model.laws(out[:, :j])[:, j]
        out[:, j] = (laws.cumsum(axis=1) <= rng.random((size, 1))).sum(axis=1).clip(max=2)
    return out


FUNCTIONS = {
    "own order": (lambda num_samples, rng: draw(TABLES, num_samples, rng), {"numpy": True}),
    "global generator": (lambda n: draw(TABLES, n, np.random), {}),
    "one at a time": (lambda model, seed: draw(model, 1, np.random.default_rng(seed)), {"one_at_a_time": True}),
    "roles": (
        lambda a, b: draw(b, a, np.random.default_rng(np.random.randint(2**31))),  # noqa: NPY002
        {"arguments": ("num_sequences", "model")},
    ),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_sampling_functions_of_other_forms(name):
    function, options = FUNCTIONS[name]
    subject = sampler(function, **options)
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    first, again, other = subject(TABLES, 50, 1), subject(TABLES, 50, 1), subject(TABLES, 50, 2)
    assert (first == again).all()
    assert (first != other).any()
    assert (np.random.get_state()[1] == before).all()  # noqa: NPY002
    verdict = audit(subject, TABLES, alpha=1e-7, max_sequences=300, progress=False)
    assert verdict.outcome is not Outcome.REFUTED


FINDS = ledger("sampling functions and kernels on the command line: wrong ones are refuted", 2e-7)


def test_a_sampling_function_that_is_wrong_is_refuted():
    flat = sampler(lambda n, rng: rng.integers(3, size=(n, 4)), numpy=True)
    assert audit(flat, TABLES, max_sequences=3_000, progress=False).outcome is Outcome.REFUTED


@pytest.mark.parametrize(
    ("function", "options", "words"),
    [
        (lambda x: 0, {}, "sampler: parameter 'x' of <lambda>"),
        (lambda model: 0, {}, "no parameter takes num_sequences.*one_at_a_time=True"),
        (3, {}, "function = 3: a sampler is a function"),
        (lambda seed: np.zeros((2, 4)), {"one_at_a_time": True}, r"returned shape \(2, 4\): one sequence a call"),
        (lambda seed: [0] * (seed % 7), {"one_at_a_time": True}, "sequences have one length"),
    ],
)
def test_what_is_unclear_of_a_sampling_function_is_said(function, options, words):
    with pytest.raises(InputError, match=words):
        audit(sampler(function, **options), TABLES, progress=False)


def test_greedy_decoders_are_checked_token_for_token():
    greedy = Tables(tuple(np.eye(3)[row.argmax(axis=1)] for row in TABLES.rows))
    verdict = audit(ancestral, greedy, progress=False)
    assert verdict.outcome is Outcome.NOT_REFUTED
    assert verdict.num_sequences == 64
    assert verdict.record["path"]["taken"] == "token for token"
    assert verdict.resolution == pytest.approx(1 - 0.01 ** (1 / 64))

    def slips(model, num_sequences, seed):
        tokens = ancestral(model, num_sequences, seed)
        tokens[5, 2] = (tokens[5, 2] + 1) % 3
        return tokens

    verdict = audit(slips, greedy, progress=False)
    assert verdict.outcome is Outcome.REFUTED
    assert (verdict.num_sequences, verdict.diagnosis.position, verdict.diagnosis.first_seen) == (6, 2, 5)
    assert "at position 2 of sequence 5, where only" in verdict.diagnosis.cause


MODULE = """
import time
from tests.audit.test_guard import TABLES, draw, hangs, raises
from tests.audit.test_kernels import verify
from scd_analysis.subjects import ancestral, kernel

right, wrong = kernel(verify), kernel(lambda *args: verify(*args, slip="target"))


def two(model, num_sequences):
    return 0
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("guard")
    (folder / "guarded_subjects.py").write_text(MODULE)
    (folder / "broken_module.py").write_text("raise RuntimeError('on import')\n")
    row = {"tokens": [0, 1], "logprobs": [[np.log(0.5), np.log(0.5)]] * 2}
    (folder / "runs.jsonl").write_text((json.dumps(row) + "\n") * 40)
    return folder


MINE = "guarded_subjects"
RIGHT = ledger("command line: a right kernel is not refuted at 1e-6", 1e-6)
STATUS = [
    ([f"{MINE}:right", "--max-sequences", "1500"], 0, "NOT_REFUTED"),
    ([f"{MINE}:wrong", "--max-sequences", "2000"], 1, "Broken: verification"),
    (["runs.jsonl"], 1, "REFUTED"),  # the same sequence forty times
    (["runs.jsonl", "--max-sequences", "2"], 3, "INCONCLUSIVE"),
    ([f"{MINE}:hangs", "--model", f"{MINE}:TABLES", "--timeout", "0.3"], 2, "did not return within 0.3 s"),
    ([f"{MINE}:raises", "--model", f"{MINE}:TABLES"], 2, "raised RuntimeError: no weights"),
    ([f"{MINE}:two", "--model", f"{MINE}:TABLES"], 2, "subject takes (model, num_sequences)"),
    ([f"{MINE}:ancestral", "--model", f"{MINE}:draw"], 2, "could not be made without arguments"),
    (["broken_module:x"], 2, "cannot be imported: RuntimeError: on import"),
    (["absent"], 2, "write it as module:attribute, or give the path of a trace or recorded file"),
    (["guarded_subjects.py"], 2, "is none of the kinds of file that are known, a trace (a folder, or .zip)"),
]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "status", "message"), STATUS, ids=lambda x: " ".join(x) if isinstance(x, list) else ""
)
def test_the_command_line_says_it_in_one_line(place, monkeypatch, capsys, words, status, message):
    monkeypatch.chdir(place)
    monkeypatch.syspath_prepend(str(place))
    with pytest.raises(SystemExit) as left:
        commands.run_here(["audit", *words])
    said = capsys.readouterr()
    assert (left.value.code or 0) == status, said
    assert message in (said.err if status == 2 else said.out)
    assert len(said.err.splitlines()) == (1 if status == 2 else 0)


@pytest.mark.slow
def test_a_hanging_subject_ends_the_process(place):
    """As a user sees it, with a checkpoint."""
    command = [sys.executable, "-m", "scd_analysis.cli", "audit", f"{MINE}:hangs", "--model", f"{MINE}:TABLES"]
    root = str(Path(__file__).parents[2])
    done = subprocess.run(
        [*command, "--timeout", "1", "--checkpoint", "kept"],
        cwd=place,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={"PYTHONPATH": root, "PATH": ""},
    )
    assert done.returncode == 2, done.stderr
    assert "did not return within 1 s" in done.stderr
    assert (place / "kept" / "audit.json").exists()
