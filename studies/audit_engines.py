"""What released engines sample, with speculation off and on: against the exact law, and against each other.

Run ``make audit-engines``, or ``python -m studies.audit_engines``; the result is written to
``studies/results/audit_engines.json``. Every engine loads the same tiny random Llama (``scd-analysis tiny-model``),
whose law is computed in float64; drafts come from a near and a far model, from the target itself, and from n-grams.
Beside each verdict stands what a test knows that looks at pairs of tokens: Pearson's, of the first two.
"""

from __future__ import annotations

import argparse
import math
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from scd_analysis import audit, audit_pair
from scd_analysis.engines.tiny import tiny_model
from scd_analysis.evidence import goodness
from scd_analysis.subjects import Endpoint, endpoint
from studies.llama_server import served
from studies.store import Rows, save

QUESTION = "do released engines sample from their target's law, speculation off and on?"
NUM_TOKENS, SEEDED = 6, 20_000
PROMPTS = {"": [5, 6, 7], "ngram": [i for pair in range(3, 32) for i in (pair, (7 * pair) % 29 + 3)] * 2}
"""By mode; one that drafts from what came before sees every token, with one behind it, twice."""

SAMPLINGS: dict[str, dict[str, Any]] = {
    "as it is": {},
    "top_k = 8": {"top_k": 8},
    "temperature = .7, min_p = .05": {"temperature": 0.7, "min_p": 0.05},
    "top_p = .9": {"top_p": 0.9},
    "penalties": {"repetition_penalty": 1.3, "presence_penalty": 0.5, "frequency_penalty": 0.3},
}
MODES = (
    ("off", None),
    ("draft", "near"),
    ("drawn-draft", "near"),
    ("drawn-draft", "far"),
    ("drawn-draft", "target"),
    ("ngram", None),
)


def asked(url: str, folder: Path, mode: str, sampling: dict[str, Any], *, speculation: bool) -> Endpoint:
    """The engine as a subject."""
    return endpoint(
        url,
        prompt=PROMPTS.get(mode, PROMPTS[""]),
        num_tokens=NUM_TOKENS,
        sampling=sampling,
        target=folder / "target",
        server="llama.cpp",
        speculation=speculation,
        concurrency=4,
    )


def measure(folder: Path, mode: str, draft: str | None, name: str, most: int) -> dict[str, Any]:
    """Judge one mode with one set of settings."""
    drafts = None if draft is None else folder / f"{draft}.gguf"
    model, sampling = folder / "target.gguf", SAMPLINGS[name]
    with served(model, mode, drafts) as on, served(model, "off") as off:
        subject = asked(on, folder, mode, sampling, speculation=mode != "off")
        verdict = audit(subject, max_sequences=most, progress=False)
        pair = None
        if mode != "off":
            control = asked(off, folder, mode, sampling, speculation=False)
            pair = audit_pair(asked(on, folder, mode, sampling, speculation=True), control, max_sequences=most // 2)
        tokens = subject(None, most, SEEDED)
    return {
        "mode": mode,
        "draft": draft or "",
        "sampling": name,
        "outcome": verdict.outcome.name,
        "log_e_value": verdict.log_e_value if math.isfinite(verdict.log_e_value) else None,
        "sequences": verdict.num_sequences,
        "resolution": verdict.resolution,
        "cause": verdict.diagnosis.cause if verdict.diagnosis else "",
        "missing": list(verdict.missing),
        "drafted": subject.drafted,
        "pair": pair.outcome.name if pair is not None else "",
        "pair_same": pair.equal_seeds if pair is not None else None,
        "pearson_p_value": goodness.pearson(*of_two(subject, tokens)).p_value,
    }


def of_two(subject: Endpoint, tokens: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How often each pair of first tokens came, and the law of it, both [V^2]."""
    target = subject.target_model
    assert target is not None
    size = target.vocab_size
    laws = target.next_token_probs(np.arange(size)[:, None])
    return np.bincount(tokens[:, 0] * size + tokens[:, 1], minlength=size**2), (
        laws[0, 0][:, None] * laws[:, 1]
    ).ravel()


def table(result: dict[str, Any]) -> str:
    """Write the result in Markdown, a line a mode."""
    lines = [
        "| mode | draft | against the law | sequences each | drafts proposed | on against off | least Pearson p |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for mode, draft in MODES:
        rows = [row for row in result["rows"] if (row["mode"], row["draft"]) == (mode, draft or "")]
        pairs = [row for row in rows if row["pair"]]
        same = sum(row["pair_same"][0] == row["pair_same"][1] for row in pairs)
        against = f"{_count(pairs, 'pair')}, token for token in {same}" if pairs else ""
        drafted = sum(row["drafted"] or 0 for row in rows)
        sizes = " to ".join(f"{size:,}" for size in sorted({row["sequences"] for row in rows}))
        least = min(row["pearson_p_value"] for row in rows)
        cells = (mode, draft or "", _count(rows, "outcome"), sizes, f"{drafted:,}" if drafted else "", against)
        lines.append(f"| {' | '.join((*cells, f'{least:.2g}'))} |")
    return "\n".join(lines)


def _count(rows: list[dict[str, Any]], column: str) -> str:
    outcomes = [row[column] for row in rows]
    return ", ".join(f"{name} {outcomes.count(name)} of {len(rows)}" for name in sorted(set(outcomes)))


def main() -> None:
    """Judge every mode with every set of settings, print and store."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sequences", type=int, default=4_000)
    parser.add_argument("--fresh", action="store_true", help="do not go on from an interrupted run")
    args = parser.parse_args()
    rows = Rows("audit_engines", ("mode", "draft", "sampling"), fresh=args.fresh)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place, "tiny")
        tiny_model(folder, ("hf", "gguf"))
        for mode, draft in MODES:
            for name in SAMPLINGS:
                if not rows.has(mode, draft or "", name):
                    rows.add(measure(folder, mode, draft, name, args.sequences))
    engines = {"llama.cpp": f"xllamacpp {version('xllamacpp')}"}
    save(
        "audit_engines", QUESTION, {"engines": engines, "num_tokens": NUM_TOKENS, "prompts": PROMPTS, "rows": rows.rows}
    )


if __name__ == "__main__":
    main()
