"""The ground truth: whether the run went as its scenarios say, and how it is written down."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from scenarios import PAGES, Page

COUNTED = (
    "attempts",
    "opens",
    "failed_attempts",
    "abandoned_attempts",
    "retries",
    "retries_made",
    "polls_ok",
    "polls_failed",
)


def check_page(page: Page, seen: dict[str, Any]) -> list[str]:
    """Compare what a page counted with what its scenario asks for.

    Returns
    -------
    list of str
        The differences.
    """
    expected = {
        "attempts": page.attempts,
        "opens": page.opens,
        "failed_attempts": page.failed,
        "abandoned_attempts": page.abandoned,
        "closes": page.closes,
        "page_left_while": page.left,
        "retries": page.retries,
        "retries_made": page.retries_made,
        "has_fallen_back": page.has_fallen_back,
        "polls_failed": page.polls_failed,
    }
    wrong = [f"{page.name}: {k} is {seen[k]}, expected {v}" for k, v in expected.items() if seen[k] != v]
    if (seen["polls_ok"] > 0) != page.has_fallen_back:
        wrong.append(f"{page.name}: polls_ok is {seen['polls_ok']}")
    times = [entry[1] for entry in seen["timeline"]]
    opened_at = [entry[1] for entry in seen["timeline"] if entry[0] == "open"]
    if any(e.end == "recovered" for e in page.episodes) and times[-1] - opened_at[-1] < 5000:
        wrong.append(f"{page.name}: the last connection did not hold for 5 s")
    if page.left == "open" and page.episodes and times[-1] - opened_at[-1] >= 5000:
        wrong.append(f"{page.name}: left later than 5 s after the last open")
    return wrong


def check_telemetry(path: Path, truth: dict[str, dict[str, Any]]) -> list[str]:
    """Compare the telemetry lines with what the pages counted, session by session.

    Returns
    -------
    list of str
        The differences.
    """
    lines = [json.loads(text) for text in path.read_text(encoding="utf-8").splitlines()]
    events: Counter[tuple[str, str]] = Counter((line["session"], line["event"]) for line in lines)
    wrong = []
    for name, seen in truth.items():
        was_cut = seen["page_left_while"] in ("open", "connecting")
        expected = {
            "attempt": seen["attempts"],
            "open": seen["opens"],
            "error": seen["failed_attempts"],
            "close": sum(seen["closes"].values()) + was_cut,
            "retry": seen["retries"],
            "fallback": int(seen["has_fallen_back"]),
            "poll": (seen["polls_ok"] > 0) + (seen["polls_failed"] > 0),
        }
        for event, count in expected.items():
            found = events.pop((seen["session"], event), 0)
            # Chromium also fires `error` for an open connection that is lost by a reset or a broken frame
            if found != count and not (event == "error" and count < found <= seen["closes"].get("1006", 0)):
                wrong.append(f"{name}: {found} {event} lines, expected {count}")
    return wrong + [f"unexpected lines: {key}" for key in events]


def build_truth(truth: dict[str, dict[str, Any]], versions: dict[str, str]) -> dict[str, Any]:
    """Put together ``truth.json``: what the pages counted, what the scenarios say, and the sums."""
    pages = []
    for page in PAGES:
        seen = {k: v for k, v in truth[page.name].items() if k not in ("n", "page", "session", "scenario")}
        pages.append(
            {
                "session": truth[page.name]["session"],
                "scenario": page.scenario,
                "front": page.front,
                **seen,
                "expected_episodes": [asdict(episode) for episode in page.episodes],
            }
        )
    closes: Counter[str] = Counter()
    for seen in truth.values():
        closes.update(seen["closes"])
    episodes = [episode for page in PAGES for episode in page.episodes]
    totals: dict[str, object] = {"pages": len(pages)}
    totals.update({name: sum(page[name] for page in pages) for name in COUNTED})
    totals["closes"] = dict(sorted(closes.items()))
    totals["has_fallen_back"] = sum(page["has_fallen_back"] for page in pages)
    totals["page_left_while"] = dict(sorted(Counter(page["page_left_while"] for page in pages).items()))
    totals["expected_episodes"] = len(episodes)
    totals["expected_episodes_by_end"] = dict(sorted(Counter(episode.end for episode in episodes).items()))
    totals["expected_flapping_episodes"] = sum(episode.is_flapping for episode in episodes)
    return {"generated_by": "data/lab/run.py", "versions": versions, "pages": pages, "totals": totals}


def format_truth(truth: dict[str, Any]) -> str:
    """Write the truth as JSON, one page a line."""
    pages = ",\n".join("  " + json.dumps(page, separators=(",", ":")) for page in truth["pages"])
    rest = {key: json.dumps(value) for key, value in truth.items() if key != "pages"}
    return (
        f'{{"generated_by": {rest["generated_by"]},\n "versions": {rest["versions"]},\n'
        f' "pages": [\n{pages}\n ],\n "totals": {rest["totals"]}}}\n'
    )


def format_provenance(versions: dict[str, str], out: Path) -> str:
    """Write where the files come from."""
    root = Path(__file__).resolve().parents[2]
    shown = out.relative_to(root) if out.is_relative_to(root) else out.name
    programs = "\n".join(f"- {name} {version}" for name, version in versions.items())
    return f"""# Where these files come from

Made by `python data/lab/run.py --out {shown}` on {datetime.now(UTC):%Y-%m-%d %H:%M} UTC, on loopback: real
programs, no hand-written lines. Scenarios and definitions: `data/lab/README.md`.

{programs}

| file | what it is |
|---|---|
| `client.ndjson` | telemetry of the reference client in Chromium, format `wslog_client` |
| `nginx_access.log` | nginx access log, `log_format wslog_lab` of `nginx.conf` |
| `nginx_access.json.log` | the same requests, `log_format wslog` (JSON) |
| `haproxy.log` | HAProxy `option httplog` by syslog; frontend `fe_asap` has `option logasap` |
| `chromium_console.log` | the CONSOLE lines of Chromium's standard error, unchanged |
| `server.log` | application log of the WebSocket backends (`websockets` library) |
| `nginx.conf`, `haproxy.cfg` | the configurations in use |
| `truth.json` | what each page itself counted, and the outages its scenario amounts to |

All times are UTC. One page load is one session. The id of a connection is `connection` in `client.ndjson`,
and in the query of its URL, which the text log of nginx and the log of HAProxy keep.
"""
