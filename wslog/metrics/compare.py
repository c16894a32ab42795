"""Did it change? Two weeks, two releases or any two filters: one mechanism for every metric and for the report.

Each difference has an interval made of the two estimates' own (MOVER: Zou and Donner, Statistics in Medicine 27 (2008)
1693-1702), with the covariance of clients that are in both, and a p-value that is the same interval turned round: the level
at which it reaches 0. Many differences are looked at, so the verdict goes by q-values (Benjamini and Hochberg).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import erfc, sqrt
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from wslog.intervals import Z95, FloatArray, Sums, benjamini_hochberg, spread
from wslog.metrics.frames import (
    SUM_COLUMNS,
    counts_of,
    fetch,
    interval_of,
    is_enough,
    kind_of,
    run,
    sums_of,
    value_of,
    with_connected,
)
from wslog.metrics.halves import Halves, common_days, parse_halves
from wslog.metrics.lifetimes import curves_of
from wslog.selection import check_by

if TYPE_CHECKING:
    from wslog.engine import Engine

LEVEL = 0.05
"""False discovery rate of the verdicts."""

FLOOR = 0.1
"""Relative effect below which a difference is not called a change, however sure: of the value, or of a share's rarer side."""

VERDICTS = ("better", "worse", "changed", "no_evidence_of_change", "insufficient")
"""``changed`` where more is neither good nor bad. No evidence of change does not mean that nothing changed."""

COLUMNS = (
    "before", "after", "difference", "ratio", "ci_low", "ci_high", "p_value", "q_value", "verdict",
    "before_numerator", "before_denominator", "before_ci_low", "before_ci_high",
    "after_numerator", "after_denominator", "after_ci_low", "after_ci_high", "days_compared", "days_left_out",
)  # fmt: skip

HIGHER_IS_BETTER = ("connect_success_rate", "connected_time_ratio", "connection_lifetime_p50_s", "retry_success")
_Z_MAX = 8.0


@dataclass(frozen=True)
class Query:
    """One SQL file of a metric that can be compared.

    Attributes
    ----------
    name, table : str
        The file and the table its selection speaks about.
    keys : tuple of str
        Its own keys beside the groups and the metric.
    metric : str
        Name of the metric where the file does not give it.
    quantiles : tuple of (str, float)
        Metrics that are quantiles of its rows, and their probabilities; empty: rows are cluster sums.
    numbers : tuple of (str, int)
        Numeric placeholders.
    is_distribution : bool
        Rows of a group share the denominator; a row missing in one half was counted 0 times there.
    """

    name: str
    table: str
    keys: tuple[str, ...] = ()
    metric: str = ""
    quantiles: tuple[tuple[str, float], ...] = ()
    numbers: tuple[tuple[str, int], ...] = ()
    is_distribution: bool = False


def compare(
    engine: Engine,
    queries: Sequence[Query],
    keys: Sequence[str],
    tables: Sequence[str],
    by: str | Iterable[str],
    since: str | None,
    until: str | None,
    week: str | None,
    where: str | None,
    against: str,
) -> pd.DataFrame:
    """Compare two selections metric by metric.

    Parameters
    ----------
    engine : Engine
    queries : sequence of Query
    keys : sequence of str
        Keys of the metric's frame beside the grouping columns.
    tables : sequence of str
        Tables the metric reads.
    by, since, until, week, where
        Groups, period and filter of ``after``, as for the metric itself.
    against : str
        ``before``: an ISO week, or a filter (:func:`wslog.metrics.halves.parse_halves`).

    Returns
    -------
    pandas.DataFrame
        One row per group and ``keys``, then :data:`COLUMNS`: both estimates (null: too little evidence) with their counts
        and intervals, ``difference`` after - before with its 95 % interval, ``ratio`` after / before, ``p_value`` and
        ``q_value`` (corrected over all rows of the frame), the ``verdict`` of :data:`VERDICTS`, how many days were
        compared and which were left out and why. Clusters are clients where they are known, else sessions.

    Raises
    ------
    UsageError
    """
    by = [by] if isinstance(by, str) else list(by)
    by = [name for part in by for name in part.split(",")]
    before, after = parse_halves(by, since, until, week, where, against, tables, tuple(keys))
    groups = check_by(by, tables, tuple(keys))
    parts = [
        part
        for halves in common_days(engine, before, after)
        if halves.day_count
        for query in queries
        for part in [_quantiles(engine, query, halves) if query.quantiles else _ratios(engine, query, halves)]
        if len(part)
    ]
    columns = list(dict.fromkeys((*groups, *keys)))
    if not parts:
        return pd.DataFrame(columns=[*columns, *COLUMNS]).astype(
            dict.fromkeys((*columns, "verdict", "days_left_out"), object)
        )
    frame = pd.concat(parts, ignore_index=True)
    for name in columns:
        if name not in frame.columns:  # no row had this key
            frame[name] = None
    tested = frame["p_value"].notna().to_numpy()
    q = np.full(len(frame), np.nan)
    q[tested] = benjamini_hochberg(frame.loc[tested, "p_value"].to_numpy(np.float64))
    frame["q_value"] = q
    frame["verdict"] = pd.Series([_verdict(row) for row in frame.to_dict("records")], index=frame.index, dtype=object)
    frame = frame[[*columns, *COLUMNS]].sort_values(columns, kind="stable", na_position="last", ignore_index=True)
    for name in columns:
        if frame[name].dtype == object or str(frame[name].dtype) == "str":
            frame[name] = frame[name].astype(object).where(frame[name].notna(), None)
    return frame


