"""A step never waits for the device: it traces under FakeTensorMode, which refuses ``.item()`` and masks."""

import dataclasses

import pytest
import torch
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode

from reference import METHODS, get_method
from reference.kernel import Settings, init, step
from reference.recording import scalars


class FakeSession:
    """Laws from nowhere, of the right shape."""

    def laws(self, tokens, rows, reach):
        return torch.rand(*rows.shape, 11, device=tokens.device).softmax(-1)

    def keep(self, index):
        raise AssertionError("a step keeps every sequence")


def trace(method, device="cpu", spy=None):
    settings = Settings(method, 0 if method.drafting is None else 4, 11, 12, 0, 4, torch.float32)
    with FakeTensorMode():
        state = init(settings, torch.arange(3, device=device))
        for _ in range(2):
            state, info = step(settings, FakeSession(), state, reach=6)
            scalars(info)
            if spy is not None:
                spy(info)
    return state


@pytest.mark.slow
@pytest.mark.parametrize("device", ["cpu", "meta"])
@pytest.mark.parametrize("initial", ["uniform", "left", "upper"])
@pytest.mark.parametrize("method", METHODS)
def test_a_step_and_its_scalars_never_synchronise(method, initial, device):
    state = trace(dataclasses.replace(get_method(method), initial=initial), device)
    assert state.tokens.shape == (3, 12)
    assert state.tokens.device.type == device


def test_the_tracer_would_notice_a_synchronisation():
    with pytest.raises(DataDependentOutputException):
        trace(get_method("sjd"), spy=lambda info: info.num_committed.max().item())
