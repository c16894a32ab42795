"""Everything `wslog tune` shows, put together from the parts of this package."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from wslog.errors import UsageError
from wslog.policy import herd as herding
from wslog.policy.advice import MIN_OUTAGES, Herd
from wslog.policy.compare import Comparison, compare
from wslog.policy.evidence import Group
from wslog.policy.herd_evidence import HerdLog, evidence, herd_logs
from wslog.policy.herd_replay import Service, replay
from wslog.policy.policies import Policy
from wslog.policy.presets import REFERENCE, load_policy, presets
from wslog.policy.tuning_advice import Row, advice_frame, experiment_advice, group_advice, row
from wslog.policy.tuning_group import Compared, GroupTuning

if TYPE_CHECKING:
    from wslog.engine import Engine

FRAMES = (
    "policies",
    "gains",
    "outages",
    "schedules",
    "frontier",
    "recovery",
    "herds",
    "loads",
    "observed",
    "advice",
)
"""The frames of a :class:`Tuning`."""


@dataclass(frozen=True)
class Tuning:
    """What other reconnect policies would have done to the outages of a lake, and which one to take.

    Every frame begins with the grouping columns ``by`` unless it says otherwise; groups stand in order of their outages,
    the largest first. ``role`` is current (the policy the logs were recorded under), recommended, given (by the caller) or
    preset.

    Parameters
    ----------
    by : tuple of str
    horizon_s : float
        How far an outage is followed.
    price_s : float
        Seconds of downtime that one attempt is worth.
    current : str
        Name of the policy in place.
    policies : DataFrame
        One row per group, policy and figure: ``policy``, ``role``, ``figure``, ``value``, ``ci_low``, ``ci_high``,
        ``bound_low``, ``bound_high``, ``status`` (identified, assumed, bound), ``assumption``, ``outage_count``,
        ``session_count``, ``state`` (ok, insufficient; then the numbers are null).
    gains : DataFrame
        One row per group and figure, the recommended policy less the current one on the same outages: ``figure``,
        ``value``, ``ci_low``, ``ci_high``, ``bound_low``, ``bound_high``, ``status``, ``assumption``, ``outage_count``,
        ``session_count``, ``state``; ``policy`` and ``role`` of the recommended one.
    outages : DataFrame
        One row per group and instant: ``at_s``, ``not_back_ratio``, ``low``, ``high``, ``outage_count``. Null where too little
        is known.
    schedules : DataFrame
        One row per group, policy and attempt: ``policy``, ``role``, ``attempt_number``, ``start_s`` (median), ``start_low_s``,
        ``start_high_s`` (what jitter does to it).
    frontier : DataFrame
        One row per group and price: ``price_s``, ``attempt_count_mean``, ``downtime_mean_s`` of the best schedule.
    recovery : DataFrame
        One row per group, policy and instant: ``policy``, ``role``, ``at_s``, ``recovered_ratio``, ``low``, ``high``, ``status``.
    herds : DataFrame
        One row per policy, for the largest herd, not grouped: the columns of :func:`wslog.policy.herd.compare` and ``role``.
    loads : DataFrame
        One row per policy and instant after the drop: ``policy``, ``role``, ``at_s``, ``attempts_per_s``.
    observed : DataFrame
        One row per remark on the policy as actually run: ``what``, ``text``.
    advice : DataFrame
        One row per piece of advice: ``kind`` (summary, change, snippet, unknown, log, experiment, warning, limit), ``title``,
        ``text``, ``is_general`` (about all groups; its grouping columns are null).
    """

    by: tuple[str, ...]
    horizon_s: float
    price_s: float
    current: str
    policies: pd.DataFrame
    gains: pd.DataFrame
    outages: pd.DataFrame
    schedules: pd.DataFrame
    frontier: pd.DataFrame
    recovery: pd.DataFrame
    herds: pd.DataFrame
    loads: pd.DataFrame
    observed: pd.DataFrame
    advice: pd.DataFrame


COLUMNS = {
    "policies": ("policy", "role", "figure", "value", "ci_low", "ci_high", "bound_low", "bound_high", "status", "assumption",
                 "outage_count", "session_count", "excluded_count", "state"),
    "outages": ("at_s", "not_back_ratio", "low", "high", "status", "outage_count"),
    "schedules": ("policy", "role", "attempt_number", "start_s", "start_low_s", "start_high_s"),
    "frontier": ("price_s", "attempt_count_mean", "downtime_mean_s"),
    "recovery": ("policy", "role", "at_s", "recovered_ratio", "low", "high", "status"),
}  # fmt: skip
LINES = ("aws-full-jitter", "socket.io")
"""Presets that are drawn as lines beside the policy in place, the recommended one and the caller's."""


