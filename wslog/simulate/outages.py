"""The outages of one simulated session.

Found by a small state machine written from the definitions and not from wslog's SQL, so that the two can be held against each
other.
"""

from __future__ import annotations

from dataclasses import dataclass

from wslog.outcomes import STABLE_S
from wslog.simulate.records import Attempt, Life
from wslog.simulate.world import SECOND

LOSSES = ("dropped", "idle_timeout", "closed_by_server")
ON_PURPOSE = ("closed_normally", "closed_by_application")
STABLE = STABLE_S * SECOND


@dataclass(slots=True)
class Outage:
    """One outage of a session; times in µs since 1970 UTC."""

    trigger: Attempt
    started_us: int
    attempt_count: int = 0
    failed_count: int = 0
    short_open_count: int = 0
    end: str = "censored"
    ended_us: int = 0
    served_us: int | None = None
    is_end_visible: bool = True

    @property
    def is_drop(self) -> bool:
        return self.trigger.opened_us is not None

    def finish(self, end: str, ended_us: int, served_us: int | None = None, is_end_visible: bool = True) -> None:
        self.end, self.ended_us, self.served_us, self.is_end_visible = end, ended_us, served_us, is_end_visible


def outages_of(life: Life, end_us: int, watched_us: int) -> list[Outage]:
    """Return the outages of one visit.

    The world ends at ``end_us``; the client log's last line, at ``watched_us``, is the last that anybody heard of it.

    An outage begins with the loss of an open connection or with a failed attempt. An open ends it when it is not lost for
    :data:`~wslog.outcomes.STABLE_S` s or is closed on purpose before; when the page is left before, it ended as ``left``;
    when the client log ends before, it is censored. Without such an open it ends with the fallback, with giving up, with a page
    that is left, or it is censored.
    """
    found: list[Outage] = []
    current: Outage | None = None
    for attempt in life.attempts:
        lived = _lived(attempt, watched_us)
        is_lost = attempt.outcome in LOSSES
        if current is None:
            current = _begin(attempt, is_lost, lived)
            found += [current] if current else []
            continue
        current.attempt_count += 1
        if lived is None:
            current.failed_count += 1
        elif is_lost and lived < STABLE:
            current.short_open_count += 1
        else:
            _end_with(current, attempt, lived, end_us)
            current = _begin(attempt, is_lost, lived)
            found += [current] if current else []
    if current is not None and not current.ended_us:
        _end_without_open(current, life, end_us)
    return found


def _lived(attempt: Attempt, watched_us: int) -> int | None:
    """Return for how long the connection was seen open, None when it did not open."""
    if attempt.opened_us is None:
        return None
    return (watched_us if attempt.ended_us is None else attempt.ended_us) - attempt.opened_us


def _begin(attempt: Attempt, is_lost: bool, lived: int | None) -> Outage | None:
    if is_lost and lived is not None:
        assert attempt.ended_us is not None
        is_short = lived < STABLE
        return Outage(attempt, attempt.ended_us, attempt_count=int(is_short), short_open_count=int(is_short))
    if lived is None and attempt.ended_us is not None and attempt.outcome != "abandoned":
        return Outage(attempt, attempt.started_us, attempt_count=1, failed_count=1)
    return None


def _end_with(outage: Outage, attempt: Attempt, lived: int, end_us: int) -> None:
    assert attempt.opened_us is not None
    if lived >= STABLE or attempt.outcome in ON_PURPOSE:
        outage.finish("recovered", attempt.opened_us, attempt.opened_us)
    elif attempt.ended_us is not None:
        outage.finish("left", attempt.opened_us, is_end_visible=attempt.is_end_visible)
    else:
        outage.finish("censored", end_us)


def _end_without_open(outage: Outage, life: Life, end_us: int) -> None:
    last = life.attempts[-1]
    gone_us = life.left_us or end_us
    if life.fell_back_us is not None:
        outage.finish("fell_back", life.fell_back_us, life.first_poll_ok_us)
    elif life.gave_up_us is not None:
        outage.finish("gave_up", gone_us)
    elif last.outcome == "abandoned" and last.ended_us is not None:
        outage.finish("left", last.ended_us)
    elif life.left_us is not None:
        outage.finish("left", life.left_us, is_end_visible=False)
    else:
        outage.finish("censored", end_us)
