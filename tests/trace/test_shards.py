"""A folder of shards is one trace: it opens, validates, is summarised and judged as one, or says which shard is not."""

import json
import os
import pickle
import shutil
import signal

import joblib
import numpy as np
import pytest
import torch

from reference import TabularModel, decode
from scd_analysis import TraceWriter, audit
from scd_analysis.errors import InputError, TraceError
from scd_analysis.trace import open_trace, shard_in, shards, shards_in, validate
from scd_analysis.trace.summary import summarise

MODEL = TabularModel.random(3, 6, 0.7, seed=1)
COUNT = 42
NAMES = [f"shard-{i:05d}-of-00004.zarr" for i in range(4)]

pytestmark = [
    pytest.mark.filterwarnings("ignore:Consolidated metadata"),
    pytest.mark.filterwarnings("ignore:Object at writing.lock"),
]
"""Of writers on threads: what they ignore may be forgotten where other threads do so at the same time."""


def draw(path, **options):
    given = {"window": 3, "num_sequences": COUNT, "seed": 4, "record": "laws", "batch_size": 11}
    with joblib.parallel_config(backend="threading"):
        return decode(MODEL, "sjd", **{**given, **options}, out_path=path, jobs=2)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Four shards, and the same decode as one trace."""
    folder = tmp_path_factory.mktemp("shards")
    draw(folder / "shards")
    decode(MODEL, "sjd", 3, COUNT, seed=4, record="laws", out_path=folder / "whole.zarr")
    return folder


@pytest.fixture
def folder(made, tmp_path):
    return shutil.copytree(made / "shards", tmp_path / "run")


@pytest.fixture(params=["dask", "without dask"])
def dask(request, monkeypatch):
    if request.param == "without dask":
        monkeypatch.setattr(shards, "find_spec", lambda name: None)
    return request.param == "dask"


@pytest.mark.slow
def test_shards_hold_what_one_trace_does(made, dask):
    together, whole = open_trace(made / "shards"), open_trace(made / "whole.zarr")
    assert shards_in(made / "shards") == NAMES
    assert all((together[name].chunks is not None) is dask for name in together.data_vars)
    validate(together, laws=True)
    for name in whole.data_vars:
        np.testing.assert_array_equal(together[name].values, whole[name].values)
        assert together[name].dtype == whole[name].dtype
        assert together[name].attrs == whole[name].attrs
    assert summarise(together) == summarise(whole)
    assert together.attrs["shards"] == [10, 11, 10, 11]
    assert [block[:2] for block in together.attrs["blocks"]] == [[0, 10], [10, 21], [21, 31], [31, 42]]


def keys(count, rng):
    """Ways to take some of so many entries."""
    yield from (slice(None), slice(1, count), slice(None, None, 2), slice(count, None, -1), slice(2, 2))
    yield from (0, count - 1, np.sort(rng.integers(0, count, 3)), rng.permutation(count))


@pytest.mark.slow
def test_parts_of_joined_arrays_are_those_of_the_whole(made, monkeypatch):
    """Bit by bit without Dask, whose own slicing is not ours."""
    monkeypatch.setattr(shards, "find_spec", lambda name: None)
    together, rng = open_trace(made / "shards"), np.random.default_rng(0)
    for name in ("base", "entropy", "target_probs", "tokens", "nfe"):
        lazy, whole = together[name].variable, together[name].compute().variable
        for key in keys(COUNT, rng):
            for other in keys(whole.shape[1], rng) if whole.ndim > 1 else (slice(None),):
                index = (key, other)[: whole.ndim]
                np.testing.assert_array_equal(lazy[index].values, whole[index].values, err_msg=f"{name} {index}")


def test_a_shard_that_took_fewer_passes_is_missing_there(tmp_path):
    """Passes differ by shard here, which they may not in the fixture."""
    sizes = {"vocab_size": 3, "num_tokens": 5, "window": 1, "decoder": "mine"}
    for i, passes in enumerate((2, 4, 1)):
        with TraceWriter(tmp_path / "run", **sizes, shard=(i, 3)) as trace:
            for t in range(passes):
                trace.append(base=[t], draft_token=[[i]], next_token=[[i]], accepted=[[True]])
    found = open_trace(tmp_path / "run")["draft_token"].values[..., 0]
    none = np.nan
    np.testing.assert_array_equal(found, [[0, 0, none, none], [1, 1, 1, 1], [2, none, none, none]])


@pytest.mark.slow
def test_the_audit_of_shards_is_that_of_one_trace(made):
    found = [audit(made / name, MODEL, progress=False) for name in ("shards", "whole.zarr")]
    assert found[0].to_json() == found[1].to_json()


def test_arrays_of_dask_travel(made):
    together = open_trace(made / "shards")
    again = pickle.loads(pickle.dumps(together))
    np.testing.assert_array_equal(again["target_probs"].values, together["target_probs"].values)


def put(path, **attributes):
    content = json.loads((path / "zarr.json").read_text())
    content["attributes"].update(attributes)
    (path / "zarr.json").write_text(json.dumps(content))


def other_vocabulary(folder):
    shutil.rmtree(folder / NAMES[2])
    model = TabularModel.random(4, 6, 0.7, seed=1)
    decode(model, "sjd", 3, 10, seed=4, record="laws", out_path=folder / "other.zarr")
    put(folder / "other.zarr", sequences_in_all=COUNT)
    (folder / "other.zarr").rename(folder / NAMES[2])


def no_laws(folder):
    for name in ("draft_probs", "target_probs"):
        shutil.rmtree(folder / NAMES[1] / name)


def of_another_number(folder):
    (folder / NAMES[3]).rename(folder / "shard-00003-of-00005.zarr")


def one_too_many(folder):
    shutil.copytree(folder / NAMES[3], folder / "shard-00007-of-00004.zarr")


WRONG = [
    (lambda folder: shutil.rmtree(folder / NAMES[2]), r"1 of 4 shards are missing: shard-00002-of-00004.zarr"),
    (lambda folder: put(folder / NAMES[1], complete=False), r"shard-00001-of-00004.zarr: is incomplete, .*1 of 4"),
    (lambda folder: put(folder / NAMES[3], method="ar"), r"shard-00003-of-00004.zarr: method = 'ar', and 'sjd' in"),
    (lambda folder: put(folder / NAMES[3], mine=1), r"shard-00003-of-00004.zarr: mine = 1, and 'nothing' in"),
    (lambda folder: (folder / NAMES[1] / "zarr.json").unlink(), r"shard-00001-of-00004.zarr: not a Zarr version 3"),
    (other_vocabulary, r"shard-00002-of-00004.zarr: vocab_size = 4, and 3 in the first shard"),
    (no_laws, r"shard-00001-of-00004.zarr: lacks the variable 'draft_probs', which other shards have"),
    (of_another_number, r"shard-00000-of-00004.zarr and shard-00003-of-00005.zarr, which are not of one trace"),
    (one_too_many, r"holds shard-00007-of-00004.zarr, which is none of 4"),
]


@pytest.mark.parametrize(("harm", "message"), WRONG)
def test_a_shard_that_does_not_fit_is_named(folder, harm, message):
    harm(folder)
    with pytest.raises(TraceError, match=message):
        open_trace(folder)


def test_what_may_differ_from_shard_to_shard_does(folder):
    """The twin: other seeds and devices, and files of other people, are no fault."""
    for i, name in enumerate(NAMES):
        put(folder / name, seed=i, device="cuda")
    (folder / "notes.txt").write_text("mine")
    found = open_trace(folder).attrs
    assert (found["seed"], found["device"]) == ([0, 1, 2, 3], "cuda")


def test_a_damaged_chunk_is_named_with_its_shard(folder):
    for chunk in (folder / NAMES[2] / "base" / "c").rglob("*"):
        if chunk.is_file():
            chunk.write_bytes(chunk.read_bytes()[:-1])
    with pytest.raises(TraceError, match=r"shard-00002-of-00004.zarr: base: a chunk cannot be read"):
        validate(open_trace(folder))


@pytest.mark.slow
def test_errors_of_compact_laws_are_joined(tmp_path):
    draw(tmp_path / "run", record="laws-top-2")
    stated = [open_trace(tmp_path / "run" / name).attrs["law_error"]["target_probs"] for name in NAMES]
    found = open_trace(tmp_path / "run")
    joined = found.attrs["law_error"]["target_probs"]
    validate(found, laws=True)
    assert joined["max"] == max(one["max"] for one in stated)
    assert joined["laws"] == sum(one["laws"] for one in stated)
    assert min(one["mean"] for one in stated) < joined["mean"] < max(one["mean"] for one in stated)


SIZES = {"vocab_size": 3, "num_tokens": 5, "window": 1, "decoder": "mine"}


@pytest.mark.parametrize(
    ("name", "shard", "message"),
    [
        ("run", (4, 4), r"shard\[0\] = 4"),
        ("run", (-1, 4), r"shard\[0\] = -1"),
        ("run", (0, 0), r"shard\[1\] = 0"),
        ("run", 3, r"shard = 3: must be \(index, count\)"),
        ("run.zip", (0, 4), r"run.zip: shards lie in a folder"),
        ("whole.zarr", (0, 4), r"whole.zarr: is a trace, and no folder of shards"),
        ("run", (0, 5), r"run: holds shard-0000.-of-00004.zarr, and shard = \(0, 5\) is of another number"),
        ("run", (1, 4), r"shard-00001-of-00004.zarr: exists already"),
    ],
)
def test_a_shard_is_written_where_it_belongs(folder, made, name, shard, message):
    shutil.copytree(made / "whole.zarr", folder.parent / "whole.zarr")
    with pytest.raises(InputError, match=message):
        TraceWriter(folder.parent / name, **SIZES, shard=shard)


def test_a_shard_needs_a_folder():
    with pytest.raises(InputError, match=r"shard = \(0, 2\): path = None: must be that of a folder"):
        TraceWriter(**SIZES, shard=(0, 2))


# -- decode(jobs=) ---------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(("jobs", "batch_size", "count"), [(1, None, 1), (2, None, 2), (3, 10, 5), (2, 50, 2)])
def test_sequences_do_not_depend_on_who_decodes_them(tmp_path, jobs, batch_size, count):
    alone = decode(MODEL, "scd-mc", 3, COUNT, seed=9, record=None)
    for record, path in ((None, None), ("scalars", tmp_path / "run")):
        with joblib.parallel_config(backend="threading"):
            found = decode(
                MODEL, "scd-mc", 3, COUNT, seed=9, record=record, out_path=path, batch_size=batch_size, jobs=jobs
            )
        assert torch.equal(found.tokens, alone.tokens)
        assert torch.equal(found.nfe, alone.nfe)
    assert len(shards_in(tmp_path / "run")) == count
    np.testing.assert_array_equal(found.trace["tokens"].values, alone.tokens)
    other = decode(MODEL, "scd-mc", 3, COUNT, seed=10, record=None)
    assert not torch.equal(other.tokens, alone.tokens)


@pytest.mark.slow
def test_a_decode_goes_on_from_its_finished_shards(folder):
    whole = open_trace(folder).load()
    shutil.rmtree(folder / NAMES[2])
    put(folder / NAMES[3], complete=False)
    kept = {name: (folder / name / "zarr.json").stat().st_mtime_ns for name in NAMES[:2]}
    with joblib.parallel_config(backend="threading"):
        found = decode(MODEL, "sjd", 3, COUNT, seed=4, record="laws", out_path=folder, jobs=3)
    assert {name: (folder / name / "zarr.json").stat().st_mtime_ns for name in NAMES[:2]} == kept
    for name in whole.data_vars:
        np.testing.assert_array_equal(found.trace[name].values, whole[name].values)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seed": 5}, r"NAME: is there, with seed = 4, and this decode has 5"),
        ({"window": 2}, r"NAME: is there, with window = 3"),
        ({"num_sequences": 43}, r"NAME: is there, with sequences_in_all = 42"),
        ({"num_sequences": 3}, r"holds shards of 4, and num_sequences = 3"),
        ({"record": "scalars"}, r"NAME: is there, with laws = 'float32', and this decode has None"),
        (
            {"model": TabularModel.random(3, 6, 0.7, seed=2)},
            r"NAME: is there, and of another model: the law of token 0",
        ),
        ({"method": "jacobi"}, r"NAME: is there, with method = 'sjd'"),
        ({"jobs": 0}, r"jobs = 0"),
        ({"out_path": None}, r"jobs = 2: the shards of a trace need an out_path"),
    ],
)
def test_shards_of_another_decode_are_not_gone_on_from(made, options, message):
    given = {"window": 3, "num_sequences": COUNT, "seed": 4, "record": "laws", "out_path": made / "shards", "jobs": 2}
    given |= {"model": MODEL, "method": "sjd", **options}
    with (
        joblib.parallel_config(backend="threading"),
        pytest.raises(InputError, match=message.replace("NAME", "shard-0000.-of-00004.zarr")),
    ):
        decode(given.pop("model"), given.pop("method"), **given)


class Deadly:
    """A model that kills the first worker that asks it for a second batch."""

    def __init__(self, mark):
        self.mark, self.done, self.asked = mark, mark.with_suffix(".done"), 0
        self.vocab_size, self.num_tokens = MODEL.vocab_size, MODEL.num_tokens

    def next_token_probs(self, tokens):
        self.asked += 1
        if (
            self.asked == 12
            and os.getpid() != int(self.mark.read_text())
            and not self.mark.with_suffix(".done").exists()
        ):
            self.mark.with_suffix(".done").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return MODEL.next_token_probs(tokens)


@pytest.mark.slow
def test_a_worker_that_is_killed_costs_its_shard_only(tmp_path):
    mark = tmp_path / "mark"
    mark.write_text(str(os.getpid()))
    found = decode(Deadly(mark), "sjd", 3, COUNT, seed=4, out_path=tmp_path / "run", batch_size=6, jobs=2)
    assert mark.with_suffix(".done").exists()
    assert torch.equal(found.tokens, decode(MODEL, "sjd", 3, COUNT, seed=4, record=None).tokens)
    validate(found.trace)


def test_the_place_of_a_shard_is_told():
    assert str(shard_in("memory://runs/a", (1, 3))) == "memory://runs/a/shard-00001-of-00003.zarr"
