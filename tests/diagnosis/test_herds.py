"""Herds: their measures against closed forms, and against restarts whose begin and end are known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import wslog
from tests.diagnosis.confusion import START, lake_of
from tests.make_events import at, engine_of, failed, fallback, opened, poll
from wslog.api import Lake
from wslog.diagnosis import diagnose
from wslog.schema import TABLES
from wslog.simulate import ingredients, simulate
from wslog.simulate.world import World, us

HOST = "ws.example.com"
LOST_AT, UP_AT = 3000.0, 3012.0


def herd_rows(size: int, policy: dict[str, float], until: float | None = None) -> list[dict[str, Any]]:
    """Return ``size`` sessions lost over half a second, whose first retry waits ``first`` + k x ``step`` s and is refused until UP_AT."""
    rows: list[dict[str, Any]] = []
    for k in range(size):
        who: dict[str, Any] = {"session_id": f"s{k}", "url_host": HOST, "network_type": ("wifi", "cellular")[k % 2]}
        lost = LOST_AT + 0.5 * k / (size - 1)
        rows += opened(100.0 + k, lost, **who)
        again = lost + policy["first"] + policy["step"] * k
        if again < UP_AT:
            rows += failed(again, again + 0.05, http_status=503, error_class="http_status", **who)
            # every fourth one polls instead
            rows += (
                [fallback(again + 1, **who), poll(again + 2, **who)]
                if k % 4 == 0
                else opened(UP_AT + 1 + k, until, **who)
            )
        else:
            rows += opened(again, until, **who)
    return rows


def steady(every_s: float, count: int) -> list[dict[str, Any]]:
    """Return sessions that come one by one, before, during and after."""
    starts = [every_s * k for k in range(count) if not LOST_AT - 1 <= every_s * k < UP_AT]
    return [row for n, s in enumerate(starts) for row in opened(s, s + 30, 1000, session_id=f"t{n}", url_host=HOST)]


def herds_of(folder: Path, rows: list[dict[str, Any]], until: float = 9000.0) -> pd.DataFrame:
    with engine_of(folder, rows, until=until) as engine:
        return diagnose(engine).herds


def test_measures(tmp_path: Path) -> None:
    # retries at 2, 2.5, 3 ... s after each loss, so 40 sessions spread over 22 s; those before UP_AT are refused
    rows = herd_rows(40, {"first": 2.0, "step": 0.5}) + steady(30.0, 250)
    (herd,) = herds_of(tmp_path, rows).to_dict("records")
    assert list(herd) == list(TABLES["herds"].columns)
    assert herd["herd_id"].startswith(f"{HOST}@") and herd["side"] == "client"
    assert herd["started_at"] == at(LOST_AT) and herd["spread_s"] == pytest.approx(0.5)
    assert (herd["size_count"], herd["retried_count"]) == (40, 40)
    first = LOST_AT + 0.5 * np.arange(40) / 39 + 2.0 + 0.5 * np.arange(40)
    assert herd["too_early_count"] == (first < UP_AT).sum()
    assert herd["too_early_ratio"] == pytest.approx((first < UP_AT).mean())
    assert herd["ci_low"] < herd["too_early_ratio"] < herd["ci_high"] and herd["state"] == "ok"
    assert herd["answered_again_at"] == at(float(first[first >= UP_AT].min()))
    assert herd["fell_back_count"] == sum(k % 4 == 0 for k in range(40) if first[k] < UP_AT)
    assert herd["recovered_count"] + herd["fell_back_count"] + herd["other_end_count"] == 40
    # what begins on that host in any one second, counted plainly
    begun = np.sort([row["s"] for row in rows if row["event"] == "attempt" and row["s"] >= LOST_AT])
    assert herd["peak_reconnects_per_s"] == max(((begun >= s) & (begun < s + 1)).sum() for s in begun)
    assert herd["peak_reconnects_per_100ms"] == max(((begun >= s) & (begun < s + 0.1)).sum() for s in begun)
    # two attempts a minute are usual; the last retry comes about 51 s after the first loss: the next ten seconds are usual again
    last = max(s for s in begun if s < LOST_AT + 60)
    assert last - LOST_AT - 10 <= herd["baseline_s"] <= last - LOST_AT + 20
    assert not herd["is_left_censored"] and not herd["is_right_censored"]


def test_what_the_log_does_not_tell(tmp_path: Path) -> None:
    """The log begins a minute before (codes of the server make it a herd) and ends with it: nothing is said of what is usual."""
    rows: list[dict[str, Any]] = []
    for k in range(12):
        who: dict[str, Any] = {"session_id": f"s{k}", "url_host": HOST}
        rows += opened(k * 0.1, 60.0 + k * 0.01, 1012, ended_by="server", **who)
    (herd,) = herds_of(tmp_path, rows, until=62.0).to_dict("records")
    assert herd["size_count"] == 12 and herd["is_left_censored"] and herd["is_right_censored"]
    assert pd.isna(herd["baseline_s"]) and pd.isna(herd["answered_again_at"]) and pd.isna(herd["too_early_count"])
    assert pd.isna(herd["too_early_ratio"]) and herd["state"] == "insufficient" and herd["retried_count"] == 0


def test_no_herd_no_row(tmp_path: Path) -> None:
    found = herds_of(tmp_path, steady(30.0, 100))
    assert found.empty and list(found.columns) == list(TABLES["herds"].columns)


USERS, DAYS, SEED = 900, 1.0, 11


@pytest.fixture(scope="module")
def restarted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Lake]:
    folder = tmp_path_factory.mktemp("restarts")
    simulate(folder / "sim", users=USERS, days=DAYS, start=START, seed=SEED, policy="aws-full-jitter")
    return folder, lake_of(folder)


def test_measures_of_simulated_restarts(restarted: tuple[Path, Lake]) -> None:
    folder, lake = restarted
    start_us = us(pd.Timestamp(START, tz="UTC").timestamp())
    truth = World(USERS, start_us, start_us + us(DAYS * 86_400), SEED, ingredients("all"))
    attempts = pd.read_parquet(folder / "sim/truth_attempts.parquet")
    found = lake.herds()
    client = found[found["side"] == "client"]
    assert len(client) == 2, "one restart a front end, and nothing else"
    for front_end in ("nginx", "haproxy"):
        (restart,) = truth.restarts[front_end]
        down, up = (pd.Timestamp(t, unit="us", tz="UTC") for t in (restart.at_us, restart.up_us))
        lost = attempts[
            (attempts["front_end"] == front_end)
            & (attempts["cause"].astype(str) == "restart_herd")
            & attempts["opened_at"].notna()
        ]
        host = {"nginx": "edge-a.example.com", "haproxy": "edge-b.example.com"}[front_end]
        (herd,) = client[client["url_host"] == host].to_dict("records")
        # a random loss within the herd's seconds may be counted in, one at its edge left out: 5 %, one at least
        assert abs(herd["size_count"] - lost["session_id"].nunique()) <= max(1, 0.05 * len(lost))
        assert abs((herd["started_at"] - lost["ended_at"].min()).total_seconds()) <= 1.0
        assert herd["spread_s"] <= (lost["ended_at"].max() - lost["ended_at"].min()).total_seconds() + 1.0
        # the first attempt that opens after the servers are back begins on the way there (0.2 s at most), or comes later
        late = (herd["answered_again_at"] - up).total_seconds()
        assert -0.5 <= late <= 5.0
        # of the lost, those whose next attempt begins before the servers are up; at the border one or two may differ
        following = attempts[attempts["session_id"].isin(set(lost["session_id"]))].merge(
            lost[["session_id", "attempt_number"]].assign(attempt_number=lambda f: f["attempt_number"] + 1),
            on=["session_id", "attempt_number"],
        )
        assert abs(herd["retried_count"] - len(following)) <= 2
        assert abs(herd["too_early_count"] - (following["started_at"] < up).sum()) <= 2
        assert down <= herd["started_at"] + pd.Timedelta(seconds=1)
    proxy = found[found["side"] == "proxy"]
    assert set(proxy["retried_count"]) <= {0} and set(proxy["state"]) <= {"insufficient"}, (
        "a proxy's line names no session"
    )


def test_library_and_selection(restarted: tuple[Path, Lake]) -> None:
    lake = wslog.open_lake(restarted[1].path)
    assert lake.herds(until="2026-01-01").empty
    one = lake.herds(where="url_host = 'edge-a.example.com'")
    assert set(one["url_host"]) == {"edge-a.example.com"}
    assert lake.diagnose(where="url_host = 'edge-a.example.com'").herds.equals(one)
