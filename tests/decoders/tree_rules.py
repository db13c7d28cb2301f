"""Verification rules for trees of drafts in plain NumPy, one window at a time; a slip makes each wrong."""

import numpy as np

SHARED, SCALED = "siblings share a variate", "siblings share a variate, scaled to what a rejection leaves"
ONE_VARIATE = (SHARED, SCALED)
"""The first is a slip; the second is right."""

TREE = [-1, -1, 0, 0, 1]
"""Two drafts for the first position, then two and one."""


def pick(rng, law):
    """Draw in proportion to a law."""
    return int(rng.choice(len(law), p=law / law.sum()))


def left(law, q):
    """What a rejection leaves of a law; all of it where the laws are equal."""
    rest = np.maximum(law - q, 0)
    return rest / rest.sum() if rest.sum() > 1e-14 else law


def children_of(tree, node):
    return [i for i, parent in enumerate(tree) if parent == node]


def accepted_child(rng, tokens, children, law, q, drafts, slip):
    """Recursive rejection over the children of a node: the accepted one or None, and what is left of the law."""
    shared, original = rng.random() if slip in ONE_VARIATE else None, law
    for child in children:
        token, variate = tokens[child], rng.random() if shared is None else shared
        if variate * q[token] < law[token]:
            return child, law
        if slip == SCALED:
            passes = law[token] / q[token]
            shared = (shared - passes) / (1 - passes)
        if slip != "residual not updated":
            law = left(law, q)
        if drafts == "without-replacement" and slip != "with replacement":
            q = np.where(np.arange(len(q)) == token, 0, q)
            q = q / q.sum()
    return None, original if slip == "replaced from the target" else law


def recursive(tree, tokens, draft_probs, target_probs, rng, drafts, slip=""):
    """Recursive rejection: each child against what those before it left."""
    out, node = [], -1
    while True:
        children = children_of(tree, node)
        row = 0 if slip == "row of the root" else node + 1
        law = target_probs[row]
        if not children:
            return [*out, pick(rng, law)]
        q = draft_probs[children[0]]
        child, law = accepted_child(rng, tokens, children, law, q, drafts, slip)
        if child is None:
            return [*out, pick(rng, law)]
        out.append(int(tokens[child]))
        node = child


def point_masses(tree, tokens, target_probs, rng, slip=""):
    """Children of any origin, each accepted with what is left of p, and taken out of it if not."""
    out, node = [], -1
    while True:
        law, found = target_probs[node + 1], None
        shared = rng.random() if slip in ONE_VARIATE else None
        for child in children_of(tree, node):
            token = int(tokens[child])
            if (rng.random() if shared is None else shared) < law[token]:
                found = child
                break
            if slip == SCALED:
                shared = (shared - law[token]) / (1 - law[token])
            if slip != "residual not updated":
                law = np.where(np.arange(len(law)) == token, 0, law)
                law = law / law.sum() if law.sum() > 0 else target_probs[node + 1]
        if found is None:
            return [*out, pick(rng, law)]
        out.append(int(tokens[found]))
        node = found


def followed(tree, tokens, target_probs, rng, slip=""):
    """The target is sampled, and the tree descended as long as the sample is a child."""
    out, node = [], -1
    while True:
        token = pick(rng, target_probs[max(node, 0) if slip == "row of the parent" else node + 1])
        out.append(token)
        same = [child for child in children_of(tree, node) if tokens[child] == token]
        if not same:
            return out
        node = same[0]


def of_laws(drafts, slip=""):
    """A kernel that takes draft laws."""

    def verify(draft_tokens, draft_probs, target_probs, parents, rng):
        rows = zip(draft_tokens, draft_probs.astype(float), target_probs.astype(float), strict=True)
        return [recursive(parents, x, q, p, rng, drafts, slip) for x, q, p in rows]

    return verify


def of_points(rule, slip=""):
    """A kernel that never sees a draft law."""

    def verify(draft_tokens, target_probs, parents, rng):
        rows = zip(draft_tokens, target_probs.astype(float), strict=True)
        return [rule(parents, x, p, rng, slip) for x, p in rows]

    return verify


RIGHT = {
    "independent": (of_laws("independent"), "independent"),
    "without replacement": (of_laws("without-replacement"), "without-replacement"),
    "top-k": (of_points(point_masses), "top-k"),
    "independent, one variate scaled": (of_laws("independent", SCALED), "independent"),
    "without replacement, one variate scaled": (of_laws("without-replacement", SCALED), "without-replacement"),
    "top-k, one variate scaled": (of_points(point_masses, SCALED), "top-k"),
    "top-k, followed": (of_points(followed), "top-k"),
    "no q": (of_points(point_masses), "no-q"),
    "no q, followed": (of_points(followed), "no-q"),
}
"""Exact kernels, and the drafts that they are for."""

WRONG = {
    **{
        f"{drafts}: {slip}": (of_laws(drafts, slip), drafts)
        for drafts in ("independent", "without-replacement")
        for slip in ("residual not updated", "siblings share a variate", "row of the root", "replaced from the target")
    },
    "without-replacement: with replacement": (
        of_laws("without-replacement", "with replacement"), "without-replacement",
    ),
    "independent: without replacement": (of_laws("without-replacement"), "independent"),
    "top-k: residual not updated": (of_points(point_masses, "residual not updated"), "top-k"),
    "top-k: siblings share a variate": (of_points(point_masses, "siblings share a variate"), "top-k"),
    "top-k: row of the parent": (of_points(followed, "row of the parent"), "top-k"),
    "no-q: residual not updated": (of_points(point_masses, "residual not updated"), "no-q"),
    "no-q: row of the parent": (of_points(followed, "row of the parent"), "no-q"),
}  # fmt: skip
"""The same with a slip each."""
