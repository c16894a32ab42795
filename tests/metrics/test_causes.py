"""What may not be counted as the network's doing: remembered fallback, restart herds, sleeping pages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from statsmodels.duration.survfunc import SurvfuncRight

from tests.make_events import engine_of, failed, fallback, opened, poll
from tests.metrics.test_metrics import pick, sessions
from wslog.metrics.fallback import fallback as fallback_metric
from wslog.metrics.reliability import reliability

KINDS = ("network", "service", "remembered")
OTHERS = [{"session_id": "first", "source_id": "log", "event": "network", "s": -7200.0, "network_type": "wifi"}]
"""The log begins two hours before: nobody's begin is cut off."""


def rates(folder: Path, rows: list[dict[str, Any]]) -> dict[str, tuple[float, float]]:
    with engine_of(folder, rows) as engine:
        frame = fallback_metric(engine)
    found = {kind: pick(frame, metric=f"{kind}_fallback_session_rate") for kind in KINDS}
    whole = pick(frame, metric="fallback_session_rate")
    return {"all": (whole.numerator, whole.denominator), **{k: (r.numerator, r.denominator) for k, r in found.items()}}


def fell_back(s: float) -> list[dict[str, Any]]:
    """Three failed attempts, then polling."""
    return [e for k in range(3) for e in failed(s + 2 * k, s + 2 * k + 1)] + [fallback(s + 7), poll(s + 8)]


def test_each_way_into_the_fallback(tmp_path: Path) -> None:
    def session(i: int) -> list[dict[str, Any]]:
        at = 1000.0 * i
        if i < 5:  # its own attempts failed
            return fell_back(at)
        if i < 12:  # began on polling, tried the WebSocket later, in vain
            return [fallback(at), poll(at + 1), *failed(at + 60, at + 61)]
        if i < 15:  # closed by the server, and not let in again
            return [*opened(at, at + 60, code=1012), *fell_back(at + 61)]
        if i < 17:  # an answer of the service
            return [*failed(at, at + 1, http_status=503, error_class="http_status"), fallback(at + 2), poll(at + 3)]
        if i < 21:  # an answer that a corporate proxy may have given
            return [*failed(at, at + 1, http_status=403, error_class="http_status"), fallback(at + 2), poll(at + 3)]
        if i < 24:  # an attempt that did not fail: chosen by the application
            return [*opened(at, None), fallback(at + 50), poll(at + 51)]
        if i < 26:  # lost only after the fallback
            return [*opened(at, at + 99), fallback(at + 50), poll(at + 51)]
        return opened(at, None)

    found = rates(tmp_path, [*OTHERS, *sessions(100, session)])
    assert found == {"all": (26, 100), "network": (9, 95), "service": (5, 95), "remembered": (7, 95)}


def test_a_log_that_begins_late_remembers_nothing(tmp_path: Path) -> None:
    rows = sessions(40, lambda i: [fallback(0.5 * i), poll(0.5 * i + 1)])
    with engine_of(tmp_path, rows) as engine:
        engine.make("episodes")
        engine._execute("UPDATE sources SET observed_from = TIMESTAMPTZ '2026-11-16 10:00:00+00'")
        frame = fallback_metric(engine)
    row = pick(frame, metric="remembered_fallback_session_rate")
    assert (row.numerator, row.denominator, row.excluded_count, row.state) == (0, 0, 40, "insufficient")


