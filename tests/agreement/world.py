"""A dense made-up service whose truth is known: which line of the proxy's log belongs to which client attempt.

Made for the matching of both sides: many clients at once, shared addresses, retries within a second, lost lines, clocks that
disagree. All numbers are invented, none was measured. Addresses are those for documentation and private use.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pandas as pd

import wslog
from wslog.api import Lake

START = datetime(2026, 11, 23, 10, tzinfo=UTC).timestamp()
AGENTS = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36",
    "Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 "
    "Mobile/15E148 Safari/604.1",
    "ExampleApp/3.1 (Android 15)",
)
NGINX_LOG_FORMAT = (
    '$remote_addr - - [$time_local] "$request" $status $body_bytes_sent "-" "$http_user_agent" rt=$request_time '
    'uht="$upstream_header_time" up="$http_upgrade" msec=$msec'
)


@dataclass(frozen=True)
class World:
    """What the world is like.

    Attributes
    ----------
    attempts : int
    per_second : float
        New attempts of all clients together.
    user_count, nat_count, nat_share
        Users; addresses that ``nat_share`` of the users stand behind together.
    offset_s, drift_ppm
        By how much the proxy's clock is ahead at the begin, and what it gains.
    device_s
        Standard deviation of the clocks of the users' devices.
    lost_client, lost_service, sampling
        Share of the attempts (client) and lines (proxy) that are in no log; share of the sessions that tell anything.
    has_ids, has_session, has_address
        Whether the URL carries the connection's or the session's id; whether the telemetry holds the client's address.
    duplicate_ids
        Share of retries that keep the id of the attempt before.
    is_coarse
        The proxy's log tells whole seconds.
    """

    attempts: int = 20_000
    per_second: float = 10.0
    user_count: int = 4_000
    nat_count: int = 20
    nat_share: float = 0.25
    offset_s: float = 2.7
    drift_ppm: float = 50.0
    device_s: float = 0.0
    lost_client: float = 0.02
    lost_service: float = 0.02
    sampling: float = 1.0
    has_ids: bool = False
    has_session: bool = False
    has_address: bool = True
    duplicate_ids: float = 0.0
    is_coarse: bool = False
    seed: int = 1


def play(world: World) -> pd.DataFrame:
    """Return the truth: one row per attempt in order of its begin, times in seconds since :data:`START` by a right clock.

    ``reached``, ``answered``, ``service_end`` are the proxy's view (NaN: it never came there); ``opened``, ``ended`` and
    ``code`` the client's.
    """
    rng = np.random.default_rng(world.seed)
    shared = rng.random(world.user_count) < world.nat_share
    nat = rng.integers(0, world.nat_count, world.user_count)
    devices = rng.normal(0, world.device_s, world.user_count)
    users = [
        f"192.0.2.{nat[u]}" if shared[u] else f"10.{u >> 16}.{u >> 8 & 255}.{u & 255}" for u in range(world.user_count)
    ]
    agents = rng.choice(len(AGENTS), world.user_count, p=[0.5, 0.2, 0.2, 0.1])
    delay = rng.lognormal(np.log(0.08), 0.5, world.user_count)
    found: list[dict[str, Any]] = []
    free = np.zeros(world.user_count)
    # a session makes about 2.2 attempts: sessions come so often that attempts come as often as asked
    session, t = 0, 0.0
    while len(found) < world.attempts:
        t += float(rng.exponential(2.2 / world.per_second))
        user = int(rng.integers(world.user_count))
        if free[user] > t:
            continue
        free[user] = _session(world, rng, found, session, user, t, float(delay[user]))
        session += 1
    truth = pd.DataFrame(found).sort_values("started", kind="stable", ignore_index=True)
    truth["address"] = [users[user] for user in truth["user"]]
    truth["agent"] = [AGENTS[agents[user]] for user in truth["user"]]
    truth["device_s"] = devices[truth["user"]]
    sampled = rng.random(session) < world.sampling
    truth["in_client"] = sampled[truth["session"]] & (rng.random(len(truth)) >= world.lost_client)
    truth["in_service"] = truth["reached"].notna() & (rng.random(len(truth)) >= world.lost_service)
    return truth


def _session(
    world: World, rng: np.random.Generator, found: list[dict[str, Any]], session: int, user: int, t: float, rtt: float
) -> float:
    """Play one session and return when it is over."""
    connection = f"{rng.integers(1 << 62):016x}"
    for _ in range(12):
        row = _attempt(rng, t, rtt)
        found.append({"session": session, "user": user, "connection": connection, **row})
        lost = row["code"] == 1006
        if not lost and rng.random() > 0.3:
            break
        # a retry comes within a second
        t = row["ended"] + float(rng.uniform(0.05, 1.0))
        if rng.random() >= world.duplicate_ids:
            connection = f"{rng.integers(1 << 62):016x}"
    return float(row["ended"])


def _attempt(rng: np.random.Generator, t: float, rtt: float) -> dict[str, Any]:
    jitter = float(rng.lognormal(0, 0.3))
    half = rtt / 2 * jitter
    row: dict[str, Any] = {"started": t, "reached": np.nan, "answered": np.nan, "service_end": np.nan, "opened": np.nan}
    chance = rng.random()
    if chance < 0.04:  # never comes there: refused, or timed out
        return {**row, "ended": t + float(rng.choice([0.03, 3.0])) * jitter, "code": 1006, "status": 0}
    # name, TCP and TLS first, then the request
    reached = t + rtt * float(rng.choice([1.5, 2.5])) * jitter
    answered = reached + float(rng.lognormal(np.log(0.004), 0.7))
    row |= {"reached": reached, "answered": answered}
    if chance < 0.12:
        return {**row, "service_end": answered, "ended": answered + half, "code": 1006, "status": 502}
    opened = answered + half
    row |= {"opened": opened, "status": 101}
    kind = rng.choice(["client", "server", "idle", "cut"], p=[0.4, 0.2, 0.2, 0.2])
    lasts = 60.0 + float(rng.uniform(0, 0.02)) if kind == "idle" else float(rng.lognormal(np.log(50), 1.2))
    if kind == "client":
        return {**row, "ended": opened + lasts, "service_end": opened + lasts + half, "code": 1000}
    end = answered + lasts
    if kind == "cut":
        return {
            **row,
            "ended": end + float(rng.uniform(0, 30)),
            "service_end": end + float(rng.uniform(20, 60)),
            "code": 1006,
        }
    return {**row, "service_end": end, "ended": end + half, "code": 1001 if kind == "server" else 1006}


def write(world: World, truth: pd.DataFrame, folder: Path) -> None:
    """Write ``client.ndjson``, ``access.log`` and the truth's row of each of their lines (``*_lines.npy``)."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "client.ndjson").open("wb") as file:
        entries = []
        told = truth[truth["in_client"]]
        for k, row in zip(told.index, told.to_dict("records"), strict=True):
            entries += [(event["at"], k, n, event) for n, event in enumerate(_client_events(world, row))]
        entries.sort(key=lambda e: e[:3])
        np.save(folder / "client_lines.npy", np.array([k for _, k, _, _ in entries]))
        for _, _, _, event in entries:
            file.write(
                orjson.dumps({"ts": round((START + event.pop("at")) * 1e3), **event}, option=orjson.OPT_APPEND_NEWLINE)
            )
    logged = truth[truth["in_service"]].sort_values("service_end", kind="stable")
    np.save(folder / "service_lines.npy", logged.index.to_numpy())
    (folder / "access.log").write_text("".join(_access_line(world, row) for row in logged.to_dict("records")))


