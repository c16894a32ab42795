"""How reliable was each week? SQL: ``sql/metrics/connect_success.sql``, ``drops_per_hour.sql``, ``downtime_per_hour.sql``,
``downtimes.sql`` and ``fallback_sessions.sql``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

import pandas as pd

from wslog.metrics.frames import arrange, proportions, quantiles, rates, run, select

if TYPE_CHECKING:
    from wslog.engine import Engine

KEYS = ("side", "metric")


def reliability(
    engine: Engine,
    by: str | Iterable[str] = (),
    since: str | None = None,
    until: str | None = None,
    week: str | None = None,
    where: str | None = None,
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
          length, or whose end cannot be told from a close on purpose.
        * ``downtime_s_per_connected_hour``: seconds without service per hour connected; censored outages with what was
          seen of them, so it is a lower bound.
        * ``downtime_p50_s``: Kaplan-Meier median of the outages' downtime (until the WebSocket or the first successful
          poll). numerator: outages whose end was seen, denominator: outages.
        * ``fallback_session_rate``: client sessions that fell back, of those that began in the week.

    Raises
    ------
    UsageError

    Examples
    --------
    >>> reliability(engine, since="2026-11-01", by=["network_type"])  # doctest: +SKIP
    """
    selection = select(by, since, until, week, where, ["attempts", "episodes", "sessions"], ("iso_week", *KEYS))
    groups = ("iso_week", *selection.by)
    weekly = replace(selection, by=groups)
    downtimes = run(engine, "downtimes", "episodes", weekly)
    parts = [
        _named("connect_success_rate", proportions(run(engine, "connect_success", "attempts", weekly))),
        _named("drops_per_connected_hour", rates(run(engine, "drops_per_hour", "attempts", weekly), is_count=True)),
        _named(
            "downtime_s_per_connected_hour", rates(run(engine, "downtime_per_hour", "attempts", weekly), is_count=False)
        ),
        quantiles(downtimes, [*groups, "side"], {"downtime_p50_s": 0.5}),
        _named("fallback_session_rate", proportions(run(engine, "fallback_sessions", "sessions", weekly))),
    ]
    return arrange(parts, [*groups, *KEYS])


def _named(metric: str, part: pd.DataFrame) -> pd.DataFrame:
    return part.assign(metric=pd.Series(metric, index=part.index, dtype=object))
