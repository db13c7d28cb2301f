"""The trace: what a plain reader sees, foreign loops, crashes, and files that are not what they say."""

import asyncio
import json
import shutil
import signal
import subprocess
import sys
import time
import zipfile

import numpy as np
import pytest
import xarray as xr
import zarr
from zarr.storage import MemoryStore

import scd_analysis
from reference import METHODS, TabularModel, decode
from scd_analysis.errors import InputError, TraceError
from scd_analysis.laws import kernels
from scd_analysis.trace import open_trace, validate
from scd_analysis.trace.schema import LAWS, REQUIRED, VARIABLES
from tests.traces import foreign_rows


@pytest.fixture(scope="module")
def model():
    return TabularModel.random(3, 5, 0.7, seed=0)


@pytest.fixture
def stored(model, tmp_path):
    path = tmp_path / "run.zarr"
    decode(model, "scd-mc", window=3, num_sequences=10, batch_size=4, record="laws", out_path=path)
    return path


@pytest.mark.parametrize("method", METHODS)
def test_every_method_leaves_a_valid_trace(model, method):
    out = decode(model, method, window=3, num_sequences=10, batch_size=4, record="laws")
    validate(out.trace)
    assert out.trace.attrs["complete"]
    assert out.trace.sizes["slot"] == 3
    np.testing.assert_array_equal(out.trace["tokens"], out.tokens)
    np.testing.assert_array_equal(out.trace["nfe"], out.nfe)


def test_plain_xarray_opens_it_with_units_and_descriptions(stored):
    dataset = xr.open_zarr(stored)
    assert set(dataset.data_vars) == {*REQUIRED, *LAWS}
    for name, variable in dataset.data_vars.items():
        assert variable.attrs["units"] == VARIABLES[name].units
        assert variable.attrs["description"]
    for attribute in ("decoder", "method", "model", "seed", "device", "dtype", "versions", "created", "schema_version"):
        assert attribute in dataset.attrs


def test_unused_slots_are_masked_never_zero(stored):
    dataset = xr.open_zarr(stored)
    used = dataset.base + dataset.slot < dataset.sizes["position"]  # false also after a sequence was complete
    for name in REQUIRED:
        if "slot" in VARIABLES[name].dims:
            assert bool((dataset[name].notnull() == used).all()), name


def test_scalars_are_those_of_the_laws(stored):
    dataset = open_trace(stored)
    p, q = dataset.target_probs.values.astype(float), dataset.draft_probs.values.astype(float)
    used = dataset.draft_token.notnull().values
    for name, kernel, args in (
        ("total_variation", "total_variation", (p, q)),
        ("collision_gumbel", "collision_gumbel", (p, q)),
        ("collision_independent", "collision_independent", (p, q)),
        ("entropy", "entropy", (p,)),
        ("renyi2", "renyi2_entropy", (p,)),
    ):
        expected = getattr(kernels, kernel)(*(a[used] for a in args))
        np.testing.assert_allclose(dataset[name].values[used], expected, atol=1e-5)
    accepted = dataset.uniform * dataset.draft_prob_of_token < dataset.target_prob_of_token
    assert bool((accepted == (dataset.accepted == 1)).where(dataset.accepted.notnull(), True).all())


def test_a_zip_is_a_trace_too(model, tmp_path):
    path = tmp_path / "run.zarr.zip"
    out = decode(model, "sjd", window=3, num_sequences=4, out_path=path)
    assert zipfile.is_zipfile(path)
    assert [p.name for p in tmp_path.iterdir()] == ["run.zarr.zip"]
    validate(open_trace(path))
    np.testing.assert_array_equal(open_trace(path)["tokens"], out.tokens)


def test_three_lines_inside_a_foreign_loop(model, tmp_path):
    with scd_analysis.TraceWriter(tmp_path / "t.zarr", vocab_size=3, num_tokens=5, window=3, decoder="mine") as trace:
        trace.append(**{**foreign_rows(model), "base": np.array([0, 2])})
        trace.append(**{**foreign_rows(model), "base": np.array([2, 4])})
        trace.finish_batch(tokens=np.zeros((2, 5), dtype=int), nfe=[2, 2])
    dataset = open_trace(tmp_path / "t.zarr")
    validate(dataset)
    assert dataset.committed.values[0, 0].tolist() == [1, 1, 0]
    assert dataset.num_committed.values.tolist() == [[2, 2], [2, 1]]
    assert np.isnan(dataset.draft_token.values[1, 1]).tolist() == [False, True, True]
    assert "target_probs" not in dataset
    expected = kernels.total_variation(foreign_rows(model)["target_probs"], np.full((2, 3, 3), 1 / 3))
    np.testing.assert_allclose(dataset.total_variation.values[:, 0], expected, atol=1e-6)


