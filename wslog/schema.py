"""The registry: every column and every table of wslog, once.

Arrow schemas, Parquet metadata, checks and the data dictionary (``wslog schema``) are derived from here.
Names carry units (``_ms``, ``_s``, ``_bytes``, ``_at`` a UTC instant, ``_code``, ``_id``, ``_count``,
``_ratio`` 0 to 1, ``is_``/``has_``); the same name means the same quantity and unit in every table.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

SCHEMA_VERSION = 1

# --- vocabularies: closed lists -------------------------------------------------------------------------

EVENTS = ("attempt", "open", "close", "error", "retry", "fallback", "poll", "upgrade", "network")
SIDES = ("client", "server", "proxy")
TRANSPORTS = ("websocket", "polling", "sse", "webtransport")
CLOSE_CODE_SOURCES = ("wire", "library_synthetic", "mapped", "inferred", "absent")
ENDED_BY = ("client", "server", "proxy", "network", "unknown")
ERROR_CLASSES = (
    "dns",
    "refused",
    "reset",
    "timeout",
    "tls",
    "http_status",
    "blocked_by_proxy",
    "aborted_by_page",
    "protocol",
    "unknown",
)
NETWORK_TYPES = ("wifi", "cellular", "ethernet", "vpn", "none", "other", "unknown")
NETWORK_CLASSES = ("corporate", "home", "mobile", "hosting", "vpn", "unknown")
EFFECTIVE_TYPES = ("slow-2g", "2g", "3g", "4g")
OUTCOMES = (
    "network_failed",
    "rejected",
    "handshake_timeout",
    "abandoned",
    "never_opened",
    "closed_normally",
    "closed_by_application",
    "closed_by_server",
    "idle_timeout",
    "dropped",
    "unloaded",
    "ended_unknown",
    "still_open",
)
MATCH_STATUSES = ("matched", "ambiguous", "unmatched")
MATCH_WAYS = ("request_id", "connection_id", "id_and_time", "address_and_time", "time_and_lifetime")
UNMATCHED_REASONS = (
    "no_other_log",
    "no_time",
    "no_key",
    "host_not_covered",
    "outside_window",
    "still_open",
    "never_reached",
    "not_logged",
    "not_sampled",
    "no_telemetry",
)
EPISODE_ENDS = ("recovered", "fell_back", "gave_up", "left", "censored")
ANOMALIES = ("close_code_out_of_range", "negative_duration", "invalid_utf8", "ambiguous_time", "nonexistent_time")
METRIC_STATES = ("ok", "insufficient")
SOURCE_STATUSES = ("ingested", "already_ingested", "grown", "replaced", "partial", "refused")
SOURCE_REASONS = (
    "not_found",
    "unreadable",
    "not_regular",
    "not_text",
    "unknown_encoding",
    "unknown_format",
    "ambiguous_format",
    "truncated",
    "damaged",
    "bomb",
)


@dataclass(frozen=True)
class Column:
    """One column, described once.

    Parameters
    ----------
    name : str
    type : str
        ``text``, ``word`` (text of few distinct values, stored as an Arrow dictionary), ``int16``, ``int32``,
        ``int64``, ``float64``, ``bool`` or ``instant`` (timestamp, microseconds, UTC).
    unit : str
        Empty when the quantity has none.
    meaning, null_means : str
        ``null_means`` is empty when the column is never null.
    words : tuple of str
        The closed list of values, when there is one.
    is_grouping : bool
        Whether metrics may be grouped by it (``--by``): the allow-list that reaches SQL.
    """

    name: str
    type: str
    unit: str
    meaning: str
    null_means: str = ""
    words: tuple[str, ...] = ()
    is_grouping: bool = False


@dataclass(frozen=True)
class Table:
    """A table: its grain in one sentence, its key, its producer and its columns in order."""

    name: str
    grain: str
    key: tuple[str, ...]
    produced_by: str
    columns: tuple[str, ...]
    warnings: tuple[str, ...] = ()


def _columns(*columns: Column) -> dict[str, Column]:
    found: dict[str, Column] = {}
    for column in columns:
        if column.name in found:
            raise ValueError(f"column {column.name} is registered twice")
        found[column.name] = column
    return found


C = Column
UNSAID = "the log does not say"

# fmt: off
COLUMNS: dict[str, Column] = _columns(
    # events: what, when, where in the file
    C("event_at", "instant", "UTC", "when it happened; for a whole-connection line, when it ended", "text without times: only the order is known"),
    C("event", "word", "", "what the line says happened", "", EVENTS),
    C("side", "word", "", "who wrote the log", "", SIDES, True),
    C("format", "word", "", "the log format that read the line", "", (), True),
    C("source_id", "word", "", "the ingested file (key of sources)"),
    C("line_number", "int64", "", "number of the (first) line in its file, from 1"),
    C("event_index", "int16", "", "position among the events of one line, from 0"),
    C("byte_offset", "int64", "bytes", "where the (first) line begins in the decompressed file"),
    # identity
    C("session_id", "text", "", "one page load or app run of one client", UNSAID),
    C("connection_id", "text", "", "one WebSocket object, that is one connection attempt", UNSAID),
    C("request_id", "text", "", "id of the handshake request that several logs share (X-Request-Id, CF-Ray, or a parameter of the URL: --id-param)", UNSAID),
    C("attempt_number", "int32", "", "count of connection attempts in the session, from 1", UNSAID),
    C("retry_number", "int32", "", "0 for a first connect, k for the k-th retry of the current outage", UNSAID),
    C("max_retries", "int32", "", "retries the client's policy allows before it falls back", UNSAID),
    C("transport", "word", "", "transport the event is about", UNSAID, TRANSPORTS, True),
    C("url_scheme", "word", "", "scheme of the URL, lower case", UNSAID, (), True),
    C("url_host", "word", "", "host and port of the URL, lower case", UNSAID, (), True),
    C("url_path", "word", "", "path of the URL; the query is dropped, it carries tokens", UNSAID, (), True),
    # how it went
    C("http_status", "int16", "", "HTTP status of the handshake or of the poll", UNSAID, (), True),
    C("close_code", "int32", "", "WebSocket close code (RFC 6455 section 7.4), as it was reported", "no code is known; see close_code_source", (), True),
    C(
        "close_code_source",
        "word",
        "",
        "where the code comes from: wire (in a close frame), inferred (1005, 1006, 1015: the endpoint's own verdict, RFC 6455 "
        "section 7.1.5, never sent), library_synthetic or mapped (a library invented or rewrote it), absent (no code)",
        "the event is no close",
        CLOSE_CODE_SOURCES,
    ),
    C("close_reason", "word", "", "reason text of the close frame, secrets cut", "none was given"),
    C("was_clean", "bool", "", "CloseEvent.wasClean: a close frame was received", UNSAID),
    C("ended_by", "word", "", "who ended the connection, as far as this log can tell", "the event is no end", ENDED_BY, True),
    C("error_class", "word", "", "class of the failure", "no failure", ERROR_CLASSES, True),
    C("error_text", "word", "", "failure text, with URLs' queries and addresses cut", "no failure text"),
    C("anomaly", "word", "", "a value that is kept but cannot be right", "nothing odd", ANOMALIES),
    C("lifetime_s", "float64", "s", "from the handshake's answer (client) or the request's first byte (proxy) to the end", UNSAID),
    C("handshake_ms", "float64", "ms", "from the start of the attempt to the open", UNSAID),
    C("retry_delay_ms", "float64", "ms", "wait before the next attempt, as planned by the client", UNSAID),
    C("request_ms", "float64", "ms", "round trip of a poll", UNSAID),
    C("sent_count", "int64", "", "WebSocket messages sent by the logging side over the connection", UNSAID),
    C("received_count", "int64", "", "WebSocket messages received by the logging side over the connection", UNSAID),
    C("sent_bytes", "int64", "bytes", "bytes sent to the client over the connection", UNSAID),
    C("buffered_bytes", "int64", "bytes", "WebSocket.bufferedAmount at the end", UNSAID),
    C("longest_inbound_silence_ms", "float64", "ms", "longest time without an inbound message", UNSAID),
    # the network and the client
    C("network_type", "word", "", "kind of network the client is on", UNSAID, NETWORK_TYPES, True),
    C("network_class", "word", "", "kind of network the client's address belongs to; unknown: not in the database, or no rule says", "no network database was given, or the row has no address", NETWORK_CLASSES, True),
    C("effective_type", "word", "", "NetInfo effectiveType: a latency class, not a radio type", UNSAID, EFFECTIVE_TYPES, True),
    C("rtt_ms", "float64", "ms", "NetInfo rtt, rounded to 25 ms by the browser", UNSAID),
    C("asn", "int64", "", "autonomous system number of the client's address", "no network database was given, or it does not say", (), True),
    C("as_org", "word", "", "organisation of the autonomous system", "no network database was given, or it does not say", (), True),
    C("browser", "word", "", "browser family from the user agent", UNSAID, (), True),
    C("browser_version", "word", "", "major version of the browser", UNSAID, (), True),
    C("os", "word", "", "operating system family from the user agent", UNSAID, (), True),
    C("client_id", "text", "", "keyed hash (HMAC-SHA-256, 128 bits) of the client's address: pseudonymous, still personal data", UNSAID),
    C("client_prefix", "word", "", "the address cut to /24 (IPv4) or /48 (IPv6)", UNSAID, (), True),
    C("client_address", "text", "", "the raw address; only with --keep-ip", "not kept, or the log does not say"),
    C("sample_weight", "float64", "", "1 / sampling fraction: how many events this one stands for"),
    # rejects and sources
    C("reason", "word", "", "why no format could read the span"),
    C("line_count", "int64", "lines", "lines in the span"),
    C("length_bytes", "int64", "bytes", "length of the span"),
    C("sha256", "text", "", "SHA-256 of the span's bytes; the text itself is not kept, it may hold secrets"),
    C("source_label", "text", "", "label the user gave (--source-label), part of a source's identity", "none was given", (), True),
    C("path", "text", "", "where the file was read from; display only"),
    C("parser", "text", "", "format, parser version and reading options"),
    C("input_bytes", "int64", "bytes", "decompressed bytes consumed"),
    C("input_digest", "text", "", "BLAKE3 of the decompressed bytes consumed"),
    C("lines_in", "int64", "lines", "whole lines read; = event_lines + rejected + ignored"),
    C("event_lines", "int64", "lines", "lines that became events"),
    C("rejected", "int64", "lines", "lines no format could read"),
    C("ignored", "int64", "lines", "lines read and left out on purpose: blank, comments, other traffic"),
    C("pending_bytes", "int64", "bytes", "bytes of a half line at the end, held back until it is whole (--final reads it)"),
    C("event_count", "int64", "", "events made of the file"),
    C("is_partial", "bool", "", "the file ended early (truncated archive)"),
    C("is_zone_assumed", "bool", "", "times carry no zone and none was given: UTC was assumed"),
    C("observed_from", "instant", "UTC", "earliest time in the log", "text without times"),
    C("observed_until", "instant", "UTC", "latest time in the log", "text without times"),
    # attempts
    C("attempt_id", "text", "", "key of the attempt"),
    C("session_key", "text", "", "session_id, or the source when a text log is one session", "a proxy line: no session is known"),
    C("session_order", "int64", "", "order of the attempt in its session, from 1; by time, or by line where there is none"),
    C("started_at", "instant", "UTC", "when the attempt began", "not logged, or text without times"),
    C("opened_at", "instant", "UTC", "when the handshake succeeded", "never opened, not seen, or text without times"),
    C("ended_at", "instant", "UTC", "when it failed or the connection ended", "still open, or text without times"),
    C("is_opened", "bool", "", "whether the WebSocket opened", "", (), True),
    C("is_ended", "bool", "", "whether the end was seen"),
    C("outcome", "word", "", "how the attempt went, decided by ordered rules", "", OUTCOMES, True),
    C("rule_id", "word", "", "the rule that decided the outcome"),
    C("rules_version", "int32", "", "version of the outcome rules"),
    C("evidence", "text", "", "the values the rule looked at"),
    C("is_left_censored", "bool", "", "the connection was already open when the log begins; of a herd: less than ten minutes of log lie before it"),
    C("is_right_censored", "bool", "", "the log ends before the connection does; of a herd: baseline_s is not known"),
    # episodes
    C("episode_id", "text", "", "key of the episode"),
    C("kind", "word", "", "drop (an open connection was lost) or initial (the first attempt failed)", "", ("drop", "initial"), True),
    C("end", "word", "", "how the outage ended", "", EPISODE_ENDS, True),
    C("attempt_count", "int64", "", "connection attempts made during the outage"),
    C("failed_count", "int64", "", "those that did not open"),
    C("short_open_count", "int64", "", "those that opened and died abnormally at once"),
    C("recovered_retry_number", "int64", "", "which attempt of the outage brought the WebSocket back", "it did not come back"),
    C("downtime_s", "float64", "s", "without service: until the WebSocket was back, or until the first successful poll; a lower bound when is_right_censored", "text without times"),
    C("fell_back_at", "instant", "UTC", "when the client switched to polling or SSE", "it did not"),
    C("first_poll_ok_at", "instant", "UTC", "first successful poll after the fallback", "none was logged"),
    C("last_poll_failed_at", "instant", "UTC", "last failed poll before it", "none was logged"),
    C("trigger_outcome", "word", "", "outcome of the attempt that began the outage", "", OUTCOMES, True),
    C("trigger_close_code", "int32", "", "close code of the attempt that began the outage", "none", (), True),
    C("is_network_changed", "bool", "", "the network type changed during the outage", "", (), True),
    C("is_flapping", "bool", "", "two or more opens died at once during the outage", "", (), True),
    C("herd_id", "text", "", "many clients dropped together", "not part of a herd"),
    # herds
    C("size_count", "int64", "", "sessions that lost their connection in the herd"),
    C("usual_count", "int64", "", "sessions that the ten minutes around let expect in that time, rounded"),
    C("spread_s", "float64", "s", "from the first loss of the herd to the last"),
    C("peak_reconnects_per_s", "float64", "", "largest weighted number of attempts that began within any one second, on that host, from the first loss on"),
    C("peak_reconnects_per_100ms", "float64", "", "the same within any tenth of a second"),
    C("answered_again_at", "instant", "UTC", "begin of the first attempt after the first loss that opened and stayed open", "none within an hour after the herd, or the log does not tell starts"),
    C("baseline_s", "float64", "s", "from the first loss until a minute begins in which attempts come as they did in the ten minutes before", "the log begins less than two minutes before, or ends before that"),
    C("too_early_ratio", "float64", "", "of the lost sessions that tried again, how many first did so before answered_again_at", "too little evidence (state = insufficient)"),
    C("too_early_count", "int64", "", "those that tried too early", "nothing answered again"),
    C("retried_count", "int64", "", "lost sessions whose next attempt is logged"),
    C("recovered_count", "int64", "", "losses of the herd whose outage ended on WebSocket"),
    C("fell_back_count", "int64", "", "those whose outage ended on polling or SSE"),
    C("other_end_count", "int64", "", "those that gave up, left, or whose end is not logged; a log without sessions tells no end"),
    # matches
    C("client_attempt_id", "text", "", "the client's attempt", "an attempt of the service without partner"),
    C("service_attempt_id", "text", "", "the same attempt in a log of the service", "a client attempt without partner"),
    C("service_side", "word", "", "which side of the service: proxy or server", "the lake has no log of the service", SIDES, True),
    C("match_status", "word", "", "matched; ambiguous: several partners are likely, none is sure; unmatched", "", MATCH_STATUSES),
    C("matched_by", "word", "", "the id that both carry; id_and_time: a session's id, or one used twice; address_and_time; time_and_lifetime: neither id nor address", "no partner", MATCH_WAYS),
    C("match_probability", "float64", "", "how likely the pair is, by all that was compared", "joined by an id, or no partner"),
    C("skew_s", "float64", "s", "the service's time minus the client's, less the offset of their clocks", "no partner, or no times"),
    C(
        "unmatched_because",
        "word",
        "",
        "no_other_log; no_time: text without times; no_key: no shared id, and nothing to match by time with; host_not_covered: no "
        "attempt to this host is in that side's logs; outside_window: outside their times; still_open: their line comes at the "
        "end; never_reached: did not open, and is not in the log; not_logged: opened, and is not in the log; not_sampled: client "
        "logs hold a sample; no_telemetry: no client told of it",
        "matched or ambiguous",
        UNMATCHED_REASONS,
    ),
    # metrics
    C("iso_week", "word", "", "ISO week, like 2026-W47 (UTC)", "text without times", (), True),
    C("day", "word", "", "UTC day, like 2026-11-23", "text without times", (), True),
    C("metric", "word", "", "what value measures"),
    C("value", "float64", "", "the estimate; its unit is the metric's", "too little evidence (state = insufficient)"),
    C("numerator", "float64", "", "weighted count (or sum) above the line"),
    C("denominator", "float64", "", "weighted count (or sum) below the line"),
    C("excluded_count", "float64", "", "weighted count left out of the denominator because the log cannot tell"),
    C("ci_low", "float64", "", "lower end of the 95 % interval", "no interval"),
    C("ci_high", "float64", "", "upper end of the 95 % interval", "no interval"),
    C("state", "word", "", "ok, or insufficient: below the evidence floor", "", METRIC_STATES),
    C("before", "float64", "", "the estimate of what is compared with", "too little evidence"),
    C("after", "float64", "", "the estimate of what was asked for", "too little evidence"),
    C("difference", "float64", "", "after - before; ci_low and ci_high are its 95 % interval", "too little evidence on one side"),
    C("ratio", "float64", "", "after / before", "too little evidence on one side, or before is 0"),
    C("p_value", "float64", "", "chance of so large a difference if nothing changed", "too little evidence on one side"),
    C("q_value", "float64", "", "p_value corrected for the number of rows (Benjamini-Hochberg)", "too little evidence on one side"),
    C("verdict", "word", "", "better, worse, changed (neither), no_evidence_of_change (of a tenth or more, at q 5 %), insufficient"),
    C("days_compared", "int64", "days", "days of after that before has too: the same days, or the same weekdays"),
    C("days_left_out", "text", "", "days not compared, and why"),
    C("window", "word", "", "1h, 6h, 3d, 7d (all end with the data), or period: what the budget is for"),
    C("objective_ratio", "float64", "", "the share of good events that was aimed at"),
    C("bad_count", "float64", "", "weighted count (or hours) that were not good"),
    C("budget_count", "float64", "", "how many bad ones the objective allows in the period"),
    C("budget_spent_ratio", "float64", "", "share of the period's budget that the window spent; above 1: more than all", "nothing was counted in the period"),
    C("burn_rate", "float64", "", "share of bad ones over the share that the objective allows", "too little evidence"),
    C("burn_ci_low", "float64", "", "lower end of its 95 % interval", "no interval"),
    C("burn_ci_high", "float64", "", "upper end of its 95 % interval", "no interval"),
    C("from_at", "instant", "UTC", "begin of the window"),
    C("until_at", "instant", "UTC", "end of the window, exclusive: the last instant of the data"),
    C("definition", "word", "", "which reading of failure rate: an id of wslog/metrics/definitions.json"),
    C("numerator_is", "text", "", "what the definition counts above the line"),
    C("denominator_is", "text", "", "what it counts below the line"),
    C("sentence", "text", "", "what the number is good for"),
)

# fmt: on

EVENT_COLUMNS = tuple(COLUMNS)[: tuple(COLUMNS).index("reason")]
_CONTEXT = (
    "network_type", "network_class", "effective_type", "rtt_ms", "asn", "as_org", "browser", "browser_version", "os",
    "client_id", "client_prefix", "sample_weight",
)  # fmt: skip
METRIC_COLUMNS = ("value", "numerator", "denominator", "excluded_count", "ci_low", "ci_high", "state")

TABLES: dict[str, Table] = {
    table.name: table
    for table in (
        Table(
            "events",
            "one row per thing a log line says about one connection",
            ("source_id", "line_number", "event_index"),
            "a format",
            EVENT_COLUMNS,
            ("No access log holds a WebSocket close code: null with close_code_source = absent.",),
        ),
        Table(
            "rejects",
            "one row per span of bytes that no format could read, with its reason",
            ("source_id", "line_number"),
            "ingest",
            ("source_id", "line_number", "line_count", "byte_offset", "length_bytes", "sha256", "reason"),
            ("The text of the span is not kept: read it from the file at byte_offset.",),
        ),
        Table(
            "sources",
            "one row per ingested file, with its line account",
            ("source_id",),
            "ingest",
            (
                "source_id", "source_label", "path", "format", "side", "parser", "input_bytes", "input_digest", "lines_in",
                "event_lines", "rejected", "ignored", "pending_bytes", "event_count", "is_partial", "is_zone_assumed",
                "observed_from", "observed_until",
            ),
        ),
        Table(
            "attempts",
            "one row per connection attempt, as one side saw it",
            ("attempt_id",),
            "wslog.attempts from events",
            (
                "attempt_id", "side", "format", "source_id", "source_label", "session_id", "session_key", "session_order",
                "connection_id", "request_id", "attempt_number", "retry_number", "max_retries", "url_scheme", "url_host",
                "url_path", "started_at", "opened_at", "ended_at", "is_opened", "is_ended", "handshake_ms", "lifetime_s",
                "http_status", "close_code", "close_code_source", "close_reason", "was_clean", "ended_by", "error_class",
                "error_text", "outcome", "rule_id", "rules_version", "evidence", "is_left_censored", "is_right_censored",
                "sent_count", "received_count", "sent_bytes", "buffered_bytes", "longest_inbound_silence_ms", *_CONTEXT,
            ),
            ("Server and proxy logs never show a client that could not reach them.",),
        ),
        Table(
            "episodes",
            "one row per outage of one client session: from the drop (or first failed attempt) to its end",
            ("episode_id",),
            "wslog/sql/episodes.sql from attempts",
            (
                "episode_id", "side", "format", "source_id", "source_label", "session_id", "session_key", "kind", "started_at",
                "ended_at", "end", "attempt_count", "failed_count", "short_open_count", "recovered_retry_number", "downtime_s",
                "is_right_censored", "fell_back_at", "first_poll_ok_at", "last_poll_failed_at", "trigger_outcome",
                "trigger_close_code", "is_network_changed", "is_flapping", "herd_id", *_CONTEXT, "url_host", "url_path",
            ),
            ("Needs a session: lines of a proxy that name no session make no episodes.",),
        ),
        Table(
            "herds",
            "one row per herd, many sessions of one host lost within seconds, and log that shows it",
            ("herd_id", "side", "format"),
            "wslog.diagnosis from attempts",
            (
                "herd_id", "side", "format", "url_host", "started_at", "size_count", "usual_count", "spread_s",
                "peak_reconnects_per_s", "peak_reconnects_per_100ms", "answered_again_at", "baseline_s", "too_early_ratio",
                "too_early_count", "retried_count", "ci_low", "ci_high", "state", "recovered_count", "fell_back_count",
                "other_end_count", "is_left_censored", "is_right_censored",
            ),
            ("Tested against the ten minutes around; herd_id of episodes only marks crowded seconds.",),
        ),
        Table(
            "matches",
            "one row per pair of a client attempt and an attempt in a log of the service, and one per attempt without partner on a side",
            ("client_attempt_id", "service_attempt_id", "service_side"),
            "wslog.agreement from attempts",
            (
                "client_attempt_id", "service_attempt_id", "service_side", "match_status", "matched_by", "match_probability",
                "skew_s", "unmatched_because",
            ),
            ("Times are matched after the clocks' offset, which is shown (wslog agreement) and moves no timestamp.",),
        ),
    )
}  # fmt: skip

# What a format may hand over beside the event columns; ingest turns them into columns and drops the originals.
RAW_COLUMNS: dict[str, str] = {"url": "text", "user_agent": "text", "address": "text"}


def arrow_type(kind: str) -> pa.DataType:
    """Return the Arrow type of a registry type name."""
    import pyarrow as pa

    types: dict[str, Any] = {
        "text": pa.string(),
        "word": pa.dictionary(pa.int32(), pa.string()),
        "int16": pa.int16(),
        "int32": pa.int32(),
        "int64": pa.int64(),
        "float64": pa.float64(),
        "bool": pa.bool_(),
        "instant": pa.timestamp("us", tz="UTC"),
    }
    return types[kind]


def arrow_schema(table: str) -> pa.Schema:
    """Return the Arrow schema of a registered table, units and meanings in the fields' metadata."""
    import pyarrow as pa

    fields = []
    for name in TABLES[table].columns:
        column = COLUMNS[name]
        metadata = {"meaning": column.meaning, "null_means": column.null_means, "unit": column.unit}
        fields.append(pa.field(name, arrow_type(column.type), nullable=bool(column.null_means), metadata=metadata))
    return pa.schema(fields)


def grouping_columns(table: str) -> tuple[str, ...]:
    """Return the columns of a table that metrics may be grouped by: the allow-list that reaches SQL."""
    derived = ("iso_week", "day")
    return tuple(n for n in (*TABLES[table].columns, *derived) if COLUMNS[n].is_grouping)


def data_dictionary() -> list[dict[str, str]]:
    """Return the data dictionary: one record per table and column, in order."""
    return [
        {
            "table": table.name,
            "column": name,
            "type": COLUMNS[name].type,
            "unit": COLUMNS[name].unit,
            "meaning": COLUMNS[name].meaning,
            "null_means": COLUMNS[name].null_means,
            "words": " ".join(COLUMNS[name].words),
            "is_grouping": "yes" if COLUMNS[name].is_grouping else "",
        }
        for table in TABLES.values()
        for name in table.columns
    ]
