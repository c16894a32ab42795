"""What the joining makes of small lakes: reasons, sides that are missing, samples, several logs, and the verb."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from tests.make_events import at, event_table, failed, opened, source_table
from wslog.agreement import agreement, make, matches
from wslog.agreement.assign import marginals
from wslog.agreement.says import meaning
from wslog.engine import Engine
from wslog.errors import UsageError
from wslog.schema import TABLES, UNMATCHED_REASONS

import pyarrow.parquet as pq  # isort: skip


def engine_of(folder: Path, rows: list[dict[str, Any]], spans: dict[str, tuple[float, float]]) -> Engine:
    """Return an engine whose sources were observed as ``spans`` say (seconds)."""
    path = folder / "events.parquet"
    pq.write_table(event_table(rows), path)
    sources = source_table(rows).to_pandas()
    sources["observed_from"] = [at(spans[name][0]) for name in sources["source_id"]]
    sources["observed_until"] = [at(spans[name][1]) for name in sources["source_id"]]
    import pyarrow as pa

    from wslog.schema import arrow_schema

    return Engine([path], pa.Table.from_pandas(sources, arrow_schema("sources"), preserve_index=False))


def client(start: float, end: float | None, name: str, code: int = 1006, **more: Any) -> list[dict[str, Any]]:
    found = opened(
        start, end, code=code, source_id="tel", session_id=f"session-{name}", connection_id=f"conn-{name}", **more
    )
    if end is not None:
        found[-1]["lifetime_s"] = end - start - 0.1
    return found


def unopened(start: float, name: str, **more: Any) -> list[dict[str, Any]]:
    return failed(
        start, start + 0.2, source_id="tel", session_id=f"session-{name}", connection_id=f"conn-{name}", **more
    )


def line(end: float, lifetime: float, name: str | None, **more: Any) -> dict[str, Any]:
    return {
        "side": "proxy", "format": "nginx_access", "source_id": "acc", "session_id": None, "event": "close", "s": end,
        "http_status": 101, "lifetime_s": lifetime, "handshake_ms": 5.0, "transport": "websocket",
        "request_id": None if name is None else f"conn-{name}", **more,
    }  # fmt: skip


def server(end: float, name: str, code: int) -> dict[str, Any]:
    return {
        "side": "server", "format": "app", "source_id": "app", "session_id": None, "event": "close", "s": end,
        "close_code": code, "connection_id": f"conn-{name}", "transport": "websocket", "lifetime_s": 50.0,
    }  # fmt: skip


SPANS = {"tel": (0.0, 10_000.0), "acc": (0.0, 5_000.0), "app": (0.0, 10_000.0)}


def why(frame: pd.DataFrame, engine: Engine) -> dict[str, str]:
    """Return status or reason of each client connection on the proxy side."""
    names = engine.frame("attempts").set_index("attempt_id")["connection_id"]
    mine = frame[frame["client_attempt_id"].notna() & (frame["service_side"] == "proxy")]
    return {names[r.client_attempt_id]: r.unmatched_because or r.match_status for r in mine.itertuples()}


@pytest.fixture
def reasons(tmp_path: Path) -> Engine:
    rows = [
        *client(10, 60, "pair00"), line(60.05, 49.95, "pair00"),
        *client(20, 70, "gone00"),
        *unopened(30, "never0"),
        *client(40, 9_000, "late00"),
        *client(50, None, "open00"),
        *unopened(60, "other0", url_host="elsewhere.example"),
        line(99, 10, "nobody"), line(98, 10, None),
    ]  # fmt: skip
    return engine_of(tmp_path, rows, SPANS)


def test_every_attempt_without_partner_has_its_reason(reasons: Engine) -> None:
    frame = matches(reasons)
    assert why(frame, reasons) == {
        "conn-pair00": "matched",
        "conn-gone00": "not_logged",
        "conn-never0": "never_reached",
        "conn-late00": "outside_window",
        "conn-open00": "still_open",
        "conn-other0": "host_not_covered",
    }
    left = frame[frame["client_attempt_id"].isna()]
    assert sorted(left["unmatched_because"]) == ["no_key", "no_telemetry"]


def test_table_is_as_registered(reasons: Engine) -> None:
    frame = matches(reasons)
    assert tuple(frame.columns) == TABLES["matches"].columns
    assert set(frame["unmatched_because"].dropna()) <= set(UNMATCHED_REASONS)
    # each attempt stands once for each side of the other party
    assert not frame["client_attempt_id"].dropna().duplicated().any()
    assert not frame["service_attempt_id"].dropna().duplicated().any()
    attempts = reasons.frame("attempts")
    assert set(frame["client_attempt_id"].dropna()) | set(frame["service_attempt_id"].dropna()) == set(
        attempts["attempt_id"]
    )


def test_proxy_and_server_are_asked_apart(tmp_path: Path) -> None:
    rows = [*client(10, 60, "both00"), line(60.05, 49.95, "both00"), server(60.0, "both00", 1001)]
    rows += [*client(11, 61, "proxy0"), line(61.05, 49.95, "proxy0")]
    rows += [*client(12, 62, "third0"), server(62.0, "third0", 1000)]
    with engine_of(tmp_path, rows, SPANS) as engine:
        found = agreement(engine)
    cells = {(r.service_side, r.client_view, r.service_view): r.numerator for r in found.matrix.itertuples()}
    assert cells == {
        ("proxy", "1006", "ended, not told by whom"): 2,
        ("proxy", "1006", "not in the log"): 1,
        ("server", "1006", "1001"): 1,
        ("server", "1006", "1000"): 1,
        ("server", "1006", "not in the log"): 1,
    }
    assert set(found.matrix["state"]) == {"insufficient"} and found.matrix["value"].isna().all()


def test_matrix_of_enough_pairs_has_share_and_interval(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = []
    for i in range(40):
        name = f"{i:06}"
        rows += client(10 + i, 60 + i, name, network_type="wifi" if i % 2 else "cellular")
        rows.append(server(60.0 + i, name, 1001 if i < 30 else 1000))
    with engine_of(tmp_path, rows, SPANS) as engine:
        found = agreement(engine)
        by_network = agreement(engine, by="network_type", where="network_type = 'wifi'").matrix
        with pytest.raises(UsageError):
            agreement(engine, by="request_id")
    row = found.matrix.set_index("service_view").loc["1001"]
    assert (row["value"], row["numerator"], row["denominator"], row["state"]) == (0.75, 30, 40, "ok")
    # Wilson's interval of 30 of 40 (each pair is its own session): 0.5981, 0.8581; with Student's t of 39 it is a little wider
    assert (row["ci_low"], row["ci_high"]) == (pytest.approx(0.5981, abs=0.01), pytest.approx(0.8581, abs=0.01))
    assert row["ci_low"] < 0.5981 and row["ci_high"] > 0.8581
    assert any("close frame was lost" in text for text in found.says)
    assert set(by_network["network_type"]) == {"wifi"}
    assert by_network["denominator"].iloc[0] == 20


def test_lakes_of_one_side_say_what_they_cannot_see(tmp_path: Path) -> None:
    (tmp_path / "c").mkdir()
    (tmp_path / "p").mkdir()
    with engine_of(tmp_path / "c", client(10, 60, "alone0"), SPANS) as engine:
        only_client = agreement(engine)
    assert only_client.matrix.empty
    assert list(only_client.matches["unmatched_because"]) == ["no_other_log"]
    assert only_client.says[0].startswith("No log of a server or proxy")
    with engine_of(tmp_path / "p", [line(60, 50, "alone0")], SPANS) as engine:
        only_proxy = agreement(engine)
    assert list(only_proxy.matches["unmatched_because"]) == ["no_other_log"]
    assert only_proxy.says[0].startswith("No client log")


def test_samples_excuse_the_service_rows_without_partner(tmp_path: Path) -> None:
    rows = [*client(10, 60, "pair00", sample_weight=4.0), line(60.05, 49.95, "pair00"), line(70, 20, "other0")]
    with engine_of(tmp_path, rows, SPANS) as engine:
        found = agreement(engine)
    reasons = found.matches.query("side == 'proxy' and match_status == 'unmatched'")["unmatched_because"]
    assert list(reasons) == ["not_sampled"]
    assert found.matrix["denominator"].iloc[0] == 4
    assert any("hold a sample" in text for text in found.says)


def test_short_ids_are_counters_and_join_nothing(tmp_path: Path) -> None:
    rows = opened(10, 60, source_id="tel", session_id="s", connection_id="42")
    rows += [{**line(60, 50, None), "request_id": "42"}]
    with engine_of(tmp_path, rows, SPANS) as engine:
        assert "matched" not in set(matches(engine)["match_status"])


def test_empty_lake(tmp_path: Path) -> None:
    with Engine([], source_table([])) as engine:
        found = agreement(engine)
    assert found.matrix.empty and found.matches.empty and found.clocks.empty
    assert found.says == ["No attempt in this selection."]


def test_wrong_zone_is_named_and_matched_all_the_same(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    rows: list[dict[str, Any]] = []
    for i in range(120):
        start = float(rng.uniform(0, 3_000))
        lasts = round(float(rng.lognormal(3, 1)), 3)
        who = {"client_id": f"address{i:04}"}
        rows += client(start, start + 0.1 + lasts, f"{i:06}", **who)
        rows.append(line(start + 0.08 + lasts + 3_600, lasts + 0.005, None, **who))
    with engine_of(tmp_path, rows, {"tel": (0, 4_000), "acc": (3_600, 7_600)}) as engine:
        found = agreement(engine)
        frame = matches(engine)
    pairs = frame[frame["match_status"] == "matched"]
    assert set(pairs["matched_by"]) == {"address_and_time"}
    # 99 % of 120; lifetimes and addresses are all different
    assert len(pairs) >= 119
    assert found.clocks["offset_s"].iloc[0] == pytest.approx(3_600, abs=0.1)
    assert any("+1 h" in text and "--tz" in text for text in found.says)


def brute(left: Any, right: Any, weight: Any) -> Any:
    """Sum over all matchings."""
    total, share = 0.0, np.zeros(len(weight))

    def go(k: int, used: frozenset[tuple[str, int]], product: float, chosen: tuple[int, ...]) -> None:
        nonlocal total
        if k == len(weight):
            total += product
            share[list(chosen)] += product
            return
        go(k + 1, used, product, chosen)
        ends = {("l", int(left[k])), ("r", int(right[k]))}
        if not ends & used:
            go(k + 1, used | ends, product * float(weight[k]), (*chosen, k))

    go(0, frozenset(), 1.0, ())
    return share / total


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(0.01, 1e4), min_size=1, max_size=6))
def test_probabilities_are_exact_where_candidates_form_no_loop(weights: list[float]) -> None:
    # a chain: rows 0-0, 0-1, 1-1, 1-2, ... has no loop, where belief propagation is exact
    k = np.arange(len(weights))
    left, right = k // 2, (k + 1) // 2
    found = marginals(left, right, np.array(weights), turns=400)
    # messages move by less than one part in 10,000 at the end; where they settle slowly, many such moves are left
    assert found == pytest.approx(brute(left, right, np.array(weights)), abs=2e-3)


def test_meanings() -> None:
    assert "close frame was lost" in (meaning("1006", "1001") or "")
    assert "stopped on the way" in (meaning("never opened", "never reached") or "")
    assert "refused it" in (meaning("never opened, HTTP 502", "answered HTTP 502") or "")
    assert meaning("4001", "4001") is None


def test_verb(tmp_path: Path) -> None:
    import wslog
    from wslog.cli.app import app

    lab = Path(__file__).parents[2] / "data" / "demo" / "lab"
    lake = tmp_path / "lake"
    wslog.ingest([lab / "client.ndjson", lab / "nginx_access.log"], lake, nginx_conf=lab / "nginx.conf")
    run = CliRunner().invoke
    text = run(app, ["agreement", "--lake", str(lake)])
    assert (
        text.exit_code == 0
        and "matched (connection_id" in text.stdout
        and "No timestamp was moved" in " ".join(text.stdout.split())
    )
    told = json.loads(run(app, ["agreement", "--lake", str(lake), "--by", "url_path", "--json"]).stdout)
    assert set(told) == {"matrix", "matches", "clocks", "says"} and "url_path" in told["matrix"][0]
    csv = run(app, ["agreement", "--lake", str(lake), "-o", "csv"]).stdout
    assert csv.startswith("service_side,client_view,service_view,value")
    table = run(app, ["table", "matches", "--lake", str(lake), "--json"])
    assert len(json.loads(table.stdout)) == int(make_count(lake))


def make_count(lake: Path) -> int:
    import wslog

    engine = wslog.open_lake(lake).engine
    make(engine)
    return len(engine.frame("matches"))
