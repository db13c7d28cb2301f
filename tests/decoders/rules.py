"""Rules that spoil the law, beside the exact ones of ``studies.exact_rules``, and a model to decode."""

import numpy as np

from studies.exact_rules import Loop, gumbel_match, pick, point_mass


def wrong_race(rng, drafts, draft_laws, target_laws):
    """As a match of one noise, but what is rejected is drawn again."""
    accepted, token = gumbel_match(rng, drafts, draft_laws, target_laws)
    return accepted, token if accepted == len(drafts) else pick(rng, target_laws[accepted])


def wrong_replacement(rng, drafts, draft_laws, target_laws):
    """As the rule for point masses, but rejected drafts are replaced from all of p."""
    accepted, token = point_mass(rng, drafts, draft_laws, target_laws)
    return accepted, token if accepted == len(drafts) else pick(rng, target_laws[accepted])


def wrong_acceptance(rng, drafts, draft_laws, target_laws):
    """As the rule for point masses, but drafts are accepted with the root of p(x)."""
    for k, (x, p) in enumerate(zip(drafts, target_laws, strict=False)):
        if rng.random() ** 2 >= p[x]:
            return k, pick(rng, np.where(np.arange(len(p)) == x, 0, p))
    return len(drafts), pick(rng, target_laws[-1])


class Chain:
    """A model whose laws depend on the last token."""

    vocab_size, num_tokens = 4, 6

    def __init__(self, seed=0):
        weights = np.random.default_rng(seed).gamma(0.7, size=(self.vocab_size + 1, self.vocab_size)) + 1e-6
        self.laws = weights / weights.sum(axis=1, keepdims=True)

    def law(self, prefix):
        return self.laws[prefix[-1] if prefix else -1]

    def next_token_probs(self, tokens):
        rows = np.asarray(tokens)
        before = np.concatenate([np.full((len(rows), 1), -1), rows], axis=1)
        return self.laws[before]


def as_traced(verify, model, *, window=3, declared="point-mass", noise=None, **attributes):
    """A decoder around a rule, with drafts of a model of its own; ``attributes`` are the trace's."""
    return Loop(verify, Chain(seed=1), window, declared, noise, attributes)
