"""The attempts of both parties as arrays: what the matching by time looks at. SQL: ``sql/agreement/rows.sql``, ``id_pairs.sql``."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from wslog.engine import Engine

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

NO_CODE = -1


@dataclass(frozen=True)
class Group:
    """The logs whose times are taken to come from one clock: those of one format and label."""

    side: str
    format: str
    label: str | None


@dataclass(frozen=True)
class Rows:
    """The attempts of a lake, in no order; texts are codes (-1: null), times seconds since ``origin_us`` (NaN: null).

    Attributes
    ----------
    ids : (n,) string array
        ``attempt_id``.
    groups : list of Group
    group : (n,) int
        Index into ``groups``.
    link, link_kind : (n,) int
        The id that the other party's logs hold too, and the column it stands in (``sql/links.sql``).
    address, host, path, agent : (n,) int
        Codes of ``client_id``, ``url_host``, ``url_path``, and of browser, version and system together.
    started, opened, ended : (n,) float
    is_client, is_opened, is_ended, has_request_id, has_connection_id : (n,) bool
    weight : (n,) float
        ``sample_weight``.
    """

    ids: pa.StringArray
    origin_us: int
    groups: list[Group]
    group: IntArray
    link: IntArray
    link_kind: IntArray
    address: IntArray
    host: IntArray
    path: IntArray
    agent: IntArray
    started: FloatArray
    opened: FloatArray
    ended: FloatArray
    is_client: BoolArray
    is_opened: BoolArray
    is_ended: BoolArray
    has_request_id: BoolArray
    has_connection_id: BoolArray
    weight: FloatArray

    @cached_property
    def lifetime(self) -> FloatArray:
        """Seconds from the open to the end; NaN where either is not known."""
        return np.where(self.is_opened, self.ended - self.opened, np.nan)

    @cached_property
    def begun(self) -> FloatArray:
        """When the attempt began, else when it opened."""
        return np.where(np.isnan(self.started), self.opened, self.started)


@dataclass(frozen=True)
class IdPairs:
    """Pairs of row numbers that share an id which neither side uses twice."""

    client: IntArray
    service: IntArray
    is_request_id: BoolArray


def read(engine: Engine) -> tuple[Rows, IdPairs]:
    """Read the attempts and the pairs of unique ids."""
    table = engine.fetch("agreement/rows", "attempts")
    count = table.num_rows
    micros = {name: _numbers(table[name]) for name in ("started_us", "opened_us", "ended_us")}
    known = [values[~np.isnan(values)] for values in micros.values()]
    origin = min((float(values.min()) for values in known if len(values)), default=0.0)
    times = {name: (values - origin) / 1e6 for name, values in micros.items()}
    sides, side_words = _codes(table["side"])
    formats, format_words = _codes(table["format"])
    labels, label_words = _codes(table["label"])
    combined = (sides * len(format_words) + formats) * max(len(label_words), 1) + labels
    found, group = np.unique(combined, return_inverse=True)
    groups = [
        Group(
            side_words[int(code) // len(label_words) // len(format_words)],
            format_words[int(code) // len(label_words) % len(format_words)],
            label_words[int(code) % len(label_words)] or None,
        )
        for code in found
    ]
    is_client = np.array([word == "client" for word in side_words], dtype=bool)
    ids = _one(table["attempt_id"])
    rows = Rows(
        ids=ids,
        origin_us=int(origin),
        groups=groups,
        group=group.astype(np.int64).reshape(count),
        link=_codes(table["link"])[0],
        link_kind=_numbers(table["link_kind"]).astype(np.int64),
        address=_codes(table["client_id"])[0],
        host=_codes(table["url_host"])[0],
        path=_codes(table["url_path"])[0],
        agent=_together(*(_codes(table[name]) for name in ("browser", "browser_version", "os"))),
        started=times["started_us"],
        opened=times["opened_us"],
        ended=times["ended_us"],
        is_client=is_client[sides] if count else np.zeros(0, dtype=bool),
        is_opened=_booleans(table["is_opened"]),
        is_ended=_booleans(table["is_ended"]),
        has_request_id=_booleans(table["has_request_id"]),
        has_connection_id=_booleans(table["has_connection_id"]),
        weight=_numbers(table["sample_weight"]),
    )
    return rows, _id_pairs(engine, ids)


def _id_pairs(engine: Engine, ids: pa.StringArray) -> IdPairs:
    pairs = engine.fetch("agreement/id_pairs", "attempts")
    places = [
        pc.index_in(_one(pairs[name]), value_set=ids).to_numpy(zero_copy_only=False).astype(np.int64)
        for name in ("client_attempt_id", "service_attempt_id")
    ]
    is_request_id = pc.equal(_one(pairs["matched_by"]), "request_id").to_numpy(zero_copy_only=False).astype(bool)
    order = np.lexsort((places[1], places[0]))
    return IdPairs(places[0][order], places[1][order], is_request_id[order])


def _one(column: pa.ChunkedArray) -> Any:
    return column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)


def _numbers(column: pa.ChunkedArray) -> FloatArray:
    values: FloatArray = _one(column.cast(pa.float64(), safe=False)).to_numpy(zero_copy_only=False)
    return values


def _booleans(column: pa.ChunkedArray) -> BoolArray:
    return np.asarray(_one(pc.fill_null(column, False)).to_numpy(zero_copy_only=False), dtype=bool)


def _codes(column: pa.ChunkedArray) -> tuple[IntArray, list[str]]:
    coded = _one(column).dictionary_encode()
    codes = pc.fill_null(coded.indices, NO_CODE).to_numpy(zero_copy_only=False).astype(np.int64)
    words = coded.dictionary.to_pylist() if len(coded.dictionary) <= 10_000 else []
    return codes, words


def _together(*columns: tuple[IntArray, list[str]]) -> IntArray:
    """Return one code of several columns; null where the first is."""
    total = np.zeros(len(columns[0][0]), dtype=np.int64)
    for codes, _ in columns:
        total = total * (int(codes.max(initial=NO_CODE)) + 2) + codes + 1
    dense = np.unique(total, return_inverse=True)[1].astype(np.int64).reshape(len(total))
    return np.where(columns[0][0] == NO_CODE, NO_CODE, dense)
