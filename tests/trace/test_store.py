"""Stores that other people made: nothing of them is executed, nothing larger than it is gets allocated."""

import asyncio
import json
import os
import pickle
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import zarr

from reference import TabularModel, decode
from scd_analysis import Outcome, audit, open_trace
from scd_analysis.errors import TraceError
from scd_analysis.trace import read_laws, validate
from scd_analysis.trace.store import read_dataset
from scd_analysis.trace.summary import summarise

MODEL = TabularModel.random(3, 5, 0.7, seed=0)


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    path = tmp_path_factory.mktemp("store") / "run.zarr"
    decode(MODEL, "scd-mc", window=3, num_sequences=10, batch_size=4, record="laws", out_path=path)
    return path


@pytest.fixture
def stored(original, tmp_path):
    return Path(shutil.copytree(original, tmp_path / "run.zarr"))


def edited(path, change):
    """Change a ``zarr.json``."""
    content = json.loads(path.read_text())
    content = change(content) or content
    path.write_text(json.dumps(content))


def put(path, keys, value):
    """Set one entry of a ``zarr.json``."""

    def change(content):
        for key in keys[:-1]:
            content = content[key]
        content[keys[-1]] = value

    edited(path, change)


class Trap:
    """Unpickled, it leaves a file."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return (os.mkdir, (self.path,))


def test_a_store_of_version_2_with_a_pickle_filter_is_not_run(tmp_path, monkeypatch):
    monkeypatch.setenv("NUMCODECS_ALLOW_UNSAFE_PICKLE_DECODE", "1")
    monkeypatch.setattr("numcodecs.pickles.ALLOW_UNSAFE_PICKLE_DECODE", True, raising=False)
    path, mark = tmp_path / "v2.zarr", tmp_path / "executed"
    base = path / "base"
    base.mkdir(parents=True)
    (path / ".zgroup").write_text('{"zarr_format": 2}')
    attributes = {"schema_version": 1, "complete": True, "vocab_size": 3, "num_tokens": 5, "window": 3, "blocks": []}
    (path / ".zattrs").write_text(json.dumps(attributes))
    (base / ".zarray").write_text(json.dumps({
        "zarr_format": 2, "shape": [1], "chunks": [1], "dtype": "|O", "compressor": None, "fill_value": None,
        "filters": [{"id": "pickle", "protocol": 5}], "order": "C",
    }))  # fmt: skip
    (base / ".zattrs").write_text('{"_ARRAY_DIMENSIONS": ["sequence"]}')
    (base / "0").write_bytes(pickle.dumps([np.array([Trap(mark)], dtype=object), 5]))
    for opened in (open_trace, lambda one: read_dataset(one, "checkpoint"), lambda one: audit(str(one), MODEL)):
        with pytest.raises(TraceError, match="not a Zarr version 3 store"):
            opened(path)
    assert not mark.exists()
    try:  # the twin: the trap would spring
        zarr.open_array(str(base), mode="r", zarr_format=2)[:]
    except Exception:
        pickle.loads((base / "0").read_bytes())
    assert mark.exists()


CODECS = [
    [{"name": "bytes"}, {"name": "numcodecs.pickle", "configuration": {"protocol": 5}}],
    [{"name": "numcodecs.pickle", "configuration": {"id": "pickle"}}],
    [{"name": "vlen-utf8"}],
    [{"name": "bytes"}, {"name": "gzip", "configuration": {"level": 5}}],  # says nowhere how large it will be
    [{"name": "sharding_indexed", "configuration": {"chunk_shape": [1, 1], "codecs": [{"name": "numcodecs.pickle"}]}}],
    [{"name": "bytes"}, {"name": "zstd"}, {"name": "zstd"}],
    [],
    {"name": "bytes"},
    [["bytes"]],
    None,
]


@pytest.mark.parametrize("codecs", CODECS)
def test_an_unknown_codec_is_refused_before_zarr_looks_for_it(stored, codecs, monkeypatch):
    for name in ("base", "stranger"):  # an array that nobody reads is looked at too
        shutil.copytree(stored / "nfe", stored / name, dirs_exist_ok=True)
        put(stored / name / "zarr.json", ["codecs"], codecs)
        monkeypatch.setattr("zarr.registry.get_codec_class", lambda *_, **__: pytest.fail("zarr was asked"))
        with pytest.raises(TraceError, match=rf"{name}: codecs = .*: expected bytes, then"):
            open_trace(stored)
        with pytest.raises(TraceError, match=r"codecs"):
            read_dataset(stored, "checkpoint")
        shutil.rmtree(stored / name)


FIXED_BYTES = {"name": "null_terminated_bytes", "configuration": {"length_bytes": 3}}
KINDS = ["string", "variable_length_bytes", "numpy.datetime64", "complex128", "object", 3, None, FIXED_BYTES]


@pytest.mark.parametrize("dtype", KINDS)
def test_only_plain_numbers_are_read(stored, dtype):
    put(stored / "nfe" / "zarr.json", ["data_type"], dtype)
    with pytest.raises(TraceError, match=r"nfe: data_type = "):
        open_trace(stored)


TOO_LARGE = [
    ("base", ["shape"], [10**9, 5], r"base: sequence has size 1000000000, elsewhere 10|sequence has size"),
    ("tokens", ["shape"], [10, 10**9], r"position has size 1000000000, num_tokens = 5"),
    ("age", ["chunk_grid", "configuration", "chunk_shape"], [2**14, 2**8, 2**7], r"would take some 8 GiB.* limit is 1"),
    ("age", ["shape"], [10, 5, -3], r"age: shape = \[10, 5, -3\]: must be a list of whole numbers"),
    ("age", ["shape"], [10, 5, 3.0], r"age: shape"),
    ("age", ["shape"], [10, 5], r"as long"),
    ("age", ["shape"], [10**40, 5, 3], r"age: shape"),
    ("age", ["chunk_grid", "configuration", "chunk_shape"], [0, 5, 3], r"age: chunk_shape"),
    ("age", ["chunk_grid", "name"], "rectilinear", r"age: chunk_grid"),
    ("age", ["chunk_key_encoding"], {"name": "v2"}, r"chunk_key_encoding"),
    ("age", ["fill_value"], 0, r"age: fill_value = 0: must be -1, or what is lost reads as data"),
    ("uniform", ["fill_value"], 0.5, r"uniform: fill_value = 0.5: must be NaN"),
    ("age", ["fill_value"], True, r"age: fill_value = True: is no int32"),
    ("age", ["attributes", "_FillValue"], 0, r"say of missing values"),
    ("uniform", ["attributes", "add_offset"], 1, r"say of missing values"),
    ("uniform", ["attributes", "scale_factor"], 2.0, r"scale_factor = 2.0, not 1.0"),
    ("age", ["dimension_names"], ["sequence", "slot", "iteration"], r"age has dimensions"),
    ("age", ["dimension_names"], ["sequence", "sequence", "slot"], r"names one twice"),
    ("age", ["dimension_names"], None, r"dimension_names"),
    ("age", ["data_type"], "int8", r"age has dtype int8, not int32"),
    ("age", ["data_type"], "float32", r"age: fill_value|age has dtype"),
    ("age", ["zarr_format"], 2, r"age: is not an array of Zarr version 3"),
    ("age", ["node_type"], "group", r"age: is not an array of Zarr version 3"),
    ("age", ["storage_transformers"], [{"name": "x"}], r"storage_transformers"),
    ("age", ["surprise"], {"must_understand": True}, r"age: surprise"),
]


@pytest.mark.parametrize(("name", "keys", "value", "message"), TOO_LARGE)
def test_what_is_declared_is_checked_before_anything_is_allocated(stored, name, keys, value, message):
    put(stored / name / "zarr.json", keys, value)
    with pytest.raises(TraceError, match=message):
        open_trace(stored)


def grown(path, sequences, chunk=None):
    """A trace all of whose arrays and blocks claim so many sequences."""
    for file in path.glob("*/zarr.json"):
        content = json.loads(file.read_text())
        content["shape"][0] = sequences
        file.write_text(json.dumps(content))
    put(path / "zarr.json", ["attributes", "blocks"], [[0, sequences, 4]])


def test_sequences_that_no_chunk_is_there_for_are_no_sequences(stored):
    for name in ("draft_probs", "target_probs"):
        shutil.rmtree(stored / name)
    put(stored / "zarr.json", ["attributes", "laws"], "")
    iterations = open_trace(stored).sizes["iteration"]
    grown(stored, 10**9)
    put(stored / "zarr.json", ["attributes", "blocks"], [[0, 10**9, iterations]])
    with pytest.raises(TraceError, match=r"sequence has size 1000000000, but chunks of base are for 12"):
        open_trace(stored)


def test_a_vocabulary_is_that_of_its_laws(stored):
    put(stored / "zarr.json", ["attributes", "vocab_size"], 2 * 10**7)
    with pytest.raises(TraceError, match=r"vocab has size 3, vocab_size = 20000000"):
        open_trace(stored)


def test_cut_laws_are_not_spread_over_more_than_the_limit(tmp_path):
    path = tmp_path / "top.zarr"
    decode(MODEL, "scd-mc", window=3, num_sequences=200, record="laws-top-2", out_path=path)
    put(path / "zarr.json", ["attributes", "vocab_size"], 2 * 10**7)
    opened = open_trace(path)
    validate(opened, laws=True)  # which does not lay them out by token
    with pytest.raises(TraceError, match=r"would take some .* GiB to look at; the limit is 1 GiB"):
        read_laws(opened)


@pytest.mark.slow
def test_a_chunk_that_is_larger_or_smaller_than_it_says_is_not_decoded(stored):
    """A frame's own header is asked: 20 bytes of it can claim four gigabytes."""
    chunk = stored / "draft_probs" / "c" / "0" / "0" / "0" / "0"
    raw = chunk.read_bytes()
    for size in (2**31 - 64, 1, 0):
        chunk.write_bytes(raw[:4] + size.to_bytes(4, "little") + raw[8:])
        with pytest.raises(TraceError, match=rf"the chunk holds {size} bytes, expected"):
            validate(open_trace(stored), laws=True)
    chunk.write_bytes(raw[:-3])
    with pytest.raises(TraceError, match="cut short"):
        validate(open_trace(stored), laws=True)
    chunk.write_bytes(raw)
    chunk = stored / "base" / "c" / "0" / "0"
    whole = chunk.read_bytes()
    for wrong in (
        b"\x28\xb5\x2f\xfd\xe0" + (2**40).to_bytes(8, "little") + b"\x00" * 8,
        b"\x28\xb5\x2f\xfd\x00\x00\x00",
        b"",
        whole[:-4],
        whole[:8] + b"\xff" * (len(whole) - 8),
        b"\0" * len(whole),
    ):
        chunk.write_bytes(wrong)
        opened = open_trace(stored)
        for read in (validate, summarise, lambda one: audit(one, MODEL, progress=False)):
            with pytest.raises(TraceError, match="base"):
                read(opened)
    chunk.write_bytes(whole + b"\0" * 10**5)
    with pytest.raises(TraceError, match=r"base/c/0/0 has .* bytes, more than a chunk"):
        open_trace(stored)


