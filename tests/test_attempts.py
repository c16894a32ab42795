"""Which events make one attempt, and what is derived from them: small logs written by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.make_events import at, engine_of, failed, fallback, opened, poll
from wslog.schema import TABLES


def attempts(folder: Path, rows: list[dict[str, Any]]) -> pd.DataFrame:
    with engine_of(folder, rows) as engine:
        frame = engine.frame("attempts")
    assert tuple(frame.columns) == TABLES["attempts"].columns
    assert frame["attempt_id"].is_unique
    return frame.sort_values(["session_key", "session_order", "attempt_id"], ignore_index=True)


def test_a_whole_client_session(tmp_path: Path) -> None:
    rows = [*opened(0, 60), *failed(61, 61.2), *opened(63, None)]
    frame = attempts(tmp_path, rows)
    assert frame["outcome"].tolist() == ["dropped", "never_opened", "still_open"]
    assert frame["attempt_id"].tolist() == ["log:1", "log:4", "log:7"]
    assert frame["session_order"].tolist() == [1, 2, 3]
    first = frame.iloc[0]
    assert (first.started_at, first.opened_at, first.ended_at) == (at(0), at(0.1), at(60))
    assert first.handshake_ms == pytest.approx(100)
    assert first.lifetime_s == pytest.approx(59.9)
    assert first.evidence == "opened=true code=1006 code_source=inferred clean=false side=client"
    last = frame.iloc[2]
    assert last.is_right_censored and not last.is_ended and pd.isna(last.ended_at) and last.ended_by is None


def test_close_after_error_is_the_same_failure(tmp_path: Path) -> None:
    rows = [
        {"event": "attempt", "s": 0},
        {"event": "error", "s": 1, "error_class": "refused"},
        {"event": "close", "s": 1, "close_code": 1006},
        {"event": "error", "s": 3, "error_class": "dns"},
        {"event": "close", "s": 3, "close_code": 1006},
        {"event": "close", "s": 4, "close_code": 1006, "close_code_source": "inferred"},
    ]
    frame = attempts(tmp_path, rows)
    # a close code "from the wire" would prove an open connection; these are the endpoint's own verdicts
    frame = attempts(
        tmp_path, [{**row, "close_code_source": "inferred"} if row["event"] == "close" else row for row in rows]
    )
    assert frame["outcome"].tolist() == ["network_failed", "network_failed", "never_opened"]
    assert frame["error_class"].tolist() == ["refused", "dns", None]


def test_open_without_attempt_begins_one_unless_an_attempt_is_waiting(tmp_path: Path) -> None:
    rows = [
        {"event": "open", "s": 0, "handshake_ms": 250.0},
        {"event": "close", "s": 10, "close_code": 1000},
        {"event": "attempt", "s": 11},
        {"event": "network", "s": 11.1, "network_type": "wifi"},
        {"event": "retry", "s": 11.2, "retry_number": 1},
        {"event": "open", "s": 11.5},
        {"event": "open", "s": 12},
    ]
    frame = attempts(tmp_path, rows)
    assert frame["session_order"].tolist() == [1, 2, 3]
    assert frame["started_at"].tolist()[:2] == [at(-0.25), at(11)]
    assert pd.isna(frame["started_at"][2])
    assert frame["outcome"].tolist() == ["closed_normally", "still_open", "still_open"]


def test_errors_alone_are_attempts_as_in_a_browser_console(tmp_path: Path) -> None:
    rows = [{"event": "error", "session_id": None, "event_at": None} for _ in range(3)]
    frame = attempts(tmp_path, rows)
    assert frame["session_key"].tolist() == ["log"] * 3
    assert frame["session_order"].tolist() == [1, 2, 3]
    assert frame["outcome"].tolist() == ["never_opened"] * 3


def test_connection_ids_hold_overlapping_connections_apart(tmp_path: Path) -> None:
    rows = [
        {"event": "attempt", "s": 0, "connection_id": "a"},
        {"event": "attempt", "s": 1, "connection_id": "b"},
        {"event": "open", "s": 2, "connection_id": "a"},
        {"event": "close", "s": 3, "connection_id": "b", "close_code": 1006, "close_code_source": "inferred"},
        {"event": "close", "s": 9, "connection_id": "a", "close_code": 1000},
    ]
    frame = attempts(tmp_path, rows)
    assert frame["connection_id"].tolist() == ["a", "b"]
    assert frame["outcome"].tolist() == ["closed_normally", "never_opened"]


def test_a_session_over_two_files_is_ordered_by_time(tmp_path: Path) -> None:
    late = [{**row, "source_id": "a_second"} for row in opened(100, None)]
    frame = attempts(tmp_path, [*late, *opened(0, 50)])
    assert frame["source_id"].tolist() == ["log", "a_second"]
    assert frame["outcome"].tolist() == ["dropped", "still_open"]


def test_rows_without_a_time_keep_their_place_by_line(tmp_path: Path) -> None:
    rows = [
        {"event": "attempt", "s": 5},
        {"event": "open"},
        {"event": "close", "s": 8, "close_code": 1006, "close_code_source": "inferred"},
        {"event": "attempt"},
        {"event": "close", "close_code": 1006, "close_code_source": "inferred"},
        {"event": "attempt", "s": 9},
    ]
    frame = attempts(tmp_path, rows)
    assert frame["outcome"].tolist() == ["dropped", "never_opened", "never_opened"]
    assert frame["rule_id"].tolist() == ["no_close_frame", "failed_unexplained", "no_end_seen"]


def test_text_without_times_is_ordered_by_line(tmp_path: Path) -> None:
    rows = [
        {"event": e, "session_id": None} for e in ("attempt", "open", "error", "close", "attempt", "error", "close")
    ]
    frame = attempts(tmp_path, rows)
    assert frame["is_opened"].tolist() == [True, False]
    assert frame["started_at"].isna().all() and frame["lifetime_s"].isna().all()


def test_left_censored_close(tmp_path: Path) -> None:
    rows = [{"event": "close", "s": 0, "close_code": 1006, "close_code_source": "inferred"}, *failed(1, 2)]
    frame = attempts(tmp_path, rows)
    assert frame["is_left_censored"].tolist() == [True, False]
    assert frame["outcome"].tolist() == ["dropped", "never_opened"]
    refused = attempts(tmp_path, [{**rows[0], "error_class": "refused"}])
    assert refused["is_left_censored"].tolist() == [False] and refused["outcome"].tolist() == ["network_failed"]


def test_proxy_lines_are_whole_attempts(tmp_path: Path) -> None:
    proxy = {"side": "proxy", "format": "nginx_access", "session_id": None, "transport": "websocket"}
    rows = [
        {
            **proxy,
            "event": "close",
            "s": 100,
            "lifetime_s": 60.0,
            "handshake_ms": 20.0,
            "http_status": 101,
            "client_id": "c",
        },
        {**proxy, "event": "error", "s": 101, "http_status": 502, "error_class": "http_status", "handshake_ms": 500.0},
        {**proxy, "event": "error", "s": 102, "http_status": 499, "error_class": "aborted_by_page"},
        {**proxy, "event": "poll", "s": 103, "transport": "polling", "http_status": 200},
        {**proxy, "event": "close", "s": 104, "ended_by": "proxy", "error_class": "timeout", "http_status": 101},
    ]
    frame = attempts(tmp_path, rows).sort_values("attempt_id", ignore_index=True)
    assert frame["outcome"].tolist() == ["ended_unknown", "rejected", "abandoned", "idle_timeout"]
    assert frame["session_key"].tolist() == [None] * 4
    assert frame["close_code"].isna().all()
    whole = frame.iloc[0]
    assert (whole.started_at, whole.opened_at, whole.ended_at) == (at(40), at(40.02), at(100))
    assert whole.lifetime_s == 60.0 and not whole.is_left_censored
    assert frame["started_at"][1] == at(100.5) and pd.isna(frame["opened_at"][1])
    assert pd.isna(frame["started_at"][3]), "no duration in the log: the begin is unknown"


def test_proxy_open_and_close_lines_join_by_connection(tmp_path: Path) -> None:
    proxy = {"side": "proxy", "format": "gateway", "session_id": None, "connection_id": "k"}
    frame = attempts(
        tmp_path, [{**proxy, "event": "open", "s": 0}, {**proxy, "event": "close", "s": 30, "close_code": 1001}]
    )
    assert len(frame) == 1
    assert frame["lifetime_s"][0] == 30


def test_a_servers_connection_name_may_come_back(tmp_path: Path) -> None:
    server = {"side": "server", "format": "app", "session_id": None, "connection_id": "1"}
    rows = [
        {**server, "event": "open", "s": 0},
        {**server, "event": "close", "s": 5, "close_code": 1001},
        {**server, "event": "open", "s": 60},
        {**server, "event": "close", "s": 70, "close_code": 1001, "ended_by": "server"},
    ]
    frame = attempts(tmp_path, rows)
    assert frame["lifetime_s"].tolist() == [5, 10]
    assert frame["outcome"].tolist() == ["unloaded", "closed_by_server"]


def test_lifetime_without_open_line_gives_the_open_time(tmp_path: Path) -> None:
    frame = attempts(
        tmp_path, [{"event": "close", "s": 50, "close_code": 1000, "lifetime_s": 20.0, "handshake_ms": 100.0}]
    )
    assert frame["opened_at"][0] == at(30) and frame["started_at"][0] == at(29.9)


def test_network_type_is_carried_forward_in_time(tmp_path: Path) -> None:
    rows = [
        *failed(0, 1),
        {"event": "network", "s": 2, "network_type": "wifi", "effective_type": "4g"},
        *failed(3, 4),
        {"event": "network", "s": 5, "network_type": "cellular"},
        *opened(6, 20, network_type="ethernet"),
        *failed(21, 22),
    ]
    frame = attempts(tmp_path, rows)
    assert frame["network_type"].tolist() == ["unknown", "wifi", "ethernet", "ethernet"]
    assert frame["effective_type"].tolist() == [None, "4g", "4g", "4g"]


def test_what_one_event_says_of_the_browser_holds_for_the_session(tmp_path: Path) -> None:
    rows = [
        {"event": "network", "s": 0, "browser": "Firefox", "os": "Linux"},
        *failed(1, 2),
        *failed(1, 2, session_id="t"),
    ]
    frame = attempts(tmp_path, rows)
    assert frame["browser"].tolist() == ["Firefox", None]


def test_retry_number_comes_from_the_retry_event_before(tmp_path: Path) -> None:
    rows = [
        *opened(0, 10),
        {"event": "retry", "s": 10, "retry_number": 1, "max_retries": 3},
        *failed(11, 12),
        {"event": "retry", "s": 11.9, "retry_number": 2, "max_retries": 3},
        *opened(14, 60),
        *failed(61, 62),
    ]
    frame = attempts(tmp_path, rows)
    assert frame["retry_number"].tolist()[1:3] == [1, 2]
    assert pd.isna(frame["retry_number"][0]) and pd.isna(frame["retry_number"][3])
    assert frame["max_retries"].tolist()[1:] == [3, 3, 3]


def test_polls_and_fallbacks_are_no_attempts(tmp_path: Path) -> None:
    rows = [fallback(0), poll(1), *failed(2, 3), poll(4), {"event": "open", "s": 5, "transport": "polling"}]
    assert len(attempts(tmp_path, rows)) == 1


def test_the_same_events_in_any_order_give_the_same_attempts(tmp_path: Path) -> None:
    rows = [
        {**row, "line_number": i}
        for i, row in enumerate([*opened(0, 60), *failed(60, 60), *failed(60, 60), *opened(60, None)])
    ]
    pd.testing.assert_frame_equal(attempts(tmp_path, rows), attempts(tmp_path, rows[::-1]))


def test_hostile_text_stays_text(tmp_path: Path) -> None:
    evil = "x'; DROP TABLE events; --\\ {by} %s"
    frame = attempts(tmp_path, opened(0, 5, session_id=evil, connection_id="a'b", url_host=evil, close_reason=evil))
    assert frame["session_key"].tolist() == [evil]
    assert frame["close_reason"].tolist() == [evil]
