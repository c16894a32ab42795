"""Advice of a tuning, as rows: what to change, what stays unknown, what would settle it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from wslog.policy.advice import Gain, Herd, Recommendation, recommend, waits_in_words
from wslog.policy.figures import Figure
from wslog.policy.gains import PLANS, log_gains
from wslog.policy.gains_experiment import design_effect_of, experiment_size
from wslog.policy.model import Outages
from wslog.policy.recommended import WhilePolling
from wslog.policy.schedule_bounds import last_look_s
from wslog.policy.tuning_decisions import DECISIONS, change_words, decided, difference_words, ordinal
from wslog.policy.tuning_group import GroupTuning

QUANTITIES = {
    "downtime_mean_s": "downtime_mean_s",
    "attempt_count_mean": "attempts_mean",
    "downtime_p50_s": "downtime_p50_s",
    "downtime_p95_s": "downtime_p95_s",
    "recovery_ratio": "recovery_ratio",
}
"""Figures whose gain is put into words, and what :mod:`wslog.policy.advice` calls them."""

DRAWS = 20_000
LOGGED = 2000
"""Outages of a simulated log at most: it is estimated while somebody waits."""
Row = dict[str, Any]


def row(key: Mapping[str, Any], kind: str, title: str, text: str, is_general: bool = False) -> Row:
    """Return one row of the advice frame."""
    return {**key, "kind": kind, "title": title, "text": text, "is_general": is_general}


def group_advice(name: str, group: GroupTuning, herd: Herd | None) -> list[Row]:
    """Return what to do about one group that has enough outages."""
    current = group.current.name if group.current is not None else "the current policy"
    estimate = group.estimate
    found = recommend(
        name,
        group.schedule,
        group.made_for,
        [_gain(figure, group, current) for figure in group.gains if figure.name in QUANTITIES],
        outages=estimate.outage_count,
        sessions=estimate.session_count,
        current=current,
        herd=herd,
    )
    decision = decided(group)
    lead = "" if decision == "change" or group.proposed is None or group.guarded else "The best schedule found: "
    rows = [row(group.key, "change", DECISIONS[decision], lead + _words(found, group))]
    if guard := _guard(group):
        rows.append(row(group.key, "caution", "", guard))
    if estimate.refusal:
        text = f"{estimate.refusal[0].upper()}{estimate.refusal[1:]}: what they left behind is not known, so the tail is only bounded."
        rows.append(row(group.key, "warning", "Tails refused.", text))
    rows += [row(group.key, "setting", "", text) for text in found.settings]
    # the assumptions stand beside the figures that need them
    rows += [row(group.key, "basis", "", text) for text in found.rests_on if not text.startswith("Assumed:")]
    for library, made in (found.snippets or {}).items():
        extra = f" (costs {100 * made.extra_cost_ratio:.1f} % more)" if made.extra_cost_ratio > 0.001 else ""
        limits = f"What it cannot do: {'; '.join(made.limits)}." if made.limits else ""
        rows.append(row(group.key, "snippet", f"{library}{extra}: {limits}", made.code))
    return rows + _unknown(group)


def _gain(figure: Figure, group: GroupTuning, current: str) -> Gain:
    ours = {f.name: f for f in group.figures[group.proposed.name]} if group.proposed is not None else {}
    theirs = {f.name: f for f in group.figures[current]}
    is_bound = figure.status == "bound"
    ends = (figure.bound_low, figure.bound_high) if is_bound else (figure.ci_low, figure.ci_high)
    return Gain(
        QUANTITIES[figure.name],
        theirs[figure.name].value,
        ours[figure.name].value,
        (figure.bound_low + figure.bound_high) / 2 if is_bound else figure.value,
        *ends,
        figure.status,
        figure.assumption,
    )


def _words(found: Recommendation, group: GroupTuning) -> str:
    if found.state != "ok" or group.proposed is None:
        return found.headline
    words = waits_in_words(group.schedule)
    text = f"{words[0].upper()}{words[1:]}, each with {100 * group.schedule.jitter:.0f} % jitter."
    if isinstance(group.proposed, WhilePolling) and group.proposed.fallback is not None:
        text += (
            f" From the {ordinal(group.proposed.polls_after)} failure on go over to {group.proposed.fallback.transport} as now, "
            "and go on trying the WebSocket meanwhile."
        )
    return text


def _guard(group: GroupTuning) -> str:
    """Return what a schedule is chosen by where the log does not settle which is the best."""
    if group.guarded is None or group.proposed is None:
        return ""
    last = last_look_s(group.estimate)
    unseen = "that people left" if last is None else f"that last longer than {last:.3g} s"
    return (
        f"These logs hold too few looks to tell when outages {unseen} end, so no schedule can be called the best: this one is "
        f"chosen to be the least wrong. Whenever they end, it costs at most {100 * group.guarded.worst_regret_ratio:.0f} % more, downtime and "
        "attempts together, than the schedule one would choose knowing it."
    )


def _unknown(group: GroupTuning) -> list[Row]:
    """Return which figures are bounds, and which policies cannot be told from the recommended one."""
    if group.proposed is None:
        return []
    mine = {figure.name: figure for figure in group.figures[group.proposed.name]}
    open_names = [
        name for name in ("recovery_ratio", "downtime_mean_s", "downtime_p95_s") if mine[name].status == "bound"
    ]
    if not open_names:
        return []
    reason = mine[open_names[0]].assumption
    words = {
        "recovery_ratio": "how many come back",
        "downtime_mean_s": "the mean downtime",
        "downtime_p95_s": "the 95th percentile",
    }
    text = f"Under the recommended schedule {_listed([words[name] for name in open_names])} cannot be told from these logs: {reason}."
    last = last_look_s(group.estimate)
    if last is not None:
        text += f" There are too few looks after {last:.3g} s to tell schedules apart that differ only later."
    return [row(group.key, "unknown", "Only bounds.", text)]


def _listed(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def summary_advice(groups: Iterable[tuple[str, GroupTuning | None]]) -> list[Row]:
    """Return the decision in one paragraph: which groups to change and what it gains, which to leave, which need more logs."""
    named: dict[str, list[str]] = {}
    for name, group in groups:
        decision = decided(group)
        words = f"{name} ({_gained(group)})" if group is not None and decision == "change" else name
        named.setdefault(decision, []).append(words)
    leads = {
        "change": "Change the schedule on {}.",
        "none": "No retry is worth its price on {}.",
        "keep": "Keep what is in place on {}: the best schedule found costs more.",
        "open": "Keep what is in place for now on {}: no gain is certain.",
        "few": "Too few outages to tell on {}.",
    }
    words = " ".join(lead.format(_listed(named[decision])) for decision, lead in leads.items() if decision in named)
    return [row({}, "summary", "", words, is_general=True)] if words else []


def _gained(group: GroupTuning) -> str:
    """Return what the recommended schedule changes, in mean downtime and attempts."""
    of = {figure.name: figure for figure in group.gains}
    parts = []
    for name, words, unit in (
        ("downtime_mean_s", "mean downtime", " s"),
        ("attempt_count_mean", "attempts an outage", ""),
    ):
        figure = of[name]
        if figure.status == "bound":
            parts.append(f"{words} {difference_words(figure.bound_low, figure.bound_high, unit)}")
        else:
            change = change_words(figure.value, unit)
            parts.append(f"{words} {change}, 95 % interval {difference_words(figure.ci_low, figure.ci_high, unit)}")
    return "; ".join(parts)


def experiment_advice(group: GroupTuning, outages: Outages, weeks: float | None) -> list[Row]:
    """Return how large an experiment between the two policies must be."""
    if group.proposed is None or group.current is None:
        return []
    now, then = group.draws(group.current.name, DRAWS), group.draws(group.proposed.name, DRAWS)
    effect = design_effect_of(outages.attempt_count.astype(np.float64), outages.cluster)
    per_week = float(outages.weight.sum()) / weeks if weeks else None
    gain = next((f.value for f in group.gains if f.name == "downtime_mean_s" and np.isfinite(f.value)), None)
    found = experiment_size(now, then, "mean", difference=gain, design_effect=effect, outages_per_week=per_week)
    return [row(group.key, "experiment", "Half of the sessions on each schedule.", found.sentence("downtime", " s"))]


def log_advice(group: GroupTuning, outages: Outages) -> list[Row]:
    """Return what one more log field, or exploring, would narrow, what buys most first; nothing where no figure of the recommendation is a bound."""
    if group.proposed is None or group.current is None:
        return []
    mine = {figure.name: figure for figure in group.figures[group.proposed.name]}
    name = next((n for n in ("downtime_mean_s", "recovery_ratio", "downtime_p95_s") if mine[n].status == "bound"), None)
    if name is None:
        return []
    fit, count = group.estimate.fit, min(group.estimate.outage_count, LOGGED)
    has_polls = bool((~np.isnan(outages.poll_ok_s)).any())
    plans = [plan for plan in PLANS[1:] if plan.explored_ratio == 0.1 or (plan.has_polls and not has_polls)]
    found = log_gains(
        fit.network, fit.blocked_ratio, group.failure_ratio, group.current, group.proposed, count,
        plans=plans, horizon_s=group.terms.horizon_s, fail_s=group.terms.fail_s, seed=group.seed,
    )  # fmt: skip
    now = mine[name]
    width = now.ci_high - now.ci_low
    is_share = name.endswith("_ratio")
    rows = []
    for one in sorted(found, key=lambda gain: gain.width):
        if one.quantity != name or not one.width < width:
            continue
        wide, narrow = (f"{100 * w:.2g} points" if is_share else f"{w:.3g} s" for w in (width, one.width))
        what = {"recovery_ratio": "The share recovered", "downtime_mean_s": "The mean downtime"}.get(
            name, "The 95th percentile"
        )
        text = (
            f"{what} under the recommended schedule is open within {wide} now; {count:,} outages logged so would leave {narrow} "
            f"({one.status}), as simulated from this estimate."
        )
        rows.append(row(group.key, "log", f"{one.plan[0].upper()}{one.plan[1:]}.", text))
    return rows


def advice_frame(by: Iterable[str], rows: list[Row]) -> pd.DataFrame:
    """Return the advice as a frame."""
    return pd.DataFrame(rows, columns=[*by, "kind", "title", "text", "is_general"])