def tune(
    engine: Engine,
    by: str | Iterable[str] = ("network_type",),
    policies: Sequence[str | Policy] = (),
    price_s: float = 1.0,
    *,
    current: str | Policy | None = None,
    horizon_s: float = 600.0,
    seed: int = 0,
    since: str | None = None,
    until: str | None = None,
    week: str | None = None,
    where: str | None = None,
) -> Tuning:
    """Estimate the outages of a lake, replay policies on them and recommend one for each group.

    Parameters
    ----------
    engine : Engine
    by : str or iterable of str
        Grouping columns; default the type of network.
    policies : sequence of str or Policy
        Presets by name, TOML files or policies to compare besides; all presets are when none is named.
    price_s : float
        Seconds of downtime that one attempt is worth.
    current : str or Policy, optional
        The policy the logs were recorded under; default what they show.
    horizon_s : float
        How far an outage is followed, 1 to 900 s.
    seed : int
        The same lake and seed give the same numbers.
    since, until, week, where : str, optional
        As of every metric.

    Raises
    ------
    UsageError
        An unknown column or policy, a price that is not above 0, or a horizon out of range.
    """
    if not 0 < price_s < float("inf"):
        raise UsageError(f"the price of an attempt is {price_s}: choose seconds above 0")
    period = {"since": since, "until": until, "week": week, "where": where}
    in_place, remarks = _in_place(engine, current, period)
    everyone = _compared(in_place, policies)
    compared = compare(engine, [one.policy for one in everyone], by, **period, horizon_s=horizon_s, seed=seed)
    groups = _groups(compared, everyone, price_s, seed)
    log = next((log for log in herd_logs(engine, **period) if len(log) >= herding.MIN_CLIENTS), None)
    proposed = next((group.proposed for group in groups.values() if group.proposed is not None), None)
    herds, loads = _herds(log, everyone, proposed, seed)
    frames = _frames(compared, groups, everyone)
    rows = _advice(compared, groups, log, _weeks(engine), seed)
    return Tuning(
        by=compared.by,
        horizon_s=horizon_s,
        price_s=price_s,
        current=in_place.name,
        herds=herds,
        loads=loads,
        observed=remarks,
        advice=advice_frame(compared.by, rows),
        **frames,
    )


def _in_place(
    engine: Engine, current: str | Policy | None, period: dict[str, str | None]
) -> tuple[Policy, pd.DataFrame]:
    """Return the policy in place, and the remarks on it."""
    policy = current if isinstance(current, Policy) else load_policy(current or REFERENCE)
    return policy, pd.DataFrame([], columns=["what", "text"])


def _compared(in_place: Policy, policies: Sequence[str | Policy]) -> tuple[Compared, ...]:
    given = [policy if isinstance(policy, Policy) else load_policy(policy) for policy in policies]
    named = [Compared(policy, "preset" if policy in presets().values() else "given") for policy in given]
    named = named or [Compared(policy, "preset") for policy in presets().values()]
    found = {in_place.name: Compared(in_place, "current")}
    for one in named:
        found.setdefault(one.policy.name, one)
    return tuple(found.values())


def _size(group: Group) -> float:
    return -float(group.outages.weight.sum())


def _groups(
    compared: Comparison, everyone: Sequence[Compared], price_s: float, seed: int
) -> dict[tuple[Any, ...], GroupTuning]:
    """Return the groups with an estimate, the largest first."""
    lines = tuple(one for one in everyone if one.role != "preset" or one.policy.name in LINES)
    return {
        group.key: GroupTuning(
            dict(zip(compared.by, group.key, strict=True)),
            compared.estimates[group.key],
            lines,
            price_s,
            seed,
            sum(group.excluded.values()),
        )
        for group in sorted(compared.groups, key=_size)
        if group.key in compared.estimates
    }


