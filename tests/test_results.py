"""Numbers in the README are those of the stored results."""

import json
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_the_table_of_initial_drafts_is_the_stored_result():
    result = json.loads((ROOT / "studies" / "results" / "initial_drafts.json").read_text())
    readme = (ROOT / "README.md").read_text()
    for initial in ("uniform", "left", "upper"):
        (line,) = [line for line in readme.splitlines() if line.startswith(f"| {initial} |")]
        for method in ("sjd", "scd-mc", "scd-gs"):
            rows = [r for r in result["rows"] if (r["initial"], r["method"]) == (initial, method)]
            assert " · ".join(f"{row['speedup']:.2f}" for row in rows) in line
