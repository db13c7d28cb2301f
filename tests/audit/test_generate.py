"""transformers' generate as a subject: the library's own law, a trace that changes nothing, and verdicts."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from transformers.generation import candidate_generator

from scd_analysis import Outcome, audit
from scd_analysis.audit.adapters import generate_trace
from scd_analysis.conditions import Condition
from scd_analysis.errors import InputError
from scd_analysis.subjects import generate
from scd_analysis.trace import validate
from scd_analysis.trace.summary import summarise
from studies.audit_transformers import END, PROMPT, SETTINGS, VOCAB, tiny_llama
from tests.statistics import ledger

RESULT = Path(__file__).parents[2] / "studies" / "results" / "audit_transformers.json"


@pytest.fixture(scope="module")
def model():
    return tiny_llama(0)


@pytest.fixture(scope="module")
def assistant():
    return tiny_llama(1)


def sampled(model, assistant=None, **options):
    return generate(model, assistant, **{"input_ids": PROMPT, "do_sample": True, "max_new_tokens": 6, **options})


PROCESSORS = {
    "none": {},
    "temperature, top-k, top-p": {"temperature": 0.7, "top_k": 7, "top_p": 0.9},
    "repetition": {"repetition_penalty": 1.5, "no_repeat_ngram_size": 2},
    "guidance": {"guidance_scale": 1.5},  # holds a state from token to token
    "end": {"eos_token_id": END, "pad_token_id": END, "min_new_tokens": 4},
    "own": {"logits_processor": [lambda ids, scores: scores + 0.3 * (ids[:, -1:] == torch.arange(VOCAB))]},
}


@pytest.mark.parametrize("name", PROCESSORS)
def test_the_law_is_the_librarys_own(model, name):
    """The scores that generate itself returns, along a sequence that it drew."""
    options = {**PROCESSORS[name], "do_sample": True, "max_new_tokens": 6}
    subject = generate(model, input_ids=PROMPT, **options)
    prompt = torch.tensor([PROMPT])
    with torch.random.fork_rng():
        torch.set_rng_state(torch.Generator().manual_seed(4).get_state())
        out = model.generate(
            prompt, attention_mask=torch.ones_like(prompt), return_dict_in_generate=True, output_scores=True, **options
        )
    tokens = out.sequences[:, len(PROMPT) :]
    laws = subject.target_model.next_token_probs(tokens[:, :-1])[0]
    scores = torch.stack(out.scores, 1).softmax(-1)[0]
    assert len(laws) >= 4
    torch.testing.assert_close(laws[: len(scores)], scores, atol=1e-5, rtol=0)
    other = generate(model, input_ids=PROMPT, **{**options, "temperature": 1.7}).target_model
    assert not torch.allclose(other.next_token_probs(tokens[:, :-1])[0, : len(scores)], scores, atol=1e-3)


@pytest.mark.slow
def test_recording_changes_no_draw(model, assistant):
    options = {"eos_token_id": END, "pad_token_id": END}
    subject = sampled(model, assistant, **options)
    before = assistant.generation_config
    trace = subject(None, 12, 3).load()
    validate(trace)
    tokens = sampled(model, assistant, record=None, **options)(None, 12, 3)
    np.testing.assert_array_equal(trace.tokens, tokens)
    again = subject(None, 12, 3)
    np.testing.assert_array_equal(again.draft_token.fillna(-1), trace.draft_token.fillna(-1))
    assert assistant.generation_config is before
    assert (trace.tokens == END).any()
    assert bool(((trace.tokens != END) | (trace.tokens.shift(position=-1, fill_value=END) == END)).all())
    assert summarise(trace)["speedup"] > 1
    scalars = sampled(model, assistant, record="scalars", **options)(None, 12, 3)
    assert "draft_probs" not in scalars
    np.testing.assert_allclose(scalars.total_variation, trace.total_variation)


def test_a_trace_by_hand():
    """Of drafts a b c, a is accepted and b replaced by x; then d, accepted, and the bonus token y; then z alone."""
    laws = np.full((3, 4), 0.25)
    seen = [
        generate_trace.Verified(2, np.array([0, 1, 2]), laws, laws, 1, 2),
        generate_trace.Verified(4, np.array([3]), laws[:1], laws[:1], 1, 2),
    ]
    one = generate_trace.Generated(np.array([0, 3, 3, 1, 2]), 5, seen)
    trace = generate_trace.make_trace([one], prompt_length=2, end_tokens=np.zeros(0), vocab_size=4, record="laws")
    validate(trace)
    assert trace.base.values.tolist() == [[0, 2, 4]]
    assert trace.num_committed.values.tolist() == [[2, 2, 1]]
    assert trace.accepted.fillna(-1).values.tolist() == [[[1, 0, 0], [1, -1, -1], [-1, -1, -1]]]
    assert trace.bonus_token.fillna(-1).values.tolist() == [[-1, 1, 2]]
    assert trace.nfe.values.tolist() == [3]


STANDS = ledger("generate: assisted generation of this release is not refuted at 1e-7", 3e-7)
FINDS = ledger("generate: planted faults are refuted and named", 4e-7)


@pytest.mark.slow
def test_assisted_generation_stands(model, assistant):
    verdict = audit(sampled(model, assistant), alpha=1e-7, max_sequences=64, progress=False)
    assert verdict.outcome is not Outcome.REFUTED
    assert verdict.record["grade"] == "trace"
    assert {report.status for report in verdict.conditions} == {"not refuted"}


def greedily(original):
    """What 4.44.2 does: drafts are the most probable tokens, and the softmax is declared."""

    def draft(self, arguments):
        self.generation_config.do_sample = False
        return original(self, arguments)

    return draft


@pytest.mark.slow
def test_greedy_drafts_break_the_declared_law(model, assistant, monkeypatch):
    kind = candidate_generator.AssistedCandidateGenerator
    monkeypatch.setattr(kind, "_generate_candidates", greedily(kind._generate_candidates))
    verdict = audit(sampled(model, assistant), max_sequences=300, progress=False)
    assert verdict.outcome is Outcome.REFUTED
    assert verdict.condition is Condition.DECLARED_LAW
    assert "most probable token" in verdict.diagnosis.cause


@pytest.mark.slow
def test_a_relaxed_test_breaks_verification(model, assistant):
    """The library's own lossy setting."""
    verdict = audit(sampled(model, assistant, assistant_ensemble_weight=0.3), max_sequences=400, progress=False)
    assert verdict.outcome is Outcome.REFUTED
    assert verdict.condition is Condition.VERIFICATION


