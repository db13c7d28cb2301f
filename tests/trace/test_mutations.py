"""Small traces changed in many ways, seeded: whatever comes of it is an answer or an error of our kinds."""

import json
import re
import shutil
import time
import tracemalloc
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from xarray.backends import BackendArray
from xarray.core import indexing
from zarr.storage import MemoryStore

import scd_analysis
from reference import TabularModel, decode
from scd_analysis import audit, open_trace
from scd_analysis.errors import InputError, LawError, TraceError
from scd_analysis.trace import read_laws, validate
from scd_analysis.trace.schema import LAWS, REQUIRED
from scd_analysis.trace.summary import summarise

MODEL = TabularModel.random(3, 4, 0.7, seed=0)
FORMS = ("laws", "laws-float16", "laws-top-2")
VALUES = [None, True, -1, 0, 1.5, 10**9, 10**30, 1e999, float("nan"), "3", "", [], {}, [[]], [[0, -4, 2]], "\ud800",
          [[0, 8, 3]], {"target_probs": 3}, {"max": {}}, [1, "2"], [[[]] * 3] * 3]  # fmt: skip


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mutations")
    for form in FORMS:
        decode(MODEL, "scd-mc", window=2, num_sequences=6, batch_size=4, record=form, out_path=folder / form)
    return folder


def mutate(path, rng):
    """Change one thing, and say what."""
    files = sorted(file for file in path.rglob("*") if file.is_file())
    headers = [file for file in files if file.name == "zarr.json"]
    chunks = [file for file in files if file.name != "zarr.json"]
    kind = ("value", "value", "value", "attribute", "attribute", "bytes", "cut", "gone", "swapped")[rng.integers(9)]
    file = (headers if kind in ("value", "attribute") else files if kind == "bytes" else chunks)[
        rng.integers(len(headers if kind in ("value", "attribute") else files if kind == "bytes" else chunks))
    ]
    if kind in ("value", "attribute"):
        file = path / "zarr.json" if kind == "attribute" else file
        content = json.loads(file.read_text())
        content.pop("consolidated_metadata", None)
        where, value = content, VALUES[rng.integers(len(VALUES))]
        if kind == "attribute":
            where = where["attributes"]
        keys: list = sorted(where)
        key = keys[rng.integers(len(keys))]
        while isinstance(where[key], (dict, list)) and where[key] and rng.random() < 0.6:
            where = where[key]
            keys = sorted(where) if isinstance(where, dict) else list(range(len(where)))
            key = keys[rng.integers(len(keys))]
        where[key] = value
        file.write_text(json.dumps(content))
        return f"{file.relative_to(path)}: {key} = {value!r}"
    if kind == "gone":
        file.unlink()
    elif kind == "cut":
        file.write_bytes(file.read_bytes()[: -int(rng.integers(1, 30))])
    elif kind == "swapped":
        file.write_bytes(chunks[rng.integers(len(chunks))].read_bytes())
    else:
        raw = bytearray(file.read_bytes())
        for _ in range(rng.integers(1, 4)):
            raw[rng.integers(len(raw))] = rng.integers(256)
        file.write_bytes(bytes(raw))
    return f"{file.relative_to(path)}: {kind}"


def looked_at(path):
    """Everything a trace is read by; errors of our kinds only."""
    opened = open_trace(path)
    for read in (
        lambda: validate(opened, laws=True),
        lambda: summarise(opened),
        lambda: [read_laws(opened, name) for name in LAWS],
        lambda: audit(opened, MODEL, progress=False),
    ):
        with suppress(InputError):
            read()


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
def test_mutations_are_errors_of_our_kinds(originals, tmp_path, form):
    rng, refused = np.random.default_rng([18, FORMS.index(form)]), 0
    tracemalloc.start()
    try:
        for number in range(10):
            path = Path(shutil.copytree(originals / form, tmp_path / "t", dirs_exist_ok=True))
            what, start = mutate(path, rng), time.process_time()
            try:
                looked_at(path)
            except InputError as error:
                refused += str(error).isprintable()
            except Exception as error:
                raise AssertionError(f"{form} {number}: {what}: {type(error).__name__}: {error}") from error
            assert time.process_time() - start < 20, what
            shutil.rmtree(path)
        assert tracemalloc.get_traced_memory()[1] < 2**28
    finally:
        tracemalloc.stop()
    assert 1 < refused < 10  # some are seen at once, and some change nothing


