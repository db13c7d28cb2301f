"""Checkpoints: whose they are, who uses them, what has become of them, and audits that were killed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock

from scd_analysis import audit
from scd_analysis.audit import checkpoint as module
from scd_analysis.audit.identity import subject_identity
from scd_analysis.errors import InputError
from scd_analysis.subjects import ancestral, sampler
from tests.evidence.decoders import Tables, random_tables

ROOT = Path(__file__).parents[2]
TABLES = random_tables(3, 4, 0.8, np.random.default_rng(3))
OPTIONS = {"max_sequences": 150, "progress": False}


def mine(model, num_sequences, seed):
    return ancestral(model, num_sequences, seed)


def other(model, num_sequences, seed):
    return ancestral(model, num_sequences, seed)


def configured(method, scale=1.0):
    def draw(model, num_sequences, seed):
        return ancestral(model, num_sequences, seed)

    return draw if method and scale else None


class Decoder:
    """With a setting, and with state that changes."""

    def __init__(self, method, temperature=1.0):
        self.method, self._temperature = method, temperature
        self.calls, self.began = 0, time.time()

    def __call__(self, model, num_sequences, seed):
        self.calls += 1
        return ancestral(model, num_sequences, seed)


FIRST, SECOND = lambda m, n, s: ancestral(m, n, s), lambda m, n, s: ancestral(m, n, s + 0)


def closing_over(method):
    return lambda model, num_sequences, seed: ancestral(model, num_sequences, seed) if method else None


PAIRS = [
    (mine, other, r"subject = '.*:mine', this audit has '.*:other'"),
    (FIRST, SECOND, r"subject\.code = "),
    (closing_over("a"), closing_over("b"), r"subject\.method = \"'a'\", this audit has \"'b'\""),
    (partial(mine), partial(other), r"subject\.function = '.*:mine', this audit has '.*:other'"),
    (Decoder("a"), Decoder("b"), r"subject\.method = \"'a'\", this audit has \"'b'\""),
    (Decoder("a", 1.0), Decoder("a", 0.8), r"subject\.temperature = '1.0', this audit has '0.8'"),
    (Decoder(np.ones(3)), Decoder(np.zeros(3)), r"subject\.method = 'ndarray float64"),
    (Decoder("a").__call__, Decoder("b").__call__, r"subject\.self\.method = "),
    (sampler(lambda model, n, seed: mine(model, n, seed)), mine, r"subject = '.*Sampler', this audit has '.*:mine'"),
]


@pytest.mark.parametrize(("first", "second", "words"), PAIRS)
def test_another_subject_is_refused_and_the_same_is_not(tmp_path, first, second, words):
    verdict = audit(first, TABLES, checkpoint=tmp_path / "a", **OPTIONS)
    with pytest.raises(InputError, match=rf"^checkpoint .*a: {words}.*; it is of another subject$"):
        audit(second, TABLES, checkpoint=tmp_path / "a", **OPTIONS)
    assert audit(first, TABLES, checkpoint=tmp_path / "a", **OPTIONS).to_json() == verdict.to_json()


def test_state_is_not_identity():
    decoder = Decoder("a")
    before = subject_identity(decoder)
    decoder(TABLES, 3, 0)
    assert subject_identity(decoder) == before == subject_identity(Decoder("a"))


@pytest.mark.slow
def test_a_subject_is_the_same_in_another_process(tmp_path):
    """Whatever the seed of its hashes is."""
    (tmp_path / "identified.py").write_text(
        "import enum\nfrom functools import partial\nfrom scd_analysis.audit.identity import subject_identity\n"
        "class Kind(enum.Enum):\n    A = 1\n"
        "def helper(x):\n    return x in {'a', 'b', 'c'}\n"
        "def made(kind, names):\n"
        "    def draw(model, n, seed):\n        return helper(kind), names, [lambda: names]\n    return draw\n"
        "print(subject_identity(partial(made(Kind.A, {'x', 'y', 'z'}), object(), path={1: 2.5})))\n"
    )
    said = [
        subprocess.run(
            [sys.executable, str(tmp_path / "identified.py")],
            env={"PYTHONPATH": str(ROOT), "PYTHONHASHSEED": str(seed), "PATH": ""},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in (1, 2)
    ]
    assert said[0] == said[1]
    assert "2.5" in said[0]


def warmer(share):
    return Tables(tuple((1 - share) * row + share / 3 for row in TABLES.rows))


@pytest.mark.slow
def test_another_model_is_refused_and_rounding_is_not(tmp_path):
    """The tolerance is the audit's: what is rounding to one model is a difference to another."""
    kept = {"checkpoint": tmp_path / "a", **OPTIONS}
    verdict = audit(mine, TABLES, **kept)
    for model in (random_tables(3, 4, 0.8, np.random.default_rng(4)), warmer(0.002)):
        with pytest.raises(InputError, match=r"model: its laws after fixed prefixes were others, by .*another model$"):
            audit(mine, model, **kept)
    assert audit(mine, warmer(1e-6), **kept).outcome is verdict.outcome
    assert audit(mine, warmer(0.002), tolerance=0.01, **kept).outcome is verdict.outcome


