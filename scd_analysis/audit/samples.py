"""The audit of tokens alone: a portfolio of bettors against the target law."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from scd_analysis.audit.bets import ESTABLISHED
from scd_analysis.audit.divergences import Divergences, GreedyReport
from scd_analysis.audit.draws import FIRST_BATCH, Draws
from scd_analysis.audit.judges import Judge
from scd_analysis.audit.named import NAMED, DraftModel, NamedFault, draft_probs, strongest, with_named
from scd_analysis.audit.target import Target
from scd_analysis.audit.verdict import UNTESTED, Diagnosis, Finding
from scd_analysis.conditions import Condition
from scd_analysis.evidence.batch import Batch, Floats, Longs, Rows
from scd_analysis.evidence.catalogue import CONCENTRATIONS, FEW_TOKENS, PRIOR_TOKENS, is_small, standard_portfolio
from scd_analysis.evidence.certificate import Certificate, TotalVariation
from scd_analysis.evidence.features import OF_NOISE
from scd_analysis.evidence.multiplicity import e_benjamini_hochberg
from scd_analysis.evidence.portfolio import Portfolio, Standing
from scd_analysis.evidence.resolution import every_cell, one_direction, one_observation
from scd_analysis.evidence.robust import RobustPortfolio, robust_portfolio
from scd_analysis.evidence.rows import WEIGHTS as ROWS
from scd_analysis.evidence.rows import ByHalf, ByRow
from scd_analysis.validate import LAW_TOLERANCE

FALSE_DISCOVERY_RATE = 0.05
CERTIFICATE_DELTA = 0.05
CLEAR_LEAD = 5.0
"""Lead in ln E of a named fault over the next (nats) beyond which nothing more need be looked at."""

ALL_ROWS = ("directed", "ridge", "long-directed", "long-ridge")
"""Families that bet along the directions that those on rows do."""

CLEAR = math.log(20)
"""How much richer a family on rows must be to be believed, nats."""

EDGE = 0.05
"""Nats of a logit that half precision, some layers deep, may be off by."""

LEFT_OUT = (
    "{count:,} of {seen:,} sequences were left out: they hold a token that the target's settings cut off, and would "
    "keep if its logit were {short:.2g} nats higher, which rounding may do; an audit with epsilon judges them too"
)

SMALLEST_CHUNK, CHUNK_GROWTH = 16, 1 / 16
SMALLEST_CHUNK_OF_LONG = 4
"""A few long sequences tell enough for some bettors to learn from, which they do between chunks."""


@dataclass(frozen=True)
class Impossible:
    """A token of probability zero: one is enough."""

    sequence: int
    position: int
    message: str


def ranked(log_e_values: Floats) -> list[tuple[int, float, bool]]:
    """Rank evidence, largest first: its index, its ln E and whether it stands; below one nat it says nothing."""
    stands = e_benjamini_hochberg(log_e_values, FALSE_DISCOVERY_RATE)
    order = [int(i) for i in np.argsort(-log_e_values) if log_e_values[i] >= 1]
    return [(i, float(log_e_values[i]), bool(stands[i])) for i in order]


def is_certain(batch: Batch) -> bool:
    """Whether every law is a point mass."""
    return bool((batch.target_probs.max(axis=-1) == 1).all())


@dataclass
class AtEdges:
    """Sequences with a token that settings cut off by no more than rounding may.

    Attributes
    ----------
    count : int
    short : float
        By how much the logit of such a token fell short at most, nats.
    """

    count: int = 0
    short: float = 0.0

    def message(self, seen: int) -> str:
        """What was left out of ``seen`` sequences, in words."""
        return LEFT_OUT.format(count=self.count, seen=seen, short=self.short)


def find_impossible(
    batch: Batch, offset: int, target: Target, at_edges: AtEdges
) -> tuple[Impossible | None, npt.NDArray[np.bool_]]:
    """Return the first token of probability zero, and which sequences before it can be judged, Bool[S].

    Those cannot that hold a token which settings cut off by so little that rounding might: they never come where
    nothing is rounded, so that leaving them out costs no lossless decoder anything, and they are counted in
    ``at_edges``. ``offset`` is the number of the batch's first sequence.
    """
    judged = np.ones(len(batch), dtype=bool)
    for i, j in np.argwhere(batch.token_probs <= 0).tolist():
        law, token = batch.target_probs[i, j], int(batch.tokens[i, j])
        short = target.nats_from_kept(batch.tokens[i, :j], token)
        if short <= EDGE:
            at_edges.count, at_edges.short = at_edges.count + bool(judged[i]), max(at_edges.short, short)
            judged[i] = False
            continue
        allowed = (
            f"only {int(law.argmax())} is possible" if law.max() == 1 else f"{int((law > 0).sum())} others are possible"
        )
        message = (
            f"a token came that the target gives probability zero: {token} at position {j} of sequence {offset + i}, "
            f"where {allowed}"
        )
        judged[i:] = True
        return Impossible(offset + i, j, message), judged
    return None, judged


class SampleEvidence:
    """Bets on finished sequences; part of every audit.

    Attributes
    ----------
    certain : bool
        Whether every law so far was a point mass, as a greedy decoder's are.
    impossible : Impossible or None
        The first token that the target gives probability zero; not looked for where epsilon is above zero.
    at_edges : AtEdges
        Sequences that were left out.
    portfolio : Portfolio or RobustPortfolio
        Who decides: against the target's laws, or against balls around them.
    balls : RobustPortfolio or None
        Who bets against balls: who decides, or, where sequences can be counted, somebody beside.

    Parameters
    ----------
    target : Target
    rng : numpy.random.Generator
        Randomises the PIT.
    draft : DraftModel, optional
        With it the named faults are bet on.
    in_batches : bool
        Whether it is known in which row of a batch each sequence was drawn.
    epsilon : float
        How far in total variation every conditional law may be from the target's.
    """

    def __init__(
        self,
        target: Target,
        rng: np.random.Generator,
        draft: DraftModel | None = None,
        *,
        in_batches: bool = False,
        epsilon: float = 0.0,
    ) -> None:
        self.target, self._rng, self.draft, self.epsilon = target, rng, draft, epsilon
        sizes, known = (target.vocab_size, target.num_tokens), (target.companions, target.grid_width)
        self.balls = robust_portfolio(*sizes, epsilon, *known) if epsilon or is_small(*sizes) else None
        self.portfolio: Portfolio | RobustPortfolio[Batch]
        if self.balls is not None and epsilon:
            self.portfolio = self.balls
        else:
            standard = standard_portfolio(*sizes, *known, in_batches=in_batches)
            self.portfolio = standard if draft is None else with_named(standard, NAMED)
        countable = target.countable_law()
        self._bounds = None if countable is None else TotalVariation(*countable, CONCENTRATIONS)
        self._whole = countable is not None and countable[1] == "whole sequences"
        self.certain = True
        self.impossible: Impossible | None = None
        self.at_edges = AtEdges()
        self._divergences = Divergences(0.0)
        self._is_own_draft = draft is not None
        self._seen = self._open_sequences = self._open_tokens = 0

    def batch(self, tokens: Longs, rows: Rows | None = None) -> Batch:
        """Look the laws up, the target's and the draft model's; ``rows`` says where the sequences stood when drawn."""
        whole = self.draft is not None or self.epsilon > 0
        batch = replace(self.target.batch(tokens, self._rng, whole=whole), rows=rows)
        return batch if self.draft is None else self.draft.beside(batch)

    def bet(self, batch: Batch) -> Floats:
        """Bet and return ln E after each sequence."""
        if self._bounds is not None:
            self._bounds.update(batch.tokens[:, 0] if batch.cells is None or not self._whole else batch.cells)
        self.certain = self.certain and is_certain(batch)
        if self.certain:
            self._divergences.add(batch.tokens, batch.target_probs)
        if self._is_own_draft:
            self._is_own_draft = bool(np.allclose(draft_probs(batch), batch.target_probs, rtol=0, atol=LAW_TOLERANCE))
        if self.balls is not None and self.balls is not self.portfolio:
            self.balls.bet(batch)
        judged = np.ones(len(batch), dtype=bool)
        if self.impossible is None and not self.epsilon:
            self.impossible, judged = find_impossible(batch, self._seen, self.target, self.at_edges)
        self._seen += len(batch)
        if judged.all():
            return self._bet(batch)
        before = self.portfolio.log_e_value
        path = self._bet(batch.only(judged)) if judged.any() else np.empty(0)
        return np.concatenate([[before], path])[np.cumsum(judged)]

    def _bet(self, batch: Batch) -> Floats:
        open_ = batch.token_probs < 1  # where a law is a point mass, nothing is learned of a departure elsewhere
        self._open_sequences += int(open_.any(axis=1).sum())
        self._open_tokens += int(open_.sum())
        return self.portfolio.bet(batch)

    def certificate(self) -> Certificate | None:
        """Bounds on the total variation of what can be counted."""
        return None if self._bounds is None else self._bounds.certificate(CERTIFICATE_DELTA)

    def greedy(self) -> GreedyReport | None:
        """How far from greedy decoding the tokens are, where every law was a point mass."""
        return self._divergences.report() if self.certain and self._seen else None

    def findings(self) -> tuple[Finding, ...]:
        """Rank families by their evidence, each with what its best arm says; those below one nat say nothing."""
        families, named = self._speaking(), self.named
        order = ranked(np.array([family.log_e_value for family in families]))
        out = [Finding(families[i].best_arm, _told(families[i], named), value, stands) for i, value, stands in order]
        if self.impossible is not None:
            out.insert(0, Finding("support", self.impossible.message, math.inf, True))
        if self.at_edges.count:
            out.append(Finding(UNTESTED, self.at_edges.message(self._seen), 0.0, False))
        return tuple(out)

    def _speaking(self) -> list[Standing]:
        """Families that say something of their own: of rows, what explains clearly more than all rows together do."""
        families = self.portfolio.families()
        if not isinstance(self.portfolio, Portfolio):  # nobody bets on rows against balls
            return list(families)
        whole = max((one.log_e_value for one in families if one.name in ALL_ROWS), default=0.0)
        told = []
        for one, member in zip(families, self.portfolio.members, strict=True):
            is_clear = one.log_e_value >= max(whole + CLEAR, ESTABLISHED)
            if isinstance(member.bettor, ByRow | ByHalf):
                best = member.bettor.arms.index(one.best_arm)
                is_clear = one.log_e_value >= ESTABLISHED and member.bettor.is_apart(best)
            if one.name not in ROWS or is_clear:
                told.append(one)
        return told

    def diagnosis(self, seen: int) -> Diagnosis:
        """Say what tokens alone suggest, after ``seen`` sequences: which rows, where that is clear.

        A fault is named where the draft model is known, and shared noise where the target is its own draft.
        """
        findings, first = self.findings(), self.impossible
        told = tuple(f.message for f in findings[:4])
        named = self.named
        if named is not None:
            fault, _, lead = named
            return Diagnosis(fault.condition, fault.cause, None, None, seen - 1, None, told, lead)
        noise = self._shared_noise
        if noise is not None and first is None:
            return Diagnosis(Condition.INDEPENDENCE, noise.message, None, None, seen - 1, None, told, 0.0)
        cause = findings[0].message if findings else "many small departures together"
        of_rows = [one for one in self._speaking() if one.name in ROWS]
        if of_rows and first is None:
            cause = max(of_rows, key=lambda one: one.log_e_value).message
        position, sequence = (None, seen - 1) if first is None else (first.position, first.sequence)
        return Diagnosis(None, cause, position, None, sequence, None, told, 0.0)

    @property
    def _shared_noise(self) -> Standing | None:
        """The strongest single direction, where it is one of shared noise and the target is its own draft.

        Every draft is accepted there and nothing is replaced, so that neither can be what is broken.
        """
        directed = [one for one in self.portfolio.families() if one.name == "directed"] if self._is_own_draft else []
        found = [one for one in directed if one.log_e_value >= ESTABLISHED and one.best_arm.split(":")[1] in OF_NOISE]
        return found[0] if found else None

    @property
    def named(self) -> tuple[NamedFault, float, float] | None:
        """The named fault that stands, with its ln E and its lead; None where they are not bet on."""
        if self.draft is None or not isinstance(self.portfolio, Portfolio) or self.portfolio.impossible:
            return None
        return strongest(self.portfolio, NAMED)

    def repeated(self) -> Standing:
        """Where the bets on sequences that come again stand."""
        families = self.portfolio.families()
        return next((family for family in families if family.name == "repeats"), Standing("repeats", "", "", 0.0))

    def resolutions(self, log_threshold: float, seen: int, log_weight: float = 0.0) -> dict[str, dict[str, float]]:
        """Total variation between laws of whole sequences, by direction; ``log_weight`` of the portfolio itself."""
        if self.epsilon:
            tokens, weight = seen * self.target.num_tokens, float(self.portfolio.log_weights[0]) + log_weight
            beyond = one_observation(log_threshold, weight, tokens, np.asarray(PRIOR_TOKENS))
            return {"balls": {"one set of tokens": min(1.0, self.epsilon + beyond)}}
        if self.certain:
            return {"token for token": {"any other token": 1 - 0.01 ** (1 / max(seen, 1))}}
        weights = dict(zip(self.portfolio.arms, self.portfolio.log_weights + log_weight, strict=True))
        directed = next(weight for arm, weight in weights.items() if arm.startswith("directed:"))
        seen, tokens = min(seen, self._open_sequences), min(seen * self.target.num_tokens, self._open_tokens)
        priors = np.asarray(PRIOR_TOKENS)
        out = {"one learned direction": one_direction(log_threshold, float(directed), seen, tokens, priors)}
        joint = [weight for arm, weight in weights.items() if arm.startswith("joint-cells:")]
        if joint:
            cells = self.target.vocab_size**self.target.num_tokens
            out["every cell at once"] = every_cell(log_threshold, float(joint[0]), seen, cells, CONCENTRATIONS)
        if self.target.laws_apart > LAW_TOLERANCE:
            out["laws that differ after the same tokens"] = self.target.laws_apart
        return {"samples": out}


def _told(family: Standing, named: tuple[NamedFault, float, float] | None) -> str:
    """What a family says; of named faults beside the one that stands, it is not claimed that they are there."""
    if named is None or not family.name.startswith("named:") or family.message == named[0].cause:
        return family.message
    return f"as if {family.message}"


class SampleJudge(Judge[Batch]):
    """Judge a subject by its tokens.

    Parameters
    ----------
    evidence : SampleEvidence
    draws : Draws
    first : Long[S, N]
        Already drawn, to see what the subject returns.
    log_threshold, limit
        See :class:`Judge`.
    stated_rule
        See :class:`Judge`.
    until_certain : bool
        Whether one batch is enough where every target law is a point mass.
    """

    grade = "samples"

    def __init__(
        self,
        evidence: SampleEvidence,
        draws: Draws,
        first: Longs | None,
        log_threshold: float,
        limit: int,
        *,
        until_certain: bool = False,
        stated_rule: str | None = None,
    ) -> None:
        super().__init__(log_threshold, limit, stated_rule)
        self.until_certain, self._left = until_certain, 0
        self.evidence, self._draws, self._first, self.epsilon = evidence, draws, first, evidence.epsilon
        self.vocab_size, self.num_tokens = evidence.target.vocab_size, evidence.target.num_tokens

    @property
    def most_at_once(self) -> int:
        """As the target allows."""
        return self.evidence.target.sequences_at_once

    def draw(self, size: int) -> Batch:
        """Draw tokens and look the laws up."""
        tokens, self._first = self._draws.next(size) if self._first is None else self._first, None
        batch = self.evidence.batch(tokens, self._draws.rows(0, len(tokens), len(tokens)))
        self._draws.check_fresh(tokens, batch.token_probs)
        self._left = len(batch)
        if self.until_certain and not self.epsilon and self.evidence.certain and is_certain(batch):
            self.limit = min(self.limit, len(batch))
        return batch

    def parts(self, drawn: Batch) -> Iterator[tuple[Batch, int]]:
        """Parts that grow with what was seen."""
        smallest = SMALLEST_CHUNK if self.num_tokens <= FEW_TOKENS else SMALLEST_CHUNK_OF_LONG
        return ((part, len(part)) for part in drawn.chunks(self.seen, CHUNK_GROWTH, smallest))

    def bet(self, part: Batch, offset: int) -> Floats:
        """Bet on tokens."""
        self._left -= len(part)
        return self.evidence.bet(part)

    def findings(self) -> tuple[Finding, ...]:
        """See :class:`SampleEvidence`."""
        return self.evidence.findings()

    def resolutions(self) -> dict[str, dict[str, float]]:
        """See :class:`SampleEvidence`."""
        return self.evidence.resolutions(self.log_threshold, self.seen)

    def log_weights(self) -> dict[str, float]:
        """Of all arms."""
        portfolio = self.evidence.portfolio
        return dict(zip(portfolio.arms, map(float, portfolio.log_weights), strict=True))

    def certificate(self) -> Certificate | None:
        """See :class:`SampleEvidence`."""
        return self.evidence.certificate()

    def greedy(self) -> GreedyReport | None:
        """See :class:`SampleEvidence`."""
        return self.evidence.greedy()

    def is_diagnosed(self) -> bool:
        """Whether nothing more need be looked at: one of the named faults leads clearly, where they are bet on.

        A first batch is looked at whole: which rows are wrong shows by those that are right.
        """
        if self._left > 0 and self._looked_at < FIRST_BATCH:
            return False
        if self.evidence.draft is None or self.evidence.impossible is not None:
            return True
        named = self.evidence.named
        return named is not None and named[2] >= CLEAR_LEAD

    @property
    def balls(self) -> RobustPortfolio[Batch] | None:
        """See :class:`SampleEvidence`."""
        return self.evidence.balls

    @property
    def taken(self) -> tuple[str, str]:
        """Token for token, or sequential."""
        if self.evidence.certain and not self.epsilon:
            return "token for token", "every target law is a point mass, so that a single other token refutes"
        return "sequential", "the subject shows finished sequences only, which are bet on token by token"

    def diagnosis(self) -> Diagnosis | None:
        """Say what tokens suggest; which condition broke they say only where the draft model is known."""
        return self.evidence.diagnosis(self.seen) if self.refuted else None