@pytest.mark.slow
@pytest.mark.parametrize("factor", [-2, -1, 2, 1.001, 0, np.inf])
@pytest.mark.parametrize("name", LAWS)
def test_a_stored_law_is_checked_before_it_is_normalised(originals, name, factor):
    """A law that is -2 or 2 times one is normalised to one."""
    for form, variable in zip(FORMS, (name, f"{name}_half", name.replace("probs", "top_probs")), strict=True):
        trace = open_trace(originals / form).load()
        validate(trace, laws=True)
        if form == "laws-top-2" and factor == 1.001:
            continue  # the tokens left out may be as probable
        changed = trace[variable].values.copy()
        changed[3, 1, 0] *= factor
        odd = trace.assign({variable: (trace[variable].dims, changed)})
        for read in (lambda odd=odd: read_laws(odd, name), lambda odd=odd: validate(odd, laws=True)):
            with pytest.raises(LawError, match=rf"{variable}\[3, 1, 0"):
                read()
        if form == "laws":
            with pytest.raises(LawError, match=variable):
                audit(odd, MODEL, progress=False)
            with pytest.raises(LawError, match=variable):
                audit(odd, progress=False)


@pytest.mark.slow
def test_a_law_of_nan_is_none(originals):
    for form, variable in zip(FORMS, ("target_probs", "target_probs_half", "target_top_probs"), strict=True):
        for entry in (0, slice(None)):
            trace = open_trace(originals / form).load()
            trace[variable][2, 0, 0, entry] = np.nan
            with pytest.raises(InputError, match=r"target_.*\[2, 0, 0"):
                validate(trace, laws=True)


@pytest.mark.slow
def test_kept_tokens_are_different_tokens(originals):
    for value in (0.5, 3, -1, np.nan):
        trace = open_trace(originals / "laws-top-2").load()
        trace["target_top_tokens"][2, 0, 0, 1] = value
        with pytest.raises(TraceError, match=r"target_top_tokens\[2, 0, 0, [01]\]"):
            validate(trace, laws=True)
    trace["target_top_tokens"][2, 0, 0] = 1
    with pytest.raises(TraceError, match=r"target_top_tokens\[2, 0, 0, 0\]"):
        read_laws(trace)


def renamed(trace):
    return trace.rename(slot="place")


HOSTILE = [
    lambda trace: trace.drop_vars("base"),
    lambda trace: trace.drop_attrs(),
    renamed,
    lambda trace: trace.isel(slot=slice(1)),
    lambda trace: trace.isel(position=0),
    lambda trace: trace.assign(base=trace.base.astype(str)),
    lambda trace: trace.assign(base=trace.base.astype(object)),
    lambda trace: trace.assign(base=trace.base * 1j),
    lambda trace: trace.assign(base=trace.base.transpose()),
    lambda trace: trace.assign(base=trace.base - 1),
    lambda trace: trace.assign(base=trace.base + np.inf),
    lambda trace: trace.assign(draft_token=trace.draft_token + 0.5),
    lambda trace: trace.assign(entropy=trace.entropy + np.inf),
    lambda trace: trace.assign(entropy=-1 - trace.entropy),
    lambda trace: trace.assign(age=trace.age - np.inf),
    lambda trace: trace.assign(collision_independent=trace.entropy * 0 + 7),
    lambda trace: trace.assign(target_probs=trace.target_probs.astype("datetime64[ns]")),
    lambda trace: trace.drop_vars("target_probs"),
    lambda trace: trace.assign_attrs(vocab_size="3"),
    lambda trace: trace.assign_attrs(vocab_size=4),
    lambda trace: trace.assign_attrs(vocab_size=-3),
    lambda trace: trace.assign_attrs(num_tokens=4.5),
    lambda trace: trace.assign_attrs(window=True),
    lambda trace: trace.assign_attrs(blocks=[[0, 4], [4, 6]]),
    lambda trace: trace.assign_attrs(blocks="all"),
    lambda trace: trace.assign_attrs(complete=1),
    lambda trace: trace.assign_attrs(law_error=[]),
    lambda trace: trace.assign_attrs(law_error={"target_probs": {"max": 2, "mean": 0, "laws": 1}}),
    lambda trace: trace.assign_attrs(schema_version="1"),
    lambda trace: trace["base"],
    lambda trace: None,
    lambda trace: {"base": 3},
]