def test_a_checksum_is_checked_when_a_chunk_is_read(tmp_path):
    """A store with CRC32C opens; with one bit of it turned it is an error, also where it is read late."""
    data = xr.Dataset({"tokens": (("sequence", "position"), np.arange(12).reshape(3, 4))})
    path = tmp_path / "crc.zarr"
    codecs = [zarr.codecs.BloscCodec(), zarr.codecs.Crc32cCodec()]
    data.to_zarr(path, zarr_format=3, consolidated=False, encoding={"tokens": {"compressors": codecs}})
    opened = read_dataset(path, "checkpoint x")
    assert opened.load().equals(data)
    chunk = next(file for file in (path / "tokens" / "c").rglob("*") if file.is_file())
    chunk.write_bytes(chunk.read_bytes()[:-1] + bytes([chunk.read_bytes()[-1] ^ 1]))
    with pytest.raises(TraceError, match=r"checkpoint x: tokens: a chunk cannot be read"):
        read_dataset(path, "checkpoint x").load()


@pytest.mark.parametrize("dim", ["position", "slot"])
def test_chunks_that_are_not_there_are_not_looked_for_without_end(stored, dim):
    """A million positions in chunks of five are 200,000 chunks a sequence: none is there, and each takes time."""
    attribute, size = {"position": ("num_tokens", 10**6), "slot": ("window", 10**5)}[dim]
    put(stored / "zarr.json", ["attributes", attribute], size)
    for header in stored.glob("*/zarr.json"):
        own = json.loads(header.read_text())
        shape = [size if name == dim else old for name, old in zip(own["dimension_names"], own["shape"], strict=True)]
        put(header, ["shape"], shape)
    with pytest.raises(TraceError, match=r"one sequence of shape .* would be \d+ chunks, of which \d+ are there"):
        open_trace(stored)


