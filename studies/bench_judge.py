"""What the judge takes at the size of a real image model: V = 65,536, N = 2,304.

Run ``python -m studies.bench_judge``; the result is written to ``studies/results/bench_judge.json``. Laws are read and
not computed: the law of a token is one of a few, by the token before, and so is the law of a draft. Sequences, and
traces with recorded numbers of laws, are made by speculative decoding with these; traces lie on an S3 server (moto's,
on this machine). Every audit runs in a process of its own. Its unit is the time that it takes to read the laws of one
sequence once: their sum, of float64. Both are seconds of computing on all cores, which depend little on what else runs:
the judge takes so many readings. The model's own time and the drawing are not the judge's.

``--before FOLDER`` measures the code that lies there, at a length that it can hold in memory; the folder is named by
its commit (``git archive COMMIT | tar -x -C COMMIT``).
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import time
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from studies import bench_stores, store

QUESTION = "time and memory of the judge at V = 65,536, in readings of the laws"
VOCABULARY, LENGTH, SHORT, WINDOW, LAWS = 65_536, 2_304, 64, 16, 16
PLAN = (
    ("tokens", SHORT, 4),
    ("tokens", LENGTH, 4),
    ("scalars", LENGTH, 8),
    ("scalars", LENGTH, 24),
    ("laws", SHORT, 8),
)
BEFORE = (("tokens", SHORT, 4),)
REPEATS = 3


class Clock(NamedTuple):
    """Seconds that have passed, and that this process has computed on all cores."""

    wall: float
    cpu: float

    @classmethod
    def now(cls) -> Clock:
        """Look at it."""
        return cls(time.perf_counter(), time.process_time())

    def since(self, start: Clock) -> Clock:
        """Seconds from another time on."""
        return Clock(self.wall - start.wall, self.cpu - start.cpu)


class FewLaws:
    """A model whose law of a token is one of a few, by the token before it."""

    name = "few laws"
    vocab_size = VOCABULARY

    def __init__(self, num_tokens: int) -> None:
        import torch

        self.num_tokens = num_tokens
        noise = torch.randn(2 * LAWS + 1, VOCABULARY, generator=torch.Generator().manual_seed(0))
        self.tables = (1.5 * noise[-1] + 0.5 * noise[:-1]).softmax(-1)
        self.calls: list[tuple[Clock, Clock]] = []

    def next_token_probs(self, tokens: Any) -> Any:
        """Float[B, t + 1, V] after Long[B, t]; notes when it was called and when it returned."""
        start = Clock.now()
        before = np.concatenate([np.zeros((len(tokens), 1), dtype=np.int64), np.asarray(tokens)], axis=1)
        laws = self.tables[before % LAWS]
        self.calls.append((start, Clock.now()))
        return laws

    @cached_property
    def cumulated(self) -> Any:
        """Inverse CDFs of the laws, then of the drafts' laws, Float[2 K, V]."""
        ends = self.tables.double().numpy().cumsum(axis=-1)
        return ends / ends[:, -1:]


def drawn(cumulated: Any, variate: float) -> int:
    """Draw a token."""
    return min(int(np.searchsorted(cumulated, variate, side="right")), VOCABULARY - 1)


def sample(model: FewLaws, num_sequences: int, seed: int) -> Any:
    """Draw sequences one token after the other."""
    rng, out = np.random.default_rng(seed), np.zeros((num_sequences, model.num_tokens), dtype=np.int64)
    for row in out:
        before = 0
        for j in range(len(row)):
            row[j] = before = drawn(model.cumulated[before % LAWS], rng.random())
    return out


