"""Policies compared on the outages of a lake: one table of figures, each with interval, bounds and what it rests on."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from wslog.errors import UsageError
from wslog.intervals import MIN_CLUSTERS, MIN_ROWS
from wslog.policy.estimate import Estimate, estimate
from wslog.policy.evidence import EXCLUDED, Group, read
from wslog.policy.figures import FIGURES, Figure, curve, figures
from wslog.policy.model import Distribution, FloatArray, IntArray, Outages
from wslog.policy.policies import Policy
from wslog.policy.replay import Response, respond

if TYPE_CHECKING:
    from wslog.engine import Engine

FIGURE_COLUMNS = (
    "policy", "figure", "value", "ci_low", "ci_high", "bound_low", "bound_high", "status", "assumption", "outage_count",
    "session_count", "excluded_count", "state",
)  # fmt: skip
LADDER_COLUMNS = ("policy", "figure", "rung", "low", "high")
END_COLUMNS = ("at_s", "ended_ratio", "ci_low", "ci_high", "bound_low", "bound_high")
CURVE_COLUMNS = ("policy", "at_s", "recovered_ratio")


@dataclass(frozen=True)
class Comparison:
    """What policies would have done.

    Attributes
    ----------
    by : tuple of str
        The grouping columns, first in every frame.
    figures : pandas.DataFrame
        One row per group, ``policy`` and ``figure`` (:data:`wslog.policy.figures.FIGURES`). ``value`` is null where the log
        gives bounds only (``status`` bound) or there is too little evidence (``state`` insufficient). ``ci_low``, ``ci_high``:
        95 %, from sessions left out. ``bound_low``, ``bound_high``: between what the log cannot tell, whatever lies in its gaps.
        ``assumption``: what an assumed figure takes for granted. ``outage_count``, ``session_count``: evidence;
        ``excluded_count``: outages that are none (:data:`wslog.policy.evidence.EXCLUDED`), weighted.
    ladders : pandas.DataFrame
        One row per group, policy, figure and ``rung`` (:data:`wslog.policy.estimate.ASSUMPTIONS`): the bounds under more and
        more assumptions.
    ends : pandas.DataFrame
        One row per group and ``at_s`` (seconds since the loss): ``ended_ratio``, outages that had ended by then, with 95 %
        interval and bounds.
    curves : pandas.DataFrame
        One row per group, policy and ``at_s``: ``recovered_ratio``, outages after which the WebSocket was back by then.
    groups : list of Group
    estimates : dict
        By group key, for what is computed further: :class:`~wslog.policy.estimate.Estimate`.
    replays : dict
        By group key and policy, the replays and figures of the policies that were to be kept.
    """

    by: tuple[str, ...]
    figures: pd.DataFrame
    ladders: pd.DataFrame
    ends: pd.DataFrame
    curves: pd.DataFrame
    groups: list[Group]
    estimates: dict[tuple[Any, ...], Estimate]
    replays: dict[tuple[Any, ...], dict[str, Replayed]] = field(default_factory=dict)


Replayed = tuple[Response, list[Figure]]


def compare(
    engine: Engine,
    policies: Sequence[Policy],
    by: str | Iterable[str] = (),
    since: str | None = None,
    until: str | None = None,
    week: str | None = None,
    where: str | None = None,
    *,
    kind: str = "drop",
    horizon_s: float = 600.0,
    seed: int = 0,
    keep: Collection[str] = (),
) -> Comparison:
    """Estimate when outages end and replay policies on them.

    Parameters
    ----------
    engine : Engine
    policies : sequence of Policy
    by, since, until, week, where
        As of every metric.
    kind : str
        ``drop`` or ``initial``, see :func:`wslog.policy.evidence.read`.
    horizon_s : float
        Downtime is counted up to here, at most 900 s.
    seed : int
        The same seed and lake give the same numbers.
    keep : collection of str
        Policies whose replays are wanted further.

    Raises
    ------
    UsageError
    """
    if not 1.0 <= horizon_s <= 900.0:
        raise UsageError(f"horizon_s is {horizon_s}: choose 1 to 900 seconds")
    chosen, groups = read(engine, by, since, until, week, where, kind)
    return compare_groups(chosen, groups, policies, horizon_s=horizon_s, seed=seed, keep=keep)


def compare_groups(
    by: tuple[str, ...],
    groups: Sequence[Group],
    policies: Sequence[Policy],
    *,
    horizon_s: float = 600.0,
    seed: int = 0,
    keep: Collection[str] = (),
) -> Comparison:
    """Do the same for groups at hand; parameters and result are those of :func:`compare`."""
    prior = _pooled(groups, horizon_s, seed) if len(groups) > 1 else None
    estimates: dict[tuple[Any, ...], Estimate] = {}
    replays: dict[tuple[Any, ...], dict[str, Replayed]] = {}
    parts: dict[str, list[dict[str, Any]]] = {"figures": [], "ladders": [], "ends": [], "curves": []}
    for number, group in enumerate(groups):
        keys = dict(zip(by, group.key, strict=True))
        evidence = {
            "outage_count": len(group.outages),
            "session_count": group.outages.session_count,
            "excluded_count": sum(group.excluded[word] for word in EXCLUDED),
        }
        if evidence["outage_count"] < MIN_ROWS or evidence["session_count"] < MIN_CLUSTERS:
            parts["figures"] += [keys | row | evidence for row in _insufficient(policies)]
            continue
        found = estimate(
            group.outages,
            group.first,
            horizon_s=horizon_s,
            rng=np.random.default_rng((seed, number)),
            prior=prior,
            refusal=group.refusal,
        )
        estimates[group.key] = found
        parts["ends"] += [keys | row for row in _ends(found)]
        at = _instants(horizon_s)
        for policy in policies:
            played = respond(policy, found.rows, found.conditions, found.weights.failure_ratio, horizon_s, seed)
            made = figures(found, played)
            if policy.name in keep:
                replays.setdefault(group.key, {})[policy.name] = played, made
            parts["figures"] += [keys | row | evidence for row in _records(policy.name, made)]
            parts["ladders"] += [keys | row for row in _ladder(policy.name, made)]
            back = curve(found, played, at)
            parts["curves"] += [
                keys | {"policy": policy.name, "at_s": float(t), "recovered_ratio": float(y)}
                for t, y in zip(at, back, strict=True)
            ]
    columns = {"figures": FIGURE_COLUMNS, "ladders": LADDER_COLUMNS, "ends": END_COLUMNS, "curves": CURVE_COLUMNS}
    frames = {name: pd.DataFrame(rows, columns=[*by, *columns[name]]) for name, rows in parts.items()}
    return Comparison(by, **frames, groups=list(groups), estimates=estimates, replays=replays)


def _pooled(groups: Sequence[Group], horizon_s: float, seed: int) -> Distribution:
    """Return the estimate of all groups together: what a small group leans on."""
    rng = np.random.default_rng((seed, len(groups)))
    parts = [group.outages for group in groups]
    together = concat(parts)
    if len(together) > MOST_POOLED_TOGETHER:
        kept: IntArray = np.sort(rng.choice(len(together), MOST_POOLED_TOGETHER, replace=False))
        together = together.take(kept)
    return estimate(together, horizon_s=horizon_s, rng=rng, replicates=0).fit.network


MOST_POOLED_TOGETHER = 20_000


def concat(parts: Sequence[Outages]) -> Outages:
    """Return outages of several groups as one; clusters keep their numbers."""
    names = [name for name in Outages.__dataclass_fields__ if name != "first"]
    offsets = np.cumsum([0, *(part.first[-1] for part in parts)])
    first = [part.first[1:] + offset for part, offset in zip(parts, offsets, strict=False)]
    columns = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
    return Outages(first=np.concatenate(([0], *first)).astype(np.int64), **columns)


def _records(policy: str, made: Sequence[Figure]) -> list[dict[str, Any]]:
    return [
        {
            "policy": policy,
            "figure": f.name,
            "value": f.value,
            "ci_low": f.ci_low,
            "ci_high": f.ci_high,
            "bound_low": f.bound_low,
            "bound_high": f.bound_high,
            "status": f.status,
            "assumption": f.assumption or None,
            "state": "ok",
        }
        for f in made
    ]


def _insufficient(policies: Sequence[Policy]) -> list[dict[str, Any]]:
    nothing = dict.fromkeys(("value", "ci_low", "ci_high", "bound_low", "bound_high"), np.nan)
    return [
        {"policy": policy.name, "figure": name, **nothing, "status": None, "assumption": None, "state": "insufficient"}
        for policy in policies
        for name in FIGURES
    ]


def _ladder(policy: str, made: Sequence[Figure]) -> list[dict[str, Any]]:
    return [
        {"policy": policy, "figure": f.name, "rung": rung.name, "low": rung.low, "high": rung.high}
        for f in made
        for rung in f.ladder
    ]


def _instants(horizon_s: float) -> FloatArray:
    return np.geomspace(0.1, horizon_s, 81)


def _ends(found: Estimate) -> list[dict[str, Any]]:
    """Return the distribution of the outages' end with its interval and bounds."""
    edges = found.rows.edges_s[1:]
    never = found.rows.never
    below = np.cumsum(found.weights.row[:never])
    moved = np.cumsum(found.replicate_rows[:, :never], axis=1)
    error = np.sqrt(np.mean(moved**2, axis=0)) if len(moved) else np.full(never, np.nan)
    at = np.concatenate((edges, found.rows.points_s))
    order = np.argsort(at)
    sides = []
    for weights in found.ladder[found.shown_rung]:
        mass = np.concatenate((weights.row[:never], weights.row[never + 1 :]))[order]
        sides.append(np.interp(edges, at[order], np.cumsum(mass)))
    low, high = np.min(sides, axis=0), np.max(sides, axis=0)
    keep = edges <= found.horizon_s * 1.001
    rows = zip(edges[keep], below[keep], error[keep], low[keep], high[keep], strict=True)
    return [
        {
            "at_s": float(t),
            "ended_ratio": float(y),
            "ci_low": float(max(y - 1.96 * e, 0.0)),
            "ci_high": float(min(y + 1.96 * e, 1.0)),
            "bound_low": float(a),
            "bound_high": float(b),
        }
        for t, y, e, a, b in rows
    ]
