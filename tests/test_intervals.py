"""Intervals against outside witnesses: statsmodels, scipy, closed forms, and simulated truth."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.duration.survfunc import SurvfuncRight
from statsmodels.stats.proportion import proportion_confint

from wslog.intervals import MOMENTS, Sums, byar, effective_n, proportion_interval, rate_interval, spread, t_of, wilson
from wslog.survival import kaplan_meier


def sums_of(y: Any, n: Any, rows: Any = None) -> Sums:
    """Cluster sums of one group: ``y`` and ``n`` per cluster."""
    factors = {"y": np.asarray(y, float), "n": np.asarray(n, float)}
    one = lambda value: np.array([float(value)])  # noqa: E731
    products = [one(np.prod([factors[factor] for factor in name], axis=0).sum()) for name in MOMENTS]
    total = factors["n"].sum() if rows is None else rows
    return Sums(*products, one(len(factors["y"])), one(factors["y"].sum()), one(total))


# --- Wilson ---


@pytest.mark.parametrize(
    ("count", "n"), [(0, 20), (1, 20), (10, 20), (20, 20), (3, 1000), (999, 1000), (50_000, 1_000_000)]
)
def test_wilson_equals_statsmodels(count: int, n: int) -> None:
    low, high = wilson(count / n, n)
    # the same closed form; what differs is the order of rounding
    assert (low, high) == pytest.approx(proportion_confint(count, n, method="wilson"), rel=1e-12, abs=1e-15)


@settings(max_examples=200, deadline=None)
@given(st.floats(0, 1), st.floats(0.5, 1e9))
def test_wilson_holds_the_estimate(p: float, n: float) -> None:
    low, high = wilson(p, n)
    assert 0 <= low <= p <= high <= 1


def test_wilson_without_evidence_is_nan() -> None:
    low, high = wilson([0.5, np.nan], [0, 10])
    assert np.isnan(low).all()
    assert np.isnan(high).all()


# --- clusters ---


def test_independent_rows_are_worth_themselves() -> None:
    # clusters of one: p (1 - p) / variance is n - 1 exactly, by C / (C - 1)
    y = np.array([1] * 30 + [0] * 70)
    assert effective_n(sums_of(y, np.ones(100))) == pytest.approx(99)


def test_rows_that_repeat_one_another_count_once() -> None:
    # each cluster says the same five times: 100 rows are worth 20 clusters
    y = np.array([5] * 8 + [0] * 12)
    assert effective_n(sums_of(y, np.full(20, 5))) == pytest.approx(19)


def test_when_all_clusters_agree_clusters_count() -> None:
    assert effective_n(sums_of(np.zeros(20), np.full(20, 5))) == pytest.approx(20)
    assert effective_n(sums_of(np.full(20, 5), np.full(20, 5))) == pytest.approx(20)
    # exactly the same share everywhere, sizes differ: no spread, but no more certainty than clusters give
    sizes = np.array([2.0, 4.0, 6.0, 8.0] * 5)
    assert effective_n(sums_of(sizes / 2, sizes)) == pytest.approx(sizes.sum() ** 2 / (sizes**2).sum())


def test_negative_correlation_never_counts_more_than_the_rows() -> None:
    assert effective_n(sums_of([1, 1, 1, 1, 0] * 10, [2, 2, 2, 2, 1] * 10)) <= 90


def test_weights_do_not_invent_evidence() -> None:
    y = np.array([1] * 30 + [0] * 70)
    assert effective_n(sums_of(10 * y, np.full(100, 10.0), rows=100)) == pytest.approx(99)


def test_effective_n_equals_statsmodels_cluster_variance() -> None:
    sm = pytest.importorskip("statsmodels.api")
    rng = np.random.default_rng(3)
    cluster = np.repeat(np.arange(40), rng.integers(1, 9, 40))
    y = (rng.random(len(cluster)) < rng.beta(2, 3, 40)[cluster]).astype(float)
    fit = sm.OLS(y, np.ones_like(y)).fit(cov_type="cluster", cov_kwds={"groups": cluster, "use_correction": False})
    # statsmodels' cluster-robust variance of a mean, with our C / (C - 1)
    variance = float(fit.cov_params()[0, 0]) * 40 / 39
    p = y.mean()
    sums = sums_of(np.bincount(cluster, y), np.bincount(cluster))
    assert effective_n(sums) == pytest.approx(min(p * (1 - p) / variance, len(y)), rel=0.02), (
        "uneven clusters: 2 % at most"
    )
    even = np.repeat(np.arange(40), 5)
    fit = sm.OLS(y[:200] if len(y) >= 200 else np.resize(y, 200), np.ones(200)).fit(
        cov_type="cluster", cov_kwds={"groups": even, "use_correction": False}
    )
    y = np.resize(y, 200)
    found = effective_n(sums_of(np.bincount(even, y), np.bincount(even)))
    assert found == pytest.approx(y.mean() * (1 - y.mean()) / (float(fit.cov_params()[0, 0]) * 40 / 39), rel=1e-9)


def test_the_variance_is_the_jackknifes() -> None:
    """Delete one cluster at a time: the witness for clusters of very different sizes, to the first order in 1 / C."""
    rng = np.random.default_rng(8)
    n = rng.lognormal(0, 1.0, 150)
    y = rng.poisson(n * rng.gamma(1.0, 1.0, 150)).astype(float)
    without = (y.sum() - y) / (n.sum() - n)
    jackknife = 149 / 150 * np.sum((without - without.mean()) ** 2)
    linear = np.sum((y - y.sum() / n.sum() * n) ** 2) / n.sum() ** 2
    found = spread(sums_of(y, n)).variance / n.sum() ** 2
    assert found == pytest.approx(jackknife, rel=0.02)
    assert abs(linear - jackknife) > 2 * abs(found - jackknife), "closer than the linearised one"


@pytest.mark.parametrize("df", [3, 4, 7.5, 20, 200])
@pytest.mark.parametrize("z", [1.0, 1.959963984540054, 2.8])
def test_t_equals_scipy(df: float, z: float) -> None:
    # an expansion in 1 / df: within 0.15 % at the 95 % level, 1.5 % far out at 3 degrees of freedom
    assert t_of(z, df) == pytest.approx(stats.t.ppf(stats.norm.cdf(z), df), rel=0.0015 if z < 2 else 0.015)


def test_few_clusters_widen_by_student() -> None:
    y = np.array([1.0] * 10 + [0.0] * 10)
    low, high = proportion_interval(sums_of(3 * y, np.full(20, 3.0)))
    expected = wilson(0.5, 19, stats.t.ppf(0.975, 19))
    assert (low[0], high[0]) == pytest.approx(tuple(map(float, expected)), rel=1e-4)


def test_one_row_a_cluster_is_plain_wilson() -> None:
    y = np.array([1.0] * 10 + [0.0] * 90)
    low, high = proportion_interval(sums_of(y, np.ones(100)))
    assert (low[0], high[0]) == pytest.approx(tuple(map(float, wilson(0.1, 99))), rel=1e-9)


def test_a_few_clusters_with_all_the_failures_reach_far_out() -> None:
    """4 of 200 sessions bring all failures: more skew, fewer degrees of freedom, more doubt above."""
    n = np.full(200, 10.0)
    few, many = np.zeros(200), np.zeros(200)
    few[:4] = 10
    many[:40] = 1
    (low_few, high_few), (low_many, high_many) = (proportion_interval(sums_of(y, n)) for y in (few, many))
    assert high_few - 0.02 > 3 * (high_many - 0.02)
    assert low_few < low_many
    # four sessions of 200: the exact interval of that share is 0.5 to 5 %
    exact = stats.beta.ppf(0.975, 5, 196)
    assert exact < high_few < 1.5 * exact


# --- rates ---


@pytest.mark.parametrize("count", [1, 2, 5, 10, 30, 100, 1000])
def test_byar_is_close_to_the_exact_poisson_interval(count: int) -> None:
    low, high = byar(count)
    exact_low, exact_high = stats.chi2.ppf(0.025, 2 * count) / 2, stats.chi2.ppf(0.975, 2 * (count + 1)) / 2
    # Byar's is an approximation: within 0.6 % at the upper end; at the lower end within 0.018 events at any count, which for
    # a single one (0.013 for 0.025) is much of the end but nothing of the width (5.5)
    assert high == pytest.approx(exact_high, rel=0.006)
    assert low == pytest.approx(exact_low, rel=0.005, abs=0.018)


def test_byar_of_nothing() -> None:
    low, high = byar(0)
    assert low == 0
    assert high == pytest.approx(-np.log(0.025), rel=0.006)


def test_rate_of_independent_counts_is_byars() -> None:
    rng = np.random.default_rng(5)
    y = rng.poisson(2.0, 4000)
    low, high = rate_interval(sums_of(y, np.ones(4000)), is_count=True)
    plain_low, plain_high = byar(y.sum())
    # the design effect is estimated: its error at 4000 clusters is a few percent of the width
    width = (plain_high - plain_low) / 4000
    assert low == pytest.approx(plain_low / 4000, abs=0.05 * width)
    assert high == pytest.approx(plain_high / 4000, abs=0.05 * width)


def test_rate_without_events_has_an_upper_end() -> None:
    low, high = rate_interval(sums_of(np.zeros(10), np.full(10, 2.0)), is_count=True)
    assert low == 0
    assert high == pytest.approx(3.69 / 20, rel=0.006)
    assert np.isnan(rate_interval(sums_of(np.zeros(10), np.full(10, 2.0)), is_count=False)[1])


# --- Kaplan-Meier ---


def test_median_by_hand() -> None:
    # 1 2 3+ 4 5: S = .8 .6 .6 .3 0; the median is the first time at or below one half
    q = kaplan_meier([1, 2, 3, 4, 5], [1, 1, 0, 1, 1], np.ones(5), np.arange(5), 0.5)
    assert q.value == 4


def test_median_without_censoring_is_the_sample_median() -> None:
    assert kaplan_meier([4, 1, 3, 2], np.ones(4), np.ones(4), np.arange(4), 0.5).value == 2
    assert kaplan_meier([1, 2, 3], np.ones(3), np.ones(3), np.arange(3), 0.5).value == 2


def test_a_curve_that_does_not_come_down_has_no_quantile() -> None:
    q = kaplan_meier([1, 2, 3, 4], [1, 0, 0, 0], np.ones(4), np.arange(4), 0.5)
    assert np.isnan(q.value)
    assert np.isnan(kaplan_meier([], [], [], [], 0.5).value)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("probability", [0.25, 0.5, 0.9])
def test_quantile_and_interval_equal_statsmodels(seed: int, probability: float) -> None:
    rng = np.random.default_rng(seed)
    time = np.round(rng.exponential(10, 120), 1) + 0.1  # with ties
    limit = np.round(rng.exponential(25, 120), 1) + 0.1
    seen, event = np.minimum(time, limit), (time <= limit).astype(int)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        witness = SurvfuncRight(seen, event)
        low, high = witness.quantile_ci(probability, method="cloglog")
    q = kaplan_meier(seen, event, np.ones(120), np.arange(120), probability)
    assert q.value == pytest.approx(witness.quantile(probability), nan_ok=True)
    # the witness has no times past its last event, where it gives infinity
    assert q.low == pytest.approx(low)
    assert (np.isnan(q.high) and not np.isfinite(high)) or q.high == pytest.approx(high)


def test_weights_are_repetitions() -> None:
    rng = np.random.default_rng(1)
    t, event, w = rng.exponential(5, 60), rng.integers(0, 2, 60), rng.integers(1, 4, 60)
    weighted = kaplan_meier(t, event, w, np.arange(60), 0.3)
    repeated = kaplan_meier(np.repeat(t, w), np.repeat(event, w), np.ones(w.sum()), np.arange(w.sum()), 0.3)
    assert weighted.value == repeated.value
    assert weighted.high - weighted.low >= repeated.high - repeated.low, "a row of weight 3 is not three rows"


def test_clusters_widen_the_interval() -> None:
    rng = np.random.default_rng(2)
    t, cluster = np.repeat(rng.exponential(5, 40), 5), np.repeat(np.arange(40), 5)
    alone = kaplan_meier(t, np.ones(200), np.ones(200), np.arange(200), 0.5)
    together = kaplan_meier(t, np.ones(200), np.ones(200), cluster, 0.5)
    once = kaplan_meier(t[::5], np.ones(40), np.ones(40), np.arange(40), 0.5)
    assert together.high - together.low > alone.high - alone.low
    assert (together.low, together.high) == (once.low, once.high), "five copies of a row are one row"


# --- simulated truth ---


def test_clustered_proportions_cover_the_truth() -> None:
    """400 weeks of 60 sessions whose shares differ: the 95 % interval holds the true share in 92 to 98 % of them."""
    rng = np.random.default_rng(11)
    truth, weeks, sessions = 0.3, 400, 60
    sizes = rng.integers(1, 20, (weeks, sessions))
    shares = rng.beta(0.3 * 4, 0.7 * 4, (weeks, sessions))
    y = rng.binomial(sizes, shares)
    stacked = [sums_of(y[i], sizes[i]) for i in range(weeks)]
    sums = Sums(*(np.concatenate([getattr(s, f) for s in stacked]) for f in Sums.__dataclass_fields__))
    low, high = wilson(sums.y / sums.n, effective_n(sums))
    covered = np.mean((low <= truth) & (truth <= high))
    # binomial error of the coverage itself over 400 weeks: 1.1 points
    assert 0.92 <= covered <= 0.98
    naive_low, naive_high = wilson(sums.y / sums.n, sums.n)
    assert np.mean((naive_low <= truth) & (truth <= naive_high)) < 0.85, "without clusters it would not"


def test_clustered_rates_cover_the_truth() -> None:
    rng = np.random.default_rng(12)
    truth, weeks, sessions = 0.5, 400, 60
    hours = rng.exponential(1.0, (weeks, sessions)) + 0.05
    y = rng.poisson(hours * truth * rng.gamma(1.0, 1.0, (weeks, sessions)))
    stacked = [sums_of(y[i], hours[i], rows=sessions) for i in range(weeks)]
    sums = Sums(*(np.concatenate([getattr(s, f) for s in stacked]) for f in Sums.__dataclass_fields__))
    low, high = rate_interval(sums, is_count=True)
    # a gamma rate over 60 sessions is skewed: the linearised variance is a little small, so somewhat less than 95 %
    assert 0.90 <= np.mean((low <= truth) & (truth <= high)) <= 0.98


def test_the_median_covers_the_truth() -> None:
    rng = np.random.default_rng(13)
    hits = 0
    for _ in range(300):
        frailty = np.repeat(rng.lognormal(0, 0.5, 30), 4)
        t = rng.exponential(1, 120) * frailty
        limit = rng.exponential(4, 120)
        q = kaplan_meier(np.minimum(t, limit), t <= limit, np.ones(120), np.repeat(np.arange(30), 4), 0.5)
        hits += q.low <= MEDIAN <= q.high
    # 300 weeks: 1.3 points of binomial error around 95 %
    assert 0.91 <= hits / 300 <= 0.985


def _median() -> float:
    rng = np.random.default_rng(0)
    return float(np.median(rng.exponential(1, 2_000_000) * rng.lognormal(0, 0.5, 2_000_000)))


MEDIAN = _median()
"""Median of the simulated times: no closed form, so from two million draws (error below 0.3 %)."""
