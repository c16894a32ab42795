"""What the two sides together mean, in plain sentences."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

NORMAL_CODES = ("1000", "1001")
SHOWN_CELLS = 12
MANY_SHARE = 0.02
"""Cells of less than this share of their row are not put into words."""

_NEVER = "never opened"
_MEANINGS: tuple[tuple[str, str, str], ...] = (
    # (what the client saw, what the service saw, what that means); patterns over the whole word, the first that fits holds
    (r"1006", r"1000|1001", "the close frame was lost, or the tab was gone before it came"),
    (r"1006", r"1006", "neither side saw a close frame: the network or a middlebox between them cut the connection"),
    (r"1006", r"1011|1012|1013|1014", "the service gave up, and its close frame did not arrive"),
    (r"1006", r"idle timeout", "nothing was sent for too long, and the proxy cut it: send pings more often than its timeout"),
    (r"1006", r"ended by the server", "the server ended it without a close frame that reached the client: crash, restart or a hard close"),
    (r"1006", r"ended by the client", "for the service the client went: its network changed, it slept, or something between closed on its behalf"),
    (r"1006", r"ended by the proxy|cut", "the proxy, or the network next to it, cut the connection"),
    (r"1006", r"end not seen", "the path was cut, and the service had not noticed by the end of its log: its pings are slow or off"),
    (r"1006", r"ended, not told by whom", "the service's log has the connection and cannot tell who ended it: an access log holds no close code"),
    (r"1006", r"3\d{3}|4\d{3}", "the application closed it with a code of its own, and the close frame did not arrive"),
    (rf"{_NEVER}.*", r"never reached", "stopped on the way: name, refused connection, TLS, or a proxy or firewall before the service"),
    (rf"{_NEVER}.*", r"answered HTTP 101", "the service's 101 did not reach the client: something between cut the handshake"),
    (rf"{_NEVER}.*", r"answered HTTP \d+", "the service refused it; a browser never shows its page the status"),
    (rf"{_NEVER}.*", r"no answer", "it reached the proxy, which had no answer from behind it"),
    (rf"{_NEVER}.*", r"client left the handshake", "it reached the service, and the client gave up before the answer: slow handshake or timeout"),
    (rf"{_NEVER}.*", r".*", "the service opened it, and the client never learnt: something between cut the handshake, or its answer came too late"),
    (r"left while connecting", r".*", "the page was left, or the attempt given up, before it opened"),
    (r"1001|page left", r".*", "the page was left: no failure"),
    (r"\d{4}|end.*", r"not in the log", "it opened, so it reached a server: lines of this log are missing, or another server took it"),
    (r"1000", r"1000|1001", "both sides agree on an orderly end"),
    (r"end not seen", r".*", "the client never told how it ended: it was killed, or its last telemetry was lost"),
)  # fmt: skip


def meaning(client_view: str, service_view: str) -> str | None:
    """Return what it means that the client saw one thing and the service another; None where there is nothing to say."""
    for client, service, text in _MEANINGS:
        if re.fullmatch(client, client_view) and re.fullmatch(service, service_view):
            return text
    return None


def sentences(matrix: pd.DataFrame, counts: pd.DataFrame, clocks: pd.DataFrame) -> list[str]:
    """Return what a reader has to know: what the lake cannot show, how well the sides were joined, what the cells mean."""
    return [*_sides(counts), *_joined(counts), *_clocks(clocks), *_cells(matrix)]


def _sides(counts: pd.DataFrame) -> list[str]:
    sides = set(counts["side"])
    if not sides:
        return ["No attempt in this selection."]
    if "client" not in sides:
        return [
            "No client log: clients that could not reach the service are not in it, and what code a client saw, or whether it "
            "noticed at all, cannot be told."
        ]
    if len(sides) == 1:
        return [
            "No log of a server or proxy: whether a failed attempt ever reached the service, who ended a connection, and whether "
            "a close frame was sent cannot be told. A client's 1006 stays unexplained by the other side."
        ]
    missing = [side for side in ("proxy", "server") if side not in sides]
    hint = {
        "server": "No server log: an access log holds no close code, so what the server sent is not known.",
        "proxy": "No proxy log: attempts that a proxy refused or cut look like attempts that never came.",
    }
    return [hint[side] for side in missing]


def _joined(counts: pd.DataFrame) -> list[str]:
    said = []
    because = counts["unmatched_because"]
    for reason, text in (
        ("not_sampled", "Client logs hold a sample of the sessions: {n} attempts in logs of the service have no partner for that reason or another."),
        ("no_key", "{n} attempts carry no id that the other side's logs carry, and nothing by which their times could be matched."),
        ("host_not_covered", "{n} client attempts went to hosts of which no log of the service is here: they are left out, not counted as unreached."),
        ("outside_window", "{n} attempts lie outside the times of the other side's logs: they are left out."),
        ("still_open", "{n} client attempts were not seen to end: an access log writes its line at the end."),
    ):  # fmt: skip
        count = int(counts.loc[because == reason, "attempt_count"].sum())
        if count:
            said.append(text.format(n=f"{count:,}"))
    return said


def _clocks(clocks: pd.DataFrame) -> list[str]:
    said = []
    for row in clocks.to_dict("records"):
        names = (_log(row["client_format"], row["client_label"]), _log(row["service_format"], row["service_label"]))
        if row["state"] != "ok":
            said.append(
                f"Clocks of {names[0]} and {names[1]}: too few pairs to compare them; nothing was matched by time."
            )
            continue
        ahead = f"{abs(row['offset_s']):.3f} s {'ahead of' if row['offset_s'] >= 0 else 'behind'}"
        drift = f", gaining {row['drift_ppm']:.0f} millionths" if abs(row["drift_ppm"]) >= 5 else ""
        zone = round(row["offset_s"] / 900) * 900
        hint = ""
        if abs(zone) >= 900 and abs(row["offset_s"] - zone) < 60:
            hint = f" That is {zone / 3600:+g} h: one of the logs was read in the wrong zone (--tz)."
        said.append(
            f"The clock of {names[1]} is {ahead} {names[0]}'s{drift}, some of it the way of the handshake ({row['pair_count']:,} pairs; 99.9 % within "
            f"{row['tolerance_s']:.3g} s). No timestamp was moved.{hint}"
        )
    return said


def _log(name: str, label: Any) -> str:
    return f"{name} ({label})" if isinstance(label, str) else name


def _cells(matrix: pd.DataFrame) -> list[str]:
    shown = matrix[(matrix["state"] == "ok") & (matrix["value"] >= MANY_SHARE)]
    totals = (
        shown.groupby(["service_side", "client_view", "service_view"], sort=False)[["numerator"]].sum().reset_index()
    )
    said = []
    for row in totals.sort_values("numerator", ascending=False, kind="stable").to_dict("records"):
        text = meaning(row["client_view"], row["service_view"])
        if text is None or row["client_view"] in NORMAL_CODES:
            continue
        said.append(
            f"{row['numerator']:,.0f} x client {row['client_view']}, {row['service_side']} {row['service_view']}: {text}."
        )
    return said[:SHOWN_CELLS]
