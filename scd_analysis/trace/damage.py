"""What cannot be read becomes an error in one line that names the place."""

from __future__ import annotations

from scd_analysis.errors import InputError, TraceError


class named:  # noqa: N801 -- reads as a phrase
    """Turn what is raised where data is read, by Zarr and its codecs, say, into a TraceError that names the place."""

    def __init__(self, *place: str) -> None:
        self._where = ": ".join(place)

    def __enter__(self) -> None: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, where: object) -> None:
        if isinstance(error, Exception) and not isinstance(error, (InputError, MemoryError)):
            raise TraceError(f"{self._where}: a chunk cannot be read ({one_line(error)})") from None


def one_line(error: BaseException) -> str:
    """The kind and the first line of an error."""
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0][:200]}" if text else type(error).__name__