class Decoder:
    """Speculative decoding with the model's laws and as many others for drafts; notes its passes."""

    def __init__(self, model: FewLaws) -> None:
        self.model, laws = model, model.tables.double().numpy()
        laws = laws / laws.sum(axis=-1, keepdims=True)
        self.target, self.draft = laws[:LAWS], laws[LAWS:]
        self.variation = np.abs(self.target[:, None] - self.draft[None]).sum(axis=-1) / 2
        self.collision = self.target @ self.draft.T
        self._residuals: dict[tuple[int, int], Any] = {}

    def _residual(self, p: int, q: int) -> Any:
        if (p, q) not in self._residuals:
            ends = np.maximum(self.target[p] - self.draft[q], 0).cumsum()
            self._residuals[p, q] = (ends / ends[-1]).astype(np.float32)
        return self._residuals[p, q]

    def passes(self, rng: np.random.Generator) -> list[dict[str, Any]]:
        """Decode one sequence, pass by pass: variables of a trace, and the laws' numbers as ``p`` and ``q``."""
        found, base, last = [], 0, 0
        while base < self.model.num_tokens:
            size = min(WINDOW, self.model.num_tokens - base)
            drafts, p, q = np.full(WINDOW, -1), np.zeros(WINDOW, dtype=int), np.zeros(WINDOW, dtype=int)
            before = last
            for k in range(size):
                p[k], q[k] = before % LAWS, (3 * before + 1) % LAWS
                drafts[k] = before = drawn(self.model.cumulated[LAWS + q[k]], rng.random())
            own = np.maximum(drafts, 0)
            of = {"target_prob_of_token": self.target[p, own], "draft_prob_of_token": self.draft[q, own]}
            u = rng.random(WINDOW)
            accepted = (u * of["draft_prob_of_token"] < of["target_prob_of_token"]) & (drafts >= 0)
            count, after = int(accepted.cumprod().sum()), drafts.copy()
            if count < size:
                after[count] = drawn(self._residual(p[count], q[count]), rng.random())
            of |= {"total_variation": self.variation[p, q], "collision_independent": self.collision[p, q]}
            of |= {"base": base, "draft_token": drafts, "next_token": after, "accepted": accepted, "uniform": u}
            found.append({**of, "age": np.zeros(WINDOW, dtype=int), "p": p, "q": q})
            base += min(count + 1, size)
            last = int(after[min(count, size - 1)])
        return found


def write(url: str, num_tokens: int, num_sequences: int, *, laws: bool) -> None:
    """Record sequences, eight at a time."""
    import scd_analysis

    decoder, rng = Decoder(FewLaws(num_tokens)), np.random.default_rng(1)
    sizes: Any = {"vocab_size": VOCABULARY, "num_tokens": num_tokens, "window": WINDOW}
    batch = 1 if laws else 8
    with scd_analysis.TraceWriter(
        url, **sizes, decoder="few laws", rule="mrs", laws=laws, num_sequences=num_sequences
    ) as trace:
        for start in range(0, num_sequences, batch):
            each = [decoder.passes(rng) for _ in range(min(batch, num_sequences - start))]
            trace.begin_batch(len(each))
            for t in range(max(map(len, each))):
                there = [i for i, passes in enumerate(each) if t < len(passes)]
                rows = {name: np.stack([each[i][t][name] for i in there]) for name in each[0][0]}
                p, q = rows.pop("p"), rows.pop("q")
                if laws:
                    rows |= {"target_probs": decoder.target[p], "draft_probs": decoder.draft[q]}
                trace.append(sequence=np.array(there), **rows)


