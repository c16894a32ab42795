"""The same week's failure rate under several definitions. SQL: ``sql/metrics/failures.sql``; the definitions are data."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from wslog.intervals import MOMENTS
from wslog.metrics.frames import arrange, proportions, run, select

if TYPE_CHECKING:
    from wslog.engine import Engine

KEYS = ("side", "definition")
CLASSES = ("kept", "left", "flapped", "slept", "lost", "unclear", "failed", "abandoned", "unresolved")
"""How an attempt can go; ``sql/metrics/failures.sql`` says what each is."""
WHICH = ("first", "later")


@dataclass(frozen=True)
class Definition:
    """One reading of "failure rate".

    Attributes
    ----------
    definition : str
        Its stable id.
    unit : str
        What is counted: ``attempt``, or ``session`` (a failure when it has counted attempts and all of them failed).
    which : tuple of str
        Of :data:`WHICH`: a session's first attempt, its later ones, or both.
    failures, counted : tuple of str
        Classes of :data:`CLASSES` above and below the line; the others are ``excluded_count``.
    numerator_is, denominator_is, sentence : str
        The same in words, and what the number is good for.
    """

    definition: str
    unit: str
    which: tuple[str, ...]
    failures: tuple[str, ...]
    counted: tuple[str, ...]
    numerator_is: str
    denominator_is: str
    sentence: str


@cache
def definitions() -> tuple[Definition, ...]:
    """Return the definitions of ``definitions.json``, in order."""
    records: list[dict[str, Any]] = json.loads(files("wslog.metrics").joinpath("definitions.json").read_text("utf-8"))
    lists = ("which", "failures", "counted")
    return tuple(Definition(**{**record, **{name: tuple(record[name]) for name in lists}}) for record in records)


def failure_definitions(
    engine: Engine,
    by: str | Iterable[str] = (),
    since: str | None = None,
    until: str | None = None,
    week: str | None = None,
    where: str | None = None,
) -> pd.DataFrame:
    """Return the failure rate of each week under every definition: the definition moves the number.

    Returns
    -------
    pandas.DataFrame
        One row per ``iso_week`` (UTC; null: text without times), group, ``side`` and ``definition``, in the order of
        :func:`definitions`, with ``numerator_is``, ``denominator_is`` and ``sentence`` in words. ``excluded_count``: attempts
        (or sessions) left out by the definition. ``session_never_connected`` needs sessions: no row where none is known.
        ``ci_low``, ``ci_high``: Wilson, clustered by session.

    Raises
    ------
    UsageError

    Notes
    -----
    The example that set the standard: two services published 6.7 % and 2.0 % failed WebRTC calls; the second left out
    calls left before the result was known (tokbox.com/blog/do-12-of-webrtc-calls-really-fail).

    Examples
    --------
    >>> failure_definitions(engine, week="2026-W47")  # doctest: +SKIP
    """
    selection = select(by, since, until, week, where, ["attempts"], ("iso_week", *KEYS))
    groups = ("iso_week", *selection.by)
    counts = run(engine, "failures", "attempts", replace(selection, by=groups))
    keys = [*groups, "side"]
    parts = [
        proportions(_sums(counts, keys, definition)).assign(definition=definition.definition)
        for definition in definitions()
    ]
    frame = arrange(parts, [*groups, *KEYS])
    order = {definition.definition: place for place, definition in enumerate(definitions())}
    frame = frame.assign(place=frame["definition"].map(order)).sort_values(
        [*keys, "place"], kind="stable", na_position="last", ignore_index=True
    )
    frame = frame.drop(columns="place")
    words = {definition.definition: definition for definition in definitions()}
    for name in ("numerator_is", "denominator_is", "sentence"):
        frame[name] = pd.Series([getattr(words[d], name) for d in frame["definition"]], index=frame.index, dtype=object)
    return frame


def _sums(counts: pd.DataFrame, keys: list[str], definition: Definition) -> pd.DataFrame:
    """Return cluster sums of one definition from rows of like sessions."""
    if definition.unit == "session":
        counts = counts[counts["has_session"].astype(bool)]

    def total(classes: Iterable[str]) -> Any:
        names = [f"{which}_{name}" for which in definition.which for name in classes]
        return counts[names].to_numpy(np.float64).sum(axis=1)

    failed, counted, every = total(definition.failures), total(definition.counted), total(CLASSES)
    if definition.unit == "session":
        failed, counted, every = (counted > 0) & (failed == counted), counted > 0, every > 0
    weight, alike = counts["sample_weight"].to_numpy(np.float64), counts["session_count"].to_numpy(np.float64)
    y, n = weight * failed, weight * counted
    columns = {name: np.prod([{"y": y, "n": n}[factor] for factor in name], axis=0) * alike for name in MOMENTS}
    columns |= {
        "cluster_count": (n > 0) * alike, "y_rows": failed * alike, "n_rows": counted * alike,
        "excluded": weight * (every.astype(float) - counted) * alike,
    }  # fmt: skip
    rows = pd.concat([counts[keys], pd.DataFrame(columns, index=counts.index)], axis=1)
    summed = rows.groupby(keys, dropna=False, sort=False, as_index=False, observed=True)[list(columns)].sum()
    return summed.astype({name: counts[name].dtype for name in keys})
