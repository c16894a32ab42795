"""Whether the logs hold what names an outage's cause: decided from what was written into them, not from what anybody found.

For each cause, what a log must hold (``client``: the client log by itself; with the front ends' logs joined to it: also the rest):

==================  =================================================================================================
tls_or_clock        the failure's text, or lines whose times are a month or more from those received beside them
certificate_expired the failure's text; or a failure between the first and the last such text of five sessions at that front end
browser_or_page     the failure's text (what an extension blocks fails without one)
blocked_upgrade     the failure's text; or two failed attempts, no open, and no failed poll, where three sessions of that kind
                    of network polled with success
server_refused      the HTTP status, in the client's line or in the front end's
idle_timeout        the length of the silence, and eight such outages at that front end; or the front end's own word for it
restart_herd        code 1012; else five sessions lost within ten seconds, and for a failed connect the status as well
handover            the line that tells of another network, from 5 s before the loss to 30 s after it
carrier             a loss on a mobile network of a connection that lasted, in a session that goes on for 5 s (a handover
                    would have been told), where ten such losses make twice the rate of the other networks
page_left           the loss is the last line of its session, five minutes or more before the log ends, and twenty losses are in it
flapping_server     two opens of the outage died at once
sleep               a silence of 60 s and five times the upper quartile; or 30 s, and the front end's end 5 s before
client_bug          the code in the close frame
random_drop         never: nothing names it, and ``unexplained`` is the right answer
==================  =================================================================================================
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from wslog.outcomes import GIVE_UP_S, STABLE_S
from wslog.simulate.outages import Outage
from wslog.simulate.records import IDLE, Attempt, Life
from wslog.simulate.session import FAILURES
from wslog.simulate.world import EXTRAS, SECOND

MIN_PEAK, MIN_HERD, MIN_BLOCKED, MIN_LOSSES, MIN_LEFT, MIN_EXPIRED = 8, 5, 3, 10, 20, 5
LOGS_OF = {"nginx": "nginx_access", "haproxy": "haproxy_http"}

Pair = tuple[Outage, Life]


def evident(
    pairs: Sequence[Pair], lives: Sequence[Life], end_us: int, logged: frozenset[str], formats: frozenset[str]
) -> list[tuple[bool, bool]]:
    """Return for each outage whether the client log tells its cause, and whether all logs together do.

    Parameters
    ----------
    pairs : sequence of (Outage, Life)
    lives : sequence of Life
    end_us : int
        Where the logs end.
    logged : frozenset of str
        Sessions that the client log has; of others no log tells an outage.
    formats : frozenset of str
        The logs that are written.
    """
    if "wslog_client" not in formats:
        return [(False, False)] * len(pairs)
    written = Written(
        [pair for pair in pairs if pair[0].trigger.session_id in logged],
        [life for life in lives if life.visit.session_id in logged],
        end_us,
        formats,
    )
    return [written.tells(*pair) if pair[0].trigger.session_id in logged else (False, False) for pair in pairs]


class Written:
    """The logs as a whole, and what they tell of one outage."""

    def __init__(self, pairs: Sequence[Pair], lives: Sequence[Life], end_us: int, formats: frozenset[str]) -> None:
        self.end_us, self.formats = end_us, formats
        silences = sorted(a.silence_us for life in lives for a in life.attempts if a.silence_us and a.ended_us)
        self.usual_silence_us = silences[len(silences) * 3 // 4] if silences else end_us
        self.idle_count = Counter(o.trigger.front_end.name for o, _ in pairs if o.trigger.cause == "idle_timeout")
        self.blocked_count = Counter(
            life.visit.user.network.type for life in lives if _never_opened(life) and life.first_poll_ok_us
        )
        self.lost_count = sum(o.is_drop for o, _ in pairs)
        self.losses: dict[str, list[int]] = {}
        for outage, _ in pairs:
            if outage.is_drop and outage.trigger.cause == "restart_herd":
                self.losses.setdefault(outage.trigger.front_end.name, []).append(outage.started_us)
        self.is_mobile_worse = _is_mobile_worse(pairs, lives)
        self.expired: dict[str, tuple[int, int]] = _expired(lives)

    def tells(self, outage: Outage, life: Life) -> tuple[bool, bool]:
        cause = outage.trigger.cause
        judge: Callable[[Outage, Life], tuple[bool, bool]] | None = getattr(self, f"_{cause}", None)
        client, joined = judge(outage, life) if judge is not None else (False, False)
        return client, client or joined

    # --- one cause each: (the client log tells it, the front end's log adds what tells it) ---

    def _tls_or_clock(self, outage: Outage, life: Life) -> tuple[bool, bool]:
        return True, False  # every such device has both: its clock is wrong by a year or more

    def _certificate_expired(self, outage: Outage, life: Life) -> tuple[bool, bool]:
        attempt = outage.trigger
        if attempt.error_text == FAILURES["tls"][0]:
            return True, False
        first_us, last_us = self.expired.get(attempt.front_end.name, (0, -1))
        return first_us <= attempt.started_us <= last_us, False

    def _browser_or_page(self, outage: Outage, life: Life) -> tuple[bool, bool]:
        return life.visit.user.page_refusal == "insecure", False

    def _blocked_upgrade(self, outage: Outage, life: Life) -> tuple[bool, bool]:
        if "TUNNEL" in (outage.trigger.error_text or ""):
            return True, False
        has_failed_poll = life.fell_back_us is not None and any(
            e.event == "poll" and e.fields.get("status") != 200 for e in life.entries
        )
        is_enough = self.blocked_count[life.visit.user.network.type] >= MIN_BLOCKED
        return _never_opened(life) and not has_failed_poll and is_enough, False

    def _server_refused(self, outage: Outage, life: Life) -> tuple[bool, bool]:
        return outage.trigger.seen_status is not None, self._status(outage.trigger) is not None

    def _idle_timeout(self, outage: Outage, life: Life) -> tuple[bool, bool]:
        attempt = outage.trigger
        says = attempt.front_end.name == "haproxy" and self._is_logged(attempt) and attempt.severed == IDLE
        return self.idle_count[attempt.front_end.name] >= MIN_PEAK, says

    def _restart_herd(self, outage: Outage, life: Life) -> tuple[bool, bool]:
        attempt = outage.trigger
        if attempt.close_code == 1012:
            return True, False
        losses = self.losses.get(attempt.front_end.name, [])
        if outage.is_drop:
            return sum(abs(at - outage.started_us) <= 10 * SECOND for at in losses) >= MIN_HERD, False
        is_after = sum(0 <= outage.started_us - at <= 60 * SECOND for at in losses) >= MIN_HERD
        return is_after and attempt.seen_status is not None, is_after and self._status(attempt) is not None

    def _handover(self, outage: Outage, life: Life) -> tuple[bool, bool]:
        at = outage.trigger.ended_us or outage.started_us
        return any(at - 5 * SECOND <= move <= at + 30 * SECOND for move in life.moves_us), False

    def _carrier(self, outage: Outage, life: Life) -> tuple[bool, bool]:
        attempt = outage.trigger
        if attempt.opened_us is None or attempt.ended_us is None or not self.is_mobile_worse:
            return False, False
        has_lasted = attempt.ended_us - attempt.opened_us >= STABLE_S * SECOND
        return has_lasted and life.entries[-1].at_us >= attempt.ended_us + 5 * SECOND, False

    def _page_left(self, outage: Outage, life: Life) -> tuple[bool, bool]:
        last = life.entries[-1]
        is_last = last.event == "close" and last.attempt is outage.trigger
        return is_last and self.lost_count >= MIN_LEFT and last.at_us <= self.end_us - GIVE_UP_S * SECOND, False

    def _flapping_server(self, outage: Outage, life: Life) -> tuple[bool, bool]:
        return outage.short_open_count >= 2, False

    def _sleep(self, outage: Outage, life: Life) -> tuple[bool, bool]:
        attempt = outage.trigger
        silence = attempt.silence_us or 0
        ended = attempt.front_end_ended_us
        is_late = self._is_logged(attempt) and ended is not None and outage.started_us - ended >= 5 * SECOND
        is_long = silence >= max(60 * SECOND, 5 * self.usual_silence_us)
        return is_long, is_late and silence >= 30 * SECOND

    def _client_bug(self, outage: Outage, life: Life) -> tuple[bool, bool]:
        return outage.trigger.close_code == 1009, False

    # --- the front ends' logs ---

    def _is_logged(self, attempt: Attempt) -> bool:
        return attempt.front_end_ended_us is not None and LOGS_OF[attempt.front_end.name] in self.formats

    def _status(self, attempt: Attempt) -> int | None:
        return attempt.http_status if self._is_logged(attempt) else None


def _never_opened(life: Life) -> bool:
    """Return whether the log shows two failed attempts or more, and no open."""
    failed = sum(a.opened_us is None and a.ended_us is not None and a.outcome != "abandoned" for a in life.attempts)
    return failed >= 2 and all(a.opened_us is None for a in life.attempts)


def _expired(lives: Sequence[Life]) -> dict[str, tuple[int, int]]:
    """Return from when until when five sessions or more of a front end told of the certificate that had ended."""
    told: dict[str, dict[str, list[int]]] = {}
    for life in lives:
        for a in life.attempts:
            if a.cause == EXTRAS[0] and a.ended_us is not None and a.error_text == FAILURES["tls"][0]:
                told.setdefault(a.front_end.name, {}).setdefault(a.session_id, []).append(a.started_us)
    return {
        name: (min(min(times) for times in found.values()), max(max(times) for times in found.values()))
        for name, found in told.items()
        if len(found) >= MIN_EXPIRED
    }


def _is_mobile_worse(pairs: Sequence[Pair], lives: Sequence[Life]) -> bool:
    """Return whether mobile networks lose twice as many connections an hour as others, of those that nothing else names."""
    lost = {True: 0, False: 0}
    for outage, _ in pairs:
        if outage.is_drop and outage.trigger.cause in ("carrier", "random_drop"):
            lost[outage.trigger.network_type == "cellular"] += 1
    seconds = {True: 0.0, False: 0.0}
    for life in lives:
        for a in life.attempts:
            if a.opened_us is not None and a.ended_us is not None:
                seconds[a.network_type == "cellular"] += (a.ended_us - a.opened_us) / SECOND
    if lost[True] < MIN_LOSSES or min(seconds.values()) < 3600:
        return False
    return lost[True] / seconds[True] >= 2 * lost[False] / seconds[False]
