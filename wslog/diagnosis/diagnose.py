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
import numpy.typing as npt
import pandas as pd

from wslog.diagnosis import blocked, carrier, clock, direct, expired, handover, herds, idle, patterns, sleep, throttled
from wslog.diagnosis.herd_measures import measure
from wslog.diagnosis.limits import limits
from wslog.diagnosis.model import FINDING_COLUMNS, Finding, Herd, Hits, Observed, named
from wslog.diagnosis.rules import precedence, rule
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
    if session is not None:
        story = _story(engine, session, attempts)
        attempts = attempts[attempts["session_key"] == session].reset_index(drop=True)
    causes = _causes(seen, attempts, groups, selection.by, session is not None)
    return Diagnosis(
        causes, _findings(findings), attempts, measure(engine, selection, seen, together), story, limits(seen.totals)
    )


def observe(engine: Engine, selection: Selection) -> Observed:
    """Read what the detectors look at."""
    names = ("cases", "moves", "sessions", "totals", "clocks", "opens", "waits")
    return Observed(**{name: engine.run(f"diagnosis/{name}", "attempts", selection) for name in names})


def look(seen: Observed, exposure: pd.DataFrame) -> tuple[list[Hits], list[Finding], list[Herd]]:
    """Ask every detector; those that need to know what is explained already come last."""
    hits: list[Hits] = []
    findings: list[Finding] = []
    if seen.cases.empty:
        return hits, findings, []
    count = len(seen.cases)
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


def _first_causes(seen: Observed, hits: Sequence[Hits]) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Return cause and confidence of each case by the first rule that fired, empty where none did."""
    causes = np.full(len(seen.cases), "", dtype=object)
    confidence = np.full(len(seen.cases), "", dtype=object)
    order = precedence()
    for hit in sorted(hits, key=lambda h: -order[h.rule_id]):
        causes[hit.at] = np.array(hit.causes, dtype=object) if len(hit.causes) else rule(hit.rule_id).cause
        confidence[hit.at] = (
            hit.confidence if isinstance(hit.confidence, str) else np.array(hit.confidence, dtype=object)
        )
    return causes, confidence


def _counted(seen: Observed, hits: Sequence[Hits], findings: Sequence[Finding]) -> list[Finding]:
    """Take what has a cause with better evidence out of the findings about single lines; those left with too little go."""
    order = precedence()
    first = np.full(len(seen.cases), "", dtype=object)
    for hit in sorted(hits, key=lambda h: -order[h.rule_id]):
        first[hit.at] = hit.rule_id
    who = seen.words("cluster_key")
    found = []
    for finding in findings:
        if finding.at is not None:
            kept = finding.at[first[finding.at] == finding.rule_id]
            if len(kept) < direct.MIN_ANSWERS:
                continue
            what = finding.what.replace("{size}", f"{len(kept):,}")
            finding = replace(finding, what=what, size=len(kept), session_count=len(set(who[kept])))
        found.append(finding)
    return found


def label(seen: Observed, hits: Sequence[Hits]) -> pd.DataFrame:
    """Return the frame ``attempts`` of a diagnosis."""
    count = len(seen.cases)
    causes, confidence = _first_causes(seen, hits)
    evidence = np.full(count, "", dtype=object)
    rule_ids: list[list[str]] = [[] for _ in range(count)]
    order = precedence()
    for hit in sorted(hits, key=lambda h: -order[h.rule_id]):
        evidence[hit.at] = np.array(hit.evidence, dtype=object)
        for i in hit.at:
            if hit.rule_id not in rule_ids[i]:
                rule_ids[i].insert(0, hit.rule_id)
    frame = seen.cases[["attempt_id", "side", "session_key", "outcome"]].copy()
    frame["ended_at"] = pd.to_datetime(seen.cases["at_us"].astype("Int64"), unit="us", utc=True)
    frame["cause"] = np.where(causes == "", "unexplained", causes)
    frame["confidence"] = pd.Series([word or None for word in confidence], index=frame.index, dtype=object)
    frame["rule_ids"] = pd.Series([" ".join(names) for names in rule_ids], index=frame.index, dtype=object)
    is_bare = evidence == ""
    evidence[is_bare] = _bare(seen, is_bare)
    frame["evidence"] = pd.Series(evidence, index=frame.index, dtype=object)
    return frame[list(ATTEMPT_COLUMNS)]


def _bare(seen: Observed, mask: npt.NDArray[np.bool_]) -> list[str]:
    """Return what is known of cases that nothing explains: outcome, code and error class."""

    names = ("outcome", "close_code", "error_class", "lifetime_s", "silence_s")
    parts = [(n, seen.numbers(n) if n.endswith(("_s", "code")) else seen.words(n)) for n in names]
    return named(parts, mask)


def _findings(findings: Sequence[Finding]) -> pd.DataFrame:
    ordered = sorted(findings, key=lambda finding: (-finding.size, finding.rule_id, finding.what))
    return pd.DataFrame([finding.record() for finding in ordered], columns=list(FINDING_COLUMNS))


def _causes(
    seen: Observed, attempts: pd.DataFrame, groups: pd.DataFrame, by: Sequence[str], is_one: bool
) -> pd.DataFrame:
    """Return the metric frame: sums over clusters as the SQL of other metrics gives them."""
    keys = [*by, "side"]
    facts = seen.cases[["attempt_id", "cluster_key", "sample_weight"]]
    rows = attempts[["attempt_id", "cause"]].merge(facts, on="attempt_id")
    rows = rows.merge(groups[groups["attempt_id"].notna()].drop(columns="excluded"), on="attempt_id")
    untold = groups[groups["attempt_id"].isna()]
    rows["w"] = rows["sample_weight"].astype("float64")
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
    left_out = _sum(untold, keys, excluded=("excluded", "sum")) if len(untold) and not is_one else None
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
