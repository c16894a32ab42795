"""The decision for each group of a tuning: change or not, from what to what, what stays unknown and how it could be learnt."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import NormalDist
from typing import Any

import numpy as np

from wslog.policy.advice import MIN_OUTAGES
from wslog.policy.estimate import ASSUMPTIONS
from wslog.policy.figures import Z95, Figure
from wslog.policy.gains_experiment import POWER, SIGNIFICANCE
from wslog.policy.model import Outages
from wslog.policy.policies import Policy
from wslog.policy.presets import fallback_text
from wslog.policy.recommended import WhilePolling
from wslog.policy.schedule_bounds import last_look_s
from wslog.policy.tuning_group import GroupTuning

DECISIONS = {
    "change": "Change the schedule",
    "none": "No retry is worth its price",
    "keep": "Keep the schedule in place",
    "open": "Keep for now: no certain gain",
    "few": "Too few outages to tell",
}
"""What can be decided about a group, in the order in which groups are listed; the schedule changes only where downtime and attempts
together certainly cost less."""

COLUMNS = (
    "decision", "now", "then", "cost_difference_s", "cost_low_s", "cost_high_s", "cost_status", "cost_assumption", "unknown",
    "learn", "outage_count", "session_count",
)  # fmt: skip

LEARNT_BY_TRYING = (ASSUMPTIONS["polls"], ASSUMPTIONS["gaps"])
"""Assumptions that the logs of a jittered schedule which goes on while it polls do without."""

LISTED, LOOKED_AT = 8, 40
"""Waits of a policy that are written out, and those looked at to see whether they still grow."""

LONGEST_WEEKS = 156.0
"""Nobody waits longer than three years for an answer."""


def decided(group: GroupTuning | None) -> str:
    """Return the key of :data:`DECISIONS` for a group; None stands for one too small to estimate."""
    if group is None or group.estimate.outage_count < MIN_OUTAGES:
        return "few"
    if group.proposed is None:
        return "none"
    cost = group.cost_gain
    if cost is None:
        return "open"
    return "change" if cost.ci_high < 0 else "keep" if cost.ci_low > 0 else "open"


def decision_row(
    key: Mapping[str, Any],
    group: GroupTuning | None,
    outages: Outages,
    current: Policy,
    weeks: float | None,
    records: str = "",
) -> dict[str, Any]:
    """Return the row of one group in ``decisions``; ``weeks`` is how long its logs run, ``records`` what one more would buy."""
    decision = decided(group)
    per_week = float(outages.weight.sum()) / weeks if weeks else None
    found: dict[str, Any] = dict.fromkeys(COLUMNS) | {
        "decision": decision,
        "now": policy_words(current),
        "outage_count": len(outages),
        "session_count": outages.session_count,
    }
    if group is None or decision == "few":
        unknown, learn = _too_few(len(outages), per_week)
    else:
        if group.proposed is not None:
            found["then"] = schedule_words(group)
        unknown, learn = _open_ends(decision, group, records or _log_more(outages), per_week)
        if (cost := group.cost_gain) is not None:
            names = ("cost_difference_s", "cost_low_s", "cost_high_s", "cost_status", "cost_assumption")
            found |= dict(zip(names, (cost.value, *_ends(cost), cost.status, cost.assumption), strict=True))
    return {**key, **found, "unknown": unknown, "learn": learn}


def policy_words(policy: Policy) -> str:
    """Return a policy in half a line: ``linear-3: 1, 2, 3 s, then polling every 1 s``."""
    found = [f"{low:.4g}" if low == high else f"{low:.4g}–{high:.4g}" for low, high in policy.first_delays(LOOKED_AT)]
    then = fallback_text(policy.fallback) or "gives up"
    if not found:
        return f"{policy.name}: no retry, then {then}"
    if policy.max_attempts is not None:
        few = found if len(found) <= LISTED else [*found[:LISTED], "…"]
        return f"{policy.name}: {', '.join(few)} s, then {then}"
    steady = next(place for place in range(len(found)) if len(set(found[place:])) == 1)
    if steady > LISTED:
        return f"{policy.name}: {', '.join(found[:LISTED])} s and so on"
    first = f"{', '.join(found[:steady])}, then " if steady else ""
    return f"{policy.name}: {first}{found[-1]} s every time"


def schedule_words(group: GroupTuning) -> str:
    """Return the recommended waits, wait by wait, and what becomes of the fallback."""
    schedule, proposed = group.schedule, group.proposed
    words = waits_words(schedule.waits_s, schedule.attempt_limit)
    words += f"; each ±{100 * schedule.jitter:.0f} %"
    if isinstance(proposed, WhilePolling) and proposed.fallback is not None:
        words += f"; {proposed.fallback.transport} from the {ordinal(proposed.polls_after)} failure on, trying the WebSocket meanwhile"
    return words


def waits_words(waits_s: Sequence[float], attempt_limit: int | None) -> str:
    """Return ``0.5, 1, then 4 s every time``, or with a limit ``0.5, 1, 4 s, then no more``."""
    waits = [f"{wait:g}" for wait in waits_s[:attempt_limit]]
    if attempt_limit is not None and attempt_limit <= len(waits):
        return f"{', '.join(waits)} s, then no more"
    *first, last = waits
    words = f"{', '.join(first)}, then {last} s every time" if first else f"{last} s every time"
    return words if attempt_limit is None else f"{words} up to attempt {attempt_limit}"


def ordinal(number: int) -> str:
    """Return ``first``, ``second``, ``third``, ``4th`` and so on."""
    return {1: "first", 2: "second", 3: "third"}.get(number, f"{number}th")


def _ends(figure: Figure) -> tuple[float, float]:
    """Return what a difference lies between: its bounds where only they are known, else its 95 % interval."""
    return (figure.bound_low, figure.bound_high) if figure.status == "bound" else (figure.ci_low, figure.ci_high)


def _too_few(count: int, per_week: float | None) -> tuple[str, str]:
    missing = MIN_OUTAGES - count
    unknown = f"Everything about the schedule: {count} outages, and it takes {MIN_OUTAGES}, better 1,000."
    if not per_week:
        return unknown, f"Keep logging, {missing} more outages; or group by fewer columns."
    return unknown, f"Keep logging: {missing} more outages, {_span(missing / per_week)} at the rate of these logs."


def _open_ends(decision: str, group: GroupTuning, records: str, per_week: float | None) -> tuple[str, str]:
    """Return what these logs do not tell about a group with enough outages, and what would tell it."""
    cost = group.cost_gain
    if cost is None:
        return "", ""
    assumed = [part.strip() for part in cost.assumption.split(";") if part.strip()]
    if cost.status == "bound":
        last = last_look_s(group.estimate)
        unknown = (
            "Whether it gains anything: the logs only say that downtime plus attempts cost "
            f"{difference_words(*_ends(cost), ' s')} an outage."
        )
        if last is not None:
            unknown += f" Too few attempts after {last:.3g} s saw when outages end."
        return unknown, records
    if decision != "change":
        unknown = (
            f"Whether it gains anything: downtime plus attempts cost {change_words(cost.value, ' s')} an outage, 95 % interval "
            f"{difference_words(*_ends(cost), ' s')}."
        )
        return unknown, _more_logs(cost, group.estimate.outage_count, per_week)
    if cost.status != "assumed" or not assumed:
        return "", ""
    unknown = f"Assumed, not seen: {'; '.join(assumed)}."
    if all(part in LEARNT_BY_TRYING for part in assumed):
        return unknown, "Put it in place and tune again: its own attempts look where these logs could not."
    return unknown, "Put it in place for half of the sessions and compare."


def _log_more(outages: Outages) -> str:
    has_polls = bool((~np.isnan(outages.poll_ok_s)).any())
    explore = "let a tenth of the outages retry at random times"
    return (
        f"{explore[0].upper()}{explore[1:]}."
        if has_polls
        else f"Log the first poll that succeeds after a fallback, and {explore}."
    )


def outages_to_tell(cost: Figure, count: int) -> float:
    """Return about how many outages, these included, would tell a difference of the size seen from none.

    The standard error falls with the root of the number of outages, and the difference must be (z(0.975) + z(0.8)) of them.
    """
    error = (cost.ci_high - cost.ci_low) / (2 * Z95)
    reach = NormalDist().inv_cdf(1 - SIGNIFICANCE / 2) + NormalDist().inv_cdf(POWER)
    return float("inf") if cost.value == 0 else count * (reach * error / cost.value) ** 2


def _more_logs(cost: Figure, count: int, per_week: float | None) -> str:
    wanted = outages_to_tell(cost, count)
    weeks = None if not per_week else (wanted - count) / per_week
    if not np.isfinite(wanted) or (weeks is not None and weeks > LONGEST_WEEKS):
        return "Nothing worth waiting for: a difference of that size takes more than three years of such logs."
    time = "" if weeks is None else f", {_span(weeks)} more of such logs"
    return f"About {_round(wanted):,} outages in all would tell a difference of that size{time}."


def _round(count: float) -> int:
    """Return a number to two digits: it is no more exact than that."""
    return int(float(f"{count:.2g}"))


def _span(weeks: float) -> str:
    return f"about {max(_round(weeks), 1):,} week{'' if _round(weeks) <= 1 else 's'}"


def _size(value: float) -> str:
    """Return a size to two digits, and to the whole number from 100 on: ``0.38``, ``57``, ``125``."""
    return f"{value:.2g}" if value < 99.5 else f"{value:,.0f}"


def change_words(value: float, unit: str) -> str:
    """Return a difference in words: ``57 s less``."""
    return f"{_size(abs(value))}{unit} {'less' if value < 0 else 'more'}"


def difference_words(low: float, high: float, unit: str) -> str:
    """Return what a difference lies between: ``35 to 80 s less``, ``7 s less to 2.2 s more``."""
    if low < 0 < high:
        return f"{change_words(low, unit)} to {change_words(high, unit)}"
    near, far = sorted((low, high), key=abs)
    return f"{_size(abs(near))} to {change_words(far, unit)}"


def in_order(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows of ``decisions`` with what is to be done first, else as they were."""
    places = list(DECISIONS)
    return sorted(rows, key=lambda found: places.index(found["decision"]))
