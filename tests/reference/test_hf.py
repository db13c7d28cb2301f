"""Networks of ``transformers``: laws equal to those that ``generate`` samples from, windows equal to full passes."""

import contextlib
import dataclasses

import pytest
import torch

from reference import Processors, check_model, decode, load_hf

transformers = pytest.importorskip("transformers")
from studies import tiny_networks as tiny  # noqa: E402
from tests.reference.hf_case import CPU, FAMILIES, PROCESSED, PROMPT, distance, make, make_networks  # noqa: E402


@pytest.fixture(scope="module")
def networks():
    return make_networks()


@contextlib.contextmanager
def sampled_laws():
    """Every law that is sampled from, as ``torch.multinomial`` gets it."""
    laws, draw = [], torch.multinomial

    def spy(probs, *args, **kwargs):
        laws.append(probs.clone())
        return draw(probs, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "multinomial", spy)
        yield laws


class FirstHalf(transformers.LogitsProcessor):
    """Janus's ``generate`` always runs both prompts; without guidance this keeps the scores of the first."""

    def __call__(self, input_ids, scores):
        return scores[: len(input_ids)]


def generated(model, batch=2):
    """Tokens that the library's own ``generate`` drew, and the laws it drew them from: Long[B, N], Float[B, N, V]."""
    network, processors = model.network, model.processors
    ids = torch.tensor(model.prefixes[0]).repeat(batch, 1)
    settings = {
        "do_sample": True,
        "temperature": processors.temperature,
        "top_k": processors.top_k or 0,
        "top_p": processors.top_p or 1.0,
        "attention_mask": torch.ones_like(ids),
        "return_dict_in_generate": True,
        "output_scores": True,
    }
    torch.manual_seed(0)
    if model.layout.separate:
        guided = {"guidance_scale": model.guidance}
        if model.guidance == 1:
            guided["logits_processor"] = transformers.LogitsProcessorList([FirstHalf()])
        with sampled_laws() as laws:
            out = network.generate(ids, generation_mode="image", **settings, **guided)
        return out.sequences, torch.stack(laws, 1)

    def allowed(row, so_far):
        fixed = int(model.body[len(so_far) - ids.shape[1]])
        return list(model.layout.token_ids) if fixed < 0 else [fixed]

    if model.guidance != 1:
        negative = torch.tensor(model.prefixes[1]).repeat(batch, 1)
        settings |= {"guidance_scale": model.guidance, "negative_prompt_ids": negative}
    if model.suppress:
        settings["suppress_tokens"] = list(model.suppress)
    if model.layout.end is None:
        network.generation_config.eos_token_id = None
    length = int(model.offset[-1]) + 1
    with sampled_laws() as laws:
        out = network.generate(ids, max_new_tokens=length, prefix_allowed_tokens_fn=allowed, **settings)
    laws = torch.stack(laws, 1)
    assert torch.equal(laws, torch.stack(out.scores, 1).softmax(-1))  # what it says it samples from is what it samples
    drawn = out.sequences[:, ids.shape[1] :]
    tokens = (drawn[:, model.offset[: drawn.shape[1]], None] == torch.from_numpy(model.token_ids)).long().argmax(-1)
    assert torch.equal(model._fill(tokens, drawn.shape[1]), drawn)
    return tokens, laws[:, model.offset[: laws.shape[1]]][..., model.token_ids]


@pytest.fixture
def unforbidden(networks):
    """Chameleon's ``forward`` of the library forbids image tokens; its ``generate`` can draw images without that."""
    with pytest.MonkeyPatch.context() as patch:
        for family in ("anole", "lumina-mgpt"):
            patch.setitem(networks[family].model.vocabulary_mapping.__dict__, "image_tokens", [])
        yield