def _client_events(world: World, row: dict[str, Any]) -> list[dict[str, Any]]:
    common: dict[str, Any] = {
        "session": f"session-{row['session']:08x}",
        "connection": row["connection"],
        "ua": row["agent"],
    }
    if world.duplicate_ids:  # ids that are used again name no attempt: the handshake's id is another column
        common["request_id"] = common.pop("connection")
    if world.has_address:
        common["ip"] = row["address"]
    if world.sampling < 1:
        common["sample_weight"] = 1 / world.sampling
    off = row["device_s"]
    events = [{"at": row["started"] + off, "event": "attempt", "url": "wss://ws.example.com/ws/room", **common}]
    if row["opened"] == row["opened"]:
        events.append({"at": row["opened"] + off, "event": "open", **common})
        life = {"lifetime_ms": round((row["ended"] - row["opened"]) * 1e3)}
    else:
        life = {}
    close = {"event": "close", "code": row["code"], "was_clean": row["code"] != 1006, **life}
    return [*events, {"at": row["ended"] + off, **close, **common}]


def _access_line(world: World, row: dict[str, Any]) -> str:
    end = START + row["service_end"] * (1 + world.drift_ppm * 1e-6) + world.offset_s
    query = f"?connection={row['connection']}" if world.has_ids else ""
    query += f"{'&' if query else '?'}session=session-{row['session']:08x}" if world.has_session else ""
    at = datetime.fromtimestamp(end, UTC)
    took, head = row["service_end"] - row["reached"], row["answered"] - row["reached"]
    msec = "-" if world.is_coarse else f"{end:.3f}"
    return (
        f'{row["address"]} - - [{at:%d/%b/%Y:%H:%M:%S} +0000] "GET /ws/room{query} HTTP/1.1" {row["status"]} 200 "-" '
        f'"{row["agent"]}" rt={took:.3f} uht="{head:.3f}" up="websocket" msec={msec}\n'
    )


