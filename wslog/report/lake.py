"""What the report asks of a lake."""

from __future__ import annotations

from typing import Protocol

import pandas as pd


class MetricLake(Protocol):
    """The metrics and tables a report reads; :class:`wslog.api.Lake` has them.

    ``by`` names grouping columns, ``week`` is an ISO week like ``2026-W47``, ``since`` (inclusive) and ``until``
    (exclusive) are days like ``2026-11-16``; all UTC. Without them the whole lake is meant, text without times
    included. Metric frames hold the grouping columns, the metric's own keys, and the seven metric columns.
    """

    def reliability(
        self,
        *,
        by: tuple[str, ...] = (),
        since: str | None = None,
        until: str | None = None,
        week: str | None = None,
        compare: str | None = None,
    ) -> pd.DataFrame:
        """One row per group, ISO week, side and metric; with ``compare`` (a filter) what changed."""

    def close_codes(
        self, *, by: tuple[str, ...] = (), since: str | None = None, until: str | None = None, week: str | None = None
    ) -> pd.DataFrame:
        """One row per group, side, close code and source of the code."""

    def retries(
        self,
        *,
        by: tuple[str, ...] = (),
        since: str | None = None,
        until: str | None = None,
        week: str | None = None,
        compare: str | None = None,
    ) -> pd.DataFrame:
        """One row per group, metric and retry number."""

    def fallback(
        self, *, by: tuple[str, ...] = (), since: str | None = None, until: str | None = None, week: str | None = None
    ) -> pd.DataFrame:
        """One row per group and metric."""

    def episodes(self) -> pd.DataFrame:
        """The table ``episodes``."""

    def sources(self) -> pd.DataFrame:
        """The table ``sources``."""

    def rejects(self) -> pd.DataFrame:
        """The table ``rejects``."""
