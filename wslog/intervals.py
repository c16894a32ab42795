"""Intervals and evidence floors: how sure a metric is, from sums over clusters.

Attempts of one session fail together, so rows are not independent. The SQL files therefore return, for each group, sums
over clusters c (sessions; where none is known, clients; else single rows) of the products of y_c and n_c up to the fourth
order: :data:`MOMENTS`. From these follows the variance of the ratio y/n, how skew its error is, and how well the variance itself is
known; each of the three moves the interval. Measured on simulated weeks by ``python -m tests.metrics.coverage``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Z95 = 1.959963984540054
"""The 97.5 % point of the normal distribution."""

MIN_ROWS = 20
"""Rows below the line of a proportion: with fewer, the widest 95 % interval spans more than 40 points."""

MIN_CLUSTERS = 10
"""Sessions: with fewer, the variance between sessions is itself known to no better than a third."""

MIN_HOURS = 1.0
"""Connected hours below the line of a rate per hour: less is an extrapolation."""

FloatArray = npt.NDArray[np.float64]


SKEWNESS_SHARE = 0.75
"""How much of the asymptotic correction for skewness a proportion gets: with all of it, simulated intervals cover too much,
because the same clusters that make the error skew also lower the degrees of freedom."""

MOMENTS = (
    "y", "n", "yy", "yn", "nn", "yyy", "yyn", "ynn", "nnn", "yyyy", "yyyn", "yynn", "ynnn", "nnnn",
)  # fmt: skip
"""Sums over clusters, each named by its product: ``yyn`` is the sum of y_c^2 n_c."""


@dataclass(frozen=True)
class Sums:
    """Sums over the clusters of each group; arrays of one length (see :data:`MOMENTS`).

    ``y_rows`` and ``n_rows`` are the unweighted counts above and below the line.
    """

    y: FloatArray
    n: FloatArray
    yy: FloatArray
    yn: FloatArray
    nn: FloatArray
    yyy: FloatArray
    yyn: FloatArray
    ynn: FloatArray
    nnn: FloatArray
    yyyy: FloatArray
    yyyn: FloatArray
    yynn: FloatArray
    ynnn: FloatArray
    nnnn: FloatArray
    clusters: FloatArray
    y_rows: FloatArray
    n_rows: FloatArray


@dataclass(frozen=True)
class Spread:
    """What the clusters tell about the error of a ratio y/n; arrays of one length.

    Attributes
    ----------
    ratio : array
    variance : array
        Of y - ratio n: the jackknife's, to first order (linearised, Cochran, Sampling Techniques, 3rd ed., section 6.4, with
        C / (C - 1), and more where large clusters stray more). 0 where all clusters agree.
    skewness : array
        Third moment over the second to 3/2: large when few clusters bring most of y.
    df : array
        Degrees of freedom of the variance (Satterthwaite): from the inequality of cluster sizes, and from the fourth moment
        of what clusters stray by, the smaller; 3 at least. Infinite without variance.
    """

    ratio: FloatArray
    variance: FloatArray
    skewness: FloatArray
    df: FloatArray


def spread(s: Sums) -> Spread:
    """Return the spread of each group's ratio."""
    p = _ratio(s.y, s.n)
    e2 = np.maximum(s.yy - 2 * p * s.yn + p**2 * s.nn, 0.0)
    # what is left by rounding when all clusters agree is no variance
    e2 = np.where(e2 <= 1e-12 * np.maximum(s.yy, p**2 * s.nn), 0.0, e2)
    e2n = s.yyn - 2 * p * s.ynn + p**2 * s.nnn
    e3 = s.yyy - 3 * p * s.yyn + 3 * p**2 * s.ynn - p**3 * s.nnn
    e4 = s.yyyy - 4 * p * s.yyyn + 6 * p**2 * s.yynn - 4 * p**3 * s.ynnn + p**4 * s.nnnn
    uneven = np.maximum(_ratio(e2n, s.n) - _ratio(e2, s.clusters), 0.0)
    variance = np.where(e2 > 0, e2 * _ratio(s.clusters, s.clusters - 1) + 2 * uneven, 0.0)
    skewness = np.where(e2 > 0, e3 / np.where(e2 > 0, variance, 1.0) ** 1.5, 0.0)
    heavy = _ratio(e4, e2**2) - _ratio(1.0, s.clusters)
    by_tails = np.where((e2 > 0) & (heavy > 1e-9), 2 / np.where(heavy > 1e-9, heavy, 1.0), np.inf)
    # without any variance nothing was estimated that could be off
    df = np.where(e2 > 0, np.maximum(np.minimum(_ratio(s.n**2, s.nn) - 1, by_tails), 3.0), np.inf)
    return Spread(p, variance, skewness, df)


