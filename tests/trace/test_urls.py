"""Traces by URL: written, read and judged as those of a file system; a store that fails keeps what was finished."""

import builtins
import uuid

import numpy as np
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from reference import TabularModel, decode
from scd_analysis import TraceWriter, audit, open_trace
from scd_analysis.common.urls import name_of, place_of
from scd_analysis.errors import InputError, TraceError
from scd_analysis.figures.rendering import render
from scd_analysis.report.load import load_verdict, read_trace
from scd_analysis.trace import remote, shards_in, validate
from tests.test_cli import run

MODEL = TabularModel.random(3, 6, 0.7, seed=1)
SIZES = {"vocab_size": 3, "num_tokens": 8, "window": 1, "decoder": "mine"}
PASSES = 3


def draw(model, num_sequences, seed):
    return decode(model, "sjd", 3, num_sequences, seed, record=None, progress=False).tokens


@pytest.fixture
def url():
    """A folder in memory."""
    name = uuid.uuid4().hex
    yield f"memory://{name}"
    MemoryFileSystem().rm(name, recursive=True) if MemoryFileSystem().exists(name) else None


@pytest.fixture(params=["memory", "file"])
def place(request, url, tmp_path):
    return url if request.param == "memory" else tmp_path.as_uri()


def write(path, passes=PASSES, **options):
    with TraceWriter(path, **{**SIZES, "chunk": 1, **options}) as trace:
        for t in range(passes):
            trace.append(base=[t], draft_token=[[0]], next_token=[[0]], accepted=[[True]])


@pytest.mark.slow
def test_a_trace_at_a_url_is_the_same(place, tmp_path):
    at = f"{place}/run.zarr"
    found = decode(MODEL, "sjd", 3, 20, seed=1, record="laws", out_path=at).trace
    decode(MODEL, "sjd", 3, 20, seed=1, record="laws", out_path=tmp_path / "here.zarr")
    here = open_trace(tmp_path / "here.zarr")
    validate(open_trace(f"{at}/"), laws=True)
    for name in here.data_vars:
        np.testing.assert_array_equal(found[name].values, here[name].values)
    assert audit(at, MODEL, progress=False).to_json() == audit(here, MODEL, progress=False).to_json()
    assert read_trace(at).label == "sjd"


@pytest.mark.slow
def test_shards_at_a_url_are_one_trace(place):
    for i in range(3):
        write(f"{place}/run", i + 1, shard=(i, 3))
    found = open_trace(f"{place}/run")
    assert found.attrs["shards"] == [1, 1, 1]
    np.testing.assert_array_equal(found["base"].notnull().sum("iteration"), [1, 2, 3])
    with pytest.raises(InputError, match=r"shard-00001-of-00003.zarr: exists already"):
        write(f"{place}/run", shard=(1, 3))
    write(f"{place}/run", 5, shard=(1, 3), overwrite=True)
    assert open_trace(f"{place}/run").sizes["iteration"] == 5


def test_a_trace_at_a_url_is_replaced_and_nothing_else_is(place):
    write(f"{place}/run")
    with pytest.raises(InputError, match="exists already; pass overwrite=True"):
        write(f"{place}/run")
    write(f"{place}/run", 2, overwrite=True)
    assert open_trace(f"{place}/run").sizes["iteration"] == 2
    with TraceWriter(f"{place}/notes/base", **SIZES):
        pass
    with pytest.raises(InputError, match=r"notes: is not replaced, since it is no trace"):
        write(f"{place}/notes", overwrite=True)


class Failing:
    """A store that fails at its n-th write, and from then on until it is mended."""

    def __init__(self, monkeypatch, at):
        self.left, self.written = at, []
        monkeypatch.setattr(MemoryFileSystem, "pipe_file", self.pipe_file)
        self.file_system = MemoryFileSystem()

    def pipe_file(self, path, value, **options):
        self.left -= 1
        if self.left < 0:
            raise ConnectionError("the bucket is gone")
        self.written.append(path)
        with self.file_system.open(path, "wb") as file:
            file.write(value)


def counted(monkeypatch, url):
    """How many writes a trace takes."""
    with monkeypatch.context() as patched:
        store = Failing(patched, 10**6)
        write(url)
    return len(store.written)


def passes_of(url):
    """Of a trace whose store failed: none where it failed before it had made all arrays."""
    if not MemoryFileSystem().exists(f"{name_of(url.rpartition('/')[0])}/{name_of(url)}/nfe/zarr.json"):
        return 0
    found = open_trace(url)
    validate(found)
    assert not found.attrs["complete"]
    return found.sizes["iteration"]


@pytest.mark.slow
def test_a_store_that_fails_keeps_what_was_finished_and_says_so(url, monkeypatch):
    total = counted(monkeypatch, f"{url}/whole")
    reached = []
    for at in range(1, total, 5):
        with monkeypatch.context() as patched:
            store = Failing(patched, at)
            with pytest.raises(
                InputError, match=r"path = memory://.*: .* cannot be written .*the bucket is gone.* kept"
            ):
                write(f"{url}/{at}")
        assert len(store.written) == at
        reached.append(passes_of(f"{url}/{at}"))
    assert reached == sorted(reached)
    assert set(reached) == set(range(PASSES + 1))
    write(f"{url}/{at}", overwrite=True)
    assert open_trace(f"{url}/{at}").attrs["complete"]


