"""An estimate made smooth: mass kept, what the log pins down kept, the truth found where the log tells it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtr

from tests.policy.regret import UNSEEN
from tests.policy.worlds import CELLULAR, WIFI
from wslog.policy import schedule_outages
from wslog.policy.model import Distribution, grid
from wslog.policy.schedule_outages import smooth

EDGES = np.unique(np.concatenate(([0.0], np.geomspace(0.01, 900.0, 240), [1.0, 3.0, 6.0])))


def on_rows(outage: Distribution) -> Distribution:
    weight = np.diff(outage.cdf(EDGES))
    return Distribution(EDGES, weight, 1 - float(weight.sum()))


def as_seen_at(outage: Distribution, looks_s: list[float], until_s: float = 6.0) -> Distribution:
    """What an estimate makes of a log that looks at these instants and all the time after the last: log-uniform between looks."""
    weight = outage.weight.copy()
    width = np.diff(np.log(np.maximum(EDGES, 0.01 / 3)))
    for low, high in zip([0.0, *looks_s[:-1]], looks_s, strict=True):
        part = (EDGES[:-1] >= low) & (EDGES[1:] <= high)
        weight[part] = weight[part].sum() * width[part] / width[part].sum()
    return Distribution(EDGES, weight, outage.never)


@given(
    st.lists(st.floats(0, 1), min_size=5, max_size=40).filter(lambda one: sum(one) > 1e-9),
    st.floats(0, 0.9),
    st.sampled_from([20.0, 1000.0, 1e6]),
)
@settings(deadline=None, max_examples=30)
def test_the_mass_and_what_never_ends_are_kept(weights, never, count):
    weight = np.zeros(len(EDGES) - 1)
    places = np.linspace(0, len(weight) - 1, len(weights)).astype(int)
    weight[places] = weights
    weight *= (1 - never) / weight.sum()
    soft = smooth(Distribution(EDGES, weight, never), count)
    assert soft.weight.sum() == pytest.approx(1 - never) and soft.never == never
    assert np.all(soft.weight >= 0) and np.all(np.isfinite(soft.weight))


@pytest.mark.parametrize("world", [CELLULAR, WIFI, UNSEEN["ferry"], UNSEEN["campus"]], ids=lambda world: world.name)
def test_what_is_known_well_is_left_alone(world):
    truth = on_rows(world.distribution())
    at = np.geomspace(0.06, 600, 60)
    # the kernel of 0.35 that this replaced moved these by 0.03 and more
    assert smooth(truth, 1e6).cdf(at) == pytest.approx(truth.cdf(at), abs=1e-3)
    assert smooth(truth, 1000.0).cdf(at) == pytest.approx(truth.cdf(at), abs=0.012)


@pytest.mark.parametrize("world", [CELLULAR, WIFI], ids=lambda world: world.name)
def test_a_thousand_draws_come_closer_to_the_truth(world):
    truth = on_rows(world.distribution())
    at = np.geomspace(0.06, 600, 60)
    rough, soft = [], []
    for seed in range(5):
        drawn = np.bincount(
            np.clip(np.searchsorted(EDGES, world.ends(1000, np.random.default_rng(seed))[1]) - 1, 0, len(EDGES) - 1),
            minlength=len(EDGES),
        )
        raw = Distribution(EDGES, drawn[:-1] / 1000, drawn[-1] / 1000)
        density = [
            np.sqrt(one.weight / np.diff(np.log(np.maximum(EDGES, 0.01 / 3))))
            for one in (raw, smooth(raw, 1000.0), truth)
        ]
        rough.append(np.abs(raw.cdf(at) - truth.cdf(at)).mean())
        soft.append(np.abs(smooth(raw, 1000.0).cdf(at) - truth.cdf(at)).mean())
        kept = EDGES[:-1] > 0.06
        # roots of densities, so that the tail counts: chance of 1,000 draws in 240 cells against a curve
        assert np.square(density[1] - density[2])[kept].sum() < np.square(density[0] - density[2])[kept].sum() / 5
    assert np.mean(soft) < np.mean(rough) * 1.1  # the shares themselves are known as well as before


@pytest.mark.parametrize("world", [CELLULAR, WIFI], ids=lambda world: world.name)
def test_what_a_fixed_schedule_saw_stays_and_its_gaps_are_filled_in(world):
    truth = on_rows(world.distribution())
    seen = as_seen_at(truth, [1.0, 3.0, 6.0])
    soft = smooth(seen, 1000.0)
    looks = np.asarray([1.0, 3.0, 6.0])
    # less than a standard error of 1,000 outages
    assert soft.cdf(looks) == pytest.approx(truth.cdf(looks), abs=0.015)
    # a cell of the gap is as likely as the curve through its neighbours says: no step of more than a fifth from cell to cell, where
    # the log-uniform filling jumps by more than half at its ends
    density = [one.weight / np.diff(np.log(np.maximum(EDGES, 0.01 / 3))) for one in (soft, seen)]
    beyond = (EDGES[:-1] > 1.2) & (EDGES[:-1] < 20)
    steps = [np.abs(np.diff(np.log(one[beyond]))).max() for one in density]
    assert steps[0] < 0.2 < 0.4 < steps[1]


def test_the_smoothest_of_all_is_the_log_normal_law_with_the_moments_of_the_data(monkeypatch):
    # Silverman 1982: a penalty on third differences leaves normal laws alone, and these keep mean and variance of what was seen
    monkeypatch.setattr(schedule_outages, "BENDING", 1e9)
    monkeypatch.setattr(schedule_outages, "SLOPE", 1e-6)
    drawn = np.exp(np.log(6.0) + 0.7 * np.random.default_rng(3).standard_normal(400))
    seen = np.bincount(np.searchsorted(EDGES, drawn) - 1, minlength=len(EDGES) - 1) / 400
    soft = smooth(Distribution(EDGES, seen, 0.0), 400.0)
    mean, spread = np.log(drawn).mean(), np.log(drawn).std()
    at = np.geomspace(0.5, 100, 40)
    # cells are 4 % wide, and the mean of what is plausible is a little wider than the likeliest: 1 % at 400 outages
    assert soft.cdf(at) == pytest.approx(ndtr((np.log(at) - mean) / spread), abs=0.012)


def test_what_a_free_estimate_puts_just_behind_a_gap_belongs_to_the_gap():
    # attempts at 6 s spread over 30 ms: of an outage that the next poll finds over nobody can say whether it ended within these
    edges = np.unique(np.concatenate((EDGES, [6.03])))
    weight = np.diff(CELLULAR.distribution().cdf(edges))
    truth = Distribution(edges, weight, 1 - float(weight.sum()))
    width = np.diff(np.log(np.maximum(edges, 0.01 / 3)))
    for low, high in ((0.0, 1.0), (1.0, 3.0), (3.0, 6.0)):
        part = (edges[:-1] >= low) & (edges[1:] <= high)
        weight[part] = weight[part].sum() * width[part] / width[part].sum()
    moved = weight.copy()
    gap, sliver = (edges[:-1] >= 3.0) & (edges[1:] <= 6.0), edges[:-1] == 6.0
    moved[sliver] += 0.9 * moved[gap].sum()
    moved[gap] *= 0.1
    soft = [smooth(Distribution(edges, one, truth.never), 1000.0) for one in (weight, moved)]
    at = np.geomspace(0.1, 100, 40)
    assert soft[1].cdf(at) == pytest.approx(soft[0].cdf(at), abs=1e-6)


def test_nothing_is_left_as_it_is():
    nothing = Distribution(EDGES, np.zeros(len(EDGES) - 1), 1.0)
    assert smooth(nothing, 100.0) is nothing
    assert smooth(WIFI.distribution(), 1000.0).edges_s == pytest.approx(grid())  # any grid will do
