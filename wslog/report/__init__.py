"""The weekly report: one self-contained page, and its charts beside it."""

from __future__ import annotations

from wslog.report.lake import MetricLake
from wslog.report.page import ReportWriteError, write_report

__all__ = ["MetricLake", "ReportWriteError", "write_report"]
