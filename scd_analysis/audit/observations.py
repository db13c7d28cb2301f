"""From commits to observations with a known null law, for the processes to bet on.

Each function takes a :class:`View` of some sequences and variates of its own, and returns a batch, or None where the
trace does not hold what it takes. Whatever a bet may use (companions, context) is known before the observation: it
comes from earlier positions, or from earlier stages of the same one (the draft before its variate, both before the
replacement), never from what the position went through at other passes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from scd_analysis.audit.commits import Commits, Drawn
from scd_analysis.evidence.batch import Batch, Floats, Longs, observed
from scd_analysis.evidence.batch import observations as batched
from scd_analysis.evidence.pit import between, pit_interval, randomised_pit
from scd_analysis.evidence.races import second_winner
from scd_analysis.evidence.rules import residual


@dataclass(frozen=True)
class View:
    """What the processes see of some sequences.

    Attributes
    ----------
    commits : Commits
    target_probs : Float[S, N, V] or None
        What drafts were verified against: recorded, or the model's.
    model_probs : Float[S, N, V] or None
        The model's law given the finished sequence.
    other_variates : Float[S, N]
        Acceptance variates of another sequence that may share them; NaN where there is none.
    grid_width : int or None
        Tokens in a row of an image.
    """

    commits: Commits
    target_probs: Floats | None
    model_probs: Floats | None
    other_variates: Floats
    grid_width: int | None = None


def is_drawn(commits: Commits) -> np.ndarray:
    """Where a draft was drawn from a law that is no point mass."""
    assert commits.draft_probs is not None
    with np.errstate(invalid="ignore"):
        return np.asarray(commits.drafted & (commits.draft_probs.max(axis=-1, initial=0) < 1))


def earlier_position(values: np.ndarray, back: int, missing: float) -> np.ndarray:
    """Return what the position ``back`` before holds."""
    out = np.full_like(values, missing)
    if back < values.shape[1]:
        out[:, back:] = values[:, :-back]
    return out


def centred(values: Floats) -> Floats:
    """[0, 1] -> [-1, 1], zero where unknown."""
    return np.nan_to_num(2 * values - 1)


def drafts(view: View, noise: Floats) -> Batch | None:
    """Drafts under their declared laws, with laws they might have been drawn from instead."""
    commits = view.commits
    if commits.draft_probs is None:
        return None
    companions = {"target": view.target_probs, **_other_drafts(commits)}
    context = {"old": (commits.age > 1).astype(float)}
    known = {name: law for name, law in companions.items() if law is not None}
    return observed(commits.draft, commits.draft_probs, noise, is_drawn(commits), known, context)


def first_drafts(view: View, noise: Floats) -> Batch | None:
    """First drafts of all positions under laws that were declared for them, and the neighbours they may be copies of.

    Positions enter in order, so this is a martingale of its own, at the pass that first drafts each.
    """
    entries = view.commits.entries
    if entries.probs is None:
        return None
    with np.errstate(invalid="ignore"):
        drawn = (entries.iteration > 0) & (entries.probs.max(axis=-1) < 1)  # at the first pass nothing can be copied
    if not drawn.any():
        return None
    own = np.arange(drawn.shape[1])
    new = np.diff(entries.iteration, axis=1, prepend=-2) != 0
    first = np.maximum.accumulate(np.where(new, own, 0), axis=1)  # of the positions that enter at the same pass
    width = view.grid_width or drawn.shape[1]
    at = {"left": first - 1, "upper": own - width * ((own - first) // width + 1)}
    context = {name: np.where(drawn, _known_token(view.commits, place), -1) for name, place in at.items()}
    return observed(entries.token, entries.probs, noise, drawn, context=context)


def _known_token(commits: Commits, place: Longs) -> Longs:
    """What positions Long[S, N] hold when another enters: committed, or still a draft; -1 for a negative position."""
    passes, iteration = commits.passes, np.maximum(commits.entries.iteration, 0)
    rows, slot = np.arange(len(place))[:, None], place - passes.first(iteration)
    draft = passes.draft[rows, iteration, np.clip(slot, 0, passes.draft.shape[2] - 1)]
    known = np.where(slot < 0, commits.final[rows, np.maximum(place, 0)], draft)
    return np.where(place >= 0, known, -1)


def _other_drafts(commits: Commits) -> dict[str, Floats]:
    """Return laws that a draft has under a known slip, from the target laws one and two passes before.

    These are functions of earlier positions; what the position itself went through is not, and is left alone.
    """
    last, earlier = commits.last_target_probs, commits.earlier_target_probs
    if last is None or earlier is None:
        return {}
    with np.errstate(divide="ignore", invalid="ignore"):
        tilted = last * np.clip(np.where(earlier > 0, last / earlier, 4.0), 0.25, 4.0)
        tilted /= tilted.sum(axis=-1, keepdims=True)
        kept = earlier * (last > 0.5 * earlier)
    shared = np.minimum(last, earlier)
    return {
        "last-target": last,
        "tilted": tilted,
        "by-hand": shared + (1 - shared.sum(axis=-1, keepdims=True)) * last,
        "kept": kept + (1 - kept.sum(axis=-1, keepdims=True)) * last,
        "earlier": earlier,
    }


def draft_scalars(view: View, noise: Floats) -> Batch | None:
    """Two numbers of each draft whose means follow from the declared law: ``min(1, p/q)`` and ``p``.

    Under it the first has mean ``1 - TV`` and the second ``sum p q``; these are recorded even where laws are not.
    """
    commits = view.commits
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.clip(commits.target_prob / commits.draft_prob, 0, 1)
        active = commits.drafted & (commits.draft_prob < 1) & ~np.isnan(ratio + commits.total_variation)
    if commits.draft_probs is not None:  # where the law is known, it says more
        active &= np.isnan(commits.draft_probs).any(axis=-1)
    if not active.any():
        return None
    values = {
        "acceptance": ratio,
        "acceptance-mean": 1 - commits.total_variation,
        "target-prob": commits.target_prob,
        "target-prob-mean": commits.collision,
    }
    context = {name: np.where(active, np.clip(value, 0, 1), 0) for name, value in values.items()}
    none = np.zeros(active.shape, dtype=np.int64)
    return observed(none, np.ones((*active.shape, 1)), noise, active, context=context)


def acceptances(view: View, noise: Floats) -> Batch | None:
    """Acceptance of each draft under ``min(1, p/q)``, in circumstances that must not matter."""
    commits = view.commits
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = commits.target_prob / commits.draft_prob
    known = commits.drafted & ~np.isnan(ratio)
    if not known.any():
        return None
    ratio = np.where(known, ratio, 0)
    probability = np.clip(ratio, 0, 1)
    alone = _is_alone(commits, known)
    following, run = (np.clip(np.nan_to_num(r, posinf=1), 0, 1) for r in (commits.next_ratio, commits.run_ratio))
    context = {
        "first-slot": (commits.slot == 0).astype(float),
        "later-slot": (commits.slot > 0).astype(float),
        "early-slot": np.exp(-np.maximum(commits.slot, 0) / 4),
        "initial": (commits.age == 0).astype(float),
        "redrafted": (commits.age > 0).astype(float),
        "last-slot": _is_last_slot(commits),
        "unchanged": ((commits.age > 0) & (commits.last_draft == commits.draft)).astype(float),
        "uncertain": 4 * probability * (1 - probability),
        "next-accepted": np.where(alone, 0, following * 2 - 1),
        "run": np.where(alone, 0, run - probability),
    }
    least, reached = _before(commits, probability)
    last = np.nan_to_num(_accepted_before(commits), nan=1.0)
    others = {
        "run": np.where(alone, probability, run),
        "same-variate": np.minimum(1, probability / np.maximum(least, 1e-12)),
        "mirrored-variate": np.clip(probability + last - 1, 0, 1) / np.maximum(last, 1e-12),
        "best-of-two": _best_of(2, reached, probability),
        "best-of-four": _best_of(4, reached, probability),
        "relaxed": np.clip(1.5 * ratio, 0, 1),
        "much-relaxed": np.clip(3 * ratio, 0, 1),
        "root": np.sqrt(probability),
        "twice": 1 - (1 - probability) ** 2,
        "untested": np.full_like(probability, 0.99),
    }
    companions = {name: acceptance_law(p) for name, p in others.items()}
    laws = acceptance_law(probability)
    return observed(commits.accepted.astype(np.int64), laws, noise, known, companions, context)


def _is_alone(commits: Commits, known: np.ndarray) -> np.ndarray:
    """Where a slot is judged by itself, Bool[S, N]: nothing is known of the slot after it.

    That is so of all, if it is of one that was rejected inside the window: what lies behind a rejection may not have
    been recorded, or not been drafted, so that something being there says what the flag is.
    """
    alone = np.isnan(commits.next_ratio)
    hidden = known & ~commits.accepted & alone & (_is_last_slot(commits) == 0)
    return np.ones_like(alone) if hidden.any() else alone


def acceptance_law(probability: Floats) -> Floats:
    """Law of an accept flag, Float[..., 2]."""
    return np.stack([1 - probability, probability], axis=-1)


def held_drafts(view: View, noise: Floats) -> Batch | None:
    """Drafts that a pass left to a later one though the commit rule commits them, under their declared laws.

    A decoder may wait, but what it waits for must not be the draft's own doing.
    """
    held = view.commits.held
    if held.probs is None:
        return None
    with np.errstate(invalid="ignore"):
        drawn = (held.iteration >= 0) & (held.probs.max(axis=-1) < 1)
    return observed(held.token, held.probs, noise, drawn) if drawn.any() else None


def held_acceptances(view: View, noise: Floats) -> Batch | None:
    """Accept flags of such drafts under ``min(1, p/q)``."""
    commits = view.commits
    known = (commits.held.iteration >= 0) & ~np.isnan(commits.held_ratio)
    if not known.any():
        return None
    laws = acceptance_law(np.clip(np.where(known, commits.held_ratio, 0), 0, 1))
    return observed(commits.held_accepted.astype(np.int64), laws, noise, known)


def _is_last_slot(commits: Commits) -> Floats:
    """Whether the slot is the last of its window, or holds the last token."""
    end = np.minimum(commits.passes.used.shape[2], commits.final.shape[1] - commits.passes.first(commits.iteration))
    return (commits.slot == end - 1).astype(float)


def _before(commits: Commits, probability: Floats) -> tuple[Floats, Floats]:
    """Return, over earlier slots of the same pass, the least acceptance probability and the product of them."""
    least, product = np.ones_like(probability), np.ones_like(probability)
    for j in range(1, probability.shape[1]):
        same_pass = (commits.slot[:, j] > 0) & (commits.iteration[:, j] == commits.iteration[:, j - 1])
        least[:, j] = np.where(same_pass, np.minimum(least[:, j - 1], probability[:, j - 1]), 1)
        product[:, j] = np.where(same_pass, product[:, j - 1] * probability[:, j - 1], 1)
    return least, product


def _best_of(tries: int, reached: Floats, probability: Floats) -> Floats:
    """Return the acceptance probability of a slot when the longest of several tries is kept, given its being reached.

    A try comes so far with probability A, the longest with ``1 - (1 - A)^tries``.
    """
    further = -np.expm1(tries * np.log1p(-np.minimum(reached * probability, 1 - 1e-12)))
    return np.asarray(further / -np.expm1(tries * np.log1p(-np.clip(reached, 1e-12, 1 - 1e-12))))


def residual_laws(view: View) -> tuple[np.ndarray, Floats] | None:
    """Where a replacement was committed whose residual is known, Bool[S, N], and the residuals, Float[n, V]."""
    commits, target = view.commits, view.target_probs
    if target is None:
        return None
    declared = _declared(commits, target.shape[-1])
    known = commits.rejected & ~np.isnan(declared).any(axis=-1) & ~np.isnan(target).any(axis=-1)
    return known, residual(target[known], declared[known])


def replacements(view: View, noise: Floats) -> Batch | None:
    """Replacements of rejected drafts under the residual ``(p - q)+``, with what wrong code draws from."""
    commits, target, found = view.commits, view.target_probs, residual_laws(view)
    if found is None or target is None:
        return None
    known, null = found
    declared = _declared(commits, target.shape[-1])
    with np.errstate(divide="ignore", invalid="ignore"):
        threshold = np.where(known, commits.target_prob / commits.draft_prob, 0)
    at, final = np.nonzero(known), commits.final[known]
    companions = _wrong(target[known], declared[known], commits.draft[known])
    companions["same-variate"] = between(null, threshold[known], np.ones(len(final)))
    companions["last-replacement"] = _by_the_last(null, final, at[0])
    last = _accepted_before(commits)[known]
    companions["last-variate"] = np.where(np.isnan(last)[:, None], np.nan, between(null, np.zeros(len(last)), last))
    return batched(at, final, null, noise[known], companions, {})


def _accepted_before(commits: Commits) -> Floats:
    """Probability with which the slot before was accepted at the same pass, Float[S, N], NaN for a first slot."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.clip(commits.target_prob / commits.draft_prob, 0, 1)
    same_pass = (commits.slot > 0) & (earlier_position(commits.iteration, 1, -1) == commits.iteration)
    return np.where(same_pass, earlier_position(ratio, 1, np.nan), np.nan)


