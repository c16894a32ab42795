"""The loop: simulate, write logs, ingest them, compute attempts and outages, and find the simulated truth again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import wslog
from wslog.api import Lake
from wslog.simulate import CAUSES, ingredients, simulate

CLOCK_MS = 1.0
"""Every log tells times in whole milliseconds, cut off."""


def by_device_clock(truth: pd.DataFrame, names: tuple[str, ...]) -> pd.DataFrame:
    """Return the truth with its times as the device's own clock, and so its log, tells them."""
    offset = pd.to_timedelta(truth["clock_offset_s"], unit="s")
    return truth.assign(**{name: truth[name] + offset for name in names})


class World:
    """One simulated world: its truth, and the lake made of its logs."""

    def __init__(self, folder: Path, **arguments: Any) -> None:
        self.folder, self.ingredients = folder / "sim", ingredients(arguments.get("scenario", "all"))
        self.summary = simulate(folder / "sim", **arguments)
        self.report = wslog.ingest(
            [folder / "sim" / "logs"], folder / "lake", nginx_conf=folder / "sim" / "nginx.conf", tz="UTC"
        )
        lake: Lake = wslog.open_lake(folder / "lake")
        self.lake = lake
        self.attempts = by_device_clock(
            pd.read_parquet(folder / "sim" / "truth_attempts.parquet"), ("started_at", "opened_at", "ended_at")
        )
        names = ("started_at", "ended_at", "fell_back_at", "first_poll_ok_at")
        self.episodes = by_device_clock(pd.read_parquet(folder / "sim" / "truth_episodes.parquet"), names)
        self.found_attempts = lake.attempts()
        self.found_episodes = lake.episodes()


ARGUMENTS: dict[str, dict[str, Any]] = {
    "whole_day": {"users": 230, "days": 1, "start": "2026-11-23", "seed": 7},
    "logs_end_at_noon": {"users": 330, "days": 0.55, "start": "2026-11-25", "seed": 8},
    "over_midnight_sampled": {"users": 90, "days": 3.6, "start": "2026-11-24", "seed": 9, "sampling": 0.7},
    "everything": {"users": 230, "days": 1, "start": "2026-11-23", "seed": 13, "scenario": "everything"},
    "full_jitter": {"users": 150, "days": 1, "start": "2026-11-23", "seed": 10, "policy": "aws-full-jitter"},
}


@pytest.fixture(scope="module", params=list(ARGUMENTS))
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp(request.param), **ARGUMENTS[request.param])


def within_ms(left: pd.Series[Any], right: pd.Series[Any], tolerance_ms: float) -> bool:
    """Say whether times are null together and else differ by less than a tolerance."""
    both = left.notna().to_numpy() & right.notna().to_numpy()
    gap = (left[both].reset_index(drop=True) - right[both].reset_index(drop=True)) / pd.Timedelta(milliseconds=1)
    return bool((left.notna().to_numpy() == right.notna().to_numpy()).all() and (gap.abs() <= tolerance_ms).all())


def test_every_line_is_read(world: World) -> None:
    assert world.report.exit_code == 0
    assert world.report.totals["rejected"] == 0
    assert world.report.totals["ignored"] == 0
    assert {Path(s.path).name: s.lines_in for s in world.report.sources} == {
        Path(name).name: count for name, count in world.summary.logs.items()
    }


def client_attempts(world: World) -> pd.DataFrame:
    """Join truth and finding, one row per attempt of the sampled sessions; every attempt is in both."""
    truth = world.attempts[world.attempts["is_visible"]]
    found = world.found_attempts.query("side == 'client'")
    joined = truth.merge(
        found, on="connection_id", how="outer", suffixes=("_true", ""), indicator="side_of", validate="1:1"
    )
    assert set(joined["side_of"]) == {"both"}
    return joined


