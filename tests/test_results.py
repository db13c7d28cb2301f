"""Numbers on pages are those of the stored results."""

import json
from pathlib import Path

from reference import get_method
from studies import store
from studies.audit_engines import table
from studies.engines.engine import BF16, control_of
from studies.engines.vllm import MENDED
from studies.gallery.plots import scaling_out

ROOT = Path(__file__).parents[1]
RESULTS = (ROOT / "docs" / "results.md").read_text()


def test_the_table_of_initial_drafts_is_the_stored_result():
    result = json.loads((ROOT / "studies" / "results" / "initial_drafts.json").read_text())
    for initial in ("uniform", "left", "upper"):
        (line,) = [line for line in RESULTS.splitlines() if line.startswith(f"| {initial} |")]
        for method in ("sjd", "scd-mc", "scd-gs"):
            rows = [r for r in result["rows"] if (r["initial"], r["method"]) == (initial, method)]
            assert " · ".join(f"{row['speedup']:.2f}" for row in rows) in line


def test_what_is_said_of_first_drafts_is_the_stored_result():
    result = json.loads((ROOT / "studies" / "results" / "initial_drafts.json").read_text())
    gain = {(row["method"], row["window"]): row["speedup"] for row in result["rows"] if row["initial"] == "left"}
    wider = {method: gain[method, 64] / gain[method, 16] - 1 for method in ("scd-mc", "sjd")}
    said = " ".join(RESULTS.split())
    assert f"SCD-MC makes {gain['scd-mc', 32] / gain['sjd', 32]:.2f} times SJD at window 32" in said
    assert f"gains {wider['scd-mc']:.0%} from window 16 to 64 where SJD gains {wider['sjd']:.0%}" in said
    assert f"{result['bits_per_token_held_out']:.2f} bits a token held out" in said


def test_what_is_said_of_transformers_is_the_stored_result():
    runs = json.loads((ROOT / "studies" / "results" / "audit_transformers.json").read_text())["runs"]
    old, new = (
        next(row for row in runs[release]["rows"] if row["setting"] == "assistant, sampled")
        for release in ("4.44.2", "5.23.0")
    )
    assert (old["outcome"], old["condition"], new["outcome"]) == ("REFUTED", "declared-law", "NOT_REFUTED")
    said = " ".join(RESULTS.split())
    assert f"transformers 4.44.2 is refuted after {old['num_sequences']} sequences, naming declared-law" in said
    assert f"5.23.0 is not refuted in {new['num_sequences']:,}" in said


def test_the_table_of_engines_is_the_stored_result():
    result = json.loads((ROOT / "studies" / "results" / "audit_engines.json").read_text())
    page = (ROOT / "docs" / "how-to" / "engines.md").read_text()
    shown = page.partition("<!-- engines: begin -->\n")[2].partition("\n<!-- engines: end -->")[0]
    assert shown == table(result)
    for name, told in result["engines"].items():
        package, version = told.split()
        assert f"`{package}` {version} (" in page
        assert {row["version"] for row in result["rows"] if row["engine"] == name} == {told}


def test_what_is_said_of_openvinos_draft_models_is_the_stored_result():
    rows = json.loads((ROOT / "studies" / "results" / "audit_engines.json").read_text())["rows"]
    drafts = [row for row in rows if (row["engine"], row["mode"]) == ("OpenVINO GenAI", "draft")]
    said = " ".join((ROOT / "docs" / "how-to" / "engines.md").read_text().split())
    assert {(row["outcome"], row["pair"]) for row in drafts} == {("REFUTED", "REFUTED")}
    most = max(row["sequences"] for row in drafts)
    assert f"all {len(drafts)} settings are refuted within {most} sequences, and so are the pairs" in said
    plain = {row["draft"]: row for row in drafts if row["sampling"] == "as it is"}
    assert plain["target"]["cause"] == "an unlikely token follows a surprising one too often (shared noise)"
    assert {plain[name]["cause"] for name in ("near", "far")} == {"drafts are committed without a correction"}
    assert all(f"*{plain[name]['cause']}*" in said for name in ("target", "near"))


