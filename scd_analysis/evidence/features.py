"""Directions in which a decoder could lean: bounded functions of (prefix, token).

Each is a function from a batch to Float[S, N, V] within its stated bounds; entry (s, j, v) depends on the tokens
before position j, on the target's laws there, and on v. To bet along a new direction, add a function and a line in
``features``. Some know their moments without being written out (:mod:`scd_analysis.evidence.moments`): worth it where
vocabularies are large.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass

import numpy as np

from scd_analysis.evidence.batch import Batch, Floats, Longs
from scd_analysis.evidence.moments import Along, AtToken, AtTokenOfLaw, MidPit, Numbered, Scaled, Values
from scd_analysis.evidence.pit import Ordering
from scd_analysis.evidence.rules import RULES

LEAST_LOG_PROB = -12.0
"""Below e^-12 the logarithm of a probability is cut, so that the direction of temperature is bounded."""

CAUSES = {rule.name: rule.cause for rule in RULES}


@dataclass(frozen=True)
class Feature:
    """One direction.

    Attributes
    ----------
    name : str
        As it appears in the names of arms.
    more, less : str
        In words, what a decoder does that leans along it, and against it.
    values : callable
        From a batch to Float[S, N, V].
    low, high : float
        Bounds of the values.
    """

    name: str
    more: str
    less: str
    values: Values
    low: float = -1.0
    high: float = 1.0


def _sharpness(batch: Batch) -> Floats:
    out = np.maximum(batch.target_probs, np.exp(LEAST_LOG_PROB), out=batch.room(0))
    np.log(out, out=out)
    out /= LEAST_LOG_PROB
    return np.subtract(1, out, out=out)


sharpness = Along(_sharpness)
"""Larger for likelier tokens, by the logarithm: the direction of temperature."""


def _shifted(batch: Batch, back: int) -> Longs:
    """The token ``back`` positions before."""
    out = np.full_like(batch.tokens, -1)
    if back < batch.tokens.shape[1]:
        out[:, back:] = batch.tokens[:, :-back]
    return out


def _last_sequence(batch: Batch) -> Longs:
    """The token at this position of the sequence before."""
    out = np.full_like(batch.tokens, -1)
    out[1:] = batch.tokens[:-1]
    return out


def _upper(batch: Batch) -> Longs:
    return _shifted(batch, batch.grid_width or batch.tokens.shape[1])


def contrast(batch: Batch, other: Floats | np.float64) -> Floats:
    """Lean to another law: the relative difference, bounded by one."""
    total = np.add(batch.target_probs, other, out=batch.room(1))
    out = np.subtract(other, batch.target_probs, out=batch.room(0))
    if total.min(initial=1) > 0:
        return np.divide(out, total, out=out)
    return np.asarray(np.divide(out, total, out=np.zeros_like(total), where=total > 0))


def _previous_row(batch: Batch) -> Floats:
    if batch.piece is not None:
        return contrast(batch, batch.piece.before)
    other = batch.target_probs.copy()
    other[:, 1:] = batch.target_probs[:, :-1]
    return contrast(batch, other)


def _uniform(batch: Batch) -> Floats:
    return contrast(batch, np.float64(1 / batch.target_probs.shape[-1]))


uniform = Along(_uniform)
"""Lean to the uniform law."""


def _most_probable(batch: Batch) -> Longs:
    return np.asarray(batch.target_probs.argmax(axis=-1))


def _least_probable(batch: Batch) -> Longs:
    """The least probable token that is possible."""
    laws = batch.target_probs
    return np.asarray((laws if laws.min(initial=1) > 0 else np.where(laws > 0, laws, np.inf)).argmin(axis=-1))


most_probable, least_probable = AtTokenOfLaw(_most_probable), AtTokenOfLaw(_least_probable)
number, level = Numbered(0.0, 1.0), Numbered(-1.0, 1.0)


def _surprise(batch: Batch) -> Floats:
    """How improbable the token before was."""
    out = np.zeros(batch.tokens.shape)
    out[:, 1:] = 1 - batch.token_probs[:, :-1]
    return out


def _first_token(batch: Batch) -> Longs:
    """The token that the sequence began with: the background of many an image."""
    out = np.repeat(batch.tokens[:, :1], batch.tokens.shape[1], axis=1)
    out[:, 0] = -1
    return out


def _run(batch: Batch) -> Longs:
    """The token of a run: the last one, where it came twice."""
    one, two = _shifted(batch, 1), _shifted(batch, 2)
    return np.asarray(np.where(one == two, one, -1))


first_token, run = AtToken(_first_token), AtToken(_run)


def _first_eighth(batch: Batch) -> Floats:
    out = np.zeros(batch.tokens.shape)
    out[:, : max(2, batch.tokens.shape[1] // 8)] = 1
    return out


def _row_starts(batch: Batch) -> Floats:
    """The first quarter of every row but the first; nowhere without rows."""
    num_tokens, width = batch.tokens.shape[1], batch.grid_width or batch.tokens.shape[1]
    position = np.arange(num_tokens)
    chosen = (position >= width) & (position % width < max(width // 4, 1))
    return np.broadcast_to(chosen.astype(np.float64), batch.tokens.shape)


def _mid_rows(batch: Batch) -> Floats:
    """The middle half of every row but the first; nowhere without rows."""
    num_tokens, width = batch.tokens.shape[1], batch.grid_width or batch.tokens.shape[1]
    position = np.arange(num_tokens)
    column = position % width
    chosen = (position >= width) & (column >= width // 4) & (column < width - width // 4)
    return np.broadcast_to(chosen.astype(np.float64), batch.tokens.shape)


def _from_to(first: int, stop: int) -> Callable[[Batch], Floats]:
    def chosen(batch: Batch) -> Floats:
        out = np.zeros(batch.tokens.shape)
        out[:, first:stop] = 1
        return out

    return chosen


def _after(ordering: Ordering) -> Scaled:
    """Repeat the PIT of the token before: what a decoder does that uses the same noise twice."""
    pit = MidPit(ordering)

    def before(batch: Batch) -> Floats:
        out = np.zeros(batch.tokens.shape)
        out[:, 1:] = pit.of_tokens(batch)[:, :-1]
        return out

    return Scaled(pit, before)


def _like(back: int) -> Scaled:
    """The token's number times that of the one ``back`` before, both from -1 to 1: where numbers are levels, alike."""

    def earlier(batch: Batch) -> Floats:
        token = _shifted(batch, back)
        number_before = 2 * token / max(batch.target_probs.shape[-1] - 1, 1) - 1
        return np.where(token >= 0, number_before, 0)

    return Scaled(level, earlier)


