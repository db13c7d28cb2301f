"""Files are whole or absent, and nobody else's file is replaced or removed."""

from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from scd_analysis.common import files
from scd_analysis.common.files import Kind, Output, check_output, write_file, write_files
from scd_analysis.errors import InputError
from studies import store

ROOT = Path(__file__).parents[2]
OURS = {
    Kind.VERDICT: b'{\n  "alpha": 1e-06,\n  "log_e_value": 3.0\n}\n',
    Kind.REPORT: b'<!doctype html><meta name="generator" content="scd-analysis">',
    Kind.FRAME: b'{\n "figure": "a",\n "columns": {\n }\n}\n',
    Kind.PAGE: b"# Gallery\n\nRendered by `python -m scd_analysis.figures`; no code here.\n",
    Kind.PNG: b"\x89PNG tEXtSoftware\x00scd-analysis",
    Kind.SVG: b"<dc:creator>\n <cc:Agent>\n  <dc:title>scd-analysis</dc:title>",
    Kind.PAPER: b"%PDF /Creator (scd-analysis)",
    Kind.LEDGER: b'{"alpha": 1e-6, "kind": "audit"}\n',
    Kind.RESULT: b'{\n "question": "why",\n "command": "python -m studies.power"}',
}


@pytest.mark.parametrize("kind", OURS, ids=lambda kind: kind.name)
def test_what_this_program_wrote_is_replaced_and_what_it_did_not_is_not(tmp_path: Path, kind: Kind) -> None:
    path = tmp_path / "file"
    for before in (OURS[kind], b""):
        path.write_bytes(before)
        write_file(path, OURS[kind] + b" ", kind)
        assert path.read_bytes() == OURS[kind] + b" "
    others = [b"dear diary, scd-analysis wrote nothing here", *(text for other, text in OURS.items() if other != kind)]
    for other in others:
        path.write_bytes(other)
        with pytest.raises(InputError, match=f"out = {re.escape(str(path))}: was not written by scd-analysis"):
            write_file(path, b"new", kind, "out")
        assert path.read_bytes() == other
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_committed_files_are_known() -> None:
    """Those that had no mark when they were made, too."""
    weights = ROOT / "reference/models/weights"
    kinds = {
        Kind.FRAME: (ROOT / "figures").glob("*.json"),
        Kind.PNG: [*(ROOT / "figures").glob("*.png"), *weights.glob("*.png")],
        Kind.SVG: (ROOT / "figures").glob("*.svg"),
        Kind.PAGE: [ROOT / "figures/README.md"],
        Kind.PAPER: [ROOT / "figures/paper.pdf"],
        Kind.RESULT: (ROOT / "studies/results").glob("*.json"),
        Kind.CARD: weights.glob("*.json"),
        Kind.WEIGHTS: weights.glob("*.safetensors"),
        Kind.HELD_OUT: weights.glob("*.npz"),
    }
    for kind, paths in kinds.items():
        known = {path: kind.made_here(path) for path in paths}
        assert known
        assert all(known.values()), [path for path, is_ours in known.items() if not is_ours]
    for page in ("README.md", "CONTRIBUTING.md", "docs/how-to/figures.md", "reference/models/weights/README.md"):
        assert not Kind.PAGE.made_here(ROOT / page)


def test_every_place_that_cannot_be_written_is_named_before_the_work(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "kept").write_bytes(OURS[Kind.VERDICT])
    (tmp_path / "kept").chmod(0o444)
    (tmp_path / "locked").mkdir(mode=0o555)
    (tmp_path / "run.zarr").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "run.zarr" / "inside")
    said = {
        "-": "standard output is not written to",
        tmp_path: "is a folder",
        tmp_path / "absent" / "x": "there is no folder",
        tmp_path / "kept" / "x": "there is no folder",
        tmp_path / "pipe": "is a pipe",
        "/dev/full": "is a pipe, a device",
        tmp_path / "kept": "is read-only",
        tmp_path / "locked" / "x": "is read-only",
        tmp_path / "run.zarr" / "x": "would be written into the input",
        tmp_path / "link": "would be written into the input",
        tmp_path / "a\0b": "is no path",
        tmp_path / ("x" * 300): "cannot be written",
    }
    for path, what in said.items():
        with pytest.raises(InputError, match=f"^out = .*{what}"):
            check_output(path, Kind.VERDICT, "out", [tmp_path / "run.zarr"])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["kept", "link", "locked", "pipe", "run.zarr"]
    assert check_output(tmp_path / "new", Kind.VERDICT) == tmp_path / "new"
    assert not (tmp_path / "new").exists()