@pytest.mark.slow
def test_greedy_generation_is_checked_token_for_token(model, assistant):
    options = {"input_ids": PROMPT, "do_sample": False, "max_new_tokens": 20}
    for more in ({}, {"assistant_model": assistant}):
        verdict = audit(generate(model, **options, **more), max_sequences=10, progress=False)
        assert verdict.outcome is not Outcome.REFUTED
        assert verdict.record["path"]["taken"] == "token for token"
    relaxed = generate(model, assistant, **options, assistant_ensemble_weight=0.1)
    verdict = audit(relaxed, max_sequences=10, progress=False)
    assert verdict.outcome is Outcome.REFUTED
    assert verdict.num_sequences == 1
    assert verdict.diagnosis.position is not None
    assert "of sequence 0, where only" in verdict.diagnosis.cause


@pytest.mark.slow
def test_a_model_that_drafts_for_itself(model):
    """Its first layer drafts; the trace shows laws of drafts that differ from the model's."""
    subject = sampled(model, assistant_early_exit=1)
    trace = subject(None, 8, 0)
    validate(trace)
    assert float(trace.total_variation.mean()) > 0.01
    assert audit(subject, alpha=1e-7, max_sequences=64, progress=False).outcome is not Outcome.REFUTED


def test_prompt_lookup_is_recorded_with_point_masses(model):
    """The prompt repeats itself, so that there is something to look up; no draw is changed."""
    options = {"prompt_lookup_num_tokens": 2, "input_ids": PROMPT * 2}
    subject = sampled(model, **options)
    trace = subject(None, 12, 0).load()
    validate(trace)
    assert subject.target_model.is_looked_up
    assert trace.attrs["method"] == "prompt lookup"
    np.testing.assert_array_equal(trace.tokens, sampled(model, record=None, **options)(None, 12, 0))
    drafted = trace.draft_token.notnull()
    assert 0 < int(trace.accepted.sum()) < int(drafted.sum())
    assert float(trace.draft_prob_of_token.where(drafted).min()) == 1
    assert sampled(model, record=None, **options)(None, 2, 0).shape == (2, 6)


