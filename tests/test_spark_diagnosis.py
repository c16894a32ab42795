"""What the diagnosis reads, on Apache Spark: the same rows as DuckDB's, cell by cell, over a simulated world."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow.parquet as pq
import pytest

import wslog
from tests.test_spark import assert_same, spark_of
from wslog import agreement
from wslog.diagnosis import views
from wslog.engine import STAGES, Engine, render
from wslog.selection import Selection, parse_filter, parse_period
from wslog.simulate import simulate

pytestmark = [pytest.mark.spark, pytest.mark.filterwarnings("ignore")]

QUERIES = (
    "cases",
    "clocks",
    "exposure",
    "groups",
    "matched",
    "moves",
    "opens",
    "pairs",
    "sessions",
    "story",
    "totals",
    "waits",
)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, Engine]]:
    folder = tmp_path_factory.mktemp("spark_diagnosis")
    simulate(folder / "sim", users=150, days=1, start="2026-01-05", seed=3, scenario="everything")
    wslog.ingest([folder / "sim/logs"], folder / "lake", nginx_conf=folder / "sim/nginx.conf", tz="UTC")
    lake = wslog.open_lake(folder / "lake")
    store = lake._store
    spark = spark_of(folder, store.event_files(), store.sources())
    for stage in STAGES:
        lake.engine.make(stage)
    agreement.make(lake.engine)
    views.make(lake.engine)
    for name in ("matches", "views"):
        # pairs by time are numpy's: what is compared is the SQL before and after
        pq.write_table(
            lake.engine._connection.sql(f"SELECT * FROM {name}").to_arrow_table(), folder / f"{name}.parquet"
        )
        spark.read.parquet(str(folder / f"{name}.parquet")).createOrReplaceTempView(name)
    yield spark, lake.engine
    spark.stop()


def test_sleeps_are_equal(world: tuple[Any, Engine]) -> None:
    spark, engine = world
    assert_same(spark, engine, "SELECT * FROM sleeps")


@pytest.mark.parametrize("query", QUERIES)
def test_queries_are_equal(world: tuple[Any, Engine], query: str) -> None:
    spark, engine = world
    chosen = Selection(
        ("iso_week", "network_type"), parse_period(since="2026-01-05"), parse_filter("os <> 'x'", ["attempts"])
    )
    for selection in (Selection(), chosen):
        # steps have no period, and their filter is that of one session
        if query == "story" and selection is chosen:
            continue
        assert_same(spark, engine, render(f"diagnosis/{query}", "attempts", selection))


def test_arrivals_are_equal(world: tuple[Any, Engine]) -> None:
    spark, engine = world
    low, high = engine._fetch("SELECT MIN(started_us) AS a, MAX(started_us) AS b FROM attempts").to_pylist()[0].values()
    hours = f"SELECT CAST({low + 1_000_000} AS BIGINT) AS since_us, CAST({high} AS BIGINT) AS until_us"
    engine.put("herd_hours", engine._fetch(hours))
    spark.sql(hours).createOrReplaceTempView("herd_hours")
    assert_same(spark, engine, render("diagnosis/arrivals", "attempts", Selection()))
