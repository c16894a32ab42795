"""A reader's rows become rows of ``events``: URL split, user agent read, network looked up, address hashed, texts cleaned.

Every conversion works on the distinct values of a column, so its cost follows the variety of a log, not its length.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from wslog.formats.contract import constant
from wslog.intake.privacy import address_prefix, cut_secrets, hash_address
from wslog.intake.shared_ids import DEFAULT_ID_PARAMS, ids_in
from wslog.schema import EVENT_COLUMNS, arrow_schema

if TYPE_CHECKING:
    from wslog.intake.networks import NetworkDatabase

_URL = r"^(?:(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?:[^/?#@]*@)?(?P<host>[^/?#]*))?(?P<path>[^?#]*)"
_WORD = pa.dictionary(pa.int32(), pa.string())


@dataclass(frozen=True)
class Origin:
    """What all rows of a source share, and what is to be found out about them."""

    source_id: str
    format: str
    side: str
    key: bytes
    keep_ip: bool = False
    networks: NetworkDatabase | None = None
    id_params: tuple[str, ...] = DEFAULT_ID_PARAMS


def to_events(rows: pa.Table, origin: Origin) -> pa.Table:
    """Turn reader rows into rows of the ``events`` table.

    Parameters
    ----------
    rows : pyarrow.Table
        As :data:`wslog.formats.contract.ROW_COLUMNS`, with ``line_number`` and ``byte_offset``. Give many at once: what is
        paid for each distinct value is then paid once.
    """
    count = rows.num_rows
    made: dict[str, pa.Array] = {
        "source_id": constant(origin.source_id, _WORD, count),
        "format": constant(origin.format, _WORD, count),
        "side": constant(origin.side, _WORD, count),
        **_url(rows, origin),
        **_user_agent(_one(rows["user_agent"])),
        **_address(_one(rows["address"]), origin),
        **_network(rows, origin),
        "error_text": _clean(_one(rows["error_text"]), origin),
        "close_reason": _clean(_one(rows["close_reason"]), origin),
    }
    schema = arrow_schema("events")
    arrays = [made[name] if name in made else rows[name] for name in EVENT_COLUMNS]
    return pa.Table.from_arrays(arrays, schema=schema)


def _one(column: pa.ChunkedArray) -> pa.Array:
    if column.num_chunks == 1:
        return column.chunk(0)
    return (
        column.unify_dictionaries().combine_chunks() if pa.types.is_dictionary(column.type) else column.combine_chunks()
    )


def _coded(values: pa.Array) -> pa.DictionaryArray:
    return values if pa.types.is_dictionary(values.type) else values.dictionary_encode()


def _recode(coded: pa.DictionaryArray, distinct: pa.Array) -> pa.DictionaryArray:
    """Replace the distinct values of a dictionary array (new ones may repeat or be null)."""
    words = distinct.dictionary_encode()
    return pa.DictionaryArray.from_arrays(pc.take(words.indices, coded.indices), words.dictionary)


def _by_word(coded: pa.DictionaryArray, function: Callable[[str], str | None]) -> pa.DictionaryArray:
    return _recode(
        coded, pa.array([None if v is None else function(v) for v in coded.dictionary.to_pylist()], pa.string())
    )


def _url(rows: pa.Table, origin: Origin) -> dict[str, pa.Array]:
    given = {name: _one(rows[name]) for name in ("url_scheme", "url_host", "url_path")}
    url = _one(rows["url"])
    if url.null_count == len(url):
        return given
    coded = _coded(url)
    parts = pc.extract_regex(coded.dictionary, _URL)
    found = {
        "url_scheme": pc.ascii_lower(parts.field("scheme")),
        "url_host": pc.ascii_lower(parts.field("host")),
        "url_path": parts.field("path"),
    }
    made = {"request_id": _request_id(_one(rows["request_id"]), coded, origin)}
    for name, values in found.items():
        empty = pc.equal(values, "")
        from_url = _recode(coded, pc.if_else(empty, pa.scalar(None, pa.string()), values))
        have = given[name]
        if have.null_count < len(have):
            text = pc.coalesce(from_url.cast(pa.string()), have.cast(pa.string()))
            from_url = text.dictionary_encode()
        made[name] = from_url
    return made


def _request_id(given: pa.Array, urls: pa.DictionaryArray, origin: Origin) -> pa.Array:
    """Fill in what the log of a proxy or server does not say of the request's id from its target's query."""
    if origin.side == "client" or not given.null_count:
        return given
    found = ids_in(urls.dictionary, origin.id_params)
    return given if found is None else pc.coalesce(given, pc.take(found, urls.indices))


@lru_cache(maxsize=1 << 14)
def browser_and_os(user_agent: str) -> tuple[str | None, str | None, str | None]:
    """Return (browser family, major version, operating system family) of a user agent; None for what is unknown."""
    from ua_parser import parse

    result = parse(user_agent[:1024])
    agent, system = result.user_agent, result.os
    return (
        agent.family if agent and agent.family != "Other" else None,
        agent.major if agent else None,
        system.family if system and system.family != "Other" else None,
    )


def _user_agent(agents: pa.Array) -> dict[str, pa.Array]:
    names = ("browser", "browser_version", "os")
    if agents.null_count == len(agents):
        return {name: pa.nulls(len(agents), _WORD) for name in names}
    coded = _coded(agents)
    parsed = [(None, None, None) if v is None else browser_and_os(v) for v in coded.dictionary.to_pylist()]
    return {name: _recode(coded, pa.array([p[i] for p in parsed], pa.string())) for i, name in enumerate(names)}


def _address(addresses: pa.Array, origin: Origin) -> dict[str, pa.Array]:
    count = len(addresses)
    if addresses.null_count == count:
        return {
            "client_id": pa.nulls(count, pa.string()),
            "client_prefix": pa.nulls(count, _WORD),
            "client_address": pa.nulls(count, pa.string()),
        }
    coded = _coded(addresses)
    distinct = coded.dictionary.to_pylist()
    hashed = pa.array([None if v is None else hash_address(v, origin.key) for v in distinct], pa.string())
    return {
        "client_id": pc.take(hashed, coded.indices),
        "client_prefix": _by_word(coded, address_prefix),
        "client_address": pc.take(coded.dictionary, coded.indices) if origin.keep_ip else pa.nulls(count, pa.string()),
    }


def _network(rows: pa.Table, origin: Origin) -> dict[str, pa.Array]:
    """Look up the network of each address; what the log itself says of it stays."""
    addresses = _one(rows["address"])
    if origin.networks is None or addresses.null_count == len(addresses):
        return {}
    coded = _coded(addresses)
    found = origin.networks.lookup(coded.dictionary.to_pylist())
    made = {
        "network_class": _recode(coded, pa.array([n and n.network_class for n in found], pa.string())),
        "asn": pc.take(pa.array([n and n.asn for n in found], pa.int64()), coded.indices),
        "as_org": _recode(coded, pa.array([n and n.as_org for n in found], pa.string())),
    }
    return {name: values for name, values in made.items() if rows[name].null_count == rows.num_rows}


def _clean(texts: pa.Array, origin: Origin) -> pa.Array:
    if texts.null_count == len(texts):
        return texts
    return _by_word(_coded(texts), lambda text: cut_secrets(text, origin.keep_ip))
