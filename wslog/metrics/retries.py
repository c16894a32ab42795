"""Do retries work? SQL: ``sql/metrics/retries.sql`` and ``sql/metrics/recovery_times.sql``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import pandas as pd

from wslog.metrics.compare import Query
from wslog.metrics.compare import compare as comparison
from wslog.metrics.frames import arrange, fetch, proportions, run, select
from wslog.metrics.lifetimes import quantiles

if TYPE_CHECKING:
    from wslog.engine import Engine

KEYS = ("metric", "retry_number")

MAX_RETRY = 20
"""Retries beyond are not listed: hardly an outage is left, and clients that retry for ever would make a row each."""

QUERIES = (
    Query("retries", "episodes", ("retry_number",), metric="retry_success", numbers=(("max_retry", MAX_RETRY),)),
    Query("recovery_times", "episodes", quantiles=(("time_to_recover_p50_s", 0.5), ("time_to_recover_p90_s", 0.9))),
)


def retries(
    engine: Engine,
    by: str | Iterable[str] = (),
    since: str | None = None,
    until: str | None = None,
    week: str | None = None,
    where: str | None = None,
    compare: str | None = None,
) -> pd.DataFrame:
    """Return what retries achieved in the outages of client sessions.

    Returns
    -------
    pandas.DataFrame
        One row per group, ``metric`` and ``retry_number``:

        * ``retry_success``: of the outages that made a ``retry_number``-th retry, the share where it brought the WebSocket
          back (opened, and not lost abnormally within :data:`wslog.outcomes.STABLE_S`). ``excluded_count``: retries under
          way when the log ends, or broken off by the page.
        * ``time_to_recover_p50_s``, ``time_to_recover_p90_s`` (``retry_number`` null): Kaplan-Meier quantiles of the time
          from the begin of the outage to the WebSocket's return; outages that end otherwise are censored there. The curve
          says what would be if those went on like the others, an assumption. numerator: recovered, denominator: outages.

    With ``compare`` (an ISO week, or a filter) instead what changed: see :func:`wslog.metrics.compare.compare`.

    Raises
    ------
    UsageError

    Examples
    --------
    >>> retries(engine, by=["network_type"])  # doctest: +SKIP
    """
    if compare is not None:
        return comparison(engine, QUERIES, KEYS, ["episodes"], by, since, until, week, where, compare)
    selection = select(by, since, until, week, where, ["episodes"], KEYS)
    success = proportions(run(engine, "retries", "episodes", selection, max_retry=MAX_RETRY))
    success["metric"] = pd.Series("retry_success", index=success.index, dtype=object)
    rows = fetch(engine, "recovery_times", "episodes", selection)
    times = quantiles(rows, selection.by, dict(QUERIES[1].quantiles)) if len(rows) else success.iloc[:0]
    times = times.assign(retry_number=pd.Series(pd.NA, index=times.index, dtype="Int64"))
    frame = arrange([success, times], [*selection.by, *KEYS])
    return frame.astype({"retry_number": "Int64"})
