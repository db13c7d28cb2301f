"""``python -m scd_analysis.figures``, and the one door of the library to what lies above it.

Nothing else in the library imports the reference decoder or the gallery. Where the repository is there, the figures are
those of its gallery; where the library is installed alone, those of a decode by the reference decoder that comes with
it. Imports stand in functions: the command that starts the work is light, and what is asked for may not be there.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from scd_analysis.figures.base import Figure, Run, Settings
    from scd_analysis.figures.collection import Collection, Make
    from scd_analysis.figures.decoding import Decoding
    from scd_analysis.figures.rendering import Report

PROGRAM = "python -m scd_analysis.figures"

MODEL, METHODS, WINDOW = "photos", ("sjd", "scd-mc", "scd-gs"), 32
SEQUENCES, FEW = 64, 6
"""Of the decode whose figures an installed library draws; the second with ``--quick``."""


def reference_decoder() -> Any:
    """The package of the reference decoder.

    Raises
    ------
    InputError
        If it is not there, or another package of that name is.
    """
    from scd_analysis.common.shipped import bring

    try:
        bring("reference")
        import reference
    except ModuleNotFoundError as error:
        raise _missing(error, "name a model as module:attribute, and draw figures from a --trace") from None
    return reference


def _missing(error: ModuleNotFoundError, advice: str) -> Exception:
    from scd_analysis.errors import InputError

    return InputError(f"{error}: {advice}")


def _gallery() -> Path | None:
    """Where the gallery lies, if the repository is there."""
    from scd_analysis.common.shipped import ROOT

    folder = Path(ROOT) / "studies" / "gallery"
    return folder if (folder / "__init__.py").is_file() else None


def summaries_here() -> dict[str, str]:
    """What the figures of :func:`figures_here` show, by name; nothing that draws is loaded."""
    from scd_analysis.figures import plots
    from scd_analysis.figures.registry import summaries_in

    gallery = _gallery()
    found = summaries_in(plots.__path__) | ({} if gallery is None else summaries_in([str(gallery / "plots")]))
    return {name: found[name] for name in sorted(found)}


def figures_here() -> Collection[Any]:
    """The gallery where the repository is there, else the figures of a decode.

    Raises
    ------
    InputError
        If the gallery is there and something that it needs is not installed, or another package has its name.
    """
    from scd_analysis.common.shipped import ROOT, bring

    if _gallery() is not None:
        if ROOT not in sys.path:  # where the processes look that decode side by side
            sys.path.insert(0, ROOT)
        bring("studies")
        bring("reference")
        try:
            from studies.gallery.making import gallery
        except ModuleNotFoundError as error:
            raise _missing(error, "the gallery needs what comes with scd-analysis[studies]") from None
        return gallery()
    return figures_of_a_decode()


def figures_of_a_decode() -> Collection[Figure]:
    """The figures that any trace gives, of a decode by the shipped decoder."""
    from scd_analysis.figures.collection import Collection
    from scd_analysis.figures.registry import all_figures
    from scd_analysis.figures.rendering import GALLERY_PAGES, write_gallery

    return Collection(all_figures(), _decode, GALLERY_PAGES, write_gallery, lambda folder: {})


def _decode(figures: Sequence[Figure], decoding: Decoding, report: Report) -> list[tuple[Figure, Make]]:
    """Decode in memory; every figure is of the same runs."""
    from scd_analysis.figures.base import FROM_DECODE
    from scd_analysis.figures.foreign import as_run
    from scd_analysis.figures.provenance import commit, settings_of

    reference, runs = reference_decoder(), []
    model, count = reference.load_model(MODEL), FEW if decoding.quick else SEQUENCES
    for number, method in enumerate(METHODS):
        report("decoding", method, number / len(METHODS))
        out = reference.decode(model, method, WINDOW, count, seed=0, device=decoding.device, progress=False)
        runs.append(as_run(out.trace, method))
    report("decoding", METHODS[-1], 1.0)
    settings = settings_of(runs, FROM_DECODE, commit())
    return [(figure, partial(_computed, figure, runs, settings)) for figure in figures]


def _computed(figure: Figure, runs: list[Run], settings: Settings) -> tuple[pd.DataFrame, Settings]:
    return figure.compute(runs), settings


def _render(names: Sequence[str], **asked: Any) -> list[Path]:
    from scd_analysis.figures.rendering import render

    return render(names, **asked)


def run(words: list[str], prog_name: str = PROGRAM) -> int:
    """Run the command of figures in this process, and return its status; errors of usage are raised."""
    from scd_analysis.figures.app import Shelf, run_with

    return run_with(Shelf(summaries_here, figures_here, _render), words, prog_name)


if __name__ == "__main__":  # by name, since the command line comes in by this file
    import_module("scd_analysis.cli").main(["figures", *sys.argv[1:]], PROGRAM)
