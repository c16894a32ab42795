"""How long the joining of both sides takes: ``python -m tests.agreement.speed --attempts 1000000 [--ids]``.

A made-up log of each side, straight as Parquet events: clients at 2,000,000 addresses of which a quarter are shared by many, ten
connections a second, clocks 2.7 s apart. Prints CPU seconds of deriving attempts, and of the joining alone, and the peak of memory.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tests.make_events import source_table
from wslog.agreement import make
from wslog.engine import Engine
from wslog.schema import arrow_schema

START_US = 1_763_287_200_000_000


def events(count: int, has_ids: bool, seed: int) -> pa.Table:
    """Return attempt, open and close of each client attempt, and one line of the proxy for it."""
    rng = np.random.default_rng(seed)
    started = np.cumsum(rng.exponential(0.1, count))
    shared = rng.random(count) < 0.25
    address = np.where(shared, rng.integers(0, 2_000, count), rng.integers(2_000, 2_000_000, count))
    reached = started + rng.lognormal(np.log(0.15), 0.5, count)
    answered = reached + rng.lognormal(np.log(0.004), 0.7, count)
    opened = answered + rng.uniform(0.01, 0.1, count)
    lasts = np.where(rng.random(count) < 0.2, 60.0, rng.lognormal(np.log(50), 1.2, count))
    number = np.arange(count)
    session = number // 2
    names = np.array([f"connection-{n:08x}" for n in number], dtype=object)
    keys = np.array([f"{n:032x}" for n in range(2_000_000)], dtype=object)[address]
    client: dict[str, Any] = {
        "side": "client", "format": "wslog_client", "source_id": "c", "session_id": [f"s{n:07x}" for n in session],
        "connection_id": names, "client_id": keys,
    }  # fmt: skip
    parts = [
        _part(count, line, {**client, **more}, at)
        for line, more, at in (
            (number * 3 + 1, {"event": "attempt"}, started),
            (number * 3 + 2, {"event": "open"}, opened),
            (
                number * 3 + 3,
                {"event": "close", "close_code": 1006, "close_code_source": "inferred", "lifetime_s": lasts},
                opened + lasts,
            ),
        )
    ]
    end = answered + lasts
    line: dict[str, Any] = {
        "side": "proxy", "format": "nginx_access", "source_id": "p", "event": "close", "client_id": keys, "http_status": 101,
        "close_code_source": "absent", "lifetime_s": end - reached, "handshake_ms": (answered - reached) * 1e3,
        "ended_by": "unknown",
    }  # fmt: skip
    if has_ids:
        line["request_id"] = names
    parts.append(_part(count, number + 1, line, end + 2.7))
    return pa.concat_tables(parts)


def _part(count: int, line: Any, values: dict[str, Any], at: Any) -> pa.Table:
    values = {
        "transport": "websocket", "sample_weight": 1.0, "byte_offset": 0, "event_index": 0, **values, "line_number": line,
        "event_at": START_US + np.round(at * 1e6).astype(np.int64),
    }  # fmt: skip
    columns = []
    for field in arrow_schema("events"):
        value = values.get(field.name)
        kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
        if value is None or np.isscalar(value):
            array = pa.nulls(count, kind) if value is None else pa.repeat(pa.scalar(value, kind), count)
        else:
            array = pa.array(value).cast(kind)
        columns.append(array.dictionary_encode() if pa.types.is_dictionary(field.type) else array)
    return pa.table(columns, schema=arrow_schema("events"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--attempts", type=int, default=1_000_000)
    parser.add_argument("--ids", action="store_true")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "events.parquet"
        pq.write_table(events(asked.attempts, asked.ids, 1), path)
        both = [
            {"source_id": "c", "event": "open", "format": "wslog_client"},
            {"source_id": "p", "event": "close", "side": "proxy", "format": "nginx_access"},
        ]
        with Engine([path], source_table(both, until=10.0 * asked.attempts)) as engine:
            begin = time.process_time()
            engine.make("attempts")
            middle = time.process_time()
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            make(engine)
            done = time.process_time()
            after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            found = engine._connection.sql(
                "SELECT match_status, matched_by, COUNT(*) FROM matches GROUP BY ALL ORDER BY ALL"
            ).fetchall()
    print(
        f"{asked.attempts:,} attempts on each side: attempts {middle - begin:.1f} s CPU, joining {done - middle:.1f} s CPU"
    )
    print(f"peak memory before joining {before / 1024:,.0f} MiB, after {after / 1024:,.0f} MiB; {found}")


if __name__ == "__main__":
    main()
