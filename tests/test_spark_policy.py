"""What the reconnect policy is estimated from, on Apache Spark: the same rows as DuckDB's, cell by cell, over a simulated world."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import wslog
from tests.test_spark import assert_same, spark_of
from wslog.engine import STAGES, Engine, render
from wslog.policy.herd_evidence import WINDOW_S
from wslog.selection import Selection, parse_filter, parse_period
from wslog.simulate import simulate

ROOT = Path(__file__).parents[1]
pytestmark = [pytest.mark.spark, pytest.mark.filterwarnings("ignore")]

TABLES = {
    "outages": "episodes",
    "tries": "episodes",
    "chances": "attempts",
    "herd_members": "episodes",
    "observed": "episodes",
}
"""Each query and the table its period and filter speak about."""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, Engine]]:
    folder = tmp_path_factory.mktemp("spark_policy")
    simulate(folder / "sim", users=120, days=1, start="2026-01-05", seed=5, scenario="everything")
    # and the week of the demo data in which a restart cuts everybody
    logs = [folder / "sim/logs", ROOT / "data/demo/generated/generated-client-2026-W46.ndjson.gz"]
    wslog.ingest(logs, folder / "lake", nginx_conf=folder / "sim/nginx.conf", tz="UTC")
    lake = wslog.open_lake(folder / "lake")
    spark = spark_of(folder, lake._store.event_files(), lake._store.sources())
    for stage in STAGES:
        lake.engine.make(stage)
    yield spark, lake.engine
    spark.stop()


@pytest.mark.parametrize("query", TABLES)
def test_queries_are_equal(world: tuple[Any, Engine], query: str) -> None:
    spark, engine = world
    table = TABLES[query]
    period, kept = parse_period(since="2026-01-05T02:00:00Z"), parse_filter("network_type <> 'vpn'", [table])
    # members of a herd are not grouped
    chosen = Selection(() if query == "herd_members" else ("iso_week", "network_type"), period, kept)
    for selection in (Selection(), chosen):
        assert_same(spark, engine, render(f"policy/{query}", table, selection))


def test_attempts_of_herds_are_equal(world: tuple[Any, Engine]) -> None:
    spark, engine = world
    assert_same(spark, engine, render("policy/herd_attempts", "attempts", Selection(), window_s=WINDOW_S))
