"""Jobs of the command line on a cluster: Dask's, started here; the verdict is that of one process."""

import json
import subprocess
import sys
from importlib.util import find_spec

import pytest

from scd_analysis.cli.cluster import cluster
from scd_analysis.errors import InputError
from tests.test_cli import MODULE, run

pytestmark = pytest.mark.slow


CLUSTER = """
import sys
from distributed import LocalCluster

if __name__ == "__main__":
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as found:
        print(found.scheduler_address, flush=True)
        sys.stdin.read()
"""


@pytest.fixture
def scheduler(tmp_path):
    """In a process of its own: what Dask imports teaches pickle more than other tests expect of it."""
    if find_spec("distributed") is None:
        pytest.skip("distributed is not installed: the extra dask")
    (tmp_path / "cluster.py").write_text(CLUSTER)
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, tmp_path / "cluster.py"], **pipes) as process:
        yield process.stdout.readline().strip()
        process.stdin.close()


WORDS = ["audit", "mine:good", "--model", "mine:model", "--max-sequences", "192", "--json", "--jobs"]


def test_two_workers_of_dask_come_to_the_verdict_of_one_process(tmp_path, scheduler):
    (tmp_path / "mine.py").write_text(MODULE)
    alone, together = (
        run(tmp_path, *WORDS, "1"),
        run(tmp_path, *WORDS, "2", "--backend", "dask", "--address", scheduler),
    )
    assert json.loads(together.stdout) == json.loads(alone.stdout)
    assert together.returncode == alone.returncode


@pytest.mark.parametrize(
    ("backend", "address", "message"),
    [
        ("slurm", None, "backend='slurm' is not known"),
        ("processes", "tcp://127.0.0.1:1", "address = 'tcp://127.0.0.1:1': is of a cluster"),
    ],
)
def test_a_cluster_that_is_none_is_said(backend, address, message):
    with pytest.raises(InputError, match=message), cluster(backend, address):
        raise AssertionError("nothing runs")


@pytest.mark.skipif(find_spec("distributed") is None, reason="distributed is not installed: the extra dask")
def test_a_scheduler_that_is_not_there_is_said(tmp_path):
    (tmp_path / "mine.py").write_text(MODULE)
    done = run(tmp_path, *WORDS, "2", "--backend", "dask", "--address", "nowhere")
    assert done.returncode == 2
    assert "address = 'nowhere': cannot be reached" in done.stderr
