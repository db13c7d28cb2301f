"""Checkpoints by URL: an audit goes on from there, and what is there is told from what is not whole or not its own."""

import json
import uuid

import pytest
from fsspec.implementations.memory import MemoryFileSystem

from reference import TabularModel, decode
from scd_analysis import audit, audit_pair
from scd_analysis.errors import InputError

MODEL = TabularModel.random(3, 4, 0.7, seed=1)
CALLS = []


@pytest.fixture
def url():
    name = uuid.uuid4().hex
    yield f"memory://{name}/kept"
    MemoryFileSystem().rm(name, recursive=True)


@pytest.fixture(autouse=True)
def no_calls():
    CALLS.clear()


def sjd(model, num_sequences, seed):
    CALLS.append(seed)
    return decode(model, "sjd", 3, num_sequences, seed, record=None, progress=False).tokens


def interrupted(model, num_sequences, seed):
    if len(CALLS) == 3:
        CALLS.append(seed)
        raise KeyboardInterrupt
    return sjd(model, num_sequences, seed)


def traced(model, num_sequences, seed):
    CALLS.append(seed)
    return decode(model, "sjd", 3, num_sequences, seed, record="laws", progress=False).trace


def said(subject, url, seed=0, model=MODEL, most=300):
    return audit(subject, model, 1e-8, most, seed, progress=False, checkpoint=url)


def held(url):
    name = url.removeprefix("memory://")
    return sorted({path.split("/")[3] for path in MemoryFileSystem().find(name)})


@pytest.mark.slow
def test_an_audit_goes_on_from_a_url(url):
    with pytest.raises(KeyboardInterrupt):
        said(interrupted, url)
    assert held(url) == ["audit.json", *(f"batch-0000{i}.{kind}" for i in range(3) for kind in ("json", "zarr"))]
    found = said(interrupted, url)
    drawn = len(CALLS) - 4
    assert drawn == len(found.record["batch_plan"]) - 3
    again = said(interrupted, url)
    assert again.to_json() == found.to_json()
    assert len(CALLS) == 4 + drawn


@pytest.mark.slow
def test_traces_are_kept_too(url):
    found = said(traced, url, most=80)
    drawn = len(CALLS)
    assert said(traced, url, most=80).to_json() == found.to_json()
    assert len(CALLS) == drawn


@pytest.mark.slow
def test_a_pair_is_kept_at_a_url(url):
    found = audit_pair(sjd, sjd, MODEL, max_sequences=300, progress=False, checkpoint=url)
    drawn = len(CALLS)
    assert audit_pair(sjd, sjd, MODEL, max_sequences=300, progress=False, checkpoint=url).to_json() == found.to_json()
    assert len(CALLS) == drawn
    MemoryFileSystem().pipe_file(f"{url.removeprefix('memory://')}/notes.txt", b"mine")
    with pytest.raises(InputError, match=r"checkpoint memory://.*: holds 'notes.txt'"):
        audit_pair(sjd, sjd, MODEL, max_sequences=300, progress=False, checkpoint=url)


def other_seed(url):
    said(sjd, url, seed=1)


def other_model(url):
    said(sjd, url, model=TabularModel.random(3, 4, 0.7, seed=2))


def changed_chunk(url):
    store = MemoryFileSystem()
    path = next(path for path in store.find(url.removeprefix("memory://")) if "/c/" in path)
    store.pipe_file(path, store.cat_file(path)[::-1])
    said(sjd, url)


def changed_line(url):
    path = f"{url.removeprefix('memory://')}/batch-00000.json"
    MemoryFileSystem().pipe_file(path, json.dumps({"seed": 3, "files": {}}).encode())
    said(sjd, url)


def no_line(url):
    MemoryFileSystem().rm(f"{url.removeprefix('memory://')}/audit.json")
    said(sjd, url)


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (other_seed, r"checkpoint memory://.*/kept: seed = 0, this audit has 1"),
        (other_model, r"checkpoint memory://.*/kept: model: its laws"),
        (changed_chunk, r"checkpoint memory://.*/kept/batch-00000.zarr: is not what was stored"),
        (changed_line, r"checkpoint memory://.*/kept/batch-00000.zarr: was drawn with another seed"),
        (no_line, r"checkpoint memory://.*/kept: is not empty and holds no audit"),
    ],
)
def test_what_is_not_its_own_is_refused(url, harm, message):
    said(sjd, url)
    with pytest.raises(InputError, match=message):
        harm(url)


@pytest.mark.slow
def test_a_batch_that_was_half_written_when_the_store_failed_is_drawn_again(url, monkeypatch):
    def full(self, path, value, **options):
        if "batch-00001.json" in str(path):
            raise ConnectionError("the bucket is gone")
        with self.open(path, "wb") as file:
            file.write(value)

    with monkeypatch.context() as patched:
        patched.setattr(MemoryFileSystem, "pipe_file", full)
        with pytest.raises(InputError, match=r"memory://.*/kept: cannot be reached .*the bucket is gone.*; the batch"):
            said(sjd, url)
    assert "batch-00001.zarr" in held(url)
    found, drawn = said(sjd, url), len(CALLS)
    assert drawn == 2 + len(found.record["batch_plan"]) - 1
