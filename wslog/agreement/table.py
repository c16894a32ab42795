"""The ``matches`` table and the clocks of a lake, derived once and kept in its engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from wslog.agreement.matching import Found, match
from wslog.agreement.reasons import Paired, client_reasons, service_reasons, spans_of
from wslog.agreement.rows import IntArray, Rows, read
from wslog.schema import MATCH_WAYS

if TYPE_CHECKING:
    import pandas as pd

    from wslog.engine import Engine

_CLOCKS = pa.schema(
    [
        (name, pa.string())
        for name in ("client_format", "client_label", "service_side", "service_format", "service_label")
    ]
    + [(name, pa.float64()) for name in ("offset_s", "drift_ppm", "jitter_s", "tolerance_s")]
    + [("pair_count", pa.int64()), ("learnt_from", pa.string()), ("state", pa.string())]
)


def matches(engine: Engine) -> pd.DataFrame:
    """Return the ``matches`` table.

    Returns
    -------
    pandas.DataFrame
        One row per pair of a client attempt and an attempt in a log of the service, and one per attempt without partner on a
        side (``match_status`` ambiguous or unmatched); columns as registered (``wslog schema``).
    """
    make(engine)
    return engine.frame("matches")


def clocks(engine: Engine) -> pd.DataFrame:
    """Return by how much the clocks of each two logs differ.

    Returns
    -------
    pandas.DataFrame
        One row per client log and log of the service (a log: the files of one format and label). ``offset_s``: the service's
        clock minus the client's, in the middle of the time both cover; it holds half the network's delay, which no log
        can tell from a clock. ``drift_ppm``: what it gains, in millionths. ``jitter_s``: robust standard deviation of single pairs
        around it, ``tolerance_s``: 99.9 % of them are closer. ``pair_count`` pairs tell so, found as ``learnt_from`` says
        (``ids``, or a word of ``matched_by``). ``state`` is insufficient, and all of that null, where nothing could be learnt.
    """
    make(engine)
    return engine.run("agreement/clocks", "attempts")


def make(engine: Engine) -> None:
    """Derive the table ``matches`` of an engine, unless that was done."""
    if engine.has("matches"):
        return
    rows, known = read(engine)
    found = match(rows, known)
    engine.put("matches", _table(engine, rows, found))
    engine.put("clocks", _clock_table(rows, found))


def _table(engine: Engine, rows: Rows, found: Found) -> pa.Table:
    client, service, way, probability, skew = (
        np.concatenate([*column, np.zeros(0, dtype=kind)])
        for column, kind in (
            (found.client, np.int64), (found.service, np.int64), (found.way, np.int64), (found.probability, float),
            (found.skew, float),
        )
    )  # fmt: skip
    keep, torn = _settled(rows, client, service, way)
    pairs = Paired(client[keep], service[keep], way[keep] < 2)
    sides = np.array([group.side for group in rows.groups], dtype=object)
    parts = [
        _part(
            rows, pairs.client, pairs.service, sides[rows.group[pairs.service]], "matched",
            by=np.array(MATCH_WAYS, dtype=object)[way[keep]], probability=np.where(way[keep] < 2, np.nan, probability[keep]), skew=skew[keep],
        )
    ]  # fmt: skip
    spans = spans_of(engine, rows)
    client_groups = [g for g, group in enumerate(rows.groups) if group.side == "client"]
    service_groups = {
        side: [g for g, group in enumerate(rows.groups) if group.side == side]
        for side in ("proxy", "server")
        if side in set(sides)
    }
    for side, groups in service_groups.items():
        left = np.flatnonzero(rows.is_client)
        left = np.setdiff1d(left, pairs.client[np.isin(rows.group[pairs.service], groups)])
        unsure = np.intersect1d(
            left,
            np.concatenate([torn, *(found.ambiguous.get((c, g), torn[:0]) for c in client_groups for g in groups)]),
        )
        left = np.setdiff1d(left, unsure)
        parts.append(_part(rows, unsure, None, side, "ambiguous"))
        parts.append(
            _part(rows, left, None, side, "unmatched", why=client_reasons(rows, found, spans, groups, pairs, left))
        )
        theirs = np.setdiff1d(np.flatnonzero(np.isin(rows.group, groups)), pairs.service)
        unsure = np.intersect1d(
            theirs,
            np.concatenate([torn, *(found.ambiguous.get((g, c), torn[:0]) for c in client_groups for g in groups)]),
        )
        theirs = np.setdiff1d(theirs, unsure)
        why = (
            service_reasons(rows, found, spans, client_groups, theirs)
            if client_groups
            else ["no_other_log"] * len(theirs)
        )
        parts.append(_part(rows, None, unsure, side, "ambiguous"))
        parts.append(_part(rows, None, theirs, side, "unmatched", why=why))
    if not service_groups:
        alone = np.flatnonzero(rows.is_client)
        parts.append(_part(rows, alone, None, None, "unmatched", why=["no_other_log"] * len(alone)))
    return pa.concat_tables(parts)


def _settled(rows: Rows, client: IntArray, service: IntArray, way: IntArray) -> tuple[Any, IntArray]:
    """Return which pairs stay, and the rows of those that do not: by time, an attempt is in one log of a format only."""
    formats = np.unique([group.format for group in rows.groups], return_inverse=True)[1].reshape(-1)
    by_time = way >= 2
    torn = np.zeros(len(client), dtype=bool)
    for own, other in ((client, service), (service, client)):
        key = own * (len(formats) + 1) + formats[rows.group[other]] if len(formats) else own
        _, place, count = np.unique(key, return_inverse=True, return_counts=True)
        torn |= by_time & (count[place.reshape(-1)] > 1)
    return ~torn, np.unique(np.concatenate([client[torn], service[torn]]))


def _part(
    rows: Rows,
    client: IntArray | None,
    service: IntArray | None,
    side: Any,
    status: str,
    by: Any = None,
    probability: Any = None,
    skew: Any = None,
    why: list[str] | None = None,
) -> pa.Table:
    count = len(client if client is not None else service if service is not None else [])
    nulls = pa.nulls(count, pa.string())
    floats = pa.nulls(count, pa.float64())
    return pa.table(
        {
            "client_attempt_id": nulls if client is None else rows.ids.take(pa.array(client)),
            "service_attempt_id": nulls if service is None else rows.ids.take(pa.array(service)),
            "service_side": pa.array([side] * count if side is None or isinstance(side, str) else side, pa.string()),
            "match_status": pa.array([status] * count, pa.string()),
            "matched_by": nulls if by is None else pa.array(by, pa.string()),
            "match_probability": floats
            if probability is None
            else pa.array(probability, pa.float64(), from_pandas=True),
            "skew_s": floats if skew is None else pa.array(skew, pa.float64(), from_pandas=True),
            "unmatched_because": nulls if why is None else pa.array(why, pa.string()),
        }
    )


def _clock_table(rows: Rows, found: Found) -> pa.Table:
    records = []
    for clock in found.clocks:
        mine, theirs, known = rows.groups[clock.client_group], rows.groups[clock.service_group], clock.likeness
        records.append(
            {
                "client_format": mine.format,
                "client_label": mine.label,
                "service_side": theirs.side,
                "service_format": theirs.format,
                "service_label": theirs.label,
                "offset_s": None if known is None else known.offset_s,
                "drift_ppm": None if known is None else known.drift_ppm,
                "jitter_s": None if known is None else known.jitter_s,
                "tolerance_s": None if known is None else known.tolerance_s,
                "pair_count": 0 if known is None else int(known.pair_count),
                "learnt_from": None if known is None else clock.learnt_from,
                "state": "insufficient" if known is None else "ok",
            }
        )
    return pa.Table.from_pylist(records, _CLOCKS)
