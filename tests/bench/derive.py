"""What attempts, episodes and every metric of a lake cost, stage by stage: ``python -m tests.bench --lake 10000000``.

One process does it all (``python -m tests.bench.derive LAKE``). CPU is user and system time of all its threads; peak is its
resident memory at its highest so far. The diagnosis comes after the total: it is no metric.
"""

from __future__ import annotations

import re
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

import wslog
from wslog.engine import STAGES


def cpu_s() -> float:
    """Return the CPU seconds of this process so far."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def peak_mib() -> float:
    """Return the highest resident memory of this process so far; getrusage would tell its parent's, where that had more."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(found[1]) / 1024 if found else float("nan")


def step(name: str, work: Callable[[], object]) -> None:
    """Do one stage and print what it took."""
    cpu, wall = cpu_s(), time.perf_counter()
    work()
    print(f"{name:28}{cpu_s() - cpu:9.2f}{time.perf_counter() - wall:9.2f}{peak_mib():10.0f}", flush=True)


def main(path: Path, has_diagnosis: bool) -> None:
    """Derive and measure everything of a lake, and print the table of stages."""
    begin = time.perf_counter()
    print(f"{'':28}{'CPU s':>9}{'wall s':>9}{'peak MiB':>10}")
    print(f"{'start-up':28}{cpu_s():9.2f}")
    lake = wslog.open_lake(path)
    step("open", lambda: lake.engine)
    for stage in STAGES:
        if stage != "links":  # of the joining of both sides, which no metric here needs
            step(stage, lambda stage=stage: lake.engine.make(stage))
    step("close_codes", lake.close_codes)
    step("retries", lake.retries)
    step("fallback", lake.fallback)
    step("reliability", lake.reliability)
    step("failure_definitions", lake.failure_definitions)
    step("slo", lambda: lake.slo(0.99))
    print(f"{'total':28}{cpu_s():9.2f}{time.perf_counter() - begin:9.2f}{peak_mib():10.0f}")
    if has_diagnosis:
        step("diagnose", lake.diagnose)
    lake.engine.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), has_diagnosis="--diagnose" in sys.argv)
