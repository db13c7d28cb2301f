"""Does assisted generation of Hugging Face transformers sample from its target model? Two releases, the same models.

``make audit-transformers`` makes an environment for each release and runs this in both; each run adds its rows to
``studies/results/audit_transformers.json``. In 4.44.2 the assistant drafts greedily while the softmax of its logits is
taken as the law of its drafts: the condition that breaks is declared-law. Later releases draw the drafts.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import torch
import transformers

from scd_analysis import audit, subjects
from scd_analysis.common.files import Kind, write_file
from scd_analysis.common.versions import library_versions
from studies.store import commit, run_main

RESULT = Path(__file__).parent / "results" / "audit_transformers.json"
ALPHA = 1e-6
VOCAB, END, PROMPT, NEW_TOKENS = 12, 11, (1, 2, 1), 6

SETTINGS: dict[str, dict[str, Any]] = {
    "assistant, sampled": {"do_sample": True},
    "assistant, sampled, tokens only": {"do_sample": True, "record": None},
    "assistant, sampled, processors": {
        "do_sample": True,
        "temperature": 0.8,
        "top_k": 8,
        "top_p": 0.9,
        "repetition_penalty": 1.2,
    },
    "assistant, sampled, with an end": {"do_sample": True, "eos_token_id": END, "pad_token_id": END},
    "assistant, greedy": {"do_sample": False, "max_new_tokens": 24},
    "prompt lookup, sampled": {
        "do_sample": True,
        "prompt_lookup_num_tokens": 3,
        "eos_token_id": END,
        "pad_token_id": END,
    },
    "no drafts, sampled": {"do_sample": True},
}
"""What is asked of ``generate``, by name; the first is the claim."""


def tiny_llama(seed: int) -> Any:
    """Two layers, sixteen channels, random weights large enough that laws are uneven."""
    config = transformers.LlamaConfig(
        vocab_size=VOCAB,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=64,
        bos_token_id=None,
        eos_token_id=None,
        pad_token_id=None,
        initializer_range=0.3,
    )
    with torch.random.fork_rng():
        torch.set_rng_state(torch.Generator().manual_seed(seed).get_state())
        return transformers.LlamaForCausalLM(config).eval()


def measure(name: str, max_sequences: int, seed: int) -> dict[str, Any]:
    """Audit one setting."""
    model, assistant = tiny_llama(0), tiny_llama(1)
    options = {"input_ids": PROMPT, "max_new_tokens": NEW_TOKENS, **SETTINGS[name]}
    subject = subjects.generate(model, assistant if name.startswith("assistant") else None, **options)
    start = time.monotonic()
    limit = None if name.endswith("greedy") else max_sequences
    verdict = audit(subject, alpha=ALPHA, max_sequences=limit, seed=seed, progress=False)
    return {
        "setting": name,
        "outcome": verdict.outcome.name,
        "condition": verdict.condition,
        "cause": verdict.diagnosis.cause if verdict.diagnosis else None,
        "log_e_value": str(verdict.log_e_value) if verdict.log_e_value == float("inf") else verdict.log_e_value,
        "num_sequences": verdict.num_sequences,
        "num_tokens": verdict.num_tokens,
        "resolution": verdict.resolution,
        "grade": verdict.record["grade"],
        "path": verdict.record["path"]["taken"],
        "seconds": round(time.monotonic() - start, 1),
    }


def store(path: Path, run: dict[str, Any]) -> None:
    """Put one release's run beside those of others."""
    stored = json.loads(path.read_text()) if path.exists() else {}
    runs = {**stored.get("runs", {}), transformers.__version__: run}
    result = {
        "question": "does assisted generation sample from its target model, by release of transformers",
        "command": "make audit-transformers",
        "device": "cpu",
        "alpha": ALPHA,
        "runs": dict(sorted(runs.items())),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    write_file(path, json.dumps(result, indent=1) + "\n", Kind.RESULT)


def main() -> None:
    """Audit every setting with the release that is installed, print and store."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--max-sequences", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=RESULT)
    args = parser.parse_args()
    torch.set_num_threads(1)
    print(f"transformers {transformers.__version__}, alpha = {ALPHA:g}, at most {args.max_sequences:,} sequences")
    rows = []
    for name in SETTINGS:
        row = measure(name, args.max_sequences, args.seed)
        rows.append(row)
        why = f": {row['condition']}" if row["condition"] else ""
        print(f"  {name:32} {row['outcome'] + why:26} after {row['num_sequences']:5,}   {row['seconds']} s", flush=True)
    run = {
        "max_sequences": args.max_sequences,
        "seed": args.seed,
        "commit": commit(),
        "models": f"random Llama, 2 layers, 16 channels, {VOCAB} tokens; {NEW_TOKENS} new tokens after {len(PROMPT)}",
        "versions": {**library_versions(), "transformers": transformers.__version__},
        "rows": rows,
    }
    store(args.out, run)


if __name__ == "__main__":
    run_main(main)
