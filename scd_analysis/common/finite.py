"""What JSON cannot hold, in words; no dependencies."""

from __future__ import annotations

import math
from enum import Enum
from typing import Any


def finite(value: Any) -> Any:
    """Give what JSON holds: an infinite number or a NaN as a string, an ``Enum`` by its name unless it is a string."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Enum) and not isinstance(value, str):
        return value.name
    if isinstance(value, dict):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(item) for item in value]
    return value
