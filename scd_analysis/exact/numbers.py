"""Numbers that may be random: a constant, a monotone function of one variate, or something that cannot be followed.

Constants are folded; a function of one variate stays a chain of monotone steps; two different variates in one sum or
product give `Unknown`. Values are those of real arithmetic on the constants as the audited code has them. A comparison,
a rounding or an argmax decides, and splits the run into branches.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any, NoReturn

import torch

from scd_analysis.exact.arithmetic import INFINITE, Number
from scd_analysis.exact.geometry.monotone import Chain, split_affine, then_affine
from scd_analysis.exact.knowledge import MOST_CELLS, Knowledge
from scd_analysis.exact.refusals import AS_A_SEED, SKIPPED, refuse, site, stop
from scd_analysis.exact.run import Run, active
from scd_analysis.exact.torch.shadow import fill_random, scalar_term


def _is_array(value: Any) -> bool:
    """Arrays with dimensions and all tensors take care of themselves."""
    return hasattr(value, "shape") and (bool(value.shape) or hasattr(value, "untyped_storage"))


class RandomNumber:
    """A number that is not decided: arithmetic with it gives terms, comparing it decides."""

    __slots__ = ()

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        """Pass for a float where code asks what it was given: ``isinstance(u, float)`` chooses a path in silence."""
        return float

    def _arithmetic(self: Any, name: str, left: Any, right: Any) -> Any:
        other = right if left is self else left
        if _is_array(other):
            return NotImplemented
        return binary(name, left, right)

    def _compare(self, name: str, other: Any) -> Any:
        if _is_array(other):
            return NotImplemented
        return compare(name, self, other)

    def __add__(self, other: Any) -> Any:
        return self._arithmetic("add", self, other)

    def __radd__(self, other: Any) -> Any:
        return self._arithmetic("add", other, self)

    def __sub__(self, other: Any) -> Any:
        return self._arithmetic("sub", self, other)

    def __rsub__(self, other: Any) -> Any:
        return self._arithmetic("sub", other, self)

    def __mul__(self, other: Any) -> Any:
        return self._arithmetic("mul", self, other)

    def __rmul__(self, other: Any) -> Any:
        return self._arithmetic("mul", other, self)

    def __truediv__(self, other: Any) -> Any:
        return self._arithmetic("div", self, other)

    def __rtruediv__(self, other: Any) -> Any:
        return self._arithmetic("div", other, self)

    def __floordiv__(self, other: Any) -> Any:
        return rounded(self._arithmetic("div", self, other), "floor")

    def __mod__(self, other: Any) -> Any:
        return self - (self // other) * other

    def __divmod__(self, other: Any) -> Any:
        return self // other, self % other

    def __pow__(self, other: Any) -> Any:
        return self._arithmetic("pow", self, other)

    def __rpow__(self, other: Any) -> Any:
        return self._arithmetic("pow", other, self)

    def __neg__(self) -> Any:
        return self._arithmetic("mul", self, -1)

    def __pos__(self) -> Any:
        return self

    def __abs__(self: Any) -> Any:
        return unary("abs", self)

    def __lt__(self, other: Any) -> Any:
        return self._compare("lt", other)

    def __le__(self, other: Any) -> Any:
        return self._compare("le", other)

    def __gt__(self, other: Any) -> Any:
        return self._compare("gt", other)

    def __ge__(self, other: Any) -> Any:
        return self._compare("ge", other)

    def __eq__(self, other: object) -> Any:
        return self._compare("eq", other)

    def __ne__(self, other: object) -> Any:
        return self._compare("ne", other)

    def __bool__(self) -> bool:
        return bool(self._compare("ne", 0))

    def __hash__(self) -> int:  # noqa: PLE0309 -- it refuses
        refuse("hashing a variate", "its value is not decided")

    def __format__(self, _: str) -> str:
        return repr(self)

    def __repr__(self) -> str:
        if active() is None:
            return "<variate>"
        refuse("formatting a variate", "its value is not decided")

    def __float__(self) -> float:
        return to_float(self)

    def __int__(self) -> int:
        return self._rounded("trunc")

    def __index__(self) -> int:  # noqa: PLE0305 -- it refuses
        refuse("using a variate as an index", "it is no integer")

    def __floor__(self) -> int:
        return self._rounded("floor")

    def __ceil__(self) -> int:
        return self._rounded("ceil")

    def __trunc__(self) -> int:
        return self._rounded("trunc")

    def __round__(self, digits: int | None = None) -> int:
        if digits is not None:
            refuse("rounding a variate to digits", "only rounding to an integer is followed")
        return self._rounded("round")

    def _rounded(self: Any, how: str) -> int:
        return int(rounded(self, how))

    def __reduce_ex__(self, protocol: Any) -> Any:
        del protocol
        refuse("pickling or copying a variate", "its value is not decided")

    def __copy__(self) -> Any:
        return self

    def __deepcopy__(self, memo: Any) -> Any:
        del memo
        return self

    # NumPy's functions on arrays of objects call methods of the same name; see also FUNCTIONS.

    def floor(self) -> Any:
        """Round down; this decides."""
        return self._rounded("floor")

    def ceil(self) -> Any:
        """Round up; this decides."""
        return self._rounded("ceil")

    def rint(self) -> Any:
        """Round to the nearest integer; this decides."""
        return self._rounded("round")

    def item(self) -> Any:
        """Give the value itself, as NumPy scalars do."""
        return self

    def conjugate(self) -> Any:
        """Give the value itself: it is real."""
        return self

    @property
    def real(self) -> Any:
        """The value itself."""
        return self

    @property
    def imag(self) -> float:
        """Zero, since it is real."""
        return 0.0

    def is_integer(self) -> bool:
        """Refuse, as all that looks at digits."""
        refuse("asking whether a variate is an integer", "its value is not decided")

    def as_integer_ratio(self) -> tuple[int, int]:
        """Refuse, as all that looks at digits."""
        refuse("the ratio of a variate", "its value is not decided")

    def hex(self) -> str:
        """Refuse, as all that looks at digits."""
        refuse("formatting a variate", "its value is not decided")

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Take part in PyTorch's functions as a tensor without dimensions."""
        del types
        return func(*_in_tensors(args), **_in_tensors(kwargs or {}))


