"""Tests of scd_analysis.evidence."""
