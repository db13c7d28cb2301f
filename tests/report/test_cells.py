"""What became of every draft, against an example worked by hand.

Sequence 0, window 3:

    pass 0  base 0  drafts 1 2 3  accepted yes no yes   -> 1 committed, 3 drawn from the residual, 3 redrafted as 3
    pass 1  base 2  drafts 3 1 2  accepted no yes no    -> 2 drawn from the residual, 1 redrafted as 1, 2 as 0
    pass 2  base 3  drafts 1 0 2  accepted yes yes yes  -> all committed, and a bonus token 3 at position 6
    pass 3  base 7  draft  2      accepted no           -> 1 drawn from the residual; two slots lie past the end

Sequence 1 breaks the rule in one pass: draft 1 is accepted and yet 2 is committed, the residual draw at slot 1 is
right, and slot 2 is committed although a draft before it was rejected.
"""

from __future__ import annotations

import numpy as np
import xarray as xr

from scd_analysis.report.cells import CELL_VARIABLES, STATES, states
from scd_analysis.report.embed import embed
from scd_analysis.report.load import read_trace
from scd_analysis.report.worst import by_position, worst
from tests.report.conftest import Patches


def test_states_are_those_worked_by_hand(hand: xr.Dataset) -> None:
    shown = embed(read_trace(hand).trace, 2).sequences
    assert shown[0]["states"] == ["ark", "rkc", "aaa", "r"]
    assert shown[0]["bonus"] == [None, None, 3, None]
    assert shown[0]["base"] == [0, 2, 3, 7]
    assert shown[1]["states"] == ["oro"]
    assert (shown[0]["passes"], shown[1]["passes"]) == (4, 1)


def test_a_rejection_that_commits_nothing_is_a_rejection_still() -> None:
    part = {"base": np.array([[0.0]]), "draft_token": np.array([[[1.0, 2.0, np.nan]]])}
    part["next_token"] = np.array([[[1.0, 3.0, np.nan]]])
    part["accepted"], part["committed"] = (np.array([[[0.0, x, np.nan]]]) for x in (1.0, 0.0))
    assert states(part, 4).tolist() == [[["r", "c", ""]]]


def test_every_draft_has_a_state_and_every_token_one_commit(patches: xr.Dataset) -> None:
    part = {name: patches[name].values for name in CELL_VARIABLES}
    letters = states(part, Patches.num_tokens)
    np.testing.assert_array_equal(letters != "", ~np.isnan(part["draft_token"]))
    np.testing.assert_array_equal(np.isin(letters, ["a", "r"]), part["committed"] == 1)
    assert set(letters.flat) <= {"", *(state.letter for state in STATES.values())}
    assert "o" not in letters  # a lossless decoder keeps the rule
    assert ((letters == "r").sum(-1) <= 1).all()


def test_letters_and_glyphs_tell_states_apart() -> None:
    for name in ("letter", "glyph"):
        assert len({getattr(state, name) for state in STATES.values()}) == len(STATES)


def test_worst_positions_are_counted_by_hand(hand: xr.Dataset) -> None:
    """Position 1 is rejected in both sequences, at total variation 7/8; position 6 is a bonus and has no draft."""
    frame = by_position(read_trace(hand).trace).set_index("position")
    assert frame["drafts"].to_dict() == {0: 2, 1: 2, 2: 2, 3: 1, 4: 1, 5: 1, 7: 1}
    assert frame["rejected"].to_dict() == {0: 0, 1: 1, 2: 0.5, 3: 0, 4: 0, 5: 0, 7: 1}
    assert frame["total_variation"].to_dict() == {0: 0, 1: 0.875, 2: 0, 3: 0, 4: 0, 5: 0, 7: 0}
    assert worst(frame.reset_index(), 3)["position"].tolist() == [1, 7, 2]