def _method(name: str) -> Callable[[Any], Term]:
    return lambda self: unary(name, self)


FUNCTIONS = ("log", "log2", "log10", "log1p", "exp", "expm1", "sqrt", "square", "reciprocal", "tanh", "sin", "cos")
"""Functions of one argument that are methods, too; sight is lost of a value of which `unary` does not know one."""

for _name in FUNCTIONS:
    setattr(RandomNumber, _name, _method(_name))


class Variate(RandomNumber):
    """A monotone function of one uniform variate, known only through the comparisons made with it.

    Behaves like a number in arithmetic; comparing it gives an ordinary bool, and splits the run into two branches.
    Converting it to a float, hashing it or returning it is refused.
    """

    __slots__ = ("chain", "known", "source")

    def __init__(self, known: Knowledge, source: int, chain: Chain) -> None:
        self.known = known
        self.source = source
        self.chain = chain

    def range(self) -> tuple[Number, Number]:
        """Bounds of the value, given what is known."""
        return self.known.range(self.source, self.chain)


class Unknown(RandomNumber):
    """A random number that cannot be followed; deciding anything by it is refused."""

    __slots__ = ("reason",)

    def __init__(self, what: str, why: str) -> None:
        self.reason = f"{what} at {site()}: {why}"

    def refuse(self) -> NoReturn:
        """Refuse, naming where the value was lost sight of.

        Raises
        ------
        CannotEnumerate
            Always.
        """
        stop(f"{self.reason} (its result decides at {site()})")


Term = Number | Variate | Unknown


def is_random(value: Any) -> bool:
    """Tell variates from constants."""
    return isinstance(value, RandomNumber)


