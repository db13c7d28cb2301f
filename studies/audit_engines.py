"""What released engines sample, with speculation off and on: against the exact law, and against each other.

Run ``make audit-engines``, or ``python -m studies.audit_engines ENGINE`` where that engine is installed; the result is
written to ``studies/results/audit_engines.json``, beside the rows of the other engines. Every engine loads the same
tiny random Llama (``scd-analysis tiny-model``), whose law is computed in float64; drafts come from a near and a far
model, from the target itself, and from n-grams. Beside each verdict stands what a test knows that looks at pairs of
tokens: Pearson's, of the first two.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable
from contextlib import ExitStack, closing
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from scd_analysis import Outcome, Verdict, audit, audit_pair
from scd_analysis.engines.tiny import tiny_model
from scd_analysis.errors import EngineError
from scd_analysis.evidence import goodness
from scd_analysis.validate import check_known
from studies.engines.engine import BF16, Arm, Engine, control_of
from studies.engines.llama_cpp import LLAMA_CPP
from studies.engines.onnx_genai import ONNX_GENAI
from studies.engines.openvino import OPENVINO
from studies.engines.vllm import VLLM
from studies.store import FOLDER, Rows, command_line, load, run_main, save

QUESTION = "do released engines sample from their target's law, speculation off and on?"
NAME = "audit_engines"
NUM_TOKENS, SEEDED = 6, 20_000
ENGINES = {"llama.cpp": LLAMA_CPP, "OpenVINO GenAI": OPENVINO, "ONNX Runtime GenAI": ONNX_GENAI, "vLLM": VLLM}


def asked(
    arm: Arm, engine: Engine, folder: Path, mode: str, name: str, *, speculation: bool, role: str = "target"
) -> Any:
    """The engine as a subject; the prompt is that of the mode, with speculation off too."""
    return arm(
        prompt=engine.prompts.get(mode, engine.prompts[""]),
        num_tokens=NUM_TOKENS,
        sampling=engine.samplings[name],
        target=folder / role,
        speculation=speculation,
    )


class Arms:
    """Arms of a mode and of its control: opened once for all settings, and anew after one has raised.

    The control comes first: of several engines in one process, vLLM counts the drafts of the last.

    Parameters
    ----------
    engine : Engine
    folder : path
        Of the tiny models.
    """

    def __init__(self, engine: Engine, folder: Path) -> None:
        self._engine, self._folder = engine, folder
        self._open: dict[str, tuple[Arm, ExitStack]] = {}

    def __call__(self, mode: str, draft: str | None) -> Arm:
        """Return the arm of a mode."""
        if mode != control_of(mode):
            self(control_of(mode), None)
        if mode not in self._open:
            held = ExitStack()
            self._open[mode] = held.enter_context(self._engine.opened(self._folder, mode, draft)), held
        return self._open[mode][0]

    def close(self, *modes: str) -> None:
        """End what is open; by default all."""
        for mode in modes or tuple(self._open):
            if mode in self._open:
                self._open.pop(mode)[1].close()


def measure(
    engine: Engine, folder: Path, arms: Arms, mode: str, draft: str | None, name: str, most: int
) -> dict[str, Any]:
    """Judge one mode with one set of settings; an engine may raise or be gone at any time."""
    row: dict[str, Any] = {"mode": mode, "draft": draft or "", "sampling": name, "outcome": "RAISED"}
    call, control = (engine, folder, mode, name), control_of(mode)
    subject = asked(arms(mode, draft), *call, speculation=mode != control)
    drafts = None if draft is None else asked(arms(mode, draft), *call, speculation=True, role=draft).target_model
    try:
        row |= _against_law(audit(subject, draft_model=drafts, max_sequences=most, progress=False), subject)
        row["pearson_p_value"] = goodness.pearson(*of_two(subject, subject(None, most, SEEDED))).p_value
        if mode != control:
            on = asked(arms(mode, draft), *call, speculation=True)
            row |= _against_control(on, asked(arms(control, None), *call, speculation=False), mode, most)
    except EngineError as error:
        is_judged = row["outcome"] != "RAISED"
        row["raised" if is_judged else "cause"] = str(error)
        arms.close(*(() if is_judged else (mode,)))
    return row


def _against_control(on: Any, off: Any, mode: str, most: int) -> dict[str, Any]:
    together = most if mode.endswith(BF16) else most // 2  # the control has to be refuted there
    pair = audit_pair(on, off, max_sequences=together)
    row: dict[str, Any] = {"pair": pair.outcome.name, "pair_same": pair.equal_seeds}
    if pair.outcome is Outcome.CONTROL_REFUTED:
        row["pair_alone"] = audit_pair(_without_law(on), _without_law(off), max_sequences=together).outcome.name
    return row


def _without_law(arm: Any) -> Callable[[Any, int, int], Any]:
    """The same draws by somebody who states no law."""
    return lambda model, num_sequences, seed: arm(model, num_sequences, seed)


def _against_law(verdict: Verdict, subject: Any) -> dict[str, Any]:
    return {
        "outcome": verdict.outcome.name,
        "log_e_value": verdict.log_e_value if math.isfinite(verdict.log_e_value) else None,
        "sequences": verdict.num_sequences,
        "resolution": verdict.resolution,
        "cause": verdict.diagnosis.cause if verdict.diagnosis else "",
        "findings": [finding.message for finding in verdict.findings if finding.significant],
        "missing": list(verdict.missing),
        "drafted": subject.drafted,
    }


def of_two(subject: Any, tokens: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How often each pair of first tokens came, and the law of it, both [V^2]."""
    target = subject.target_model
    size = target.vocab_size
    laws = target.next_token_probs(np.arange(size)[:, None])
    return np.bincount(tokens[:, 0] * size + tokens[:, 1], minlength=size**2), (
        laws[0, 0][:, None] * laws[:, 1]
    ).ravel()


