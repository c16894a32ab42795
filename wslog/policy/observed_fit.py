"""From observed waits to a formula, and to the preset whose waits they resemble.

Both read quantiles, not means: a background tab's timers are late by up to a minute, a network that comes online makes an attempt
early, and neither says anything about the policy.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import inf, nan

import numpy as np

from wslog.policy.model import FloatArray
from wslog.policy.policies import Policy

SHARES = np.arange(0.1, 0.81, 0.1)
"""Quantiles that are compared: late timers spoil those above, early attempts those below."""

SLACK_S = 0.03
"""Added to both waits before their logarithms are compared: how late a timer that is due at once usually fires."""

TOLERANCE = 0.06
"""A score above this, and above what chance explains, resembles nothing."""

TIE = 0.02
"""Presets whose scores differ by less are not told apart."""

MIN_CELL = 10
"""Waits before retry k that it takes to speak of retry k."""

DRAWS = 2000
REPEATS = 30


@dataclass(frozen=True)
class Cell:
    """The waits before one retry.

    Parameters
    ----------
    retry : int
        From 1 on.
    is_drop : bool
        Of outages that began with the loss of an open connection; else of those that began with a failed attempt.
    wait_s : (n,) float array
        From the end of the attempt before.
    start_gap_s, took_s : (n,) float array
        From the begin of the attempt before, and how long that one took; NaN after the loss of an open connection.
    """

    retry: int
    is_drop: bool
    wait_s: FloatArray
    start_gap_s: FloatArray
    took_s: FloatArray


@dataclass(frozen=True)
class Match:
    """The preset that waits resemble.

    Parameters
    ----------
    name : str
        ``none of them`` when none does.
    score : float
        Of the closest preset: mean absolute difference between the logarithms of observed and of its quantiles, weighted by
        retry; 0.05 is about 5 %.
    also : tuple of str
        Other presets that the waits do not tell from it.
    closest : str
    """

    name: str
    score: float
    also: tuple[str, ...]
    closest: str


def resembling(
    cells: Sequence[Cell], candidates: Iterable[Policy], limit: int | None, most_retries: int, seed: int
) -> Match:
    """Name the policy whose waits are closest.

    Parameters
    ----------
    limit : int or None
        Retries after which outages were seen to stop; among presets whose waits are the same, those with that limit win.
    most_retries : int
        Retries that outages were seen to make.
    seed : int
    """
    usable = [cell for cell in cells if len(cell.wait_s) >= MIN_CELL]
    found: list[tuple[float, float, Policy]] = []
    for policy in candidates:
        # the same draws for all: presets that wait alike get the same score, and the first of them is named
        score = _score(usable, policy, np.random.default_rng(seed))
        if score < inf:
            found.append((score, score + _misfit(policy, limit, most_retries), policy))
    if not found:
        return Match("none of them", nan, (), "")
    found.sort(key=lambda row: row[1])
    score, ranked, best = found[0]
    # with jitter, outages that come to retry k are those whose waits were short: a quarter more than chance
    if score > TOLERANCE and score > TOLERANCE + 1.25 * _by_chance(usable, best, np.random.default_rng(seed)):
        return Match("none of them", score, (), best.name)
    also = tuple(policy.name for _, other, policy in found[1:] if other - ranked < TIE)
    return Match(best.name, score, also, best.name)


def _misfit(policy: Policy, limit: int | None, most_retries: int) -> float:
    """Return a penalty for another limit: enough to decide between presets with the same waits, no more."""
    if policy.max_attempts is not None and most_retries > policy.max_attempts:
        return 0.1
    return 0.1 if limit is not None and policy.max_attempts != limit else 0.0


def _score(cells: Sequence[Cell], policy: Policy, rng: np.random.Generator) -> float:
    total, weight = 0.0, 0.0
    for observed, predicted, count in _pairs(cells, policy, rng, None):
        distance = _distance(observed, predicted)
        share = min(count, 100)
        total, weight = total + share * distance, weight + share
    return total / weight if weight else inf


def _by_chance(cells: Sequence[Cell], policy: Policy, rng: np.random.Generator) -> float:
    """Return the score that 95 of 100 logs of this size stay below when the clients do follow the policy."""
    scores = []
    for _ in range(REPEATS):
        total, weight = 0.0, 0.0
        for drawn, predicted, count in _pairs(cells, policy, rng, policy):
            share = min(count, 100)
            total, weight = total + share * _distance(drawn, predicted), weight + share
        scores.append(total / weight)
    return float(np.quantile(scores, 0.95))


def _pairs(
    cells: Sequence[Cell], policy: Policy, rng: np.random.Generator, drawn_from: Policy | None
) -> list[tuple[FloatArray, FloatArray, int]]:
    """Return for each cell the observed waits (or as many drawn ones), those that the policy makes, and their number."""
    most = max((cell.retry for cell in cells), default=0)
    waits = {is_drop: _of(policy, is_drop).waits(DRAWS, most, rng) for is_drop in {cell.is_drop for cell in cells}}
    again = {k: _of(policy, k).waits(DRAWS, most, rng) for k in waits} if drawn_from is not None else {}
    pairs = []
    for cell in cells:
        predicted = waits[cell.is_drop][:, cell.retry - 1]
        if np.isnan(predicted[0]):
            continue  # the policy has stopped: the limit speaks of that
        count, observed = len(cell.wait_s), cell.wait_s
        if policy.is_wait_from_start and cell.retry > 1:
            took = rng.choice(cell.took_s, DRAWS)
            predicted, observed = np.maximum(predicted, took), cell.start_gap_s
        if again:
            observed = again[cell.is_drop][:count, cell.retry - 1]
            if policy.is_wait_from_start and cell.retry > 1:
                observed = np.maximum(observed, rng.choice(cell.took_s, len(observed)))
        pairs.append((observed, predicted, count))
    return pairs


def _of(policy: Policy, is_drop: bool) -> Policy:
    return policy if is_drop else policy.initial()


def _distance(observed: FloatArray, predicted: FloatArray) -> float:
    seen, wanted = (np.log(np.maximum(np.quantile(waits, SHARES), 0.0) + SLACK_S) for waits in (observed, predicted))
    return float(np.abs(seen - wanted).mean())


# --- the formula --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Shape:
    """A formula read off the waits; NaN where they do not say.

    Parameters
    ----------
    growth : str
        ``constant``, ``linear``, ``exponential``, ``list`` (none of these, or fewer than three
        waits below the cap), or ``unknown`` (fewer than three retries seen).
    formula_from_retry : int or None
        The first retry that the formula holds for: at most two waits before it stand apart.
    base_s, factor, step_s, cap_s : float
        Nominal wait of that retry, growth per retry (``factor`` exponential or decorrelated, ``step_s`` linear), and the wait
        that it ends at (NaN: none seen). Nominal is the upper end of ``full``, ``equal`` and ``decorrelated``, the lower of
        ``additive``, else the middle.
    jitter : str
        ``none``, ``full`` (down to 0, or to the same least wait every time), ``equal``, ``plus_minus``, ``additive``, ``once``,
        ``decorrelated``, or ``unknown``. A jitter of two or more kinds is told by its width only.
    jitter_low_ratio : float
        Least wait over greatest wait, median over retries with jitter: 1 none, 0.5 equal, 0 full.
    """

    growth: str = "unknown"
    formula_from_retry: int | None = None
    base_s: float = nan
    factor: float = nan
    step_s: float = nan
    cap_s: float = nan
    jitter: str = "unknown"
    jitter_low_ratio: float = nan


def shape(waits: Sequence[FloatArray], slack_s: float, successive: FloatArray) -> Shape:
    """Infer growth, cap and jitter.

    Parameters
    ----------
    waits : sequence of float arrays
        The waits before retry 1, 2, ..., each at least :data:`MIN_CELL` long.
    slack_s : float
        Spread that clock and timer alone explain.
    successive : (n, 2) float array
        Waits before two successive retries of one outage.
    """
    if not waits:
        return Shape()
    ends = np.array([_ends(wait) for wait in waits])
    low, high = ends.T
    middle = np.array([float(np.quantile(wait, 0.4)) for wait in waits])
    is_spread = high - low > slack_s + 0.05 * high
    jitter, ratio = _jitter(low[is_spread], high[is_spread], slack_s)
    if jitter not in ("none", "unknown"):
        jitter, factor = _bound_to_before(jitter, successive)
        if jitter in ("once", "decorrelated"):
            base = float(low[0]) if jitter == "decorrelated" else float(low[0] + high[0]) / 2
            cap = _cap(high, 0.1 + 1.5 / np.sqrt([len(wait) for wait in waits]))
            return Shape("exponential", 1, base, factor, nan, cap, jitter, ratio)
    nominal = {"none": middle, "full": high, "equal": high, "additive": low}.get(jitter, (low + high) / 2)
    nominal = np.where(is_spread, nominal, middle)
    # the end of a uniform spread is known to about 1 / sqrt(n) of its width
    width = np.where(is_spread, (high - low) / np.maximum(high, 1e-9), 0.0)
    tolerance = 0.04 + 1.2 * width / np.sqrt([len(wait) for wait in waits])
    for skip in range(max(1, min(3, len(nominal) - 2))):
        found = _growth(nominal[skip:], tolerance[skip:], slack_s)
        if found[0] != "list":
            return Shape(found[0], skip + 1, *found[1:], jitter, ratio)
    return Shape("list", None, float(nominal[0]), nan, nan, _cap(nominal, tolerance), jitter, ratio)


def _ends(wait: FloatArray) -> tuple[float, float]:
    """Return the ends of a uniform spread from its inner quantiles: the middle 70 % lie between them."""
    low, high = np.quantile(wait, (0.1, 0.8))
    return max(0.0, float(low - (high - low) / 7)), float(high + 2 * (high - low) / 7)


def _jitter(low: FloatArray, high: FloatArray, slack_s: float) -> tuple[str, float]:
    if not len(high):
        return "none", 1.0
    ratios = low / high
    ratio, width = float(np.median(ratios)), high - low
    grown = high.max() > 2 * high.min()
    if grown and width.max() < 1.5 * width.min() + slack_s and ratios.max() > 2 * ratios.min():
        return "additive", ratio
    # a floor under full jitter stays where it is while the upper end grows
    if ratio < 0.12 or (grown and low.max() < 2 * low.min() + slack_s and ratios.min() < 0.3):
        return "full", ratio
    return ("equal" if 0.42 < ratio < 0.58 else "plus_minus"), ratio


def _bound_to_before(jitter: str, successive: FloatArray) -> tuple[str, float]:
    """Say whether a wait depends on the one before it (``once``, ``decorrelated``), and by which factor it may grow."""
    pairs = successive[(successive > 1e-3).all(axis=1)]
    if len(pairs) < MIN_CELL:
        return jitter, nan
    logs = np.log(pairs)
    if logs.std(axis=0).min() < 0.05:
        return jitter, nan
    growth = pairs[:, 1] / pairs[:, 0]
    middle, most = np.quantile(growth, (0.5, 0.98))
    # drawn once: one factor for all of them, but for waits at the cap
    if (np.abs(growth / middle - 1) < 0.03).mean() > 0.6:
        return "once", float(middle)
    if jitter == "full" and most < 6 and np.corrcoef(logs.T)[0, 1] > 0.2:
        return "decorrelated", float(most)
    return jitter, nan


def _growth(nominal: FloatArray, tolerance: FloatArray, slack_s: float) -> tuple[str, float, float, float, float]:
    """Return growth, base, factor, step and cap of the series that fits best, the constant first."""
    base = float(nominal[0])
    if len(nominal) < 2:
        return "unknown", base, nan, nan, nan
    weight = 1 / tolerance
    flat = float(np.average(nominal, weights=weight))
    if _misses(nominal, np.full(len(nominal), flat), tolerance, slack_s) <= 1:
        return "constant", flat, nan, nan, nan
    cap = _cap(nominal, tolerance)
    free = int((nominal < cap * (1 - tolerance)).sum()) if cap == cap else len(nominal)
    if free < 3:
        # two waits lie on a line as well as on an exponential
        return ("unknown" if len(nominal) == 2 else "list"), base, nan, nan, cap
    k, found = np.arange(len(nominal), dtype=np.float64), []
    step, start = np.polyfit(k[:free], nominal[:free], 1, w=weight[:free] / np.maximum(nominal[:free], slack_s))
    found.append(("linear", float(start), nan, float(step), cap, start + step * k))
    if nominal[:free].min() > slack_s / 10:
        slope, level = np.polyfit(k[:free], np.log(nominal[:free]), 1, w=weight[:free])
        found.append(("exponential", float(np.exp(level)), float(np.exp(slope)), nan, cap, np.exp(level + slope * k)))
    top = cap if cap == cap else inf
    misses = [_misses(nominal, np.minimum(row[5], top), tolerance, slack_s) for row in found]
    best = int(np.argmin(misses))
    name, start, factor, step, cap, _ = found[best]
    if misses[best] > 1 or not (factor > 1 or step > 0):
        return "list", base, nan, nan, cap
    return name, max(0.0, start), factor, step, cap


def _misses(nominal: FloatArray, series: FloatArray, tolerance: FloatArray, slack_s: float) -> float:
    """Return the largest distance in units of what is tolerated."""
    return float(np.max(np.abs(nominal - series) / (tolerance * np.maximum(nominal, series) + slack_s)))


def _cap(nominal: FloatArray, tolerance: FloatArray) -> float:
    """Return the wait that the last two or more retries share after the waits had grown, NaN when they still grow."""
    best = nan
    for begin in range(len(nominal) - 2, 0, -1):
        tail = nominal[begin:]
        level = float(np.average(tail, weights=1 / tolerance[begin:]))
        if (np.abs(tail - level) > tolerance[begin:] * level).any():
            break
        best = level
    return best if nominal[0] < best * 0.8 else nan
