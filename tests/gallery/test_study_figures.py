"""Figures of studies, on small results made by hand: what their frames and captions say of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from scd_analysis.figures.style import style
from studies.gallery import sweeps
from studies.gallery.plots import coupling_alpha, initial_drafts, methods_compared, vp_motivation
from studies.gallery.results import load_result

SETTINGS = {"model": "photos", "window": 32, "num_sequences": 4, "seed": 0, "command": "python -m studies.x"}


def alphas(*passes: float) -> pd.DataFrame:
    rows = [
        {"method": "scd-mc", "alpha": i / 2, "mean_nfe": value, "mean_nfe_low": value - 1, "mean_nfe_high": value + 1,
         "speedup": 100 / value, "speedup_low": 1.0, "speedup_high": 9.0, "n": 4}
        for i, value in enumerate(passes)
    ]  # fmt: skip
    return coupling_alpha.compute({"rows": rows})


def test_a_step_at_which_passes_rise_is_named() -> None:
    assert coupling_alpha.rising(alphas(90, 70, 50)) == {"scd-mc": []}
    assert coupling_alpha.rising(alphas(90, 70, 71)) == {"scd-mc": ["0.5 to 1"]}
    assert "falls at every step" in coupling_alpha.caption(alphas(90, 70, 50), SETTINGS)
    assert "does not fall for SCD-MC from 0.5 to 1" in coupling_alpha.caption(alphas(90, 70, 71), SETTINGS)


def test_intervals_of_first_drafts_are_those_of_the_passes_inverted() -> None:
    row = {"initial": "left", "method": "sjd", "window": 16, "mean_nfe": 50.0, "mean_nfe_low": 40.0,
           "mean_nfe_high": 80.0, "speedup": 4.0}  # fmt: skip
    frame = initial_drafts.compute({"num_sequences": 3, "rows": [row]})
    assert frame.loc[0, ["value", "low", "high", "n"]].tolist() == [4.0, 2.5, 5.0, 3]


def sweep(*speeds: float) -> pd.DataFrame:
    rows = [
        {"method": "sjd", "k": 10**i, "n": 4, "speedup": value, "speedup_low": value - 0.1, "speedup_high": value + 0.1,
         "entropy": 1.0 + i, "entropy_low": 0.9 + i, "entropy_high": 1.1 + i}
        for i, value in enumerate(speeds)
    ]  # fmt: skip
    return sweeps.long_rows({"rows": rows}, "k")


def test_a_sweep_names_its_ends_and_a_maximum_between_them() -> None:
    said, law = sweeps.ends(sweep(5, 6, 4))
    assert said == "SJD 5.00 [4.90, 5.10] at 1 and 4.00 [3.90, 4.10] at 100 (most: 6.00 at 10)"
    assert law == "1.00 nats at 1 and 3.00 at 100"
    assert "most" not in sweeps.ends(sweep(6, 5, 4))[0]


def test_a_sweep_says_how_far_the_couplings_are_ahead_at_either_end() -> None:
    frame = sweep(5, 6, 4)
    coupled = frame.assign(method="scd-gs")
    coupled["value"] *= [1, 1, 1.5, 1, 2, 1]
    assert sweeps.gaps(pd.concat([frame, coupled])) == "SCD-GS 1.00 times at 1 and 2.00 times at 100"


def test_a_sweep_is_drawn_apart_and_in_order() -> None:
    frame = sweep(5, 6, 4)
    with style():
        _, axes = sweeps.layout(frame)
        sweeps.draw(frame, axes, "k", log=True)
    line = axes["entropy"].lines[0]
    np.testing.assert_allclose(np.asarray(line.get_xdata(), dtype=float), [1, 10, 100])
    np.testing.assert_allclose(np.asarray(line.get_ydata(), dtype=float), [1, 2, 3])


def compared() -> dict[str, Any]:
    rows = [
        {"method": name, "lossless": lossless, "speedup": speed, "speedup_low": speed - 1, "speedup_high": speed + 1,
         "n": 4, "exact_total_variation": exact, "bits": 2.5, "bits_low": 2.0, "bits_high": 3.0, "excess_bits": over,
         "excess_bits_low": over - 0.05, "excess_bits_high": over + 0.05, "usage": 0.01, "usage_low": 0.0,
         "usage_high": 0.02}
        for name, lossless, speed, exact, over in (
            ("sjd", True, 2.8, 1e-16, 0.01),
            ("scd-gs", True, 5.0, 2e-16, 0.2),
            ("sjd-plus-plus", False, 5.8, 0.03, -0.15),
        )
    ]  # fmt: skip
    return {"rows": rows}


def test_rounding_is_no_distortion() -> None:
    frame = methods_compared.compute(compared())
    exact = frame[frame["kind"] == "exact"].set_index("method")["value"]
    assert exact.to_dict() == {"sjd": 0.0, "scd-gs": 0.0, "sjd-plus-plus": 0.03}


@pytest.mark.parametrize(("speed", "same"), [(5.0, True), (5.1, False)])
def test_two_methods_are_alike_only_if_every_number_is(speed: float, same: bool) -> None:
    result = compared()
    twin = result["rows"][1]
    result["rows"].append(twin | {"method": "sjd-pac", "speedup": speed})
    frame = methods_compared.compute(result)
    assert methods_compared.alike(frame, "scd-gs", "sjd-pac") is same
    assert not methods_compared.alike(frame, "absent", "absent too")


def test_a_lossless_interval_that_misses_zero_is_counted_as_such() -> None:
    settings = {**SETTINGS, "small_model": {"num_tokens": 4, "vocab_size": 3, "window": 3}}
    said = methods_compared.caption(methods_compared.compute(compared()), settings)
    assert "1 of 2 intervals of (b) hold 0" in said
    assert "SJD++ 5.80 times, 0.030, -0.15 [-0.20, -0.10] bits, 0.01 [0.00, 0.02]" in said


def test_every_method_that_is_not_lossless_has_a_marker_of_its_own() -> None:
    looks = methods_compared.looks(methods_compared.compute(load_result("methods_compared")))
    lossy = [one for one in looks.values() if one.color == "#882255"]
    assert len({one.marker for one in lossy}) == len(lossy) >= 8
    assert not {one.marker for one in lossy} & {"o", "s", "^", "D", "x"}


def test_open_bins_are_drawn_beyond_their_end() -> None:
    rows = pd.DataFrame({"from": [np.nan, -1.0, 2.0], "to": [-1.0, 2.0, np.nan]})
    assert vp_motivation.middles(rows).tolist() == [-2.0, 0.5, 3.0]


@pytest.mark.parametrize("kind", ["risers", "most"])
def test_the_stored_analyses_are_shares(kind: str) -> None:
    frame = vp_motivation.compute(load_result("vp_motivation"))
    rows = frame[frame["kind"] == kind].set_index("law")
    assert set(rows.index) == {"chance", "now", "verified", "correct"}
    assert rows["value"].between(0, 1).all()
    assert (rows["low"] < rows["high"]).all()
    assert rows.loc["now", "value"] > rows.loc["chance", "value"]  # what rises has more mass after than before
