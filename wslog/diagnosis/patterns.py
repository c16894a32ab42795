"""Patterns of one session: opens that die at once, a loss that is the last word, and causes that pass on to what follows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from wslog.diagnosis.findings import Finding, Fired, Hits, Told
from wslog.diagnosis.model import IntArray, Observed, TextArray, coded
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
    # outages by number; none: -1, which is counted at the end
    outage = pd.factorize(seen.numbers("episode_key"))[0]
    short = seen.opened & (seen.numbers("lifetime_s") < STABLE_S) & (outage >= 0)
    count = np.bincount(outage[short], minlength=int(outage.max(initial=-1)) + 2).astype(np.float64)[outage]
    unclean = seen.among("outcome", ("dropped", "closed_by_server", "idle_timeout"))
    row = seen.opened & unclean & (count >= MIN_SHORT)
    sure = np.where(short, "high", "medium").astype(object)
    parts = [("short_opens_in_outage", count), ("lifetime_s", seen.numbers("lifetime_s"))]
    fired.hit("flapping", row, sure, Told(parts))
    if row.sum() >= MIN_TOLD:
        outages = len(np.unique(outage[row]))
        sessions = seen.distinct("cluster_key", row)
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
    able = seen.is_client & seen.among("outcome", ("dropped",)) & ~seen.among("session_key", ("",)) & ~np.isnan(at)
    able &= at + GIVE_UP_S * 1e6 <= seen.numbers("watched_us")
    # a retry that is announced, at the same millisecond too, shows a page that was there
    goes_on = (last > at) | (seen.numbers("retry_count") > 0) | (seen.numbers("fallback_count") > 0)
    kind, _ = coded([seen.words("format"), seen.words("browser")])
    gone = np.zeros(len(at), dtype=bool)
    share = np.full(len(at), np.nan)
    for code in np.unique(kind[able]).tolist():
        here = able & (kind == code)
        followed = float(goes_on[here].mean())
        if here.sum() >= MIN_LOSSES and followed >= MIN_FOLLOWED:
            gone |= here & ~goes_on
            share[here] = round(followed, 3)
    parts = [("share_of_like_losses_that_go_on", share)]
    fired.hit("last_words", gone, "medium", Told(parts))
    if gone.sum() >= MIN_TOLD:
        sessions = seen.distinct("cluster_key", gone)
        what = f"after {int(gone.sum())} losses the page was gone: nothing came after them"
        evidence = f"{100 * float(np.nanmean(share[gone])):.0f} % of comparable losses are followed by another line"
        fired.findings.append(Finding("last_words", what, int(gone.sum()), sessions, evidence, "medium"))
    return fired


def inherit(seen: Observed, causes: TextArray, confidence: TextArray) -> Fired:
    """Return causes that pass from one view of a connection to the other, and from the begin of an outage to its retries.

    Parameters
    ----------
    seen : Observed
    causes, confidence : (cases,) arrays of str
        What other rules found; empty where nothing did.
    """
    fired = Fired()
    side = seen.words("side")
    _pass_on(fired, "other_side", causes, confidence, seen.peers, side, CAUSES_OF_BOTH)
    began = np.where((seen.triggers == np.arange(seen.count)) | seen.opened, -1, seen.triggers)
    _pass_on(fired, "same_outage", causes, None, began, side, LASTING)
    return fired


CAUSES_OF_BOTH: tuple[str, ...] = (
    "handover", "carrier", "restart_herd", "sleep", "flapping_server", "idle_timeout", "client_bug", "server_refused", "page_left",
)  # fmt: skip


def _pass_on(
    fired: Fired,
    rule_id: str,
    causes: TextArray,
    confidence: TextArray | None,
    origin: IntArray,
    side: TextArray,
    allowed: Sequence[str],
) -> None:
    given = np.where(origin >= 0, causes[np.maximum(origin, 0)], "")
    mask = (causes == "") & np.asarray(pd.Series(given, dtype=object).isin(allowed))
    at = np.flatnonzero(mask).astype(np.int64)
    if not len(at):
        return
    if confidence is None:
        fired.hits.append(Hits(rule_id, at, "low", Told([("outage_began_by", given)]), given[at]))
        return
    known = confidence[origin[at]]
    sure = np.where((known == "high") | (known == "medium"), "medium", "low").astype(object)
    there = np.where(origin >= 0, side[np.maximum(origin, 0)], "")
    fired.hits.append(Hits(rule_id, at, sure, Told([("told_by", there), ("cause", given)]), given[at]))