def as_term(value: Any, known: Knowledge) -> Term:
    """Take a Python or NumPy number as a term of ``known``'s arithmetic."""
    if is_random(value):
        return value  # type: ignore[no-any-return]
    if isinstance(value, (int, float)) or hasattr(value, "__float__"):
        return known.number(value)
    return refuse("arithmetic with a variate", f"a {type(value).__name__} is no number")


def is_nan(value: Term) -> bool:
    """Tell a constant NaN."""
    return not is_random(value) and isinstance(value, float) and math.isnan(value)


def new_variate(run: Run) -> Variate:
    """Draw a new uniform variate."""
    return Variate(run.known, run.known.source(), ())


# -- arithmetic ------------------------------------------------------------------------------------------------------


def binary(name: str, left: Any, right: Any) -> Term:
    """Combine two numbers, at least one of them random; ``name`` is add, sub, mul, div or pow."""
    known = next((side.known for side in (left, right) if isinstance(side, Variate)), None)
    if known is None:
        return left if isinstance(left, Unknown) else _as_unknown(right)
    left, right = as_term(left, known), as_term(right, known)
    for side in (left, right):
        if isinstance(side, Unknown) or is_nan(side):
            lost: Term = side
            return lost
    return _BINARY[name](left, right)


def _as_unknown(side: Any) -> Unknown:
    return side if isinstance(side, Unknown) else Unknown("arithmetic", "neither side is random")


def _then(x: Variate, chain: Chain) -> Variate:
    return Variate(x.known, x.source, chain)


def affine(x: Variate, slope: Number, shift: Number) -> Term:
    """``slope x + shift``."""
    if slope == 0:
        return shift
    if not (math.isfinite(slope) and math.isfinite(shift)):
        return _infinite(x, slope, shift)
    return _then(x, then_affine(x.chain, slope, shift))


def _infinite(x: Variate, slope: Number, shift: Number) -> Term:
    if math.isfinite(slope):
        return shift
    low, high = x.range()
    if low >= 0:
        return slope + shift
    return -slope + shift if high <= 0 else Unknown("a product with infinity", "its sign is not known")


def _add(left: Any, right: Any) -> Term:
    if isinstance(left, Variate) and isinstance(right, Variate):
        return _affine_sum(left, right, 1, "a sum of two variates")
    return affine(left, 1, right) if isinstance(left, Variate) else affine(right, 1, left)


def _subtract(left: Any, right: Any) -> Term:
    if isinstance(left, Variate) and isinstance(right, Variate):
        return _affine_sum(left, right, -1, "a difference of two variates")
    return affine(left, 1, -right) if isinstance(left, Variate) else affine(right, -1, left)


def _affine_sum(left: Variate, right: Variate, sign: int, what: str) -> Term:
    """Add two functions that are affine in one and the same function of one variate."""
    if left.source == right.source:
        rest, a, b = split_affine(left.chain)
        other, c, d = split_affine(right.chain)
        if rest == other:
            return affine(_then(left, rest), a + sign * c, b + sign * d)
    return _joined(left, right if sign > 0 else _then(right, then_affine(right.chain, -1, 0)), what)


def _joined(left: Variate, right: Variate, what: str) -> Term:
    """Add functions of two variates: a variate of its own, whose parts are used once it has decided."""
    made = left.known.sum_of((left.source, left.chain), (right.source, right.chain), what)
    if made is None:
        return Unknown(what, "they have no common scale, and only sums and products of two variates are followed")
    return Variate(left.known, *made)


def _multiplied(left: Variate, right: Variate, what: str) -> Term:
    """Multiply functions of two variates that are not negative, as the exponential of a sum of logarithms."""
    if left.source == right.source or min(left.range()[0], right.range()[0]) < 0:
        return Unknown(what, "it is no function of one variate, and the signs of its factors are not known")
    logs = unary("log", left), unary("log", right)
    made = _joined(*logs, what) if all(isinstance(log, Variate) for log in logs) else Unknown(what, "of its logarithms")  # type: ignore[arg-type]
    return unary("exp", made)


