"""Everything `wslog tune` shows, put together from the parts of this package."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from wslog.errors import UsageError
from wslog.policy.advice import MIN_OUTAGES
from wslog.policy.compare import Comparison, compare
from wslog.policy.evidence import Group
from wslog.policy.policies import Policy
from wslog.policy.presets import load_policy, presets
from wslog.policy.tuning import Tuning
from wslog.policy.tuning_advice import (
    Row,
    advice_frame,
    experiment_advice,
    group_advice,
    log_advice,
    row,
    summary_advice,
)
from wslog.policy.tuning_decisions import COLUMNS as DECISION_COLUMNS
from wslog.policy.tuning_decisions import DECISIONS, decision_row, in_order
from wslog.policy.tuning_group import LINES, Compared, GroupTuning
from wslog.policy.tuning_herds import HerdTuning, replay_herd
from wslog.policy.tuning_observed import in_place

if TYPE_CHECKING:
    from wslog.engine import Engine

COLUMNS = {
    "policies": ("policy", "role", "figure", "value", "ci_low", "ci_high", "bound_low", "bound_high", "status", "assumption",
                 "outage_count", "session_count", "excluded_count", "state"),
    "outages": ("at_s", "not_back_ratio", "low", "high", "status", "outage_count"),
    "schedules": ("policy", "role", "attempt_number", "start_s", "start_low_s", "start_high_s"),
    "frontier": ("price_s", "attempt_count_mean", "downtime_mean_s"),
    "recovery": ("policy", "role", "at_s", "recovered_ratio", "low", "high", "status"),
}  # fmt: skip


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
    now, remarks = in_place(engine, current, period)
    everyone = _compared(now, policies)
    lines = tuple(one for one in everyone if one.role != "preset" or one.policy.name in LINES)
    compared = compare(
        engine, [one.policy for one in everyone], by, since, until, week, where,
        horizon_s=horizon_s, seed=seed, keep=[one.policy.name for one in lines],
    )  # fmt: skip
    groups = _groups(compared, lines, price_s, seed)
    proposed = next((group.proposed for group in groups.values() if group.proposed is not None), None)
    herd = replay_herd(engine, everyone, proposed, period, seed)
    frames = _frames(compared, groups, everyone)
    weeks = _weeks(engine)
    rows = _advice(compared, groups, herd, weeks)
    return Tuning(
        by=compared.by,
        horizon_s=horizon_s,
        price_s=price_s,
        current=now.name,
        herds=herd.herds,
        loads=herd.loads,
        observed=remarks,
        decisions=_decisions(compared, groups, now, weeks, rows),
        advice=advice_frame(compared.by, rows),
        groups=groups,
        **frames,
    )


def _compared(now: Policy, policies: Sequence[str | Policy]) -> tuple[Compared, ...]:
    given = [policy if isinstance(policy, Policy) else load_policy(policy) for policy in policies]
    named = [Compared(policy, "preset" if policy in presets().values() else "given") for policy in given]
    named = named or [Compared(policy, "preset") for policy in presets().values()]
    found = {now.name: Compared(now, "current")}
    for one in named:
        found.setdefault(one.policy.name, one)
    return tuple(found.values())


def _size(group: Group) -> float:
    return -float(group.outages.weight.sum())


def _groups(
    compared: Comparison, lines: tuple[Compared, ...], price_s: float, seed: int
) -> dict[tuple[Any, ...], GroupTuning]:
    """Return the groups with an estimate, the largest first."""
    return {
        group.key: GroupTuning(
            dict(zip(compared.by, group.key, strict=True)),
            compared.estimates[group.key],
            lines,
            price_s,
            seed,
            sum(group.excluded.values()),
            compared.replays[group.key],
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


def _decisions(
    compared: Comparison,
    groups: dict[tuple[Any, ...], GroupTuning],
    now: Policy,
    weeks: float | None,
    advice: Sequence[Row],
) -> pd.DataFrame:
    by, rows = compared.by, []
    for group in sorted(compared.groups, key=_size):
        key = dict(zip(by, group.key, strict=True))
        # the record that buys most stands first
        told = (f"{one['title']} {one['text']}" for one in advice if one["kind"] == "log" and _is_of(one, key))
        rows.append(decision_row(key, groups.get(group.key), group.outages, now, weeks, next(told, "")))
    return pd.DataFrame(in_order(rows), columns=[*by, *DECISION_COLUMNS])


def _is_of(one: Row, key: dict[str, Any]) -> bool:
    # a null is the same object in both, though not equal to itself
    return all(one[name] is value or one[name] == value for name, value in key.items())


def _name(key: tuple[Any, ...]) -> str:
    return ", ".join("not logged" if pd.isna(value) else str(value) for value in key) or "all outages"


def _weeks(engine: Engine) -> float | None:
    """Return how many weeks of logs there are, None where no source has times."""
    sources = engine.frame("sources")
    first, last = sources["observed_from"].dropna(), sources["observed_until"].dropna()
    if not len(first) or not len(last):
        return None
    return float(max((last.max() - first.min()).total_seconds(), 3600.0)) / 604_800


def _advice(
    compared: Comparison,
    groups: dict[tuple[Any, ...], GroupTuning],
    herd: HerdTuning,
    weeks: float | None,
) -> list[Row]:
    ordered = [(_name(group.key), groups.get(group.key)) for group in sorted(compared.groups, key=_size)]
    rows: list[Row] = summary_advice(ordered)
    if herd.advice:
        rows.append(row({}, "herd", "", herd.advice, is_general=True))
    for group in sorted(compared.groups, key=_size):
        key = dict(zip(compared.by, group.key, strict=True))
        tuned = groups.get(group.key)
        if tuned is None or tuned.estimate.outage_count < MIN_OUTAGES:
            text = f"{len(group.outages)} outages; it takes {MIN_OUTAGES}, better 1,000, to recommend a schedule."
            rows.append(row(key, "change", DECISIONS["few"], text))
            continue
        rows += group_advice(_name(group.key), tuned, herd.size)
        rows += log_advice(tuned, group.outages)
        rows += experiment_advice(tuned, group.outages, weeks)
    return rows
