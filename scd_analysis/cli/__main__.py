"""``python -m scd_analysis.cli``."""

from scd_analysis.cli import main

if __name__ == "__main__":
    main()
