"""Mobile networks that lose connections more often than others: a rate, so the single loss is only more likely than not theirs."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from wslog.diagnosis.findings import Finding, Fired, Told
from wslog.diagnosis.handover import BEFORE_S
from wslog.diagnosis.model import BoolArray, Observed, numbers, words
from wslog.diagnosis.moments import Moments
from wslog.outcomes import STABLE_S

MIN_LOSSES = 10
MIN_SESSIONS = 10
MIN_HOURS = 1.0
MIN_RATIO = 2.0
SURE_RATIO = 4.0
BESIDE_S = 120.0
UNNAMED = ("", "unknown", "other")
Z95 = 1.96


def detect(seen: Observed, exposure: pd.DataFrame, unexplained: BoolArray, idle: BoolArray) -> Fired:
    """Return losses on mobile networks when their rate, of losses nothing else explains, is more than twice that elsewhere.

    Parameters
    ----------
    seen : Observed
    exposure : pandas.DataFrame
        Connected seconds by session and kind of network.
    unexplained, idle : (cases,) bool arrays
        Cases that nothing explains yet, and those that an idle timeout does.

    Notes
    -----
    With a rate ratio above 2 each such loss is more likely than not due to what the network adds (probability of
    causation, Greenland and Robins 1988); the lower end of the ratio's 95 % interval is asked for. Its variance is that of
    the two rates' linearised ratios, sessions as clusters.
    """
    fired = Fired()
    unnamed = seen.among("network_type", UNNAMED)
    mobile = seen.among("network_type", ("cellular",)) | (unnamed & seen.among("network_class", ("mobile",)))
    lost = seen.is_client & seen.among("outcome", ("dropped",)) & seen.opened & unexplained
    # an open that dies at once is another failing, and so is what the service's log says that the server ended
    lost &= ~(seen.numbers("lifetime_s") < STABLE_S) & ~seen.among("peer_ended_by", ("server",))
    lost &= ~_beside_short_opens(seen, lost)
    if (idle & seen.is_client).any():
        # where connections end for their silence, one whose silence is not told may be such an end
        lost &= ~np.isnan(seen.numbers("silence_s"))
    kind = exposure["network_type"].fillna("")
    is_mobile = np.asarray(
        (kind == "cellular") | (kind.isin(UNNAMED) & (exposure["network_class"] == "mobile")), dtype=bool
    )
    known = is_mobile | np.asarray(kind.isin(("wifi", "ethernet", "vpn")), dtype=bool)
    here = _rate(seen, lost & mobile, exposure[is_mobile])
    rest = _rate(seen, lost & ~mobile & ~seen.among("network_type", ("unknown",)), exposure[known & ~is_mobile])
    if here is None or rest is None or (lost & mobile).sum() < MIN_LOSSES:
        return fired
    ratio = here[0] / rest[0]
    low = ratio * math.exp(-Z95 * math.sqrt(here[1] + rest[1]))
    if low <= MIN_RATIO:
        return fired
    # a session that ends before a handover would have been told cannot rule it out
    mask = lost & mobile & (seen.numbers("session_last_us") >= seen.numbers("at_us") + BEFORE_S * 1e6)
    sure = "medium" if low >= SURE_RATIO else "low"
    text = f"{here[0]:.2g} losses per connected hour against {rest[0]:.2g} elsewhere, ratio at least {low:.2g}"
    fired.hit("carrier_rate", mask, sure, Told([("network", seen.words("network_type"))], after=f"; {text}"))
    sessions = seen.distinct("cluster_key", mask)
    what = f"mobile networks lose connections {ratio:.1f} times as often as others: {int(mask.sum())} losses"
    fired.findings.append(Finding("carrier_rate", what, int(mask.sum()), sessions, text, sure, statistic=ratio))
    return fired


def _beside_short_opens(seen: Observed, mask: BoolArray) -> BoolArray:
    """Return which losses have an open of their session that died at once within two minutes: the path is not what failed."""
    at = seen.numbers("at_us")
    short = seen.opened & (seen.numbers("lifetime_s") < STABLE_S) & ~np.isnan(at) & ~seen.among("session_key", ("",))
    if not short.any():
        return np.zeros(len(mask), dtype=bool)
    codes, _ = seen.codes("session_key")
    opens = Moments(codes[short], at[short], codes)
    return opens.any_between(mask, at / 1e6 - BESIDE_S, at / 1e6 + BESIDE_S)


def _rate(seen: Observed, mask: BoolArray, exposure: pd.DataFrame) -> tuple[float, float] | None:
    """Return losses per connected hour (half a loss added) and the variance of its logarithm; None below the floor."""
    who, keys = pd.factorize(words(exposure, "cluster_key"))
    if len(keys) < MIN_SESSIONS or numbers(exposure, "connected_s").sum() < MIN_HOURS * 3600:
        return None
    n = np.bincount(who, weights=numbers(exposure, "connected_s") / 3600, minlength=len(keys)).astype(np.float64)
    codes, names = seen.codes("cluster_key")
    at = pd.Index(keys).get_indexer(pd.Index(names, dtype=object))[codes[mask]]
    kept = at >= 0
    y = np.bincount(at[kept], weights=seen.numbers("sample_weight")[mask][kept], minlength=len(keys)).astype(np.float64)
    rate = (y.sum() + 0.5) / n.sum()
    spread = float(((y - rate * n) ** 2).sum())
    return float(rate), max(spread / (rate * n.sum()) ** 2, 1 / (y.sum() + 0.5))
