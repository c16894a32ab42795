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
    truth["true_cause"] = truth["cause"].astype(str).replace(SAME)
    truth["is_evident"] = truth["is_evident_to_client" if only_client else "is_evident"]
    for rows in (truth, episodes):
        rows["place"] = rows.sort_values("started_at").groupby("session_id").cumcount()
    keys = ["session_id", "place"]
    both = truth[[*keys, "true_cause", "is_evident", "started_at", "clock_offset_s"]].merge(
        episodes, on=keys, suffixes=("_truth", "")
    )
    told = both["started_at_truth"] + pd.to_timedelta(both["clock_offset_s"], unit="s")
    # logs tell whole milliseconds, by the device's clock; years of offset are seconds as a float
    assert ((told - both["started_at"]).abs() <= pd.Timedelta(milliseconds=1.001)).all()
    assert len(both) == len(truth) == len(episodes)
    return both


SAME = {"random_drop": "unexplained", "certificate_expired": "tls_or_clock"}
"""What a diagnosis can call the causes that only the simulator has words for."""


def found_outages(folder: Path, found: Diagnosis, only_client: bool = False) -> pd.DataFrame:
    """Return one row per outage that was found in a messy world's logs, and one per true outage that was not.

    Joined by the connection that began it. ``true_cause`` is why that connection failed or was lost, ``nothing`` when it did not: lost
    lines make outages that were none. ``cause`` is ``not_found`` for outages that the lines left do not show.
    """
    lake = wslog.open_lake(folder / ("client_lake" if only_client else "lake"))
    client = lake.attempts().query("side == 'client'")[["attempt_id", "connection_id", "evidence"]]
    said = lake.episodes()[["episode_id", "session_id", "trigger_outcome", "end", "network_type"]].merge(
        client, left_on="episode_id", right_on="attempt_id", how="left"
    )
    said = said.merge(found.attempts[["attempt_id", "cause", "confidence", "rule_ids"]], on="attempt_id", how="left")
    said["cause"] = said["cause"].fillna("unexplained")
    attempts = pd.read_parquet(folder / "sim/truth_attempts.parquet")[["connection_id", "cause", "outcome"]]
    attempts = attempts.rename(columns={"cause": "true_cause", "outcome": "true_outcome"})
    episodes = pd.read_parquet(folder / "sim/truth_episodes.parquet").query("is_visible")
    evident = episodes[["trigger_connection_id", "cause"]].rename(columns={"cause": "began_by"})
    evident["is_evident"] = episodes["is_evident_to_client" if only_client else "is_evident"]
    rows = said.merge(attempts, on="connection_id", how="left").merge(
        evident, left_on="connection_id", right_on="trigger_connection_id", how="outer"
    )
    rows["true_cause"] = rows["true_cause"].astype(object).fillna(rows["began_by"].astype(object)).fillna("nothing")
    rows["true_cause"] = rows["true_cause"].replace(SAME)
    rows["is_evident"] = rows["is_evident"].fillna(False).astype(bool)
    return rows.assign(cause=rows["cause"].fillna("not_found"))


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
    right, is_named = rows["cause"] == rows["true_cause"], ~rows["cause"].isin(["unexplained", "not_found"])
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