def test_a_lost_chunk_of_laws_is_seen_at_once(stored):
    (stored / "target_probs" / "c" / "0" / "0" / "0" / "0").unlink()
    with pytest.raises(TraceError, match=r"target_probs/c/0/0/0/0: the chunk is gone"):
        open_trace(stored)


def test_a_chunk_that_goes_while_it_is_open_is_an_error(stored):
    opened = open_trace(stored)
    (stored / "accepted" / "c" / "0" / "0" / "0").unlink()
    with pytest.raises(TraceError, match=r"accepted/c/0/0/0: the chunk is gone"):
        opened["accepted"].values  # noqa: B018


@pytest.mark.parametrize("what", ["pipe", "device", "larger"])
def test_a_chunk_that_becomes_something_endless_while_it_is_open_is_an_error(stored, what):
    opened = open_trace(stored)
    chunk = stored / "accepted" / "c" / "0" / "0" / "0"
    chunk.unlink()
    if what == "pipe":
        os.mkfifo(chunk)
    elif what == "device":
        chunk.symlink_to("/dev/full")
    else:
        with chunk.open("wb") as file:
            file.truncate(2**40)
    with pytest.raises(TraceError, match=r"accepted/c/0/0/0 has become something else"):
        opened["accepted"].values  # noqa: B018


