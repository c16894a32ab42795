"""Which network: the table and its rules, databases built here, and what reaches the lake."""

from __future__ import annotations

import json
import os
import pickle
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from mmdb_writer import MMDBWriter
from netaddr import IPSet

import wslog
from wslog.errors import EXIT_USAGE, UsageError
from wslog.intake import networks
from wslog.intake.networks import Network, network_class, open_database
from wslog.schema import NETWORK_CLASSES

TABLE = json.loads(Path(networks.__file__).with_name("networks.json").read_text("utf-8"))
AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0"


def asn(number: int, org: str, **more: object) -> dict[str, Any]:
    return {"autonomous_system_number": number, "autonomous_system_organization": org, **more}


RECORDS: dict[str, dict[str, Any]] = {
    "192.0.2.0/24": asn(21928, "T-MOBILE-AS21928"),
    "198.51.100.0/25": asn(64500, "Example Hosting GmbH"),
    "198.51.100.128/25": asn(64501, "Example Networks"),
    "2001:db8:1::/48": asn(7922, "COMCAST-7922"),
}


def build(path: Path, records: dict[str, dict[str, Any]], kind: str = "GeoLite2-ASN", version: int = 6) -> Path:
    writer = MMDBWriter(version, kind, ipv4_compatible=version == 6)
    for prefix, record in records.items():
        writer.insert_network(IPSet([prefix]), record)
    writer.to_db_file(str(path))
    return path


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return build(tmp_path / "asn.mmdb", RECORDS)


def access_line(address: str, target: str = "/ws", second: int = 0) -> str:
    return f'{address} - - [16/Nov/2026:10:00:{second:02} +0000] "GET {target} HTTP/1.1" 101 10 "-" "{AGENT}"\n'


ADDRESSES = ["192.0.2.7", "198.51.100.5", "198.51.100.200", "2001:db8:1::9", "203.0.113.1", "10.1.2.3", "fe80::1", "192.0.2.9"]  # fmt: skip


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "access.log"
    path.write_text("".join(access_line(address, second=n) for n, address in enumerate(ADDRESSES)))
    return path


# --- the table --------------------------------------------------------------------------------------------


def test_the_table_is_sound() -> None:
    systems, rules = TABLE["autonomous_systems"], TABLE["rules"]
    assert len({s["asn"] for s in systems}) == len(systems) > 100
    for system in systems:
        assert set(system) == {"asn", "class", "name", "holder", "registry"}
        assert system["class"] in set(NETWORK_CLASSES) - {"unknown"}
        assert all(system[name] for name in ("name", "holder", "registry"))
    assert len({rule["rule"] for rule in rules}) == len(rules)
    for rule in rules:
        assert len({"flags", "field", "table", "words"} & set(rule)) == 1, rule
        for name in (*rule.get("classes", {}).values(), *([rule["class"]] if "class" in rule else [])):
            assert name in set(NETWORK_CLASSES) - {"unknown"}
        if "words" in rule:
            assert not re.search(rule["words"], "")


@pytest.mark.parametrize("system", TABLE["autonomous_systems"], ids=lambda s: str(s["asn"]))
def test_a_known_system_has_its_class_whatever_its_name(system: dict[str, Any]) -> None:
    assert network_class(asn(system["asn"], "some words about mobile cable hosting")) == system["class"]


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ({"is_anonymous_vpn": True, "user_type": "hosting"}, "vpn"),
        ({"is_tor_exit_node": True}, "vpn"),
        ({"is_anonymous_vpn": False, "is_hosting_provider": True}, "hosting"),
        ({"user_type": "business"}, "corporate"),
        ({"user_type": "college"}, "corporate"),
        ({"user_type": "cellular"}, "mobile"),
        ({"user_type": "residential", "autonomous_system_number": 21928}, "home"),  # the address is nearer than the AS
        ({"user_type": "consumer_privacy_network"}, "vpn"),
        ({"user_type": "traveler"}, "unknown"),
        ({"mobile_country_code": "310", "isp": "Example"}, "mobile"),
        ({"connection_type": "Cellular"}, "mobile"),
        ({"connection_type": "Cable/DSL"}, "home"),
        ({"connection_type": "Corporate"}, "corporate"),
        ({"connection_type": "Corporate", "autonomous_system_number": 16509}, "hosting"),
        ({"connection_type": "Corporate", "isp": "Example Hosting"}, "hosting"),
        ({"isp": "Example Cable"}, "home"),
        ({}, "unknown"),
    ],
)
def test_fields_of_the_databases(fields: dict[str, Any], wanted: str) -> None:
    assert network_class(fields) == wanted


