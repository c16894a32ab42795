"""The sliders of the notebook move a schedule, and figures, frontier and ticks follow."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tests.policy import worlds
from tests.policy.accuracy import log
from wslog.errors import UsageError
from wslog.policy.estimate import estimate
from wslog.policy.figures import figures
from wslog.policy.presets import load_policy
from wslog.policy.tuning import Tuning
from wslog.policy.tuning_group import Compared, GroupTuning
from wslog.report.workbench import Workbench, schedule_of

pytest.importorskip("ipywidgets")


@pytest.fixture(scope="module")
def tuning() -> Tuning:
    rng = np.random.default_rng(4)
    found = estimate(log("L3", worlds.CELLULAR, 500, rng), rng=rng, replicates=8)
    group = GroupTuning({"network_type": "cell"}, found, (Compared(load_policy("linear-3"), "current"),), 1.0, 4)
    nothing = pd.DataFrame()
    frames = {"outages": pd.DataFrame(group.outage_rows()), "frontier": pd.DataFrame(group.frontier_rows())}
    rest = dict.fromkeys(
        ("decisions", "policies", "gains", "schedules", "recovery", "herds", "loads", "observed", "advice"), nothing
    )
    return Tuning(("network_type",), 600.0, 1.0, "linear-3", **frames, **rest, groups={("cell",): group})


@pytest.mark.filterwarnings("default")  # the Jupyter stack's own deprecations are not ours
def test_moving_a_slider_replays_and_redraws(tuning: Tuning) -> None:
    bench = Workbench(tuning)
    before = bench.frontier.value, bench.outages.value, bench.figures.value
    assert all(value[:4] == b"\x89PNG" for value in before[:2])
    bench.first_s.value = 8.0
    after = bench.frontier.value, bench.outages.value, bench.figures.value
    assert all(a != b for a, b in zip(before, after, strict=True))
    group = tuning.groups["cell",]
    mine = {f.name: f for f in figures(group.estimate, group.respond(bench.policy))}
    assert f"{mine['attempt_count_mean'].value:.2f}" in bench.figures.value
    cheap = bench.figures.value
    bench.price_s.value = 30.0  # the recommended schedule tries less often
    assert bench.figures.value != cheap
    assert "ASSUMED" in bench.figures.value or "IDENTIFIED" in bench.figures.value


def test_the_schedule_is_what_the_sliders_say() -> None:
    policy = schedule_of(0.5, 2.0, 3.0, 0.2, 4)
    assert policy.first_delays(9) == [(0.4, 0.6), (0.8, 1.2), (1.6, 2.4), (2.4000000000000004, 3.5999999999999996)]
    assert schedule_of(0.5, 2.0, 3.0, 0.0).max_attempts is None
    assert schedule_of(20.0, 2.0, 3.0, 0.0).first_delays(1) == [(20.0, 20.0)]


def test_nothing_to_move_is_said(tuning: Tuning) -> None:
    with pytest.raises(UsageError, match="no group has enough outages"):
        Workbench(Tuning(**{**vars(tuning), "groups": {}}))
