"""What the log says about an outage that many clients shared: when the service was back, and how fast it took them in.

One event cuts all members, so every attempt of every member inspects the same instant: it lies after the last failure before
the first success of any of them. How many clients the service takes in per second shows only while it refuses some and accepts
others: between two refusals every accepted client was let in at that rate.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from wslog.policy.model import BoolArray, FloatArray, IntArray
from wslog.selection import Selection, parse_filter, parse_period

if TYPE_CHECKING:
    from wslog.engine import Engine

WINDOW_S = 600
"""Attempts are read for so long after a herd began."""

BURST_S = 0.1
"""Where the log does not say: a service that has been idle takes in at once what it takes in during this time."""

MAX_BURST_S = 10.0

BINS_S = (0.1, 0.3, 1.0, 3.0)
"""Bins in which a saturated service is looked for; the shortest that hold :data:`MIN_IN_BIN` accepted clients on average are
used. (Picking short gaps between refusals instead would pick those in which nobody was accepted.)"""

MIN_IN_BIN = 5

MIN_ACCEPTED = 20
"""Fewer accepted clients in saturated spans: the accept rate is known to no better than a fifth, and counts as unknown."""

MIN_REFUSED_RATIO = 0.2
"""A bin is saturated when at least this share of its attempts was refused: chance failures alone refuse fewer."""

MAX_MATCHED = 4_000
MAX_MATCHED_PER_S = 500
"""Logs of no more attempts, and no more refusals a second, are matched against token buckets one attempt after the other: with
more, clocks that tick in milliseconds no longer say who came first, and counting between refusals is as good."""

BLOCKS = 20
"""Pieces of the saturated time whose spread says how exactly the accept rate is known."""


@dataclass(frozen=True)
class HerdLog:
    """One herd as the log holds it: ``n`` members and ``m`` attempts, seconds since the first member was cut.

    Parameters
    ----------
    herd_id, side : str
    begin_us : int
        The first drop, microseconds since 1970 UTC.
    drop_s : (n,) float array
        When each member was cut.
    weight : (n,) float array
        1 / sampling fraction.
    poll_ok_s, poll_failed_s : (n,) float array
        First successful poll after a fallback, and the last failed one before it; NaN where none was logged.
    member : (m,) int array
        Whose attempt it was; -1 for clients that were not cut, new visitors above all.
    start_s, end_s : (m,) float array
        When an attempt began, and when it opened or failed.
    is_ok : (m,) bool array
        It opened.
    attempt_weight : (m,) float array
    watched_s : float
        Until when the log was read.
    """

    herd_id: str
    side: str
    begin_us: int
    drop_s: FloatArray
    weight: FloatArray
    poll_ok_s: FloatArray
    poll_failed_s: FloatArray
    member: IntArray
    start_s: FloatArray
    end_s: FloatArray
    is_ok: BoolArray
    attempt_weight: FloatArray
    watched_s: float

    def __len__(self) -> int:
        return len(self.drop_s)


@dataclass(frozen=True)
class HerdEvidence:
    """What follows from a :class:`HerdLog`.

    Parameters
    ----------
    up_after_s, up_by_s : float
        The service was back after the one and by the other; inf when nothing shows that it came back.
    up_basis : str
        ``attempts``, ``polls`` (assumes that polling and WebSocket came back together) or ``none``.
    accept_per_s, accept_low_per_s, accept_high_per_s : float
        Clients taken in per second, with its 95 % interval; NaN, a lower bound and inf where it never refused.
    burst_s : float
        An idle service takes in at once what it takes in during this time.
    accepted_count, refused_count : int
        Attempts in saturated spans.
    saturated_s : float
        Length of the saturated spans.
    fail_s, open_s : (k,) float array
        Durations of failed attempts and of handshakes, as logged.
    missing : tuple of str
        The records that would close the gaps.
    """

    up_after_s: float
    up_by_s: float
    up_basis: str
    accept_per_s: float
    accept_low_per_s: float
    accept_high_per_s: float
    burst_s: float
    accepted_count: int
    refused_count: int
    saturated_s: float
    fail_s: FloatArray
    open_s: FloatArray
    missing: tuple[str, ...]


def evidence(log: HerdLog) -> HerdEvidence:
    """Bracket the instant the service was back, and estimate its accept rate."""
    after, by, basis = _bracket(log)
    missing = []
    if not np.isfinite(by):
        last = f"the last failure {after:.1f} s after the cut" if after > 0 else "the cut"
        missing.append(
            f"no successful attempt or poll within {max(log.watched_s - after, 0.0):.0f} s after {last}: "
            "log the first successful poll, or retry with jitter and without end"
        )
    elif by - after > 0.05 * max(by, 1.0):
        missing.append(
            f"nobody tried between {after:.2f} and {by:.2f} s after the cut, and the service came back in between: "
            "jitter, or logged polls, would say when"
        )
    rate = _accept_rate(log, by)
    if not np.isfinite(rate.per_s):
        least = f"at least {rate.low_per_s:.0f} a second" if rate.low_per_s > 0 else "unknown"
        missing.append(
            f"the service never refused some clients while it accepted others, so its accept rate is {least}: "
            "log every attempt with its start and outcome, or take the rate from the server's own limit"
        )
    took_s = log.end_s - log.start_s
    return HerdEvidence(
        up_after_s=after,
        up_by_s=by,
        up_basis=basis,
        accept_per_s=rate.per_s,
        accept_low_per_s=rate.low_per_s,
        accept_high_per_s=rate.high_per_s,
        burst_s=rate.burst_s,
        accepted_count=rate.accepted_count,
        refused_count=rate.refused_count,
        saturated_s=rate.saturated_s,
        fail_s=took_s[~log.is_ok],
        open_s=took_s[log.is_ok],
        missing=tuple(missing),
    )


def _bracket(log: HerdLog) -> tuple[float, float, str]:
    """Return (last failure, first success] before which and by which the service was back."""
    failed = log.start_s[~log.is_ok & (log.member >= 0)]
    if log.is_ok.any():
        first = int(np.argmin(np.where(log.is_ok, log.end_s, np.inf)))
        before = failed[failed < log.start_s[first]]
        return float(before.max(initial=0.0)), float(log.end_s[first]), "attempts"
    polled = log.poll_ok_s[np.isfinite(log.poll_ok_s)]
    before_polls = np.concatenate((failed, log.poll_failed_s[np.isfinite(log.poll_failed_s)]))
    if len(polled):
        by = float(polled.min())
        return float(before_polls[before_polls < by].max(initial=0.0)), by, "polls"
    return float(before_polls.max(initial=0.0)), np.inf, "none"


@dataclass(frozen=True)
class _Rate:
    per_s: float
    low_per_s: float
    high_per_s: float
    burst_s: float
    accepted_count: int
    refused_count: int
    saturated_s: float


def _accept_rate(log: HerdLog, up_by_s: float) -> _Rate:
    """Estimate the accept rate from the attempts made since the service was back.

    A token bucket (nginx limit_req, HAProxy rate-limit sessions, a listen queue drained at a steady pace) is empty whenever it
    refuses, so between two refusals the accepted count is rate times time, whatever the clients do.
    """
    here = np.flatnonzero(log.start_s >= up_by_s - 1.0)
    here = here[log.is_ok[here] | (log.start_s[here] >= up_by_s)]
    here = here[np.argsort(log.start_s[here], kind="stable")]
    start, ok, weight = log.start_s[here], log.is_ok[here], log.attempt_weight[here]
    for bin_s in BINS_S:
        steps = _saturated(start, ok, weight, bin_s)
        if steps.count >= max(MIN_ACCEPTED, MIN_IN_BIN * steps.bins):
            break
    length = float(steps.length_s.sum())
    if steps.count < MIN_ACCEPTED:
        return _Rate(np.nan, _least_rate(start, ok, weight), np.inf, BURST_S, steps.count, steps.refused, length)
    rate = float(steps.accepted.sum()) / length
    if len(start) <= MAX_MATCHED and steps.refused <= MAX_MATCHED_PER_S * length:
        low, rate, high, burst = _matched(start, ok, weight, rate)
    else:
        half = max(1.96 * _spread(steps.accepted, steps.length_s), 1.0 / steps.count)
        low, high = rate * (1 - half), rate * (1 + half)
        burst = _burst(start, ok, weight, steps.first_s, rate)
    return _Rate(rate, low, high, burst / rate, steps.count, steps.refused, length)


def _matched(
    start: FloatArray, ok: BoolArray, weight: FloatArray, about_per_s: float
) -> tuple[float, float, float, float]:
    """Return low, rate, high and burst of the token buckets whose answers to these attempts agree best with the logged ones.

    In a small herd the bucket overflows between two clients, so that counting between refusals falls short.
    """
    scale = float(weight.mean())
    rate, depths = about_per_s / scale, np.geomspace(1.0, 300.0, 40)
    for span, points in ((3.0, 41), (1.25, 61)):
        rates = rate * np.geomspace(1 / span, span, points)
        wrong = _disagreements(start, ok, rates, depths)
        best = np.argwhere(wrong == wrong.min())
        rate, depth = (float(np.exp(np.log(grid[at]).mean())) for grid, at in zip((rates, depths), best.T, strict=True))
        depths = np.maximum(depth * np.geomspace(1 / 1.3, 1.3, 31), 1.0)
    least = int(wrong.min())
    fits = np.flatnonzero((wrong <= 1.5 * least + 3).any(axis=1))
    step = rates[1] / rates[0]
    return rates[fits[0]] / step * scale, rate * scale, rates[fits[-1]] * step * scale, depth * scale


def _disagreements(start: FloatArray, ok: BoolArray, rates: FloatArray, depths: FloatArray) -> IntArray:
    """Return (rates, depths) attempts that a token bucket, brought along by the logged answers, would have answered otherwise."""
    rate, depth = rates[:, None], np.maximum(depths[None, :], 0.01 * rates[:, None])
    tokens = np.broadcast_to(depth, (len(rates), len(depths))).copy()
    wrong = np.zeros(tokens.shape, np.int64)
    before = np.concatenate(([0.0], np.diff(start)))
    for gap, is_ok in zip(before.tolist(), ok.tolist(), strict=True):
        np.minimum(tokens + rate * gap, depth, out=tokens)
        if is_ok:
            wrong += tokens < 1.0
            np.maximum(tokens - 1.0, 0.0, out=tokens)
        else:
            wrong += tokens >= 1.0
            # a bucket that holds many tokens too many is wrong as often
            np.minimum(tokens, np.maximum(tokens - 1.0, 1.0 - 1e-9), out=tokens)
    return wrong


def _burst(start: FloatArray, ok: BoolArray, weight: FloatArray, first_refusal_s: float, rate_per_s: float) -> float:
    """Return the depth of the bucket: what was taken in before the first refusal beyond rate times time.

    In any stretch a token bucket takes in no more than its depth and rate times time, and exactly that in the stretch from the last
    moment it was full to its first refusal: the greatest rise of accepted - rate * time.
    """
    early = ok & (start <= first_refusal_s)
    at, taken = start[early], np.cumsum(weight[early])
    if not len(at):
        return 1.0
    after = taken - rate_per_s * at
    before = after - weight[early]
    rise = float((after - np.minimum.accumulate(before)).max())
    return float(np.clip(rise, 1.0, max(rate_per_s * MAX_BURST_S, 1.0)))


@dataclass(frozen=True)
class _Steps:
    """Steps from one refusal to the next within runs of saturated bins: accepted weight and length; counts; first refusal."""

    accepted: FloatArray
    length_s: FloatArray
    count: int
    refused: int
    bins: int
    first_s: float


def _saturated(start: FloatArray, ok: BoolArray, weight: FloatArray, bin_s: float) -> _Steps:
    """Find the runs of bins that hold both refused and accepted clients, and cut them to the first and last refusal."""
    refused_at = np.flatnonzero(~ok)
    if len(refused_at) < 2:
        return _Steps(np.zeros(0), np.zeros(0), 0, 0, 0, np.inf)
    place = ((start - start[0]) / bin_s).astype(np.int64)
    refused, taken = np.bincount(place, ~ok), np.bincount(place, ok)
    is_full = (refused >= MIN_REFUSED_RATIO * (refused + taken)) & (refused >= 2) & (taken > 0)
    below = np.concatenate(([0.0], np.cumsum(np.where(ok, weight, 0.0))))[refused_at]
    below_count = np.concatenate(([0], np.cumsum(ok)))[refused_at]
    at = place[refused_at]
    keep = is_full[at[1:]] & is_full[at[:-1]] & (np.diff(at) <= 1)
    first = float(start[refused_at[np.argmax(keep)]]) if keep.any() else np.inf
    return _Steps(
        np.diff(below)[keep],
        np.diff(start[refused_at])[keep],
        int(np.diff(below_count)[keep].sum()),
        int(keep.sum()),
        int(is_full.sum()),
        first,
    )


def _spread(accepted: FloatArray, length: FloatArray) -> float:
    """Return the relative standard error of the rate, from pieces of about equal length."""
    done = np.cumsum(length)
    piece = np.minimum((BLOCKS * (done - length / 2) / done[-1]).astype(np.int64), BLOCKS - 1)
    taken, spent = np.bincount(piece, accepted, BLOCKS), np.bincount(piece, length, BLOCKS)
    rate = accepted.sum() / length.sum()
    rest = taken - rate * spent
    return float(np.sqrt((rest**2).sum() * BLOCKS / (BLOCKS - 1)) / accepted.sum())


def _least_rate(start: FloatArray, ok: BoolArray, weight: FloatArray) -> float:
    """Return a lower bound: what was accepted in the busiest second, less what an idle service takes in at once."""
    at, taken = start[ok], np.concatenate(([0.0], np.cumsum(weight[ok])))
    if len(at) < 1:
        return 0.0
    upto = np.searchsorted(at, at + 1.0, side="right")
    return float((taken[upto] - taken[:-1]).max() / (1.0 + BURST_S))


def herd_logs(
    engine: Engine,
    since: str | None = None,
    until: str | None = None,
    week: str | None = None,
    where: str | None = None,
) -> Iterator[HerdLog]:
    """Yield the herds of a lake, the largest first; a period and a filter select among their episodes.

    Raises
    ------
    UsageError
    """
    selection = Selection((), parse_period(since, until, week), parse_filter(where, ["episodes"]))
    members = engine.run("policy/herd_members", "episodes", selection)
    if not len(members):
        return
    attempts = engine.run("policy/herd_attempts", "attempts", Selection(), window_s=WINDOW_S)
    made = dict(iter(attempts.groupby(["herd_id", "side"], sort=False)))
    groups = sorted(members.groupby(["herd_id", "side"], sort=False), key=lambda group: (-len(group[1]), group[0]))
    for key, rows in groups:
        herd_id, side = (str(part) for part in key)
        # a member that was lost again in the same window is still one client
        rows = rows.drop_duplicates("session_key")
        tried = made.get((herd_id, side), attempts.iloc[:0])
        numbers = {session: number for number, session in enumerate(rows["session_key"])}
        drop_s = rows["drop_s"].to_numpy(np.float64)
        end_s = tried["end_s"].to_numpy(np.float64)
        watched = np.concatenate((rows["ended_s"].to_numpy(np.float64), end_s, drop_s))
        yield HerdLog(
            herd_id=herd_id,
            side=side,
            begin_us=int(rows["begin_us"].iloc[0]),
            drop_s=drop_s,
            weight=rows["sample_weight"].fillna(1.0).to_numpy(np.float64),
            poll_ok_s=rows["poll_ok_s"].to_numpy(np.float64),
            poll_failed_s=rows["poll_failed_s"].to_numpy(np.float64),
            member=tried["session_key"].map(numbers).fillna(-1).to_numpy(np.int64),
            start_s=tried["start_s"].to_numpy(np.float64),
            end_s=end_s,
            is_ok=tried["is_ok"].to_numpy(np.bool_),
            attempt_weight=tried["sample_weight"].fillna(1.0).to_numpy(np.float64),
            watched_s=float(np.nanmin([WINDOW_S, np.nanmax(watched, initial=0.0)])),
        )
