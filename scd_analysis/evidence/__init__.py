"""Evidence against a target law: e-processes, goodness of fit, certificates. NumPy and SciPy only.

Everything is in log space (nats), float64; a NaN is an error. Randomness is an argument.

====================================  ==================================================================================
:mod:`~scd_analysis.evidence.bettor`  the contract of a bettor, and why its wealth is a martingale (Ville 1939)
``portfolio``                         bettors mixed with fixed weights: one e-process to look at after every sequence
``catalogue``                         which bettors an audit runs, with which weights
``dirichlet``                         Dirichlet-multinomial bets centred on the null (Krichevsky and Trofimov 1981)
``pit``                               randomised PIT and bets that it is not uniform (Dawid 1984)
``features``, ``rules``               directions to lean along; what wrong verification rules would produce
``directed``, ``ridge``               learned bets along one direction, along all (Waudby-Smith and Ramdas 2024)
``repeats``                           sequences that come twice
``two_sample``, ``contexts``          two arms of unknown laws, against each other (Shekhar and Ramdas 2023)
``goodness``                          Pearson, G and Monte Carlo tests of a fixed sample (Dwass 1957)
``certificate``                       bounds on a total variation at all times together (Robbins 1970)
``resolution``                        what n sequences would have found
``multiplicity``                      which of several findings stand (Wang and Ramdas 2022)
====================================  ==================================================================================
"""

from __future__ import annotations

from scd_analysis.evidence.batch import Batch, make_batch
from scd_analysis.evidence.bettor import Bettor
from scd_analysis.evidence.catalogue import standard_portfolio
from scd_analysis.evidence.certificate import Certificate, TotalVariation
from scd_analysis.evidence.goodness import Fit, likelihood_ratio, monte_carlo, pearson
from scd_analysis.evidence.multiplicity import e_benjamini_hochberg
from scd_analysis.evidence.pit import randomised_pit
from scd_analysis.evidence.portfolio import Family, Portfolio

__all__ = [
    "Batch",
    "Bettor",
    "Certificate",
    "Family",
    "Fit",
    "Portfolio",
    "TotalVariation",
    "e_benjamini_hochberg",
    "likelihood_ratio",
    "make_batch",
    "monte_carlo",
    "pearson",
    "randomised_pit",
    "standard_portfolio",
]
