"""Where traces are written: only what a writer made is deleted, and only one writes."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import scd_analysis
from scd_analysis.errors import InputError, TraceError
from scd_analysis.trace import TraceWriter, open_trace, validate
from scd_analysis.trace.place import leftovers, remove_trace
from scd_analysis.validate import as_array

SIZES = {"vocab_size": 3, "num_tokens": 5, "window": 1, "decoder": "mine"}
ROW = {"draft_token": [[0]], "next_token": [[0]], "accepted": [[True]]}


def write(path, **options):
    with scd_analysis.TraceWriter(path, **{**SIZES, **options}) as trace:
        trace.append(base=[0], **ROW)
    return path


def listed(path):
    return sorted(file.relative_to(path).as_posix() for file in path.rglob("*"))


@pytest.mark.parametrize("name", ["run.zarr", "run.zip"])
def test_a_trace_is_replaced(tmp_path, name):
    write(tmp_path / name)
    with pytest.raises(InputError, match="exists already; pass overwrite=True"):
        write(tmp_path / name)
    write(tmp_path / name, overwrite=True, decoder="again")
    assert open_trace(tmp_path / name).attrs["decoder"] == "again"
    assert [file.name for file in tmp_path.iterdir()] == [name]


def a_folder(path):
    (path / "sub").mkdir(parents=True)
    (path / "sub" / "notes.txt").write_text("mine")


def an_empty_tree(path):
    (path / "sub" / "deeper").mkdir(parents=True)


def a_file(path):
    path.write_text("mine")


def a_link(path):
    write(path.parent / "other.zarr")
    path.symlink_to(path.parent / "other.zarr")


def a_dangling_link(path):
    path.symlink_to(path.parent / "absent")


def another_store(path):
    (path / "base").mkdir(parents=True)
    (path / "zarr.json").write_text('{"zarr_format": 3, "node_type": "group", "attributes": {}}')


def a_trace_with_notes(path):
    write(path.with_suffix(".zarr"))
    if path.suffix != ".zarr":
        path.with_suffix(".zarr").rename(path)
    (path / "notes.txt").write_text("mine")


def a_trace_with_notes_within(path):
    a_trace_with_notes(path)
    (path / "notes.txt").rename(path / "base" / "notes.txt")


FOREIGN = [a_folder, an_empty_tree, a_file, a_link, a_dangling_link, another_store, a_trace_with_notes,
           a_trace_with_notes_within]  # fmt: skip


@pytest.mark.parametrize("make", FOREIGN)
@pytest.mark.parametrize("name", ["run.zarr", "run.zip"])
def test_what_no_writer_made_is_not_deleted(tmp_path, make, name):
    make(tmp_path / name)
    before = listed(tmp_path)
    with pytest.raises(
        InputError, match=r"is not replaced, since it (is|holds) .*; overwrite=True replaces traces only"
    ):
        write(tmp_path / name, overwrite=True)
    assert listed(tmp_path) == before


@pytest.mark.slow
def test_an_empty_folder_and_an_unfinished_trace_are_replaced(tmp_path):
    """The twin."""
    (tmp_path / "run.zarr").mkdir()
    write(tmp_path / "run.zarr", overwrite=True)
    stopped = scd_analysis.TraceWriter(tmp_path / "stopped.zarr", **SIZES)
    stopped.append(base=[0], **ROW)
    with pytest.raises(ZeroDivisionError), stopped:
        raise ZeroDivisionError
    validate(open_trace(write(tmp_path / "stopped.zarr", overwrite=True)))


def test_files_of_the_user_beside_a_zip_are_left_alone(tmp_path):
    for name in ("run.zip.tmp", "run.zip.x.partial"):
        (tmp_path / name).write_text("mine")
    (tmp_path / "run.zip.partial").mkdir()
    (tmp_path / "run.zip.partial" / "notes.txt").write_text("mine")
    before = listed(tmp_path)
    write(tmp_path / "run.zip")
    write(tmp_path / "run.zip", overwrite=True)
    assert listed(tmp_path) == sorted([*before, "run.zip"])


KILLED = """
import os, sys, scd_analysis
trace = scd_analysis.TraceWriter(sys.argv[1], vocab_size=3, num_tokens=5, window=1, decoder="mine", chunk=1)
for t in range(3):
    trace.append(base=[t], draft_token=[[0]], next_token=[[0]], accepted=[[True]])
