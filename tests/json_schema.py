"""Whether JSON is what a JSON Schema says: the words that the schema of a verdict uses, and no others."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

KINDS: dict[str, tuple[type, ...]] = {
    "object": (dict,), "array": (list,), "string": (str,), "boolean": (bool,), "null": (type(None),),
    "integer": (int,), "number": (int, float),
}  # fmt: skip
KNOWN = {
    "$schema", "$defs", "$ref", "title", "description", "type", "enum", "const", "required", "properties", "items",
    "prefixItems", "minItems", "minimum", "anyOf", "if", "then", "else",
}  # fmt: skip


def errors(value: Any, schema: Any, whole: dict[str, Any], at: str = "") -> Iterator[str]:
    """Where a value is not what a part of the ``whole`` schema says."""
    if schema is False:
        yield f"{at}: is not allowed"
        return
    assert not set(schema) - KNOWN, f"{set(schema) - KNOWN}: not checked here"
    if "$ref" in schema:
        yield from errors(value, whole["$defs"][schema["$ref"].rpartition("/")[2]], whole, at)
    if "if" in schema:
        branch = "else" if any(errors(value, schema["if"], whole)) else "then"
        yield from errors(value, schema[branch], whole, at)
    if "anyOf" in schema and all(any(errors(value, one, whole)) for one in schema["anyOf"]):
        yield f"{at}: {value!r} is none of several kinds"
    if "type" in schema and not is_a(value, schema["type"]):
        yield f"{at}: {value!r} is no {schema['type']}"
        return
    if ("enum" in schema and value not in schema["enum"]) or ("const" in schema and value != schema["const"]):
        yield f"{at}: {value!r} is not known"
    if "minimum" in schema and value < schema["minimum"]:
        yield f"{at}: {value!r} is too small"
    if isinstance(value, dict):
        yield from (f"{at}: lacks {name}" for name in schema.get("required", ()) if name not in value)
        for name, part in schema.get("properties", {}).items():
            if name in value:
                yield from errors(value[name], part, whole, f"{at}.{name}")
    if isinstance(value, list):
        parts = schema.get("prefixItems", [])
        if len(value) < schema.get("minItems", 0):
            yield f"{at}: is too short"
        for i, item in enumerate(value):
            yield from errors(item, parts[i] if i < len(parts) else schema.get("items", {}), whole, f"{at}[{i}]")


def is_a(value: Any, kind: str) -> bool:
    """Whether it is of this kind of JSON; true and false are no numbers."""
    return isinstance(value, KINDS[kind]) and (kind == "boolean" or not isinstance(value, bool))