def test_what_is_said_of_vllm_is_the_stored_result():
    """Off stands, on falls, and with one function repaired it stands; in bf16 off falls where top-p cuts.

    Top-k alone ends the engine with drafts.
    """
    rows = json.loads((ROOT / "studies" / "results" / "audit_engines.json").read_text())["rows"]
    rows = [row for row in rows if row["engine"] == "vLLM"]
    said = " ".join((ROOT / "docs" / "how-to" / "engines.md").read_text().split())
    for row in rows:
        mode, is_half = row["mode"], row["mode"].endswith(BF16)
        is_off, is_right = mode == control_of(mode), mode == control_of(mode) or MENDED in mode
        is_ended = not is_off and "top_k" in row["sampling"] and (row["sampling"] == "top_k = 8" or not is_right)
        is_cut = is_half and "top_p" in row["sampling"]
        expected = "RAISED" if is_ended else "REFUTED" if is_cut or not is_right else "NOT_REFUTED"
        assert (mode, row["sampling"], row["outcome"]) == (mode, row["sampling"], expected)
        if not is_off and not is_ended:
            assert row["pair"] == ("CONTROL_REFUTED" if is_cut and is_right else expected)
            assert row.get("pair_alone", "NOT_REFUTED") == "NOT_REFUTED"
    refuted = [row for row in rows if row["outcome"] == "REFUTED"]
    most = max(row["sequences"] for row in refuted if not row["mode"].endswith(BF16))
    assert f"within {most} sequences each, and so are the pairs" in said
    halves = sorted(row["sequences"] for row in refuted if row["mode"] == "off" + BF16)
    assert f"refuted after {' and '.join(map(str, halves))} sequences" in said


def test_what_a_stated_rule_gains_is_the_stored_result():
    rows = json.loads((ROOT / "studies" / "results" / "power.json").read_text())["rows"]
    sooner = sum(2 * row["trace_mrs_mean"] < row["trace_mean"] for row in rows)
    said = " ".join((ROOT / "docs" / "how-to" / "rules.md").read_text().split())
    assert f"of the {len(rows)} planted faults {sooner} then take less than half as many sequences" in said
    assert all(row["trace_refuted"] == row["trace_named_right"] == row["trace_mrs_named_right"] == 1 for row in rows)


def test_the_default_first_drafts_have_the_published_shape():
    """SJD stops gaining early and the couplings do not. The twins: with either other first draft one half fails."""
    result = json.loads((ROOT / "studies" / "results" / "initial_drafts.json").read_text())
    gain = {(row["initial"], row["method"], row["window"]): row["speedup"] for row in result["rows"]}

    def shape(initial):
        over_sjd = [gain[initial, method, 32] / gain[initial, "sjd", 32] for method in ("scd-mc", "scd-gs")]
        wider = {method: gain[initial, method, 64] / gain[initial, method, 16] for method in ("sjd", "scd-mc")}
        return over_sjd[0] >= 1.6 and over_sjd[1] >= 1.5, wider["sjd"] < 1.2 and wider["scd-mc"] > 1.3

    assert result["bits_per_token_held_out"] <= 3.2
    assert get_method("scd-mc").for_grid((16, 16)).initial == "left"
    assert shape("left") == (True, True)
    assert shape("uniform") == (False, True)
    assert shape("upper") == (True, False)


def test_the_table_of_gains_on_a_video_is_the_stored_result():
    rows = json.loads((ROOT / "studies" / "results" / "video_gain.json").read_text())["rows"]
    for model in ("photos", "video"):
        (line,) = [line for line in RESULTS.splitlines() if line.startswith(f"| `{model}` |")]
        for method in ("sjd", "scd-mc", "scd-gs"):
            chosen = [r for r in rows if (r["model"], r["method"]) == (model, method)]
            assert [r["window"] for r in chosen] == [16, 32, 64]
            assert " · ".join(f"{r['gain']:.2f}" for r in chosen) in line
    (row,) = [r for r in rows if (r["model"], r["method"], r["window"]) == ("video", "sjd", 32)]
    assert f"{row['bits_first_frame']:.2f} in the first frame, {row['bits_later']:.2f} in the later ones" in RESULTS


def test_maximal_coupling_gains_more_on_the_video_than_on_the_photographs():
    """At window 32, beyond both 95% intervals."""
    rows = json.loads((ROOT / "studies" / "results" / "video_gain.json").read_text())["rows"]
    photos, video = (
        next(r for r in rows if (r["model"], r["method"], r["window"]) == (model, "scd-mc", 32))
        for model in ("photos", "video")
    )
    assert (photos["n"], video["n"]) == (64, 64)
    assert video["gain_low"] > photos["gain_high"]
    assert video["bits_later"] <= 0.7 * video["bits_first_frame"]


