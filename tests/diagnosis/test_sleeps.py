"""The stage ``sleeps``: one definition of a connection that was lost while its page slept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.make_events import engine_of, opened
from wslog.diagnosis import diagnose
from wslog.diagnosis.sleep import CONFIDENCES

PROXY: dict[str, Any] = {"side": "proxy", "format": "nginx_access", "source_id": "front", "session_id": None}


def client(link: str, lived: float, silence: float | None = None, said: float | None = None) -> list[dict[str, Any]]:
    """Return a client's connection that is lost after ``lived`` s by its lines' times, ``said`` s by its own clock."""
    rows = opened(0.0, 0.1 + lived, session_id=link, connection_id=link)
    rows[-1] |= {"longest_inbound_silence_ms": None if silence is None else silence * 1e3, "lifetime_s": said}
    return rows


def proxy(link: str, lived: float) -> dict[str, Any]:
    """Return the line a proxy writes at the end."""
    return {"event": "close", "s": 0.1 + lived, "connection_id": link, "lifetime_s": lived, "http_status": 101, **PROXY}


CASES: dict[str, tuple[float, float | None, float | None, float | None, str | None]] = {
    # lived, silence, lifetime the page measured, lived by the proxy's log; what is said
    "ended_long_before": (700.0, 660.0, None, 90.0, "late_notice"),
    "late_and_silence_unknown": (700.0, None, None, 600.0, "late_notice"),
    "late_by_a_ping_limit": (700.0, None, None, 655.0, None),
    "heard_the_server_meanwhile": (700.0, 12.0, None, 600.0, None),
    "both_at_once": (700.0, 20.0, None, 700.2, None),
    "clock_stood": (700.0, None, 90.0, None, "suspended_clock"),
    "clock_goes": (700.0, None, 699.0, None, None),
    "long_silence": (700.0, 300.0, None, None, "long_silence"),
    "silent_as_usual": (700.0, 50.0, None, None, None),
    "long_silence_both_at_once": (700.0, 310.0, None, 700.4, None),
}


def test_what_is_a_sleep(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = []
    for link, (lived, silence, said, other, _) in CASES.items():
        rows += client(link, lived, silence, said)
        rows += [proxy(link, other)] if other is not None else []
    # an id that one side logs twice names no connection
    rows += [*client("twice", 700.0, 660.0, 700.0), proxy("twice", 90.0), proxy("twice", 91.0)]
    usual = [row for n in range(25) for row in client(f"usual{n}", 40.0, 20.0)]
    with engine_of(tmp_path, rows + usual) as engine:
        engine.make("sleeps")
        found = engine._fetch(
            "SELECT a.connection_id AS link, a.side, s.sleep_rule FROM sleeps AS s "
            "INNER JOIN attempts AS a ON a.row_key = s.row_key"
        ).to_pylist()
        attempts = diagnose(engine).attempts
    said = {(row["link"], row["side"]): row["sleep_rule"] for row in found}
    assert len(said) == len(found), "one row per attempt"
    expected = {(link, "client"): case[4] for link, case in CASES.items() if case[4]}
    expected |= {(link, "proxy"): "late_notice" for link, case in CASES.items() if case[4] == "late_notice"}
    # the id that is used twice joins nothing, but the silence alone is long
    expected[("twice", "client")] = "long_silence"
    assert said == expected
    # the diagnosis fires exactly there
    fired = attempts.set_index(["session_key", "side"])["rule_ids"].str.split()
    client_rules = {link: set(names) & set(CONFIDENCES) for (link, side), names in fired.items() if side == "client"}
    assert {link: names for link, names in client_rules.items() if names} == {
        link: {rule_id} for (link, side), rule_id in said.items() if side == "client"
    }


@pytest.mark.parametrize(("count", "is_told"), [(18, False), (25, True)])
def test_the_usual_silence_needs_twenty_connections(tmp_path: Path, count: int, is_told: bool) -> None:
    rows = [row for n in range(count) for row in client(f"usual{n}", 40.0, 20.0)] + client("one", 900.0, 800.0)
    with engine_of(tmp_path, rows) as engine:
        engine.make("sleeps")
        (found,) = engine._fetch("SELECT COUNT(*) AS c FROM sleeps").to_pylist()
    assert found["c"] == is_told


def test_silences_that_gather_are_a_timeout(tmp_path: Path) -> None:
    """A timeout of 120 s at a service with chatty connections: 30 quiet ones end there, 30 sleepers anywhere."""
    rows = [row for n in range(300) for row in client(f"usual{n}", 40.0, 20.0)]
    rows += [row for n in range(30) for row in client(f"quiet{n}", 500.0, 120.0 + n * 0.03)]
    rows += [row for n in range(30) for row in client(f"asleep{n}", 3000.0, 135.0 + 61.7 * n)]
    with engine_of(tmp_path, rows) as engine:
        engine.make("sleeps")
        found = engine._fetch(
            "SELECT a.session_key AS who FROM sleeps AS s INNER JOIN attempts AS a ON a.row_key = s.row_key"
        ).to_pylist()
    assert {row["who"] for row in found} == {f"asleep{n}" for n in range(30)}
