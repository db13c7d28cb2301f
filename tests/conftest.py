"""One thread a worker (two workers share two cores), repeatable Hypothesis, and a switch against silent skips."""

import gc
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before NumPy and PyTorch are loaded; processes that tests start have it

import pytest
import torch
from hypothesis import settings

torch.set_num_threads(1)
os.environ["SCD_COMPILE"] = "never"  # compiling takes seconds; the tests of compiled code ask for it
settings.register_profile("suite", deadline=None, derandomize=True, database=None)
settings.load_profile("suite")


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if not torch.cuda.is_available():
        for item in items:
            if "gpu" in item.keywords:
                item.add_marker(pytest.mark.skip(reason="no CUDA device here"))


def pytest_sessionstart() -> None:
    """Take PyTorch out of the sight of the garbage collector, all of which the exact engine looks through each time."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item):
    outcome = yield
    report = outcome.get_result()
    if report.skipped and os.environ.get("SCD_REQUIRE_ALL") and "gpu" not in item.keywords:
        report.outcome = "failed"
        report.longrepr = f"skipped although SCD_REQUIRE_ALL is set: {report.longrepr}"