KILLED = """
import sys, time, numpy as np, scd_analysis
with scd_analysis.TraceWriter(sys.argv[1], vocab_size=3, num_tokens=500, window=2, decoder="mine", chunk=4) as trace:
    for t in range(400):
        tokens = np.full((2, 2), t % 3)
        trace.append(base=[t, t], draft_token=tokens, next_token=tokens, accepted=tokens < 0)
        if t == 14:
            print("written", flush=True)
            time.sleep(60)
"""


@pytest.mark.slow
def test_a_killed_process_leaves_what_it_had_finished(tmp_path):
    path = tmp_path / "t.zarr"
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "written\n"
    process.send_signal(signal.SIGKILL)
    process.communicate()
    dataset = open_trace(path)
    assert dataset.attrs["complete"] is False
    done = dataset.sizes["iteration"]
    assert done in (8, 12)  # chunks of four: the third may still have been written, the fourth was not full
    assert dataset.draft_token.values[0, :, 0].tolist() == [t % 3 for t in range(done)]


class SlowStore(MemoryStore):
    async def set(self, key, value, byte_range=None):
        await asyncio.sleep(0.02 if "/c/" in key else 0)
        await super().set(key, value, byte_range)


@pytest.mark.slow
def test_a_decode_goes_on_while_its_last_chunk_is_written():
    """At most one chunk waits: handing over the next one waits for it, so that memory stays flat."""
    store, row = SlowStore(), {"draft_token": [[0]], "next_token": [[0]], "accepted": [[True]]}
    trace = scd_analysis.TraceWriter(store, vocab_size=3, num_tokens=20, window=1, decoder="mine", chunk=1)
    at_once = waited = 0
    for t in range(8):
        before = trace._writing
        waited += before is not None and not before.done()
        trace.append(base=[t], **row)
        at_once += trace._writing is not None and not trace._writing.done()
        assert before is None or before.done()
    trace.close()
    assert at_once > 4
    assert waited > 0
    assert open_trace(store).sizes["iteration"] == 8


def test_a_chunk_that_cannot_be_written_is_an_error_of_the_next_one():
    class Full(MemoryStore):
        async def set(self, key, value, byte_range=None):
            if "draft_token/c/" in key:
                raise OSError("no space left on device")
            await super().set(key, value, byte_range)

    row = {"draft_token": [[0]], "next_token": [[0]], "accepted": [[True]]}
    trace = scd_analysis.TraceWriter(Full(), vocab_size=3, num_tokens=20, window=1, decoder="mine", chunk=1)
    trace.append(base=[0], **row)
    with pytest.raises(OSError, match="no space left"):
        trace.append(base=[1], **row)


def test_an_interrupted_decode_keeps_its_finished_chunks(model, tmp_path):
    calls = 0
    foreign = type("M", (), {"vocab_size": 3, "num_tokens": 5})()

    def laws(tokens):
        nonlocal calls
        calls += 1
        if calls > 3:
            raise KeyboardInterrupt
        return model.next_token_probs(tokens)

    foreign.next_token_probs = laws
    with pytest.raises(KeyboardInterrupt):
        decode(foreign, "sjd", window=2, num_sequences=4, out_path=tmp_path / "t.zarr")
    dataset = open_trace(tmp_path / "t.zarr")
    assert not dataset.attrs["complete"]
    assert dataset.sizes["iteration"] == 2


def test_a_writer_stopped_while_it_made_room_leaves_a_trace(stored):
    """One array is longer than the others, as after a kill between two of them."""
    array = zarr.open_group(str(stored), mode="r+")["age"]
    array.resize((10, array.shape[1] + 3, 3))
    edited(stored, complete=False)
    expected = [block[2] for block in zarr.open_group(str(stored)).attrs["blocks"]]
    assert open_trace(stored).sizes["iteration"] == max(expected)


def test_a_failed_write_is_not_written_twice(monkeypatch, tmp_path, model):
    rows = foreign_rows(model)
    calls = {"left": 5}
    whole = zarr.Array.__setitem__

    def failing(self, *arguments):
        calls["left"] -= 1
        if calls["left"] < 0:
            raise OSError("no space left")
        whole(self, *arguments)

    monkeypatch.setattr(zarr.Array, "__setitem__", failing)
    with (
        pytest.raises(OSError, match="no space"),
        scd_analysis.TraceWriter(tmp_path / "t.zarr", vocab_size=3, num_tokens=5, window=3, decoder="x", chunk=1) as t,
    ):
        t.append(**rows)
    monkeypatch.undo()
    assert open_trace(tmp_path / "t.zarr").sizes["iteration"] == 0


def test_a_lost_chunk_is_seen(stored):
    shutil.rmtree(stored / "draft_token" / "c")
    with pytest.raises(TraceError, match=r"draft_token.* missing"):
        validate(open_trace(stored))


def test_batches_one_after_the_other(model):
    with scd_analysis.TraceWriter(vocab_size=3, num_tokens=5, window=3, decoder="mine") as trace:
        for batch in (2, 3):
            trace.append(**foreign_rows(model, batch))
            trace.finish_batch(nfe=[1] * batch)
    dataset = open_trace(trace.store)
    assert dataset.sizes == {**dataset.sizes, "sequence": 5, "iteration": 1}
    assert dataset.nfe.values.tolist() == [1] * 5


