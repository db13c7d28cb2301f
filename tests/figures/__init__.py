"""Figures: frames, artists, files."""
