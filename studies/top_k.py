"""What does top-k do to the passes? Sweep of k, on ``photos``.

Run ``python -m studies.top_k``; the result is written to ``studies/results/top_k.json``. k = 1 is greedy decoding, the
largest k keeps the whole vocabulary.
"""

from __future__ import annotations

from studies.processors import Sweep, run
from studies.store import run_main

SWEEP = Sweep("top_k", "k", "passes by the k of top-k sampling", (1, 3, 10, 30, 100, 1024))

if __name__ == "__main__":
    run_main(lambda: run(SWEEP, __doc__))