def test_a_restart_herd_does_not_raise_the_network_rate(tmp_path: Path) -> None:
    """As in phoenixframework/phoenix#6208: every client falls to long-polling on a restart, and some remember it."""

    def session(i: int) -> list[dict[str, Any]]:
        calm = [*opened(10.0 * i, 9000 + 5 * i, code=1000)]
        return fell_back(10.0 * i) if i % 20 == 0 else calm

    def struck(i: int) -> list[dict[str, Any]]:
        if i % 20 == 0:
            return fell_back(10.0 * i)
        if i % 4 == 1:  # a page loaded while the service was down
            return fell_back(5000.5 + 0.05 * i)
        if i % 4 == 2:  # a page loaded afterwards, whose library remembers
            return [fallback(6000 + i), poll(6001 + i)]
        return [*opened(10.0 * i, 5000 + 0.001 * i), *fell_back(5001 + 0.001 * i)]

    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    calm = rates(tmp_path / "a", [*OTHERS, *sessions(400, session)])
    storm = rates(tmp_path / "b", [*OTHERS, *sessions(400, struck)])
    assert calm["network"] == storm["network"] == (20, 401 - 1)
    assert calm["all"][0] == 20
    assert storm["all"][0] == 400
    assert (storm["service"][0], storm["remembered"][0]) == (280, 100)


def test_losses_of_sleeping_pages_are_no_drops(tmp_path: Path) -> None:
    """An hour awake, then two or more asleep: one hour of exposure and no drop."""

    def session(i: int) -> list[dict[str, Any]]:
        asleep = 7_200 + 300 * i if i < 15 else 0  # silences of one length would be a timeout's
        silence = {"longest_inbound_silence_ms": asleep * 1e3 or 5_000.0}
        rows = opened(0, 0.1 + 3_600 + asleep, code=1006 if i < 30 else 1000)
        return [{**row, **(silence if row["event"] == "close" else {})} for row in rows]

    with engine_of(tmp_path, sessions(100, session)) as engine:
        frame = reliability(engine)
    drops = pick(frame, metric="drops_per_connected_hour")
    assert (drops.numerator, drops.denominator, drops.excluded_count) == (15, pytest.approx(100), 15)
    ratio = pick(frame, metric="connected_time_ratio")
    assert ratio.numerator == pytest.approx(100)


def test_connected_time_ratio_by_hand(tmp_path: Path) -> None:
    # two hours connected, 10 s without service between
    rows = sessions(25, lambda i: [*opened(0, 3600.1), *opened(3610, 3610.1 + 3600, code=1000)])
    with engine_of(tmp_path, rows) as engine:
        frame = reliability(engine)
    ratio, downtime = (pick(frame, metric=m) for m in ("connected_time_ratio", "downtime_s_per_connected_hour"))
    assert ratio.numerator == pytest.approx(50)
    assert ratio.denominator == pytest.approx(50 + 25 * 10 / 3600)
    assert ratio.value == pytest.approx(7200 / 7210)
    assert downtime.value == pytest.approx(5)


def test_lifetimes_are_kaplan_meiers(tmp_path: Path) -> None:
    """Lost ones are events; still open, closed on purpose and left ones are censored: as statsmodels has it."""
    rng = np.random.default_rng(6)
    lived = np.round(rng.exponential(600, 200), 3) + 1
    kind = rng.integers(0, 5, 200)  # 0, 1, 2: lost; 3: closed on purpose; 4: page left

    def session(i: int) -> list[dict[str, Any]]:
        more = {"error_class": "aborted_by_page"} if kind[i] == 4 else {}
        return opened(0, 0.1 + lived[i], code=(1006, 1006, 1012, 1000, None)[kind[i]], **more)

    with engine_of(tmp_path, sessions(200, session)) as engine:
        row = pick(reliability(engine), metric="connection_lifetime_p50_s")
    witness = SurvfuncRight(lived, (kind < 3).astype(int))
    assert row.value == pytest.approx(witness.quantile(0.5), abs=1e-6)
    with np.errstate(
        divide="ignore", invalid="ignore"
    ):  # the witness takes the logarithm of the curve's end, which is 0
        expected = witness.quantile_ci(0.5, method="cloglog")
    assert (row.ci_low, row.ci_high) == pytest.approx(expected, abs=1e-6)
    assert (row.numerator, row.denominator) == ((kind < 3).sum(), 200)
