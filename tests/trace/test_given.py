"""What is given of a trace: anything that is not what it should be is named, as it is given."""

import numpy as np
import pytest

import scd_analysis
from reference import TabularModel
from scd_analysis.errors import InputError, LawError
from scd_analysis.trace import open_trace
from scd_analysis.trace.schema import SCALARS_OF_LAWS
from tests.traces import foreign_rows


@pytest.fixture(scope="module")
def model():
    return TabularModel.random(3, 5, 0.7, seed=0)


def broken(name, index, value):
    def change(rows):
        rows[name] = np.array(rows[name])
        rows[name][index] = value
        return rows

    return change


BAD_ROWS = [
    (broken("draft_token", (1, 2), 7), InputError, r"draft_token\[1, 2\] = 7"),
    (broken("target_probs", (0, 1, 1), np.nan), LawError, r"target_probs\[0, 1, 1\] = nan"),
    (broken("draft_probs", (0, 0), [0, 0.5, 0.5]), InputError, r"draft_probs\[0, 0, 0\] = 0"),
    (lambda rows: {**rows, "accepted": rows["accepted"][:, :2]}, InputError, r"accepted has shape \(2, 2\)"),
    (lambda rows: {**rows, "colour": rows["accepted"]}, InputError, "colour: not a variable"),
    (lambda rows: {**rows, "sequence": [0, 5]}, InputError, r"sequence\[1\] = 5"),
    (lambda rows: {**rows, "sequence": [1, 1]}, InputError, "twice"),
    (broken("base", (1,), 7), InputError, r"base\[1\] = 7"),
    (lambda rows: {**rows, "accepted": rows["accepted"] * 0.9}, InputError, r"accepted\[0, 0\] = 0.9: must be a whole"),
    (lambda rows: {**rows, "accepted": rows["accepted"] * 255}, InputError, r"accepted\[0, 0\] = 255: must be 0 or 1"),
    (lambda rows: {**rows, "draft_token": rows["draft_token"] + 0.7}, InputError, r"draft_token\[0, 0\] = 0.7"),
    (lambda rows: {**rows, "accepted": rows["accepted"] * np.nan}, InputError, r"accepted\[0, 0\] = -1: must be"),
    (lambda rows: {**rows, "sequence": [0, 0.9]}, InputError, r"sequence\[1\] = 0.9"),
    (lambda rows: {**rows, "bonus_token": [-1, 9]}, InputError, r"bonus_token\[1\] = 9: neither a token of"),
    (lambda rows: {**rows, "uniform": rows["accepted"] * 7.0}, InputError, r"uniform\[0, 0\] = 7.0: must lie between"),
    (lambda rows: without(rows, "draft_probs", target_probs=-rows["target_probs"]), LawError, r"is negative"),
    (lambda rows: without(rows, "target_probs", draft_probs=rows["draft_probs"] * 2), LawError, r"sums to 2"),
    (lambda rows: {**rows, "target_probs": rows["target_probs"].astype(np.float16) * np.float16(0.99)}, LawError,
     r"a law sums to 1 within 0\.0010"),
]  # fmt: skip


def test_what_unused_slots_hold_is_not_looked_at(model):
    writer = scd_analysis.TraceWriter(vocab_size=3, num_tokens=5, window=3, decoder="mine")
    rows = foreign_rows(model)
    rows["draft_token"][0, 2] = -1
    for name in ("accepted", "next_token"):
        rows[name] = rows[name].astype(float)
        rows[name][0, 2] = np.nan
    writer.append(**rows)
    writer.close()
    assert np.isnan(open_trace(writer.store).accepted.values[0, 0]).tolist() == [False, False, True]


def without(rows, name, **changed):
    return {key: value for key, value in rows.items() if key != name} | changed


@pytest.mark.parametrize(("change", "error", "message"), BAD_ROWS)
def test_a_bad_row_is_named(model, change, error, message):
    writer = scd_analysis.TraceWriter(vocab_size=3, num_tokens=5, window=3, decoder="mine")
    with pytest.raises(error, match=message):
        writer.append(**change(foreign_rows(model)))


