"""What of a trace is put on the page: which sequences, and what of their laws."""

from __future__ import annotations

import json

import numpy as np
import pytest
import xarray as xr

from reference import TabularModel, decode
from scd_analysis.report import embed as module
from scd_analysis.report.embed import choose, embed
from scd_analysis.report.explorer import explorer_section
from scd_analysis.report.load import read_trace


def test_the_first_sequences_and_the_one_pointed_at() -> None:
    assert choose(3, 10, None) == [0, 1, 2]
    assert choose(3, 10, 7) == [7, 0, 1, 2]
    assert choose(3, 2, 7) == [0, 1]
    assert choose([5, 2, 5], 10, 2) == [2, 5]


def test_numbers_are_those_of_the_trace(patches: xr.Dataset) -> None:
    one = embed(read_trace(patches).trace, [3]).sequences[0]
    t, k = 2, 1
    at = {"sequence": 3, "iteration": t, "slot": k}
    assert one["draft"][t][k] == int(patches["draft_token"][at])
    assert one["after"][t][k] == int(patches["next_token"][at])
    for name in ("uniform", "total_variation", "entropy", "collision_gumbel", "age"):
        assert one[name][t][k] == pytest.approx(float(patches[name][at]), rel=5e-3)
    assert one["target_prob"][t][k] == pytest.approx(float(patches["target_prob_of_token"][at]), rel=5e-3)


def test_laws_keep_the_most_probable_tokens_and_add_up(patches: xr.Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_TOKENS", 2)
    one = embed(read_trace(patches).trace, [3]).sequences[0]
    for t in range(3):
        for k, flat in enumerate(one["laws"][t]):
            at = {"sequence": 3, "iteration": t, "slot": k}
            q, p = (patches[name][at].values for name in ("draft_probs", "target_probs"))
            tokens = flat[:-2:3]
            largest = set(np.argsort(-np.maximum(q, p), kind="stable")[:2].tolist())
            assert set(tokens) == largest | {one["draft"][t][k], one["after"][t][k]}
            np.testing.assert_allclose(flat[1:-2:3], q[tokens], rtol=5e-3)
            np.testing.assert_allclose(flat[2:-2:3], p[tokens], rtol=5e-3)
            assert sum(flat[1:-2:3]) + flat[-2] == pytest.approx(1, abs=5e-3)
            assert sum(flat[2:-2:3]) + flat[-1] == pytest.approx(1, abs=5e-3)
            highest = np.maximum(flat[1:-2:3], flat[2:-2:3])
            assert (np.diff(highest) <= 1e-3).all()  # most probable first


def test_a_budget_cuts_laws_first_then_sequences(patches: xr.Dataset) -> None:
    trace = read_trace(patches).trace
    whole = embed(trace, 10)
    assert (whole.tokens, whole.left_out, len(whole.sequences)) == (6, 0, 10)
    size = len(json.dumps(whole.sequences, separators=(",", ":")))
    tight = embed(trace, 10, budget=size // 2, pointed_at=9)
    assert tight.tokens < 6
    assert tight.left_out == 10 - len(tight.sequences)
    assert 0 < tight.left_out < 10
    assert 9 in tight.numbers  # whatever goes, what the diagnosis points at stays
    assert tight.numbers == sorted(tight.numbers)
    assert len(embed(trace, 10, budget=1).sequences) == 1


def test_a_very_long_sequence_ends_early(patches: xr.Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_CELLS", 20)
    one = embed(read_trace(patches).trace, 1).sequences[0]
    assert len(one["base"]) == 4
    assert one["passes"] > 4


def test_a_trace_without_laws_has_none(patches: xr.Dataset) -> None:
    bare = embed(read_trace(patches.drop_vars(["draft_probs", "target_probs"])).trace, 1)
    assert bare.tokens == 0
    assert "laws" not in bare.sequences[0]


@pytest.mark.slow
@pytest.mark.parametrize("form", ["float16", "top-3"])
def test_compact_laws_are_shown_with_their_error(form: str) -> None:
    """In half precision to three digits; cut laws as far as they go."""
    model = TabularModel.random(6, 5, 0.5, seed=0)
    exact, compact = (decode(model, "scd-mc", 3, 2, record=record).trace for record in ("laws-float32", f"laws-{form}"))
    whole, shown = (embed(read_trace(one).trace, 1).sequences[0]["laws"] for one in (exact, compact))
    off = [abs(a - b) for t, row in enumerate(whole) for a, b in zip(row[0], shown[t][0], strict=False)]
    assert len(whole) == len(shown)
    assert (max(off) < 2e-3) == (form == "float16")
    assert f"stored as {form}, off by" in str(explorer_section(embed(compact, 1), compact))
    assert "off by" not in str(explorer_section(embed(exact, 1), exact))


def test_a_sequence_that_was_not_begun_is_empty(patches: xr.Dataset) -> None:
    gone = patches.copy()
    for name, variable in gone.data_vars.items():
        gone[name] = variable.where(gone["sequence"] != 1 if "sequence" in gone.coords else xr.DataArray(
            np.arange(gone.sizes["sequence"]) != 1, dims="sequence"))  # fmt: skip
    one = embed(read_trace(gone).trace, [1]).sequences[0]
    assert (one["passes"], one["base"], one["states"]) == (0, [], [])
