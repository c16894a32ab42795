"""``wslog simulate``: logs of a world whose truth is known.

A seeded simulation of users, their networks and a service with two front ends. It writes what each side would have logged and,
beside it, what really happened: the proof that wslog reads the truth out of the logs, and material to try a policy or a
diagnosis on. The sizes of things are invented (:mod:`wslog.simulate.world`); nothing here says how real networks behave.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from wslog.errors import UsageError
from wslog.policy.policies import Policy
from wslog.policy.presets import REFERENCE
from wslog.simulate.mess import LEVELS, Mess, mess_of
from wslog.simulate.policy import POLICIES, policy_of
from wslog.simulate.records import Life
from wslog.simulate.session import Session
from wslog.simulate.truth import attempt_table, episode_table, session_table
from wslog.simulate.world import CAUSES, DAY, EXTRAS, World, us
from wslog.simulate.writers import FILE_NAMES, NGINX_CONF, files_of, lines_of

__all__ = ["CAUSES", "EXTRAS", "FORMATS", "LEVELS", "POLICIES", "Mess", "Policy", "Summary", "simulate"]

FORMATS = tuple(FILE_NAMES)

REMEMBERED_FOR = DAY
"""How long a client remembers that it fell back (pusher-js: half an hour; phoenix.js: while the tab lives)."""


@dataclass(frozen=True)
class Summary:
    """What was written.

    Attributes
    ----------
    out : str
    logs : dict
        Lines by log file, as paths below ``out``.
    sessions, logged_sessions : int
        Visits that connected, and those that the client log has.
    attempts, outages : int
        Rows of ``truth_attempts.parquet`` and ``truth_episodes.parquet``.
    causes, ends : dict
        Outages by cause, and by how they ended.
    """

    out: str
    logs: dict[str, int]
    sessions: int
    logged_sessions: int
    attempts: int
    outages: int
    causes: dict[str, int]
    ends: dict[str, int]

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def simulate(
    out: str | os.PathLike[str],
    *,
    users: int,
    days: float,
    start: str,
    seed: int,
    scenario: str | Sequence[str] = "all",
    formats: Sequence[str] = FORMATS,
    sampling: float = 1.0,
    policy: str | os.PathLike[str] | Policy = REFERENCE,
    mess: str | Mess = "none",
) -> Summary:
    """Write the logs of a simulated service, and the truth about it.

    Parameters
    ----------
    out : path-like
        Folder to make: ``logs/`` (one file per format and UTC day), ``nginx.conf`` (the log's ``log_format``),
        ``truth_sessions.parquet``, ``truth_attempts.parquet`` and ``truth_episodes.parquet`` (:mod:`wslog.simulate.truth`).
    users : int
    days : float
        Length of the logs; users come at the hours of a working day.
    start : str
        ISO date, UTC.
    seed : int
        The same arguments give the same bytes.
    scenario : str or sequence of str
        What goes wrong: words of :data:`CAUSES` and :data:`EXTRAS`; ``all`` stands for the causes, ``everything`` for both. None
        of them: a service without any outage.
    formats : sequence of str
        Which logs to write, of :data:`FORMATS`.
    sampling : float
        Share of the sessions that the client log holds (front ends log all); its lines carry the weight 1 / sampling.
    policy : str, path-like or Policy
        What clients do after a failure: a preset of :func:`wslog.policies` (``linear-3``: 3 retries after 1, 2, 3 s, then HTTP
        polling each second), a TOML file (:mod:`wslog.policy.presets`) or a policy object.
    mess : str or Mess
        What happens to the lines on their way (:mod:`wslog.simulate.mess`): ``none``, ``light`` or ``heavy``. The truth tables
        tell the world, and whether complete logs tell a cause.

    Returns
    -------
    Summary

    Raises
    ------
    UsageError
        An argument is out of its range, or ``out`` cannot be made or is not empty.
    """
    start_us = _start(start)
    if users < 1 or not 0 < days <= 3660 or not 0 < sampling <= 1:
        raise UsageError("simulate needs users >= 1, days above 0 (3660 at most), sampling above 0 and at most 1")
    _check_words("format", formats, FORMATS)
    world = World(users, start_us, start_us + us(days * 86_400), seed, ingredients(scenario), mess_of(mess))
    lives = play(world, policy_of(policy))
    logged = frozenset(s for s in (life.visit.session_id for life in lives) if int(s, 16) < sampling * 2**64)
    files = {
        name: files_of(name, lines_of(name, lives, sampling, logged, world.hand)) for name in dict.fromkeys(formats)
    }
    sessions, attempts = session_table(lives, sampling, logged), attempt_table(lives, sampling, logged)
    episodes = episode_table(lives, world.end_us, sampling, logged, formats)
    folder = Path(out)
    try:
        _write(
            folder,
            {name: content for made in files.values() for name, content in made.items()},
            {"sessions": sessions, "attempts": attempts, "episodes": episodes},
        )
    except OSError as error:
        raise UsageError(f"{os.fspath(out)} cannot be written: {error.strerror}") from error
    return Summary(
        out=str(folder),
        logs={f"logs/{name}": content.count(b"\n") for made in files.values() for name, content in made.items()},
        sessions=len(lives),
        logged_sessions=len(logged),
        attempts=attempts.num_rows,
        outages=episodes.num_rows,
        causes=_counts(episodes["cause"]),
        ends=_counts(episodes["end"]),
    )


def play(world: World, policy: Policy) -> list[Life]:
    """Let every visit of a world happen; what comes after the logs' end is forgotten."""
    lives = []
    fell_back_us: dict[int, int] = {}
    for visit in world.visits():
        user = visit.user
        last_us = fell_back_us.get(user.number, visit.start_us - REMEMBERED_FOR)
        # a visit that began before the fallback of another tab knows nothing of it
        is_remembered = 0 < visit.start_us - last_us < REMEMBERED_FOR and not user.is_app and user.has_polling
        life = Session(world, visit, policy, is_remembered and world.has("remembered_fallback")).run()
        if life.fell_back_us is not None and not life.is_remembered:
            fell_back_us[user.number] = life.fell_back_us
        life.cut(world.end_us)
        lives.append(life)
    return lives


def ingredients(scenario: str | Sequence[str]) -> frozenset[str]:
    """Return the ingredients of a scenario.

    Raises
    ------
    UsageError
    """
    words = [scenario] if isinstance(scenario, str) else scenario
    sets = {"all": CAUSES, "everything": (*CAUSES, *EXTRAS)}
    _check_words("ingredient", words, (*CAUSES, *EXTRAS, *sets))
    return frozenset(name for word in words for name in sets.get(word, (word,)))


def _check_words(what: str, words: Sequence[str], choices: Sequence[str]) -> None:
    for word in words:
        if word not in choices:
            raise UsageError(f"no {what} {word!r}: choose of {', '.join(choices)}")


def _start(text: str) -> int:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise UsageError(f"start {text!r} is no ISO date, like 2026-11-23") from None
    if not 1990 <= day.year <= 2085:
        raise UsageError(f"start {text!r}: choose a day from 1990 to 2085")
    return us(datetime.combine(day, time(), UTC).timestamp())


def _write(folder: Path, logs: dict[str, bytes], truth: dict[str, pa.Table]) -> None:
    if folder.exists() and any(folder.iterdir()):
        raise UsageError(f"{folder} is not empty: simulate writes into a new folder")
    (folder / "logs").mkdir(parents=True, exist_ok=True)
    for name, content in logs.items():
        (folder / "logs" / name).write_bytes(content)
    if any(name.startswith("nginx_access") for name in logs):
        (folder / "nginx.conf").write_text(NGINX_CONF, encoding="utf-8")
    for name, table in truth.items():
        pq.write_table(table, folder / f"truth_{name}.parquet", compression="zstd")


def _counts(column: pa.ChunkedArray) -> dict[str, int]:
    found: dict[str, int] = {}
    for word in column.to_pylist():
        found[word] = found.get(word, 0) + 1
    return dict(sorted(found.items()))