def _multiply(left: Any, right: Any) -> Term:
    if isinstance(left, Variate) and isinstance(right, Variate):
        if left.source == right.source and left.chain == right.chain:
            return power(left, 2)
        return _multiplied(left, right, "a product of two variates")
    return affine(left, right, 0) if isinstance(left, Variate) else affine(right, left, 0)


def _divide(left: Any, right: Any) -> Term:
    if isinstance(right, Variate):
        if isinstance(left, Variate):
            if left.source == right.source and left.chain == right.chain:
                return left.known.number(1)
            inverse = power(right, -1)
            if not isinstance(inverse, Variate):
                return Unknown("a quotient of two variates", "the sign of its divisor is not known")
            return _multiplied(left, inverse, "a quotient of two variates")
        below = power(right, -1)
        return affine(below, left, 0) if isinstance(below, Variate) else below if left != 0 else left
    if right == 0:
        return _multiply(left, INFINITE)
    if not math.isfinite(right):
        return left.known.number(0)  # type: ignore[no-any-return]
    if left.chain and left.chain[-1][0] == "affine":  # one rounding less than multiplying by the reciprocal
        rest, slope, shift = split_affine(left.chain)
        return _then(left, then_affine(rest, slope / right, shift / right))
    return affine(left, left.known.number(1) / right, 0)


def _raise(left: Any, right: Any) -> Term:
    if not isinstance(right, Variate):
        return power(left, right)
    if isinstance(left, Variate) or left <= 0:
        return Unknown("a power with a random exponent", "its base is random or not positive")
    return unary("exp", affine(right, math.log(left), 0))


def power(x: Variate, exponent: Number) -> Term:
    """``x ** exponent``, as long as it is monotone on the range of x."""
    if exponent == 0:
        return x.known.number(1)
    if exponent == 1:
        return x
    low, high = x.range()
    if low >= 0:
        chain = x.chain
        if chain and chain[-1][0] == "power":
            return _then(x, _power_step(chain[:-1], chain[-1][1] * exponent))
        return _then(x, _power_step(chain, exponent))
    whole = float(exponent).is_integer()
    if high <= 0 and whole:
        mirrored = power(_then(x, then_affine(x.chain, -1, 0)), exponent)
        return affine(mirrored, -1, 0) if isinstance(mirrored, Variate) and int(exponent) % 2 else mirrored
    return Unknown("a power of a variate", "it is not monotone where the variate lies")


def _power_step(chain: Chain, exponent: Number) -> Chain:
    return chain if exponent == 1 else (*chain, ("power", exponent))


_BINARY: dict[str, Callable[[Any, Any], Term]] = {
    "add": _add,
    "sub": _subtract,
    "mul": _multiply,
    "div": _divide,
    "pow": _raise,
}


# -- functions of one argument ---------------------------------------------------------------------------------------


def unary(name: str, x: Term) -> Term:
    """Apply a named function; one that is not followed gives `Unknown`."""
    if not is_random(x) or isinstance(x, Unknown):
        return x if isinstance(x, Unknown) else _constant(name, x)
    if not isinstance(x, Variate) or name not in _UNARY:
        return Unknown(name, "this function of a variate is not followed")
    return _UNARY[name](x)


def _constant(name: str, x: Any) -> Term:
    return {"abs": abs, "reciprocal": lambda v: 1 / v}.get(name, getattr(math, name, math.nan))(x)  # type: ignore[no-any-return, operator]


def _log(x: Variate) -> Term:
    rest, slope, shift = split_affine(x.chain)
    if rest and rest[-1][0] == "exp" and shift == 0 and slope > 0:
        return affine(_then(x, rest[:-1]), 1, math.log(slope))
    if x.range()[0] < 0:
        chance = x.known.chance_below(x.source, x.chain, 0)
        if not x.known.passes_over(x.source, x.chain, chance):
            return Unknown(
                "log", f"its argument is negative with probability {float(chance):.3g}, more than slack allows"
            )
    return _then(x, (*x.chain, ("log",)))