@pytest.mark.slow
def test_prompt_lookup_stands_and_a_wrong_draw_is_named(model, monkeypatch):
    """Of the most probable token at every slot in place of a draw, the trace says verification."""
    subject = sampled(model, prompt_lookup_num_tokens=2, input_ids=PROMPT * 2)
    verdict = audit(subject, alpha=1e-7, max_sequences=64, progress=False)
    assert verdict.outcome is not Outcome.REFUTED
    assert verdict.record["grade"] == "trace"
    monkeypatch.setattr(torch, "multinomial", lambda probs, num_samples: probs.argmax(-1, keepdim=True))
    verdict = audit(subject, max_sequences=300, progress=False)
    assert verdict.outcome is Outcome.REFUTED
    assert verdict.condition is Condition.VERIFICATION


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"input_ids": [[1], [2]]}, r"input_ids has shape \(2, 1\)"),
        ({"input_ids": [0.5]}, r"a prompt is Long\[P\]"),
        ({"input_ids": None}, "input_ids: is missing"),
        ({"num_beams": 2}, "mode beam_sample has no law for each token"),
        ({"num_return_sequences": 2}, "num_return_sequences = 2: must be 1"),
        ({"attention_mask": [0, 1, 1]}, "attention_mask has a 0"),
        ({"record": "all"}, "record='all' is not known; known: laws, scalars"),
        ({"assistant_model": 3}, "assistant = int: not a transformers model"),
        ({"max_time": 1e-9}, "max_time: a sequence must end with an end-of-sequence token"),
        ({"stopping_criteria": [lambda ids, scores: False]}, "stopping_criteria: a sequence must end with"),
        ({"generation_config": transformers.GenerationConfig(max_time=9.0)}, "max_time: a sequence must end with"),
        (
            {"past_key_values": transformers.DynamicCache()},
            "past_key_values: cannot be given, since generate is called",
        ),
        ({"negative_prompt_ids": [[4, 5]], "guidance_scale": 1.5}, "negative_prompt_ids: cannot be given"),
        ({"token_type_ids": [[4, 5, 6]]}, "token_type_ids: goes to the model beside the tokens"),
    ],
)
def test_what_cannot_be_audited_is_said(model, options, words):
    with pytest.raises(InputError, match=words):
        sampled(model, **options)(None, 2, 0)


def test_models_that_are_none(model, assistant, tmp_path):
    for given, words in ((3, "model = int: not a transformers model"), (str(tmp_path), "model = ")):
        with pytest.raises(InputError, match=words):
            generate(given, input_ids=PROMPT)
    with pytest.raises(InputError, match="assistant_model: was given twice"):
        generate(model, assistant, input_ids=PROMPT, assistant_model=assistant)
    tiny = transformers.T5Config(vocab_size=8, d_model=8, d_kv=4, d_ff=8, num_layers=1, num_heads=2)
    with pytest.raises(InputError, match="only decoder-only models"):
        generate(transformers.T5ForConditionalGeneration(tiny), input_ids=PROMPT)


def test_a_model_around_another_is_refused_in_words(model):
    class Around:
        def __init__(self):
            self._model = model

        def __getattr__(self, name):
            return getattr(self._model, name)

        def generate(self, **options):
            return self._model.generate(**options)

    with pytest.raises(InputError, match="model = Around: its generate is not its own; give the transformers model"):
        sampled(Around())


def test_short_generation_without_an_end_is_an_error(model, monkeypatch):
    subject = sampled(model)
    monkeypatch.setattr(model, "generate", lambda **options: torch.cat([options["input_ids"]] * 2, dim=1)[:, :-1])
    with pytest.raises(InputError, match="generate returned 2 tokens without an end-of-sequence token: expected 6"):
        subject(None, 2, 0)


def test_a_model_by_name(model, tmp_path):
    model.save_pretrained(tmp_path / "tiny")
    subject = generate(str(tmp_path / "tiny"), input_ids=PROMPT, do_sample=True, max_new_tokens=3)
    np.testing.assert_array_equal(subject(None, 5, 1), sampled(model, max_new_tokens=3)(None, 5, 1))


def test_the_stored_study_says_what_is_claimed():
    """4.44.2 is refuted within 3,000 sequences, naming declared-law; 5.23.0 on the same models is not."""
    result = json.loads(RESULT.read_text())
    assert result["alpha"] == 1e-6
    runs = {name: {row["setting"]: row for row in run["rows"]} for name, run in result["runs"].items()}
    assert set(runs) == {"4.44.2", "5.23.0"}
    claim = next(iter(SETTINGS))
    old = runs["4.44.2"][claim]
    assert (old["outcome"], old["condition"]) == ("REFUTED", "declared-law")
    assert old["num_sequences"] <= 3000
    for row in runs["5.23.0"].values():
        assert row["outcome"] == "NOT_REFUTED", row["setting"]
    assert runs["5.23.0"][claim]["num_sequences"] >= 3000
