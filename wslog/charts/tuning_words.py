"""What the policy charts, the page and the terminal call the figures of a policy, and how sure each one is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from wslog.charts.words import NBSP, NOT_LOGGED, duration, percent, short_count
from wslog.safe_text import LABEL_CHARACTERS, chart_label


@dataclass(frozen=True)
class Figure:
    """How one figure of a policy is named, shown and defined; ``kind`` is share, seconds or count."""

    title: str
    short: str
    kind: str
    is_more_better: bool
    definition: str


FIGURES: dict[str, Figure] = {
    "recovery_ratio": Figure(
        "WebSocket back",
        "back",
        "share",
        True,
        "Share of all outages in which an attempt of the policy opened before the horizon. Giving up and staying on the "
        "fallback count as not back.",
    ),
    "downtime_mean_s": Figure(
        "Mean downtime",
        "mean down",
        "seconds",
        False,
        "Mean over all outages of the time without a WebSocket; an outage that is not over at the horizon counts as the "
        "horizon, so a policy gains nothing by giving up.",
    ),
    "service_downtime_mean_s": Figure(
        "Mean time without service",
        "no service",
        "seconds",
        False,
        "The same, but over as soon as there was any service: the WebSocket, or polling or SSE once the policy fell back.",
    ),
    "downtime_p50_s": Figure(
        "Median downtime", "median", "seconds", False, "The time by which half of all outages had their WebSocket back."
    ),
    "downtime_p95_s": Figure(
        "Downtime, 95th percentile",
        "p95",
        "seconds",
        False,
        "The time by which 95 % of all outages had their WebSocket back; the horizon where fewer do.",
    ),
    "attempt_count_mean": Figure(
        "Attempts per outage",
        "attempts",
        "count",
        False,
        "Mean number of connection attempts in an outage, the one that opens included: battery, data and server load.",
    ),
    "fallback_ratio": Figure(
        "Fell back",
        "fell back",
        "share",
        False,
        "Share of all outages in which the policy went over to polling or SSE.",
    ),
    "fallback_s_mean": Figure(
        "Time on fallback", "fallback", "seconds", False, "Mean time on polling or SSE, over all outages."
    ),
}

STATUS_WORDS = {"identified": "IDENTIFIED", "assumed": "ASSUMED", "bound": "BOUND"}

STATUS_DEFINITIONS = {
    "identified": "The logs themselves settle the figure; only chance is left, and the interval speaks about it.",
    "assumed": "The logs settle the figure only together with the assumption that is named with it.",
    "bound": "The logs only say between which two values the figure lies. No value in between is more likely than another.",
}

ROLES = ("current", "recommended", "variant", "given", "preset")
"""What a policy is on the page: the one the logs were recorded under, the best one found, a variant of that, one the caller named, a
library's."""

ROLE_WORDS = {"current": "in place now", "recommended": "recommended", "variant": "", "given": "yours", "preset": ""}


@dataclass(frozen=True)
class Estimate:
    """One row of the policies frame, nulls as None."""

    keys: dict[str, Any]
    policy: str
    role: str
    figure: str
    value: float | None
    low: float | None
    high: float | None
    bound_low: float | None
    bound_high: float | None
    status: str
    assumption: str
    outage_count: int
    is_ok: bool

    @property
    def is_bound(self) -> bool:
        """Whether only two values between which it lies are known."""
        return self.is_ok and (self.status == "bound" or self.value is None) and self.bound_low is not None

    @property
    def ends(self) -> tuple[float, float] | None:
        """What an error bar spans: the bounds where only they are known, else the 95 % interval."""
        low, high = (self.bound_low, self.bound_high) if self.is_bound else (self.low, self.high)
        return None if low is None or high is None else (low, high)


def number(value: Any) -> float | None:
    """Return a float, None for null, NaN and infinity."""
    return None if value is None or pd.isna(value) or not math.isfinite(float(value)) else float(value)


def estimates(frame: pd.DataFrame, by: Sequence[str]) -> list[Estimate]:
    """Return the rows of a policies frame, in order."""
    found = []
    for row in frame.to_dict("records"):
        value, low, high, bound_low, bound_high = (
            number(row[name]) for name in ("value", "ci_low", "ci_high", "bound_low", "bound_high")
        )
        assumption = row["assumption"]
        found.append(
            Estimate(
                {name: None if pd.isna(row[name]) else row[name] for name in by},
                str(row["policy"]),
                str(row["role"]),
                str(row["figure"]),
                value,
                low,
                high,
                bound_low,
                bound_high,
                str(row["status"]),
                assumption if isinstance(assumption, str) else "",
                int(row["outage_count"]),
                str(row["state"]) == "ok",
            )
        )
    return found


def group_of(keys: dict[Any, Any], by: Sequence[str], limit: int = LABEL_CHARACTERS) -> str:
    """Return the label of a group, made inert and cut; ``all outages`` without grouping."""
    values = [NOT_LOGGED if pd.isna(keys[name]) else str(keys[name]) for name in by]
    return chart_label(", ".join(values), limit) if values else "all outages"


