"""Tuning of one group of outages: estimate, recommend, replay; rows for the frames of a tuning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from wslog.policy.advice import MIN_OUTAGES
from wslog.policy.estimate import Estimate
from wslog.policy.figures import Figure, figures, means, record
from wslog.policy.frontier import frontier
from wslog.policy.model import Distribution, FloatArray
from wslog.policy.policies import Policy
from wslog.policy.recommended import NAME, recommended
from wslog.policy.replay import Response, respond
from wslog.policy.schedule import JITTER, Schedule, Terms, listed, optimum
from wslog.policy.schedule_bounds import Guarded, extremes, least_regret
from wslog.policy.schedule_outages import planned
from wslog.policy.schedule_policy import as_policy
from wslog.policy.tuning_curves import cost_difference, differences, recovery, survival

CURVE_POINTS = 160
PRICES_S = tuple(np.geomspace(0.03, 100.0, 11).tolist())
LINES = ("aws-full-jitter", "socket.io")
"""Presets that are drawn as lines beside the policy in place, the recommended one and the caller's."""
MOST_ATTEMPTS_SHOWN = 40


@dataclass(frozen=True)
class Compared:
    """A policy and its role."""

    policy: Policy
    role: str


@dataclass(frozen=True)
class GroupTuning:
    """What is known and recommended for one group.

    Parameters
    ----------
    key : dict
        Grouping columns and values.
    estimate : Estimate
    compared : tuple of Compared
        Those that curves are wanted of, the policy in place first; without the recommended one.
    price_s : float
    seed : int
    excluded_count : float
        Outages left out as evidence.
    known : mapping
        Replays and figures that were made already, by policy.
    """

    key: Mapping[str, Any]
    estimate: Estimate
    compared: tuple[Compared, ...]
    price_s: float
    seed: int
    excluded_count: float = 0.0
    known: Mapping[str, tuple[Response, list[Figure]]] = field(default_factory=dict)

    @cached_property
    def terms(self) -> Terms:
        """What schedules are judged by."""
        conditions = self.estimate.conditions
        fail_s = float(np.median(conditions.fast_s))
        return Terms(self.price_s, self.failure_ratio, self.estimate.horizon_s, min(fail_s, 5.0))

    @property
    def failure_ratio(self) -> float:
        """The chance that an attempt fails although the network is back."""
        return min(self.estimate.weights.failure_ratio, 0.9)

    @cached_property
    def outage(self) -> Distribution:
        """The outages as estimated, to make schedules for."""
        return planned(self.estimate)

    @cached_property
    def guarded(self) -> Guarded | None:
        """The schedule of least worst regret; None where the log settles what the best one achieves."""
        plain = self._best
        if not plain.waits_s:
            return None
        found = {f.name: f for f in figures(self.estimate, self.respond(as_policy(plain, NAME)))}
        if not any(found[name].status == "bound" for name in ("downtime_mean_s", "attempt_count_mean")):
            return None
        open_ends = extremes(self.estimate)
        return least_regret(open_ends, self.terms, seed=self.seed) if len(open_ends) > 1 else None

    @cached_property
    def _best(self) -> Schedule:
        return listed(optimum(self.outage, self.terms), self.outage, seed=self.seed)

    @property
    def schedule(self) -> Schedule:
        """The best schedule on the estimate; where figures are bounds, that of least worst regret."""
        return self._best if self.guarded is None else self.guarded.schedule

    @property
    def made_for(self) -> Distribution:
        """The distribution of outages that the schedule is the best for."""
        return self.outage if self.guarded is None else self.guarded.made_for

    @property
    def current(self) -> Policy | None:
        """The policy in place."""
        policy = self.compared[0].policy
        return policy if self.compared[0].role == "current" else None

    @cached_property
    def proposed(self) -> Policy | None:
        """The schedule as a policy; None with too few outages to make one on, or where no attempt is worth its price."""
        return None if self.estimate.outage_count < MIN_OUTAGES else recommended(self.schedule, self.current)

    @cached_property
    def everyone(self) -> tuple[Compared, ...]:
        """All policies, the recommended one after the one in place."""
        if self.proposed is None:
            return self.compared
        return (*self.compared[:1], Compared(self.proposed, "recommended"), *self.compared[1:])

    @cached_property
    def responses(self) -> dict[str, Response]:
        """Replays by policy."""
        names = {one.policy.name: one.policy for one in self.everyone}
        return {name: self.known[name][0] if name in self.known else self.respond(p) for name, p in names.items()}

    def respond(self, policy: Policy) -> Response:
        """Replay a policy on this group's outages."""
        estimate = self.estimate
        return respond(policy, estimate.rows, estimate.conditions, self.failure_ratio, estimate.horizon_s, self.seed)

    @cached_property
    def figures(self) -> dict[str, list[Figure]]:
        """Figures by policy."""
        made = self.responses
        return {
            name: self.known[name][1] if name in self.known else figures(self.estimate, made[name]) for name in made
        }

    @cached_property
    def gains(self) -> list[Figure]:
        """The recommended policy less the one in place; empty without either."""
        if self.proposed is None or self.current is None:
            return []
        mine, theirs = self.proposed.name, self.current.name
        return differences(
            self.estimate, self.responses[mine], self.responses[theirs], self.figures[mine], self.figures[theirs]
        )

    def draws(self, name: str, count: int) -> FloatArray:
        """Return (count,) downtimes in seconds under a policy, up to the horizon, in ascending order: quantiles as estimated."""
        table = self.responses[name].table
        below = np.cumsum(table.mass_sorted(self.estimate.weights.row, self.estimate.weights.failure_ratio))
        at = np.searchsorted(below, (np.arange(count) + 0.5) / count * below[-1])
        return np.asarray(table.sorted[np.minimum(at, len(below) - 1)], np.float64)

    @cached_property
    def cost_gain(self) -> Figure | None:
        """What the recommended policy costs less the one in place: downtime plus the price of the attempts, in seconds."""
        if not self.gains or self.proposed is None or self.current is None:
            return None
        mine, theirs = self.responses[self.proposed.name], self.responses[self.current.name]
        return cost_difference(self.estimate, mine, theirs, self.gains, self.price_s)

    # --- rows of the frames ---

    def counts(self) -> dict[str, Any]:
        """Return what the figures rest on."""
        return {
            "outage_count": self.estimate.outage_count,
            "session_count": self.estimate.session_count,
            "excluded_count": self.excluded_count,
            "state": "ok",
        }

    def policy_rows(self) -> list[dict[str, Any]]:
        """Return the rows of the recommended policy in ``policies``."""
        return [] if self.proposed is None else self.figure_rows(Compared(self.proposed, "recommended"))

    def figure_rows(self, one: Compared) -> list[dict[str, Any]]:
        """Return the rows of a policy in ``policies``, replayed if it was not."""
        name = one.policy.name
        made = self.figures[name] if one in self.everyone else figures(self.estimate, self.respond(one.policy))
        shown = {**self.key, "policy": name, "role": one.role}
        return [{**shown, **record(figure), **self.counts()} for figure in made]

    def gain_rows(self) -> list[dict[str, Any]]:
        """Return the rows of ``gains``."""
        return [
            {**self.key, "policy": NAME, "role": "recommended", **record(figure), **self.counts()}
            for figure in self.gains
        ]

    def outage_rows(self) -> list[dict[str, Any]]:
        """Return the rows of ``outages``."""
        at = self._times()
        value, low, high, status = survival(self.estimate, at)
        count = self.estimate.outage_count
        return [
            {**self.key, "at_s": t, "not_back_ratio": v, "low": a, "high": b, "status": s, "outage_count": count}
            for t, v, a, b, s in zip(at.tolist(), value.tolist(), low.tolist(), high.tolist(), status, strict=True)
        ]

    def recovery_rows(self) -> list[dict[str, Any]]:
        """Return the rows of ``recovery``."""
        at = self._times()
        rows = []
        for one in self.everyone:
            value, low, high, status = recovery(self.estimate, self.responses[one.policy.name], at)
            shown = {**self.key, "policy": one.policy.name, "role": one.role}
            rows += [
                {**shown, "at_s": t, "recovered_ratio": v, "low": a, "high": b, "status": s}
                for t, v, a, b, s in zip(at.tolist(), value.tolist(), low.tolist(), high.tolist(), status, strict=True)
            ]
        return rows

    def _times(self) -> FloatArray:
        return np.geomspace(0.05, self.estimate.horizon_s, CURVE_POINTS)

    def schedule_rows(self, more: Sequence[Compared] = ()) -> list[dict[str, Any]]:
        """Return the rows of ``schedules``: nominal starts, as if attempts took no time."""
        rows = []
        for one in (*self.everyone, *more):
            delays = np.asarray(one.policy.first_delays(MOST_ATTEMPTS_SHOWN), np.float64).reshape(-1, 2)
            low, high = delays.T
            middle = np.cumsum((low + high) / 2 + self.terms.fail_s) - self.terms.fail_s
            spread = np.sqrt(np.cumsum((high - low) ** 2 / 12))
            for number, (start, error) in enumerate(zip(middle.tolist(), spread.tolist(), strict=True), 1):
                if start >= self.estimate.horizon_s:
                    break
                shown = {**self.key, "policy": one.policy.name, "role": one.role, "attempt_number": number}
                rows.append(
                    {**shown, "start_s": start, "start_low_s": max(start - error, 0.0), "start_high_s": start + error}
                )
        return rows

    def frontier_rows(self, jitter: float = JITTER) -> list[dict[str, Any]]:
        """Return the rows of ``frontier``, each schedule replayed like the policies it is drawn beside."""
        found = frontier(self.outage, self.terms, PRICES_S, jitter=jitter, draws=128, seed=self.seed)
        rows = []
        for price, starts in zip(found.price_s.tolist(), found.starts_s, strict=True):
            if not len(starts):
                continue
            waits = np.diff(starts, prepend=0.0)
            waits[1:] = np.maximum(waits[1:] - self.terms.fail_s, 0.0)
            ranges = tuple((wait * (1 - found.jitter), wait * (1 + found.jitter)) for wait in waits.tolist())
            found_means = means(self.estimate, self.respond(Policy("best", waits_s=ranges)))
            drawn = {name: found_means[name] for name in ("attempt_count_mean", "downtime_mean_s")}
            rows.append({**self.key, "price_s": price, **drawn})
        return rows
