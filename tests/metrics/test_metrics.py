"""Metrics over hand-made weeks: every number can be counted by eye."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.make_events import START, engine_of, failed, fallback, opened, poll
from tests.make_week import week
from wslog.engine import Engine
from wslog.errors import UsageError
from wslog.intervals import Z95, t_of, wilson
from wslog.metrics.close_codes import close_codes
from wslog.metrics.fallback import fallback as fallback_metric
from wslog.metrics.reliability import reliability
from wslog.metrics.retries import retries
from wslog.schema import METRIC_COLUMNS
from wslog.selection import Selection
from wslog.survival import kaplan_meier

METRICS: list[Callable[..., pd.DataFrame]] = [close_codes, retries, fallback_metric, reliability]
KEYS = {
    "close_codes": ["side", "close_code", "close_code_source"],
    "retries": ["metric", "retry_number"],
    "fallback": ["metric"],
    "reliability": ["iso_week", "side", "metric"],
}


def sessions(count: int, make: Callable[[int], list[dict[str, Any]]], prefix: str = "s") -> list[dict[str, Any]]:
    return [{**row, "session_id": f"{prefix}{i}"} for i in range(count) for row in make(i)]


def pick(frame: pd.DataFrame, **keys: Any) -> Any:
    for name, value in keys.items():
        frame = frame[frame[name].isna() if value is None else frame[name] == value]
    assert len(frame) == 1, frame
    return frame.iloc[0]


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with engine_of(tmp_path_factory.mktemp("week"), week(200), until=20 * 86_400) as engine:
        yield engine


# --- the frame of every metric ---


@pytest.mark.parametrize("metric", METRICS, ids=lambda m: m.__name__)
def test_frames_have_the_registered_columns_and_order(busy: Engine, metric: Any) -> None:
    for by in ((), ("network_type",), "browser,network_type"):
        frame = metric(busy, by=by)
        names = by.split(",") if isinstance(by, str) else list(by)
        own = KEYS[metric.__name__]
        keys = ["iso_week", *names, *own[1:]] if metric is reliability else [*names, *own]
        assert list(frame.columns) == [*keys, *METRIC_COLUMNS]
        assert not frame.duplicated(keys).any()
        pd.testing.assert_frame_equal(
            frame, frame.sort_values(keys, kind="stable", na_position="last", ignore_index=True)
        )
        assert len(frame) > 0
        assert {str(t) for t in frame.dtypes} <= {"object", "float64", "Int32", "Int64"}
        ok = frame["state"] == "ok"
        assert set(frame["state"]) <= {"ok", "insufficient"}
        assert frame["value"].notna().equals(ok)
        assert frame.loc[~ok, ["ci_low", "ci_high"]].isna().all(axis=None)
        assert (frame.loc[ok, "ci_low"] <= frame.loc[ok, "value"]).all()
        assert (frame["ci_high"].isna() | (frame["ci_high"] >= frame["value"]))[ok].all()


@pytest.mark.parametrize("metric", METRICS, ids=lambda m: m.__name__)
def test_the_same_question_has_the_same_answer(busy: Engine, metric: Any) -> None:
    pd.testing.assert_frame_equal(metric(busy, by=["os"]), metric(busy, by=["os"]), rtol=1e-12)


@pytest.mark.parametrize("metric", METRICS, ids=lambda m: m.__name__)
def test_groups_add_up_to_the_whole(busy: Engine, metric: Any) -> None:
    whole, parts = metric(busy), metric(busy, by=["network_type", "browser"])
    keys = KEYS[metric.__name__]
    for name in ("numerator", "excluded_count"):
        total = parts.groupby(keys, dropna=False)[name].sum()
        expected = whole.set_index(keys)[name] if len(keys) > 1 else whole.set_index(keys[0])[name]
        if metric is close_codes and name == "excluded_count":
            continue  # counted in every code's row of its group
        # frames are rounded to 12 digits, the whole and each of its parts
        np.testing.assert_allclose(total.sort_index().to_numpy(), expected.sort_index().to_numpy(), rtol=1e-10)


@pytest.mark.parametrize("metric", METRICS, ids=lambda m: m.__name__)
def test_an_empty_lake_gives_an_empty_frame(tmp_path: Path, metric: Any) -> None:
    with engine_of(tmp_path, []) as engine:
        frame = metric(engine, by=["network_type"])
    assert len(frame) == 0
    assert set(METRIC_COLUMNS) < set(frame.columns)


@pytest.mark.parametrize("metric", METRICS, ids=lambda m: m.__name__)
def test_bad_questions_are_refused(busy: Engine, metric: Any) -> None:
    for bad in ({"by": ["session_id"]}, {"by": "networktype"}, {"week": "47"}, {"since": "x"}, {"where": "1=1"}):
        with pytest.raises(UsageError):
            metric(busy, **bad)


def test_columns_of_one_table_only_group_metrics_of_that_table(busy: Engine) -> None:
    assert "end" in retries(busy, by=["end"]).columns
    assert "kind" in retries(busy, by="kind", where="end = 'recovered'").columns
    with pytest.raises(UsageError):
        reliability(busy, by=["kind"])
    assert set(fallback_metric(busy, by=["side"])["side"]) == {"client"}
    assert list(reliability(busy, by=["iso_week", "side", "os"]).columns[:4]) == ["iso_week", "os", "side", "metric"]


# --- close codes ---


def test_close_codes_share_and_exclusions(tmp_path: Path) -> None:
    rows = sessions(30, lambda i: [*opened(0, 60, code=1006 if i < 12 else 1000), *opened(100, None)])
    with engine_of(tmp_path, rows) as engine:
        frame = close_codes(engine)
    dropped = pick(frame, close_code=1006)
    assert (dropped.numerator, dropped.denominator, dropped.excluded_count) == (12, 30, 30)
    assert dropped.value == 0.4
    low, high = wilson(0.4, 29)  # 30 sessions of one: n_eff is n - 1
    assert (dropped.ci_low, dropped.ci_high) == pytest.approx((float(low), float(high)))
    assert frame["numerator"].sum() == 30


def test_no_code_is_a_row_of_its_own_and_sources_are_not_mixed(tmp_path: Path) -> None:
    proxy = {"side": "proxy", "format": "nginx_access", "session_id": None}
    rows = [{**proxy, "event": "close", "s": i, "lifetime_s": 1.0, "client_id": f"c{i}"} for i in range(40)]
    rows += sessions(25, lambda i: opened(0, 9, code=1000))
    rows += [
        {**r, "close_code_source": "library_synthetic"} if r["event"] == "close" else r
        for r in sessions(25, lambda i: opened(0, 9, code=1000), "t")
    ]
    with engine_of(tmp_path, rows) as engine:
        frame = close_codes(engine)
    assert frame[["side", "close_code_source"]].to_numpy().tolist() == [
        ["client", "library_synthetic"],
        ["client", "wire"],
        ["proxy", "absent"],
    ]
    assert pick(frame, side="proxy", close_code=None).value == 1.0
    assert pick(frame, close_code_source="wire").value == 0.5


def test_below_the_floor_there_is_no_value_but_the_counts(tmp_path: Path) -> None:
    with engine_of(tmp_path, sessions(9, lambda i: [*opened(0, 9), *opened(20, 29), *opened(40, 49)])) as engine:
        row = pick(close_codes(engine))
    assert (row.state, row.numerator, row.denominator) == ("insufficient", 27, 27)
    assert np.isnan(row.value)
    assert np.isnan(row.ci_low)


def test_sample_weights_count(tmp_path: Path) -> None:
    rows = sessions(40, lambda i: opened(0, 60, code=1006 if i % 2 else 1000, sample_weight=9.0 if i % 2 else 1.0))
    with engine_of(tmp_path, rows) as engine:
        row = pick(close_codes(engine), close_code=1006)
    assert (row.numerator, row.denominator, row.value) == (180, 200, 0.9)
    assert row.ci_low < wilson(0.9, 200)[0], "weights are no evidence"


def test_clusters_of_sessions_widen_the_interval(tmp_path: Path) -> None:
    rows = sessions(
        20, lambda i: [e for k in range(10) for e in opened(k * 100, k * 100 + 50, code=1006 if i < 10 else 1000)]
    )
    with engine_of(tmp_path, rows) as engine:
        row = pick(close_codes(engine), close_code=1006)
    assert (row.value, row.denominator) == (0.5, 200)
    assert (row.ci_low, row.ci_high) == pytest.approx(tuple(map(float, wilson(0.5, 19, t_of(Z95, 19)))))


# --- retries ---


def test_retry_success_by_number(tmp_path: Path) -> None:
    def session(i: int) -> list[dict[str, Any]]:
        rows = opened(0, 60)
        if i < 10:  # comes back at the first retry
            return [*rows, *opened(61, None)]
        if i < 16:  # at the second
            return [*rows, *failed(61, 61.5), *opened(63, None)]
        if i < 22:  # falls back after two
            return [*rows, *failed(61, 61.5), *failed(63, 63.5), fallback(64), poll(65)]
        if i < 25:  # the page is left at the second
            return [*rows, *failed(61, 61.5), *failed(63, 63.5, error_class="aborted_by_page")]
        return [*rows, *failed(61, 61.5), *opened(63, 64), *failed(65, 65.5)]  # opens and dies at once

    with engine_of(tmp_path, sessions(50, session)) as engine:
        frame = retries(engine)
    first = pick(frame, metric="retry_success", retry_number=1)
    assert (first.numerator, first.denominator, first.excluded_count, first.value) == (10, 50, 0, 0.2)
    second = pick(frame, metric="retry_success", retry_number=2)
    assert (second.numerator, second.denominator, second.excluded_count) == (6, 37, 3)
    third = pick(frame, metric="retry_success", retry_number=3)
    assert (third.numerator, third.denominator, third.value) == (0, 25, 0.0)
    p50 = pick(frame, metric="time_to_recover_p50_s")
    assert (p50.numerator, p50.denominator) == (16, 50)
    assert pick(frame, metric="time_to_recover_p90_s").state == "insufficient", "the curve does not come so far"


def test_time_to_recover_is_kaplan_meiers(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    waits = np.round(rng.exponential(5, 60), 3) + 0.5

    def session(i: int) -> list[dict[str, Any]]:
        end = [fallback(60 + waits[i])] if i % 3 == 0 else opened(60 + waits[i] - 0.1, None)
        return [*opened(0, 60), *end]

    with engine_of(tmp_path, sessions(60, session)) as engine:
        frame = retries(engine)
    expected = kaplan_meier(waits, np.arange(60) % 3 != 0, np.ones(60), np.arange(60), 0.5)
    row = pick(frame, metric="time_to_recover_p50_s")
    assert row.value == pytest.approx(expected.value)
    assert (row.ci_low, row.ci_high) == pytest.approx((expected.low, expected.high))


# --- fallback ---


def test_fallback_rates(tmp_path: Path) -> None:
    def session(i: int) -> list[dict[str, Any]]:
        if i < 20:
            return [*opened(0, 60), fallback(61), poll(62), *opened(100, 160), *opened(161, None)]
        if i < 30:
            return [fallback(0), poll(1)]  # the log begins late: a session that fell back, no outage seen
        return [*opened(0, 60), *(opened(61, None) if i < 70 else [])]

    with engine_of(tmp_path, sessions(100, session)) as engine:
        frame = fallback_metric(engine)
    by_session = pick(frame, metric="fallback_session_rate")
    assert (by_session.numerator, by_session.denominator, by_session.value) == (30, 100, 0.3)
    by_outage = pick(frame, metric="fallback_episode_rate")
    # 20 fell back, 20 + 40 recovered, 30 were cut off
    assert (by_outage.numerator, by_outage.denominator, by_outage.excluded_count) == (20, 80, 30)


# --- reliability ---


def test_reliability_of_a_week(tmp_path: Path) -> None:
    def session(i: int) -> list[dict[str, Any]]:
        rows = [*opened(0, 3600.1), *failed(3601, 3602), *opened(3610, 3610.1 + 3600, code=1000)]
        return rows if i else [*rows, *failed(8000, 8001, error_class="aborted_by_page")]

    with engine_of(tmp_path, sessions(25, session)) as engine:
        frame = reliability(engine)
    assert set(frame["iso_week"]) == {"2026-W47"}
    connect = pick(frame, metric="connect_success_rate")
    assert (connect.numerator, connect.denominator, connect.excluded_count) == (50, 75, 1)
    drops = pick(frame, metric="drops_per_connected_hour")
    assert (drops.numerator, drops.denominator, drops.value) == pytest.approx((25, 50, 0.5))
    downtime = pick(frame, metric="downtime_s_per_connected_hour")
    # from the drop at 3600.1 s to the open at 3610.1 s, in two hours
    assert downtime.value == pytest.approx(5.0)
    assert pick(frame, metric="downtime_p50_s").value == pytest.approx(10.0)
    assert pick(frame, metric="fallback_session_rate").value == 0.0


def test_open_connections_count_their_hours(tmp_path: Path) -> None:
    rows = sessions(20, lambda i: [*opened(0, None), {"event": "network", "s": 7200.1, "network_type": "wifi"}])
    with engine_of(tmp_path, rows) as engine:
        drops = pick(reliability(engine), metric="drops_per_connected_hour")
    assert (drops.value, drops.denominator) == (0.0, pytest.approx(40.0))
    assert drops.ci_high == pytest.approx(3.69 / 40, rel=0.01)


def test_sides_are_never_mixed_and_proxies_cannot_tell_drops(tmp_path: Path) -> None:
    proxy = {"side": "proxy", "format": "nginx_access", "session_id": None, "http_status": 101}
    rows = [{**proxy, "event": "close", "s": i, "lifetime_s": 3600.0, "client_id": f"c{i}"} for i in range(30)]
    rows += sessions(30, lambda i: opened(0, 3600))
    with engine_of(tmp_path, rows) as engine:
        frame = reliability(engine)
    drops = pick(frame, side="proxy", metric="drops_per_connected_hour")
    assert (drops.state, drops.denominator, drops.excluded_count) == ("insufficient", 0, 30)
    assert pick(frame, side="proxy", metric="connect_success_rate").value == 1.0
    assert pick(frame, side="client", metric="drops_per_connected_hour").value == pytest.approx(1.0, rel=1e-3)


def test_connections_of_unknown_length_are_left_out_of_lifetimes(tmp_path: Path) -> None:
    proxy = {"side": "proxy", "format": "nginx_access", "session_id": None, "http_status": 101, "event": "close"}
    rows = [{**proxy, "s": i, "client_id": f"c{i}", "lifetime_s": 60.0 if i % 2 else None} for i in range(60)]
    with engine_of(tmp_path, rows) as engine:
        lifetime = pick(reliability(engine), metric="connection_lifetime_p50_s")
    assert (lifetime.denominator, lifetime.excluded_count) == (30, 30)


@pytest.mark.parametrize("by_client", [0, 1])
def test_clusters_by_number_are_those_of_the_text(tmp_path: Path, by_client: int) -> None:
    # a week of sessions, console text, proxy lines with and without a client; some sessions are in two formats' logs
    rows = week(60)
    rows += [
        {**e, "session_id": f"s{i}", "source_id": "twin", "format": "twin"} for i in range(20) for e in opened(i, i + 9)
    ]
    rows += [
        {"event": "close", "s": i, "side": "proxy", "session_id": None, "source_id": "bare", "lifetime_s": 1.0}
        for i in range(9)
    ]
    text = "COALESCE(client_id, cluster_key)" if by_client else "cluster_key"
    with engine_of(tmp_path, rows) as engine:
        found = engine.run("metrics/reliability", "attempts", Selection(), by_client=by_client)
        expected = engine._connection.sql(
            f"""SELECT side, COUNT(DISTINCT {text}) FROM attempts
                WHERE NOT is_left_censored AND outcome <> 'abandoned' AND (is_opened OR is_ended) GROUP BY side"""
        ).fetchall()
        assert engine._connection.sql("SELECT COUNT(*) FROM twins").fetchall() == [(40,)]
    success = found[found["metric"] == "connect_success_rate"]
    assert dict(zip(success["side"], success["cluster_count"], strict=True)) == dict(expected)


def test_weeks_are_separate_and_a_week_can_be_asked_for(tmp_path: Path) -> None:
    rows = sessions(40, lambda i: opened(i // 20 * 7 * 86_400, i // 20 * 7 * 86_400 + 60))
    with engine_of(tmp_path, rows, until=20 * 86_400) as engine:
        frame = reliability(engine)
        only = reliability(engine, week="2026-W48")
        since = reliability(engine, since="2026-11-23")
    assert sorted(set(frame["iso_week"])) == ["2026-W47", "2026-W48"]
    pd.testing.assert_frame_equal(only, frame[frame["iso_week"] == "2026-W48"].reset_index(drop=True))
    pd.testing.assert_frame_equal(only, since)
    assert START.isocalendar().week == 47


def test_text_without_times_has_no_week(tmp_path: Path) -> None:
    rows = [{"event": e, "session_id": None} for e in ("attempt", "open", "close")]
    with engine_of(tmp_path, rows) as engine:
        frame = reliability(engine)
        assert len(reliability(engine, week="2026-W47")) == 0
    assert frame["iso_week"].tolist() == [None] * len(frame)
    assert frame["state"].eq("insufficient").all()