def _ratio(above: npt.ArrayLike, below: npt.ArrayLike) -> FloatArray:
    a, b = np.broadcast_arrays(np.asarray(above, np.float64), np.asarray(below, np.float64))
    ratio: FloatArray = np.divide(a, b, out=np.full(a.shape, np.nan), where=b > 0)
    return ratio


def t_of(z: npt.ArrayLike, df: npt.ArrayLike) -> FloatArray:
    """Return the quantile of Student's t with the tail of the normal quantile z.

    Notes
    -----
    Abramowitz and Stegun 26.7.5; at 97.5 % within 0.1 % from 3 degrees of freedom on.
    """
    z, v = np.broadcast_arrays(np.asarray(z, np.float64), np.asarray(df, np.float64))
    t: FloatArray = (
        z
        + (z**3 + z) / (4 * v)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * v**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * v**3)
        + (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / (92160 * v**4)
    )
    return t


def wilson(p: npt.ArrayLike, n_eff: npt.ArrayLike, z: npt.ArrayLike = Z95) -> tuple[FloatArray, FloatArray]:
    """Return the Wilson score interval of proportions.

    Parameters
    ----------
    p : array-like
        Estimates, 0 to 1.
    n_eff : array-like
        Effective numbers of independent observations; not whole in general.

    Returns
    -------
    low, high : arrays
        NaN where ``n_eff`` is not positive.

    Notes
    -----
    Wilson, JASA 22 (1927) 209-212; with an effective n for complex samples: Franco et al., J. Surv. Stat. Methodol. 7
    (2019) 334-364.
    """
    p = np.asarray(p, np.float64)
    n = np.where(np.asarray(n_eff, np.float64) > 0, n_eff, np.nan)
    z = np.asarray(z, np.float64)
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    # exact ends: 0 of n begins at 0, n of n ends at 1
    low = np.where(p <= 0, np.where(np.isnan(n), np.nan, 0.0), np.clip(centre - half, 0.0, p))
    high = np.where(p >= 1, np.where(np.isnan(n), np.nan, 1.0), np.clip(centre + half, p, 1.0))
    return low, high


def effective_n(sums: Sums) -> FloatArray:
    """Return how many independent observations the clustered, weighted proportion y/n is worth.

    p (1 - p) over its variance, never more than the rows there are. Where the clusters do not differ (all or none), clusters
    count as if their rows all told the same: (sum n_c)^2 / sum n_c^2.
    """
    found = spread(sums)
    p = found.ratio
    alike = _ratio(sums.n**2, sums.nn)
    return np.minimum(np.where(found.variance > 0, _ratio(p * (1 - p) * sums.n**2, found.variance), alike), sums.n_rows)