def test_what_is_no_regular_file_is_not_opened(stored, tmp_path):
    chunk = stored / "base" / "c" / "0" / "0"
    raw = chunk.read_bytes()
    chunk.unlink()
    os.mkfifo(chunk)
    with pytest.raises(TraceError, match=r"base/c/0/0 is not a regular file"):
        open_trace(stored)
    chunk.unlink()
    (tmp_path / "elsewhere").write_bytes(raw)
    chunk.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(TraceError, match=r"base/c/0/0 is a link that leaves the folder"):
        open_trace(stored)
    chunk.unlink()
    chunk.symlink_to(stored / "base" / "c")  # a loop
    with pytest.raises(TraceError, match=r"base/c/0/0 is not a regular file"):
        open_trace(stored)
    chunk.unlink()
    (stored / "kept").write_bytes(raw)
    chunk.symlink_to(stored / "kept")  # the twin: a link inside
    validate(open_trace(stored))
    (tmp_path / "linked.zarr").symlink_to(stored)  # and one to the whole trace
    validate(open_trace(tmp_path / "linked.zarr"))
    os.mkfifo(tmp_path / "fifo.zarr")
    with pytest.raises(TraceError, match=r"neither a folder nor a file"):
        open_trace(tmp_path / "fifo.zarr")


def zipped(path, to, method=zipfile.ZIP_STORED, **renamed):
    with zipfile.ZipFile(to, "w", method) as archive:
        for file in sorted(path.rglob("*")):
            name = file.relative_to(path).as_posix()
            if file.is_file():
                archive.writestr(renamed.get(name.replace("/", "_"), name), file.read_bytes())
    return to


