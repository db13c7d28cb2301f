"""The report people read: one self-contained HTML file of a verdict, a trace, or both.

:func:`render` returns the page, :func:`write_report` writes it. The page loads nothing: figures are inline SVG, styles
and the trajectory explorer are part of it, and a content security policy in its head forbids the rest.
"""

from scd_analysis.report.page import render, write_report

__all__ = ["render", "write_report"]
