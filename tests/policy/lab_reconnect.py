"""The real experiment: what one policy's logs say the others would have done, against what real clients under those did.

``python -m tests.policy.lab_reconnect [DIR]`` prints the whole table for a run of ``data/lab/reconnect_experiment.py`` (default: the
recorded one in ``data/demo/reconnect``).
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import wslog
from wslog.policy.compare import compare
from wslog.policy.policies import Policy
from wslog.policy.presets import load_policy

RECORDED = Path(__file__).parent.parent.parent / "data" / "demo" / "reconnect"
HORIZON_S = 60.0
"""Cuts last 30 s at most, and nobody waits longer than 30 s for the next attempt."""

CONNECT_TIMEOUT_S = 5.0
"""The patience of the experiment's clients with one attempt (``CONNECT_TIMEOUT_MS`` of the page)."""

RESOLUTION_S = 0.05
"""The kernel sends a SYN again 20 to 50 ms after its time, and the half of a policy's downtimes may sit on that one instant."""

FIGURES = (
    "recovery_ratio",
    "downtime_p50_s",
    "downtime_p95_s",
    "downtime_mean_s",
    "attempt_count_mean",
    "fallback_ratio",
)


def policy_of(name: str) -> Policy:
    """Return the preset with the clients' patience."""
    return replace(load_policy(name), connect_timeout_s=CONNECT_TIMEOUT_S)


def observed(truth: dict[str, Any], policy: str) -> dict[str, float]:
    """Return what the clients under a policy saw, from the counts of their pages, not from their logs."""
    mine = [one for one in truth["outages"] if one["policy"] == policy and one["kind"] == "drop" and one["end"]]
    down_s = np.array([one["down_ms"] / 1000 if one["end"] == "recovered" else np.inf for one in mine])
    capped = np.minimum(down_s, HORIZON_S)
    return {
        "outages": float(len(mine)),
        "recovery_ratio": float((down_s < HORIZON_S).mean()),
        "downtime_p50_s": float(np.quantile(capped, 0.5, method="inverted_cdf")),
        "downtime_p95_s": float(np.quantile(capped, 0.95, method="inverted_cdf")),
        "downtime_mean_s": float(capped.mean()),
        "attempt_count_mean": float(np.mean([one["attempts"] for one in mine])),
        "fallback_ratio": float(np.mean([one["fell_back_ms"] is not None for one in mine])),
    }


@cache
def table(folder: Path) -> pd.DataFrame:
    """Return one row per logged policy, other policy and figure: predicted, interval, bounds, status, observed, is_inside.

    ``is_inside``: the observed figure lies in the 95 % interval; ``is_bounded``: or between the bounds of what the log leaves open.
    """
    truth = json.loads((folder / "truth.json").read_text(encoding="utf-8"))
    names = list(truth["policies"])
    seen = {name: observed(truth, name) for name in names}
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        for logged in names:
            lake = Path(scratch) / logged
            report = wslog.ingest(folder / f"client_{logged}.ndjson.gz", lake)
            assert report.exit_code == 0
            found = compare(wslog.open_lake(lake).engine, [policy_of(name) for name in names], horizon_s=HORIZON_S)
            for row in found.figures.to_dict("records"):
                if row["figure"] in FIGURES:
                    true = seen[row["policy"]][row["figure"]]
                    # what was observed is a whole number of outages: half of one is its resolution
                    room = 0.5 / seen[row["policy"]]["outages"] if row["figure"].endswith("_ratio") else 0.0
                    room = RESOLUTION_S if row["figure"].endswith("_s") else room
                    is_inside = row["ci_low"] - room <= true <= row["ci_high"] + room
                    low, high = min(row["bound_low"], row["ci_low"]), max(row["bound_high"], row["ci_high"])
                    is_bounded = low - room <= true <= high + room
                    rows.append(
                        {"logged": logged, **row, "observed": true, "is_inside": is_inside, "is_bounded": is_bounded}
                    )
    return pd.DataFrame(rows)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, nargs="?", default=RECORDED)
    found = table(parser.parse_args().folder)
    columns = [
        "logged",
        "policy",
        "figure",
        "value",
        "ci_low",
        "ci_high",
        "status",
        "observed",
        "is_inside",
        "outage_count",
    ]
    print(found[columns].to_string(index=False, float_format=lambda x: f"{x:.3f}"))
    for logged, mine in found.groupby("logged", sort=False):
        others = mine[mine["policy"] != logged]
        print(
            f"from the log of {logged}: {others['is_inside'].sum()} of {len(others)} figures of the others inside their intervals, "
            f"{others['is_bounded'].sum()} inside their bounds"
        )


if __name__ == "__main__":
    main()
