"""The report people read: one self-contained HTML file of a verdict, a trace, or both; and of many nights' verdicts.

:func:`render` returns the page, :func:`write_report` writes it; :func:`render_trend` and :func:`write_trend` those of
many nights. The page loads nothing: figures are inline SVG, styles
and the trajectory explorer are part of it, and a content security policy in its head forbids the rest.
"""

from scd_analysis.report.page import render, write_report
from scd_analysis.report.trend import render_trend, write_trend

__all__ = ["render", "render_trend", "write_report", "write_trend"]
