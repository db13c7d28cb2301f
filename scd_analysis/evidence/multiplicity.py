"""Which of several findings stand: control of the false discovery rate by e-values.

References
----------
.. [1] R. Wang, A. Ramdas (2022). False discovery rate control with e-values. JRSS B 84(3), 822-852.
       doi:10.1111/rssb.12489
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from scd_analysis.evidence.batch import Floats


def e_benjamini_hochberg(log_e_values: Floats, rate: float) -> npt.NDArray[np.bool_]:
    """Reject the k largest e-values, k the largest with ``e_(k) >= K / (k rate)``.

    Valid under any dependence between the e-values, each of which may come from an e-process stopped at will.

    Parameters
    ----------
    log_e_values : Float[K]
        Nats.
    rate : float
        Bound on the expected share of false findings among those that stand.

    Returns
    -------
    Bool[K]
    """
    log_e_values = np.asarray(log_e_values, dtype=np.float64)
    order = np.argsort(-log_e_values)
    rank = np.arange(1, len(order) + 1)
    enough = np.flatnonzero(log_e_values[order] >= np.log(len(order) / (rank * rate)))
    stands = np.zeros(len(order), dtype=bool)
    if len(enough):
        stands[order[: enough[-1] + 1]] = True
    return stands
