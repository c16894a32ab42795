"""One client walking through its visit: it connects, lives, loses the connection, retries as its policy says, polls, leaves."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import Any

from wslog.policy.policies import Policy
from wslog.simulate.policy import Walk
from wslog.simulate.records import (
    ANSWERED,
    CLIENT_LEFT,
    CLIENT_RESET,
    CLOSED,
    IDLE,
    REFUSED,
    SERVER_RESET,
    Attempt,
    Entry,
    Life,
)
from wslog.simulate.world import NETWORKS, SECOND, Visit, World, draw_place, lognormal, rare, us

CONNECT_TIMEOUT = 10 * SECOND
"""The client closes an attempt that was not answered by then, and says so."""

SYN_RETRANSMITS = (1 * SECOND, 3 * SECOND, 7 * SECOND)
"""When a handshake that got no answer is tried again by the TCP stack (RFC 6298, first timeout 1 s)."""

HIDDEN_LONG = 300 * SECOND
"""From then on a hidden page's timers run once a minute."""

FAILURES = {  # what failed: (text that an app logs, outcome by that text)
    "offline": ("net::ERR_NAME_NOT_RESOLVED", "network_failed"),
    "reset": ("Connection reset", "network_failed"),
    "tls": ("net::ERR_CERT_DATE_INVALID", "network_failed"),
    "tunnel": ("net::ERR_TUNNEL_CONNECTION_FAILED", "network_failed"),
    "status": ("unexpected response code", "rejected"),
}
BROWSER_TEXT = "WebSocket connection failed"
"""All that a browser tells its page of a failure, whatever it was (WHATWG WebSockets, "feedback from the protocol")."""

INSECURE_TEXT = "Failed to construct 'WebSocket': An insecure WebSocket connection may not be initiated from a page loaded over HTTPS."
"""The one failure that a page is told: the constructor throws (Chrome's SecurityError). What an extension blocks fails bare."""


@dataclass(frozen=True, slots=True)
class Fate:
    """What becomes of an attempt if the user stays: ``failure`` is empty when it opens."""

    decided_us: int
    failure: str = ""
    cause: str | None = None
    status: int | None = None
    reached_us: int | None = None
    answered_us: int | None = None