def _by_the_last(null: Floats, tokens: Longs, sequence: Longs) -> Floats:
    """Return the law of a replacement drawn with the variate of the one before it in its sequence, NaN for a first."""
    out = np.full_like(null, np.nan)
    second = np.flatnonzero(sequence[1:] == sequence[:-1]) + 1
    out[second] = between(null[second], *pit_interval(null[second - 1], tokens[second - 1]))
    return out


def _wrong(target: Floats, declared: Floats, draft: Longs) -> dict[str, Floats]:
    """Return what a rejected draft (Long[n]) is replaced from where the residual is wrong, Float[n, V] each."""
    struck = target.copy()
    np.put_along_axis(struck, draft[..., None], 0.0, axis=-1)
    log_rise = np.log(np.maximum(target, 1e-9)) - np.log(np.maximum(declared, 1e-9))
    excess = np.maximum(target - declared, 0)
    rest = excess.copy()
    rest[..., -1] += np.maximum(1 - excess.sum(axis=-1), 0)
    parts = {
        "from-target": target,
        "without-draft": struck,
        "from-declared": declared,
        "floored": np.maximum(excess, 0.02),
        "absolute": np.abs(target - declared),
        "reversed": np.maximum(declared - target, 0),
        "logits": np.maximum(log_rise, 0),
        "unnormalised": rest,
        "same-race": second_winner(residual(target, declared), declared, draft),
    }
    with np.errstate(divide="ignore", invalid="ignore"):
        return {name: part / part.sum(axis=-1, keepdims=True) for name, part in parts.items()}


