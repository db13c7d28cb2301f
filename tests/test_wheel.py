"""What is installed works away from the checkout: commands, figures, pages, the plugin, the README's five lines.

In a folder of its own beside the packages of this environment; ``make dist`` runs the same in a fresh environment.
"""

import os
import re
import subprocess
import sys
import zipfile
from email import message_from_string
from pathlib import Path

import pytest

from tests.dist import INSTALLED, PIP, build
from tests.figures.conftest import write_foreign

ROOT = Path(__file__).parents[1]
README = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
SUBJECT = """
import reference
model = reference.TabularModel.random(vocab_size=3, num_tokens=4, concentration=0.7, seed=0)
def subject(model, num_sequences, seed):
    return reference.decode(model, "sjd", 3, num_sequences, seed, record=None, progress=False).tokens
def wrong(model, num_sequences, seed):
    return subject(model, num_sequences, seed) * 0
"""
IMPORTED = """
import scd_analysis, scd_analysis.figures.__main__ as door
print(scd_analysis.__file__, door.figures_here().figures.keys() >= {"hamming_by_lag"}, "speedup_by_window" in
      door.figures_here().figures)
"""
MODELS = "import reference, os; print(os.path.dirname(reference.__file__))"


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    return build(tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="module")
def installed(request, tmp_path_factory):
    """An interpreter that finds the package installed, and its environment's variables."""
    alone = {**{k: v for k, v in os.environ.items() if k != "PYTHONPATH"}, "OMP_NUM_THREADS": "1", "COLUMNS": "100"}
    if python := os.environ.get(INSTALLED):
        return Path(python), alone
    site = tmp_path_factory.mktemp("site")
    _, wheel = request.getfixturevalue("built")
    words = ("install", "--no-deps", "--no-index", "--target", site, wheel)
    subprocess.run([sys.executable, *PIP, *words], check=True, timeout=120)
    return Path(sys.executable), {**alone, "PYTHONPATH": str(site)}


@pytest.fixture
def run(installed, tmp_path):
    """Runs Python in an empty folder, with what is installed before all else."""
    (tmp_path / "mine.py").write_text(SUBJECT)
    python, environment = installed

    def run(*words):
        done = subprocess.run(
            [python, *words], cwd=tmp_path, capture_output=True, text=True, timeout=240, env=environment
        )
        return done.returncode, done.stdout, done.stderr

    return run


COMMAND = ("-c", "from scd_analysis.cli import main; main()")
"""What the console script does; `test_the_command_is_installed` looks for the script itself."""


@pytest.mark.slow
def test_it_is_installed_without_the_studies(run):
    status, out, _ = run("-c", IMPORTED)
    file, *rest = out.split()
    site = Path(file).parents[1]
    assert (status, rest) == (0, ["True", "False"])
    assert not site.is_relative_to(ROOT)
    assert not (site / "studies").exists()
    assert not (site / "tests").exists()
    assert (site / "reference" / "models" / "weights" / "photos.safetensors").exists()


@pytest.mark.slow
def test_the_command_is_installed(installed):
    python, environment = installed
    folder = Path(environment["PYTHONPATH"], "bin") if "PYTHONPATH" in environment else python.parent
    words = [folder / "scd-analysis", "--help"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=240, env=environment)
    assert (done.returncode, done.stderr) == (0, "")
    assert "figures" in done.stdout


@pytest.mark.slow
def test_the_five_lines_of_the_readme_refute(run, tmp_path):
    (tmp_path / "five.py").write_text(README[0])
    status, out, err = run("five.py")
    assert (status, err) == (0, "")
    assert out.startswith("REFUTED: ")


@pytest.mark.slow
def test_the_command_judges_a_subject_and_writes_its_page(run, tmp_path):
    words = (*COMMAND, "audit", "mine:subject", "--model", "mine:model", "--max-sequences", "300")
    status, out, err = run(*words, "--html", "page.html")
    assert (status in (0, 3), "REFUTED" in out or "INCONCLUSIVE" in out, err) == (True, True, "")
    assert "<svg" in (tmp_path / "page.html").read_text()
    assert run(*COMMAND, "audit", "mine:wrong", "--model", "mine:model", "--max-sequences", "300")[0] == 1


@pytest.mark.slow
def test_it_draws_the_figures_of_a_decode_and_of_a_trace(run, tmp_path):
    """All of them in a fresh environment; one beside this one's packages, where the gallery's tests draw the rest."""
    figures, some = ("-m", "scd_analysis.figures"), () if os.environ.get(INSTALLED) else ("hamming_by_lag",)
    status, out, err = run(*figures, "--quick", *some)
    assert (status, err) == (0, "")
    assert {Path(line).name for line in out.splitlines()} >= {"hamming_by_lag.png", "gallery.md"}
    write_foreign(tmp_path / "run.zarr", laws=False)
    assert run(*figures, "--trace", "run.zarr", "acceptance_lengths")[0] == 0
    assert (tmp_path / "figures" / "run" / "acceptance_lengths.svg").exists()


@pytest.mark.slow
def test_the_plugin_is_found_and_adds_up(run, tmp_path):
    """Where the entry point is installed by itself; a ``--target`` folder has none for pytest to find."""
    (tmp_path / "test_mine.py").write_text(README[1])
    plugin = () if os.environ.get(INSTALLED) else ("-p", "scd_analysis.testing.plugin")
    status, out, _ = run("-m", "pytest", "-q", "-p", "no:cacheprovider", *plugin, "--scd-alpha", "1e-8")
    assert status == 0, out
    assert "scd: 1 audit: 1 not refuted; false-fail rate of this run at most 1e-08" in out


@pytest.mark.slow
def test_the_wheel_says_what_it_is(built):
    """Types, licence, weights, schema; and the sdist has no study and no test in it."""
    sdist, wheel = built
    with zipfile.ZipFile(wheel) as packed:
        names = packed.namelist()
        (metadata,) = (name for name in names if name.endswith(".dist-info/METADATA"))
        said = message_from_string(packed.read(metadata).decode())
    assert {"scd_analysis/py.typed", "reference/py.typed", "scd_analysis/verdict.schema.json"} <= set(names)
    assert {name.partition("/")[0] for name in names if ".dist-info/" not in name} == {"scd_analysis", "reference"}
    assert {"Typing :: Typed", "Framework :: Pytest"} <= set(said.get_all("Classifier"))
    assert said["License-Expression"] == "Apache-2.0"
    cited = re.findall(r"arXiv:([\d.]+)", (ROOT / "CITATION.cff").read_text())
    assert [url.rpartition("/")[2] for url in said.get_all("Project-URL")] == cited
    assert wheel.name.startswith(sdist.name.removesuffix(".tar.gz"))
