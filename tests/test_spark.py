"""The same SQL files on Apache Spark: every derived table and metric equal to DuckDB's, cell by cell."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.make_events import event_table, opened, source_table
from tests.make_week import week
from wslog import agreement
from wslog.attempts import TableEvents, gather
from wslog.engine import STAGES, Engine, render, to_frame
from wslog.selection import Selection, parse_filter, parse_instant, parse_period

pytest.importorskip("pyspark", reason="the spark extra is not installed")
pytestmark = [pytest.mark.spark, pytest.mark.filterwarnings("ignore")]

METRICS = {
    "close_codes": "attempts",
    "days": "attempts",
    "failures": "attempts",
    "lifetimes": "attempts",
    "reliability": "attempts",
    "retries": "episodes",
    "recovery_times": "episodes",
    "downtimes": "episodes",
    "fallback_episodes": "episodes",
    "fallback_sessions": "sessions",
    "slo": "attempts",
}
DAY_US = 86_400_000_000
SINCE_US = parse_instant("2026-11-16")
NUMBERS = {"max_retry": 20}
NUMBERS |= {f"from_{name}": SINCE_US + days * DAY_US for name, days in (("1h", 12), ("6h", 10), ("3d", 6), ("7d", 2))}


def spark_of(folder: Path, event_files: Sequence[Path], sources: pa.Table) -> Any:
    """Return a local Spark session that has every stage over the given events and sources."""
    from pyspark.sql import SparkSession

    os.environ["PYSPARK_PYTHON"] = sys.executable  # of the workers; read when the first session begins
    pq.write_table(sources, folder / "sources.parquet")
    spark = (
        SparkSession.builder.master("local[2]")
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.ui.enabled", "false")
        .config("spark.executorEnv.PYTHONPATH", str(Path(__file__).parents[1]))
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.sql.shuffle.partitions", "2")
        .config("spark.sql.warehouse.dir", str(folder / "warehouse"))
        .getOrCreate()
    )
    spark.read.parquet(*map(str, event_files)).createOrReplaceTempView("events")
    spark.read.parquet(str(folder / "sources.parquet")).createOrReplaceTempView("sources")
    for stage in STAGES:
        if stage == "verdicts":
            gathered(spark).localCheckpoint().createOrReplaceTempView("gathered")
        # each stage is kept, as a cluster would write it: plans on plans on plans exhaust the planner
        spark.sql(render(stage)).localCheckpoint().createOrReplaceTempView(stage)
    return spark


def gathered(spark: Any) -> Any:
    """Return what ``wslog.attempts`` makes of the events, in four partitions by session, or by file where there is none."""
    from pyspark.sql.pandas.types import from_arrow_schema

    origins = plain(spark.sql("SELECT * FROM origins").toArrow())
    events = spark.sql("SELECT *, PMOD(HASH(COALESCE(session_id, source_id)), 4) AS bucket FROM events")

    def attempts(part: pa.Table) -> pa.Table:
        return decoded(pa.concat_tables(gather(TableEvents(part), origins)))

    schema = attempts(events.limit(1).toArrow()).schema
    return events.groupBy("bucket").applyInArrow(attempts, from_arrow_schema(schema))


def decoded(table: pa.Table) -> pa.Table:
    columns = [c.cast(c.type.value_type) if pa.types.is_dictionary(c.type) else c for c in table.columns]
    return pa.table(columns, names=table.column_names)


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, Engine]]:
    folder = tmp_path_factory.mktemp("spark")
    rows = week(300)
    # a session that two formats log
    rows += [{**event, "session_id": "s1", "source_id": "twin", "format": "browser_console"} for event in opened(0, 60)]
    path = folder / "events.parquet"
    pq.write_table(event_table(rows), path)
    spark = spark_of(folder, [path], source_table(rows, "label"))
    with Engine([path], source_table(rows, "label")) as engine:
        yield spark, engine
    spark.stop()


def assert_same(spark: Any, engine: Engine, sql: str) -> None:
    ours = to_frame(plain(engine._connection.sql(sql).to_arrow_table()))
    theirs = to_frame(plain(spark.sql(sql).toArrow()))
    assert list(theirs.columns) == list(ours.columns)
    assert len(ours) == len(theirs) > 0
    keys = list(ours.columns)
    # sums of fractions are added up in another order: equal to the last digits
    pd.testing.assert_frame_equal(ordered(theirs, keys), ordered(ours, keys), check_dtype=False, rtol=1e-12, atol=1e-9)


def plain(table: pa.Table) -> pa.Table:
    """Whole numbers as int64, times as microseconds: engines differ in widths, which no value depends on."""
    columns = []
    for column in table.columns:
        kind = column.type
        if pa.types.is_integer(kind) or pa.types.is_timestamp(kind) or pa.types.is_decimal(kind):
            column = (
                column.cast(pa.timestamp("us", "UTC")).cast(pa.int64())
                if pa.types.is_timestamp(kind)
                else column.cast(pa.int64())
            )
        columns.append(column)
    return pa.table(columns, names=table.column_names)


def ordered(frame: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    text = frame[keys].map(lambda v: f"{v:.6g}" if isinstance(v, float) else str(v))
    return frame.loc[text.sort_values(keys).index].reset_index(drop=True)


@pytest.mark.parametrize(
    "stage", [stage for stage in STAGES if stage not in ("origins", "untimed", "steps", "verdicts")]
)
def test_derived_tables_are_equal(both: tuple[Any, Engine], stage: str) -> None:
    spark, engine = both
    engine.make(stage)
    assert_same(spark, engine, f"SELECT * FROM {stage}")


@pytest.mark.parametrize("metric", METRICS)
def test_metrics_are_equal(both: tuple[Any, Engine], metric: str) -> None:
    spark, engine = both
    for stage in STAGES:
        engine.make(stage)
    table = METRICS[metric]
    chosen = parse_filter("network_type <> 'vpn' and started_at >= 2026-11-17T01:00:00Z", [table])
    for selection in (
        Selection(),
        Selection(("iso_week", "day", "network_type"), parse_period(since="2026-11-17"), chosen),
    ):
        for flag in (0, 1):
            numbers = {**NUMBERS, "by_client": flag, "is_time": flag}
            assert_same(spark, engine, render(f"metrics/{metric}", table, selection, **numbers))


@pytest.mark.parametrize("query", ["ends", "statuses"])
def test_what_explains_a_code_is_equal(both: tuple[Any, Engine], query: str) -> None:
    spark, engine = both
    engine.make("clustered")
    assert_same(spark, engine, render(f"explain/{query}", "attempts", close_code=1006, http_status=-1))


@pytest.mark.parametrize("query", ["id_pairs", "rows", "clocks", "counts", "matrix"])
def test_joining_of_both_sides_is_equal(both: tuple[Any, Engine], tmp_path: Path, query: str) -> None:
    spark, engine = both
    agreement.make(engine)
    for name in ("matches", "clocks"):
        # pairs by time are numpy's: what is compared is the SQL before and after
        pq.write_table(engine._connection.sql(f"SELECT * FROM {name}").to_arrow_table(), tmp_path / f"{name}.parquet")
        spark.read.parquet(str(tmp_path / f"{name}.parquet")).createOrReplaceTempView(name)
    for selection in (Selection(), Selection(("iso_week", "network_type"), parse_period(since="2026-11-17"))):
        assert_same(spark, engine, render(f"agreement/{query}", "attempts", selection))


def test_text_literals_mean_the_same(both: tuple[Any, Engine]) -> None:
    spark, engine = both
    text = "a'b\\n\"%_c"
    literal = parse_filter('url_host = "a\'b\\n%_c"', ["attempts"]).terms[0].sql("attempts").split("=", 1)[1]
    expected = [{"x": text.replace('"', "")}]
    assert engine._connection.sql(f"SELECT {literal} AS x").to_arrow_table().to_pylist() == expected
    assert spark.sql(f"SELECT {literal} AS x").toArrow().to_pylist() == expected
