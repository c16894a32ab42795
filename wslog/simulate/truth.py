"""What really happened, as tables: ``truth_sessions``, ``truth_attempts`` and ``truth_episodes``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pyarrow as pa

from wslog.outcomes import STABLE_S
from wslog.schema import EPISODE_ENDS, OUTCOMES
from wslog.simulate.evident import evident
from wslog.simulate.outages import Outage, outages_of
from wslog.simulate.records import Life
from wslog.simulate.world import CAUSES, EXTRAS

_TYPES = {
    "text": pa.string(),
    "word": pa.dictionary(pa.int32(), pa.string()),
    "int": pa.int64(),
    "float": pa.float64(),
    "bool": pa.bool_(),
    "instant": pa.timestamp("us", tz="UTC"),
}

_CAUSES = " ".join((*CAUSES, EXTRAS[0]))
_OFFSET = "how far the device's clock, whose times the client log tells, is ahead of the times here"

# name, type, unit, meaning, what null means ("": never null)
SESSIONS = (
    ("session_id", "text", "", "page load or app run", ""),
    ("started_at", "instant", "UTC", "when it began", ""),
    ("left_at", "instant", "UTC", "when the user was gone", "not before the logs end"),
    ("attempt_count", "int", "", "connection attempts", ""),
    ("fell_back_at", "instant", "UTC", "when the client began to poll", "it did not"),
    (
        "is_fallback_remembered",
        "bool",
        "",
        "it began with polling because the client remembered an earlier fallback",
        "",
    ),
    ("network_type", "word", "", "network of the user", ""),
    ("front_end", "word", "", "nginx or haproxy", ""),
    ("is_visible", "bool", "", "it is in the sample that the client log holds", ""),
    ("sample_weight", "float", "", "1 / sampling fraction", ""),
    ("clock_offset_s", "float", "s", _OFFSET, ""),
)
ATTEMPTS = (
    ("session_id", "text", "", "page load or app run", ""),
    ("connection_id", "text", "", "one attempt; also in the query of the request", ""),
    ("attempt_number", "int", "", "number of the attempt in its session, from 1", ""),
    ("retry_number", "int", "", "which retry since the last open, 0 for none", ""),
    ("started_at", "instant", "UTC", "when the client began to connect", ""),
    ("opened_at", "instant", "UTC", "when the client was told that it is open", "it did not open before the logs end"),
    ("ended_at", "instant", "UTC", "when the client noticed the end", "not before the logs end"),
    ("lost_at", "instant", "UTC", "when the connection was gone in truth", "not before the logs end"),
    ("outcome", "word", "", f"what the client can know of it: {' '.join(OUTCOMES)}", ""),
    ("close_code", "int", "", "code of the client's close event", "none: open, left without a code, or killed"),
    ("cause", "word", "", f"why it failed or was lost: {_CAUSES}", "nothing went wrong"),
    ("network_type", "word", "", "network on which it began", ""),
    ("asn", "int", "", "autonomous system of the client's address (documentation numbers, RFC 5398)", ""),
    ("address", "text", "", "the client's address", ""),
    ("front_end", "word", "", "the proxy through which the session goes: nginx or haproxy", ""),
    (
        "is_at_front_end",
        "bool",
        "",
        "the request came there and ended before the logs end: it has a line in that log",
        "",
    ),
    ("front_end_ended_at", "instant", "UTC", "when it ended there", "no line in that log"),
    ("http_status", "int", "", "status on that line", "no line, or no status to log"),
    ("is_visible", "bool", "", "its session is in the sample that the client log holds", ""),
    ("is_end_visible", "bool", "", "false when the client was killed before it could tell of the end", ""),
    ("sample_weight", "float", "", "1 / sampling fraction", ""),
    ("clock_offset_s", "float", "s", _OFFSET, ""),
    ("held_back_s", "float", "s", "how much later than announced it began: a hidden page's timer was held back", ""),
)
EPISODES = (
    ("session_id", "text", "", "page load or app run", ""),
    ("kind", "word", "", "drop or initial", ""),
    ("cause", "word", "", f"why it began: {_CAUSES}", ""),
    ("started_at", "instant", "UTC", "when the client noticed the drop, or began the first failed attempt", ""),
    (
        "lost_at",
        "instant",
        "UTC",
        "when the connection was gone in truth; the first failed attempt's start otherwise",
        "",
    ),
    ("ended_at", "instant", "UTC", "when it ended as it did; the logs' end when censored", ""),
    ("end", "word", "", f"how it ended: {' '.join(EPISODE_ENDS)}", ""),
    (
        "downtime_s",
        "float",
        "s",
        "without service: until WebSocket was back, or the first successful poll, else until the user or the logs ended",
        "",
    ),
    ("is_right_censored", "bool", "", "service was not back by then", ""),
    (
        "attempt_count",
        "int",
        "",
        "attempts made during the outage, with the one that began it if that gave no service",
        "",
    ),
    ("failed_count", "int", "", "those that did not open", ""),
    ("short_open_count", "int", "", f"those that opened and were lost within {STABLE_S} s", ""),
    ("is_flapping", "bool", "", "two or more opens died at once", ""),
    ("is_network_changed", "bool", "", "the client came to another network while it lasted", ""),
    ("fell_back_at", "instant", "UTC", "when the client began to poll", "it did not"),
    ("first_poll_ok_at", "instant", "UTC", "first successful poll", "none"),
    ("trigger_outcome", "word", "", "outcome of the attempt that began it", ""),
    ("trigger_close_code", "int", "", "its close code", "none"),
    ("trigger_connection_id", "text", "", "its connection_id", ""),
    ("network_type", "word", "", "network on which that attempt began", ""),
    ("asn", "int", "", "autonomous system of its address", ""),
    ("front_end", "word", "", "nginx or haproxy", ""),
    ("is_visible", "bool", "", "its session is in the sample that the client log holds", ""),
    (
        "is_end_visible",
        "bool",
        "",
        "false when no log can show how it ended: the page was left while waiting, or killed",
        "",
    ),
    ("sample_weight", "float", "", "1 / sampling fraction", ""),
    ("clock_offset_s", "float", "s", _OFFSET, ""),
    ("is_evident_to_client", "bool", "", "what was written into the client log suffices to tell the cause", ""),
    (
        "is_evident",
        "bool",
        "",
        "what was written into all logs suffices to tell the cause (wslog.simulate.evident)",
        "",
    ),
)


def schema(columns: tuple[tuple[str, str, str, str, str], ...]) -> pa.Schema:
    """Return the Arrow schema of a truth table, units and meanings in the fields' metadata."""
    return pa.schema(
        [
            pa.field(
                name, _TYPES[kind], nullable=bool(null), metadata={"unit": unit, "meaning": meaning, "null_means": null}
            )
            for name, kind, unit, meaning, null in columns
        ]
    )


