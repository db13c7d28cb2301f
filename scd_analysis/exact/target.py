"""The law a lossless decoder must have: ancestral sampling from the model, multiplied out."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import torch

from scd_analysis.contracts import TargetModel, is_model
from scd_analysis.errors import InputError
from scd_analysis.exact.arithmetic import ArithmeticName, Number, normalised
from scd_analysis.exact.law import ExactLaw, as_law
from scd_analysis.validate import as_array, as_laws, check_at_least, check_known, check_model_laws, law_tolerance

MOST_OUTCOMES = 2_000_000
_BATCH = 4096


def exact_target_law(model: TargetModel, *, arithmetic: ArithmeticName = "float64") -> dict[tuple[int, ...], Number]:
    """Compute the law of a model's sequences.

    Parameters
    ----------
    model
        ``vocab_size`` V, ``num_tokens`` N, and ``next_token_probs``: Long[B, t] -> Float[B, t+1, V].
    arithmetic
        "float64", or "rational": the exact rational value of each entry, normalised in Fractions.

    Returns
    -------
    dict
        N-tuples of tokens to probabilities, those of probability zero left out. Each conditional law is normalised in
        float64 (or in Fractions) from the entries as given.

    Raises
    ------
    InputError
        If there are more than two million sequences.
    LawError
        If a conditional law has a NaN, a negative entry, or a sum off by more than 1e-4.
    """
    check_known(arithmetic, ("float64", "rational"), "arithmetic")
    check_at_least(MOST_OUTCOMES, model.vocab_size**model.num_tokens, "the number of outcomes that can be listed")
    rational = arithmetic == "rational"
    law: dict[tuple[int, ...], Number] = {(): Fraction(1) if rational else 1.0}
    for _ in range(model.num_tokens):
        prefixes = list(law)
        longer: dict[tuple[int, ...], Number] = {}
        for start in range(0, len(prefixes), _BATCH):
            batch = prefixes[start : start + _BATCH]
            for prefix, row in zip(batch, _next_laws(model, batch), strict=True):
                for token, p in enumerate(normalised(row, rational, "next_token_probs")):
                    if p > 0:
                        longer[(*prefix, token)] = law[prefix] * p
        law = longer
    return law


def law_of(value: Any, arithmetic: ArithmeticName = "float64", name: str = "model") -> ExactLaw:
    """The exact law of a target model, or a law that is one already.

    Raises
    ------
    InputError
        If it is neither a target model, an `ExactLaw` nor a dict of probabilities.
    """
    if is_model(value, name):
        return as_law(exact_target_law(value, arithmetic=arithmetic))
    if isinstance(value, (ExactLaw, Mapping)):
        return as_law(value)
    raise InputError(f"{name}: a {type(value).__name__} is neither a target model nor a law")


def _next_laws(model: TargetModel, prefixes: list[tuple[int, ...]]) -> Any:
    length = len(prefixes[0])
    tokens = torch.tensor(prefixes, dtype=torch.long).reshape(len(prefixes), length)
    with torch.no_grad():
        given = model.next_token_probs(tokens)
    name, expected = "next_token_probs(tokens)", (len(prefixes), length + 1, model.vocab_size)
    check_model_laws(as_array(given, name), expected, name, law_tolerance(given))
    return as_laws(given, name)[:, length].tolist()
