"""Networks of ``transformers``: laws equal to those that ``generate`` samples from, windows equal to full passes."""

import contextlib
import dataclasses

import pytest
import torch
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode

from reference import HuggingFaceModel, Processors, check_model, decode, load_hf
from reference.broken import get_fault
from reference.models.base import PlainSession
from reference.models.hf_cache import PlacedCache
from reference.models.hf_layouts import get_layout
from scd_analysis import Outcome, audit
from tests.statistics import ledger

transformers = pytest.importorskip("transformers")
from studies import tiny_networks as tiny  # noqa: E402

CPU = torch.device("cpu")
PROMPT, OTHER = [0, 7, 5, 9, 3], [0, 8, 3]  # of different lengths: each prompt has places of its own
PROCESSED = Processors(temperature=0.8, top_k=7, top_p=0.9)
LAYOUT_OF = {"llama": "text", "anole": "anole", "lumina-mgpt": "lumina-mgpt", "janus": "janus", "emu3": "emu3"}
FAMILIES = list(LAYOUT_OF)


@pytest.fixture(scope="module")
def networks():
    return {
        name: getattr(tiny, {"anole": "chameleon", "lumina-mgpt": "chameleon"}.get(name, name))() for name in LAYOUT_OF
    }


def make(networks, family, guidance=1.0, processors=None, **settings):
    sizes = {"num_tokens": 12} if family == "llama" else {"height": 4, "width": 4}
    layout = get_layout(LAYOUT_OF[family], networks[family].config, **sizes)
    negative = None if family == "janus" else settings.pop("negative_prompt", OTHER)  # generate blanks Janus's itself
    return HuggingFaceModel(
        networks[family],
        layout,
        PROMPT,
        negative_prompt=negative,
        guidance=guidance,
        processors=processors,
        **settings,
    )


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


def distance(a, b):
    return float((a - b).abs().max())


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


def walk(model, session, full, tokens):
    """Move windows over rejected drafts, at different paces; the largest error of a law of a final prefix.

    In each pass the first ``accepted`` drafts are right and the others wrong; the first wrong one is replaced, which
    the pass did not see. So the next pass must overwrite what this one left in the cache.
    """
    wrong, base, worst = (tokens + 1) % model.vocab_size, torch.zeros(len(tokens), dtype=torch.long), 0.0
    for accepted in ([0, 2, 1], [3, 0, 2], [1, 4, 0], [2, 1, 3], [3, 2, 5]):
        drafted = tokens.clone()
        for b, step in enumerate(accepted):
            drafted[b, base[b] + step :] = wrong[b, base[b] + step :]
        rows = (base[:, None] + torch.arange(7)).clamp(max=model.num_tokens - 1)
        laws = session.laws(drafted, rows, int(rows.max()))
        for b, step in enumerate(accepted):
            known = min(step + 1, model.num_tokens - int(base[b]))
            worst = max(worst, distance(laws[b, :known], full[b, base[b] : base[b] + known]))
        base = (base + torch.tensor(accepted) + 1).clamp(max=model.num_tokens - 1)
    return worst


@pytest.mark.parametrize("guidance", [1.0, 2.5])
@pytest.mark.parametrize("family", FAMILIES)
def test_windows_over_rejected_drafts_equal_full_passes(networks, family, guidance, monkeypatch):
    model = make(networks, family, guidance)
    tokens = decode(model, "ar", num_sequences=3, record=None).tokens
    full = model.next_token_probs(tokens[:, :-1])
    assert walk(model, model.open_session(3, CPU), full, tokens) < 1e-5

    # The twins: an entry once written stays; and, with row ends, a pass starts at the row end after the last token.
    def first_write_stays(self, keys, values, layer, *args, **kwargs):
        old = [t.clone() for t in self.entries.get(layer, ())]
        new = written(self, keys, values, layer)
        kept = [torch.where((o != 0).any(-1, keepdim=True), o, n) for o, n in zip(old, new, strict=False)]
        self.entries[layer] = tuple(kept) if old else new
        return self.entries[layer]

    if model.layout.row_end is not None:
        session = model.open_session(3, CPU)
        session.start = session.offset - 1
        assert walk(model, session, full, tokens) > 1e-3
    written = PlacedCache.update
    monkeypatch.setattr(PlacedCache, "update", first_write_stays)
    assert walk(model, model.open_session(3, CPU), full, tokens) > 1e-3


SIZES = {
    "vocab_size": 11,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "initializer_range": 0.25,
    "bos_token_id": 0,
    "eos_token_id": 1,
    "pad_token_id": 1,
}
KINDS = [
    ("MistralConfig", {**SIZES, "sliding_window": 4}, True),
    ("Gemma3TextConfig", {**SIZES, "head_dim": 8, "sliding_window": 4, "sliding_window_pattern": 2}, True),
    (
        "GPT2Config",
        {"vocab_size": 11, "n_embd": 32, "n_layer": 2, "n_head": 4, "bos_token_id": 0, "eos_token_id": 1},
        True,
    ),
    ("BloomConfig", {"vocab_size": 11, "hidden_size": 32, "n_layer": 2, "n_head": 4}, False),
]


