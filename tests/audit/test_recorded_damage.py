"""Recorded files as damage and malice leave them: one line that names file and row, whatever the row is."""

import json
import os
import random

import numpy as np
import pytest

from scd_analysis.audit.adapters import recorded_file as file_module
from scd_analysis.audit.adapters import recorded_reading as reading
from scd_analysis.errors import InputError
from scd_analysis.subjects import recorded_file

LAW = np.log([0.5, 0.3, 0.2]).tolist()
ALL = {"tokens": [0, 1], "logprobs": [LAW, LAW], "prompt": "x"}
PAIRS = {"tokens": [0, 2], "top_logprobs": [{"0": LAW[0], "1": LAW[1]}, {"0": LAW[0], "1": LAW[1]}]}
LISTS = {"tokens": [0, 2], "top_tokens": [[0, 1], [0, 1]], "top_logprobs": [LAW[:2], LAW[:2]]}
DEEP = "[" * 100_000 + "]" * 100_000


def test_the_rows_are_right_by_themselves(tmp_path):
    for row in (ALL, PAIRS, LISTS):
        (tmp_path / "t.jsonl").write_text(json.dumps(row))
        assert recorded_file(tmp_path / "t.jsonl").num_available == 1


LINES = [
    ('{"tokens": ' + DEEP + "}", "line 2: is not JSON that can be read"),
    ('{"tokens": [1' + "0" * 5_000 + "]}", r"line 2: is not JSON \(Exceeds the limit"),
    ('{"tokens": [0, true]}', r"line 2: tokens\[1\] = True: a token"),
    ('{"tokens": [0, 1.0]}', r"line 2: tokens\[1\] = 1.0: a token"),
    ('{"tokens": [0, -1]}', r"line 2: tokens\[1\] = -1: a token"),
    ('{"tokens": [0, "1"]}', r"line 2: tokens\[1\] = '1': a token"),
    ('{"tokens": [0, [1]]}', r"line 2: tokens\[1\] = \[1\]: a token"),
    ('{"tokens": [0, null]}', r"line 2: tokens\[1\] = None: a token"),
    ('{"tokens": {"0": 1}}', r"line 2: tokens = {'0': 1}: expected a list"),
    ('{"tokens": []}', r"line 2: tokens = \[\]: expected a list"),
    ('{"tokens": [0, 1], "tokens": [0, 0]}', "line 2: is not JSON .the key 'tokens' comes twice"),
    ('{"tokens": [0], "logprobs": [[-1' + "0" * 400 + ", 0]]}", r"line 2: logprobs\[0\] has -10+.*: a log-prob"),
    ('{"tokens": [0], "logprobs": [[NaN, 0]]}', r"line 2: logprobs\[0\] has nan"),
    ('{"tokens": [0], "logprobs": [[Infinity, 0]]}', r"line 2: logprobs\[0\] has inf"),
    ('{"tokens": [0], "logprobs": [["0", null]]}', r"line 2: logprobs\[0\] has '0'"),
    ('{"tokens": [0], "logprobs": [[false, null]]}', r"line 2: logprobs\[0\] has False"),
    ('{"tokens": [0], "logprobs": {"0": 1}}', "line 2: logprobs has dict entries"),
    ('{"tokens": [0], "top_logprobs": [{"' + "9" * 5_000 + '": 0}]}', r"line 2: top_logprobs\[0\]: tokens has '9+"),
    ('{"tokens": [0], "top_logprobs": [{"-1": 0}]}', r"line 2: top_logprobs\[0\]: tokens has '-1'"),
    ('{"tokens": [0], "top_logprobs": [{"3": -1, "03": -1}]}', r"line 2: top_logprobs\[0\]: names a token twice"),
    ('{"tokens": [0], "top_logprobs": [{}]}', r"line 2: top_logprobs\[0\]: tokens = \[\]"),
    ('{"tokens": [0], "top_logprobs": [[0.0]], "top_tokens": [[true]]}', r"line 2: top_logprobs\[0\]: tokens\[0\] = T"),
    ('{"tokens": [0], "top_logprobs": [3]}', r"line 2: top_logprobs\[0\]: which tokens"),
    ('\ufeff{"tokens": [0]}', "line 2: is not JSON"),
    ('{"tokens": [0]', "line 2: is not JSON"),
    ('{"\\ud800\\u001b[1m": 1}', r"line 2: has no tokens; the columns are \['\\ud800\\x1b\[1m'\]"),
    ("null", "line 2: is a NoneType"),
]


@pytest.mark.parametrize(("line", "words"), LINES, ids=lambda x: x[:40])
def test_a_line_is_named(line, words, tmp_path):
    (tmp_path / "t.jsonl").write_text('{"tokens": [0, 1]}\n' + line, encoding="utf-8")
    with pytest.raises(InputError, match=words) as caught:
        recorded_file(tmp_path / "t.jsonl")
    assert len(str(caught.value)) < 1_000
    assert str(caught.value).isprintable()


