"""``python -m tests.diagnosis.accuracy``: how right the diagnosis is, over 20,000 simulated outages, messy logs, clean weeks and the lab.

Prints the confusion matrices, with precision and recall of each cause, of a world read from all its logs and from the client's
alone; the same of a world in which everything can happen, whose lines are lost, doubled, late and cut off, whose clocks are
wrong, and of whose sessions three in four are logged (there recall falls, and precision must not); then how often something is
named in weeks in which nothing but chance happened; then each page of the real lab. A share stands with its Wilson 95 %
interval. Takes about four minutes; ``--part`` chooses.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import pandas as pd
from statsmodels.stats.proportion import proportion_confint

from tests.diagnosis.confusion import found_outages, lake_of, matrix, outages, scores, world
from tests.diagnosis.lab import lab_lake, lab_pages
from wslog.diagnosis import diagnose

TARGET = 0.95


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--users", type=int, default=5400)
    parser.add_argument("--days", type=float, default=3.0)
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--clean-weeks", type=int, default=10)
    parser.add_argument("--part", choices=("world", "messy", "clean", "lab"), action="append")
    given = parser.parse_args()
    parts = given.part or ["world", "messy", "clean", "lab"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if "world" in parts:
            found = world(folder / "world", given.seed, given.users, given.days)
            print_world("client, nginx and HAProxy logs", outages(folder / "world", found))
            found = diagnose(lake_of(folder / "world", only_client=True).engine)
            print_world("client log only", outages(folder / "world", found, only_client=True))
        for mess in ("light", "heavy") if "messy" in parts else ():
            print_messy(folder / mess, mess, given.seed + 1, given.users, given.days)
        if "clean" in parts:
            print_clean(folder, given.clean_weeks, given.seed)
        if "lab" in parts:
            print_lab(folder / "lab")


def print_messy(folder: Path, mess: str, seed: int, users: int, days: float) -> None:
    """Print the matrices of a world whose lines are messed up."""
    found = world(folder, seed, users, days, scenario="everything", mess=mess, sampling=0.75)
    print_world(f"{mess} mess, all logs", found_outages(folder, found))
    found = diagnose(lake_of(folder, only_client=True).engine)
    print_world(f"{mess} mess, client log only", found_outages(folder, found, only_client=True))


def print_world(what: str, rows: pd.DataFrame) -> None:
    """Print the matrices and scores of one lake."""
    for is_evident, title in ((True, "the log holds the cause"), (False, "the log does not hold the cause")):
        part = rows[rows["is_evident"] == is_evident]
        print(f"\n{what}: {title}, {len(part):,} of {len(rows):,} outages; true cause by diagnosed cause\n")
        print(matrix(part).to_string())
    found = scores(rows)
    print(f"\n{what}: 95 % intervals are Wilson's\n")
    print(f"{'cause':<17}{'evident':>8}  {'recall':<22}{'named':>7}  {'precision':<22}{'hidden':>7}  wrong name")
    for cause, row in found.iterrows():
        cells = "".join(
            f"{row[count]:>{width}.0f}  {_cell(row, name):<22}"
            for count, name, width in (("evident", "recall", 8), ("named", "precision", 7), ("hidden", "wrong_name", 7))
        )
        print(f"{cause:<17}{cells}".rstrip())
    judged = found[~found.index.isin(["unexplained", "not_found"])]
    for name in ("recall", "precision"):
        short = [str(cause) for cause, row in judged.iterrows() if row[name] < TARGET]
        print(f"\n{name} below {TARGET}: {', '.join(short) or 'none'}")
    hidden = rows[~rows["is_evident"]]
    wrong = ~hidden["cause"].isin(["unexplained", "not_found"]) & (hidden["cause"] != hidden["true_cause"])
    print(f"\nnamed wrongly where the log does not hold the cause: {int(wrong.sum())} of {len(hidden):,}")


def _cell(row: pd.Series[float], name: str) -> str:
    if row[name] != row[name]:
        return "-"
    return f"{row[name]:.3f} ({row[f'{name}_low']:.3f}-{row[f'{name}_high']:.3f})"


def print_clean(folder: Path, weeks: int, seed: int) -> None:
    """Print the share of the cases of clean weeks that were given a cause."""
    cases = named = findings = 0
    for number in range(weeks):
        found = world(folder / f"clean{number}", seed + 1000 + number, 150, 7, scenario=["random_drop"])
        cases += len(found.attempts)
        named += int((found.attempts["cause"] != "unexplained").sum())
        findings += len(found.findings)
    low, high = proportion_confint(named, cases, method="wilson")
    print(
        f"\nclean weeks (losses by chance alone): {weeks} weeks, {cases:,} abnormal ends and failed connects in all logs"
    )
    print(
        f"given a cause: {named} ({100 * named / cases:.2f} %, {100 * low:.2f} to {100 * high:.2f}); findings: {findings}"
    )


def print_lab(folder: Path) -> None:
    """Print what is said of each page of the lab."""
    pages = lab_pages(diagnose(lab_lake(folder).engine))
    print("\nthe lab (real nginx, HAProxy and Chromium, one row per page that lost or could not open a connection)\n")
    print(pages.to_string(index=False))


if __name__ == "__main__":
    main()
