"""What is predicted against what happens: bounds that hold, figures that say what they rest on, a lake read back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import wslog
from tests.policy import worlds
from tests.policy.accuracy import errors, log, predict
from tests.policy.coverage import bounds_hold
from tests.policy.worlds import CELLULAR, WIFI
from wslog.errors import UsageError
from wslog.policy.compare import FIGURE_COLUMNS, compare, compare_groups, concat
from wslog.policy.estimate import estimate
from wslog.policy.evidence import Group, read
from wslog.policy.figures import FIGURES, figures
from wslog.policy.presets import load_policy
from wslog.policy.replay import respond
from wslog.simulate import simulate


def test_bounds_hold_and_the_logged_policys_row_is_a_point() -> None:
    """Short form of ``python -m tests.policy.coverage --only bounds`` (200 worlds)."""
    checked, outside, widest = bounds_hold(CELLULAR, 3_000, 2)
    assert checked == 50
    assert outside == []
    # 1,024 replays of each bound: a rounding of 1 % of the widest figure, the mean number of attempts
    assert widest < 0.012


def test_polls_pin_down_the_tail() -> None:
    """Short form of ``python -m tests.policy.accuracy``: the tolerances are the long form's targets, doubled for one draw."""
    found = errors("L1", WIFI, 10_000, 1, worlds.truths("wifi"))
    limits = {"recovery_ratio": 0.6, "downtime_p50_s": 16.0, "downtime_p95_s": 16.0, "attempt_count_mean": 12.0}
    for figure, limit in limits.items():
        assert max(found[figure].values()) < limit, figure


def test_statuses() -> None:
    rng = np.random.default_rng(3)
    first = worlds.first_connects(CELLULAR, 20_000, rng)
    seed_log = predict(estimate(log("L0", CELLULAR, 5_000, rng), first, rng=rng))
    # nobody looked after the third attempt
    assert seed_log["full_jitter"]["recovery_ratio"].status == "bound"
    assert np.isnan(seed_log["full_jitter"]["recovery_ratio"].value)
    assert seed_log["full_jitter"]["downtime_p50_s"].status == "assumed"
    polled = predict(estimate(log("L1", CELLULAR, 5_000, rng), first, rng=rng))
    assert polled["full_jitter"]["downtime_p95_s"].status == "assumed"
    assert "polling" in polled["full_jitter"]["downtime_p95_s"].assumption
    jittered = predict(estimate(log("L3", CELLULAR, 5_000, rng), first, rng=rng))
    assert jittered["socket_io"]["recovery_ratio"].status == "identified"


def test_tails_are_refused_when_people_leave_during_outages() -> None:
    rng = np.random.default_rng(4)
    n = 4_000
    played = worlds.play(CELLULAR, worlds.full_jitter, n, 80, rng)
    told = worlds.log_of(played, leave_s=rng.exponential(25.0, n))
    left = float(told.is_left.sum())
    watched = np.where(told.is_left, told.watched_s, np.minimum(played.down_s, 600.0))
    group = Group(
        (), told, worlds.first_connects(CELLULAR, 10_000, rng), dict.fromkeys(("untimed", "herd", "flapping", "sleep"), 0.0),
        left, float(watched.sum()), 500.0, 500 * 300.0,
    )  # fmt: skip
    assert "times as often" in group.refusal
    frame = compare_groups((), [group], [load_policy("socket.io")]).figures.set_index("figure")
    assert frame.loc["downtime_p95_s", "status"] == "bound"
    assert frame.loc["downtime_p95_s", "assumption"] == group.refusal
    true = worlds.truths("cellular")["socket_io"]
    for name in ("recovery_ratio", "downtime_p95_s", "downtime_mean_s", "attempt_count_mean"):
        assert frame.loc[name, "ci_low"] <= true[name] <= frame.loc[name, "ci_high"], name


