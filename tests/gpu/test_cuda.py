"""On a CUDA device: the same tokens as on the host. Synchronisations: see ``tests/reference/test_step.py``."""

import pytest
import torch

from reference import METHODS, TabularModel, decode, load_model

pytestmark = pytest.mark.gpu


@pytest.mark.parametrize("method", METHODS)
def test_tables_decode_to_the_same_tokens_as_on_the_host(method):
    model = TabularModel.random(4, 6, 0.5, seed=0)
    host, device = (decode(model, method, window=4, num_sequences=100, device=d) for d in ("cpu", "cuda"))
    assert torch.equal(host.tokens, device.tokens)
    assert torch.equal(host.nfe, device.nfe)


@pytest.mark.parametrize("method", ["ar", "sjd", "scd-mc", "scd-gs"])
@pytest.mark.parametrize(("name", "num_tokens"), [("photos", 256), ("video", 512)])
def test_shipped_models_decode(name, num_tokens, method):
    out = decode(load_model(name), method, window=32, num_sequences=4, device="cuda")
    assert out.trace.attrs["device"] == "cuda"
    assert (out.nfe <= num_tokens).all()