def test_a_checkpoint_that_does_not_say_whose_it_is_is_refused(tmp_path):
    audit(mine, TABLES, checkpoint=tmp_path / "a", **OPTIONS)
    (tmp_path / "a" / "audit.json").write_text(json.dumps({"seed": 0, "vocab_size": 3, "num_tokens": 4}))
    with pytest.raises(InputError, match=r"does not say which subject and model it is of.*use a new folder"):
        audit(mine, TABLES, checkpoint=tmp_path / "a", **OPTIONS)


@pytest.mark.slow
def test_a_checkpoint_in_use_is_refused_and_let_go_of(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "PATIENCE", 0.1)
    kept = {"checkpoint": tmp_path / "a", **OPTIONS}

    def meddles(model, num_sequences, seed):
        with pytest.raises(InputError, match=r"a: is in use by another audit$"):
            audit(meddles, TABLES, **kept)
        return mine(model, num_sequences, seed)

    assert audit(meddles, TABLES, **kept).num_sequences == 150

    def fails(model, num_sequences, seed):
        raise RuntimeError

    for _ in range(2):  # an audit that ends with an error lets go of it, though the error is still there
        with pytest.raises(InputError, match="raised RuntimeError") as _kept:
            audit(fails, TABLES, checkpoint=tmp_path / "b", **OPTIONS)
    with FileLock(tmp_path / "b" / module.LOCK), pytest.raises(InputError, match="in use"):
        audit(fails, TABLES, checkpoint=tmp_path / "b", **OPTIONS)


@pytest.mark.slow
def test_leftovers_of_a_killed_run_go_and_nothing_else(tmp_path):
    folder = tmp_path / "a"
    audit(mine, TABLES, checkpoint=folder, **OPTIONS)
    for name in ("batch-00007.zarr.partial", "mine.partial", "batch-7.zarr.partial"):
        (folder / name).mkdir()
        (folder / name / "c").write_text("x")
    audit(mine, TABLES, checkpoint=folder, **OPTIONS)
    assert {path.name for path in folder.iterdir() if path.name.endswith("partial")} == {
        "mine.partial",
        "batch-7.zarr.partial",
    }
    begun = tmp_path / "b"
    begun.mkdir()
    (begun / module.LOCK).touch()
    (begun / "audit.json.partial").write_text("{")
    assert (
        audit(mine, TABLES, checkpoint=begun, **OPTIONS).num_sequences == 150
    )  # killed before it had said whose it is


def _truncated(folder):
    path = folder / "batch-00000.zarr" / "tokens" / "c" / "0" / "0"
    path.write_bytes(path.read_bytes()[:-3])


def _changed(folder):
    path = folder / "batch-00000.zarr" / "tokens" / "c" / "0" / "0"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def _fifo(name):
    def damage(folder):
        path = folder / name
        path.unlink()
        os.mkfifo(path)

    return damage


def _giant(folder):
    path = folder / "batch-00000.zarr" / "tokens" / "zarr.json"
    stored = json.loads(path.read_text())
    path.write_text(json.dumps({**stored, "shape": [10**9, 10**6]}))


def _sparse(folder):
    with (folder / "batch-00000.zarr" / "tokens" / "c" / "0" / "0").open("r+b") as file:
        file.truncate(2**42)


def _text(name, text):
    return lambda folder: (folder / name).write_text(text)


