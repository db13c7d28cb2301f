"""Odd values and odd bytes, by a generator that is given."""

from __future__ import annotations

import math
import random
from typing import Any

STRINGS = (
    "", " ", "0", "3", "nan", "-1", "1e999", "None", "\x00", "\x1b[31mred", "\x1b]8;;http://x\x07", "\x9b2J", "\ud800",
    "[/bold]", "[link=http://x]y[/link]", "[red]", "$\\frac$", "$x", "$$", "\\", "%s %(a)s {0}", "../../etc", "a/b",
    "</script><script>alert(1)</script>", "<img src=x onerror=alert(1)>", "<b>", "&lt;", "\"'><svg onload=alert(1)>",
    "]]>", "<!--", "javascript:alert(1)", "[x](javascript:alert(1))", "\u202e", "é\U0001f600", "a\nb", "a\r\nb",
    "x" * 5_000, "| a | b |", "```", "# heading", "_^{", "\\n", "${HOME}",
)  # fmt: skip
NUMBERS = (
    0, 1, -1, 2, 3, 4, 64, 255, 256, 2**15, 2**31 - 1, 2**31, 2**32, 2**53 + 1, 2**63 - 1, 2**63, 2**64, -(2**63),
    10**9, 2 * 10**7, 10**30, 10**400, 0.0, -0.0, 0.5, 1.5, 1e-300, 1e300, -1e-9, math.nan, math.inf, -math.inf,
)  # fmt: skip


def deep(rng: random.Random, depth: int | None = None) -> Any:
    """Lists or objects inside one another."""
    value: Any = rng.choice((0, "x", None, []))
    for _ in range(rng.choice((2, 5, 50, 400)) if depth is None else depth):
        value = {"a": value} if rng.random() < 0.5 else [value]
    return value


def value(rng: random.Random) -> Any:
    """A JSON value of any type."""
    return rng.choice(
        (
            lambda: rng.choice(NUMBERS),
            lambda: rng.choice(STRINGS),
            lambda: rng.choice((None, True, False, [], {}, [[]], [None], {"": ""}, {"a": [1]}, [1, "x", None])),
            lambda: [rng.choice(NUMBERS) for _ in range(rng.randrange(4))],
            lambda: {rng.choice(STRINGS): rng.choice(NUMBERS) for _ in range(rng.randrange(4))},
            lambda: deep(rng),
        )
    )()


def places(tree: Any) -> list[tuple[Any, Any]]:
    """Every container and key of a JSON value."""
    out: list[tuple[Any, Any]] = []
    keys = list(tree) if isinstance(tree, dict) else range(len(tree)) if isinstance(tree, list) else ()
    for key in keys:
        out.append((tree, key))
        out += places(tree[key])
    return out


def change_json(rng: random.Random, tree: Any, at: list[tuple[Any, Any]] | None = None) -> str:
    """Put an odd value at some place, or take the place away."""
    spots = places(tree) if at is None else at
    if not spots:
        return "nothing to change"
    container, key = rng.choice(spots)
    what = rng.randrange(5)
    if what == 0:
        del container[key]
        return f"without {key!r}"
    if what == 1 and isinstance(container, dict):
        other = rng.choice(STRINGS)
        container[other] = container.pop(key)
        return f"{key!r} renamed to {other[:40]!r}"
    if what == 2 and isinstance(container[key], (int, float)) and not isinstance(container[key], bool):
        container[key] = container[key] * rng.choice((-1, 2, 10, 0.5, 1000)) + rng.choice((0, 1, -1))
    else:
        container[key] = value(rng)
    return f"{key!r} = {repr(container[key])[:80]}"


def change_bytes(rng: random.Random, content: bytes) -> tuple[bytes, str]:
    """Flip, cut, add or overwrite."""
    what = rng.choice(("flip", "cut", "cut the front", "add", "zeros", "noise", "empty", "repeat", "swap"))
    at = rng.randrange(len(content)) if content else 0
    stop = min(len(content), at + rng.choice((1, 4, 64)))
    if what == "flip" and content:
        return content[:at] + bytes([content[at] ^ (1 << rng.randrange(8))]) + content[at + 1 :], f"bit of byte {at}"
    changed = {
        "flip": b"\x00",
        "cut": content[:at],
        "cut the front": content[at:],
        "add": content[:at] + rng.randbytes(stop - at + 1) + content[at:],
        "zeros": content[:at] + bytes(stop - at) + content[stop:],
        "noise": rng.randbytes(max(1, len(content))),
        "empty": b"",
        "repeat": content + content,
        "swap": content[at:] + content[:at],
    }[what]
    return changed, f"{what} at byte {at}"
