"""Metric frames and a lake of them, made by hand: the page's input without a lake."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from wslog.schema import METRIC_COLUMNS, TABLES

HOSTILE = (
    "$\\frac$",
    "$$",
    '<img src=x onerror="alert(1)">',
    "</style></script><script>alert(1)</script>",
    "_x",
    "\x1b[31mred\x1b]8;;http://e.example\x07",
    "lone \ud800 surrogate",
    "A" * 20_000,
    "\u202egnp.exe\x00\n\n\n",
    "=HYPERLINK(1)",
    "{{ 7*7 }}",
    "公司代理 мир",
)
WEEKS = tuple(f"2026-W{number}" for number in range(39, 48))
WEEK = WEEKS[-1]


def wilson(numerator: float, denominator: float) -> tuple[float, float, float]:
    """Value and 95 % interval of a share."""
    z, p = 1.959964, numerator / denominator
    middle = (p + z * z / (2 * denominator)) / (1 + z * z / denominator)
    half = z / (1 + z * z / denominator) * math.sqrt(p * (1 - p) / denominator + z * z / (4 * denominator**2))
    return p, middle - half, middle + half


def cells(
    numerator: float, denominator: float, floor: float = 20, excluded: float = 0, spread: float | None = None
) -> dict[str, Any]:
    """The seven columns of a metric row; ``spread`` replaces Wilson by value +- spread."""
    if denominator < floor:
        return dict(
            zip(METRIC_COLUMNS, (None, numerator, denominator, excluded, None, None, "insufficient"), strict=True)
        )
    value, low, high = wilson(numerator, denominator) if spread is None else (0.0, 0.0, 0.0)
    if spread is not None:
        value = numerator / denominator
        low, high = max(0.0, value - spread), value + spread
    return dict(zip(METRIC_COLUMNS, (value, numerator, denominator, excluded, low, high, "ok"), strict=True))


def reliability(side: str = "client", weeks: tuple[str, ...] = WEEKS, **keys: Any) -> pd.DataFrame:
    """Four metrics by week; the third week is below the floor, the last has twice the drops."""
    records = []
    for place, week in enumerate(weeks):
        small = place == 2 and len(weeks) > 3
        scale = 0.0005 if small else 1.0
        attempts = round((20_000 + 700 * place) * scale)
        hours = (4_000 + 120 * place) * scale
        rate = 0.31 if week == WEEK else 0.15 + 0.004 * (place % 3)
        base = {**keys, "iso_week": week, "side": side}
        share = 0.965 if week == WEEK else 0.9655 + 0.001 * (place % 4)
        records.append(
            {
                **base,
                "metric": "connect_success_rate",
                **cells(round(attempts * share), attempts, excluded=attempts // 50),
            }
        )
        records.append({**base, "metric": "drops_per_connected_hour", **cells(hours * rate, hours, spread=0.011)})
        if side == "client":
            records.append(
                {**base, "metric": "downtime_s_per_connected_hour", **cells(hours * rate * 14, hours, spread=0.5)}
            )
            records.append({**base, "metric": "downtime_p50_s", **cells(hours * rate * 4.2, hours * rate, spread=0.6)})
            records.append(
                {**base, "metric": "fallback_session_rate", **cells(round(attempts * 0.004), round(attempts * 0.3))}
            )
    return pd.DataFrame(records, dtype=object)


CODES: tuple[tuple[int | None, str, bool, float], ...] = (
    (1000, "wire", True, 0.41),
    (1001, "wire", True, 0.22),
    (1006, "inferred", True, 0.14),
    (1006, "inferred", False, 0.035),
    (1005, "inferred", True, 0.06),
    (1012, "wire", True, 0.03),
    (1000, "library_synthetic", True, 0.025),
    (4001, "wire", True, 0.012),
    (1008, "mapped", True, 0.004),
    (None, "absent", True, 0.064),
)


def close_codes(total: int = 20_000, by: tuple[str, ...] = (), side: str = "client") -> pd.DataFrame:
    """Shares of close codes; only ``is_opened`` and ``outcome`` are understood as groups."""
    counted: dict[tuple[Any, ...], float] = {}
    codes = CODES if side == "client" else ((None, "absent", True, 0.96), (None, "absent", False, 0.04))
    for code, source, is_opened, share in codes:
        lost = is_opened and code in (1006, 1012)
        outcome = "never_opened" if not is_opened else "dropped" if lost else "closed_normally"
        group = tuple({"is_opened": is_opened, "outcome": outcome}[name] for name in by)
        key = (*group, side, code, source)
        counted[key] = counted.get(key, 0) + round(total * share)
    names = (*by, "side", "close_code", "close_code_source")
    totals: dict[tuple[Any, ...], float] = {}
    for key, number in counted.items():
        totals[key[: len(by)]] = totals.get(key[: len(by)], 0) + number
    records = [
        {**dict(zip(names, key, strict=True)), **cells(number, totals[key[: len(by)]], excluded=total // 100)}
        for key, number in counted.items()
    ]
    return pd.DataFrame(records, columns=[*names, *METRIC_COLUMNS], dtype=object)


def retries(outages: int = 1_200, weeks: tuple[str, ...] = (), group: dict[str, Any] | None = None) -> pd.DataFrame:
    """Retry success for k = 1..4 (the last below the floor) and the two percentiles, by week when asked."""
    records = []
    for place, week in enumerate(weeks or (None,)):
        base: dict[str, Any] = {**(group or {}), **({"iso_week": week} if week else {}), "side": "client"}
        left = outages
        for number, share in ((1, 0.52), (2, 0.38), (3, 0.21), (4, 0.1)):
            tried = left if number < 4 else min(left, 7)
            records.append(
                {**base, "metric": "retry_success", "retry_number": number, **cells(round(tried * share), tried)}
            )
            left = round(left * (1 - share))
        for name, value, half in (("time_to_recover_p50_s", 2.9, 0.3), ("time_to_recover_p90_s", 41.0, 9.0)):
            row = cells(1, 1, floor=0, spread=0)
            row.update(
                value=value + 0.1 * (place % 3),
                ci_low=value - half,
                ci_high=value + half,
                numerator=outages * 0.8,
                denominator=outages,
            )
            records.append({**base, "metric": name, "retry_number": None, **row})
    return pd.DataFrame(records, dtype=object)


NETWORKS: tuple[tuple[str | None, int, int], ...] = (
    ("wifi", 31, 4_100),
    ("cellular", 64, 2_050),
    ("ethernet", 9, 980),
    ("vpn", 41, 160),
    (None, 3, 310),
    ("other", 1, 6),
)


def fallback(by: tuple[str, ...] = (), networks: tuple[tuple[str | None, int, int], ...] = NETWORKS) -> pd.DataFrame:
    """Fallback rates in all, or by one column."""
    groups = (
        [({by[0]: name}, a, n) for name, a, n in networks]
        if by
        else [({}, sum(a for _, a, _ in networks), sum(n for *_, n in networks))]
    )
    records = []
    for keys, numerator, denominator in groups:
        records.append({**keys, "side": "client", "metric": "fallback_session_rate", **cells(numerator, denominator)})
        records.append(
            {
                **keys,
                "side": "client",
                "metric": "fallback_episode_rate",
                **cells(numerator, denominator // 3, excluded=5),
            }
        )
    return pd.DataFrame(records, dtype=object)


def table(name: str, records: list[dict[str, Any]]) -> pd.DataFrame:
    """A frame with every column of a registered table; what the records leave out is null."""
    frame = pd.DataFrame(records, columns=list(TABLES[name].columns), dtype=object)  # text columns may hold surrogates
    for column in ("observed_from", "observed_until", "started_at", "ended_at"):
        if column in frame.columns:
            frame[column] = pd.to_datetime(frame[column], utc=True)
    return frame


def source(path: str, side: str, number: int, **more: Any) -> dict[str, Any]:
    """One row of ``sources``."""
    record = {
        "source_id": f"s{number:03}",
        "path": path,
        "format": "console_text" if side == "client" else "nginx_access",
        "side": side,
        "lines_in": 1000,
        "event_lines": 900,
        "rejected": 4,
        "ignored": 96,
        "pending_bytes": 0,
        "event_count": 950,
        "is_partial": False,
        "is_zone_assumed": False,
        "observed_from": "2026-09-21T00:00:05Z",
        "observed_until": "2026-11-22T23:58:00Z",
    }
    return {**record, **more}


def sources(
    paths: tuple[str, ...] = ("logs/browser-beacons.jsonl", "logs/app/console-export.log"), proxy: bool = True
) -> pd.DataFrame:
    """Client sources and, when asked, one of a proxy whose zone was assumed."""
    records = [source(path, "client", number) for number, path in enumerate(paths)]
    if proxy:
        records.append(
            source(
                "logs/edge/nginx-access.log.gz",
                "proxy",
                99,
                lines_in=81_240,
                event_lines=61_000,
                ignored=20_000,
                rejected=240,
                is_zone_assumed=True,
                is_partial=True,
            )
        )
    return table("sources", records)


def episodes() -> pd.DataFrame:
    """Outages of the last week and of the weeks before."""
    ends = {"recovered": 31, "fell_back": 6, "gave_up": 2, "left": 5, "censored": 3}
    records = []
    for day, factor in (("2026-11-18T10:00:00Z", 2), ("2026-11-04T10:00:00Z", 5), ("2026-10-14T09:00:00Z", 4)):
        for end, number in ends.items():
            for k in range(number * factor):
                records.append(
                    {
                        "episode_id": f"{day}{end}{k}",
                        "side": "client",
                        "kind": "drop" if k % 4 else "initial",
                        "started_at": day,
                        "end": end,
                        "is_right_censored": end in ("left", "censored", "gave_up"),
                        "is_flapping": k % 9 == 0,
                        "sample_weight": 1.0,
                    }
                )
    return table("episodes", records)


def rejects() -> pd.DataFrame:
    """Three spans that no format could read."""
    return table(
        "rejects",
        [
            {
                "source_id": "s000",
                "line_number": 7,
                "line_count": 1,
                "byte_offset": 700,
                "length_bytes": 80,
                "reason": "json",
            },
            {
                "source_id": "s001",
                "line_number": 9,
                "line_count": 3,
                "byte_offset": 900,
                "length_bytes": 240,
                "reason": "fields",
            },
            {
                "source_id": "s099",
                "line_number": 1,
                "line_count": 240,
                "byte_offset": 0,
                "length_bytes": 9000,
                "reason": "time",
            },
        ],
    )


def comparison(now: pd.DataFrame, before: pd.DataFrame) -> pd.DataFrame:
    """What changed, as a lake would say it: the weeks before added up; other values are changes where intervals do not meet."""
    records = []
    for row in now.to_dict("records"):
        old = before[(before["side"] == row["side"]) & (before["metric"] == row["metric"]) & (before["state"] == "ok")]
        if row.get("retry_number") == row.get("retry_number") and row.get("retry_number") is not None:
            continue
        record: dict[str, Any] = {"side": row["side"], "metric": row["metric"], "days_compared": 7, "days_left_out": ""}
        names = ("before", "before_ci_low", "before_ci_high", "before_denominator")
        record |= dict.fromkeys(names, math.nan) | {"verdict": "insufficient"}
        if len(old) and row["state"] == "ok":
            total = old["denominator"].astype(float).sum()
            share = old["denominator"].astype(float) / total
            value = (old["value"].astype(float) * share).sum()
            half = math.sqrt((((old["ci_high"] - old["ci_low"]).astype(float) / 2 * share) ** 2).sum())
            low, high = value - half, value + half
            meet = row["ci_low"] <= high and low <= row["ci_high"]
            good = (row["value"] > value) == (row["metric"] == "connect_success_rate")
            verdict = "no_evidence_of_change" if meet else "better" if good else "worse"
            record |= dict(zip(names, (value, low, high, total), strict=True)) | {"verdict": verdict}
        records.append(record)
    columns = (
        ["side", "metric", *names, "verdict", "days_compared", "days_left_out"]
        if records
        else ["side", "metric", "days_left_out"]
    )
    return pd.DataFrame(records, columns=columns)


def _of_sides(frame: pd.DataFrame, sides: tuple[str, ...]) -> pd.DataFrame:
    return frame[frame["side"].isin(sides)].reset_index(drop=True)


class FakeLake:
    """Answers the calls of the report from frames; ``only`` names the weeks that have data."""

    def __init__(
        self, weeks: tuple[str, ...] = WEEKS, sides: tuple[str, ...] = ("client", "proxy"), **frames: pd.DataFrame
    ) -> None:
        self.weeks, self.sides, self.frames = weeks, sides, frames

    def _sided(self, name: str, frames: list[pd.DataFrame]) -> pd.DataFrame:
        return self.frames.get(
            name,
            pd.concat(frames, ignore_index=True)
            if frames
            else pd.DataFrame(columns=["side", "metric", *METRIC_COLUMNS]),
        )

    def reliability(
        self,
        *,
        by: tuple[str, ...] = (),
        since: str | None = None,
        until: str | None = None,
        week: str | None = None,
        compare: str | None = None,
    ) -> pd.DataFrame:
        if compare is not None:
            whole = self.reliability()
            return comparison(whole[whole["iso_week"] == week], whole[[w in compare for w in whole["iso_week"]]])
        weeks = tuple(w for w in self.weeks if week in (None, w))
        if by:
            groups = [{by[0]: name} for name in ("wifi", "cellular", "ethernet", None)]
            frames = [reliability(side, weeks, **group) for side in self.sides for group in groups]
        else:
            frames = [reliability(side, weeks) for side in self.sides]
        empty = pd.DataFrame(columns=["iso_week", *by, "side", "metric", *METRIC_COLUMNS])
        return self.frames.get("reliability", pd.concat(frames, ignore_index=True) if frames and weeks else empty)

    def close_codes(
        self, *, by: tuple[str, ...] = (), since: str | None = None, until: str | None = None, week: str | None = None
    ) -> pd.DataFrame:
        empty = pd.DataFrame(columns=[*by, "side", "close_code", "close_code_source", *METRIC_COLUMNS])
        if "close_codes" in self.frames:
            return self.frames["close_codes"].reindex(columns=empty.columns)
        if (week is not None and week not in self.weeks) or not self.sides or (since and len(self.weeks) < 2):
            return empty
        return pd.concat([close_codes(9_000 if week else 80_000, by, side) for side in self.sides], ignore_index=True)

    def retries(
        self,
        *,
        by: tuple[str, ...] = (),
        since: str | None = None,
        until: str | None = None,
        week: str | None = None,
        compare: str | None = None,
    ) -> pd.DataFrame:
        empty = pd.DataFrame(columns=[*by, "side", "metric", "retry_number", *METRIC_COLUMNS])
        if "retries" in self.frames or "client" not in self.sides or not self.weeks or (since and len(self.weeks) < 2):
            return self.frames.get("retries", empty) if compare is None else comparison(empty, empty)
        if compare is not None:
            return comparison(retries(1_200), retries(8_000))
        return retries(1_200 if week or by else 8_000, self.weeks if "iso_week" in by else ())

    def fallback(
        self, *, by: tuple[str, ...] = (), since: str | None = None, until: str | None = None, week: str | None = None
    ) -> pd.DataFrame:
        empty = pd.DataFrame(columns=[*by, "side", "metric", *METRIC_COLUMNS])
        if "fallback" in self.frames or "client" not in self.sides or not self.weeks:
            return self.frames.get("fallback", empty)
        return fallback(by)

    def episodes(self) -> pd.DataFrame:
        return self.frames.get(
            "episodes", episodes() if "client" in self.sides and self.weeks else table("episodes", [])
        )

    def sources(self) -> pd.DataFrame:
        return self.frames.get("sources", _of_sides(sources(), self.sides) if self.sides else table("sources", []))

    def rejects(self) -> pd.DataFrame:
        return self.frames.get("rejects", rejects() if self.sides else table("rejects", []))
