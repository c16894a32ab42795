"""Pairs of attempts of two logs: by ids where both carry them, else by what they share and the time."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from wslog.agreement.assign import marginals
from wslog.agreement.candidates import Index
from wslog.agreement.clocks import rough_offset
from wslog.agreement.likeness import (
    BEGIN,
    END,
    Likeness,
    Side,
    blank,
    crowd,
    differ,
    gaps,
    learn,
    learn_from,
    search_time,
)
from wslog.agreement.rows import NO_CODE, BoolArray, FloatArray, IdPairs, IntArray, Rows
from wslog.schema import MATCH_WAYS

ACCEPT = 0.95
"""A pair by time is taken from this probability on: what is taken is right far more often than that."""
LIKELY = 0.5
"""An attempt that is without partner with less than this probability, and has no pair that is taken, is ambiguous."""
MIN_KNOWN = 8
"""Pairs by id from which clocks and likeness are read; of fewer they are learnt from all candidates."""
_FAINT = 1e-4
_EDGE_S = 60.0


@dataclass
class Clock:
    """What is known of the clocks of two logs (numbers of their groups)."""

    client_group: int
    service_group: int
    learnt_from: str
    likeness: Likeness | None
    pair_count: int = 0


@dataclass
class Found:
    """All pairs, as row numbers.

    ``skew`` is the service's time minus the client's less the clocks' offset (NaN: no time); ``ambiguous`` and ``asked`` say
    of each row and group of the other party whether it has several likely partners, and whether it was looked for at all.
    """

    client: list[IntArray] = field(default_factory=list)
    service: list[IntArray] = field(default_factory=list)
    way: list[IntArray] = field(default_factory=list)
    probability: list[FloatArray] = field(default_factory=list)
    skew: list[FloatArray] = field(default_factory=list)
    clocks: list[Clock] = field(default_factory=list)
    ambiguous: dict[tuple[int, int], IntArray] = field(default_factory=dict)
    asked: dict[tuple[int, int], IntArray] = field(default_factory=dict)

    def add(
        self, client: IntArray, service: IntArray, way: IntArray, probability: FloatArray, skew: FloatArray
    ) -> None:
        self.client.append(client)
        self.service.append(service)
        self.way.append(way)
        self.probability.append(probability)
        self.skew.append(skew)


def match(rows: Rows, known: IdPairs) -> Found:
    """Match every client log with every log of the service."""
    found = Found()
    for c, client_group in enumerate(rows.groups):
        for s, service_group in enumerate(rows.groups):
            if client_group.side == "client" and service_group.side != "client":
                _two_logs(rows, known, c, s, found)
    return found


def _two_logs(rows: Rows, known: IdPairs, c: int, s: int, found: Found) -> None:
    mine = (rows.group[known.client] == c) & (rows.group[known.service] == s)
    client, service, is_request = known.client[mine], known.service[mine], known.is_request_id[mine]
    basis = _basis(rows, c, s)
    clock = Clock(c, s, "ids", _known_likeness(rows, client, service, basis))
    found.clocks.append(clock)
    skew = _residual(rows, client, service, clock.likeness, basis)
    found.add(client, service, np.where(is_request, 0, 1), np.ones(len(client)), skew)
    barred = _barred(rows, client, service)
    left_client, left_service = _left(rows, c, client), _left(rows, s, service)
    found.asked[c, s], found.asked[s, c] = _asked(rows, barred, c), _asked(rows, barred, s)
    found.ambiguous[c, s] = found.ambiguous[s, c] = np.zeros(0, dtype=np.int64)
    for way, blocks in (
        (2, (rows.link, rows.link)),
        (3, (rows.address, rows.address)),
        (4, (np.where(rows.address == NO_CODE, 0, NO_CODE), np.zeros(len(rows.group), dtype=np.int64))),
    ):
        sides = _side(rows, left_client, blocks[0], basis), _side(rows, left_service, blocks[1], basis)
        if not len(sides[0].rows) or not len(sides[1].rows):
            continue
        if clock.likeness is None:
            clock.likeness, clock.learnt_from = _learnt(rows, *sides, basis, barred), MATCH_WAYS[way]
        if clock.likeness is None:
            continue
        taken = _by_time(rows, *sides, clock.likeness, basis, barred, way, (c, s), found)
        left_client, left_service = np.setdiff1d(left_client, taken[0]), np.setdiff1d(left_service, taken[1])


def _basis(rows: Rows, c: int, s: int) -> int:
    """Return END where the service's log mostly does not tell when a connection began."""
    service = rows.group == s
    has_begun = ~np.isnan(rows.begun[service])
    return BEGIN if has_begun.sum() * 2 >= (~np.isnan(rows.ended[service])).sum() else END


def _known_likeness(rows: Rows, client: IntArray, service: IntArray, basis: int) -> Likeness | None:
    _, gap = gaps(rows, client, service, basis)
    timed = ~np.isnan(gap)
    if timed.sum() < MIN_KNOWN:
        return None
    start = blank(rows, service, float(np.median(gap[timed])))
    return learn_from(rows, client[timed], service[timed], start, basis)


def _learnt(rows: Rows, client: Side, service: Side, basis: int, barred: BoolArray) -> Likeness | None:
    offset = rough_offset(rows, client, service, basis)
    if offset is None:
        return None
    start = blank(rows, service.rows, offset)
    return learn(rows, *_overlap(client, service, offset), start, basis, barred)


