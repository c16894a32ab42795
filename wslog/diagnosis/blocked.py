"""Networks on which WebSocket never opens while polling works (R4). The unit is the client session."""

from __future__ import annotations

import numpy as np
import pandas as pd

from wslog.diagnosis.direct import answered
from wslog.diagnosis.model import BoolArray, Finding, Fired, Observed, among, words
from wslog.diagnosis.tails import benjamini_hochberg, beta_quantile_low, binomial_tail

LEVELS = ("client_prefix", "as_org", "asn", "network_class", "network_type")
"""From fine to coarse: a session is explained by the finest network that stands out."""

MIN_SESSIONS = 3
MIN_TRIED = 2
MAX_RATE = 0.05
MIN_PURITY = 0.5


def detect(seen: Observed) -> Fired:
    """Return networks where sessions never opened though polling worked, far more often than elsewhere.

    Notes
    -----
    A session is blocked in looks when it tried twice or more, never opened, polled with success, and no log knows an HTTP
    status for its handshakes. For each network with three such sessions or more: binomial tail of their count at the rate
    of all other networks (Wilson's upper end would do for a rate of 0: half a session is added). Sessions of one client
    count once where the client is known.
    """
    fired = Fired()
    tried = seen.sessions[(seen.sessions["opened_count"] > 0) | (seen.sessions["failed_count"] >= MIN_TRIED)]
    if len(tried) < 2 * MIN_SESSIONS:
        return fired
    status, _ = answered(seen)
    key = seen.words("session_key")
    explained = set(key[(~np.isnan(status) & (status != 407)) | (seen.words("error_class") == "tls")])
    never = (tried["opened_count"] == 0).to_numpy(dtype=bool)
    polled = (tried["poll_ok_count"] > 0).to_numpy(dtype=bool)
    # where polls fail too, it is not WebSocket that is blocked
    shut = ~polled & (tried["poll_failed_count"] > 0).to_numpy(dtype=bool)
    looks = never & polled & ~tried["session_key"].isin(explained).to_numpy(dtype=bool)
    tests = _tests(tried, looks)
    q = benjamini_hochberg([test[4] for test in tests])
    told: set[str] = set()
    for (level, name, inside, hits, p, rate), q_value in zip(tests, q, strict=True):
        share = hits / inside
        low = beta_quantile_low(hits, inside)
        if q_value > MAX_RATE or share <= 0 or 1 - rate / share < MIN_PURITY or low <= rate:
            continue
        group = (
            (words(tried, level) == name) & never & ~shut & ~tried["session_key"].isin(explained).to_numpy(dtype=bool)
        )
        members = set(tried["session_key"][group]) - told
        if len(members) < MIN_SESSIONS:
            continue
        told |= members
        with_polls = set(tried["session_key"][group & polled])
        evidence = (
            f"{level}: {hits} of {inside} sessions never opened though polling worked; elsewhere {100 * rate:.2g} %"
        )
        _label(seen, fired, members, with_polls, evidence)
        sure = "high" if low > 0.5 or hits >= 5 else "medium"
        what = f"WebSocket never opens for {hits} of {inside} sessions on {level} {name}, polling works there"
        fired.findings.append(
            Finding(
                "blocked_network",
                what,
                hits,
                hits,
                evidence,
                sure,
                statistic=share / max(rate, 1e-9),
                p_value=p,
                q_value=float(q_value),
            )
        )
    return fired


def _tests(tried: pd.DataFrame, looks: BoolArray) -> list[tuple[str, str, int, int, float, float]]:
    """Return (column, network, sessions, blocked ones, chance, rate elsewhere) of every network with enough of them."""
    found = []
    for level in LEVELS:
        values = words(tried, level)
        for name in sorted(set(values) - {"", "unknown"}):
            here = values == name
            inside, hits = int(here.sum()), int((looks & here).sum())
            rest, rest_hits = int((~here).sum()), int((looks & ~here).sum())
            if hits < MIN_SESSIONS or rest < MIN_SESSIONS:
                continue
            # half a session more, and a rate that is itself uncertain when the rest is small
            rate = (rest_hits + 0.5) / (rest + 1)
            upper = min(1.0, rate + 1.64 * float(np.sqrt(rate * (1 - rate) / rest)))
            found.append((level, str(name), inside, hits, binomial_tail(hits, inside, upper), rate))
    return found


def _label(seen: Observed, fired: Fired, members: set[str], with_polls: set[str], evidence: str) -> None:
    key = seen.words("session_key")
    mask = among(key, members) & ~seen.opened & (seen.words("side") == "client")
    sure = ["high" if name in with_polls else "medium" for name in key[mask]]
    fired.hit("blocked_network", mask, sure, [evidence] * int(mask.sum()))
