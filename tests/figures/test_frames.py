"""What figures compute: frames, checked against the trace they come from."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from scd_analysis import laws
from scd_analysis.figures import Run, get_figure
from scd_analysis.figures.redrafts import rate, redrafts
from scd_analysis.trace import trajectories


def test_a_point_a_sequence(runs: list[Run]) -> None:
    frame = get_figure("nfe_vs_token_difference").compute(runs)
    assert list(frame["method"].unique()) == ["sjd", "scd-mc", "scd-gs"]
    for run in runs:
        rows = frame[frame["method"] == run.label]
        assert_allclose(rows["nfe"], run.trace["nfe"].values)
        assert_allclose(rows["difference"], trajectories.hamming_distance(run.trace))


def test_band_is_mean_and_deviation_by_age(runs: list[Run]) -> None:
    frame = get_figure("acceptance_trajectories").compute(runs)
    trace = runs[1].trace.load()
    band = frame[(frame["method"] == "scd-mc") & (frame["panel"] == "band")]
    assert band["x"].min() == 1  # initial drafts are left out
    for row in band.itertuples():
        value = (1 - trace["total_variation"]).values[trace["age"].values == row.x]
        assert row.n == len(value)
        assert_allclose([row.value, row.high - row.value], [value.mean(), value.std()], atol=1e-6)


def test_examples_are_tokens_of_the_trace(runs: list[Run]) -> None:
    run = runs[0]
    frame = get_figure("acceptance_trajectories").compute([run])
    examples = frame[frame["panel"] == "example"]
    usual = np.argsort(run.trace["nfe"].values, kind="stable")[len(run.trace["nfe"]) // 2]  # neither easy nor hard
    whole = next(trajectories.acceptance_trajectories(run.trace))[usual]
    assert examples["token"].nunique() >= 2
    for token, rows in examples.groupby("token"):
        laid = whole[:, int(token)]
        laid = laid[~np.isnan(laid)]
        assert_allclose(rows["value"], laid[1:])  # all but age 0


@pytest.mark.parametrize("panel", ["token_mean", "token_variance"])
def test_shares_of_tokens_sum_to_one(runs: list[Run], panel: str) -> None:
    frame = get_figure("acceptance_trajectories").compute(runs)
    shares = frame[frame["panel"] == panel].groupby("method")["value"].sum()
    assert_allclose(shares, 1)


def test_histograms_count_redrafts_of_redrafts(runs: list[Run]) -> None:
    frame = get_figure("collision_histograms").compute(runs)
    assert dict(zip(frame["method"], frame["coupling"], strict=True)) == {
        "sjd": "independent",
        "scd-mc": "maximal",
        "scd-gs": "gumbel",
    }
    for run in runs:
        trace = run.trace.load()
        surviving = (trace["age"] > 0) & (trace["committed"] == 0)
        kept = (trace["draft_token"] == trace["next_token"]).where(surviving)
        rows = frame[frame["method"] == run.label].set_index("kind")
        assert_allclose(rows.loc["bin", "value"].sum(), 1)
        assert_allclose(rows.loc["measured", "value"], float(kept.mean()))
        assert rows.loc["measured", "n"] == int(surviving.sum())


def test_bound_is_of_the_two_laws_of_a_redraft(sjd_with_laws: Run) -> None:
    every = redrafts(sjd_with_laws)
    trace = sjd_with_laws.trace.load()
    surviving = ((trace["age"] > 0) & (trace["committed"] == 0)).values
    target, draft = (trace[name].values[surviving] for name in ("target_probs", "draft_probs"))
    assert len(every.bound) == surviving.sum() > 20
    assert_allclose(every.bound, laws.collision_bound(target, draft, "independent"), atol=1e-5)
    assert_allclose(every.predicted["maximal"], laws.collision_bound(target, draft, "maximal"), atol=1e-5)


def test_no_redraft_breaks_its_bound(runs: list[Run]) -> None:
    figure = get_figure("collision_vs_tv")
    frame = figure.compute(runs)
    assert "0 break a bound" in figure.caption(frame, {"model": "patches", "runs": [{"window": 5, "num_sequences": 4}]})
    worse = frame.assign(value=frame["value"] + 0.5)
    assert "0 break a bound" not in figure.caption(worse, {"runs": [{"window": 5, "num_sequences": 4}]})


def test_interval_of_a_rate_allows_for_clusters() -> None:
    # Two sequences, all kept and none kept: the interval covers everything, however many redrafts there were.
    values, sequence = np.repeat([0.0, 1.0], 100), np.repeat([0, 1], 100)
    found = rate(values, sequence)
    assert found.value == 0.5
    assert found.low < 0
    assert found.high > 1
    spread = rate(np.tile([0.0, 1.0], 100), np.repeat(np.arange(20), 10))
    assert spread.low == pytest.approx(0.5)  # every sequence has the same share


def test_distance_by_lag_is_the_measure(runs: list[Run]) -> None:
    frame = get_figure("hamming_by_lag").compute(runs)
    row = frame[(frame["method"] == "scd-gs") & (frame["lag"] == 2)]
    assert_allclose(row["value"], np.nanmean(trajectories.hamming_distance(runs[2].trace, 2)))


def test_changes_and_kept_shares_are_the_measures(runs: list[Run]) -> None:
    frame = get_figure("collision_by_age").compute(runs)
    trace = runs[1].trace
    own = frame[frame["method"] == "scd-mc"]
    changes = own[own["kind"] == "changes"]["value"].item()
    assert_allclose(changes, trajectories.instability(trace).mean())
    row = own[(own["kind"] == "kept") & (own["age"] == 1)].iloc[0]
    redrafted = (trace["age"] == 1) & (trace["committed"] == 0)
    assert_allclose(row["value"], float((trace["draft_token"] == trace["next_token"]).where(redrafted).mean()))
    assert row["n"] == int(redrafted.sum())


def test_theory_stands_at_the_age_of_what_it_predicts(runs: list[Run]) -> None:
    run = runs[1]
    frame = get_figure("collision_by_age").compute([run])
    predicted = frame[(frame["kind"] == "predicted") & (frame["age"] == 1)]["value"].item()
    redrafted = (run.trace["age"] == 1) & (run.trace["committed"] == 0)
    assert_allclose(predicted, 1 - float(run.trace["total_variation"].where(redrafted).mean()), rtol=1e-6)


def test_tokens_a_pass_are_the_speedup(runs: list[Run]) -> None:
    frame = get_figure("acceptance_lengths").compute(runs)
    for run in runs:
        rows = frame[frame["method"] == run.label]
        assert_allclose(rows[rows["kind"] == "mean"]["value"], trajectories.speedup(run.trace).value)
        assert_allclose(rows[rows["kind"] == "share"]["value"].sum(), 1)
        counts = trajectories.commit_lengths(run.trace)
        assert_allclose(rows[(rows["kind"] == "share") & (rows["tokens"] == 1)]["value"], counts[1] / counts.sum())
        two = rows[(rows["kind"] == "at_least") & (rows["tokens"] == 2)]["value"]
        assert_allclose(two, counts[2:].sum() / counts.sum())


def test_acceptance_by_entropy_is_a_mean_over_a_bin(runs: list[Run]) -> None:
    run = runs[0]
    frame = get_figure("entropy_acceptance").compute([run])
    row = frame[(frame["kind"] == "bin") & (frame["entropy"] == "renyi2")].iloc[-1]
    trace = run.trace
    used = (trace["age"] > 0) & (trace["renyi2"] >= 0.5) & (trace["renyi2"] < 1)
    inside = frame[(frame["kind"] == "bin") & (frame["entropy"] == "renyi2") & frame["at"].between(0.5, 1)].iloc[0]
    assert_allclose(inside["value"], 1 - float(trace["total_variation"].where(used).mean()), rtol=1e-6)
    assert inside["n"] == int(used.sum())
    assert 0 < row["share"] < 1
    shares = frame[frame["kind"] == "bin"].groupby("entropy")["share"].sum()
    assert (shares > 0.9).all()
