"""Figures that any trace gives, as exhibits: of which of our runs they are drawn, and what the papers report."""

from __future__ import annotations

from dataclasses import fields

from scd_analysis.figures.base import Figure
from scd_analysis.figures.registry import all_figures
from scd_analysis.validate import check_known
from studies.gallery.exhibit import STUDIED, Exhibit, main_runs
from studies.gallery.reported import SJD_CHANGES, SJD_SINGLE, STATEMENTS

WITH_VP = (
    "acceptance_lengths",
    "collision_by_age",
    "entropy_acceptance",
    "hamming_by_lag",
    "nfe_vs_token_difference",
)
"""Figures that show SJD-VP too."""

PAPERS = {
    "acceptance_lengths": (
        f"Reported of SJD: about {SJD_SINGLE:.0%} of its passes commit one token. The speed-up of a method is its mean "
        "number of tokens a pass."
    ),
    "acceptance_trajectories": (
        "The SCD paper argues that coupled drafts raise and steady this acceptance; its numbers we have not on file."
    ),
    "collision_by_age": (
        "The SCD paper explains SJD's slowness by such instability and couples successive drafts against it; numbers "
        "of this kind we have not on file."
    ),
    "collision_histograms": (
        f"In the SCD paper about {1 - SJD_CHANGES:.0%} of SJD's window tokens survive an iteration."
    ),
    "collision_vs_tv": (
        "The SCD paper states these bounds: independent drafts collide rarely where entropy is high, the maximal "
        "coupling attains 1 - TV, and shared Gumbel noise comes close."
    ),
    "entropy_acceptance": (
        "The SCD paper bounds the collision of independent drafts by the Rényi-2 entropies of their laws, and so "
        "blames the high entropy of image tokens; numbers of this kind we have not on file."
    ),
    "hamming_by_lag": (
        f"The SCD paper reports that about {SJD_CHANGES:.0%} of SJD's window tokens change each iteration, that "
        f"{STATEMENTS['lag 1']}, and that {STATEMENTS['lags 2 and 3']}."
    ),
    "nfe_vs_token_difference": (
        f"The SCD paper reports that about {SJD_CHANGES:.0%} of SJD's window tokens change each iteration."
    ),
}


def exhibits_of_traces() -> dict[str, Exhibit]:
    """Every figure of the library, of the runs at the main window, by name.

    Raises
    ------
    UnknownNameError
        If something is said here of a figure that is not there.
    """
    figures = all_figures()
    for name in (*WITH_VP, *PAPERS):
        check_known(name, figures, "figure")
    return {name: _exhibit(figure) for name, figure in figures.items()}


def _exhibit(figure: Figure) -> Exhibit:
    methods = (*STUDIED, "sjd-vp") if figure.name in WITH_VP else STUDIED
    drawn = {field.name: getattr(figure, field.name) for field in fields(Figure)}
    return Exhibit(**drawn, needs=main_runs(methods), paper=PAPERS.get(figure.name, ""))
