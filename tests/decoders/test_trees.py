"""Kernels for trees and for several drafts a position: exact rules stand and are proved, their slips fall.

Right kernels are refuted with probability at most 1e-8 each. By samples, the slips shown here are refuted on the seeds
tried; by enumeration all of them are found, with no error rate.
"""

import numpy as np
import pytest
import torch

from scd_analysis import Outcome, audit, exact_law
from scd_analysis.audit.siblings import of_drawn, of_given
from scd_analysis.audit.tree import as_tree
from scd_analysis.conditions import Condition
from scd_analysis.errors import CannotEnumerate, InputError, UnknownNameError
from scd_analysis.subjects import kernel, tree_kernel
from scd_analysis.testing import assert_exact_kernel
from tests.audit.engine_kernels import tree_speculative_sampling_target_only as sglang
from tests.audit.test_kernels import verify as chain
from tests.decoders.tree_rules import (
    RIGHT,
    SHARED,
    TREE,
    WRONG,
    followed,
    of_laws,
    of_points,
    point_masses,
    recursive,
)
from tests.statistics import ledger

STANDS = ledger("trees: right kernels are not refuted at 1e-8", 1.8e-7)

FORM = {"output": "list", "numpy": True}


def judged(function, tree, drafts, most=300, **options):
    subject = tree_kernel(function, tree, drafts, vocab_size=4, **options)
    return audit(subject, alpha=1e-8, max_sequences=most, resolution=0.5, progress=False)


@pytest.mark.parametrize("name", RIGHT)
def test_an_exact_rule_for_trees_stands(name):
    verdict = judged(*RIGHT[name][:1], TREE, RIGHT[name][1], **FORM)
    assert verdict.outcome is Outcome.NOT_REFUTED
    assert verdict.rule == "any"
    assert verdict.record["grade"] == "kernel"


SOON = [name for name in WRONG if "row of" in name] + ["top-k: residual not updated", "no-q: residual not updated"]
"""Slips that some hundred windows show."""


@pytest.mark.parametrize("name", SOON)
def test_a_slip_in_a_tree_is_found_by_samples(name):
    verdict = judged(WRONG[name][0], TREE, WRONG[name][1], 800, **FORM)
    assert verdict.outcome is Outcome.REFUTED
    assert verdict.diagnosis is not None


@pytest.mark.slow
@pytest.mark.parametrize(("name", "most"), [("independent", 20_000), ("without-replacement", 5_000), ("top-k", 800)])
def test_one_variate_for_all_drafts_of_a_token_is_found_and_named(name, most):
    """It takes some 12,000, 2,400 and 320 windows; scaled to what a rejection leaves it is right, and stands."""
    function, drafts = WRONG[f"{name}: siblings share a variate"]
    verdict = judged(function, TREE, drafts, most, **FORM)
    assert verdict.condition is Condition.INDEPENDENCE
    assert verdict.diagnosis.cause == "one variate decides on several drafts of a token"


@pytest.mark.parametrize("drafts", ["independent", "without-replacement", "top-k"])
def test_the_law_of_one_variate_for_all_drafts_is_what_enumeration_gives(drafts):
    rng = np.random.default_rng(3)
    p, q, tokens = rng.dirichlet(np.ones(3)), rng.dirichlet(np.ones(3)), [2, 0]

    def sampler():
        law, children = q, tokens
        if drafts != "top-k":
            children, rest = [], q
            for _ in range(2):
                children.append(int(np.random.choice(3, p=rest / rest.sum())))  # noqa: NPY002 -- it is enumerated
                rest = rest if drafts == "independent" else np.where(np.arange(3) == children[-1], 0, rest)
            return recursive([-1, -1], children, [law, law], [p] * 3, np.random, drafts, SHARED)[0]
        return point_masses([-1, -1], children, [p] * 3, np.random, SHARED)[0]

    exact = exact_law(sampler)
    if drafts == "top-k":
        found = of_given(p[None], np.array([tokens]))
    else:
        found = of_drawn(p[None], q[None], 2, replaced=drafts == "independent")
    np.testing.assert_allclose(found[0], [exact[v] for v in range(3)], atol=1e-12)
    assert np.abs(found[0] - p).max() > 1e-4  # the twin: the target is another


def off_by(share):
    """A right rule for trees on laws that are off by ``share * (1 - max p)``."""

    def verify(draft_tokens, target_probs, parents, rng):
        top = np.eye(target_probs.shape[-1])[target_probs.argmax(axis=-1)]
        laws = (1 - share) * target_probs.astype(float) + share * top
        return of_points(followed)(draft_tokens, laws, parents, rng)

    return verify


