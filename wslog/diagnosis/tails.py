"""Tail probabilities and the correction for many tests, with numpy alone."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from wslog.intervals import benjamini_hochberg as benjamini_hochberg

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


def binomial_tail(hits: int, trials: int, p: float) -> float:
    """Return P(X >= hits) of a binomial count."""
    if hits <= 0:
        return 1.0
    if hits > trials or p <= 0:
        return 0.0
    if p >= 1:
        return 1.0
    k = np.arange(hits, trials + 1, dtype=np.float64)
    logs = log_factorials(trials)
    terms = logs[trials] - logs[hits:] - logs[trials - hits :: -1] + k * math.log(p) + (trials - k) * math.log1p(-p)
    return float(min(1.0, np.exp(terms).sum()))


def log_factorials(n: int) -> FloatArray:
    """Return log 0!, log 1!, ... log n!."""
    return np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, n + 1, dtype=np.float64)))])


def negative_binomial_tail(hits: int, mean: float, excess: float) -> float:
    """Return P(X >= hits) of a count with variance ``mean + excess * mean**2`` (``excess`` 0: Poisson)."""
    if hits <= 0:
        return 1.0
    if mean <= 0:
        return 0.0
    if excess < 1e-9:
        log_term, ratio_a, ratio_b = -mean, mean, 0.0
    else:
        size = 1 / excess
        q = mean / (mean + size)
        log_term, ratio_a, ratio_b = -size * math.log1p(mean * excess), q * (size - 1), q
    # P(k) = P(k - 1) * (ratio_a / k + ratio_b); added from `hits` up, so that small tails keep their digits
    top = int(hits + 60 + 20 * math.sqrt(mean + excess * mean * mean) + 4 * mean)
    k = np.arange(1, top + 1, dtype=np.float64)
    logs = log_term + np.cumsum(np.log(np.maximum(ratio_a / k + ratio_b, 1e-300)))
    return float(min(1.0, np.exp(logs[hits - 1 :]).sum()))


def beta_quantile_low(hits: float, trials: float, z: float = 1.959963984540054) -> float:
    """Return the lower 97.5 % bound of a share: Wilson's, which is close to Jeffreys' for small counts."""
    from wslog.intervals import wilson

    low, _ = wilson(hits / trials, trials, z) if trials > 0 else (np.array(0.0), None)
    return float(low)