def test_attempts_of_the_client(world: World) -> None:
    joined = client_attempts(world)
    assert len(joined) > 300
    assert (joined["session_id"] == joined["session_id_true"]).all()
    assert (joined["attempt_number"] == joined["attempt_number_true"]).all()
    assert (joined["attempt_number"] == joined["session_order"]).all()
    # a client that was killed tells of no end: then the log can only show an open connection
    expected = joined["outcome_true"].astype(object).where(joined["is_end_visible"], "still_open")
    wrong = joined[expected != joined["outcome"]]
    assert wrong.empty, wrong[["connection_id", "outcome_true", "outcome", "rule_id"]]
    ended = joined["ended_at_true"].where(joined["is_end_visible"])
    assert within_ms(joined["started_at_true"], joined["started_at"], CLOCK_MS)
    assert within_ms(joined["opened_at_true"], joined["opened_at"], CLOCK_MS)
    assert within_ms(ended, joined["ended_at"], CLOCK_MS)
    coded = joined["close_code_true"].notna()
    assert (joined["close_code"].notna() == coded).all()
    assert (joined.loc[coded, "close_code"] == joined.loc[coded, "close_code_true"]).all()
    # wslog gives the network at an attempt's end, the truth that at its begin: compared where no change came in between
    changes = world.lake.events().query("event == 'network'")[["session_id", "event_at"]]
    met = joined.merge(changes, on="session_id")
    changed = met[(met["event_at"] >= met["started_at"]) & ~(met["event_at"] > met["ended_at"])]["connection_id"]
    stayed = ~joined["connection_id"].isin(set(changed))
    assert 0.8 < stayed.mean() < 1
    wrong = joined[stayed & (joined["network_type"].astype(object) != joined["network_type_true"].astype(object))]
    assert wrong.empty, wrong[["session_id", "session_order", "network_type_true", "network_type", "outcome"]]
    assert np.allclose(joined["sample_weight"], joined["sample_weight_true"])


def client_episodes(world: World) -> pd.DataFrame:
    """Join truth and finding, one row per outage of the sampled sessions: the n-th of a session with its n-th."""
    truth, found = (
        frame.sort_values(["session_id", "started_at"], ignore_index=True)
        for frame in (world.episodes[world.episodes["is_visible"]], world.found_episodes)
    )
    for frame in (truth, found):
        frame["number"] = frame.groupby("session_id").cumcount()
    joined = truth.merge(found, on=["session_id", "number"], how="outer", suffixes=("_true", ""), indicator="side_of")
    alone = joined[joined["side_of"] != "both"]
    assert alone.empty, alone[["session_id", "number", "side_of", "started_at", "started_at_true"]]
    return joined


def test_episodes(world: World) -> None:
    joined = client_episodes(world)
    assert len(joined) > 100
    assert within_ms(joined["started_at_true"], joined["started_at"], CLOCK_MS)
    for name in ("kind", "attempt_count", "failed_count", "short_open_count", "is_flapping", "trigger_outcome"):
        wrong = joined[joined[name].astype(object) != joined[f"{name}_true"].astype(object)]
        assert wrong.empty, wrong[["session_id", "number", "started_at", f"{name}_true", name]]
    shown = joined[joined["is_end_visible"]]
    wrong = shown[shown["end"].astype(object) != shown["end_true"].astype(object)]
    assert wrong.empty, wrong[["session_id", "number", "started_at", "end_true", "end"]]
    hidden = joined[~joined["is_end_visible"]]
    assert set(hidden["end_true"]) <= {"left"}
    assert set(hidden["end"]) <= {"censored", "recovered"}, hidden[["session_id", "number", "end"]]
    assert (shown["is_right_censored"] == shown["is_right_censored_true"]).all()
    # back in service: to the millisecond at both ends; else what the log shows is a lower bound
    served = ~shown["is_right_censored_true"]
    assert ((shown["downtime_s"] - shown["downtime_s_true"]).abs()[served] <= 2e-3).all()
    assert (shown["downtime_s"] <= shown["downtime_s_true"] + 2e-3).all()
    for name in ("fell_back_at", "first_poll_ok_at"):
        assert within_ms(shown[f"{name}_true"], shown[name], CLOCK_MS)


