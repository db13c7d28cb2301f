"""A step on a CUDA device: nothing waits for it, it can be captured as a graph, compiled code gives the same tokens."""

import numpy as np
import pytest
import torch

from reference import METHODS, TabularModel, decode, load_model
from reference.draws import inverse_cdf
from reference.fast.blocks import race_winner
from reference.fast.scan import collision_gumbel
from reference.verification import verify
from studies.bench_cuda import held
from studies.timing import compiling
from tests.gpu.waits import count_waits

pytestmark = pytest.mark.gpu

WAITS_OF_A_DECODE = 10
"""Once a decode, not once a pass: the model is checked, its tables and the tokens are copied."""


@pytest.mark.parametrize("record", [None, "scalars"])
@pytest.mark.parametrize("method", METHODS)
def test_the_host_waits_once_a_pass(method, record):
    model = load_model("digits")
    decode(model, method, 16, 3, record=record, device="cuda")
    with count_waits() as waits:
        out = decode(model, method, 16, 3, seed=1, record=record, device="cuda")
    passes = int(out.nfe.max())
    assert passes <= len(waits) <= passes + WAITS_OF_A_DECODE, sorted(set(waits))


def test_a_wait_would_be_counted():
    value = torch.ones(3, device="cuda")
    with count_waits() as waits:
        value.sum().item()
        torch.arange(3).to("cuda")
    assert len(waits) == 2


@pytest.mark.parametrize("record", [None, "laws"])
@pytest.mark.parametrize("method", METHODS)
def test_passes_replayed_as_a_graph_give_the_same_sequences_and_trace(method, record, monkeypatch):
    """Rows of a batch that shrinks later round otherwise; so few draws do not see it."""
    model = load_model("photos", temperature=0.9)
    plain = decode(model, method, 16, 5, record=record, device="cuda")
    captured: list[object] = []
    begin = torch.cuda.CUDAGraph.capture_begin
    monkeypatch.setattr(torch.cuda.CUDAGraph, "capture_begin", lambda graph: (captured.append(graph), begin(graph)))
    with compiling("auto"):
        replayed = decode(model, method, 16, 5, record=record, device="cuda")
    assert captured
    assert torch.equal(plain.tokens, replayed.tokens)
    assert torch.equal(plain.nfe, replayed.nfe)
    if record:
        for name, expected in plain.trace.data_vars.items():
            np.testing.assert_allclose(replayed.trace[name].values, expected.values, atol=1e-4, err_msg=str(name))


@pytest.mark.parametrize("method", ["scd-mc", "scd-gs"])
def test_the_host_waits_once_a_replayed_pass(method):
    model = load_model("photos")
    with compiling("auto"):
        decode(model, method, 16, 3, record="scalars", device="cuda")
        with count_waits() as waits:
            out = decode(model, method, 16, 3, seed=1, record="scalars", device="cuda")
    passes = int(out.nfe.max())
    assert passes <= len(waits) <= passes + WAITS_OF_A_DECODE, sorted(set(waits))


def test_a_compiled_step_is_replayed():
    model = load_model("photos")
    plain = decode(model, "scd-gs", 16, 4, record="scalars", device="cuda")
    with compiling("always"):
        both = decode(model, "scd-gs", 16, 4, record="scalars", device="cuda")
    assert torch.equal(plain.tokens, both.tokens)


@pytest.mark.parametrize("vocab_size", [1024, 65536])
def test_a_step_holds_a_few_windows_of_laws(vocab_size):
    assert held("scd-gs", vocab_size, torch.device("cuda")) < 12


@pytest.mark.parametrize("vocab_size", [5000, 65536])
def test_compiled_code_gives_the_tokens_of_eager_code_and_of_the_host(vocab_size):
    """Sums are taken in another order, so a threshold may fall on the other side: of 256 none did at first."""
    generator = torch.Generator().manual_seed(0)
    target, draft = (torch.softmax(2 * torch.randn(4, 64, vocab_size, generator=generator), -1) for _ in range(2))
    uniform, other = (torch.rand(4, 64, dtype=torch.float64, generator=generator) for _ in range(2))
    race = torch.empty_like(target).exponential_(generator=generator)
    tokens = inverse_cdf(draft, uniform)

    def results(device: str, mode: str) -> list[torch.Tensor]:
        given = [x.to(device) for x in (target, draft, tokens, uniform, other)]
        with compiling(mode):
            done = verify(*given, True)
            winner = race_winner(given[0], race.to(device))
            drawn = inverse_cdf(given[0], given[3])
            assert done.scalars is not None
            parts = [done.accepted, done.tokens, winner, drawn, *done.scalars, collision_gumbel(*given[:2])]
        return [part.cpu() for part in parts]

    host, eager, compiled = results("cpu", "never"), results("cuda", "never"), results("cuda", "always")
    for found in (eager, compiled):
        differ = [int((a != b).sum()) for a, b in zip(found[:4], host[:4], strict=True)]
        assert max(differ) <= 1
        for a, b in zip(found[4:], host[4:], strict=True):
            torch.testing.assert_close(a, b, atol=2e-5, rtol=1e-4)


def test_tables_wait_no_more_than_networks():
    model = TabularModel.random(4, 6, 0.5, seed=0)
    decode(model, "scd-gs", 4, 50, record=None, device="cuda")
    with count_waits() as waits:
        out = decode(model, "scd-gs", 4, 50, seed=1, record=None, device="cuda")
    assert len(waits) <= int(out.nfe.max()) + WAITS_OF_A_DECODE, sorted(set(waits))
