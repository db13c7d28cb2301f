"""On a CUDA device: the same tokens and traces as on the host, and what a trace says of them."""

import numpy as np
import pytest
import torch

from reference import METHODS, TabularModel, decode, load_model
from scd_analysis import Outcome, audit, exact_law
from scd_analysis.laws import total_variation
from scd_analysis.subjects import kernel, trace
from tests.audit.test_kernels import verify

pytestmark = pytest.mark.gpu

MODEL = TabularModel.random(4, 6, 0.5, seed=0)


@pytest.mark.parametrize("method", METHODS)
def test_tables_decode_to_the_same_tokens_and_trace_as_on_the_host(method):
    host, device = (decode(MODEL, method, 4, 100, record="laws", device=d) for d in ("cpu", "cuda"))
    assert torch.equal(host.tokens, device.tokens)
    assert torch.equal(host.nfe, device.nfe)
    assert device.trace.attrs["device"] == "cuda"
    for name, expected in host.trace.data_vars.items():
        np.testing.assert_allclose(device.trace[name].values, expected.values, atol=1e-6, err_msg=str(name))


@pytest.mark.parametrize("method", ["ar", "sjd", "scd-mc", "scd-gs"])
@pytest.mark.parametrize(("name", "num_tokens"), [("photos", 256), ("video", 512)])
def test_shipped_models_decode(name, num_tokens, method):
    out = decode(load_model(name), method, window=32, num_sequences=4, device="cuda")
    assert out.trace.attrs["device"] == "cuda"
    assert (out.nfe <= num_tokens).all()


def test_laws_of_a_shipped_model_are_those_of_the_host():
    model = load_model("photos")
    tokens = decode(model, "sjd", num_sequences=2, record=None).tokens[:, :-1]
    host = model.next_token_probs(tokens)
    device = model.to("cuda").next_token_probs(tokens.cuda()).cpu()
    assert float(total_variation(host, device).max()) < 1e-4


def test_the_audit_of_a_trace_from_the_device_stands_and_its_twin_does_not(tmp_path):
    decode(MODEL, "scd-mc", 4, 400, record="laws", device="cuda", out_path=tmp_path / "right.zarr")
    decode(MODEL, "sjd-vp-uncorrected", 4, 400, record="laws", device="cuda", out_path=tmp_path / "wrong.zarr")
    right, wrong = (audit(trace(tmp_path / f"{name}.zarr"), MODEL, progress=False) for name in ("right", "wrong"))
    assert right.outcome is not Outcome.REFUTED
    assert wrong.outcome is Outcome.REFUTED


def verify_there(drafts, draft_probs, target_probs, generator):
    """The test's kernel, its mask made where the tokens are."""
    with torch.device("cuda"):
        return verify(drafts, draft_probs, target_probs, generator)


def verify_leniently(drafts, draft_probs, target_probs, generator):
    with torch.device("cuda"):
        return verify(drafts, draft_probs, target_probs, generator, slip="lenient")


def test_a_kernel_is_audited_on_the_device():
    stands = audit(kernel(verify_there, device="cuda"), max_sequences=1_000, progress=False)
    falls = audit(kernel(verify_leniently, device="cuda"), max_sequences=3_000, progress=False)
    assert stands.outcome is not Outcome.REFUTED
    assert falls.outcome is Outcome.REFUTED


def test_the_exact_law_of_a_sampler_on_the_device():
    def draw() -> tuple[int, int]:
        weights = torch.tensor([0.2, 0.3, 0.5], dtype=torch.float64, device="cuda")
        first = torch.multinomial(weights, 1)
        second = torch.rand(1, dtype=torch.float64, device="cuda") < weights[first]
        return int(first), int(second)

    law = exact_law(draw).probabilities
    assert law == pytest.approx(
        {(k, s): p * (p if s else 1 - p) for k, p in enumerate((0.2, 0.3, 0.5)) for s in (0, 1)}
    )