def _at(position: int, inner: Values) -> Scaled:
    def only(batch: Batch) -> Floats:
        out = np.zeros(batch.tokens.shape)
        out[:, position] = 1
        return out

    return Scaled(inner, only)


def companion(key: Hashable) -> Callable[[Batch], Floats]:
    """Lean to a companion law; nowhere, where the batch has none by that key."""
    return lambda batch: contrast(batch, batch.companions.get(key, batch.target_probs))


def token_of(key: Hashable) -> AtToken:
    """One where v is the token that the context gives, Long[S, N], negative where there is none."""
    return AtToken(lambda batch: batch.context[key])


def scaled(inner: Values, key: Hashable) -> Scaled:
    """Scale a direction by a number of the context, Float[S, N] in [-1, 1]."""
    return Scaled(inner, lambda batch: batch.context[key])


def features_of_long_sequences(grid_width: int | None = None) -> tuple[Feature, ...]:
    """List the directions that need many tokens.

    A decoder begins every sequence, and guesses at every start of a row, in much the same way. What it does wrong
    there comes again in all of them, while elsewhere it differs with what came before and averages out.
    """
    listed = [
        Feature("first-token", "a sequence's first token comes again too often",
                "a sequence's first token comes again too rarely", first_token, 0.0),
        Feature("first-token-early", "early in a sequence, its first token comes again too often",
                "early in a sequence, its first token comes again too rarely", Scaled(first_token, _first_eighth), 0.0),
        Feature("sharpness-early", "early laws of a sequence are sharper than the target's",
                "early laws of a sequence are flatter than the target's", Scaled(sharpness, _first_eighth), 0.0),
    ]  # fmt: skip
    if grid_width:
        listed += [
            Feature("run-at-row-start", "a run of equal tokens goes on at the start of a row too often",
                    "a run of equal tokens ends at the start of a row too often", Scaled(run, _row_starts), 0.0),
            Feature("sharpness-at-row-start", "laws at the start of a row are sharper than the target's",
                    "laws at the start of a row are flatter than the target's", Scaled(sharpness, _row_starts), 0.0),
        ]  # fmt: skip
    return tuple(listed)


