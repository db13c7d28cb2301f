"""One recorded value is changed: the verdict stays on its side, or an error names the damage."""

import numpy as np
import pytest
import torch

from reference import TabularModel, decode
from scd_analysis import Outcome, audit
from scd_analysis.errors import InputError, TraceError
from scd_analysis.trace import validate

SEQUENCES = 24
TOKENS = ("draft_token", "next_token", "bonus_token", "tokens")


class Greedy:
    """The point mass on a model's most probable token."""

    def __init__(self, model):
        self._model, self.vocab_size, self.num_tokens = model, model.vocab_size, model.num_tokens

    def next_token_probs(self, tokens):
        laws = self._model.next_token_probs(tokens)
        return torch.nn.functional.one_hot(laws.argmax(-1), self.vocab_size).to(laws.dtype)


def run(method, vocab_size, record, zeros):
    model = TabularModel.random(vocab_size, 4, 0.7, seed=vocab_size, zeros=zeros)
    model = Greedy(model) if method == "jacobi" else model
    return model, decode(model, method, 3, SEQUENCES, seed=1, record=record, progress=False).trace.load()


RUNS = {
    "sjd": ("sjd", 3, "laws", 0.2),
    "scd-mc": ("scd-mc", 4, "laws", 0.0),
    "scd-gs scalars": ("scd-gs", 6, "scalars", 0.2),
    "sjd scalars": ("sjd", 5, "scalars", 0.2),
    "ar": ("ar", 4, "laws", 0.2),
    "jacobi": ("jacobi", 5, "laws", 0.0),
    "scd-mc half": ("scd-mc", 3, "laws-float16", 0.0),
}


@pytest.fixture(scope="module", params=RUNS)
def recorded(request):
    return run(*RUNS[request.param])


def changed(trace, rng):
    """One value of one variable, changed: mostly one that is there, to one that it might have had."""
    name = list(trace.data_vars)[rng.integers(len(trace.data_vars))]
    values = trace[name].values.copy()
    there = ~np.isnan(values)
    pool = np.argwhere(there if there.any() and rng.random() < 0.9 else ~there)
    if not len(pool):
        return None
    at = tuple(pool[rng.integers(len(pool))])
    values[at] = _another(name, values[at], int(trace.attrs["vocab_size"]), rng)
    return name, at, trace.assign({name: (trace[name].dims, values)})


def _another(name, value, vocab_size, rng):
    known = 0.0 if np.isnan(value) else value
    if name in TOKENS:
        return (known + rng.integers(1, vocab_size)) % vocab_size
    if name in ("accepted", "committed", "residual_drawn"):
        return 1 - known
    return known + rng.choice([-1, 1]) if name in ("base", "age", "nfe", "num_committed") else rng.random()


def tried(trace, model):
    try:
        return audit(trace, model, progress=False), ""
    except InputError as error:
        return None, str(error)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_a_changed_value_changes_no_side(recorded, seed):
    model, trace = recorded
    rng = np.random.default_rng(seed)
    for _ in range(12):
        found = changed(trace, rng)
        if found is None:
            continue
        name, at, damaged = found
        given = model if "target_probs" not in trace or rng.random() < 0.5 else None
        verdict, error = tried(damaged, given)
        assert verdict is None or verdict.outcome is not Outcome.REFUTED, (name, at, verdict)
        assert verdict is not None or "[" in error or "trace:" in error, error  # names a place


def replaced(trace, **values):
    return trace.assign({name: (trace[name].dims, value) for name, value in values.items()})


def first(where):
    return tuple(np.argwhere(where)[0])


def of(trace, name):
    return trace[name].values.copy()


@pytest.fixture(scope="module")
def scalars():
    return run("scd-mc", 3, "scalars", 0.0)


def spoil(trace, name, where, value):
    values = of(trace, name)
    values[first(where)] = value
    return replaced(trace, **{name: values})


SAID_TWICE = {
    "accepted": (lambda t: t.residual_drawn.values == 1, 1, "residual_drawn.*1 where a committed draft"),
    "residual_drawn": (lambda t: t.accepted.values == 0, 0, "residual_drawn.*1 where a committed draft"),
    "bonus_token": (lambda t: t.bonus_token.values >= 1, 0, "bonus_token.*finished sequence holds another"),
    "base": (lambda t: t.base.values == 0, np.nan, r"base.*missing, and the pass holds tokens|next_token\[0, 0"),
    "total_variation": (
        lambda t: (t.draft_prob_of_token.values == 1) & (t.target_prob_of_token.values < 0.2),
        0.9999,
        "point mass|1 - TV",
    ),
    "draft_prob_of_token": (
        lambda t: (t.draft_prob_of_token.values < 0.1) & (t.draft_prob_of_token.values > 0),
        0.999,
        "total_variation.*less than the laws differ at the draft",
    ),
    "target_prob_of_token": (
        lambda t: (t.target_prob_of_token.values < 0.1) & (t.renyi2.values > 0.5),
        0.95,
        r"(total_variation|collision_independent|target_prob_of_token).*(less|point mass|more) than|point mass",
    ),
}


@pytest.mark.parametrize("name", SAID_TWICE)
def test_what_is_said_twice_is_said_alike(scalars, name):
    where, value, message = SAID_TWICE[name]
    trace = scalars[1]
    validate(trace)  # the twin
    with pytest.raises(TraceError, match=message):
        validate(spoil(trace, name, where(trace), value))


def test_a_token_of_a_pass_that_was_not_made_is_damage(scalars):
    """It was counted as a second commit of the last token, which refuted."""
    trace = scalars[1]
    with pytest.raises(TraceError, match=r"base\[.*missing, and the pass holds tokens"):
        validate(spoil(trace, "bonus_token", np.isnan(trace.base.values), 1))


def test_passes_that_a_sequence_takes_no_part_in_hide_no_gap(scalars):
    trace = scalars[1]
    several = first(trace.nfe.values >= 3)[0]
    gone = {name: of(trace, name) for name in trace.data_vars if "iteration" in trace[name].dims}
    for values in gone.values():
        values[several, 1] = np.nan
    with pytest.raises(TraceError, match=r"base\[.*is not where the pass before left off"):
        validate(replaced(trace, **gone))


@pytest.mark.slow
def test_an_impossible_number_is_damage_once_and_evidence_twice(scalars):
    """Without laws that are recorded beside, one number that is changed cannot be told from a fault."""
    model, trace = scalars
    rejected = (trace.residual_drawn.values == 1) & (trace.target_prob_of_token.values > 0.05)
    target, two = of(trace, "target_prob_of_token"), np.argwhere(rejected)[:2]
    target[tuple(two[0])] *= 0.98
    with pytest.raises(TraceError, match=r"sequence .*and so it is nowhere else"):
        audit(replaced(trace, target_prob_of_token=target), model, progress=False)
    target[tuple(two[1])] *= 0.98
    assert audit(replaced(trace, target_prob_of_token=target), model, progress=False).outcome is Outcome.REFUTED
