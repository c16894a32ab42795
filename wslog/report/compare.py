"""This week against the weeks before, without claiming more than the intervals carry."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from wslog.charts.words import METRICS, Row, between, count, in_words, plural

_Z = 1.959964  # two-sided 95 %


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % interval over ``week_count`` weeks whose own values lie between ``least`` and ``most``."""

    value: float
    low: float
    high: float
    denominator: float
    week_count: int
    least: float
    most: float


@dataclass(frozen=True)
class Change:
    """``tone`` is same, within, better, worse or unknown; ``word`` is higher, lower or empty; ``text`` is a "
    "sentence."""

    tone: str
    word: str
    text: str


def pool(weeks: Sequence[Row], metric: str) -> Estimate | None:
    """Return the rate of several weeks taken together, or None when no week has enough evidence.

    Notes
    -----
    The value is the sum of the numerators over the sum of the denominators. Its interval treats the weeks as
    independent: half a week's interval over 1.96 is its standard error, and the errors add up in squares, weighted by
    the denominators. The weeks' own intervals already allow for sessions that bring several attempts.
    """
    used = [
        (w.numerator or 0.0, w.denominator, (w.high - w.low) / 2, w.value or 0.0)
        for w in weeks
        if w.is_ok and w.denominator and w.low is not None and w.high is not None
    ]
    if not used:
        return None
    total = sum(denominator for _, denominator, _, _ in used)
    value = sum(numerator for numerator, _, _, _ in used) / total
    half = math.sqrt(sum((denominator / total * half / _Z) ** 2 for _, denominator, half, _ in used)) * _Z
    top = 1.0 if METRICS[metric].kind == "share" else math.inf
    values = [own for _, _, _, own in used]
    return Estimate(value, max(0.0, value - half), min(top, value + half), total, len(used), min(values), max(values))


def pooled_row(row: Row | None, weeks: Sequence[Row]) -> Estimate | None:
    """Return the estimate of a row that already covers the weeks before (a quantile cannot be pooled from weeks)."""
    if row is None or not row.is_ok or row.value is None or row.low is None or row.high is None:
        return None
    values = [week.value for week in weeks if week.is_ok and week.value is not None] or [row.value]
    return Estimate(row.value, row.low, row.high, row.denominator or 0.0, len(values), min(values), max(values))


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
    A difference is called one only where the two 95 % intervals do not overlap, which is stricter than a test at 5 %
    and so leaves room for looking at four numbers at once. One that is no larger than the weeks before show among
    themselves is called that.
    """
    if now is None or not now.is_ok or now.value is None or now.low is None or now.high is None:
        return Change("unknown", "", "Too little evidence to compare.")
    if before is None:
        return Change("unknown", "", "Nothing to compare with.")
    if now.low <= before.high and before.low <= now.high:
        return Change("same", "", "No evidence of change: the intervals overlap.")
    word = "higher" if now.value > before.value else "lower"
    if before.least <= now.value <= before.most:
        text = f"{word.capitalize()} than the weeks before together, but within the range of the single weeks."
        return Change("within", word, text)
    is_good = (word == "higher") == (metric == "connect_success_rate")
    text = f"{word.capitalize()} than in each of the weeks before; the intervals do not overlap."
    if before.week_count == 1:
        text = f"{word.capitalize()} than in the week before; the intervals do not overlap."
    return Change("better" if is_good else "worse", word, text)
