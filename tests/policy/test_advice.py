"""The words of a recommendation say what the figures say, and nothing where there are none."""

from __future__ import annotations

import pytest

from tests.policy.worlds import CELLULAR, WIFI
from wslog.errors import UsageError
from wslog.policy.advice import Gain, Herd, recommend, waits_in_words
from wslog.policy.model import Distribution, grid
from wslog.policy.schedule import Schedule, best_schedule

OUTAGE = WIFI.distribution()
DOWN = Gain("downtime_mean_s", 29.8, 27.4, -2.4, -3.1, -1.7)
ATTEMPTS = Gain("attempts_mean", 2.9, 3.4, 0.5, -0.2, 1.2, "assumed", "blocked networks stay blocked")


@pytest.fixture(scope="module")
def schedule() -> Schedule:
    return best_schedule(OUTAGE, WIFI.failure_ratio, 1.0)


def test_it_says_what_to_set_and_what_that_gains(schedule):
    said = recommend("wifi", schedule, OUTAGE, [DOWN, ATTEMPTS], outages=1200, sessions=400, current="linear-3")
    assert said.state == "ok"
    assert (
        said.headline
        == f"wifi: {waits_in_words(schedule)}, each with 50 % jitter; against linear-3: 2.4 s of mean downtime less."
    )
    assert (
        said.gains[0] == "Mean downtime: 29.8 s now, 27.4 s then, -2.4 s (95 % interval -3.1 s to -1.7 s; identified)."
    )
    assert said.gains[1].endswith(
        "+0.5 (95 % interval -0.2 to +1.2; assumed: blocked networks stay blocked). The interval holds 0: no difference is possible."
    )
    assert said.rests_on[0] == "1,200 outages of 400 sessions."
    assert "Assumed: blocked networks stay blocked." in said.rests_on
    assert said.snippets is not None and len(said.snippets) == 5
    for wait in schedule.waits_s:
        assert f"{wait:g}" in said.settings[0]


def test_bounds_are_no_points_and_the_unknown_is_said():
    bound = Gain("recovery_ratio", 0.78, 0.99, 0.1, 0.012, 0.21, "bound")
    assert bound.sentence() == (
        "Outages recovered: changes by between +1.2 percentage points and +21.0 percentage points; where in between the logs do "
        "not say (bound)."
    )
    nan = float("nan")
    assert (
        Gain("downtime_p95_s", nan, nan, nan, nan, nan).sentence()
        == "95th percentile of downtime: the logs cannot show it."
    )
    with pytest.raises(UsageError, match="no quantity 'p95'"):
        Gain("p95", 1, 1, 0, 0, 0)
    with pytest.raises(UsageError, match="no status 'sure'"):
        Gain("attempts_mean", 1, 1, 0, 0, 0, "sure")


def test_a_bound_is_no_headline(schedule):
    bound = Gain("downtime_mean_s", 30, 28, -2, -9, -1, "bound")
    said = recommend("wifi", schedule, OUTAGE, [bound], outages=1200, sessions=400, libraries=())
    assert "no difference from the current policy is certain" in said.headline
    assert any("bounds" in text for text in said.rests_on)


def test_too_few_outages_are_no_recommendation(schedule):
    said = recommend("vpn", schedule, OUTAGE, [DOWN], outages=99, sessions=40)
    assert said.state == "insufficient" and said.snippets is None and not said.settings and not said.gains


def test_no_retry_can_be_the_advice():
    edges = grid()
    blocked = Distribution(edges, (edges[1:] == edges[-1]) * 0.001, 0.999)
    said = recommend("vpn", best_schedule(blocked, 0.0, 5.0), blocked, [], outages=500, sessions=200)
    assert "no retry is worth its price" in said.headline and said.snippets is None


def test_herds_are_spread_by_the_signal_only(schedule):
    herd = Herd(20_000, 500)
    assert herd.window_s == 40.0 and herd.peak_ratio(2.0) == 20.0
    said = recommend("wifi", schedule, OUTAGE, [DOWN], outages=1200, sessions=400, herd=herd, libraries=("javascript",))
    assert said.snippets is not None
    assert "const SPREAD_S = 40;" in said.snippets["javascript"].code
    assert "40 s of spread" in said.cautions[0] and "Close with 1012" in said.cautions[0]
    unknown = recommend("wifi", schedule, OUTAGE, [DOWN], outages=1200, sessions=400, libraries=("javascript",))
    assert "is not known here" in unknown.cautions[0]


def test_a_group_named_by_a_log_stays_text(schedule):
    said = recommend("wi\x1b[31mfi\n", schedule, OUTAGE, [], outages=1200, sessions=400, libraries=("phoenix",))
    assert "\x1b" not in said.headline and "\n" not in said.headline


def test_the_two_worlds_get_different_advice():
    waits = {best_schedule(world.distribution(), world.failure_ratio, 1.0).waits_s for world in (WIFI, CELLULAR)}
    assert len(waits) == 2
