"""``wslog simulate``: write a simulated world and print what is in it."""

from __future__ import annotations

import json
from pathlib import Path

import typer

from wslog.safe_text import terminal


def run(
    out: Path,
    *,
    users: int,
    days: float,
    start: str,
    seed: int,
    scenario: str,
    formats: str | None,
    sampling: float,
    policy: str,
    as_json: bool,
    mess: str = "none",
) -> None:
    """Simulate and print the summary.

    Parameters
    ----------
    scenario, formats : str
        Comma-separated words; ``all``, ``everything`` (scenario) or None (formats) for all of them, ``none`` for a world where
        nothing fails.

    Raises
    ------
    UsageError
    """
    from wslog.simulate import FORMATS, Summary, simulate

    summary: Summary = simulate(
        out,
        users=users,
        days=days,
        start=start,
        seed=seed,
        scenario=[] if scenario == "none" else _words(scenario),
        formats=FORMATS if formats is None else _words(formats),
        sampling=sampling,
        policy=policy,
        mess=mess,
    )
    if as_json:
        typer.echo(json.dumps(summary.to_dict(), indent=1))
        return
    lines = sum(summary.logs.values())
    typer.echo(terminal(f"wrote {summary.out}: {len(summary.logs)} logs of {lines:,} lines in logs/"))
    sampled = "" if summary.logged_sessions == summary.sessions else f" ({summary.logged_sessions:,} in the client log)"
    typer.echo(f"sessions {summary.sessions:,}{sampled}, attempts {summary.attempts:,}, outages {summary.outages:,}")
    for title, counts in (("causes", summary.causes), ("ends", summary.ends)):
        typer.echo(f"{title}: {', '.join(f'{word} {count:,}' for word, count in counts.items()) or 'none'}")
    typer.echo(terminal(f"now: {ingest_command(summary.out, list(summary.logs))}"))


def ingest_command(out: str, logs: list[str]) -> str:
    """Return the command that reads the logs into a lake."""
    conf = f" --nginx-conf {out}/nginx.conf" if any("nginx_access" in name for name in logs) else ""
    zone = " --tz UTC" if any("haproxy" in name for name in logs) else ""
    return f"wslog ingest {out}/logs --lake LAKE{conf}{zone}"


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]