trace._settle()
os._exit(9)
"""


@pytest.mark.slow
def test_what_a_killed_writer_left_is_reported_and_cleaned(tmp_path):
    path = tmp_path / "run.zip"
    assert subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False).returncode == 9
    (left,) = leftovers(path)
    with pytest.raises(TraceError, match=f"an unfinished one is at {left}"):
        open_trace(path)
    assert open_trace(left).sizes["iteration"] == 3
    with pytest.raises(InputError, match="exists already, an unfinished trace"):
        write(path)
    write(path, overwrite=True)
    assert [file.name for file in tmp_path.iterdir()] == ["run.zip"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["run.zarr", "run.zip"])
def test_the_second_writer_is_told(tmp_path, name):
    first = scd_analysis.TraceWriter(tmp_path / name, **SIZES)
    first.append(base=[0], **ROW)
    with pytest.raises(InputError, match="exists already"):
        scd_analysis.TraceWriter(tmp_path / name, **SIZES)
    with pytest.raises(InputError, match="is being written by another writer"):
        scd_analysis.TraceWriter(tmp_path / name, overwrite=True, **SIZES)
    first.close()
    validate(open_trace(tmp_path / name))
    assert listed(tmp_path)[0] == name
    assert not [one for one in listed(tmp_path) if "lock" in one]
    write(tmp_path / name, overwrite=True)  # the twin: nobody writes now


def test_what_came_to_lie_there_meanwhile_is_not_replaced(tmp_path):
    path = tmp_path / "run.zip"
    writer = scd_analysis.TraceWriter(path, **SIZES)
    writer.append(base=[0], **ROW)
    path.write_text("mine")
    with pytest.raises(InputError, match="exists already"):
        writer.close()
    assert path.read_text() == "mine"


@pytest.mark.parametrize(
    "attributes",
    [
        {"decoder": "\ud800"},
        {"decoder": 3},
        {"note": ["a", {"b": "\udfff"}]},
        {"\ud800": 1},
        {"temperature": float("nan")},
        {"temperature": float("inf")},
        {"settings": {1, 2}},
        {"weights": np.float32(1)},
        {"bytes": b"x"},
    ],
)
def test_attributes_that_cannot_be_written_are_refused_before_anything_is(tmp_path, attributes):
    write(tmp_path / "run.zarr")
    with pytest.raises(InputError) as refused:
        write(tmp_path / "run.zarr", overwrite=True, **attributes)
    assert str(refused.value).isprintable()
    assert open_trace(tmp_path / "run.zarr").attrs["decoder"] == "mine"
    with pytest.raises(InputError):
        write(tmp_path / "new.zarr", **attributes)
    assert not (tmp_path / "new.zarr").exists()


def test_deep_attributes_are_refused(tmp_path):
    deep: list = []
    for _ in range(2000):
        deep = [deep]
    with pytest.raises(InputError):
        write(tmp_path / "new.zarr", deep=deep)
    write(tmp_path / "new.zarr", note="größer 😀", deep=[[[1]]], nothing=None)  # the twin
    assert open_trace(tmp_path / "new.zarr").attrs["note"] == "größer 😀"


def test_a_store_that_holds_something_is_not_written_to():
    store = scd_analysis.TraceWriter(**SIZES).store
    with pytest.raises(InputError, match="holds a group or an array already"):
        scd_analysis.TraceWriter(store, **SIZES)


EVEN = torch.tensor([[0.5, 0.25, 0.25]])
TENSORS = {
    "bfloat16": EVEN.bfloat16(),
    "float8": EVEN.to(torch.float8_e4m3fn),
    "with a gradient": EVEN.clone().requires_grad_(),
    "sparse": EVEN.to_sparse(),
    "sparse rows": EVEN,
    "negative view": torch.view_as_complex(torch.stack([EVEN, -EVEN], -1)).conj().imag,
    "quantised": EVEN,
    "list of tensors": [list(EVEN[0])],
}


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", TENSORS)
def test_tensors_are_converted(name):
    if name == "sparse rows":
        given = EVEN.to_sparse_csr()  # torch warns
    elif name == "quantised":
        given = torch.quantize_per_tensor(EVEN, 0.25, 0, torch.quint8)
    else:
        given = TENSORS[name]
    found = as_array(given, "laws")
    assert type(found) is np.ndarray
    np.testing.assert_array_equal(found, EVEN.numpy())


NO_ARRAYS = {
    "meta": (EVEN.to("meta"), "laws is a tensor on the meta device: it has no data"),
    "complex": (EVEN.to(torch.complex64), "must be real"),
    "ragged": ([[1], [1, 2]], "not an array of numbers"),
    "huge": ([10**400], "not an array of numbers"),
    "gradient in a list": ([EVEN.clone().requires_grad_()[0]], "not an array of numbers"),
}


@pytest.mark.parametrize("name", NO_ARRAYS)
def test_what_is_no_array_is_named(name):
    value, message = NO_ARRAYS[name]
    with pytest.raises(InputError, match=message):
        as_array(value, "laws")


@pytest.mark.parametrize("value", [np.inf, np.nan, 1e300, 2.0**63, -1e19])
def test_a_number_that_no_integer_holds_is_named(value):
    with pytest.raises(InputError, match=r"tokens\[1\] = "):
        as_array([0.0, value], "tokens", np.int64)
    with pytest.raises(InputError, match=r"tokens\[0\] = 18446744073709551615"):
        as_array(np.array([2**64 - 1], dtype=np.uint64), "tokens", np.int64)
    assert as_array([-(2.0**63), 2.0**52], "tokens", np.int64).tolist() == [-(2**63), 2**52]


def test_laws_are_given_for_every_draft_of_a_trace_that_stores_them():
    uniform = np.full((1, 1, 3), 1 / 3)
    for given in ({}, {"draft_probs": uniform}, {"target_probs": uniform}):
        trace = scd_analysis.TraceWriter(**SIZES, laws=True)
        with pytest.raises(InputError, match=r"_probs: not given, for draft_token\[0, 0\]"):
            trace.append(base=[0], **ROW, **given)
        trace.append(base=[0], **{**ROW, "draft_token": [[-1]]}, bonus_token=[1])  # the twin: nothing was drafted


def test_windows_of_large_laws_are_written_in_chunks_that_can_be_read(monkeypatch):
    monkeypatch.setattr("scd_analysis.trace.writer._CHUNK_BYTES", 64)
    sizes = {"vocab_size": 8, "num_tokens": 4, "window": 3, "decoder": "mine"}
    with scd_analysis.TraceWriter(**sizes, laws=True) as trace:
        law, zeros = np.full((2, 3, 8), 1 / 8), np.zeros((2, 3), dtype=int)
        for base in (0, 1):
            rows = {"draft_token": zeros, "next_token": zeros, "accepted": zeros}
            trace.append(base=[base] * 2, draft_probs=law, target_probs=law, **rows)
    chunks = trace._arrays["target_probs"].chunks
    assert np.prod(chunks) * 4 <= 64
    validate(open_trace(trace.store), laws=True)


@pytest.mark.slow
def test_a_path_may_hold_anything(tmp_path):
    """Names with dots, brackets and stars are names."""
    for name in ("a.b.zip", "[x].zip", "st*r.zip", "run.partial.zip"):
        path = Path(tmp_path / name)
        write(path)
        write(path, overwrite=True)
        validate(open_trace(path))
    shutil.rmtree(tmp_path)


def test_only_a_trace_is_removed_as_a_trace(tmp_path):
    remove_trace(tmp_path / "absent")
    for name, content in (("user.txt", "mine"), ("zarr.json", '{"attributes": {"mine": 1}}')):
        folder = tmp_path / name
        folder.mkdir()
        (folder / name).write_text(content)
        with pytest.raises(InputError, match="is not removed, since it is no trace"):
            remove_trace(folder)
        assert (folder / name).read_text() == content
    mine = tmp_path / "mine.zarr"
    with TraceWriter(mine, vocab_size=3, num_tokens=4, window=2, decoder="d"):
        pass
    remove_trace(mine)
    assert not mine.exists()
