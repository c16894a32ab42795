"""Networks on which WebSocket never opens while polling works (R4). The unit is the client session."""

from __future__ import annotations

import numpy as np
import pandas as pd

from wslog.diagnosis.direct import answered, page_says
from wslog.diagnosis.findings import Finding, Fired
from wslog.diagnosis.model import BoolArray, FloatArray, IntArray, Observed, words
from wslog.diagnosis.tails import benjamini_hochberg, beta_quantile_low, binomial_tail

LEVELS = ("client_prefix", "as_org", "asn", "network_class", "network_type")
"""From fine to coarse: a session is explained by the finest network that stands out."""

MIN_SESSIONS = 3
MIN_TRIED = 2
MAX_RATE = 0.05
MIN_PURITY = 0.5
SURE_PURITY = 0.95
MIN_SHARE = 0.1
FAILED_IN_S = (0.005, 0.02, 0.08, 0.32, 1.3, 5.0)
"""How fast a session's fastest attempt failed: what never asks a network fails within 5 ms, a server's answer takes as long as
an open, what is not answered at all takes seconds. Between two of these, sessions are alike."""

"""Where fewer are blocked, the network is not: three sessions of one user with an extension are as many."""


def detect(seen: Observed, expired: BoolArray) -> Fired:
    """Return networks where sessions never opened though polling worked, far more often than elsewhere.

    Parameters
    ----------
    seen : Observed
    expired : (cases,) bool array
        Failed connects at a time when nobody could connect.

    Notes
    -----
    A session is blocked in looks when it tried twice or more, never opened, polled with success, and no log knows another
    reason (an HTTP status, TLS, the browser's own refusal). For each network with three such sessions or more, a tenth of
    all at least (lower 97.5 % bound): binomial tail of their count at the rate of all other networks (half a session is
    added, so that a rate of 0 is none).

    Extensions and refused logins look the same and are found on every network. How fast the attempts fail tells them apart:
    among the sessions that failed equally fast (:data:`FAILED_IN_S`), half must be more than the other networks let expect, and
    either nearly all, or so many that it is what this network does: a tenth of those that look blocked here.
    """
    fired = Fired()
    tried = seen.sessions[(seen.sessions["opened_count"] > 0) | (seen.sessions["failed_count"] >= MIN_TRIED)]
    if len(tried) < 2 * MIN_SESSIONS:
        return fired
    status, _ = answered(seen)
    told = (
        (~np.isnan(status) & (status != 407)) | seen.among("error_class", ("tls",)) | (page_says(seen) != "") | expired
    )
    codes, names = seen.codes("session_key")
    explained = words(tried, "session_key")
    explained = np.isin(pd.Index(names).get_indexer(pd.Index(explained, dtype=object)), np.unique(codes[told]))
    never = (tried["opened_count"] == 0).to_numpy(dtype=bool)
    polled = (tried["poll_ok_count"] > 0).to_numpy(dtype=bool)
    # where polls fail too, it is not WebSocket that is blocked
    shut = ~polled & (tried["poll_failed_count"] > 0).to_numpy(dtype=bool)
    looks = never & polled & ~explained
    speed = _speed(seen, tried)
    tests = _tests(tried, looks)
    q = benjamini_hochberg([test[4] for test in tests])
    taken: set[str] = set()
    for (level, name, inside, hits, p, rate), q_value in zip(tests, q, strict=True):
        share = hits / inside
        low = beta_quantile_low(hits, inside)
        if q_value > MAX_RATE or share <= 0 or 1 - rate / share < MIN_PURITY or low <= max(rate, MIN_SHARE):
            continue
        here = words(tried, level) == name
        group = here & never & ~shut & ~explained
        purity, usual = _purity(speed, looks, here)
        group &= (purity >= SURE_PURITY) | ((purity >= MIN_PURITY) & (usual >= MIN_SHARE))
        members = set(tried["session_key"][group]) - taken
        if len(members) < MIN_SESSIONS:
            continue
        taken |= members
        with_polls = set(tried["session_key"][group & polled & (purity >= SURE_PURITY)])
        evidence = (
            f"{level}: {hits} of {inside} sessions never opened though polling worked; elsewhere {100 * rate:.2g} %"
        )
        # of the sessions here that look blocked, as many look so for reasons that are found elsewhere too
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


def _speed(seen: Observed, tried: pd.DataFrame) -> IntArray:
    """Return for each session between which of :data:`FAILED_IN_S` its fastest failure lies; one more where none is known."""
    took_s = (seen.numbers("ended_us") - seen.numbers("started_us")) / 1e6
    failed = ~seen.opened & seen.is_client & (took_s >= 0)
    codes, names = seen.codes("session_key")
    fastest = np.full(len(names), np.inf)
    np.minimum.at(fastest, codes[failed], took_s[failed])
    fastest[-1] = np.inf
    place = pd.Index(names).get_indexer(pd.Index(words(tried, "session_key"), dtype=object))
    of_session = np.where(np.isinf(fastest[place]), np.nan, fastest[place])
    return np.where(np.isnan(of_session), len(FAILED_IN_S) + 1, np.searchsorted(FAILED_IN_S, of_session)).astype(
        np.int64
    )


def _purity(speed: IntArray, looks: BoolArray, here: BoolArray) -> tuple[FloatArray, FloatArray]:
    """Return for each session, of those here that look blocked and failed as fast, the share beyond what is found elsewhere.

    And their own share of all here that look blocked.
    """
    kinds = len(FAILED_IN_S) + 2
    inside, outside = (np.bincount(speed[looks & where], minlength=kinds) for where in (here, ~here))
    expected = here.sum() * (outside + 0.5 / kinds) / ((~here).sum() + 1)
    return (1 - expected / np.maximum(inside, 1))[speed], (inside / max(inside.sum(), 1))[speed]


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
    mask = seen.among("session_key", members) & ~seen.opened & seen.is_client
    sure = np.where(seen.among("session_key", with_polls), "high", "medium").astype(object)
    fired.hit("blocked_network", mask, sure, evidence)
