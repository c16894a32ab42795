"""Clients whose own clock is wrong by a month or more, and that never connect: no certificate is valid for them (R6)."""

from __future__ import annotations

import numpy as np

from wslog.diagnosis.findings import Finding, Fired, Told
from wslog.diagnosis.model import Observed, numbers, words

MIN_TOLD = 3
DAY_S = 86_400.0


def detect(seen: Observed) -> Fired:
    """Return failed connects of sessions that never opened and whose times lie far from those received beside them.

    Notes
    -----
    A month: certificates are renewed that long before they end, so a smaller error often passes; and telemetry that was kept
    on the device and sent later is late by days, hardly by a month.
    """
    fired = Fired()
    never = seen.sessions[(seen.sessions["opened_count"] == 0) & (seen.sessions["failed_count"] > 0)]
    ahead_s = dict(zip(words(seen.clocks, "session_key"), numbers(seen.clocks, "ahead_s"), strict=True))
    failed = dict(zip(words(never, "session_key"), numbers(never, "failed_count"), strict=True))
    members = set(ahead_s) & set(failed)
    if not members:
        return fired
    mask = seen.among("session_key", members) & ~seen.opened & seen.is_client
    codes, names = seen.codes("session_key")
    known = [name if name in members else "" for name in names.tolist()]
    days = np.round(np.array([ahead_s.get(name, np.nan) for name in known])[codes] / DAY_S)
    tries = np.array([failed.get(name, np.nan) for name in known])[codes]
    sure = np.where(tries >= 2, "high", "medium").astype(object)
    fired.hit("clock_wrong", mask, sure, Told([("clock_ahead_days", days), ("failed_connects", tries)]))
    if len(members) >= MIN_TOLD:
        usual = np.median([abs(ahead_s[name]) / DAY_S for name in members])
        what = f"{len(members)} clients whose clocks are wrong never connected"
        evidence = f"their lines' times are {usual:.0f} days (median) from those of the lines received beside them"
        fired.findings.append(Finding("clock_wrong", what, int(mask.sum()), len(members), evidence, "high"))
    return fired
