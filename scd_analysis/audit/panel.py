"""Rules side by side: a subject is refuted where every one of them is.

Each e-process is against "the subject follows this rule, exactly", so the least of them is one against "it follows one
of these rules". The rule whose evidence is least is the one that the subject follows, if it follows any.

Modified rejection sampling is two of them where a decoder waits, that is, leaves positions to a later pass which the
commit rule commits: it may test them again, or have decided, and commit later what it decided. Until one waits the two
are the same, so that a second watch begins where that happens, with all that the first has seen.
"""

from __future__ import annotations

import math

import numpy as np

from scd_analysis.audit.bets import ESTABLISHED
from scd_analysis.audit.commits import Commits
from scd_analysis.audit.diagnosis import CLEAR_LEAD, diagnose
from scd_analysis.audit.draws import FIRST_BATCH
from scd_analysis.audit.rules.rule import Rule
from scd_analysis.audit.watch import CLEAR, Watch
from scd_analysis.audit.windows import Windows
from scd_analysis.conditions import Condition
from scd_analysis.evidence.batch import Floats, Rows

SETTLED = 1.0
"""Nats beyond the threshold from which a rule is no more bet on, once it is clear what broke or has been looked for."""

LONG_BEFORE = 16
"""So many times as many sequences as refute the first rule must another stand for to be the one that is meant."""


class Panel:
    """Watches over the same subject, by the rule that each holds it to.

    Parameters
    ----------
    rules : tuple of Rule
        At least one; the first is told where several stand as well.
    seeds : numpy.random.SeedSequence
        Of the variates that randomise PITs.
    log_threshold : float
        ln(1/alpha), nats.
    vocab_size, tolerance, grid_width
        See :class:`Watch`.
    """

    def __init__(
        self,
        rules: tuple[Rule, ...],
        seeds: np.random.SeedSequence,
        log_threshold: float,
        *,
        vocab_size: int,
        tolerance: float,
        grid_width: int | None = None,
    ) -> None:
        streams = (seeds, *seeds.spawn(len(rules) - 1))
        self.watches = tuple(
            Watch(rule, vocab_size, np.random.default_rng(stream), log_threshold, tolerance, grid_width)
            for rule, stream in zip(rules, streams, strict=True)
        )
        self._log_threshold = log_threshold
        self._crossed = [math.inf] * len(rules)
        self._decided: int | None = None
        self._seen = 0

    @property
    def stated(self) -> str | None:
        """The name of the rule, where there is but one."""
        rules = {watch.rule for watch in self.watches}
        return self.watches[0].rule.name if len(rules) == 1 else None

    def _is_settled(self, number: int) -> bool:
        watch = self.watches[number]
        if len(self.watches) == 1 or watch.finite_log_e_value < self._log_threshold + SETTLED:
            return False
        if self._seen >= max(2 * self._crossed[number], FIRST_BATCH):
            return True
        found = diagnose(watch)
        return found is not None and found.lead >= CLEAR_LEAD

    @property
    def asks_of_windows(self) -> bool:
        """Whether a rule is open that decides on windows as a whole."""
        return any(one.rule.decides_on_windows and not self._is_settled(i) for i, one in enumerate(self.watches))

    def bet(
        self,
        commits: Commits,
        model_probs: Floats | None,
        offset: int,
        *,
        laws_recorded: bool = True,
        windows: Windows | None = None,
        rows: Rows | None = None,
        decided: Commits | None = None,
    ) -> Floats:
        """Bet under every rule that is open, and return the paths of ln E, Float[watches, S].

        Parameters
        ----------
        commits, model_probs, offset, laws_recorded, windows, rows
            See :meth:`Watch.bet`.
        decided : Commits, optional
            The same where they were decided, if some waited.
        """
        paths = []
        if decided is not None and self._decided is None:
            self._split()
        self._seen += len(commits)
        for i, watch in enumerate(self.watches):
            settled = self._is_settled(i)
            paths.append(
                watch.bet(
                    decided if decided is not None and i == self._decided else commits,
                    model_probs,
                    offset,
                    laws_recorded=laws_recorded,
                    windows=windows,
                    only_checks=settled,
                    rows=rows,
                )
            )
            if watch.finite_log_e_value >= self._log_threshold:
                self._crossed[i] = min(self._crossed[i], self._seen)
        return np.stack(paths)

    def _split(self) -> None:
        """Begin to watch where positions are decided, beside where they are committed."""
        tests_one_by_one = [i for i, watch in enumerate(self.watches) if watch.rule.compares_variates]
        if tests_one_by_one:
            (number,) = tests_one_by_one
            self._decided = len(self.watches)
            self.watches = (*self.watches, self.watches[number].split())
            self._crossed.append(self._crossed[number])

    def nearest(self, *, refuted: bool) -> Watch:
        """The watch of the rule that the subject follows, or would but for a fault.

        Parameters
        ----------
        refuted : bool
            Whether all are, or the tokens alone. Then it is the first one, unless the bets against that crossed the
            threshold long before those against another did: what never happens under one rule does under others, and
            says little. Where variates do not show that it is the first, another is nearer that stands where the first
            does not, or is refuted by what never happens alone, or of which but the noise is not new.
        """
        if refuted:
            first, rules = self.watches[0], range(self._decided or len(self.watches))
            slowest = max(rules, key=lambda i: self._crossed[i])
            if first.flags_follow_variates:
                return first
            nearer = [watch for watch in self.watches[1 : self._decided] if self._is_nearer(watch, first)]
            if nearer:
                return min(nearer, key=lambda watch: watch.finite_log_e_value)
            other = min(self._crossed[slowest], self._seen) > LONG_BEFORE * self._crossed[0]
            return self.watches[slowest] if other else first
        if len(self.watches) == 1:
            return self.watches[0]
        log_e_values = [watch.log_e_value for watch in self.watches]
        least = min(log_e_values)
        return next(w for w, ln_e in zip(self.watches, log_e_values, strict=True) if ln_e <= least + CLEAR)

    def _is_nearer(self, watch: Watch, first: Watch) -> bool:
        """Whether a subject that is refuted is nearer to another rule than to the first."""
        if watch.violations.keys() & set(watch.rule.disowns):
            return False
        if watch.finite_log_e_value >= ESTABLISHED:
            found = None if watch.violations or not first.violations else diagnose(watch)
            return found is not None and found.condition is Condition.INDEPENDENCE
        lies_further = first.finite_log_e_value if watch.violations else first.log_e_value
        return lies_further >= self._log_threshold

    @property
    def stand(self) -> bool:
        """Whether some rule is not refuted by itself."""
        return any(watch.log_e_value < self._log_threshold for watch in self.watches)

    @property
    def log_e_values(self) -> dict[str, float]:
        """Ln E (nats) against every rule, by name."""
        names = dict.fromkeys(watch.rule.name for watch in self.watches)
        return {name: min(w.log_e_value for w in self.watches if w.rule.name == name) for name in names}
