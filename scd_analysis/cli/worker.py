"""The process that does the work of a command; the supervisor starts this file by its path.

Started so, the working directory is not searched before what is installed. What a subject prints goes to standard
error, through whatever door: the descriptor of standard output is kept apart.
"""

from __future__ import annotations

import errno
import io
import json
import os
import signal
import sys
import threading
from typing import Any

if __name__ in ("__main__", "__mp_main__"):  # the second is a process that multiprocessing starts for this one
    _ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    _ADDED = _ROOT not in sys.path
    if _ADDED:
        sys.path.insert(0, _ROOT)
    from scd_analysis.common.shipped import search_here_last

    if _ADDED:
        sys.path.remove(_ROOT)
    search_here_last()


def _identity(descriptor: int) -> tuple[int, int] | None:
    try:
        found = os.fstat(descriptor)
    except OSError:
        return None
    return found.st_dev, found.st_ino


class Supervisor:
    """The way to the supervising process.

    Parameters
    ----------
    descriptor : int
        Of the pipe to it.
    token : str
        What every line bears.
    """

    def __init__(self, descriptor: int, token: str) -> None:
        os.set_inheritable(descriptor, False)
        self._descriptor, self._token, self._process = descriptor, token, os.getpid()
        self._pipe = _identity(descriptor)

    def _say(self, **word: object) -> None:
        if os.getpid() != self._process or _identity(self._descriptor) != self._pipe:
            return  # a fork; or somebody has closed the pipe, and its number may be a file of theirs by now
        data = (json.dumps({"token": self._token, **word}) + "\n").encode()
        try:
            while data:
                data = data[os.write(self._descriptor, data) :]
        except OSError:
            return

    def begin(self, name: str, limit: float | None) -> None:
        """Say that somebody else's code is called, and how long it may take."""
        self._say(kind="begin", name=name, limit=limit)

    def end(self) -> None:
        """Say that it has returned."""
        self._say(kind="end")

    def ended(self, status: int, line: str | None) -> None:
        """Say how the command ended."""
        self._say(kind="ended", status=status, line=line)


def _leave_with(lifeline: int) -> None:
    """End this process, and what it has started, when the supervisor is gone."""

    def wait() -> None:
        try:
            os.read(lifeline, 1)
        except OSError:  # a subject has closed it
            return
        if _identity(lifeline) != pipe:
            return
        if os.getpgrp() == os.getpid():
            os.killpg(0, signal.SIGKILL)
        os._exit(2)

    pipe = _identity(lifeline)
    os.set_inheritable(lifeline, False)
    threading.Thread(target=wait, daemon=True).start()


class _Output(io.FileIO):
    """A descriptor that is written to only while it is what it was: its number may become a file of the subject's.

    Attributes
    ----------
    is_over : bool
        Whether all has been said: what could not be written is dropped, and not told a second time on the way out.
    """

    def __init__(self, descriptor: int) -> None:
        super().__init__(descriptor, "w")
        self._is = _identity(descriptor)
        self.is_over = False

    def write(self, data: Any) -> int:
        """Write, or say that this cannot be done any more."""
        if self.is_over:
            return len(data)
        if _identity(self.fileno()) != self._is:
            raise BrokenPipeError(errno.EPIPE, "standard output was closed")
        return super().write(data)


def _keep_output_apart() -> _Output | None:
    """Make standard output ours alone: its descriptor leads to standard error from here on."""
    try:
        ours = _Output(os.dup(1))
    except OSError:
        return None  # closed from the start: writing says so
    before = sys.stdout
    spelled = "backslashreplace"  # what the encoding lacks: a result is worth more than its letters
    sys.stdout = io.TextIOWrapper(io.BufferedWriter(ours), before.encoding, spelled, line_buffering=ours.isatty())
    try:
        os.dup2(2, 1)
    except OSError:  # standard error is closed
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    return ours


def main() -> None:
    """Do what the command line of this process says; exits with its status, and has said it before."""
    descriptor, lifeline, token, prog_name, *words = sys.argv[1:]
    supervisor = Supervisor(int(descriptor), token)
    _leave_with(int(lifeline))
    output = _keep_output_apart()
    sys.argv = [prog_name, *words]
    from scd_analysis.cli.commands import run
    from scd_analysis.common import foreign

    foreign.watcher = supervisor
    process = os.getpid()
    status, line = run(words, prog_name)
    if os.getpid() != process:
        os._exit(2)
    supervisor.ended(status, line)
    if output is not None:
        output.is_over = True
    sys.exit(status)


if __name__ == "__main__":
    main()
