"""What the command line prints, by command."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

import reference

_ALWAYS = {"COLUMNS": "100", "TERM": "dumb", "NO_COLOR": "1", "PYTHONWARNINGS": "ignore"}

COMMANDS: tuple[tuple[str, ...], ...] = (
    ("--help",),
    ("trace", "--help"),
    ("audit", "--help"),
    ("exact", "--help"),
    ("report", "--help"),
    ("figures", "--help"),
    ("figures", "--list"),
    ("audit", "tests.net.shown:lossless", "--model", "tests.net.shown:model", "--max-sequences", "300"),
    ("audit", "tests.net.shown:faulty", "--model", "tests.net.shown:model", "--max-sequences", "300"),
    ("audit", "tests.net.shown:nothing", "--model", "tests.net.shown:model"),
    ("audit", "nowhere"),
    ("exact", "tests.net.shown:coin"),
    ("exact", "tests.net.shown:coin", "--against", "tests.net.shown:fair"),
    ("report", "{folder}/run.zarr"),
    ("audit", "{folder}/run.zarr"),
    ("report", "{folder}/nothing.zarr"),
)


def printed() -> dict[str, str]:
    """Status, standard output and standard error of every command."""
    out = {}
    with tempfile.TemporaryDirectory() as folder:
        model = reference.TabularModel.random(vocab_size=3, num_tokens=4, concentration=0.7, seed=0)
        reference.decode(model, "scd-mc", 3, 100, 1, "laws", out_path=Path(folder) / "run.zarr", progress=False)
        for command in COMMANDS:
            given = [part.format(folder=folder) for part in command]
            done = subprocess.run(
                [sys.executable, "-m", "scd_analysis.cli", *given], capture_output=True, text=True, env=_environment()
            )
            text = f"status {done.returncode}\n{done.stdout}\n{done.stderr}".replace(folder, "FOLDER")
            out[" ".join(command)] = re.sub(r"[ \t]+$", "", text, flags=re.MULTILINE)
    return out


def _environment() -> dict[str, str]:
    import os

    return {**os.environ, **_ALWAYS}