def rows_at(name, column, setting):
    """Rows of a sweep of one processor at one setting, without the setting and the commit."""
    rows = json.loads((ROOT / "studies" / "results" / f"{name}.json").read_text())["rows"]
    return [{k: v for k, v in row.items() if k not in (column, "commit")} for row in rows if row[column] == setting]


def test_sweeps_of_processors_meet_where_they_change_nothing():
    """Each sweep has the unprocessed model in it, from the same seed: the same passes. The twin: elsewhere not."""
    plain = rows_at("top_k", "k", 1024)
    assert [row["method"] for row in plain] == ["sjd", "scd-mc", "scd-gs"]
    assert rows_at("temperature", "temperature", 1.0) == plain
    assert rows_at("top_p", "p", 1.0) == plain
    assert rows_at("temperature", "temperature", 0.7) != plain


def test_adaptive_continuation_has_the_passes_of_maximal_coupling():
    """Measured apart, with the same seed: the same decoder. The twin: SJD's are others."""
    for name, column, numbers in (
        ("methods_compared", "method", ("mean_nfe", "bits", "excess_bits", "usage")),
        ("verdict_table", "rule", ("speedup", "digits_distance", "samples_outcome", "trace_outcome")),
    ):
        rows = json.loads((ROOT / "studies" / "results" / f"{name}.json").read_text())["rows"]
        pac, coupled, fresh = (
            [row[number] for number in numbers]
            for method in ("sjd-pac", "scd-mc", "sjd")
            for row in rows
            if row[column] == method
        )
        assert pac == coupled
        assert pac[0] != fresh[0]


def test_memory_does_not_grow_with_a_trace():
    """No way of looking at a trace holds a twentieth of what the longer one has more, and none takes a gigabyte."""
    rows = json.loads((ROOT / "studies" / "results" / "bench_streaming.json").read_text())["rows"]
    few, many = ({r["task"]: r for r in rows if r["num_sequences"] == count} for count in (32, 128))
    more = many["audit"]["trace_bytes"] - few["audit"]["trace_bytes"]
    looks = set(many) - {"write"}
    growth = {task: (many[task]["peak_bytes"] - few[task]["peak_bytes"]) / more for task in looks}
    assert growth.pop("load laws") > 0.4  # the twin
    assert max(growth.values()) < 0.05
    assert max(row["peak_bytes"] for row in rows if row["task"] != "load laws") < 1e9
    peaks = " · ".join(f"{many[task]['peak_bytes'] / 2**30:.2f}" for task in ("summary", "validate laws", "audit"))
    assert peaks in (ROOT / "docs" / "how-to" / "trace.md").read_text()


def test_the_table_of_compact_laws_is_the_stored_result():
    rows = json.loads((ROOT / "studies" / "results" / "recorded_laws.json").read_text())["rows"]
    page = (ROOT / "docs" / "reference" / "trace.md").read_text()
    for row in (row for row in rows if row["kind"] == "form"):
        (line,) = [
            line for line in page.splitlines() if line.startswith(f'| `"{row["form"]}"` | {row["bytes"]:,.0f} |')
        ]
        for kind in ("mean", "max"):
            error = row[f"target_probs_{kind}"]
            assert error is None or f" {error:.2g} |" in line
    cost = {row["form"]: row["overhead"] for row in rows if row["kind"] == "form"}
    whole, *compact = (cost[form] for form in cost if form != "scalars")
    assert f"whole laws cost {whole:.0%} and compact ones {min(compact) * 100:.0f} to {max(compact):.0%}" in page
    rows = json.loads((ROOT / "studies" / "results" / "bench_decode.json").read_text())["rows"]
    (eager,) = (row for row in rows if row["kind"] == "parts, eager")
    assert f"Of {eager['n']} sequences whole laws cost {eager['record_laws']:.0%}" in page


def test_the_seconds_on_a_cuda_device_are_the_stored_result():
    result = json.loads((ROOT / "studies" / "results" / "bench_cuda.json").read_text())
    page = " ".join((ROOT / "docs" / "reference-decoder.md").read_text().split())

    def seconds(batch, method, window, ways=("launched", "replayed")):
        for way in ways:
            (row,) = (
                r for r in result[f"gains, {way}"] if (r["batch"], r["method"], r["window"]) == (batch, method, window)
            )
            yield row["seconds"]

    assert result["device"] == "NVIDIA H200"
    one, fast = seconds(1, "ar", 1), seconds(1, "scd-mc", 32)
    assert "takes {:.2f} s launched and {:.2f} s replayed without drafts".format(*one) in page
    assert "{:.2f} s and {:.3f} s with `scd-mc`".format(*fast) in page
    many = [f"{1000 * value:.1f} ms" for row in (("ar", 1), ("scd-mc", 32)) for value in seconds(64, *row)]
    assert "{} and {}, {} and {}".format(*many) in page
    filled = [value for row in (("ar", 1), ("scd-mc", 32)) for value in seconds(512, *row, ways=("filled",))]
    assert "of 512, replayed, {:.1f} ms and {:.1f} ms".format(*(1000 * value for value in filled)) in page