def _exp(x: Variate) -> Term:
    if x.chain and x.chain[-1][0] == "log":
        return _then(x, x.chain[:-1])
    return _then(x, (*x.chain, ("exp",)))


def _absolute(x: Variate) -> Term:
    low, high = x.range()
    if low >= 0:
        return x
    return affine(x, -1, 0) if high <= 0 else Unknown("abs", "the sign of its argument is not known")


def _sigmoid(x: Term) -> Term:
    """``1 / (1 + exp(-x))``."""
    return binary("div", 1, binary("add", 1, unary("exp", binary("mul", x, -1))))


def _logit(x: Term) -> Term:
    """``-log(1/x - 1)``."""
    return binary("mul", unary("log", binary("sub", binary("div", 1, x), 1)), -1)


_UNARY: dict[str, Callable[[Variate], Term]] = {
    "log": _log,
    "log2": lambda x: binary("div", _log(x), math.log(2)),
    "log10": lambda x: binary("div", _log(x), math.log(10)),
    "log1p": lambda x: unary("log", affine(x, 1, 1)),
    "exp": _exp,
    "exp2": lambda x: unary("exp", affine(x, math.log(2), 0)),
    "expm1": lambda x: binary("sub", _exp(x), 1),
    "sqrt": lambda x: power(x, 0.5),
    "rsqrt": lambda x: power(x, -0.5),
    "square": lambda x: power(x, 2),
    "reciprocal": lambda x: power(x, -1),
    "neg": lambda x: affine(x, -1, 0),
    "abs": _absolute,
    "sigmoid": _sigmoid,
    "logit": _logit,
    "tanh": lambda x: binary("sub", binary("mul", _sigmoid(affine(x, 2, 0)), 2), 1),
}


def clamped(x: Term, low: Number, high: Number) -> Term:
    """``min(max(x, low), high)``."""
    if not isinstance(x, Variate):
        return x if isinstance(x, Unknown) else min(max(x, low), high)
    least, greatest = x.range()
    if low <= least and greatest <= high:
        return x
    if greatest <= low or high <= least or low >= high:
        return high if high <= least or low >= high else low
    return _then(x, (*x.chain, ("clamp", low, high)))


def increasing_unknown(x: Variate, name: object, low: Number, high: Number) -> Variate:
    """Give an increasing function of x with values in [low, high], one per ``name``, known by its order only."""
    return _then(x, (*x.chain, ("opaque", name, low, high)))


# -- decisions -------------------------------------------------------------------------------------------------------


_MIRROR = {"lt": "gt", "gt": "lt", "le": "ge", "ge": "le", "eq": "eq", "ne": "ne"}


def compare(name: str, left: Any, right: Any) -> bool:
    """Decide a comparison; ``name`` is lt, le, gt, ge, eq or ne.

    Raises
    ------
    CannotEnumerate
        If it compares what has no common scale.
    """
    for side in (left, right):
        if isinstance(side, Unknown):
            side.refuse()
    if not isinstance(left, Variate):
        left, right, name = right, left, _MIRROR[name]
    return _compared(name, left, as_term(right, left.known))


def _compared(name: str, left: Variate, right: Term) -> bool:
    if isinstance(right, Variate):
        return _two(name, left, right)
    if isinstance(right, Unknown):
        right.refuse()
    if is_nan(right):
        return name == "ne"
    if name in ("eq", "ne"):
        return _equals(left, right) == (name == "eq")
    if name in ("lt", "le"):
        return left.known.below(left.source, left.chain, right, strict=name == "lt")
    return not left.known.below(left.source, left.chain, right, strict=name == "ge")


