"""Networks on which WebSocket never opens while polling works (R4). The unit is the client session."""

from __future__ import annotations

import numpy as np
import pandas as pd

from wslog.diagnosis.direct import answered, page_says
from wslog.diagnosis.model import BoolArray, Finding, Fired, Observed, among, words
from wslog.diagnosis.tails import benjamini_hochberg, beta_quantile_low, binomial_tail

LEVELS = ("client_prefix", "as_org", "asn", "network_class", "network_type")
"""From fine to coarse: a session is explained by the finest network that stands out."""

MIN_SESSIONS = 3
MIN_TRIED = 2
MAX_RATE = 0.05
MIN_PURITY = 0.5
SURE_PURITY = 0.95
MIN_SHARE = 0.1
"""Where fewer are blocked, the network is not: three sessions of one user with an extension are as many."""


def detect(seen: Observed) -> Fired:
    """Return networks where sessions never opened though polling worked, far more often than elsewhere.

    Notes
    -----
    A session is blocked in looks when it tried twice or more, never opened, polled with success, and no log knows another
    reason (an HTTP status, TLS, the browser's own refusal). For each network with three such sessions or more, a tenth of
    all at least (lower 97.5 % bound): binomial tail of their count at the rate of all other networks (half a session is
    added, so that a rate of 0 is none).
    """
    fired = Fired()
    tried = seen.sessions[(seen.sessions["opened_count"] > 0) | (seen.sessions["failed_count"] >= MIN_TRIED)]
    if len(tried) < 2 * MIN_SESSIONS:
        return fired
    status, _ = answered(seen)
    key = seen.words("session_key")
    told = (~np.isnan(status) & (status != 407)) | (seen.words("error_class") == "tls") | (page_says(seen) != "")
    explained = set(key[told])
    never = (tried["opened_count"] == 0).to_numpy(dtype=bool)
    polled = (tried["poll_ok_count"] > 0).to_numpy(dtype=bool)
    # where polls fail too, it is not WebSocket that is blocked
    shut = ~polled & (tried["poll_failed_count"] > 0).to_numpy(dtype=bool)
    looks = never & polled & ~tried["session_key"].isin(explained).to_numpy(dtype=bool)
    tests = _tests(tried, looks)
    q = benjamini_hochberg([test[4] for test in tests])
    taken: set[str] = set()
    for (level, name, inside, hits, p, rate), q_value in zip(tests, q, strict=True):
        share = hits / inside
        low = beta_quantile_low(hits, inside)
        if q_value > MAX_RATE or share <= 0 or 1 - rate / share < MIN_PURITY or low <= max(rate, MIN_SHARE):
            continue
        group = (
            (words(tried, level) == name) & never & ~shut & ~tried["session_key"].isin(explained).to_numpy(dtype=bool)
        )
        members = set(tried["session_key"][group]) - taken
        if len(members) < MIN_SESSIONS:
            continue
        taken |= members
        with_polls = set(tried["session_key"][group & polled])
        evidence = (
            f"{level}: {hits} of {inside} sessions never opened though polling worked; elsewhere {100 * rate:.2g} %"
        )
        # of the sessions here that look blocked, as many look so for reasons that are found elsewhere too
        _label(seen, fired, members, with_polls if 1 - rate / share >= SURE_PURITY else set(), evidence)
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