def table(result: dict[str, Any]) -> str:
    """Write the result in Markdown, a line a mode."""
    lines = [
        "| engine | mode | draft | against the law | sequences | drafts told of | on against off | least Pearson p |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    keys = dict.fromkeys((row["engine"], row["mode"], row["draft"]) for row in result["rows"])
    for key in keys:
        rows = [row for row in result["rows"] if (row["engine"], row["mode"], row["draft"]) == key]
        lines.append(f"| {' | '.join((*key, *_cells(rows)))} |")
    return "\n".join(lines)


def _cells(rows: list[dict[str, Any]]) -> tuple[str, ...]:
    judged = [row for row in rows if row["outcome"] != "RAISED"]
    pairs = [row for row in judged if row.get("pair")]
    same = sum(row["pair_same"][0] == row["pair_same"][1] for row in pairs)
    against = f"{_count(pairs, 'pair')}, token for token in {same}" if pairs else ""
    alone = [row for row in pairs if "pair_alone" in row]
    against += f"; without a law {_count(alone, 'pair_alone')}" if alone else ""
    drafted = sum(row["drafted"] or 0 for row in judged)
    sizes = sorted({row["sequences"] for row in judged})
    spread = " to ".join(f"{size:,}" for size in dict.fromkeys((sizes[0], sizes[-1]))) if sizes else ""
    p_values = [row["pearson_p_value"] for row in rows if "pearson_p_value" in row]
    least = f"{min(p_values):.2g}" if p_values else ""
    return _count(rows, "outcome"), spread, f"{drafted:,}" if drafted else "", against, least


def _count(rows: list[dict[str, Any]], column: str) -> str:
    outcomes = [row[column] for row in rows]
    return ", ".join(f"{name} {outcomes.count(name)} of {len(rows)}" for name in sorted(set(outcomes)))


def merged(name: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Put rows of one engine in the place of its stored ones; those of another version, or of no mode, go."""
    stored = load(NAME) if (FOLDER / f"{NAME}.json").exists() else {"rows": [], "engines": {}, "prompts": {}}
    engine = ENGINES[name]
    told = f"{engine.package} {version(engine.package)}"
    cells = [(mode, draft or "", sampling) for mode, draft in engine.modes for sampling in engine.samplings]
    of_engine = {_cell(row): row for row in stored["rows"] if (row["engine"], row["version"]) == (name, told)}
    of_engine |= {_cell(row): {"engine": name, "version": told, **row} for row in rows}
    whole = [row for row in stored["rows"] if row["engine"] != name]
    whole += [of_engine[cell] for cell in cells if cell in of_engine]
    return {
        "command": "make audit-engines",
        "engines": stored["engines"] | {name: told},
        "num_tokens": NUM_TOKENS,
        "prompts": stored["prompts"] | {name: dict(engine.prompts)},
        "rows": sorted(whole, key=lambda row: list(ENGINES).index(row["engine"])),
    }


def _cell(row: dict[str, Any]) -> tuple[str, str, str]:
    return row["mode"], row["draft"], row["sampling"]


def main() -> None:
    """Judge every mode of an engine with every set of settings, print and store."""
    parser = command_line(__doc__, sequences=4_000)
    parser.add_argument("engine", nargs="?", choices=ENGINES, default="llama.cpp")
    parser.add_argument("--mode", action="append", help="this mode alone; may be given several times")
    args = parser.parse_args()
    engine = ENGINES[args.engine]
    known = list(dict.fromkeys(mode for mode, _ in engine.modes))
    for mode in args.mode or ():
        check_known(mode, known, "mode")
    rows = Rows(f"{NAME}_{engine.form}", ("mode", "draft", "sampling"), fresh=args.fresh)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place, "tiny")
        tiny_model(folder, ("hf", engine.form))
        for mode, draft in engine.modes:
            if mode not in (args.mode or known):
                continue
            with closing(Arms(engine, folder)) as arms:
                for name in engine.samplings:
                    if not rows.has(mode, draft or "", name):
                        rows.add(measure(engine, folder, arms, mode, draft, name, args.sequences))
    save(NAME, QUESTION, merged(args.engine, rows.rows))


if __name__ == "__main__":
    run_main(main)
