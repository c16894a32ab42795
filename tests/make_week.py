"""A made-up week of every kind of session: what the comparison of engines, and the metrics' tests, run over."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.make_events import failed, fallback, opened, poll

NETWORKS = ("wifi", "cellular", "ethernet", None)
CODES = (1006, 1006, 1006, 1000, 1001, 1005, 1011, 1012, 4001)


def week(session_count: int, seed: int = 7) -> list[dict[str, Any]]:
    """Return events of client sessions (with and without connection ids), a console without times, a server and a proxy."""
    rng = np.random.default_rng(seed)
    rows: list[dict[str, Any]] = []
    for i in range(session_count):
        rows += _session(rng, i)
    rows += _proxy(rng, session_count)
    rows += _server(rng, session_count // 2)
    for name in ("attempt", "open", "error", "close", "attempt", "error", "close", "fallback", "poll"):
        rows.append({"event": name, "session_id": None, "source_id": "console", "format": "browser_console"})
    return rows


def _session(rng: np.random.Generator, i: int) -> list[dict[str, Any]]:
    start = float(rng.uniform(0, 13 * 86400))
    common: dict[str, Any] = {
        "session_id": f"s{i}",
        "source_id": f"log{i % 3}",
        "url_host": "ws.example" if i % 5 else "old.example",
        "browser": ("Firefox", "Chrome")[i % 2],
        "sample_weight": 1.0 if i % 4 else 4.0,
    }
    network = NETWORKS[i % 4]
    names = i % 2 == 0
    rows: list[dict[str, Any]] = []
    t, k = start, 0
    for turn in range(int(rng.integers(1, 5))):
        more = {**common, "network_type": network, **({"connection_id": f"c{i}-{k}"} if names else {})}
        stop = t + float(rng.choice([2.0, 40.0, 3000.0], p=[0.2, 0.3, 0.5])) * float(rng.uniform(0.5, 1))
        last = turn == 3 and bool(rng.integers(2))
        rows += opened(
            t, None if last else stop, code=int(rng.choice(CODES)), handshake=float(rng.uniform(0.02, 0.4)), **more
        )
        t, k = stop, k + 1
        for retry in range(int(rng.integers(0, 4))):
            t += 1.0 + retry
            retry_row = {"event": "retry", "s": t - 0.5, "retry_number": retry + 1, "max_retries": 3, **common}
            more = {**common, **({"connection_id": f"c{i}-{k}"} if names else {})}
            error = rng.choice(["refused", "timeout", "aborted_by_page", None, "http_status"])
            rows += [retry_row, *failed(t, t + 0.2, error_class=None if error is None else str(error), **more)]
            k += 1
        if rng.random() < 0.25:
            rows += [
                fallback(t + 1, **common),
                poll(t + 2, ok=False, **common),
                poll(t + 3, **common),
                poll(t + 4, **common),
            ]
            t += 5
        if rng.random() < 0.2:
            rows.append(
                {"event": "network", "s": t + 0.5, "network_type": str(rng.choice(["wifi", "cellular"])), **common}
            )
        t += 1
    return rows


def _proxy(rng: np.random.Generator, count: int) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for i in range(count):
        row = {
            "side": "proxy", "format": "nginx_access", "source_id": "access", "session_id": None, "transport": "websocket",
            "s": float(rng.uniform(0, 13 * 86400)), "client_id": f"client{i % 40}", "ended_by": "unknown",
            "request_id": f"c{i}-0",
        }  # fmt: skip
        if rng.random() < 0.1:
            rows.append(
                {**row, "event": "error", "http_status": 502, "error_class": "http_status", "handshake_ms": 12.5}
            )
        else:
            rows.append(
                {**row, "event": "close", "http_status": 101, "lifetime_s": round(float(rng.exponential(600)), 3)}
            )
    return rows


def _server(rng: np.random.Generator, count: int) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for i in range(count):
        row = {"side": "server", "format": "app", "source_id": "app", "session_id": None, "connection_id": str(i % 50)}
        start = 5000.0 * i
        rows.append({**row, "event": "open", "s": start})
        rows.append(
            {**row, "event": "close", "s": start + float(rng.exponential(60)), "close_code": int(rng.choice(CODES))}
        )
    return rows
