"""Stored results of studies, as figures read them."""

from __future__ import annotations

from typing import Any

from scd_analysis.errors import InputError
from scd_analysis.figures.base import Settings
from scd_analysis.figures.words import bits
from studies import store


def load_result(name: str) -> dict[str, Any]:
    """The stored result of a study.

    Raises
    ------
    InputError
        If there is none.
    """
    if not (store.FOLDER / f"{name}.json").is_file():
        raise InputError(f"studies/results/{name}.json is missing; make it with python -m studies.{name}")
    return store.load(name)


def settings_of_result(result: dict[str, Any]) -> Settings:
    """What a result says of itself, without its rows."""
    return {name: value for name, value in result.items() if name != "rows"}


def of_study(settings: Settings, *more: str) -> str:
    """What a study ran, from its result: model, bits a token, window, ``more``, seed and command."""
    what = (f"Model {settings['model']}{bits(settings)}", f"window {settings['window']}", *more)
    return f"{'; '.join(what)}; seed {settings['seed']}. Made by `{settings['command']}`."
