"""Recorded files that contradict themselves, or that nothing could refute, are refused; their honest twins are not."""

import json

import numpy as np
import pytest

from scd_analysis import Outcome, audit
from scd_analysis.audit.adapters.recorded_agreement import SAME_LAW
from scd_analysis.errors import InputError, LawError
from scd_analysis.subjects import recorded_file

V, N = 5, 3


def noise(rng, size):
    return rng.integers(V, size=(size, N)).tolist()


def certain(row, kind, **more):
    """A row that gives its own tokens probability one."""
    if kind == "all":
        return {"tokens": row, "logprobs": [[0.0 if v == x else None for v in range(V)] for x in row], **more}
    return {"tokens": row, "top_logprobs": [{str(x): 0.0} for x in row], **more}


def write(path, content):
    path.write_text("\n".join(json.dumps(row) for row in content) + "\n")
    return path


@pytest.mark.parametrize("kind", ["all", "lists"])
def test_noise_that_is_told_to_be_certain_is_no_law(kind, tmp_path):
    rows = noise(np.random.default_rng(0), 200)
    with pytest.raises(LawError, match=r"line \d+ and .*line 1: .*\[0\] .*the same tokens"):
        audit(write(tmp_path / "n.jsonl", [certain(row, kind) for row in rows]), progress=False)
    own = [certain(row, kind, prompt=f"prompt {i}") for i, row in enumerate(rows)]
    with pytest.raises(LawError, match=r"line 1 and .*line 2: every token has probability 1, as every token of the fi"):
        audit(write(tmp_path / "p.jsonl", own), progress=False)


def test_tokens_of_one_prefix_have_at_most_probability_one(tmp_path):
    """Each row by itself could be right: .45 for its own token, and .55 for others."""
    content = [{"tokens": [x], "top_logprobs": [{str(x): float(np.log(0.45))}]} for x in range(3)]
    with pytest.raises(LawError, match=r"line 3 and .*line 1: .*probabilities sum to 1\.35, which is above 1"):
        recorded_file(write(tmp_path / "t.jsonl", content))
    recorded_file(write(tmp_path / "two.jsonl", content[:2]))  # these two can both be


def test_a_list_that_ends_with_the_drawn_token_is_not_that_of_the_most_probable(tmp_path):
    """Of (.5, .3, .15, .05), two listed: an engine that puts the drawn token in the last place hides the others."""
    log = np.log([0.5, 0.3, 0.15, 0.05])
    lists = [[0, 1], [0, 2], [0, 1]]
    content = [{"tokens": [own[-1]], "top_tokens": [own], "top_logprobs": [log[own].tolist()]} for own in lists]
    with pytest.raises(LawError, match=r"line 2 and .*line 1: .*differ by a total variation of 0\.15"):
        recorded_file(write(tmp_path / "t.jsonl", content))
    added = [{"tokens": [3], "top_logprobs": [{str(x): float(log[x]) for x in own}]} for own in ([0, 1, 3], [0, 1])]
    assert recorded_file(write(tmp_path / "a.jsonl", added)).target_model.laws_apart == 0


def test_laws_of_two_prompts_may_differ(tmp_path):
    half, other = np.log([0.5, 0.5]).tolist(), np.log([0.9, 0.1]).tolist()
    content = [{"tokens": [0], "logprobs": [law], "prompt": prompt}
               for law, prompt in ((half, "a"), (other, ["a"]), (half, "a"), (other, ["a"]))]  # fmt: skip
    recorded_file(write(tmp_path / "right.jsonl", content))
    with pytest.raises(LawError, match=r"line 2 and .*line 1: logprobs\[0\].*0\.4 .*rows of several prompts"):
        recorded_file(write(tmp_path / "wrong.jsonl", [{**row, "prompt": "a"} for row in content]))
    later = [{"tokens": [x, 0], "logprobs": [half, law]} for x, law in ((0, half), (1, other), (0, half), (1, half))]
    with pytest.raises(LawError, match=r"line 4 and .*line 2: logprobs\[1\]"):
        recorded_file(write(tmp_path / "later.jsonl", later))
    recorded_file(write(tmp_path / "other.jsonl", later[:3]))  # after another token, another law


def noisy(size, spread, rng):
    """An engine whose logits are rounded otherwise in each request: it draws from the law that it reports."""
    logits = 3 * rng.standard_normal(V)
    out = []
    for _ in range(size):
        law = np.exp(logits + spread * rng.standard_normal((N, V)))
        law /= law.sum(axis=1, keepdims=True)
        out.append({"tokens": [int(rng.choice(V, p=p)) for p in law], "logprobs": np.log(law).tolist()})
    return out


def test_laws_that_are_rounded_otherwise_are_no_error(tmp_path):
    path = write(tmp_path / "t.jsonl", noisy(400, 0.06, np.random.default_rng(1)))
    apart = recorded_file(path).target_model.laws_apart
    assert 0.01 < apart < SAME_LAW
    verdict = audit(path, alpha=1e-8, progress=False)
    assert verdict.outcome is not Outcome.REFUTED
    resolutions = verdict.record["resolutions"]
    assert resolutions["laws that differ after the same tokens"] == apart
    assert verdict.resolution == max(resolutions.values())  # nothing finer than the laws is claimed


def test_how_far_laws_may_differ_can_be_stated(tmp_path):
    path = write(tmp_path / "t.jsonl", noisy(200, 0.5, np.random.default_rng(1)))
    with pytest.raises(LawError, match=r"differ by a total variation of .* \(up to 0.1 would be rounding\)"):
        recorded_file(path)
    assert recorded_file(path, tolerance=0.9).target_model.laws_apart > SAME_LAW
    with pytest.raises(InputError, match="tolerance = 2: must lie between"):
        recorded_file(path, tolerance=2)


def test_some_certain_tokens_are_no_error(tmp_path):
    half, sure = np.log([0.5, 0.5]).tolist(), [0.0, None]
    content = [{"tokens": [x, 0], "logprobs": [half, sure]} for x in (0, 1)]
    assert recorded_file(write(tmp_path / "t.jsonl", content)).num_available == 2