def _residual(rows: Rows, client: IntArray, service: IntArray, likeness: Likeness | None, basis: int) -> FloatArray:
    if likeness is None:
        return np.full(len(client), np.nan)
    _, gap = gaps(rows, client, service, basis)
    return gap - likeness.offset(search_time(rows, client, basis))


def _barred(rows: Rows, client: IntArray, service: IntArray) -> BoolArray:
    """Return which rows carry an id of the columns by which these two logs are joined: two of them that differ are no pair."""
    if not len(client):
        return np.zeros(len(rows.group), dtype=bool)
    barred = np.zeros(len(rows.group), dtype=bool)
    for numbers, is_party in ((client, rows.is_client), (service, ~rows.is_client)):
        kinds = rows.link_kind[numbers]
        for kind, has in ((1, rows.has_request_id), (2, rows.has_connection_id)):
            # a few equal ids may be chance
            if (kinds == kind).mean() >= 0.05:
                barred |= is_party & has
    return barred


def _left(rows: Rows, group: int, taken: IntArray) -> IntArray:
    left = rows.group == group
    left[taken] = False
    return np.flatnonzero(left)


def _asked(rows: Rows, barred: BoolArray, group: int) -> IntArray:
    return np.flatnonzero((rows.group == group) & barred)


def _side(rows: Rows, numbers: IntArray, blocks: IntArray, basis: int) -> Side:
    time = search_time(rows, numbers, basis)
    usable = (blocks[numbers] != NO_CODE) & ~np.isnan(time)
    return Side(numbers[usable], blocks[numbers][usable], time[usable])


def _overlap(client: Side, service: Side, offset: float) -> tuple[Side, Side]:
    """Leave out what the other log cannot hold, because it begins later or ends before."""

    def within(side: Side, low: float, high: float) -> Side:
        keep = (side.time >= low - _EDGE_S) & (side.time <= high + _EDGE_S)
        return Side(side.rows[keep], side.block[keep], side.time[keep])

    return (
        within(client, service.time.min() - offset, service.time.max() - offset),
        within(service, client.time.min() + offset, client.time.max() + offset),
    )


def _by_time(
    rows: Rows,
    client: Side,
    service: Side,
    likeness: Likeness,
    basis: int,
    barred: BoolArray,
    way: int,
    groups: tuple[int, int],
    found: Found,
) -> tuple[IntArray, IntArray]:
    c, s = groups
    found.asked[c, s] = np.union1d(found.asked[c, s], client.rows)
    found.asked[s, c] = np.union1d(found.asked[s, c], service.rows)
    client, service = _overlap(client, service, likeness.offset_s)
    if not len(client.rows) or not len(service.rows):
        return client.rows[:0], service.rows[:0]
    left, right, weight, skew = _weighed(rows, client, service, likeness, basis, barred)
    probability = _probabilities(left, right, weight, len(client.rows), len(service.rows), likeness.unmatched_client)
    take = probability >= ACCEPT
    taken = client.rows[left[take]], service.rows[right[take]]
    found.add(*taken, np.full(take.sum(), way), probability[take], skew[take])
    for key, numbers, places in (((c, s), client.rows, left), ((s, c), service.rows, right)):
        likely = np.bincount(places, probability, len(numbers)) >= LIKELY
        likely[places[take]] = False
        # a later way may still decide for it
        found.ambiguous[key] = np.union1d(found.ambiguous[key], numbers[likely])
    return taken


def _weighed(
    rows: Rows, client: Side, service: Side, likeness: Likeness, basis: int, barred: BoolArray
) -> tuple[IntArray, IntArray, FloatArray, FloatArray]:
    """Return the candidates that are not out of the question: both places, weight and residual."""
    index = Index.of(service.block, service.time)
    at = client.time + likeness.offset(client.time)
    rate = np.log(crowd(index, client, at))
    parts = []
    for left, right in index.pairs(client.block, at + likeness.window[0], at + likeness.window[1]):
        c, s = client.rows[left], service.rows[right]
        ratio, residual = likeness.log_ratio(rows, c, s, basis)
        weight = np.exp(np.clip(ratio - rate[left], -50, 50))
        keep = (weight > _FAINT) & ~differ(rows, barred, c, s)
        parts.append((left[keep], right[keep], weight[keep], residual[keep]))
    if not parts:
        none = np.zeros(0, dtype=np.int64)
        return none, none, np.zeros(0), np.zeros(0)
    left, right, weight, residual = (np.concatenate(column) for column in zip(*parts, strict=True))
    return left, right, weight, residual


def _probabilities(
    left: IntArray, right: IntArray, weight: FloatArray, client_count: int, service_count: int, missing: float
) -> FloatArray:
    """Return the probability of each candidate pair; the shares of rows without partner are found on the way."""
    missing_service = 1 - client_count * (1 - missing) / service_count
    probability = weight
    for _ in range(3):
        missing, missing_service = np.clip((missing, missing_service), 0.005, 0.995)
        probability = marginals(left, right, weight * (1 - missing) / (missing * missing_service))
        missing, missing_service = 1 - probability.sum() / client_count, 1 - probability.sum() / service_count
    return probability
