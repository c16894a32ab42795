"""Which close codes do connections end with? SQL: ``sql/metrics/close_codes.sql``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from wslog.metrics.compare import Query
from wslog.metrics.compare import compare as comparison
from wslog.metrics.frames import arrange, proportions, run, select

if TYPE_CHECKING:
    import pandas as pd

    from wslog.engine import Engine

KEYS = ("side", "close_code", "close_code_source")

QUERIES = (Query("close_codes", "attempts", KEYS, is_distribution=True),)


def close_codes(
    engine: Engine,
    by: str | Iterable[str] = (),
    since: str | None = None,
    until: str | None = None,
    week: str | None = None,
    where: str | None = None,
    compare: str | None = None,
) -> pd.DataFrame:
    """Return how attempts ended, by close code and where the code comes from.

    Returns
    -------
    pandas.DataFrame
        One row per group, ``side``, ``close_code`` (null: none is known) and ``close_code_source``. ``value`` is the share
        among the group's attempts of that side whose end was seen, opened or not (``is_opened`` can be asked for in
        ``by``); ``excluded_count`` counts those without a seen end. ``ci_low``, ``ci_high``: Wilson, clustered by session.

    With ``compare`` (an ISO week, or a filter) instead what changed: see :func:`wslog.metrics.compare.compare`.

    Raises
    ------
    UsageError

    Examples
    --------
    >>> close_codes(engine, by=["network_type"], week="2026-W47")  # doctest: +SKIP
    """
    if compare is not None:
        return comparison(engine, QUERIES, KEYS, ["attempts"], by, since, until, week, where, compare)
    selection = select(by, since, until, week, where, ["attempts"], KEYS)
    return arrange([proportions(run(engine, "close_codes", "attempts", selection))], [*selection.by, *KEYS])
