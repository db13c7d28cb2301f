"""``exact_law``: the exact law of an unmodified sampler."""

from __future__ import annotations

import inspect
import math
import time
from collections.abc import Callable, Hashable
from typing import Any, TypedDict

from scd_analysis.errors import InputError
from scd_analysis.exact.arithmetic import ArithmeticName
from scd_analysis.exact.draws import EnumeratedDraws
from scd_analysis.exact.explore import Explorer, Limits, RunOnce
from scd_analysis.exact.interception import intercepted, watched
from scd_analysis.exact.law import ExactLaw
from scd_analysis.exact.loop import Loop, as_loop, law_of_loop
from scd_analysis.exact.progress import reporting
from scd_analysis.exact.run import active
from scd_analysis.exact.workers import SHARE, explore_in_processes, packed, processes_wanted
from scd_analysis.validate import check_at_least, check_between, check_known


class Options(TypedDict, total=False):
    """What :func:`exact_law` can be told from the command line, too; see there."""

    arithmetic: ArithmeticName
    mass_floor: float
    max_branches: int | None
    max_seconds: float | None
    workers: int
    progress: bool | None


def exact_law(
    sampler: Callable[..., Any] | Loop,
    *,
    state_key: Callable[[Any], Hashable] | None = None,
    arithmetic: ArithmeticName = "float64",
    mass_floor: float = 0.0,
    max_branches: int | None = None,
    max_seconds: float | None = None,
    workers: int = 1,
    progress: bool | None = None,
    slack: float = 1e-12,
    intercept: bool = True,
) -> ExactLaw:
    """Compute the exact law of a sampler's outcome by replaying its random choices.

    The sampler is run once for every path of choices. Discrete draws branch on their support; a uniform variate decides
    only when it is compared, which splits the interval it is known to lie in; exponential and Gumbel noise decides
    races, each of which cuts a cell of the simplex. Theory, section 7.

    Parameters
    ----------
    sampler
        ``sampler()``, giving a hashable outcome (tensors, arrays and lists become tuples), drawing from PyTorch, NumPy
        and Python's random in any way; or ``sampler(draws)``, written against `scd_analysis.exact.Draws`; or a
        `Loop` (or an object with its methods), whose equal states are merged.
        It must do the same thing every time it is run with the same draws.
    state_key
        For a `Loop`: what of a state decides the future. Default: the loop's own ``state_key``, else the state itself.
    arithmetic
        "float64", or "rational" for samplers that take ``draws`` and compute in Fractions.
    mass_floor
        Paths of smaller probability are not run; their mass is reported.
    max_branches, max_seconds
        Budget. When it is spent the law is partial, heaviest paths first, and says how much is missing. A function that
        rejects until it accepts, with several ways to be rejected, needs one: its paths have no end, and without a
        budget it is refused when 50 of them have become less likely than 1e-18. As a `Loop` it needs none: equal states
        are merged, and what returns to them is solved for. On the main thread a sampler that loops for ever or waits is
        interrupted. Starting processes may take some seconds more.
    workers
        Processes, at most 1,024, for a function (a `Loop` refuses more than one), started by joblib:
        `joblib.parallel_config` says where they run; threads are refused. Sampler and outcomes are pickled (by
        cloudpickle, so lambdas are).
    progress
        Show progress on stderr; None shows it on a terminal only.
    slack
        How much total variation may be passed over, and counted, for guards such as ``log(u + 1e-20)`` inside a race.
    intercept
        False leaves PyTorch, NumPy and Python's random alone, which saves a tenth of a second: for a ``sampler(draws)``
        or a `Loop` that draws from ``draws`` only.

    Returns
    -------
    ExactLaw
        Probabilities that sum to one within 1e-12, less the mass that was left out.

    Raises
    ------
    CannotEnumerate
        If the sampler uses a variate in a way that cannot be followed, naming the operation and the line; if it does
        not repeat itself; or if it returns NaN.
    InputError
        If an argument is not what it should be, or the sampler ends the program (``SystemExit`` and its like). Its own
        errors come through as they are, with a note of the branch.

    Notes
    -----
    A uniform variate is a real number in [0, 1), not a multiple of 2^-24: ``u < 0`` never holds, ``u <= 0`` has
    probability zero, ``u < 1`` is sure. Constants have the value that the audited code gives them: in float32 code, the
    float32 value; weights of discrete draws are normalised in float64. Seeds and generators are ignored, with a note.

    An epsilon inside of noise, ``-log(-log(u + eps) + eps)``, changes the law by an amount of its own order. One below
    ``slack`` (1e-20) is passed over and counted. A larger one (1e-10, 1e-7) is followed as real arithmetic has it, by
    an integral for each racer (`geometry.contest`), for one decision: noise that races again is refused, unless
    ``slack`` is large enough to pass the epsilon over. Either law lies within 2 eps a racer of the law without an
    epsilon; in float32, adding less than 2^-25 to a u above 1/2 changes nothing at all. ``log(-log(u + eps))``, the
    logarithm of a negative number with probability eps, is refused beyond ``slack``.

    A variate is a stand-in that passes ``isinstance(u, float)``; code that asks ``type(u) is float`` sees through it.

    Examples
    --------
    >>> import torch
    >>> law = exact_law(lambda: bool(torch.rand(()) * 0.5 < 0.1))
    >>> round(law[True], 12)
    0.2
    """
    limits = _checked(arithmetic, mass_floor, max_branches, max_seconds, slack, workers)
    if not callable(sampler) and all(hasattr(sampler, name) for name in ("initial_state", "step", "outcome")):
        sampler = as_loop(sampler)
    guard = intercepted if intercept else watched
    if not (intercept or isinstance(sampler, Loop) or takes_draws(sampler)):
        raise InputError("intercept=False: only a sampler(draws) or a Loop brings its own randomness")
    if isinstance(sampler, Loop):
        if workers > 1:
            raise InputError(f"workers = {workers}: a Loop merges its states in one process; pass workers=1")
        with reporting(progress) as report, guard(sampler) as watch:
            return law_of_loop(sampler, state_key, limits, watch.check, report)
    if state_key is not None:
        raise InputError("state_key: only a Loop has states to merge; this sampler is a function")
    dealt = processes_wanted(workers)
    content = packed(sampler) if dealt else b""
    deadline = time.monotonic() + (math.inf if max_seconds is None else max_seconds)
    with reporting(progress) as report:
        with guard(sampler) as watch:
            explorer = Explorer(runner(sampler, limits.rational), limits, watch.check, heaviest_first=dealt)
            enough = SHARE * workers if dealt else math.inf
            explorer.run(lambda: report(explorer.tally.branches, explorer.waiting) or explorer.waiting >= enough)
        if dealt:  # with nothing intercepted here
            explore_in_processes(explorer, content, runner, limits, workers, intercept, deadline, report)
    explorer.leave_rest()
    return explorer.tally.law(limits.rational)


