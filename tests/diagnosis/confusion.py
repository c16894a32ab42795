"""Simulated worlds and the confusion matrix of their outages: true cause by diagnosed cause."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

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


def matrix(folder: Path, found: Diagnosis, only_client: bool = False) -> pd.DataFrame:
    """Return true cause (rows) by diagnosed cause (columns) of the outages, found by session and start."""
    lake = wslog.open_lake(folder / ("client_lake" if only_client else "lake"))
    episodes = lake.episodes().merge(
        found.attempts[["attempt_id", "cause"]], left_on="episode_id", right_on="attempt_id"
    )
    truth = pd.read_parquet(folder / "sim/truth_episodes.parquet", columns=["session_id", "started_at", "cause"])
    truth["true_cause"] = truth["cause"].astype(str).replace({"random_drop": "unexplained"})
    # logs tell whole milliseconds
    truth["at_ms"] = truth["started_at"].dt.floor("ms").dt.as_unit("ms")
    episodes["at_ms"] = episodes["started_at"].dt.floor("ms").dt.as_unit("ms")
    both = truth[["session_id", "at_ms", "true_cause"]].merge(episodes, on=["session_id", "at_ms"])
    assert len(both) == len(truth) == len(episodes)
    return pd.crosstab(both["true_cause"], both["cause"])


def scores(table: pd.DataFrame) -> pd.DataFrame:
    """Return recall and precision of each cause, and how many outages it truly began."""
    rows = {}
    for cause in sorted({*table.index, *table.columns}):
        right = float(table.loc[cause, cause]) if cause in table.index and cause in table.columns else 0.0
        true = float(table.loc[cause].sum()) if cause in table.index else 0.0
        said = float(table[cause].sum()) if cause in table.columns else 0.0
        rows[cause] = {
            "recall": right / true if true else float("nan"),
            "precision": right / said if said else float("nan"),
            "outages": true,
            "diagnosed": said,
        }
    return pd.DataFrame(rows).T