def fires_at(due_us: int, hidden: list[tuple[int, int]]) -> int:
    """Return when a page's timer fires that is due at a time: in a hidden page each second, after five minutes each minute.

    A page that is shown again runs what waits at once (developer.chrome.com, timer throttling in Chrome 88; what exempts a
    timer from the minute there, the depth of its chain among it, is left out).
    """
    for first, until in hidden:
        if first <= due_us < until:
            step = 60 * SECOND if due_us - first >= HIDDEN_LONG else SECOND
            return min(first - (first - due_us) // step * step, until)
    return due_us


class Session:
    """The client of one visit; :meth:`run` returns its :class:`Life`."""

    def __init__(self, world: World, visit: Visit, policy: Policy, is_remembered: bool = False) -> None:
        self.world, self.visit, self.policy = world, visit, policy
        self.walk = Walk(policy, int(visit.session_id, 16))
        self.patience = min(CONNECT_TIMEOUT, us(min(policy.connect_timeout_s, 1e6)))
        self.user, self.rng = visit.user, visit.rng
        self.network, self.block, self.address = self.user.network, self.user.block, self.user.address
        self.now, self.leave_us = visit.start_us, visit.leave_us
        self.life = Life(visit, is_remembered=is_remembered)
        self.hidden, self.held_back_us = world.hidden(visit), 0
        self.up_us = 0
        self.down_cause = ""
        self.next_network_us: int | None = None
        stay = visit.leave_us - visit.start_us
        flap_from = visit.start_us + int(stay * self.rng.uniform(0.0, 0.7))
        flap_for = us(self.rng.uniform(15, 90))
        flaps = self.rng.random() < 0.05 and world.has("flapping_server")
        self.flap = (flap_from, flap_from + flap_for) if flaps else (0, 0)

    def run(self) -> Life:
        if self.life.is_remembered:
            return self._stop_retrying()
        while True:
            attempt = self._connect(self.walk.retry)
            if attempt.outcome == "abandoned":
                return self._left()
            tried_us = self.now - attempt.started_us
            if attempt.opened_us is not None:
                self._live(attempt)
                if self.life.left_us is not None:
                    return self.life
                tried_us = 0
                self.walk.opened((self.now - attempt.opened_us) / 1e6)
                if attempt.cause is None:
                    continue
            if self.world.has("page_left") and self.rng.random() < 0.08:
                self.leave_us = min(self.leave_us, self.now + us(self.rng.expovariate(1 / 6)))
            wait_s = self.walk.next_s(tried_us / 1e6)
            if wait_s is None:
                return self._stop_retrying()
            limits = {"retry": self.walk.retry, "max_retries": self.policy.max_attempts}
            self._note("retry", None, **limits, delay_ms=round(wait_s * 1e3, 3))
            due = self.now + us(wait_s)
            self.held_back_us = fires_at(due, self.hidden) - due
            if due + self.held_back_us >= self.leave_us:
                return self._left()
            self.now = due + self.held_back_us

    # --- notes ---

    def _note(self, event: str, attempt: Attempt | None, **fields: Any) -> None:
        self._change_network()
        self.life.entries.append(Entry(self.now, event, attempt, self.network, fields))

    def _change_network(self) -> None:
        """Tell of a network change whose time has come."""
        if self.next_network_us is None or self.next_network_us > self.now:
            return
        at, self.next_network_us = self.next_network_us, None
        kind = "cellular" if self.network.type == "wifi" else "wifi"
        self.network = NETWORKS[kind]
        self.block, self.address = draw_place(kind, self.rng)
        self.life.entries.append(Entry(at, "network", None, self.network, {}))
        self.life.moves_us.append(at)

    def _left(self) -> Life:
        self.life.left_us = max(self.leave_us, self.now)
        return self.life

    # --- connecting ---

    def _connect(self, retry: int) -> Attempt:
        self._change_network()
        attempt = Attempt(
            session_id=self.visit.session_id,
            connection_id=f"{self.rng.getrandbits(48):012x}",
            number=len(self.life.attempts) + 1,
            retry_number=retry,
            started_us=self.now,
            front_end=self.user.front_end,
            network_type=self.network.type,
            asn=self.block.asn,
            address=self.address,
            held_back_us=self.held_back_us,
        )
        self.held_back_us = 0
        self.life.attempts.append(attempt)
        self._note("attempt", attempt)
        fate = self._fate()
        if self.world.has("page_left") and self.rng.random() < 0.01:
            self.leave_us = min(self.leave_us, self.now + int((fate.decided_us - self.now) * self.rng.random()))
        if self.leave_us <= fate.decided_us:
            self._abandon(attempt, fate)
        else:
            self._decide(attempt, fate)
        return attempt

    def _fate(self) -> Fate:
        """Ask the way to the server; an answer is asked of the front end."""
        rng, now = self.rng, self.now
        hangs = rng.random() < 0.3
        quick = us(rng.uniform(0.005, 0.08))
        if self.user.is_clock_wrong:
            return Fate(now + quick, "tls", "tls_or_clock")
        if self.user.page_refusal:
            return Fate(now + us(rng.uniform(0.001, 0.004)), self.user.page_refusal, "browser_or_page")
        if self.user.is_blocked and self.network.type == "vpn":
            is_silent = self.user.number % 3 == 0
            return Fate(
                now + (self.patience if is_silent else quick), "timeout" if is_silent else "tunnel", "blocked_upgrade"
            )
        if now >= self.up_us:
            return self._answer(now)
        if not hangs:
            return Fate(now + quick, "offline", self.down_cause)
        # a handshake begun on a network that is left meanwhile is lost with it
        probes = SYN_RETRANSMITS if self.next_network_us is None else ()
        rescue = next((now + after for after in probes if now + after >= self.up_us and after < self.patience), None)
        return Fate(now + self.patience, "timeout", self.down_cause) if rescue is None else self._answer(rescue)

    def _answer(self, sent_us: int) -> Fate:
        """Return what the service says to a request that is on its way from ``sent_us`` on."""
        whole = us(lognormal(self.rng, self.network.rtt_ms * 2.2e-3, 0.4))
        is_unlucky = self.rng.random() < 0.004
        reached, answered = sent_us + whole * 2 // 5, sent_us + whole * 3 // 5
        if self.world.renewed_us(sent_us):
            return Fate(answered, "tls", "certificate_expired")
        if self.world.refused_until(self.user.front_end, reached):
            return Fate(
                sent_us + whole, "status", "restart_herd", self.user.front_end.refusal_status, reached, answered
            )
        if self.user.refusal:
            return Fate(sent_us + whole, "status", "server_refused", self.user.refusal, reached, answered)
        if is_unlucky and self.world.has("random_drop"):
            return Fate(sent_us + whole, "reset", "random_drop")
        return Fate(sent_us + whole, status=101, reached_us=reached, answered_us=answered)

    def _decide(self, attempt: Attempt, fate: Fate) -> None:
        self.now = fate.decided_us
        attempt.reached_us, attempt.answered_us, attempt.http_status = fate.reached_us, fate.answered_us, fate.status
        if not fate.failure:
            attempt.opened_us = fate.decided_us
            self._note("open", attempt)
            return
        attempt.ended_us, attempt.cause, attempt.lost_us = self.now, fate.cause, self.now
        attempt.close_code, attempt.was_clean = 1006, False
        attempt.error_text, attempt.outcome = BROWSER_TEXT, "never_opened"
        if fate.failure == "timeout":
            attempt.error_text, attempt.outcome = "connect timeout", "handshake_timeout"
        elif fate.failure == "insecure":
            attempt.error_text = INSECURE_TEXT
        elif self.user.is_app:
            attempt.error_text, attempt.outcome = FAILURES[fate.failure]
            attempt.seen_status = fate.status
        if fate.answered_us is not None:
            attempt.front_end_ended_us = fate.answered_us
            attempt.severed = REFUSED if fate.cause == "restart_herd" else ANSWERED
        self._note("error", attempt)
        self._note("close", attempt)

    def _abandon(self, attempt: Attempt, fate: Fate) -> None:
        """The page is left while connecting; the front end may have answered already."""
        self.now = self.leave_us
        attempt.ended_us = attempt.lost_us = self.now
        attempt.outcome, attempt.error_text = "abandoned", "page_left"
        self._note("close", attempt)
        if fate.reached_us is None or fate.answered_us is None or fate.reached_us >= self.now:
            return
        attempt.reached_us = fate.reached_us
        if fate.answered_us > self.now:
            attempt.front_end_ended_us, attempt.severed = self.now, CLIENT_LEFT
            attempt.http_status = 499 if attempt.front_end.name == "nginx" else None
            return
        attempt.answered_us, attempt.http_status = fate.answered_us, fate.status
        is_open = fate.status == 101
        attempt.front_end_ended_us = self.now + us(0.01) if is_open else fate.answered_us
        attempt.severed = CLOSED if is_open else REFUSED if fate.cause == "restart_herd" else ANSWERED

    # --- connected ---

    def _live(self, attempt: Attempt) -> None:
        """Stay connected until the first thing that ends it."""
        opened = self.now
        dangers = self._dangers(opened)
        kind = min(dangers, key=lambda name: dangers[name])
        self.now = max(opened + us(0.02), dangers[kind])
        attempt.silence_us = min(self.now - opened, us(self.rng.uniform(5, 25)))
        if kind == "leave":
            self._leave(attempt)
        else:
            getattr(self, f"_{kind}")(attempt)

    def _dangers(self, opened: int) -> dict[str, int]:
        """Return when each thing that can happen to an open connection would end it, by the method that ends it."""
        rng, world, user = self.rng, self.world, self.user
        drop, handover, asleep, bug, renew = (
            opened + rare(rng, rate) for rate in (self.network.drops_per_hour, 0.5, 0.4, 1.5, 0.1)
        )
        quiet = opened + us(rng.uniform(0, 30) + user.front_end.idle_timeout_s)
        found = {"leave": self.leave_us, "renew": renew}
        if world.has("carrier" if self.network.type == "cellular" else "random_drop"):
            found["drop"] = drop
        if user.is_quiet:
            found["idle"] = quiet
        if user.is_phone and self.network.type in ("wifi", "cellular") and world.has("handover"):
            found["handover"] = handover
        if user.sleeps:
            found["sleep"] = asleep
        if user.is_buggy:
            found["bug"] = bug
        if opened < self.flap[1]:
            found["flap"] = max(opened, self.flap[0]) + us(rng.uniform(0.3, 3.5))
        restart = world.next_restart(user.front_end, opened)
        if restart is not None:
            found["restart"] = restart.at_us + us(rng.random() * (3.0 if restart.is_graceful else 0.8))
        return found

    def _leave(self, attempt: Attempt) -> None:
        rng, chance = self.rng, self.rng.random()
        is_plain = not self.world.has("page_left")
        if is_plain or chance < 0.3:
            self._close(attempt, "closed_normally", 1000, "client")
        elif chance < 0.4 and self.user.is_app:
            self._close(attempt, "unloaded", 1001, "client")
        elif chance < 0.75:
            attempt.error_text = "page_left"
            self._close(attempt, "unloaded", None, "client")
        elif chance < 0.9:
            # killed: the client tells nobody, the front end finds out
            attempt.ended_us = attempt.lost_us = self.now
            attempt.outcome, attempt.is_end_visible = "unloaded", False
            self._ends_at_front_end(attempt, self.now + us(rng.uniform(0.01, 0.2)), CLIENT_RESET)
        else:
            # put aside by the browser (back/forward cache): it cuts the socket, and nobody comes back
            self._drop_with(attempt, "page_left", CLIENT_RESET)
        self.leave_us = self.now
        self._left()

    def _drop(self, attempt: Attempt) -> None:
        outage = us(lognormal(self.rng, self.network.outage_s, self.network.outage_sigma))
        self.up_us = self.now + outage
        self._drop_with(attempt, "carrier" if self.network.type == "cellular" else "random_drop")

    def _idle(self, attempt: Attempt) -> None:
        attempt.silence_us = us(attempt.front_end.idle_timeout_s)
        self._drop_with(attempt, "idle_timeout", IDLE)

    def _handover(self, attempt: Attempt) -> None:
        """The client moves to another network: it is told shortly before or after the old one is gone."""
        assert attempt.opened_us is not None
        is_before, gap = self.rng.random() < 0.5, us(self.rng.uniform(0.05, 2.0))
        self.up_us = self.now + us(lognormal(self.rng, 2.5, 0.7))
        self.next_network_us = max(attempt.opened_us + 1, self.now - gap) if is_before else self.now + gap
        self.up_us = max(self.up_us, self.next_network_us)
        self._drop_with(attempt, "handover")

    def _sleep(self, attempt: Attempt) -> None:
        """The page is asleep longer than the front end waits; the client notices when it wakes up."""
        asleep, idle = self.now, us(attempt.front_end.idle_timeout_s)
        self.now += idle + us(10 + lognormal(self.rng, 600.0, 0.8))
        attempt.silence_us = self.now - asleep
        self.leave_us = max(self.leave_us, self.now + us(self.rng.uniform(5, 300)))
        self.up_us = self.now + us(lognormal(self.rng, 0.8, 0.6))
        self._ends_at_front_end(attempt, asleep + idle, IDLE)
        attempt.lost_us = attempt.front_end_ended_us
        self._drop_with(attempt, "sleep")

    def _flap(self, attempt: Attempt) -> None:
        self._drop_with(attempt, "flapping_server", SERVER_RESET)

    def _restart(self, attempt: Attempt) -> None:
        if attempt.front_end.is_restart_graceful:
            attempt.cause, attempt.close_reason = "restart_herd", "service restart"
            self._close(attempt, "closed_by_server", 1012, "server")
        else:
            self._drop_with(attempt, "restart_herd", SERVER_RESET)

    def _bug(self, attempt: Attempt) -> None:
        attempt.cause, attempt.close_reason = "client_bug", "message too big"
        self._close(attempt, "closed_by_server", 1009, "server")

    def _renew(self, attempt: Attempt) -> None:
        """The server ends the login's time; the client connects again at once: no outage."""
        attempt.close_reason = "session expired"
        self._close(attempt, "closed_by_application", 4001, "server")

    def _close(self, attempt: Attempt, outcome: str, code: int | None, ended_by: str) -> None:
        """End with a close frame, or (no code) with a page that tells that it is left."""
        attempt.ended_us = attempt.lost_us = self.now
        attempt.outcome, attempt.close_code, attempt.ended_by = outcome, code, ended_by
        attempt.was_clean = True if code else None
        self._ends_at_front_end(attempt, self.now + us(self.rng.uniform(0.001, 0.05)), CLOSED)
        self._note("close", attempt)

    def _drop_with(self, attempt: Attempt, cause: str, severed: str = "") -> None:
        """End without a close frame: 1006. A path that is cut tells the front end at once, or nobody until it times out."""
        attempt.ended_us, attempt.outcome, attempt.cause = self.now, "dropped", cause
        attempt.close_code, attempt.was_clean = 1006, False
        self.down_cause = cause
        if attempt.lost_us is None:
            attempt.lost_us = self.now
            if not severed:
                severed = CLIENT_RESET if self.rng.random() < 0.5 else IDLE
                late = us(attempt.front_end.idle_timeout_s) if severed == IDLE else us(0.05)
                self._ends_at_front_end(attempt, self.now + late, severed)
            else:
                self._ends_at_front_end(attempt, self.now, severed)
        self._note("close", attempt)

    def _ends_at_front_end(self, attempt: Attempt, at_us: int, severed: str) -> None:
        assert attempt.opened_us is not None
        restart = self.world.next_restart(attempt.front_end, attempt.opened_us)
        if restart is not None and restart.at_us < at_us and severed in (IDLE, CLIENT_RESET):
            at_us, severed = restart.at_us, SERVER_RESET
        attempt.front_end_ended_us, attempt.severed = at_us, severed

    # --- without WebSocket ---

    def _stop_retrying(self) -> Life:
        """Poll until the user leaves; the telemetry tells the first poll, the last that failed and the first that did not."""
        fallback = self.policy.fallback
        if fallback is None or not self.user.has_polling:
            self.life.gave_up_us = self.now
            return self._left()
        self.life.fell_back_us = self.now
        self._note("fallback", None, transport="polling")
        is_refused = self.user.is_clock_wrong or self.user.refusal == 401
        served_us = (
            max(self.up_us, self.world.refused_until(self.user.front_end, self.now), self.world.renewed_us(self.now))
            if not is_refused
            else self.leave_us
        )
        poll = us(fallback.interval_s)
        failed_count = max(0, ceil((served_us - self.now) / poll) - 1)
        start, status = self.now, self._poll_failure()
        for k in sorted({min(1, failed_count), failed_count} - {0}):
            self._poll(start + k * poll, status)
        if not is_refused and self._poll(start + (failed_count + 1) * poll, 200):
            self.life.first_poll_ok_us = self.now
        return self._left()

    def _poll_failure(self) -> int | None:
        if self.user.refusal == 401:
            return 401
        is_down = self.now >= self.up_us and self.world.refused_until(self.user.front_end, self.now)
        return self.user.front_end.refusal_status if is_down else None

    def _poll(self, sent_us: int, status: int | None) -> bool:
        """Poll once; False when the user is gone before the answer."""
        trip = us(self.rng.uniform(0.03, 0.2))
        if sent_us + trip >= self.leave_us:
            return False
        self.now = sent_us + trip
        fields: dict[str, Any] = {"latency_ms": trip / 1e3}
        if status is None:
            fields["error"] = "poll failed"
        else:
            fields["status"] = status
        self._note("poll", None, transport="polling", **fields)
        return True
