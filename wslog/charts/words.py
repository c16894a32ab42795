"""What the charts and the report call things: metrics, close codes, numbers in words.

One place, so that an axis, a tile and a definition never disagree.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from wslog.errors import UsageError
from wslog.safe_text import LABEL_CHARACTERS, chart_label
from wslog.schema import METRIC_COLUMNS

NBSP = "\u00a0"
NOT_LOGGED = "not logged"
# Keys that a metric adds itself; whatever else stands before the value is a grouping column.
METRIC_KEYS = ("side", "iso_week", "metric", "close_code", "close_code_source", "retry_number")


@dataclass(frozen=True)
class Metric:
    """How one metric is named, shown and defined.

    Parameters
    ----------
    title : str
    kind : str
        ``share`` (0 to 1), ``per_hour``, ``s_per_hour``, ``seconds`` or ``times``.
    counted : str
        What the denominator counts.
    definition : str
        One sentence that says what is in, what is out and what is below the line.
    """

    title: str
    kind: str
    counted: str
    definition: str


METRICS: dict[str, Metric] = {
    "connect_success_rate": Metric(
        "Connect success",
        "share",
        "attempts",
        "Attempts whose WebSocket opened, of all attempts. Attempts the page gave up while connecting, and attempts "
        "whose end is not in the logs, are left out and counted.",
    ),
    "drops_per_connected_hour": Metric(
        "Drops per connected hour",
        "per_hour",
        "connected hours",
        "Open connections lost (dropped, idle timeout, closed by the server), per hour of open WebSocket time. Pages "
        "left and closes on purpose are no drops.",
    ),
    "downtime_s_per_connected_hour": Metric(
        "Downtime per connected hour",
        "s_per_hour",
        "connected hours",
        "Seconds without service during outages, per hour of open WebSocket time. Outages whose end is not in the logs "
        "count up to their last sign of life, so this is a lower bound.",
    ),
    "fallback_session_rate": Metric(
        "Sessions that fell back",
        "share",
        "sessions",
        "Client sessions that switched to HTTP polling or SSE at least once, of all client sessions.",
    ),
    "connected_time_ratio": Metric(
        "Connected time",
        "share",
        "hours",
        "Hours with the WebSocket open, of those and the hours of outage. Time served by the fallback, and time after the "
        "page was left, is neither. Outages cut off by the end of the log count with what was seen: an upper bound.",
    ),
    "connection_lifetime_p50_s": Metric(
        "Median lifetime of a connection",
        "seconds",
        "connections",
        "Time by which half of the connections are lost, Kaplan-Meier: those still open, closed on purpose or left by "
        "their page count as open for at least so long.",
    ),
    "network_fallback_session_rate": Metric(
        "Sessions that fell back, by the network",
        "share",
        "sessions",
        "Client sessions whose own attempt failed on the way before they first fell back. Neither a restart nor the memory of "
        "an earlier failure is in it.",
    ),
    "service_fallback_session_rate": Metric(
        "Sessions that fell back, by the service",
        "share",
        "sessions",
        "Client sessions that a restart which hit many, a close or an answer of the server first sent to the fallback.",
    ),
    "remembered_fallback_session_rate": Metric(
        "Sessions that fell back, by memory",
        "share",
        "sessions",
        "Client sessions that began on the fallback without an attempt of their own: a library had stored an earlier failure.",
    ),
    "burn_rate": Metric(
        "Budget burn",
        "times",
        "attempts",
        "Share of attempts that did not open over the share that the objective allows; at 1 the budget lasts its period.",
    ),
    "fallback_episode_rate": Metric(
        "Outages that fell back",
        "share",
        "outages",
        "Outages that ended in HTTP polling or SSE, of the outages whose end is known.",
    ),
    "time_to_recover_p50_s": Metric(
        "Median time to recover",
        "seconds",
        "outages",
        "Time by which half of the outages had their WebSocket back (Kaplan-Meier: outages whose end was not seen "
        "count for as long as they were watched).",
    ),
    "time_to_recover_p90_s": Metric(
        "Time to recover, 90th percentile",
        "seconds",
        "outages",
        "Time by which nine in ten outages had their WebSocket back (Kaplan-Meier).",
    ),
    "downtime_p50_s": Metric(
        "Median downtime",
        "seconds",
        "outages",
        "Time by which half of the outages had service again, over WebSocket or over the fallback (Kaplan-Meier).",
    ),
    "retry_success": Metric(
        "Success of the k-th retry",
        "share",
        "outages",
        "Of the outages that made a k-th attempt, the share in which that attempt opened.",
    ),
    "close_codes": Metric(
        "Close codes",
        "share",
        "ended attempts",
        "Share of ended attempts, opened or not, by the close code that was reported and by where the code comes from.",
    ),
}

CLOSE_CODES: dict[int, str] = {
    1000: "normal",
    1001: "going away",
    1002: "protocol error",
    1003: "unsupported data",
    1005: "no code in the close frame",
    1006: "no close frame",
    1007: "invalid data",
    1008: "policy violation",
    1009: "message too big",
    1010: "extension missing",
    1011: "server error",
    1012: "service restart",
    1013: "try again later",
    1014: "bad gateway",
    1015: "TLS failed",
}
"""Short names of the registered codes (IANA WebSocket Close Code Number Registry; RFC 6455 section 7.4.1)."""

CODE_SOURCES: dict[str, str] = {
    "wire": "received or sent",
    "inferred": "inferred by the endpoint",
    "library_synthetic": "invented by a library",
    "mapped": "rewritten by a library",
    "absent": "the log has no code",
}


@dataclass(frozen=True)
class Row:
    """One row of a metric frame, nulls as None."""

    keys: dict[str, Any]
    value: float | None
    numerator: float | None
    denominator: float | None
    excluded: float | None
    low: float | None
    high: float | None
    state: str

    @property
    def is_ok(self) -> bool:
        """Whether there is an estimate to show."""
        return self.state == "ok" and self.value is not None


def _number(value: Any) -> float | None:
    return None if pd.isna(value) or not math.isfinite(float(value)) else float(value)


def rows(frame: pd.DataFrame) -> list[Row]:
    """Return the rows of a metric frame, in order; keys are all columns before the metric's own seven."""
    names = [str(name) for name in frame.columns if name not in METRIC_COLUMNS]
    found = []
    for record in frame.to_dict("records"):
        keys = {name: None if pd.isna(record[name]) else record[name] for name in names}
        value, numerator, denominator, excluded, low, high = (_number(record[name]) for name in METRIC_COLUMNS[:-1])
        found.append(Row(keys, value, numerator, denominator, excluded, low, high, str(record["state"])))
    return found


