"""The decoder: its law against the exact target, its promises about keys, batches and recording, and bad input."""

import dataclasses

import numpy as np
import pytest
import torch

import reference
from reference import METHODS, Method, TabularModel, coupling_mixture, decode, get_method
from reference.kernel import fill_race
from reference.plain import plain_decoder
from scd_analysis.errors import CausalityError, InputError, LawError, UnknownNameError
from tests.reference.keyed import KeyedDraws
from tests.statistics import assert_same_law, ledger

LOSSLESS = ("ar", "sjd", "scd-mc", "scd-gs", "sjd-vp")
MIXTURES = [coupling_mixture(c, 0.4) for c in ("scd-mc", "scd-gs")]


def joint_law(model):
    """Exact law of complete sequences, Float[V^N], first token most significant."""
    law = np.ones(1)
    prefixes = torch.zeros(1, 0, dtype=torch.long)
    for _ in range(model.num_tokens):
        rows = model.next_token_probs(prefixes)[:, -1].numpy()
        law = (law[:, None] * rows).ravel()
        tail = torch.arange(model.vocab_size).repeat(len(prefixes))[:, None]
        prefixes = torch.cat([prefixes.repeat_interleave(model.vocab_size, 0), tail], dim=1)
    return law


def counts_of(tokens, vocab_size):
    place = vocab_size ** torch.arange(tokens.shape[1] - 1, -1, -1)
    return np.bincount((tokens * place).sum(1).numpy(), minlength=vocab_size ** tokens.shape[1])


# -- the law ----------------------------------------------------------------------------------------------------------

N_LAW = 100_000
LAW_RATE = ledger("decoder: joint law, all lossless methods and two mixtures", 7e-7, power=0.999, resolution=0.021)


@pytest.mark.slow
@pytest.mark.parametrize("method", [*LOSSLESS, *MIXTURES], ids=lambda m: getattr(m, "name", m))
def test_output_law_is_the_target_law(method):
    model = TabularModel.random(3, 5, 0.6, seed=2, zeros=0.1)
    tokens = decode(model, method, window=3, num_sequences=N_LAW, seed=7, record=None).tokens
    assert_same_law(counts_of(tokens, 3), joint_law(model), false_fail_rate=LAW_RATE / 7)


@pytest.mark.slow
def test_the_test_of_the_law_can_fail():
    """The twin: the uncorrected rule is about 0.03 from its target and is caught at the same rate."""
    model = TabularModel.random(3, 5, 0.6, seed=2, zeros=0.1)
    tokens = decode(model, "sjd-vp-uncorrected", window=3, num_sequences=60_000, seed=7, record=None).tokens
    with pytest.raises(AssertionError, match="p = "):
        assert_same_law(counts_of(tokens, 3), joint_law(model), false_fail_rate=LAW_RATE / 7)


# -- against the plain decoder ----------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("window", [1, 3, 9])
@pytest.mark.parametrize("initial", ["uniform", "left", "upper"])
@pytest.mark.parametrize("method", [*METHODS, *MIXTURES], ids=lambda m: getattr(m, "name", m))
def test_kernel_equals_the_plain_decoder_token_for_token(method, initial, window):
    model = TabularModel.random(3, 6, 0.5, seed=4, zeros=0.2, grid=(2, 3))
    chosen = dataclasses.replace(get_method(method), initial=initial)
    out = decode(model, chosen, window=window, num_sequences=6, seed=11, record=None)
    plain = plain_decoder(model, chosen, window)
    for i in range(6):
        tokens, passes = plain.run(KeyedDraws(11, i, 3))
        assert (list(tokens), passes) == (out.tokens[i].tolist(), int(out.nfe[i]))


# -- identities -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def grid_model():
    return TabularModel.random(4, 6, 0.5, seed=0, grid=(2, 3))