def edited(path, **attributes):
    file = path / "zarr.json"
    content = json.loads(file.read_text())
    content["attributes"].update(attributes)
    file.write_text(json.dumps(content))


def test_files_that_are_no_traces_are_named(stored, tmp_path):
    with pytest.raises(TraceError, match="no such file"):
        open_trace(tmp_path / "absent.zarr")
    (tmp_path / "text.zarr").write_text("hello")
    with pytest.raises(TraceError, match=r"text\.zarr: not a Zarr"):
        open_trace(tmp_path / "text.zarr")
    edited(stored, schema_version=99)
    with pytest.raises(TraceError, match="schema_version = 99 is later than 1"):
        open_trace(stored)
    edited(stored, schema_version="one")
    with pytest.raises(TraceError, match="no schema_version"):
        open_trace(stored)


def test_what_a_later_version_adds_is_passed_over(stored):
    before = open_trace(stored)
    group = zarr.open_group(stored, mode="r+")
    base = group["base"]
    added = group.create_array(
        "later", shape=base.shape, chunks=base.chunks, dtype="int32", dimension_names=base.metadata.dimension_names
    )
    added[:] = 1
    edited(stored, of_a_later_version=[1])
    after = open_trace(stored)
    validate(after)
    assert set(after) == set(before)
    assert after.attrs["of_a_later_version"] == [1]


def test_an_existing_trace_is_not_overwritten(stored, model):
    with pytest.raises(InputError, match="exists already"):
        decode(model, "sjd", window=3, num_sequences=2, out_path=stored)
    validate(open_trace(stored))


CONTRADICTIONS = [
    ("draft_token", (0, 0, 0), 3, r"draft_token\[0, 0, 0\] = 3"),
    ("accepted", (1, 0, 0), 0.5, "must be 0 or 1"),
    ("total_variation", (0, 0, 1), 1.5, "between 0 and 1"),
    ("base", (0, 0), 1, "moves by other than num_committed"),
    ("committed", (0, 0, 0), 0, "commits are not the first"),
    ("draft_prob_of_token", (0, 0, 0), 0, "probability 0"),
]


@pytest.mark.parametrize(("name", "index", "value", "message"), CONTRADICTIONS)
def test_validate_sees_a_contradiction(model, name, index, value, message):
    dataset = decode(model, "scd-mc", window=3, num_sequences=4, seed=3).trace.load()
    validate(dataset)
    changed = dataset[name].values.copy()
    changed[index] = value
    if name == "committed":
        changed[index[:2]] = [0, 1, 0]
    dataset[name] = (dataset[name].dims, changed)
    with pytest.raises(TraceError, match=message):
        validate(dataset)


def test_writing_again_after_a_pause_is_not_needed():
    start = time.monotonic()
    with scd_analysis.TraceWriter(vocab_size=3, num_tokens=5, window=3, decoder="mine") as trace:
        pass
    assert open_trace(trace.store).sizes["sequence"] == 0
    assert time.monotonic() - start < 30


def test_a_pass_may_draft_fewer_than_the_window_holds(model):
    """As an assistant does near the end; a pass without any draft commits a bonus token."""
    rows = foreign_rows(model)
    with scd_analysis.TraceWriter(vocab_size=3, num_tokens=5, window=3, decoder="mine", laws=True) as trace:
        first = {**rows, "draft_token": np.array([[0, 0, 0], [0, -1, -1]])}
        trace.append(**first, bonus_token=[-1, 2])
        none = {**rows, "draft_token": np.full((2, 3), -1), "base": np.array([2, 2])}
        trace.append(**none, bonus_token=[1, 1])
        trace.finish_batch(nfe=[2, 2])
    dataset = open_trace(trace.store)
    validate(dataset)
    assert dataset.committed.fillna(-1).values[:, 0].tolist() == [[1, 1, 0], [1, -1, -1]]
    assert dataset.num_committed.values.tolist() == [[2, 1], [2, 1]]
    for name in ("next_token", "accepted", "uniform", "draft_prob_of_token", "total_variation"):
        assert bool(dataset[name].where(dataset.draft_token.isnull()).isnull().all()), name
    assert bool(dataset.draft_probs.isnull().all("vocab").equals(dataset.draft_token.isnull()))
    with pytest.raises(InputError, match=r"draft_token\[1, 0\] = -1: only the last slots"):
        scd_analysis.TraceWriter(vocab_size=3, num_tokens=5, window=3, decoder="mine").append(
            **{**rows, "draft_token": np.array([[0, 0, 0], [-1, 0, 0]])}
        )
    for name in ("draft_token", "accepted"):
        broken = dataset.load().copy(deep=True)
        broken[name][0, 0, 1] = np.nan
        with pytest.raises(TraceError, match=f"{name}.* missing"):
            validate(broken)
