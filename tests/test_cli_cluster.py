"""Jobs of the command line on a cluster: Dask's, started here; the verdict is that of one process."""

import json

import pytest

from scd_analysis.cli.cluster import cluster
from scd_analysis.errors import InputError
from tests.test_cli import MODULE, run

pytestmark = pytest.mark.slow


@pytest.fixture
def scheduler():
    distributed = pytest.importorskip("distributed")
    kinds = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}
    with distributed.LocalCluster(**kinds) as found:
        yield found.scheduler_address


@pytest.mark.filterwarnings("ignore")  # of Dask
def test_two_workers_of_dask_come_to_the_verdict_of_one_process(tmp_path, scheduler, monkeypatch):
    (tmp_path / "mine.py").write_text(MODULE)
    words = ["audit", "mine:good", "--model", "mine:model", "--max-sequences", "600", "--json", "--jobs"]
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    alone, together = (
        run(tmp_path, *words, "1"),
        run(tmp_path, *words, "2", "--backend", "dask", "--address", scheduler),
    )
    assert json.loads(together.stdout) == json.loads(alone.stdout)
    assert together.returncode == alone.returncode


@pytest.mark.parametrize(
    ("backend", "address", "message"),
    [
        ("slurm", None, "backend='slurm' is not known"),
        ("processes", "tcp://127.0.0.1:1", "address = 'tcp://127.0.0.1:1': is of a cluster"),
        ("dask", "nowhere", "address = 'nowhere': cannot be reached"),
    ],
)
def test_a_cluster_that_is_none_is_said(backend, address, message):
    with pytest.raises(InputError, match=message), cluster(backend, address):
        raise AssertionError("nothing runs")
