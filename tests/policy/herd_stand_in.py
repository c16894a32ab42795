"""Policies for the replay of herds until the presets exist."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from wslog.policy.model import FloatArray, IntArray

PHOENIX = (0.01, 0.05, 0.1, 0.15, 0.2, 0.25, 0.5, 1.0, 2.0)


@dataclass
class StandIn:
    name: str
    is_wait_from_start: bool = False
    has_fallback: bool = False
    return_after_s: float | None = None

    def stepper(self, count: int, rng: np.random.Generator) -> Steps:
        return Steps(self.name, count, rng)


class Steps:
    def __init__(self, name: str, count: int, rng: np.random.Generator) -> None:
        self.name, self.rng = name, rng
        self.retry, self.last = np.zeros(count, np.int64), np.zeros(count)

    def next(self, active: IntArray) -> FloatArray:
        retry, last, u = self.retry[active], self.last[active], self.rng.random(len(active))
        bound = 2.0 ** np.minimum(retry, 30)
        tables = {
            "linear-3": [1, 2, 3, np.nan],
            "signalr": [0, 2, 10, 30, np.nan],
            "phoenix": [*PHOENIX, 5],
            "fixed_5s": [5],
        }
        if self.name in tables:
            table = np.array(tables[self.name], np.float64)
            wait = table[np.minimum(retry, len(table) - 1)]
        elif self.name == "socket.io":
            wait = np.minimum(5, bound + u * 0.5 * bound * np.where((u * 10).astype(np.int64) % 2 == 0, -1, 1))
        elif self.name == "decorrelated":
            wait = np.minimum(30, 1 + u * (3 * np.maximum(last, 1) - 1))
        elif self.name == "rfc6455":
            wait = np.where(retry == 0, 5 * u, np.minimum(30, 5 * bound))
        else:
            wait = np.minimum(30, bound) * (u if self.name == "full_jitter" else 0.5 + u / 2)
        self.retry[active] += 1
        self.last[active] = wait
        return wait


policy_of = StandIn
