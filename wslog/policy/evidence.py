"""What a lake tells about outages: one set of arrays for each group. SQL: ``sql/policy/{outages,tries,chances}.sql``."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from wslog.errors import UsageError
from wslog.policy.model import FAILURES, BoolArray, FloatArray, IntArray, Outages
from wslog.policy.npmle import FirstConnects
from wslog.selection import Selection, check_by, parse_filter, parse_period, unknown

if TYPE_CHECKING:
    import pandas as pd

    from wslog.engine import Engine

KINDS = ("drop", "initial")
EXCLUDED = ("untimed", "herd", "flapping", "sleep")
"""Why an outage is no evidence: no times; it was shared by a herd, whose attempts change the outage; connections that opened and
died at once; the page slept, and nobody looked."""

LEAST_LEFT = 30
"""Pages left during outages that it takes to compare."""


@dataclass(frozen=True)
class Group:
    """The outages of one group.

    Parameters
    ----------
    key : tuple
        Values of the grouping columns.
    outages : Outages
    first : FirstConnects
    excluded : dict
        Weighted outages left out, by the words of :data:`EXCLUDED`.
    left_count, outage_s : float
        Pages left during outages, and seconds of outages watched.
    connected_left_count, connected_s : float
        Pages left while connected, and seconds connected.
    """

    key: tuple[Any, ...]
    outages: Outages
    first: FirstConnects
    excluded: dict[str, float]
    left_count: float
    outage_s: float
    connected_left_count: float
    connected_s: float

    @property
    def refusal(self) -> str:
        """Why nothing may be said about the time after people left; empty when leaving does not depend on the outage.

        Rate ratio of leaving during outages and while connected, 95 % interval on the log scale for Poisson counts: a session
        ends once.
        """
        if self.left_count < LEAST_LEFT or self.connected_left_count < 1 or not self.outage_s or not self.connected_s:
            return ""
        ratio = (self.left_count / self.outage_s) / (self.connected_left_count / self.connected_s)
        low = ratio * np.exp(-1.96 * np.sqrt(1 / self.left_count + 1 / self.connected_left_count))
        if low <= 1:
            return ""
        return (
            f"people leave {ratio:.3g} times as often during outages as while connected (95 % interval from {low:.3g})"
        )


def read(
    engine: Engine,
    by: str | Iterable[str] = (),
    since: str | None = None,
    until: str | None = None,
    week: str | None = None,
    where: str | None = None,
    kind: str = "drop",
) -> tuple[tuple[str, ...], list[Group]]:
    """Read the outages of client sessions.

    Parameters
    ----------
    engine : Engine
    by : str or iterable of str
        Grouping columns that attempts and episodes share.
    since, until, week, where : str, optional
        As of every metric.
    kind : str
        ``drop`` (an open connection was lost) or ``initial`` (the first attempt failed). Never both: networks that block
        WebSockets show in first attempts only, and would make every drop look hopeless.

    Returns
    -------
    by : tuple of str
    groups : list of Group
        In the order of their keys; groups without a usable outage are left out.

    Raises
    ------
    UsageError
    """
    if kind not in KINDS:
        raise unknown("kind", kind, KINDS)
    tables = ["episodes", "attempts"]
    chosen = check_by(by, tables)
    selection = Selection(chosen, parse_period(since, until, week), parse_filter(where, tables))
    if "side" in chosen:
        raise UsageError("side cannot be a group here: outages are those of client sessions")
    told = engine.run("policy/outages", "episodes", selection)
    told = told[(told["kind"] == kind).to_numpy(bool)].reset_index(drop=True)
    tries = engine.run("policy/tries", "episodes", selection)
    chances = engine.run("policy/chances", "attempts", selection)
    if told.empty:
        return chosen, []
    outages = _arrays(told, tries)
    groups = []
    for key, at in _groups(told, chosen):
        is_used = told["excluded_as"].isna().to_numpy()[at]
        if not is_used.any():
            continue
        group = outages.take(at[is_used])
        weight = told["sample_weight"].to_numpy(np.float64)[at]
        reasons = told["excluded_as"].to_numpy(object)[at]
        mine = _rows(chances, chosen, key)
        groups.append(
            Group(
                key=key,
                outages=group,
                first=_first(mine),
                excluded={word: float(weight[reasons == word].sum()) for word in EXCLUDED},
                left_count=float(group.weight[group.is_left].sum()),
                outage_s=float((group.weight * np.nan_to_num(group.watched_s)).sum()),
                connected_left_count=float(mine["left_count"].sum()),
                connected_s=float(mine["connected_s"].sum()),
            )
        )
    return chosen, groups


def _groups(frame: pd.DataFrame, by: tuple[str, ...]) -> list[tuple[tuple[Any, ...], IntArray]]:
    if not by:
        return [((), np.arange(len(frame), dtype=np.int64))]
    found = frame.groupby(list(by), dropna=False, sort=True).indices
    return [(key if isinstance(key, tuple) else (key,), np.asarray(at, np.int64)) for key, at in found.items()]


def _rows(frame: pd.DataFrame, by: tuple[str, ...], key: tuple[Any, ...]) -> pd.DataFrame:
    keep = np.ones(len(frame), bool)
    for name, value in zip(by, key, strict=True):
        column = frame[name]
        keep &= (column.isna() if value is None or value != value else (column == value).fillna(False)).to_numpy(bool)
    return frame[keep]


def _first(chances: pd.DataFrame) -> FirstConnects:
    count = chances.set_index("failure")["first_count"]
    failed = np.array([float(count.get(word, 0.0)) for word in FAILURES])
    opened = float(failed[0])
    failed[0] = 0.0
    return FirstConnects(failed, opened)


def _arrays(told: pd.DataFrame, tries: pd.DataFrame) -> Outages:
    """Return all outages as arrays; both frames are in the order of episode_id."""
    import pandas as pd

    n = len(told)
    # both are sorted by the same key: a merge of codes, not of texts
    owner = pd.Index(told["episode_id"]).get_indexer(pd.Index(tries["episode_id"]))
    mine = owner >= 0
    start = np.maximum(tries["start_s"].to_numpy(np.float64, na_value=np.nan), 0.0)
    is_ok = tries["is_opened"].to_numpy(bool)
    # what comes after the first open is another outage
    done = _opened_before(owner, is_ok, n)
    keep = mine & ~done
    owner, start, is_ok = owner[keep], start[keep], is_ok[keep]
    end = np.maximum(tries["end_s"].to_numpy(np.float64, na_value=np.nan)[keep], start)
    words = pd.Categorical(tries["failure"].to_numpy(object)[keep], categories=list(FAILURES)).codes
    counts = np.bincount(owner, minlength=n)
    return Outages(
        first=np.concatenate(([0], np.cumsum(counts))).astype(np.int64),
        start_s=start,
        end_s=end,
        is_ok=is_ok,
        failure=np.asarray(words, np.int64),
        cluster=np.asarray(pd.factorize(told["cluster_key"])[0], np.int64),
        weight=told["sample_weight"].to_numpy(np.float64),
        is_initial=(told["kind"] == "initial").to_numpy(bool),
        is_left=told["is_left"].fillna(False).to_numpy(bool),
        **{name: _seconds(told, name) for name in ("watched_s", "fell_back_s", "poll_failed_s", "poll_ok_s")},
    )


def _seconds(frame: pd.DataFrame, name: str) -> FloatArray:
    return frame[name].to_numpy(np.float64, na_value=np.nan)


def _opened_before(owner: npt.NDArray[Any], is_ok: BoolArray, count: int) -> BoolArray:
    """Return which attempts come after one of their outage that opened; attempts are in order."""
    place = np.arange(len(owner))
    first_open = np.full(count + 1, len(owner))
    np.minimum.at(first_open, np.where(is_ok, owner, count), place)
    return np.asarray(place > first_open[owner], bool)
