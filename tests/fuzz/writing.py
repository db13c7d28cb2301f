"""What is written to a trace from somebody's loop, and what is said on the command line, in odd forms.

A writer refuses, or what it wrote opens and is valid; whatever it refused leaves what was written before.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from scd_analysis import Outcome, TraceWriter
from scd_analysis.trace import open_trace, validate
from tests.fuzz import odd, originals
from tests.fuzz.case import Case, unreadable
from tests.fuzz.terminal import shown

FORMS: dict[str, Callable[[Any], Any]] = {
    "None": lambda x: None,
    "a list": lambda x: x.tolist(),
    "a tensor": torch.as_tensor,
    "bfloat16": lambda x: torch.as_tensor(x).bfloat16(),
    "half": lambda x: torch.as_tensor(x).half(),
    "sparse": lambda x: torch.as_tensor(x).to_sparse(),
    "meta": lambda x: torch.as_tensor(x).to("meta"),
    "with gradient": lambda x: torch.as_tensor(x).double().requires_grad_(),
    "named": lambda x: torch.as_tensor(x).rename(*"abc"[: np.ndim(x)]) if x.dtype != bool else x,
    "uint8": lambda x: x.astype(np.uint8),
    "uint64": lambda x: x.astype(np.uint64),
    "big-endian": lambda x: x.astype(x.dtype.newbyteorder(">")),
    "float128": lambda x: x.astype(np.longdouble),
    "complex": lambda x: x * 1j,
    "objects": lambda x: x.astype(object),
    "strings": lambda x: x.astype(str),
    "masked": lambda x: np.ma.masked_array(x, mask=np.arange(x.size).reshape(x.shape) == 0),
    "NaN": lambda x: x * np.nan,
    "infinite": lambda x: x + np.inf,
    "one NaN": lambda x: np.where(np.arange(x.size).reshape(x.shape) == 0, np.nan, x),
    "negative": lambda x: -1 - x,
    "halves": lambda x: x + 0.5,
    "too large": lambda x: x + 2**40,
    "beyond int64": lambda x: x + 2.0**70,
    "transposed": lambda x: x.T,
    "one row more": lambda x: np.concatenate([x, x[:1]]),
    "one row less": lambda x: x[1:],
    "no rows": lambda x: x[:0],
    "a scalar": lambda x: 1,
    "a broadcast": lambda x: np.broadcast_to(x[:1], x.shape),
    "one axis more": lambda x: x[..., None],
    "ragged": lambda x: [list(range(i)) for i in range(len(x))],
    "a generator": iter,
    "a dictionary": lambda x: {"values": x},
    "bytes": lambda x: x.tobytes(),
    "read-only": lambda x: np.frombuffer(x.tobytes(), x.dtype).reshape(x.shape),
    "strided": lambda x: np.repeat(x, 2, axis=-1)[..., ::2],
    "dates": lambda x: x.astype("datetime64[s]"),
}
SAME = ("a list", "a tensor", "sparse", "with gradient", "named", "big-endian", "float128", "objects", "read-only",
        "strided")  # fmt: skip
ATTRIBUTES = (*odd.STRINGS, *odd.NUMBERS, None, True, [], {}, b"x", np.int64(3), np.arange(3), object(), {1: 2}, (1, 2),
              3j, {1, 2}, torch.tensor(1), Path("x"), lambda: 0, [[[0] * 3] * 3] * 3)  # fmt: skip
OPTIONS: dict[str, tuple[Any, ...]] = {
    "vocab_size": (0, -1, True, "3", 3.0, None, 2**40, 10**30, np.int64(3)),
    "num_tokens": (0, -1, True, "4", 4.0, None, 2**40),
    "window": (0, -1, "3", 3.0, None, 2**40),
    "decoder": (None, 3, "", "\ud800", "[/bold]", "x" * 10_000, b"x"),
    "laws": ("top-0", "top-4", "top--1", "top-x", "float32", 3, None, "laws", "top-99999999999999999999", []),
    "chunk": (0, -1, 2**40, "x", 1.5),
    "num_sequences": (-1, 2**40, "x", 1.5, 10**30),
    "path": (
        "",
        "\x00",
        "x" * 300,
        "a/b/c.zarr",
        "notes.txt",
        ".",
        "..",
        "/dev/null",
        "/proc/x.zarr",
        3,
        "é\udc80.zarr",
    ),
}


def _rows(trace: Any) -> list[dict[str, Any]]:
    """What a loop would give for each pass of the original."""
    out = []
    names = ("draft_token", "next_token", "accepted", "committed", "draft_probs", "target_probs", "uniform")
    for t in range(trace.sizes["iteration"]):
        row = trace.isel(iteration=t)
        alive = np.flatnonzero(row["base"].notnull().values)
        part = row.isel(sequence=alive)
        given = {"sequence": alive, "base": part["base"].values.astype(int)}
        for name in names:
            values = part[name].values
            integer = name in ("draft_token", "next_token", "accepted", "committed")
            given[name] = np.nan_to_num(values, nan=-1).astype(int) if integer else np.nan_to_num(values, nan=1 / 3)
        given["bonus_token"] = np.nan_to_num(part["bonus_token"].values, nan=-1).astype(int)
        out.append(given)
    return out


def written(case: Case) -> None:
    """One odd argument of a writer, at one pass."""
    rng = case.rng
    trace = open_trace(originals.lossless()).load()
    rows = _rows(trace)
    when, finish = rng.randrange(len(rows)), {"tokens": trace["tokens"].values.astype(int),
                                              "nfe": trace["nfe"].values.astype(int)}  # fmt: skip
    what = rng.choice(("rows", "rows", "rows", "options", "attributes", "order", "ends"))
    options: dict[str, Any] = {"vocab_size": originals.V, "num_tokens": originals.N, "window": originals.WINDOW}
    options |= {"decoder": "mine", "laws": rng.choice((True, False, "float16", "top-2"))}
    path: Any = case.folder / rng.choice(("run.zarr", "run.zarr.zip"))
    same = False
    if what == "rows":
        name = rng.choice(sorted(rows[when]))
        form = rng.choice(sorted(FORMS))
        same = form in SAME
        case.describe(f"pass {when}: {name}, {form}")
        try:
            rows[when][name] = FORMS[form](rows[when][name])
        except (AttributeError, RuntimeError, TypeError, ValueError):  # there is no such thing of this array
            return
    elif what == "options":
        name = rng.choice(sorted(OPTIONS))
        value = rng.choice(OPTIONS[name])
        case.describe(f"{name} = {value!r:.60}")
        if name == "path":
            path = value if not isinstance(value, str) or value.startswith(("/", "\x00")) else f"{case.folder}/{value}"
            (case.folder / "notes.txt").write_text("mine")
        else:
            options[name] = value
    elif what == "attributes":
        name, value = rng.choice(("note", "vocab", "blocks", "complete", "versions", "created")), rng.choice(ATTRIBUTES)
        case.describe(f"attribute {name} = {value!r:.60}")
        options[name] = value
    elif what == "ends":
        name, form = rng.choice(sorted(finish)), rng.choice(sorted(FORMS))
        case.describe(f"{name} at the end, {form}")
        try:
            finish[name] = FORMS[form](finish[name])
        except (AttributeError, RuntimeError, TypeError, ValueError):
            return
    else:
        case.describe("passes in another order")
        rng.shuffle(rows)
    _write(case, path, options, rows, finish)
    _check(case, path, what, same)


def _write(case: Case, path: Any, options: dict[str, Any], rows: list[dict[str, Any]], finish: dict[str, Any]) -> None:
    writer = case.door("TraceWriter", lambda: TraceWriter(path, **options))
    if writer is None:
        return
    with case.rng.choice((writer, writer)):
        for row in rows:
            given = row if options["laws"] else {k: v for k, v in row.items() if k != "uniform"}
            case.door("append", partial(writer.append, **given))
        case.door("finish_batch", lambda: writer.finish_batch(**finish))
    case.door("close", writer.close)


def _check(case: Case, path: Any, what: str, same: bool) -> None:
    notes = case.folder / "notes.txt"
    if notes.exists() and notes.read_text() != "mine":
        case.found("another file was overwritten")
    if not isinstance(path, Path) or not path.exists():
        return
    trace = case.door("open_trace", lambda: open_trace(path))
    if trace is None:
        case.found("what was written does not open")
        return
    valid = []
    case.door("validate", lambda: valid.append(validate(trace, laws=True)))
    if same and not valid:
        case.found("what was written in another form of the same is not valid")
    verdict = case.door("audit", lambda: originals.audit(trace, originals.model())) if valid else None
    if verdict is not None and same and verdict.outcome is Outcome.REFUTED:
        case.found(f"a lossless record is REFUTED: {str(verdict)[:400]}")


# -- the command line ------------------------------------------------------------------------------------------------

VALUES = ("", " ", "-1", "0", "nan", "inf", "1e999", "1e-400", "9" * 30, "0x10", "1_0", "\u0661", "true",
          "None", "x" * 2_000,
          "\x1b[31m", "[/bold]", "a:b:c", ":", "a:", ":b", "os:system", "..:x", "a.b:", "é:é", "/dev/null", "/dev/zero",
          "/", ".", "..", "~", "x\ny", "--help",
          "-", "--", "\udc80", "%s", "$HOME", "*")  # fmt: skip
WORDS: tuple[list[str], ...] = (
    ["audit", "RUN"], ["audit", "RUN", "--alpha", "VALUE"], ["audit", "RUN", "--max-sequences", "VALUE"],
    ["audit", "RUN", "--seed", "VALUE"], ["audit", "RUN", "--tolerance", "VALUE"],
    ["audit", "RUN", "--timeout", "VALUE"], ["audit", "RUN", "--checkpoint", "VALUE"], ["audit", "VALUE"],
    ["audit", "RUN", "--model", "VALUE"], ["audit", "VALUE", "--model", "VALUE"], ["report", "VALUE"],
    ["report", "RUN", "--html", "VALUE"], ["report", "RUN", "VALUE"], ["figures", "VALUE", "--trace", "RUN"],
    ["figures", "acceptance_map", "--trace", "VALUE"], ["exact", "VALUE"], ["exact", "VALUE", "--against", "VALUE"],
    ["exact", "random:random", "--max-branches", "VALUE"], ["exact", "random:random", "--workers", "VALUE"],
    ["exact", "random:random", "--arithmetic", "VALUE"],
    ["exact", "random:random", "--mass-floor", "VALUE"], ["exact", "random:random", "--worst", "VALUE"],
    ["trace", "VALUE", "--out", "NEW"], ["trace", "sjd", "--model", "VALUE", "--out", "NEW"],
    ["trace", "sjd", "--out", "NEW", "--window", "VALUE"], ["trace", "sjd", "--out", "NEW", "--record", "VALUE"],
    ["trace", "sjd", "--out", "NEW", "--device", "VALUE"], ["VALUE"], ["VALUE", "VALUE"], [],
)  # fmt: skip


def words(case: Case) -> None:
    """One command with an odd word."""
    run = originals.lossless()
    said = list(case.rng.choice(WORDS))
    said = [{"RUN": str(run), "NEW": str(case.folder / "new.zarr")}.get(word, word) for word in said]
    said = [case.rng.choice(VALUES) if word == "VALUE" else word for word in said]
    if said[:1] == ["trace"]:
        said += ["--num-sequences", case.rng.choice(("0", "-1", "x"))]  # refused in any case, and soon
    case.describe(json.dumps(said)[:300])
    text = case.door("the command", lambda: _in_folder(case, said))
    for line in (text or "").splitlines():
        if (bad := unreadable(line.replace("\t", " ") or "-")) and "characters" not in bad:
            case.found(f"a line {bad}")
            break


def _in_folder(case: Case, said: list[str]) -> str:
    import os

    before = Path.cwd()
    os.chdir(case.folder)
    try:
        return shown(said, right=(0, 1, 2, 3) if said[:1] in ([], ["figures"]) else (0, 1, 3))  # help, and its own line
    finally:
        os.chdir(before)
