"""Herds: what a deploy that cut everybody at once would have looked like under other reconnect policies.

The log gives when the service was back and how many clients it took in per second (:mod:`wslog.policy.herd_evidence`); each
policy is then replayed on the same clients, cut at the same instants (:mod:`wslog.policy.herd_replay`). Where the log leaves
one of the two open, the replays at both ends of it bound every figure, and ``missing`` names the record that would tell.

Not in the model: clients that leave while they wait, attempts that fail by chance, and handshakes that hang.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from wslog.errors import UsageError
from wslog.policy.herd_evidence import HerdEvidence, HerdLog, evidence, herd_logs
from wslog.policy.herd_replay import HORIZON_S, HerdReplay, Service, replay
from wslog.policy.model import FloatArray
from wslog.policy.policies import Policy

if TYPE_CHECKING:
    from wslog.engine import Engine

FIGURES = (
    "peak_per_s",
    "peak_100ms_per_s",
    "t95_s",
    "attempts_per_client",
    "back_ratio",
    "stopped_ratio",
)
TOLERANCE = {"peak_per_s": 0.05, "peak_100ms_per_s": 0.05, "t95_s": 0.10, "attempts_per_client": 0.05}
"""A figure is identified when the replays at both ends of what the log leaves open differ by no more than this share of it."""

RATIO_TOLERANCE = 0.01
BOUND_CLIENTS = 20_000
"""Bounds are replayed with so many clients at most, and an accept rate in proportion: only ratios of the two matter."""

MAX_REPEATS = 9
MIN_CLIENTS = 20
"""A herd of fewer is not replayed: its peak is chance."""


def herds(
    engine: Engine,
    policies: Sequence[Policy],
    seed: int = 0,
    *,
    horizon_s: float = HORIZON_S,
    overload_ratio: float = 0.0,
    max_herds: int = 20,
    since: str | None = None,
    until: str | None = None,
    week: str | None = None,
    where: str | None = None,
) -> pd.DataFrame:
    """Replay policies on the herds of a lake.

    Parameters
    ----------
    engine : Engine
    policies : sequence of Policy
    seed : int
        The same seed gives the same frame.
    horizon_s : float
        How long a replay lasts.
    overload_ratio : float
        How much refused load shrinks the accept rate; see :class:`~wslog.policy.herd_replay.Service`. The log does not tell.
    max_herds : int
        The largest herds of at least :data:`MIN_CLIENTS` clients.
    since, until, week, where : str, optional
        Select among the episodes of herds.

    Returns
    -------
    pandas.DataFrame
        One row per herd and policy; see :func:`compare`.

    Raises
    ------
    UsageError
    """
    frames: list[pd.DataFrame] = []
    for log in herd_logs(engine, since, until, week, where):
        if len(log) < MIN_CLIENTS or len(frames) == max_herds:
            break
        frames.append(compare(log, policies, seed, horizon_s=horizon_s, overload_ratio=overload_ratio))
    if not frames:
        return _frame([])
    return pd.concat(frames, ignore_index=True)


def compare(
    log: HerdLog,
    policies: Iterable[Policy],
    seed: int = 0,
    *,
    horizon_s: float = HORIZON_S,
    overload_ratio: float = 0.0,
) -> pd.DataFrame:
    """Replay policies on one herd.

    Returns
    -------
    pandas.DataFrame
        One row per policy.

        * ``herd_id``, ``side``, ``herd_at``, ``policy``, ``client_count`` (members; with sampling what they stand for)
        * ``up_after_s``, ``up_by_s``: the service was back after the one and by the other (seconds since the first cut; inf:
          nothing shows that it came back), ``up_basis`` attempts, polls or none; ``accept_per_s`` with ``accept_low_per_s`` and
          ``accept_high_per_s`` (value null and high inf: only a lower bound) and ``burst_s`` (what an idle service takes in at
          once, in seconds of accepting), from ``accepted_count`` of ``saturated_count`` attempts
        * ``peak_per_s``, ``peak_100ms_per_s`` (attempts that reach the service, or would if it were up, in the busiest second
          and tenth of a second), ``t95_s`` (time since the first cut until 95 % are back; inf: not within ``horizon_s``),
          ``attempts_per_client``, ``back_ratio``, ``stopped_ratio`` (gave up or fell back by then): each with ``_low`` and
          ``_high``, the least and greatest over replays at both ends of what the log leaves open and over seeds, and ``_status``
          (:data:`~wslog.policy.model.STATUSES`); the value is null where the status is ``bound``
        * ``status``: the weakest of them; ``missing``: which records would tell, empty when none is missing
        * ``replay_count``

    Raises
    ------
    UsageError
        The herd has no members.
    """
    if not len(log):
        raise UsageError("the herd has no members")
    found = evidence(log)
    clients = round(float(log.weight.sum()))
    rows = []
    for policy in policies:
        case = _Case(log, found, policy, seed, horizon_s, overload_ratio, clients)
        rows.append(case.row())
    return _frame(rows)


@dataclass(frozen=True)
class _Case:
    """One herd under one policy."""

    log: HerdLog
    found: HerdEvidence
    policy: Policy
    seed: int
    horizon_s: float
    overload_ratio: float
    clients: int

    def row(self) -> dict[str, object]:
        found = self.found
        middle = [self._figures(self._service(0.5, 0.5), self.clients, i) for i in range(self._repeats(self.clients))]
        few = min(self.clients, BOUND_CLIENTS)
        # the same seeds at every end: what differs between the ends is the evidence, not chance
        ends = [
            [self._figures(self._service(up, rate), few, 1000 + i) for i in range(min(3, self._repeats(few)))]
            for up, rate in ((0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1.0, 1.0))
        ]
        row: dict[str, object] = {
            "herd_id": self.log.herd_id,
            "side": self.log.side,
            "herd_at": pd.Timestamp(self.log.begin_us, unit="us", tz="UTC"),
            "policy": self.policy.name,
            "client_count": self.clients,
            "up_after_s": found.up_after_s,
            "up_by_s": found.up_by_s,
            "up_basis": found.up_basis,
            "accept_per_s": found.accept_per_s,
            "accept_low_per_s": found.accept_low_per_s,
            "accept_high_per_s": found.accept_high_per_s,
            "burst_s": found.burst_s,
            "accepted_count": found.accepted_count,
            "saturated_count": found.accepted_count + found.refused_count,
        }
        statuses = []
        for figure in FIGURES:
            value = float(np.median([one[figure] for one in middle]))
            corners = [float(np.median([one[figure] for one in end])) for end in ends]
            every = [one[figure] for one in (*middle, *(one for end in ends for one in end))]
            status = self._status(figure, value, min(corners), max(corners))
            statuses.append(status)
            row[figure] = value if status != "bound" else np.nan
            row[f"{figure}_low"], row[f"{figure}_high"] = min(every), max(every)
            row[f"{figure}_status"] = status
        row["status"] = next(s for s in ("bound", "assumed", "identified") if s in statuses)
        row["missing"] = "; ".join(found.missing) if row["status"] == "bound" else ""
        row["replay_count"] = len(middle) + sum(len(end) for end in ends)
        return row

    @staticmethod
    def _repeats(clients: int) -> int:
        return int(np.clip(BOUND_CLIENTS // clients, 1, MAX_REPEATS))

    def _status(self, figure: str, value: float, low: float, high: float) -> str:
        # chance alone moves a small herd's figures; what counts is how far the ends of the evidence lie apart
        chance = 3.0 / np.sqrt(self.clients)
        is_sure = self._is_known() or low == high
        if not is_sure:
            room = TOLERANCE[figure] * abs(value) if figure in TOLERANCE else RATIO_TOLERANCE
            is_sure = bool(high - low <= room * (1 + chance)) if np.isfinite(high) else False
        if not is_sure:
            return "bound"
        return "assumed" if self.found.up_basis == "polls" else "identified"

    def _is_known(self) -> bool:
        return not self.found.missing

    def _service(self, up_share: float, rate_share: float) -> Service:
        """Return the service at a point between the ends of what the log leaves open: 0 the low end, 1 the high end."""
        found = self.found
        up_s = found.up_after_s + up_share * (found.up_by_s - found.up_after_s) if up_share > 0 else found.up_after_s
        if rate_share == 0.5 and np.isfinite(found.accept_per_s):
            rate = found.accept_per_s
        else:
            rate = found.accept_low_per_s if rate_share < 0.5 else found.accept_high_per_s
        return Service(
            up_s, max(rate, 1e-9), found.burst_s, self.overload_ratio, fail_s=found.fail_s, open_s=found.open_s
        )

    def _figures(self, service: Service, clients: int, number: int) -> dict[str, float]:
        rng = np.random.default_rng((self.seed, number))
        scale = clients / self.clients
        if np.isfinite(service.accept_per_s):
            service = replace(service, accept_per_s=service.accept_per_s * scale)
        played = replay(self.policy, _drops(self.log, clients, rng), service, rng, self.horizon_s)
        return _measure(played, scale)


def _drops(log: HerdLog, clients: int, rng: np.random.Generator) -> FloatArray:
    """Return when each client is cut: as logged, or drawn from what was logged where the log is a sample."""
    if clients == len(log):
        return log.drop_s
    return rng.choice(log.drop_s, clients, p=log.weight / log.weight.sum())


def _measure(played: HerdReplay, scale: float) -> dict[str, float]:
    return {
        "peak_per_s": played.peak_per_s() / scale,
        "peak_100ms_per_s": played.peak_100ms_per_s() / scale,
        "t95_s": played.drained_s(),
        "attempts_per_client": float(played.attempt_count.mean()),
        "back_ratio": float(np.isfinite(played.back_s).mean()),
        "stopped_ratio": float(played.is_stopped.mean()),
    }


def _frame(rows: list[dict[str, object]]) -> pd.DataFrame:
    names = ["herd_id", "side", "herd_at", "policy", "client_count", "up_after_s", "up_by_s", "up_basis", "accept_per_s",
             "accept_low_per_s", "accept_high_per_s", "burst_s", "accepted_count", "saturated_count"]  # fmt: skip
    names += [name + part for name in FIGURES for part in ("", "_low", "_high", "_status")]
    return pd.DataFrame(rows, columns=[*names, "status", "missing", "replay_count"])


def advice(log: HerdLog) -> str:
    """Return what the herd says about the first retry, in words with the figures they rest on.

    The peak is about clients / window, whatever comes later: with a window below clients / accept rate the service must refuse
    (AWS, "Exponential backoff and jitter"; draft-ietf-hybi close code 1012: "reconnect using a randomized delay of 5-30 s").
    """
    found = evidence(log)
    clients = round(float(log.weight.sum()))
    if not np.isfinite(found.accept_per_s):
        reason = next((text for text in found.missing if "accept rate" in text), "its accept rate is unknown")
        return f"{clients} clients were cut together; how widely to spread the first retry depends on the accept rate: {reason}."
    needed = clients / found.accept_per_s
    return (
        f"{clients} clients were cut together and the service took in {found.accept_per_s:.0f} a second "
        f"({found.accept_low_per_s:.0f} to {found.accept_high_per_s:.0f}): spread the first retry after a server's close (1001, 1012, "
        f"1013) over at least {needed:.0f} s, and keep it short after 1006, where most losses are brief and nobody else's. Better still, "
        f"drain: close the connections over {needed:.0f} s before the restart."
    )
