"""Patterns of one session: opens that die at once, a loss that is the last word, and causes that pass on to what follows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from wslog.diagnosis.model import Finding, Fired, Observed, named, tabbed
from wslog.outcomes import GIVE_UP_S, STABLE_S

MIN_SHORT = 2
MIN_LOSSES = 20
MIN_FOLLOWED = 0.8
MIN_TOLD = 3
LASTING = (
    "handover", "carrier", "restart_herd", "sleep", "flapping_server", "blocked_upgrade", "tls_or_clock",
)  # fmt: skip
"""Causes that can outlast the loss: a retry that fails meanwhile fails for the same reason."""


def flapping(seen: Observed) -> Fired:
    """Return opens that died at once, two or more in one outage, and the loss that began such a row."""
    fired = Fired()
    outage = seen.words("episode_id")
    short = seen.opened & (seen.numbers("lifetime_s") < STABLE_S) & (outage != "")
    many = Counter(outage[short].tolist())
    count = np.array([many[name] for name in outage], dtype=np.float64)
    unclean = np.isin(seen.words("outcome"), ("dropped", "closed_by_server", "idle_timeout"))
    row = seen.opened & unclean & (count >= MIN_SHORT)
    sure = np.where(short, "high", "medium")
    parts = [("short_opens_in_outage", count), ("lifetime_s", seen.numbers("lifetime_s"))]
    fired.hit("flapping", row, list(sure[row]), named(parts, row))
    if row.sum() >= MIN_TOLD:
        outages = len(set(outage[row]))
        sessions = len(set(seen.words("cluster_key")[row]))
        what = (
            f"connections open and die within {STABLE_S} s, again and again: {outages} outages of {sessions} sessions"
        )
        evidence = f"{int((row & short).sum())} opens that died at once"
        fired.findings.append(Finding("flapping", what, int(row.sum()), sessions, evidence))
    return fired


def last_words(seen: Observed) -> Fired:
    """Return losses after which the session tells nothing, where clients of that kind usually go on."""
    fired = Fired()
    at, last = seen.numbers("at_us"), seen.numbers("session_last_us")
    able = (
        (seen.words("side") == "client")
        & (seen.words("outcome") == "dropped")
        & (seen.words("session_key") != "")
        & ~np.isnan(at)
    )
    able &= at + GIVE_UP_S * 1e6 <= seen.numbers("watched_us")
    # a retry that is announced, at the same millisecond too, shows a page that was there
    goes_on = (last > at) | (seen.numbers("retry_count") > 0) | (seen.numbers("fallback_count") > 0)
    kind = tabbed([seen.words("format"), seen.words("browser")])
    gone = np.zeros(len(at), dtype=bool)
    share = np.full(len(at), np.nan)
    for name in sorted(set(kind[able])):
        here = able & (kind == name)
        followed = float(goes_on[here].mean())
        if here.sum() >= MIN_LOSSES and followed >= MIN_FOLLOWED:
            gone |= here & ~goes_on
            share[here] = round(followed, 3)
    parts = [("share_of_like_losses_that_go_on", share)]
    fired.hit("last_words", gone, "medium", named(parts, gone))
    if gone.sum() >= MIN_TOLD:
        sessions = len(set(seen.words("cluster_key")[gone]))
        what = f"after {int(gone.sum())} losses the page was gone: nothing came after them"
        evidence = f"{100 * float(np.nanmean(share[gone])):.0f} % of comparable losses are followed by another line"
        fired.findings.append(Finding("last_words", what, int(gone.sum()), sessions, evidence, "medium"))
    return fired


def inherit(seen: Observed, causes: npt.NDArray[Any], confidence: npt.NDArray[Any]) -> Fired:
    """Return causes that pass from one view of a connection to the other, and from the begin of an outage to its retries.

    Parameters
    ----------
    seen : Observed
    causes, confidence : (cases,) arrays of str
        What other rules found; empty where nothing did.
    """
    fired = Fired()
    place = {name: i for i, name in enumerate(seen.words("attempt_id"))}
    peers = np.array([place.get(name, -1) for name in seen.words("peer_id")], dtype=np.int64)
    _pass_on(fired, "other_side", causes, confidence, peers, seen.words("side"), CAUSES_OF_BOTH)
    began = np.array([place.get(name, -1) for name in seen.words("episode_id")], dtype=np.int64)
    began = np.where((began == np.arange(len(began))) | seen.opened, -1, began)
    _pass_on(fired, "same_outage", causes, None, began, seen.words("side"), LASTING)
    return fired


CAUSES_OF_BOTH: tuple[str, ...] = (
    "handover", "carrier", "restart_herd", "sleep", "flapping_server", "idle_timeout", "client_bug", "server_refused", "page_left",
)  # fmt: skip


def _pass_on(
    fired: Fired,
    rule_id: str,
    causes: npt.NDArray[Any],
    confidence: npt.NDArray[Any] | None,
    origin: npt.NDArray[np.int64],
    side: npt.NDArray[Any],
    allowed: Sequence[str],
) -> None:
    given = np.where(origin >= 0, causes[np.maximum(origin, 0)], "")
    mask = (causes == "") & np.isin(given, allowed)
    at = np.flatnonzero(mask).astype(np.int64)
    if not len(at):
        return
    from wslog.diagnosis.model import Hits

    if confidence is None:
        sure: list[str] = ["low"] * len(at)
    else:
        sure = ["medium" if confidence[origin[i]] in ("high", "medium") else "low" for i in at]
    where = [
        f"{given[i]} in the {side[origin[i]]} log" if confidence is not None else f"outage began by {given[i]}"
        for i in at
    ]
    fired.hits.append(Hits(rule_id, at, sure, where, [str(given[i]) for i in at]))
