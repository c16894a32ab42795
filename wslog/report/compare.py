"""This week against the weeks before, in words; what changed is decided by :mod:`wslog.metrics.compare`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from wslog.charts.words import METRICS, Row, between, count, in_words, plural


@dataclass(frozen=True)
class Estimate:
    """The weeks before taken together: a value with its 95 % interval over ``week_count`` weeks whose own values lie between
    ``least`` and ``most``, and the ``verdict`` of the comparison with the week.
    """

    value: float
    low: float
    high: float
    denominator: float
    week_count: int
    least: float
    most: float
    verdict: str


@dataclass(frozen=True)
class Change:
    """``tone`` is same, within, better, worse or unknown; ``word`` is higher, lower or empty; ``text`` is a "
    "sentence."""

    tone: str
    word: str
    text: str


def estimate_of(record: dict[Any, Any] | None, weeks: Sequence[Row]) -> Estimate | None:
    """Return the weeks before from a row of a comparison, or None when they have not enough evidence.

    Parameters
    ----------
    record : dict or None
        A row of :func:`wslog.metrics.compare.compare`.
    weeks : sequence of Row
        The single weeks before.
    """
    if record is None:
        return None
    value, low, high = (record[name] for name in ("before", "before_ci_low", "before_ci_high"))
    if not (value == value and low == low and high == high) or value is None or low is None or high is None:
        return None
    values = [week.value for week in weeks if week.is_ok and week.value is not None] or [value]
    total = float(record["before_denominator"])
    return Estimate(value, low, high, total, len(values), min(values), max(values), str(record["verdict"]))


def before_text(before: Estimate | None, metric: str) -> str:
    """Return the weeks before in words, with their interval and n."""
    if before is None:
        return "Weeks before: not enough evidence."
    kind = METRICS[metric].kind
    return (
        f"{plural(before.week_count, 'week')} before: {in_words(before.value, kind)} "
        f"({between(before.low, before.high, kind)}, n = {count(before.denominator)})."
    )


def change(now: Row | None, before: Estimate | None, metric: str) -> Change:
    """Return how the week differs from the weeks before, in words.

    Notes
    -----
    A difference that the comparison finds, but that is no larger than the weeks before show among themselves, is called that.
    """
    if now is None or not now.is_ok or now.value is None:
        return Change("unknown", "", "Too little evidence to compare.")
    if before is None or before.verdict == "insufficient":
        return Change("unknown", "", "Nothing to compare with.")
    if before.verdict not in ("better", "worse"):
        return Change("same", "", "No evidence of change.")
    word = "higher" if now.value > before.value else "lower"
    if before.least <= now.value <= before.most:
        text = f"{word.capitalize()} than the weeks before together, but within the range of the single weeks."
        return Change("within", word, text)
    text = f"{word.capitalize()} than in each of the weeks before, beyond chance."
    if before.week_count == 1:
        text = f"{word.capitalize()} than in the week before, beyond chance."
    return Change(before.verdict, word, text)