def _verdict(row: dict[Any, Any]) -> str:
    if not row["q_value"] >= 0:
        return "insufficient"
    before, difference = row["before"], row["difference"]
    base = min(before, 1 - before) if row["is_share"] else before
    is_large = abs(difference) >= FLOOR * base
    if row["q_value"] > LEVEL or not is_large:
        return "no_evidence_of_change"
    if row.get("metric") is None:
        return "changed"
    return "better" if (difference > 0) == (row["metric"] in HIGHER_IS_BETTER) else "worse"


# --- ratios ---


def _ratios(engine: Engine, query: Query, halves: Halves) -> pd.DataFrame:
    found = [
        run(engine, query.name, query.table, half, by_client=1, **dict(query.numbers))
        for half in (halves.before, halves.after, halves.both)
    ]
    if query.metric:
        found = [part.assign(metric=pd.Series(query.metric, index=part.index, dtype=object)) for part in found]
    found = [with_connected(part) if "metric" in part.columns else part for part in found]
    groups = list(dict.fromkeys((*halves.after.by, "side" if "side" in found[0].columns else "")))
    groups = [name for name in groups if name]
    own = [name for name in (*query.keys, "metric") if name in found[0].columns and name not in groups]
    index = pd.concat([part[[*groups, *own]] for part in found[:2]]).drop_duplicates(ignore_index=True)
    if not len(index):
        return index
    old, new, both = (_aligned(part, index, groups, own, query.is_distribution) for part in found)
    result = index.copy()
    if "side" not in result.columns:
        result["side"] = halves.side
    kinds = (
        [kind_of(str(metric)) for metric in result["metric"]] if "metric" in result.columns else ["share"] * len(result)
    )
    for kind in dict.fromkeys(kinds):
        at = np.flatnonzero(np.array(kinds) == kind)
        a, b, c = (part.iloc[at] for part in (old, new, both))
        numbers = contrast(kind, a, b, c)
        for name, column in numbers.items():
            if name not in result.columns:
                result[name] = np.nan
            result.loc[result.index[at], name] = column
    result["is_share"] = [kind in ("share", "time_share") for kind in kinds]
    result["days_compared"], result["days_left_out"] = halves.day_count, halves.left_out
    return result


def _aligned(
    part: pd.DataFrame, index: pd.DataFrame, groups: list[str], own: list[str], is_distribution: bool
) -> pd.DataFrame:
    """Return the sums in the rows of ``index``, zero where a half has none."""
    keys = [*groups, *own]
    whole = (
        index.assign(place=range(len(index))).merge(part, on=keys, how="left").sort_values("place", ignore_index=True)
    )
    if is_distribution:
        of_group = [name for name in SUM_COLUMNS if "y" not in name]
        totals = part[[*groups, *of_group]].drop_duplicates(groups)
        filled = index[groups].merge(totals, on=groups, how="left")
        whole[of_group] = whole[of_group].astype("float64").fillna(filled[of_group].astype("float64"))
    return whole[list(SUM_COLUMNS)].astype("float64").fillna(0.0)


