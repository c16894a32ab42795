"""Sleep and frozen tabs: the client learned late that its connection was gone. The definition is ``wslog/sql/sleeps.sql``."""

from __future__ import annotations

import numpy as np

from wslog.diagnosis.findings import Finding, Fired, Told
from wslog.diagnosis.model import Observed

CONFIDENCES = {"late_notice": "high", "suspended_clock": "high", "long_silence": "medium"}
"""Rules, strongest first, and how sure each is."""

MIN_TOLD = 3


def detect(seen: Observed) -> Fired:
    """Return the cases that the table ``sleeps`` holds."""
    fired = Fired()
    for rule_id, confidence in CONFIDENCES.items():
        mask = seen.among("sleep_rule", (rule_id,))
        parts = [
            (n, np.round(seen.numbers(n), 1)) for n in ("noticed_late_s", "stood_s", "silence_s", "usual_silence_s")
        ]
        fired.hit(rule_id, mask, confidence, Told(parts))
    both = ~seen.among("sleep_rule", ("",)) & seen.is_client
    if both.sum() >= MIN_TOLD:
        sessions = seen.distinct("cluster_key", both)
        what = f"{int(both.sum())} losses were noticed late, after a long silence: sleep or frozen tabs"
        counts = {rule_id: int((both & seen.among("sleep_rule", (rule_id,))).sum()) for rule_id in CONFIDENCES}
        evidence = (
            f"for {counts['late_notice']} the other side's log shows that the connection had ended before, "
            f"for {counts['suspended_clock']} the page's clock stood still"
        )
        strongest = next(rule_id for rule_id in CONFIDENCES if counts[rule_id])
        fired.findings.append(Finding(strongest, what, int(both.sum()), sessions, evidence, CONFIDENCES[strongest]))
    return fired
