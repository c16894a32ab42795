"""Herds: what is predicted from the log of one policy against what other policies do in the same worlds.

``python -m tests.policy.herds`` plays 20,000 clients event by event under the logged policy, predicts the others from that log alone,
plays those event by event too, and prints both (some minutes; ``--clients 3000`` is faster and noisier).
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from tests.policy.herd_truth import WAITS, Attempt, World, figures, first_polls, play
from wslog.policy.herd import compare
from wslog.policy.herd_evidence import HerdLog
from wslog.policy.policies import Policy
from wslog.policy.presets import load_policy

PRESETS = {
    "full_jitter": "aws-full-jitter",
    "decorrelated": "aws-decorrelated-jitter",
    "equal_jitter": "aws-equal-jitter",
    "fixed_5s": "fixed-5s",
}
"""What wslog calls the policies of the truth, where the name differs."""


def policy_of(name: str) -> Policy:
    """Return wslog's own form of a policy of the truth."""
    return load_policy(PRESETS.get(name, name))


class Case(NamedTuple):
    """One world and the policy whose log is read."""

    logged: str
    has_polls: bool
    clients_per_rate_s: float
    up_s: float


CASES = (
    Case("linear-3", False, 13.3, 4.5),
    Case("linear-3", True, 13.3, 4.5),
    Case("linear-3", False, 13.3, 12.0),
    Case("linear-3", True, 13.3, 12.0),
    Case("full_jitter", False, 13.3, 4.5),
    Case("full_jitter", False, 13.3, 12.0),
    Case("full_jitter", False, 40.0, 1.5),
    Case("full_jitter", False, 3.0, 25.0),
    Case("socket.io", False, 13.3, 4.5),
    Case("decorrelated", False, 40.0, 12.0),
    Case("equal_jitter", False, 3.0, 1.5),
)
TOLERANCE = {"peak_per_s": 0.05, "t95_s": 0.10, "attempts_per_client": 0.05}


def log_of(world: World, attempts: Sequence[Attempt], *, has_polls: bool) -> HerdLog:
    """Return what a log with millisecond clocks would hold of these attempts."""
    count = world.clients
    poll_ok, poll_failed = np.full(count, np.nan), np.full(count, np.nan)
    if has_polls:
        for client, (failed, ok) in first_polls(world, list(attempts)).items():
            poll_ok[client] = ok
            poll_failed[client] = np.nan if failed is None else failed
    seen = [one for one in attempts if one.end_s < world.horizon_s]
    start, end = (np.round([getattr(one, name) for one in seen], 3) for name in ("start_s", "end_s"))
    return HerdLog(
        herd_id="a.example@0",
        side="client",
        begin_us=1_795_000_000_000_000,
        drop_s=np.round(np.array(world.drops), 3),
        weight=np.ones(count),
        poll_ok_s=poll_ok,
        poll_failed_s=poll_failed,
        member=np.array([one.client for one in seen], np.int64),
        start_s=start,
        end_s=end,
        is_ok=np.array([one.is_ok for one in seen], np.bool_),
        attempt_weight=np.ones(len(seen)),
        watched_s=world.horizon_s,
    )


def rows(
    cases: Sequence[Case], clients: int, targets: Sequence[str] = tuple(WAITS), seed: int = 1
) -> Iterator[dict[str, object]]:
    """Yield one row per case and target: the truth, the prediction, its status."""
    for number, case in enumerate(cases):
        world = World(clients, clients / case.clients_per_rate_s, case.up_s, seed=seed + number)
        log = log_of(world, play(world, WAITS[case.logged], seed=100 + number), has_polls=case.has_polls)
        predicted = compare(log, [policy_of(name) for name in targets], seed).set_index("policy")
        for target in targets:
            true = figures(world, play(world, WAITS[target], seed=200 + number))
            guess = predicted.loc[policy_of(target).name]
            row: dict[str, object] = {**case._asdict(), "policy": target, "missing": guess["missing"]}
            for name in TOLERANCE:
                row |= {f"true_{name}": true[name], f"status_{name}": guess[f"{name}_status"]}
                row |= {name + part: guess[name + part] for part in ("", "_low", "_high")}
            yield row


def error(row: dict[str, object], name: str) -> float:
    """Return the relative error of a prediction: 0 when both say never, inf when one does."""
    true, guess = float(str(row[f"true_{name}"])), float(str(row[name]))
    if np.isinf(true) or np.isinf(guess):
        return 0.0 if true == guess else np.inf
    return guess / true - 1


def is_inside(row: dict[str, object], name: str) -> bool:
    """Tell whether the truth lies between the bounds, with the tolerance of the figure for chance at either end."""
    true, low, high = (float(str(row[key])) for key in (f"true_{name}", f"{name}_low", f"{name}_high"))
    return low * (1 - TOLERANCE[name]) <= true <= high * (1 + TOLERANCE[name])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--clients", type=int, default=20_000)
    parser.add_argument("--cases", type=int, default=len(CASES))
    arguments = parser.parse_args()
    began = time.process_time()
    shown: list[dict[str, object]] = []
    counts = {name: [0, 0, 0, 0] for name in TOLERANCE}
    for row in rows(CASES[: arguments.cases], arguments.clients):
        line: dict[str, object] = {"logged": f"{row['logged']}{' + polls' if row['has_polls'] else ''}", "N/C": row["clients_per_rate_s"],
                "T": row["up_s"], "policy": row["policy"]}  # fmt: skip
        rate = arguments.clients / float(str(row["clients_per_rate_s"]))
        for name in TOLERANCE:
            unit = rate if name == "peak_per_s" else 1.0
            line[name.replace("peak_per_s", "peak/C")] = f"{float(str(row[f'true_{name}'])) / unit:.4g}"
            is_bound = row[f"status_{name}"] == "bound"
            count = counts[name]
            count[2 * is_bound] += is_inside(row, name) if is_bound else abs(error(row, name)) <= TOLERANCE[name]
            count[2 * is_bound + 1] += 1
            line[f"{name[:4]} says"] = (
                f"[{float(str(row[f'{name}_low'])) / unit:.3g}, {float(str(row[f'{name}_high'])) / unit:.3g}]"
                if is_bound
                else f"{100 * error(row, name):+.1f} %"
            )
        shown.append(line)
    print(pd.DataFrame(shown).to_string(index=False))
    for name, (good, point, inside, bound) in counts.items():
        print(
            f"{name}: {good} of {point} within {100 * TOLERANCE[name]:.0f} %; {inside} of {bound} inside their bounds"
        )
    print(f"{arguments.clients} clients, {time.process_time() - began:.0f} s of CPU")


if __name__ == "__main__":
    main()
