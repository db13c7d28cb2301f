"""The process that was started: it starts another one for the work, watches it, and has the last word.

The work calls somebody else's code, which may end its process with any status, kill it, close its files, fork it, or
never return. So a status is believed only if the worker has said it over a pipe of its own, as the last thing that it
does. Nothing heavy is imported here.
"""

from __future__ import annotations

import json
import os
import secrets
import select
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

COULD_NOT_RUN = 2
STATUSES = (0, 1, COULD_NOT_RUN, 3)
FORWARDED = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT")
GRACE = 3.0
"""Seconds beyond a time limit in which the worker may end the matter itself, with more to say."""
LEAVING = 10.0
"""Seconds that a worker may take to leave when it has said how it ended: threads and exit handlers of a subject."""
POLL = 0.2
WORKER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "worker.py")


@dataclass
class Said:
    """What the worker has said so far.

    Attributes
    ----------
    token : str
        What every line of the worker's bears; anything else on the pipe is not from it.
    running : list of (str, float or None, float or None)
        Calls of somebody else's code that have not returned: name, limit in seconds, and when it is over.
    status : int or None
        How the worker ended.
    line : str or None
        What there is to say about it.
    """

    token: str
    running: list[tuple[str, float | None, float | None]] = field(default_factory=list)
    status: int | None = None
    line: str | None = None
    _rest: bytes = b""

    def take(self, data: bytes) -> None:
        """Read what came over the pipe."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            try:
                word = json.loads(line)
            except (ValueError, RecursionError):
                continue
            if isinstance(word, dict) and word.get("token") == self.token:
                self._take(word)

    def _take(self, word: dict[str, Any]) -> None:
        if word["kind"] == "begin":
            limit = word["limit"]
            self.running.append((word["name"], limit, None if limit is None else time.monotonic() + limit))
        elif word["kind"] == "end":
            del self.running[-1:]
        elif word["status"] in STATUSES:
            self.status, self.line = word["status"], word["line"]

    def overdue(self) -> tuple[str, float] | None:
        """Return name and limit of a call whose time is up."""
        now = time.monotonic() - GRACE
        for name, limit, until in self.running:
            if limit is not None and until is not None and until < now:
                return name, limit
        return None


def supervise(words: Sequence[str], prog_name: str) -> int:
    """Run a command in a process of its own.

    Parameters
    ----------
    words : sequence of str
        Command and arguments.
    prog_name : str
        What the command was called by.

    Returns
    -------
    int
        The exit status that the worker has reported, or 2 and a line on standard error.
    """
    from_worker, to_us = os.pipe()
    for_worker, lifeline = os.pipe()  # the worker sees it close when this process is gone
    token = secrets.token_hex(8)
    own_group = not _is_terminal(0)  # on a terminal, the keys that interrupt and stop are for both
    command = [sys.executable, *_flags(), "-P", WORKER, str(to_us), str(for_worker), token, prog_name, *words]
    worker = subprocess.Popen(command, pass_fds=(to_us, for_worker), process_group=0 if own_group else None)
    os.close(to_us)
    os.close(for_worker)
    said = Said(token)
    signals = _Signals(worker, own_group)
    try:
        with signals:
            verdict = _watch(worker, from_worker, said)
        _sweep(worker, own_group)
    finally:
        worker.kill()
        worker.wait()
        os.close(from_worker)
        os.close(lifeline)
    if said.status is None:
        said.status, said.line = COULD_NOT_RUN, verdict or signals.line() or _how_it_ended(worker.returncode, said)
    if said.line is not None:
        _say(said.line)
    return said.status


def _flags() -> list[str]:
    """Return the interpreter's own options, as far as they matter to the work."""
    found = [f"-W{option}" for option in sys.warnoptions]
    found += ["-E"] if sys.flags.ignore_environment else []
    found += ["-s"] if sys.flags.no_user_site else []
    return found + (["-Xdev"] if sys.flags.dev_mode else [])


def _is_terminal(descriptor: int) -> bool:
    try:
        return os.isatty(descriptor)
    except OSError:
        return False


def _watch(worker: subprocess.Popen[bytes], pipe: int, said: Said) -> str | None:
    """Listen until the worker is gone; return what to say if it had to be stopped."""
    is_open, leave_by = True, None
    while True:
        gone = worker.poll() is not None  # asked before the pipe is read: what it said last is there by then
        if is_open and select.select([pipe], [], [], 0 if gone else POLL)[0]:
            data = os.read(pipe, 2**16)
            said.take(data)
            is_open = bool(data)
        elif gone:
            return None
        else:
            if not is_open:  # somebody has closed it in the worker; or it is about to leave
                with suppress(subprocess.TimeoutExpired):
                    worker.wait(POLL)
            if said.status is not None:
                leave_by = leave_by or time.monotonic() + LEAVING
            overdue = said.overdue()
            if leave_by is not None and time.monotonic() > leave_by:
                worker.kill()
            elif overdue is not None:
                worker.kill()
                worker.wait()
                return f"{overdue[0]} did not return within {overdue[1]:g} s, nor when it was interrupted"


class _Signals:
    """Hands on what this process is asked to do; asked twice, it ends the worker."""

    def __init__(self, worker: subprocess.Popen[bytes], own_group: bool) -> None:
        self._worker, self._own_group = worker, own_group
        self._before: dict[int, Any] = {}
        self._asked: list[int] = []

    def __enter__(self) -> None:
        try:
            for name in FORWARDED:
                number = int(signal.Signals[name])
                if signal.getsignal(number) is not signal.SIG_IGN:  # nohup
                    self._before[number] = signal.signal(number, self._hand_on)
        except ValueError:  # not on the main thread: whoever is there takes care of signals
            pass

    def __exit__(self, *_: object) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)

    def _hand_on(self, number: int, _: object) -> None:
        self._asked.append(number)
        if len(self._asked) > 1:
            self._worker.kill()
        elif self._own_group or number != signal.SIGINT:
            _send(self._worker, number, self._own_group)

    def line(self) -> str | None:
        """Return what to say where the end was asked for."""
        return f"stopped by {signal.Signals(self._asked[0]).name}" if self._asked else None


def _send(worker: subprocess.Popen[bytes], number: int, own_group: bool) -> bool:
    try:
        if own_group:
            os.killpg(worker.pid, number)
        else:
            worker.send_signal(number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def _sweep(worker: subprocess.Popen[bytes], own_group: bool) -> None:
    """End what the worker has left behind, which would hold standard output open."""
    if not own_group or not _send(worker, signal.SIGTERM, True):
        return
    until = time.monotonic() + 1
    while time.monotonic() < until:
        if not _send(worker, 0, True):
            return
        time.sleep(0.02)
    _send(worker, signal.SIGKILL, True)


def _how_it_ended(returncode: int, said: Said) -> str:
    who = said.running[-1][0] if said.running else "the process"
    if returncode >= 0:
        did = "ended" if not said.running else "ended the process"
        return f"{who} {did} with status {returncode} before there was a result"
    try:
        name = signal.Signals(-returncode).name
    except ValueError:
        name = f"signal {-returncode}"
    why = {"SIGSEGV": " (segmentation fault)", "SIGKILL": " (killed; out of memory?)"}.get(name, "")
    during = f" in {who}" if said.running else ""
    return f"the process was ended by {name}{why}{during} before there was a result"


def _say(line: str) -> None:
    shown = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in " ".join(line.split()))
    try:
        sys.stderr.write(f"scd-analysis: {shown}\n")
        sys.stderr.flush()
    except (OSError, ValueError, AttributeError):  # closed: the status has to do
        pass
