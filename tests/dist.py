"""``python -m tests.dist [FOLDER]``: build the sdist and the wheel, and try the wheel in a fresh environment.

The environment is made in a temporary folder, with what the wheel says that it needs and pytest, and
``tests/test_wheel.py`` runs there. The wheel is built from the sdist, which is thereby whole.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
INSTALLED = "SCD_INSTALLED_PYTHON"
"""Names the interpreter of an environment in which the package is installed, for ``tests/test_wheel.py``."""

FILES = ("pyproject.toml", "MANIFEST.in", "README.md", "CHANGELOG.md", "CITATION.cff", "LICENSE")
PIP = ("-m", "pip", "--disable-pip-version-check", "--quiet")
SDIST = "import sys; from setuptools.build_meta import build_sdist; print(build_sdist(sys.argv[1]))"


def build(folder: Path) -> tuple[Path, Path]:
    """Build both from a copy of the checkout, with the setuptools of this environment; return sdist and wheel."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as place:
        source = Path(place, "source")
        for name in ("scd_analysis", "reference", "studies"):
            shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__", "results"))
        for name in FILES:
            shutil.copy(ROOT / name, source / name)
        done = subprocess.run(
            [sys.executable, "-c", SDIST, folder.resolve()], cwd=source, check=True, timeout=120, stdout=subprocess.PIPE
        )
        sdist = folder / done.stdout.decode().split()[-1]
        with tarfile.open(sdist) as packed:
            packed.extractall(place, filter="data")
        unpacked = Path(place, sdist.name.removesuffix(".tar.gz"))
        words = ("wheel", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", place, unpacked)
        subprocess.run([sys.executable, *PIP, *words], check=True, timeout=120)
        (built,) = Path(place).glob("*.whl")
        return sdist, Path(shutil.move(built, folder / built.name))


def fresh(wheel: Path, place: Path) -> Path:
    """Make an environment with the wheel, its extra ``testing`` and the versions of the lock; return its Python."""
    subprocess.run([sys.executable, "-m", "venv", place], check=True)
    python = place / "bin" / "python"
    subprocess.run([python, *PIP, "install", "torch==2.13.0"], check=True)  # an unpinned one brings CUDA's gigabytes
    locked = ("--constraint", ROOT / "requirements.lock")
    subprocess.run(
        [python, *PIP, "install", *locked, f"scd-analysis[testing] @ {wheel.resolve().as_uri()}"], check=True
    )
    return python


def main(folder: Path) -> int:
    """Build, install and try; return the exit status of the tests."""
    for path in folder.glob("scd_analysis-*"):
        path.unlink()
    sdist, wheel = build(folder)
    with tempfile.TemporaryDirectory() as place:
        python = fresh(wheel, Path(place, "environment"))
        tests = [sys.executable, "-m", "pytest", "-q", ROOT / "tests" / "test_wheel.py"]
        status = subprocess.run(tests, cwd=ROOT, env={**os.environ, INSTALLED: str(python)}).returncode
    sys.stdout.write(f"{sdist}\n{wheel}\n" if status == 0 else "")
    return status


if __name__ == "__main__":
    sys.exit(main(Path(*sys.argv[1:2] or ["build/dist"])))
