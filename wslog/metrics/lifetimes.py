"""Quantiles of times that are seen only in part: how long outages, recoveries and connections last."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from wslog.engine import to_frame
from wslog.intervals import MIN_CLUSTERS, MIN_ROWS
from wslog.schema import METRIC_COLUMNS
from wslog.survival import Curve, curves_at


@dataclass(frozen=True)
class Estimate:
    """One quantile of one group.

    Attributes
    ----------
    curve : Curve or None
        None below the evidence floor.
    numerator, denominator, excluded : float
        Weighted number of events, of rows of known length, of those of unknown length.
    """

    curve: Curve | None
    numerator: float
    denominator: float
    excluded: float

    @property
    def quantile(self) -> tuple[float, float, float]:
        """Value and 95 % interval; NaN below the floor, or where the curve does not come so far."""
        if self.curve is None or self.curve.value != self.curve.value:
            return np.nan, np.nan, np.nan
        return (self.curve.value, *self.curve.interval())


def curves_of(rows: pa.Table, keys: Sequence[str], metrics: dict[str, float]) -> dict[tuple[Any, ...], Estimate]:
    """Estimate Kaplan-Meier quantiles of each group.

    Parameters
    ----------
    rows : pyarrow.Table
        One row per time: ``keys``, ``duration_s``, ``is_event``, ``cluster_number``, ``sample_weight``.
    keys : sequence of str
    metrics : dict
        Name of the metric and its probability.

    Returns
    -------
    dict
        By the values of ``keys`` (null: None) and the metric's name.
    """
    seconds, events, weights = (_floats(rows, name) for name in ("duration_s", "is_event", "sample_weight"))
    clusters = rows.column("cluster_number").to_numpy()
    found: dict[tuple[Any, ...], Estimate] = {}
    for names, places in _groups(rows, keys):
        known = places[~np.isnan(seconds[places])]
        w = weights[known]
        total = float(w.sum())
        counts = (float((w * events[known]).sum()), total, float(weights[places].sum() - total))
        cluster = pd.factorize(clusters[known])[0]
        enough = len(known) >= MIN_ROWS and cluster.max() + 1 >= MIN_CLUSTERS
        curves = curves_at(seconds[known], events[known], w, cluster, list(metrics.values())) if enough else None
        for place, metric in enumerate(metrics):
            found[(*names, metric)] = Estimate(None if curves is None else curves[place], *counts)
    return found


def _floats(rows: pa.Table, name: str) -> npt.NDArray[np.float64]:
    """Return a column; null is NaN."""
    values: npt.NDArray[np.float64] = rows.column(name).cast("float64").to_numpy()
    return values


def _groups(rows: pa.Table, keys: Sequence[str]) -> list[tuple[tuple[Any, ...], npt.NDArray[np.int64]]]:
    """Return the values of ``keys`` of each group (null: None) and where its rows are."""
    groups: list[tuple[Any, ...]] = [()]
    code = np.zeros(len(rows), np.int64)
    for name in keys:
        column = rows.column(name).combine_chunks()
        column = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
        values = [*column.dictionary.to_pylist(), None]
        code = code * len(values) + column.indices.fill_null(len(values) - 1).to_numpy()
        # of all groups that could be few are there
        code, there = pd.factorize(code)
        groups = [(*groups[at // len(values)], values[at % len(values)]) for at in there]
    order = np.argsort(code, kind="stable")
    starts = np.searchsorted(code[order], np.arange(1, len(groups)))
    # without any group there is still one part, an empty one
    return list(zip(groups, np.split(order, starts), strict=False))


def quantiles(rows: pa.Table, keys: Sequence[str], metrics: dict[str, float]) -> pd.DataFrame:
    """Return the quantiles of each group as a metric frame; parameters are those of :func:`curves_of`.

    Returns
    -------
    pandas.DataFrame
        One row per group and metric: numerator is the weighted number of events, denominator of rows of known length,
        excluded_count of those of unknown length. Where the curve does not come down to the quantile, value is null.
    """
    found = []
    for key, estimate in curves_of(rows, keys, metrics).items():
        value, low, high = estimate.quantile
        state = "ok" if value == value else "insufficient"
        counts = (estimate.numerator, estimate.denominator, estimate.excluded)
        found.append((*key, value, *counts, low, high, state))
    frame = pd.DataFrame(found, columns=[*keys, "metric", *METRIC_COLUMNS])
    dtypes = to_frame(rows.select(list(keys)).slice(0, 0)).dtypes
    return frame.astype(dict(dtypes))
