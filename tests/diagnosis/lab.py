"""The real lab's pages (``data/demo/lab``), and what may be said of each: its cause, or ``unexplained``, never another name."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

import wslog
from wslog.api import Lake
from wslog.diagnosis import Diagnosis

DEMO = Path(__file__).parents[2] / "data/demo/lab"
LOGS = ("client.ndjson", "nginx_access.log", "haproxy.log")

RIGHT: dict[str, set[str]] = {
    "flapping": {"flapping_server"},
    "idle_timeout": {"idle_timeout"},
    "refused_403": {"server_refused"},
    "bad_gateway_502": {"server_refused"},
    # the loss is a restart; the 502 and 503 that answer meanwhile are the server's refusal as well
    "backend_restart": {"restart_herd", "server_refused"},
    "backend_down": {"restart_herd", "server_refused"},
    "port_closed": {"server_refused"},
    "server_close_1001": {"restart_herd"},
    "server_close_1012": {"restart_herd"},
    "server_close_1011": {"server_refused"},
    # cut for no reason, then the page is left
    "drop_left_connecting": set(),
    "drop_left_waiting": set(),
}
"""Scenario: its causes. Scenarios without an outage are not here."""


def lab_lake(folder: Path, logs: Sequence[str] = LOGS) -> Lake:
    """Ingest the lab's logs into ``folder``."""
    wslog.ingest([DEMO / name for name in logs], folder, nginx_conf=DEMO / "nginx.conf", tz="UTC")
    return wslog.open_lake(folder)


def lab_pages(found: Diagnosis) -> pd.DataFrame:
    """Return one row per page and cause said of it: ``is_right`` when it is the page's, ``is_wrong`` when it is another's."""
    pages = {page["session"]: page for page in json.loads((DEMO / "truth.json").read_text())["pages"]}
    told = found.attempts[(found.attempts["side"] == "client") & found.attempts["session_key"].isin(set(pages))]
    rows = []
    for (session, cause), group in told.groupby(["session_key", "cause"]):
        scenario = pages[session]["scenario"]
        is_right = cause in RIGHT.get(scenario, set())
        rows.append(
            {
                "scenario": scenario,
                "front": pages[session]["front"],
                "attempts": len(group),
                "cause": cause,
                "is_right": is_right,
                "is_wrong": not is_right and cause != "unexplained",
            }
        )
    return pd.DataFrame(rows).sort_values(["scenario", "front", "cause"], ignore_index=True)