def test_impossible_tokens_may_be_minus_infinity_and_lines_end_as_they_like(tmp_path):
    text = '\ufeff\r\n{"tokens": [0], "logprobs": [[-0.6931, -0.6932, -Infinity]]}\r\n\n \n{"tokens": [1], "logprobs": '
    (tmp_path / "t.jsonl").write_text(text + "[[-0.6931, -0.6932, null]]}", encoding="utf-8", newline="")
    assert recorded_file(tmp_path / "t.jsonl").num_available == 2


def test_bytes_that_are_no_text_are_named(tmp_path):
    (tmp_path / "t.jsonl").write_bytes(b'{"tokens": [0]}\n{"tokens": [0], "text": "\xff"}\n')
    with pytest.raises(InputError, match=r"line 2: is not UTF-8 \(invalid start byte at byte 25\)"):
        recorded_file(tmp_path / "t.jsonl")


def test_what_is_no_plain_file_is_not_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe.jsonl")
    (tmp_path / "folder.parquet").mkdir()
    (tmp_path / "zero.jsonl").symlink_to("/dev/zero")
    for name in ("pipe.jsonl", "folder.parquet", "zero.jsonl"):
        with pytest.raises(InputError, match=f"{name}: is not a plain file"):
            recorded_file(tmp_path / name)
    for name in ("x" * 5_000, "a\0b"):
        with pytest.raises(InputError):
            recorded_file(tmp_path / name)


def test_a_row_and_a_file_have_a_largest_size(tmp_path, monkeypatch):
    path = tmp_path / "t.jsonl"
    path.write_text('{"tokens": [0]}\n{"tokens": [0], "text": "' + "x" * reading.MOST_BYTES + '"}')
    with pytest.raises(InputError, match=r"line 2: is longer than 8,388,608 bytes"):
        recorded_file(path)
    path.write_text('{"tokens": [0, 1]}\n' * 4)
    monkeypatch.setattr(file_module, "MOST_NUMBERS", 3 * 68)
    with pytest.raises(InputError, match=r"line 4: with it the file holds more than 204 numbers"):
        recorded_file(path)
    path.write_text('{"tokens": [0, 1]}\n' * 3)
    recorded_file(path)


def test_one_long_list_does_not_widen_many_others(tmp_path, monkeypatch):
    """Lists that are whole laws may be shorter than others, and are as wide in memory."""
    wide = {str(x): -np.log(50) for x in range(50)}
    content = {"tokens": [0] * 41, "top_logprobs": [wide, *[{"0": 0.0}] * 40]}
    (tmp_path / "t.jsonl").write_text(json.dumps(content))
    recorded_file(tmp_path / "t.jsonl")
    monkeypatch.setattr(file_module, "MOST_AT_ONCE", 41 * 50)
    with pytest.raises(InputError, match="with 50 listed tokens, laws of 41 tokens a row, 41 in all, do not fit"):
        recorded_file(tmp_path / "t.jsonl")


# -- Parquet ---------------------------------------------------------------------------------------------------------


def table(**columns):
    return pytest.importorskip("pyarrow").table(columns)


def tables():
    import pyarrow as pa

    yield {"tokens": pa.array([["a"]])}, r"tokens is of type list<.*string>: expected a list of whole numbers"
    yield {"tokens": pa.array([[1.0]])}, r"tokens is of type list<.*double>: expected a list of whole numbers"
    yield {"tokens": pa.array([1])}, "tokens is of type int64: expected a list of whole numbers"
    yield {"tokens": pa.array([[[1]]])}, "tokens is of type list<.*list<.*>: expected a list of whole numbers"
    yield {"tokens": pa.array([[True]])}, "tokens is of type list<.*bool>"
    yield {"tokens": pa.array([b"\x80\x04N."])}, "tokens is of type binary"
    yield {"tokens": pa.array([{"a": 1}])}, "tokens has struct<a: int64> for each token"
    yield {"text": pa.array(["x"])}, r"has no tokens; the columns are \['text'\]"
    yield {"tokens": pa.array([[0]]), "logprobs": pa.array([[["0"]]])}, "logprobs is of type list<.*string"
    yield {"tokens": pa.array([[0]]), "logprobs": pa.array([[0.0]])}, "drawn tokens alone leave the law unknown"
    yield {"tokens": pa.array([[0]]), "top_logprobs": pa.array([[{"0": 0.0}]])}, "in Parquet, write lists"
    yield {"tokens": pa.array([[0]]), "prompt": pa.array([{"a": 1}])}, "prompt is of type struct"
    yield {"tokens": pa.array([[0, None]])}, r"row 0: tokens\[1\] = None"
    yield {"tokens": pa.array([None], pa.list_(pa.int64()))}, "row 0: has no tokens"
    yield {"tokens": pa.array([[0]]), "logprobs": pa.array([[[float("nan"), 0]]])}, r"row 0: logprobs\[0\] has nan"


