"""The pytest plugin, run on suites of a few lines by pytest's own ``pytester``."""

import json
import math
import subprocess
import sys
import textwrap
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from scd_analysis import testing
from scd_analysis.testing import assert_lossless, rates, register_rate
from scd_analysis.testing.rates import Audited, Declared, Ledger, rounded_up
from tests.statistics import ledger, total_false_fail_rate

pytest_plugins = ["pytester"]

ROOT = Path(__file__).parents[2]
PLUGIN = "scd_analysis.testing.plugin"

STANDS = ledger("testing: audits of lossless decoders inside suites", 2e-6)  # one at 1e-6, and twenty at MINE

SUITE = """
import pytest
from scd_analysis.subjects import ancestral
from scd_analysis.testing import TableModel, assert_lossless, register_rate

FAIR = TableModel(1, [0.5, 0.5])
MINE = 5e-8
RATE = register_rate("mean of my bonus token", 2e-8, power=0.99, resolution=0.1)

def constant(model, num_sequences, seed):
    return ancestral(model, num_sequences, seed) * 0

def test_one():
    assert_lossless(ancestral, FAIR, alpha=MINE, max_sequences=500)

def test_two():
    assert_lossless(ancestral, FAIR, alpha=MINE, max_sequences=1_000, seed=1)
"""

BROKEN = """
def test_broken():
    assert_lossless(constant, FAIR)
"""


@pytest.fixture
def suite(pytester, monkeypatch):
    """Runs pytest with the plugin, as if nothing else had used it."""
    monkeypatch.setattr(rates, "_ACTIVE", [])
    monkeypatch.setattr(rates, "_EARLY", Ledger())
    monkeypatch.setenv("PYTHONPATH", str(ROOT))

    def run(text, *arguments):
        pytester.makepyfile(test_mine=text)
        return pytester.runpytest_inprocess("-p", PLUGIN, "-p", "no:cacheprovider", *arguments)

    return run


def last_lines(result):
    return [line for line in result.outlines if line.startswith("scd:")]


# -------------------------------------------------------------------------------------------------------------- summary


@pytest.mark.slow
def test_a_run_ends_with_what_its_rates_add_up_to(suite):
    """Two audits at 5e-8 and a declared 2e-8."""
    result = suite(SUITE)
    result.assert_outcomes(passed=2)
    (line,) = last_lines(result)
    assert line.startswith(
        "scd: 2 audits: 2 not refuted; false-fail rate of this run at most 1.2e-07 (2e-08 of it declared by 1 assert); "
        "coarsest resolution 0."
    )
    assert line.endswith("(test_mine.py::test_one)")


@pytest.mark.slow
def test_a_broken_decoder_fails_the_run_and_is_counted(suite):
    result = suite(SUITE + BROKEN)
    result.assert_outcomes(passed=2, failed=1)
    (line,) = last_lines(result)
    assert "3 audits: 2 not refuted, 1 refuted; false-fail rate of this run at most 1.2e-06" in line
    result.stdout.fnmatch_lines(["*test_mine:constant does not sample from its target law*", "*To repeat it:*"])
    assert "lossless.py" not in str(result.stdout)  # the failure points at the caller's line


def test_suites_without_audits_are_left_alone(suite):
    result = suite("def test_plain(): pass", "-W", "error")
    result.assert_outcomes(passed=1)
    assert not last_lines(result)


def test_rates_alone_are_summed_too(suite):
    result = suite("from scd_analysis.testing import register_rate\nregister_rate('a', 1e-6)\ndef test_plain(): pass")
    assert last_lines(result) == ["scd: false-fail rate of this run at most 1e-06 (1e-06 of it declared by 1 assert)"]


def test_what_a_conftest_registers_at_once_is_not_lost(suite, pytester):
    pytester.makeconftest("from scd_analysis.testing import register_rate\nregister_rate('early', 1e-7)")
    (line,) = last_lines(suite("def test_plain(): pass"))
    assert "at most 1e-07" in line


def test_a_name_with_two_rates_is_an_error(suite):
    result = suite(SUITE + "\nregister_rate('mean of my bonus token', 3e-8)")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*registered before with rate 2e-08*"])


# -------------------------------------------------------------------------------------------------------------- options


@pytest.mark.slow
def test_alpha_of_the_run_holds_where_the_call_names_none(suite):
    result = suite(SUITE + BROKEN, "--scd-alpha", "1e-3")
    result.stdout.fnmatch_lines(["*test_mine:constant, TableModel, alpha=0.001, *"])
    assert "at most 0.0011 " in last_lines(result)[0]  # .001 + 1.2e-7, rounded up


@pytest.mark.parametrize("value", ["0", "1", "-1e-6", "nan", "inf", "small"])
def test_an_alpha_that_is_no_probability_is_a_usage_error(suite, value):
    result = suite(SUITE, f"--scd-alpha={value}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*--scd-alpha: '{value}' is not a probability strictly between 0 and 1*"])