# --- tables ----------------------------------------------------------------------------------------------------


def session_table(lives: Iterable[Life], sampling: float, logged: frozenset[str]) -> pa.Table:
    """Return ``truth_sessions``: one row per visit that left a trace before the logs end."""
    rows = [
        (
            life.visit.session_id,
            life.visit.start_us,
            life.left_us,
            len(life.attempts),
            life.fell_back_us,
            life.is_remembered,
            life.visit.user.network.type,
            life.visit.user.front_end.name,
            life.visit.session_id in logged,
            1.0 / sampling,
            life.visit.user.device_offset_us / 1e6,
        )
        for life in lives
    ]
    return _table(SESSIONS, rows)


def attempt_table(lives: Iterable[Life], sampling: float, logged: frozenset[str]) -> pa.Table:
    """Return ``truth_attempts``: one row per attempt, session by session in order of time.

    ``logged`` holds the ids of the sessions that the client log has.
    """
    rows = [
        (
            a.session_id,
            a.connection_id,
            a.number,
            a.retry_number,
            a.started_us,
            a.opened_us,
            a.ended_us,
            a.lost_us,
            a.outcome,
            a.close_code,
            a.cause,
            a.network_type,
            a.asn,
            a.address,
            a.front_end.name,
            a.front_end_ended_us is not None,
            a.front_end_ended_us,
            None if a.front_end_ended_us is None else a.http_status,
            a.session_id in logged,
            a.is_end_visible,
            1.0 / sampling,
            life.visit.user.device_offset_us / 1e6,
            a.held_back_us / 1e6,
        )
        for life in lives
        for a in life.attempts
    ]
    return _table(ATTEMPTS, rows)


def episode_table(
    lives: Iterable[Life], end_us: int, sampling: float, logged: frozenset[str], formats: Iterable[str]
) -> pa.Table:
    """Return ``truth_episodes``: one row per outage, session by session in order of time."""
    lives = list(lives)
    lines = (
        life.entries[-1].at_us + life.visit.user.device_offset_us
        for life in lives
        if life.entries and life.visit.session_id in logged
    )
    watched_us = max(lines, default=end_us)
    pairs = [(outage, life) for life in lives for outage in outages_of(life, end_us, watched_us)]
    shown = evident(pairs, lives, end_us, logged, frozenset(formats))
    rows = [
        (*_episode(outage, life, end_us, sampling, logged), *told)
        for (outage, life), told in zip(pairs, shown, strict=True)
    ]
    return _table(EPISODES, rows)


def _episode(o: Outage, life: Life, end_us: int, sampling: float, logged: frozenset[str]) -> tuple[Any, ...]:
    has_fallen = o.end == "fell_back"
    until = o.served_us or ((life.left_us or end_us) if has_fallen else o.ended_us)
    trigger = o.trigger
    return (
        trigger.session_id,
        "drop" if o.is_drop else "initial",
        trigger.cause,
        o.started_us,
        trigger.lost_us if o.is_drop else o.started_us,
        o.ended_us,
        o.end,
        (until - o.started_us) / 1e6,
        o.served_us is None,
        o.attempt_count,
        o.failed_count,
        o.short_open_count,
        o.short_open_count >= 2,
        any(o.started_us < at <= o.ended_us for at in life.moves_us),
        life.fell_back_us if has_fallen else None,
        life.first_poll_ok_us if has_fallen else None,
        trigger.outcome,
        trigger.close_code,
        trigger.connection_id,
        trigger.network_type,
        trigger.asn,
        trigger.front_end.name,
        trigger.session_id in logged,
        o.is_end_visible,
        1.0 / sampling,
        life.visit.user.device_offset_us / 1e6,
    )


def _table(columns: tuple[tuple[str, str, str, str, str], ...], rows: list[tuple[Any, ...]]) -> pa.Table:
    made = schema(columns)
    values = zip(*rows, strict=True) if rows else ((),) * len(columns)
    return pa.table([pa.array(list(v), field.type) for v, field in zip(values, made, strict=True)], schema=made)
