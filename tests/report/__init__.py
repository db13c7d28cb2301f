"""The report: what it says, and what a browser makes of it."""
