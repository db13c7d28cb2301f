"""Damaged checkpoints, and those of another subject or model.

A resumed audit says what the whole one said, or refuses; it deletes nothing that is not its own.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

from filelock import FileLock

from reference import TabularModel
from reference.broken import get_fault
from reference.subjects import subject
from scd_analysis import Outcome
from tests.fuzz import odd, originals
from tests.fuzz.case import Case

LIMIT = 192


def honest(model: Any, num_sequences: int, seed: int) -> Any:
    return subject("scd-mc", originals.WINDOW)(model, num_sequences, seed)


def wrong(model: Any, num_sequences: int, seed: int) -> Any:
    return get_fault("uniform-declared").subject(originals.WINDOW)(model, num_sequences, seed)


def sharper() -> Any:
    """Another model of the same sizes."""
    return TabularModel.random(vocab_size=originals.V, num_tokens=originals.N, concentration=0.7, seed=9)


def _audited(path: Path, judged: Any = honest, model: Any = None) -> Any:
    target = originals.model() if model is None else model
    return originals.audit(judged, target, checkpoint=path, max_sequences=LIMIT)


def _original(name: str, judged: Any) -> tuple[Path, dict[str, Any]]:
    def make(path: Path) -> None:
        verdict = _audited(path / "kept", judged)
        (path / "verdict.json").write_text(verdict.to_json())

    def prepared(path: Path) -> None:
        path.mkdir()
        make(path)

    folder = originals._kept(f"checkpoint-{name}", prepared)
    return folder / "kept", json.loads((folder / "verdict.json").read_text())


def damaged(case: Case) -> None:
    """One damage, or another identity."""
    rng = case.rng
    what = rng.choice(("bytes", "removed", "json", "leftovers", "other model", "other subject", "renamed", "special",
                       "versions", "text", "foreign", "held"))  # fmt: skip
    case.describe(what)
    kept, before = _original("wrong" if what == "other subject" and rng.random() < 0.5 else "honest", honest
                             if what != "other subject" else rng.choice((honest, wrong)))  # fmt: skip
    path = case.folder / "kept"
    shutil.copytree(kept, path)
    if what == "other model":
        verdict = case.door("audit", lambda: _audited(path, honest, sharper()))
        _stands(case, verdict, "an honest decoder, audited with another model's draws,")
        return
    if what == "other subject":
        _other_subject(case, path)
        return
    if what == "held":
        _held(case, path)
        return
    mine = _damage(case, path, what)
    verdict = case.door("audit", lambda: _audited(path))
    _stands(case, verdict, "an honest decoder")
    if verdict is not None and verdict.log_e_value != before["log_e_value"]:
        case.found(f"resumed with ln E {verdict.log_e_value}, before {before['log_e_value']}")
    for name, content in mine.items():
        if not (path / name).exists() or (path / name).read_text() != content:
            case.found(f"deleted or changed {name}, which is not its own")


def _other_subject(case: Case, path: Path) -> None:
    """A faulty decoder on an honest one's draws passes; an honest one on a faulty one's draws is refuted."""
    honest_path, wrong_path = _original("honest", honest)[0], _original("wrong", wrong)[0]
    shutil.rmtree(path)
    if case.rng.random() < 0.5:
        shutil.copytree(honest_path, path)
        verdict = case.door("audit", lambda: _audited(path, wrong))
        if verdict is not None and verdict.outcome is not Outcome.REFUTED:
            case.found(f"a faulty decoder is {verdict.outcome.name} on an honest one's draws")
    else:
        shutil.copytree(wrong_path, path)
        _stands(case, case.door("audit", lambda: _audited(path, honest)), "an honest decoder on a faulty one's draws")


def _stands(case: Case, verdict: Any, who: str) -> None:
    if verdict is not None and verdict.outcome is Outcome.REFUTED:
        case.found(f"{who} is REFUTED")


def _held(case: Case, path: Path) -> None:
    """Another audit has the folder: it is refused, and nothing in it changes."""
    before = {file: file.read_bytes() for file in path.rglob("*") if file.is_file() and file.name != "audit.lock"}
    with FileLock(path / "audit.lock"):
        if case.door("audit", lambda: _audited(path)) is not None:
            case.found("two audits use one folder")
    if any(file.read_bytes() != content for file, content in before.items()):
        case.found("a folder that is in use was changed")


def _versions(case: Case, tree: dict[str, Any]) -> str:
    """What another version would have written, or the same in other types."""
    rng = case.rng
    laws = tree["laws"]
    changes: dict[str, Any] = {
        "format": rng.choice((0, 1, 3, "2", None, [2], 10**30)), "seed": rng.choice((True, 0.0, "0", None, -1)),
        "vocab_size": rng.choice((3.0, "3", None)), "subject": rng.choice(("mine", [], None, {}, {"subject": 3})),
        "laws": rng.choice((laws[:-1], [*laws, 0.0], [int(x) for x in laws], [str(x) for x in laws], laws[::-1], {},
                            [[x] for x in laws], [float("nan")] * len(laws))), "more": odd.value(rng),
    }  # fmt: skip
    key = rng.choice(list(changes))
    if rng.random() < 0.2:
        tree.pop(key, None)
        return f"without {key}"
    tree[key] = changes[key]
    return f"{key} = {changes[key]!r:.60}"


def _other_text(case: Case, file: Path) -> str:
    what = case.rng.choice(("utf-16", "utf-8-sig", "twice", "deep", "digits", "CRLF", "huge"))
    text = file.read_text()
    changed = {
        "twice": text.replace("{", '{"format": 1, "seed": 3, ', 1), "CRLF": text.replace(",", ",\r\n"),
        "deep": text.replace("{", '{"x": ' + "[" * 100_000 + "]" * 100_000 + ", ", 1),
        "digits": text.replace("{", '{"seed": ' + "1" * 5_000 + ", ", 1), "huge": text + " " * 2**23,
    }.get(what, text)  # fmt: skip
    file.write_bytes(changed.encode(what if what.startswith("utf") else "utf-8"))
    return what


def _damage(case: Case, path: Path, what: str) -> dict[str, str]:
    """Damage a folder; what comes back is somebody else's files in it, with their content."""
    rng = case.rng
    files = sorted(p for p in path.rglob("*") if p.is_file())
    file = rng.choice(files)
    where = file.relative_to(path)
    if what == "bytes":
        content, how = odd.change_bytes(rng, file.read_bytes())
        file.write_bytes(content)
        case.describe(f"{where}: {how}")
    elif what == "removed":
        gone = rng.choice(sorted(path.rglob("*")))
        shutil.rmtree(gone) if gone.is_dir() else gone.unlink()
        case.describe(f"{gone.relative_to(path)}")
    elif what == "json":
        file = rng.choice([p for p in files if p.suffix == ".json"])
        tree = json.loads(file.read_text())
        how = odd.change_json(rng, tree)
        file.write_text(json.dumps(tree))
        case.describe(f"{file.relative_to(path)}: {how}")
    elif what == "renamed":
        batches = sorted(path.glob("batch-*"))
        one, other = rng.choice(batches), rng.choice(batches)
        aside = path / "aside"
        one.rename(aside)
        if other.exists():
            other.rename(one)
        aside.rename(other)
        case.describe(f"{one.name} and {other.name} swapped")
    elif what == "versions":
        file = path / "audit.json"
        tree = json.loads(file.read_text())
        case.describe(_versions(case, tree))
        file.write_text(json.dumps(tree))
    elif what == "text":
        file = rng.choice([p for p in files if p.suffix == ".json"])
        case.describe(f"{file.relative_to(path)}: {_other_text(case, file)}")
    elif what == "foreign":
        name = rng.choice(
            ("batch-00000.zarr/mine", "batch-00007.zarr", "batch-00000.json.partial", "batch-1.zarr", "é")
        )
        (path / name).write_text("mine")
        case.describe(name)
    elif what == "special":
        file.unlink()
        os.mkfifo(file) if rng.random() < 0.5 else file.symlink_to("/dev/zero")
        case.describe(f"{where} is a pipe or a device")
    else:
        name = rng.choice(("batch-00001.zarr.partial", "notes.txt", "audit.json.tmp", "lock"))
        if name.endswith("partial"):
            shutil.copytree(path / "batch-00000.zarr", path / name)
            return {}
        (path / name).write_text("mine")
        case.describe(name)
        return {"notes.txt": "mine"} if name == "notes.txt" else {}
    return {}
