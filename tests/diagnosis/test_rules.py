"""The rules as data, the tails against scipy, the SQL's subset, the frames, the command line, the lab's logs."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlglot
from scipy import stats

import wslog
from tests.diagnosis.lab import LOGS, lab_lake
from tests.make_events import engine_of, failed, fallback, opened, poll
from tests.test_engine import BANNED, FUNCTIONS, RESERVED
from wslog.api import Lake
from wslog.cli.diagnosing import findings_text, run
from wslog.diagnosis import CAUSES, diagnose, limits, rules
from wslog.diagnosis.direct import page_texts
from wslog.diagnosis.rules import CONFIDENCES
from wslog.diagnosis.tails import benjamini_hochberg, binomial_tail, negative_binomial_tail
from wslog.engine import render
from wslog.errors import UsageError
from wslog.schema import METRIC_COLUMNS
from wslog.selection import Selection, parse_filter, parse_period

PACKAGE = Path(wslog.__file__).parent
SQL = sorted(path.stem for path in (PACKAGE / "sql/diagnosis").glob("*.sql"))


def test_every_rule_is_whole_and_used() -> None:
    code = "\n".join(path.read_text() for path in (PACKAGE / "diagnosis").glob("*.py"))
    literals = {node.value for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Constant)} if code else set()
    assert len({rule.rule_id for rule in rules()}) == len(rules())
    for rule in rules():
        assert rule.cause in (*CAUSES, ""), rule.rule_id
        assert all(vars(rule)[name] for name in vars(rule) if name != "cause"), rule.rule_id
        assert rule.rule_id in literals, rule.rule_id
        assert any(word in rule.confidence for word in (*CONFIDENCES, "share", "as there"))
    assert {rule.cause for rule in rules()} == {*CAUSES, ""} - {"unexplained"}
    assert all(text == text.lower() for text, _ in page_texts())


@pytest.mark.parametrize("name", SQL)
def test_sql_is_in_the_portable_subset(name: str) -> None:
    selection = Selection(
        ("iso_week", "as_org"), parse_period("2026-11-01", None), parse_filter("os = 'x'", ["attempts"])
    )
    sql = render(f"diagnosis/{name}", "attempts", selection, since_us=0, until_us=1)
    text = re.sub(r"--[^\n]*|'[^']*'", "", sql)
    assert not [mark for mark in ('"', "`", "::", "[", "//", "~", "{") if mark in text]
    assert not set(re.findall(r"[A-Z_]+", text.upper())) & BANNED
    assert not re.search(r"\d\.\d(?!\d*e)", text)
    called = {call.upper() for call in re.findall(r"\b([A-Za-z_]+)\(", text)}
    assert called <= FUNCTIONS
    tree = sqlglot.parse_one(sql, read="spark")
    assert sqlglot.parse_one(sql, read="duckdb")
    for alias in tree.find_all(sqlglot.exp.Alias, sqlglot.exp.CTE):
        assert alias.alias.lower() not in RESERVED, alias.alias


@pytest.mark.parametrize(
    ("hits", "trials", "p"), [(3, 7, 0.008), (12, 40, 0.25), (300, 900, 0.25), (5, 5, 0.5), (0, 4, 0.1)]
)
def test_binomial_tail(hits: int, trials: int, p: float) -> None:
    assert binomial_tail(hits, trials, p) == pytest.approx(stats.binom.sf(hits - 1, trials, p), rel=1e-9)


@pytest.mark.parametrize(("hits", "mean", "excess"), [(5, 0.02, 0.0), (12, 4.0, 0.3), (30, 12.0, 1.0), (1, 0.5, 0.0)])
def test_negative_binomial_tail(hits: int, mean: float, excess: float) -> None:
    size = 1 / excess if excess else 0
    exact = stats.nbinom.sf(hits - 1, size, size / (size + mean)) if excess else stats.poisson.sf(hits - 1, mean)
    assert negative_binomial_tail(hits, mean, excess) == pytest.approx(exact, rel=1e-6)


def test_benjamini_hochberg() -> None:
    p = np.random.default_rng(1).uniform(0, 1, 50) ** 2
    np.testing.assert_allclose(benjamini_hochberg(p), stats.false_discovery_control(p))


def test_direct_words(tmp_path: Path) -> None:
    """What one line names by itself; and the precedence when two rules fire."""
    rows: list[dict[str, Any]] = []
    given = {
        "tunnel": ({"error_class": "blocked_by_proxy"}, "blocked_upgrade"),
        "tls": ({"error_class": "tls"}, "tls_or_clock"),
        "csp": ({"error_text": "Refused: violates the Content Security Policy"}, "browser_or_page"),
        "status": ({"error_class": "http_status", "http_status": 403}, "server_refused"),
        "refused": ({"error_class": "refused"}, "server_refused"),
        "bare": ({}, "unexplained"),
    }
    for number, (name, (fields, _)) in enumerate(given.items()):
        rows += failed(100.0 * number, 100.0 * number + 1, session_id=name, **fields)
    codes = {1012: "restart_herd", 1009: "client_bug", 1011: "server_refused"}
    for number, code in enumerate(codes):
        rows += opened(5000.0 + 100 * number, 5050.0 + 100 * number, code, session_id=f"code{code}", ended_by="server")
    with engine_of(tmp_path, rows) as engine:
        found = diagnose(engine).attempts.set_index("session_key")
    for name, (_, cause) in given.items():
        assert found.loc[name, "cause"] == cause, name
    for code, cause in codes.items():
        assert found.loc[f"code{code}", "cause"] == cause, code
    assert found.loc["bare", "rule_ids"] == "" and found.loc["bare", "confidence"] is None


def test_zero_delay_loop(tmp_path: Path) -> None:
    rows = [row for k in range(30) for row in failed(k * 0.005, k * 0.005 + 0.002)]
    with engine_of(tmp_path, rows) as engine:
        found = diagnose(engine)
    assert (found.attempts["cause"] == "client_bug").sum() == 29
    assert list(found.findings["rule_id"]) == ["zero_delay_loop"]


def test_blocked_network_needs_polls_that_work_and_others_that_open(tmp_path: Path) -> None:
    def blocked(org: str, count: int, poll_ok: bool) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        for number in range(count):
            who: dict[str, Any] = {"session_id": f"{org}{number}", "as_org": org, "network_type": "other"}
            start = 1000.0 * number
            rows += [*failed(start, start + 1, **who), *failed(start + 2, start + 3, **who)]
            rows += [fallback(start + 4, **who), poll(start + 5, poll_ok, **who)]
        return rows

    fine = [
        row
        for number in range(40)
        for row in opened(
            500.0 * number, 500.0 * number + 90, 1000, session_id=f"ok{number}", as_org="Home", network_type="other"
        )
    ]
    with engine_of(tmp_path, fine + blocked("Bank", 4, True) + blocked("Offline", 4, False)) as engine:
        found = diagnose(engine)
    assert list(found.findings["rule_id"]) == ["blocked_network"] and "as_org Bank" in found.findings["what"][0]
    by = found.attempts.assign(org=found.attempts["session_key"].str.rstrip("0123456789")).groupby("org")["cause"]
    assert by.agg(set).to_dict() == {"Bank": {"blocked_upgrade"}, "Offline": {"unexplained"}}
    with engine_of(tmp_path, fine + blocked("Bank", 2, True)) as engine:
        assert diagnose(engine).findings.empty, "two sessions are no evidence"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    return lab_lake(tmp_path_factory.mktemp("lab"))


def test_the_lab(lab: Lake) -> None:
    """Real nginx, HAProxy and Chromium, some seconds of log: too short for herds, and one 3 s idle end of nginx is no peak."""
    found = diagnose(lab.engine).attempts
    scenario = {
        page["session"]: (page["scenario"], page["front"])
        for page in json.loads((Path(__file__).parents[2] / "data/demo/lab/truth.json").read_text())["pages"]
    }
    client = found[found["side"] == "client"]
    causes: dict[Any, set[str]] = {}
    for session, cause in zip(client["session_key"], client["cause"], strict=True):
        causes.setdefault(scenario[session], set()).add(cause)
    print(causes)
    for (name, front), said in causes.items():
        if name == "flapping":
            assert said == {"flapping_server"}
        if name == "idle_timeout" and front == "haproxy":
            assert said == {"idle_timeout"}, "HAProxy says so, and the client's log agrees"
        if name == "idle_timeout" and front == "nginx":
            assert said == {"unexplained"}, "nginx does not say, and one row is no peak"
    statuses = found[found["evidence"].str.contains("http_status=403")]
    assert len(statuses) and set(statuses["cause"]) == {"server_refused"}


@pytest.mark.parametrize("side", ["client", "proxy", "both"])
def test_one_sided_lakes_say_what_they_cannot_see(tmp_path: Path, side: str) -> None:
    logs = {"client": LOGS[:1], "proxy": LOGS[1:], "both": LOGS}[side]
    found = diagnose(lab_lake(tmp_path, logs).engine)
    # the lab's browser knows no network
    own = [] if side == "proxy" else [limits.NO_NETWORK]
    said = {"client": [limits.NO_SERVICE], "proxy": [limits.NO_CLIENT], "both": []}[side]
    assert sorted(found.limits) == sorted(said + own)
    assert set(found.attempts["side"]) == {"client": {"client"}, "proxy": {"proxy"}, "both": {"client", "proxy"}}[side]
    text = " ".join(findings_text(found).split())
    assert all(limit in text for limit in found.limits)
    if side == "proxy":
        # what a proxy knows by itself: statuses, and HAProxy's own timeout; a bare end of nginx is left out, not explained
        assert {"server_refused", "idle_timeout"} <= set(found.attempts["cause"])
        assert found.causes["excluded_count"].sum() > 0 and found.herds.empty


def test_a_log_that_tells_little_says_so(tmp_path: Path) -> None:
    rows = [row for n in range(3) for row in opened(n * 100, n * 100 + 50, session_id=f"s{n}")]
    with engine_of(tmp_path, rows) as engine:
        assert diagnose(engine).limits == (limits.NO_SERVICE, limits.NO_SILENCE, limits.NO_NETWORK)
        assert diagnose(engine, where="side = 'proxy'").limits == ()


def test_frames_and_grouping(lab: Lake) -> None:
    found = diagnose(lab.engine, by=["network_type"])
    assert list(found.causes.columns) == ["network_type", "side", "cause", *METRIC_COLUMNS]
    totals = found.causes.groupby(["network_type", "side"], dropna=False)
    assert (totals["numerator"].sum() == totals["denominator"].first()).all()
    assert found.causes.loc[found.causes["state"] == "insufficient", "value"].isna().all()
    assert len(diagnose(lab.engine, where="side = 'proxy'").attempts) == (found.attempts["side"] == "proxy").sum()
    empty = diagnose(lab.engine, week="2020-W01")
    assert empty.attempts.empty and empty.findings.empty and empty.causes.empty


def test_command_line(lab: Lake, capsys: pytest.CaptureFixture[str]) -> None:
    run(lab.path, by="network_type")
    text = capsys.readouterr().out
    assert text.index("how sure:") < text.index("cause")
    assert "change:" in text and "unexplained: 1006 alone is no evidence" in text
    run(lab.path, kind="json")
    answer = json.loads(capsys.readouterr().out)
    assert set(answer) == {"limits", "findings", "causes", "herds", "attempts"} and answer["attempts"]
    session = answer["attempts"][-1]["session_key"] or next(
        a["session_key"] for a in answer["attempts"] if a["session_key"]
    )
    run(lab.path, session=session)
    story = capsys.readouterr().out
    assert story.startswith(f"session {session}\n") and "<-" in story
    times = [line[:23] for line in story.splitlines()[1:]]
    assert times == sorted(times)
    with pytest.raises(UsageError, match="session"):
        run(lab.path, session="no' such")
