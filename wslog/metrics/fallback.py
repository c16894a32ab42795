"""How often do clients fall back to polling or SSE? SQL: ``sql/metrics/fallback_sessions.sql``, ``fallback_episodes.sql``."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

import pandas as pd

from wslog.metrics.frames import arrange, proportions, run, select

if TYPE_CHECKING:
    from wslog.engine import Engine

KEYS = ("metric",)


def fallback(
    engine: Engine,
    by: str | Iterable[str] = (),
    since: str | None = None,
    until: str | None = None,
    week: str | None = None,
    where: str | None = None,
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

    Raises
    ------
    UsageError

    Examples
    --------
    >>> fallback(engine, by=["network_type"])  # doctest: +SKIP
    """
    selection = select(by, since, until, week, where, ["sessions", "episodes"], ())
    grouped = tuple(column for column in selection.by if column != "side")  # the SQL always gives it: client
    chosen = replace(selection, by=grouped)
    outages = proportions(run(engine, "fallback_episodes", "episodes", chosen))
    outages["metric"] = pd.Series("fallback_episode_rate", index=outages.index, dtype=object)
    return arrange(
        [proportions(run(engine, "fallback_sessions", "sessions", chosen, by_client=0)), outages],
        [*selection.by, *KEYS],
    )