@pytest.mark.parametrize("coupling", ["scd-mc", "scd-gs"])
def test_coupling_strength_spans_sjd_to_scd(grid_model, coupling):
    run = lambda method: decode(grid_model, method, window=4, num_sequences=50, record=None)  # noqa: E731
    for alpha, other in ((0.0, "sjd"), (1.0, coupling)):
        mixed, plain = run(coupling_mixture(coupling, alpha)), run(other)
        assert torch.equal(mixed.tokens, plain.tokens)
        assert torch.equal(mixed.nfe, plain.nfe)
    half = run(coupling_mixture(coupling, 0.5))
    assert not torch.equal(half.nfe, run("sjd").nfe)


@pytest.mark.slow
def test_adaptive_continuation_is_the_recursion_of_maximal_coupling():
    """Two rules written apart, one decoder: the same noise gives the same record. The twin: SJD's is another."""
    model = TabularModel.random(3, 8, 0.5, seed=3, zeros=0.2, grid=(2, 4))
    run = lambda method: decode(model, method, window=5, num_sequences=200, seed=5, record="laws")  # noqa: E731
    pac, coupled, fresh = map(run, ("sjd-pac", "scd-mc", "sjd"))
    assert torch.equal(pac.tokens, coupled.tokens)
    assert torch.equal(pac.nfe, coupled.nfe)
    assert pac.trace.drop_attrs().identical(coupled.trace.drop_attrs())
    assert not torch.equal(pac.tokens, fresh.tokens)
    assert not torch.equal(pac.nfe, fresh.nfe)


def test_gamma_zero_is_sjd():
    flat = Method("vp0", reference.VerificationPrediction(gamma=0.0))
    model = TabularModel.random(4, 6, 0.5, seed=0, zeros=0.5)
    a, b = (decode(model, m, window=4, num_sequences=50, record=None) for m in (flat, "sjd"))
    assert torch.equal(a.tokens, b.tokens)


@pytest.mark.parametrize("window", [1, 2, 16])
def test_greedy_jacobi_equals_greedy_ancestral_sampling(grid_model, window):
    greedy = reference.ProcessedModel(grid_model, reference.Processors(temperature=0))
    expected = decode(greedy, "ar", num_sequences=4, record=None).tokens
    found = decode(grid_model, "jacobi", window=window, num_sequences=4, record=None)
    assert torch.equal(found.tokens, expected)
    assert (found.nfe <= grid_model.num_tokens).all()


def test_passes_are_counted_alike(grid_model):
    """AR takes N passes; a window always commits a token; with point-mass laws everything is accepted at once."""
    assert (decode(grid_model, "ar", num_sequences=5, record=None).nfe == 6).all()
    for method in METHODS:
        assert (decode(grid_model, method, window=3, num_sequences=50, record=None).nfe <= 6).all()
    certain = TabularModel([np.eye(2)[np.zeros(2**k, dtype=int)] for k in range(5)])
    # Pass 1 commits up to the first wrong random draft; after it every draft is right, so pass 2 ends it, or pass 3.
    assert (decode(certain, "sjd", window=5, num_sequences=20, record=None).nfe <= 3).all()


# -- keys, batches, recording -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
def test_a_sequence_does_not_depend_on_its_batch_or_on_recording(grid_model, method):
    many = decode(grid_model, method, window=4, num_sequences=40, record=None)
    for options in (
        {"num_sequences": 7},
        {"batch_size": 3},
        {"record": "scalars"},
        {"record": "laws"},
        {"device": "cpu"},
    ):
        other = decode(grid_model, method, window=4, **{"num_sequences": 40, "record": None, **options})
        count = len(other.tokens)
        assert torch.equal(other.tokens, many.tokens[:count]), options
        assert torch.equal(other.nfe, many.nfe[:count]), options


@pytest.mark.parametrize(("options", "sizes"), [({}, [26, 26]), ({"batch_size": 51}, [51, 1])])
def test_batches_are_of_one_size_unless_it_is_asked_for(grid_model, options, sizes, monkeypatch):
    """A small one would take almost as many passes as a large one."""
    opened, open_session = [], grid_model.open_session

    def noted(batch, place):
        opened.append(batch)
        return open_session(batch, place)

    monkeypatch.setattr(grid_model, "open_session", noted)
    monkeypatch.setattr(reference.decoder, "_LAW_ENTRIES", 51 * 5 * grid_model.vocab_size)
    decode(grid_model, "sjd", window=4, num_sequences=52, record=None, **options)
    assert opened == sizes


