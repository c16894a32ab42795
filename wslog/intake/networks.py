"""Which network an address belongs to: looked up in a MaxMind-format database that the user names, before the hash.

Nothing is guessed without a database. What counts as mobile, home, hosting, corporate or vpn is data, in
``networks.json``: ordered rules over the fields of MaxMind's databases, a table of well-known autonomous systems, and
words of the organisation's name; the first rule that matches wins, and none means ``unknown``.
"""

from __future__ import annotations

import ipaddress
import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import maxminddb

from wslog.errors import UsageError

_ASN = "autonomous_system_number"
_ORG = "autonomous_system_organization"
_NAMES = (_ORG, "isp")
_LOOKED_AT = 1000
_LONGEST_NAME = 200
UNKNOWN = "unknown"


class Network(NamedTuple):
    """What a database says of an address: ``network_class`` is never null, ``asn`` and ``as_org`` may be."""

    network_class: str
    asn: int | None
    as_org: str | None


_NO_NETWORK = Network(UNKNOWN, None, None)


@dataclass(frozen=True)
class _Rule:
    """One rule of networks.json: flags that are set, or a field's value, or the AS table, or words of the names."""

    flags: tuple[str, ...]
    field: str
    classes: Mapping[Any, str]
    words: re.Pattern[str] | None
    network_class: str

    def judge(self, fields: Mapping[str, Any]) -> str | None:
        if self.words:
            names = " | ".join(str(fields[name])[:_LONGEST_NAME] for name in _NAMES if name in fields)
            return self.network_class if self.words.search(names) else None
        if self.flags:
            return self.network_class if any(fields.get(flag) for flag in self.flags) else None
        value = fields.get(self.field)
        return self.classes.get(value.lower() if isinstance(value, str) else value)


@dataclass(frozen=True)
class _Table:
    version: int
    rules: tuple[_Rule, ...]
    fields: tuple[str, ...]


@cache
def _table() -> _Table:
    """Load networks.json."""
    data = json.loads(Path(__file__).with_name("networks.json").read_text("utf-8"))
    known = {system["asn"]: system["class"] for system in data["autonomous_systems"]}
    rules = tuple(
        _Rule(
            tuple(rule.get("flags", ())),
            _ASN if "table" in rule else rule.get("field", ""),
            known if "table" in rule else rule.get("classes", {}),
            re.compile(rule["words"], re.IGNORECASE) if "words" in rule else None,
            rule.get("class", ""),
        )
        for rule in data["rules"]
    )
    named = {name for rule in rules for name in (*rule.flags, rule.field) if name}
    return _Table(data["version"], rules, tuple(sorted(named | {_ASN, *_NAMES})))


def network_class(fields: Mapping[str, Any]) -> str:
    """Return the network class of a database record; ``unknown`` when no rule matches.

    Parameters
    ----------
    fields : mapping
        MaxMind's field names (``autonomous_system_number``, ``connection_type``, ``user_type``, ...), flat.

    >>> network_class({"autonomous_system_number": 24940})
    'hosting'
    >>> network_class({"autonomous_system_organization": "Mobile County Public Schools"})
    'corporate'
    """
    found = (rule.judge(fields) for rule in _table().rules)
    return next((name for name in found if name), UNKNOWN)


def _fields(record: object) -> dict[str, Any]:
    """Return the fields that matter of a record, those below ``traits`` (GeoIP2 Enterprise) with them."""
    if not isinstance(record, dict):
        return {}
    traits = record.get("traits")
    flat = {**(traits if isinstance(traits, dict) else {}), **record}
    return {name: flat[name] for name in _table().fields if isinstance(flat.get(name), (str, int))}


@lru_cache(maxsize=1 << 14)
def _network(items: tuple[tuple[str, Any], ...]) -> Network:
    """Judge the fields of a record; many addresses share them."""
    fields = dict(items)
    asn, org = fields.get(_ASN), fields.get(_ORG)
    return Network(
        network_class(fields),
        asn if isinstance(asn, int) and 0 <= asn < 1 << 32 else None,
        org if isinstance(org, str) and org else None,
    )


@lru_cache(maxsize=2)
def _reader(path: str, build_epoch: int) -> maxminddb.Reader:
    return maxminddb.open_database(path)


@dataclass(frozen=True)
class NetworkDatabase:
    """A MaxMind-format database, by name: it is opened where it is used, so the value can be shipped.

    Attributes
    ----------
    path : str
        Absolute.
    kind : str
        The database's type as it names itself, for example ``GeoLite2-ASN``.
    build_epoch : int
        When it was built, seconds since 1970 UTC.
    """

    path: str
    kind: str
    build_epoch: int

    def describe(self) -> str:
        """Return what decides the network columns: another database or table makes other rows of the same log."""
        return f"{self.kind}/{self.build_epoch}/{_table().version}"

    def lookup(self, addresses: Iterable[str | None]) -> list[Network | None]:
        """Return the network of each address; None where there is no address.

        Private addresses, host names and what the database does not hold are ``unknown``.

        Raises
        ------
        UsageError
            The database is damaged.
        """
        reader = _reader(self.path, self.build_epoch)
        try:
            return [None if address is None else _look_up(reader, address) for address in addresses]
        except (maxminddb.InvalidDatabaseError, UnicodeDecodeError) as error:
            raise UsageError(f"--asn-db {self.path}: the database is damaged: {error}") from error


def _look_up(reader: maxminddb.Reader, address: str) -> Network:
    try:
        record = reader.get(address if ":" not in address else _plain_ipv6(address))
    except UnicodeDecodeError:
        raise
    except ValueError:  # a host name, "unix:", an IPv6 address in a database that holds none
        return _NO_NETWORK
    return _NO_NETWORK if record is None else _network(tuple(_fields(record).items()))


def _plain_ipv6(address: str) -> str:
    """Drop brackets and zone; an IPv4 address mapped into IPv6 is that IPv4 address."""
    parsed = ipaddress.IPv6Address(address.strip("[]").partition("%")[0])
    return str(parsed.ipv4_mapped or parsed)


def open_database(path: str | os.PathLike[str]) -> NetworkDatabase:
    """Check a database that the user names.

    Raises
    ------
    UsageError
        It is missing, unreadable, damaged, or tells neither the AS nor the kind of a network.
    """
    name = os.path.abspath(path)
    try:
        with maxminddb.open_database(name) as reader:
            about = reader.metadata()
            has_fields = any(_fields(record) for _, record in islice(reader, _LOOKED_AT))
    except OSError as error:
        raise UsageError(f"--asn-db {name} cannot be read: {error.strerror or error}") from error
    except (maxminddb.InvalidDatabaseError, ValueError, TypeError, KeyError) as error:
        raise UsageError(f"--asn-db {name} is no MaxMind database (.mmdb), or a damaged one") from error
    if not has_fields:
        raise UsageError(
            f"--asn-db {name} ({about.database_type}) tells no network: give an ASN, ISP, Connection-Type or Enterprise database"
        )
    return NetworkDatabase(name, about.database_type, about.build_epoch)
