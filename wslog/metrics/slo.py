"""Is the objective met, and how fast is its error budget spent? SQL: ``sql/metrics/slo.sql``, once for all windows.

Burn rate and windows as in The Site Reliability Workbook (O'Reilly 2018), chapter 5: the share of bad events over the share
that the objective allows; 1 spends the budget in exactly the period, 14.4 in an hour spends 2 % of a 30-day budget.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from wslog.errors import UsageError
from wslog.metrics.frames import arrange, run, select, weekly_rates
from wslog.schema import METRIC_COLUMNS
from wslog.selection import Period, Selection, unknown

if TYPE_CHECKING:
    from wslog.engine import Engine

KEYS = ("side", "metric")
METRICS = ("connect_success_rate", "connected_time_ratio")
"""What an objective can be set for: shares of which 1 is perfect."""

PERIOD_DAYS = 28
"""The budget's period where none is asked for: four weeks, so that it holds the same weekdays always."""

_HOUR = 3_600_000_000
WINDOWS = {"1h": _HOUR, "6h": 6 * _HOUR, "3d": 72 * _HOUR, "7d": 168 * _HOUR}
"""Windows and their lengths in µs; all end at the last instant of the data, never at the clock's."""

VERDICTS = ("met", "missed", "undecided", "insufficient")
COLUMNS = (
    "objective_ratio", "bad_count", "budget_count", "budget_spent_ratio", "burn_rate", "burn_ci_low", "burn_ci_high", "verdict",
    "from_at", "until_at",
)  # fmt: skip


def slo(
    engine: Engine,
    objective: float,
    metric: str = "connect_success_rate",
    by: str | Iterable[str] = (),
    since: str | None = None,
    until: str | None = None,
    week: str | None = None,
    where: str | None = None,
) -> pd.DataFrame:
    """Hold a metric against an objective, over the budget's period and in windows that end with the data.

    Parameters
    ----------
    objective : float
        Between 0 and 1, like 0.99.
    metric : str
        Of :data:`METRICS`.
    by, since, until, week, where
        As for every metric. The period asked for is the budget's; else the last :data:`PERIOD_DAYS` days of the data.

    Returns
    -------
    pandas.DataFrame
        One row per group, ``side``, ``metric`` and ``window`` (``1h``, ``6h``, ``3d``, ``7d``, ``period``): the metric columns
        (numerator: good, denominator: all; of ``connected_time_ratio`` hours), then :data:`COLUMNS`: ``bad_count`` (hours of
        outage); ``budget_count``, what the objective allows in the period; ``budget_spent_ratio``, the share of it that the
        window spent; ``burn_rate`` with its 95 % interval (null: too little evidence); the ``verdict``: met or missed where
        the interval lies on one side of the objective, undecided where it does not, insufficient without one. Windows
        longer than the period are left out.

    Raises
    ------
    UsageError
    """
    if not 0 < objective < 1:
        raise UsageError(f"--objective {objective}: give a share between 0 and 1, like 0.99")
    if metric not in METRICS:
        raise unknown("metric with an objective", metric, METRICS)
    selection = select(by, since, until, week, where, ["attempts", "episodes", "sessions"], KEYS)
    keys = [*selection.by, "side", "metric"]
    days = run(engine, "days", "attempts", replace(selection, by=()))
    columns = [*keys, "window", *METRIC_COLUMNS, *COLUMNS]
    if not len(days):
        return pd.DataFrame(columns=columns)
    last, first = int(days["last_us"].max()) + 1, int(days["first_us"].min())
    whole = selection.period
    start = whole.since_us if whole.since_us is not None else last - PERIOD_DAYS * 24 * _HOUR
    if whole != Period() and whole.since_us is None:
        start = first
    start = max(start, first)
    spans = {"period": start, **{name: last - length for name, length in WINDOWS.items() if last - length >= start}}
    parts = _windows(engine, selection, metric, spans, last)
    groups = parts["period"][keys]
    budget = parts["period"]["denominator"].to_numpy(np.float64) * (1 - objective)
    found = []
    for name in (*WINDOWS, "period"):
        if name not in parts:
            continue
        part = groups.merge(parts[name], on=keys, how="left")
        found.append(_held(part, objective, budget, name, spans[name], last))
    frame = pd.concat(found, ignore_index=True)
    frame["place"] = frame.groupby(keys, dropna=False, sort=False).ngroup()
    return frame.sort_values("place", kind="stable", ignore_index=True)[columns]


