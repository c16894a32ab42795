"""The largest herd of a lake, replayed under every policy: frames and words of a tuning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from wslog.policy import herd as herding
from wslog.policy.advice import Herd
from wslog.policy.advice_snippets import SPREAD_S
from wslog.policy.herd_evidence import HerdLog, evidence, herd_logs
from wslog.policy.herd_replay import Service, replay
from wslog.policy.policies import Policy
from wslog.policy.tuning_group import LINES, Compared

if TYPE_CHECKING:
    from wslog.engine import Engine

SHOWN = ("rfc6455", "aws-decorrelated-jitter", "grpc", "reconnecting-websocket", "signalr", "phoenix", "fixed-5s")
"""Presets replayed on the herd besides those drawn as lines: every replay is of single clients and takes its time."""

LOAD_COLUMNS = ["policy", "role", "at_s", "attempts_per_s"]


@dataclass(frozen=True)
class HerdTuning:
    """The largest herd; ``log`` is None where there is none to replay.

    Parameters
    ----------
    log : HerdLog or None
    herds, loads : DataFrame
        See :class:`wslog.policy.tuning.Tuning`.
    """

    log: HerdLog | None
    herds: pd.DataFrame
    loads: pd.DataFrame

    @property
    def size(self) -> Herd | None:
        """How many clients it was, and how many the service takes in; None where the logs do not tell."""
        if self.log is None:
            return None
        rate = evidence(self.log).accept_per_s
        return Herd(float(self.log.weight.sum()), rate) if np.isfinite(rate) else None

    @property
    def advice(self) -> str:
        """What it says about the first retry; empty without a herd."""
        return "" if self.log is None else herding.advice(self.log)


def replay_herd(
    engine: Engine, everyone: Sequence[Compared], proposed: Policy | None, period: Mapping[str, str | None], seed: int
) -> HerdTuning:
    """Replay the largest herd of a lake under every policy; ``proposed`` is the recommended one."""
    log = next((log for log in herd_logs(engine, **period) if len(log) >= herding.MIN_CLIENTS), None)
    if log is None:
        empty = pd.DataFrame(columns=["policy", "role", "client_count", "missing"])
        return HerdTuning(None, empty, pd.DataFrame(columns=LOAD_COLUMNS))
    others = [one for one in everyone[1:] if one.role != "preset" or one.policy.name in (*LINES, *SHOWN)]
    lines = [*everyone[:1], *(_recommended(proposed, log) if proposed is not None else []), *others]
    frame = herding.compare(log, [one.policy for one in lines], seed)
    frame.insert(4, "role", [one.role for one in lines])
    shown = [one for one in lines if one.role != "preset" or one.policy.name in LINES]
    return HerdTuning(log, frame, pd.DataFrame(_loads(log, shown, seed), columns=LOAD_COLUMNS))


def _recommended(proposed: Policy, log: HerdLog) -> list[Compared]:
    """Return the recommended policy, and the same as a client runs it that is told of the restart (1001, 1012, 1013)."""
    rate = evidence(log).accept_per_s
    window_s = float(log.weight.sum()) / rate if np.isfinite(rate) else SPREAD_S
    (low, high), *rest = [wait if isinstance(wait, tuple) else (wait, wait) for wait in proposed.waits_s]
    spread = replace(proposed, name=f"{proposed.name}, told by 1012", waits_s=((low, high + window_s), *rest))
    return [Compared(proposed, "recommended"), Compared(spread, "variant")]


def _loads(log: HerdLog, shown: Sequence[Compared], seed: int) -> list[dict[str, Any]]:
    """Return attempts by second, the service being back in the middle of its bracket."""
    found = evidence(log)
    up_s = (found.up_after_s + found.up_by_s) / 2 if np.isfinite(found.up_by_s) else np.inf
    rate = found.accept_per_s if np.isfinite(found.accept_per_s) else found.accept_high_per_s
    service = Service(up_s, rate, found.burst_s, fail_s=found.fail_s, open_s=found.open_s)
    rows: list[dict[str, Any]] = []
    for one in shown:
        played = replay(one.policy, log.drop_s, service, np.random.default_rng((seed, 0)))
        # a sample stands for more clients than it holds
        scale = float(log.weight.mean())
        seconds = scale * np.add.reduceat(played.attempts_100ms, np.arange(0, len(played.attempts_100ms), 10))
        named = {"policy": one.policy.name, "role": one.role}
        rows += [{**named, "at_s": float(k), "attempts_per_s": float(n)} for k, n in enumerate(seconds.tolist())]
    return rows
