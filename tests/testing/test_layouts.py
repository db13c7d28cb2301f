"""Other people's test suites: unittest, pytest with workers and strict warnings, a monorepo with a `reference`."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.statistics import ledger

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
STANDS = ledger("testing: audits of lossless decoders in other people's layouts", 1.2e-6)  # twelve at 1e-7

DECODER = """
import numpy as np
from scd_analysis.subjects import ancestral
from scd_analysis.testing import TableModel

model = TableModel(3, [0.5, 0.3, 0.2], laws={(0,): [0.1, 0.0, 0.9]})


def decode(model, num_sequences, seed):
    return ancestral(model, num_sequences, seed)


def broken(model, num_sequences, seed):
    return np.zeros((num_sequences, 3), dtype=np.int64)
"""

LOSSLESS = "assert_lossless({}, model, alpha=1e-7, max_sequences=1_000)"


@pytest.fixture
def project(tmp_path):
    """Writes a project's files and runs Python in it, with nothing of this suite's about."""

    def run(*words, files=(), expected=0):
        for name, text in dict(files).items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("PYTEST", "PYTHON"))}
        environment = {**kept, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "COLUMNS": "120"}
        done = subprocess.run(
            [sys.executable, *words], cwd=tmp_path, capture_output=True, text=True, timeout=240, env=environment
        )
        assert done.returncode == expected, done.stdout + done.stderr
        return done.stdout + done.stderr

    return run


UNITTEST = f"""
import unittest
from decoders.mine import broken, decode, model
from scd_analysis.testing import assert_batch_invariant, assert_lossless


class TestDecoder(unittest.TestCase):
    def test_it_is_lossless(self):
        {LOSSLESS.format("decode")}

    def test_seeds(self):
        for seed in (1, 2):
            with self.subTest(seed=seed):
                {LOSSLESS.format("decode").replace("alpha", "seed=seed, alpha")}

    def test_a_broken_one_fails(self):
        with self.assertRaisesRegex(AssertionError, "does not sample from its target law"):
            {LOSSLESS.format("broken")}

    def test_batches(self):
        self.assertGreater(assert_batch_invariant(broken, model, sizes=(1, 2)), 0)
"""


def test_unittest_with_warnings_as_errors(project):
    files = {"decoders/__init__.py": "", "decoders/mine.py": DECODER, "tests/__init__.py": ""}
    said = project("-W", "error", "-m", "unittest", "-v", files=files | {"tests/test_mine.py": UNITTEST})
    assert re.search(r"Ran 4 tests in .*\n\nOK", said)
    failing = UNITTEST.replace("test_a_broken_one_fails", "_").replace("(decode, model", "(broken, model")
    said = project("-m", "unittest", expected=1, files={"tests/test_mine.py": failing})
    assert re.search(r"FAILED \(failures=3\)", said)  # and no errors: two of them are subtests
    assert "To repeat it: scd_analysis.audit(decoders.mine:broken, TableModel" in said


STRICT = """
[tool.pytest.ini_options]
minversion = "8"
addopts = "-n 2 --strict-markers --strict-config -W error -ra"
filterwarnings = ["error"]
xfail_strict = true
testpaths = ["checks"]
markers = ["decoders: of ours"]
"""

PYTEST = f"""
import pytest
from hypothesis import given
from mine import broken, decode, model
from scd_analysis.testing import assert_lossless, draft_batches, register_rate

RATE = register_rate("a mean of ours", 1e-7)
pytestmark = pytest.mark.decoders


@pytest.mark.parametrize("seed", range(3))
def test_it_is_lossless(seed):
    {LOSSLESS.format("decode").replace("alpha", "seed=seed, alpha")}


@pytest.mark.xfail(raises=AssertionError)
def test_broken():
    {LOSSLESS.format("broken")}


@given(draft_batches())
def test_batches(batch):
    assert batch.draft_tokens.ndim == 2
