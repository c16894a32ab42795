"""Densities of time differences, from milliseconds to hours on one grid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from wslog.agreement.rows import FloatArray

_STEP = 0.2
_REACH = 14.0
_EDGES = np.arange(-_REACH, _REACH + _STEP / 2, _STEP)
_SMOOTH = np.array([1.0, 4.0, 6.0, 4.0, 1.0]) / 16.0
SMALLEST_SCALE_S = 0.002
"""Clocks of logs tell milliseconds at best."""


@dataclass(frozen=True)
class Density:
    """A histogram in asinh((x - centre) / scale): fine steps where the mass is, wide ones in the tails.

    Attributes
    ----------
    centre_s, scale_s : float
        Weighted median, and 1.48 times the weighted median distance from it.
    log_density : (bins,) float
        Natural logarithm of the density per second.
    """

    centre_s: float
    scale_s: float
    log_density: FloatArray

    def log_at(self, x: FloatArray) -> FloatArray:
        """Return the log density (per second) at differences in seconds."""
        bins = ((np.arcsinh((x - self.centre_s) / self.scale_s) + _REACH) / _STEP).astype(np.int64)
        found: FloatArray = self.log_density[np.clip(bins, 0, len(self.log_density) - 1)]
        return found


def fit(x: FloatArray, weights: FloatArray) -> Density:
    """Return the density of weighted differences, smoothed, with heavy tails: 1 % is spread over the whole grid.

    Parameters
    ----------
    x : (n,) float
        Differences in seconds; at least one.
    weights : (n,) float
    """
    centre = weighted_quantile(x, weights, 0.5)
    scale = max(1.4826 * weighted_quantile(np.abs(x - centre), weights, 0.5), SMALLEST_SCALE_S)
    counts, _ = np.histogram(np.arcsinh((x - centre) / scale), _EDGES, weights=weights)
    return _density(centre, scale, np.convolve(counts, _SMOOTH, mode="same"))


def broad(centre_s: float, scale_s: float) -> Density:
    """Return a bell to begin with."""
    middles = (_EDGES[1:] + _EDGES[:-1]) / 2
    return _density(centre_s, scale_s, np.exp(-0.5 * np.sinh(middles) ** 2) * np.cosh(middles))


def _density(centre: float, scale: float, counts: FloatArray) -> Density:
    mass = counts / counts.sum()
    mass = 0.99 * mass + 0.01 / len(mass)
    return Density(centre, scale, np.log(mass / (scale * np.diff(np.sinh(_EDGES)))))


def weighted_quantile(x: FloatArray, weights: FloatArray, q: float) -> float:
    """Return the smallest x below which at least the share q of the weight lies."""
    order = np.argsort(x, kind="stable")
    total = np.cumsum(weights[order])
    return float(x[order][min(np.searchsorted(total, q * total[-1]), len(x) - 1)])
