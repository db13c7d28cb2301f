"""Laws in fewer bytes: what is stored, the error that is stated, and what an audit makes of it."""

import numpy as np
import pytest
import torch
import xarray as xr
import zarr
from numpy.testing import assert_allclose

import scd_analysis
from reference import TabularModel, decode
from reference.broken import get_fault
from scd_analysis import Outcome, audit
from scd_analysis.errors import InputError, LawError, TraceError, UnknownNameError
from scd_analysis.trace import open_trace, read_laws, validate
from scd_analysis.trace.compact import _round, form_of
from scd_analysis.trace.schema import COMPACT, LAWS, REQUIRED, SCALARS_OF_LAWS, VARIABLES
from scd_analysis.trace.summary import summarise

MODEL = TabularModel.random(8, 5, 0.4, seed=0)
FORMS = ("laws-float16", "laws-top-3")
STORED = {"laws-float16": COMPACT[:2], "laws-top-3": COMPACT[2:]}


def recorded(record, **options):
    return decode(MODEL, "scd-mc", 3, 60, seed=2, record=record, batch_size=25, **options).trace


@pytest.fixture(scope="module")
def exact():
    return recorded("laws").load()


@pytest.fixture(scope="module", params=FORMS)
def compact(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("compact") / "run.zarr"
    recorded(request.param, out_path=path)
    return path


def distances(trace, exact, name):
    """Total variation of every stored law from the exact one."""
    used = exact.draft_token.notnull().values
    first, second = (read_laws(one, name)[used] for one in (trace, exact))
    return np.abs(first - second).sum(-1) / 2


def is_stated(trace, exact):
    """Whether the error is what the trace says."""
    found = {name: distances(trace, exact, name) for name in LAWS}
    stated = trace.attrs["law_error"]
    return all(
        abs(each.max() - stated[name]["max"]) < 1e-6
        and abs(each.mean() - stated[name]["mean"]) < 1e-6
        and len(each) == stated[name]["laws"]
        for name, each in found.items()
    )


def test_the_stated_error_is_the_error(compact, exact):
    trace = open_trace(compact).load()
    assert is_stated(trace, exact)
    assert 0 < trace.attrs["law_error"]["target_probs"]["mean"] < trace.attrs["law_error"]["target_probs"]["max"]
    if form_of(trace) == "float16":
        assert trace.attrs["law_error"]["target_probs"]["max"] < 2**-11


def test_another_error_than_the_stated_one_is_seen(compact, exact):
    """The twin: a law that was changed after it was stored, and a statement that was."""
    trace = open_trace(compact).load()
    attributes = {name: {**each, "max": each["max"] / 2} for name, each in trace.attrs["law_error"].items()}
    if form_of(trace) == "float16":
        assert not is_stated(trace.assign_attrs(law_error=attributes), exact)
    else:  # what is kept of a cut law says by itself how much is not
        with pytest.raises(LawError, match=r"draft_top_probs\[0, 2, 1\] sums to 0.61406: expected 0.731848 to 1.0001"):
            is_stated(trace.assign_attrs(law_error=attributes), exact)
    name = "target_probs_half" if "target_probs_half" in trace else "target_top_probs"
    trace[name][7, 1, 0] = trace[name][7, 1, 0].values[::-1]
    assert not is_stated(trace, exact)


def test_scalars_and_tokens_are_those_of_the_exact_laws(compact, exact):
    trace = open_trace(compact)
    for name in REQUIRED:
        np.testing.assert_array_equal(trace[name], exact[name], err_msg=name)
    assert not any(name in trace for name in LAWS)


def test_plain_xarray_reads_probabilities(compact, exact):
    """Units of 2^-15 are taken off by xarray itself, and unused slots are masked."""
    trace = xr.open_zarr(compact)
    used = exact.draft_token.notnull().values
    stored = next(names for names in STORED.values() if names[0] in trace)
    for name in stored:
        assert trace[name].attrs["units"] == VARIABLES[name].units
        assert (trace[name].notnull().values == used[..., None]).all()
    if "target_probs_half" in trace:
        assert zarr.open_array(str(compact / "target_probs_half")).dtype == np.float16
        for name in LAWS:
            assert_allclose(trace[f"{name}_half"].values[used], exact[name].values[used], rtol=2**-11, atol=1e-9)
    else:
        assert trace.sizes["rank"] == 3
        tokens, probs = (trace[f"target_top_{kind}"].values[used] for kind in ("tokens", "probs"))
        assert (tokens[:, 0] == exact.draft_token.values[used]).all()
        whole = exact.target_probs.values[used]
        assert (probs == np.take_along_axis(whole, tokens.astype(int), -1)).all()
        np.put_along_axis(whole, tokens[:, :1].astype(int), 0.0, -1)  # the others are the most probable of the rest
        assert (probs[:, 1] == whole.max(-1)).all()


TINY = [1e-13, 3e-9, 1e-39, 0.25, 0.0]


def one_pass(law, **options):
    """A pass of one sequence of two slots, both with the law."""
    law = np.tile(np.asarray(law), (1, 2, 1))
    with scd_analysis.TraceWriter(
        vocab_size=law.shape[-1], num_tokens=2, window=2, decoder="mine", **options
    ) as writer:
        drafts = np.zeros((1, 2), dtype=int)
        writer.append(base=[0], draft_token=drafts, next_token=drafts, accepted=drafts + 1, draft_probs=law,
                      target_probs=law)  # fmt: skip
    return open_trace(writer.store)


def test_what_is_possible_stays_possible_and_nothing_else_becomes_so():
    law = np.array([*TINY, 1 - sum(TINY)])
    half = read_laws(one_pass(law, laws="float16"))[0, 0, 0]
    assert ((half > 0) == (law > 0)).all()
    assert_allclose(half[[1, 3, 5]], law[[1, 3, 5]], rtol=2**-10)
    cut = read_laws(one_pass(law, laws="top-2"))[0, 0, 0]  # the draft is token 0, the least probable but one
    assert (cut > 0).tolist() == [True, False, False, False, False, True]
    assert np.float16(law[0]) == 0  # the twin: probabilities in half precision as they are
    assert np.argmax(law) != 0


def test_rounding_is_that_of_half_precision():
    """Bit by bit, but below the smallest normal number, where it is upwards."""
    rng = np.random.default_rng(0)
    laws = np.exp(-36 * rng.random((500, 64))).astype(np.float32)
    laws[:, :3] = 0, 1, 2.0**-20 * (1 + 2.0**-11)  # the last is a tie
    ((half,), _), units = _round(laws), laws * np.float32(2**15)
    with np.errstate(under="ignore"):
        expected = units.astype(np.float16)
    few = units < 2.0**-14
    np.testing.assert_array_equal(half[~few], expected[~few])
    assert (half[few] >= units[few]).all()
    assert (half[few] - units[few] < 2.0**-24).all()
    assert 0.1 < few.mean() < 0.9
    assert (expected[few] < units[few]).any()  # the twin: as numpy rounds


def test_stored_laws_are_checked_against_the_scalars(compact):
    validate(open_trace(compact), laws=True)
    trace = open_trace(compact).load()
    name = "target_probs_half" if "target_probs_half" in trace else "target_top_probs"
    changed = trace.copy(deep=True)
    changed[name][7, 1, 0] = changed[name][7, 1, 0].values[::-1]
    validate(changed)  # laws are read on request only
    with pytest.raises(TraceError, match=r"\[7, 1, 0\] = .* stated error allows"):
        validate(changed, laws=True)
    if name == "target_top_probs":  # the same laws, said to be of other tokens
        changed = trace.copy(deep=True)
        changed["draft_top_tokens"][7, 1, 0] = changed["draft_top_tokens"][7, 1, 0].values[::-1]
        with pytest.raises(TraceError, match=r"draft_prob_of_token\[7, 1, 0\] = .* stated error allows"):
            validate(changed, laws=True)


def test_a_statement_too_small_is_seen(exact):
    """By what a cut law leaves out; whole laws are held to rounding alone."""
    trace = recorded("laws-top-2").load()
    validate(trace, laws=True)
    halved = {name: {**each, "max": each["max"] / 2} for name, each in trace.attrs["law_error"].items()}
    with pytest.raises(LawError, match=r"draft_top_probs.* sums to .*: expected"):
        validate(trace.assign_attrs(law_error=halved), laws=True)
    with pytest.raises(TraceError, match="stated error allows"):
        validate(exact.assign(target_probs=exact.target_probs.roll(vocab=1)), laws=True)
    validate(exact, laws=True)


def test_the_summary_says_so(compact, exact):
    found = summarise(open_trace(compact))
    stated = open_trace(compact).attrs["law_error"]
    assert found["laws"] == open_trace(compact).attrs["laws"]
    assert found["law_error_max"] == max(one["max"] for one in stated.values())
    assert 0 < found["law_error_mean"] < found["law_error_max"]
    assert "law_error_max" not in summarise(exact)
    assert "laws" not in summarise(recorded("scalars"))


def test_an_interrupted_trace_states_the_error_of_what_is_there(exact, tmp_path):
    calls = 0
    foreign = type("M", (), {"vocab_size": 8, "num_tokens": 5})()

    def laws(tokens):
        nonlocal calls
        calls += 1
        if calls > 2:
            raise KeyboardInterrupt
        return MODEL.next_token_probs(tokens)

    foreign.next_token_probs = laws
    with pytest.raises(KeyboardInterrupt):
        decode(foreign, "scd-mc", 3, 25, seed=2, record="laws-float16", out_path=tmp_path / "t.zarr")
    trace = open_trace(tmp_path / "t.zarr")
    assert not trace.attrs["complete"]
    assert trace.attrs["law_error"]["target_probs"]["laws"] == int(trace.draft_token.notnull().sum()) > 0


BAD = [
    ({"record": "laws-float8"}, UnknownNameError, "known: scalars, laws, laws-float16, laws-top-K"),
    ({"record": "laws-float32"}, None, ""),
    ({"record": "float16"}, UnknownNameError, "record='float16'"),
    ({"record": "laws-top-"}, UnknownNameError, "record='laws-top-'"),
    ({"record": "laws-top-1"}, InputError, "tokens kept = 1: must be at least 2"),
    ({"record": "laws-top-9"}, InputError, r"keeps more tokens than the vocabulary has \(8\)"),
]


@pytest.mark.parametrize(("arguments", "error", "message"), BAD)
def test_bad_forms_are_named(arguments, error, message):
    if error is None:
        assert form_of(decode(MODEL, "sjd", 3, 2, **arguments).trace) == "float32"
        return
    with pytest.raises(error, match=message):
        decode(MODEL, "sjd", 3, 2, **arguments)


def test_compact_laws_are_not_given_as_such():
    with pytest.raises(UnknownNameError, match="known: float32, float16, top-K"):
        one_pass([0.5, 0.5], laws="half")
    writer = scd_analysis.TraceWriter(vocab_size=2, num_tokens=2, window=1, decoder="mine", laws="float16")
    row = {"base": [0], "draft_token": [[0]], "next_token": [[0]], "accepted": [[1]]}
    with pytest.raises(InputError, match="draft_probs_half: not a variable"):
        writer.append(**row, draft_probs_half=np.ones((1, 1, 2)) / 2)
    with pytest.raises(TraceError, match="holds no laws"):
        read_laws(recorded("scalars"))


def without_numbers(trace):
    """A trace whose laws have no numbers of theirs beside them."""
    return trace.assign({name: trace[name] * np.nan for name in SCALARS_OF_LAWS})


@pytest.mark.slow
@pytest.mark.parametrize("record", FORMS)
def test_a_lossless_decoder_is_not_refuted_for_its_rounding(record):
    """Laws cut to three of eight tokens are off by a third and more: as exact ones they would refute anybody."""
    trace = decode(MODEL, "scd-mc", 3, 600, seed=4, record=record).trace.load()
    assert audit(trace, MODEL, progress=False).outcome is Outcome.NOT_REFUTED
    for name in LAWS:  # the twin: taken for exact
        trace[name] = (VARIABLES[name].dims, read_laws(trace, name))
    if record == "laws-top-3":
        with pytest.raises(TraceError, match="draft_prob_of_token"):  # they contradict the numbers of the exact ones
            audit(trace, MODEL, progress=False)
        verdict = audit(without_numbers(trace), MODEL, progress=False)
        assert verdict.outcome is Outcome.REFUTED


@pytest.mark.slow
@pytest.mark.parametrize("record", FORMS)
@pytest.mark.parametrize("name", ["stale-law", "row-shifted", "lenient-acceptance"])
def test_a_planted_fault_is_refuted_from_a_compact_trace(name, record):
    fault = get_fault(name)
    verdict = audit(fault.traced(3, record), MODEL, max_sequences=6000, progress=False)
    assert verdict.outcome is Outcome.REFUTED
    assert verdict.condition is fault.condition


def test_without_a_model_compact_laws_are_not_enough(compact):
    with pytest.raises(InputError, match="no laws that are exact"):
        audit(str(compact), progress=False)


def test_tensors_of_a_foreign_loop_are_stored_alike():
    law = torch.tensor([0.1, 0.2, 0.7], dtype=torch.float64)
    trace = one_pass(law, laws="float16")
    assert_allclose(read_laws(trace)[0, 0, 1], law, rtol=2**-10)
    assert trace.attrs["laws"] == "float16"