@pytest.mark.parametrize("number", range(len(HOSTILE)))
def test_a_dataset_that_is_no_trace_is_named(originals, number):
    """As a subject may return it: in memory, with anything missing or odd."""
    trace = open_trace(originals / "laws").load()
    with pytest.raises(InputError) as refused:
        validate(HOSTILE[number](trace), laws=True)
    assert str(refused.value).isprintable()


class Gone(BackendArray):
    """Data that is read when it is needed, and is not to be had then."""

    def __init__(self, like):
        self.shape, self.dtype = like.shape, like.dtype

    def __getitem__(self, key):
        raise OSError(5, "the server is gone")


@pytest.mark.parametrize("name", ["base", "tokens", *LAWS])
def test_data_of_another_library_that_cannot_be_read_is_named(originals, name):
    trace = open_trace(originals / "laws").load()
    gone = xr.Variable(trace[name].dims, indexing.LazilyIndexedArray(Gone(trace[name])))
    for judge in (lambda trace: validate(trace, laws=True), lambda trace: audit(trace, MODEL)):
        with pytest.raises(TraceError, match="the server is gone"):
            judge(trace.assign({name: gone}))


def test_an_unusual_dataset_is_a_trace(originals):
    """The twin: of other number types, with coordinates, cut, and of NumPy's attributes."""
    trace = open_trace(originals / "laws").load()
    validate(trace.astype(np.float64), laws=True)
    validate(trace.assign_coords(sequence=np.arange(6) + 40, note=("sequence", list("abcdef"))), laws=True)
    validate(trace.assign_coords(slot=["a", "b"], iteration=-np.arange(trace.sizes["iteration"])))
    with pytest.raises(TraceError, match="base is a coordinate"):
        validate(trace.set_coords("base"))
    with pytest.raises(TraceError, match="3: the name of an attribute"):
        validate(trace.assign_attrs({3: 4}))
    validate(trace.isel(sequence=[5, 0]), laws=True)
    validate(trace.assign_attrs(vocab_size=np.int64(3), extra=object()), laws=True)
    validate(trace.drop_vars(LAWS), laws=True)
    validate(trace.isel(sequence=slice(0)), laws=True)
    validate(trace.assign(mine=("sequence", list("abcdef"))), laws=True)


class Stopping(MemoryStore):
    """A store that takes so many writes and no more, as of a killed process."""

    left = 10**9

    async def set(self, key, value, byte_range=None):
        self.left -= 1
        if self.left < 0:
            raise OSError("killed")
        await super().set(key, value, byte_range)


def recorded(store, form):
    sizes = {"vocab_size": 3, "num_tokens": 4, "window": 2, "decoder": "mine", "chunk": 2, "concurrent": False}
    trace, law = scd_analysis.TraceWriter(store, laws=form, **sizes), np.array([0.5, 0.3, 0.2])
    for batch in (2, 3):
        for t in range(3):
            token = np.full((batch, 2), t)
            rows = {"draft_token": token, "next_token": token, "accepted": [[t == 2] * 2] * batch}
            laws = np.broadcast_to(law, (batch, 2, 3))
            trace.append(base=[t] * batch, draft_probs=laws, target_probs=np.roll(laws, t, -1), **rows)
        trace.finish_batch(tokens=np.tile([0, 1, 2, 2], (batch, 1)), nfe=[3] * batch)
    trace.close()


@pytest.mark.slow
@pytest.mark.parametrize("form", ["top-2", "float16", True])
def test_a_trace_validates_after_a_kill_at_any_write(form, monkeypatch):
    store = Stopping()
    recorded(store, form)
    writes, valid = 10**9 - store.left, 0
    validate(open_trace(store), laws=True)
    for left in range(1, writes, 11):
        store = Stopping()
        store.left = left
        with pytest.raises(OSError, match="killed"):
            recorded(store, form)
        try:
            opened = open_trace(store)
        except TraceError as error:
            seen = str(error)
            assert re.search(r"lacks|no zarr\.json", seen), seen
            continue
        validate(opened, laws=True)
        summarise(opened)
        valid += opened.sizes["iteration"] > 0
    assert valid > writes // 40
    assert set(REQUIRED) <= set(opened.data_vars)
