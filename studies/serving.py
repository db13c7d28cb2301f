"""A server in a process of its own, for as long as it is asked."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from urllib.request import urlopen


def free_port() -> int:
    """Return a port of this machine that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextmanager
def serving(
    words: Sequence[str], port: int, *, name: str, patience: float, environment: Mapping[str, str] | None = None
) -> Iterator[str]:
    """Start a server, wait until it answers, and end it with all processes that it has started.

    Parameters
    ----------
    words : sequence of str
        The command.
    port : int
        That it listens on, at ``/health``.
    name : str
        For messages.
    patience : float
        Seconds until it must answer.
    environment : mapping of str to str, optional
        Beside this process's own.

    Yields
    ------
    str
        Its URL.

    Raises
    ------
    RuntimeError
        If it ends, or does not answer in time.
    """
    whole = {**os.environ, **(environment or {})}
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(list(words), stdout=quiet, stderr=quiet, env=whole, start_new_session=True)
    try:
        _wait(process, port, name, patience)
        yield f"http://127.0.0.1:{port}"
    finally:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(20)
    with suppress(ProcessLookupError):  # the last of them has ended
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _wait(process: subprocess.Popen[bytes], port: int, name: str, patience: float) -> None:
    until = time.monotonic() + patience
    while time.monotonic() < until:
        if process.poll() is not None:
            raise RuntimeError(f"{name} ended with status {process.returncode}")
        try:
            with urlopen(f"http://127.0.0.1:{port}/health", timeout=1) as answer:  # 503 while the model is loaded
                if answer.status == 200:
                    return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError(f"{name} does not listen after {patience:g} s")
