"""Why an attempt has no partner in the other party's logs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from wslog.agreement.matching import Clock, Found
from wslog.agreement.rows import BoolArray, FloatArray, Group, IntArray, Rows

if TYPE_CHECKING:
    from wslog.engine import Engine

SAME_LOG_S = 3600.0
"""Between two files of one log may lie so much without a line."""
EDGE_S = 1.0
MIN_BY_TIME = 3
"""Pairs by time that show that a log speaks of a host; a pair by id shows it alone."""

Spans = list[tuple[float, float]]


def spans_of(engine: Engine, rows: Rows) -> list[Spans]:
    """Return the stretches of time that each group's log tells about (seconds since the rows' origin)."""
    found: dict[Group, Spans] = {group: [] for group in rows.groups}
    for side, format_, label, low, high in zip(
        *engine.fetch("agreement/spans", "attempts").to_pydict().values(), strict=True
    ):
        group = Group(side, format_, label or None)
        if group in found:
            found[group].append(((low - rows.origin_us) / 1e6, (high - rows.origin_us) / 1e6))
    return [_merged(sorted(found[group])) for group in rows.groups]


def _merged(spans: Spans) -> Spans:
    merged: Spans = []
    for low, high in spans:
        if merged and low <= merged[-1][1] + SAME_LOG_S:
            merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
        else:
            merged.append((low, high))
    return merged


def inside(spans: Spans, time: FloatArray) -> BoolArray:
    """Return which times lie in one of the stretches."""
    found = np.zeros(len(time), dtype=bool)
    for low, high in spans:
        found |= (time >= low - EDGE_S) & (time <= high + EDGE_S)
    return found


@dataclass(frozen=True)
class Paired:
    """Row numbers of the pairs, and whether an id joined them."""

    client: IntArray
    service: IntArray
    is_by_id: BoolArray


def client_reasons(
    rows: Rows, found: Found, spans: list[Spans], groups: list[int], pairs: Paired, numbers: IntArray
) -> list[str]:
    """Return why each client row of ``numbers`` has no partner in any log of ``groups``, the logs of one side of the service."""
    mine = np.isin(rows.group[pairs.service], groups)
    hosts, of = _covered(rows, pairs.client[mine], rows.group[pairs.service[mine]], pairs.is_by_id[mine])
    clocks = {(clock.client_group, clock.service_group): clock for clock in found.clocks}
    time = np.where(np.isnan(rows.ended[numbers]), rows.begun[numbers], rows.ended[numbers])
    is_inside = np.zeros(len(numbers), dtype=bool)
    is_asked = np.zeros(len(numbers), dtype=bool)
    for group in groups:
        covered = hosts[of == group]
        speaks = np.isin(rows.host[numbers], covered) if len(hosts) else np.ones(len(numbers), dtype=bool)
        for client_group in np.unique(rows.group[numbers]):
            own = rows.group[numbers] == client_group
            is_inside |= own & speaks & inside(spans[group], time + _offset(clocks[client_group, group]))
            is_asked |= own & np.isin(numbers, found.asked[client_group, group])
    reasons = np.where(rows.is_opened[numbers], "not_logged", "never_reached").astype(object)
    reasons[rows.is_opened[numbers] & ~rows.is_ended[numbers]] = "still_open"
    reasons[~is_inside] = "outside_window"
    if len(hosts):
        reasons[~np.isin(rows.host[numbers], hosts)] = "host_not_covered"
    reasons[~is_asked] = "no_key"
    reasons[np.isnan(time) & ~is_asked] = "no_time"
    return list(reasons)


def _covered(rows: Rows, client: IntArray, group: IntArray, is_by_id: BoolArray) -> tuple[IntArray, IntArray]:
    """Return (host, group) of the hosts that a log of the service is seen to speak of."""
    if not len(client):
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    keys, place = np.unique(np.stack([rows.host[client], group]), axis=1, return_inverse=True)
    place = place.reshape(-1)
    by_id = np.bincount(place, is_by_id, keys.shape[1]) > 0
    enough = by_id | (np.bincount(place, minlength=keys.shape[1]) >= MIN_BY_TIME)
    return keys[0][enough], keys[1][enough]


def service_reasons(rows: Rows, found: Found, spans: list[Spans], groups: list[int], numbers: IntArray) -> list[str]:
    """Return why each service row of ``numbers`` has no partner in any log of ``groups``, the client logs."""
    clocks = {(clock.client_group, clock.service_group): clock for clock in found.clocks}
    begun = np.where(np.isnan(rows.begun[numbers]), rows.ended[numbers], rows.begun[numbers])
    is_inside = np.zeros(len(numbers), dtype=bool)
    is_asked = np.zeros(len(numbers), dtype=bool)
    is_sampled = False
    for group in groups:
        is_sampled |= bool((rows.weight[rows.group == group] > 1).any())
        for service_group in np.unique(rows.group[numbers]):
            own = rows.group[numbers] == service_group
            is_inside |= own & inside(spans[group], begun - _offset(clocks[group, service_group]))
            is_asked |= own & np.isin(numbers, found.asked[service_group, group])
    reasons = np.full(len(numbers), "not_sampled" if is_sampled else "no_telemetry", dtype=object)
    reasons[~is_inside] = "outside_window"
    reasons[~is_asked] = "no_key"
    reasons[np.isnan(begun) & ~is_asked] = "no_time"
    return list(reasons)


def _offset(clock: Clock) -> float:
    return 0.0 if clock.likeness is None else clock.likeness.offset_s