@pytest.mark.slow
def test_the_ledger_is_a_line_of_json_each(suite, pytester):
    suite(SUITE + BROKEN, "--scd-ledger", "scd.jsonl", "--scd-alpha", "1e-4")
    declared, *audits = [json.loads(line) for line in (pytester.path / "scd.jsonl").read_text().splitlines()]
    assert declared == {
        "kind": "declared", "name": "mean of my bonus token", "false_fail_rate": 2e-8, "power": 0.99, "resolution": 0.1
    }  # fmt: skip
    tests = [row["test"] for row in audits]
    assert tests == [f"test_mine.py::{name}" for name in ("test_broken", "test_one", "test_two")]
    broken, one, two = audits
    assert (broken["outcome"], broken["alpha"], broken["subject"]) == ("REFUTED", 1e-4, "test_mine:constant")
    assert (one["outcome"], one["num_sequences"], two["seed"]) == ("NOT_REFUTED", 500, 1)
    assert one["resolution"] > two["resolution"] > 0
    assert broken["log_e_value"] > math.log(1e4) > one["log_e_value"]
    assert (one["epsilon"], one["epsilon_refuted"]) == (0, 0)
    assert sorted(path.name for path in pytester.path.iterdir() if "jsonl" in path.name) == ["scd.jsonl"]


@pytest.mark.parametrize("path", ["nowhere/scd.jsonl", "."])
def test_a_ledger_that_cannot_be_written_is_refused_before_the_run(suite, path):
    result = suite(SUITE, "--scd-ledger", path)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--scd-ledger*folder*"])


ENTRIES = """
import os, pytest
from scd_analysis.testing import register_rate
from scd_analysis.testing.rates import Audited, current

RATE = register_rate("shared by all workers", 1e-7)

@pytest.mark.parametrize("number", range(6))
def test_it(number):
    run = current()
    run.enter(Audited(run.test, "mine", run.alpha, 0, 100, 0.1 + number / 100, "NOT_REFUTED"))

def test_last():
    if os.environ.get("CRASH"):
        os._exit(1)
"""


@pytest.mark.slow
def test_workers_send_their_entries_with_their_reports(suite, pytester):
    result = suite(ENTRIES, "-n", "2", "--scd-ledger", "scd.jsonl", "--scd-alpha", "1e-5")
    result.assert_outcomes(passed=7)
    assert last_lines(result) == [
        "scd: 6 audits: 6 not refuted; false-fail rate of this run at most 6.1e-05 (1e-07 of it declared by 1 assert); "
        "coarsest resolution 0.15 (test_mine.py::test_it[5])"
    ]
    rows = [json.loads(row) for row in (pytester.path / "scd.jsonl").read_text().splitlines()]
    assert [row.get("test") for row in rows] == [None, *(f"test_mine.py::test_it[{i}]" for i in range(6))]


@pytest.mark.slow
def test_what_a_worker_sent_before_it_crashed_is_kept(suite, monkeypatch):
    monkeypatch.setenv("CRASH", "1")
    result = suite(ENTRIES, "-n", "1", "--max-worker-restart", "0")
    result.assert_outcomes(passed=6, failed=1)
    assert "6 audits: 6 not refuted" in last_lines(result)[0]


@pytest.mark.slow
def test_audits_in_workers_are_counted(suite, pytester):
    result = suite(SUITE + BROKEN, "-n", "2", "--scd-ledger", "scd.jsonl", "--scd-alpha", "1e-4")
    result.assert_outcomes(passed=2, failed=1)
    (line,) = last_lines(result)
    assert "3 audits: 2 not refuted, 1 refuted; false-fail rate of this run at most 0.00011 (2e-08 of it" in line
    rows = [json.loads(row) for row in (pytester.path / "scd.jsonl").read_text().splitlines()]
    assert [row["kind"] for row in rows] == ["declared", "audit", "audit", "audit"]
    assert {row["alpha"] for row in rows[1:]} == {1e-4, 5e-8}


# -------------------------------------------------------------------------------------------------------- what it costs


def test_start_up_imports_nothing_heavy():
    heavy = "{'torch', 'numpy', 'scipy', 'matplotlib', 'hypothesis', 'xarray', 'scd_analysis.audit'}"
    code = f"import sys, {PLUGIN}; found = {heavy} & set(sys.modules); assert not found, found"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


