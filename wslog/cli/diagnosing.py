"""``wslog diagnose``: print why connections failed, in plain words first."""

from __future__ import annotations

import json
import os
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wslog.cli.output import print_table, to_json
from wslog.errors import EXIT_PIPE_CLOSED
from wslog.safe_text import terminal

if TYPE_CHECKING:
    import pandas as pd

    from wslog.diagnosis import Diagnosis

_WIDTH = 100
_SHOWN = 20


def run(
    lake: Path,
    *,
    by: str | None = None,
    session: str | None = None,
    since: str | None = None,
    until: str | None = None,
    week: str | None = None,
    where: str | None = None,
    kind: str = "table",
) -> None:
    """Diagnose a lake and print the answer.

    Parameters
    ----------
    lake : Path
    by : str, optional
        Comma-separated grouping columns of the table of causes.
    session : str, optional
        Tell the story of this session instead.
    since, until, week, where : str, optional
    kind : str
        ``table`` (text) or ``json`` (findings, causes, herds, attempts and, with a session, its story).

    Raises
    ------
    UsageError, LakeDamagedError
    """
    from wslog.api import open_lake
    from wslog.diagnosis import diagnose

    columns = [column.strip() for column in by.split(",") if column.strip()] if by else []
    found = diagnose(open_lake(lake).engine, columns, session, since, until, week, where)
    try:
        if kind == "json":
            sys.stdout.write(as_json(found) + "\n")
        elif found.story is not None and session is not None:
            sys.stdout.write(story_text(found.story, session))
        else:
            sys.stdout.write(findings_text(found) + herds_text(found.herds))
            sys.stdout.flush()
            print_table(found.causes, "causes")
        sys.stdout.flush()
    except BrokenPipeError:
        # the reader of the pipe has left: nothing is wrong, and the flush at exit must not complain
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(EXIT_PIPE_CLOSED) from None


def as_json(found: Diagnosis) -> str:
    """Return the whole answer as one JSON object."""
    names = ("findings", "causes", "herds", "attempts")
    frames: dict[str, Any] = {name: getattr(found, name) for name in names}
    if found.story is not None:
        frames["story"] = found.story
    told = {name: json.loads(to_json(frame)) for name, frame in frames.items()}
    return json.dumps({"limits": found.limits, **told}, indent=1)


def findings_text(found: Diagnosis) -> str:
    """Return what was found: what, how many, how sure, what to change."""
    total = len(found.attempts)
    if not total:
        lines = ["no abnormal end and no failed connect in this selection"]
        return "\n".join(lines + [line for text in found.limits for line in textwrap.wrap(text, _WIDTH)]) + "\n"
    sides = ", ".join(f"{count:,} in {side} logs" for side, count in found.attempts["side"].value_counts().items())
    lines = [f"{total:,} abnormal ends and failed connects ({sides})"]
    lines += [line for text in found.limits for line in textwrap.wrap(text, _WIDTH)]
    if found.findings.empty:
        lines.append("Nothing stands out: too little evidence for any cause, or none.")
    for number, row in enumerate(found.findings.head(_SHOWN).to_dict("records"), 1):
        lines += _finding_lines(number, row)
    if len(found.findings) > _SHOWN:
        lines.append(f"… {len(found.findings) - _SHOWN} smaller findings: --json tells all")
    unexplained = float((found.attempts["cause"] == "unexplained").mean())
    lines += [
        "",
        f"{100 * unexplained:.0f} % are unexplained{': 1006 alone is no evidence' if unexplained else ''}.",
        "",
    ]
    return "\n".join(lines) + "\n"


def herds_text(herds: pd.DataFrame) -> str:
    """Return the herds, largest first: how many, how hard they came back, and whether too early."""
    if herds.empty:
        return ""
    lines = ["herds"]
    for row in herds.sort_values("size_count", ascending=False, kind="stable").head(_SHOWN).to_dict("records"):
        lines += _herd_lines(row)
    if len(herds) > _SHOWN:
        lines.append(f"… {len(herds) - _SHOWN} smaller herds: wslog table herds tells all")
    return "\n".join([*lines, "", ""]) + "\n"


def _herd_lines(row: dict[Any, Any]) -> list[str]:
    where = f" of {row['url_host']}" if isinstance(row["url_host"], str) else ""
    usual = f"about {row['usual_count']} usual" if row["usual_count"] else "less than one usual"
    back = "not known: too little log before or after"
    if not row["is_right_censored"]:
        back = f"{row['baseline_s']:.0f} s after the first loss"
    if row["is_left_censored"]:
        back += " (less than ten minutes of log before it)"
    early = f"not known ({row['retried_count']} of {row['size_count']} are seen to try again, 20 are needed; or nothing answered again)"
    if row["state"] == "ok":
        early = (
            f"{100 * row['too_early_ratio']:.0f} % ({row['too_early_count']} of {row['retried_count']} first retries, "
            f"95 % {100 * row['ci_low']:.0f} to {100 * row['ci_high']:.0f} %)"
        )
    ends = f"{row['recovered_count']} back on WebSocket, {row['fell_back_count']} on polling, {row['other_end_count']} neither or not logged"
    peak = (
        f"{row['peak_reconnects_per_s']:.0f} attempts in one second, {row['peak_reconnects_per_100ms']:.0f} in a tenth"
    )
    parts = (
        (
            " - ",
            f"{_count(row['size_count'], 'session')}{where} at {row['started_at']:%Y-%m-%d %H:%M:%S} within {row['spread_s']:.1f} s ({row['side']} log; {usual})",
        ),
        ("   peak: ", peak),
        ("   came back before the servers: ", early),
        ("   ended: ", ends),
        ("   connects as before: ", back),
    )
    return [
        line
        for head, text in parts
        for line in textwrap.wrap(terminal(text), _WIDTH, initial_indent=head, subsequent_indent="   ")
    ]


def _finding_lines(number: int, row: dict[Any, Any]) -> list[str]:
    sessions = _count(row["session_count"], "session")
    if row["rule_id"] != "blocked_network":
        sessions = f"{_count(row['size'], 'attempt')} of {sessions}"
    q = row["q_value"]
    chance = "" if q != q else ", chance below 1e-9" if q < 1e-9 else f", chance {q:.1g}"
    parts = (
        ("", f"{number}. {row['cause'].replace('_', ' ')}: {row['what']}"),
        ("   how many: ", sessions),
        ("   how sure: ", f"{row['confidence']}{chance} ({row['evidence']})"),
        ("   change: ", row["remedy"]),
    )
    lines = [""]
    for head, text in parts:
        lines += textwrap.wrap(terminal(str(text)), _WIDTH, initial_indent=head, subsequent_indent="   ")
    return lines


def _count(number: int, word: str) -> str:
    return f"{number:,} {word}{'' if number == 1 else 's'}"


def story_text(story: pd.DataFrame, session: str) -> str:
    """Return the story of a session, one event a line."""
    lines = [terminal(f"session {session}")]
    for row in story.to_dict("records"):
        at = row["event_at"]
        when = (
            "(no time)              "
            if at is None or at != at
            else f"{at:%Y-%m-%d %H:%M:%S}.{at.microsecond // 1000:03d}"
        )
        cause = row["cause"]
        why = ""
        if isinstance(cause, str):
            sure = f", {row['confidence']}" if isinstance(row["confidence"], str) else ""
            seen = f": {row['evidence']}" if isinstance(row["evidence"], str) else ""
            why = f"  <- {cause}{sure}{seen}"
        lines.append(terminal(f"{when}  {row['what']}{why}"))
    return "\n".join(lines) + "\n"