def _set(name, **values):
    return lambda folder: (folder / name).write_text(json.dumps({**json.loads((folder / name).read_text()), **values}))


DAMAGES = {
    "truncated chunk": _truncated,
    "changed byte": _changed,
    "chunk gone": lambda folder: (folder / "batch-00000.zarr" / "tokens" / "c" / "0" / "0").unlink(),
    "FIFO as a chunk": _fifo("batch-00000.zarr/tokens/c/0/0"),
    "FIFO as a note": _fifo("batch-00000.json"),
    "FIFO as the audit": _fifo("audit.json"),
    "link": lambda folder: (folder / "batch-00000.zarr" / "more").symlink_to("/"),
    "giant shape": _giant,
    "giant file": _sparse,
    "no note": lambda folder: (folder / "batch-00000.json").unlink(),
    "another batch": lambda folder: shutil.copy(folder / "batch-00001.json", folder / "batch-00000.json"),
    "no store": lambda folder: (
        shutil.rmtree(folder / "batch-00000.zarr") or (folder / "batch-00000.zarr").write_text("x")
    ),
    "half JSON": _text("audit.json", '{"seed": 0'),
    "deep JSON": _text("audit.json", "[" * 100_000),
    "deep note": _text("batch-00000.json", '{"files":' * 100_000),
    "a list": _text("audit.json", "[1, 2]"),
    "latin": lambda folder: (folder / "audit.json").write_bytes(b'{"seed": "\xe9"}'),
    "wrong subject": _set("audit.json", subject=[1]),
    "wrong laws": _set("audit.json", laws={"0": 1}),
    "laws of text": _set("audit.json", laws=["x"] * 200),
    "NaN laws": lambda folder: _set(
        "audit.json", laws=[float("nan")] * len(json.loads((folder / "audit.json").read_text())["laws"])
    )(folder),
    "wrong seed": _set("audit.json", seed="0"),
    "huge seed": _text("audit.json", '{"format": 2, "seed": ' + "9" * 4000 + "}"),
    "too huge seed": _text("audit.json", '{"format": 2, "seed": ' + "9" * 5000 + "}"),
    "files of text": _set("batch-00000.json", files="all"),
    "files of lists": _set("batch-00000.json", files={"zarr.json": 3}),
    "a folder as lock": lambda folder: (folder / module.LOCK).unlink(missing_ok=True) or (folder / module.LOCK).mkdir(),
}


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kept") / "a"
    audit(mine, TABLES, checkpoint=folder, **OPTIONS)
    return folder


@pytest.mark.parametrize("name", DAMAGES)
def test_damage_is_an_error_in_one_line(kept, tmp_path, name):
    folder = Path(shutil.copytree(kept, tmp_path / "a"))
    DAMAGES[name](folder)
    with pytest.raises(InputError, match=r"^checkpoint ") as caught:
        audit(mine, TABLES, checkpoint=folder, **OPTIONS)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600


SLOW = """
import sys, time
from tests.audit.test_checkpoint import TABLES, ancestral
from scd_analysis import audit


def slow(model, num_sequences, seed):
    time.sleep(0.15)
    return ancestral(model, num_sequences, seed)


print(audit(slow, TABLES, max_sequences=400, progress=False, checkpoint=sys.argv[1]).to_json())
"""


@pytest.mark.slow
def test_an_audit_that_is_killed_again_and_again_comes_to_the_same_verdict(tmp_path):
    script = tmp_path / "slow_audit.py"
    script.write_text(SLOW)

    def start(folder):
        return subprocess.Popen(
            [sys.executable, str(script), str(folder)],
            env={"PYTHONPATH": str(ROOT), "PATH": ""},
            stdout=subprocess.PIPE,
            text=True,
        )

    def batches():
        return len(list((tmp_path / "a").glob("batch-*.zarr")))

    for k in range(3):
        process, had, until = start(tmp_path / "a"), batches(), time.monotonic() + 60
        while batches() == had and process.poll() is None and time.monotonic() < until:
            time.sleep(0.005)
        time.sleep(0.03 * k)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert batches() >= 3
    killed, whole = (start(tmp_path / name).communicate()[0] for name in ("a", "b"))
    assert killed == whole != ""
