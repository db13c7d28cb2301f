"""The page of what a trace holds, written from :mod:`scd_analysis.schema`."""

from __future__ import annotations

from scd_analysis.schema import LAWS, SCALARS_OF_LAWS, SCHEMA_VERSION, VARIABLES, Variable
from tests.docs.runner import DOCS

PAGE = DOCS / "reference" / "schema.md"

TEXT = f"""# What a trace holds

Schema version {SCHEMA_VERSION}. A trace is a Zarr store of version 3, a folder or a `.zip`, that plain
`xarray.open_zarr` opens. This page is written from `scd_analysis.schema` by `python -m tests.docs.update`, and a test
compares the two.

| dimension | counts |
| --- | --- |
| `sequence` | sequences, of all batches one after the other |
| `iteration` | forward passes of the sequence's batch, from 0 |
| `slot` | places in the window; the position is `base + slot` |
| `position` | tokens of a finished sequence, from 0 |
| `vocab` | tokens of the vocabulary |

Unused slots are -1 in integer variables and NaN in the others on disk, and NaN everywhere once opened: slots past the
last token, slots for which a pass drafted nothing, and passes after a sequence was complete.

## Variables

{{variables}}

Variables without a mark are there in every trace, empty (all unused) where a decoder did not record them. *Laws*: only
with `laws=True`. *Derived*: computed from the laws as they are appended, where the caller gives no values.

## Attributes

| attribute | means |
| --- | --- |
| `schema_version` | of this page |
| `decoder` | a name |
| `vocab_size`, `num_tokens`, `window` | V, N and L |
| `complete` | whether the writer was closed; if not, what it had finished is there |
| `blocks` | first sequence, last sequence and passes written, of each batch |
| `created`, `versions` | when, and with which libraries |
| others | whatever was passed to [`TraceWriter`](trace.md): method, model, seed, device |
"""


def row(name: str, variable: Variable) -> str:
    """One variable as a line of the table."""
    kind = " *Laws.*" if name in LAWS else " *Derived.*" if name in SCALARS_OF_LAWS else ""
    cells = (f"`{name}`", ", ".join(variable.dims), variable.dtype, variable.units, variable.description + kind)
    return "| " + " | ".join(cells) + " |"


def page() -> str:
    """Write the page."""
    head = ["| variable | dimensions | type | unit | meaning |", "| --- | --- | --- | --- | --- |"]
    return TEXT.format(variables="\n".join([*head, *(row(name, each) for name, each in VARIABLES.items())]))
