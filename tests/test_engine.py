"""The engine: what reaches SQL, what SQL can reach, and the frames that come back."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pyarrow.parquet as pq
import pytest
import sqlglot
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlglot import exp

from tests.make_events import START, at, engine_of, event_table, failed, opened, source_table
from wslog.engine import STAGES, Engine, render
from wslog.errors import LakeDamagedError, UsageError
from wslog.schema import TABLES, arrow_schema
from wslog.selection import (
    Selection,
    check_by,
    groupings,
    parse_filter,
    parse_instant,
    parse_period,
    time_number_sql,
    time_words,
)

AGREEMENT = tuple(f"agreement/{name}" for name in ("clocks", "counts", "id_pairs", "matrix", "rows", "spans"))
EXPLAIN = ("explain/ends", "explain/statuses")
METRICS = {
    "close_codes": "attempts",
    "days": "attempts",
    "failures": "attempts",
    "lifetimes": "attempts",
    "reliability": "attempts",
    "downtimes": "episodes",
    "fallback_episodes": "episodes",
    "fallback_sessions": "sessions",
    "recovery_times": "episodes",
    "retries": "episodes",
    "slo": "attempts",
}
POLICY = {
    "policy/chances": "attempts",
    "policy/herd_attempts": "attempts",
    "policy/herd_members": "episodes",
    "policy/observed": "episodes",
    "policy/outages": "episodes",
    "policy/tries": "episodes",
}
NUMBERS = {"max_retry": 20, "window_s": 600, "by_client": 0, "is_time": 1, "from_1h": 4, "from_6h": 3, "from_3d": 2, "from_7d": 1, "close_code": 1006, "http_status": 101}  # fmt: skip


@pytest.fixture
def engine(tmp_path: Path) -> Any:
    with engine_of(tmp_path, [*opened(0, 60, network_type="wifi"), *failed(61, 62), *opened(63, None)]) as made:
        yield made


# --- tables ---


def test_an_empty_lake_has_empty_typed_tables() -> None:
    with Engine([], arrow_schema("sources").empty_table()) as engine:
        for name in ("events", "sources", "attempts", "episodes"):
            table = engine.arrow(name)
            assert table.num_rows == 0
            assert table.schema.names == list(TABLES[name].columns)
        assert engine.frame("attempts")["close_code"].dtype == pd.Int32Dtype()


def test_tables_have_the_registered_schema(engine: Engine) -> None:
    for name in ("events", "sources", "attempts", "episodes"):
        table = engine.arrow(name)
        for field, wanted in zip(table.schema, arrow_schema(name), strict=True):
            assert (field.name, field.type) == (wanted.name, wanted.type)
            if not wanted.nullable:
                assert table[field.name].null_count == 0, f"{name}.{field.name} is never null"


def test_frames_have_the_same_dtypes_whatever_the_values(engine: Engine) -> None:
    frame = engine.frame("attempts")
    assert frame["close_code"].dtype == pd.Int32Dtype()
    assert frame["session_order"].dtype == pd.Int64Dtype()
    assert frame["is_opened"].dtype == pd.BooleanDtype()
    assert frame["outcome"].dtype == object
    assert str(frame["started_at"].dtype) == "datetime64[us, UTC]"
    assert frame["url_host"].isna().all()
    assert set(map(type, frame["url_host"])) == {type(None)}


def test_older_files_without_a_column_read_as_null(tmp_path: Path) -> None:
    rows = opened(0, 9)
    pq.write_table(event_table(rows).drop_columns(["asn", "request_id"]), tmp_path / "old.parquet")
    pq.write_table(
        event_table([{**r, "source_id": "new", "asn": 5, "session_id": "t"} for r in rows]), tmp_path / "new.parquet"
    )
    with Engine([tmp_path / "old.parquet", tmp_path / "new.parquet"], source_table(rows)) as engine:
        assert sorted(engine.frame("attempts")["asn"].fillna(0).tolist()) == [0, 5]


def test_only_the_files_given_are_read(tmp_path: Path) -> None:
    folder = tmp_path / "date=2026-11-16"
    folder.mkdir()
    pq.write_table(event_table(opened(0, 9)), folder / "a.parquet")
    pq.write_table(event_table(opened(0, 9, session_id="b")), folder / "b.parquet")
    with Engine([folder / "a.parquet"], source_table(opened(0, 9))) as engine:
        assert engine.frame("events")["session_id"].unique().tolist() == ["s"]
        assert "date" not in engine.frame("events")


def test_file_names_are_never_sql_or_patterns(tmp_path: Path) -> None:
    folder = tmp_path / "it's; DROP [a-z]*? {1,2} %41"
    folder.mkdir()
    pq.write_table(event_table(opened(0, 9)), folder / "a'b.parquet")
    pq.write_table(event_table(opened(0, 9, session_id="t")), folder / "aab.parquet")
    with Engine([folder / "a'b.parquet"], source_table(opened(0, 9))) as engine:
        assert len(engine.frame("attempts")) == 1


@pytest.mark.parametrize("content", [None, b"", b"no parquet", b"PAR1"])
def test_missing_or_damaged_files(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "x.parquet"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(LakeDamagedError):
        Engine([path], arrow_schema("sources").empty_table())


def test_a_file_that_vanishes_later(tmp_path: Path) -> None:
    engine = engine_of(tmp_path, opened(0, 9))
    (tmp_path / "events.parquet").unlink()
    with engine, pytest.raises(LakeDamagedError):
        engine.frame("attempts")


def test_unknown_table_lists_the_choices(engine: Engine) -> None:
    with pytest.raises(UsageError, match=r"'attempt' is unknown; did you mean attempts\? Choices: events"):
        engine.frame("attempt")
    with pytest.raises(UsageError):
        engine.frame("events", week="2026-W47")


def test_sql_reaches_nothing_but_the_lake(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "secret.csv").write_text("a\n1\n")
    for sql in (
        f"SELECT * FROM read_csv('{tmp_path}/secret.csv')",
        f"COPY (SELECT 1) TO '{tmp_path}/out.csv'",
        f"ATTACH '{tmp_path}/x.db'",
        "INSTALL httpfs",
        "SET enable_external_access = true",
    ):
        with pytest.raises(duckdb.Error):
            engine._connection.execute(sql)


def test_time_is_utc_wherever_the_machine_is(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "America/New_York")
    assert engine._connection.sql("SELECT current_setting('TimeZone') AS z").to_arrow_table().to_pylist() == [
        {"z": "UTC"}
    ]


# --- period, filter, grouping ---


def test_periods_are_half_open_and_apply_after_derivation(engine: Engine) -> None:
    assert len(engine.frame("attempts", since="2026-11-16T10:01:01Z")) == 2
    assert len(engine.frame("attempts", until="2026-11-16T10:01:01Z")) == 1
    assert len(engine.frame("attempts", until="2026-11-16T11:01:01+01:00")) == 1
    later = engine.frame("attempts", since="2026-11-16T10:01:01Z")
    assert later["session_order"].tolist() == [2, 3], "the session is not cut, its attempts are"
    assert len(engine.frame("episodes", week="2026-W47")) == 1
    assert len(engine.frame("episodes", week="2026-W48")) == 0


def test_weeks() -> None:
    period = parse_period(week="2026-W47")
    assert period.since_us == parse_instant("2026-11-16")
    assert period.until_us == parse_instant("2026-11-23")
    # 2026 has 53 weeks; the 1st of January 2027 is in its last
    assert parse_period(week="2026-W53").until_us == parse_instant("2027-01-04")
    assert at(0) == START


@pytest.mark.parametrize("week", ["2026-47", "2025-W53", "W47", "2026-W00", "2026-W47; DROP", ""])
def test_bad_weeks(week: str) -> None:
    with pytest.raises(UsageError, match="is no ISO week"):
        parse_period(week=week)


def test_bad_periods() -> None:
    for given_period in (
        {"since": "yesterday"},
        {"since": "2026-11-02", "until": "2026-11-02"},
        {"since": "2026-11-02", "week": "2026-W45"},
    ):
        with pytest.raises(UsageError):
            parse_period(**given_period)


def test_iso_weeks_and_days_of_rows(tmp_path: Path) -> None:
    rows = []
    for i, day in enumerate(
        ("2026-12-31T23:59:59", "2027-01-01T00:00:00", "2027-01-04T00:00:00", "2024-12-30T12:00:00")
    ):
        rows += [{"event": "attempt", "event_at": pd.Timestamp(day, tz="UTC"), "session_id": f"s{i}"}]
    with engine_of(tmp_path, rows) as engine:
        found = engine.fetch("metrics/reliability", "attempts", Selection(("iso_week", "day"))).to_pylist()
    assert sorted((row["iso_week"], row["day"]) for row in found) == [
        ("2025-W01", "2024-12-30"),
        ("2026-W53", "2026-12-31"),
        ("2026-W53", "2027-01-01"),
        ("2027-W01", "2027-01-04"),
    ]


@settings(max_examples=300, deadline=None)
@given(st.dates())
def test_weeks_and_days_by_number_are_those_of_the_calendar(day: date) -> None:
    number = (day - date.min).days
    year, week, _ = day.isocalendar()
    assert time_words("day", [number]) == [day.isoformat()]
    assert time_words("iso_week", [number // 7]) == [f"{year:04d}-W{week:02d}"]


@pytest.mark.parametrize("at", ["0001-01-01", "1969-12-31T23:59:59.999999", "1970-01-01", "9999-12-31T23:59:59.999999"])
def test_weeks_and_days_are_whole_numbers_at_the_ends_of_time(at: str) -> None:
    # day and week of an instant by the calendar of the standard library; microseconds must not be rounded up to the next day
    since = datetime.fromisoformat(at) - datetime.min
    us = (datetime.fromisoformat(at) - datetime(1970, 1, 1)) // timedelta(microseconds=1)
    for name, length in (("day", 1), ("iso_week", 7)):
        sql = f"SELECT {time_number_sql(name, 'episodes')} FROM (SELECT CAST({us} AS BIGINT) AS started_us)"
        assert duckdb.connect().sql(sql).fetchall() == [(since.days // length,)]


@pytest.mark.parametrize(
    ("where", "count"),
    [
        ("is_opened = true", 2),
        ("is_opened = false", 1),
        ("outcome in ('dropped', 'still_open')", 2),
        ("close_code is null", 1),
        ("close_code is not null and close_code >= 1006", 2),
        ("started_at < 2026-11-16T10:01:02Z and network_type = 'wifi'", 2),
        ("lifetime_s >= 1e1", 1),
        ("iso_week = '2026-W47' and day = 2026-11-16", 3),
        ('session_key != "it\'s"', 3),
        ("session_key = 'x\\'", 0),
        (None, 3),
        ("  ", 3),
    ],
)
def test_filters(engine: Engine, where: str | None, count: int) -> None:
    assert len(engine.frame("attempts", where=where)) == count


@pytest.mark.parametrize(
    "where",
    [
        "1 = 1",
        "outcome = dropped",
        "outcome = 'droped'",
        "outcom = 'dropped'",
        "outcome = 'dropped' or 1 = 1",
        "outcome = 'dropped'; DROP TABLE attempts",
        "outcome = 'dropped' -- x",
        "outcome = (SELECT 1)",
        "close_code = '1006'",
        "close_code = 1e300",
        "session_key = 3",
        "outcome in ()",
        "outcome in ('dropped'",
        "outcome is dropped",
        "outcome is not",
        "outcome",
        "outcome =",
        "outcome like 'd%'",
        "and",
        "started_us > 1",
        "lifetime_s > 1_000",
        "started_at > 'soon'",
        "is_opened = 1",
        "outcome = 'dropped",
        "outcome = 'dropped' outcome = 'dropped'",
    ],
)
def test_everything_else_is_refused(where: str) -> None:
    with pytest.raises(UsageError):
        parse_filter(where, ["attempts"])


def test_refusals_help() -> None:
    with pytest.raises(UsageError, match="did you mean dropped"):
        parse_filter("outcome = 'droped'", ["attempts"])
    with pytest.raises(UsageError, match="did you mean network_type"):
        check_by("network_typ", ["attempts"])


@settings(max_examples=100, deadline=None)
@given(st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="'\x00")))
def test_text_literals_survive_the_way_to_sql(text: str) -> None:
    term = parse_filter(f"url_path = '{text}'", ["attempts"]).terms[0]
    sql = term.sql("attempts").split("=", 1)[1]
    assert duckdb.connect().sql(f"SELECT {sql} AS x").to_arrow_table().to_pylist() == [{"x": text}]


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet=st.sampled_from(" '\"()=<>!,;-*/\\abcdefgnoruty_0123456789.:TZ"), max_size=40))
def test_no_text_gets_past_the_grammar(text: str) -> None:
    try:
        rendered = parse_filter(text, ["attempts"]).sql("attempts")
    except UsageError:
        return
    tree = sqlglot.parse_one(f"SELECT 1 FROM attempts WHERE {rendered}", read="spark")
    assert not list(tree.find_all(exp.Subquery, exp.Or))


def test_grouping_columns_come_from_the_registry() -> None:
    assert check_by("network_type, browser,network_type", ["attempts"]) == ("network_type", "browser")
    assert check_by(["side", "os"], ["attempts"], keys=("side",)) == ("os",)
    assert {"kind", "end"} <= set(groupings(["episodes"]))
    assert "kind" not in groupings(["episodes", "sessions"])
    for bad in ("session_key", "client_id", "1", "os; DROP TABLE x", "started_us"):
        with pytest.raises(UsageError, match="Choices: "):
            check_by([bad], ["attempts"])


def test_only_numbers_and_lists_fill_placeholders() -> None:
    with pytest.raises(TypeError):
        render("metrics/retries", "episodes", Selection(), max_retry="1; DROP TABLE x")  # type: ignore[arg-type]
    with pytest.raises(KeyError):
        render("metrics/retries", "episodes", Selection())
    with pytest.raises(FileNotFoundError):
        render("../schema")


# --- the portable subset ---

SQL = Path(str(files("wslog").joinpath("sql")))
SQL_FILES = sorted(
    path.relative_to(SQL).with_suffix("").as_posix()
    for folder in ("", "agreement", "explain", "metrics", "policy")
    for path in (SQL / folder).glob("*.sql")
)
RESERVED = {
    "end",
    "start",
    "order",
    "group",
    "user",
    "table",
    "column",
    "window",
    "rows",
    "range",
    "time",
    "timestamp",
    "date",
    "both",
}
BANNED = {
    "QUALIFY", "EXCLUDE", "REPLACE", "IGNORE", "RESPECT", "ANTI", "SEMI", "UNNEST", "EXPLODE", "PIVOT", "ASOF", "LATERAL", "QUANTILE_CONT",
    "STRFTIME", "DATE_FORMAT", "DATE_DIFF", "DATEDIFF", "EPOCH", "EPOCH_US", "NOW", "CURRENT_TIMESTAMP", "CURRENT_DATE", "RANDOM", "RAND",
    "HASH", "IFNULL", "NVL", "ILIKE", "STRUCT", "LIST", "ARRAY", "MAP", "ANY_VALUE",
}  # fmt: skip
FUNCTIONS = {
    "BIT_OR", "CAST", "CHR", "COALESCE", "COUNT", "DATE_TRUNC", "FIRST_VALUE", "GREATEST", "LAG", "LEAD", "LEAST", "LPAD", "MAX", "MAX_BY",
    "MIN", "MIN_BY", "PERCENTILE_CONT", "ROUND", "ROW_NUMBER", "DENSE_RANK", "SQRT", "SUBSTRING", "SUM", "TIMESTAMP_MICROS", "UNIX_MICROS", "WEEKOFYEAR", "YEAR",
}  # fmt: skip
"""Functions that were seen to do the same on both engines; tests/test_spark*.py compare them."""


def rendered(name: str) -> str:
    if "/" not in name:
        return render(name)
    table = "attempts" if name in AGREEMENT + EXPLAIN else POLICY.get(name) or METRICS[name.split("/")[1]]
    selection = Selection(
        ("iso_week", "day", "network_type"), parse_period("2026-11-01", "2026-12-01"), parse_filter("os = 'x'", [table])
    )
    return render(name, table, selection, **NUMBERS)


def test_every_file_is_known() -> None:
    assert set(SQL_FILES) == {*STAGES, *(f"metrics/{name}" for name in METRICS), *AGREEMENT, *EXPLAIN, *POLICY}


@pytest.mark.parametrize("name", SQL_FILES)
def test_sql_is_in_the_portable_subset(name: str) -> None:
    sql = rendered(name)
    assert "{" not in sql
    text = re.sub(r"--[^\n]*|'[^']*'", "", sql)
    for mark in ('"', "`", "::", "[", "//", "~"):
        assert mark not in text, mark
    words = set(re.findall(r"[A-Z_]+", text.upper()))
    assert not words & BANNED
    assert "GROUP BY ALL" not in text.upper()
    assert not re.search(r"\d\.\d(?!\d*e)", text), "decimal literals divide differently: write 1e6"
    called = set(re.findall(r"\b([A-Za-z_]+)\(", text))
    assert {name.upper() for name in called} <= FUNCTIONS
    tree = sqlglot.parse_one(sql, read="spark")
    assert sqlglot.parse_one(sql, read="duckdb")
    for alias in tree.find_all(exp.Alias, exp.CTE):
        assert alias.alias.lower() not in RESERVED, alias.alias
    for window in tree.find_all(exp.Window):
        if isinstance(window.this, (exp.RowNumber, exp.Lag, exp.Lead, exp.FirstValue)):
            assert window.args.get("order") or window.args.get("alias"), f"no order: {window.sql()}"


@pytest.mark.parametrize("name", POLICY)
def test_whole_numbers_stay_whole_numbers(engine: Engine, name: str) -> None:
    """DuckDB adds whole numbers up in 128 bits, which leave it as decimals: each sum is cast back."""
    for stage in STAGES:
        engine.make(stage)
    kinds = [str(kind) for kind in engine._connection.sql(rendered(name)).types]
    assert not [kind for kind in kinds if kind.startswith(("HUGEINT", "DECIMAL"))]
