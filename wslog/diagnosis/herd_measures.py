"""How large a herd was, how hard it came back, and whether it came back before the servers did."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa

from wslog.diagnosis.findings import Herd
from wslog.diagnosis.model import FloatArray, Observed, numbers, places
from wslog.diagnosis.tails import negative_binomial_tail
from wslog.intervals import MIN_ROWS, wilson
from wslog.outcomes import STABLE_S
from wslog.schema import TABLES

if TYPE_CHECKING:
    from wslog.engine import Engine
    from wslog.selection import Selection

BEFORE_S = 600.0
"""What came in these ten minutes before is usual."""

MIN_BEFORE_S = 120.0
WATCHED_S = 3600.0
BIN_S = 10.0
CALM_BINS = 6
MAX_CHANCE = 1e-3
END_COUNTS = {"recovered": "recovered_count", "fell_back": "fell_back_count"}


def measure(engine: Engine, selection: Selection, seen: Observed, herds: Sequence[Herd]) -> pd.DataFrame:
    """Return the table ``herds``.

    Returns
    -------
    pandas.DataFrame
        One row per herd and log that shows it, in order of time; columns as registered (``wslog schema``).

    Notes
    -----
    *Back to usual*: the first ten seconds from which on, for a minute, no ten seconds bring more attempts than a Poisson count
    with the mean of the ten minutes before does in one of 1,000.
    *Too early*: of the sessions lost in the herd whose next attempt is logged, those that began it before the first attempt
    that opened and stayed open; the end of the outage is pooled over all clients of the host, so it does not hang on the
    session's own luck. The interval is Wilson's: sessions are the unit. Attempts are placed by their own log's clock: where the
    clients' clocks are off, peaks look lower and calm comes later than they were.
    """
    rows = []
    if herds:
        engine.put("herd_hours", hours(herds))
        found = engine.fetch("diagnosis/arrivals", "attempts", selection).to_pandas(strings_to_categorical=True)
        here, totals = places(found), places(seen.totals)
        load = {name: found[here == name].reset_index(drop=True) for name in {herd.place for herd in herds}}
        known = {str(name): row for name, row in zip(totals, seen.totals.to_dict("records"), strict=True)}
        rows = [_row(load[herd.place], known[herd.place], seen, herd) for herd in herds]
    frame = pd.DataFrame(rows, columns=list(TABLES["herds"].columns))
    for name in frame.columns:
        if name.endswith("_count"):
            frame[name] = frame[name].astype("Int64")
        elif name.endswith("_at"):
            frame[name] = pd.to_datetime(frame[name].astype("Int64"), unit="us", utc=True)
        elif name.startswith("is_"):
            frame[name] = frame[name].astype("boolean")
        elif name.endswith(("_s", "_ratio")) or name.startswith("ci_"):
            frame[name] = frame[name].astype("float64")
    return frame.sort_values(["started_at", "herd_id", "side"], kind="stable", ignore_index=True)


def hours(herds: Sequence[Herd]) -> pa.Table:
    """Return the stretches of time around herds as ``since_us`` and ``until_us``; those that overlap are one."""
    found: list[list[int]] = []
    for herd in sorted(herds, key=lambda herd: herd.from_us):
        since, until = int(herd.from_us - BEFORE_S * 1e6), int(herd.until_us + WATCHED_S * 1e6) + 1
        if found and since <= found[-1][1]:
            found[-1][1] = max(until, found[-1][1])
        else:
            found.append([since, until])
    return pa.table({"since_us": [since for since, _ in found], "until_us": [until for _, until in found]})


def _row(load: pd.DataFrame, totals: dict[Any, Any], seen: Observed, herd: Herd) -> dict[str, Any]:
    side, form, host = herd.place.split("\t")
    # the attempts of a place are in order of time
    edges = [round(herd.from_us - BEFORE_S * 1e6), round(herd.until_us + WATCHED_S * 1e6)]
    first, last = load["started_us"].searchsorted(edges)
    found = load.iloc[first:last]
    started, weight = numbers(found, "started_us"), numbers(found, "sample_weight")
    before_s = min(BEFORE_S, (herd.from_us - float(totals["first_us"])) / 1e6)
    baseline_s = _calm_after_s(started, herd.from_us, before_s, float(totals["last_us"]))
    after = started >= herd.from_us
    answered_us = _answered_us(found, started, herd)
    return {
        "herd_id": f"{host}@{int(herd.from_us // 1e6)}",
        "side": side,
        "format": form,
        "url_host": host or None,
        "started_at": round(herd.from_us),
        "size_count": herd.session_count,
        "usual_count": round(herd.usual),
        "spread_s": (herd.until_us - herd.from_us) / 1e6,
        "peak_reconnects_per_s": _peak(started[after], weight[after], 1.0),
        "peak_reconnects_per_100ms": _peak(started[after], weight[after], 0.1),
        "answered_again_at": None if answered_us is None else round(answered_us),
        "baseline_s": baseline_s,
        **_too_early(seen, herd, answered_us),
        **_ends(seen, herd),
        "is_left_censored": before_s < BEFORE_S,
        "is_right_censored": baseline_s is None,
    }


def _peak(started: FloatArray, weight: FloatArray, width_s: float) -> float:
    """Return the largest weighted number of attempts in any stretch of ``width_s`` s."""
    if not len(started):
        return 0.0
    sums = np.concatenate([[0.0], np.cumsum(weight)])
    stop = np.searchsorted(started, started + width_s * 1e6, "left")
    return float(np.max(sums[stop] - sums[:-1]))


def _calm_after_s(started: FloatArray, from_us: float, before_s: float, last_us: float) -> float | None:
    """Return when the attempts were as many as before again, in seconds after ``from_us``; None when the log does not tell."""
    if before_s < MIN_BEFORE_S:
        return None
    mean = (float((started < from_us).sum()) + 0.5) * BIN_S / before_s
    limit = int(np.ceil(mean)) + 1
    while negative_binomial_tail(limit + 1, mean, 0.0) > MAX_CHANCE:
        limit += 1
    count = int(min((last_us - from_us) / 1e6, WATCHED_S) // BIN_S)
    if count < CALM_BINS:
        return None
    place = ((started[started >= from_us] - from_us) / 1e6 // BIN_S).astype(np.int64)
    is_loud = np.bincount(place[place < count], minlength=count) > limit
    loud_ahead = np.convolve(is_loud, np.ones(CALM_BINS), "valid")
    calm = np.flatnonzero(loud_ahead == 0)
    return float(calm[0] * BIN_S) if len(calm) else None


def _answered_us(found: pd.DataFrame, started: FloatArray, herd: Herd) -> float | None:
    """Return when the first attempt began that opened after the herd began, and that the herd did not end."""
    ended, lived = numbers(found, "ended_us"), numbers(found, "lifetime_s")
    stays = found["is_opened"].to_numpy(dtype=bool) & ~((ended <= herd.until_us) | (lived < STABLE_S))
    times = started[stays & (started >= herd.from_us)]
    return float(times[0]) if len(times) else None


def _too_early(seen: Observed, herd: Herd, answered_us: float | None) -> dict[str, Any]:
    following = seen.numbers("next_us")[herd.members]
    tried = following[~np.isnan(following)]
    count = len(tried)
    early = 0 if answered_us is None else int((tried < answered_us).sum())
    is_told = answered_us is not None and count >= MIN_ROWS
    low, high = wilson(early / count, count) if is_told else (None, None)
    return {
        "too_early_ratio": early / count if is_told else None,
        "too_early_count": None if answered_us is None else early,
        "retried_count": count,
        "ci_low": None if low is None else float(low),
        "ci_high": None if high is None else float(high),
        "state": "ok" if is_told else "insufficient",
    }


def _ends(seen: Observed, herd: Herd) -> dict[str, int]:
    words = seen.words("outage_end")[herd.members]
    counts = {column: int((words == word).sum()) for word, column in END_COUNTS.items()}
    return {**counts, "other_end_count": len(words) - sum(counts.values())}