Key = tuple[object, ...]


@dataclass(frozen=True)
class Group:
    """The rows of one group of a frame; ``key`` finds the same group in another frame."""

    key: Key
    label: str
    rows: pd.DataFrame


def groups(frame: pd.DataFrame, by: Sequence[str]) -> list[Group]:
    """Return the groups of a frame in its own order; without grouping columns one, if the frame has rows."""
    if not len(frame):
        return []
    if not by:
        return [Group((), group_of({}, by), frame)]
    places: dict[Key, list[int]] = {}
    for place, values in enumerate(zip(*(frame[name] for name in by), strict=True)):
        places.setdefault(key_of(values), []).append(place)
    return [Group(key, group_of(dict(zip(by, key, strict=True)), by), frame.iloc[at]) for key, at in places.items()]


def key_of(values: Sequence[object]) -> Key:
    """Return grouping values with null as None, so that equal groups compare equal."""
    return tuple(None if pd.isna(value) else value for value in values)  # type: ignore[call-overload]


def group_rows(frame: pd.DataFrame, by: Sequence[str], key: Key) -> pd.DataFrame | None:
    """Return the rows of one group, None where the frame has none."""
    return next((group.rows for group in groups(frame, by) if group.key == key), None)


def in_unit(value: float, kind: str) -> str:
    """Return a value of a figure with its unit."""
    if kind == "share":
        return percent(value)
    if kind == "seconds":
        return duration(value)
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:,.0f}"


def span(low: float, high: float, kind: str) -> str:
    """Return ``3.1 to 3.6 s``: the unit once where both ends share it."""
    first, last = in_unit(low, kind), in_unit(high, kind)
    head, _, unit = first.rpartition(NBSP)
    is_shared = bool(head) and NBSP not in head and last.count(NBSP) == 1 and last.endswith(NBSP + unit)
    return f"{head if is_shared else first} to {last}"


def value_text(found: Estimate) -> str:
    """Return the value, the two ends of a bound, or that there is too little evidence; never a 0 for what is unknown."""
    if not found.is_ok:
        return f"too little evidence (n = {short_count(float(found.outage_count))})"
    kind = FIGURES[found.figure].kind
    if found.is_bound and found.bound_low is not None and found.bound_high is not None:
        return span(found.bound_low, found.bound_high, kind)
    return "not known" if found.value is None else in_unit(found.value, kind)


def interval_words(found: Estimate) -> str:
    """Return the 95 % interval of a figure, empty where there is none or where the value is a bound already."""
    if not found.is_ok or found.is_bound or found.low is None or found.high is None:
        return ""
    return span(found.low, found.high, FIGURES[found.figure].kind)


def status_word(found: Estimate) -> str:
    """Return IDENTIFIED, ASSUMED or BOUND; empty where there is no figure."""
    return STATUS_WORDS.get("bound" if found.is_bound else found.status, found.status) if found.is_ok else ""


def difference_text(found: Estimate) -> tuple[str, str]:
    """Return a difference between two policies and its interval, in words: ``22 s less``, ``25 to 19 s less``."""
    kind = FIGURES[found.figure].kind
    if found.is_bound and found.ends is not None:
        return _signed_span(*found.ends, kind), ""
    if found.value is None:
        return "not known", ""
    return _signed(found.value, kind), "" if found.ends is None else _signed_span(*found.ends, kind)


def signed_text(found: Estimate) -> tuple[str, str]:
    """Return a difference and its interval with signs, for tables: ``-22 s``, ``-25 to -19 s``."""
    kind = FIGURES[found.figure].kind
    ends = "" if found.ends is None else f"{_plus(found.ends[0], kind)} to {_plus(found.ends[1], kind)}"
    if found.is_bound:
        return ends, ""
    return ("not known" if found.value is None else _plus(found.value, kind)), ends


def _plus(value: float, kind: str) -> str:
    sign = "-" if value < 0 else "+"
    return f"{sign}{abs(value) * 100:.1f}{NBSP}points" if kind == "share" else f"{sign}{in_unit(abs(value), kind)}"


def _amount(value: float, kind: str) -> str:
    return f"{abs(value) * 100:.1f}{NBSP}points" if kind == "share" else in_unit(abs(value), kind)


def _signed(value: float, kind: str) -> str:
    words = _amount(value, kind)
    return "no change" if words == _amount(0.0, kind) else f"{words} {'more' if value > 0 else 'less'}"


def _signed_span(low: float, high: float, kind: str) -> str:
    if low < 0 < high:
        return f"{_signed(low, kind)} to {_signed(high, kind)}"
    near, far = sorted((low, high), key=abs)
    first, last = _amount(near, kind), _amount(far, kind)
    head, _, unit = first.rpartition(NBSP)
    is_shared = bool(head) and NBSP not in head and last.count(NBSP) == 1 and last.endswith(NBSP + unit)
    return f"{head if is_shared else first} to {last} {'more' if far > 0 else 'less'}"
