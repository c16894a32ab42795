"""How an attempt went, and which losses make an outage: what the derivations decide by, as data.

Outcomes are ordered rules, first match wins. Each condition is SQL of the portable subset over the columns that
``sql/verdicts.sql`` has when it decides: ``side``, ``is_opened``, ``is_ended``, ``has_close``, ``has_error``, ``close_code``,
``close_code_source``, ``was_clean``, ``ended_by``, ``error_class`` and ``http_status``. A comparison with null does not match.
"""

from __future__ import annotations

from dataclasses import dataclass

RULES_VERSION = 1

STABLE_S = 5
"""An open that is lost abnormally sooner than this never ended the outage (reconnecting-websocket's minUptime is 5 s)."""

GIVE_UP_S = 300
"""A client whose session goes on this long after a failure, without a retry, gave up: no known policy waits longer than
120 s (gRPC), background tabs up to a minute more."""

HERD_COUNT = 5
"""Sessions of one host lost within one second that can be a herd: fewer are common by chance on a busy service."""

HERD_SIGMA = 6
"""How far above the ten minutes around, in standard deviations of a Poisson count, that second must be."""

RFC = "RFC 6455 section 7.4.1"
IANA = "IANA WebSocket Close Code Number Registry"
FETCH = "WHATWG WebSockets, 'feedback from the protocol'"
OURS = "wslog: DESIGN of the attempts table"


@dataclass(frozen=True)
class Rule:
    """One rule: the outcome of an attempt for which ``condition`` holds and no earlier rule's does.

    Parameters
    ----------
    rule_id : str
        Stable name, stored on the row.
    outcome : str
        A word of :data:`wslog.schema.OUTCOMES`.
    condition : str
        Portable SQL.
    comment, source : str
        Why, and who says so.
    """

    rule_id: str
    outcome: str
    condition: str
    comment: str
    source: str


RULES: tuple[Rule, ...] = (
    # --- never opened ---
    Rule(
        "aborted_while_connecting",
        "abandoned",
        "NOT is_opened AND error_class = 'aborted_by_page'",
        "The page was left or called close() before the answer came: no fault of the network.",
        FETCH,
    ),
    Rule(
        "timeout_while_connecting",
        "handshake_timeout",
        "NOT is_opened AND error_class = 'timeout'",
        "No answer in time, as the client or the proxy says; before the status, since a proxy answers 504 for it.",
        "RFC 6455 section 4.1",
    ),
    Rule(
        "network_error",
        "network_failed",
        "NOT is_opened AND error_class IN ('dns', 'refused', 'reset', 'tls', 'blocked_by_proxy')",
        "Name, TCP, TLS or proxy tunnel failed.",
        "RFC 6455 section 4.1",
    ),
    Rule(
        "http_answer",
        "rejected",
        "NOT is_opened AND (error_class = 'http_status' OR (http_status >= 200 AND http_status <= 599))",
        "An HTTP answer other than the upgrade: the server, or something on the way, said no.",
        "RFC 6455 section 4.1",
    ),
    Rule(
        "broken_handshake",
        "rejected",
        "NOT is_opened AND error_class = 'protocol'",
        "An answer that is no valid WebSocket handshake.",
        "RFC 6455 section 4.1",
    ),
    Rule(
        "tls_close_code",
        "network_failed",
        "NOT is_opened AND close_code = 1015",
        "1015: the TLS handshake failed.",
        RFC,
    ),
    Rule(
        "network_ended_it",
        "network_failed",
        "NOT is_opened AND ended_by = 'network'",
        "The log blames the network without naming the failure.",
        OURS,
    ),
    Rule(
        "failed_unexplained",
        "never_opened",
        "NOT is_opened AND is_ended",
        "It failed and the log does not say why: browsers hide the cause behind 1006.",
        FETCH,
    ),
    Rule(
        "no_end_seen",
        "never_opened",
        "NOT is_opened",
        "Neither an open nor an end was logged.",
        OURS,
    ),
    # --- opened ---
    Rule(
        "open_at_end_of_log",
        "still_open",
        "NOT is_ended",
        "Open, and no end was logged.",
        OURS,
    ),
    Rule(
        "page_left",
        "unloaded",
        "error_class = 'aborted_by_page'",
        "The log says that the page was left.",
        OURS,
    ),
    Rule(
        "server_going_away",
        "closed_by_server",
        "side <> 'client' AND close_code = 1001 AND ended_by = 'server'",
        "A server's own log says that it closed with 1001: it is going down.",
        RFC,
    ),
    Rule(
        "client_going_away",
        "unloaded",
        "close_code = 1001 AND (side <> 'client' OR ended_by = 'client')",
        "A browser that leaves a page sends 1001.",
        RFC,
    ),
    Rule(
        "proxy_idle_timeout",
        "idle_timeout",
        "ended_by = 'proxy' AND error_class = 'timeout'",
        "The proxy says that its own inactivity timeout ended the tunnel (HAProxy cD, sD).",
        "HAProxy configuration manual section 8.5",
    ),
    Rule(
        "keepalive_timeout",
        "dropped",
        "error_class = 'timeout' AND (close_code IS NULL OR close_code IN (1006, 1011))",
        "An endpoint waited in vain for its peer. 1011 with a ping timeout is sent into the void, it is no server error.",
        "python websockets 15, keepalive",
    ),
    Rule(
        "library_transport_closed",
        "dropped",
        "close_code_source = 'mapped' AND close_code < 1000",
        "The library folds every close it did not ask for into one code of its own (centrifuge-js: 1, transport closed).",
        "centrifuge-js codes.ts",
    ),
    Rule(
        "library_code_unclean",
        "dropped",
        "close_code_source IN ('library_synthetic', 'mapped') AND close_code < 3000 AND NOT was_clean",
        "The code is the library's invention; what counts is that no close frame came.",
        OURS,
    ),
    Rule(
        "library_code",
        "ended_unknown",
        "close_code_source IN ('library_synthetic', 'mapped') AND close_code < 3000",
        "The code is the library's invention and nothing else tells a drop from a close.",
        OURS,
    ),
    Rule(
        "normal_closure",
        "closed_normally",
        "close_code = 1000",
        "1000: the purpose of the connection is fulfilled.",
        RFC,
    ),
    Rule(
        "close_frame_without_code",
        "closed_normally",
        "close_code = 1005 AND COALESCE(was_clean, TRUE)",
        "1005: a close frame came, without a code.",
        RFC,
    ),
    Rule(
        "application_code",
        "closed_by_application",
        "close_code >= 3000 AND close_code <= 4999",
        "3000 to 4999 belong to libraries and applications.",
        "RFC 6455 section 7.4.2",
    ),
    Rule(
        "server_code",
        "closed_by_server",
        "close_code IN (1001, 1011, 1012, 1013, 1014)",
        "1001 and 1011 to 1014 as a client sees them: going away, error, restart, try again later, bad gateway.",
        IANA,
    ),
    Rule(
        "protocol_code",
        "closed_by_server",
        "close_code IN (1002, 1003, 1007, 1008, 1009, 1010)",
        "An endpoint refused what it received: protocol error, data type, encoding, policy, size, extension.",
        RFC,
    ),
    Rule(
        "no_close_frame",
        "dropped",
        "close_code IN (1005, 1006, 1015)",
        "The connection ended without a close frame.",
        RFC,
    ),
    Rule(
        "lost",
        "dropped",
        "NOT was_clean OR ended_by = 'network' OR error_class IN ('reset', 'protocol', 'tls', 'refused', 'dns')",
        "No code, but the log says that it ended badly.",
        OURS,
    ),
    Rule(
        "error_while_open",
        "dropped",
        "has_error AND NOT has_close AND side <> 'proxy'",
        "An error on an open connection and no close after it.",
        OURS,
    ),
    Rule(
        "end_without_cause",
        "ended_unknown",
        "TRUE",
        "It ended; neither code nor cause is known. A proxy's line alone cannot tell a drop from a close.",
        OURS,
    ),
)


