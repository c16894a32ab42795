"""The rules: which detector names which cause, on what evidence. Data (``rules.json``), in order of precedence."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

CAUSES = (
    "blocked_upgrade",
    "carrier",
    "tls_or_clock",
    "browser_or_page",
    "server_refused",
    "idle_timeout",
    "restart_herd",
    "handover",
    "page_left",
    "client_bug",
    "flapping_server",
    "sleep",
    "unexplained",
)
"""The closed list; ``unexplained`` is the answer when no rule's evidence suffices."""

CONFIDENCES = ("high", "medium", "low")


@dataclass(frozen=True)
class Rule:
    """One rule.

    Parameters
    ----------
    rule_id : str
        Stable name.
    cause : str
        Of :data:`CAUSES`; empty for rules that pass on the cause of another attempt.
    detector : str
        The module that looks for it.
    test, floor, control, confidence : str
        The statistic, the least evidence, what keeps it from firing by chance, and how sure a hit is, in words.
    title, remedy : str
        What happened and what to change, in plain words.
    source : str
    """

    rule_id: str
    cause: str
    detector: str
    test: str
    floor: str
    control: str
    confidence: str
    title: str
    remedy: str
    source: str


@cache
def rules() -> tuple[Rule, ...]:
    """Return the rules in order of precedence: of those that fire on an attempt, the first gives its cause."""
    path = files("wslog.diagnosis").joinpath("rules.json")
    return tuple(Rule(**entry) for entry in json.loads(path.read_text("utf-8")))


@cache
def rule(rule_id: str) -> Rule:
    """Return a rule by its name."""
    return next(entry for entry in rules() if entry.rule_id == rule_id)


@cache
def precedence() -> dict[str, int]:
    """Return each rule's place."""
    return {entry.rule_id: place for place, entry in enumerate(rules())}
