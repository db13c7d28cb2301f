"""A subject that is made where it is drawn from: once in every worker, and never sent."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from scd_analysis.common.load import load
from scd_analysis.errors import InputError

ADAPTERS = {"made_by": "made_by"}


@dataclass(frozen=True)
class MadeBy:
    """See :func:`made_by`.

    Attributes
    ----------
    name : str
    """

    name: str

    brings_its_model = True

    def __call__(self, model: Any, num_sequences: int, seed: int) -> Any:
        """Draw from the subject that is made by that name."""
        return _made(self.name)(None, num_sequences, seed)


@lru_cache(maxsize=4)
def _made(name: str) -> Any:
    made = load(name, "subject")()
    if not callable(made):
        raise InputError(f"{name}() returned a {type(made).__name__}: a subject is callable")
    return made


def made_by(name: str) -> MadeBy:
    """Make a subject of the name of a function that makes it, model and all, in each process that draws.

    So a model that fills a GPU is loaded once by every worker, and nothing of it travels.

    Parameters
    ----------
    name : str
        ``module:function``. The function is called without arguments, and returns a subject; that is called with None
        in the place of its model.

    Raises
    ------
    UnknownNameError
        If the name has another form, or there is no such module or function.
    """
    load(name, "subject")
    return MadeBy(name)
