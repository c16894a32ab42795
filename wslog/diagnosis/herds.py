"""Herds: many sessions of one host lost within seconds, and the connects that failed until the servers were back (R2)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import numpy as np

from wslog.diagnosis.direct import answered
from wslog.diagnosis.findings import Finding, Fired, Herd
from wslog.diagnosis.idle import AGREE_S, late_s
from wslog.diagnosis.model import BoolArray, FloatArray, IntArray, Observed, numbers, places
from wslog.diagnosis.tails import negative_binomial_tail
from wslog.outcomes import STABLE_S

WINDOWS_S = (1.0, 3.0, 10.0)
AROUND_S = 300.0
MIN_SESSIONS = 5
MIN_NETWORKS = 2
MAX_CHANCE = 0.01
MIN_AROUND_S = 120.0
"""Less log than this around a herd tells no usual number: a test run of some seconds is no herd."""

REFUSED_GAP_S = 30.0
REFUSED_FOR_S = 600.0
SERVER_SAYS = (1001, 1011, 1012, 1013)
_NOBODY = np.zeros(0, dtype=np.int64)


@dataclass(frozen=True)
class Burst:
    """A window that holds too many sessions; ``is_known``: enough of the log lies around it to know how many are usual."""

    from_s: float
    until_s: float
    count: int
    chance: float
    usual: float
    is_known: bool


def detect(seen: Observed) -> Fired:
    """Return herds of lost connections and what failed in their wake."""
    fired = Fired()
    at = times(seen)
    place, names = seen.places
    # a session that loses one open after the other counts for itself, not for a herd
    flaps = seen.flags("is_flapping") & (seen.numbers("lifetime_s") < STABLE_S)
    lost = seen.opened & ~np.isnan(at) & ~flaps
    status, _ = answered(seen)
    failed_alike = ~seen.opened & ((status >= 500) | seen.among("error_class", ("refused",)))
    for code in np.unique(place[lost]).tolist():
        failures = _in_order(failed_alike & (place == code), at)
        for herd in herds_of(seen, names[code], _in_order(lost & (place == code), at), at):
            wake = _wake(herd, at, failures)
            _tell(fired, "herd_loss", herd, wake)
            fired.herds.append(herd)
    told = fired.named(seen.count)
    _other_view(seen, fired, told & ~failed_alike, "herd_loss")
    _other_view(seen, fired, told & failed_alike, "herd_refusal")
    told = fired.named(seen.count)
    for code in np.unique(place[failed_alike]).tolist():
        # servers that are away refuse everybody, whether or not the log also tells who was lost
        for herd in herds_of(seen, names[code], _in_order(failed_alike & ~told & (place == code), at), at):
            _tell(fired, "herd_refusal", herd, _NOBODY)
    return fired


def times(seen: Observed) -> FloatArray:
    """Return when each case ended, in µs: by the one clock of the service where its log has the same connection.

    Clients' clocks differ by seconds and minutes, and would tear a herd apart. Only of refusals, and of ends that both sides
    noticed at once (the connection's length is the same to both): who slept through a restart came back from sleep.
    """
    own, peer = seen.numbers("at_us"), seen.numbers("peer_ended_us")
    at_once = (np.abs(late_s(seen)) <= AGREE_S) | (~seen.opened & (seen.numbers("peer_status") >= 200))
    return np.where(seen.is_client & ~np.isnan(peer) & at_once, peer, own)


def _other_view(seen: Observed, fired: Fired, told: BoolArray, rule_id: str) -> None:
    """Add what the other side's log has of the same connections."""
    mask = (seen.peers >= 0) & told[np.maximum(seen.peers, 0)] & ~told
    fired.hit(rule_id, mask, "high", "the other side's log shows it in a herd")


def _in_order(mask: BoolArray, at_us: FloatArray) -> IntArray:
    """Return the positions of cases whose time is known, in order of time."""
    here = np.flatnonzero(mask & ~np.isnan(at_us)).astype(np.int64)
    return here[np.argsort(at_us[here], kind="stable")]


def herds_of(seen: Observed, place: str, order: IntArray, at_us: FloatArray) -> list[Herd]:
    """Return the herds among losses of one host.

    Parameters
    ----------
    seen : Observed
    place : str
    order : int array
        Positions of the losses, in order of time.
    at_us : (cases,) array
        When each case ended.

    Notes
    -----
    For every loss and every window of 1, 3 and 10 s that begins with it: sessions in the window (losses of one session within
    10 s count once) against the mean of the ten minutes around it (without the window), tail of a negative binomial count. Its
    dispersion is that of the log's own 10 s counts below their 99.5 % point, so that the herds do not hide themselves. Of windows
    of one width that overlap, the fullest is tested. Bonferroni over the windows that fit into the log.
    """
    every, every_us = order, at_us[order]
    order = order[_first_of_session(seen, order, every_us)]
    if len(order) < MIN_SESSIONS:
        return []
    at = at_us[order] / 1e6
    # how long this host was watched: another service's log of a year tells nothing of it
    told = places(seen.totals) == place
    first, last = (float(numbers(seen.totals, name)[told][0]) / 1e6 for name in ("first_us", "last_us"))
    span = max(min(last - first, 3600.0 * float(numbers(seen.totals, "hour_count")[told][0])), 10.0)
    excess = _excess(at)
    found: list[Burst] = []
    around = np.searchsorted(at, at + AROUND_S, "right") - np.searchsorted(at, at - AROUND_S)
    for width in WINDOWS_S:
        stop = np.searchsorted(at, at + width, "right")
        inside = stop - np.arange(len(at))
        watched = np.minimum(at + AROUND_S, last) - np.maximum(at - AROUND_S, first) - width
        # half an event more: a mean of none at all would make any five a herd
        usual = (np.maximum(around - inside, 0) + 0.5) * width / np.maximum(watched, 1.0)
        tests = len(WINDOWS_S) * max(span / width, 1.0)
        for i in _fullest(inside, stop, (inside >= MIN_SESSIONS) & (inside >= 3 * usual)):
            count = int(inside[i])
            chance = min(1.0, tests * negative_binomial_tail(count, float(usual[i]), excess))
            if chance <= MAX_CHANCE:
                is_known = float(watched[i]) >= MIN_AROUND_S
                found.append(Burst(float(at[i]), float(at[stop[i] - 1]), count, chance, float(usual[i]), is_known))
    bursts = [_herd(seen, place, every, every_us / 1e6, burst) for burst in _distinct(found)]
    return [herd for herd in bursts if herd is not None]


def _first_of_session(seen: Observed, order: IntArray, at_us: FloatArray) -> BoolArray:
    """Return which losses are not within the widest window after another of their session."""
    who = seen.codes("cluster_key")[0][order]
    grouped = np.lexsort((at_us, who))
    again = np.zeros(len(order), dtype=bool)
    is_near = (np.diff(who[grouped]) == 0) & (np.diff(at_us[grouped]) <= WINDOWS_S[-1] * 1e6)
    again[grouped[1:]] = is_near
    return ~again


def _fullest(inside: IntArray, stop: IntArray, candidates: BoolArray) -> list[int]:
    """Return the windows that hold most, none of which overlaps a fuller one of the same width."""
    taken = np.zeros(len(inside), dtype=bool)
    chosen = []
    at = np.flatnonzero(candidates)
    for i in at[np.argsort(-inside[at], kind="stable")].tolist():
        if not (taken[i] or taken[stop[i] - 1]):
            taken[i : stop[i]] = True
            chosen.append(i)
    return chosen


def _excess(at: FloatArray) -> float:
    """Return the dispersion of counts in bins of 10 s: (variance - mean) / mean^2, without the largest bins, 0 at least."""
    bins = np.bincount(((at - at[0]) // 10).astype(np.int64)) if at[-1] - at[0] < 4e8 else np.ones(1)
    kept = np.sort(bins)[: max(1, int(np.ceil(len(bins) * 0.995)))].astype(np.float64)
    mean = float(kept.mean())
    # few counts tell no dispersion: never more than a doubled variance per event
    return min(max(0.0, (float(kept.var()) - mean) / mean**2), 1.0) if mean > 0 and len(kept) > 30 else 0.0


def _distinct(found: list[Burst]) -> list[Burst]:
    """Return bursts that do not overlap, the least likely first; those that follow one another within 2 s become one.

    A large herd's chance is 0 in any window that holds enough of it: then the fullest is taken, and of those the shortest.
    """
    kept: list[Burst] = []
    for burst in sorted(found, key=lambda b: (b.chance, -b.count, b.until_s - b.from_s)):
        if all(burst.from_s > other.until_s or burst.until_s < other.from_s for other in kept):
            kept.append(burst)
    merged: list[Burst] = []
    for burst in sorted(kept, key=lambda b: b.from_s):
        if merged and burst.from_s <= merged[-1].until_s + 2.0:
            best = min(merged[-1], burst, key=lambda b: b.chance)
            merged[-1] = replace(best, from_s=merged[-1].from_s, until_s=burst.until_s)
        else:
            merged.append(burst)
    return merged


def _herd(seen: Observed, place: str, order: IntArray, at: FloatArray, burst: Burst) -> Herd | None:
    begin, end, chance, usual = burst.from_s, burst.until_s, burst.chance, burst.usual
    members = order[np.searchsorted(at, begin) : np.searchsorted(at, end, "right")]
    codes = seen.numbers("close_code")[members]
    is_said = bool(np.isin(codes, SERVER_SAYS).mean() >= 0.5)
    if is_said:
        # what came without a code meanwhile may be chance, what came with it is not
        members = members[np.isin(codes, SERVER_SAYS)]
    elif _networks(seen, members) < MIN_NETWORKS or not burst.is_known:
        return None
    sessions = seen.distinct("cluster_key", members)
    if sessions < MIN_SESSIONS:
        return None
    return Herd(place, begin * 1e6, end * 1e6, members, sessions, usual, chance, is_said)


def _networks(seen: Observed, members: IntArray) -> int:
    """Return on how many networks the members are, as finely as the log tells; 2 when it tells nothing of networks."""
    for name in ("client_prefix", "asn", "as_org", "network_type"):
        values = seen.words(name)[members]
        known = {value for value in values if value not in ("", "unknown")}
        if known:
            return len(known)
    return MIN_NETWORKS


def _wake(herd: Herd, at: FloatArray, failures: IntArray) -> IntArray:
    """Return the connects that failed like those of a stopped server, from the herd on until 30 s pass without one.

    ``failures`` are positions in order of time.
    """
    edges = np.searchsorted(at[failures], [herd.from_us - 2e6, herd.until_us + REFUSED_FOR_S * 1e6 + 1])
    near = failures[edges[0] : edges[1]]
    if not len(near):
        return near
    gaps = np.diff(np.concatenate([[herd.until_us], at[near]]))
    late = np.flatnonzero(gaps > REFUSED_GAP_S * 1e6)
    return near[: late[0]] if len(late) else near


def _tell(fired: Fired, rule_id: str, herd: Herd, wake: IntArray) -> None:
    side, _, host = herd.place.split("\t")
    lasted = (herd.until_us - herd.from_us) / 1e6
    when = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=herd.from_us)).isoformat(timespec="seconds")
    when = when.replace("+00:00", "Z")
    is_sure = herd.is_said or herd.session_count >= 10 * herd.usual
    said = "; most closed by the server with a code" if herd.is_said else ""
    evidence = f"{herd.session_count} sessions in {lasted:.1f} s; {herd.usual:.2g} usual{said}"
    fired.hit_at(rule_id, herd.members, "high" if is_sure else "medium", f"herd at {when}: {evidence}")
    fired.hit_at("herd_refusal", wake, "high", f"after the herd at {when}")
    where = f" of {host}" if host else ""
    how = "lost" if rule_id == "herd_loss" else "refused"
    what = f"{herd.session_count} sessions{where} {how} within {max(lasted, 0.1):.1f} s at {when} ({side} log)"
    if len(wake):
        what += f", {len(wake)} connects refused after it"
    size = len(herd.members) + len(wake)
    confidence = "high" if is_sure else "medium"
    ratio = herd.session_count / herd.usual
    fired.findings.append(
        Finding(
            rule_id,
            what,
            size,
            herd.session_count,
            evidence,
            confidence,
            statistic=ratio,
            p_value=herd.chance,
            q_value=herd.chance,
        )
    )
