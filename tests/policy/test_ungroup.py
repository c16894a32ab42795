"""Shapes within gaps against densities that are known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from wslog.policy.model import FloatArray
from wslog.policy.ungroup import Curve

EDGES = np.append(0.0, np.geomspace(0.01, 900.0, 230))
GAPS_S = ((0.0, 1.0), (1.0, 3.0), (3.0, 6.0))


def rows(median_s: float, sigma: float) -> FloatArray:
    """Row weights of log-normal outages."""
    return np.diff(norm.cdf(np.log(np.maximum(EDGES, 1e-12) / median_s) / sigma))


def gaps() -> list[tuple[int, int]]:
    return [(int(np.searchsorted(EDGES, a)), int(np.searchsorted(EDGES, b))) for a, b in GAPS_S]


def grouped(row: FloatArray) -> FloatArray:
    """The same with each gap's mass spread log-uniformly: what a fit leaves there."""
    found, width = row.copy(), np.diff(np.log(np.maximum(EDGES, 0.003)))
    for a, b in gaps():
        found[a:b] = row[a:b].sum() * width[a:b] / width[a:b].sum()
    return found


@pytest.mark.parametrize(("median_s", "sigma"), [(0.7, 1.2), (2.5, 0.6), (8.0, 1.0), (30.0, 1.5)])
def test_a_log_normal_is_found_again(median_s: float, sigma: float) -> None:
    true = rows(median_s, sigma)
    found = Curve(EDGES, gaps(), len(EDGES) - 1, 10_000).drawn(grouped(true))
    off = np.abs(np.cumsum(found) - np.cumsum(true)).max()
    before = np.abs(np.cumsum(grouped(true)) - np.cumsum(true)).max()
    # a log-normal has curvature and is penalised for it, so it is not found exactly: nearer by four times than the flat filling
    assert off < before / 4


def test_sums_are_kept_and_the_rest_is_left_alone() -> None:
    rng = np.random.default_rng(1)
    row = rng.dirichlet(np.ones(len(EDGES) - 1))
    found = Curve(EDGES, gaps(), len(EDGES) - 1, 500).drawn(row)
    outside = np.ones(len(row), bool)
    for a, b in gaps():
        assert found[a:b].sum() == pytest.approx(row[a:b].sum(), rel=1e-12)
        outside[a:b] = False
    assert (found >= 0).all()
    assert (found[outside] == row[outside]).all()


def test_an_empty_gap_stays_empty() -> None:
    row = rows(60.0, 0.4)
    row[: gaps()[1][1]] = 0.0
    found = Curve(EDGES, gaps(), len(EDGES) - 1, 2_000).drawn(row)
    assert np.isfinite(found).all()
    assert found[: gaps()[1][1]].sum() == 0.0


def test_where_everything_was_looked_at_nothing_moves() -> None:
    row = rows(3.0, 1.0)
    assert (Curve(EDGES, [], len(EDGES) - 1, 1_000).drawn(row) == row).all()
    assert (Curve(EDGES, [(0, 1)], len(EDGES) - 1, 1_000).drawn(row) == row).all()


def test_the_curve_solves_the_dense_equations() -> None:
    """The witness is the penalised likelihood written out over the rows: its slope is 0 at the curve, and Akaike's degrees of
    freedom are the trace of its hat matrix."""
    curve = Curve(EDGES, gaps(), len(EDGES) - 1, 2_000)
    log_edges = np.log(np.maximum(EDGES, EDGES[1] / 3))[curve.begin : curve.end + 1]
    x, bins = (log_edges[1:] + log_edges[:-1]) / 2, len(curve.cuts) - 1
    count = 2_000 * np.bincount(curve.bin, rows(2.5, 0.6)[curve.begin : curve.end], bins)
    slopes = np.diff(np.eye(len(x)), axis=0) / np.diff(x)[:, None]
    apart = np.diff((x[1:] + x[:-1]) / 2)
    bends = np.diff(slopes, axis=0) / apart[:, None]
    for penalty in (0.01, 1.0, 100.0):
        y, criterion = curve.fit(count, np.zeros(len(x)), penalty)
        mass = np.diff(log_edges) * np.exp(y)
        total = np.bincount(curve.bin, mass, bins)
        roughness = penalty * bends.T @ (apart[:, None] * bends)
        slope = mass * (count / total - 1)[curve.bin] - roughness @ y
        # per outage; steps end below 1e-3 and halve their digits each time, rounding in the dense fourth differences is larger
        assert np.abs(slope).max() < 1e-4 * count.sum()
        spread = (np.arange(bins)[:, None] == curve.bin) * mass
        information = spread.T @ (spread / total[:, None])
        freedom = np.trace(np.linalg.solve(information + roughness, information))
        misfit = 2 * float((count * np.log(count / total) - count + total).sum())
        # the criterion is taken where the last step began, 1e-3 away at most
        assert criterion == pytest.approx(misfit + 2 * freedom, abs=0.02)
