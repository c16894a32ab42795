"""Handover: the client's network changed when the connection was lost (R3), with the session's own past as control."""

from __future__ import annotations

import numpy as np

from wslog.diagnosis.model import BoolArray, Finding, Fired, FloatArray, Observed, named, numbers, words
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
    times = _times(seen)
    keys = seen.words("session_key")
    at_loss = _any_between(keys, able, at - BEFORE_S, at + AFTER_S, times)
    is_pair = able & seen.opened & (seen.numbers("lifetime_s") >= CONTROL_S + BEFORE_S)
    shift = at - CONTROL_S
    control = _any_between(keys, is_pair, shift - BEFORE_S, shift + AFTER_S, times)
    case_only = int((at_loss & is_pair & ~control).sum())
    control_only = int((control & ~at_loss).sum())
    pairs = case_only + control_only
    if control_only > (1 - MIN_PURITY) * case_only and pairs:
        return fired
    chance = binomial_tail(case_only, pairs, 0.5) if pairs else 1.0
    stands = pairs >= MIN_PAIRS and chance < MAX_CHANCE
    evidence = named([("network_changed_at_s_from_loss", _nearest(keys, at_loss, at, times))], at_loss)
    fired.hit("handover", at_loss, "high" if stands else "medium", evidence)
    began = np.where(np.isnan(seen.numbers("outage_started_us")), at, seen.numbers("outage_started_us") / 1e6)
    later = _any_between(keys, able & ~at_loss, at, np.minimum(began, at) + LATER_S, times)
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


def _times(seen: Observed) -> dict[str, FloatArray]:
    keys, at = words(seen.moves, "session_key"), numbers(seen.moves, "at_us") / 1e6
    order = np.lexsort((at, keys.astype(str)))
    keys, at = keys[order].astype(str), at[order]
    names, firsts = np.unique(keys, return_index=True)
    return dict(zip(names.tolist(), np.split(at, firsts[1:]), strict=True))


def _any_between(
    keys: FloatArray, mask: BoolArray, low: FloatArray, high: FloatArray, times: dict[str, FloatArray]
) -> BoolArray:
    """Return where a session has a time in [low, high]."""
    found = np.zeros(len(mask), dtype=bool)
    for i in np.flatnonzero(mask):
        moved = times.get(keys[i])
        if moved is not None:
            found[i] = bool(np.searchsorted(moved, low[i]) < np.searchsorted(moved, high[i], "right"))
    return found


def _nearest(keys: FloatArray, mask: BoolArray, at: FloatArray, times: dict[str, FloatArray]) -> FloatArray:
    gap = np.full(len(mask), np.nan)
    for i in np.flatnonzero(mask):
        away = times[keys[i]] - at[i]
        gap[i] = round(float(away[np.argmin(np.abs(away))]), 3)
    return gap