def test_a_store_that_fails_while_it_is_read_is_said(url, monkeypatch):
    write(f"{url}/run")
    found = open_trace(f"{url}/run")

    def gone(self, path, *args, **options):
        raise ConnectionError("the bucket is gone")

    monkeypatch.setattr(MemoryFileSystem, "cat_file", gone)
    monkeypatch.setattr(MemoryFileSystem, "find", gone)
    with pytest.raises(TraceError, match=r"memory://.*/run: cannot be reached \(ConnectionError: the bucket is gone"):
        open_trace(f"{url}/run")
    monkeypatch.undo()
    np.testing.assert_array_equal(found["base"].values, [[0, 1, 2]])
    MemoryFileSystem().rm(f"{name_of(url)}/run/accepted/c", recursive=True)
    with pytest.raises(TraceError, match=r"run: accepted/c/0/0.*: the chunk is gone"):
        found["accepted"].values  # noqa: B018


def test_chunks_that_were_read_last_are_kept_up_to_a_bound():
    recent = remote.Recent(10)
    for name, size in (("a", 4), ("b", 4), ("large", 11)):
        recent.put(("store", name), bytes(size))
    assert recent.get(("store", "a")) == bytes(4)
    recent.put(("store", "c"), bytes(4))  # b has been waiting for longest
    found = {name: recent.get(("store", name)) is not None for name in ("a", "b", "c", "large")}
    assert found == {"a": True, "b": False, "c": True, "large": False}
    assert recent.get(("another", "a")) is None


def test_a_trace_that_was_replaced_is_read_anew(url):
    write(f"{url}/run")
    before = open_trace(f"{url}/run")["draft_token"].values
    with TraceWriter(f"{url}/run", **SIZES, overwrite=True) as trace:
        trace.append(base=[0], draft_token=[[2]], next_token=[[2]], accepted=[[True]])
    assert (before[0, 0, 0], open_trace(f"{url}/run")["draft_token"].values[0, 0, 0]) == (0, 2)


@pytest.mark.slow
def test_a_decode_whose_store_failed_goes_on(url, monkeypatch):
    asked = {"window": 3, "num_sequences": 30, "seed": 1, "out_path": f"{url}/run", "batch_size": 10, "jobs": 1}
    with monkeypatch.context() as patched:
        store = Failing(patched, 180)
        with pytest.raises(InputError, match=r"shard-0000.-of-00003.zarr: .* cannot be written"):
            decode(MODEL, "sjd", **asked)
    first = [path for path in store.written if "shard-00000" in path]
    assert len(first) < 180
    with monkeypatch.context() as patched:
        store = Failing(patched, 10**6)
        found = decode(MODEL, "sjd", **asked)
    assert not [path for path in store.written if "shard-00000" in path]
    assert (found.tokens == decode(MODEL, "sjd", 3, 30, seed=1, record=None).tokens).all()


def test_what_is_missing_for_a_url_is_named(monkeypatch):
    loaded = builtins.__import__

    def absent(name, *args, **options):
        if name.partition(".")[0] in ("fsspec", "s3fs", "gcsfs"):
            raise ModuleNotFoundError(f"No module named {name!r}")
        return loaded(name, *args, **options)

    monkeypatch.setattr(builtins, "__import__", absent)
    for address, extra in (("s3://bucket/run", "s3"), ("gs://bucket/run", "gcs"), ("memory://run", "stores")):
        for call in (lambda at: open_trace(at), lambda at: TraceWriter(at, **SIZES)):
            with pytest.raises(InputError, match=rf"{address}: .*it takes the extra scd-analysis\[{extra}\]"):
                call(address)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda url: open_trace("nowhere://x"), r"nowhere://x: .*Protocol not known"),
        (lambda url: open_trace(url), r"trace memory://.*: there is nothing at this URL"),
        (lambda url: open_trace(f"{url}/run.zip"), r"a .zip is read from a file system only"),
        (lambda url: open_trace("file:///nowhere/run.zarr"), r"there is no such file or directory"),
        (lambda url: open_trace("file://there/run.zarr"), r"names a file of 'there'"),
        (lambda url: write(f"{url}/run.zip"), r"a .zip is written to a file system only"),
        (lambda url: audit(f"{url}/tokens.jsonl", MODEL), r"a recorded file is read from a file system only"),
        (lambda url: load_verdict(f"{url}/verdict.json"), r"verdict.json: cannot be read"),
    ],
)
def test_what_is_not_done_by_url_is_said(url, call, message):
    with pytest.raises(InputError, match=message):
        call(url)


@pytest.mark.slow
def test_a_verdict_is_read_by_url(url, tmp_path):
    verdict = audit(decode(MODEL, "sjd", 3, 20, record="laws").trace, MODEL, progress=False)
    MemoryFileSystem().pipe_file(f"{name_of(url)}/verdict.json", verdict.to_json().encode())
    assert load_verdict(f"{url}/verdict.json").to_json() == verdict.to_json()


def test_a_place_is_a_path_or_a_url(tmp_path):
    assert place_of(tmp_path.as_uri()) == tmp_path
    assert place_of(str(tmp_path)) == tmp_path
    assert place_of("s3://bucket/run/") == "s3://bucket/run"
    assert place_of((tmp_path / "a b").as_uri()) == tmp_path / "a b"


@pytest.mark.slow
def test_commands_take_urls(tmp_path):
    at = (tmp_path / "run").as_uri()
    words = ["trace", "sjd", "--model", "digits", "--num-sequences", "4", "--batch-size", "2", "--jobs", "1", "--out"]
    assert run(tmp_path, *words, at).returncode == 0
    assert shards_in(at) == ["shard-00000-of-00002.zarr", "shard-00001-of-00002.zarr"]
    assert render(["acceptance_lengths"], trace=at, out=tmp_path / "figures")
    assert run(tmp_path, "report", at, "--html", "x.html").returncode == 0
    nothing = run(tmp_path, "audit", "memory://nothing", "--model", "digits")
    assert nothing.stderr == "scd-analysis: trace memory://nothing: there is nothing at this URL\n"
    assert nothing.returncode == 2
