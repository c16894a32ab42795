"""GENERATED, NOT REAL: six weeks of client telemetry with weeks that differ, so that weekly charts have weeks.

``python data/demo/generated/generate.py [OUT_FOLDER]`` writes one gzip file an ISO week; the same seed gives the same bytes.
The clients follow the reference policy, on 1006 and on 1012: up to 3 retries after 1, 2, 3 s, then HTTP polling each second.

What is built in, to be found again in the charts:

* corporate VPN users (10 %): a proxy blocks the upgrade for 40 % of them; they fall back at once, every time;
* cellular users drop more often, and their outages last longer than those of wifi and ethernet;
* 2026-W45: an idle timeout of 60 s at a new proxy drops quiet connections, again and again (fixed by the next week);
* 2026-W47: another corporate proxy; 80 % of the VPN users are blocked now;
* 2026-W46, Wednesday 14:00 UTC, during an event with 240 more visitors: a restart closes every connection with 1012 within
  seconds; 6 s later the service is back and takes in 12 of the event's connections a second, the rest is refused.
"""

from __future__ import annotations

import datetime
import gzip
import heapq
import io
import json
import math
import random
import sys
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

SEED = 20261123
WEEKS = [(2026, week) for week in range(42, 48)]
SESSIONS_A_DAY = 60
POLICY_WAITS_S = (1, 2, 3)
# network type: (share of sessions, drops per hour, median outage s, sigma, blocked share, effective type, rtt)
NETWORKS: dict[str, tuple[float, float, float, float, float, str, int]] = {
    "wifi": (0.48, 0.25, 1.4, 1.0, 0.005, "4g", 50),
    "cellular": (0.27, 0.9, 3.0, 1.3, 0.01, "4g", 100),
    "ethernet": (0.15, 0.08, 1.0, 0.8, 0.005, "4g", 25),
    "vpn": (0.10, 0.2, 1.6, 1.0, 0.40, "4g", 75),
}
VPN_BLOCKED_FROM_W47 = 0.8
AGENTS = {
    "Chrome": "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36",
    "Firefox": "Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0",
    "Safari": "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Mobile/15E148 Safari/604.1",
}
URL = "wss://app.example.com/ws/room"
EVENT_SESSIONS = 240
ACCEPTS_PER_S = 12
RESTART = datetime.datetime(2026, 11, 11, 14, 0, tzinfo=datetime.UTC).timestamp()


Steps = Generator[float, None, str]