def one_side(frame: pd.DataFrame, metric: str | None = None) -> list[Row]:
    """Return the rows of a frame, or those of one metric; a frame of several sides is refused."""
    found = rows(frame)
    sides = sorted({str(row.keys["side"]) for row in found if row.keys.get("side") is not None})
    if len(sides) > 1:
        raise UsageError(f"the frame holds the sides {', '.join(sides)}; draw one side at a time")
    return [row for row in found if metric is None or row.keys.get("metric", metric) == metric]


def refuse_groups(frame: pd.DataFrame, keys: Sequence[object]) -> None:
    """Raise when rows share a key, that is when the frame holds groups a chart has no room for."""
    if len(set(keys)) != len(keys):
        names = ", ".join(group_columns(frame)) or "none"
        raise UsageError(f"the frame has several rows per point (its groups: {names}); choose one group")


def group_columns(frame: pd.DataFrame) -> tuple[str, ...]:
    """Return the grouping columns (``by``) of a metric frame."""
    return tuple(str(name) for name in frame.columns if name not in METRIC_COLUMNS and name not in METRIC_KEYS)


def group_name(row: Row, names: tuple[str, ...], limit: int = LABEL_CHARACTERS) -> str:
    """Return the label of a row's group, made inert and cut."""
    values = [NOT_LOGGED if row.keys[name] is None else str(row.keys[name]) for name in names]
    return chart_label(", ".join(values), limit) if values else "all"


