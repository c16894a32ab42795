"""A tuning made by hand: what the charts, the page and the terminal are tried on without a lake.

The numbers come from a small exact replay of made-up outages, so that they hang together; nothing here is an estimator.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from wslog.policy.tuning import Tuning

HORIZON_S = 600.0
GROUPS: dict[str, tuple[int, float]] = {"wifi": (2_104, 1.6), "cellular": (1_450, 5.0), "ethernet": (310, 1.1)}
STARTS: dict[str, tuple[str, list[float]]] = {
    "linear-3": ("current", [1.0, 3.0, 6.0]),
    "recommended": ("recommended", [0.6, 1.8, 3.8, 6.4, 10.7, 18.0, 27.0, 39.0, 62.0, 100.0, 160.0, 260.0, 420.0]),
    "mine.toml": ("given", [0.5 * 2.0**k - 0.25 for k in range(11)]),
    "socket.io-client": ("preset", [1.0, 3.0, 7.0, *np.arange(12.0, 600.0, 5.0)]),
    "signalr": ("preset", [0.01, 2.0, 12.0, 42.0]),
    "full-jitter": ("preset", [0.5, 1.5, 3.5, 7.5, 15.0, *np.arange(30.0, 600.0, 15.0)]),
    "decorrelated-jitter": ("preset", [1.5, 4.0, 10.0, 24.0, *np.arange(45.0, 600.0, 20.0)]),
    "fixed-5s": ("preset", list(np.arange(5.0, 600.0, 5.0))),
    "phoenix": ("preset", [0.01, 0.06, 0.16, 0.31, 0.51, 0.76, 1.26, 2.26, 4.26, *np.arange(9.26, 600.0, 5.0)]),
    "grpc": ("preset", [1.0, 2.6, 5.2, 9.3, 15.8, 26.0, 43.0, 70.0, 110.0, 180.0, 290.0, 410.0, 530.0]),
}
POLLS = "the WebSocket comes back with the first poll that succeeds"


def frame_of(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """A frame whose text columns hold any text, lone surrogates too (Arrow strings refuse those)."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    columns = {name: [row.get(name) for row in rows] for name in names}
    return pd.DataFrame(
        {
            name: pd.Series(values, dtype=object if any(isinstance(v, str) for v in values) else None)
            for name, values in columns.items()
        }
    )


