"""Causes that one log line names by itself: no statistics, only words of closed lists and codes of standards."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files

import numpy as np

from wslog.diagnosis.findings import Finding, Fired, Told
from wslog.diagnosis.model import BoolArray, FloatArray, Observed, TextArray
from wslog.diagnosis.rules import rule

RESTART_CODES = (1001, 1012)
TERMINAL_CODES = (1002, 1003, 1007, 1009, 1010)
SERVER_CODES = (1008, 1011, 1013, 1014)
LOOP_COUNT = 5
AT_ONCE_US = 60e6
MIN_ANSWERS = 3


@cache
def page_texts() -> tuple[tuple[str, str], ...]:
    """Return pairs of a text that a browser writes (lower case) and what it says."""
    entries = json.loads(files("wslog.diagnosis").joinpath("page_texts.json").read_text("utf-8"))
    return tuple((entry["text"], entry["says"]) for entry in entries)


def detect(seen: Observed) -> Fired:
    """Return what error classes, texts, statuses and close codes say by themselves."""
    fired = Fired()
    _errors(seen, fired)
    _statuses(seen, fired)
    _codes(seen, fired)
    loops = (seen.numbers("loop_count") >= LOOP_COUNT) & (seen.numbers("in_loop") > 0)
    fired.hit("zero_delay_loop", loops, "high", Told([("retries_within_100_ms", seen.numbers("loop_count"))]))
    if loops.any():
        what = "{size} retries without any delay"
        fired.findings.append(_finding(seen, "zero_delay_loop", what, loops, "retries within 100 ms of a failure"))
    return fired


def _errors(seen: Observed, fired: Fired) -> None:
    opened, error = seen.opened, seen.words("error_class")
    tunnel = ~opened & (seen.among("error_class", ("blocked_by_proxy",)) | (seen.numbers("http_status") == 407))
    parts = [("error", error), ("http_status", seen.numbers("http_status"))]
    fired.hit("tunnel_refused", tunnel, "high", Told(parts))
    code = seen.numbers("close_code")
    tls = seen.among("error_class", ("tls",)) | (code == 1015)
    fired.hit("tls_failed", tls, "high", Told([("error", error), ("code", code)]))
    says = page_says(seen)
    page = (says != "") & ~opened
    fired.hit("page_error", page, "high", Told([("text_says", says)]))
    refused = ~opened & seen.among("error_class", ("refused",))
    fired.hit("refused", refused, "medium", Told([("error", error)]))
    whats = (("tunnel_refused", tunnel), ("tls_failed", tls), ("page_error", page), ("refused", refused))
    for rule_id, mask in whats:
        if mask.sum() >= MIN_ANSWERS:
            confidence = "medium" if rule_id == "refused" else "high"
            what = f"{{size}} connects: {rule(rule_id).title}"
            fired.findings.append(_finding(seen, rule_id, what, mask, "the client's own words", confidence))


def _finding(
    seen: Observed, rule_id: str, what: str, mask: BoolArray, evidence: str, confidence: str = "high"
) -> Finding:
    sessions = seen.distinct("cluster_key", mask)
    at = np.flatnonzero(mask).astype(np.int64)
    return Finding(rule_id, what, len(at), sessions, evidence, confidence, at=at)


def page_says(seen: Observed) -> TextArray:
    """Return what the browser itself says of each case, empty where it says nothing."""
    codes, texts = seen.codes("error_text")
    found = [next((says for mark, says in page_texts() if mark in text.lower()), "") for text in texts.tolist()]
    said: TextArray = np.array(found, dtype=object)[codes]
    return said


def answered(seen: Observed) -> tuple[FloatArray, BoolArray]:
    """Return the HTTP status that answered each failed handshake (NaN: none known), and whether the other side's log told it."""
    own, peer = seen.numbers("http_status"), seen.numbers("peer_status")
    own = np.where((own >= 200) & ~seen.opened, own, np.nan)
    # a 101 in the proxy's log of a handshake that the client lost is no refusal
    peer = np.where((peer >= 200) & ~seen.opened, peer, np.nan)
    from_peer = np.isnan(own) & ~np.isnan(peer)
    return np.where(from_peer, peer, own), from_peer


def _statuses(seen: Observed, fired: Fired) -> None:
    status, from_peer = answered(seen)
    mask = ~np.isnan(status) & (status != 407) & (status != 499)
    told = np.where(from_peer, "the other side's log", "this log").astype(object)
    fired.hit("http_status", mask, "high", Told([("http_status", status), ("told_by", told)]))
    sides = seen.words("side")
    for number in np.unique(status[mask]):
        counts = {
            side: int((mask & (status == number) & (sides == side)).sum()) for side in seen.codes("side")[1].tolist()
        }
        side = "client" if counts.get("client", 0) >= MIN_ANSWERS else max(counts, key=lambda s: counts[s])
        hit = mask & (status == number) & (sides == side)
        if hit.sum() < MIN_ANSWERS:
            continue
        what = f"HTTP {number:.0f} answered {{size}} handshakes instead of 101 ({side} log)"
        evidence = (
            f"{int((hit & ~from_peer).sum())} statuses in this log, {int((hit & from_peer).sum())} in the other side's"
        )
        fired.findings.append(_finding(seen, "http_status", what, hit, evidence))


def _codes(seen: Observed, fired: Fired) -> None:
    code = seen.numbers("close_code")
    wire = seen.among("close_code_source", ("wire",)) & seen.among("outcome", ("closed_by_server",))
    restart = wire & np.isin(code, RESTART_CODES)
    fired.hit("restart_code", restart, "medium", Told([("code", code)]))
    server = wire & np.isin(code, SERVER_CODES)
    fired.hit("server_code", server, "medium", Told([("code", code)]))
    terminal = wire & np.isin(code, TERMINAL_CODES)
    count = seen.numbers("code_count")
    at_once = (seen.numbers("next_us") - seen.numbers("at_us") <= AT_ONCE_US) | (seen.numbers("retry_count") > 0)
    sure = (count >= 2) | at_once
    again = np.where(at_once, "yes", "no").astype(object)
    told = Told([("code", code), ("times_in_session", count), ("tried_again", again)])
    fired.hit("terminal_code", terminal, np.where(sure, "high", "medium").astype(object), told)
    for rule_id, mask, text in (
        ("terminal_code", terminal, "{size} closes for what the client sent, code "),
        ("server_code", server, "{size} closes by the server with code "),
        ("restart_code", restart, "{size} closes outside any herd with code "),
    ):
        for number in np.unique(code[mask]):
            hit = mask & (code == number)
            if hit.sum() >= MIN_ANSWERS:
                evidence = f"code in the close frame{top_shares(seen.words('browser')[hit])}"
                fired.findings.append(_finding(seen, rule_id, f"{text}{number:.0f}", hit, evidence, "medium"))


def top_shares(values: TextArray) -> str:
    """Return ``; Firefox 80 %, Chrome 20 %`` of the named values, empty when none is named."""
    named_values = values[values != ""]
    if not len(named_values):
        return ""
    names, counts = np.unique(named_values.astype(str), return_counts=True)
    order = np.argsort(-counts, kind="stable")[:3]
    return "; " + ", ".join(f"{names[i]} {100 * counts[i] / len(named_values):.0f} %" for i in order)
