"""Sleep and frozen tabs: the client learned late that its connection was gone."""

from __future__ import annotations

import numpy as np

from wslog.diagnosis.idle import late_s
from wslog.diagnosis.model import Finding, Fired, Observed, named, numbers, words

LATE_S = 5.0
SILENT_S = 30.0
LONG_S = 60.0
TIMES_USUAL = 5.0
MIN_KNOWN = 20
MIN_TOLD = 3


def detect(seen: Observed) -> Fired:
    """Return connections that had ended before the client noticed, and those lost after an unusual silence."""
    fired = Fired()
    late, silence = late_s(seen), seen.numbers("silence_s")
    is_client = seen.words("side") == "client"
    unclean = seen.opened & np.isin(seen.words("outcome"), ("dropped", "idle_timeout"))
    heard = is_client & ~(np.isnan(silence) | (silence >= SILENT_S))
    noticed = unclean & (late >= LATE_S) & ~heard
    parts = [("noticed_late_s", np.round(late, 1)), ("silence_s", np.round(silence, 1))]
    fired.hit("late_notice", noticed, "high", named(parts, noticed))
    usual = np.full(len(late), np.nan)
    side = seen.words("side")
    for name, count, seconds in zip(
        words(seen.totals, "side"),
        numbers(seen.totals, "silence_count"),
        numbers(seen.totals, "usual_silence_s"),
        strict=True,
    ):
        if count >= MIN_KNOWN:
            usual[side == name] = seconds
    long = unclean & is_client & (silence >= np.maximum(LONG_S, TIMES_USUAL * usual))
    parts = [("silence_s", np.round(silence, 1)), ("usual_silence_s", np.round(usual, 1))]
    fired.hit("long_silence", long, "medium", named(parts, long))
    both = (noticed | long) & is_client
    if both.sum() >= MIN_TOLD:
        sessions = len(set(seen.words("cluster_key")[both]))
        what = f"{int(both.sum())} losses were noticed late, after a long silence: sleep or frozen tabs"
        evidence = (
            f"for {int((noticed & is_client).sum())} the other side's log shows that the connection had ended before"
        )
        rule_id = "late_notice" if (noticed & is_client).any() else "long_silence"
        sure = "high" if rule_id == "late_notice" else "medium"
        fired.findings.append(Finding(rule_id, what, int(both.sum()), sessions, evidence, sure))
    return fired
