"""The page on Triton kernels, run by Triton's interpreter in an environment of its own (``make test-engines``)."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

from tests.docs.runner import DOCS, Page
from tests.statistics import ledger

if find_spec("triton") is None:  # not imported: it looks then whether it is to interpret, and the page says so later
    pytest.skip("Triton is not installed", allow_module_level=True)
pytestmark = pytest.mark.slow

STANDS = ledger("Triton: the kernel of the page is not refuted at 1e-8, on a fixed seed", 1e-8)


def test_the_page_prints_what_it_shows(tmp_path):
    page = Page(DOCS / "how-to" / "triton.md", tmp_path)
    page.run(flag="no-run")
    assert page.left_out == []
