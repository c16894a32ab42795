"""A certificate that ended: from one instant on nobody connects any more, and those that are told why say TLS (R6)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np

from wslog.diagnosis.direct import answered, page_says
from wslog.diagnosis.findings import Finding, Fired
from wslog.diagnosis.model import BoolArray, FloatArray, Observed, numbers, places, words

MIN_TOLD = 5
MIN_SHARE = 0.5
MAX_CHANCE = 0.01
MUTE = ("", "unknown")


def detect(seen: Observed) -> Fired:
    """Return failed connects without a reason of their own, at times when nobody connected and others were told of TLS.

    Notes
    -----
    A gap lies between two successive connects that opened, of one host and client format. Floor: five sessions in it whose failure
    says TLS, and half of those that are told any reason. Chance that none of the gap's sessions opened: the share of sessions
    that never open, to the power of their number; Bonferroni over the gaps. Labelled is what lies between the first and the last
    that was told of TLS.
    """
    fired = Fired()
    told = _told(seen)
    if not told.any():
        return fired
    started = seen.numbers("started_us")
    place, names = seen.places
    failed = seen.is_client & ~seen.opened & ~np.isnan(started)
    status, _ = answered(seen)
    mute = seen.among("error_class", MUTE)
    bare = failed & mute & np.isnan(status) & (page_says(seen) == "") & seen.among("outcome", ("never_opened",))
    never = _share_that_never_opens(seen)
    opens_at = places(seen.opens)
    for code in np.unique(place[told]).tolist():
        first, last, gaps = _gaps(seen, opens_at == names[code])
        here = failed & (place == code)
        gap = np.searchsorted(last, started)
        inside = here & (gap < len(first))
        inside[inside] = first[gap[inside]] < started[inside]
        for number in np.unique(gap[told & inside]).tolist():
            mine = inside & (gap == number)
            says = mine & told
            sessions, those, reasons = (seen.distinct("cluster_key", who) for who in (mine, says, mine & ~mute))
            chance = min(1.0, gaps * never**sessions)
            if those < MIN_TOLD or those < MIN_SHARE * reasons or chance > MAX_CHANCE:
                continue
            begin, end = float(started[says].min()), float(started[says].max())
            _tell(
                seen,
                fired,
                names[code],
                mine & bare & (started >= begin) & (started <= end),
                says,
                chance,
                (sessions, those),
            )
    return fired


def _told(seen: Observed) -> BoolArray:
    """Return failures that say TLS; not of clients whose clock is far off: to them any certificate has ended, at any time."""
    found: BoolArray = (
        seen.among("error_class", ("tls",)) & ~seen.opened & seen.is_client
        & ~np.isnan(seen.numbers("started_us")) & ~seen.among("session_key", set(words(seen.clocks, "session_key")))
    )  # fmt: skip
    return found


def _share_that_never_opens(seen: Observed) -> float:
    """Return the share of the sessions that tried and never opened, half a session that opened added."""
    tried = seen.sessions[(seen.sessions["opened_count"] > 0) | (seen.sessions["failed_count"] > 0)]
    return float(((tried["opened_count"] == 0).sum() + 0.5) / (len(tried) + 1))


def _gaps(seen: Observed, mask: BoolArray) -> tuple[FloatArray, FloatArray, int]:
    """Return begin and end of the times of a host without any connect that opened, and how many there are (of a minute or more)."""
    rows = seen.opens[mask]
    begins = np.sort(numbers(rows, "first_us"))
    ends = np.sort(numbers(rows, "last_us"))
    first, last = np.concatenate([[-np.inf], ends]), np.concatenate([begins, [np.inf]])
    return first, last, len(first)


def _tell(
    seen: Observed, fired: Fired, place: str, bare: BoolArray, says: BoolArray, chance: float, counts: tuple[int, int]
) -> None:
    started = seen.numbers("started_us")
    begin, end = float(started[says].min()), float(started[says].max())
    when = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=begin)).isoformat(timespec="seconds")
    when = when.replace("+00:00", "Z")
    sessions, those = counts
    text = f"nobody connected meanwhile; {those} of {sessions} sessions were told that TLS failed"
    fired.hit("tls_outage", bare, "medium", f"from {when}: {text}")
    host = place.split("\t")[2]
    size = int((bare | says).sum())
    what = (
        f"nobody could connect{f' to {host}' if host else ''} for {_lasted((end - begin) / 1e6)} from {when}: "
        "the server's certificate, most likely ended or not the host's"
    )
    fired.findings.append(Finding("tls_outage", what, size, sessions, text, "high", p_value=chance, q_value=chance))


def _lasted(seconds: float) -> str:
    return (
        f"{seconds:.0f} s"
        if seconds < 120
        else f"{seconds / 60:.0f} min"
        if seconds < 7200
        else f"{seconds / 3600:.1f} h"
    )