def test_seeds_differ_and_repeat(grid_model):
    a, b, c = (decode(grid_model, "sjd", num_sequences=40, seed=s, record=None).tokens for s in (0, 0, 1))
    assert torch.equal(a, b)
    assert not torch.equal(a, c)


def test_a_model_known_only_by_the_contract_decodes_the_same(grid_model):
    class Foreign:
        vocab_size, num_tokens, grid = grid_model.vocab_size, grid_model.num_tokens, grid_model.grid

        def next_token_probs(self, tokens):
            return grid_model.next_token_probs(tokens)

    for method in METHODS:
        a, b = (decode(m, method, window=4, num_sequences=20, record=None) for m in (Foreign(), grid_model))
        assert torch.equal(a.tokens, b.tokens)


# -- bad input --------------------------------------------------------------------------------------------------------


class Model:
    """A model of two tokens, with one fault."""

    vocab_size, num_tokens = 2, 4

    def __init__(self, fault):
        self.fault, self.calls = fault, 0

    def next_token_probs(self, tokens):
        self.calls += 1
        probs = torch.full((len(tokens), tokens.shape[1] + 1, 2), 0.5)
        if self.fault == "nan":
            probs[0, 1, 0] = float("nan")
        if self.fault == "later nan" and self.calls > 1:
            probs[:, 1, 0] = float("nan")
        if self.fault == "numpy":
            return probs.numpy()
        if self.fault == "sum":
            probs[0, 0] = 0.6
        if self.fault == "shape":
            probs = probs[:, :-1]
        if self.fault == "future":
            probs[:, 0, 0] = 0.3 + 0.4 * (tokens.float().mean(1) > 0)
            probs[:, 0, 1] = 1 - probs[:, 0, 0]
        return probs


FAULTS = [
    ("nan", LawError, r"\[0, 1, 0\] = nan"),
    ("later nan", LawError, r"at iteration 0\[0, 1, 0\] = nan"),
    ("sum", LawError, r"\[0, 0\] sums to 1.2"),
    ("numpy", InputError, "is a ndarray: expected a tensor"),
    ("shape", InputError, r"\(4, 3, 2\).*\(4, 4, 2\)"),
    ("future", CausalityError, r"\[:, 0\] moved by"),
]


@pytest.mark.parametrize(("fault", "error", "message"), FAULTS)
def test_a_faulty_model_is_named_before_any_result(fault, error, message):
    with pytest.raises(error, match=message):
        decode(Model(fault), "sjd", window=2, num_sequences=3)
    decode(Model(None), "sjd", window=2, num_sequences=3)  # the twin: without the fault it decodes


BAD = [
    ({"window": 0}, InputError, "window = 0"),
    ({"num_sequences": 0}, InputError, "num_sequences = 0"),
    ({"batch_size": 0}, InputError, "batch_size = 0"),
    ({"method": "scd"}, UnknownNameError, "known: ar, jacobi, sjd"),
    ({"method": 3}, InputError, "method = 3"),
    ({"record": "all"}, UnknownNameError, "scalars, laws"),
    ({"record": None, "out_path": "x.zarr"}, InputError, "out_path = x.zarr"),
    ({"device": "warp"}, InputError, "device = 'warp'"),
    ({"dtype": torch.long}, InputError, "dtype = torch.int64"),
    ({"dtype": torch.bfloat16}, InputError, "dtype = torch.bfloat16"),
    ({"device": "meta"}, InputError, "device = 'meta'"),
    ({"window": 2.5}, InputError, "window = 2.5: must be a whole number"),
    ({"seed": "x"}, InputError, "seed = 'x'"),
]


@pytest.mark.parametrize(("options", "error", "message"), BAD)
def test_bad_arguments_are_named(grid_model, options, error, message):
    options = {"method": "sjd", **options}
    with pytest.raises(error, match=message):
        decode(grid_model, options.pop("method"), **options)


