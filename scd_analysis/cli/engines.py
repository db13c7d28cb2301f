"""Engines behind a server, by their URL and what the command line says of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scd_analysis.audit.adapters.endpoint import Endpoint, endpoint
from scd_analysis.common.foreign_json import shown
from scd_analysis.errors import InputError


@dataclass(frozen=True)
class Request:
    """What is asked of an engine, as it was typed; None where it was not.

    Attributes
    ----------
    prompt, sampling : str or None
        ``1,2,3`` and ``temperature=1,top_k=8``.
    target : Path or None
    num_tokens : int or None
    server : str or None
    concurrency : str or None
        ``1,4,16``.
    """

    prompt: str | None
    sampling: str | None
    target: Path | None
    num_tokens: int | None
    server: str | None
    concurrency: str | None

    def check_unused(self) -> None:
        """Refuse what only an engine is asked.

        Raises
        ------
        InputError
            Naming the option.
        """
        for name, value in vars(self).items():
            if value is not None:
                raise InputError(f"{name} = {shown(str(value))}: is for an engine, whose SUBJECT is a URL")

    def endpoint(self, url: str, *, has_law: bool) -> Endpoint:
        """Make the subject.

        Raises
        ------
        InputError
            Naming what is missing or wrong.
        """
        if self.prompt is None:
            raise InputError("prompt: is missing; token ids, as --prompt 1,2,3")
        if self.target is None and has_law:
            raise InputError("target: is missing; the folder of its model, as --target FOLDER, or --against URL")
        more = {name: getattr(self, name) for name in ("num_tokens", "server") if getattr(self, name) is not None}
        if self.concurrency is not None:
            more["concurrency"] = numbers(self.concurrency, "concurrency", "number of requests")
        return endpoint(
            url,
            prompt=numbers(self.prompt, "prompt", "token id"),
            sampling=settings(self.sampling),
            target=self.target,
            **more,
        )


def is_url(name: str) -> bool:
    """Whether a subject is an engine behind a server."""
    return name.startswith(("http://", "https://"))


def numbers(text: str, name: str, what: str) -> list[int]:
    """Whole numbers, between commas.

    Raises
    ------
    InputError
        Naming what is none.
    """
    out = []
    for word in text.split(","):
        if not word.strip().isdecimal():
            raise InputError(f"{name} = {shown(text)}: {shown(word)} is no {what}")
        out.append(int(word))
    return out


def settings(text: str | None) -> dict[str, Any]:
    """Settings of a sampler, ``name=number`` between commas.

    Raises
    ------
    InputError
        Naming what is none.
    """
    out: dict[str, Any] = {}
    for word in text.split(",") if text else ():
        name, sign, value = word.partition("=")
        name = name.strip()
        try:
            number = float(value)
        except ValueError:
            sign = ""
        if not sign or name in out:
            raise InputError(f"sampling = {shown(text)}: {shown(word)} is not name=number, each name once")
        out[name] = int(number) if number.is_integer() and name == "top_k" else number
    return out
