"""What does temperature do to the passes? Sweep of it, on ``photos``.

Run ``python -m studies.temperature``; the result is written to ``studies/results/temperature.json``. 1 is the model as
it was trained.
"""

from __future__ import annotations

from studies.processors import Sweep, run
from studies.store import run_main

SWEEP = Sweep("temperature", "temperature", "passes by temperature", (0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.3))

if __name__ == "__main__":
    run_main(lambda: run(SWEEP, __doc__))
