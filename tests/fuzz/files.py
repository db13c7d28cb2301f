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
from scd_analysis.report import write_report
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
    what = rng.choice(("bytes", "values", "values", "lines", "numbers", "deep", "encoding", "size", "odd literals",
                       "keys", "prompts", "forms"))  # fmt: skip
    content, other_law = "\n".join(lines).encode(), what in ("bytes", "values", "numbers")
    if what == "bytes":
        content, how = odd.change_bytes(rng, content)
    elif what in ("values", "numbers"):
        tree = [json.loads(line) for line in lines]
        how = _numbers(case, tree) if what == "numbers" and kind != "none" else odd.change_json(rng, tree)
        content = "\n".join(json.dumps(row) for row in tree).encode()
    elif what in ("keys", "prompts", "forms"):
        how, content, other_law = _written_otherwise(case, lines, what)
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


KEYS = ("01", "1.0", "+1", " 1", "1_0", "\u0661", "\uff11", "1e0", "0x1", "-0", "", "true", "9" * 5_000, "\ud800",
        "1\x00")  # fmt: skip


def _written_otherwise(case: Case, lines: list[str], what: str) -> tuple[str, bytes, bool]:
    """What was done, the content, and whether it may be another decoder's."""
    rng = case.rng
    tree = [json.loads(line) for line in lines]
    some = tree if rng.random() < 0.5 else tree[:1]
    if what == "prompts":
        prompt = rng.choice((*odd.STRINGS, 0, -1, True, None, [], {}, [[1]], {"a": 1}, 10**400, odd.deep(rng, 60), 0.5))
        for row in some:
            row["prompt"] = prompt
        how = f"prompt {prompt!r:.40}"
    elif what == "keys":
        how = rng.choice(("twice", "an odd token", "more columns", "upper case", "no columns", "a token twice"))
        name = "top_logprobs" if "top_logprobs" in tree[0] else "tokens"
        if how == "twice":
            return how, "\n".join(line.replace("{", f'{{"{name}": [], ', 1) for line in lines).encode(), False
        for row in some:
            if how == "more columns":
                row["later"], row["Tokens"] = odd.deep(rng, 40), 3
            elif how == "upper case":
                row[name.upper()] = row.pop(name)
            elif how == "no columns":
                row.clear()
            elif isinstance(row[name][0], dict):
                first = next(iter(row[name][0]))
                row[name][0] = {"0" + first if how == "a token twice" else rng.choice(KEYS): -1.0, **row[name][0]}
    else:
        how = rng.choice(("floats", "strings", "flags", "scalars", "transposed", "one more", "named", "nested"))
        form: Any = {
            "floats": lambda row: [float(x) for x in row], "strings": lambda row: [str(x) for x in row],
            "flags": lambda row: [bool(x) for x in row], "scalars": lambda row: row[0],
            "transposed": lambda row: [[x] for x in row], "one more": lambda row: [*row, row[-1]],
            "named": lambda row: dict(enumerate(row)), "nested": lambda row: [row],
        }[how]  # fmt: skip
        name = "tokens" if how in ("floats", "strings", "flags") else rng.choice(sorted(tree[0]))
        for row in some:
            row[name] = form(row[name])
        how = f"{name}: {how}"
    return how, "\n".join(json.dumps(row) for row in tree).encode(), False


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
    table = pyarrow.Table.from_pylist(tree)
    if case.rng.random() < 0.6:
        name = case.rng.choice(table.column_names)
        how = case.rng.choice(sorted(_COLUMNS))
        try:
            column = _COLUMNS[how](table[name], tree, name)
            parquet.write_table(
                _with_column(case, table, name, column), path, row_group_size=case.rng.choice((3, 1000))
            )
        except (pyarrow.ArrowException, OverflowError, TypeError):  # what no file can hold
            parquet.write_table(table, path)
            how = "nothing"
        case.describe(f"parquet {name}: {how}")
        return path
    parquet.write_table(table, path)
    content, how = odd.change_bytes(case.rng, path.read_bytes())
    path.write_bytes(content)
    case.describe(f"parquet {how}")
    return path


def _with_column(case: Case, table: Any, name: str, column: Any) -> Any:
    """The table with one column replaced, there twice, or in it alone."""
    import pyarrow

    at = table.column_names.index(name)
    what = case.rng.choice(("replaced", "replaced", "replaced", "twice", "alone"))
    if what == "alone":
        return pyarrow.table({name: column})
    changed = table.set_column(at, name, column)
    return changed.append_column(name, column) if what == "twice" else changed


def _as(spell: str) -> Any:
    """A column of another type, by an expression of pyarrow's types."""

    def change(column: Any, tree: Any, name: str) -> Any:
        import pyarrow as pa

        kind = eval(spell, {"pa": pa})
        depth = 2 if isinstance(tree[0][name][0], list) else 1
        for _ in range(depth):
            kind = pa.list_(kind)
        return pa.array([row[name] for row in tree], type=kind)

    return change