@pytest.mark.parametrize(
    ("share", "epsilon", "refuted"), [(0.04, 0.04, False), (0.0, 0.02, False), (0.5, 0.04, True), (0.5, 0.5, False)]
)
def test_a_tree_is_judged_up_to_epsilon(share, epsilon, refuted):
    """The large one takes some 200 windows at .04."""
    subject = tree_kernel(off_by(share), TREE, "no-q", vocab_size=4, **FORM)
    verdict = audit(subject, alpha=1e-8, max_sequences=800, epsilon=epsilon, resolution=0.9, progress=False)
    assert (verdict.outcome is Outcome.REFUTED) == refuted
    assert (verdict.epsilon_refuted >= epsilon) == refuted
    assert verdict.epsilon_refuted <= share
    assert "epsilon" in verdict.sentence


SIBLINGS = [-1, -1, 0]
"""Two drafts for the first position, and one after the first of them."""


@pytest.mark.slow
@pytest.mark.parametrize("name", RIGHT)
def test_an_exact_rule_for_trees_is_proved(name):
    function, drafts = RIGHT[name]
    proof = assert_exact_kernel(function, tree=SIBLINGS, drafts=drafts, laws=("different", "equal"), **FORM)
    assert proof.total_variation < 1e-12
    assert proof.branches > 5


@pytest.mark.slow
@pytest.mark.parametrize("name", WRONG)
def test_every_slip_in_a_tree_is_found_by_enumeration(name):
    function, drafts = WRONG[name]
    with pytest.raises(AssertionError, match=r"is not exact\. Laws 'different'.* in the target law"):
        assert_exact_kernel(function, tree=SIBLINGS, drafts=drafts, laws=("different",), **FORM)


@pytest.mark.slow
def test_an_engines_tree_is_recognised_by_its_parameters():
    assert judged(sglang, TREE, "no-q", 200).outcome is Outcome.NOT_REFUTED
    assert_exact_kernel(sglang, tree=SIBLINGS, drafts="top-k", laws=("different",))
    for slip in ("siblings share a variate", "row of the parent", "children may come again"):
        with pytest.raises(AssertionError, match="is not exact"):
            assert_exact_kernel(lambda *args, slip=slip, **named: sglang(*args, slip=slip, **named),
                                tree=SIBLINGS, drafts="top-k", laws=("different",),
                                arguments=SGLANG, output="buffers")  # fmt: skip


SGLANG = ("predicts", "accept_index", "accept_token_num", "rooted_drafts", "node_index", "first_child", "next_sibling",
          "uniforms", "final_uniforms", "target_probs", "buffer_of_laws")  # fmt: skip


def in_tensors(draft_tokens, children_probs, target_logits, uniforms, generators, form="nodes+token"):
    """Two drafts for one position, in PyTorch, with a generator a request."""
    batch = len(draft_tokens)
    nodes, tokens = torch.full((batch, 1), -1), torch.zeros(batch, dtype=torch.long)
    for b in range(batch):
        law, q = target_logits[b, 0].exp(), children_probs[b, 0]
        for child in range(2):
            token = int(draft_tokens[b, child])
            if uniforms[b, child] * q[token] < law[token]:
                nodes[b, 0], law = child, target_logits[b, child + 1].exp()
                break
            law = (law - q).clamp(min=0)
            law = law / law.sum()
        tokens[b] = torch.multinomial(law, 1, generator=generators[b])
    if form == "nodes+token":
        return nodes, tokens
    accepted = (nodes[:, 0] >= 0).long()
    first = torch.where(accepted > 0, draft_tokens.gather(1, nodes.clamp(min=0))[:, 0], tokens)
    committed = torch.stack([first, torch.where(accepted > 0, tokens, -1)], 1)
    return {"padded": committed, "tokens+accepted": (committed, accepted), "tokens+counts": (committed, accepted + 1)}[
        form
    ]


@pytest.mark.parametrize("form", ["nodes+token", "padded", "tokens+accepted", "tokens+counts"])
def test_every_output_reads_the_same(form):
    def verify(draft_tokens, children_probs, target_logits, uniforms, generators):
        return in_tensors(draft_tokens, children_probs, target_logits, uniforms, generators, form)

    verdict = judged(verify, [-1, -1], "independent", 200, output=form)
    assert verdict.outcome is Outcome.NOT_REFUTED
    if form == "nodes+token":
        assert_exact_kernel(verify, tree=[-1, -1], output=form, laws=("different",))


def test_a_tree_one_window_at_a_time():
    def one(draft_tokens, target_probs, rng):
        return point_masses([-1, -1], draft_tokens, target_probs.astype(float), rng)

    assert judged(one, [-1, -1], "top-k", 200, batch_size=0, **FORM).outcome is Outcome.NOT_REFUTED


def test_windows_that_share_noise_are_said_to():
    def shared(draft_tokens, target_probs, parents, rng):
        seed = int(rng.integers(2**31))
        rows = zip(draft_tokens, target_probs.astype(float), strict=True)
        return [point_masses(parents, x, p, np.random.default_rng(seed), "") for x, p in rows]

    verdict = judged(shared, TREE, "no-q", 300, **FORM)
    assert verdict.outcome is Outcome.REFUTED
    assert verdict.condition is Condition.INDEPENDENCE