def test_columns_of_other_types_are_named(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    for columns, words in tables():
        parquet.write_table(table(**columns), tmp_path / "t.parquet")
        with pytest.raises(InputError, match=words):
            recorded_file(tmp_path / "t.parquet")


def test_parquet_of_unusual_but_right_types_is_read(tmp_path):
    pa, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    columns = {
        "tokens": pa.array([[0], [1]], pa.large_list(pa.uint8())),
        "logprobs": pa.array([[LAW], [LAW]], pa.list_(pa.list_(pa.float32(), 3), 1)),
        "prompt": pa.array(["x", "x"]).dictionary_encode(),
        "other": pa.array([{"a": 1}, {"a": 2}]),
    }
    parquet.write_table(table(**columns), tmp_path / "t.parquet")
    assert recorded_file(tmp_path / "t.parquet").num_available == 2


def test_a_parquet_file_is_refused_by_what_it_declares(tmp_path, monkeypatch):
    pa, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "t.parquet"
    parquet.write_table(table(tokens=pa.array([[0] * 200_000])), path)
    assert path.stat().st_size < 20_000  # a run of equal numbers is short
    monkeypatch.setattr(reading, "MOST_BYTES", 1_000_000)
    with pytest.raises(InputError, match="row 0: is larger than 1,000,000 bytes"):
        recorded_file(path)
    monkeypatch.setattr(reading, "MOST_NUMBERS", 100_000)
    with pytest.raises(InputError, match=r"declares 200,\d+ numbers; a file may hold 100,000"):
        recorded_file(path)


# -- mutations -------------------------------------------------------------------------------------------------------

ATOMS = [None, True, -1, 0, 2**70, 1e308, -1e308, float("nan"), float("inf"), "x", "\ud800", "", [], {}, [[]], -0.5]


def changed(value, rng):
    """Change one thing at any depth."""
    if isinstance(value, (list, dict)) and value and rng.random() < 0.8:
        key = rng.choice(list(value) if isinstance(value, dict) else range(len(value)))
        out = value.copy()
        out[key] = changed(value[key], rng)
        if rng.random() < 0.1:
            del out[key]
        return out
    return rng.choice(ATOMS)


def cut(raw, rng):
    """Flip, insert, cut or double bytes."""
    at, kind = rng.randrange(len(raw)), rng.randrange(4)
    more = (
        bytes([raw[at] ^ (1 << rng.randrange(8))]),
        bytes([raw[at], rng.randrange(256)]),
        b"",
        raw[at : at + 40] * 2,
    )
    return raw[:at] if kind == 2 and rng.random() < 0.5 else raw[:at] + more[kind] + raw[at + 1 :]


def outcome(path):
    """Read, and look at every law as an audit does."""
    said = look_at(path)
    if said is None:
        return "read"
    assert "\n" not in said
    assert path.name in said
    assert len(said) < 2_000
    return "refused"


def look_at(path):
    """Return what the error says, if there is one."""
    try:
        subject = recorded_file(path)
    except InputError as error:
        return str(error)
    if subject.target_model is not None:
        tokens = subject(subject.target_model, subject.num_available, 0)
        laws = subject.target_model.batch(tokens, np.random.default_rng(0)).target_probs
        np.testing.assert_allclose(laws.sum(axis=-1), 1)
    return None


@pytest.mark.parametrize("row", [ALL, PAIRS, LISTS], ids=["all", "pairs", "lists"])
def test_a_changed_row_is_read_or_refused(row, tmp_path):
    rng = random.Random(0)
    seen = []
    for i in range(100):
        path = tmp_path / f"{i}.jsonl"
        mutated = json.dumps(changed(row, rng)) if i % 2 else json.dumps(row)
        raw = mutated.encode() if i % 2 else cut(mutated.encode(), rng)
        path.write_bytes(json.dumps(row).encode() + b"\n" + raw + b"\n")
        seen.append(outcome(path))
    assert seen.count("refused") > 20


@pytest.mark.parametrize("row", [ALL, LISTS], ids=["all", "lists"])
def test_a_damaged_parquet_file_is_read_or_refused(row, tmp_path):
    pa, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    parquet.write_table(pa.Table.from_pylist([row] * 20), tmp_path / "whole.parquet")
    whole, rng = (tmp_path / "whole.parquet").read_bytes(), random.Random(1)
    seen = []
    for i in range(60):
        path = tmp_path / f"{i}.parquet"
        path.write_bytes(cut(whole, rng))
        seen.append(outcome(path))
    assert "refused" in seen
