"""From sums to metric frames: value, numerator, denominator, excluded_count, ci_low, ci_high, state."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from wslog.intervals import (
    MIN_CLUSTERS,
    MIN_HOURS,
    MIN_ROWS,
    MOMENTS,
    Sums,
    proportion_interval,
    rate_interval,
)
from wslog.schema import METRIC_COLUMNS
from wslog.selection import Selection, check_by, parse_filter, parse_period
from wslog.survival import Quantile, kaplan_meier

if TYPE_CHECKING:
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
    s = _sums(sums)
    value = _divide(s.y, s.n)
    low, high = proportion_interval(s)
    enough = (s.n_rows >= MIN_ROWS) & (s.clusters >= MIN_CLUSTERS)
    return _finish(sums, value, s.y, s.n, low, high, enough)


def rates(sums: pd.DataFrame, is_count: bool) -> pd.DataFrame:
    """Add the metric columns to rows of cluster sums of an amount per hour; the sums go."""
    s = _sums(sums)
    value = _divide(s.y, s.n)
    low, high = rate_interval(s, is_count)
    # where more is left out than counted, the rate is of the few whose end can be told: no estimate of all
    enough = (s.n >= MIN_HOURS) & (s.clusters >= MIN_CLUSTERS) & (sums["excluded"].to_numpy(np.float64) <= s.n_rows)
    return _finish(sums, value, s.y, s.n, low, high, enough)


def weekly_rates(sums: pd.DataFrame) -> pd.DataFrame:
    """Turn the rows of ``sql/metrics/reliability.sql`` into metric rows, each by its kind.

    Returns
    -------
    pandas.DataFrame
        One row per row of ``sums``, and one more per row of downtime: ``connected_time_ratio``, the hours connected over
        those and the hours of outage. It is a function of downtime per connected hour, so its interval is that one's, carried over.
    """
    metric = sums["metric"]
    downtime = rates(sums[metric == "downtime_s_per_connected_hour"], is_count=False)
    return pd.concat(
        [
            proportions(sums[metric == "connect_success_rate"]),
            rates(sums[metric == "drops_per_connected_hour"], is_count=True),
            downtime,
            _connected(downtime),
        ],
        ignore_index=True,
    )


def _connected(downtime: pd.DataFrame) -> pd.DataFrame:
    """Return the share of the time that the WebSocket was open, from seconds of outage per connected hour."""
    ratio = downtime.copy()
    ratio["metric"] = pd.Series("connected_time_ratio", index=ratio.index, dtype=object)
    ratio["value"] = 1 / (1 + downtime["value"] / 3600)
    ratio["numerator"] = downtime["denominator"]
    ratio["denominator"] = downtime["denominator"] + downtime["numerator"] / 3600
    ratio["ci_low"], ratio["ci_high"] = 1 / (1 + downtime["ci_high"] / 3600), 1 / (1 + downtime["ci_low"] / 3600)
    return ratio


def quantiles(rows: pd.DataFrame, keys: Sequence[str], metrics: dict[str, float]) -> pd.DataFrame:
    """Estimate Kaplan-Meier quantiles of each group.

    Parameters
    ----------
    rows : pandas.DataFrame
        One row per outage: ``keys``, ``duration_s``, ``is_event``, ``cluster_key``, ``sample_weight``.
    keys : sequence of str
    metrics : dict
        Name of the metric and its probability.

    Returns
    -------
    pandas.DataFrame
        One row per group and metric: numerator is the weighted number of events, denominator of outages of known length,
        excluded_count of those of unknown length. Where the curve does not come down to the quantile, value is null.
    """
    is_timed = rows["duration_s"].notna()
    cluster = pd.Series(pd.factorize(rows["cluster_key"])[0], index=rows.index)
    found: list[dict[str, Any]] = []
    groups = rows.groupby(list(keys), dropna=False, sort=False) if keys else [((), rows)]
    for key, part in groups:
        known = part[is_timed[part.index]]
        clusters = cluster[known.index]
        enough = len(known) >= MIN_ROWS and clusters.nunique() >= MIN_CLUSTERS
        for metric, probability in metrics.items():
            q = Quantile(np.nan, np.nan, np.nan)
            if enough:
                q = kaplan_meier(known["duration_s"], known["is_event"], known["sample_weight"], clusters, probability)
            found.append(
                {
                    **dict(zip(keys, key, strict=True)),
                    "metric": metric,
                    "value": q.value,
                    "numerator": float((known["sample_weight"] * known["is_event"].astype(float)).sum()),
                    "denominator": float(known["sample_weight"].sum()),
                    "excluded_count": float(part["sample_weight"].sum() - known["sample_weight"].sum()),
                    "ci_low": q.low if q.value == q.value else np.nan,
                    "ci_high": q.high if q.value == q.value else np.nan,
                    "state": "ok" if q.value == q.value else "insufficient",
                }
            )
    frame = pd.DataFrame(found, columns=[*keys, "metric", *METRIC_COLUMNS])
    for name in keys:
        frame[name] = frame[name].astype(rows[name].dtype)
    return frame


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


def _sums(frame: pd.DataFrame) -> Sums:
    names = (*MOMENTS, "cluster_count", "y_rows", "n_rows")
    return Sums(*(frame[name].to_numpy(dtype=np.float64) for name in names))


def _divide(above: Any, below: Any) -> Any:
    return np.divide(above, below, out=np.full(len(above), np.nan), where=below > 0)


def _finish(sums: pd.DataFrame, value: Any, y: Any, n: Any, low: Any, high: Any, enough: Any) -> pd.DataFrame:
    enough = enough & ~np.isnan(value)
    dropped = [*MOMENTS, "cluster_count", "y_rows", "n_rows", "excluded"]
    frame = sums.drop(columns=dropped)
    frame["value"] = np.where(enough, value, np.nan)
    frame["numerator"], frame["denominator"] = y, n
    frame["excluded_count"] = sums["excluded"].to_numpy(dtype=np.float64)
    frame["ci_low"], frame["ci_high"] = np.where(enough, low, np.nan), np.where(enough, high, np.nan)
    frame["state"] = pd.Series(np.where(enough, "ok", "insufficient"), index=frame.index, dtype=object)
    return frame


def run(engine: Engine, name: str, table: str, selection: Selection, **numbers: int) -> pd.DataFrame:
    """Run ``sql/metrics/<name>.sql``."""
    return engine.run(f"metrics/{name}", table, selection, **numbers)
