"""Models: the contract, tables, processors, guidance, and the shipped transformers with their cache."""

import numpy as np
import pytest
import torch

from reference import GuidedModel, ProcessedModel, Processors, TabularModel, check_model, decode, load_model
from reference.models.image import SHIPPED, load_image_model
from reference.models.transformer import TokenTransformer, TransformerConfig
from scd_analysis.errors import InputError, LawError, UnknownNameError
from studies.training import bits_per_token


@pytest.fixture(scope="module", params=SHIPPED)
def shipped(request):
    return load_image_model(request.param)


def held_out(name):
    from importlib.resources import as_file, files

    with as_file(files("reference.models") / "weights" / f"{name}_held_out.npz") as path:
        stored = np.load(path, allow_pickle=False)
        return torch.from_numpy(stored["tokens"].astype(np.int64)), torch.from_numpy(stored["classes"].astype(np.int64))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["digits", "photos"])  # the video's are added up by its own test
def test_the_card_states_the_bits_a_token_that_the_weights_have(name):
    shipped = load_image_model(name)
    tokens, classes = held_out(shipped.name)
    bits = bits_per_token(shipped.net, tokens, classes).mean().item()
    assert bits == pytest.approx(shipped.card["bits_per_token_held_out"], abs=0.01)
    assert len(tokens) == shipped.card["num_held_out_images"]
    if shipped.name == "photos":
        assert bits <= 3.2


def test_shipped_models_keep_the_contract(shipped):
    check_model(shipped)
    assert shipped.vocab_size == {"digits": 17, "photos": 1024, "video": 1024}[shipped.name]
    assert shipped.num_tokens == {"digits": 64, "photos": 256, "video": 512}[shipped.name]
    pixels = shipped.to_pixels(held_out(shipped.name)[0][:2])
    sizes = {"digits": (8, 8), "photos": (64, 64), "video": (32, 8 * 32)}
    assert tuple(pixels.shape) == (2, *sizes[shipped.name], 3)
    assert 0 <= float(pixels.min())
    assert float(pixels.max()) <= 1


def test_cached_windows_equal_full_passes(shipped):
    """Windows that step back over rejected drafts: the cache is overwritten, not rolled back."""
    tokens = held_out(shipped.name)[0][:2]
    full = shipped.next_token_probs(tokens[:, :-1])
    session = shipped.open_session(2, torch.device("cpu"))
    wrong = (tokens + 1) % shipped.vocab_size
    base = torch.tensor([0, 0])
    for advance in ([1, 3], [2, 1], [5, 2]):
        drafted = tokens.clone()
        for b in range(2):
            drafted[b, base[b] + advance[b] :] = wrong[b, base[b] + advance[b] :]
        rows = base[:, None] + torch.arange(8)
        laws = session.laws(drafted, rows, 20)
        for b in range(2):
            known = advance[b] + 1
            torch.testing.assert_close(laws[b, :known], full[b, base[b] : base[b] + known], atol=1e-5, rtol=1e-4)
        base = base + torch.tensor(advance)


def test_decoding_through_the_cache_equals_decoding_by_the_contract():
    """The laws differ by rounding only, so on these seeds the tokens are the same."""
    model = load_image_model("digits")

    class Foreign:
        vocab_size, num_tokens, grid = model.vocab_size, model.num_tokens, model.grid
        next_token_probs = staticmethod(model.next_token_probs)

    for method in ("sjd", "scd-gs"):
        a, b = (decode(m, method, window=8, num_sequences=2, record=None) for m in (model, Foreign()))
        assert torch.equal(a.tokens, b.tokens)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "method", "count"),
    [("photos", "ar", 3), ("photos", "scd-mc", 3), ("photos", "scd-gs", 3), ("video", "scd-mc", 2)],
)
def test_sequences_do_not_depend_on_the_batch(name, method, count):
    model = load_image_model(name)
    many = decode(model, method, window=32, num_sequences=count, record=None)
    one = decode(model, method, window=32, num_sequences=count, batch_size=1, record=None)
    assert torch.equal(many.tokens, one.tokens)
    assert torch.equal(many.nfe, one.nfe)


def test_conditions_and_guidance(shipped):
    name = shipped.card["classes"][1]
    given = shipped.given(name)
    tokens = torch.zeros(1, 5, dtype=torch.long)
    conditional, free = given.next_token_probs(tokens), shipped.next_token_probs(tokens)
    assert (conditional - free).abs().max() > 1e-3
    for scale, expected in ((0.0, free), (1.0, conditional)):
        guided = GuidedModel(given, shipped, scale).next_token_probs(tokens)
        torch.testing.assert_close(guided, expected, atol=1e-5, rtol=1e-4)
    guided = load_model(shipped.name, name, guidance=3.0)
    assert not isinstance(guided, type(shipped))
    out = decode(guided, "scd-mc", window=8, num_sequences=1, record=None) if shipped.name == "digits" else None
    assert out is None or out.tokens.shape == (1, 64)


def test_a_large_model_is_checked_on_the_beginning_of_its_sequences(monkeypatch):
    class Counting:
        vocab_size, num_tokens, asked = 4, 100, 0

        def next_token_probs(self, tokens):
            self.asked = tokens.shape[1]
            return torch.full((len(tokens), tokens.shape[1] + 1, 4), 0.25)

    model = Counting()
    check_model(model)
    assert model.asked == 99
    monkeypatch.setattr("reference.models.base._PROBE_ENTRIES", 160)
    check_model(model)
    assert model.asked == 10


