"""What wrong verification rules would produce, one position at a time.

With target law p, a draft drawn from d and declared as q, acceptance a and replacement law r, a position's output is
``out(y) = d(y) a(y) + (1 - sum d a) r(y)``: equal to p for modified rejection sampling, different for each slip below.
An auditor of tokens does not see q, but knows how it arises: a draft is drawn after a prefix whose last tokens were
made up. Averaging a rule over such prefixes, evenly because initial drafts are uniform, gives a law that a decoder with
that slip leans to: on three random tables it held .3 to .9 of the departure, where averaging over the target's own
tokens held .1 to .5. Being only roughly right costs power, never validity: it is a direction to bet along. A draft that
keeps its old law is missing: averaged evenly over the prefixes of two drafts, that slip cancels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from scd_analysis.evidence.batch import Floats
from scd_analysis.laws.kernels import RESIDUAL_FLOOR, acceptance, output_law, residual, tilted

Law = Callable[[Floats, Floats, Floats], Floats]

MOST_TERMS = 2**24
"""Entries of the largest array that an average over drafts may need; deeper averages are left out."""

DEEPEST = 2
"""How many tokens of a draft's prefix may have been drafts."""

_KEPT = 0.5


@dataclass(frozen=True)
class Rule:
    """One slip.

    Attributes
    ----------
    name, cause : str
        As in the names of arms, and in words.
    law : callable
        From target law, draft law and the draft law of the iteration before (broadcastable Float[..., V]) to the output
        law.
    uses_earlier : bool
        Whether the third law matters.
    """

    name: str
    cause: str
    law: Law
    uses_earlier: bool = False


def _uncorrected(target: Floats, draft: Floats, earlier: Floats) -> Floats:
    return np.broadcast_to(draft, np.broadcast_shapes(target.shape, draft.shape))


def _residual_from_target(target: Floats, draft: Floats, earlier: Floats) -> Floats:
    return output_law(draft, acceptance(target, draft), target)


def _residual_without_draft(target: Floats, draft: Floats, earlier: Floats) -> Floats:
    rejected = np.maximum(draft - target, 0) / np.maximum(1 - target, 1e-12)
    return np.asarray(np.minimum(target, draft) + target * (rejected.sum(axis=-1, keepdims=True) - rejected))


def _residual_floored(target: Floats, draft: Floats, earlier: Floats) -> Floats:
    floored = np.maximum(target - draft, RESIDUAL_FLOOR)
    return output_law(draft, acceptance(target, draft), floored / floored.sum(axis=-1, keepdims=True))


def _fresh_match(target: Floats, draft: Floats, earlier: Floats) -> Floats:
    return output_law(draft, target, target)


def _kept(target: Floats, draft: Floats, earlier: Floats) -> Floats:
    return output_law(draft, np.where(target > _KEPT * draft, 1.0, acceptance(target, draft)), residual(target, draft))


def _argmax_draft(target: Floats, draft: Floats, earlier: Floats) -> Floats:
    drawn = (draft == draft.max(axis=-1, keepdims=True)).astype(np.float64)
    drawn /= drawn.sum(axis=-1, keepdims=True)
    return output_law(drawn, acceptance(target, draft), residual(target, draft))


def _tilted_draft(target: Floats, draft: Floats, earlier: Floats) -> Floats:
    return output_law(tilted(draft, earlier), acceptance(target, draft), residual(target, draft))


RULES = (
    Rule("uncorrected", "drafts are committed without a correction", _uncorrected),
    Rule("residual-from-target", "a rejected draft is replaced by a draw from the target", _residual_from_target),
    Rule("residual-without-draft", "the residual is the target without the draft", _residual_without_draft),
    Rule("residual-floored", "the residual is floored before it is normalised", _residual_floored),
    Rule("fresh-match", "a draft is accepted if it equals a fresh sample", _fresh_match),
    Rule("kept", "a draft that should be rejected is kept when it is likely enough", _kept),
    Rule("argmax-draft", "drafts are the most probable token, declared as drawn", _argmax_draft),
    Rule("tilted-draft", "drafts are drawn from a tilt of the law that is declared", _tilted_draft, uses_earlier=True),
)


def companion_laws(rows: tuple[Floats, ...]) -> dict[str, tuple[Floats, ...]]:
    """Average every rule over the drafts' prefixes.

    Parameters
    ----------
    rows : tuple of Float[V**j, V]
        The target's law of token j after every prefix, first token most significant.

    Returns
    -------
    dict of str to tuple of Float[V**j, V]
        By rule, in the shapes of ``rows``: the mean over depths of the mean over draft prefixes.
    """
    return {rule.name: tuple(_mean_over_depths(rule, rows, j) for j in range(len(rows))) for rule in RULES}


def _mean_over_depths(rule: Rule, rows: tuple[Floats, ...], j: int) -> Floats:
    vocab = rows[0].shape[1]
    laws = []
    for depth in range(1, min(DEEPEST, j) + 1):
        siblings = vocab**depth
        if rows[j].size * siblings ** (2 if rule.uses_earlier else 1) <= MOST_TERMS:
            laws.append(_mean_over_drafts(rule, rows, j, depth))
    return np.mean(laws, axis=0) if laws else rows[j]


def _mean_over_drafts(rule: Rule, rows: tuple[Floats, ...], j: int, depth: int) -> Floats:
    """Average over all last ``depth`` tokens of the draft's prefix, and of the one before."""
    vocab = rows[0].shape[1]
    siblings = rows[j].reshape(vocab ** (j - depth), -1, vocab)  # [stem, last tokens, V]
    own, draft, earlier = siblings[:, :, None, None], siblings[:, None, :, None], siblings[:, None, None, :]
    if not rule.uses_earlier:
        laws = rule.law(own[:, :, :, 0], draft[:, :, :, 0], earlier[:, :, 0])
        return np.asarray(laws.mean(axis=2).reshape(-1, vocab))
    laws = rule.law(own, draft, earlier)
    return np.asarray(laws.mean(axis=(2, 3)).reshape(-1, vocab))
