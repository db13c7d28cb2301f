"""Damaged recorded files and verdicts.

A file is refused with an error of ours or read; a lossless one whose damage leaves it readable is not refuted.
"""

from __future__ import annotations

import json
import math
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from scd_analysis import Outcome
from scd_analysis.report import render, write_report
from scd_analysis.report.load import load_verdict
from scd_analysis.subjects import ancestral, recorded_file
from tests.fuzz import odd, originals
from tests.fuzz.case import Case, unreadable
from tests.fuzz.markup import new_markup
from tests.fuzz.terminal import shown

KINDS = ("all", "lists", "pairs", "none")


@cache
def rows(kind: str) -> str:
    """The lines of a file of a lossless decoder."""
    tokens = np.asarray(ancestral(originals.model(), originals.SEQUENCES, 0))
    laws = np.log(np.asarray(originals.model().next_token_probs(_tensor(tokens[:, :-1]))))
    lines = []
    for own, law in zip(tokens.tolist(), laws, strict=True):
        order = np.argsort(-law, axis=1)[:, :2]
        top = np.take_along_axis(law, order, axis=1)
        row: dict[str, Any] = {"tokens": own}
        if kind == "all":
            row["logprobs"] = law.tolist()
        elif kind == "lists":
            row |= {"top_tokens": order.tolist(), "top_logprobs": top.tolist()}
        elif kind == "pairs":
            pairs = [dict(zip(map(str, o), t, strict=True)) for o, t in zip(order.tolist(), top.tolist(), strict=True)]
            row["top_logprobs"] = pairs
        lines.append(json.dumps(row))
    return "\n".join(lines) + "\n"


def _tensor(tokens: Any) -> Any:
    import torch

    return torch.as_tensor(tokens)


def recorded(case: Case) -> None:
    """One mutation of one recorded file."""
    kind = case.rng.choice(KINDS)
    lines = rows(kind).splitlines()
    case.describe(kind)
    if kind != "none" and case.rng.random() < 0.15:
        path = _parquet(case, [json.loads(line) for line in lines], kind)
        other_law = False
    else:
        path, other_law = _lines(case, lines, kind)
    target = originals.model() if kind == "none" or case.rng.random() < 0.3 else None
    case.door("recorded_file", lambda: recorded_file(path))
    verdict = case.door("audit", lambda: originals.audit(path, target))
    if verdict is not None and verdict.outcome is Outcome.REFUTED and not other_law:
        case.found(f"a lossless file is REFUTED: {str(verdict)[:600]}")


def _lines(case: Case, lines: list[str], kind: str) -> tuple[Path, bool]:
    """A damaged file of lines, and whether its laws or tokens may be another decoder's now."""
    rng = case.rng
    path = case.folder / rng.choice(("run.jsonl", "run.ndjson", "RUN.JSONL"))
    what = rng.choice(("bytes", "values", "values", "lines", "numbers", "deep", "encoding", "size", "odd literals"))
    content, other_law = "\n".join(lines).encode(), what in ("bytes", "values", "numbers")
    if what == "bytes":
        content, how = odd.change_bytes(rng, content)
    elif what in ("values", "numbers"):
        tree = [json.loads(line) for line in lines]
        how = _numbers(case, tree) if what == "numbers" and kind != "none" else odd.change_json(rng, tree)
        content = "\n".join(json.dumps(row) for row in tree).encode()
    elif what == "lines":
        rng.shuffle(lines)
        count = rng.randrange(len(lines))
        how = rng.choice(("cut", "doubled", "empty lines", "joined", "carriage returns"))
        joined = {"empty lines": "\n\n \n", "joined": " ", "carriage returns": "\r\n"}.get(how, "\n")
        kept = lines[:count] if how == "cut" else lines
        content = joined.join([*kept, *kept] if how == "doubled" else kept).encode()
        other_law = how == "doubled"  # sequences that come twice are not independent
    elif what == "deep":
        depth = rng.choice((900, 5_000, 200_000))
        how, content = f"{depth} levels", content + b'\n{"tokens": ' + b"[" * depth + b"]" * depth + b"}"
    elif what == "encoding":
        how = rng.choice(("utf-16", "utf-8-sig", "latin-1 byte", "surrogate"))
        text = content.decode()
        last = {"latin-1 byte": b'\n{"\xe9": 1}', "surrogate": b'\n{"tokens": ["\\ud800"]}'}
        content = text.encode(how) if how.startswith("utf") else content + last[how]
    elif what == "size":
        how = "one large row"
        count = 1_500_000
        content += b'\n{"tokens": [' + b"0," * count + b'0], "logprobs": [' + b"[0]," * count + b"[0]]}"
    else:
        how = rng.choice(("NaN", "Infinity", "-Infinity", "1e999", "1" * 5_000, "null", "true", '"0"', "0.5", "-0.0"))
        last = lines[0].split("[")[0] + "[" + how
        content += b"\n" + (last + lines[0][len(last) :]).encode()
    path.write_bytes(content)
    case.describe(f"{what}: {how[:80]}")
    return path, other_law