def test_small_groups_lean_on_all() -> None:
    """With 60 outages the pooled estimate is nearer to the truth than the group's own, over eight draws."""
    rng = np.random.default_rng(5)
    at = np.array([0.1, 0.3, 1.0, 2.0, 4.0, 10.0, 30.0, 100.0])
    true = np.array([(WIFI.ends(300_000, rng)[1] <= t).mean() for t in at])
    prior = estimate(log("L3", WIFI, 4_000, rng), rng=rng, replicates=0).fit.network
    off: dict[bool, list[float]] = {True: [], False: []}
    for _ in range(8):
        small, first = log("L3", WIFI, 60, rng), worlds.first_connects(WIFI, 3_000, rng)
        for is_pooled in off:
            found = estimate(small, first, rng=rng, prior=prior if is_pooled else None, replicates=0)
            off[is_pooled].append(float(np.abs(found.fit.websocket.cdf(at) - true).mean()))
    assert np.mean(off[True]) < np.mean(off[False])


# --- from logs ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("policy")
    simulate(
        folder / "sim", users=400, days=2, start="2026-11-02", seed=3,
        scenario=["random_drop", "handover", "blocked_upgrade"], formats=["wslog_client"],
    )  # fmt: skip
    wslog.ingest(sorted((folder / "sim" / "logs").iterdir()), folder / "lake")
    return folder


def test_outages_are_those_of_the_truth(world: Path) -> None:
    _, groups = read(wslog.open_lake(world / "lake").engine, ())
    truth = pd.read_parquet(world / "sim" / "truth_episodes.parquet")
    told = groups[0]
    drops = truth[truth["kind"] == "drop"]
    assert len(told.outages) + sum(told.excluded.values()) == len(drops)
    assert int(told.outages.is_left.sum()) <= int((drops["end"] == "left").sum())
    # only the last attempt of an outage can have opened
    last = np.zeros(len(told.outages.start_s), bool)
    last[told.outages.first[1:][told.outages.attempt_count > 0] - 1] = True
    assert not told.outages.is_ok[~last].any()
    assert (np.diff(told.outages.start_s)[np.diff(told.outages.outage) == 0] >= 0).all()


def test_comparison_has_every_figure_of_every_policy(world: Path) -> None:
    engine = wslog.open_lake(world / "lake").engine
    policies = [load_policy(name) for name in ("linear-3", "socket.io")]
    found = compare(engine, policies, ["network_type"])
    assert list(found.figures.columns) == ["network_type", *FIGURE_COLUMNS]
    counts = found.figures.groupby("network_type")["figure"].nunique()
    assert (counts == len(FIGURES)).all()
    again = compare(engine, policies, ["network_type"])
    pd.testing.assert_frame_equal(found.figures, again.figures)
    poor = found.figures[found.figures["state"] == "insufficient"]
    assert poor["value"].isna().all()
    known = found.figures[found.figures["state"] == "ok"]
    assert set(known["status"]) <= {"identified", "assumed", "bound"}
    assert known.loc[known["status"] == "bound", "value"].isna().all()
    assert known.loc[known["status"] == "assumed", "assumption"].notna().all()


def test_wrong_arguments_name_the_choices(world: Path) -> None:
    engine = wslog.open_lake(world / "lake").engine
    with pytest.raises(UsageError, match="drop"):
        read(engine, kind="drops")
    with pytest.raises(UsageError, match="side"):
        read(engine, ["side"])
    with pytest.raises(UsageError, match="1 to 900"):
        compare(engine, [load_policy("linear-3")], horizon_s=5_000)


def test_logged_row_is_reproduced() -> None:
    """What the logged policy did is what it is said to do: recovery within the attempts it made, and their number."""
    rng = np.random.default_rng(7)
    played = worlds.play(WIFI, worlds.linear_3, 8_000, 3, rng)
    found = estimate(worlds.log_of(played), worlds.first_connects(WIFI, 20_000, rng), rng=rng, replicates=5)
    policy = load_policy("linear-3")
    got = {
        f.name: f
        for f in figures(found, respond(policy, found.rows, found.conditions, found.weights.failure_ratio, 600.0, 1))
    }
    # 8,000 outages replayed from 1,024 draws of each bound: half a percent
    assert got["recovery_ratio"].value == pytest.approx(float(np.isfinite(played.down_s).mean()), abs=0.005)
    assert got["attempt_count_mean"].value == pytest.approx(float(played.attempts.mean()), rel=0.005)


def test_concat_keeps_every_attempt() -> None:
    rng = np.random.default_rng(1)
    parts = [log("L3", WIFI, n, rng) for n in (5, 9)]
    both = concat(parts)
    assert len(both) == 14
    assert both.take(np.arange(5, 14)).start_s.tolist() == parts[1].start_s.tolist()