def _equals(x: Variate, constant: Number) -> bool:
    """A variate equals a constant with probability zero, unless a clamp has put mass there."""
    if not any(step[0] == "clamp" for step in x.chain):
        return False
    known = x.known
    return known.below(x.source, x.chain, constant, strict=False) and not known.below(
        x.source, x.chain, constant, strict=True
    )


def _two(name: str, left: Variate, right: Variate) -> bool:
    if left.source == right.source:
        return _same_variate(name, left, right)
    apart = _ranges_decide(left, right)
    if name in ("eq", "ne"):
        if apart is None and any(step[0] == "clamp" for x in (left, right) for step in x.chain):
            refuse("comparing two clamped variates for equality", "both may stand at the clamp")
        return name == "ne"
    if apart is not None:
        return apart == (name in ("lt", "le"))
    racers = [(left.source, left.chain), (right.source, right.chain)]
    smaller = left.known.first(racers, largest=False, what="comparing two variates") == 0
    return smaller == (name in ("lt", "le"))


def _same_variate(name: str, left: Variate, right: Variate) -> bool:
    if left.chain == right.chain:
        return name in ("le", "ge", "eq")
    rest, a, b = split_affine(left.chain)
    other, c, d = split_affine(right.chain)
    if rest != other:
        refuse("comparing two functions of one variate", "they are not affine in a common one")
    if a == c:
        return {"lt": b < d, "le": b <= d, "gt": b > d, "ge": b >= d, "eq": b == d, "ne": b != d}[name]
    difference = Variate(left.known, left.source, rest)
    crossing = (d - b) / (a - c)
    return compare(name if a > c else _MIRROR[name], difference, crossing)


def _ranges_decide(left: Variate, right: Variate) -> bool | None:
    """True when left surely lies below right, False when above, None when their ranges overlap."""
    (a, b), (c, d) = left.range(), right.range()
    return True if b <= c else False if d <= a else None


def rounded(x: Term, how: str) -> float:
    """Decide floor, ceil, trunc or round of a random number."""
    if isinstance(x, Unknown):
        x.refuse()
    if not isinstance(x, Variate):
        return {"floor": math.floor, "ceil": math.ceil, "trunc": math.trunc, "round": round}[how](x)  # type: ignore[no-any-return, operator]
    low, high = x.range()
    if not (math.isfinite(low) and math.isfinite(high)):
        refuse(f"{how} of a variate", "its range is not bounded")
    if high - low > MOST_CELLS:
        refuse(f"{how} of a variate", f"{high - low:.0f} possible results are too many to enumerate; {AS_A_SEED}")
    if how == "trunc":
        how = "floor" if low >= 0 else "ceil" if high <= 0 else "mixed"
    first, last = math.floor(low), math.ceil(high)
    if how == "round":
        halves = [x.known.number(k) + x.known.number(0.5) for k in range(first, last + 1)]
        return first + x.known.cut(x.source, x.chain, halves)
    edges = [edge for edge in range(first + 1, last) if how != "mixed" or edge != 0]
    place = x.known.cut(x.source, x.chain, [x.known.number(edge) for edge in edges])
    return first + place + (0 if how == "floor" else 1)


def extreme(values: Sequence[Term], *, largest: bool, what: str) -> int:
    """Decide which of ``values`` is the largest (or smallest): its index, the first one among equal constants.

    Raises
    ------
    CannotEnumerate
        If a constant competes with two variates, or the variates have no common scale.
    """
    for value in values:
        if isinstance(value, Unknown):
            value.refuse()
    constants = [(value, index) for index, value in enumerate(values) if not isinstance(value, Variate)]
    for value, index in constants:
        if is_nan(value):
            return index
    best = None
    if constants:
        pick = max if largest else min
        best = pick(value for value, _ in constants)
    variates = [(value, index) for index, value in enumerate(values) if isinstance(value, Variate)]
    variates = _still_possible(variates, best, largest=largest)
    if not variates:
        return next(index for value, index in constants if value == best)
    known = variates[0][0].known
    if best is not None and not _surely_beaten(best, [v for v, _ in variates], largest=largest):
        if len(variates) > 1:
            return _among_constants(variates, constants, best, largest=largest, what=what)
        variate, index = variates[0]
        wins = compare("gt" if largest else "lt", variate, best)
        return index if wins else next(i for value, i in constants if value == best)
    if len({(value.source, value.chain) for value, _ in variates}) == 1:
        return variates[0][1]
    racers = [(value.source, value.chain) for value, _ in variates]
    return variates[known.first(racers, largest=largest, what=what)][1]


