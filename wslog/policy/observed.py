"""The reconnect policy as it was run: read off the gaps between attempts, not off anybody's configuration.

A gap is the wait and the attempt that failed; attempts have a begin and an end, so the wait is what lies between. What spoils a wait
is counted and left out of the fit: attempts after a change of the network (clients that listen to ``online`` retry at once), and
those of a background tab, whose timers fire once a second or once a minute (Chromium's timer throttling, chromestatus
4718288976216064). Waits are counted as they are logged, without sampling weights. SQL: ``sql/policy/observed.sql``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from math import nan
from typing import TYPE_CHECKING, Any

import numpy as np

from wslog.errors import UsageError
from wslog.intervals import MIN_CLUSTERS, MIN_ROWS
from wslog.policy.model import BoolArray, FloatArray
from wslog.policy.observed_fit import MIN_CELL, Cell, Match, Shape, resembling, shape
from wslog.policy.presets import presets
from wslog.selection import Selection, check_by, parse_filter, parse_period

if TYPE_CHECKING:
    import pandas as pd

    from wslog.engine import Engine

RETRIES = 8
"""Waits are described up to this retry, and fitted up to :data:`FITTED`."""

FITTED = 12

ZERO_S = 0.05
"""A wait below 50 ms is none: no person and no server notices it."""

POINTLESS_CODES = (1002, 1003, 1007, 1008, 1009, 1010, 3000, 3003)
"""Close codes that say: the same request will end the same way (RFC 6455 section 7.4.1; IANA registry: 3000 unauthorized, 3003
forbidden)."""

RETRIABLE_ANSWERS = (408, 421, 425, 429)
"""The only 4xx answers that time may heal (RFC 9110 section 15.5, RFC 8470, RFC 6585)."""

FLAGS = ("zero_delay", "reset_on_open", "terminal_retry", "throttled", "network_retry", "browser_delay")


def observed_policy(
    engine: Engine,
    by: str | Iterable[str] = (),
    since: str | None = None,
    until: str | None = None,
    week: str | None = None,
    where: str | None = None,
) -> pd.DataFrame:
    """Infer the reconnect policy that clients followed.

    Parameters
    ----------
    engine : Engine
    by : str or iterable of str
        Grouping columns, like ``network_type``, ``browser`` or ``format``. One group should hold clients of one policy.
    since, until, week, where : str, optional
        As of every metric.

    Returns
    -------
    pandas.DataFrame
        One row per group.

        * ``outage_count``, ``session_count``, ``wait_count`` (waits with both times), ``untimed_count`` (without)
        * ``wait_k_count``, ``wait_k_p5_s``, ``wait_k_p50_s``, ``wait_k_p95_s`` for retry k = 1 to 8, from the end of the attempt
          before, all waits but those after a short open; quantiles are null below 10 waits
        * ``growth``, ``formula_from_retry``, ``base_s``, ``factor``, ``step_s``, ``cap_s``, ``jitter``, ``jitter_low_ratio``:
          :class:`~wslog.policy.observed_fit.Shape`; null where the waits do not say
        * ``waits_count_from``: ``end`` of the attempt before, or its ``begin`` (as the preset that they resemble)
        * ``limit`` (retries after which 9 of 10 outages that stopped did so; null when too few stopped), ``limit_count``,
          ``limit_base_count`` (outages that stopped there, and at all), ``most_retries``
        * ``reset``: ``on_open`` (or on the first message, which a log of connections does not tell apart), ``after_uptime``, ``mixed``,
          null when too few short opens were followed by a telling wait; ``reset_after_s``: longest open that did not reset
        * ``resembles``, ``resembles_score``, ``resembles_also``, ``closest``: :class:`~wslog.policy.observed_fit.Match`
        * for each of :data:`FLAGS` a count and its base: ``zero_delay`` (waits below 50 ms, of those after two failures in a row
          or more that came within a second), ``reset_on_open`` (short opens that reset the counter, of those where the next wait tells),
          ``terminal_retry`` (failures that a retry cannot heal and that were retried all the same), ``throttled`` (waits that
          ended at a whole minute, or a whole second where less was due, late), ``network_retry`` (retries at once after the
          network changed, of those after a change), ``browser_delay`` (failed attempts in Firefox that
          grow with every failure and are as long as its own reconnect delay: FailDelayManager, 200 to 400 ms times 1.5 per failure, netwerk/protocol/websocket/WebSocketChannel.cpp)
        * ``flagged``: those with 5 cases and 5 % at least, comma-separated
        * ``granularity_ms`` of the log's clock; ``state``: ``insufficient`` below 20 waits or 10 sessions, and then everything
          inferred is null

    Raises
    ------
    UsageError
    """
    import pandas as pd

    tables = ["episodes", "attempts"]
    chosen = check_by(by, tables)
    if "side" in chosen:
        raise UsageError("side cannot be a group here: retries are those of client sessions")
    selection = Selection(chosen, parse_period(since, until, week), parse_filter(where, tables))
    rows = engine.run("policy/observed", "episodes", selection)
    groups = rows.groupby(list(chosen), dropna=False, sort=True) if chosen else [((), rows)] if len(rows) else []
    found = [dict(zip(chosen, key, strict=True)) | _describe(_Waits.of(part)) for key, part in groups]
    frame = pd.DataFrame(found, columns=[*chosen, *COLUMNS])
    whole = [
        name
        for name in COLUMNS
        if name.endswith("_count") or name in ("limit", "most_retries", "granularity_ms", "formula_from_retry")
    ]
    return frame.astype(dict.fromkeys(whole, "Int64"))


@dataclass(frozen=True)
class _Waits:
    """The rows of ``observed.sql`` of one group, as arrays; ``wait`` is NaN for the attempt that began an outage."""

    outage: FloatArray
    session: FloatArray
    retry: FloatArray
    wait: FloatArray
    start_gap: FloatArray
    before_took: FloatArray
    lifetime: FloatArray
    took: FloatArray
    code: FloatArray
    answer: FloatArray
    granularity: FloatArray
    short_before: FloatArray
    role: Any
    before_role: Any
    end: Any
    is_drop: BoolArray
    is_firefox: BoolArray
    is_network_new: BoolArray
    is_retried: BoolArray
    is_sleep: BoolArray

    @classmethod
    def of(cls, rows: pd.DataFrame) -> _Waits:
        import pandas as pd

        def number(name: str) -> FloatArray:
            return np.asarray(rows[name].to_numpy(np.float64, na_value=np.nan), np.float64)

        return cls(
            outage=pd.factorize(rows["episode_id"])[0].astype(np.float64),
            session=pd.factorize(rows["cluster_key"])[0].astype(np.float64),
            retry=number("retry_number"),
            wait=number("wait_s"),
            start_gap=number("start_gap_s"),
            before_took=number("before_took_s"),
            lifetime=number("before_lifetime_s"),
            took=number("took_s"),
            code=number("code"),
            answer=number("answer"),
            granularity=number("granularity_ms"),
            short_before=number("short_before_count"),
            role=rows["attempt_role"].to_numpy(object),
            before_role=rows["before_role"].to_numpy(object),
            end=rows["how_it_ended"].to_numpy(object),
            is_drop=(rows["kind"] == "drop").to_numpy(bool),
            is_firefox=rows["is_firefox"].to_numpy(bool),
            is_network_new=rows["is_network_new"].to_numpy(bool),
            is_retried=rows["is_retried"].to_numpy(bool),
            is_sleep=rows["is_sleep"].to_numpy(bool),
        )


def _describe(rows: _Waits) -> dict[str, Any]:
    made = rows.retry >= 1
    is_timed = made & (rows.wait >= 0)
    is_plain = is_timed & (rows.short_before == 0) & ~rows.is_sleep
    granularity = float(np.min(rows.granularity[is_timed], initial=1000)) if is_timed.any() else nan
    slack_s = max(granularity, 30.0) / 1e3 if granularity == granularity else 0.03
    usual = {k: _usual(rows.wait[is_plain & (rows.retry == k)]) for k in range(1, FITTED + 1)}
    expected = np.array([usual.get(int(k), nan) if k == k else nan for k in rows.retry])
    is_throttled = is_plain & _is_throttled(rows.wait, expected)
    is_fit = is_plain & ~is_throttled & ~rows.is_network_new
    limit, stopped_there, stopped, most = _limit(rows)
    is_enough = is_timed.sum() >= MIN_ROWS and len(np.unique(rows.session[is_timed])) >= MIN_CLUSTERS
    match, form, from_begin = Match("", nan, (), ""), Shape(), False
    if is_enough:
        match = resembling(_cells(rows, is_fit), presets().values(), limit, most, seed=1)
        from_begin = match.name in presets() and presets()[match.name].is_wait_from_start
        form = shape(_main_cells(rows, is_fit, from_begin), slack_s, _successive(rows, is_fit))
    elif limit == 0:
        match = Match("no-retry", nan, (), "no-retry")
    reset = _reset(rows, usual, form.jitter == "once")
    counts = _flags(rows, is_plain, is_throttled, expected, reset)
    return (
        {
            "outage_count": len(np.unique(rows.outage)),
            "session_count": len(np.unique(rows.session)),
            "wait_count": int(is_timed.sum()),
            "untimed_count": int((made & ~is_timed).sum()),
        }
        | _quantiles(rows, is_plain)
        | {key: _known(value) for key, value in asdict(form).items()}
        | {
            "waits_count_from": ("begin" if from_begin else "end") if is_enough else None,
            "limit": limit,
            "limit_count": stopped_there,
            "limit_base_count": stopped,
            "most_retries": most,
            "reset": reset.rule if is_enough else None,
            "reset_after_s": reset.after_s if is_enough else nan,
            "resembles": match.name or None,
            "resembles_score": match.score,
            "resembles_also": ", ".join(match.also) or None,
            "closest": match.closest or None,
        }
        | {f"{flag}_{word}": value for flag, pair in counts.items() for word, value in zip(_COUNTS, pair, strict=True)}
        | {
            "flagged": ", ".join(flag for flag, (y, n) in counts.items() if y >= 5 and y >= 0.05 * n) or None,
            "granularity_ms": None if granularity != granularity else int(granularity),
            "state": "ok" if is_enough else "insufficient",
        }
    )


_COUNTS = ("count", "base_count")
COLUMNS = (
    "outage_count", "session_count", "wait_count", "untimed_count",
    *(f"wait_{k}_{word}" for k in range(1, RETRIES + 1) for word in ("count", "p5_s", "p50_s", "p95_s")),
    "growth", "formula_from_retry", "base_s", "factor", "step_s", "cap_s", "jitter", "jitter_low_ratio", "waits_count_from",
    "limit", "limit_count", "limit_base_count", "most_retries", "reset", "reset_after_s",
    "resembles", "resembles_score", "resembles_also", "closest",
    *(f"{flag}_{word}" for flag in FLAGS for word in _COUNTS), "flagged", "granularity_ms", "state",
)  # fmt: skip
"""Columns of :func:`observed_policy` after the grouping columns."""


def _known(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.6g}")  # beyond, a fit is rounding
    return None if value == "unknown" else value


def _usual(wait: FloatArray) -> float:
    """Return the upper end of what is usual, from the inner quantiles; NaN below the floor."""
    if len(wait) < MIN_CELL:
        return nan
    low, high = np.quantile(wait, (0.2, 0.6))
    return float(high + (high - low))


def _is_throttled(wait: FloatArray, expected: FloatArray) -> BoolArray:
    """Say which waits ended late and at a whole minute, or at a whole second where less than that was due.

    A throttled timer fires at the next tick of its page, so the wait is at least what was due and near a multiple of the tick.
    """
    late = wait > expected * 1.3 + 0.1
    minute, second = np.abs(wait - 60 * np.round(wait / 60)), np.abs(wait - np.round(wait))
    by_minute = late & (wait > 59) & (minute < 1.0) & (expected < 55)
    by_second = late & (wait > 0.99) & (wait < 2.1) & (second < 0.05) & (expected < 0.9)
    return np.asarray(by_minute | by_second, bool)


def _cells(rows: _Waits, is_fit: BoolArray) -> list[Cell]:
    found = []
    for is_drop in (True, False):
        for k in range(1, FITTED + 1):
            at = is_fit & (rows.retry == k) & (rows.is_drop == is_drop)
            if at.sum() >= MIN_CELL:
                found.append(Cell(k, is_drop, rows.wait[at], rows.start_gap[at], rows.before_took[at]))
    return found


def _main_cells(rows: _Waits, is_fit: BoolArray, from_begin: bool) -> list[FloatArray]:
    """Return the waits before retry 1, 2, ... up to the first with too few of them; drops, unless failed first attempts tell more.

    Waits that count from the begin of an attempt are seen whole where it failed quickly.
    """
    wait = np.where(rows.retry > 1, rows.start_gap, rows.wait) if from_begin else rows.wait
    if from_begin:
        is_fit = is_fit & ~(rows.before_took > 1.0)
    series = []
    for is_drop in (True, False):
        waits: list[FloatArray] = []
        for k in range(1, FITTED + 1):
            at = is_fit & (rows.retry == k) & (rows.is_drop == is_drop)
            if at.sum() < MIN_CELL:
                break
            waits.append(wait[at])
        series.append(waits)
    return series[0] if len(series[0]) >= min(len(series[1]), 3) else series[1]


def _successive(rows: _Waits, is_fit: BoolArray) -> FloatArray:
    """Return (n, 2) waits before retries 2 and 3 of one outage each: the first may stand outside a formula."""
    n = len(rows.retry)
    at = np.arange(max(n - 1, 0))
    is_pair = (
        is_fit[:-1]
        & is_fit[1:]
        & (rows.retry[:-1] == 1)
        & (rows.retry[1:] == 2)
        & (rows.outage[:-1] == rows.outage[1:])
    )
    chosen = at[is_pair]
    return np.column_stack((rows.wait[chosen], rows.wait[chosen + 1]))


def _limit(rows: _Waits) -> tuple[int | None, int, int, int]:
    """Return the limit, the outages that stopped there, those that stopped, and the most retries that any made.

    An outage stopped when it fell back or gave up; opens that died at once may have reset the counter, so those are left out.
    First connections that fail may be treated apart: they speak only where no drop stopped.
    """
    last = np.append(rows.outage[1:] != rows.outage[:-1], True) if len(rows.outage) else np.zeros(0, bool)
    is_clear = last & (rows.short_before == 0) & (rows.role != "short")
    most = int(np.max(rows.retry[is_clear], initial=0))
    is_stopped = is_clear & ((rows.end == "fell_back") | (rows.end == "gave_up"))
    if (is_stopped & rows.is_drop).sum() >= MIN_CELL:
        is_stopped &= rows.is_drop
    stops = rows.retry[is_stopped].astype(np.int64)
    if not len(stops):
        return None, 0, 0, most
    counts = np.bincount(stops)
    mode = int(counts.argmax())
    beyond = int((rows.retry[is_clear] > mode).sum())
    is_sure = len(stops) >= MIN_CELL and counts[mode] >= 0.9 * len(stops) and beyond <= 0.1 * counts[mode]
    return (mode if is_sure else None), int(counts[mode]), len(stops), most


@dataclass(frozen=True)
class _Reset:
    rule: str | None
    after_s: float
    count: int
    base_count: int


def _reset(rows: _Waits, usual: dict[int, float], is_once: bool) -> _Reset:
    """Tell from the wait after a short open whether the counter began anew or went on.

    Only where the two differ by half or more, and only the first short open of an outage: after it nobody knows the counter. A
    page that draws its base once is compared with its own first wait.
    """
    at = np.flatnonzero(
        (rows.before_role == "short")
        & (rows.short_before == 1)
        & (rows.wait >= 0)
        & ~rows.is_network_new
        & (rows.retry >= 2)
    )
    middle = {k: _middle(rows, k) for k in usual}
    first = np.full(len(at), middle[1])
    going = np.array([middle.get(int(k), nan) for k in rows.retry[at]])
    if is_once:
        own = rows.wait[np.searchsorted(rows.outage, rows.outage[at]) + 1]  # rows go by outage, retry 0 has no wait
        first, going = np.maximum(own, 0.0), going * np.maximum(own, 0.0) / middle[1]
    told = np.abs(np.log((going + 0.03) / (first + 0.03))) > 0.4
    at, going, first = at[told], going[told], first[told]
    if not len(at):
        return _Reset(None, nan, 0, 0)
    wait = np.log(rows.wait[at] + 0.03)
    is_reset = np.abs(wait - np.log(first + 0.03)) < np.abs(wait - np.log(going + 0.03))
    count, base = int(is_reset.sum()), len(at)
    if base < MIN_CELL:
        return _Reset(None, nan, count, base)
    rule = "on_open" if count >= 0.8 * base else "after_uptime" if count <= 0.2 * base else "mixed"
    kept = rows.lifetime[at][~is_reset]
    after = float(np.nanmax(kept)) if rule != "on_open" and np.isfinite(kept).any() else nan
    return _Reset(rule, after, count, base)


def _middle(rows: _Waits, retry: int) -> float:
    wait = rows.wait[(rows.retry == retry) & (rows.short_before == 0) & (rows.wait >= 0) & ~rows.is_network_new]
    return float(np.median(wait)) if len(wait) >= MIN_CELL else nan


def _flags(
    rows: _Waits, is_plain: BoolArray, is_throttled: BoolArray, expected: FloatArray, reset: _Reset
) -> dict[str, tuple[int, int]]:
    # after an attempt that hangs, no wait at all makes no storm
    follows = is_plain & (rows.retry >= 3) & (rows.before_took < 1.0) & ~rows.is_network_new
    pointless = np.isin(rows.code, POINTLESS_CODES) | (
        (rows.answer >= 400) & (rows.answer < 500) & ~np.isin(rows.answer, RETRIABLE_ANSWERS)
    )
    pointless &= (rows.role == "lost") | (rows.role == "failed") | (rows.role == "short")
    # a page that is left retries nothing
    pointless &= rows.is_retried | (rows.end != "left")
    moved = is_plain & rows.is_network_new
    failed = rows.is_firefox & (rows.retry >= 1) & (rows.took >= 0)
    own = 0.2 * 1.5 ** np.minimum(np.nan_to_num(rows.retry) - 1, 14)
    return {
        "zero_delay": _pair(follows & (rows.wait < ZERO_S), follows),
        "reset_on_open": (reset.count, reset.base_count),
        "terminal_retry": _pair(pointless & rows.is_retried, pointless),
        "throttled": _pair(is_throttled, is_plain & (expected < 55)),
        "network_retry": _pair(moved & (rows.wait < 0.5 * expected), moved),
        "browser_delay": _pair(failed & (rows.took >= own) & (rows.took < 2.2 * own) & _grows(rows, failed), failed),
    }


def _grows(rows: _Waits, failed: BoolArray) -> bool:
    """Say whether failed attempts take longer with every retry: other reasons to last half a second do not grow."""
    series = [rows.took[failed & (rows.retry == k)] for k in range(1, RETRIES + 1)]
    middle = [float(np.median(took)) for took in series if len(took) >= MIN_CELL]
    return len(middle) >= 3 and float(np.median(np.diff(np.log(np.maximum(middle, 1e-3))))) > np.log(1.2)


def _pair(chosen: BoolArray, base: BoolArray) -> tuple[int, int]:
    return int((chosen & base).sum()), int(base.sum())


def _quantiles(rows: _Waits, is_plain: BoolArray) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for k in range(1, RETRIES + 1):
        wait = rows.wait[is_plain & (rows.retry == k)]
        found[f"wait_{k}_count"] = len(wait)
        values = np.quantile(wait, (0.05, 0.5, 0.95)) if len(wait) >= MIN_CELL else np.full(3, nan)
        found |= {f"wait_{k}_{word}_s": float(v) for word, v in zip(("p5", "p50", "p95"), values, strict=True)}
    return found
