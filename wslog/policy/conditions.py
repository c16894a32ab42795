"""How attempts went, whatever the policy: durations, and how many of those made in vain hang."""

from __future__ import annotations

import numpy as np

from wslog.policy.model import FAILURES, BoolArray, FloatArray, Outages
from wslog.policy.replay import Conditions

MOST_SORTED = 50_000
"""Durations that a quantile is taken of; of more, every second, third and so on."""

STEADY_PAIRS = 20
"""Attempts in vain, each with the one before, that it takes to see whether outages are of one nature."""


def fast_handshake_s(outages: Outages) -> float:
    """Return how long an undisturbed handshake takes at least; inf where many take a second of their own accord."""
    took = _thinned(outages.end_s[outages.is_ok] - outages.start_s[outages.is_ok])
    quick = took[took < 1.0]
    # not the slowest few: a SYN that waits for the link's return opens within the second too
    if not len(quick) or np.quantile(quick, 0.75) > 0.6:
        return np.inf
    return float(0.9 * np.quantile(quick, 0.01))


def conditions_of(outages: Outages, fast_s: float) -> Conditions:
    """Return how attempts went: durations, and how many of those made in vain hang."""
    took = np.nan_to_num(np.maximum(outages.end_s - outages.start_s, 0.0))
    slow = outages.is_ok & (took >= 1.0 + fast_s)
    hung = outages.failure == FAILURES.index("timeout")
    failed = ~outages.is_ok & ~hung
    opened = outages.is_ok & ~slow
    in_vain = int(failed.sum() + hung.sum() + slow.sum())
    ratio = float((hung.sum() + slow.sum()) / in_vain) if in_vain else 0.0
    is_steady = ratio > 0 and _is_steady(outages, failed, hung | slow, ratio)
    if is_steady:
        # the share of outages where most hang, if an outage is of one nature
        owner, n = outages.outage, len(outages)
        hanging, tried = np.bincount(owner, hung | slow, n), np.bincount(owner, failed | hung | slow, n)
        ratio = float((2 * hanging > tried).sum() / max((tried > 0).sum(), 1))
    return Conditions(
        handshake_s=_sample(took[opened], 0.1),
        fast_s=_sample(took[failed], 0.1),
        hang_ratio=ratio,
        hang_s=float(np.median(took[hung])) if hung.any() else 60.0,
        is_hang_steady=is_steady,
    )


def _is_steady(outages: Outages, failed: BoolArray, hangs: BoolArray, ratio: float) -> bool:
    """Say whether the attempts of one outage fail alike: neighbours differ less than half as often as by chance."""
    owner, in_vain = outages.outage, failed | hangs
    pair = in_vain[1:] & in_vain[:-1] & (owner[1:] == owner[:-1])
    if pair.sum() < STEADY_PAIRS:
        return False
    differ = float((hangs[1:] != hangs[:-1])[pair].mean())
    return differ < ratio * (1 - ratio)


def _sample(values: FloatArray, default: float) -> FloatArray:
    """Return quantiles that stand for a sample of any size."""
    if not len(values):
        return np.array([default])
    return np.quantile(_thinned(values), (np.arange(200) + 0.5) / 200)


def _thinned(values: FloatArray) -> FloatArray:
    """Return values at even distances: enough for quantiles."""
    return values[:: max(len(values) // MOST_SORTED, 1)]
