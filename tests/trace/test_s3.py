"""An S3 server in a process: shards are written, read and judged there, though it stops in the middle."""

import subprocess
import sys
from importlib.util import find_spec

import pytest
import torch

from reference import TabularModel, decode
from scd_analysis import audit, open_trace
from scd_analysis.errors import InputError, TraceError
from scd_analysis.trace import TraceWriter, validate

pytestmark = pytest.mark.slow

MODEL = TabularModel.random(3, 6, 0.7, seed=1)

SERVER = """
import sys
from moto.server import ThreadedMotoServer

server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
port = server.get_host_and_port()[1]
print(port, flush=True)
for line in sys.stdin:  # what it holds stays in memory while it is stopped
    if line == "stop\\n":
        server.stop()
    else:
        server = ThreadedMotoServer(ip_address="127.0.0.1", port=port, verbose=False)
        server.start()
    print("done", flush=True)
"""


class Server:
    def __init__(self, process):
        self._process = process
        self.url = f"http://127.0.0.1:{process.stdout.readline().strip()}"

    def tell(self, what):
        self._process.stdin.write(f"{what}\n")
        self._process.stdin.flush()
        assert self._process.stdout.readline() == "done\n"


@pytest.fixture
def server(tmp_path, monkeypatch):
    for name in ("moto", "flask", "flask_cors", "s3fs"):
        if find_spec(name) is None:
            pytest.skip(f"{name} is not installed: the extra test")
    import fsspec

    (tmp_path / "server.py").write_text(SERVER)
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
    with subprocess.Popen([sys.executable, tmp_path / "server.py"], **pipes) as process:
        found = Server(process)
        patience = {"connect_timeout": 5, "read_timeout": 20, "retries": {"max_attempts": 0}}
        settings = {"endpoint_url": found.url, "key": "any", "secret": "any", "config_kwargs": patience}
        monkeypatch.setitem(fsspec.config.conf, "s3", settings)
        fsspec.filesystem("s3").mkdir("bucket")
        yield found
        process.stdin.close()
        process.kill()


def asked(url, **options):
    return {"window": 3, "num_sequences": 40, "seed": 4, "record": "laws", "batch_size": 10, "out_path": url, **options}


def test_shards_on_s3_survive_a_server_that_stops_in_the_middle(server, monkeypatch):
    url, begin = "s3://bucket/runs/a", TraceWriter.begin_batch
    begun = []

    def stopped(self, num_sequences):
        begun.append(num_sequences)
        if len(begun) == 3:
            server.tell("stop")
        begin(self, num_sequences)

    with monkeypatch.context() as patched:
        patched.setattr(TraceWriter, "begin_batch", stopped)
        with pytest.raises(InputError, match=r"a/shard-00002-of-00004.zarr: .* cannot be written .* are kept"):
            decode(MODEL, "sjd", **asked(url, jobs=1))
    with pytest.raises(TraceError, match=r"s3://bucket/runs/a.*: cannot be reached"):
        open_trace(url)
    server.tell("start")
    with pytest.raises(TraceError, match=r"1 of 4 shards are missing: shard-00003|shard-00002.*lacks|2 of 4 shards"):
        open_trace(url)
    kept = open_trace(f"{url}/shard-00001-of-00004.zarr")
    validate(kept, laws=True)
    made = kept.attrs["created"]
    found = decode(MODEL, "sjd", **asked(url, jobs=2))  # in processes
    validate(found.trace, laws=True)
    assert open_trace(f"{url}/shard-00001-of-00004.zarr").attrs["created"] == made
    alone = decode(MODEL, "sjd", **asked(None))
    assert torch.equal(found.tokens, alone.tokens)
    assert audit(url, MODEL, progress=False).to_json() == audit(alone.trace, MODEL, progress=False).to_json()