LONGEST = 1e8
"""Seconds that a limit can have: three years, and no clock's end."""


MOST_WORKERS = 1024
"""Processes that can be asked for; more than any machine of today starts at once."""


def _checked(
    arithmetic: str,
    mass_floor: float,
    max_branches: int | None,
    max_seconds: float | None,
    slack: float,
    workers: int,
) -> Limits:
    if active() is not None:
        raise InputError("sampler: it calls exact_law itself; enumerate the inner sampler on its own")
    check_known(arithmetic, ("float64", "rational"), "arithmetic")
    check_between(mass_floor, 0, 1, "mass_floor")
    check_between(slack, 0, 1, "slack")
    check_between(workers, 1, MOST_WORKERS, "workers")
    if max_branches is not None:
        check_at_least(max_branches, 1, "max_branches")
    if max_seconds is not None:
        check_between(max_seconds, 0, LONGEST, "max_seconds")
    return Limits(arithmetic == "rational", mass_floor, max_branches, max_seconds, slack)


def takes_draws(sampler: Callable[..., Any]) -> bool:
    """Tell whether a sampler has a parameter without default, for ``draws``."""
    try:
        parameters = inspect.signature(sampler).parameters.values()
    except (TypeError, ValueError):
        return False
    needed = [p for p in parameters if p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    if len(needed) > 1:
        raise InputError(f"sampler has {len(needed)} parameters: it takes none, or draws; bind the others first")
    return bool(needed)


def runner(sampler: Callable[..., Any], rational: bool) -> RunOnce:
    """Give what one run calls.

    Raises
    ------
    InputError
        If rational arithmetic is asked of a sampler that does not take draws.
    """
    if takes_draws(sampler):
        return lambda run: sampler(EnumeratedDraws(run))
    if rational:
        raise InputError('arithmetic="rational": only a sampler(draws) computes in Fractions; tensors hold floats')
    return lambda run: sampler()
