"""The real experiment: real Chromium clients on a network that is really cut; one policy's logs predict the others.

``data/demo/reconnect`` is one recorded run; ``pytest -m lab --run-lab`` makes a new one (as root, with Debian's chromium and iproute2).
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import wslog
from tests.policy.lab_reconnect import RECORDED, observed, table
from wslog.policy.estimate import estimate
from wslog.policy.evidence import read

ROOT = Path(__file__).parent.parent.parent
CANNOT_RUN = ("missing program", "need root", "no network namespaces here")


@pytest.fixture(scope="module", params=["recorded", pytest.param("fresh", marks=pytest.mark.lab)])
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of one run."""
    if request.param == "recorded":
        return RECORDED
    folder = tmp_path_factory.mktemp("reconnect") / "run"
    program = ROOT / "data" / "lab" / "reconnect_experiment.py"
    done = subprocess.run(
        [sys.executable, program, "--out", folder], capture_output=True, text=True, check=False, timeout=600, cwd=ROOT
    )
    if done.returncode and any(reason in done.stderr for reason in CANNOT_RUN):
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def truth(run: Path) -> dict[str, Any]:
    made: dict[str, Any] = json.loads((run / "truth.json").read_text())
    return made


@pytest.fixture(scope="module")
def predicted(run: Path) -> pd.DataFrame:
    return table(run)


def test_cuts_of_every_kind_happened(truth: dict[str, Any]) -> None:
    counts = truth["totals"]["cuts"]
    assert {"blip", "handover", "long", "link", "server"} <= set(counts)
    assert min(counts[kind] for kind in ("blip", "handover", "long")) >= 20
    # each cut lasted as long as it was meant to: 50 ms for a busy machine
    late = [cut["lasted_s"] - cut["duration_s"] for cut in truth["cuts"] if "path" in cut]
    assert np.quantile(late, 0.95) < 0.05


@pytest.mark.parametrize("policy", ["linear-3", "aws-full-jitter"])
def test_episodes_are_the_outages_the_pages_saw(run: Path, truth: dict[str, Any], policy: str, tmp_path: Path) -> None:
    report = wslog.ingest(run / f"client_{policy}.ndjson.gz", tmp_path / "lake")
    assert [(s.rejected, s.ignored) for s in report.sources] == [(0, 0)]
    episodes = wslog.open_lake(tmp_path / "lake").episodes()
    mine = [one for one in truth["outages"] if one["policy"] == policy and one["end"]]
    drops = episodes[episodes["kind"] == "drop"]
    told = {(e.session_id, round(e.started_at.timestamp() * 1000)): e for e in drops.itertuples()}
    matched = 0
    for one in mine:
        if one["kind"] != "drop":
            continue
        # the page notes its own time and its telemetry in two statements
        near = [told[key] for at in range(-20, 21) if (key := (one["session"], one["lost_at_ms"] + at)) in told]
        if not near:
            continue  # a connection that was lost again within 5 s belongs to the outage before
        matched += 1
        episode = near[0]
        if episode.end == one["end"] == "recovered" and not episode.short_open_count:
            assert episode.downtime_s == pytest.approx(one["down_ms"] / 1000, abs=0.03)
            assert episode.attempt_count == one["attempts"]
        elif one["end"] == "fell_back":
            assert episode.end == "fell_back"
    assert matched >= 0.97 * sum(one["kind"] == "drop" for one in mine)


def test_the_other_policies_lie_in_the_predicted_intervals(
    run: Path, predicted: pd.DataFrame, truth: dict[str, Any]
) -> None:
    assert (predicted["state"] == "ok").all()
    assert observed(truth, "aws-full-jitter")["outages"] >= 100
    others = predicted[predicted["policy"] != predicted["logged"]]
    wrong = others[~others["is_inside"]][["logged", "policy", "figure", "ci_low", "ci_high", "observed", "status"]]
    # 95 % intervals of 18 figures each, which depend on one another: one outage that went otherwise moves six of them. A fresh
    # run is a sample of its own, on a machine that may be busy
    limit = 3 if run == RECORDED else 6
    missed = wrong[wrong["status"] == "identified"].groupby("logged").size()
    assert not len(missed) or missed.max() <= limit, wrong
    for logged in ("linear-3", "aws-full-jitter", "socket.io"):
        assert (wrong["logged"] == logged).sum() <= limit, wrong
    # a fixed 5 s saw nothing of the first 5 s: what it says about them is marked as assumed, and its bounds hold
    assert others[others["logged"] == "fixed-5s"]["is_bounded"].mean() >= 0.9


def test_real_outages_are_of_one_nature(tmp_path: Path) -> None:
    """All attempts of an outage hang, or none does: how they fail is no sign of chance, of which this run has next to none."""
    wslog.ingest(RECORDED / "client_aws-full-jitter.ndjson.gz", tmp_path / "lake")
    _, (group,) = read(wslog.open_lake(tmp_path / "lake").engine)
    found = estimate(group.outages, group.first, horizon_s=60.0, rng=np.random.default_rng(1), replicates=0)
    assert found.conditions.is_hang_steady
    # 38 % of the cuts are blackholes; of the outages in which an attempt was made in vain the share differs a little
    assert 0.25 < found.conditions.hang_ratio < 0.5
    assert found.weights.failure_ratio < 0.01


def test_the_recorded_run_is_predicted_whole() -> None:
    """What the README says about the recorded run."""
    others = table(RECORDED).query("policy != logged")
    inside = others.groupby("logged")["is_inside"].sum()
    assert inside[["linear-3", "aws-full-jitter", "socket.io"]].tolist() == [18, 18, 18]