def count(value: float | None) -> str:
    """Return a (weighted) count: ``1,234`` or, where weights leave a fraction, ``1,234.5``."""
    if value is None:
        return "unknown"
    whole = abs(value - round(value)) < 0.05
    return f"{value:,.0f}" if whole or abs(value) >= 1000 else f"{value:,.1f}"


def short_count(value: float | None) -> str:
    """Return a count for a crowded axis: ``950``, ``12.3k``, ``4.1M``."""
    if value is None:
        return "?"
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size * 0.9995:
            scaled = value / size
            return f"{scaled:.0f}{letter}" if scaled >= 99.95 else f"{scaled:.1f}{letter}"
    return count(value)


def percent(value: float) -> str:
    """Return a ratio as a percentage; two decimals near 0 and 100 %, where they matter."""
    points = value * 100
    # Never round a share that is not 0 or 1 to 0 % or 100 %.
    if points in (0.0, 100.0):
        return f"{points:.0f}{NBSP}%"
    if 0 < points < 0.005:
        return f"<{NBSP}0.01{NBSP}%"
    if 99.995 <= points < 100:
        return f">{NBSP}99.99{NBSP}%"
    return f"{points:.2f}{NBSP}%" if points < 1 or points >= 99 else f"{points:.1f}{NBSP}%"


def duration(seconds: float) -> str:
    """Return seconds in words: ``0.4 s``, ``45 s``, ``3 min 20 s``, ``2 h 5 min``."""
    if seconds < 1:
        return f"{seconds:.2g}{NBSP}s" if seconds else f"0{NBSP}s"
    if seconds < 9.95:
        return f"{seconds:.1f}{NBSP}s"
    whole = round(seconds)
    if whole < 120:
        return f"{whole}{NBSP}s"
    if whole < 7200:
        minutes, rest = divmod(whole, 60)
        return f"{minutes}{NBSP}min" + (f"{NBSP}{rest}{NBSP}s" if rest and minutes < 10 else "")
    hours, rest = divmod(round(seconds / 60), 60)
    return f"{hours:,}{NBSP}h" + (f"{NBSP}{rest}{NBSP}min" if rest else "")


def _significant(value: float) -> str:
    if value == 0:
        return "0"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:,.{min(digits, 6)}f}" if abs(value) >= 1e-4 else f"{value:.1e}"


def in_words(value: float, kind: str) -> str:
    """Return a value with its unit, by the kind of its metric."""
    if kind == "share":
        return percent(value)
    if kind == "seconds":
        return duration(value)
    if kind == "times":
        return f"{_significant(value)}{NBSP}×"
    return f"{_significant(value)}{NBSP}s/h" if kind == "s_per_hour" else f"{_significant(value)}{NBSP}/h"


def between(low: float, high: float, kind: str) -> str:
    """Return an interval, its unit said once where both ends share it: ``96.3 to 96.7 %``."""
    first, last = in_words(low, kind), in_words(high, kind)
    number, _, unit = first.rpartition(NBSP)
    shares_unit = number and last.endswith(NBSP + unit) and NBSP not in number and NBSP not in last.rpartition(NBSP)[0]
    return f"{number if shares_unit else first} to {last}"


def plural(number: int, word: str) -> str:
    """Return ``1 source`` or ``1,200 sources``."""
    return f"{number:,} {word}" + ("" if number == 1 else "s")


def n_text(row: Row, metric: str) -> str:
    """Return the denominator as ``n = 1,234 attempts``."""
    return f"n = {count(row.denominator)} {METRICS[metric].counted}"


def too_little(row: Row) -> str:
    """Return what is written where there is no estimate."""
    return f"too little evidence (n = {short_count(row.denominator)})"


def code_name(code: Any, source: Any, limit: int = LABEL_CHARACTERS) -> str:
    """Return the label of a close code and its source: ``1006 no close frame (inferred by the endpoint)``."""
    if code is None:
        return "no code (the log has none)"
    number = int(code)
    name = CLOSE_CODES.get(number, "application's own" if 3000 <= number <= 4999 else "not registered")
    if source is None or source == "wire":
        return chart_label(f"{number} {name}", limit)
    return chart_label(f"{number} {name} ({CODE_SOURCES.get(str(source), str(source))})", limit)
