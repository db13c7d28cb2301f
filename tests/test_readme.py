"""The README's examples run and say what it says they say."""

import re
from pathlib import Path

import pytest

from scd_analysis.trace import open_trace, validate

ROOT = Path(__file__).parents[1]
BLOCKS = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)


def run(marker: str, capsys: pytest.CaptureFixture[str]) -> str:
    (block,) = [b for b in BLOCKS if marker in b]
    exec(compile(block, "README.md", "exec"), {})
    return capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.strip().splitlines()[-1][:40])
def test_every_block_runs_by_itself(block, tmp_path, monkeypatch):
    """In a namespace of its own; with fewer sequences than a reader would take, and without calling a test."""
    monkeypatch.chdir(tmp_path)
    for many, few in (("max_sequences=60_000", "max_sequences=64"), ("num_sequences=64", "num_sequences=1")):
        block = block.replace(many, few)
    exec(compile(block, "README.md", "exec"), {"__name__": "readme"})
    if "TraceWriter" in block:
        validate(open_trace("run.zarr"), laws=True)


@pytest.mark.slow
def test_audit_your_own_decoder(capsys):
    assert run("sjd-vp-uncorrected", capsys).startswith("REFUTED")


@pytest.mark.slow
def test_which_condition_broke(capsys):
    condition, count = run("stale-law", capsys).split()
    assert condition == "declared-law"
    assert 50 < int(count) < 5_000


def test_the_law_itself(capsys):
    assert float(run("exact_law(", capsys)) == pytest.approx(0.15, abs=1e-12)


def test_every_page_that_the_readme_links_is_there():
    for target in re.findall(r"\]\(([^)#:]+)\)", (ROOT / "README.md").read_text()):
        assert (ROOT / target).exists(), target
