"""``python -m scd_analysis.figures``: the same as ``scd-analysis figures``, in a process that is set up likewise."""

import sys

from scd_analysis.cli import main

if __name__ == "__main__":
    main(["figures", *sys.argv[1:]], "python -m scd_analysis.figures")