def _among_constants(
    variates: list[tuple[Variate, int]], constants: list[tuple[Any, int]], best: Any, *, largest: bool, what: str
) -> int:
    """Decide between variates and the best constant, which may be the largest of all."""
    entries: dict[int, Any] = {index: (value.source, value.chain) for value, index in variates}
    known = variates[0][0].known
    entries[next(index for value, index in constants if value == best)] = known.number(best)
    order = sorted(entries)
    return order[known.first_of([entries[index] for index in order], largest=largest, what=what)]


def _still_possible(variates: list[tuple[Variate, int]], best: Any, *, largest: bool) -> list[tuple[Variate, int]]:
    """Leave out variates that cannot beat the best constant."""
    if best is None:
        return variates
    return [
        (value, index)
        for value, index in variates
        if not (value.range()[1] <= best if largest else value.range()[0] >= best)
    ]


def _surely_beaten(best: Any, variates: Sequence[Variate], *, largest: bool) -> bool:
    """Whether the best constant loses against every one of ``variates``."""
    return all(value.range()[0] >= best if largest else value.range()[1] <= best for value in variates)


# -- plain floats ----------------------------------------------------------------------------------------------------


class StartOver(BaseException):
    """Run the same branch again; not an ``Exception``, so that audited code cannot swallow it."""


class _LetsVariatesThrough(type):
    def __call__(cls, value: Any = 0.0) -> Any:
        if is_random(value):
            return value
        if hasattr(value, "untyped_storage"):
            term = scalar_term(value)
            return float(value) if term is None else term
        return float(value)

    def __instancecheck__(cls, value: Any) -> bool:
        return isinstance(value, float) or is_random(value)

    def __subclasscheck__(cls, other: type) -> bool:
        return issubclass(other, float)


class SymbolicFloat(float, metaclass=_LetsVariatesThrough):
    """Stands in for ``float`` in a module of the audited code.

    Python's ``float`` gives plain floats only, so a variate cannot pass through it. When a function of the audited code
    calls it on a variate, the name ``float`` is bound, in that function's module and until the enumeration ends, to
    this class, and the run is started over.
    """


_bound: list[dict[str, Any]] = []


def to_float(term: Any) -> float:
    """Answer ``__float__``: start over with `SymbolicFloat` in the caller's module, or refuse.

    Raises
    ------
    CannotEnumerate
        If that has been done already, so that something else asks for a plain float.
    """
    del term
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename.startswith(SKIPPED):
        frame = frame.f_back
    if frame is None or "float" in frame.f_globals or active() is None:
        refuse("converting a variate to a plain float", "a function was given its value before it was compared")
    frame.f_globals["float"] = SymbolicFloat
    _bound.append(frame.f_globals)
    raise StartOver


def unbind() -> None:
    """Give ``float`` back to every module it was taken from."""
    while _bound:
        _bound.pop().pop("float", None)


def _in_tensors(value: Any) -> Any:
    """Replace variates in (nested) arguments by tensors without dimensions."""
    if is_random(value):
        run = active()
        if run is None:
            refuse("using a variate", "its run is over")
        return fill_random(run, torch.empty((), dtype=torch.float64), [value])
    if isinstance(value, tuple):
        return tuple(_in_tensors(item) for item in value)
    if isinstance(value, list):
        return [_in_tensors(item) for item in value]
    if isinstance(value, dict):
        return {key: _in_tensors(item) for key, item in value.items()}
    return value
