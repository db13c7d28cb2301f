"""The JSON Schema of a verdict's JSON, written from the dataclasses of :mod:`scd_analysis.audit.verdict`."""

from __future__ import annotations

import inspect
import json
import re
import types
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum, StrEnum
from typing import Any, Union, get_args, get_origin, get_type_hints

from scd_analysis.audit.pair_verdict import GRADE, PairVerdict
from scd_analysis.audit.verdict import Verdict
from tests.docs.runner import ROOT

PATH = ROOT / "scd_analysis" / "verdict.schema.json"

NUMBER = {"description": "Infinite ones are strings.", "anyOf": [{"type": "number"}, {"enum": ["inf", "-inf"]}]}
PLAIN = {str: {"type": "string"}, bool: {"type": "boolean"}, int: {"type": "integer", "minimum": 0}}


def schema() -> dict[str, Any]:
    """Of one arm or of two; keys that it does not name are allowed, those that later versions write too."""
    definitions: dict[str, Any] = {"number": NUMBER}
    one, pair = (_of(kind, definitions) for kind in (Verdict, PairVerdict))
    of_pair = {"properties": {"record": {"properties": {"grade": {"const": GRADE}}, "required": ["grade"]}}}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Verdict of SCD Analysis",
        "description": "What Verdict.to_json() and `scd-analysis audit --out` write.",
        "if": of_pair,
        "then": pair,
        "else": one,
        "$defs": dict(sorted(definitions.items())),
    }


def _of(kind: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    """The schema of a type; a dataclass is defined once and referred to."""
    origin, inside = get_origin(kind), get_args(kind)
    if kind is float:
        return {"$ref": "#/$defs/number"}
    if is_dataclass(kind):
        return _defined(kind, definitions)
    if origin in (Union, types.UnionType):
        (some,) = (each for each in inside if each is not type(None))
        return {"anyOf": [_of(some, definitions), {"type": "null"}]}
    if origin is tuple:
        parts = [_of(each, definitions) for each in inside if each is not Ellipsis]
        many = {"items": parts[0]} if Ellipsis in inside else {"prefixItems": parts, "items": False}
        return {"type": "array", **many, **({} if Ellipsis in inside else {"minItems": len(parts)})}
    if origin is dict:
        return {"type": "object"}
    if issubclass(kind, Enum):
        return {"enum": [str(one.value) if issubclass(kind, StrEnum) else one.name for one in kind]}
    return dict(PLAIN[kind])


def _defined(kind: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    name, hints = kind.__name__, get_type_hints(kind)
    if name not in definitions:
        definitions[name] = {}  # a type may hold others of its kind
        words = [text for base in reversed(kind.__mro__) for text in described(base).items()]
        definitions[name] = {
            "description": summary(kind),
            "type": "object",
            "properties": {
                one.name: {**({"description": text} if (text := dict(words).get(one.name)) else {}),
                           **_of(hints[one.name], definitions)}
                for one in fields(kind)
            } | ({"sentence": {"description": "The outcome in words.", "type": "string"}}
                 if issubclass(kind, Verdict) else {}),
            "required": [f.name for f in fields(kind) if f.default is MISSING and f.default_factory is MISSING],
        }  # fmt: skip
    return {"$ref": f"#/$defs/{name}"}


def summary(kind: type) -> str:
    """The first paragraph of a docstring."""
    return " ".join((inspect.getdoc(kind) or "").split("\n\n")[0].split())


def described(kind: type) -> dict[str, str]:
    """What a numpydoc section of attributes says of each."""
    _, _, text = inspect.cleandoc(kind.__doc__ or "").partition("Attributes\n----------\n")
    out: dict[str, str] = {}
    for names, words in re.findall(r"^(\S[^\n]*?) : [^\n]+\n?((?:    [^\n]*\n?)*)", text, flags=re.MULTILINE):
        if words.strip():
            out |= dict.fromkeys(names.split(", "), " ".join(words.split()))
    return out


def page() -> str:
    """The stored file."""
    return json.dumps(schema(), indent=1) + "\n"
