"""What an installed package needs beside PyTorch's own: ``python -m studies.engines.needs PACKAGE``, a line each.

An engine that asks for a build of PyTorch which no registry has is installed without its dependencies, then with these.
"""

from __future__ import annotations

import sys
from importlib.metadata import requires

from packaging.requirements import Requirement

OWN = "torch"
"""Packages whose names begin so are installed before, or not at all."""


def needs(package: str) -> list[str]:
    """Requirements of a distribution here and now, extras aside."""
    found = map(Requirement, requires(package) or [])
    meant = [one for one in found if one.marker is None or one.marker.evaluate({"extra": ""})]
    return [f"{one.name}{_extras(one)}{one.specifier}" for one in meant if not one.name.startswith(OWN)]


def _extras(one: Requirement) -> str:
    return f"[{','.join(sorted(one.extras))}]" if one.extras else ""


if __name__ == "__main__":
    print("\n".join(needs(sys.argv[1])))
