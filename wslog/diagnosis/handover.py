"""Handover: the client's network changed when the connection was lost (R3), with the session's own past as control."""

from __future__ import annotations

import numpy as np
import pandas as pd

from wslog.diagnosis.findings import Finding, Fired, Told
from wslog.diagnosis.model import Observed, numbers, words
from wslog.diagnosis.moments import Moments
from wslog.diagnosis.tails import binomial_tail

BEFORE_S, AFTER_S = 5.0, 2.0
CONTROL_S = 60.0
LATER_S = 30.0
MIN_PAIRS = 30
MAX_CHANCE = 0.01
MIN_PURITY = 0.5
LOSSES = ("dropped", "network_failed", "handshake_timeout", "never_opened")


def detect(seen: Observed) -> Fired:
    """Return losses and failures at which the kind of network changed.

    Notes
    -----
    Case-crossover (Maclure 1991): the window from 5 s before to 2 s after each loss is compared with the same window a
    minute earlier in the same session, for connections that were open then; McNemar's exact test on the discordant pairs.
    The share of the changes that chance would bring is the control's count over the case's.
    """
    fired = Fired()
    at = seen.numbers("at_us") / 1e6
    able = seen.is_client & ~np.isnan(at) & seen.among("outcome", LOSSES)
    if not able.any() or seen.moves.empty:
        return fired
    codes, names = seen.codes("session_key")
    moved = pd.Index(names).get_indexer(pd.Index(words(seen.moves, "session_key"), dtype=object))
    moves = Moments(moved, numbers(seen.moves, "at_us"), codes)
    at_loss = moves.any_between(able, at - BEFORE_S, at + AFTER_S)
    is_pair = able & seen.opened & (seen.numbers("lifetime_s") >= CONTROL_S + BEFORE_S)
    shift = at - CONTROL_S
    control = moves.any_between(is_pair, shift - BEFORE_S, shift + AFTER_S)
    case_only = int((at_loss & is_pair & ~control).sum())
    control_only = int((control & ~at_loss).sum())
    pairs = case_only + control_only
    if control_only > (1 - MIN_PURITY) * case_only and pairs:
        return fired
    chance = binomial_tail(case_only, pairs, 0.5) if pairs else 1.0
    stands = pairs >= MIN_PAIRS and chance < MAX_CHANCE
    evidence = Told([("network_changed_at_s_from_loss", moves.nearest_s(at_loss, at))])
    fired.hit("handover", at_loss, "high" if stands else "medium", evidence)
    began = np.where(np.isnan(seen.numbers("outage_started_us")), at, seen.numbers("outage_started_us") / 1e6)
    later = moves.any_between(able & ~at_loss, at, np.minimum(began, at) + LATER_S)
    fired.hit("handover_later", later, "low", f"network changed within {LATER_S:.0f} s after the loss")
    lost = at_loss & seen.opened
    if stands:
        share = (case_only - control_only) / max(int(is_pair.sum()), 1)
        what = f"the network changed at {int(lost.sum())} losses: {100 * share:.1f} % of those that can be compared"
        text = f"{case_only} changed at the loss only, {control_only} a minute before only"
        sessions = seen.distinct("cluster_key", lost)
        fired.findings.append(
            Finding(
                "handover", what, int(lost.sum()), sessions, text, "high", statistic=case_only / max(control_only, 0.5),
                p_value=chance, q_value=chance,
            )
        )  # fmt: skip
    return fired
