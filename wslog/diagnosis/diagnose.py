"""Every abnormal end and every failed connect gets one cause of a closed list, with the evidence it rests on.

Each detector is asked over the whole selection, so that what shows only in numbers (idle timeouts, herds, blocked networks)
is tested once; its members are then labelled. An attempt keeps all rules that fired on it: the first in the order of
``rules.json`` gives its cause. Where none fires, the cause is ``unexplained``: 1006 alone is no evidence.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from wslog.diagnosis import (
    blocked,
    carrier,
    clock,
    direct,
    expired,
    handover,
    herds,
    idle,
    patterns,
    sleep,
    throttled,
    views,
)
from wslog.diagnosis.findings import FINDING_COLUMNS, Finding, Herd, Hits, Told
from wslog.diagnosis.herd_measures import measure
from wslog.diagnosis.limits import limits
from wslog.diagnosis.model import BoolArray, Observed, TextArray
from wslog.diagnosis.rules import precedence, rule, rules
from wslog.intervals import MOMENTS
from wslog.metrics.frames import arrange, proportions, select
from wslog.selection import Filter, Selection, Term, unknown

if TYPE_CHECKING:
    from wslog.engine import Engine

KEYS = ("side", "cause")
ATTEMPT_COLUMNS = (
    "attempt_id",
    "side",
    "session_key",
    "ended_at",
    "outcome",
    "cause",
    "confidence",
    "rule_ids",
    "evidence",
)


@dataclass(frozen=True)
class Diagnosis:
    """The answer of :func:`diagnose`.

    Attributes
    ----------
    causes : pandas.DataFrame
        Metric frame: one row per group, ``side`` and ``cause``. ``value`` is the share of the abnormal ends and failed
        connects of that group and side; ``excluded_count`` those that the log cannot tell apart from orderly ends (a
        proxy's bare line) or that were waiting when the log ends.
    findings : pandas.DataFrame
        One row per thing found in the selection as a whole: ``rule_id``, ``cause``, ``what`` (plain words), ``size`` and
        ``session_count``, ``confidence``, ``statistic`` (a ratio to what was expected), ``p_value``, ``q_value`` (null: the
        rule needs no test), ``evidence``, ``remedy``, ``source``. Largest first.
    attempts : pandas.DataFrame
        One row per abnormal end and failed connect: ``attempt_id``, ``side``, ``session_key``, ``ended_at``, ``outcome``,
        ``cause``, ``confidence`` (null: unexplained), ``rule_ids`` (all that fired, by precedence, with spaces between),
        ``evidence`` (of the first).
    herds : pandas.DataFrame
        The table ``herds``: one row per herd of losses (:func:`wslog.diagnosis.herd_measures.measure`).
    story : pandas.DataFrame or None
        With ``session``: what happened in it, in order of time (:func:`wslog.diagnosis.story.tell`).
    limits : tuple of str
        What these logs cannot show (:func:`wslog.diagnosis.limits.limits`).
    """

    causes: pd.DataFrame
    findings: pd.DataFrame
    attempts: pd.DataFrame
    herds: pd.DataFrame
    story: pd.DataFrame | None = None
    limits: tuple[str, ...] = ()


def diagnose(
    engine: Engine,
    by: str | Iterable[str] = (),
    session: str | None = None,
    since: str | None = None,
    until: str | None = None,
    week: str | None = None,
    where: str | None = None,
) -> Diagnosis:
    """Name the cause of every abnormal end and failed connect.

    Abnormal ends are the outcomes dropped, idle_timeout and closed_by_server; failed connects are network_failed,
    rejected, handshake_timeout and never_opened (once their end was seen, or the session went on).

    Parameters
    ----------
    engine : Engine
    by : str or iterable of str
        Grouping columns of the frame ``causes``.
    session : str, optional
        A ``session_key``: the frames ``attempts`` and ``causes`` are of this session, and ``story`` tells it. What is
        looked for in numbers is still looked for in the whole selection.
    since, until, week, where : str, optional
        As of every metric.

    Returns
    -------
    Diagnosis

    Raises
    ------
    UsageError
        Also when there is no such session.

    Examples
    --------
    >>> diagnose(engine, by=["network_type"], week="2026-W47").causes  # doctest: +SKIP
    """
    selection = select(by, since, until, week, where, ["attempts"], KEYS)
    seen = observe(engine, selection)
    exposure = engine.run("diagnosis/exposure", "attempts", selection)
    hits, findings, together = look(seen, exposure)
    attempts = label(seen, hits)
    groups = engine.run("diagnosis/groups", "attempts", selection)
    story = None
    chosen = np.ones(seen.count, dtype=bool)
    if session is not None:
        story = _story(engine, session, attempts)
        chosen = seen.among("session_key", (session,))
    causes = _causes(seen, attempts["cause"], chosen, groups, selection.by)
    if session is not None:
        attempts = attempts[chosen].reset_index(drop=True)
    return Diagnosis(
        causes, _findings(findings), attempts, measure(engine, selection, seen, together), story, limits(seen.totals)
    )


def observe(engine: Engine, selection: Selection) -> Observed:
    """Read what the detectors look at."""
    views.make(engine)
    names = ("moves", "sessions", "totals", "clocks", "opens", "waits")
    frames = {name: engine.run(f"diagnosis/{name}", "attempts", selection) for name in names}
    return Observed(cases=engine.fetch("diagnosis/cases", "attempts", selection), **frames)


def look(seen: Observed, exposure: pd.DataFrame) -> tuple[list[Hits], list[Finding], list[Herd]]:
    """Ask every detector; those that need to know what is explained already come last."""
    hits: list[Hits] = []
    findings: list[Finding] = []
    if not seen.count:
        return hits, findings, []
    count = seen.count
    together, ended = herds.detect(seen), expired.detect(seen)
    first = (
        direct.detect(seen),
        clock.detect(seen),
        together,
        ended,
        blocked.detect(seen, ended.named(count)),
        idle.detect(seen, together.named(count)),
        handover.detect(seen),
        sleep.detect(seen),
        patterns.flapping(seen),
        patterns.last_words(seen),
        throttled.detect(seen),
    )
    for fired in first:
        hits += fired.hits
        findings += fired.findings
    causes, _ = _first_causes(seen, hits)
    late = carrier.detect(seen, exposure, causes == "", causes == "idle_timeout")
    hits, findings = hits + late.hits, findings + late.findings
    # a connection's other view first, then what began an outage that was explained so
    for _ in range(2):
        causes, confidence = _first_causes(seen, hits)
        passed = patterns.inherit(seen, causes, confidence)
        hits = hits + passed.hits
    return hits, _counted(seen, hits, findings), together.herds


def _first_causes(seen: Observed, hits: Sequence[Hits]) -> tuple[TextArray, TextArray]:
    """Return cause and confidence of each case by the first rule that fired, empty where none did."""
    causes = np.full(seen.count, "", dtype=object)
    confidence = np.full(seen.count, "", dtype=object)
    for hit in _weakest_first(hits):
        causes[hit.at] = rule(hit.rule_id).cause if hit.causes is None else hit.causes
        confidence[hit.at] = hit.confidence
    return causes, confidence


def _weakest_first(hits: Sequence[Hits]) -> list[Hits]:
    order = precedence()
    return sorted(hits, key=lambda hit: -order[hit.rule_id])


def _counted(seen: Observed, hits: Sequence[Hits], findings: Sequence[Finding]) -> list[Finding]:
    """Take what has a cause with better evidence out of the findings about single lines; those left with too little go."""
    order = precedence()
    first = np.full(seen.count, len(order), dtype=np.int64)
    for hit in _weakest_first(hits):
        first[hit.at] = order[hit.rule_id]
    found = []
    for finding in findings:
        if finding.at is not None:
            kept = finding.at[first[finding.at] == order[finding.rule_id]]
            if len(kept) < direct.MIN_ANSWERS:
                continue
            what = finding.what.replace("{size}", f"{len(kept):,}")
            finding = replace(finding, what=what, size=len(kept), session_count=seen.distinct("cluster_key", kept))
        found.append(finding)
    return found


def label(seen: Observed, hits: Sequence[Hits]) -> pd.DataFrame:
    """Return the frame ``attempts`` of a diagnosis."""
    causes, confidence = _first_causes(seen, hits)
    ordered = _weakest_first(hits)
    owner = np.full(seen.count, -1, dtype=np.int64)
    for number, hit in enumerate(ordered):
        owner[hit.at] = number
    evidence = np.full(seen.count, "", dtype=object)
    for number, hit in enumerate(ordered):
        # only what the row shows is put into words
        mine = hit.at[owner[hit.at] == number]
        evidence[mine] = hit.evidence if isinstance(hit.evidence, str) else hit.evidence.of(mine)
    bare = np.flatnonzero(owner < 0).astype(np.int64)
    evidence[bare] = _bare(seen).of(bare)
    ended_us = pd.array(seen.numbers("at_us"), dtype="Float64").astype("Int64")
    columns = {
        "attempt_id": seen.cases["attempt_id"].to_numpy(),
        "side": seen.words("side"),
        "session_key": _or_none(seen.words("session_key")),
        "outcome": seen.words("outcome"),
        "cause": np.where(causes == "", "unexplained", causes),
        "confidence": _or_none(confidence),
        "rule_ids": _fired(seen, hits),
        "evidence": evidence,
    }
    frame = {name: pd.Series(values, dtype=object) for name, values in columns.items()}
    frame["ended_at"] = pd.to_datetime(pd.Series(ended_us), unit="us", utc=True)
    return pd.DataFrame(frame, columns=list(ATTEMPT_COLUMNS))


def _or_none(texts: TextArray) -> TextArray:
    found = texts.copy()
    found[texts == ""] = None
    return found


def _fired(seen: Observed, hits: Sequence[Hits]) -> TextArray:
    """Return the rules that fired on each case, by precedence, with spaces between."""
    order = precedence()
    bits = np.zeros(seen.count, dtype=np.uint64)
    for hit in hits:
        bits[hit.at] |= np.uint64(1 << order[hit.rule_id])
    found, places = np.unique(bits, return_inverse=True)
    names = [entry.rule_id for entry in rules()]
    texts = [" ".join(name for k, name in enumerate(names) if number >> k & 1) for number in found.tolist()]
    said: TextArray = np.array(texts, dtype=object)[places]
    return said


def _bare(seen: Observed) -> Told:
    """Return what is known of cases that nothing explains: outcome, code and error class."""
    names = ("outcome", "close_code", "error_class", "lifetime_s", "silence_s")
    return Told([(n, seen.numbers(n) if n.endswith(("_s", "code")) else seen.words(n)) for n in names])


def _findings(findings: Sequence[Finding]) -> pd.DataFrame:
    ordered = sorted(findings, key=lambda finding: (-finding.size, finding.rule_id, finding.what))
    return pd.DataFrame([finding.record() for finding in ordered], columns=list(FINDING_COLUMNS))


def _causes(
    seen: Observed, cause: pd.Series[Any], chosen: BoolArray, groups: pd.DataFrame, by: Sequence[str]
) -> pd.DataFrame:
    """Return the metric frame of the chosen cases: sums over clusters as the SQL of other metrics gives them."""
    keys = [*by, "side"]
    # both in order of row_key, and of the same attempts
    rows = groups[groups["row_key"].notna()].sort_values("row_key", kind="stable", ignore_index=True)
    rows = rows.drop(columns=["excluded", "row_key"]).assign(
        cause=cause, cluster_key=seen.codes("cluster_key")[0], w=seen.numbers("sample_weight")
    )[chosen]
    untold = groups[groups["row_key"].isna()]
    columns = [*keys, "cause", *MOMENTS, "cluster_count", "y_rows", "n_rows", "excluded"]
    if rows.empty:
        return arrange([proportions(pd.DataFrame(columns=columns).astype({"cause": object}))], [*keys, "cause"])
    of_all = [name for name in MOMENTS if "y" not in name]
    of_cause = [name for name in MOMENTS if "y" in name]
    clusters = _sum(rows, [*keys, "cluster_key"], n=("w", "sum"), n_rows=("w", "size"))
    for name in of_all[1:]:
        clusters[name] = clusters["n"] ** len(name)
    totals: dict[str, tuple[str, str]] = {name: (name, "sum") for name in (*of_all, "n_rows")}
    groups_n = _sum(clusters, keys, cluster_count=("n", "size"), **totals)
    parts = _sum(rows, [*keys, "cluster_key", "cause"], y=("w", "sum"), y_rows=("w", "size"))
    parts = parts.merge(clusters[[*keys, "cluster_key", "n"]], on=[*keys, "cluster_key"])
    for name in of_cause[1:]:
        parts[name] = parts["y"] ** name.count("y") * parts["n"] ** name.count("n")
    totals = {name: (name, "sum") for name in (*of_cause, "y_rows")}
    hit = _sum(parts, [*keys, "cause"], **totals)
    # every cause that occurs anywhere is told of every group: none of 50 is a fact too
    every = groups_n.merge(pd.DataFrame({"cause": sorted(rows["cause"].unique())}), how="cross")
    sums = every.merge(hit, on=[*keys, "cause"], how="left").fillna(dict.fromkeys((*of_cause, "y_rows"), 0.0))
    left_out = _sum(untold, keys, excluded=("excluded", "sum")) if len(untold) and chosen.all() else None
    sums = sums.assign(excluded=0.0) if left_out is None else sums.merge(left_out, on=keys, how="left")
    sums["excluded"] = sums["excluded"].fillna(0.0)
    return arrange([proportions(sums[columns])], [*keys, "cause"])


def _sum(frame: pd.DataFrame, keys: Sequence[str], **sums: tuple[str, str]) -> pd.DataFrame:
    found: pd.DataFrame = frame.groupby(list(keys), dropna=False, sort=False, observed=True).agg(**sums).reset_index()
    return found


def _story(engine: Engine, session: str, attempts: pd.DataFrame) -> pd.DataFrame:
    from wslog.diagnosis.story import tell

    one = Selection((), filter=Filter((Term("session_key", "=", (session,)),)))
    steps = engine.run("diagnosis/story", "attempts", one)
    if steps.empty:
        known = engine.run("diagnosis/sessions", "attempts", Selection())["session_key"]
        raise unknown("session", session, [str(name) for name in known[:5]])
    episodes = engine.frame("episodes", where=None)
    return tell(steps, attempts[attempts["session_key"] == session], episodes[episodes["session_key"] == session])
