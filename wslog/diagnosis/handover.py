"""Handover: the client's network changed when the connection was lost (R3), with the session's own past as control."""

from __future__ import annotations

import numpy as np
import pandas as pd

from wslog.diagnosis.model import BoolArray, Finding, Fired, FloatArray, IntArray, Observed, named, numbers, words
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
    able = (seen.words("side") == "client") & ~np.isnan(at) & np.isin(seen.words("outcome"), LOSSES)
    if not able.any() or seen.moves.empty:
        return fired
    moves = Moves(seen)
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
    evidence = named([("network_changed_at_s_from_loss", moves.nearest_s(at_loss, at))], at_loss)
    fired.hit("handover", at_loss, "high" if stands else "medium", evidence)
    began = np.where(np.isnan(seen.numbers("outage_started_us")), at, seen.numbers("outage_started_us") / 1e6)
    later = moves.any_between(able & ~at_loss, at, np.minimum(began, at) + LATER_S)
    fired.hit(
        "handover_later", later, "low", [f"network changed within {LATER_S:.0f} s after the loss"] * int(later.sum())
    )
    lost = at_loss & seen.opened
    if stands:
        share = (case_only - control_only) / max(int(is_pair.sum()), 1)
        what = f"the network changed at {int(lost.sum())} losses: {100 * share:.1f} % of those that can be compared"
        text = f"{case_only} changed at the loss only, {control_only} a minute before only"
        sessions = len(set(seen.words("cluster_key")[lost]))
        fired.findings.append(
            Finding(
                "handover", what, int(lost.sum()), sessions, text, "high", statistic=case_only / max(control_only, 0.5),
                p_value=chance, q_value=chance,
            )
        )  # fmt: skip
    return fired


class Moves:
    """When each session came to another network, in one sorted array of (session, time)."""

    def __init__(self, seen: Observed) -> None:
        keys, at = words(seen.moves, "session_key"), numbers(seen.moves, "at_us")
        self.codes, names = pd.factorize(keys)
        self.of_case = pd.Index(names).get_indexer(pd.Index(seen.words("session_key"), dtype=object))
        self.base_us, self.width = float(at.min()), int(at.max() - at.min()) // 1000 + 2
        self.ordered = np.sort(self._place(self.codes, at / 1e6))

    def _place(self, codes: IntArray, at_s: FloatArray) -> IntArray:
        """Return one whole number for session and time, in ms from the first move on (both fit: sessions x years in ms)."""
        ms = np.clip(np.floor((at_s * 1e6 - self.base_us) / 1e3), -1, self.width - 2) + 1
        return codes.astype(np.int64) * self.width + ms.astype(np.int64)

    def any_between(self, mask: BoolArray, low_s: FloatArray, high_s: FloatArray) -> BoolArray:
        """Return which of the cases in ``mask`` have a move of their session in [low_s, high_s]."""
        found = np.zeros(len(mask), dtype=bool)
        at = np.flatnonzero(mask & (self.of_case >= 0))
        low, high = (self._place(self.of_case[at], edge[at]) for edge in (low_s, high_s))
        found[at] = np.searchsorted(self.ordered, low) < np.searchsorted(self.ordered, high, "right")
        return found

    def nearest_s(self, mask: BoolArray, at_s: FloatArray) -> FloatArray:
        """Return the time from each case to its session's nearest move, NaN outside ``mask``."""
        gap = np.full(len(mask), np.nan)
        at = np.flatnonzero(mask)
        here = self._place(self.of_case[at], at_s[at])
        after = np.searchsorted(self.ordered, here)
        size = len(self.ordered)
        choices = np.stack([self.ordered[np.clip(after + step, 0, size - 1)] for step in (-1, 0)])
        # a move of another session is no neighbour
        away = np.where(choices // self.width == self.of_case[at], choices - here, np.iinfo(np.int64).max // 2)
        best = np.abs(away).argmin(axis=0)
        gap[at] = away[best, np.arange(len(at))] / 1e3
        return gap