class Session:
    """One page load: walks through its life and notes what its telemetry would say."""

    def __init__(self, rng: random.Random, start_s: float, week: int) -> None:
        self.rng, self.now, self.week = rng, start_s, week
        self.end = start_s + min(rng.lognormvariate(math.log(1500), 0.9), 4 * 3600)
        self.network = rng.choices(list(NETWORKS), [n[0] for n in NETWORKS.values()])[0]
        _, self.drops_per_hour, self.outage_s, self.sigma, blocked, effective, rtt = NETWORKS[self.network]
        if self.network == "vpn" and week >= 47:
            blocked = VPN_BLOCKED_FROM_W47
        self.is_blocked = rng.random() < blocked
        self.is_quiet = rng.random() < 0.08
        self.is_refused = False
        agent = (
            "Safari"
            if self.network == "cellular" and rng.random() < 0.6
            else rng.choice(("Chrome", "Chrome", "Firefox"))
        )
        self.fixed = {
            "session": f"{rng.getrandbits(64):016x}",
            "network": {"type": self.network, "effective_type": effective, "rtt": rtt},
            "ua": AGENTS[agent],
        }
        self.attempt = 0
        self.lines: list[tuple[float, dict[str, Any]]] = []

    def note(self, event: str, **fields: Any) -> None:
        self.lines.append((self.now, {"ts": round(self.now * 1000), "event": event, **self.fixed, **fields}))

    def connect(self, retry: int, up_at: float) -> Steps:
        """Try once; return the connection id if it opened, else an empty string. Yields before the answer of the service."""
        self.attempt += 1
        connection = f"{self.rng.getrandbits(48):012x}"
        same = {"connection": connection, "attempt": self.attempt, "retry": retry, "url": URL, "transport": "websocket"}
        self.note("attempt", **same)
        handshake = self.rng.lognormvariate(math.log(0.12), 0.5)
        yield self.now
        fails = self.is_blocked or self.now < up_at or self.is_refused or self.rng.random() < 0.004
        self.now += handshake if not fails else min(handshake * 2, 1.0)
        if fails:
            self.note("error", **same, error="WebSocket connection failed")
            self.note("close", **same, code=1006, reason="", was_clean=False)
            return ""
        self.note("open", **same, latency_ms=round(handshake * 1000, 1))
        return connection

    def run(self) -> Steps:
        """Live through the visit; yields the time of each attempt."""
        connection = (yield from self.connect(0, 0.0)) or (yield from self.recover(0.0))
        while connection:
            up_at, has_left = self.live(connection)
            connection = "" if has_left else (yield from self.recover(up_at))
        return ""

    def live(self, connection: str) -> tuple[float, bool]:
        """Stay connected until a drop, a restart or the end of the visit; return (when the network is back, has left)."""
        opened = self.now
        ends = {"leave": self.end, "drop": opened + self.rng.expovariate(self.drops_per_hour / 3600)}
        if self.week == 45 and self.is_quiet:
            ends["idle"] = opened + 60.0 + self.rng.random() * 0.2
        if opened < RESTART:
            ends["restart"] = RESTART + self.rng.random() * 4
        why = min(ends, key=lambda name: ends[name])
        self.now = max(opened + 0.05, ends[why])
        same = {"connection": connection, "attempt": self.attempt, "url": URL, "transport": "websocket"}
        same |= {"lifetime_ms": round((self.now - opened) * 1000)}
        if why == "leave":
            if self.rng.random() < 0.6:
                self.note("close", **same, code=1000, reason="", was_clean=True)
            else:
                self.note("close", **same, error="page_left")
            return 0.0, True
        if why == "restart":
            self.note("close", **same, code=1012, reason="service restart", was_clean=True)
            self.now += self.rng.random() * 2
            return RESTART + 6, False
        self.note("close", **same, code=1006, reason="", was_clean=False)
        outage = 0.0 if why == "idle" else self.rng.lognormvariate(math.log(self.outage_s), self.sigma)
        return self.now + outage, False

    def recover(self, up_at: float) -> Steps:
        """Retry as the policy says; return the connection id, or "" after the fallback or a page left meanwhile."""
        for retry, wait in enumerate(POLICY_WAITS_S, 1):
            self.note("retry", retry=retry, max_retries=3, delay_ms=wait * 1000)
            self.now += wait
            if self.now > self.end and self.rng.random() < 0.3:
                return ""
            connection = yield from self.connect(retry, up_at)
            if connection:
                return connection
        self.note("fallback", transport="polling")
        polled = max(self.now + 1.0, math.ceil(up_at - self.now) + self.now if up_at > self.now else 0.0)
        if polled > self.now + 1.0:
            self.now = polled - 1.0
            self.note("poll", transport="polling", error="poll failed")
        self.now = polled
        self.note("poll", transport="polling", status=200, latency_ms=round(self.rng.uniform(30, 200), 1))
        return ""


def event_lines(week: int) -> list[tuple[float, dict[str, Any]]]:
    """Return what the visitors of the event say: one after the other in time, because they compete for the service."""
    sessions, turns = [], []
    for number in range(EVENT_SESSIONS):
        rng = random.Random(f"{SEED}-event-{number}")
        session = Session(rng, RESTART - rng.uniform(120, 1200), week)
        session.end = RESTART + rng.uniform(600, 2400)
        sessions.append(session)
        steps = session.run()
        turns.append((next(steps), number, steps))
    heapq.heapify(turns)
    free_at = RESTART
    while turns:
        now, number, steps = heapq.heappop(turns)
        sessions[number].is_refused = RESTART <= now < free_at
        if now >= max(free_at, RESTART + 6) and not sessions[number].is_blocked:
            free_at = now + 1 / ACCEPTS_PER_S
        for then in steps:
            heapq.heappush(turns, (then, number, steps))
            break
    return [line for session in sessions for line in session.lines]


def week_lines(year: int, week: int) -> Iterator[bytes]:
    """Yield the lines of one ISO week in time order."""
    rng = random.Random(f"{SEED}-{year}-{week}")
    monday = datetime.datetime.combine(
        datetime.date.fromisocalendar(year, week, 1), datetime.time(), datetime.UTC
    ).timestamp()
    lines: list[tuple[float, dict[str, Any]]] = []
    for day in range(7):
        for _ in range(SESSIONS_A_DAY if day < 5 else SESSIONS_A_DAY // 2):
            hour = min(23.0, max(0.0, rng.gauss(13.5, 3.5)))
            session = Session(rng, monday + day * 86_400 + hour * 3600 + rng.random() * 60, week)
            for _ in session.run():
                pass
            lines += session.lines
    if monday <= RESTART < monday + 7 * 86_400:
        lines += event_lines(week)
    for _, line in sorted(lines, key=lambda item: item[0]):
        yield json.dumps(line, separators=(",", ":")).encode() + b"\n"


def main(folder: Path) -> None:
    for year, week in WEEKS:
        raw = io.BytesIO()
        with gzip.GzipFile(fileobj=raw, mode="wb", mtime=0) as file:
            file.writelines(week_lines(year, week))
        path = folder / f"generated-client-{year}-W{week:02}.ndjson.gz"
        path.write_bytes(raw.getvalue())
        print(f"{path}: {len(raw.getvalue()):,} bytes")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
