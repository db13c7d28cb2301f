"""The study of large models, end to end on tiny networks: what it stores, how it goes on, when it declines."""

import json
import shutil
from copy import deepcopy

import pytest
import torch

pytest.importorskip("transformers")
from studies import large_models, tiny_networks
from studies.published import SETTINGS


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    folder = tmp_path_factory.mktemp("large")
    arguments = ["janus-pro", "--tiny", "--no-wide", "--windows", "6", "--methods", "ar", "scd-gs"]
    arguments += ["--num-prompts", "2", "--numeric-tokens", "12", "--out", str(folder), "--results", str(folder)]
    assert large_models.main(arguments) == 0
    return folder, arguments


def lines(folder):
    return (folder / "large_models_tiny.rows.jsonl").read_text().splitlines()


@pytest.mark.slow
def test_it_stores_passes_beside_what_is_published_and_precision(done):
    result = json.loads((done[0] / "large_models_tiny.json").read_text())
    rows = {(row["model"], row["method"]): row for row in result["rows"]}
    assert set(rows) == {("janus-pro", method) for method in ("ar", "scd-gs")}
    for (_, method), row in rows.items():
        assert row["images"] == 2
        assert (row["mean_nfe"] == 64) == (method == "ar")
        assert row["published_nfe"] == (576 if method == "ar" else None)
    assert len(result["numerics"]) == 2
    single = [row for row in result["numerics"] if row["dtype"] == "float32"]
    assert all(0 < row["tv_window_max"] < 1e-4 for row in single)
    assert result["command"] == " ".join(["python -m studies.large_models", *done[1]])


def test_a_second_run_does_only_what_is_missing(done, capsys):
    folder, arguments = done
    before = lines(folder)
    assert len(before) == 4
    assert large_models.main(arguments) == 0
    assert lines(folder) == before
    shutil.rmtree(folder / "janus-pro" / "scd-gs-L6" / "prompt-001.zarr")
    assert large_models.main(arguments) == 0
    after = lines(folder)
    assert after[:-1] == before
    old, new = (json.loads(line) for line in (before[3], after[-1]))
    assert {**old, "seconds": 0} == {**new, "seconds": 0}
    assert "published" in capsys.readouterr().out
    assert json.loads((folder / "large_models_tiny.json").read_text())["rows"][0]["images"] == 2


def test_rounding_shows_where_a_network_is_coarse(monkeypatch):
    """The twin of small distances: half precision on a deeper network is seen.

    Some processors round alike whatever the shape of a pass, so the full pass is that of the network before rounding.
    """
    from reference import load_hf

    network = tiny_networks.wide_llama()
    fine = load_hf(network, [0, 7, 5], num_tokens=24)
    coarse = load_hf(deepcopy(network).to(torch.bfloat16), [0, 7, 5], num_tokens=24)
    monkeypatch.setattr(coarse, "next_token_probs", fine.next_token_probs)
    (row,) = large_models.numerics(coarse, [5], 24, 0)
    assert 1e-5 < row["tv_full_max"] < 0.1


def test_without_a_device_or_weights_it_says_so_in_one_line(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert large_models.main(["emu3"]) == 2
    assert capsys.readouterr().err == (
        "no CUDA device: large models need one; --tiny runs everything on tiny networks\n"
    )
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    arguments = ["emu3", "--weights", str(tmp_path / "none"), "--out", str(tmp_path)]
    assert large_models.main(arguments) == 2
    assert capsys.readouterr().err.startswith(f"emu3: weights = '{tmp_path}/none'")
    with pytest.raises(SystemExit) as stopped:
        large_models.main(["lumina"])
    assert stopped.value.code == 2


def test_prompts_are_spelt_by_the_tokenizer_beside_the_weights(tmp_path):
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = Tokenizer(models.WordLevel({"?": 0, "<s>": 1, "kite": 2, "User": 3}, unk_token="?"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=words, bos_token="<s>", unk_token="?").save_pretrained(tmp_path)
    ids, negative = large_models._encode(SETTINGS["emu3"], str(tmp_path), "kite")
    assert ids[:2] == [1, 2]
    assert negative[0] == 1
    ids, negative = large_models._encode(SETTINGS["janus-pro"], str(tmp_path), "kite")
    assert (ids[0], negative) == (1, None)
    assert ids.index(3) < ids.index(2)


def test_what_is_published_is_what_theory_has_on_file():
    speedups = {
        (name, row.method, row.window): row.speedup for name, setting in SETTINGS.items() for row in setting.published
    }
    assert speedups["lumina-mgpt", "scd-gs", 64] == 4.21
    for setting in SETTINGS.values():
        for row in setting.published:
            assert row.speedup == pytest.approx(setting.published[0].nfe / row.nfe, abs=0.006)