@pytest.mark.parametrize(
    ("org", "wanted"),
    [
        ("Example VPN AB", "vpn"),
        ("Hosting of the Example University", "corporate"),  # institutions before servers
        ("Universität Beispiel", "corporate"),
        ("Mobile County Public Schools", "corporate"),  # a county of that name
        ("Department of Examples", "corporate"),
        ("Example Webhosting Ltd", "hosting"),
        ("EXAMPLE CLOUD", "hosting"),
        ("Example Data Centers Inc.", "hosting"),
        ("Example Mobile Broadband", "mobile"),  # mobile before home
        ("Ejemplo Móvil S.A.", "mobile"),
        ("Example 5G Networks", "mobile"),
        ("Example Broadband LLC", "home"),
        ("Kabelnetz Beispiel", "home"),
        ("Example Fibre Networks", "home"),
        ("Automobile Parts Ltd", "unknown"),  # whole words only
        ("Exxon Mobil Corporation", "unknown"),
        ("Example Wireless", "unknown"),  # phones here, households there
        ("Example Telecom", "unknown"),
        ("Example Networks", "unknown"),
    ],
)
def test_words_of_the_organisation(org: str, wanted: str) -> None:
    assert network_class({"autonomous_system_organization": org}) == wanted


# --- databases ----------------------------------------------------------------------------------------------


def test_lookup_of_ipv4_ipv6_and_what_is_no_address(database: Path) -> None:
    found = open_database(database).lookup(
        ["192.0.2.7", "::ffff:192.0.2.7", "[2001:db8:1::9]", "2001:db8:1::9%eth0", "2001:db8:2::", "10.0.0.1", "::1",
         "unix:", "host.example", "", "999.1.1.1", None]
    )  # fmt: skip
    mobile, home, none = (
        Network("mobile", 21928, "T-MOBILE-AS21928"),
        Network("home", 7922, "COMCAST-7922"),
        Network("unknown", None, None),
    )
    assert found == [mobile, mobile, home, home, *[none] * 7, None]


def test_an_ipv4_database_knows_no_ipv6(tmp_path: Path) -> None:
    path = build(tmp_path / "four.mmdb", {"192.0.2.0/24": asn(64500, "Example Cable")}, version=4)
    assert [n and n.network_class for n in open_database(path).lookup(["192.0.2.1", "2001:db8::1"])] == [
        "home",
        "unknown",
    ]


@pytest.mark.parametrize(
    ("kind", "record", "wanted"),
    [
        ("GeoIP2-ISP", asn(64500, "Example", isp="Example Mobile", organization="Acme"), ("mobile", 64500, "Example")),
        ("GeoIP2-Connection-Type", {"connection_type": "Cable/DSL"}, ("home", None, None)),
        (
            "GeoIP2-Enterprise",
            {"country": {"iso_code": "DE"}, "traits": asn(64500, "Example", user_type="business")},
            ("corporate", 64500, "Example"),
        ),
        ("GeoIP2-Anonymous-IP", {"is_anonymous": True, "is_anonymous_vpn": True}, ("vpn", None, None)),
    ],
)
def test_kinds_of_databases(tmp_path: Path, kind: str, record: dict[str, Any], wanted: tuple[Any, ...]) -> None:
    path = build(tmp_path / "x.mmdb", {"192.0.2.0/24": record}, kind)
    assert open_database(path).lookup(["192.0.2.1"]) == [Network(*wanted)]
    assert open_database(path).kind == kind


def test_a_database_can_be_shipped_by_name(database: Path) -> None:
    opened = open_database(database)
    assert pickle.loads(pickle.dumps(opened)).lookup(["192.0.2.7"]) == opened.lookup(["192.0.2.7"])


