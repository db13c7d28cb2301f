"""The one way in which this program writes a file: whole or not at all, and never over somebody else's.

A file is written beside its place under a name that nobody else has, and then moved there. What stands there already is
replaced only if this program wrote it, which each kind of file says in its own way (`Kind`), or if it is empty. What a
killed process left beside a file is removed by the next that writes the same file: a lock on it tells the living.
"""

from __future__ import annotations

import os
import re
import secrets
import stat
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from scd_analysis.common.urls import is_url
from scd_analysis.errors import InputError

try:
    import fcntl
except ImportError:  # where there are no such locks, leftovers stay
    fcntl = None  # type: ignore[assignment]

MADE_BY = "scd-analysis"
"""What this program enters as the maker of a picture, a page or a paper."""

_LOOKED_AT = 1 << 20
"""Bytes at each end of a file in which its maker is looked for."""


class Kind(Enum):
    """Kinds of files that this program writes; the value finds its own among files of that kind."""

    VERDICT = rb'\A\{\s*"alpha": .*"log_e_value": '
    LOG_PROBS = rb'\A\{\s*"audit": "log-probs"'
    REPORT = rb'<meta\b[^>]*\bname="generator"[^>]*\bcontent="scd-analysis"'
    FRAME = rb'\A\{\s*"figure": ".*"columns": \{'
    PNG = rb"Software\x00scd-analysis"
    SVG = rb"<dc:creator>\s*<cc:Agent>\s*<dc:title>scd-analysis</dc:title>"
    PAGE = rb"`python -m scd_analysis\.figures`; no code here\."
    PAPER = rb"/Creator \(scd-analysis\)|/Title \(Speculative Jacobi [^)]*\)\s*/Keywords \([0-9a-f]{64}\)"
    LEDGER = rb'\A\{[^\n]*"kind": "(audit|declared)"'
    RESULT = rb'\A\{\s*"question": .*"command": "(python -m studies\.|make )'
    CARD = rb'\A\{\s*"model": "\w+",\s*"config": '
    WEIGHTS = rb'\A.{8}\{.*"__metadata__":\{"card":'
    HELD_OUT = rb"\APK.*tokens\.npy"

    def made_here(self, path: Path) -> bool:
        """Whether a file is one of these, or is empty."""
        frame = path.with_suffix(".json")
        if self in (Kind.PNG, Kind.SVG) and frame.is_file() and Kind.FRAME.made_here(frame):
            return True  # pictures had no mark of their own at first
        with path.open("rb") as file:
            start = file.read(_LOOKED_AT)
            file.seek(max(file.tell(), os.fstat(file.fileno()).st_size - _LOOKED_AT))
            content = start + file.read()
        return not content or re.search(self.value, content, re.DOTALL) is not None


@dataclass(frozen=True)
class Output:
    """A file to write.

    Attributes
    ----------
    path : Path
        Where.
    content : bytes
        All of it.
    kind : Kind
        What may stand there already.
    """

    path: Path
    content: bytes
    kind: Kind


def check_output(path: str | Path, kind: Kind, name: str = "path", inputs: Sequence[str | Path] = ()) -> Path:
    """Check that a file can be written, before the work of which it is the end.

    Parameters
    ----------
    path : path
        The file; a link stands for what it points to.
    kind : Kind
        What may stand there already, and is replaced.
    name : str
        What errors call the argument.
    inputs : sequence of path
        What is read, and may not be written into.

    Returns
    -------
    Path
        Where the content will go.

    Raises
    ------
    InputError
        If it is ``-``, a folder, a pipe or device, one of the ``inputs`` or in one, in a folder that is not there or
        that cannot be written to, read-only, or somebody else's file.
    """
    given = f"{name} = {path}"
    if str(path) == "-":
        raise InputError(f"{given}: standard output is not written to; name a file")
    try:
        place = Path(os.path.realpath(path))
        if place.is_dir():
            raise InputError(f"{given}: is a folder; name a file")
        if not place.parent.is_dir():
            raise InputError(f"{given}: there is no folder {Path(path).parent}")
        check_apart(place, given, inputs)
        if os.path.lexists(place):
            _check_replaceable(place, kind, given)
        check_writable(place.parent, given)
    except OSError as error:
        raise InputError(f"{given}: cannot be written ({error.strerror or error})") from None
    except ValueError as error:
        raise error if isinstance(error, InputError) else InputError(f"{given}: is no path ({error})") from None
    return place


