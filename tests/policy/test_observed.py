"""The policy as run: read off logs of clients whose policy is known, in a world that spoils the waits as real ones do.

The default run takes presets of every kind of formula; ``python -m tests.policy.clients`` prints the table for all of them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

import wslog
from tests.make_events import engine_of
from tests.policy.clients import Habits, events, read
from wslog.cli.app import app
from wslog.errors import UsageError
from wslog.policy.backoff import Backoff
from wslog.policy.observed import observed_policy
from wslog.policy.observed_fit import MIN_CELL, Cell, resembling, shape
from wslog.policy.policies import Policy
from wslog.policy.presets import load_policy, presets
from wslog.simulate import simulate

OUTAGES = 280

SAME = {"pusher": "fixed-1s", "partysocket": "reconnecting-websocket"}
"""Presets that wait exactly like another."""

# relative tolerances: 3 % without jitter (timers are 4 ms late at most, the log has whole ms); with jitter the upper end of n
# uniform waits is known to about 1.2 / sqrt(n) of its width: 15 % at 60 waits
FORMULAS: dict[str, dict[str, Any]] = {
    "linear-3": {"growth": "linear", "base_s": 1, "step_s": 1, "jitter": "none", "limit": 3},
    "signalr": {"growth": "list", "jitter": "none", "limit": 4},
    "socket.io": {"growth": "exponential", "base_s": 1, "factor": 2, "cap_s": 5, "jitter": "plus_minus"},
    "reconnecting-websocket": {"growth": "exponential", "factor": 1.3, "cap_s": 10, "jitter": "once"},
    "aws-full-jitter": {"growth": "exponential", "base_s": 1, "factor": 2, "cap_s": 30, "jitter": "full"},
    "aws-decorrelated-jitter": {"base_s": 1, "factor": 3, "cap_s": 30, "jitter": "decorrelated"},
    "grpc": {"growth": "exponential", "base_s": 1, "factor": 1.6, "jitter": "plus_minus", "waits_count_from": "begin"},
    "no-retry": {"limit": 0},
}


@pytest.mark.parametrize("name", FORMULAS)
def test_the_preset_and_its_formula_are_found(name: str, tmp_path: Path) -> None:
    row = read(load_policy(name), OUTAGES, 1, tmp_path)
    assert row["resembles"] == name, (row["closest"], row["resembles_score"])
    assert (row["state"] == "insufficient") == (name == "no-retry")
    expected = {"limit": None} | FORMULAS[name]
    for key, value in expected.items():
        if isinstance(value, str):
            assert row[key] == value, key
        elif key == "limit":
            assert (None if row[key] is None or row[key] != row[key] else row[key]) == value
        else:
            assert row[key] == pytest.approx(value, rel=0.03 if row["jitter"] == "none" else 0.15), key
    assert row["flagged"] is None


def whole_minutes(wait: float, rng: np.random.Generator) -> float:
    """A tab in the background: a fifth of the timers fire at the next whole minute."""
    return 60 * np.ceil(wait / 60) + rng.uniform(0, 0.05) if rng.random() < 0.2 else wait


def whole_seconds(wait: float, rng: np.random.Generator) -> float:
    return max(1.0, float(np.ceil(wait))) if rng.random() < 0.25 and wait < 0.95 else wait


@pytest.mark.parametrize(("name", "timer"), [("socket.io", whole_minutes), ("phoenix", whole_seconds)])
def test_throttled_timers_are_flagged_and_do_not_spoil_the_fit(name: str, timer: Any, tmp_path: Path) -> None:
    row = read(load_policy(name), OUTAGES, 3, tmp_path, Habits(timer=timer))
    assert row["resembles"] == name
    assert row["flagged"] == "throttled"
    assert (
        0.1 < row["throttled_count"] / row["throttled_base_count"] < 0.27
    )  # a fifth or a quarter, of waits that show it


@pytest.mark.parametrize(
    ("name", "rule", "flagged"),
    [("linear-3", "on_open", "reset_on_open"), ("reconnecting-websocket", "after_uptime", None)],
)
def test_the_reset_rule(name: str, rule: str, flagged: str | None, tmp_path: Path) -> None:
    """Opens that die within 4.5 s: linear-3 begins anew, reconnecting-websocket (5 s of uptime) goes on."""
    row = read(load_policy(name), 400, 3, tmp_path, Habits(short_share=0.6))
    assert (row["resembles"], row["reset"], row["flagged"]) == (name, rule, flagged)
    if rule == "after_uptime":
        assert 3.5 < row["reset_after_s"] <= 4.5  # the longest that did not reset, of 30 or so below 4.5


def test_retries_when_the_network_comes_back_are_no_schedule(tmp_path: Path) -> None:
    row = read(load_policy("socket.io"), OUTAGES, 3, tmp_path, Habits(online_share=0.15))
    assert (row["resembles"], row["flagged"]) == ("socket.io", "network_retry")


def test_retries_on_codes_that_no_retry_heals(tmp_path: Path) -> None:
    row = read(load_policy("fixed-5s"), 100, 3, tmp_path, Habits(code=1008))
    assert row["flagged"] == "terminal_retry"
    assert row["terminal_retry_count"] > 0.9 * row["terminal_retry_base_count"]


def test_a_zero_delay_loop(tmp_path: Path) -> None:
    hot = Policy("hot", backoff=Backoff("constant", 0.0))
    row = read(hot, 100, 3, tmp_path)
    assert (row["flagged"], row["resembles"]) == ("zero_delay", "none of them")


def test_firefox_delays_attempts_by_itself(tmp_path: Path) -> None:
    own = Habits(browser="Firefox", took=lambda k: min(60.0, 0.3 * 1.5 ** (k - 1)) + 0.01)
    row = read(load_policy("fixed-5s"), 150, 3, tmp_path, own)
    assert (row["flagged"], row["browser_delay_count"]) == ("browser_delay", row["browser_delay_base_count"])


def test_none_of_them(tmp_path: Path) -> None:
    row = read(Policy("odd", waits_s=(7.0, 1.0, 19.0, 4.0)), OUTAGES, 3, tmp_path)
    assert row["resembles"] == "none of them"
    assert row["resembles_score"] > 0.2
    assert (row["growth"], row["limit"]) == ("list", 4)


def test_too_little_is_insufficient_and_nothing_is_a_row_less(tmp_path: Path) -> None:
    row = read(load_policy("socket.io"), 4, 3, tmp_path)
    assert row["state"] == "insufficient"
    assert row["resembles"] is None and row["growth"] is None and row["base_s"] != row["base_s"]
    with engine_of(tmp_path, [{"event": "open", "s": 0.0}]) as engine:
        assert observed_policy(engine).empty
        with pytest.raises(UsageError, match="side"):
            observed_policy(engine, "side")


def test_groups_are_told_apart(tmp_path: Path) -> None:
    """Two libraries in one log: alone each is found; together they are neither."""
    chrome = events(load_policy("signalr"), OUTAGES, 1)
    firefox = [
        row | {"session_id": f"f{row['session_id']}", "browser": "Firefox"}
        for row in events(load_policy("fixed-5s"), OUTAGES, 2)
    ]
    with engine_of(tmp_path, chrome + firefox) as engine:
        frame = observed_policy(engine, "browser").set_index("browser")
        mixed = observed_policy(engine).iloc[0]
        chosen = observed_policy(engine, where="browser = 'Chrome'").iloc[0]
    assert frame["resembles"].to_dict() == {"Chrome": "signalr", "Firefox": "fixed-5s"}
    assert mixed["resembles"] == "none of them"
    assert chosen["resembles"] == "signalr"


@pytest.mark.parametrize("name", ["signalr"])
def test_the_other_simulator(name: str, tmp_path: Path) -> None:
    """Worlds of :mod:`wslog.simulate`: idle timeouts, restarts, handovers, refusals, and a log file that is ingested."""
    arguments: dict[str, Any] = {"users": 90, "days": 1, "start": "2026-11-23", "seed": 5, "formats": ["wslog_client"]}
    simulate(tmp_path / "sim", **arguments, policy=name)
    wslog.ingest([tmp_path / "sim" / "logs"], tmp_path / "lake", worker_count=1)
    row = wslog.open_lake(tmp_path / "lake").observed_policy().iloc[0]
    assert (row["resembles"], row["closest"]) == (name, name)
    # the log has whole ms, cut off, and the simulated timers are exact
    policy = load_policy(name)
    for k, (low, high) in enumerate(policy.first_delays(3), 1):
        assert low - 0.002 <= row[f"wait_{k}_p5_s"] <= row[f"wait_{k}_p95_s"] <= high + 0.002
    said = CliRunner().invoke(app, ["policies", "--lake", str(tmp_path / "lake"), "--json"])
    assert json.loads(said.stdout)[0]["resembles"] == name
    table = CliRunner().invoke(app, ["policies", "--lake", str(tmp_path / "lake")])
    assert table.exit_code == 0 and name in table.stdout


@pytest.mark.parametrize("name", sorted(set(presets()) - {"no-retry"} - set(SAME)))
def test_waits_drawn_from_a_preset_resemble_it(name: str) -> None:
    """Without a log in between, 40 outages of 10 retries each: every preset is told from every other (exact waits)."""
    policy, rng = load_policy(name), np.random.default_rng(9)
    waits = policy.waits(40, 10, rng)
    cells = [
        Cell(k, True, waits[:, k - 1], waits[:, k - 1], np.zeros(40))
        for k in range(1, 11)
        if not np.isnan(waits[0, k - 1])
    ]
    match = resembling(cells, presets().values(), policy.max_attempts, len(cells), seed=1)
    assert match.name == name
    assert set(match.also) <= set(SAME)


@settings(max_examples=60, deadline=None)
@given(
    st.floats(0.2, 10),
    st.floats(1.3, 3),
    st.one_of(st.none(), st.floats(2, 12)),
    st.integers(4, 8),
    st.integers(MIN_CELL, 40),
)
def test_a_clean_exponential_is_read_back(
    base: float, factor: float, cap_ratio: float | None, retries: int, count: int
) -> None:
    cap = np.inf if cap_ratio is None else base * cap_ratio
    nominal = np.minimum(base * factor ** np.arange(retries), cap)
    rng = np.random.default_rng(1)
    waits = [wait + rng.uniform(0, 0.005, count) for wait in nominal]
    found = shape(waits, 0.03, np.column_stack((waits[0], waits[1])))
    free = int((nominal < 0.96 * cap).sum())
    if free < 3 or len(nominal) - free == 1:
        return  # two points below the cap lie on a line as well; one wait at the cap looks like any other
    assert (found.growth, found.jitter) == ("exponential", "none")
    skipped = found.formula_from_retry - 1 if found.formula_from_retry else 0
    # 5 ms of lateness on the least base of 0.2 s, and the fit's tolerance of 4 %
    assert found.base_s == pytest.approx(base * factor**skipped, rel=0.05)
    assert found.factor == pytest.approx(factor, rel=0.05)
    if cap < np.inf and free < retries:
        assert found.cap_s == pytest.approx(cap, rel=0.05)
