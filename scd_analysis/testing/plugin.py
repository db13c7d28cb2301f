"""The pytest plugin: ``--scd-alpha``, ``--scd-ledger`` and a line on what the run's false-fail rates add up to.

PYTEST_DONT_REWRITE: there is no assert here.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from scd_analysis.common.files import Kind, check_output, write_file
from scd_analysis.common.finite import finite
from scd_analysis.errors import InputError
from scd_analysis.testing.rates import OUTSIDE, Ledger, begin, end

LEDGER = pytest.StashKey[Ledger]()
ROWS = "scd_rows"
"""Attribute by which a test report carries entries; pytest-xdist sends it to the controlling process."""


def _probability(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a probability strictly between 0 and 1")
    return value


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    group = parser.getgroup("scd-analysis", "audits of decoders (scd-analysis)")
    group.addoption(
        "--scd-alpha",
        type=_probability,
        metavar="FLOAT",
        help="false-fail rate of every assert_lossless that does not name its own (default: 1e-6)",
    )
    group.addoption("--scd-ledger", metavar="PATH", help="write every audit and declared rate as a line of JSON")


def pytest_configure(config: pytest.Config) -> None:
    """Open the ledger.

    Raises
    ------
    pytest.UsageError
        If the file of ``--scd-ledger`` could not be written in the end.
    """
    path = _path(config)
    if path is not None:
        try:
            check_output(path, Kind.LEDGER, "--scd-ledger")
        except InputError as error:
            raise pytest.UsageError(str(error)) from None
    config.stash[LEDGER] = ledger = begin(config.getoption("scd_alpha"))
    config.pluginmanager.register(_Collector(ledger), "scd_analysis_collector")


def pytest_unconfigure(config: pytest.Config) -> None:
    """Close the ledger."""
    if LEDGER in config.stash:
        end(config.stash[LEDGER])
        del config.stash[LEDGER]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, Any, Any]:
    """Say which test is running."""
    ledger = item.config.stash[LEDGER]
    ledger.test = item.nodeid
    try:
        return (yield)
    finally:
        ledger.test = OUTSIDE


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Have the report carry what was entered since the last one."""
    report = yield
    rows = item.config.stash[LEDGER].take()
    if rows:
        setattr(report, ROWS, rows)
    return report


class _Collector:
    """Reads reports; a class, because ``pytest_runtest_logreport`` is given no config."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take what a report carries, from this process or another."""
        self._ledger.merge(getattr(report, ROWS, ()))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Take what no report carried, and write the file; a worker of pytest-xdist writes none."""
    config = session.config
    ledger = config.stash[LEDGER]
    ledger.merge(ledger.take())
    path = _path(config)
    if path is not None and not hasattr(config, "workerinput"):
        lines = [json.dumps(finite(row), sort_keys=True, allow_nan=False) + "\n" for row in ledger.rows()]
        write_file(path, "".join(lines), Kind.LEDGER, "--scd-ledger")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say what the run's audits and rates come to; nothing where there were none."""
    line = config.stash[LEDGER].summary()
    if line is not None:
        refuted = any(audit.outcome == "REFUTED" for audit in config.stash[LEDGER].audits)
        terminalreporter.write_line(line, yellow=refuted)


def _path(config: pytest.Config) -> Path | None:
    given = config.getoption("scd_ledger")
    return None if given is None else config.invocation_params.dir / given
