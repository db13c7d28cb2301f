"""The named faults, one object each; a new one is an object here and a place in :data:`NAMED`."""

from __future__ import annotations

import numpy as np

from scd_analysis.audit.named.fault import WHOLLY, NamedFault, draft_probs
from scd_analysis.conditions import Condition
from scd_analysis.evidence.batch import Batch, Floats, Longs
from scd_analysis.evidence.occurrences import times_before
from scd_analysis.evidence.pit import between, pit_interval
from scd_analysis.laws.kernels import acceptance, output_law, residual


def _verified(batch: Batch, drawn: Floats) -> Floats:
    """Return the law of a draft drawn from Float[S, N, V] where the draft model's is declared, verified rightly."""
    target, draft = batch.target_probs, draft_probs(batch)
    return np.asarray(output_law(drawn, acceptance(target, draft), residual(target, draft)))


def _power(law: Floats, exponent: float) -> Floats:
    """Return ``norm(law^exponent)``: a temperature of one over the exponent, once more."""
    raised = np.where(law > 0, np.maximum(law, 1e-300) ** exponent, 0)
    return np.asarray(raised / raised.sum(axis=-1, keepdims=True))


def _from_target(batch: Batch, setting: float) -> Floats:
    target, draft = batch.target_probs, draft_probs(batch)
    return np.asarray(output_law(draft, acceptance(target, draft), target))


def _without_draft(batch: Batch, setting: float) -> Floats:
    target, draft = batch.target_probs, draft_probs(batch)
    rejected = np.maximum(draft - target, 0) / np.maximum(1 - target, 1e-12)
    return np.asarray(np.minimum(target, draft) + target * (rejected.sum(axis=-1, keepdims=True) - rejected))


def _until_accepted(batch: Batch, setting: float) -> Floats:
    both = np.minimum(batch.target_probs, draft_probs(batch))
    mass = both.sum(axis=-1, keepdims=True)
    return np.asarray(np.where(mass > 0, both / np.where(mass > 0, mass, 1), batch.target_probs))


def _uncorrected(batch: Batch, setting: float) -> Floats:
    return draft_probs(batch)


def _lenient(batch: Batch, factor: float) -> Floats:
    target, draft = batch.target_probs, draft_probs(batch)
    return np.asarray(output_law(draft, acceptance(factor * target, draft), residual(target, draft)))


def _argmax(batch: Batch, setting: float) -> Floats:
    draft = draft_probs(batch)
    drawn = np.zeros_like(draft)
    np.put_along_axis(drawn, draft.argmax(axis=-1)[..., None], 1.0, axis=-1)
    return _verified(batch, drawn)


def _draft_temperature(batch: Batch, exponent: float) -> Floats:
    return _verified(batch, _power(draft_probs(batch), exponent))


def _target_temperature(batch: Batch, exponent: float) -> Floats:
    return _power(batch.target_probs, exponent)


def _frequency(batch: Batch, nats: float) -> Floats:
    return _penalised(batch.target_probs, times_before(batch), nats)


def _presence(batch: Batch, nats: float) -> Floats:
    return _penalised(batch.target_probs, np.minimum(times_before(batch), 1), nats)


def _penalised(target: Floats, times: Longs, nats: float) -> Floats:
    weights = target * np.exp(-nats * times)
    return np.asarray(weights / weights.sum(axis=-1, keepdims=True))


def _same_variate(batch: Batch, window: float) -> Floats:
    """Draw all drafts of a window with one variate, which every token of it narrows.

    In which slot of a window a token is, its law depends on, and the tokens before tell: slot k follows k accepted
    drafts, a rejection starts a window, and so does the token from the target behind a window that was accepted whole.
    """
    target, draft, size = batch.target_probs, draft_probs(batch), int(window)
    accept, rest, out = acceptance(target, draft), residual(target, draft), np.empty_like(target)
    rows, (starts, stops) = np.arange(len(batch)), pit_interval(draft, batch.tokens)
    low, high = np.zeros((size, len(batch))), np.ones((size, len(batch)))
    first = np.eye(1, size + 1)  # the probability of each slot
    slots = np.repeat(first, len(batch), axis=0)
    for j in range(target.shape[1]):
        kept = np.stack([draft[:, j], *(between(draft[:, j], low[k], high[k]) for k in range(1, size))]) * accept[:, j]
        replaced = (1 - kept.sum(axis=-1, keepdims=True)) * rest[:, j]
        out[:, j] = np.einsum("sk,ksv->sv", slots, np.concatenate([kept + replaced, target[None, :, j]]))
        own = batch.tokens[:, j]
        stays, starts_anew = slots[:, :-1] * kept[:, rows, own].T, slots[:, :-1] * replaced[:, rows, own].T
        behind = slots[:, -1] * target[rows, j, own]
        found = np.concatenate([(starts_anew.sum(axis=1) + behind)[:, None], stays], axis=1)
        total = found.sum(axis=1, keepdims=True)
        slots = np.where(total > 0, found / np.where(total > 0, total, 1), first)
        low[1:], high[1:] = np.maximum(low[:-1], starts[:, j]), np.minimum(high[:-1], stops[:, j])
    return out


_VERIFICATION, _DECLARED, _TARGET = Condition.VERIFICATION, Condition.DECLARED_LAW, Condition.TARGET

NAMED = (
    NamedFault("residual-from-target", _VERIFICATION,
               "a rejected draft is replaced by a draw from the target, and not from the residual", _from_target),
    NamedFault("residual-without-draft", _VERIFICATION,
               "a rejected draft is replaced by a draw from the target without that draft", _without_draft),
    NamedFault("until-accepted", _VERIFICATION,
               "there is no residual: a rejected position is drafted again until a draft is accepted", _until_accepted),
    NamedFault("uncorrected", _VERIFICATION, "drafts are committed without a correction", _uncorrected),
    NamedFault("lenient-acceptance", _VERIFICATION,
               "drafts are accepted with min(1, w p/q), w above one", _lenient, (1.5, 3.0)),
    NamedFault("argmax-draft", _DECLARED,
               "drafts are the most probable token of the draft model, and its whole law is declared", _argmax),
    NamedFault("draft-temperature", _DECLARED,
               "drafts are drawn at another temperature than declared: it is applied twice, or left out",
               _draft_temperature, (0.6, 1.6)),
    NamedFault("same-variate", Condition.INDEPENDENCE,
               "a draft is drawn with the variate that drew the token before it", _same_variate,
               (2.0, 3.0, 4.0, 8.0), (0.95,)),
    NamedFault("target-temperature", _TARGET,
               "the target's law is taken at another temperature: it is applied twice, or left out",
               _target_temperature, (0.45, 0.67, 0.86, 1.16, 1.5, 2.2), WHOLLY),
    NamedFault("penalty-on-frequency", _TARGET,
               "a penalty on every time that a token occurred before is applied once too often, or left out",
               _frequency, (-0.8, -0.3, 0.3, 0.8), WHOLLY),
    NamedFault("penalty-on-presence", _TARGET,
               "a penalty on tokens that occurred before is applied once too often, or left out",
               _presence, (-0.8, -0.3, 0.3, 0.8), WHOLLY),
)  # fmt: skip
"""All of them."""
