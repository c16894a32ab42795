"""How reliable was each week? SQL: ``sql/metrics/reliability.sql``, ``fallback_sessions.sql``, ``downtimes.sql``, ``lifetimes.sql``."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

import pandas as pd

from wslog.metrics.compare import Query
from wslog.metrics.compare import compare as comparison
from wslog.metrics.frames import arrange, fetch, proportions, run, select, weekly_rates
from wslog.metrics.lifetimes import quantiles

if TYPE_CHECKING:
    from wslog.engine import Engine

KEYS = ("side", "metric")

QUERIES = (
    Query("reliability", "attempts"),
    Query("fallback_sessions", "sessions"),
    Query("downtimes", "episodes", quantiles=(("downtime_p50_s", 0.5),)),
    Query("lifetimes", "attempts", quantiles=(("connection_lifetime_p50_s", 0.5),)),
)


def reliability(
    engine: Engine,
    by: str | Iterable[str] = (),
    since: str | None = None,
    until: str | None = None,
    week: str | None = None,
    where: str | None = None,
    compare: str | None = None,
) -> pd.DataFrame:
    """Return weekly reliability; what clients saw and what servers or proxies saw are never mixed.

    Returns
    -------
    pandas.DataFrame
        One row per ``iso_week`` (UTC; null: text without times), group, ``side`` and ``metric``:

        * ``connect_success_rate``: attempts that opened, of the attempts whose begin and result were seen;
          ``excluded_count``: broken off by the page, result not seen, or open before the log begins. Server and proxy
          logs never show a client that could not reach them.
        * ``drops_per_connected_hour``: connections lost, per hour connected; ``excluded_count``: connections of unknown
          length, those whose end cannot be told from a close on purpose, and losses while the page slept (their hours
          count until it fell asleep).
        * ``downtime_s_per_connected_hour``: seconds without service per hour connected; censored outages with what was
          seen of them, so it is a lower bound.
        * ``connected_time_ratio``: hours with the WebSocket open, of those and the hours of outage. Time after the page was
          left, and time served by the fallback, is neither. An outage cut off by the end of the log counts with what was
          seen of it, so the ratio is an upper bound.
        * ``downtime_p50_s``: Kaplan-Meier median of the outages' downtime (until the WebSocket or the first successful
          poll). numerator: outages whose end was seen, denominator: outages.
        * ``connection_lifetime_p50_s``: Kaplan-Meier median of how long a connection lasts until it is lost; those still
          open, closed on purpose or left by their page are censored there. numerator: connections lost, denominator: opened.
        * ``fallback_session_rate``: client sessions that fell back, of those that began in the week; and its parts by what
          sent them there first: ``network_fallback_session_rate``, ``service_fallback_session_rate`` (a restart, a close or
          an answer of the server) and ``remembered_fallback_session_rate`` (no attempt of their own: an earlier failure was
          stored); ``excluded_count`` of the parts: sessions of which the log cannot tell.

    With ``compare`` (an ISO week, or a filter) instead what changed: see :func:`wslog.metrics.compare.compare`.

    Raises
    ------
    UsageError

    Examples
    --------
    >>> reliability(engine, since="2026-11-01", by=["network_type"])  # doctest: +SKIP
    """
    if compare is not None:
        return comparison(
            engine, QUERIES, KEYS, ["attempts", "episodes", "sessions"], by, since, until, week, where, compare
        )
    selection = select(by, since, until, week, where, ["attempts", "episodes", "sessions"], ("iso_week", *KEYS))
    groups = ("iso_week", *selection.by)
    weekly = replace(selection, by=groups)
    keys = [*groups, "side"]
    parts = [
        weekly_rates(run(engine, "reliability", "attempts", weekly)),
        proportions(run(engine, "fallback_sessions", "sessions", weekly)),
        *(
            quantiles(fetch(engine, query.name, query.table, weekly), keys, dict(query.quantiles))
            for query in QUERIES
            if query.quantiles
        ),
    ]
    return arrange(parts, [*groups, *KEYS])