def lake_of(world: World, folder: Path) -> tuple[Lake, pd.DataFrame]:
    """Write a world's logs, read them into a lake, and return it with the truth."""
    truth = play(world)
    write(world, truth, folder / "logs")
    params = ["session"] if world.has_session and not world.has_ids else None
    log_format = NGINX_LOG_FORMAT.replace(" msec=$msec", "") if world.is_coarse else NGINX_LOG_FORMAT
    if world.is_coarse:
        path = folder / "logs" / "access.log"
        path.write_text(path.read_text().replace(" msec=-", ""))
    client = wslog.ingest(folder / "logs" / "client.ndjson", folder / "lake")
    access = wslog.ingest(folder / "logs" / "access.log", folder / "lake", log_format=log_format, id_params=params)
    assert [s.rejected for s in (*client.sources, *access.sources)] == [0, 0]
    return wslog.open_lake(folder / "lake"), truth


@dataclass(frozen=True)
class Score:
    """How the pairs found compare with the truth.

    Attributes
    ----------
    both : int
        Attempts that are in both logs: what there is to find.
    right, wrong, left : float
        Shares: of ``both``, those paired with their partner; of all pairs found, those that are none; of ``both``, those left
        ambiguous or unmatched.
    """

    both: int
    right: float
    wrong: float
    left: float


def partner_of_attempts(lake: Lake, truth: pd.DataFrame, folder: Path) -> dict[str, int]:
    """Return the truth's row of each ``attempt_id``."""
    lines = np.load(folder / "logs" / "service_lines.npy")
    attempts = lake.attempts()
    row_of: dict[str, int] = {}
    service = attempts[attempts["side"] == "proxy"]
    for attempt_id in service["attempt_id"]:
        row_of[attempt_id] = int(lines[int(attempt_id.rsplit(":", 1)[1].split(".")[0]) - 1])
    told = np.load(folder / "logs" / "client_lines.npy")
    for attempt_id in attempts.loc[attempts["side"] == "client", "attempt_id"]:
        row_of[attempt_id] = int(told[int(attempt_id.rsplit(":", 1)[1].split(".")[0]) - 1])
    return row_of


def score(pairs: pd.DataFrame, row_of: dict[str, int], truth: pd.DataFrame) -> Score:
    """Compare pairs (``client_attempt_id``, ``service_attempt_id``) with the truth."""
    is_right = np.array(
        [row_of[c] == row_of[s] for c, s in zip(pairs["client_attempt_id"], pairs["service_attempt_id"], strict=True)],
        dtype=bool,
    )
    both = int((truth["in_client"] & truth["in_service"]).sum())
    right = int(is_right.sum())
    return Score(both, right / both, float((~is_right).mean()) if len(pairs) else 0.0, 1 - right / both)
