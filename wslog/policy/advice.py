"""A recommendation in words: what to set, what it gains, what that rests on, and what to be careful about.

The figures come from the caller, each with its interval and its status; nothing is estimated here.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from wslog.errors import UsageError
from wslog.policy.advice_snippets import LIBRARIES, SPREAD_S, Snippet, snippet
from wslog.policy.model import STATUSES, Distribution
from wslog.policy.schedule import Schedule
from wslog.safe_text import visible

__all__ = ["LIBRARIES", "MIN_OUTAGES", "Gain", "Herd", "Recommendation", "recommend", "snippet"]

MIN_OUTAGES = 100
"""With fewer, a schedule made on the estimate cost up to 5 % more than the best in simulated worlds."""

QUANTITIES = {
    "downtime_mean_s": ("mean downtime", " s"),
    "downtime_p50_s": ("median downtime", " s"),
    "downtime_p95_s": ("95th percentile of downtime", " s"),
    "attempts_mean": ("attempts an outage", ""),
    "recovery_ratio": ("outages recovered", ""),
}
"""What a gain may be about: its words and unit."""


@dataclass(frozen=True)
class Gain:
    """One figure under the current policy and under the recommendation.

    Parameters
    ----------
    quantity : str
        Key of :data:`QUANTITIES`.
    current, proposed : float
        Under the policy in place and under the recommendation.
    difference, low, high : float
        Proposed minus current, with its 95 % interval (for a bound: the ends of the bound). NaN where nothing can be said.
    status : str
        One of :data:`wslog.policy.model.STATUSES`.
    assumption : str
        What it assumes, if it is assumed.
    """

    quantity: str
    current: float
    proposed: float
    difference: float
    low: float
    high: float
    status: str = "identified"
    assumption: str = ""

    def __post_init__(self) -> None:
        if self.quantity not in QUANTITIES:
            raise UsageError(f"no quantity {self.quantity!r}; there are {', '.join(QUANTITIES)}")
        if self.status not in STATUSES:
            raise UsageError(f"no status {self.status!r}; there are {', '.join(STATUSES)}")

    @property
    def is_known(self) -> bool:
        """Whether the interval excludes no difference."""
        return self.low > 0 or self.high < 0

    def sentence(self) -> str:
        """Return it in words."""
        words, unit = QUANTITIES[self.quantity]
        if self.difference != self.difference:
            return f"{_capital(words)}: the logs cannot show it."
        rests = f"assumed: {self.assumption}" if self.status == "assumed" else self.status
        is_share = self.quantity == "recovery_ratio"

        def level(x: float) -> str:
            return f"{100 * x:.1f} %" if is_share else f"{x:.3g}{unit}"

        def change(x: float) -> str:
            sign = "-" if x < 0 else "+"
            return f"{sign}{100 * abs(x):.1f} percentage points" if is_share else f"{sign}{abs(x):.3g}{unit}"

        if self.status == "bound":
            return (
                f"{_capital(words)}: changes by between {change(self.low)} and {change(self.high)}; where in between the logs "
                "do not say (bound)."
            )
        sure = "" if self.is_known else " The interval holds 0: no difference is possible."
        return (
            f"{_capital(words)}: {level(self.current)} now, {level(self.proposed)} then, {change(self.difference)} "
            f"(95 % interval {change(self.low)} to {change(self.high)}; {rests}).{sure}"
        )


@dataclass(frozen=True)
class Herd:
    """How many clients may lose their connection together, and how fast they can be taken back.

    Parameters
    ----------
    clients : float
        Connections that a restart cuts at once.
    accepts_per_s : float
        New connections the service takes a second.
    """

    clients: float
    accepts_per_s: float

    @property
    def window_s(self) -> float:
        """The window over which the first attempts must be spread for the peak not to exceed the accept rate: N / C."""
        return self.clients / self.accepts_per_s

    def peak_ratio(self, window_s: float) -> float:
        """Return the peak of first attempts over the accept rate when they are spread over a window."""
        return self.window_s / window_s if window_s > 0 else float("inf")


@dataclass(frozen=True)
class Recommendation:
    """What a team lead reads.

    Parameters
    ----------
    group : str
        The group of outages it is for, such as a network type.
    state : str
        ``ok``, or ``insufficient``: too few outages, and nothing is recommended.
    headline : str
        One sentence.
    settings : tuple of str
        What to set.
    gains : tuple of str
        What it gains, each with its interval and what it rests on.
    rests_on : tuple of str
        Evidence and assumptions.
    cautions : tuple of str
        What to be careful about.
    snippets : dict
        Configuration by library; empty when nothing is recommended.
    """

    group: str
    state: str
    headline: str
    settings: tuple[str, ...] = ()
    gains: tuple[str, ...] = ()
    rests_on: tuple[str, ...] = ()
    cautions: tuple[str, ...] = ()
    snippets: dict[str, Snippet] | None = None


def recommend(
    group: str,
    schedule: Schedule,
    outage: Distribution,
    gains: Sequence[Gain],
    *,
    outages: int,
    sessions: int,
    current: str = "the current policy",
    herd: Herd | None = None,
    libraries: Sequence[str] = LIBRARIES,
    connect_timeout_s: float = 10.0,
) -> Recommendation:
    """Return the recommendation for one group.

    Parameters
    ----------
    group : str
        Its name; may come from a log.
    schedule : Schedule
        From :func:`wslog.policy.schedule.best_schedule`.
    outage : Distribution
        The (smoothed) estimate that the schedule was made on.
    gains : sequence of Gain
        The recommendation against the current policy.
    outages, sessions : int
        What the estimate rests on.
    current : str
        Name of the policy in place.
    herd : Herd, optional
        If known, the spread after a restart is sized by it; else 30 s.
    libraries : sequence of str
        Of :data:`LIBRARIES`, to write configuration for.
    connect_timeout_s : float
        Patience with one attempt.

    Raises
    ------
    UsageError
        A library that does not exist.
    """
    name, now = visible(group, 60), visible(current, 60)
    if outages < MIN_OUTAGES:
        text = f"{name}: {outages} outages are too few to recommend a schedule; it takes {MIN_OUTAGES}, better 1,000."
        return Recommendation(name, "insufficient", text)
    if not schedule.waits_s:
        text = f"{name}: at {schedule.price_s:g} s of downtime an attempt, no retry is worth its price."
        return Recommendation(
            name, "ok", text, gains=_sentences(gains), rests_on=_rests(schedule, gains, outages, sessions)
        )
    spread_s = SPREAD_S if herd is None else max(herd.window_s, schedule.waits_s[0])
    made = {
        library: snippet(library, schedule, outage, title=name, spread_s=spread_s, connect_timeout_s=connect_timeout_s)
        for library in libraries
    }
    return Recommendation(
        name, "ok", _headline(name, now, schedule, gains), _settings(schedule, spread_s), _sentences(gains),
        _rests(schedule, gains, outages, sessions), _cautions(schedule, herd, spread_s), made,
    )  # fmt: skip


def waits_in_words(schedule: Schedule) -> str:
    """Return the list of waits as a sentence's part."""
    runs = [(f"{wait:g}", len(list(same))) for wait, same in itertools.groupby(schedule.waits_s)]
    limit = "" if schedule.attempt_limit is None else f", at most {schedule.attempt_limit} attempts"
    parts = [wait if count == 1 else f"{wait} ({count} times)" for wait, count in runs[:-1]]
    if not parts:
        return f"wait {runs[0][0]} s before each attempt{limit}"
    return f"wait {', '.join(parts)}, then {runs[-1][0]} s before every further attempt{limit}"