def test_bad_databases_are_usage_errors_of_one_line(tmp_path: Path, database: Path) -> None:
    (tmp_path / "text.mmdb").write_text("no database")
    (tmp_path / "empty.mmdb").write_bytes(b"")
    whole = database.read_bytes()
    (tmp_path / "cut.mmdb").write_bytes(whole[: len(whole) // 3])
    (tmp_path / "tail.mmdb").write_bytes(whole[-200:])
    build(tmp_path / "country.mmdb", {"192.0.2.0/24": {"country": {"iso_code": "DE"}}}, "GeoLite2-Country")
    for name, words in (
        ("missing.mmdb", "cannot be read"),
        (".", "cannot be read|no MaxMind"),
        ("text.mmdb", "no MaxMind"),
        ("empty.mmdb", "no MaxMind"),
        ("cut.mmdb", "no MaxMind"),
        ("tail.mmdb", "no MaxMind"),
        ("country.mmdb", "tells no network"),
    ):
        with pytest.raises(UsageError, match=words) as caught:
            open_database(tmp_path / name)
        assert "\n" not in str(caught.value)
    command = [sys.executable, "-m", "wslog", "ingest", "x", "--lake", str(tmp_path / "lake"), "--asn-db"]
    done = subprocess.run([*command, str(tmp_path / "text.mmdb")], capture_output=True, check=False)
    assert (done.returncode, done.stderr.count(b"\n"), done.stdout) == (EXIT_USAGE, 1, b"")
    assert not (tmp_path / "lake").exists()


def test_damage_that_is_met_later_is_a_usage_error(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import maxminddb

    class Damaged:
        def get(self, address: str) -> None:
            raise maxminddb.InvalidDatabaseError("bad pointer")

    opened = open_database(database)
    monkeypatch.setattr(networks, "_reader", lambda path, epoch: Damaged())
    with pytest.raises(UsageError, match="damaged"):
        opened.lookup(["192.0.2.7"])


# --- the lake -----------------------------------------------------------------------------------------------


def columns(lake: Path) -> list[tuple[Any, ...]]:
    frame = wslog.open_lake(lake).events().sort_values("line_number")[["network_class", "asn", "as_org"]]
    return [tuple(None if pd.isna(v) else v for v in row) for row in frame.itertuples(index=False)]


def test_events_hold_the_network_and_no_address(tmp_path: Path, log: Path, database: Path) -> None:
    wslog.ingest(log, tmp_path / "lake", asn_db=database)
    mobile, nothing = ("mobile", 21928, "T-MOBILE-AS21928"), ("unknown", None, None)
    assert columns(tmp_path / "lake") == [
        mobile,
        ("hosting", 64500, "Example Hosting GmbH"),
        ("unknown", 64501, "Example Networks"),
        ("home", 7922, "COMCAST-7922"),
        *[nothing] * 3,
        mobile,
    ]
    raw = b"".join(p.read_bytes() for p in (tmp_path / "lake").rglob("*") if p.is_file())
    assert not any(address.encode() in raw for address in ADDRESSES)
    by = wslog.open_lake(tmp_path / "lake").close_codes(by=["network_class"])
    assert set(by["network_class"]) == {"mobile", "hosting", "home", "unknown"}


def test_without_a_database_or_an_address_nothing_is_said(tmp_path: Path, log: Path, database: Path) -> None:
    wslog.ingest(log, tmp_path / "lake")
    assert set(columns(tmp_path / "lake")) == {(None, None, None)}
    (tmp_path / "client").write_text('{"ts":"2026-11-16T10:00:00Z","event":"open","session":"s"}\n')
    wslog.ingest(tmp_path / "client", tmp_path / "other", asn_db=database)
    assert columns(tmp_path / "other") == [(None, None, None)]


def test_another_database_reads_the_source_again(tmp_path: Path, log: Path, database: Path) -> None:
    lake = tmp_path / "lake"

    def status(**options: Any) -> str:
        return wslog.ingest(log, lake, **options).sources[0].status

    assert status() == "ingested"
    assert status(asn_db=database) == "replaced"
    assert status(asn_db=database) == "already_ingested"
    (tmp_path / "moved").mkdir()
    same = tmp_path / "moved" / "same.mmdb"
    os.replace(database, same)
    assert status(asn_db=same) == "already_ingested"  # its name plays no part
    other = build(tmp_path / "isp.mmdb", {"192.0.2.0/24": asn(64502, "Example Cable", isp="x")}, "GeoIP2-ISP")
    assert status(asn_db=other) == "replaced"
    assert columns(lake)[0] == ("home", 64502, "Example Cable")
    parser = wslog.open_lake(lake).sources()["parser"].iloc[0]
    assert re.fullmatch(r"nginx_access/.* asn_db='GeoIP2-ISP/\d+/\d+'", parser)
    assert len(wslog.open_lake(lake).events()) == len(ADDRESSES)
