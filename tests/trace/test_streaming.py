"""Measures, checks and the audit read a trace in parts: what they hold does not grow with it."""

import gc
import tracemalloc

import pytest
import torch

from reference import decode
from scd_analysis import audit
from scd_analysis.audit import drawing, traced
from scd_analysis.figures import foreign
from scd_analysis.trace import open_trace, reader, stored_laws, trajectories, validate
from scd_analysis.trace.summary import summarise

VOCAB, LENGTH, WINDOW = 192, 12, 4
FEW, MANY = 32, 96


class Chain:
    """Each token depends on the one before."""

    vocab_size, num_tokens = VOCAB, LENGTH

    def __init__(self):
        table = torch.randn(VOCAB + 1, VOCAB, generator=torch.Generator().manual_seed(0))
        self.table = (1.5 * table).softmax(-1)

    def next_token_probs(self, tokens):
        first = torch.full((len(tokens), 1), VOCAB)
        return self.table[torch.cat([first, tokens], 1)]


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    """Traces of the same decoder, one four times as long as the other, in chunks of 16 sequences."""
    folder = tmp_path_factory.mktemp("streaming")
    for count in (FEW, MANY):
        decode(Chain(), "scd-mc", WINDOW, count, record="laws", batch_size=16, out_path=folder / f"{count}.zarr")
    return {count: folder / f"{count}.zarr" for count in (FEW, MANY)}


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    """So that a trace small enough for a test has many."""
    monkeypatch.setattr(trajectories, "PART_BYTES", 2**17)
    monkeypatch.setattr(reader, "_SLOTS_AT_ONCE", 2**9)
    monkeypatch.setattr(stored_laws, "_AT_ONCE", 2**16)
    monkeypatch.setattr(traced, "PART_BYTES", 2**21)
    monkeypatch.setattr(traced, "SMALLEST_PART", 8)
    monkeypatch.setattr(drawing, "READ_ONCE", 0)


def peak(function, path):
    """Bytes held at most while a trace is looked at, beyond those that were held before."""
    opened = open_trace(path)
    gc.collect()
    tracemalloc.start()
    try:
        function(opened)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def growth(function, paths):
    """How much more is held for the long trace than for the short one, as a share of what it has more."""
    more = 2 * 4 * (MANY - FEW) * open_trace(paths[MANY]).sizes["iteration"] * WINDOW * VOCAB
    few, many = (peak(function, paths[count]) for count in (FEW, MANY))
    return (many - few) / more


def judged(opened):
    audit(opened, Chain(), max_sequences=opened.sizes["sequence"], progress=False)


READERS = {
    "summary": summarise,
    "validate": validate,
    "validate laws": lambda opened: validate(opened, laws=True),
    "audit": judged,
    "figures": lambda opened: foreign.as_run(opened, "run"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", READERS)
def test_memory_does_not_grow_with_the_trace(paths, name):
    READERS[name](open_trace(paths[FEW]))  # what is loaded once is loaded now
    assert any(growth(READERS[name], paths) < 0.1 for _ in range(3))  # garbage not yet collected only adds


LEAKS = {
    "loads laws": lambda opened: opened["target_probs"].values,
    "keeps parts": lambda opened: [part for part in trajectories.read(opened, ("target_probs",), 4)],  # noqa: C416
    "reads through the dataset": lambda opened: [
        float(opened["target_probs"].values[i].sum()) for i in range(opened.sizes["sequence"])
    ],
}


@pytest.mark.slow
@pytest.mark.parametrize("name", LEAKS)
def test_a_reader_that_holds_a_trace_is_seen(paths, name):
    """The twin."""
    assert growth(LEAKS[name], paths) > 0.4


def test_parts_do_not_change_what_is_measured(paths, monkeypatch):
    opened = open_trace(paths[FEW])
    in_parts = summarise(opened)
    assert sum(1 for _ in trajectories.read(opened, ("base",))) > 1
    monkeypatch.setattr(trajectories, "PART_BYTES", 2**28)
    assert sum(1 for _ in trajectories.read(opened, ("base",))) == 1
    at_once = summarise(opened)
    assert in_parts.keys() == at_once.keys()
    for name, value in in_parts.items():
        same = pytest.approx(at_once[name], rel=1e-12) if isinstance(value, float) else at_once[name]
        assert value == same, name


def test_an_error_in_a_later_part_is_counted_from_the_first_sequence(paths):
    opened = open_trace(paths[FEW]).load()
    opened["accepted"][FEW - 1, 0, 1] = 3
    with pytest.raises(ValueError, match=rf"accepted\[{FEW - 1}, 0, 1\] = 3.0"):
        validate(opened)


def test_long_sequences_are_checked_a_few_at_a_time(paths, monkeypatch):
    """Tokens count where there are more of them than slots: a million a sequence, of 256 sequences, are gigabytes."""
    opened = open_trace(paths[FEW]).isel(iteration=slice(1))
    assert opened.sizes["position"] > opened.sizes["slot"]
    together = []
    monkeypatch.setattr(reader, "_check_part", lambda part, attributes: together.append(part.sizes["sequence"]))
    monkeypatch.setattr(reader, "_SLOTS_AT_ONCE", 4 * opened.sizes["position"])
    validate(opened)
    assert together[0] == 4
    assert sum(together) == FEW