def _plain(spell: str) -> Any:
    """A column of scalars or of other containers."""

    def change(column: Any, tree: Any, name: str) -> Any:
        import datetime
        import decimal

        import pyarrow as pa

        scope = {"pa": pa, "n": len(tree), "rows": [row[name] for row in tree], "column": column,
                 "decimal": decimal, "datetime": datetime}  # fmt: skip
        return eval(spell, scope)

    return change


_COLUMNS: dict[str, Any] = {
    **{kind: _as(f"pa.{kind}()") for kind in ("int8", "uint8", "uint64", "float16", "float32", "float64", "int32")},
    "decimals": _as("pa.decimal128(30, 10)"),
    "null": _plain("pa.nulls(n)"),
    "booleans": _plain("pa.array([[True, False]] * n)"),
    "texts": _plain("pa.array([str(row) for row in rows])"),
    "binary": _plain("pa.array([b'\\xff\\x00'] * n)"),
    "dates": _plain("pa.array([[datetime.date(2000, 1, 1)]] * n)"),
    "durations": _plain("pa.array([[datetime.timedelta(1)]] * n)"),
    "scalars": _plain("pa.array(range(n))"),
    "a dictionary": _plain("pa.array(['a'] * n).dictionary_encode()"),
    "a dictionary in lists": _plain("pa.ListArray.from_arrays(pa.array(range(0, 2 * n + 1, 2), pa.int32()), "
                                    "pa.array([0, 1] * n).dictionary_encode())"),
    "large lists": _plain("column.cast(pa.large_list(column.type.value_type))"),
    "lists of one size": _plain("pa.array(rows, type=pa.list_(column.type.value_type, len(rows[0])))"),
    "structures": _plain("pa.array([{'a': 1}] * n)"),
    "structures in lists": _plain("pa.array([[{'a': 1}]] * n)"),
    "maps": _plain("pa.array([[[('a', 1.0)]]] * n, type=pa.list_(pa.map_(pa.string(), pa.float64())))"),
    "some null": _plain("pa.array([None, *rows[1:]])"),
    "null inside": _plain("pa.array([[None, *row[1:]] for row in rows])"),
    "empty lists": _plain("pa.array([[] for row in rows], type=column.type)"),
    "no rows": _plain("column"),
    "beyond int64": _plain("pa.array([[2**63 + i % 3] * 4 for i in range(n)], type=pa.list_(pa.uint64()))"),
    "deep lists": _plain("pa.array([[[[[1]]]]] * n)"),
    "one long row": _plain("pa.array([[0] * 3_000_000, *rows[1:]]) if not isinstance(rows[0][0], list) else column"),
}  # fmt: skip


def verdict(case: Case) -> None:
    """One mutation of the JSON of a verdict."""
    tree = json.loads(json.dumps(originals.verdict(case.rng.random() < 0.5)))
    path = case.folder / "verdict.json"
    if case.rng.random() < 0.15:
        content, how = odd.change_bytes(case.rng, json.dumps(tree).encode())
        path.write_bytes(content)
    elif case.rng.random() < 0.1:
        how = case.rng.choice(("utf-16", "utf-8-sig", "CRLF", "twice", "surrogates", "digits", "NUL"))
        text, key = json.dumps(tree, indent=1), case.rng.choice(list(tree))
        text = {
            "CRLF": text.replace("\n", "\r\n"), "twice": text.replace("{", f'{{"{key}": 0,', 1), "NUL": text + "\0",
            "surrogates": text.replace('": "', '": "\\ud800'), "digits": text.replace("0.", "0." + "3" * 5_000),
        }.get(how, text)  # fmt: skip
        path.write_bytes(text.encode(how if how.startswith("utf") else "utf-8"))
    elif case.rng.random() < 0.2:
        how = "; ".join(odd.change_json(case.rng, tree) for _ in range(case.rng.randrange(2, 6)))
        path.write_text(json.dumps(tree))
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
        page = case.folder / "page.html"
        written = case.door("report", lambda: write_report(page, read))
        if written is not None and (bad := new_markup(page.read_text(encoding="utf-8"))):
            case.found(f"report: {bad}")
        case.door("str", lambda: str(read))
        case.door("to_json", read.to_json)
    for options in ([], ["--json"]):
        text = case.door("report command", lambda options=options: shown(["report", str(path), *options]))
        for line in (text or "").splitlines():
            bad = unreadable(line.replace("\t", " ") or "-")
            if bad and not (options and "characters" in bad):  # a string of JSON is as long as it is
                case.found(f"report command: a line {bad}")
                break
