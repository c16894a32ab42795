"""A lake of any size: many copies of a simulated week, each of other clients at another hour, with the real schema and files.

The week is ``wslog simulate``'s (browser telemetry, nginx and HAProxy lines of the same connections), read by ``wslog ingest``;
a copy gets new session, connection, request and client ids and is moved by some minutes. Each fourth copy's client log names
no connections, like that of an older page. The same size and seed give the same rows.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

import wslog
from wslog.intake.writer import _OPTIONS, write_parquet
from wslog.lake import Entry, LakeStore, data_name
from wslog.schema import arrow_schema
from wslog.simulate import simulate

IDS = ("session_id", "connection_id", "request_id", "client_id")
SHIFT_US = 797_000_003
"""From one copy to the next: 13 minutes, and no whole number of seconds."""
FILE_ROWS = 1 << 18
USERS = 2000
DAY_US = 86_400_000_000


def write_lake(folder: Path, events: int, seed: int = 20261128) -> int:
    """Write a lake of at least ``events`` events into ``folder / 'lake'`` and return how many there are."""
    world, base = folder / "world", folder / "base"
    simulate(world, users=max(20, min(USERS, events // 110)), days=7, start="2026-01-05", seed=seed)
    wslog.ingest([world / "logs"], base, nginx_conf=world / "nginx.conf", tz="UTC")
    sources = LakeStore(base).entries()
    copies = -(-events // sum(entry.event_count for entry in sources))
    store = LakeStore(folder / "lake")
    store.prepare()
    store.describe(LakeStore(base).description()["key_id"])
    rng = np.random.default_rng(seed)
    keys = {width: [rng.integers(0, 256, width, np.uint8) for _ in range(copies)] for width in (6, 8, 16)}
    return sum(_write_source(store, LakeStore(base), entry, copies, keys) for entry in sources)


def _write_source(
    store: LakeStore, base: LakeStore, entry: Entry, copies: int, keys: dict[int, list[np.ndarray]]
) -> int:
    rows = pa.concat_tables([pq.read_table(base.root / file["path"]) for file in entry.files]).unify_dictionaries()
    table = pa.concat_tables([_copy(rows, entry.side, k, keys) for k in range(copies)]).unify_dictionaries()
    table = table.combine_chunks().take(
        pc.sort_indices(table, [("event_at", "ascending"), ("line_number", "ascending")])
    )
    table = table.set_column(
        table.schema.get_field_index("line_number"), "line_number", pa.array(np.arange(1, len(table) + 1))
    )
    table = table.cast(arrow_schema("events"))
    days = np.asarray(table["event_at"].cast(pa.int64())) // DAY_US
    at, staged = 0, []
    while at < len(table):
        stop = min(at + FILE_ROWS, int(np.searchsorted(days, days[at], "right")))
        day = str(np.datetime64(int(days[at]), "D"))
        name, path = data_name("events", entry.input_digest, entry.parser, day, at), store.staging / f"{at}.parquet"
        part = table.slice(at, stop - at)
        write_parquet(path, lambda file, part=part: pq.write_table(part, file, **_OPTIONS))
        staged.append((path, name))
        at = stop
    entry.files = [{"path": n, "rows": pq.read_metadata(p).num_rows, "bytes": p.stat().st_size} for p, n in staged]
    entry.lines_in = entry.event_lines = entry.event_count = len(table)
    times = table["event_at"].cast(pa.int64())
    entry.observed_from_us, entry.observed_until_us = pc.min(times).as_py(), pc.max(times).as_py()
    store.publish(entry, staged)
    return len(table)


def _copy(rows: pa.Table, side: str, k: int, keys: dict[int, list[np.ndarray]]) -> pa.Table:
    moved = pc.add(rows["event_at"].cast(pa.int64()), k * SHIFT_US).cast(pa.timestamp("us", "UTC"))
    rows = rows.set_column(rows.schema.get_field_index("event_at"), "event_at", moved)
    for name in IDS:
        ids = rows[name].combine_chunks()
        if side == "client" and name == "connection_id" and k % 4 == 3:
            ids = pa.nulls(len(rows), pa.string())
        if ids.null_count < len(ids):
            ids = _renamed(ids, keys, k)
        rows = rows.set_column(rows.schema.get_field_index(name), name, ids)
    return rows


def _renamed(ids: pa.StringArray, keys: dict[int, list[np.ndarray]], k: int) -> pa.Array:
    """Turn hexadecimal ids into others of the same length, equal ones into equal ones."""
    coded = ids.dictionary_encode()
    known = coded.dictionary.to_pylist()
    width = len(known[0]) // 2
    numbers = np.frombuffer(bytes.fromhex("".join(known)), np.uint8).reshape(-1, width) ^ keys[width][k]
    text = numbers.tobytes().hex().encode()
    offsets = np.arange(0, len(text) + 1, 2 * width, dtype=np.int32)
    names = pa.StringArray.from_buffers(len(known), pa.py_buffer(offsets), pa.py_buffer(text))
    return names.take(coded.indices)


if __name__ == "__main__":
    print(f"{write_lake(Path(sys.argv[1]), int(sys.argv[2])):,}")