def test_a_kernel_that_ignores_its_generator_is_an_error():
    def same(draft_tokens, target_probs, parents):
        return of_points(point_masses)(draft_tokens, target_probs, parents, np.random.default_rng(0))

    with pytest.raises(InputError, match="windows come out the same under other seeds"):
        judged(same, TREE, "no-q", 300, **FORM)


@pytest.mark.parametrize(
    ("tree", "options", "words"),
    [
        ([], {}, r"tree has shape \(0,\)"),
        ([0], {}, r"tree\[0\] = 0: the parent of node 0 is -1, the root, or one of the nodes before it"),
        ([-1, 1], {}, r"tree\[1\] = 1"),
        ([-1, -2], {}, r"tree\[1\] = -2"),
        ([-1] * 5, {"drafts": "top-k", "vocab_size": 4}, "a node has 5 children, .* vocab_size = 4"),
        ([-1], {"drafts": "beam"}, "drafts='beam' is not known; known: independent, without-replacement, top-k, no-q"),
        ([-1], {"output": "accepted+bonus"}, "output='accepted.bonus' is not known"),
        ([-1], {"vocab_size": 1}, "vocab_size = 1"),
    ],
)
def test_what_is_no_tree_is_said(tree, options, words):
    with pytest.raises(InputError, match=words):
        tree_kernel(of_laws("independent"), tree, **options)


def test_other_rules_than_any_are_not_asked_of_trees():
    with pytest.raises(UnknownNameError, match="rule of a kernel for trees='mrs' is not known; known: any"):
        audit(tree_kernel(of_laws("independent"), TREE, **FORM), rule="mrs", progress=False)


def test_nodes_that_are_no_path_are_refused():
    def jump(draft_tokens, target_probs, rng):
        return np.full((len(draft_tokens), 2), [2, -1]), np.zeros(len(draft_tokens), dtype=int)

    with pytest.raises(InputError, match=r"kernel's nodes\[0, 0\] = 2: not a child of -1 in the tree"):
        judged(jump, TREE, "no-q", output="nodes+token", numpy=True)


def test_a_tree_knows_its_shape():
    tree = as_tree(TREE)
    assert (tree.height, tree.widest, tree.depths) == (2, 2, (1, 1, 2, 2, 2))
    assert tree.first_children.tolist() == [1, 3, 5, -1, -1, -1]
    assert tree.next_siblings.tolist() == [-1, 2, -1, 4, -1, -1]


@pytest.mark.slow
def test_a_chain_is_proved_and_its_slips_are_told():
    assert assert_exact_kernel(chain, vocab_size=2, window=1).laws[-1] == "certain drafts"
    subject = kernel(lambda *args: chain(*args, slip="target"), vocab_size=3, window=1)
    with pytest.raises(AssertionError, match=r"Laws 'different': for the first token, token . has probability 0"):
        assert_exact_kernel(subject)
    with pytest.raises(AssertionError, match="is not exact"):
        assert_exact_kernel(lambda *args: chain(*args, slip="block"), vocab_size=2, laws=("different",))


@pytest.mark.slow
def test_a_kernel_that_processes_by_itself_is_proved_against_what_it_processes():
    def squared(laws):
        return laws**2 / (laws**2).sum(axis=-1, keepdims=True)

    def verify(draft_tokens, draft_probs, target_probs, generator):
        return chain(draft_tokens, draft_probs, squared_tensor(target_probs), generator)

    def squared_tensor(laws):
        return laws**2 / (laws**2).sum(-1, keepdim=True)

    options = {"vocab_size": 2, "window": 1, "laws": ("different",)}
    assert_exact_kernel(verify, processor=squared, **options)
    with pytest.raises(AssertionError, match="is not exact"):
        assert_exact_kernel(verify, **options)


def test_what_cannot_be_followed_or_is_too_large_is_said():
    def normal(draft_tokens, draft_probs, target_probs):
        return draft_tokens[:, :1] * 0 + (torch.randn(()) > 0).long(), torch.ones(len(draft_tokens), dtype=torch.long)

    with pytest.raises(CannotEnumerate, match=r"normal: [\s\S]*can be sampled: scd_analysis.audit\(subjects.kernel"):
        assert_exact_kernel(normal, vocab_size=2, window=1)
    with pytest.raises(InputError, match="the number of windows that can be listed"):
        assert_exact_kernel(chain, vocab_size=20, window=4)
    with pytest.raises(UnknownNameError, match="laws='odd' is not known; known: different"):
        assert_exact_kernel(chain, laws=("odd",))
    with pytest.raises(InputError, match="its options are stated there"):
        assert_exact_kernel(kernel(chain), numpy=True)
