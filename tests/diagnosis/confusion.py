"""Simulated worlds and the confusion matrix of their outages: true cause by diagnosed cause."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
from statsmodels.stats.proportion import proportion_confint

import wslog
from wslog.api import Lake
from wslog.diagnosis import Diagnosis, diagnose
from wslog.simulate import simulate

START = "2026-01-05"


def world(folder: Path, seed: int, users: int, days: float = 3, only_client: bool = False, **more: Any) -> Diagnosis:
    """Simulate, ingest and diagnose; the lake is ``folder/lake``, the truth ``folder/sim/truth_*.parquet``."""
    simulate(folder / "sim", users=users, days=days, start=START, seed=seed, **more)
    return diagnose(lake_of(folder, only_client).engine)


def lake_of(folder: Path, only_client: bool = False) -> Lake:
    """Ingest a simulated world's logs, all of them or the client's alone."""
    logs = sorted((folder / "sim/logs").glob("wslog_client*" if only_client else "*"))
    name = "client_lake" if only_client else "lake"
    wslog.ingest(logs, folder / name, nginx_conf=None if only_client else folder / "sim/nginx.conf", tz="UTC")
    return wslog.open_lake(folder / name)


def outages(folder: Path, found: Diagnosis, only_client: bool = False) -> pd.DataFrame:
    """Return one row per outage: ``true_cause``, ``cause`` and ``confidence`` as diagnosed, ``is_evident`` by what was logged."""
    lake = wslog.open_lake(folder / ("client_lake" if only_client else "lake"))
    episodes = lake.episodes().merge(
        found.attempts[["attempt_id", "cause", "confidence"]], left_on="episode_id", right_on="attempt_id"
    )
    truth = pd.read_parquet(folder / "sim/truth_episodes.parquet")
    truth["true_cause"] = truth["cause"].astype(str).replace({"random_drop": "unexplained"})
    truth["is_evident"] = truth["is_evident_to_client" if only_client else "is_evident"]
    # logs tell whole milliseconds, by the device's clock
    told = truth["started_at"] + pd.to_timedelta(truth["clock_offset_s"], unit="s")
    truth["at_ms"] = told.dt.floor("ms").dt.as_unit("ms")
    episodes["at_ms"] = episodes["started_at"].dt.floor("ms").dt.as_unit("ms")
    both = truth[["session_id", "at_ms", "true_cause", "is_evident"]].merge(episodes, on=["session_id", "at_ms"])
    assert len(both) == len(truth) == len(episodes)
    return both


def matrix(rows: pd.DataFrame) -> pd.DataFrame:
    """Return true cause (rows) by diagnosed cause (columns)."""
    return pd.crosstab(rows["true_cause"], rows["cause"])


def scores(rows: pd.DataFrame) -> pd.DataFrame:
    """Return how often each cause is found and how often it is right, with Wilson's 95 % intervals.

    Returns
    -------
    pandas.DataFrame
        One row per cause. ``recall`` over the outages whose cause the logs hold (``evident``); ``precision`` over all outages
        that were given that name (``named``), whether or not the logs held it; ``wrong_name`` the share of the outages whose
        cause the logs do not hold (``hidden``) that were given another name than theirs and ``unexplained``.
    """
    right, is_named = rows["cause"] == rows["true_cause"], rows["cause"] != "unexplained"
    found = {}
    for cause in sorted({*rows["true_cause"], *rows["cause"]}):
        true, said = rows["true_cause"] == cause, rows["cause"] == cause
        evident, hidden = true & rows["is_evident"], true & ~rows["is_evident"]
        found[cause] = (
            _share("recall", "evident", right, evident)
            | _share("precision", "named", right, said)
            | _share("wrong_name", "hidden", ~right & is_named, hidden)
        )
    return pd.DataFrame(found).T


def _share(name: str, count: str, hits: pd.Series[bool], of: pd.Series[bool]) -> dict[str, float]:
    n, y = int(of.sum()), int((hits & of).sum())
    low, high = proportion_confint(y, n, method="wilson") if n else (float("nan"), float("nan"))
    return {count: n, name: y / n if n else float("nan"), f"{name}_low": low, f"{name}_high": high}