@pytest.mark.slow
def test_the_page_of_the_package_runs_as_printed():
    import torch

    from reference.subjects import sjd
    from tests.testing.test_lossless import MODEL, verify

    def exact_verify(target, draft):
        token = int(torch.multinomial(torch.tensor(draft, dtype=torch.float64), 1))
        if torch.rand((), dtype=torch.float64) * draft[token] < target[token]:
            return token
        residual = torch.tensor([max(p - q, 0) for p, q in zip(target, draft, strict=True)]).double()
        return int(torch.multinomial(residual, 1))

    block = textwrap.dedent(testing.__doc__.split("::\n")[1].split("``pip")[0])
    theirs = {"verify": exact_verify, "target": [0.5, 0.3, 0.2], "draft": [0.2, 0.3, 0.5]}
    names = {"my_decoder": sjd, "my_model": MODEL, "my_kernel": verify, **theirs}
    exec(compile(block, "page", "exec"), names)
    tests = [value for name, value in names.items() if name.startswith("test_")]
    assert len(tests) == 3
    for test in tests:
        test()
    names["my_decoder"] = lambda model, n, seed: sjd(model, n, seed) * 0
    with pytest.raises(AssertionError, match="does not sample"):
        names["test_my_decoder"]()


def test_the_entry_point_is_declared():
    """Installed or not; under its module's name, so that ``-p`` with it does not load it twice."""
    assert f'"{PLUGIN}" = "{PLUGIN}"' in (ROOT / "pyproject.toml").read_text()
    installed = [point for point in entry_points(group="pytest11") if point.value == PLUGIN]
    assert {point.name for point in installed} <= {PLUGIN}


def test_without_hypothesis_the_asserts_work_and_strategies_say_what_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "hypothesis", None)
    for name in ("laws", "law_pairs", "target_models", "windows", "draft_batches"):
        with pytest.raises(ModuleNotFoundError, match=f"{name} needs Hypothesis: pip install 'scd-analysis.testing.'"):
            getattr(testing, name)
    assert testing.assert_lossless is assert_lossless
    assert testing.TableModel(1, [0.5, 0.5]).vocab_size == 2
    monkeypatch.undo()
    assert all(getattr(testing, name) is not None for name in testing.__all__)
    assert set(testing.__all__) <= set(dir(testing))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = testing.nothing


# ----------------------------------------------------------------------------------------------------------- the ledger


def audited(test="a", alpha=1e-6, resolution=0.1, outcome="NOT_REFUTED"):
    return Audited(test, "mine", alpha, 0, 100, resolution, outcome)


def test_rates_of_many_processes_count_once_a_name_and_once_a_call():
    here, there, total = Ledger(), Ledger(), Ledger()
    for one in (here, there):
        one.enter(Declared("shared", 1e-7))
        one.enter(Declared("shared", 1e-7))
        one.enter(audited())
    there.enter(Declared("theirs", 3e-7))
    for rows in (here.take(), there.take(), here.take()):
        total.merge(rows)
    assert total.false_fail_rate == pytest.approx(2e-6 + 4e-7)
    total.merge([{"kind": "declared", "name": "shared", "false_fail_rate": 2e-7}])
    assert total.false_fail_rate == pytest.approx(2e-6 + 5e-7)
    assert Ledger().summary() is None


def test_a_summary_counts_outcomes_and_shows_the_coarsest_resolution():
    run = Ledger()
    outcomes = ["REFUTED", "EXACT", "INCONCLUSIVE", "NOT_REFUTED", "NOT_REFUTED"]
    for i, outcome in enumerate(outcomes):
        run.enter(audited(f"test_{i}", resolution=0.5 - i / 10, outcome=outcome))
    run.merge(run.take())
    assert run.summary() == (
        "scd: 5 audits: 2 not refuted, 1 exact, 1 inconclusive, 1 refuted; false-fail rate of this run at most 5e-06; "
        "coarsest resolution 0.4 (test_1)"
    )


@pytest.mark.parametrize(
    ("rate", "shown"), [(0, "0"), (1.3e-5, "1.3e-05"), (1.31e-5, "1.4e-05"), (0.999, "1"), (13 * 1e-6, "1.3e-05")]
)
def test_a_bound_is_rounded_up(rate, shown):
    assert rounded_up(rate) == shown


@pytest.mark.parametrize(
    ("rate", "others"), [(1.0, {}), (-0.1, {}), (0.1, {"power": 0}), (0.1, {"power": 2}), (0.1, {"resolution": 0})]
)
def test_a_rate_that_is_none_is_refused(rate, others):
    with pytest.raises(ValueError, match="must"):
        register_rate("never entered", rate, **others)


def test_this_suite_enters_its_own_rates(monkeypatch):
    """The rates of ``tests.statistics`` reach the plugin's summary."""
    opened = Ledger()
    monkeypatch.setattr(rates, "_ACTIVE", [opened])
    ledger("testing: nothing, by the bridge", 0.0)
    assert [row["name"] for row in opened.take()] == ["testing: nothing, by the bridge"]
    assert total_false_fail_rate() > 0
