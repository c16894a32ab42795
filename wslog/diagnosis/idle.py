"""Idle timeouts and maximum ages: ends that gather at one lifetime or one silence (R1), and what proxies say themselves."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from wslog.diagnosis.findings import Finding, Fired, Told
from wslog.diagnosis.model import BoolArray, FloatArray, Observed
from wslog.diagnosis.tails import benjamini_hochberg, binomial_tail
from wslog.explain.facts import data

SHORTEST_S, LONGEST_S, STEP_S = 5.0, 900.0, 0.5
BAND_WIDTHS = 3
MIN_DURATIONS = 20
MIN_EXCESS = 8
MIN_RATIO = 1.25
MAX_RATE = 0.05
MIN_REPEATS = 3
MAX_CHANCE = 0.01
AGREE_S = 2.0


@dataclass(frozen=True)
class Peak:
    """Durations in [low_s, high_s] that are more than the bands beside let expect; ``seconds`` is where they are densest."""

    seconds: float
    low_s: float
    high_s: float
    inside: int
    background: float
    p_value: float
    q_value: float

    @property
    def purity(self) -> float:
        """The share of the peak that is above background."""
        return max(0.0, 1 - self.background / self.inside)


def known_timeouts() -> tuple[tuple[float, str, str], ...]:
    """Return seconds, products and kind of the well-known timeouts (the table of ``wslog explain``)."""
    names = data("en/timeouts")
    return tuple((float(t["seconds"]), str(names[str(t["seconds"])]), str(t["kind"])) for t in data("timeouts"))


def matching_products(seconds: float) -> str:
    """Return ``matches nginx proxy_read_timeout; AWS ALB ...``, or that no known default is there."""
    near = [name for known, name, _ in known_timeouts() if abs(seconds - known) <= max(1.0, 0.01 * known) + 0.3]
    if near:
        return f"matches {'; '.join(near)}"
    return "no product's known default; a timeout somebody set (HAProxy timeout tunnel, nginx proxy_read_timeout, a ping limit)"


def detect(seen: Observed, taken: BoolArray) -> Fired:
    """Return peaks of lifetimes and silences, and idle timeouts that a proxy tells of.

    Parameters
    ----------
    seen : Observed
    taken : (cases,) bool array
        Cases that a herd explains: two restarts an hour apart would else make a peak of lifetimes.
    """
    fired = Fired()
    _told_by_proxy(seen, fired)
    opened = seen.opened & ~taken
    # codes of the server are its own decision; a maximum age closed with 1000 or 1001 is another matter
    lost = opened & seen.among("outcome", ("dropped", "idle_timeout", "closed_by_server"))
    for name in sorted(filter(None, seen.codes("side")[1].tolist())):
        here = lost & seen.among("side", (name,))
        for measure, values in (("lifetime", seen.numbers("lifetime_s")), ("silence", seen.numbers("silence_s"))):
            known = here & ~np.isnan(values)
            _peaks(seen, fired, known, values, measure, name)
    return fired


def late_s(seen: Observed) -> FloatArray:
    """Return how much longer the client held the connection than the other side, in seconds; NaN without both views.

    Lifetimes are compared, not times of day: the clocks of two machines differ.
    """
    own, peer = seen.numbers("lifetime_s"), seen.numbers("peer_lifetime_s")
    both = np.where(seen.is_client, own - peer, peer - own)
    return np.where(seen.opened, both, np.nan)


def _told_by_proxy(seen: Observed, fired: Fired) -> None:
    late = late_s(seen)
    is_client = seen.is_client
    told = np.where(is_client, seen.among("peer_outcome", ("idle_timeout",)), seen.among("outcome", ("idle_timeout",)))
    agree = np.abs(late) <= AGREE_S
    mask = told & seen.opened & (agree | (~is_client & np.isnan(late)))
    # the client may be in no log at all; where it is, and lost the connection before, the path was dead already
    sure = np.where(agree, "high", "medium").astype(object)
    by = np.where(agree, "both logs", "the proxy's log").astype(object)
    parts = [("idle_timeout_told_by", by), ("lifetime_s", seen.numbers("lifetime_s"))]
    fired.hit("proxy_idle", mask, sure, Told(parts))
    service = mask & ~is_client
    if service.sum() >= MIN_REPEATS:
        sessions = seen.distinct("cluster_key", service)
        what = f"the proxy's inactivity timeout ended {int(service.sum())} connections"
        evidence = f"{int((service & agree).sum())} of them agree with the client's log"
        fired.findings.append(Finding("proxy_idle", what, int(service.sum()), sessions, evidence))


def _peaks(seen: Observed, fired: Fired, known: BoolArray, values: FloatArray, measure: str, side: str) -> None:
    durations = values[known]
    for peak in repeats(durations) if len(durations) < MIN_DURATIONS else peaks(durations):
        rule_id = "idle_repeats" if len(durations) < MIN_DURATIONS else "idle_peak"
        inside = known & (values >= peak.low_s) & (values <= peak.high_s)
        sessions = seen.distinct("cluster_key", inside)
        sure = "medium" if rule_id == "idle_repeats" or sessions < 3 or peak.purity < 0.8 else "high"
        length = "lifetime" if measure == "lifetime" else "silence before the end"
        evidence = (
            f"{length}: {peak.inside} of {len(durations)} in {peak.low_s:.1f} to {peak.high_s:.1f} s, "
            f"{peak.background:.1f} expected{_browsers(seen, known, inside)}"
        )
        what = f"{_seconds(peak.seconds)} s: {matching_products(peak.seconds)} ({side} log, {measure})"
        if peak.purity >= 0.5:
            fired.hit(
                rule_id, inside, sure, Told([(f"{measure}_s", values)], after=f" peak={_seconds(peak.seconds)}_s")
            )
        else:
            sure = "low"
        fired.findings.append(
            Finding(
                rule_id, what, peak.inside, sessions, evidence, sure, statistic=peak.inside / max(peak.background, 0.1),
                p_value=peak.p_value, q_value=peak.q_value,
            )
        )  # fmt: skip


def _seconds(value: float) -> str:
    return f"{value:.0f}" if abs(value - round(value)) < 0.3 or value >= 100 else f"{value:.1f}"


def _browsers(seen: Observed, known: BoolArray, inside: BoolArray) -> str:
    """Return ``; of Safari's ends 43 %, of Chrome's 12 %`` when two browsers or more are named."""
    codes, names = seen.codes("browser")
    counts, hits = (np.bincount(codes[mask], minlength=len(names)) for mask in (known, inside))
    order = sorted(range(len(names)), key=lambda i: (-counts[i], names[i]))
    listed = [i for i in order if names[i] and counts[i] >= 20][:3]
    if len(listed) < 2:
        return ""
    return "; " + ", ".join(f"of {names[i]}'s ends {100 * hits[i] / counts[i]:.0f} %" for i in listed)


def peaks(durations: FloatArray) -> list[Peak]:
    """Return where durations gather.

    Parameters
    ----------
    durations : (n,) array
        Seconds; 20 or more.

    Returns
    -------
    list of Peak
        Longest first come last: in order of ``seconds``. At most one for durations that overlap.

    Notes
    -----
    For T from 5 to 900 s in steps of 0.5 s, and every known timeout: the count in [T - 0.3 s, T + max(1 s, 1 %)] against each
    of two bands beside it, three windows wide. The larger of the two binomial tail probabilities counts, since a
    distribution that falls or rises steeply passes a one-sided comparison everywhere; then Benjamini-Hochberg over all T.
    """
    ordered = np.sort(durations)
    known = [seconds for seconds, _, _ in known_timeouts()]
    grid = np.unique(np.concatenate([np.arange(SHORTEST_S, LONGEST_S + STEP_S, STEP_S), known]))
    low, high = grid - 0.3, grid + np.maximum(1.0, 0.01 * grid)
    inside, _, p = _compare(ordered, low, high)
    q = benjamini_hochberg(p)
    passed = np.flatnonzero((q <= MAX_RATE) & (p < 1))
    found: list[Peak] = []
    for i in sorted(passed, key=lambda i: (p[i], -int(inside[i]))):
        centre = _densest(ordered, float(low[i]), float(high[i]))
        begin, end = centre - 0.3, centre + max(1.0, 0.01 * centre)
        if any(begin <= other.high_s and end >= other.low_s for other in found):
            continue
        here, beside, chance = _compare(ordered, np.array([begin]), np.array([end]))
        if chance[0] < 1:
            found.append(Peak(centre, begin, end, int(here[0]), float(beside[0]), float(p[i]), float(q[i])))
    return sorted(found, key=lambda peak: peak.seconds)


def _compare(ordered: FloatArray, low: FloatArray, high: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return the count in each window, the denser band's expectation, and the larger tail (1 below the floor)."""
    width = high - low
    below_from = np.maximum(low - BAND_WIDTHS * width, 0.0)
    edges = [np.searchsorted(ordered, edge) for edge in (below_from, low, high, high + BAND_WIDTHS * width)]
    below, inside, above = (edges[k + 1] - edges[k] for k in range(3))
    widths_below = (low - below_from) / width
    background = np.maximum(below / widths_below, above / BAND_WIDTHS)
    p = np.ones(len(low))
    for i in np.flatnonzero((inside - background >= MIN_EXCESS) & (inside >= MIN_RATIO * background)):
        total_below, total_above = int(inside[i] + below[i]), int(inside[i] + above[i])
        p[i] = max(
            binomial_tail(int(inside[i]), total_below, 1 / (1 + float(widths_below[i]))),
            binomial_tail(int(inside[i]), total_above, 1 / (1 + BAND_WIDTHS)),
        )
    return inside.astype(np.float64), background, p