def _numbers(case: Case, tree: list[dict[str, Any]]) -> str:
    """Log-probabilities that are none, or those of other laws."""
    rng = case.rng
    name = "logprobs" if "logprobs" in tree[0] else "top_logprobs"
    how = rng.choice(("all certain", "scaled", "shifted", "one prefix, two laws", "shuffled"))
    for row in tree if how != "one prefix, two laws" else tree[: len(tree) // 2]:
        for j, law in enumerate(row[name]):
            items = list(law.items() if isinstance(law, dict) else enumerate(law))
            logs = [number for _, number in items]
            if how == "all certain":
                logs = [0.0] * len(logs) if rng.random() < 0.5 else [0.0] + [None] * (len(logs) - 1)
            elif how == "shuffled":
                rng.shuffle(logs)
            else:
                scale, shift = {"scaled": (2.0, 0.0), "shifted": (1.0, math.log(2))}.get(how, (1.3, 0.0))
                logs = [number * scale + shift for number in logs]
            keys = [key for key, _ in items]
            row[name][j] = dict(zip(keys, logs, strict=True)) if isinstance(law, dict) else logs
    return how


def _parquet(case: Case, tree: list[dict[str, Any]], kind: str) -> Path:
    import pyarrow
    from pyarrow import parquet

    path = case.folder / "run.parquet"
    parquet.write_table(pyarrow.Table.from_pylist(tree), path)
    content, how = odd.change_bytes(case.rng, path.read_bytes())
    path.write_bytes(content)
    case.describe(f"parquet {how}")
    return path


def verdict(case: Case) -> None:
    """One mutation of the JSON of a verdict."""
    tree = json.loads(json.dumps(originals.verdict(case.rng.random() < 0.5)))
    path = case.folder / "verdict.json"
    if case.rng.random() < 0.15:
        content, how = odd.change_bytes(case.rng, json.dumps(tree).encode())
        path.write_bytes(content)
    elif case.rng.random() < 0.1:
        depth = case.rng.choice((500, 5_000, 100_000))
        how = f"{depth} levels"
        text = json.dumps({**tree, "record": 0}).replace(
            '"record": 0', '"record": {"a": ' + "[" * depth + "]" * depth + "}"
        )
        path.write_text(text)
    else:
        top = [(tree, key) for key in tree]
        how = odd.change_json(case.rng, tree, top if case.rng.random() < 0.4 else None)
        path.write_text(json.dumps(tree))
    case.describe(how)
    read = case.door("load_verdict", lambda: load_verdict(path))
    if read is not None:
        page = case.door("render", lambda: render(read))
        if page is not None and (bad := new_markup(page)):
            case.found(f"render: {bad}")
        case.door("str", lambda: str(read))
        case.door("to_json", read.to_json)
    case.door("report", lambda: write_report(case.folder / "page.html", json.loads(path.read_text("utf-8", "replace")))
              if read is not None else None)  # fmt: skip
    for options in ([], ["--json"]):
        text = case.door("report command", lambda options=options: shown(["report", str(path), *options]))
        for line in (text or "").splitlines():
            if bad := unreadable(line.replace("\t", " ") or "-"):
                case.found(f"report command: a line {bad}")
                break
