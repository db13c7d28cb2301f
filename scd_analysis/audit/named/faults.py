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


def _same_variate(batch: Batch, setting: float) -> Floats:
    """Narrow the variate by every token of a run of drafts that it can have drawn, then draw the next with it."""
    draft = draft_probs(batch)
    starts, stops = pit_interval(draft, batch.tokens)
    low, high = np.zeros_like(starts), np.ones_like(stops)
    for j in range(1, batch.tokens.shape[1]):
        first = np.maximum(low[:, j - 1], starts[:, j - 1])
        last = np.minimum(high[:, j - 1], stops[:, j - 1])
        agree = first < last
        low[:, j] = np.where(agree, first, starts[:, j - 1])
        high[:, j] = np.where(agree, last, stops[:, j - 1])
    shape = draft.shape
    drawn = between(draft.reshape(-1, shape[-1]), low.ravel(), high.ravel()).reshape(shape)
    return _verified(batch, drawn)


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
               "a draft is drawn with the variate that drew the token before it", _same_variate),
    NamedFault("target-temperature", _TARGET,
               "the target's law is taken at another temperature: it is applied twice, or left out",
               _target_temperature, (0.5, 0.7, 0.9, 1.1, 1.4, 2.0), WHOLLY),
    NamedFault("penalty-on-frequency", _TARGET,
               "a penalty on every time that a token occurred before is applied once too often, or left out",
               _frequency, (-0.8, -0.3, 0.3, 0.8), WHOLLY),
    NamedFault("penalty-on-presence", _TARGET,
               "a penalty on tokens that occurred before is applied once too often, or left out",
               _presence, (-0.8, -0.3, 0.3, 0.8), WHOLLY),
)  # fmt: skip
"""All of them."""
