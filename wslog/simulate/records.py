"""What a simulated client leaves behind: its attempts, and the entries of its telemetry. All times are µs since 1970 UTC."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from wslog.simulate.world import FrontEnd, Network, Visit

CLOSED, CLIENT_RESET, SERVER_RESET, IDLE, REFUSED, ANSWERED, CLIENT_LEFT = (
    "closed", "client_reset", "server_reset", "idle", "refused", "answered", "client_left",
)  # fmt: skip
"""How a request ended as its front end saw it: after 101 closed in order, reset by the client, reset by the server, or cut
by the idle timeout; else no server took it, the server answered with another status, or the client left first."""


@dataclass(slots=True)
class Attempt:
    """One connection attempt as it was, and as its two sides saw it.

    Attributes
    ----------
    opened_us, ended_us : int or None
        From the client's view: when it was told.
    outcome : str
        What the client can know of it, a word of :data:`wslog.schema.OUTCOMES`.
    cause : str or None
        Why it failed or was lost (:data:`~wslog.simulate.world.CAUSES`); None when nothing went wrong.
    lost_us : int or None
        When the connection was gone in truth; the client may notice later.
    is_end_visible : bool
        False when the client was gone before it could tell of the end.
    seen_status : int or None
        Status that the client was told; a browser tells its page none.
    reached_us, answered_us, front_end_ended_us : int or None
        When the request came to the front end, was answered, and ended there; None when it never came.
    http_status : int or None
        Status that the front end logs; None when it has none to log.
    severed : str
        How it ended at the front end.
    held_back_us : int
        How much later than the client's timer was due it began: the page was hidden, and the browser held the timer back.
    """

    session_id: str
    connection_id: str
    number: int
    retry_number: int
    started_us: int
    front_end: FrontEnd
    network_type: str
    asn: int
    address: str
    opened_us: int | None = None
    ended_us: int | None = None
    outcome: str = "never_opened"
    close_code: int | None = None
    close_reason: str | None = None
    was_clean: bool | None = None
    ended_by: str | None = None
    error_text: str | None = None
    seen_status: int | None = None
    cause: str | None = None
    lost_us: int | None = None
    is_end_visible: bool = True
    silence_us: int | None = None
    reached_us: int | None = None
    answered_us: int | None = None
    front_end_ended_us: int | None = None
    http_status: int | None = None
    severed: str = ""
    held_back_us: int = 0


@dataclass(slots=True)
class Entry:
    """One line of telemetry: an event of an attempt, or (``attempt`` None) of the session."""

    at_us: int
    event: str
    attempt: Attempt | None
    network: Network
    fields: dict[str, Any]


@dataclass(slots=True)
class Life:
    """What is left of a visit: attempts and entries in order of time, and how the visit ended.

    ``left_us`` is when the user was gone, ``moves_us`` when the client came to another network; ``is_remembered``: the client
    remembered an earlier fallback and did not try WebSocket.
    """

    visit: Visit
    attempts: list[Attempt] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    moves_us: list[int] = field(default_factory=list)
    left_us: int | None = None
    fell_back_us: int | None = None
    first_poll_ok_us: int | None = None
    gave_up_us: int | None = None
    is_remembered: bool = False

    def cut(self, end_us: int) -> None:
        """Forget what came at ``end_us`` or later: the logs end there."""
        self.entries = [entry for entry in self.entries if entry.at_us < end_us]
        self.attempts = [attempt for attempt in self.attempts if attempt.started_us < end_us]
        for attempt in self.attempts:
            _cut(attempt, end_us)
        self.left_us, self.fell_back_us = _before(self.left_us, end_us), _before(self.fell_back_us, end_us)
        self.first_poll_ok_us, self.gave_up_us = (
            _before(self.first_poll_ok_us, end_us),
            _before(self.gave_up_us, end_us),
        )


def _before(at_us: int | None, end_us: int) -> int | None:
    return at_us if at_us is not None and at_us < end_us else None


def _cut(attempt: Attempt, end_us: int) -> None:
    # the line of a request is written at its end: one that ends later is on no line
    attempt.front_end_ended_us = _before(attempt.front_end_ended_us, end_us)
    attempt.lost_us = _before(attempt.lost_us, end_us)
    if attempt.ended_us is None or attempt.ended_us < end_us:
        return
    attempt.ended_us = attempt.close_code = attempt.close_reason = attempt.was_clean = attempt.cause = None
    attempt.is_end_visible = True
    attempt.opened_us = _before(attempt.opened_us, end_us)
    attempt.outcome = "never_opened" if attempt.opened_us is None else "still_open"