def _windows(
    engine: Engine, selection: Selection, metric: str, spans: dict[str, int], last: int
) -> dict[str, pd.DataFrame]:
    """Return the estimates of each window that is asked for."""
    chosen = replace(selection, period=Period(spans["period"], last))
    begins = {f"from_{name}": spans.get(name, last) for name in WINDOWS}
    sums = run(engine, "slo", "attempts", chosen, is_time=int(metric == "connected_time_ratio"), **begins)
    source = "downtime_s_per_connected_hour" if metric == "connected_time_ratio" else metric
    sums["metric"] = pd.Series(source, index=sums.index, dtype=object)
    found = {}
    for code, name in enumerate((*WINDOWS, "period"), 1):
        rates = weekly_rates(sums[sums["window_code"] == code].drop(columns="window_code"))
        found[name] = arrange([rates[rates["metric"] == metric]], [*selection.by, *KEYS])
    return {name: found[name] for name in spans}


def _held(
    part: pd.DataFrame,
    objective: float,
    budget: np.ndarray[tuple[int], np.dtype[np.float64]],
    name: str,
    begin: int,
    end: int,
) -> pd.DataFrame:
    """Hold one window's estimates against the objective."""
    part = part.assign(window=pd.Series(name, index=part.index, dtype=object))
    part["state"] = part["state"].astype(object).where(part["state"].notna(), "insufficient")
    counts = ["numerator", "denominator", "excluded_count"]
    part[counts] = part[counts].fillna(0.0)
    allowed = 1 - objective
    part["objective_ratio"] = objective
    part["bad_count"] = part["denominator"] - part["numerator"]
    part["budget_count"] = budget
    part["budget_spent_ratio"] = np.divide(
        part["bad_count"].to_numpy(np.float64), budget, out=np.full(len(part), np.nan), where=budget > 0
    )
    part = with_burn(part, allowed)
    low, high = part["ci_low"], part["ci_high"]
    verdict = np.select(
        [low.isna() | high.isna(), low >= objective, high < objective], ["insufficient", "met", "missed"], "undecided"
    )
    part["verdict"] = pd.Series(verdict, index=part.index, dtype=object)
    part["from_at"], part["until_at"] = (pd.Timestamp(at, unit="us", tz="UTC") for at in (begin, end))
    return part


def with_burn(frame: pd.DataFrame, allowed: float) -> pd.DataFrame:
    """Return a metric frame of shares with ``burn_rate``, ``burn_ci_low`` and ``burn_ci_high``."""
    return frame.assign(
        burn_rate=(1 - frame["value"]) / allowed,
        burn_ci_low=(1 - frame["ci_high"]) / allowed,
        burn_ci_high=(1 - frame["ci_low"]) / allowed,
    )


def weekly_burn(reliability: pd.DataFrame, objective: float, metric: str = "connect_success_rate") -> pd.DataFrame:
    """Return the burn rate by week from a ``reliability()`` frame, as a metric frame for the chart.

    Returns
    -------
    pandas.DataFrame
        The rows of ``metric`` with ``burn_rate`` as their metric, value and interval; numerator is bad, denominator all.
    """
    rows = with_burn(reliability[reliability["metric"] == metric], 1 - objective)
    return rows.assign(
        metric=pd.Series("burn_rate", index=rows.index, dtype=object),
        value=rows["burn_rate"],
        ci_low=rows["burn_ci_low"],
        ci_high=rows["burn_ci_high"],
        numerator=rows["denominator"] - rows["numerator"],
    ).drop(columns=["burn_rate", "burn_ci_low", "burn_ci_high"])
