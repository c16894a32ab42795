"""From sums to metric frames: value, numerator, denominator, excluded_count, ci_low, ci_high, state."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from wslog.intervals import (
    MIN_CLUSTERS,
    MIN_HOURS,
    MIN_ROWS,
    MOMENTS,
    Z95,
    FloatArray,
    Sums,
    proportion_interval,
    rate_interval,
)
from wslog.schema import METRIC_COLUMNS
from wslog.selection import Selection, check_by, parse_filter, parse_period

if TYPE_CHECKING:
    import pyarrow as pa

    from wslog.engine import Engine


def select(
    by: str | Iterable[str],
    since: str | None,
    until: str | None,
    week: str | None,
    where: str | None,
    tables: Sequence[str],
    keys: Sequence[str],
) -> Selection:
    """Check what the user asked for; ``tables`` are all that the metric reads, ``keys`` its own keys."""
    return Selection(check_by(by, tables, keys), parse_period(since, until, week), parse_filter(where, tables))


def proportions(sums: pd.DataFrame) -> pd.DataFrame:
    """Add the metric columns to rows of cluster sums of a proportion; the sums go."""
    return _finish(sums, "share")


def rates(sums: pd.DataFrame, is_count: bool) -> pd.DataFrame:
    """Add the metric columns to rows of cluster sums of an amount per hour; the sums go."""
    return _finish(sums, "count_per_hour" if is_count else "amount_per_hour")


def kind_of(metric: str) -> str:
    """Return what a metric made of cluster sums is: share, count_per_hour, amount_per_hour or time_share."""
    kinds = {
        "drops_per_connected_hour": "count_per_hour",
        "downtime_s_per_connected_hour": "amount_per_hour",
        "connected_time_ratio": "time_share",
    }
    return kinds.get(metric, "share")


def value_of(kind: str, s: Sums) -> FloatArray:
    """Return the estimates; of a time share from the sums of seconds of outage per connected hour."""
    ratio: FloatArray = np.divide(s.y, s.n, out=np.full(len(s.y), np.nan), where=s.n > 0)
    return 1 / (1 + ratio / 3600) if kind == "time_share" else ratio


def interval_of(kind: str, s: Sums, z: npt.ArrayLike = Z95) -> tuple[FloatArray, FloatArray]:
    """Return the intervals at a normal quantile; a time share's is that of the outage per connected hour, carried over."""
    if kind == "share":
        return proportion_interval(s, z)
    low, high = rate_interval(s, kind == "count_per_hour", z)
    return (1 / (1 + high / 3600), 1 / (1 + low / 3600)) if kind == "time_share" else (low, high)


def is_enough(kind: str, s: Sums, excluded: FloatArray) -> npt.NDArray[np.bool_]:
    """Say which groups are above the evidence floor."""
    if kind == "share":
        return (s.n_rows >= MIN_ROWS) & (s.clusters >= MIN_CLUSTERS)
    # where more is left out than counted, the rate is of the few whose end can be told: no estimate of all
    return (s.n >= MIN_HOURS) & (s.clusters >= MIN_CLUSTERS) & (excluded <= s.n_rows)


def weekly_rates(sums: pd.DataFrame) -> pd.DataFrame:
    """Turn the rows of ``sql/metrics/reliability.sql`` into metric rows, each by its kind.

    Returns
    -------
    pandas.DataFrame
        One row per row of ``sums``, and one more per row of downtime: ``connected_time_ratio``.
    """
    sums = with_connected(sums)
    parts = [_finish(part, kind_of(str(metric))) for metric, part in sums.groupby("metric", sort=False)]
    return pd.concat(parts, ignore_index=True) if parts else _finish(sums, "share")


def with_connected(sums: pd.DataFrame) -> pd.DataFrame:
    """Return the rows, and those of downtime once more as ``connected_time_ratio``: the hours connected over those and the
    hours of outage are a function of seconds of outage per connected hour.
    """
    again = sums[sums["metric"] == "downtime_s_per_connected_hour"]
    named = again.assign(metric=pd.Series("connected_time_ratio", index=again.index, dtype=object))
    return pd.concat([sums, named], ignore_index=True) if len(named) else sums


def arrange(parts: Sequence[pd.DataFrame], keys: Sequence[str]) -> pd.DataFrame:
    """Put parts of a metric frame below one another: ``keys`` then the metric columns, sorted by the keys, null last."""
    kept = [part for part in parts if len(part)] or list(parts[:1])
    frame = pd.concat(kept, ignore_index=True)[[*keys, *METRIC_COLUMNS]]
    if keys and len(frame):
        frame = frame.sort_values(list(keys), kind="stable", na_position="last", ignore_index=True)
    for name in METRIC_COLUMNS[:-1]:
        # sums of floats depend on the order in which threads add them: beyond 12 digits they would differ from run to run
        frame[name] = [float(f"{number:.12g}") for number in frame[name].astype("float64")]
    for name in (*keys, "state"):
        if frame[name].dtype == object or str(frame[name].dtype) == "str":
            frame[name] = frame[name].astype(object).where(frame[name].notna(), None)
    return frame


def sums_of(frame: pd.DataFrame) -> Sums:
    """Return the cluster sums that a metric's SQL gave."""
    names = (*MOMENTS, "cluster_count", "y_rows", "n_rows")
    return Sums(*(frame[name].to_numpy(dtype=np.float64) for name in names))


def counts_of(kind: str, s: Sums) -> tuple[FloatArray, FloatArray]:
    """Return numerator and denominator as they are shown; of a time share hours of hours."""
    return (s.n, s.n + s.y / 3600) if kind == "time_share" else (s.y, s.n)


SUM_COLUMNS = (*MOMENTS, "cluster_count", "y_rows", "n_rows", "excluded")
"""What a metric's SQL returns beside its keys."""


def _finish(sums: pd.DataFrame, kind: str) -> pd.DataFrame:
    s, excluded = sums_of(sums), sums["excluded"].to_numpy(dtype=np.float64)
    value, (low, high) = value_of(kind, s), interval_of(kind, s)
    enough = is_enough(kind, s, excluded) & ~np.isnan(value)
    frame = sums.drop(columns=list(SUM_COLUMNS))
    frame["value"] = np.where(enough, value, np.nan)
    frame["numerator"], frame["denominator"] = counts_of(kind, s)
    frame["excluded_count"] = excluded
    frame["ci_low"], frame["ci_high"] = np.where(enough, low, np.nan), np.where(enough, high, np.nan)
    frame["state"] = pd.Series(np.where(enough, "ok", "insufficient"), index=frame.index, dtype=object)
    return frame


def fetch(engine: Engine, name: str, table: str, selection: Selection, by_client: int = 0) -> pa.Table:
    """Do what :func:`run` does, and return Arrow."""
    return engine.fetch(f"metrics/{name}", table, selection, by_client=by_client)


def run(
    engine: Engine, name: str, table: str, selection: Selection, by_client: int = 0, **numbers: int
) -> pd.DataFrame:
    """Run ``sql/metrics/<name>.sql``; clusters are sessions, or with ``by_client`` 1 the client where one is known."""
    return engine.run(f"metrics/{name}", table, selection, by_client=by_client, **numbers)
