"""Outage worlds with known truth: mixtures of blips, handovers, long outages and blocked networks, as grids and as draws."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import norm

from wslog.policy.model import Distribution, FloatArray, grid


@dataclass(frozen=True)
class World:
    """A mixture of log-normal outages; ``never`` is the share that is blocked."""

    parts: tuple[tuple[float, float, float], ...]  # share of the outages that end, median s, sigma
    never: float
    failure_ratio: float

    def distribution(self) -> Distribution:
        edges = grid()
        below = sum(
            share * norm.cdf(np.log(np.maximum(edges, 1e-12) / median) / sigma) for share, median, sigma in self.parts
        )
        weight = np.diff(below) * (1 - self.never)
        weight[0] += below[0] * (1 - self.never)
        return Distribution(edges, weight, 1 - float(weight.sum()))

    def draw(self, count: int, rng: np.random.Generator) -> FloatArray:
        kind = rng.choice(len(self.parts), count, p=[part[0] for part in self.parts])
        median, sigma = np.asarray([part[1:] for part in self.parts])[kind].T
        ends = median * np.exp(sigma * rng.standard_normal(count))
        return np.where(rng.random(count) < self.never, np.inf, ends)


WIFI = World(((0.55, 0.15, 0.8), (0.25, 2.5, 0.5), (0.2, 40.0, 1.2)), 0.015, 0.04)
CELLULAR = World(((0.25, 0.15, 0.8), (0.5, 2.5, 0.5), (0.25, 40.0, 1.2)), 0.017, 0.06)
