"""Clients whose own clock is wrong by a month or more, and that never connect: no certificate is valid for them (R6)."""

from __future__ import annotations

import numpy as np

from wslog.diagnosis.model import Finding, Fired, Observed, among, numbers, words

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
    key = seen.words("session_key")
    mask = among(key, members) & ~seen.opened & (seen.words("side") == "client")
    sure = ["high" if failed[name] >= 2 else "medium" for name in key[mask]]
    texts = [f"clock_ahead_days={ahead_s[name] / DAY_S:.0f} failed_connects={failed[name]:.0f}" for name in key[mask]]
    fired.hit("clock_wrong", mask, sure, texts)
    if len(members) >= MIN_TOLD:
        days = np.median([abs(ahead_s[name]) / DAY_S for name in members])
        what = f"{len(members)} clients whose clocks are wrong never connected"
        evidence = f"their lines' times are {days:.0f} days (median) from those of the lines received beside them"
        fired.findings.append(Finding("clock_wrong", what, int(mask.sum()), len(members), evidence, "high"))
    return fired
