"""How long policies take on many outages: ``python -m tests.policy.speed --outages 1000000``. CPU seconds, one core."""

from __future__ import annotations

import argparse
import resource
import time
from dataclasses import replace

import numpy as np

from tests.policy import worlds
from tests.policy.accuracy import KINDS, log
from wslog.policy.compare import compare_groups, concat
from wslog.policy.evidence import EXCLUDED, Group
from wslog.policy.presets import load_policy, presets


def group(kind: str, count: int, seed: int = 1) -> Group:
    """Return outages as if they had been read from a lake."""
    rng = np.random.default_rng(seed)
    parts = [log(kind, worlds.CELLULAR, min(count, 50_000), rng) for _ in range(max(count // 50_000, 1))]
    parts = [replace(part, cluster=part.cluster + i * 50_000) for i, part in enumerate(parts)]
    first = worlds.first_connects(worlds.CELLULAR, 3 * count, rng)
    return Group((), concat(parts), first, dict.fromkeys(EXCLUDED, 0.0), 0.0, 1.0, 0.0, 1.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--outages", type=int, default=1_000_000)
    parser.add_argument("--kinds", nargs="+", default=("L0", "L1", "L3"), choices=KINDS)
    args = parser.parse_args()
    policies = [load_policy(name) for name in list(presets())[:20]]
    for kind in args.kinds:
        told = group(kind, args.outages)
        before, cpu, wall = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time(), time.perf_counter()
        found = compare_groups((), [told], policies)
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        print(
            f"{kind}: {len(told.outages):,} outages, {len(told.outages.start_s):,} attempts, {len(policies)} policies, "
            f"{len(found.figures)} figures: {cpu:.2f} s CPU, {wall:.2f} s wall, peak {peak >> 10} MiB ({before >> 10} before)"
        )


if __name__ == "__main__":
    main()