"""


def test_pytest_with_workers_and_everything_strict(project, tmp_path):
    files = {"pyproject.toml": STRICT, "checks/mine.py": DECODER, "checks/test_mine.py": PYTEST}
    plugin = ("-m", "pytest", "-p", "scd_analysis.testing.plugin", "--scd-ledger", "scd.jsonl")
    said = project("-W", "error", *plugin, files=files)
    assert "4 passed, 1 xfailed" in said
    assert "scd: 4 audits: 3 not refuted, 1 refuted; false-fail rate of this run at most 5e-07 (1e-07 of it" in said
    kinds = [json.loads(line)["kind"] for line in (tmp_path / "scd.jsonl").read_text().splitlines()]
    assert kinds == ["declared", *["audit"] * 4]
    files = {"checks/test_mine.py": PYTEST.replace("xfail(raises=AssertionError)", "decoders")}
    assert "1 failed, 1 passed, 3 deselected" in project(
        *plugin, "-n", "0", "-k", "not lossless", expected=1, files=files
    )


REFERENCE = {
    "reference/__init__.py": "from reference.mine import broken, decode, model\n",
    "reference/mine.py": DECODER,
}

MONOREPO = f"""
import sys
from pathlib import Path

import reference
from scd_analysis import audit
from scd_analysis.testing import assert_lossless
from reference import broken, decode, model


def test_it_is_lossless():
    {LOSSLESS.format("decode")}
    assert audit(decode, model, 1e-7, 600, jobs=2, progress=False).outcome.name == "NOT_REFUTED"
    ours = [name for name in sys.modules if name.startswith("reference.") and name != "reference.mine"]
    assert (ours, Path(reference.__file__).parent) == ([], Path.cwd() / "reference")


def test_what_needs_ours_says_whose_is_there():
    from scd_analysis.figures.__main__ import reference_decoder
    try:
        reference_decoder()
    except ValueError as error:
        assert str(Path.cwd() / "reference" / "__init__.py") in str(error)
    else:
        raise AssertionError("theirs was taken for ours")
"""


def mine(text):
    return {"mine.py": f"{text}\n"}


def test_a_monorepo_with_a_reference_of_its_own(project, tmp_path):
    ini = "[pytest]\npythonpath = .\nfilterwarnings = error\n"
    files = {**REFERENCE, "pytest.ini": ini, "test_mine.py": MONOREPO}
    said = project("-m", "pytest", "-p", "scd_analysis.testing.plugin", files=files)
    assert "2 passed" in said
    assert "scd: 1 audit: 1 not refuted" in said
    audit = ("-P", "-m", "scd_analysis.cli", "audit", "--max-sequences", "600", "--alpha", "1e-7")
    theirs = ("--model", "reference.mine:model")
    assert "NOT_REFUTED" in project(*audit, "reference:decode", *theirs, "--jobs", "2")
    assert "REFUTED" in project(*audit, "reference:broken", *theirs, expected=1)
    file = tmp_path / "reference" / "__init__.py"
    assert f"reference is {file}, in place of the package" in project(*audit, "reference:decode", expected=2)
    said = project(*audit, "mine:decode", "--model", "digits", expected=2, files=mine("from reference.mine import *"))
    assert f"which the command needs for what comes along with it, and not {file})" in said
    said = project(*audit, "mine:decode", *theirs, expected=2, files=mine("import reference; reference.TabularModel"))
    assert f"reference is {file}, and not the package that comes along with scd-analysis" in said


def test_where_there_is_none_of_theirs_ours_is_found(project):
    """A folder without code is none, nor is a checkout of this project somebody else's."""
    text = "import reference; model = reference.TabularModel.random(2, 2, 1.0, seed=0)"
    words = ("-P", "-m", "scd_analysis.cli", "audit", "mine:model", "--model", "mine:model")
    for more in ({}, {"reference/notes.md": "ours"}, {"scd_analysis/__init__.py": "", **REFERENCE}):
        assert "subject = <reference.models.tabular.TabularModel" in project(
            *words, expected=2, files=mine(text) | more
        )
