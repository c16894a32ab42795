"""Attempts gathered from columns of events, beside the same by hand, event by event."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import attempts_by_hand
from tests.make_events import engine_of, event_table, failed, opened, rows_of, source_table
from tests.make_week import week
from wslog.attempts import FileEvents, TableEvents, gather
from wslog.engine import Engine, render
from wslog.errors import LakeDamagedError

SOURCES = {"page": "client", "console": "client", "server": "server", "proxy": "proxy"}


def facts(rows: list[dict[str, Any]]) -> pa.Table:
    """Return ``origins`` of rows, counted by hand."""
    found = []
    for rank, source in enumerate(sorted({row["source_id"] for row in rows}), 1):
        own = [row for row in rows if row["source_id"] == source]
        found.append({
            "source_id": source, "source_label": None, "source_rank": rank, "event_count": len(own),
            "session_id_count": sum(row.get("session_id") is not None for row in own),
            "timed_count": sum(row.get("event_at") is not None for row in own),
            "begin_count": sum(row["event"] in ("attempt", "open") for row in own),
        })  # fmt: skip
    return pa.Table.from_pylist(found)


event = st.fixed_dictionaries(
    {
        "source_id": st.sampled_from(list(SOURCES)),
        "event": st.sampled_from(["attempt", "open", "error", "close", "retry", "fallback", "poll", "network"]),
        "s": st.one_of(st.none(), st.integers(0, 6)),
    },
    optional={
        "session_id": st.sampled_from(["s", "t", None]),
        "connection_id": st.sampled_from(["a", "b", None]),
        "network_type": st.sampled_from(["wifi", "cellular", "unknown", None]),
        "effective_type": st.sampled_from(["4g", "3g", None]),
        "retry_number": st.sampled_from([0, 1, 2, None]),
        "max_retries": st.sampled_from([3, 8, None]),
        "transport": st.sampled_from(["websocket", "polling", None]),
        "error_class": st.sampled_from(["timeout", None]),
    },
)


def completed(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    found = []
    for row in rows:
        row = {
            "session_id": None,
            **row,
            "side": SOURCES[row["source_id"]],
            "format": SOURCES[row["source_id"]] + "_log",
        }
        if row["source_id"] == "console":
            row["session_id"] = None
        found.append(row)
    return rows_of(found)


@settings(max_examples=400, deadline=None)
@given(st.lists(event, min_size=1, max_size=40), st.sampled_from([1, 5, 1000]))
def test_the_columnar_way_is_the_way_by_hand(events: list[dict[str, Any]], at_once: int) -> None:
    rows = completed(events)
    origins = facts(rows)
    told = {fact["source_id"]: fact for fact in origins.to_pylist()}
    expected = [attempts_by_hand.compact(a) for a in attempts_by_hand.attempts(rows, told)]
    found = pa.concat_tables(gather(TableEvents(event_table(rows)), origins, at_once)).to_pylist()
    ranks = {fact["source_rank"]: source for source, fact in told.items()}
    for attempt in found:
        key = attempt["first_row_key"]
        attempt["first"] = (ranks[key // 10**13], key % 10**13 // 1000)
    names = expected[0] if expected else ()
    found = [{name: attempt[name] for name in names} for attempt in found]
    assert sorted(found, key=lambda a: a["first"]) == sorted(expected, key=lambda a: a["first"])


def test_columns_are_first_texts_and_largest_numbers(tmp_path: Path) -> None:
    rows = [
        {"event": "attempt", "s": 0, "url_host": "a", "rtt_ms": 50.0, "was_clean": True},
        {"event": "open", "s": 1, "url_host": "b", "rtt_ms": 75.0, "handshake_ms": 9.0, "was_clean": False},
        {"event": "error", "s": 2, "error_class": "unknown", "ended_by": "unknown", "close_code_source": "absent"},
        {"event": "error", "s": 3, "error_class": "tls", "error_text": "x", "handshake_ms": 7.0, "http_status": 502},
        {
            "event": "close",
            "s": 4,
            "close_code": 1006,
            "close_code_source": "inferred",
            "error_class": "dns",
            "http_status": 101,
        },
        {"event": "close", "s": 5, "close_code": 4000, "close_code_source": "wire", "ended_by": "server"},
    ]
    rows = [{**row, "connection_id": "c"} for row in rows]
    with engine_of(tmp_path, rows) as engine:
        (row,) = engine.frame("attempts").to_dict("records")
    assert (row["url_host"], row["rtt_ms"], row["handshake_ms"], row["http_status"], row["was_clean"]) == (
        "a",
        75,
        9,
        502,
        False,
    )
    assert (row["error_class"], row["error_text"], row["close_code"]) == ("tls", "x", 1006)
    assert (row["close_code_source"], row["ended_by"]) == ("inferred", "server"), (
        "a source with a code before one without"
    )


def test_the_page_s_own_doing_wins_and_unknown_is_last(tmp_path: Path) -> None:
    rows = [{"event": "error", "s": n, "connection_id": c, "error_class": e} for n, (c, e) in enumerate(
        [("a", "unknown"), ("b", "dns"), ("b", "aborted_by_page"), ("c", "unknown"), ("c", "reset")])]  # fmt: skip
    with engine_of(tmp_path, rows) as engine:
        assert engine.frame("attempts")["error_class"].tolist() == ["unknown", "aborted_by_page", "reset"]


def test_one_event_tells_the_browser_of_its_session(tmp_path: Path) -> None:
    rows = [
        *[{**row, "session_id": s} for s in "ab" for row in failed(0, 1)],
        {"event": "network", "s": 5, "session_id": "a", "browser": "Firefox", "browser_version": "146"},
        *[{**row, "session_id": "a"} for row in failed(6, 7)],
    ]
    with engine_of(tmp_path, rows) as engine:
        frame = engine.frame("attempts")
    assert frame.groupby("session_key")["browser"].agg(list).to_dict() == {"a": ["Firefox"] * 2, "b": [None]}


@pytest.mark.parametrize("at_once", [1, 7, 300])
def test_files_and_blocks_give_the_same_attempts(tmp_path: Path, at_once: int) -> None:
    rows = week(40)
    table = event_table(rows)
    cuts = np.linspace(0, len(table), 8).astype(int)
    paths = [tmp_path / f"{n}.parquet" for n in range(7)]
    for path, begin, end in zip(paths, cuts[:-1], cuts[1:], strict=True):
        pq.write_table(table.slice(begin, end - begin), path)
    pq.write_table(table, tmp_path / "whole.parquet")
    with Engine([tmp_path / "whole.parquet"], source_table(rows)) as whole:
        expected = whole.arrow("attempts")
    with Engine(paths, source_table(rows), events_at_once=at_once) as cut:
        assert cut.arrow("attempts").equals(expected)


def test_the_join_in_arrow_is_that_of_the_sql_file(tmp_path: Path) -> None:
    rows = week(30)
    with engine_of(tmp_path, rows, "label") as engine:
        engine.make("attempts")
        found = engine._fetch("SELECT * FROM attempt_rows ORDER BY row_key")
        tables = gather(FileEvents([tmp_path / "events.parquet"]), engine._fetch("SELECT * FROM origins"))
        engine.put("gathered", pa.concat_tables(tables))
        engine._execute(f"CREATE TEMP TABLE verdicts AS {render('verdicts')}")
        expected = engine._fetch(f"SELECT * FROM ({render('attempt_rows')}) ORDER BY row_key")
    assert found.column_names == expected.column_names
    assert found.to_pylist() == expected.to_pylist()


def test_a_client_has_one_number_in_every_block_and_no_session_has_it(tmp_path: Path) -> None:
    rows = [
        {**e, "session_id": f"s{i}", "client_id": f"c{i % 5}" if i % 7 else None}
        for i in range(40)
        for e in opened(i, i + 9)
    ]
    pq.write_table(event_table(rows), tmp_path / "events.parquet")
    tables = list(gather(FileEvents([tmp_path / "events.parquet"]), facts(rows_of(rows)), at_once=20))
    assert len(tables) > 2
    told = pa.concat_tables(tables).select(["client_id", "client_number", "session_number"]).to_pylist()
    assert len({(row["client_id"], row["client_number"]) for row in told}) == 6
    assert len({row["client_number"] for row in told}) == 6
    for row in told:
        assert (row["client_id"] is None) == (row["client_number"] is None)
        assert row["client_number"] is None or row["client_number"] >= 2**62 > row["session_number"]


def test_no_events_and_no_files() -> None:
    origins = facts([])
    empty = pa.table({"source_id": pa.array([], pa.string())})
    for name in ("source_label", "source_rank", "event_count", "session_id_count", "timed_count", "begin_count"):
        empty = empty.append_column(name, pa.array([], pa.string() if name == "source_label" else pa.int64()))
    (table,) = gather(FileEvents([]), empty)
    assert origins.num_rows == table.num_rows == 0


def test_damaged_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "x.parquet").write_bytes(b"PAR1")
    with pytest.raises(LakeDamagedError, match="cannot be read"):
        list(gather(FileEvents([tmp_path / "x.parquet"]), facts(rows_of(opened(0, 9)))))
