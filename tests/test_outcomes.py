"""The outcome rules: a hand-made row for each, and what must hold for the list."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.make_events import engine_of, failed, opened
from wslog.outcomes import RULES, RULES_VERSION, outcome_sql, rule_id_sql
from wslog.schema import OUTCOMES

PROXY = {"side": "proxy", "session_id": None, "format": "haproxy_http"}


def close(code: int | None, source: str = "wire", **more: Any) -> list[dict[str, Any]]:
    rows = opened(0, None)
    return [*rows, {"event": "close", "s": 60, "close_code": code, "close_code_source": source, **more}]


SAMPLES: dict[str, list[dict[str, Any]]] = {
    "aborted_while_connecting": failed(0, 1, error_class="aborted_by_page"),
    "timeout_while_connecting": [{**PROXY, "event": "error", "s": 0, "error_class": "timeout", "http_status": 504}],
    "network_error": failed(0, 1, error_class="dns"),
    "http_answer": [{**PROXY, "event": "error", "s": 0, "http_status": 403}],
    "broken_handshake": failed(0, 1, error_class="protocol"),
    "tls_close_code": [
        {"event": "attempt", "s": 0},
        {"event": "close", "s": 1, "close_code": 1015, "close_code_source": "inferred"},
    ],
    "network_ended_it": [
        {"event": "attempt", "s": 0},
        {"event": "close", "s": 1, "close_code": 1006, "close_code_source": "inferred", "ended_by": "network"},
    ],
    "failed_unexplained": failed(0, 1),
    "no_end_seen": [{"event": "attempt", "s": 0}],
    "open_at_end_of_log": opened(0, None),
    "page_left": close(1006, "inferred", error_class="aborted_by_page"),
    "server_going_away": [
        {
            "side": "server",
            "event": "close",
            "s": 9,
            "close_code": 1001,
            "close_code_source": "wire",
            "ended_by": "server",
        }
    ],
    "client_going_away": [
        {"side": "server", "event": "close", "s": 9, "close_code": 1001, "close_code_source": "wire"}
    ],
    "proxy_idle_timeout": [{**PROXY, "event": "close", "s": 9, "ended_by": "proxy", "error_class": "timeout"}],
    "keepalive_timeout": close(1011, error_class="timeout"),
    "library_transport_closed": close(1, "mapped"),
    "library_code_unclean": close(1000, "library_synthetic", was_clean=False),
    "library_code": close(1000, "library_synthetic", was_clean=True),
    "normal_closure": close(1000),
    "close_frame_without_code": close(1005, "inferred"),
    "application_code": close(4001),
    "server_code": close(1012),
    "protocol_code": close(1009),
    "no_close_frame": close(1006, "inferred"),
    "lost": close(None, "absent", was_clean=False),
    "error_while_open": [*opened(0, None), {"event": "error", "s": 9}],
    "end_without_cause": [{**PROXY, "event": "close", "s": 9, "lifetime_s": 5.0, "http_status": 101}],
}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.rule_id)
def test_each_rule_is_reached(tmp_path: Path, rule: Any) -> None:
    with engine_of(tmp_path, SAMPLES[rule.rule_id]) as engine:
        frame = engine.frame("attempts")
    assert frame["rule_id"].tolist() == [rule.rule_id], frame["evidence"].tolist()
    assert frame["outcome"].tolist() == [rule.outcome]
    assert frame["rules_version"].tolist() == [RULES_VERSION]


def test_the_list_is_well_formed() -> None:
    names = [rule.rule_id for rule in RULES]
    assert len(set(names)) == len(names)
    assert set(SAMPLES) == set(names)
    assert {rule.outcome for rule in RULES} == set(OUTCOMES), "every outcome can be reached, and no other"
    assert [rule.condition for rule in RULES if rule.condition == "TRUE"] == ["TRUE"]
    assert RULES[-1].condition == "TRUE", "the catch-all is last"
    for rule in RULES:
        assert re.fullmatch(r"[a-z][a-z_0-9]*", rule.rule_id)
        assert rule.comment.endswith(".")
        assert rule.source
    assert len(rule_id_sql()) > len(outcome_sql()) > 0


@pytest.mark.parametrize(
    ("rows", "outcome"),
    [
        # the client sees 1001 when a server goes down; a server sees it when a page is left
        (close(1001, ended_by="server"), "closed_by_server"),
        (close(1001), "closed_by_server"),
        (close(1001, ended_by="client"), "unloaded"),
        (close(1005, "inferred", was_clean=False), "dropped"),
        (close(1005, "inferred", was_clean=True), "closed_normally"),
        (close(3000), "closed_by_application"),
        (close(4999), "closed_by_application"),
        (close(2999), "ended_unknown"),
        (close(5000), "ended_unknown"),
        (close(1004), "ended_unknown"),
        # a page-side timer is the client's own matter; only a proxy that says so proves its idle timeout
        (close(1006, "inferred", error_class="timeout", ended_by="client"), "dropped"),
        # a library that reports 1000 for an attempt that never opened does not make it a normal close
        (
            [
                *failed(0, 1)[:1],
                {"event": "close", "s": 1, "close_code": 1000, "close_code_source": "library_synthetic"},
            ],
            "never_opened",
        ),
        # 499: the client left before the answer
        ([{**PROXY, "event": "error", "s": 0, "http_status": 499, "error_class": "aborted_by_page"}], "abandoned"),
        ([{**PROXY, "event": "error", "s": 0, "http_status": 503, "error_class": "refused"}], "network_failed"),
        ([{**PROXY, "event": "close", "s": 9, "error_class": "reset", "ended_by": "client"}], "dropped"),
    ],
)
def test_close_calls(tmp_path: Path, rows: list[dict[str, Any]], outcome: str) -> None:
    with engine_of(tmp_path, rows) as engine:
        assert engine.frame("attempts")["outcome"].tolist() == [outcome]
