"""Where the jobs of a command run: processes of this machine, or a cluster that is already there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import joblib

from scd_analysis.errors import InputError
from scd_analysis.validate import check_known

BACKENDS = ("processes", "dask", "ray")


@contextmanager
def cluster(backend: str, address: str | None) -> Iterator[None]:
    """Let what joblib runs run on a cluster.

    Parameters
    ----------
    backend : str
        One of ``BACKENDS``.
    address : str, optional
        Of the scheduler of Dask, or of the head of Ray; by default a cluster of this machine is started.

    Raises
    ------
    InputError
        If it is not known, not installed, or cannot be reached.
    """
    check_known(backend, BACKENDS, "backend")
    if backend == "processes":
        if address is not None:
            raise InputError(f"address = {address!r}: is of a cluster, and backend is 'processes'")
        yield
        return
    with _client(backend, address), joblib.parallel_config(backend=backend):
        yield


@contextmanager
def _client(backend: str, address: str | None) -> Iterator[None]:
    if backend == "dask":
        client = _reached(lambda: _module("distributed", backend).Client(address), address)
        try:
            yield
        finally:
            client.close()
        return
    ray = _module("ray", backend)
    _reached(lambda: ray.init(address=address), address)
    _module("ray.util.joblib", backend).register_ray()
    try:
        yield
    finally:
        ray.shutdown()


def _module(name: str, backend: str) -> Any:
    try:
        return import_module(name)
    except ImportError as error:
        raise InputError(f"backend = {backend!r}: {error}; it takes the extra scd-analysis[{backend}]") from None


def _reached(connect: Any, address: str | None) -> Any:
    try:
        return connect()
    except (OSError, RuntimeError, ValueError) as error:
        raise InputError(f"address = {address!r}: cannot be reached ({error})") from error
