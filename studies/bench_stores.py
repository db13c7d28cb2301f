"""Whether a trace in shards on an object store is looked at in bounded memory.

Run ``python -m studies.bench_stores``; the result is written to ``studies/results/bench_stores.json``. An S3 server
(moto's, on this machine, its objects in temporary files) is started; a trace with whole laws is written to it in eight
shards by two jobs, and then opened, validated with its laws, summarised, judged and reported, each in a process of its
own, whose peak resident memory is what the operating system says: of ``write`` without that of its jobs. The model
is a random Markov chain, so that the work is that of recording and judging. Seconds include those of the server, and of
whatever else ran on the two cores.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import fsspec
import numpy as np

from studies import bench_streaming
from studies.store import Rows, command_line, in_child, run_main, save

QUESTION = "peak memory of looking at a trace in shards on an S3 server"
SHARDS, JOBS = 8, 2
SIZES = (1_024,)
VOCABULARY, LENGTH, METHOD, WINDOW = 1_024, 64, "scd-mc", 32
BUFFER = 2**16
"""Bytes of an object that the server holds in memory; the rest is in a temporary file."""

SERVER = """
import sys
from moto.server import ThreadedMotoServer

server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
sys.stdin.read()
"""


def _report(url: Any) -> None:
    from scd_analysis.report import write_report

    with tempfile.TemporaryDirectory() as folder:
        write_report(Path(folder) / "report.html", trace=str(url))


def _open(url: Any) -> None:
    from scd_analysis.trace import open_trace

    chain()
    open_trace(url)


def _audit(url: Any) -> None:
    import scd_analysis
    from scd_analysis.trace import open_trace

    count = open_trace(url).sizes["sequence"]
    verdict = scd_analysis.audit(url, chain(), max_sequences=count, progress=False)
    assert verdict.num_sequences == count  # all of it was looked at


def chain() -> Any:
    """Make the model: each token depends on the one before."""
    import torch

    table = 2.0 * torch.randn(VOCABULARY + 1, VOCABULARY, generator=torch.Generator().manual_seed(0))
    return Chain(table.softmax(-1))


class Chain:
    """A Markov chain; row V of the table is the law of the first token."""

    name = "random chain"

    def __init__(self, table: Any) -> None:
        self.table, self.vocab_size, self.num_tokens = table, VOCABULARY, LENGTH

    def next_token_probs(self, tokens: Any) -> Any:
        """Float[B, t + 1, V] after Long[B, t]."""
        return self.table[self._before(tokens)]

    @staticmethod
    def _before(tokens: Any) -> Any:
        """The token before each, Long[B, t + 1]."""
        import torch

        return torch.cat([tokens.new_full((len(tokens), 1), VOCABULARY), tokens], dim=1)


def write(url: str, num_sequences: int) -> None:
    """Decode the chain into shards with whole laws."""
    from reference import decode

    options: Any = {"record": "laws", "out_path": url, "batch_size": -(-num_sequences // SHARDS), "jobs": JOBS}
    decode(chain(), METHOD, WINDOW, num_sequences, **options)


TASKS: dict[str, Callable[[Any], Any]] = {
    "open": _open,
    "summary": bench_streaming.TASKS["summary"],
    "audit": _audit,
    "report": _report,
    "validate laws": bench_streaming.TASKS["validate laws"],
}


@contextmanager
def server() -> Iterator[None]:
    """An S3 server with an empty bucket, which this process and those that it starts use."""
    environment = {**os.environ, "MOTO_S3_DEFAULT_KEY_BUFFER_SIZE": str(BUFFER)}
    command = [sys.executable, "-c", SERVER]
    pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
    process: Any
    with subprocess.Popen(command, env=environment, **pipes) as process:
        try:
            address = f"http://127.0.0.1:{process.stdout.readline().strip()}"
            settings = {"endpoint_url": address, "key": "any", "secret": "any"}
            os.environ["FSSPEC_S3"] = json.dumps(settings)
            fsspec.config.conf["s3"] = settings
            fsspec.filesystem("s3").mkdir("bucket")
            yield
        finally:
            process.stdin.close()
            process.kill()


def sizes(url: str) -> dict[str, int]:
    """Bytes of a trace in shards, before compression and as stored, and objects."""
    fs, root = fsspec.url_to_fs(url)
    found = fs.find(root, detail=True)
    headers = [json.loads(fs.cat_file(path)) for path in found if path.endswith("/zarr.json")]
    arrays = [one for one in headers if one["node_type"] == "array"]
    raw = sum(math.prod(one["shape"]) * np.dtype(one["data_type"]).itemsize for one in arrays)
    stored = sum(int(one["size"]) for one in found.values())
    return {"trace_bytes": raw, "stored_bytes": stored, "objects": len(found)}


def main() -> None:
    """Write, look, print and store."""
    parser = command_line(__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="sequences of each trace")
    parser.add_argument("--child", choices=("write", *TASKS), help=argparse.SUPPRESS)
    parser.add_argument("--url", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        chosen = TASKS.get(args.child)
        bench_streaming.measured(lambda: write(args.url, args.sizes[0]) if chosen is None else chosen(args.url))
        return
    kept = Rows("bench_stores", ("task", "num_sequences"), fresh=args.fresh)
    for count in args.sizes:
        missing = [task for task in TASKS if not kept.has(task, count)]
        with server():
            url = f"s3://bucket/{count}"
            there: dict[str, int] = {}
            for task in ["write", *missing] if missing else []:
                words = ["-m", "studies.bench_stores", "--child", task, "--url", url, "--sizes", str(count)]
                found = in_child(words)
                there = there or sizes(url)
                if not kept.has(task, count):
                    kept.add({"task": task, "num_sequences": count, **there, **found})
    settings = {"model": Chain.name, "vocab_size": VOCABULARY, "num_tokens": LENGTH, "method": METHOD, "window": WINDOW}
    settings |= {"shards": SHARDS, "jobs": JOBS}
    save("bench_stores", QUESTION, {**settings, "rows": kept.rows})
    for row in kept.rows:
        gib = {name: row[name] / bench_streaming.GIB for name in ("trace_bytes", "peak_bytes")}
        print(f"{row['task']:>14}: trace of {gib['trace_bytes']:.2f} GiB, peak {gib['peak_bytes']:.2f} GiB")


if __name__ == "__main__":
    run_main(main)
