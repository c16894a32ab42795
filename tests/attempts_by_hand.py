"""What makes an attempt, event by event: the definition that the columnar way must equal. Slow, and easy to read."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from wslog.schema import NETWORK_TYPES

STEPS = ("attempt", "open", "error", "close")


def attempts(rows: Iterable[dict[str, Any]], origins: dict[str, dict[str, int]]) -> list[dict[str, Any]]:
    """Return one dict per attempt: ``lines`` (source and line of its steps, in order) and what happened around it."""
    found = []
    for thread in threads(list(rows), origins):
        found += walked(thread)
    return found


def threads(rows: list[dict[str, Any]], origins: dict[str, dict[str, int]]) -> list[list[dict[str, Any]]]:
    by_key: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    latest: dict[str, int] = {}
    for row in sorted(rows, key=lambda r: (r["source_id"], r["line_number"], r["event_index"])):
        source = row["source_id"]
        facts = origins[source]
        transport = row.get("transport")
        row = {**row, "step": row["event"] if row["event"] in STEPS and transport in (None, "websocket") else None}
        row["us"] = None if row.get("event_at") is None else round(row["event_at"].timestamp() * 1e6)
        if row["us"] is not None:
            latest[source] = max(latest.get(source, row["us"]), row["us"])
        row["order"] = latest.get(source) if row["us"] is None and facts["timed_count"] else row["us"]
        if row.get("session_id") is not None:
            key = ("session", row["format"], row["session_id"])
        elif row["side"] == "client" and not facts["session_id_count"]:
            key = ("console", row["format"], source)
        elif row.get("connection_id") is not None and (row["side"] != "proxy" or facts["begin_count"]):
            key = ("connection", source, row["connection_id"])
        elif row["step"] in ("open", "error", "close"):
            key = ("line", source, row["line_number"], row["event_index"])
        else:
            continue
        row["kind"] = key[0]
        by_key.setdefault(key, []).append(row)
    # sorted is stable: rows of one time stay in order of source and line
    return [sorted(t, key=lambda r: (r["order"] is not None, r["order"] or 0)) for t in by_key.values()]


def walked(thread: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Go through a thread's events in order."""
    made: list[dict[str, Any]] = []
    by_connection: dict[str, dict[str, Any]] = {}
    island: dict[str, Any] | None = None
    latest: dict[str, Any] | None = None  # the attempt of the latest step
    before = service = network = effective = most = None
    retry: tuple[int, int] | None = None
    for n, row in enumerate(thread):
        if row.get("network_type") is not None:
            network = row["network_type"]
        if row.get("effective_type") is not None:
            effective = row["effective_type"]
        if row["event"] == "retry" and row.get("retry_number") is not None:
            retry = (n, row["retry_number"])
        if row.get("max_retries") is not None:
            most = row["max_retries"]
        if row["step"] is not None:
            own = row.get("connection_id") if row["kind"] in ("session", "console") and row["side"] != "proxy" else None
            if own is not None:
                latest = by_connection.get(own) or begun(made, n, retry)
                by_connection[own] = latest
            else:
                if begins(row, before):
                    island = begun(made, n, retry)
                assert island is not None
                latest, before = island, row["step"]
            stepped(latest, row, network, effective, most)
        if latest is not None:
            beside(latest, row, network, service)
        if row["event"] == "fallback" or (row["event"] == "poll" and row.get("error_class") is None):
            service = row["event"]
        elif row["step"] == "open":
            service = "open"
    for order, attempt in enumerate(made, 1):
        attempt |= {"session_order": order, "has_later": order < len(made)}
        ends = [a["last_us"] for a in made if a["last_us"] is not None]
        attempt["session_last_us"] = max(ends, default=None)
    return made


def begins(row: dict[str, Any], before: str | None) -> bool:
    step = row["step"]
    if row["side"] == "proxy":
        return step == "attempt" or before not in ("attempt", "open")
    if row["kind"] == "connection":
        return before is None or (before == "close" and step in ("attempt", "open"))
    ends = {"attempt": (), "open": ("attempt",), "error": ("attempt", "open"), "close": ("attempt", "open", "error")}
    return before not in ends[step]


def begun(made: list[dict[str, Any]], n: int, retry: tuple[int, int] | None) -> dict[str, Any]:
    since = made[-1]["n"] if made else 0
    attempt: dict[str, Any] = {
        "n": n, "lines": [], "steps": set(), "own_retry": None, "last_us": None, "retry_count": 0, "fallback_count": 0, "own_network": None,
        "announced": retry[1] if retry is not None and retry[0] >= since else None, "begin_network": None, "end_network": None,
        "own_effective": None, "begin_effective": None, "max_retries": None, "poll_ok_us": None, "poll_failed_us": None,
        "first_fallback_us": None, "last_fallback_us": None,
    }  # fmt: skip
    made.append(attempt)
    return attempt


def stepped(
    a: dict[str, Any], row: dict[str, Any], network: str | None, effective: str | None, most: int | None
) -> None:
    a["lines"].append((row["source_id"], row["line_number"]))
    a["steps"].add(row["step"])
    a["own_network"] = row.get("network_type") or a["own_network"]
    a["own_effective"] = row.get("effective_type") or a["own_effective"]
    a["begin_network"] = a["begin_network"] or network
    a["begin_effective"] = a["begin_effective"] or effective
    a["end_network"] = network
    a["own_retry"] = greater(a["own_retry"], row.get("retry_number"))
    a["max_retries"] = greater(a["max_retries"], most)


def beside(a: dict[str, Any], row: dict[str, Any], network: str | None, service: str | None) -> None:
    us = row["us"]
    a["last_network"] = network
    a["last_us"] = greater(a["last_us"], us)
    a["retry_count"] += row["event"] == "retry"
    if row["event"] == "fallback":
        a["fallback_count"] += 1
        a["first_fallback_us"] = lesser(a["first_fallback_us"], us)
        a["last_fallback_us"] = greater(a["last_fallback_us"], us)
    if row["event"] == "poll" and service == "fallback":
        if row.get("error_class") is None:
            a["poll_ok_us"] = lesser(a["poll_ok_us"], us)
        else:
            a["poll_failed_us"] = greater(a["poll_failed_us"], us)


def greater(x: int | None, y: int | None) -> int | None:
    return y if x is None else x if y is None else max(x, y)


def lesser(x: int | None, y: int | None) -> int | None:
    return y if x is None else x if y is None else min(x, y)


def compact(a: dict[str, Any]) -> dict[str, Any]:
    """Return the columns of the columnar way that this one tells, words as their places in the closed lists."""
    network = a["begin_network"] if a["begin_network"] not in (None, "unknown") else a["own_network"] or "unknown"
    effective = a["own_effective"] or a["begin_effective"]
    bits = {"attempt": 1, "open": 2, "error": 4, "close": 8}
    kept = ("session_order", "has_later", "session_last_us", "retry_count", "fallback_count", "first_fallback_us", "last_fallback_us",
            "poll_ok_us", "poll_failed_us", "max_retries")  # fmt: skip
    return {
        **{name: a[name] for name in kept},
        "first": a["lines"][0],
        "step_bits": sum(bits[step] for step in a["steps"]),
        "retry_number": a["announced"] if a["own_retry"] is None else a["own_retry"],
        "network_word": NETWORK_TYPES.index(network) + 1,
        "network_type": network,
        "effective_type": effective,
        "end_network": None if a["end_network"] is None else NETWORK_TYPES.index(a["end_network"]) + 1,
        "last_network": None if a["last_network"] is None else NETWORK_TYPES.index(a["last_network"]) + 1,
    }
