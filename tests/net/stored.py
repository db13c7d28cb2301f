"""What is stored of the net, what is found now, and how the two compare."""

from __future__ import annotations

import hashlib
import json
import math
import re
from pathlib import Path
from typing import Any

from scd_analysis.audit.verdict import Verdict

FOLDER = Path(__file__).with_name("golden")
_NUMBER = re.compile(r"-?\d[\d,]*\.?\d*(?:e[-+]?\d+)?")


def of_verdict(verdict: Verdict) -> dict[str, Any]:
    """A verdict without what differs from machine to machine."""
    found = json.loads(verdict.to_json())
    found["record"].pop("versions")
    found["record"]["bettor_weights"] = _digest(found["record"]["bettor_weights"])
    return {**found, "text": str(verdict).splitlines()}


def _digest(weights: dict[str, float]) -> str:
    """Some five hundred names and weights in one word."""
    listed = "".join(f"{name} {weight:.9g}\n" for name, weight in weights.items())
    return hashlib.sha256(listed.encode()).hexdigest()[:16]


def load(name: str) -> Any:
    """One stored part of the net."""
    return json.loads((FOLDER / f"{name}.json").read_text())


def save(name: str, value: Any) -> None:
    """Store one part of the net."""
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / f"{name}.json").write_text(json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n")


def differences(stored: Any, found: Any, relative: float, at: str = "") -> list[str]:
    """Where two parts of the net differ, numbers by more than ``relative``; nothing is allowed at zero."""
    if isinstance(stored, dict) and isinstance(found, dict):
        keys = sorted({*stored, *found})
        return [d for key in keys for d in differences(stored.get(key), found.get(key), relative, f"{at}.{key}")]
    if isinstance(stored, list) and isinstance(found, list) and len(stored) == len(found):
        pairs = enumerate(zip(stored, found, strict=True))
        return [d for i, (a, b) in pairs for d in differences(a, b, relative, f"{at}[{i}]")]
    return [] if _same(stored, found, relative) else [f"{at}: {stored!r} -> {found!r}"]


def _same(stored: Any, found: Any, relative: float) -> bool:
    if stored == found or relative == 0:
        return bool(stored == found)
    if isinstance(stored, str) and isinstance(found, str):  # sentences: the same but for digits shown
        if _NUMBER.sub("#", stored) != _NUMBER.sub("#", found):
            return False
        pairs = zip(_NUMBER.findall(stored), _NUMBER.findall(found), strict=True)
        return all(math.isclose(_read(a), _read(b), rel_tol=2e-2, abs_tol=2e-2) for a, b in pairs)
    if isinstance(stored, bool) or isinstance(found, bool) or not isinstance(stored, int | float):
        return False
    return isinstance(found, int | float) and math.isclose(stored, found, rel_tol=relative, abs_tol=relative)


def _read(number: str) -> float:
    return float(number.replace(",", "").rstrip("."))
