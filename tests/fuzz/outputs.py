"""Every output, where it cannot be written: it is whole or absent, and the status says so."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

from PIL import Image

from scd_analysis.trace import open_trace, validate
from tests.fuzz import originals
from tests.fuzz.case import Case
from tests.fuzz.command import check_status, finish, start

MODULE = """
import torch
from reference import TabularModel
from reference.subjects import subject

model = TabularModel.random(2, 3, 0.7, seed=3)
judged = subject("scd-mc", 2)


def coin():
    return int(torch.rand(()) < 0.5)
"""
AUDIT = ("audit", "mine:judged", "--model", "mine:model", "--max-sequences", "96", "--json")
COMMANDS: dict[str, tuple[str, ...]] = {
    "audit --out": (*AUDIT, "--out", "TARGET/v.json"),
    "audit --html": (*AUDIT, "--html", "TARGET/v.html"),
    "audit --json": AUDIT,
    "report --html": ("report", "run.zarr", "--html", "TARGET/r.html"),
    "report --json": ("report", "run.zarr", "--json"),
    "figures": ("figures", "acceptance_lengths", "--trace", "run.zarr", "--out", "TARGET/figures"),
    "trace dir": ("trace", "sjd", "--model", "mine:model", "--window", "2", "--out", "TARGET/new.zarr"),
    "trace zip": ("trace", "sjd", "--model", "mine:model", "--window", "2", "--out", "TARGET/new.zarr.zip"),
    "exact --json": ("exact", "mine:coin", "--json"),
}
WAYS = ("room", "small files", "pipe", "full", "no folder", "a folder", "full target", "leftovers", "long name")


def output(case: Case) -> None:
    """One command and one way in which its output cannot be written."""
    commands = list(COMMANDS)
    name = commands[case.number % len(commands)]
    ways = [way for way in WAYS if "TARGET" in str(COMMANDS[name]) or way in ("room", "pipe", "full")]
    way = case.rng.choice(ways)
    case.describe(f"{name}: {way}")
    target = case.folder / "out"
    target.mkdir()
    (case.folder / "mine.py").write_text(MODULE)
    shutil.copytree(originals.lossless(), case.folder / "run.zarr")
    words = [word.replace("TARGET", "out") for word in COMMANDS[name]]
    place = _place(case, words)
    mine = _prepare(way, place, words)
    if way == "no folder":
        place = _place(case, words)  # where it is now: folders that lack are made for a trace and for figures
    status, out, err = _run(case, way, words)
    whole_output = way not in ("pipe", "full")
    if whole_output and words[0] == "audit":
        check_status(case, status, out, err)
    elif status == 1 and not out:
        case.found(f"status 1 ({err[-200:]})")
    elif status == 2 and len(err.strip().splitlines()) != 1:
        case.found(f"status 2 with {len(err.strip().splitlines())} lines: {err[-300:]}")
    elif way in ("pipe", "full") and status != 2:
        case.found(f"status {status}, although its output could not be written")
    for path, content in mine.items():
        if not path.exists() or path.read_text() != content:
            case.found(f"deleted or changed {path.name}, which was there before")
    _whole_or_absent(case, place, way, status, set(mine))


def _place(case: Case, words: list[str]) -> Path:
    return next((case.folder / word for word in words if word.startswith("out/")), case.folder / "out" / "none")


def _prepare(way: str, place: Path, words: list[str]) -> dict[Path, str]:
    """Make it impossible; what comes back is somebody else's files."""
    if way == "no folder":
        words[:] = [word.replace("out/", "out/absent/deeper/") for word in words]
        place.parent.rmdir()
    elif way == "a folder":
        place.mkdir()
        (place / "notes.txt").write_text("mine")
        return {place / "notes.txt": "mine"}
    elif way == "full target":
        place.symlink_to("/dev/full")
    elif way == "long name":
        words[:] = [word.replace("out/", "out/" + "x" * 300) for word in words]
    elif way == "leftovers":
        files = {place.with_name(place.name + end): "mine" for end in (".tmp", ".partial")}
        for file, content in files.items():
            file.write_text(content)
        return files
    return {}


def _run(case: Case, way: str, words: list[str]) -> tuple[int, str, str]:
    limit = case.rng.choice((0, 100, 1_000, 4_000)) if way == "small files" else None
    if way == "full":
        with Path("/dev/full").open("w") as full:
            return finish(case, start(words, case.folder, stdout=full), 150)
    if way == "pipe":
        read, write = os.pipe()
        os.close(read)
        process = start(words, case.folder, stdout=write)
        os.close(write)
        return finish(case, process, 150)
    return finish(case, start(words, case.folder, limit=limit), 150)


def _whole_or_absent(case: Case, place: Path, way: str, status: int, mine: set[Path]) -> None:
    if way == "full target" or not place.parent.exists():
        return
    if place.exists() and way != "a folder":
        _check_whole(case, place)
    elif status in (0, 3) and "TARGET" in str(COMMANDS[case.description.split(":")[0]]) and way == "room":
        case.found("nothing was written, although the status says so")
    left = [path for path in place.parent.iterdir() if path != place and path not in mine]
    left = [path for path in left if not (path.suffix == ".partial" and "new.zarr" in path.name)]
    if left:
        case.found(f"left behind {sorted(path.name for path in left)}")


def _check_whole(case: Case, place: Path) -> None:
    if place.suffix == ".json":
        case.door("the verdict", lambda: json.loads(place.read_text())["outcome"])
    elif place.suffix == ".html" and not place.read_text("utf-8").rstrip().endswith("</html>"):
        case.found(f"{place.name} is not whole")
    elif "new.zarr" in place.name:
        case.door("the trace", lambda: validate(open_trace(place)))
    elif place.is_dir():
        for picture in place.glob("*.png"):
            case.door(picture.name, lambda picture=picture: Image.open(picture).load())
        if (kinds := {p.suffix for p in place.iterdir() if p.stem == "acceptance_lengths"}) not in (
            set(), {".json", ".png", ".svg"},
        ):  # fmt: skip
            case.found(f"a figure has only {sorted(kinds)}")