def test_initial_drafts_follow_the_grid_unless_said_otherwise(grid_model):
    flat = TabularModel(list(grid_model.laws.split([4**k for k in range(6)])))
    run = lambda model, initial: decode(  # noqa: E731
        model, dataclasses.replace(get_method("sjd"), initial=initial), window=4, num_sequences=30, record=None
    )
    assert torch.equal(run(grid_model, None).nfe, run(grid_model, "left").nfe)
    assert torch.equal(run(flat, None).nfe, run(grid_model, "uniform").nfe)
    assert not torch.equal(run(grid_model, None).nfe, run(grid_model, "uniform").nfe)


@pytest.mark.parametrize("initial", ["left", "upper"])
def test_copies_wait_for_a_token_to_copy(initial):
    """The first pass drafts nothing; the second copies its token to the left ones, and on a grid the one above."""
    model = TabularModel.random(vocab_size=6, num_tokens=6, concentration=1.0, seed=3, grid=(3, 2))
    method = dataclasses.replace(get_method("scd-mc"), initial=initial)
    out = decode(model, method, window=3, num_sequences=200, progress=False)
    trace = out.trace.load()
    assert trace.draft_token[:, 0].isnull().all()
    assert (trace.num_committed[:, 0] == 1).all()
    assert (trace.bonus_token[:, 0] == out.tokens[:, 0].numpy()).all()
    assert (trace.age[:, 1] == 0).all()
    assert (trace.draft_token[:, 1] == out.tokens[:, :1].numpy()).all()
    entering = (trace.age[:, 2] == 0) & (trace.base[:, 2] == 3)  # positions 4 and 5; 3 lies left of them, 2 and 3 above
    known = trace.draft_token[:, 2, 0].values, out.tokens[:, 2].numpy()
    copied = {"left": (known[0], known[0]), "upper": (known[1], known[0])}[initial]
    checked = 0
    for slot, expected in zip((1, 2), copied, strict=True):
        rows = entering[:, slot].values
        assert (trace.draft_token[:, 2, slot].values[rows] == expected[rows]).all()
        checked += rows.sum()
    assert checked > 50
    random = decode(model, dataclasses.replace(method, initial="uniform"), window=3, num_sequences=20, progress=False)
    assert random.trace.draft_token[:, 0].notnull().all()


def test_rules_check_their_settings():
    for make, message in (
        (lambda: coupling_mixture("scd-mc", 1.5), "alpha = 1.5"),
        (lambda: coupling_mixture("scd-xx", 0.5), "scd-mc, scd-gs"),
        (lambda: reference.VerificationPrediction(gamma=-1), "gamma = -1"),
        (lambda: reference.VerificationPrediction(clip=0.5), "clip = 0.5"),
        (lambda: reference.Mixture(reference.VerificationPrediction(), 0.5), "declares another law"),
        (lambda: Method("m", "sjd"), "drafting = 'sjd'"),
        (lambda: Method("m", None, initial="right"), "uniform, left, upper"),
    ):
        with pytest.raises(InputError, match=message):
            make()
    flat = TabularModel.random(2, 3, seed=0)
    with pytest.raises(InputError, match="grid"):
        decode(flat, dataclasses.replace(get_method("sjd"), initial="upper"))


def test_noise_is_made_once_for_every_position_of_a_window_and_for_no_other(monkeypatch):
    """A bonus token moves the window by more than its size: two positions would share a place in the ring."""
    calls = []

    def spy(settings, state, row, position):
        calls.append((settings.window, row.tolist(), position.tolist()))
        return fill_race(settings, state, row, position)

    monkeypatch.setattr(reference.decoder, "fill_race", spy)
    model = TabularModel.random(2, 9, 100.0, seed=0)  # nearly flat: nearly everything is accepted
    out = decode(model, "scd-gs", 3, 40, record="scalars")
    assert (out.trace.bonus_token > 0).any()
    for window, row, position in calls:
        places = [(r, p % window) for r, p in zip(row, position, strict=True)]
        assert len(set(places)) == len(places)
        assert all(p < model.num_tokens for p in position)
    made = sum(len(row) for _, row, _ in calls)
    bonus = int((out.trace.bonus_token >= 0).sum())
    assert 40 * 9 - bonus <= made < 40 * 9
