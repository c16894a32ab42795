"""Replays against closed forms and against a simulation written apart; gaps, rows and what bounds rest on."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.policy import worlds
from tests.policy.worlds import CELLULAR, TARGETS, WIFI
from wslog.policy.model import Distribution, grid
from wslog.policy.npmle import log_uniform
from wslog.policy.policies import Fallback, Policy
from wslog.policy.presets import load_policy
from wslog.policy.replay import Conditions, Rows, likelihood_ratio, respond, rows_for
from wslog.policy.support import Gaps, Spread, gaps_of

CALM = Conditions(np.array([0.1]), np.array([0.05]))


def at(points: list[float]) -> Rows:
    """Rows with single instants."""
    return Rows(np.array([0.0, 1000.0]), np.array(points))


def test_a_fixed_schedule_by_hand() -> None:
    rows = at([0.5, 1.0, 3.0, 3.06, 100.0])
    got = respond(load_policy("linear-3"), rows, CALM, 1e-9, 600.0, seed=1, draws=64)
    # played with 5 % chance failures; weighted back to none
    ratio = likelihood_ratio(got, 1e-9)
    mean = np.bincount(got.row, got.down_s.clip(max=600) * ratio, rows.count) / np.bincount(got.row, ratio, rows.count)
    # attempts at 1.00, 3.05 and 6.10 s: each failed one takes 0.05 s, an open 0.1 s
    assert mean[-5:] == pytest.approx([1.1, 1.1, 3.15, 6.2, 600.0])
    assert got.is_fallen[got.row == rows.count - 1].all()
    # it falls back when the third attempt has failed
    assert got.fallback_s[got.row == rows.count - 1] == pytest.approx(600 - 6.15)
    assert got.served_s[got.row == rows.count - 1] == pytest.approx(100.0)


@given(p=st.floats(0.005, 0.3), k=st.integers(1, 5))
@settings(max_examples=20, deadline=None)
def test_chance_failures_are_geometric(p: float, k: int) -> None:
    policy = Policy("each-second", waits_s=(1.0,) * 40)
    rows = at([0.0])
    got = respond(policy, rows, CALM, p, 600.0, seed=3, draws=4000)
    weight = np.where(got.row == rows.count - 1, likelihood_ratio(got, p), 0.0)
    share = float((weight * (got.attempt_count <= k)).sum() / weight.sum())
    # P(at most k attempts) = 1 - p**k; 64,000 replays
    assert share == pytest.approx(1 - p**k, abs=0.01)


@pytest.mark.parametrize("name", TARGETS)
def test_replays_agree_with_the_world(name: str) -> None:
    """The whole road from a distribution to figures, against clients played one by one in the true world."""
    preset = TARGETS[name][2]
    rng = np.random.default_rng(2)
    edges = grid()
    ends = CELLULAR.ends(400_000, rng)[1]
    weight = np.histogram(ends, edges)[0] / len(ends)
    rows = rows_for(edges, 600.0, np.zeros(0), np.zeros(0))
    spread = Spread(edges, rows, Gaps(*[np.array([899.0]), np.array([np.inf])] * 2), 0, 1_000)
    below = np.append(0.0, np.cumsum(np.append(weight, 1 - weight.sum())))
    mass = np.append(np.diff(below[spread.cut]), 1 - weight.sum())
    handshakes = CELLULAR.handshake_s * np.exp(0.3 * rng.standard_normal(400))
    conditions = Conditions(handshakes, rng.uniform(0.03, 0.12, 400))
    got = respond(load_policy(preset), rows, conditions, CELLULAR.failure_ratio, 600.0, seed=4)
    share = mass[got.row] / np.bincount(got.row, minlength=rows.count)[got.row]
    share = share * likelihood_ratio(got, CELLULAR.failure_ratio)
    share /= share.sum()
    true = worlds.truths("cellular")[name]
    # replays: a standard error of .5 % for attempts and 1 % for downtime; three of them
    assert float(share @ np.isfinite(got.down_s)) == pytest.approx(true["recovery_ratio"], abs=0.004)
    assert float(share @ got.attempt_count) == pytest.approx(true["attempt_count_mean"], rel=0.02)
    assert float(share @ got.down_s.clip(max=600)) == pytest.approx(true["downtime_mean_s"], rel=0.03)


def test_the_kept_truths_are_what_clients_do() -> None:
    got = worlds.truth(WIFI, worlds.socket_io, 160, 5, 20_000)
    true = worlds.truths("wifi")["socket_io"]
    # 20,000 clients: standard errors of .001 and 2.5 %
    assert got["recovery_ratio"] == pytest.approx(true["recovery_ratio"], abs=0.004)
    assert got["attempt_count_mean"] == pytest.approx(true["attempt_count_mean"], rel=0.08)


def test_policies_meet_identical_outages() -> None:
    rows = rows_for(grid(), 600.0, np.zeros(0), np.zeros(0))
    one = rows.ends(8, np.random.default_rng((9, 0)))
    other = rows.ends(8, np.random.default_rng((9, 0)))
    assert (one[1] == other[1]).all()
    a, b = (respond(load_policy("socket.io"), rows, CALM, 0.05, 600.0, seed=9, draws=8) for _ in range(2))
    assert (a.down_s == b.down_s).all()


def test_a_way_back_from_the_fallback() -> None:
    policy = Policy("back", waits_s=(1.0,), fallback=Fallback(return_after_s=60.0))
    got = respond(policy, at([30.0]), CALM, 1e-9, 600.0, seed=1, draws=16)
    mine = got.row == at([30.0]).count - 1
    first = np.isclose(got.down_s, 1.05 + 60.0 + 0.1)
    assert first[mine & (got.chance_failed == 0)].all()


def test_hanging_attempts_are_rescued_in_replays() -> None:
    conditions = Conditions(np.array([0.1]), np.array([0.05]), hang_ratio=1.0, hang_s=20.0)
    policy = Policy("patient", waits_s=(1.0,), connect_timeout_s=10.0)
    got = respond(policy, at([1.5, 5.0, 30.0]), conditions, 1e-9, 600.0, seed=1, draws=8)
    down = [got.down_s[got.row == row][0] for row in range(2, 5)]
    # SYNs at 1, 2, 4 and 8 s: the first after the end is answered; a policy without patience for the next gives up
    assert down == pytest.approx([2.1, 8.1, np.inf])


# --- gaps ---------------------------------------------------------------------------------------------------------


def test_gaps_of_a_fixed_schedule() -> None:
    rng = np.random.default_rng(1)
    looks = np.concatenate((np.full(500, 1.0), rng.uniform(3.03, 3.12, 300), rng.uniform(6.1, 6.25, 200), [2.0, 40.0]))
    gaps = gaps_of(looks, 900.0)
    # single looks at 2 and 40 s say nothing about everybody
    assert gaps.low_s == pytest.approx([0.0, 1.0, 3.12, 6.25], abs=0.01)
    assert gaps.high_s == pytest.approx([1.0, 3.03, 6.1, np.inf], abs=0.01)


def test_without_looks_everything_is_a_gap() -> None:
    assert gaps_of(np.zeros(0), 900.0).high_s.tolist() == [np.inf]


@given(seed=st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_mass_is_kept_and_ordered(seed: int) -> None:
    """Pushed left, outages end no later than estimated, pushed right no earlier, and nothing is lost."""
    rng = np.random.default_rng(seed)
    edges = np.unique(np.concatenate((grid(), [1.0, 3.03, 3.12, 6.1])))
    gaps = Gaps(*[np.array([0.0, 1.0, 3.12, 6.1]), np.array([1.0, 3.03, 6.1, np.inf])] * 2)
    cuts = np.concatenate((gaps.low_s, gaps.high_s))
    rows = rows_for(edges, 600.0, gaps.points_s, cuts)
    spread = Spread(edges, rows, gaps, 0, 1_000)
    from wslog.policy.npmle import Parts

    weight = log_uniform(edges) * rng.random(len(edges))
    weight /= weight.sum()
    whole = Parts(np.array([0]), np.array([len(edges)]), np.ones(1))

    def below(row: np.ndarray, t: float) -> float:
        cells = row[: rows.never][rows.edges_s[1:] <= t * (1 + 1e-12)].sum()
        return float(cells + row[rows.never + 1 :][rows.points_s <= t].sum())

    base, left, right = (
        spread.rows_of(weight),
        spread.pushed(weight, whole, "left"),
        spread.pushed(weight, whole, "right"),
    )
    assert [r.sum() for r in (base, left, right)] == pytest.approx([1.0] * 3)
    for t in (1.0, 3.03, 3.12, 6.1):
        # at the ends of gaps all agree but for where the point itself lies
        assert below(right, t) <= below(base, t) + 1e-9 <= below(left, t * 1.0001) + 2e-9


def test_distributions_invert_themselves() -> None:
    edges = grid()
    weight = log_uniform(edges)
    d = Distribution(edges, weight[:-1], float(weight[-1]))
    share = np.linspace(0.01, 0.94, 50)
    assert d.cdf(d.quantile(share)) == pytest.approx(share, abs=1e-9)
    assert d.quantile(0.97) == np.inf
    drawn = d.draw(50_000, np.random.default_rng(1))
    # stratified draws: the error is one stratum
    assert float((drawn <= 5.0).mean()) == pytest.approx(float(d.cdf(5.0)), abs=1e-4)
    assert d.smoothed(0.2).weight.sum() == pytest.approx(d.weight.sum())
