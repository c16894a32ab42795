"""The policy in place, as the logs show it: what a tuning compares with, and what there is to say about it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd

from wslog.policy.backoff import Backoff
from wslog.policy.observed import FLAGS, RETRIES, observed_policy
from wslog.policy.policies import Fallback, Policy
from wslog.policy.presets import REFERENCE, load_policy, presets

if TYPE_CHECKING:
    from wslog.engine import Engine

AS_RUN = "as run"
"""Name of a policy that resembles no preset: its waits are those seen."""

FLAG_WORDS = {
    "zero_delay": "retries without a wait after failures in a row: a loop that nobody notices until the server does",
    "reset_on_open": "a connection that dies at once starts the waits anew, so a client that cannot stay connected never slows down",
    "terminal_retry": "failures that no retry can heal are retried all the same",
    "throttled": "timers of background tabs fire late: their waits say nothing about the policy and were left out",
    "network_retry": "retries at once when the network changes",
    "browser_delay": "the browser adds a delay of its own to each attempt after a failure",
}


def in_place(
    engine: Engine, current: str | Policy | None, period: Mapping[str, str | None]
) -> tuple[Policy, pd.DataFrame]:
    """Return the policy in place and the remarks on it.

    Parameters
    ----------
    engine : Engine
    current : str or Policy, optional
        What the caller says it is. Default: the preset that the observed waits resemble; else a policy of those waits; with too
        few of them the reference client's.
    period : mapping
        ``since``, ``until``, ``week``, ``where``.

    Returns
    -------
    policy : Policy
    remarks : DataFrame
        One row per remark: ``what``, ``text``.
    """
    found = observed_policy(engine, (), **period)
    seen: dict[str, Any] = {str(k): None if pd.isna(v) else v for k, v in found.iloc[0].items()} if len(found) else {}
    is_ok = seen.get("state") == "ok"
    remarks = _remarks(seen) if is_ok else [("too few retries", "these logs do not tell which policy ran")]
    if current is not None:
        policy = current if isinstance(current, Policy) else load_policy(current)
        if is_ok and seen["resembles"] not in (None, policy.name):
            remarks.insert(0, ("not as said", f"the waits are those of {seen['resembles']}, not of {policy.name}"))
    elif not is_ok:
        policy = load_policy(REFERENCE)
        remarks.append(("assumed", f"{REFERENCE} is in place; name another with --current"))
    elif seen["resembles"] is not None:
        policy = presets()[seen["resembles"]]
    else:
        policy = _as_run(engine, seen, period)
    return policy, pd.DataFrame(remarks, columns=["what", "text"])


def _as_run(engine: Engine, seen: Mapping[str, Any], period: Mapping[str, str | None]) -> Policy:
    """Return a policy of the waits that were seen, each drawn between its 5th and 95th percentile."""
    waits = [(seen[f"wait_{k}_p5_s"], seen[f"wait_{k}_p95_s"]) for k in range(1, RETRIES + 1)]
    waits = [(float(low), float(high)) for low, high in waits if low is not None and high is not None]
    last = sum(waits[-1]) / 2 if waits else 1.0
    limit = None if seen["limit"] is None else int(seen["limit"])
    ends = engine.frame("episodes", **period)["end"]
    return Policy(
        AS_RUN,
        waits_s=tuple(waits if limit is None else waits[:limit]),
        backoff=None if limit is not None and limit <= len(waits) else Backoff("constant", last),
        max_attempts=limit,
        fallback=Fallback() if (ends == "fell_back").any() and limit is not None else None,
        source="the waits of these logs",
    )


def _remarks(seen: Mapping[str, Any]) -> list[tuple[str, str]]:
    counts = [k for k in range(1, RETRIES + 1) if seen[f"wait_{k}_p50_s"] is not None]
    waits = ", ".join(f"{seen[f'wait_{k}_p50_s']:.3g}" for k in counts)
    many = ", ".join(f"{seen[f'wait_{k}_count']:,}" for k in counts)
    rows = [("waits", f"{waits} s before retry 1, 2, ... (medians of {many} waits)")]
    also = f", as does {seen['resembles_also']}" if seen["resembles_also"] else ""
    if seen["resembles"] is not None:
        rows.append(("resembles", f"{seen['resembles']}{also}"))
    elif seen["closest"] is not None:
        rows.append(("resembles", f"no preset; {seen['closest']} comes closest"))
    if seen["limit"] is not None:
        stopped = f"{seen['limit_count']:,} of the {seen['limit_base_count']:,} outages that stopped"
        rows.append(("stops", f"after {seen['limit']} retries ({stopped})"))
    if seen["jitter"] == "none":
        rows.append(("no jitter", "clients that drop together come back together"))
    if seen["reset"] is not None:
        rows.append(("starts anew", str(seen["reset"]).replace("_", " ")))
    flagged = [flag for flag in FLAGS if flag in str(seen["flagged"] or "").split(", ")]
    for flag in flagged:
        count = f"{seen[f'{flag}_count']:,} of {seen[f'{flag}_base_count']:,}"
        rows.append((flag.replace("_", " "), f"{FLAG_WORDS[flag]} ({count})"))
    return rows
