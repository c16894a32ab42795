"""Worlds drawn at random: what the smoothing of ``wslog.policy.schedule_outages`` was chosen on, and fresh ones to judge it by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from tests.policy.worlds import Network
from wslog.policy.model import Distribution, FloatArray, grid

CHOSEN_SEEDS = {"log-normal": 20, "other": 77}
"""The smoothing was chosen on the first 48 and 40 worlds of these seeds, 1,000 outages each of L1 and L3."""

SHORTEST_S, LONGEST_S = 0.08, 200.0
"""Medians of a kind of outage are drawn between these, evenly in the logarithm."""


@dataclass(frozen=True)
class Mixture(Network):
    """A world whose kinds of outages follow any laws of scipy."""

    laws: tuple[tuple[float, Any], ...] = ()

    def ends(
        self, count: int, rng: np.random.Generator, frailty: FloatArray | None = None
    ) -> tuple[FloatArray, FloatArray]:
        """Return (count,) instants at which the network and the WebSocket are back."""
        assert frailty is None
        pick = rng.choice(len(self.laws), count, p=[share for share, _ in self.laws])
        network = np.empty(count)
        for k, (_, law) in enumerate(self.laws):
            network[pick == k] = law.rvs(int((pick == k).sum()), random_state=rng)
        network = np.maximum(network, 1e-4)
        return network, np.where(rng.random(count) < self.blocked, np.inf, network)

    def distribution(self) -> Distribution:
        """Return the distribution of the instant at which the WebSocket is back."""
        edges = grid()
        below = sum(share * law.cdf(edges) for share, law in self.laws) * (1 - self.blocked)
        weight = np.diff(below)
        weight[0] += below[0]
        return Distribution(edges, weight, 1 - float(weight.sum()))


def log_normal_worlds(count: int, seed: int) -> list[Network]:
    """Return mixtures of one to three log-normal laws."""
    rng = np.random.default_rng(seed)
    found = []
    for number in range(count):
        kinds = 1 + int(rng.integers(3))
        shares, medians = rng.dirichlet(np.full(kinds, 2.0)), np.exp(_log_medians(rng, kinds))
        spreads = rng.uniform(0.3, 1.4, kinds)
        mixed = tuple(zip(shares.tolist(), medians.tolist(), spreads.tolist(), strict=True))
        found.append(Network(f"log-normal {number}", mixed, *_chances(rng)))
    return found


def other_worlds(count: int, seed: int) -> list[Network]:
    """Return mixtures of one to three Weibull, log-logistic, uniform and gamma laws."""
    rng = np.random.default_rng(seed)
    found: list[Network] = []
    for number in range(count):
        laws = [_law(float(np.exp(_log_medians(rng))), rng) for _ in range(1 + int(rng.integers(3)))]
        chances = _chances(rng)
        shares = rng.dirichlet(np.full(len(laws), 2.0)).tolist()
        found.append(Mixture(f"other {number}", (), *chances, tuple(zip(shares, laws, strict=True))))
    return found


def _log_medians(rng: np.random.Generator, size: int | None = None) -> Any:
    return rng.uniform(np.log(SHORTEST_S), np.log(LONGEST_S), size)


def _chances(rng: np.random.Generator) -> tuple[float, float, float]:
    """Return a share of blocked, one of chance failures and a handshake in seconds."""
    blocked, failure = (float(np.exp(rng.uniform(np.log(0.005), np.log(most)))) for most in (0.25, 0.1))
    return blocked, failure, float(rng.uniform(0.03, 0.3))


def _law(scale_s: float, rng: np.random.Generator) -> Any:
    family = int(rng.integers(4))
    steepness, tail, low, shape = (
        rng.uniform(0.5, 3.0),
        rng.uniform(1.0, 4.0),
        rng.uniform(0.1, 0.9),
        rng.uniform(0.0, 3.0),
    )
    return (
        stats.weibull_min(steepness, scale=scale_s),
        stats.fisk(tail, scale=scale_s),
        stats.uniform(scale_s * low, 2 * scale_s * (1 - low)),
        stats.gamma(np.exp(shape), scale=scale_s / np.exp(shape)),
    )[family]