LAW = torch.tensor([[0.4, 0.3, 0.2, 0.1]], dtype=torch.float64)


def test_processors_by_hand():
    """Temperature 1/2 squares: 16, 9, 4, 1 over 30. Top-2: 4/7, 3/7. Top-p .6 keeps .4 and .3."""
    square = torch.tensor([[16, 9, 4, 1]], dtype=torch.float64) / 30
    top = torch.tensor([[4, 3, 0, 0]], dtype=torch.float64) / 7
    torch.testing.assert_close(Processors(temperature=0.5)(LAW), square)
    torch.testing.assert_close(Processors(top_k=2)(LAW), top)
    torch.testing.assert_close(Processors(top_p=0.6)(LAW), top)
    assert Processors(temperature=0)(LAW).tolist() == [[1, 0, 0, 0]]
    assert torch.equal(Processors()(LAW), LAW)


def test_processors_equal_those_of_the_library():
    warpers = pytest.importorskip("transformers").generation.logits_process
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(50, 30, generator=generator, dtype=torch.float64) * 3
    for processors, chain in (
        (Processors(temperature=0.7), [warpers.TemperatureLogitsWarper(0.7)]),
        (Processors(top_k=5), [warpers.TopKLogitsWarper(5)]),
        (Processors(top_p=0.8), [warpers.TopPLogitsWarper(0.8)]),
        (
            Processors(1.3, 12, 0.9),
            [warpers.TemperatureLogitsWarper(1.3), warpers.TopKLogitsWarper(12), warpers.TopPLogitsWarper(0.9)],
        ),
    ):
        scores = logits
        for warper in chain:
            scores = warper(None, scores)
        torch.testing.assert_close(processors(logits.softmax(-1)), scores.softmax(-1), atol=1e-12, rtol=0)


def test_processed_model_decodes_to_the_processed_law():
    model = ProcessedModel(TabularModel.random(4, 4, seed=1), Processors(top_k=1))
    tokens = decode(model, "sjd", window=3, num_sequences=20, record=None).tokens
    assert (tokens == tokens[0]).all()


def test_tables_by_hand():
    model = TabularModel([[[0.25, 0.75]], [[1.0, 0.0], [0.5, 0.5]]])
    assert model.next_token_probs(torch.tensor([[1], [0]])).tolist() == [
        [[0.25, 0.75], [0.5, 0.5]],
        [[0.25, 0.75], [1, 0]],
    ]
    one = TabularModel([[[1.0]], [[1.0]]])
    assert decode(one, "scd-mc", window=2, num_sequences=2, record=None).tokens.tolist() == [[0, 0], [0, 0]]


BAD = [
    (lambda: TabularModel([]), InputError, r"len\(tables\) = 0"),
    (lambda: TabularModel([[[0.5, 0.5]], [[0.5, 0.5]]]), InputError, r"tables\[1\] has shape \(1, 2\)"),
    (lambda: TabularModel([[[0.5, 0.6]]]), LawError, r"tables\[0\]\[0\] sums to 1.1"),
    (lambda: TabularModel([[[1.0, 0.0]]], grid=(2, 2)), InputError, "grid"),
    (lambda: TabularModel.random(2, 3, concentration=0), InputError, "concentration = 0"),
    (lambda: TabularModel.random(50, 9), InputError, "entries"),
    (lambda: TabularModel.random(2, 2).next_token_probs(torch.tensor([[2]])), InputError, r"tokens\[0, 0\] = 2"),
    (lambda: TabularModel.random(2, 2).next_token_probs(torch.zeros(1, 2, dtype=torch.long)), InputError, "t < 2"),
    (lambda: load_model("lumina"), UnknownNameError, "known: digits, photos"),
    (lambda: load_model("digits", "ten"), UnknownNameError, "known: 0, 1, 2"),
    (lambda: load_model("digits", guidance=2.0), InputError, "guidance = 2.0: needs a condition"),
    (lambda: Processors(temperature=-1), InputError, "temperature = -1"),
    (lambda: Processors(top_k=0), InputError, "top_k = 0"),
    (lambda: Processors(top_p=0), InputError, "top_p = 0"),
    (lambda: GuidedModel(TabularModel.random(2, 2), TabularModel.random(3, 2), 1.0), InputError, "vocab_size = 3"),
    (lambda: check_model(object()), InputError, "has no vocab_size, num_tokens, next_token_probs"),
]


@pytest.mark.parametrize(("call", "error", "message"), BAD)
def test_bad_input_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_a_transformer_is_causal_in_every_row():
    net = TokenTransformer(TransformerConfig(5, 3, 4, 2, d_model=32, num_layers=2, num_heads=2)).eval()
    generator = torch.Generator().manual_seed(0)
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, std=0.3, generator=generator)
    tokens = torch.randint(5, (1, 12), generator=generator)
    base = net(tokens, torch.tensor([0]))
    for j in range(12):
        moved = tokens.clone()
        moved[0, j] = (moved[0, j] + 1) % 5
        change = (net(moved, torch.tensor([0])) - base).abs().amax(-1)[0]
        assert (change[: j + 1] < 1e-5).all()
        if j % 4 < 3:  # the twin: the next row sees the token (the first of a line has no left neighbour)
            assert change[j + 1] > 1e-4
