"""The other ways to do the same job, each a whole process: ``python -m tests.bench.peers NAME INPUT OUT_FOLDER``."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

NGINX_NAMES = [
    "addr",
    "ident",
    "remote_user",
    "t0",
    "tz",
    "request",
    "status",
    "bytes",
    "referer",
    "ua",
    "rt",
    "upstream",
    "urt",
    "conn",
    "conn_requests",
    "req_length",
]
CLIENT_COLUMNS = {
    "ts": "TIMESTAMP",
    "event": "VARCHAR",
    "session": "VARCHAR",
    "connection": "VARCHAR",
    "attempt": "INTEGER",
    "url": "VARCHAR",
    "transport": "VARCHAR",
    "code": "INTEGER",
    "reason": "VARCHAR",
    "was_clean": "BOOLEAN",
    "latency_ms": "DOUBLE",
    "delay_ms": "DOUBLE",
    "retry": "INTEGER",
    "max_retries": "INTEGER",
    "error": "VARCHAR",
    "network": "STRUCT(type VARCHAR, effective_type VARCHAR, rtt DOUBLE)",
    "ua": "VARCHAR",
}
PARQUET = "(FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1)"


def duckdb_nginx(source: str, out: Path) -> None:
    """DuckDB's ``read_csv`` with ``store_rejects``, typed columns, all rows to Parquet."""
    import duckdb

    con = duckdb.connect(config={"threads": 2})
    types = dict.fromkeys(NGINX_NAMES, "VARCHAR") | {
        "status": "SMALLINT",
        "bytes": "BIGINT",
        "rt": "DOUBLE",
        "conn": "BIGINT",
    }
    types |= {"conn_requests": "INTEGER", "req_length": "INTEGER"}
    columns = ", ".join(f"'{name}': '{kind}'" for name, kind in types.items())
    rows = con.execute(
        f"""COPY (SELECT * EXCLUDE (t0, tz, ident), strptime(t0, '[%d/%b/%Y:%H:%M:%S') AS ts
            FROM read_csv('{source}', delim=' ', quote='"', escape='', header=false, auto_detect=false, nullstr='-',
                          columns={{{columns}}}, store_rejects=true, max_line_size=1048576)
            WHERE try_strptime(t0, '[%d/%b/%Y:%H:%M:%S') IS NOT NULL)
            TO '{out}/duckdb.parquet' {PARQUET}"""
    ).fetchone()
    rejects = con.execute("SELECT count(DISTINCT line) FROM reject_errors").fetchone()
    print(json.dumps({"rows": rows and rows[0], "rejects": rejects and rejects[0]}))


def duckdb_nginx_same(source: str, out: Path) -> None:
    """The same, with what an access log needs before it can be asked anything: real instants, the request split, no query."""
    import duckdb

    con = duckdb.connect(config={"threads": 2})
    con.execute("SET TimeZone='UTC'")
    types = dict.fromkeys(NGINX_NAMES, "VARCHAR") | {
        "status": "SMALLINT",
        "bytes": "BIGINT",
        "rt": "DOUBLE",
        "conn": "BIGINT",
    }
    types |= {"conn_requests": "INTEGER", "req_length": "INTEGER"}
    columns = ", ".join(f"'{name}': '{kind}'" for name, kind in types.items())
    rows = con.execute(
        f"""COPY (SELECT addr, remote_user, strptime(t0 || ' ' || tz, '[%d/%b/%Y:%H:%M:%S %z]') AS ts,
              split_part(request, ' ', 1) AS method, split_part(split_part(request, ' ', 2), '?', 1) AS path, split_part(request, ' ', 3) AS protocol,
              status, bytes, referer, ua, rt, upstream, TRY_CAST(split_part(urt, ', ', -1) AS DOUBLE) AS urt, conn, conn_requests, req_length
            FROM read_csv('{source}', delim=' ', quote='"', escape='', header=false, auto_detect=false, nullstr='-',
                          columns={{{columns}}}, store_rejects=true, max_line_size=1048576)
            WHERE try_strptime(t0 || ' ' || tz, '[%d/%b/%Y:%H:%M:%S %z]') IS NOT NULL)
            TO '{out}/duckdb.parquet' {PARQUET}"""
    ).fetchone()
    rejects = con.execute("SELECT count(DISTINCT line) FROM reject_errors").fetchone()
    print(json.dumps({"rows": rows and rows[0], "rejects": rejects and rejects[0]}))


def duckdb_client(source: str, out: Path) -> None:
    """DuckDB's own ``COPY (read_json)`` to Parquet."""
    import duckdb

    con = duckdb.connect(config={"threads": 2})
    columns = ", ".join(f"'{name}': '{kind}'" for name, kind in CLIENT_COLUMNS.items())
    rows = con.execute(
        f"""COPY (SELECT * FROM read_json('{source}', format='newline_delimited', columns={{{columns}}}, ignore_errors=true))
            TO '{out}/duckdb.parquet' {PARQUET}"""
    ).fetchone()
    empty = con.execute(f"SELECT count(*) FROM '{out}/duckdb.parquet' WHERE ts IS NULL AND event IS NULL").fetchone()
    print(json.dumps({"rows": rows and rows[0], "all_null_rows_left_in": empty and empty[0]}))


_COMBINED = re.compile(
    r'^(\S+) \S+ (\S+) \[([^\]]+)\] "((?:[^"\\]|\\.)*)" (\d{3}) (\d+|-) "((?:[^"\\]|\\.)*)" "((?:[^"\\]|\\.)*)" '
    r'([\d.]+|-) "([^"]*)" "([^"]*)" (\d+) (\d+) (\d+)$'
)


def python_nginx(source: str, out: Path) -> None:
    """A plain Python reader: a regular expression per line, gathered into Parquet."""
    from datetime import datetime

    import pyarrow as pa
    import pyarrow.parquet as pq

    rows: list[tuple[object, ...]] = []
    rejects = 0
    with open(source, encoding="utf-8", errors="replace", newline="\n") as file:
        for line in file:
            found = _COMBINED.match(line)
            if not found:
                rejects += 1
                continue
            g = found.groups()
            try:
                when = datetime.strptime(g[2], "%d/%b/%Y:%H:%M:%S %z")
            except ValueError:
                rejects += 1
                continue
            rows.append((g[0], when, g[3], int(g[4]), g[5], g[7], float(g[8]) if g[8] != "-" else None))
    names = ["addr", "ts", "request", "status", "bytes", "ua", "rt"]
    table = pa.table({n: list(c) for n, c in zip(names, zip(*rows, strict=True), strict=True)})
    pq.write_table(table, out / "python.parquet", compression="zstd")
    print(json.dumps({"rows": len(rows), "rejects": rejects}))


def python_client(source: str, out: Path) -> None:
    """A plain Python reader: ``json.loads`` per line, gathered into Parquet."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows, rejects = [], 0
    with open(source, "rb") as file:
        for line in file:
            try:
                record = json.loads(line)
                rows.append({name: record.get(name) for name in CLIENT_COLUMNS})
            except (ValueError, AttributeError):
                rejects += 1
    kept = [row for row in rows if isinstance(row["attempt"], (int, type(None)))]
    pq.write_table(pa.Table.from_pylist(kept), out / "python.parquet", compression="zstd")
    print(json.dumps({"rows": len(kept), "rejects": rejects + len(rows) - len(kept)}))


PEERS = {f.__name__: f for f in (duckdb_nginx, duckdb_nginx_same, duckdb_client, python_nginx, python_client)}

if __name__ == "__main__":
    PEERS[sys.argv[1]](sys.argv[2], Path(sys.argv[3]))
