"""``wslog policies``: the reconnect policies of the libraries, and what a policy file means."""

from __future__ import annotations

import json
from dataclasses import asdict
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wslog.cli.options import (
    ByOption,
    JsonOption,
    OutputOption,
    SinceOption,
    UntilOption,
    WeekOption,
    WhereOption,
    choose,
)
from wslog.errors import UsageError
from wslog.safe_text import terminal

if TYPE_CHECKING:
    import pandas as pd


_SHOWN = (
    "growth", "base_s", "factor", "cap_s", "jitter", "limit", "reset", "resembles", "resembles_also", "flagged", "state",
)  # fmt: skip
"""Columns of the policy as run that a terminal has room for."""


def add_to(app: typer.Typer) -> None:
    """Register the verb of this module."""
    app.command()(policies)


def policies(
    policy: Annotated[
        str | None,
        typer.Argument(help="A name of the list, or a policy file (.toml): all about that one.", show_default=False),
    ] = None,
    lake: Annotated[
        Path | None,
        typer.Option("--lake", help="Instead: the policy that this lake's clients followed.", show_default=False),
    ] = None,
    by: ByOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    week: WeekOption = None,
    where: WhereOption = None,
    output: OutputOption = "table",
    json: JsonOption = False,
) -> None:
    """List reconnect policies: first waits (s), limit, reset rule, fallback, source. With --lake: the one as actually run."""
    if lake is not None:
        if policy is not None:
            raise UsageError("give a policy or --lake, not both")
        _observed(lake, choose(output, json), by, since=since, until=until, week=week, where=where)
        return
    if policy is None:
        kind = choose(output, json)
        from wslog.cli.output import print_frame
        from wslog.policy.presets import policies as listing

        frame = listing()
        print_frame(_brief(frame) if kind == "table" else frame, kind, "policies")
        return
    _describe(policy, choose(output, json, ("table", "json")))


def _observed(lake: Path, kind: str, by: str | None, **period: str | None) -> None:
    from wslog.api import open_lake
    from wslog.cli.output import print_frame

    frame = open_lake(lake).observed_policy(by or (), **period)
    if kind == "table":
        own = list(frame.columns[: frame.columns.get_loc("outage_count")])
        waits = [name for name in frame.columns if name.startswith("wait_") and name.endswith("_p50_s")]
        frame["median_waits_s"] = [
            ", ".join(f"{value:.3g}" for value in row if value == value) for row in frame[waits].to_numpy(float)
        ]
        frame = frame[[*own, "outage_count", "median_waits_s", *_SHOWN]].rename(columns={"resembles_also": "or"})
    print_frame(frame, kind, "policy as run")


def _brief(frame: pd.DataFrame) -> pd.DataFrame:
    """Return what a terminal has room for; the rest is told of one policy at a time."""
    from wslog.policy.presets import delays_text, presets

    short = frame.assign(first_delays_s=[delays_text(policy, 5) for policy in presets().values()])
    short["fallback"] = frame["fallback"].where(frame["fallback"].notna(), "none")
    source = frame["source"].str.slice(0, 52)
    short["source"] = source.where(frame["is_verified"], "not verified: " + source)
    return short[["name", "first_delays_s", "max_attempts", "reset", "fallback", "source"]]


def _describe(name: str, kind: str) -> None:
    from wslog.policy.presets import delays_text, describe, load_policy

    policy = load_policy(name)
    record: dict[str, Any] = describe(policy) | {
        "first_delays_s": [list(window) for window in policy.first_delays(12)],
        "is_drop_immediate": policy.is_drop_immediate,
        "is_initial_retried": policy.is_initial_retried,
        "is_wait_from_start": policy.is_wait_from_start,
        "retried_codes": policy.retried_codes,
        "terminal_codes": policy.terminal_codes,
        "retried_http": policy.retried_http,
        "terminal_http": policy.terminal_http,
        "backoff": None if policy.backoff is None else _finite(asdict(policy.backoff)),
    }
    if kind == "json":
        typer.echo(json.dumps(record, indent=1, allow_nan=False))
        return
    starts = "the begin" if policy.is_wait_from_start else "the end"
    first = {True: "", False: "; a first connection that fails is not retried"}[policy.is_initial_retried]
    if policy.is_drop_immediate:
        first += "; the first 0 only after the loss of an open connection"
    rows = {
        "waits (s)": f"{delays_text(policy, 12)} counted from {starts} of the attempt before{first}",
        "limit": "none" if policy.max_attempts is None else f"{policy.max_attempts} retries",
        "then": record["fallback"] or ("never stops" if policy.max_attempts is None else "gives up"),
        "reset": record["reset"],
        "patience": "the browser's own" if policy.connect_timeout_s == inf else f"{policy.connect_timeout_s:g} s",
        "retried": _codes(policy.retried_codes, policy.terminal_codes, "close codes")
        + "; "
        + _codes(policy.retried_http, policy.terminal_http, "HTTP answers"),
        "formula": _formula(record["backoff"]),
        "source": policy.source,
        "version": policy.version,
        "verified": "yes" if policy.is_verified else "no",
        "notes": policy.notes,
    }
    typer.echo(terminal(policy.name))
    for title, text in rows.items():
        if text:
            typer.echo(terminal(f"  {title:<10} {text}"))


def _finite(record: dict[str, Any]) -> dict[str, Any]:
    return {key: None if value == inf else value for key, value in record.items()}


def _codes(only: tuple[tuple[int, int], ...] | None, never: tuple[tuple[int, int], ...], what: str) -> str:
    text = f"all {what}" if only is None else f"{what} {_ranges(only)} only"
    return f"{text} but {_ranges(never)}" if never else text


def _ranges(ranges: tuple[tuple[int, int], ...]) -> str:
    return ", ".join(str(low) if low == high else f"{low}–{high}" for low, high in ranges)


def _formula(backoff: dict[str, Any] | None) -> str:
    """Return the keys of a formula that are not at their default."""
    from wslog.policy.backoff import Backoff

    if backoff is None:
        return ""
    default = _finite(asdict(Backoff()))
    return ", ".join(
        f"{key} {list(value) if isinstance(value, tuple) else value}"
        for key, value in backoff.items()
        if key in ("growth", "base_s") or value != default[key]
    )
