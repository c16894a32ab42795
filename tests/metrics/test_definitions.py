"""Definitions side by side: the same attempts, counted by hand under each."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from tests.make_events import engine_of, failed, opened
from tests.metrics.test_metrics import pick, sessions
from wslog.intervals import wilson
from wslog.metrics.definitions import CLASSES, WHICH, definitions, failure_definitions
from wslog.metrics.reliability import reliability


def calls(i: int) -> list[dict[str, Any]]:
    """The shape of the appear.in and TokBox example: 1,000 calls, 47 left before the result, 20 failed; some more."""
    if i < 20:
        return failed(0, 1)
    if i < 67:
        return failed(0, 1, error_class="aborted_by_page")
    if i < 70:
        return [{"event": "attempt", "s": 0}]
    if i < 75:  # lost within a second, then well
        return [*opened(0, 1), *opened(5, 100, code=1000)]
    if i < 85:
        return [*opened(0, 100), *opened(105, 200, code=1000)]
    if i < 90:
        return [*opened(0, 100), *failed(101, 102), *opened(105, 200, code=1000)]
    if i < 130:
        return opened(0, 100, code=None, error_class="aborted_by_page")
    return opened(0, 100, code=1000)


COUNTS = {
    # not opened: 20 first attempts and 5 retries; opened: 1000 - 70 first, 20 later
    "not_opened": (25, 25 + 950, 50),
    "not_opened_or_abandoned": (72, 72 + 950, 3),
    "not_opened_or_left": (75, 75 + 950, 0),
    "not_opened_first_load": (20, 950, 50),
    "not_opened_reconnect": (5, 25, 0),
    "not_opened_or_flapped": (30, 975, 50),
    "session_never_connected": (20, 950, 50),
    "lost": (20, 950, 75),
    "lost_without_flaps": (15, 945, 80),
    "lost_or_slept": (20, 950, 75),
    "lost_or_left": (60, 950, 75),
    "anything": (75 + 20 + 40, 1025, 0),
}


@pytest.fixture(scope="module")
def frame(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with engine_of(tmp_path_factory.mktemp("calls"), sessions(1000, calls)) as engine:
        return failure_definitions(engine), reliability(engine)


@pytest.mark.parametrize("definition", [d.definition for d in definitions()])
def test_every_definition_by_hand(frame: Any, definition: str) -> None:
    row = pick(frame[0], definition=definition)
    assert (row.numerator, row.denominator, row.excluded_count) == COUNTS[definition]
    assert row.value == pytest.approx(row.numerator / row.denominator)
    assert row.ci_low < row.value < row.ci_high


def test_the_definition_moves_the_number(frame: Any) -> None:
    values = frame[0].set_index("definition")["value"]
    assert values["not_opened"] == pytest.approx(0.0256, abs=1e-4)
    assert values["not_opened_or_abandoned"] == pytest.approx(0.0705, abs=1e-4)
    assert list(values.index) == [d.definition for d in definitions()]


def test_the_first_is_one_minus_the_connect_success_rate(frame: Any) -> None:
    strict = pick(frame[0], definition="not_opened")
    success = pick(frame[1], metric="connect_success_rate")
    assert strict.value == pytest.approx(1 - success.value)
    assert (strict.denominator, strict.excluded_count) == (success.denominator, success.excluded_count)
    assert (strict.ci_low, strict.ci_high) == pytest.approx((1 - success.ci_high, 1 - success.ci_low))


def test_one_attempt_a_session_is_wilsons(frame: Any) -> None:
    row = pick(frame[0], definition="not_opened_first_load")
    # 950 sessions with one attempt: n - 1
    expected = wilson(20 / 950, 949)
    assert (row.ci_low, row.ci_high) == pytest.approx(tuple(map(float, expected)), rel=1e-6)


def test_definitions_are_well_formed() -> None:
    sql = files("wslog").joinpath("sql", "metrics", "failures.sql").read_text("utf-8")
    assert len({d.definition for d in definitions()}) == len(definitions())
    for d in definitions():
        assert d.unit in ("attempt", "session")
        assert set(d.which) <= set(WHICH)
        assert set(d.failures) <= set(d.counted) <= set(CLASSES)
        assert d.sentence.endswith(".") and d.numerator_is and d.denominator_is
    for name in CLASSES:
        assert f"--   {name}  " in sql, "each class is explained"
        assert f"first_{name}" in sql and f"later_{name}" in sql


def test_weights_and_sides(tmp_path: Path) -> None:
    rows = sessions(60, lambda i: failed(0, 1, sample_weight=5.0) if i < 20 else opened(0, 60, code=1000))
    proxy = {"side": "proxy", "format": "nginx_access", "session_id": None, "source_id": "p", "event": "close"}
    rows += [{**proxy, "s": i, "http_status": 101, "lifetime_s": 5.0, "client_id": f"c{i}"} for i in range(30)]
    with engine_of(tmp_path, rows) as engine:
        frame = failure_definitions(engine, by=["network_type"])
    client = pick(frame, side="client", definition="not_opened")
    assert (client.numerator, client.denominator) == (100, 140)
    assert set(frame[frame["side"] == "proxy"]["definition"]) == {d.definition for d in definitions()} - {
        "session_never_connected"
    }, "without sessions nobody can say which never connected"
    assert pick(frame, side="proxy", definition="lost").state == "insufficient", "a proxy's line cannot tell a loss"
