"""Small models for the tests of evidence."""

from __future__ import annotations

import numpy as np
import pytest

from tests.evidence.decoders import Tables, random_tables


@pytest.fixture
def tables() -> Tables:
    """V = 3, N = 4, peaked and uneven."""
    return random_tables(3, 4, 0.8, np.random.default_rng(3))


@pytest.fixture
def dyadic() -> Tables:
    """V = 3, N = 2 with probabilities 1/4 and 1/2, so that integrals over PIT variates are finite sums."""
    laws = np.array([[0.5, 0.25, 0.25], [0.25, 0.5, 0.25], [0.25, 0.25, 0.5], [0.5, 0.25, 0.25]])
    return Tables((laws[:1], laws[1:]))