def unit(model: FewLaws) -> float:
    """Seconds of computing that reading the laws of one sequence once takes, in parts that fit in memory."""
    laws = np.tile(model.tables[:LAWS].double().numpy(), (8, 1))  # more than a processor's cache holds
    rounds = -(-model.num_tokens // len(laws))

    def once() -> float:
        start = time.process_time()
        for _ in range(rounds):
            laws.sum(axis=-1)
        return (time.process_time() - start) * model.num_tokens / (rounds * len(laws))

    return min(once() for _ in range(REPEATS))


def judge(task: str, url: str, num_tokens: int, num_sequences: int) -> dict[str, Any]:
    """Audit, and say what a sequence took beside the model and the drawing."""
    import scd_analysis

    model = FewLaws(num_tokens)
    reading, drawings = unit(model), []

    def subject(asked: Any, count: int, seed: int) -> Any:
        start = Clock.now()
        found = sample(asked, count, seed)
        drawings.append(Clock.now().since(start))
        return found

    if task == "tokens":
        subject(model, 1, 0)  # so that tables are made
    start = Clock.now()
    verdict = scd_analysis.audit(
        subject if task == "tokens" else url, model, max_sequences=num_sequences, progress=False
    )
    end = Clock.now()
    assert verdict.num_sequences == num_sequences  # all of it was looked at
    first = model.calls[-num_sequences][0]  # a sequence is one call; those before were checks of the model
    asking = [stop.since(begin) for begin, stop in model.calls[-num_sequences:]]
    others = asking + drawings[2:]  # the first of these made tables, the second came before the first call
    wall, cpu = (
        (getattr(end.since(first), of) - sum(getattr(one, of) for one in others)) / num_sequences
        for of in Clock._fields
    )
    return {
        "outcome": verdict.outcome.name,
        "log_e_value": verdict.log_e_value,
        "seconds": end.wall - start.wall,
        "seconds_of_checks": first.wall - start.wall,
        "seconds_of_model": sum(one.wall for one in asking) / num_sequences,
        "seconds_of_judge": wall,
        "cpu_seconds_of_judge": cpu,
        "seconds_of_reading": reading,
        "readings": cpu / reading,
        "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,  # Linux counts in KiB
    }


def child(task: str, url: str, num_tokens: int, num_sequences: int) -> None:
    """Write or judge, and print what it took."""
    import torch

    torch.set_num_threads(1)
    if task.startswith("write "):
        write(url, num_tokens, num_sequences, laws=task == "write laws")
        print("{}")
    else:
        print(json.dumps(judge(task, url, num_tokens, num_sequences)))


def run(task: str, url: str, num_tokens: int, num_sequences: int, before: str = "") -> dict[str, Any]:
    """Run a task in a process of its own, with the code of this checkout or of a folder."""
    words = ["--child", task, "--url", url, "--length", str(num_tokens), "--sequences", str(num_sequences)]
    if before:  # this file, on the code there
        return store.in_child([__file__, *words], PYTHONPATH=before, PYTHONSAFEPATH="1")
    return store.in_child(["-m", "studies.bench_judge", *words])


def measure(kept: store.Rows) -> None:
    """Measure what is missing, each kind of trace on the server."""
    for task, num_tokens, count in PLAN:
        if kept.has(task, num_tokens, count, "now"):
            continue
        with bench_stores.server():
            url = f"s3://bucket/{task}-{num_tokens}-{count}"
            there: dict[str, int] = {}
            if task != "tokens":
                run(f"write {task}", url, num_tokens, count)
                there = bench_stores.sizes(url)
            found = run(task, url, num_tokens, count)
        kept.add({"task": task, "num_tokens": num_tokens, "num_sequences": count, "code": "now", **there, **found})


def main() -> None:
    """Measure, print and store."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--before", default="", help="a folder with earlier code, measured too")
    parser.add_argument("--fresh", action="store_true", help="do not go on from an interrupted run")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--url", default="", help=argparse.SUPPRESS)
    parser.add_argument("--length", type=int, default=LENGTH, help=argparse.SUPPRESS)
    parser.add_argument("--sequences", type=int, default=1, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        child(args.child, args.url, args.length, args.sequences)
        return
    kept = store.Rows("bench_judge", ("task", "num_tokens", "num_sequences", "code"), fresh=args.fresh)
    for task, num_tokens, count in BEFORE if args.before else ():
        code = Path(args.before).name
        if not kept.has(task, num_tokens, count, code):
            found = run(task, "", num_tokens, count, args.before)
            kept.add({"task": task, "num_tokens": num_tokens, "num_sequences": count, "code": code, **found})
    measure(kept)
    settings = {"model": FewLaws.name, "vocab_size": VOCABULARY, "window": WINDOW, "laws": LAWS}
    store.save("bench_judge", QUESTION, {**settings, "cores": os.cpu_count(), "rows": kept.rows})


if __name__ == "__main__":
    main()