@pytest.mark.parametrize("processors", [Processors(), PROCESSED], ids=["plain", "processed"])
@pytest.mark.parametrize("guidance", [1.0, 2.5])
@pytest.mark.parametrize("family", FAMILIES)
def test_laws_equal_those_that_generate_samples_from(networks, unforbidden, family, guidance, processors):
    model = make(networks, family, guidance, processors)
    tokens, laws = generated(model)
    assert laws.shape == (2, model.num_tokens, model.vocab_size)
    assert distance(model.next_token_probs(tokens[:, :-1]), laws) < 1e-5
    rows = torch.arange(model.num_tokens).expand(2, -1)
    assert distance(model.open_session(2, CPU).laws(tokens, rows, model.num_tokens - 1), laws) < 1e-5
    # The twins: another scale, and another temperature.
    other = make(networks, family, guidance + 0.5, processors)
    assert distance(other.next_token_probs(tokens[:, :-1]), laws) > 1e-2
    other = make(networks, family, guidance, dataclasses.replace(processors, temperature=0.7))
    assert distance(other.next_token_probs(tokens[:, :-1]), laws) > 1e-2


def test_suppressed_tokens_and_the_default_negative_prompt_are_those_of_generate(networks):
    """Without a negative prompt, guidance is against the last id of the prompt; tokens 2 and 4 are never drawn."""
    model = make(networks, "llama", 2.0, suppress=(2, 4), negative_prompt=None)
    assert model.prefixes[1] == [3]
    tokens, laws = generated(model)
    assert distance(model.next_token_probs(tokens[:, :-1]), laws) < 1e-5
    assert float(laws[..., [2, 4]].max()) == 0
    assert distance(make(networks, "llama", 2.0).next_token_probs(tokens[:, :-1]), laws) > 1e-2


def test_a_text_that_has_ended_stays_ended(networks):
    """``generate`` draws up to the end and pads after it; every later law is the point mass on the end."""
    network = networks["llama"]
    model = load_hf(network, PROMPT, num_tokens=40, end_id=5)
    network.generation_config.eos_token_id = network.generation_config.pad_token_id = 5
    tokens, laws = generated(model, batch=4)
    length = tokens.shape[1]
    assert 1 < length < 40, "the seed should show texts that end"
    tokens = torch.nn.functional.pad(tokens, (0, 40 - length), value=5)
    ours = model.next_token_probs(tokens[:, :-1])
    ended = torch.nn.functional.pad((tokens == 5).long().cumsum(1), (1, 0))[:, :-1] > 0
    before = ~ended[:, :length]
    assert distance(ours[:, :length][before], laws[before]) < 1e-5
    assert (ours[ended][:, 5] == 1).all()
    rows = torch.arange(40).expand(4, -1)
    assert distance(model.open_session(4, CPU).laws(tokens, rows, 39), ours) < 1e-5
    for method in ("ar", "scd-gs"):
        drawn = decode(model, method, window=8, num_sequences=8, record=None).tokens
        assert ((drawn == 5).long().diff(dim=1) >= 0).all()


def test_half_precision_gives_laws_near_those_of_single(networks):
    """The target of a bfloat16 network is its own law, so it need not be close; but it is held in float32."""
    network = tiny.llama().to(torch.bfloat16)
    half, single = (load_hf(n, PROMPT, num_tokens=12) for n in (network, networks["llama"]))
    tokens = decode(half, "scd-gs", window=4, num_sequences=2, record=None).tokens
    laws = half.next_token_probs(tokens[:, :-1])
    assert check_model(half) is torch.float32
    assert half.dtype is torch.bfloat16
    assert 1e-5 < distance(laws, single.next_token_probs(tokens[:, :-1])) < 0.2


def test_ids_put_in_what_the_layout_fixes(networks):
    model = make(networks, "lumina-mgpt")
    ids = model.to_ids(torch.arange(16)[None])[0]
    assert ids[:3].tolist() == [29, 33, 33]  # start of image; two units of two tokens, twice: <reserved08802>
    assert ids[7:23:5].tolist() == [30] * 4
    assert ids[-1] == 28
    assert ids[3] == model.token_ids[0] == 4
    assert make(networks, "emu3").to_ids(torch.zeros(1, 16, dtype=torch.long))[0, -3:].tolist() == [40, 41, 42]