def ends_s(name: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Made-up ends of outages: log-normal, 2 % never."""
    count, median = GROUPS[name]
    share = (np.arange(count) + 0.5) / count
    rng = np.random.default_rng(count)
    drawn = np.exp(np.log(median) + 1.2 * rng.standard_normal(count))
    return np.where(share > 0.98, np.inf, drawn)


def replayed(ends: np.ndarray[Any, Any], starts: list[float]) -> dict[str, float]:
    """What a schedule does to these outages."""
    at = np.asarray([s for s in starts if s < HORIZON_S])
    k = np.searchsorted(at, ends)
    back = k < len(at)
    down = np.where(back, at[np.minimum(k, len(at) - 1)], HORIZON_S)
    return {
        "recovery_ratio": float(back.mean()),
        "downtime_p50_s": float(np.quantile(down, 0.5)),
        "downtime_p95_s": float(np.quantile(down, 0.95)),
        "downtime_mean_s": float(down.mean()),
        "service_downtime_mean_s": float(
            np.where(back, down, np.minimum(ends + 1.0, HORIZON_S) if len(at) == 3 else HORIZON_S).mean()
        ),
        "attempt_count_mean": float(np.where(back, k + 1, len(at)).mean()),
        "fallback_ratio": float((~back).mean()) if len(at) == 3 else 0.0,
        "fallback_s_mean": float(((HORIZON_S - 6.0) * ~back).mean()) if len(at) == 3 else 0.0,
    }


def figure_row(figure: str, value: float, count: int, status: str, **more: Any) -> dict[str, Any]:
    """One row of a policies frame; ``count`` below 20 makes it insufficient."""
    half = 0.9 / np.sqrt(count) * (min(value, 1 - value) if figure.endswith("ratio") else value)
    is_ok = count >= 20
    is_bound = status == "bound"
    return {
        **more,
        "figure": figure,
        "value": value if is_ok and not is_bound else None,
        "ci_low": value - half if is_ok and not is_bound else None,
        "ci_high": value + half if is_ok and not is_bound else None,
        "bound_low": value * 0.7 if is_ok and is_bound else None,
        "bound_high": min(value * 2.5, 1.0 if figure.endswith("ratio") else HORIZON_S) if is_ok and is_bound else None,
        "status": status,
        "assumption": POLLS if status == "assumed" else "",
        "outage_count": count,
        "session_count": count // 2,
        "state": "ok" if is_ok else "insufficient",
    }


def status_of(figure: str, role: str, kind: str) -> str:
    """``L0``: bounds beyond the last attempt; ``L1``: assumed; ``L3``: identified."""
    if role == "current" or kind == "L3":
        return "identified"
    return "bound" if kind == "L0" and figure != "downtime_p50_s" else "assumed"


def tuning(kind: str = "L1", names: dict[str, str] | None = None, small: bool = True) -> Tuning:
    """A tuning of three or four networks; ``names`` renames groups and policies (hostile text)."""
    names = names or {}
    groups = [*GROUPS, *(["vpn"] if small else [])]
    frames: dict[str, list[dict[str, Any]]] = {
        k: [] for k in ("policies", "gains", "outages", "schedules", "frontier", "recovery")
    }
    for group in groups:
        key = {"network_type": names.get(group, group)}
        _add_group(frames, key, group, kind, names)
    herds, loads = _herds(names)
    return Tuning(
        by=("network_type",),
        horizon_s=HORIZON_S,
        price_s=1.0,
        current=names.get("linear-3", "linear-3"),
        herds=herds,
        loads=loads,
        decisions=_decisions(groups, names),
        observed=_observed(names),
        advice=_advice(groups, names),
        **{name: frame_of(rows) for name, rows in frames.items()},
    )


def _add_group(
    frames: dict[str, list[dict[str, Any]]], key: dict[str, str], group: str, kind: str, names: dict[str, str]
) -> None:
    is_small = group not in GROUPS
    ends = ends_s("ethernet")[:12] if is_small else ends_s(group)
    count = len(ends)
    at = np.geomspace(0.05, HORIZON_S, 160)
    over = np.searchsorted(np.sort(ends), at, side="right") / count
    half = np.sqrt(over * (1 - over) / count) * 2 + (0.12 * (at > 6.0) if kind == "L0" else 0.0)
    for when, share, width in zip(at, over, half, strict=True):
        frames["outages"].append(
            {
                **key,
                "at_s": when,
                "not_back_ratio": None if is_small else 1 - share,
                "low": None if is_small else max(1 - share - width, 0.0),
                "high": None if is_small else min(1 - share + width, 1.0),
                "outage_count": count,
            }
        )
    now = replayed(ends, STARTS["linear-3"][1])
    for policy, (role, starts) in STARTS.items():
        shown = {**key, "policy": names.get(policy, policy), "role": role}
        found = replayed(ends, starts)
        for figure, value in found.items():
            frames["policies"].append(figure_row(figure, value, count, status_of(figure, role, kind), **shown))
            if role == "recommended":
                frames["gains"].append(_gain(figure, value - now[figure], count, status_of(figure, role, kind), shown))
        for number, start in enumerate(starts, 1):
            jitter = 0.0 if role == "current" else 0.25
            frames["schedules"].append(
                {
                    **shown,
                    "attempt_number": number,
                    "start_s": start,
                    "start_low_s": start * (1 - jitter),
                    "start_high_s": start * (1 + jitter),
                }
            )
        if role in ("current", "recommended", "given") or policy in ("socket.io-client", "signalr"):
            _recovery(frames["recovery"], shown, ends, starts, status_of("", role, kind), is_small)
    if not is_small:
        for price in np.geomspace(0.05, 60, 14):
            plan = list(np.cumsum(np.geomspace(0.3 + 0.4 * price**0.6, 60 + 20 * price, 4 + int(18 / (1 + price)))))
            best = replayed(ends, plan)
            frames["frontier"].append(
                {
                    **key,
                    "price_s": price,
                    "attempt_count_mean": best["attempt_count_mean"],
                    "downtime_mean_s": best["downtime_mean_s"] * 0.97,
                }
            )


def _gain(figure: str, difference: float, count: int, status: str, shown: dict[str, Any]) -> dict[str, Any]:
    row = figure_row(figure, difference, count, status, **shown)
    if row["ci_low"] is not None:
        row["ci_low"], row["ci_high"] = sorted((difference * 0.8, difference * 1.2))
    if row["bound_low"] is not None:
        row["bound_low"], row["bound_high"] = sorted((difference * 1.6, -difference * 0.1))
    return row


def _recovery(
    rows: list[dict[str, Any]],
    shown: dict[str, Any],
    ends: np.ndarray[Any, Any],
    starts: list[float],
    status: str,
    is_small: bool,
) -> None:
    at = np.asarray(starts)
    k = np.searchsorted(at, ends)
    down = np.where(k < len(at), at[np.minimum(k, len(at) - 1)], np.inf)
    for when in np.geomspace(0.1, HORIZON_S, 180):
        share = float((down <= when).mean())
        width = 1.6 * np.sqrt(share * (1 - share) / len(ends)) + (0.1 if status == "bound" and when > 6 else 0.0)
        middle, low, high = (None,) * 3 if is_small else (share, max(share - width, 0.0), min(share + width, 1.0))
        rows.append(
            {
                **shown,
                "at_s": when,
                "recovered_ratio": middle,
                "low": low,
                "high": high,
                "status": status if when > 6 else "identified",
            }
        )


def _herds(names: dict[str, str]) -> tuple[pd.DataFrame, pd.DataFrame]:
    herds, loads = [], []
    for place, (policy, (role, starts)) in enumerate(STARTS.items()):
        shown = {"policy": names.get(policy, policy), "role": role}
        peak = 20_000 / (0.5 + place)
        t95 = np.inf if policy == "signalr" else 18.0 + 3 * place
        is_bound = policy == "grpc"
        herds.append(
            {
                "herd_id": "app.example.com@1",
                **shown,
                "client_count": 20_000,
                "accept_per_s": 1500.0,
                "peak_per_s": np.nan if is_bound else peak,
                "peak_per_s_low": peak * 0.96,
                "peak_per_s_high": peak * 1.05,
                "peak_per_s_status": "bound" if is_bound else "identified",
                "t95_s": np.nan if is_bound else t95,
                "t95_s_low": t95 * 0.9,
                "t95_s_high": np.inf if is_bound else t95 * 1.1,
                "t95_s_status": "bound" if is_bound else "assumed" if policy == "linear-3" else "identified",
                "attempts_per_client": 3.0,
                "attempts_per_client_low": 2.9,
                "attempts_per_client_high": 3.1,
                "attempts_per_client_status": "identified",
                "status": "bound" if is_bound else "identified",
                "missing": "no attempt was refused: the accept rate is only bounded from below" if is_bound else "",
            }
        )
        if place < 5:
            at = np.arange(0.0, 60.0, 1.0)
            rate = sum(peak * np.exp(-((at - start) ** 2) / (0.5 + start) / 8) for start in starts if start < 60)
            loads += [
                {**shown, "at_s": when, "attempts_per_s": value}
                for when, value in zip(at, np.asarray(rate), strict=True)
            ]
    return frame_of(herds), frame_of(loads)


def _decisions(groups: list[str], names: dict[str, str]) -> pd.DataFrame:
    rows: list[dict[str, Any]] = []
    for place, group in enumerate(groups):
        count = 12 if group not in GROUPS else GROUPS[group][0]
        decision = "few" if group not in GROUPS else ("change", "change", "open")[place]
        rows.append(
            {
                "network_type": names.get(group, group),
                "decision": decision,
                "now": f"{names.get('linear-3', 'linear-3')}: 1, 2, 3 s, then polling every 1 s",
                "then": None if decision == "few" else "0.6, 1.2, 2, 2.6, 4.3, then 60 s every time; each ±50 %",
                "cost_difference_s": None if decision == "few" else -4.0,
                "cost_low_s": None if decision == "few" else -5.0,
                "cost_high_s": None if decision == "few" else (-3.0 if decision == "change" else 2.0),
                "cost_status": None if decision == "few" else "assumed",
                "cost_assumption": None if decision == "few" else POLLS,
                "unknown": f"Assumed, not seen: {POLLS}."
                if decision == "change"
                else f"What is best after {count} outages.",
                "learn": "Keep logging.",
                "outage_count": count,
                "session_count": count // 2,
            }
        )
    return frame_of(rows)


def _observed(names: dict[str, str]) -> pd.DataFrame:
    rows = [
        ("resembles", f"{names.get('linear-3', 'linear-3')}: waits of 1, 2, 3 s, then polling each second"),
        ("reset", "the counter goes back to the start on every open, also when the connection dies at once"),
        ("flag", "no jitter: clients that drop together come back together"),
    ]
    return frame_of([{"what": what, "text": text} for what, text in rows])


def _advice(groups: list[str], names: dict[str, str]) -> pd.DataFrame:
    rows: list[dict[str, Any]] = []
    for group in groups:
        key = {"network_type": names.get(group, group)}
        is_small = group not in GROUPS
        text = (
            "Too little evidence to recommend anything: 12 outages. Keep the policy in place."
            if is_small
            else "Retry after 0.6, 1.2, 2.0, 2.6, 4.3, 7.3 s and so on, each ±50 %, at most 60 s apart, without end; poll meanwhile."
        )
        title = "Keep, and gather more" if is_small else "Change"
        rows.append({**key, "kind": "change", "title": title, "text": text})
        if not is_small:
            code = "const DELAYS_MS = [600, 1200, 2000, 2600, 4300];\nconst delay = (n) => DELAYS_MS[Math.min(n, 4)] * (0.5 + Math.random());"
            rows.append({**key, "kind": "snippet", "title": "plain JavaScript", "text": code})
            rows.append(
                {
                    **key,
                    "kind": "snippet",
                    "title": "SignalR",
                    "text": "withAutomaticReconnect({ nextRetryDelayInMilliseconds: r => 600 })",
                }
            )
    whole = {"network_type": None}
    rows += [
        {
            **whole,
            "kind": "unknown",
            "title": "Outages shorter than 1 s.",
            "text": "No attempt was made before 1 s: policies that retry at once differ only there.",
        },
        {
            **whole,
            "kind": "log",
            "title": "Log the first poll that succeeds.",
            "text": "It would narrow the 95th percentile of cellular from 14 to 600 s down to 88 to 131 s.",
        },
        {
            **whole,
            "kind": "experiment",
            "title": "Let 5 % of the outages explore.",
            "text": "5,000 explored outages settle the 95th percentile to ±10 %.",
        },
        {
            **whole,
            "kind": "limit",
            "title": "Clients that never reported.",
            "text": "Outages that nobody could log are not in it.",
        },
        {
            "network_type": names.get("cellular", "cellular"),
            "kind": "warning",
            "title": "People leave during long outages.",
            "text": "The page is closed 2.1 times as often (1.6 to 2.8) in an outage: tails of cellular are refused.",
        },
    ]
    return frame_of(rows).assign(is_general=lambda frame: frame["network_type"].isna())