def test_network_changes(world: World) -> None:
    joined = client_episodes(world)
    wrong = joined[joined["is_network_changed"] != joined["is_network_changed_true"]]
    assert wrong.empty, wrong[["session_id", "number", "started_at", "is_network_changed_true", "is_network_changed"]]


@pytest.mark.parametrize("front_end", ["nginx", "haproxy"])
def test_front_ends(world: World, front_end: str) -> None:
    log = {"nginx": "nginx_access", "haproxy": "haproxy_http"}[front_end]
    truth = world.attempts.query("front_end == @front_end and is_at_front_end")
    found = world.found_attempts.query("format == @log")
    lines = sum(count for name, count in world.summary.logs.items() if log in name)
    assert len(truth) == len(found) == lines > 0
    counts = [frame["http_status"].fillna(0).astype(int).value_counts().to_dict() for frame in (truth, found)]
    assert counts[0] == counts[1]
    ends = [frame.sort_values(ignore_index=True) for frame in (truth["front_end_ended_at"], found["ended_at"])]
    # HAProxy's lines give a start and a duration, each in whole milliseconds
    assert within_ms(*ends, 1.0 if front_end == "nginx" else 2.0)
    opened = found["is_opened"]
    assert (found.loc[opened, "http_status"] == 101).all()


def test_every_ingredient_is_there(tmp_path: Path) -> None:
    summary = simulate(tmp_path / "sim", **ARGUMENTS["whole_day"])
    assert set(summary.causes) == set(CAUSES)
    assert 250 < summary.sessions < 400


def test_metrics_count_what_happened(world: World) -> None:
    truth = world.attempts[world.attempts["is_visible"]]
    weight = truth["sample_weight"].iloc[0]
    is_open = truth["opened_at"].notna()
    unseen = ~is_open & (truth["ended_at"].isna() | (truth["outcome"] == "abandoned"))
    frame = (
        world.lake.reliability(where="side = 'client'")
        .groupby("metric")[["numerator", "denominator", "excluded_count"]]
        .sum()
    )
    counted = frame.loc["connect_success_rate"]
    assert counted["numerator"] == pytest.approx(weight * is_open.sum())
    assert counted["denominator"] == pytest.approx(weight * (~unseen).sum())
    assert counted["excluded_count"] == pytest.approx(weight * unseen.sum())
    episodes = world.episodes[world.episodes["is_visible"]]
    fallback = world.lake.fallback().set_index("metric").loc["fallback_session_rate"]
    sessions = pd.read_parquet(world.folder / "truth_sessions.parquet").query("is_visible")
    kept = sessions[sessions["is_fallback_remembered"]]
    assert fallback["numerator"] == pytest.approx(weight * ((episodes["end"] == "fell_back").sum() + len(kept)))
    assert fallback["denominator"] == pytest.approx(weight * world.summary.logged_sessions)
    found = world.lake.fallback().set_index("metric").loc["remembered_fallback_session_rate"]
    # who begins with polls in the log's first minute may have tried before it: no world here has one
    assert found["numerator"] == pytest.approx(weight * len(kept))
    assert (len(kept) > 5) == ("remembered_fallback" in world.ingredients)


def test_restarts_are_found_as_herds(tmp_path: Path) -> None:
    world = World(tmp_path, users=700, days=1, start="2026-11-23", seed=11)
    joined = client_episodes(world)
    struck = joined[(joined["cause"].astype(object) == "restart_herd") & (joined["kind_true"].astype(object) == "drop")]
    assert struck["front_end"].nunique() == 2
    herds = struck.groupby("front_end", observed=True)["herd_id"].agg(
        lambda ids: ids.value_counts(normalize=True).iloc[0]
    )
    # drops on the edge of a herd may fall into a second that is not crowded
    assert struck["herd_id"].notna().mean() > 0.85
    assert (herds == 1).all()
    # and of the others hardly one
    others = joined[joined["cause"].astype(object) != "restart_herd"]
    assert others["herd_id"].notna().mean() < 0.01
