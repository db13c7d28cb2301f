"""Tests of scd_analysis.audit."""
