"""Quantiles of times that are seen only in part: how long outages, recoveries and connections last."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from wslog.intervals import MIN_CLUSTERS, MIN_ROWS
from wslog.schema import METRIC_COLUMNS
from wslog.survival import Curve, curve


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


def curves_of(rows: pd.DataFrame, keys: Sequence[str], metrics: dict[str, float]) -> dict[tuple[Any, ...], Estimate]:
    """Estimate Kaplan-Meier quantiles of each group.

    Parameters
    ----------
    rows : pandas.DataFrame
        One row per time: ``keys``, ``duration_s``, ``is_event``, ``cluster_key``, ``sample_weight``.
    keys : sequence of str
    metrics : dict
        Name of the metric and its probability.

    Returns
    -------
    dict
        By the values of ``keys`` (null: None) and the metric's name.
    """
    seconds = rows["duration_s"].to_numpy(np.float64, na_value=np.nan)
    events = rows["is_event"].to_numpy(np.float64)
    weights = rows["sample_weight"].to_numpy(np.float64)
    clusters = pd.factorize(rows["cluster_key"])[0]
    found: dict[tuple[Any, ...], Estimate] = {}
    groups = (
        rows.groupby(list(keys), dropna=False, sort=False, observed=True).indices
        if keys
        else {(): np.arange(len(rows))}
    )
    for key, places in groups.items():
        names = key if isinstance(key, tuple) else (key,)
        names = tuple(None if pd.isna(name) else name for name in names)
        known = places[~np.isnan(seconds[places])]
        w = weights[known]
        total = float(w.sum())
        counts = (float((w * events[known]).sum()), total, float(weights[places].sum() - total))
        enough = len(known) >= MIN_ROWS and len(np.unique(clusters[known])) >= MIN_CLUSTERS
        for metric, probability in metrics.items():
            one = curve(seconds[known], events[known], w, clusters[known], probability) if enough else None
            found[(*names, metric)] = Estimate(one, *counts)
    return found


def quantiles(rows: pd.DataFrame, keys: Sequence[str], metrics: dict[str, float]) -> pd.DataFrame:
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
    return frame.astype({name: rows[name].dtype for name in keys})
