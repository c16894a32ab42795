"""What `wslog tune` answers: a value of frames, made by :func:`wslog.policy.tune.tune`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from wslog.policy.tuning_group import GroupTuning

FRAMES = (
    "decisions",
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
    the largest first. ``role`` is current (the policy the logs were recorded under), recommended, variant (of it), given (by the
    caller) or preset.

    Parameters
    ----------
    by : tuple of str
    horizon_s : float
        How far an outage is followed.
    price_s : float
        Seconds of downtime that one attempt is worth.
    current : str
        Name of the policy in place.
    decisions : DataFrame
        One row per group, those to change first: ``decision`` (change, none, keep, open, few:
        :data:`wslog.policy.tuning_decisions.DECISIONS`), ``now`` and ``then`` (the waits in words; ``then`` null where none are
        recommended), ``cost_difference_s`` (recommended less current, downtime plus ``price_s`` for each attempt, an outage; null
        for a bound), ``cost_low_s``, ``cost_high_s`` (its 95 % interval, or the bounds), ``cost_status``, ``cost_assumption``,
        ``unknown`` (what these logs do not tell), ``learn`` (what would tell it), ``outage_count``, ``session_count``.
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
        One row per piece of advice: ``kind`` (summary, change, caution, warning, setting, basis, snippet, unknown,
        log, experiment, herd, limit), ``title``,
        ``text``, ``is_general`` (about all groups; its grouping columns are null).
    groups : mapping
        By the values of ``by``, for what is computed further: :class:`~wslog.policy.tuning_group.GroupTuning`.
    """

    by: tuple[str, ...]
    horizon_s: float
    price_s: float
    current: str
    decisions: pd.DataFrame
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
    groups: Mapping[tuple[Any, ...], GroupTuning] = field(default_factory=dict)
