"""Networks of ``transformers``: loading from a folder, and bad input by name."""

import importlib
import subprocess
import sys

import pytest
import torch

from reference import load_hf
from reference.models import hf_networks
from reference.models.hf_layouts import Layout, get_layout
from scd_analysis.errors import InputError, UnknownNameError

transformers = pytest.importorskip("transformers")
from studies import tiny_networks as tiny  # noqa: E402


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Weights and a tokenizer of five words, as a user has them on disk."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    path = tmp_path_factory.mktemp("llama")
    words = Tokenizer(models.WordLevel({"<s>": 0, "</s>": 1, "a": 2, "red": 3, "kite": 4}, unk_token="</s>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    transformers.PreTrainedTokenizerFast(tokenizer_object=words, bos_token="<s>").save_pretrained(path)
    tiny.llama().save_pretrained(path)
    return path


def test_a_folder_and_a_text_are_enough(folder):
    model = load_hf(folder, "a red kite", num_tokens=6, dtype=torch.bfloat16, guidance=2.0, negative_prompt="a kite")
    assert model.prefixes == [[2, 3, 4], [2, 4]]
    assert model.dtype is torch.bfloat16
    assert not model.network.training
    same = load_hf(tiny.llama(), [2, 3, 4], num_tokens=6)
    tokens = torch.zeros(1, 5, dtype=torch.long)
    loaded = load_hf(str(folder), "a red kite", num_tokens=6, architecture="causal-lm", device_map="cpu")
    assert torch.equal(loaded.next_token_probs(tokens), same.next_token_probs(tokens))
    assert torch.equal(loaded.given([2, 4]).next_token_probs(tokens), same.given([2, 4]).next_token_probs(tokens))


def test_kinds_are_recognised(tmp_path):
    tiny.emu3().save_pretrained(tmp_path)
    model = load_hf(tmp_path, [0, 5], height=2, width=3)
    assert type(model.network).__name__ == "Emu3ForConditionalGeneration"
    assert (model.grid, model.vocab_size) == ((2, 3), tiny.CODES)


@pytest.mark.slow
def test_the_library_is_imported_on_first_use():
    code = "import sys, reference; assert 'transformers' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_library_is_asked_for_by_name(monkeypatch):
    def without(name, *args):
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", without)
    with pytest.raises(InputError, match=r"pip install 'scd-analysis\[hf\]'"):
        load_hf("anything", [0], num_tokens=2)


def llama(prompt=(0, 2), **settings):
    return load_hf(tiny.llama(), prompt, **{"num_tokens": 4, **settings})


BAD = [
    (lambda: load_hf("no/such/folder/here", [0], num_tokens=2), InputError, "source = 'no/such/folder/here'"),
    (lambda: load_hf("x", [0], architecture="bert"), UnknownNameError, "known: causal-lm, chameleon, janus, emu3"),
    (lambda: load_hf(tiny.llama(), "text", num_tokens=2), InputError, "give ids for prompts"),
    (lambda: load_hf(tiny.llama(), [0], num_tokens=2, dtype=torch.float16), InputError, "no options for loading"),
    (lambda: load_hf(tiny.llama(), [0]), InputError, "num_tokens = None"),
    (
        lambda: load_hf(tiny.llama(), [0], layout="raster"),
        UnknownNameError,
        "known: text, anole, lumina-mgpt, janus, emu3",
    ),
    (lambda: load_hf(tiny.llama(), [0], layout="anole"), InputError, "config.vocabulary_map is empty"),
    (lambda: load_hf(tiny.llama(), [0], num_tokens=2, height=2), InputError, "layout = 'text'"),
    (lambda: load_hf(tiny.chameleon(), [0]), InputError, "'anole', 'lumina-mgpt' or 'text'"),
    (lambda: load_hf(tiny.chameleon(), [0], layout="anole", num_tokens=9), InputError, "num_tokens = 9"),
    (lambda: load_hf(tiny.chameleon(), [0], layout="lumina-mgpt", height=3, width=2), InputError, "units of two"),
    (lambda: llama(()), InputError, r"prompt = \[\]"),
    (lambda: llama((0, 11)), InputError, r"prompt\[1\] = 11"),
    (lambda: llama(guidance=2.0, negative_prompt=[-1]), InputError, r"negative_prompt\[0\] = -1"),
    (lambda: llama(guidance=-1.0), InputError, "guidance = -1.0"),
    (lambda: llama(suppress=(11,)), InputError, "suppress = 11"),
    (lambda: llama(num_tokens=600), InputError, "take 601 places: the network has 512"),
    (lambda: llama(end_id=11), InputError, "end = 11"),
    (lambda: llama(temperature=-1), InputError, "temperature = -1"),
    (lambda: llama().next_token_probs(torch.tensor([[0, 11]])), InputError, r"tokens\[0, 1\] = 11"),
    (lambda: llama().next_token_probs(torch.zeros(1, 4, dtype=torch.long)), InputError, "t < 4"),
    (lambda: Layout(range(3), 4, grid=(2, 3)), InputError, "does not hold 4 tokens"),
    (lambda: Layout(range(3), 4, row_end=1), InputError, "needs a grid"),
    (lambda: load_hf(tiny.llama(), [0], layout=Layout(range(99), 4)), InputError, "the network has 11 ids"),
    (lambda: load_hf(tiny.llama(), [0], layout=Layout(range(9), 4, separate=True)), InputError, "separate = True"),
]


@pytest.mark.parametrize(("call", "error", "message"), BAD)
def test_bad_input_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_attention_that_takes_no_mask_is_refused():
    network = tiny.llama()
    network.config._attn_implementation = "flash_attention_2"
    with pytest.raises(InputError, match="attention = 'flash_attention_2'"):
        load_hf(network, [0], num_tokens=2)


def test_eager_attention_gives_the_same_laws():
    network = tiny.llama()
    tokens = torch.zeros(1, 5, dtype=torch.long)
    rows = torch.arange(6)[None]
    sdpa = load_hf(network, [0, 2], num_tokens=6).next_token_probs(tokens)
    network.set_attn_implementation("eager")
    session = load_hf(network, [0, 2], num_tokens=6).open_session(1, torch.device("cpu"))
    torch.testing.assert_close(session.laws(torch.zeros(1, 6, dtype=torch.long), rows, 5), sdpa, atol=1e-6, rtol=0)


def test_janus_needs_to_know_what_to_blank():
    network = tiny.janus()
    network.generation_config.pad_token_id = None
    with pytest.raises(InputError, match="have no pad_token_id"):
        load_hf(network, [0, 5, 3], guidance=5.0)
    assert load_hf(network, [0, 5, 3], guidance=5.0, negative_prompt=[0, 2, 3]).prefixes[1] == [0, 2, 3]
    assert get_layout(None, network.config).separate
    assert hf_networks.ARCHITECTURES["janus"] == "JanusForConditionalGeneration"
