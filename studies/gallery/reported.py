"""What the papers report, in one place: full-size models on an A100, to be read beside what is measured here.

Speculative coupled decoding (So et al., arXiv:2510.24211) unless said otherwise. Passes count row ends and the image's
header, which the shipped models do not have, and a speed-up depends on how well a model predicts: compare ratios and
orders, never absolute numbers.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Published:
    """A row of a paper's table.

    Attributes
    ----------
    method : str
        Of the decoder.
    window : int or None
        L.
    nfe : float
        Mean forward passes an image or a video.
    speedup : float
        In passes, over one token a pass.
    seconds : float or None
        An image or a video.
    quality : float or None
        FID (images) or FVD (video); lower is better.
    """

    method: str
    window: int | None
    nfe: float
    speedup: float
    seconds: float | None = None
    quality: float | None = None


@dataclass(frozen=True)
class Table:
    """What is reported on one model.

    Attributes
    ----------
    model : str
        Its name, size and data.
    score : str
        What ``quality`` is.
    rows : tuple of Published
        One a method.
    """

    model: str
    score: str
    rows: tuple[Published, ...]

    def row(self, method: str) -> Published:
        """The row of a method."""
        return next(row for row in self.rows if row.method == method)


LUMINA = Table(
    "Lumina-mGPT 7B, 768 px, MS-COCO",
    "FID",
    (
        Published("ar", None, 2390, 1.0, 102.0, 30.79),
        Published("sjd", 64, 1036, 2.31, 43.0, 30.81),
        Published("scd-mc", 64, 568, 4.21, 24.4, 30.83),
        Published("scd-gs", 64, 568, 4.21, 24.2, 30.90),
        Published("gsd", None, 701, 3.4, None, 33.21),
    ),
)
"""``gsd`` is grouped speculative decoding (arXiv:2508.07747) with groups of 10, lossy; its speed-up is to one digit."""

JANUS = Table(
    "Janus-Pro 7B, 384 px, MS-COCO",
    "FID",
    (
        Published("ar", None, 576, 1.0),
        Published("sjd", 32, 318, 1.81, 10.6, 37.76),
        Published("scd-gs", 32, 154, 3.74, 5.39, 37.49),
    ),
)

COSMOS = Table(
    "Cosmos-1-AR 4B, video",
    "FVD",
    (
        Published("ar", None, 7680, 1.0, 157.0, 156.9),
        Published("sjd", 128, 1790, 4.29, 47.7, 158.3),
        Published("scd-gs", 128, 564, 13.6, 13.6, 152.4),
    ),
)

TABLES = (LUMINA, JANUS, COSMOS)


@dataclass(frozen=True)
class Ratios:
    """What a note says of a paper that we have not read: gains over its own baseline.

    Attributes
    ----------
    method, model : str
        Of the paper.
    passes, seconds : float
        Gains over one token a pass.
    fid : float
        Lower is better.
    """

    method: str
    model: str
    passes: float
    seconds: float
    fid: float


PAC = Ratios("sjd-pac", LUMINA.model, 4.51, 3.80, 30.69)
"""SJD-PAC (arXiv:2603.18599), the whole method, on a machine and with a baseline of its own."""

SJD_GAINS_UP_TO = 16
"""Window beyond which SJD stops improving."""

SCD_GAINS_UP_TO = 64
"""Window up to which SCD keeps improving."""

SJD_CHANGES = 0.94
"""Share of SJD's window tokens that change each iteration."""

SJD_SINGLE = 0.5
"""Share of SJD's passes that commit one token, about."""

SAMPLER_MS = {"forward": 36.4, "gumbel draft": 0.14, "verification": 1.66}
"""One pass of Janus-Pro 7B at window 64 on an RTX 3090, ms."""

STATEMENTS = {
    "alpha": "passes fall monotonically in the coupling strength",
    "lag 1": "at lag 1 the maximal coupling has the lower Hamming distance",
    "lags 2 and 3": "at lags 2 and 3 Gumbel sharing has the lower Hamming distance",
    "guidance": "larger guidance weakens the acceleration",
    "verification prediction": "a token whose probability rose between passes is more often the verified, correct one",
}
"""What is stated without a number. The last is SJD-VP's (arXiv:2603.27115), of which we know the abstract."""
