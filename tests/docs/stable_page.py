"""The page of what is stable: public names with their signatures, the command line, traces and verdicts."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from enum import Enum
from importlib import import_module
from types import ModuleType
from typing import Any

from scd_analysis.cli import commands
from scd_analysis.trace.schema import SCHEMA_VERSION
from tests.docs.runner import DOCS

PATH = DOCS / "reference" / "stable.md"

MODULES = (
    "scd_analysis",
    "scd_analysis.subjects",
    "scd_analysis.testing",
    "scd_analysis.trace",
    "scd_analysis.laws",
    "scd_analysis.exact",
    "scd_analysis.report",
    "reference",
)
OURS = ("scd_analysis", "reference")

TEXT = f"""# What is stable

What is on this page changes only with a line in the changelog that says so, and is taken away only by a new major
version. It is written from the code by `python -m tests.docs.update`; a name that goes, or a signature that changes,
fails a test until this page says so too. Everything else (modules that are not named here, names with an underscore,
the insides of `scd_analysis.evidence` and `scd_analysis.figures`, the words of messages, which bets there are and what
an audit's ln E is to the last digit) may change.

## Traces

[A trace](schema.md) says its schema version, {SCHEMA_VERSION}. A trace of a later one is refused, by its number; there
is no earlier one. Within a version, variables and attributes are added and none is taken away or given another meaning.
The variables that are there in every trace must be there, empty where nothing was recorded; those that are not known
are passed over, and attributes that are not known are kept.

## Verdicts

`Verdict.to_json()`, `audit --out` and `audit --json` write one JSON object. Its JSON Schema (draft 2020-12) comes with
the package as `scd_analysis/verdict.schema.json`; `scd_analysis.verdict_schema()` returns it, and `scd-analysis schema`
prints it:

```console
$ scd-analysis schema
{{{{
 "$schema": "https://json-schema.org/draft/2020-12/schema",
 "title": "Verdict of SCD Analysis",
...
```

- Outcomes and conditions are written by their names, infinite numbers as `"inf"` and `"-inf"`.
- A verdict of an earlier version may lack fields; those that the schema does not require have their defaults then.
- A verdict of a later version may have more; keys that are not known are passed over.
- What is in `record`, by which an audit is repeated, is not stable, but for `grade` and `seed`.
- Where a verdict is read (`scd-analysis report`, `scd-analysis trend`), numbers must agree with each other too: a
  resolution lies between 0 and 1, an interval has its ends in order. What does not is refused, and the field named.

## Ledgers

A line of the ledger of [a test suite](../how-to/ci.md) is one JSON object: `kind` is `"audit"` or `"declared"`, and the
other keys are the fields of `scd_analysis.testing.rates`:

```text
{{ledger}}
```

## The command line

Exit statuses are on [the page of the command line](../how-to/command-line.md#exit-status-of-audit). Commands and their
options:

```text
{{options}}
```

## Names
{{names}}"""


def page() -> str:
    """Write the page."""
    from scd_analysis.testing import rates

    names = "".join(f"\n### `{module}`\n\n```text\n{text_of(module)}\n```\n" for module in MODULES)
    ledger = "\n".join(entry(kind.__name__, kind) for kind in (rates.Audited, rates.Declared))
    return TEXT.format(names=names, options="\n".join(command_line()), ledger=ledger)


def text_of(module: str) -> str:
    """Every public name of a module, a line each."""
    found = import_module(module)
    return "\n".join(line for name in public(found) for line in lines(name, getattr(found, name)))


def public(module: ModuleType) -> list[str]:
    """Names of ``__all__``, or without it the functions and classes that a module defines."""
    listed = getattr(module, "__all__", None)
    if listed is not None:
        return sorted(listed)
    own = ((name, value) for name, value in vars(module).items() if getattr(value, "__module__", "") == module.__name__)
    return sorted(name for name, value in own if not name.startswith("_") and callable(value))


def lines(name: str, value: Any) -> Iterator[str]:
    """A name with its signature, and where it is a class what that has."""
    yield entry(name, value)
    if isinstance(value, type) and issubclass(value, Enum):
        yield from (f"{name}.{member.name}" for member in value)
    elif isinstance(value, type):
        yield from (entry(f"{name}.{each}", member) for each, member in members(value))


def members(kind: type) -> list[tuple[str, Any]]:
    """Public methods and properties of a class, its own and those of other classes of ours."""
    found: dict[str, Any] = {}
    for base in reversed(kind.__mro__):
        if base.__module__.partition(".")[0] in OURS:
            found |= {name: value for name, value in vars(base).items() if is_public(name, value)}
    return sorted(found.items())


def is_public(name: str, value: Any) -> bool:
    """Whether it is a method or a property without an underscore."""
    return not name.startswith("_") and (
        inspect.isroutine(value) or isinstance(value, (property, classmethod, staticmethod))
    )


def entry(name: str, value: Any) -> str:
    """A name, and what it is called with; types are left to the other pages."""
    value = getattr(value, "__func__", value)
    bare = isinstance(value, type) and issubclass(value, (Enum, Exception))
    if isinstance(value, ModuleType) or not callable(value) or bare:
        return name
    signature = inspect.signature(value)
    plain = [one.replace(annotation=one.empty) for one in signature.parameters.values() if one.name != "self"]
    return f"{name}{signature.replace(parameters=plain, return_annotation=signature.empty)}"


def command_line() -> Iterator[str]:
    """Every command with its arguments and options."""
    import typer.main

    group: Any = typer.main.get_command(commands.app)
    for name, command in sorted(group.commands.items()):
        given = [" ".join(one.opts) if one.opts[0].startswith("-") else one.name.upper() for one in command.params]
        yield " ".join([f"scd-analysis {name}", *(each for each in given if each != "--help")])