def _densest(ordered: FloatArray, low: float, high: float) -> float:
    """Return the median of the densest half second."""
    values = ordered[np.searchsorted(ordered, low) : np.searchsorted(ordered, high)]
    counts = np.searchsorted(values, values + 0.5, "right") - np.arange(len(values))
    first = int(np.argmax(counts))
    return float(np.median(values[first : first + int(counts[first])]))


def repeats(durations: FloatArray) -> list[Peak]:
    """Return the known timeout that a handful of durations keep coming back to: too few for bands beside.

    Notes
    -----
    At least three durations and a quarter of all within [T - 0.3 s, T + max(1 s, 1 %)] of a known timeout. Chance: binomial,
    with the window's share of [5 s, 900 s] in the logarithm of time, or, if larger, of [T/2, 2T] by how many others are
    there (one more counted than seen); times the number of timeouts looked at.
    """
    count = len(durations)
    known = known_timeouts()
    found: list[Peak] = []
    for seconds, _, _ in known:
        low, high = seconds - 0.3, seconds + max(1.0, 0.01 * seconds)
        inside = int(((durations >= low) & (durations <= high)).sum())
        if inside < MIN_REPEATS or 4 * inside < count:
            continue
        window = math.log(high / low)
        near = int(((durations >= seconds / 2) & (durations <= 2 * seconds)).sum()) - inside
        share = max(window / math.log(LONGEST_S / SHORTEST_S), (near + 1) / (count - inside + 1) * window / math.log(4))
        chance = min(1.0, len(known) * binomial_tail(inside, count, min(share, 1.0)))
        if chance <= MAX_CHANCE:
            found.append(Peak(seconds, low, high, inside, share * count, chance / len(known), chance))
    return found