def contrast(
    kind: str, old: pd.DataFrame, new: pd.DataFrame, both: pd.DataFrame | None = None
) -> dict[str, FloatArray]:
    """Return the numbers of a comparison of ratios, row by row.

    Parameters
    ----------
    kind : str
        As :func:`wslog.metrics.frames.kind_of` has it.
    old, new : DataFrame
        Cluster sums of the two halves, row for row.
    both : DataFrame, optional
        Those of the rows of both halves together: what clusters in both have in common follows from them (the cross
        moments by polarisation, with both ratios taken as equal where their product is needed). None: nothing.

    Returns
    -------
    dict of str to (n,) arrays
        The numeric columns of :data:`COLUMNS` but q_value; null where a half has too little evidence.
    """
    a, b = sums_of(old), sums_of(new)
    enough = is_enough(kind, a, old["excluded"].to_numpy()) & is_enough(kind, b, new["excluded"].to_numpy())
    p, q = value_of(kind, a), value_of(kind, b)
    r = np.zeros(len(p)) if both is None else _correlation(a, b, sums_of(both))
    enough &= ~np.isnan(p) & ~np.isnan(q)

    def ends(z: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
        return mover(p, interval_of(kind, a, z), q, interval_of(kind, b, z), r)

    numbers = _numbers(p, q, ends, enough)
    for half, s, value in (("before", a, p), ("after", b, q)):
        ok = is_enough(kind, s, (old if half == "before" else new)["excluded"].to_numpy()) & ~np.isnan(value)
        low, high = interval_of(kind, s)
        numbers[half] = np.where(ok, value, np.nan)
        numbers[f"{half}_ci_low"], numbers[f"{half}_ci_high"] = np.where(ok, low, np.nan), np.where(ok, high, np.nan)
        numbers[f"{half}_numerator"], numbers[f"{half}_denominator"] = counts_of(kind, s)
    return numbers


def mover(
    p: FloatArray, of_p: tuple[FloatArray, FloatArray], q: FloatArray, of_q: tuple[FloatArray, FloatArray], r: Any
) -> tuple[FloatArray, FloatArray]:
    """Return the interval of q - p from the intervals of both and their correlation."""
    down, up = q - of_q[0], of_q[1] - q
    rise, fall = of_p[1] - p, p - of_p[0]
    low = q - p - np.sqrt(np.maximum(down**2 + rise**2 - 2 * r * down * rise, 0.0))
    high = q - p + np.sqrt(np.maximum(up**2 + fall**2 - 2 * r * up * fall, 0.0))
    return low, high


def _numbers(
    p: FloatArray,
    q: FloatArray,
    ends: Callable[[npt.ArrayLike], tuple[FloatArray, FloatArray]],
    enough: npt.NDArray[np.bool_],
) -> dict[str, FloatArray]:
    """Return difference, ratio, interval and p-value; the p-value is the level at which the interval reaches 0."""
    difference = q - p
    low, high = ends(Z95)
    left, right = np.zeros(len(p)), np.full(len(p), _Z_MAX)
    for _ in range(40):
        z = (left + right) / 2
        inner = ends(z)
        reaches = np.where(difference >= 0, inner[0] <= 0, inner[1] >= 0) | np.isnan(inner[0]) | np.isnan(inner[1])
        left, right = np.where(reaches, left, z), np.where(reaches, z, right)
    p_value = np.array([erfc(value / sqrt(2)) for value in (left + right) / 2])
    ratio = np.divide(q, p, out=np.full(len(p), np.nan), where=p > 0)
    columns = {"difference": difference, "ratio": ratio, "ci_low": low, "ci_high": high, "p_value": p_value}
    return {name: np.where(enough, column, np.nan) for name, column in columns.items()}


def _correlation(a: Sums, b: Sums, both: Sums) -> FloatArray:
    """Return the correlation of the two ratios that clusters in both halves make."""
    of_a, of_b = spread(a), spread(b)
    yy, nn = (both.yy - a.yy - b.yy) / 2, (both.nn - a.nn - b.nn) / 2
    covariance = yy - (of_a.ratio + of_b.ratio) / 2 * (both.yn - a.yn - b.yn) + of_a.ratio * of_b.ratio * nn
    scale = np.sqrt(of_a.variance * of_b.variance)
    # rounding of large sums is no covariance
    known = (scale > 0) & (np.abs(covariance) > 1e-9 * scale)
    r: FloatArray = np.divide(covariance, scale, out=np.zeros(len(scale)), where=known)
    return np.clip(r, -0.95, 0.95)


# --- quantiles ---


def _quantiles(engine: Engine, query: Query, halves: Halves) -> pd.DataFrame:
    """Compare Kaplan-Meier quantiles; clients in both halves are taken as two, which widens the interval."""
    groups = list(dict.fromkeys((*halves.after.by, "side")))
    old, new = (
        curves_of(fetch(engine, query.name, query.table, half, by_client=1), groups, dict(query.quantiles))
        for half in (halves.before, halves.after)
    )
    rows = []
    for key in dict.fromkeys((*old, *new)):
        one, other = old.get(key), new.get(key)
        row: dict[str, Any] = {**dict(zip([*groups, "metric"], key, strict=True)), "is_share": False}
        for half, estimate in (("before", one), ("after", other)):
            quantile = (np.nan, np.nan, np.nan) if estimate is None else estimate.quantile
            row |= dict(zip((half, f"{half}_ci_low", f"{half}_ci_high"), quantile, strict=True))
            row |= {
                f"{half}_numerator": getattr(estimate, "numerator", 0.0),
                f"{half}_denominator": getattr(estimate, "denominator", 0.0),
            }
        p, q = np.array([row["before"]]), np.array([row["after"]])
        enough = ~np.isnan(p) & ~np.isnan(q)
        if enough[0] and one is not None and other is not None and one.curve is not None and other.curve is not None:
            first, second = one.curve, other.curve

            def ends(z: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
                of = [
                    tuple(np.array([end]) for end in curve.interval(float(np.ravel(z)[0])))
                    for curve in (first, second)  # noqa: B023
                ]
                return mover(p, (of[0][0], of[0][1]), q, (of[1][0], of[1][1]), 0.0)  # noqa: B023

            row |= {name: float(column[0]) for name, column in _numbers(p, q, ends, enough).items()}
        else:
            row |= dict.fromkeys(("difference", "ratio", "ci_low", "ci_high", "p_value"), np.nan)
        rows.append(row)
    frame = pd.DataFrame(rows)
    if len(frame):
        frame["days_compared"], frame["days_left_out"] = halves.day_count, halves.left_out
    return frame
