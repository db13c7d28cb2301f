"""What is installed works away from the checkout: the commands, the figures of a decode and of a trace, the plugin."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.figures.conftest import write_foreign

ROOT = Path(__file__).parents[1]
SUBJECT = """
import reference
model = reference.TabularModel.random(vocab_size=3, num_tokens=4, concentration=0.7, seed=0)
def subject(model, num_sequences, seed):
    return reference.decode(model, "sjd", 3, num_sequences, seed, record=None, progress=False).tokens
"""
IMPORTED = """
import scd_analysis, scd_analysis.figures.__main__ as door
print(scd_analysis.__file__, door.figures_here().figures.keys() >= {"hamming_by_lag"}, "speedup_by_window" in
      door.figures_here().figures)
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A target folder with what a wheel brings and nothing else."""
    source, place = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("site")
    for name in ("scd_analysis", "reference"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "studies", source / "studies", ignore=shutil.ignore_patterns("__pycache__", "results"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*pip, "--disable-pip-version-check", "--target", place, source], check=True, timeout=120)
    return place


@pytest.fixture
def run(site, tmp_path):
    """Runs a command in an empty folder, with what is installed before all else."""
    (tmp_path / "mine.py").write_text(SUBJECT)
    environment = {**os.environ, "PYTHONPATH": str(site), "OMP_NUM_THREADS": "1", "COLUMNS": "100"}

    def run(*words):
        done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=120, env=environment)
        return done.returncode, done.stdout, done.stderr

    return run


@pytest.mark.slow
def test_it_is_installed_without_the_studies(site, run):
    assert not (site / "studies").exists()
    assert (site / "reference" / "models" / "weights" / "photos.safetensors").exists()
    assert run(sys.executable, "-c", IMPORTED)[:2] == (0, f"{site / 'scd_analysis' / '__init__.py'} True False\n")


@pytest.mark.slow
def test_the_command_judges_a_subject_of_five_lines(site, run):
    command = str(site / "bin" / "scd-analysis")
    status, out, err = run(command, "--help")
    assert (status, err) == (0, "")
    assert "figures" in out
    status, out, err = run(command, "audit", "mine:subject", "--model", "mine:model", "--max-sequences", "300")
    assert (status in (0, 3), "REFUTED" in out or "INCONCLUSIVE" in out, err) == (True, True, "")


@pytest.mark.slow
def test_it_draws_the_figures_of_a_decode_and_of_a_trace(run, tmp_path):
    figures = (sys.executable, "-m", "scd_analysis.figures")
    status, out, err = run(*figures, "--quick", "hamming_by_lag")
    assert (status, err) == (0, "")
    assert {Path(line).name for line in out.splitlines()} >= {"hamming_by_lag.png", "gallery.md"}
    write_foreign(tmp_path / "run.zarr", laws=False)
    assert run(*figures, "--trace", "run.zarr", "acceptance_lengths")[0] == 0
    assert (tmp_path / "figures" / "run" / "acceptance_lengths.svg").exists()


@pytest.mark.slow
def test_the_plugin_is_found(run):
    words = ("-m", "pytest", "-p", "scd_analysis.testing.plugin", "-p", "no:cacheprovider", "--scd-alpha", "1e-8")
    status, out, _ = run(sys.executable, *words, "--collect-only", "-q", "mine.py")
    assert (status, "no tests collected" in out) == (5, True)