def _declared(commits: Commits, vocab_size: int) -> Floats:
    """Declared laws, Float[S, N, V]; a point mass is known without its law having been recorded."""
    if commits.draft_probs is not None:
        return commits.draft_probs
    point = (np.arange(vocab_size) == commits.draft[..., None]).astype(np.float64)
    return np.where((commits.draft_prob == 1)[..., None], point, np.nan)


def bonuses(view: View, noise: Floats) -> Batch | None:
    """Tokens past a window that was accepted whole, under the model's law."""
    laws = view.model_probs
    if laws is None or not view.commits.bonus.any():
        return None
    commits, at = view.commits, np.nonzero(view.commits.bonus)
    before = np.concatenate([laws[:, :1], laws[:, :-1]], axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        last = earlier_position(np.nan_to_num(commits.target_prob / commits.draft_prob, nan=1.0), 1, 1.0)
    companions = {"row-before": before[at], "last-variate": between(laws[at], np.zeros(len(at[0])), last[at])}
    return batched(at, commits.final[at], laws[at], noise[at], companions, {})


def shared_noise(view: View, noise: Floats) -> Batch | None:
    """Drafts under their declared laws, against the noise of other positions and sequences."""
    commits = view.commits
    if commits.draft_probs is None:
        return None
    drawn = is_drawn(commits) & (commits.age > 0)
    laws = np.where(drawn[..., None], commits.draft_probs, 1 / commits.draft_probs.shape[-1])
    token = np.where(drawn, commits.draft, -1)
    seen = np.maximum(token, 0)
    pits = {kind: randomised_pit(laws, seen, noise, kind) for kind in ("token", "rank")}
    context = {
        "previous": earlier_position(token, 1, -1),
        "before-that": earlier_position(token, 2, -1),
        "above": np.vstack([np.full((1, token.shape[1]), -1), token[:-1]]),
        "odd-slot": commits.drawn_slot % 2 == 1,
    }
    for kind, pit in pits.items():
        context[f"previous-{kind}"] = earlier_position(np.where(drawn, 2 * pit - 1, 0), 1, 0)
    races = {
        "beside": commits.beside,
        "same-slot": commits.same_slot,
        "diagonal": commits.diagonal,
        "previous-race": Drawn(context["previous"], earlier_position(laws, 1, np.nan)),
    }
    companions = {name: _raced(laws, drawn, other) for name, other in races.items() if other.probs is not None}
    return observed(commits.draft, laws, noise, drawn, companions, context)


def _raced(laws: Floats, drawn: np.ndarray, other: Drawn) -> Floats:
    """Return the law of a draft whose Gumbel noise has already drawn another, NaN where there is none, or no other."""
    assert other.probs is not None
    known, out = drawn & (other.token >= 0) & ~np.isnan(other.probs.sum(axis=-1)), np.full(laws.shape, np.nan)
    out[known] = second_winner(laws[known], other.probs[known], other.token[known])
    return out
