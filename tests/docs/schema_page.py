"""The page of what a trace holds, written from :mod:`scd_analysis.trace.schema`."""

from __future__ import annotations

from scd_analysis.trace.schema import COMPACT, LAWS, SCALARS_OF_LAWS, SCHEMA_VERSION, VARIABLES, Variable
from tests.docs.runner import DOCS

PATH = DOCS / "reference" / "schema.md"

TEXT = f"""# What a trace holds

Schema version {SCHEMA_VERSION}. A trace is a Zarr store of version 3, a folder or a `.zip`, that plain
`xarray.open_zarr` opens. This page is written from `scd_analysis.trace.schema` by `python -m tests.docs.update`, and a
test compares the two.

| dimension | counts |
| --- | --- |
| `sequence` | sequences, of all batches one after the other |
| `iteration` | forward passes of the sequence's batch, from 0 |
| `slot` | places in the window; the position is `base + slot` |
| `position` | tokens of a finished sequence, from 0 |
| `vocab` | tokens of the vocabulary |
| `rank` | tokens kept of a law: the draft first, then the others from the most probable on |

Unused slots are -1 in integer variables and NaN in the others on disk, and NaN everywhere once opened: slots past the
last token, slots for which a pass drafted nothing, and passes after a sequence was complete.

## Variables

{{variables}}

Variables without a mark are there in every trace, empty (all unused) where a decoder did not record them. *Laws*: only
with `laws=True`. *Half* and *cut*: in their place, with `laws="float16"` and `laws="top-K"`
([what that costs](trace.md#laws-in-fewer-bytes)). *Derived*: computed from the laws as they are appended, where the
caller gives no values.

Half precision counts in units of 2⁻¹⁵, by the attribute `scale_factor`, which xarray applies by itself: a probability
keeps eleven bits down to 2·10⁻⁹, and one that is above zero is stored above zero. Other readers multiply by it.

## Attributes

| attribute | means |
| --- | --- |
| `schema_version` | of this page |
| `decoder` | a name |
| `vocab_size`, `num_tokens`, `window` | V, N and L |
| `complete` | whether the writer was closed; if not, what it had finished is there |
| `blocks` | first sequence, last sequence and passes written, of each batch |
| `laws` | `float32`, `float16` or `top-K`; absent where no laws are stored |
| `law_error` | of compact laws: `max` and `mean` total variation from the exact ones, over so many `laws` |
| `created`, `versions` | when, and with which libraries |
| others | whatever was passed to [`TraceWriter`](trace.md): method, model, seed, device |
"""


def row(name: str, variable: Variable) -> str:
    """One variable as a line of the table."""
    kind = " *Laws.*" if name in LAWS else " *Derived.*" if name in SCALARS_OF_LAWS else ""
    if name in COMPACT:
        kind = " *Half.*" if name.endswith("half") else " *Cut.*"
    cells = (f"`{name}`", ", ".join(variable.dims), variable.dtype, variable.units, variable.description + kind)
    return "| " + " | ".join(cells) + " |"


def page() -> str:
    """Write the page."""
    head = ["| variable | dimensions | type | unit | meaning |", "| --- | --- | --- | --- | --- |"]
    return TEXT.format(variables="\n".join([*head, *(row(name, each) for name, each in VARIABLES.items())]))
