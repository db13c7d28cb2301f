"""What does top-p do to the passes? Sweep of p, on ``photos``.

Run ``python -m studies.top_p``; the result is written to ``studies/results/top_p.json``. p = 1 keeps the whole
vocabulary.
"""

from __future__ import annotations

from studies.processors import Sweep, run
from studies.store import run_main

SWEEP = Sweep("top_p", "p", "passes by the p of top-p sampling", (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0))

if __name__ == "__main__":
    run_main(lambda: run(SWEEP, __doc__))
