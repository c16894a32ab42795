"""Outages: the tricky sessions, written by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.make_events import at, engine_of, failed, fallback, opened, poll
from wslog.schema import EPISODE_ENDS, TABLES


def episodes(folder: Path, rows: list[dict[str, Any]], until: float = 86_400) -> pd.DataFrame:
    with engine_of(folder, rows, until=until) as engine:
        frame = engine.frame("episodes")
        attempts = engine.frame("attempts")
    assert tuple(frame.columns) == TABLES["episodes"].columns
    assert frame["episode_id"].is_unique
    assert set(frame["episode_id"]) <= set(attempts["attempt_id"])
    assert set(frame["end"]) <= set(EPISODE_ENDS)
    return frame.sort_values("started_at", ignore_index=True)


def one(folder: Path, rows: list[dict[str, Any]], until: float = 86_400) -> Any:
    frame = episodes(folder, rows, until)
    assert len(frame) == 1, frame[["kind", "end", "started_at"]]
    return frame.iloc[0]


def test_drop_and_recovery(tmp_path: Path) -> None:
    e = one(tmp_path, [*opened(0, 60), *failed(61, 61.5), *opened(63, 200, code=1000)])
    assert (e.kind, e.end, e.started_at, e.ended_at) == ("drop", "recovered", at(60), at(63.1))
    assert (e.attempt_count, e.failed_count, e.short_open_count, e.recovered_retry_number) == (2, 1, 0, 2)
    assert e.downtime_s == pytest.approx(3.1)
    assert not e.is_right_censored and not e.is_flapping and not e.is_network_changed
    assert (e.trigger_outcome, e.trigger_close_code, e.episode_id) == ("dropped", 1006, "log:1")


def test_a_recovered_open_may_be_open_at_the_end(tmp_path: Path) -> None:
    e = one(tmp_path, [*opened(0, 60), *opened(61, None)])
    assert (e.end, e.recovered_retry_number, e.is_right_censored) == ("recovered", 1, False)


def test_an_open_watched_too_briefly_tells_nothing(tmp_path: Path) -> None:
    cut_off = one(tmp_path, [*opened(0, 60), *opened(61, None)], until=63)
    assert (cut_off.end, cut_off.is_right_censored) == ("censored", True)
    page_left = one(tmp_path, [*opened(0, 60), *opened(61, 63, error_class="aborted_by_page")])
    assert (page_left.end, page_left.is_right_censored) == ("left", True)
    assert page_left.downtime_s == pytest.approx(1.1), "from its open on there was service"


def test_flapping_is_one_episode(tmp_path: Path) -> None:
    rows = [event for i in range(6) for event in opened(i * 3, i * 3 + 2)]
    e = one(tmp_path, rows)
    assert (e.kind, e.end, e.started_at) == ("drop", "censored", at(2))
    assert (e.attempt_count, e.short_open_count, e.failed_count) == (6, 6, 0)
    assert e.is_flapping and e.is_right_censored
    back = one(tmp_path, [*opened(-100, -10), *rows, *opened(20, None)])
    assert (back.end, back.short_open_count, back.attempt_count, back.recovered_retry_number) == ("recovered", 6, 7, 7)


def test_one_short_open_is_no_flapping(tmp_path: Path) -> None:
    e = one(tmp_path, [*opened(0, 60), *opened(61, 63), *opened(64, None)])
    assert (e.end, e.short_open_count, e.is_flapping, e.recovered_retry_number) == ("recovered", 1, False, 2)


def test_a_short_open_closed_on_purpose_is_a_recovery(tmp_path: Path) -> None:
    e = one(tmp_path, [*opened(0, 60), *opened(61, 62, code=1000)])
    assert e.end == "recovered"


def test_three_failed_retries_then_fallback(tmp_path: Path) -> None:
    rows = [
        *opened(0, 60),
        *failed(61, 61.2),
        *failed(63, 63.2),
        *failed(66, 66.2),
        fallback(66.3),
        poll(67, ok=False),
        poll(68, ok=False),
        poll(69),
        poll(70),
        poll(71, ok=False),
    ]
    e = one(tmp_path, rows)
    assert (e.end, e.attempt_count, e.failed_count) == ("fell_back", 3, 3)
    assert (e.fell_back_at, e.ended_at, e.first_poll_ok_at, e.last_poll_failed_at) == (
        at(66.3),
        at(66.3),
        at(69),
        at(68),
    )
    assert e.downtime_s == pytest.approx(9.0)
    assert not e.is_right_censored


def test_fallback_without_a_successful_poll_is_a_lower_bound(tmp_path: Path) -> None:
    e = one(tmp_path, [*opened(0, 60), fallback(62), poll(63, ok=False)])
    assert (e.end, e.downtime_s, e.is_right_censored) == ("fell_back", 2.0, True)
    assert pd.isna(e.first_poll_ok_at) and e.last_poll_failed_at == at(63)


def test_probes_after_a_fallback_are_no_new_outage(tmp_path: Path) -> None:
    rows = [
        *opened(0, 60),
        *failed(61, 62),
        fallback(62),
        poll(62.5, ok=False),
        *failed(63, 64),
        poll(64),
        *failed(90, 91),
    ]
    e = one(tmp_path, rows)
    assert (e.end, e.attempt_count, e.first_poll_ok_at) == ("fell_back", 1, at(64))
    back = episodes(tmp_path, [*rows, *opened(120, 200), *opened(201, None)])
    assert back["end"].tolist() == ["fell_back", "recovered"]


def test_initial_failure(tmp_path: Path) -> None:
    e = one(tmp_path, [*failed(0, 2), *failed(3, 4), *opened(6, None, handshake=0.5)])
    assert (e.kind, e.end, e.started_at, e.ended_at) == ("initial", "recovered", at(0), at(6.5))
    assert (e.attempt_count, e.failed_count, e.recovered_retry_number) == (3, 2, 2)


def test_server_restart_and_nothing_after_is_censored(tmp_path: Path) -> None:
    e = one(tmp_path, opened(0, 60, code=1012))
    assert (e.end, e.trigger_outcome, e.trigger_close_code) == ("censored", "closed_by_server", 1012)
    assert (e.downtime_s, e.attempt_count, e.is_right_censored) == (0.0, 0, True)


@pytest.mark.parametrize("code", [1000, 3001, 4999])
def test_closes_on_purpose_begin_none(tmp_path: Path, code: int) -> None:
    assert episodes(tmp_path, [*opened(0, 60, code=code), *opened(61, None)]).empty


def test_page_left_while_retrying(tmp_path: Path) -> None:
    e = one(tmp_path, [*opened(0, 60), *failed(61, 62), *failed(63, 64, error_class="aborted_by_page")])
    assert (e.end, e.ended_at, e.downtime_s, e.is_right_censored) == ("left", at(64), 4.0, True)


def test_an_abandoned_attempt_followed_by_others_is_not_the_page_leaving(tmp_path: Path) -> None:
    e = one(tmp_path, [*opened(0, 60), *failed(61, 63, error_class="aborted_by_page"), *opened(64, None)])
    assert (e.end, e.failed_count, e.recovered_retry_number) == ("recovered", 1, 2)


def test_page_left_while_connected_begins_none(tmp_path: Path) -> None:
    assert episodes(tmp_path, opened(0, 60, error_class="aborted_by_page")).empty


def test_recovered_then_dropped_again_are_two(tmp_path: Path) -> None:
    frame = episodes(tmp_path, [*opened(0, 60), *opened(61, 121), *opened(122, None)])
    assert frame["started_at"].tolist() == [at(60), at(121)]
    assert frame["end"].tolist() == ["recovered", "recovered"]


def test_failure_after_a_normal_close_is_an_initial_outage(tmp_path: Path) -> None:
    e = one(tmp_path, [*opened(0, 60, code=1000), *failed(100, 101), *opened(102, None)])
    assert (e.kind, e.started_at) == ("initial", at(100))


def test_retries_exhausted_is_giving_up(tmp_path: Path) -> None:
    rows = opened(0, 60)
    for k in (1, 2, 3):
        rows += [
            {"event": "retry", "s": 60 + 2 * k, "retry_number": k, "max_retries": 3},
            *failed(61 + 2 * k, 61.5 + 2 * k),
        ]
    e = one(tmp_path, rows)
    assert (e.end, e.attempt_count, e.is_right_censored) == ("gave_up", 3, True)
    earlier = one(tmp_path, rows[:-4])
    assert (earlier.end, earlier.attempt_count) == ("censored", 2)


def test_a_session_that_goes_on_without_a_retry_gave_up(tmp_path: Path) -> None:
    rows = [*opened(0, 60), *failed(61, 62)]
    later = {"event": "network", "s": 1000, "network_type": "wifi"}
    assert one(tmp_path, [*rows, later]).end == "gave_up"
    assert one(tmp_path, [*rows, {**later, "s": 100}]).end == "censored"
    announced = {"event": "retry", "s": 62, "retry_number": 2}
    assert one(tmp_path, [*rows, announced, later]).end == "censored"


def test_attempt_under_way_at_the_end_is_no_failure(tmp_path: Path) -> None:
    assert episodes(tmp_path, [{"event": "attempt", "s": 0}]).empty
    e = one(tmp_path, [*opened(0, 60), {"event": "attempt", "s": 61}])
    assert (e.end, e.attempt_count) == ("censored", 1)


def test_a_fallback_without_an_outage_makes_no_episode(tmp_path: Path) -> None:
    assert episodes(tmp_path, [fallback(0), poll(1), *opened(2, None)]).empty
    # during an open connection it is none of the outage that comes later
    first = opened(0, 60)
    assert one(tmp_path, [*first[:2], fallback(30), *first[2:], *opened(61, None)]).end == "recovered"


def test_network_changes(tmp_path: Path) -> None:
    wifi, cell = {"network_type": "wifi"}, {"network_type": "cellular"}
    during = [*opened(0, 60, **wifi), {"event": "network", "s": 61, **cell}, *opened(62, None)]
    assert one(tmp_path, during).is_network_changed
    earlier = [*opened(0, 60)[:2], {"event": "network", "s": 5, **cell}, *opened(0, 60)[2:], *opened(62, None)]
    assert not one(tmp_path, [{**earlier[0], **wifi}, *earlier[1:]]).is_network_changed
    offline = [*opened(0, 60, **wifi), {"event": "network", "s": 61, "network_type": "none"}, *opened(62, None, **wifi)]
    e = one(tmp_path, offline)
    assert not e.is_network_changed and e.network_type == "wifi"
    cut_off = [*opened(0, 60, **wifi), {"event": "network", "s": 61, **cell}]
    assert one(tmp_path, cut_off).is_network_changed


def test_text_without_times_has_episodes_without_durations(tmp_path: Path) -> None:
    names = ["attempt", "open", "close", "attempt", "close", "fallback", "poll"]
    rows = [{"event": e, "session_id": None, "close_code": 1006 if e == "close" else None} for e in names]
    e = one(tmp_path, [{**r, "close_code_source": "inferred"} if r["event"] == "close" else r for r in rows])
    assert (e.end, e.attempt_count, e.session_key) == ("fell_back", 1, "log")
    assert pd.isna(e.downtime_s) and pd.isna(e.started_at)


def test_many_sessions_lost_in_one_second_are_a_herd(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = []
    for i in range(8):
        rows += opened(0, 600 + i / 10, session_id=f"herd{i}", url_host="a.example")
    for i in range(4):
        rows += opened(0, 600 + i / 10, session_id=f"few{i}", url_host="b.example")
    rows += opened(0, 400, session_id="alone", url_host="a.example")
    frame = episodes(tmp_path, rows).set_index("session_key")
    assert frame.loc[[f"herd{i}" for i in range(8)], "herd_id"].nunique() == 1
    assert frame.loc[["alone", "few0", "few3"], "herd_id"].isna().all()


def test_a_busy_service_is_no_herd(tmp_path: Path) -> None:
    # six losses in each of 300 seconds: the second in the middle stands out from nothing
    rows = [e for i in range(1800) for e in opened(i / 6 - 60, i / 6, session_id=f"s{i}", url_host="a.example")]
    middle = episodes(tmp_path, rows).iloc[600:1200]
    assert middle["herd_id"].isna().all()


def test_proxy_lines_without_a_session_make_no_episodes(tmp_path: Path) -> None:
    row = {"side": "proxy", "format": "nginx_access", "session_id": None, "event": "error", "http_status": 502}
    assert episodes(tmp_path, [{**row, "s": i} for i in range(5)]).empty
