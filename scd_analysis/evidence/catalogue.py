"""The standard portfolio: which bettors an audit runs, and with which weights."""

from __future__ import annotations

import numpy as np

from scd_analysis.evidence.by_sequence import of_sequences
from scd_analysis.evidence.directed import Directed, DirectedByPosition
from scd_analysis.evidence.dirichlet import JointCells, PrefixCells
from scd_analysis.evidence.earlier_noise import MOST_VOCABULARY, of_earlier_noise
from scd_analysis.evidence.features import features, features_of_long_sequences, sharpness_by_place
from scd_analysis.evidence.occurrences import of_occurrences
from scd_analysis.evidence.openings import Openings
from scd_analysis.evidence.pit import PitBins, PitPairs
from scd_analysis.evidence.portfolio import Family, Portfolio
from scd_analysis.evidence.repeats import Repeats
from scd_analysis.evidence.ridge import RidgeTilt
from scd_analysis.evidence.rows import families_by_row
from scd_analysis.evidence.tilted import TiltedCells

CONCENTRATIONS = 10.0 ** np.arange(1, 6.5, 0.5)
PRIOR_TOKENS = (30.0, 1000.0, 30_000.0)
PRIOR_SEQUENCES = (100.0, 3000.0)
FEW_TOKENS = 16
"""Up to here each position learns for itself; beyond it there are too many parameters for the evidence."""

LONG_PRIOR_TOKENS = (300.0,)
"""Of directions along which a long sequence tells much: evidence comes soon or not at all."""

LONG_RIDGE_PRIOR_TOKENS = (3000.0,)
"""Of all of them together, each of which tells less."""

OPENING_SHARE = 8
"""The first of so many parts of a sequence."""

TILTS = (0.4, 0.8, 1.6)
"""Nats, of a token that comes again too often in an opening; as many less, for one that does so too rarely."""

MOST_RIDGE_VOCABULARY = 256
"""Beyond it a joint tilt along all directions takes longer than all other bettors together."""

MOST_CELLS = 2**16
"""Joint cells are counted up to this many; beyond it an image's worth of tokens could not fill them."""


def is_small(vocab_size: int, num_tokens: int) -> bool:
    """Say whether whole sequences can be counted."""
    return bool(num_tokens * np.log(vocab_size) <= np.log(MOST_CELLS) + 1e-9)


def standard_portfolio(
    vocab_size: int,
    num_tokens: int,
    companions: tuple[str, ...] = (),
    grid_width: int | None = None,
    *,
    in_batches: bool = False,
) -> Portfolio:
    """Build the bettors for a model of N tokens over a vocabulary of V.

    Weights are by family, evenly within: most on learned directions and on cells around them. Where it is known in
    which row of a batch each sequence was drawn (``in_batches``), rows are bet on too.
    """
    directions = features(companions, grid_width)
    families = [
        Family("pit-rank", 0.5, PitBins("rank", (4, 16, 64))),
        Family("pit-token", 0.5, PitBins("token", (4, 16, 64))),
        Family("pit-pairs", 0.3, PitPairs((3, 6))),
        Family("repeats", 0.5, Repeats()),
        Family("directed", 4, Directed(directions, PRIOR_TOKENS)),
        *of_occurrences(num_tokens, together=vocab_size <= MOST_RIDGE_VOCABULARY),
        *of_sequences(),
    ]
    if vocab_size <= MOST_VOCABULARY:
        families += of_earlier_noise(num_tokens, by_position=num_tokens <= FEW_TOKENS)
    if vocab_size <= MOST_RIDGE_VOCABULARY:
        families.append(Family("ridge", 3, RidgeTilt(directions, num_tokens, PRIOR_TOKENS, by_position=False)))
    if num_tokens <= FEW_TOKENS:
        families += [
            Family("directed-position", 3, DirectedByPosition(directions, num_tokens, PRIOR_SEQUENCES)),
            Family("ridge-position", 3, RidgeTilt(directions, num_tokens, PRIOR_TOKENS, by_position=True)),
        ]
    else:
        families += of_long_sequences(vocab_size, num_tokens, grid_width)
    if is_small(vocab_size, num_tokens):
        cells = vocab_size**num_tokens
        families += [
            Family("joint-cells", 2, JointCells(cells, CONCENTRATIONS)),
            Family("prefix-cells", 4, PrefixCells(vocab_size, num_tokens, CONCENTRATIONS)),
            *(
                Family("tilted-cells", weight, TiltedCells(directions, num_tokens, cells, prior, CONCENTRATIONS))
                for prior, weight in ((1000.0, 3), (10_000.0, 6))
            ),
        ]
    if in_batches:
        small, ridge = is_small(vocab_size, num_tokens), vocab_size <= MOST_RIDGE_VOCABULARY
        families += families_by_row(num_tokens, directions, by_half=small, mixed=ridge)
    return Portfolio(families)


def of_long_sequences(vocab_size: int, num_tokens: int, grid_width: int | None) -> list[Family]:
    """Build the bettors on the beginnings of sequences and rows, which the standard portfolio has for long ones."""
    directions = features_of_long_sequences(grid_width)
    first = next(feature for feature in directions if feature.name == "first-token")
    opening = max(2, num_tokens // OPENING_SHARE)
    families = [
        Family("long-directed", 4, Directed(directions, LONG_PRIOR_TOKENS)),
        Family("opening-more", 8, Openings(first, opening, TILTS)),
        Family("opening-less", 1, Openings(first, opening, tuple(-tilt for tilt in TILTS))),
    ]
    if vocab_size <= MOST_RIDGE_VOCABULARY:
        together = directions + sharpness_by_place(grid_width)
        tilt = RidgeTilt(together, num_tokens, LONG_RIDGE_PRIOR_TOKENS, by_position=False)
        families.append(Family("long-ridge", 4, tilt))
    return families
