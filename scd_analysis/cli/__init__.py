"""The command line: ``trace | audit | log-probs | tiny-model | exact | figures | report | trend | schema``.

:mod:`scd_analysis.cli.commands` holds the commands. They run in a process of their own
(:mod:`scd_analysis.cli.worker`), since they call somebody else's code, which may end the process that it runs in;
:mod:`scd_analysis.cli.supervisor` starts that process and has the last word. Status 1 means *refuted* (or that two
laws differ) and nothing else does. Bad input, and every other end, is one line on standard error and status 2.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence


def main(words: Sequence[str] | None = None, prog_name: str = "scd-analysis") -> None:
    """Run the command line and exit with its status; the console script ``scd-analysis``.

    Parameters
    ----------
    words : sequence of str, optional
        Command and arguments; by default those of this process.
    prog_name : str
        What the command was called by, for its help.
    """
    words = sys.argv[1:] if words is None else words
    if os.name != "posix":  # no file descriptors to hand over: the work is done in this process
        from scd_analysis.cli.commands import run_here

        run_here(words, prog_name)
    from scd_analysis.cli.supervisor import supervise

    sys.exit(supervise(words, prog_name))
