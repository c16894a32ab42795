"""What a lake shows about a code: frames in, dataclasses out, no words.

Counts and shares come from the metric ``close_codes`` (weighted, with its intervals and evidence floor); durations and
simultaneous ends from the attempts that have the code (``sql/explain/ends.sql``).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from wslog.explain.facts import data
from wslog.explain.model import Evidence, Match, Share, Together
from wslog.intervals import MIN_ROWS
from wslog.outcomes import HERD_SIGMA
from wslog.safe_text import terminal

if TYPE_CHECKING:
    import pandas as pd

    from wslog.diagnosis import Diagnosis
    from wslog.engine import Engine

MIN_EXCESS = 8
"""Durations above the background below which nothing is said."""

MIN_RATIO = 1.25
"""How far above the background, at least."""

MAX_CHANCE = 0.05
"""Chance of one false match among all timeouts looked at, for each of the two bands (Bonferroni)."""

BAND_WIDTHS = 3
"""Each of the two bands that give the background is this many windows wide."""

TOGETHER_S = 10.0
TOGETHER_SESSIONS = 5
_AROUND_S = 300.0
_SHOWN = 5

FloatArray = npt.NDArray[np.float64]


class CodeLake(Protocol):
    """What is asked of a lake; :class:`wslog.api.Lake` has it."""

    @property
    def path(self) -> Path: ...

    @property
    def engine(self) -> Engine: ...

    def close_codes(self, by: Sequence[str] = ()) -> pd.DataFrame:
        """Return one row per group, side, close code and source of the code."""

    def diagnose(self, by: Sequence[str] = ()) -> Diagnosis:
        """Return the causes."""


def observe(lake: CodeLake, number: int, is_status: bool) -> Evidence:
    """Return what the lake shows about a close code, or about an HTTP status of handshakes."""
    hit = ends(lake.engine, **{"http_status" if is_status else "close_code": number})
    if is_status:
        found = of_status(number, lake.engine.run("explain/statuses", "attempts"), hit)
    else:
        frames = {name: lake.close_codes(by=[name]) for name in ("is_opened", "network_type", "iso_week")}
        found = of_code(number, hit, lake.close_codes(), frames)
    if found.side is None:
        return found
    name = "http_status" if is_status else "close_code"
    causes = lake.diagnose(by=[name]).causes
    mine = causes[(causes[name] == number).fillna(False) & (causes["side"] == found.side) & (causes["numerator"] > 0)]
    return replace(found, causes=_shares(mine, "cause", by_count=True))


def ends(engine: Engine, close_code: int = -1, http_status: int = -1) -> pd.DataFrame:
    """Return the attempts that ended with a code, or were answered with a status.

    Returns
    -------
    pandas.DataFrame
        One row per attempt: ``side``, ``is_opened``, ``lifetime_s``, ``silence_s`` (the longest inbound silence), ``ended_us``
        (microseconds since 1970), ``cluster_number`` (whose it is), ``url_host``, ``network_type``, ``close_reason``,
        ``sample_weight``; texts are categories, null where the log does not say.
    """
    rows = engine.fetch("explain/ends", "attempts", close_code=close_code, http_status=http_status)
    found: pd.DataFrame = rows.to_pandas(strings_to_categorical=True)
    return found


def of_code(number: int, hit: pd.DataFrame, overall: pd.DataFrame, by: dict[str, pd.DataFrame]) -> Evidence:
    """Return the evidence on a close code.

    Parameters
    ----------
    number : int
    hit : pandas.DataFrame
        :func:`ends` with the code.
    overall : pandas.DataFrame
        ``close_codes()``.
    by : dict
        ``close_codes`` by ``is_opened``, ``network_type`` and ``iso_week``.
    """
    coded = overall[overall["close_code"].notna()]
    present = coded.groupby(coded["close_code"].astype("int64"))["numerator"].sum().sort_values(ascending=False)
    without = float(overall.loc[overall["close_code"].isna(), "numerator"].sum())
    listed = tuple((str(code), float(count)) for code, count in present.items())
    rows = coded[coded["close_code"] == number].sort_values("numerator", ascending=False)
    if rows.empty:
        ended = overall.drop_duplicates("side")["denominator"].sum()
        return Evidence(None, 0, float(ended), present=listed[:_SHOWN], without_code=without)
    side = str(rows.groupby("side", observed=True)["numerator"].sum().idxmax())
    main = rows[rows["side"] == side].iloc[0]
    mine = {
        name: frame[(frame["close_code"] == number) & (frame["side"] == side)].fillna({"close_code_source": ""})
        for name, frame in by.items()
    }
    opened = mine["is_opened"].groupby("is_opened")["numerator"].sum()
    first = {name: frame[frame["close_code_source"] == main["close_code_source"]] for name, frame in mine.items()}
    return Evidence(
        side=side,
        count=float(rows.loc[rows["side"] == side, "numerator"].sum()),
        total=float(main["denominator"]),
        shares=tuple(
            _share(f"{row['side']} {row['close_code_source'] or ''}".strip(), row) for row in rows.to_dict("records")
        ),
        opened=float(opened.get(True, 0)),
        never_opened=float(opened.get(False, 0)),
        networks=_shares(first["network_type"], "network_type", by_count=True),
        weeks=_shares(first["iso_week"], "iso_week", by_count=False),
        present=listed[:_SHOWN],
        without_code=without,
        **_rows(hit[hit["side"] == side]),
    )


def of_status(number: int, counts: pd.DataFrame, hit: pd.DataFrame) -> Evidence:
    """Return the evidence on an HTTP status of handshakes: counts only, of the side that has most.

    Parameters
    ----------
    number : int
    counts : pandas.DataFrame
        Weighted attempts (``weight``) by ``side`` and ``http_status``.
    hit : pandas.DataFrame
        :func:`ends` with the status.
    """
    said = counts[counts["http_status"].notna()]
    present = said.groupby(said["http_status"].astype("int64"))["weight"].sum().sort_values(ascending=False)
    listed = tuple((str(code), float(weight)) for code, weight in present.head(_SHOWN).items())
    without = float(counts.loc[counts["http_status"].isna(), "weight"].sum())
    if hit.empty:
        return Evidence(None, 0, float(counts["weight"].sum()), present=listed, without_code=without)
    side = str(hit.groupby("side", observed=True)["sample_weight"].sum().idxmax())
    hit = hit[hit["side"] == side]
    is_opened = hit["is_opened"].astype(bool)
    return Evidence(
        side=side,
        count=float(hit["sample_weight"].sum()),
        total=float(counts.loc[counts["side"] == side, "weight"].sum()),
        opened=float(hit.loc[is_opened, "sample_weight"].sum()),
        never_opened=float(hit.loc[~is_opened, "sample_weight"].sum()),
        present=listed,
        without_code=without,
        **_rows(hit),
    )


def _rows(hit: pd.DataFrame) -> dict[str, Any]:
    """Return what single rows tell: durations near timeouts, ends together, reasons."""
    opened = hit[hit["is_opened"].astype(bool)]
    timeouts = [int(entry["seconds"]) for entry in data("timeouts")]
    columns = (("lifetime", opened["lifetime_s"].dropna()), ("silence", opened["silence_s"].dropna()))
    who = opened["cluster_number"]
    matches = tuple(
        match
        for name, values in columns
        for match in matching(values.to_numpy(np.float64), who[values.index].to_numpy(), timeouts, name)
    )
    enough = max(len(values) for _, values in columns) >= MIN_ROWS
    groups = together(opened if len(opened) else hit)
    reasons = hit["close_reason"].value_counts()
    reasons = reasons[reasons > 0]
    return {
        "duration_count": len(columns[0][1]),
        "timeout_state": "matches" if matches else "none" if enough else "insufficient",
        "matches": matches,
        "together_count": len(groups),
        "together": tuple(sorted(groups, key=lambda g: (-g.session_count, g.at))[:_SHOWN]),
        "reasons": tuple((terminal(str(text), 60), int(count)) for text, count in reasons.head(3).items()),
    }


def matching(
    seconds: FloatArray, sessions: npt.NDArray[np.int64], timeouts: Sequence[int], measure: str = "lifetime"
) -> tuple[Match, ...]:
    """Return the well-known timeouts at which durations gather.

    Parameters
    ----------
    seconds : (n,) array
        Lifetimes or silences.
    sessions : (n,) array
        Whose each is.
    timeouts : sequence of int
    measure : str

    Returns
    -------
    tuple of Match
        Timeouts T with at least :data:`MIN_EXCESS` and 25 % more durations in [T - 0.3 s, T + max(1 s, 1 %)] than the
        denser of the bands below and above lets expect, and too many for chance against either band. Both sides are
        asked because a distribution that falls or rises steeply passes a one-sided comparison everywhere.
    """
    if len(seconds) < MIN_ROWS:
        return ()
    order = np.argsort(seconds, kind="stable")
    ordered, who = seconds[order], sessions[order]
    found: list[Match] = []
    for timeout in timeouts:
        low, high = timeout - 0.3, timeout + max(1.0, 0.01 * timeout)
        band = BAND_WIDTHS * (high - low)
        edges = np.searchsorted(ordered, [max(low - band, 0.0), low, high, high + band])
        below, inside, above = (int(n) for n in np.diff(edges))
        background = max(below / ((low - max(low - band, 0.0)) / (high - low)), above / BAND_WIDTHS)
        chance = max(_tail(inside, n, 1 / (1 + BAND_WIDTHS)) for n in (below, above))
        if (
            inside - background >= MIN_EXCESS
            and inside >= MIN_RATIO * background
            and chance <= MAX_CHANCE / len(timeouts)
        ):
            median = float(np.median(ordered[edges[1] : edges[2]]))
            among = len(np.unique(who[edges[1] : edges[2]]))
            found.append(
                Match(
                    measure,
                    timeout,
                    round(low, 3),
                    round(high, 3),
                    inside,
                    among,
                    round(background, 1),
                    round(median, 3),
                )
            )
    return tuple(found)


def _tail(inside: int, beside: int, p: float) -> float:
    """Return P(X >= inside) for X binomial (inside + beside, p): how odd the split is when both have one density."""
    n = inside + beside
    if not inside:
        return 1.0
    k = np.arange(inside, n + 1)
    log_factorial = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, n + 1)))])
    logs = log_factorial[n] - log_factorial[k] - log_factorial[n - k] + k * math.log(p) + (n - k) * math.log(1 - p)
    return float(min(1.0, np.exp(logs).sum()))


def together(attempts: pd.DataFrame) -> list[Together]:
    """Return the stretches of ten seconds in which five or more sessions ended, and more than chance explains.

    Chance: six standard deviations of a Poisson count above the mean of the ten minutes around.
    """
    timed = attempts[attempts["ended_us"].notna()].sort_values("ended_us", kind="stable")
    if len(timed) < TOGETHER_SESSIONS:
        return []
    us = timed["ended_us"].to_numpy(np.float64)  # exact until the year 2255
    at, who = (us - us[0]) / 1e6, timed["cluster_number"].to_numpy()
    stop = np.searchsorted(at, at + TOGETHER_S)
    around = np.searchsorted(at, at + TOGETHER_S + _AROUND_S) - np.searchsorted(at, at - _AROUND_S)
    count = stop - np.arange(len(at))
    mean = (around - count) * TOGETHER_S / (2 * _AROUND_S)
    odd = count >= np.maximum(TOGETHER_SESSIONS, mean + HERD_SIGMA * np.sqrt(mean))
    found: list[Together] = []
    end = 0
    for i in np.flatnonzero(odd):
        if i < end:
            continue
        part = timed.iloc[i : stop[i]]
        sessions = len(np.unique(who[i : stop[i]]))
        if sessions >= max(TOGETHER_SESSIONS, mean[i] + HERD_SIGMA * math.sqrt(mean[i])):
            hosts = part["url_host"].dropna().astype(str).value_counts().index[:2]
            when = f"{np.datetime64(int(us[i]) // 1_000_000, 's')}Z"
            networks = int(part["network_type"].nunique())
            found.append(Together(when, sessions, networks, tuple(terminal(host, 40) for host in hosts)))
            end = int(stop[i])
    return found


def _shares(frame: pd.DataFrame, key: str, by_count: bool) -> tuple[Share, ...]:
    rows = frame.sort_values("numerator", ascending=False) if by_count else frame.sort_values(key)
    return tuple(
        _share(None if _null(row[key]) else terminal(str(row[key]), 40), row) for row in rows.to_dict("records")
    )


def _share(key: str | None, row: dict[str, Any] | dict[Any, Any]) -> Share:
    value, low, high = (None if _null(row[name]) else float(row[name]) for name in ("value", "ci_low", "ci_high"))
    return Share(key, float(row["numerator"]), float(row["denominator"]), value, low, high, str(row["state"]))


def _null(value: Any) -> bool:
    import pandas as pd

    return bool(pd.isna(value))
