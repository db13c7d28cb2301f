"""Evidence against a target law. NumPy and SciPy only."""