def _frames(
    compared: Comparison, groups: dict[tuple[Any, ...], GroupTuning], everyone: Sequence[Compared]
) -> dict[str, pd.DataFrame]:
    by = list(compared.by)
    roles = {one.policy.name: one.role for one in everyone}
    figures = compared.figures.assign(role=compared.figures["policy"].map(roles))
    parts: dict[str, list[Row]] = {name: [] for name in COLUMNS}
    gains: list[Row] = []
    pieces = []
    sizes = sorted(compared.groups, key=_size)
    for group in sizes:
        mine = np.ones(len(figures), bool)
        for name, value in zip(by, group.key, strict=True):
            mine &= (figures[name].isna() if pd.isna(value) else figures[name] == value).to_numpy(bool)
        pieces.append(figures[mine])
        if (tuned := groups.get(group.key)) is None:
            parts["outages"].append(
                {**dict(zip(by, group.key, strict=True)), "at_s": 1.0, "outage_count": len(group.outages)}
            )
            continue
        pieces.append(pd.DataFrame(tuned.policy_rows()))
        gains += tuned.gain_rows()
        parts["outages"] += tuned.outage_rows()
        parts["schedules"] += tuned.schedule_rows()
        parts["frontier"] += tuned.frontier_rows()
        parts["recovery"] += tuned.recovery_rows()
    found = {name: pd.DataFrame(rows, columns=[*by, *COLUMNS[name]]) for name, rows in parts.items()}
    whole = pd.concat([piece for piece in pieces if len(piece)], ignore_index=True) if pieces else figures
    columns = [*by, *COLUMNS["policies"]]
    return {**found, "policies": whole[columns], "gains": pd.DataFrame(gains, columns=columns)}


def _weeks(engine: Engine) -> float | None:
    """Return how many weeks of logs there are, None where no source has times."""
    sources = engine.frame("sources")
    first, last = sources["observed_from"].dropna(), sources["observed_until"].dropna()
    if not len(first) or not len(last):
        return None
    return max((last.max() - first.min()).total_seconds(), 3600.0) / 604_800


def _advice(
    compared: Comparison,
    groups: dict[tuple[Any, ...], GroupTuning],
    log: HerdLog | None,
    weeks: float | None,
    seed: int,
) -> list[Row]:
    rows: list[Row] = []
    herd = None
    if log is not None:
        found = evidence(log)
        if np.isfinite(found.accept_per_s):
            herd = Herd(float(log.weight.sum()), found.accept_per_s)
        rows.append(row({}, "herd", "", herding.advice(log), is_general=True))
    for group in sorted(compared.groups, key=_size):
        key = dict(zip(compared.by, group.key, strict=True))
        tuned = groups.get(group.key)
        if tuned is None or tuned.estimate.outage_count < MIN_OUTAGES:
            text = f"{len(group.outages)} outages; it takes {MIN_OUTAGES}, better 1,000, to recommend a schedule."
            rows.append(row(key, "change", "Too few outages to recommend a schedule", text))
            continue
        name = ", ".join("not logged" if pd.isna(value) else str(value) for value in group.key)
        rows += group_advice(name or "all outages", tuned, herd)
        rows += experiment_advice(name, tuned, group.outages, weeks, seed)
    return rows


def _herds(
    log: HerdLog | None, everyone: Sequence[Compared], proposed: Policy | None, seed: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Replay the largest herd under every policy; the recommended one is that of the largest group."""
    lines = [*everyone[:1], *([Compared(proposed, "recommended")] if proposed is not None else []), *everyone[1:]]
    loads: list[Row] = []
    columns = ["policy", "role", "at_s", "attempts_per_s"]
    if log is None:
        empty = pd.DataFrame(columns=["policy", "role", "client_count", "missing"])
        return empty, pd.DataFrame(loads, columns=columns)
    frame = herding.compare(log, [one.policy for one in lines], seed)
    frame.insert(4, "role", [one.role for one in lines])
    found = evidence(log)
    up_s = (found.up_after_s + found.up_by_s) / 2 if np.isfinite(found.up_by_s) else np.inf
    rate = found.accept_per_s if np.isfinite(found.accept_per_s) else found.accept_high_per_s
    service = Service(up_s, rate, found.burst_s, fail_s=found.fail_s, open_s=found.open_s)
    for one in lines:
        if one.role == "preset" and one.policy.name not in LINES:
            continue
        played = replay(one.policy, log.drop_s, service, np.random.default_rng((seed, 0)))
        seconds = np.add.reduceat(played.attempts_100ms, np.arange(0, len(played.attempts_100ms), 10))
        shown = {"policy": one.policy.name, "role": one.role}
        loads += [{**shown, "at_s": float(k), "attempts_per_s": float(n)} for k, n in enumerate(seconds.tolist())]
    return frame, pd.DataFrame(loads, columns=columns)