def sharpness_by_place(grid_width: int | None = None) -> tuple[Feature, ...]:
    """List sharpness where it can differ from what it is elsewhere: together, since each alone is small."""
    places = [
        ("", "", lambda batch: np.ones(batch.tokens.shape)),
        ("-at-once", "the first three ", _from_to(0, 3)),
        ("-soon", "the next three ", _from_to(3, 6)),
    ]
    if grid_width:
        places.append(("-mid-row", "mid-row ", _mid_rows))
    return tuple(
        Feature(f"sharpness{suffix}", f"{words}laws are sharper than the target's",
                f"{words}laws are flatter than the target's", Scaled(sharpness, where), 0.0)
        for suffix, words, where in places
    )  # fmt: skip


OF_NOISE = ("noise-by-rank", "sharpness-after-surprise", "noise-by-token")
"""Directions in which tokens go that share noise."""


def features(companions: tuple[str, ...] = (), grid_width: int | None = None) -> tuple[Feature, ...]:
    """List the directions that make sense for a model.

    Parameters
    ----------
    companions : tuple of str
        Names of the companion laws of its batches.
    grid_width : int or None
        Tokens in a row of an image.
    """
    listed = [
        Feature("sharpness", "the laws are sharper than the target's (a lower temperature, a smaller top-k or top-p)",
                "the laws are flatter than the target's (a higher temperature, less guidance)", sharpness, 0.0),
        Feature("uniform", "tokens lean to the uniform law, as an initial draft does",
                "improbable tokens come too rarely", uniform),
        Feature("most-probable", "the most probable token comes too often", "the most probable token comes too rarely",
                most_probable, 0.0),
        Feature("least-probable", "the least probable token comes too often",
                "the least probable token comes too rarely", least_probable, 0.0),
        Feature("number", "tokens of a high number come too often", "tokens of a low number come too often",
                number, 0.0),
        Feature("previous-token", "tokens repeat the one before too often", "tokens repeat the one before too rarely",
                AtToken(lambda batch: _shifted(batch, 1)), 0.0),
        Feature("previous-row", "tokens lean to the law of the position before (a row shifted by one)",
                "tokens lean away from the law of the position before", Along(_previous_row)),
        Feature("last-sequence", "a sequence repeats tokens of the one before it (noise shared between sequences)",
                "a sequence avoids the tokens of the one before it", AtToken(_last_sequence), 0.0),
        Feature("sharpness-first", "the first token's law is too sharp", "the first token's law is too flat",
                _at(0, sharpness), 0.0),
        Feature("sharpness-last", "the last token's law is too sharp", "the last token's law is too flat",
                _at(-1, sharpness), 0.0),
        Feature("noise-by-rank", "a surprising token makes the next one surprising (shared noise)",
                "a surprising token makes the next one likely (shared noise)", _after("rank")),
        Feature("sharpness-after-surprise", "a likely token follows a surprising one too often (shared noise)",
                "an unlikely token follows a surprising one too often (shared noise)",
                Scaled(sharpness, _surprise), 0.0),
        Feature("noise-by-token", "neighbouring tokens move together (shared noise)",
                "neighbouring tokens move against each other (shared noise)", _after("token")),
    ]  # fmt: skip
    if grid_width:
        listed += [
            Feature("upper-neighbour", "tokens repeat the one above too often",
                    "tokens repeat the one above too rarely", AtToken(_upper), 0.0),
            Feature("level-beside", "levels of neighbours in a row are too much alike",
                    "levels of neighbours in a row are too little alike", _like(1)),
            Feature("level-above", "levels of neighbours in a column are too much alike",
                    "levels of neighbours in a column are too little alike", _like(grid_width)),
        ]  # fmt: skip
    listed += [
        Feature(name, f"tokens lean to what a decoder gives when {CAUSES.get(name, name)}",
                f"tokens lean away from what a decoder gives when {CAUSES.get(name, name)}", companion(name))
        for name in companions
    ]  # fmt: skip
    return tuple(listed)
