"""Python's operators on random numbers; what they mean is in `algebra` and `decisions`."""

from __future__ import annotations

from typing import Any

from scd_analysis.exact.context import active, refuse


def _is_array(value: Any) -> bool:
    """Arrays with dimensions and all tensors take care of themselves."""
    return hasattr(value, "shape") and (bool(value.shape) or hasattr(value, "untyped_storage"))


class Operators:
    """Mixin: arithmetic gives terms, comparison decides."""

    __slots__ = ()

    def _arithmetic(self: Any, name: str, left: Any, right: Any) -> Any:
        from scd_analysis.exact import algebra

        other = right if left is self else left
        if _is_array(other):
            return NotImplemented
        return algebra.binary(name, left, right)

    def _compare(self, name: str, other: Any) -> Any:
        from scd_analysis.exact import decisions

        if _is_array(other):
            return NotImplemented
        return decisions.compare(name, self, other)

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
        from scd_analysis.exact import decisions

        return decisions.rounded(self._arithmetic("div", self, other), "floor")

    def __mod__(self, other: Any) -> Any:
        return self - (self // other) * other

    def __pow__(self, other: Any) -> Any:
        return self._arithmetic("pow", self, other)

    def __rpow__(self, other: Any) -> Any:
        return self._arithmetic("pow", other, self)

    def __neg__(self) -> Any:
        return self._arithmetic("mul", self, -1)

    def __pos__(self) -> Any:
        return self

    def __abs__(self: Any) -> Any:
        from scd_analysis.exact import algebra

        return algebra.unary("abs", self)

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
        from scd_analysis.exact.conversions import to_float

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
        from scd_analysis.exact import decisions

        return int(decisions.rounded(self, how))

    def __reduce_ex__(self, protocol: Any) -> Any:
        del protocol
        refuse("pickling or copying a variate", "its value is not decided")

    def __copy__(self) -> Any:
        return self

    def __deepcopy__(self, memo: Any) -> Any:
        del memo
        return self

    # NumPy's functions on arrays of objects call methods of the same name.

    def log(self) -> Any:
        """Natural logarithm."""
        return self._unary("log")

    def log2(self) -> Any:
        """Logarithm to base 2."""
        return self._unary("log2")

    def log10(self) -> Any:
        """Logarithm to base 10."""
        return self._unary("log10")

    def log1p(self) -> Any:
        """``log(1 + x)``."""
        return self._unary("log1p")

    def exp(self) -> Any:
        """Exponential function."""
        return self._unary("exp")

    def expm1(self) -> Any:
        """``exp(x) - 1``."""
        return self._unary("expm1")

    def sqrt(self) -> Any:
        """Square root."""
        return self._unary("sqrt")

    def square(self) -> Any:
        """Square."""
        return self._unary("square")

    def reciprocal(self) -> Any:
        """One over the value."""
        return self._unary("reciprocal")

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

    def sin(self) -> Any:
        """Lose sight of the value."""
        return self._unary("sin")

    def cos(self) -> Any:
        """Lose sight of the value."""
        return self._unary("cos")

    def tanh(self) -> Any:
        """Hyperbolic tangent."""
        return self._unary("tanh")

    def _unary(self: Any, name: str) -> Any:
        from scd_analysis.exact import algebra

        return algebra.unary(name, self)

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Take part in PyTorch's functions as a tensor without dimensions."""
        del types
        from scd_analysis.exact.torch_shadow import with_tensors

        return func(*with_tensors(args), **with_tensors(kwargs or {}))