def test_a_row_keeps_the_commit_that_it_is_of(tmp_path, monkeypatch, capsys):
    """A study that is resumed after a change holds rows of two commits; each says which."""
    for name, value, now in (("laws", 1, "aaa"), ("traces", 2, "bbb")):
        monkeypatch.setattr(store, "commit", lambda now=now: now)
        store.Rows(name, ("fault",), folder=tmp_path).add({"fault": "stale", name: value})
    laws, traces = (store.Rows(name, ("fault",), folder=tmp_path) for name in ("laws", "traces"))
    assert laws.rows == [{"fault": "stale", "laws": 1, "commit": "aaa"}]
    (row,) = traces.beside({row["fault"]: row for row in laws.rows}, "traces").values()
    assert row == {"fault": "stale", "laws": 1, "commit": "aaa", "traces": 2, "traces_commit": "bbb"}


def judged(task, num_sequences=None, num_tokens=2_304, code="now"):
    """A row of the judge's benchmark."""
    rows = json.loads((ROOT / "studies" / "results" / "bench_judge.json").read_text())["rows"]
    (row,) = (
        row
        for row in rows
        if (row["task"], row["num_tokens"], row["code"]) == (task, num_tokens, code)
        and num_sequences in (None, row["num_sequences"])
    )
    return row


CLUSTER = " ".join((ROOT / "docs" / "how-to" / "cluster.md").read_text().split())


def test_what_is_said_of_the_judge_is_the_stored_result():
    """Two gigabytes hold an image model's sequence, however many there are; the twin is a trace with laws."""
    few, many, tokens = judged("scalars", 8), judged("scalars", 24), judged("tokens")
    assert max(row["peak_bytes"] for row in (few, many, tokens)) < 2e9 < judged("laws", num_tokens=64)["peak_bytes"]
    assert many["peak_bytes"] - few["peak_bytes"] < 0.05e9
    peaks = f"in {few['peak_bytes'] / 1e9:.2f} GB for 8 sequences and {many['peak_bytes'] / 1e9:.2f} GB for 24"
    assert f"{peaks}, and of tokens alone in {tokens['peak_bytes'] / 1e9:.2f} GB" in CLUSTER
    seconds = many["seconds_of_judge"] + many["seconds_of_model"]
    assert f"{seconds:.1f} s a sequence, {2_304 / seconds:,.0f} tokens a second" in CLUSTER
    before, now = (judged("tokens", num_tokens=64, code=code) for code in ("71f651b", "now"))
    assert f"as reading the laws {tokens['readings']:.0f} times" in CLUSTER
    assert f"of 64 tokens {now['readings']:.0f} times, where it was {before['readings']:.0f}" in CLUSTER
    assert before["log_e_value"] == now["log_e_value"]


def test_what_is_said_of_many_workers_and_judges_is_the_stored_result():
    result = json.loads((ROOT / "studies" / "results" / "scaling.json").read_text())
    frame = scaling_out.compute(result)
    gains = [scaling_out.gained(frame, task) for task in ("audit", "recording", "calibration", "exact law")]
    said = "an audit {:.2f} times as fast as one, a recording {:.2f}, a calibration {:.2f} and an exact law {:.2f}"
    assert said.format(*gains) in CLUSTER
    assert f"who takes {result['seconds_of_judge']:.1f} s of one core" in CLUSTER
    for judges in (1, 16):
        hours, workers = scaling_out.least(frame, f"audit, {judges}")
        assert f"{hours:.2g} hours from {workers:,} workers on" in CLUSTER
    hours, workers = scaling_out.least(frame, "recording")
    assert f"{hours * 60:.2g} minutes with {workers:,}" in CLUSTER
    ratio = {(row["task"], row["judges"]): row["ratio"] for row in result["rows"] if row["kind"] == "power"}
    for judges in (4, 16):
        first, second = (ratio[fault, judges] for fault in ("residual-floored", "residual-from-target"))
        assert f"{judges} judges needed {first:.1f} and {second:.1f} times as many" in CLUSTER
    assert ratio["residual-floored", 1] == 1
