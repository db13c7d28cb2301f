"""Verification rules that engines have, one window at a time in plain NumPy, as kernels and as decoders with a trace.

A rule is ``rule(rng, drafts, draft_laws, target_laws) -> (number of accepted drafts, the token after them)``, with one
target law more than there are drafts. A name that starts with ``wrong`` is a rule that spoils the law.
"""

import numpy as np

import scd_analysis


def pick(rng, law):
    """Draw in proportion to a law."""
    upto = np.cumsum(law, dtype=np.float64)
    return int(min((upto <= rng.random() * upto[-1]).sum(), np.flatnonzero(law)[-1]))


def rejection(rng, drafts, draft_laws, target_laws):
    """Modified rejection sampling."""
    for k, (x, q, p) in enumerate(zip(drafts, draft_laws, target_laws, strict=False)):
        if rng.random() * q[x] >= p[x]:
            rest = np.maximum(p - q, 0)
            return k, pick(rng, rest if rest.sum() > 0 else p)
    return len(drafts), pick(rng, target_laws[-1])


def exact_match(rng, drafts, draft_laws, target_laws):
    """The target is sampled at every slot, and drafts stand as long as they are what was sampled."""
    for k, p in enumerate(target_laws):
        y = pick(rng, p)
        if k == len(drafts) or y != drafts[k]:
            return k, y
    raise AssertionError


def point_mass(rng, drafts, draft_laws, target_laws):
    """Drafts are accepted with p(x), and replaced from p without x."""
    for k, (x, p) in enumerate(zip(drafts, target_laws, strict=False)):
        if rng.random() >= p[x]:
            return k, pick(rng, np.where(np.arange(len(p)) == x, 0, p))
    return len(drafts), pick(rng, target_laws[-1])


def block(rng, drafts, draft_laws, target_laws, *, scaled=True):
    """Block verification: the longest run that passes, and a residual that is scaled by how likely the run is."""
    size, weight = len(drafts), [1.0]
    for x, q, p in zip(drafts, draft_laws, target_laws, strict=False):
        weight.append(min(1.0, weight[-1] * p[x] / q[x]))
    accepted = 0
    for k in range(1, size + 1):
        passes = weight[k]
        if k < size:
            mass = np.maximum(weight[k] * target_laws[k] - draft_laws[k], 0).sum()
            passes = mass / (mass + 1 - weight[k]) if mass + 1 > weight[k] else 1.0
        if rng.random() < passes:
            accepted = k
    if accepted == size:
        return size, pick(rng, target_laws[size])
    scale = weight[accepted] if scaled else 1.0
    rest = np.maximum(scale * target_laws[accepted] - draft_laws[accepted], 0)
    return accepted, pick(rng, rest if rest.sum() > 1e-12 else target_laws[accepted])


def gumbel_match(rng, drafts, draft_laws, target_laws):
    """The noise that raced for the drafts races for the tokens that decide on them; see :class:`Noisy`."""
    for k, p in enumerate(target_laws):
        y = rng.race(k, p)
        if k == len(drafts) or y != drafts[k]:
            return k, y
    raise AssertionError


class Noisy:
    """Random numbers, and Gumbel noise of every slot of a pass, for rules that race."""

    def __init__(self, rng, size, vocab_size):
        self._rng, self._noise = rng, rng.gumbel(size=(size, vocab_size))

    def __getattr__(self, name):
        return getattr(self._rng, name)

    def race(self, slot, law):
        with np.errstate(divide="ignore"):
            return int((np.log(law) + self._noise[slot]).argmax())


def wrong_race(rng, drafts, draft_laws, target_laws):
    """As Gumbel match, but what is rejected is drawn again."""
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


def as_kernel(rule, *, laws=True):
    """A verification function that returns lists, with a parameter for the laws of drafts or without one."""

    def verify(draft_tokens, draft_probs, target_probs, rng):
        rows = range(len(draft_tokens))
        known = [None] * len(rows) if draft_probs is None else np.asarray(draft_probs, dtype=np.float64)
        target = np.asarray(target_probs, dtype=np.float64)
        found = [rule(rng, draft_tokens[i].tolist(), known[i], target[i]) for i in rows]
        return [[*draft_tokens[i][:a].tolist(), y] for i, (a, y) in zip(rows, found, strict=True)]

    def without(draft_tokens, target_probs, rng):
        return verify(draft_tokens, None, target_probs, rng)

    return verify if laws else without


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


def as_traced(verify, model, *, window=3, declared="point-mass", raced=False, **attributes):
    """A decoder around the rule, with drafts of a model of its own, as a subject that returns a trace.

    Its drafts are declared as point masses, or, with ``"laws"``, by the laws they were drawn from; ``raced`` ones are
    drawn with the noise of :class:`Noisy`.
    """
    own, point = Chain(seed=1), np.eye(model.vocab_size)

    def one_pass(rng, tokens):
        size = min(window, model.num_tokens - len(tokens))
        drafts, laws, rng = [], [], Noisy(rng, size + 1, model.vocab_size)
        for k in range(size):
            laws.append(own.law([*tokens, *drafts]))
            drafts.append(rng.race(k, laws[-1]) if raced else pick(rng, laws[-1]))
        laws = [point[x] for x in drafts] if declared == "point-mass" else laws
        target = [model.law([*tokens, *drafts[:k]]) for k in range(size + 1)]
        accepted, token = verify(rng, drafts, laws, target)
        row = {"base": len(tokens), "draft_token": np.full(window, -1), "next_token": np.zeros(window, dtype=int),
               "accepted": np.arange(window) < accepted, "age": np.zeros(window, dtype=int),
               "bonus_token": token if accepted == size and len(tokens) + size < model.num_tokens else -1,
               "draft_probs": np.zeros((window, model.vocab_size)),
               "target_probs": np.zeros((window, model.vocab_size))}  # fmt: skip
        row["draft_token"][:size] = row["next_token"][:size] = drafts
        row["draft_probs"][:size], row["target_probs"][:size] = laws, target[:size]
        if accepted < size:
            row["next_token"][accepted] = token
        return [*tokens, *drafts[:accepted], token][: model.num_tokens], row

    def subject(model, num_sequences, seed):
        rng, tokens, rows = np.random.default_rng(seed), [], []
        for _ in range(num_sequences):
            done, own_rows = [], []
            while len(done) < model.num_tokens:
                done, row = one_pass(rng, done)
                own_rows.append(row)
            tokens.append(done)
            rows.append(own_rows)
        sizes = {"vocab_size": model.vocab_size, "num_tokens": model.num_tokens, "window": window}
        with scd_analysis.TraceWriter(None, **sizes, laws=True, decoder="rule", **attributes) as trace:
            trace.begin_batch(num_sequences)
            for t in range(max(map(len, rows))):
                index = [i for i, made in enumerate(rows) if t < len(made)]
                trace.append(
                    sequence=index, **{name: np.stack([rows[i][t][name] for i in index]) for name in rows[0][0]}
                )
            trace.finish_batch(tokens=np.array(tokens), nfe=[len(made) for made in rows])
        return scd_analysis.open_trace(trace.store)

    return subject