@pytest.mark.slow
def test_zips(stored, tmp_path):
    path = tmp_path / "t.zip"
    validate(open_trace(zipped(stored, path)), laws=True)
    validate(open_trace(zipped(stored, path, zipfile.ZIP_DEFLATED)), laws=True)  # as people pack one by hand
    for name in ("/base/c/0/0", "../base/c/0/0", "a\\b"):
        with pytest.raises(TraceError, match="must stay within the archive"):
            open_trace(zipped(stored, path, base_c_0_0=name))
    with pytest.raises(TraceError, match="other than deflate"):
        open_trace(zipped(stored, path, zipfile.ZIP_LZMA))
    zipped(stored, path)
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("base/c/0/0", b"")
    with pytest.raises(TraceError, match="is there twice"):
        open_trace(path)
    (stored / "base" / "c" / "0" / "0").write_bytes(bytes(2**22))  # a bomb: 4 MiB in 4 KiB
    with pytest.raises(TraceError, match=r"base/c/0/0 has 4194304 bytes, more than a chunk"):
        open_trace(zipped(stored, path, zipfile.ZIP_DEFLATED))
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(TraceError, match="not a Zarr version 3 store"):
        open_trace(path)


@pytest.mark.parametrize(
    "raw",
    [b"", b"[]", b"\xff\xfe", b"null", b'{"zarr_format": 3', b"[" * 10**5, b'{"a":' * 10**5, b"NaN", b"1" * 10**4],
)
def test_metadata_that_is_none_is_named(stored, raw):
    for file in (stored / "zarr.json", stored / "age" / "zarr.json"):
        before = file.read_bytes()
        file.write_bytes(raw)
        with pytest.raises(TraceError):
            open_trace(stored)
        file.write_bytes(before)


def test_what_was_looked_through_is_what_is_read(stored):
    """Metadata that changes after it was checked is not asked again."""
    opened = open_trace(stored)
    put(stored / "age" / "zarr.json", ["codecs"], [{"name": "numcodecs.pickle"}])
    assert opened["age"].notnull().any()


def test_a_trace_can_be_indexed_in_every_way(stored):
    """As xarray's own way of opening a store: it is the same data."""
    plain, ours = xr.open_zarr(stored, chunks=None), open_trace(stored)
    assert set(plain.data_vars) == set(ours.data_vars)
    picks = (
        {"sequence": slice(None, None, -1)},
        {"sequence": 3},
        {"iteration": -1, "slot": slice(1, None)},
        {"sequence": [5, 1, 1], "slot": [2, 0]},
        {"sequence": xr.DataArray([1, 4], dims="x"), "iteration": xr.DataArray([0, 2], dims="x")},
        {"iteration": slice(0, 0)},
    )
    for pick in picks:
        for name in ("base", "draft_token", "target_probs", "uniform"):
            here = {dim: one for dim, one in pick.items() if dim in plain[name].dims}
            np.testing.assert_array_equal(plain[name].isel(here), ours[name].isel(here), err_msg=f"{name} {pick}")
            assert plain[name].dtype == ours[name].dtype


@pytest.mark.slow
def test_a_trace_that_xarray_wrote_again_is_one(stored, tmp_path):
    open_trace(stored).to_zarr(tmp_path / "again.zarr", zarr_format=3, consolidated=False)
    again = open_trace(tmp_path / "again.zarr")
    validate(again, laws=True)
    assert again.load().equals(open_trace(stored).load())
    assert audit(again, MODEL, progress=False).outcome is not Outcome.REFUTED


def test_the_store_can_be_read_from_a_loop(stored):
    async def inside():
        return open_trace(stored)["nfe"].values

    np.testing.assert_array_equal(asyncio.run(inside()), open_trace(stored)["nfe"])


def test_a_trace_is_pickled(stored):
    opened = open_trace(stored)
    assert pickle.loads(pickle.dumps(opened)).load().equals(opened.load())
