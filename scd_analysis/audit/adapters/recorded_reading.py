"""Rows of a recorded file as they stand there: JSON lines or Parquet, one row in memory at a time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from scd_analysis.common.foreign_json import check_plain_file, decode, first_line, parse, shown
from scd_analysis.errors import InputError

SUFFIXES = (".jsonl", ".ndjson", ".parquet")
COLUMNS = ("tokens", "logprobs", "top_tokens", "top_logprobs", "prompt")

MOST_BYTES = 2**23
"""Of one row: a line of JSON, or its values in Parquet. 256 laws of 1,024 tokens, in all their digits, take 5.5 MB."""

MOST_NUMBERS = 2**26
"""That a file may hold of laws and tokens together: half a gigabyte of them is in memory while an audit runs."""

ROWS_AT_ONCE = 16
"""Of Parquet."""

Values = dict[str, Any]


def read_rows(path: Path) -> Iterator[tuple[str, Values]]:
    """Read the rows, each with a name for messages; what is null is not there.

    Raises
    ------
    InputError
        Naming the file, and the line or row.
    """
    check_plain_file(path)
    rows = _read_parquet(path) if path.suffix.lower() == ".parquet" else _read_lines(path)
    for where, values in rows:
        yield where, {name: value for name, value in values.items() if value is not None}


def _read_lines(path: Path) -> Iterator[tuple[str, Values]]:
    try:
        with path.open("rb") as file:
            number = 0
            while line := file.readline(MOST_BYTES + 1):
                number += 1
                where = f"{path}, line {number}"
                if len(line) > MOST_BYTES:
                    raise InputError(f"{where}: is longer than {MOST_BYTES:,} bytes, the most that a row may have")
                text = decode(line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line, where)
                if text.strip():
                    values = parse(text, where)
                    if not isinstance(values, dict):
                        kind = type(values).__name__
                        raise InputError(f"{where}: is a {kind}, expected an object with the key tokens")
                    yield where, values
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({first_line(error)})") from None


def _read_parquet(path: Path) -> Iterator[tuple[str, Values]]:
    try:
        from pyarrow import parquet
    except ModuleNotFoundError:
        raise InputError(f"{path}: reading Parquet needs pyarrow; pip install 'scd-analysis[parquet]'") from None
    number = 0
    try:
        with parquet.ParquetFile(path) as file:
            known = _check_schema(file.schema_arrow, path)
            _check_size(file.metadata, known, path)
            for batch in file.iter_batches(batch_size=ROWS_AT_ONCE, columns=known):
                for i in range(batch.num_rows):
                    where, row = f"{path}, row {number}", batch.slice(i, 1)
                    if row.nbytes > MOST_BYTES:
                        raise InputError(f"{where}: is larger than {MOST_BYTES:,} bytes, the most that a row may have")
                    yield where, row.to_pylist()[0]
                    number += 1
    except InputError:
        raise
    except Exception as error:  # whatever the reader says of a damaged file
        raise InputError(f"{path}: is not Parquet that can be read ({first_line(error)})") from None


def _check_schema(schema: Any, path: Path) -> list[str]:
    """Check that each column holds what its name says, and return which there are."""
    from pyarrow import types

    whole, real = types.is_integer, lambda kind: types.is_floating(kind) or types.is_integer(kind)
    wanted = {
        "tokens": (whole, 1, "a list of whole numbers"),
        "logprobs": (real, 2, "a list of lists of numbers"),
        "top_tokens": (whole, 2, "a list of lists of whole numbers"),
        "top_logprobs": (real, 2, "a list of lists of numbers"),
    }
    names = list(schema.names)
    for name in COLUMNS:
        if names.count(name) > 1:
            raise InputError(f"{path}: has the column {name} {names.count(name)} times")
    if "tokens" not in names:
        raise InputError(f"{path}: has no tokens; the columns are {shown(names)}")
    known = [name for name in COLUMNS if name in names]
    for name in known:
        kind = schema.field(name).type
        if name == "prompt":
            _check_prompt(kind, f"{path}: prompt")
            continue
        is_right, depth, what = wanted[name]
        inner, levels = _innermost(kind)
        if types.is_struct(inner) or types.is_map(inner):  # each comes back with every key of the file
            raise InputError(f"{path}: {name} has {inner} for each token: in Parquet, write lists, with top_tokens "
                             "beside them")  # fmt: skip
        one_a_token = name == "logprobs" and levels == 1  # which the row refuses in its own words
        if not types.is_null(inner) and not (is_right(inner) and (levels == depth or one_a_token)):
            raise InputError(f"{path}: {name} is of type {str(kind)[:100]}: expected {what}")
    return known


def _innermost(kind: Any) -> tuple[Any, int]:
    """The type inside of lists, and in how many of them it is."""
    from pyarrow import types

    levels = 0
    while types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        kind, levels = kind.value_type, levels + 1
    return kind, levels


def _check_prompt(kind: Any, name: str) -> None:
    from pyarrow import types

    inner, levels = _innermost(kind)
    inner = inner.value_type if types.is_dictionary(inner) else inner
    plain = (types.is_string, types.is_large_string, types.is_integer, types.is_null)
    if levels > 1 or not any(is_plain(inner) for is_plain in plain):
        raise InputError(f"{name} is of type {str(kind)[:100]}: expected a string, a whole number or a list of them")


def _check_size(metadata: Any, known: list[str], path: Path) -> None:
    """Refuse a file by what it declares, before anything of that size is made."""
    total = int(metadata.num_rows)
    for group in range(metadata.num_row_groups):
        columns = metadata.row_group(group)
        for index in range(columns.num_columns):
            column = columns.column(index)
            if column.path_in_schema.split(".")[0] in known:
                total += max(int(column.num_values), int(column.total_uncompressed_size) // 8)
    if total > MOST_NUMBERS:
        raise InputError(f"{path}: declares {total:,} numbers; a file may hold {MOST_NUMBERS:,}")
