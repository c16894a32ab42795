"""How often do clients fall back to polling or SSE? SQL: ``sql/metrics/fallback_sessions.sql``, ``fallback_episodes.sql``."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

import pandas as pd

from wslog.metrics.compare import Query
from wslog.metrics.compare import compare as comparison
from wslog.metrics.frames import arrange, proportions, run, select

if TYPE_CHECKING:
    from wslog.engine import Engine

KEYS = ("metric",)

QUERIES = (
    Query("fallback_sessions", "sessions"),
    Query("fallback_episodes", "episodes", metric="fallback_episode_rate"),
)


def fallback(
    engine: Engine,
    by: str | Iterable[str] = (),
    since: str | None = None,
    until: str | None = None,
    week: str | None = None,
    where: str | None = None,
    compare: str | None = None,
) -> pd.DataFrame:
    """Return how often client sessions, and their outages, end in polling or SSE.

    Returns
    -------
    pandas.DataFrame
        One row per group and ``metric``:

        * ``fallback_session_rate``: client sessions with at least one fallback, of all client sessions; a session belongs
          to the network, browser and week of its first attempt.
        * ``network_fallback_session_rate``, ``service_fallback_session_rate``, ``remembered_fallback_session_rate``: the
          same by what sent a session there first: its own attempt failed on the way; or by the service's doing (a restart
          that hit many, a close or an answer of the server); or it made no attempt, because a library had stored an earlier
          failure. A restart, or a memory of one, so does not raise the network's rate. ``excluded_count``: sessions of which the log
          cannot tell.
        * ``fallback_episode_rate``: outages that fell back, of the outages whose end is known; ``excluded_count`` counts
          those cut off by the end of the log.

    With ``compare`` (an ISO week, or a filter) instead what changed: see :func:`wslog.metrics.compare.compare`.

    Raises
    ------
    UsageError

    Examples
    --------
    >>> fallback(engine, by=["network_type"])  # doctest: +SKIP
    """
    if compare is not None:
        return comparison(engine, QUERIES, KEYS, ["sessions", "episodes"], by, since, until, week, where, compare)
    selection = select(by, since, until, week, where, ["sessions", "episodes"], ())
    grouped = tuple(column for column in selection.by if column != "side")  # the SQL always gives it: client
    chosen = replace(selection, by=grouped)
    outages = proportions(run(engine, "fallback_episodes", "episodes", chosen))
    outages["metric"] = pd.Series("fallback_episode_rate", index=outages.index, dtype=object)
    return arrange(
        [proportions(run(engine, "fallback_sessions", "sessions", chosen)), outages],
        [*selection.by, *KEYS],
    )