def check_apart(path: Path, given: str, inputs: Sequence[str | Path]) -> None:
    """Check that a path is none of the inputs, nor in one.

    Raises
    ------
    InputError
        If it is; ``given`` begins the message.
    """
    place = Path(os.path.realpath(path))
    for one in inputs:
        if is_url(one):
            continue
        source = Path(os.path.realpath(one))
        same = place.exists() and source.exists() and place.samefile(source)
        if same or source in (place, *place.parents):
            raise InputError(f"{given}: would be written into the input {one}; name another file")


def _check_replaceable(place: Path, kind: Kind, given: str) -> None:
    mode = place.stat().st_mode
    if not stat.S_ISREG(mode):
        raise InputError(f"{given}: is a pipe, a device or a socket; name a file")
    if not mode & 0o222 or not os.access(place, os.W_OK):
        raise InputError(f"{given}: is read-only")
    if not kind.made_here(place):
        raise InputError(f"{given}: was not written by {MADE_BY}, so it is not replaced; name another, or remove it")


def check_writable(folder: Path, given: str) -> None:
    """Check that files can be made in a folder, or in the nearest one above it that is there.

    Raises
    ------
    InputError
        If not; ``given`` begins the message.
    OSError
        If the folder cannot be reached.
    """
    while not os.path.lexists(folder):
        folder = folder.parent
    if not folder.is_dir():
        raise InputError(f"{given}: {folder} is not a folder")
    if not folder.stat().st_mode & 0o222 or not os.access(folder, os.W_OK | os.X_OK):
        raise InputError(f"{given}: the folder {folder} is read-only")
    descriptor, trial = _create(folder / "trial")  # only this notices a file system that is read-only or full
    os.close(descriptor)
    trial.unlink()


def write_file(path: str | Path, content: str | bytes, kind: Kind, name: str = "path") -> Path:
    """Write one file, whole or not at all.

    Raises
    ------
    InputError
        As `check_output`.
    OSError
        If the disk is full; it names the file, which is as it was before.
    """
    place = check_output(path, kind, name)
    write_files([Output(place, encoded(content) if isinstance(content, str) else content, kind)])
    return Path(path)


def encoded(text: str) -> bytes:
    r"""Encode a text as UTF-8; lone surrogates, which it cannot hold, as ``\ud800``, which JSON reads again."""
    return text.encode("utf-8", "backslashreplace")


def write_files(outputs: Sequence[Output]) -> None:
    """Write files that belong together: each is whole, and none is replaced before all are on the disk.

    Raises
    ------
    InputError
        As `check_output`, for any of them.
    OSError
        If the disk is full; it names the file, and all are as they were before.
    """
    places = [check_output(one.path, one.kind) for one in outputs]
    with ExitStack() as stack:
        staged = [stack.enter_context(_beside(p, one.content)) for p, one in zip(places, outputs, strict=True)]
        for temporary, place in zip(staged, places, strict=True):
            temporary.replace(place)


@contextmanager
def _beside(place: Path, content: bytes) -> Iterator[Path]:
    """A file of this content beside its place, locked; removed at the end unless it was moved."""
    _sweep(place)
    descriptor, path = _create(place)
    try:
        try:
            if place.exists():
                os.fchmod(descriptor, stat.S_IMODE(place.stat().st_mode))
            with open(descriptor, "wb", closefd=False) as file:
                file.write(content)
            os.fsync(descriptor)
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(place)) from None
        yield path
    finally:
        path.unlink(missing_ok=True)
        os.close(descriptor)


def _prefix(place: Path) -> str:
    return f".{place.name[:60]}."


def _create(place: Path) -> tuple[int, Path]:
    """Make and lock a new file beside a place."""
    while True:
        path = place.with_name(f"{_prefix(place)}{secrets.token_hex(8)}.{MADE_BY}-part")
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        if not _locked(descriptor) or os.fstat(descriptor).st_nlink:
            return descriptor, path
        os.close(descriptor)  # somebody swept it away before it was locked


def _locked(descriptor: int) -> bool:
    if fcntl is None:
        return False
    with suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False


def _sweep(place: Path) -> None:
    """Remove what killed processes left beside a file: only they hold no lock on it."""
    pattern = re.compile(rf"{re.escape(_prefix(place))}[0-9a-f]{{16}}\.{MADE_BY}-part")
    with suppress(OSError), os.scandir(place.parent) as found:
        for entry in found:
            if pattern.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                _remove_unlocked(Path(entry.path))


def _remove_unlocked(path: Path) -> None:
    with suppress(OSError):
        descriptor = os.open(path, os.O_WRONLY)
        try:
            if _locked(descriptor):
                path.unlink()
        finally:
            os.close(descriptor)
