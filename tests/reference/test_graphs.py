"""Passes that are replayed: here by running them again on the memory of one state; ``tests/gpu`` has the real graph."""

from typing import ClassVar

import numpy as np
import pytest
import torch

from reference import METHODS, TabularModel, decode, decoder, load_model
from reference.fast import graphs
from reference.models.base import open_session

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


class Again:
    """What :class:`reference.fast.graphs.Replay` does, but for the graph."""

    made: ClassVar[list["Again"]] = []

    def __init__(self, function, state, reach):
        assert not state.opening
        self._pass, self._before, self._after, self.calls = function, state, None, 0
        self.made.append(self)

    def __call__(self):
        self.calls += 1
        if self._after is not None:
            graphs.overwrite(self._before, self._after)
        self._after, rest = self._pass(self._before, 0)  # a replay knows nothing of the reach
        return self._after, rest


@pytest.fixture
def replayed(monkeypatch):
    monkeypatch.setattr(Again, "made", [])
    monkeypatch.setattr(graphs, "Replay", Again)
    monkeypatch.setattr(decoder, "replays", lambda session, device: True)
    return Again.made


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_replayed_passes_give_the_same_sequences_and_trace(method, request):
    model = load_model("digits")
    plain = decode(model, method, 16, 5, seed=3, record="laws")
    made = request.getfixturevalue("replayed")
    again = decode(model, method, 16, 5, seed=3, record="laws")
    assert torch.equal(plain.tokens, again.tokens)
    assert torch.equal(plain.nfe, again.nfe)
    for name, expected in plain.trace.data_vars.items():
        np.testing.assert_allclose(again.trace[name].values, expected.values, atol=1e-6, err_msg=str(name))
    assert sum(replay.calls for replay in made) >= int(plain.nfe.max()) - 2 * len(made) - 2


def test_a_batch_shrinks_when_half_of_it_is_complete(replayed):
    out = decode(load_model("digits"), "scd-mc", 16, 12, seed=0, record=None)
    assert 1 < len(replayed) <= 4  # 12, then at most 6, 3 and 1
    assert len(out.nfe.unique()) > 2  # the twin: they are not complete at once


def test_only_sessions_that_say_so_are_replayed_and_only_on_a_card(monkeypatch):
    tables = open_session(TabularModel.random(3, 4, seed=0), 2, CPU)
    image = open_session(load_model("photos", temperature=0.9, top_p=0.9), 2, CPU)
    monkeypatch.setenv("SCD_COMPILE", "auto")
    assert graphs.replays(image, CUDA)
    assert not graphs.replays(tables, CUDA)
    assert not graphs.replays(image, CPU)
    monkeypatch.setenv("SCD_COMPILE", "never")
    assert not graphs.replays(image, CUDA)