def test_a_full_disk_leaves_every_file_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    old.write_bytes(OURS[Kind.PAGE])
    synced: list[int] = []

    def full(descriptor: int) -> None:
        synced.append(descriptor)
        if len(synced) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(OSError, match="No space left") as raised:
        write_files([Output(old, OURS[Kind.PAGE] + b"more", Kind.PAGE), Output(new, b"x", Kind.PAPER)])
    assert raised.value.filename == str(new)
    assert old.read_bytes() == OURS[Kind.PAGE]
    assert [p.name for p in tmp_path.iterdir()] == ["old"]


def test_leftovers_of_the_dead_are_removed_and_those_of_the_living_are_not(tmp_path: Path) -> None:
    killed = (
        "import os, sys; from pathlib import Path; from scd_analysis.common import files\n"
        "files.os.fsync = lambda d: os._exit(9)\n"
        "files.write_file(Path(sys.argv[1]), 'half', files.Kind.PAGE)"
    )
    path = tmp_path / "page.md"
    done = subprocess.run([sys.executable, "-c", killed, str(path)], cwd=ROOT, check=False)
    assert done.returncode == 9
    (left,) = tmp_path.iterdir()
    descriptor, living = files._create(path)
    users = [tmp_path / "page.md.tmp", tmp_path / "page.md.partial", tmp_path / ".page.md.part"]
    for user in users:
        user.write_text("mine")
    write_file(path, "whole", Kind.PAGE)
    assert sorted(tmp_path.iterdir()) == sorted([path, living, *users])
    assert not left.exists()
    assert path.stat().st_mode & 0o777 == (tmp_path / "page.md.tmp").stat().st_mode & 0o777  # the user's umask
    os.close(descriptor)


def test_a_link_is_written_through(tmp_path: Path) -> None:
    real, link = tmp_path / "real", tmp_path / "link"
    real.write_bytes(b"")
    link.symlink_to(real)
    write_file(link, b"x", Kind.PAGE)
    assert link.is_symlink()
    assert real.read_bytes() == b"x"


def test_no_other_module_writes_files_by_itself() -> None:
    """A new writer goes through `write_files`; traces and checkpoints, which are folders, have writers of their own."""
    own = {"common/files.py", "trace/writer.py", "trace/place.py", "audit/checkpoint.py", "audit/mirror.py"}
    writes = re.compile(r"\.write_text\(|\.write_bytes\(|\.savez?\(args|open\([^)]*[\"'][wx]b?[\"']|shutil\.rmtree\(")
    found = {
        f"{path.relative_to(ROOT)}: {line.strip()}"
        for folder in ("scd_analysis", "reference", "studies")
        for path in (ROOT / folder).rglob("*.py")
        if f"{path.parent.name}/{path.name}" not in own
        for line in path.read_text().splitlines()
        if writes.search(line)
    }
    made = ("studies/bench_streaming.py", "studies/engines/vllm.py", "scd_analysis/engines/tiny_openvino.py")
    assert {line for line in found if not line.startswith(made)} == set()  # these, in folders that they have made


def test_a_row_that_was_being_written_is_made_again(tmp_path: Path) -> None:
    rows = store.Rows("study", ("n",), folder=tmp_path)
    rows.add({"n": 1, "name": "é"})
    path = tmp_path / "study.rows.jsonl"
    with path.open("a") as file:
        file.write('{"n": 2, "na')  # the study was killed here
    again = store.Rows("study", ("n",), folder=tmp_path)
    assert again.has(1)
    assert not again.has(2)
    again.add({"n": 2})
    assert [row["n"] for row in store.Rows("study", ("n",), folder=tmp_path).rows] == [1, 2]


def test_a_result_is_not_written_over_a_users_file(tmp_path: Path) -> None:
    store.save("power", "how many", {"rows": [{"n": 1}]}, folder=tmp_path)
    store.save("power", "how many", {"rows": [{"n": 2}]}, folder=tmp_path)
    assert store.load("power", tmp_path)["rows"] == [{"n": 2}]
    (tmp_path / "power.json").write_text('{"question": "mine"}')
    with pytest.raises(InputError, match="was not written by"):
        store.save("power", "how many", {"rows": []}, folder=tmp_path)


def test_the_wheel_says_that_its_packages_are_typed() -> None:
    data = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    for package in ("scd_analysis", "reference"):
        assert (ROOT / package / "py.typed").is_file()
        assert "py.typed" in data[package]
