"""Retries that began later than announced, a minute apart: hidden pages whose timers the browser holds back. No client's fault."""

from __future__ import annotations

import numpy as np

from wslog.diagnosis.findings import Finding, Fired
from wslog.diagnosis.model import Observed, numbers
from wslog.diagnosis.tails import binomial_tail

GRID_S = 60.0
NEAR_S = 1.0
MIN_PAIRS = 8
MIN_SHARE = 0.5
MAX_CHANCE = 0.01


def detect(seen: Observed) -> Fired:
    """Return whether retries are held back to the minute.

    Notes
    -----
    A hidden page's timers run once a second, after five minutes once a minute (developer.chrome.com, timer throttling in
    Chrome 88): two attempts in a row that were both held back begin whole minutes apart. Of the pairs of successive retries
    that began a second to a minute later than announced, a minute or more apart: how many lie within a second of a multiple of
    60 s, against the 2 s in 60 that chance would put there (binomial). A policy that waits a minute announces it, and is not late.
    """
    fired = Fired()
    late, before, apart = (numbers(seen.waits, name) / 1e3 for name in ("late_ms", "before_late_ms", "apart_ms"))
    able = (apart >= GRID_S - NEAR_S) & (late <= GRID_S + NEAR_S) & (before >= NEAR_S) & (before <= GRID_S + NEAR_S)
    pairs = int(able.sum())
    on_grid = able & (np.abs(apart - GRID_S * np.round(apart / GRID_S)) <= NEAR_S)
    hits = int(on_grid.sum())
    if hits < MIN_PAIRS or hits < MIN_SHARE * pairs:
        return fired
    chance = binomial_tail(hits, pairs, 2 * NEAR_S / GRID_S)
    if chance > MAX_CHANCE:
        return fired
    total = int(numbers(seen.waits, "wait_count")[0])
    what = (
        f"{len(late):,} of {total:,} retries began later than announced, by {float(np.median(late)):.0f} s in the middle: timers of hidden "
        "pages, not the retry policy"
    )
    evidence = f"{hits} of {pairs} pairs of late retries in a row began whole minutes apart"
    fired.findings.append(
        Finding(
            "timers_held_back", what, len(late), int(seen.waits["session_number"].nunique()), evidence, "high",
            statistic=hits / (pairs * 2 * NEAR_S / GRID_S), p_value=chance, q_value=chance,
        )
    )  # fmt: skip
    return fired