@pytest.mark.parametrize(("kind", "settings", "cached"), KINDS, ids=lambda v: v if isinstance(v, str) else "")
def test_other_language_models(kind, settings, cached):
    """Sliding windows, learned positions; what cannot be placed (Bloom's positions are a bias) makes full passes."""
    torch.manual_seed(0)
    network = transformers.AutoModelForCausalLM.from_config(getattr(transformers, kind)(**settings))
    model = load_hf(network, PROMPT, num_tokens=16, guidance=1.5, negative_prompt=OTHER)
    check_model(model)
    tokens = decode(model, "ar", num_sequences=3, record=None).tokens
    session = model.open_session(3, CPU)
    assert isinstance(session, PlainSession) != cached
    assert walk(model, session, model.next_token_probs(tokens[:, :-1]), tokens) < 1e-5


@pytest.mark.parametrize("method", ["sjd", "scd-mc", "scd-gs"])
def test_sequences_do_not_depend_on_the_batch_or_on_the_cache(networks, method):
    """Laws differ by rounding alone (1e-7), so on these seeds the tokens are the same."""
    model = make(networks, "emu3", 2.0)

    class Foreign:
        vocab_size, num_tokens, grid = model.vocab_size, model.num_tokens, model.grid
        next_token_probs = staticmethod(model.next_token_probs)

    many = decode(model, method, window=6, num_sequences=5, record=None)
    one = decode(model, method, window=6, num_sequences=5, batch_size=1, record=None)
    plain = decode(Foreign(), method, window=6, num_sequences=5, record=None)
    assert torch.equal(many.tokens, one.tokens)
    assert torch.equal(many.nfe, one.nfe)
    assert torch.equal(many.tokens, plain.tokens)
    assert len(set(map(tuple, many.tokens.tolist()))) == 5
    assert (many.nfe <= model.num_tokens).all()


FALSE_ALARM = ledger("hf: scd-mc on a tiny Llama is not refuted at 1e-6", 1e-6)
MISSES = ledger("hf: residual-from-target on a tiny Llama is refuted", 1e-6, power=1 - 1e-6, resolution=0.08)


def test_the_audit_stands_by_scd_on_a_network_and_finds_a_fault_in_it():
    model = load_hf(tiny.llama(vocab_size=4), [0, 2], num_tokens=4)

    def scd(model, num_sequences, seed):
        return decode(model, "scd-mc", window=3, num_sequences=num_sequences, seed=seed, record=None).tokens

    verdict = audit(scd, model, alpha=1e-6, max_sequences=2000)
    assert verdict.outcome is Outcome.NOT_REFUTED, verdict
    verdict = audit(get_fault("residual-from-target").subject(window=3), model, alpha=1e-6, max_sequences=8000)
    assert verdict.outcome is Outcome.REFUTED, verdict


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


@pytest.mark.parametrize("name", list(tiny.NETWORKS))
def test_a_session_never_synchronises(name):
    """It traces under FakeTensorMode, which refuses ``.item()``."""
    kind = "lumina-mgpt" if name == "chameleon" else name
    with FakeTensorMode():
        model = make({kind: tiny.NETWORKS[name]()}, kind, 2.0, PROCESSED, suppress=(1,))
        session = model.open_session(3, CPU)
        tokens, rows = torch.zeros(3, model.num_tokens, dtype=torch.long), torch.arange(5).expand(3, -1)
        laws = session.laws(tokens, rows, 4)
        session.keep(torch.arange(2))
        assert session.laws(tokens[:2], rows[:2] + 3, 8).shape == (2, 5, model.vocab_size)
        with pytest.raises(DataDependentOutputException):
            laws.max().item()


@pytest.mark.gpu
@pytest.mark.parametrize("family", FAMILIES)
def test_on_a_cuda_device_laws_are_those_of_the_host(networks, family):
    model = make(networks, family, 2.0)
    tokens = decode(model, "ar", num_sequences=3, record=None).tokens
    host = model.next_token_probs(tokens[:, :-1])
    try:
        model.to("cuda")
        rows = torch.arange(model.num_tokens, device="cuda").expand(3, -1)
        laws = model.open_session(3, torch.device("cuda")).laws(tokens.cuda(), rows, model.num_tokens - 1)
        assert distance(laws.cpu(), host) < 1e-4
        assert decode(model, "scd-gs", window=6, num_sequences=3, record=None, device="cuda").tokens.shape == (3, 16)
    finally:
        model.to("cpu")