def _headline(name: str, now: str, schedule: Schedule, gains: Sequence[Gain]) -> str:
    parts = []
    for quantity, words, less in (
        ("downtime_mean_s", "s of mean downtime", "less"),
        ("attempts_mean", "attempts an outage", "fewer"),
    ):
        for gain in gains:
            if gain.quantity == quantity and gain.is_known and gain.status != "bound":
                parts.append(f"{abs(gain.difference):.3g} {words} {less if gain.difference < 0 else 'more'}")
    won = (
        f"against {now}: {', '.join(parts)}"
        if parts
        else f"no difference from {now} is certain in downtime or attempts"
    )
    return f"{name}: {waits_in_words(schedule)}, each with {100 * schedule.jitter:.0f} % jitter; {won}."


def _settings(schedule: Schedule, spread_s: float) -> tuple[str, ...]:
    return (
        f"Before each attempt {waits_in_words(schedule)}.",
        f"Multiply every wait by a random number from {1 - schedule.jitter:g} to {1 + schedule.jitter:g}.",
        f"After close code 1001, 1012 or 1013 add a random part of {spread_s:.3g} s to the first wait; after 1006 do not.",
        "Start the list anew only after a connection that lasted.",
    )


def _sentences(gains: Sequence[Gain]) -> tuple[str, ...]:
    return tuple(gain.sentence() for gain in gains)


def _rests(schedule: Schedule, gains: Sequence[Gain], outages: int, sessions: int) -> tuple[str, ...]:
    assumptions = sorted({gain.assumption for gain in gains if gain.status == "assumed" and gain.assumption})
    terms = schedule.terms
    texts = [
        f"{outages:,} outages of {sessions:,} sessions.",
        f"A price of {terms.price_s:g} s of downtime an attempt; outages are followed for {terms.horizon_s:g} s.",
        f"{100 * terms.failure_ratio:.1f} % of attempts fail although the network is back.",
        f"The list costs {_percent(schedule.rounding_cost_ratio)} more than the exact optimum, and its jitter "
        f"{_percent(schedule.jitter_cost_ratio)}.",
        *(f"Assumed: {text}." for text in assumptions),
    ]
    if any(gain.status == "bound" for gain in gains):
        texts.append(
            "Some figures are bounds: the logs do not reach so far. Log the first successful poll, or explore."
        )
    return tuple(texts)


def _cautions(schedule: Schedule, herd: Herd | None, spread_s: float) -> tuple[str, ...]:
    first = schedule.waits_s[0]
    window = 2 * schedule.jitter * first
    texts = []
    if herd is None:
        texts.append(
            "How many clients a restart cuts (N) and how many connections the service accepts a second (C) is not known "
            f"here: spread the first attempt after 1001, 1012 and 1013 over N / C seconds; {spread_s:.3g} s is only usual."
        )
    else:
        texts.append(
            f"A restart that cuts {herd.clients:,.0f} clients at {herd.accepts_per_s:,.0f} accepts a second needs "
            f"{herd.window_s:.3g} s of spread. Without a close code to tell (1006), first attempts fall within {window:.2g} s: "
            f"about {herd.peak_ratio(window):.2g} times the accept rate at the peak. Close with 1012, a part of the clients "
            "at a time."
        )
    texts.append("Spreading every first attempt that wide instead would cost each short outage the same wait.")
    texts.append(
        "The estimate takes outages as they come: where attempts themselves keep the server down, it does not hold."
    )
    return tuple(texts)


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %"


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]
