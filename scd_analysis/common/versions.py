"""Versions of what a result was made with."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

from scd_analysis.version import __version__

LIBRARIES = ("numpy", "torch", "xarray", "zarr")
"""Libraries that decide what a trace or a study holds."""


def library_versions(*libraries: str) -> dict[str, str]:
    """Versions of this program, of Python and of the libraries that are installed, :data:`LIBRARIES` by default."""
    found = {"python": platform.python_version(), "scd-analysis": __version__}
    for name in libraries or LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
