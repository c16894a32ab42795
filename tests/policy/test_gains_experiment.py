"""Experiments of the stated size find the stated difference as often as promised."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm
from statsmodels.stats.power import NormalIndPower
from statsmodels.stats.proportion import samplesize_proportions_2indep_onetail

from wslog.errors import UsageError
from wslog.policy.gains_experiment import design_effect_of, experiment_size

RUNS = 2000
Z95 = norm.ppf(0.975)
# 2,000 experiments: standard error of the power 0.009; three of them
SLACK = 0.03


def test_size_for_means_agrees_with_statsmodels():
    rng = np.random.default_rng(1)
    a, b = rng.gamma(2.0, 10.0, 20_000), rng.gamma(2.0, 11.0, 20_000)
    size = experiment_size(a, b, "mean")
    effect = (b.mean() - a.mean()) / np.sqrt((a.var(ddof=1) + b.var(ddof=1)) / 2)
    assert size.outages_per_arm == pytest.approx(NormalIndPower().solve_power(effect, power=0.8, alpha=0.05), abs=1.01)


def test_size_for_shares_agrees_with_statsmodels():
    a, b = np.repeat([0.0, 1.0], [220, 780]), np.repeat([0.0, 1.0], [170, 830])
    size = experiment_size(a, b, "ratio")
    # statsmodels halves alpha itself
    known = samplesize_proportions_2indep_onetail(diff=0.05, prop2=0.78, power=0.8, alpha=0.05)
    assert size.outages_per_arm == np.ceil(known)


def test_an_experiment_on_shares_has_its_power():
    rng = np.random.default_rng(2)
    size = experiment_size(np.repeat([0.0, 1.0], [30, 70]), np.repeat([0.0, 1.0], [25, 75]), "ratio").outages_per_arm
    assert size is not None
    a, b = rng.binomial(size, 0.70, RUNS) / size, rng.binomial(size, 0.75, RUNS) / size
    pooled = (a + b) / 2
    found = np.abs(b - a) / np.sqrt(2 * pooled * (1 - pooled) / size) > Z95
    assert found.mean() == pytest.approx(0.8, abs=SLACK)


@pytest.mark.parametrize("statistic", ["p50", "p95"])
def test_an_experiment_on_quantiles_has_its_power(statistic):
    rng = np.random.default_rng(3)
    level = {"p50": 0.5, "p95": 0.95}[statistic]

    def draw(scale: float, *shape: int) -> np.ndarray:
        return scale * np.exp(rng.standard_normal(shape))

    apart = 2.0 * np.exp(norm.ppf(level))
    size = experiment_size(draw(10.0, 50_000), draw(12.0, 50_000), statistic, difference=apart).outages_per_arm
    assert size is not None
    a, b = np.quantile(draw(10.0, RUNS, size), level, axis=1), np.quantile(draw(12.0, RUNS, size), level, axis=1)
    # the test with the variance that repetition shows: is the size what this difference needs?
    found = np.abs(b - a) > Z95 * np.sqrt(a.var() + b.var())
    # the slope at the quantile is known to some 5 % from 50,000 draws, which moves the power by 0.02
    assert found.mean() == pytest.approx(0.8, abs=SLACK + 0.02)


def test_sessions_make_it_larger_and_then_it_holds():
    rng = np.random.default_rng(4)
    per_session = 6

    def sessions(mean: float, *shape: int) -> np.ndarray:
        frailty = rng.standard_normal(shape)[..., None]
        return mean + 0.5 * frailty + rng.standard_normal((*shape, per_session))

    seen = sessions(0.0, 4000)
    cluster = np.repeat(np.arange(4000), per_session)
    effect = design_effect_of(seen.ravel(), cluster)
    # 1 + (m - 1) rho with rho = 0.25 / 1.25; 4,000 sessions know it to about 3 %
    assert effect == pytest.approx(1 + (per_session - 1) * 0.2, rel=0.08)
    other = sessions(0.15, 4000)
    size = experiment_size(seen.ravel(), other.ravel(), "mean", difference=0.15, design_effect=effect).outages_per_arm
    assert size is not None
    count = size // per_session
    a, b = sessions(0.0, RUNS, count).mean(axis=2), sessions(0.15, RUNS, count).mean(axis=2)
    error = np.sqrt((a.var(axis=1, ddof=1) + b.var(axis=1, ddof=1)) / count)
    found = np.abs(b.mean(axis=1) - a.mean(axis=1)) / error > Z95
    assert found.mean() == pytest.approx(0.8, abs=SLACK + 0.01)


def test_weeks_and_words():
    a, b = np.repeat([0.0, 1.0], [220, 780]), np.repeat([0.0, 1.0], [170, 830])
    size = experiment_size(a, b, "ratio", outages_per_week=500.0, design_effect=1.5)
    assert size.outages_per_arm is not None
    assert size.weeks == pytest.approx(2 * size.outages_per_arm / 500)
    assert size.sentence("outages recovered").startswith(
        "To settle a difference of +5 percentage points in the outages recovered: "
    )
    same = experiment_size(a, a, "ratio", outages_per_week=500.0)
    assert same.outages_per_arm is None and same.weeks is None
    assert "no experiment would settle" in same.sentence("outages recovered")


def test_misuse_is_refused():
    with pytest.raises(UsageError, match="no statistic 'p99'; there are mean, ratio, p50, p95"):
        experiment_size([1, 2], [1, 3], "p99")
    with pytest.raises(UsageError, match="fewer than two"):
        experiment_size([1], [1, 3], "mean")
    with pytest.raises(UsageError, match="above 0"):
        experiment_size([1, 2], [1, 3], "mean", outages_per_week=0)
    with pytest.raises(UsageError, match="two sessions"):
        design_effect_of([1.0, 2.0], np.asarray([5, 5]))


def test_one_outage_a_session_has_no_effect():
    values = np.random.default_rng(5).standard_normal(500)
    assert design_effect_of(values, np.arange(500)) == pytest.approx(1.0, abs=1e-9)
    assert design_effect_of(np.ones(10), np.arange(10)) == 1.0