BAD_ENDS = [
    ({"tokens": np.zeros((2, 6), dtype=int)}, r"tokens has shape \(2, 6\): expected \(2, 5\)"),
    ({"tokens": np.zeros((1, 5), dtype=int)}, r"tokens has shape \(1, 5\): expected \(2, 5\)"),
    ({"tokens": np.zeros(5, dtype=int)}, r"tokens has shape \(5,\)"),
    ({"tokens": np.full((2, 5), 0.9)}, r"tokens\[0, 0\] = 0.9: must be a whole number"),
    ({"tokens": np.full((2, 5), 3)}, r"tokens\[0, 0\] = 3: must lie between 0 and 2"),
    ({"nfe": [1]}, r"nfe has shape \(1,\): expected \(2,\)"),
    ({"nfe": [4, -5]}, r"nfe\[1\] = -5: must lie between 1"),
    ({"nfe": [4, 0]}, r"nfe\[1\] = 0: must lie between 1"),
]


@pytest.mark.parametrize(("ends", "message"), BAD_ENDS)
def test_a_bad_end_is_named_and_not_written(model, ends, message):
    writer = scd_analysis.TraceWriter(vocab_size=3, num_tokens=5, window=3, decoder="mine")
    writer.append(**foreign_rows(model))
    with pytest.raises(InputError, match=message):
        writer.finish_batch(**ends)
    writer.finish_batch(tokens=np.ones((2, 5), dtype=int), nfe=[2, 3])  # the twin
    with pytest.raises(InputError, match="nfe: the batch was finished already"):
        writer.finish_batch(nfe=[4, 4])
    writer.close()
    assert open_trace(writer.store).nfe.values.tolist() == [2, 3]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"laws": 9}, "laws = 9: must be True, False, or one of"),
        ({"window": 1.5}, "window = 1.5: must be a whole number"),
        ({"model": object()}, "model = <object .* cannot be written as JSON"),
        ({"complete": True}, "complete = True: a trace has an attribute of this name"),
        ({"created": "x" * 10_000}, "created = 'x+: a trace has an attribute of this name"),
        ({"num_tokens": "5"}, "num_tokens = '5': must be a whole number"),
        ({"num_tokens": 2**40}, "num_tokens = 1099511627776: must lie between 1 and 1048576"),
        ({"window": 2**40}, "window = 1099511627776: must lie between 1 and"),
        ({"vocab_size": 2**40}, "vocab_size = 1099511627776: must lie between 1 and"),
        ({"chunk": 2**40}, "chunk = 1099511627776: must lie between 1 and"),
        ({"num_sequences": -1}, "num_sequences = -1: must lie between 0 and"),
        ({"path": "x" * 300}, "path = 'x+'?: cannot be written to .*File name too long"),
        ({"path": "\0"}, "cannot be written to"),
    ],
)
def test_a_bad_argument_of_the_writer_is_named(options, message):
    with pytest.raises(InputError, match=message) as refused:
        scd_analysis.TraceWriter(**{"vocab_size": 3, "num_tokens": 5, "window": 3, "decoder": "mine"} | options)
    assert len(str(refused.value)) < 1_000


def test_one_law_alone_gives_the_scalars_that_it_decides(model):
    for given, known in (
        ("target_probs", {"target_prob_of_token", "entropy", "renyi2"}),
        ("draft_probs", {"draft_prob_of_token"}),
    ):
        writer = scd_analysis.TraceWriter(vocab_size=3, num_tokens=5, window=3, decoder="mine")
        (other,) = {"draft_probs", "target_probs"} - {given}
        writer.append(**without(foreign_rows(model), other))
        writer.close()
        found = open_trace(writer.store)
        assert {name for name in SCALARS_OF_LAWS if found[name].notnull().any()} == known


def test_a_refused_argument_replaces_nothing(tmp_path):
    sizes = {"vocab_size": 3, "num_tokens": 5, "window": np.int64(3), "decoder": "mine"}
    scd_analysis.TraceWriter(tmp_path / "t.zarr", **sizes).close()
    for wrong in ({"blocks": 3}, {"num_sequences": 1.5}, {"laws": 9}):
        with pytest.raises(InputError):
            scd_analysis.TraceWriter(tmp_path / "t.zarr", overwrite=True, **sizes, **wrong)
    assert open_trace(tmp_path / "t.zarr").attrs["window"] == 3
