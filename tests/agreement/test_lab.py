"""The real lab: the matrix equals what the pages' own record and the proxies' lines say, joined here by hand."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import wslog
from wslog.agreement import Agreement
from wslog.api import Lake

LAB = Path(__file__).parents[2] / "data" / "demo" / "lab"


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    folder = tmp_path_factory.mktemp("lake") / "lake"
    logs = [LAB / name for name in ("client.ndjson", "nginx_access.log", "haproxy.log")]
    wslog.ingest(logs, folder, nginx_conf=LAB / "nginx.conf", tz="UTC")
    return wslog.open_lake(folder)


@pytest.fixture(scope="module")
def found(lake: Lake) -> Agreement:
    return lake.agreement()


def told_by_client() -> dict[str, dict[str, Any]]:
    """Return what the telemetry says of each connection, read here line by line."""
    seen: dict[str, dict[str, Any]] = {}
    for line in (LAB / "client.ndjson").read_text().splitlines():
        event = json.loads(line)
        if "connection" in event:
            mine = seen.setdefault(event["connection"], {"events": [], "code": None})
            mine["events"].append(event["event"])
            mine["code"] = event.get("code", mine["code"]) if event["event"] == "close" else mine["code"]
    return seen


def logged_by_proxies() -> Counter[str]:
    lines = (LAB / "nginx_access.log").read_text() + (LAB / "haproxy.log").read_text()
    return Counter(re.findall(r"GET /ws[^ ]*?[?&]connection=([0-9a-f]+)", lines))


def test_pairs_are_those_of_the_connection_in_the_url(lake: Lake) -> None:
    matches, attempts = lake.matches(), lake.attempts().set_index("attempt_id")
    pairs = matches[matches["match_status"] == "matched"]
    assert set(pairs["matched_by"]) == {"connection_id"}
    names = attempts.loc[pairs["client_attempt_id"], "connection_id"].to_numpy()
    assert (names == attempts.loc[pairs["service_attempt_id"], "request_id"].to_numpy()).all()
    client, proxies = told_by_client(), logged_by_proxies()
    assert set(names) == set(client) & set(proxies)
    assert len(pairs) == sum(proxies.values())


def test_matrix_counts_what_the_logs_hold(found: Agreement) -> None:
    client, proxies = told_by_client(), logged_by_proxies()
    wanted = Counter(
        str(mine["code"])
        for name, mine in client.items()
        if name in proxies and "open" in mine["events"] and mine["code"] is not None
    )
    cells = found.matrix[found.matrix["client_view"].str.fullmatch(r"\d{4}")]
    counted = cells.groupby("client_view")["numerator"].sum().astype(int).to_dict()
    assert counted == dict(wanted)
    # the shares of a row add up, and every row has one denominator
    for _, row in found.matrix.groupby("client_view"):
        assert row["numerator"].sum() == row["denominator"].iloc[0] == row["denominator"].max()


def test_refusals_that_the_page_cannot_see_are_told_by_the_proxy(found: Agreement) -> None:
    cells = found.matrix.set_index(["client_view", "service_view"])["numerator"]
    lines = (LAB / "nginx_access.log").read_text().splitlines() + (LAB / "haproxy.log").read_text().splitlines()
    statuses = Counter(
        m[1] for line in lines if (m := re.search(r' (?:- - \S+ .*)?(?:")? ?(403|502|503) ', line)) and "/ws" in line
    )
    for status in ("403", "502", "503"):
        assert cells["never opened", f"answered HTTP {status}"] == statuses[status]


def test_one_machine_has_one_clock(found: Agreement) -> None:
    assert set(found.clocks["state"]) == {"ok"}
    assert set(found.clocks["learnt_from"]) == {"ids"}
    # browser and proxies ran on one machine: what is left is the handshake's way back, a few milliseconds, and nginx tells
    # whole seconds in this log's format, half a second late on average
    offsets = found.clocks.set_index("service_format")["offset_s"]
    assert abs(offsets["haproxy_http"]) < 0.05
    assert -1.0 < offsets["nginx_access"] < 0.05


def test_hosts_without_a_log_are_left_out(found: Agreement) -> None:
    client, proxies = told_by_client(), logged_by_proxies()
    missing = [name for name in client if name not in proxies]
    rows = found.matches.query("side == 'client' and match_status == 'unmatched'")
    assert dict(zip(rows["unmatched_because"], rows["attempt_count"], strict=True)) == {
        "host_not_covered": len(missing)
    }
    assert found.matrix["excluded_count"].max() == len(missing)
