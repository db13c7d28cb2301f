"""A step on a CUDA device: nothing waits for it, it can be captured as a graph, compiled code gives the same tokens."""

import pytest
import torch

from reference import METHODS, TabularModel, decode, get_method, load_model
from reference.decoder import make_settings
from reference.draws import inverse_cdf
from reference.fast.blocks import race_winner
from reference.fast.scan import collision_gumbel
from reference.kernel import JacobiState, init, step
from reference.models.base import open_session
from reference.recording import scalars
from reference.verification import verify
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


@pytest.mark.parametrize("method", ["ar", "sjd", "scd-mc", "scd-gs", "sjd-pac", "sjd-vp"])
def test_a_step_can_be_captured_as_a_graph(method):
    """Replayed, it does what the eager step does."""
    model = load_model("photos").to("cuda")
    settings = make_settings(model, get_method(method), 16, 0, torch.float32)
    sequence = torch.arange(4, device="cuda")
    with torch.inference_mode():
        session = open_session(model, 4, sequence.device)
        state: JacobiState = init(settings, sequence)
        for _ in range(2):
            state, _ = step(settings, session, state, 255)
        expected, info = step(settings, session, state, 255)
        scalars(info)
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            replayed, again = step(settings, session, state, 255)
            found = scalars(again)
        graph.replay()
        torch.cuda.synchronize()
    assert torch.equal(replayed.tokens, expected.tokens)
    assert torch.equal(replayed.base, expected.base)
    for name, value in scalars(info).items():
        torch.testing.assert_close(found[name], value, atol=1e-6, rtol=1e-5, equal_nan=True)


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