def rule_number_sql() -> str:
    """Return the CASE that gives the place (from 1) of the first rule that matches."""
    cases = "\n".join(f"           WHEN {rule.condition} THEN {number}" for number, rule in enumerate(RULES, 1))
    return f"CASE\n{cases}\n         END"


def rule_id_sql() -> str:
    """Return the CASE that turns ``rule_number`` into the rule's stable name."""
    return "CASE rule_number " + " ".join(f"WHEN {n} THEN '{rule.rule_id}'" for n, rule in enumerate(RULES, 1)) + " END"


def outcome_sql() -> str:
    """Return the CASE that turns ``rule_number`` into the outcome."""
    return "CASE rule_number " + " ".join(f"WHEN {n} THEN '{rule.outcome}'" for n, rule in enumerate(RULES, 1)) + " END"


def evidence_sql() -> str:
    """Return the text of the values the rules look at: ``opened=true code=1006 clean=false error=timeout side=client``.

    Only words of closed lists and numbers: no text of the log.
    """
    parts = (
        ("code", "CAST(close_code AS STRING)"),
        ("code_source", "close_code_source"),
        ("clean", "CASE WHEN was_clean THEN 'true' WHEN NOT was_clean THEN 'false' END"),
        ("error", "error_class"),
        ("http_status", "CAST(http_status AS STRING)"),
        ("ended_by", "ended_by"),
    )
    texts = " || ".join(f"COALESCE(' {name}=' || {value}, '')" for name, value in parts)
    opened = "CASE WHEN is_opened THEN 'opened=true' ELSE 'opened=false' END"
    ended = "CASE WHEN is_ended THEN '' ELSE ' ended=false' END"
    return f"{opened} || {ended} || {texts} || ' side=' || side"


def line_sql(row_key: str) -> str:
    """Return the text of the place in its file, ``line`` or ``line.index``, that a ``row_key`` of ``sql/steps.sql`` stands for."""
    line = f"CAST(CAST(({row_key} % 10000000000000 - {row_key} % 1000) / 1e3 AS BIGINT) AS STRING)"
    return f"{line} || CASE WHEN {row_key} % 1000 = 0 THEN '' ELSE '.' || CAST({row_key} % 1000 AS STRING) END"


def fills() -> dict[str, str]:
    """Return the placeholders of the SQL files: all of the above as SQL."""
    return {
        "rule_number": rule_number_sql(),
        "rule_id": rule_id_sql(),
        "outcome": outcome_sql(),
        "evidence": evidence_sql(),
        "rules_version": str(RULES_VERSION),
        "row_line": line_sql("row_key"),
        "episode_line": line_sql("episode_key"),
        "attempt_line": line_sql("attempt_key"),
        "stable_s": str(STABLE_S),
        "give_up_s": str(GIVE_UP_S),
        "herd_count": str(HERD_COUNT),
        "herd_sigma": str(HERD_SIGMA),
    }