def proportion_interval(sums: Sums, z: npt.ArrayLike = Z95) -> tuple[FloatArray, FloatArray]:
    """Return the interval of the clustered proportion y/n: Wilson's with an effective n and Student's t.

    Wilson's interval leans to one half by what the skewness of a binomial asks for. Where few clusters bring most of y the
    error is more skew than that, and the far end moves out by the rest (Hall, JRSS B 54 (1992) 221-228: the mean of skew
    data).
    """
    found = spread(sums)
    p, n = found.ratio, effective_n(sums)
    # one row a cluster: the variance of a yes or no is known, not estimated
    t = t_of(z, np.where(sums.nn == sums.n, np.inf, found.df))
    low, high = wilson(p, n, t)
    q = np.where((p > 0) & (p < 1), p * (1 - p), np.nan)
    leaning = (1 - 2 * p) / np.sqrt(q * n)
    step = np.sqrt(q / n) * (t * t + 2) / 3 * SKEWNESS_SHARE
    up = np.maximum(found.skewness - np.maximum(leaning, 0), 0) * step
    down = np.maximum(-found.skewness - np.maximum(-leaning, 0), 0) * step
    return np.maximum(low - np.nan_to_num(down), 0.0), np.minimum(high + np.nan_to_num(up), 1.0)


def byar(count: npt.ArrayLike, z: npt.ArrayLike = Z95) -> tuple[FloatArray, FloatArray]:
    """Return Byar's approximation to the exact Poisson interval of counts (not whole in general).

    Notes
    -----
    Breslow and Day, Statistical Methods in Cancer Research II (IARC 82, 1987), p. 69.
    """
    o, z = np.broadcast_arrays(np.asarray(count, np.float64), np.asarray(z, np.float64))
    safe = np.where(o > 0, o, 1.0)
    low = np.where(o > 0, o * np.maximum(1 - 1 / (9 * safe) - z / (3 * np.sqrt(safe)), 0.0) ** 3, 0.0)
    up = o + 1
    high = up * (1 - 1 / (9 * up) + z / (3 * np.sqrt(up))) ** 3
    return np.where(np.isnan(o), np.nan, low), high


def rate_interval(sums: Sums, is_count: bool, z: npt.ArrayLike = Z95) -> tuple[FloatArray, FloatArray]:
    """Return the interval of the ratio y/n of an amount y over exposure n: Byar's with an effective count and Student's t.

    The effective count is the one whose Poisson variance, relative to its square, equals that of the ratio. For counts it
    is never more than the events there are; without any event, the mean weight of a row stands for the one not seen. Where
    the error is more skew than that of a Poisson count, the interval has the shape of the smaller count that is as skew.

    Parameters
    ----------
    sums : Sums
    is_count : bool
        Whether y counts events (else it is an amount, like seconds).
    z : float or array
        Normal quantile of the level.
    """
    found = spread(sums)
    rate, t = found.ratio, t_of(z, found.df)
    count = np.where(found.variance > 0, _ratio(sums.y**2, found.variance), sums.y_rows)
    count = np.minimum(count, sums.y_rows) if is_count else count
    skew = np.maximum(found.skewness, 1e-9)
    shape = np.minimum(count, 1 / skew**2)
    low, high = byar(shape, t)
    scale = _ratio(rate, np.sqrt(count * shape))
    with np.errstate(invalid="ignore"):
        none_high = byar(np.zeros_like(rate), t)[1] / np.where(sums.n > 0, sums.n, np.nan)
    has_any = sums.y > 0
    return (
        np.where(has_any, np.maximum(rate + (low - shape) * scale, 0.0), np.where(np.isnan(rate), np.nan, 0.0)),
        np.where(has_any, rate + (high - shape) * scale, none_high if is_count else np.nan),
    )


def benjamini_hochberg(p: npt.ArrayLike) -> FloatArray:
    """Return q-values: the false discovery rate at which each test would be a discovery.

    Notes
    -----
    Benjamini and Hochberg, J. R. Stat. Soc. B 57 (1995) 289-300.
    """
    values = np.asarray(p, np.float64)
    count = len(values)
    if not count:
        return values
    order = np.argsort(values, kind="stable")
    steps = values[order] * count / np.arange(1, count + 1)
    adjusted = np.minimum.accumulate(steps[::-1])[::-1]
    q = np.empty(count)
    q[order] = np.minimum(adjusted, 1.0)
    return q
