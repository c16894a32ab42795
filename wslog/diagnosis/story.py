"""The story of one session: what its log tells, in order of time, with the cause of each loss and the length of each outage."""

from __future__ import annotations

from typing import Any

import pandas as pd

LATE_S = 1.0
COLUMNS = ("event_at", "side", "what", "cause", "confidence", "evidence")


def tell(steps: pd.DataFrame, attempts: pd.DataFrame, episodes: pd.DataFrame) -> pd.DataFrame:
    """Return a session in order of time.

    Parameters
    ----------
    steps : pandas.DataFrame
        Its events (``sql/diagnosis/story.sql``).
    attempts : pandas.DataFrame
        Its abnormal ends and failed connects with their causes.
    episodes : pandas.DataFrame
        Its outages.

    Returns
    -------
    pandas.DataFrame
        One row per event, and one at the end of each outage: ``event_at``, ``side``, ``what`` (plain words), and at losses
        and failures ``cause``, ``confidence`` and ``evidence``.
    """
    told_steps = steps.to_dict("records")
    rows = [_row(step) for step in told_steps]
    _say_what_came_late(told_steps, rows)
    told = {(row["side"], row["ended_at"]): row for row in attempts.to_dict("records")}
    for row in rows:
        case = told.get((row["side"], row["event_at"])) if row.pop("is_end") else None
        if case is not None:
            row |= {name: case[name] for name in ("cause", "confidence", "evidence")}
    causes = dict(zip(attempts["attempt_id"], attempts["cause"], strict=True))
    for episode in episodes.to_dict("records"):
        rows.append(_outage(episode, causes))
    frame = pd.DataFrame(rows, columns=[*COLUMNS])
    return frame.sort_values("event_at", kind="stable", na_position="first", ignore_index=True)


def _say_what_came_late(steps: list[dict[Any, Any]], rows: list[dict[str, Any]]) -> None:
    """Add by how much an attempt began later than the retry before it announced: timers of hidden pages are held back."""
    due = None
    for step, row in zip(steps, rows, strict=True):
        if step["event"] == "retry" and _known(step["retry_delay_ms"]):
            due = step["event_at"] + pd.Timedelta(milliseconds=float(step["retry_delay_ms"]))
        elif step["event"] == "attempt" and due is not None:
            late_s = (step["event_at"] - due).total_seconds() if _known(step["event_at"]) else 0.0
            if late_s >= LATE_S:
                row["what"] += f", {late_s:.0f} s later than announced"
            due = None


def _row(step: dict[Any, Any]) -> dict[str, Any]:
    event, parts = str(step["event"]), [str(step["event"])]
    if _known(step["transport"]) and step["transport"] != "websocket":
        parts.append(str(step["transport"]))
    for name, text in (
        ("http_status", "HTTP {:.0f}"),
        ("close_code", "code {:.0f}"),
        ("handshake_ms", "after {:.0f} ms"),
        ("lifetime_s", "lived {:.1f} s"),
        ("retry_number", "number {:.0f}"),
        ("retry_delay_ms", "in {:.0f} ms"),
    ):
        if _known(step[name]) and not (name == "retry_number" and event != "retry"):
            parts.append(text.format(float(step[name])))
    if _known(step["error_class"]):
        parts.append(str(step["error_class"]))
    if event in ("network", "attempt") and _known(step["network_type"]) and step["network_type"] != "unknown":
        parts.append(f"on {step['network_type']}")
    return {
        "event_at": step["event_at"],
        "side": step["side"],
        "what": " ".join(parts),
        "cause": None,
        "confidence": None,
        "evidence": None,
        "is_end": event == "close" or event == "error",
    }


def _outage(episode: dict[Any, Any], causes: dict[str, str]) -> dict[str, Any]:
    cause = causes.get(str(episode["episode_id"]), "unexplained")
    down = episode["downtime_s"]
    length = (
        "of unknown length"
        if not _known(down)
        else f"of {down:.1f} s{' or more' if episode['is_right_censored'] else ''}"
    )
    what = f"outage {length} ends: {episode['end']}, {episode['attempt_count']} attempts"
    return {
        "event_at": episode["ended_at"],
        "side": episode["side"],
        "what": what,
        "cause": cause,
        "confidence": None,
        "evidence": None,
    }


def _known(value: Any) -> bool:
    return not (value is None or bool(pd.isna(value)))
