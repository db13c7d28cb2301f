"""``python -m scd_analysis.figures``."""

from scd_analysis.figures.app import main

if __name__ == "__main__":
    main()
