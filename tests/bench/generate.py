"""Seeded logs with known bad lines, for the benchmark: the same seed and size give the same bytes.

``python -m tests.bench.generate nginx OUT --lines 2000000`` writes OUT and OUT.truth.json (line and bad-line counts).
"""

from __future__ import annotations

import argparse
import datetime
import json
import random
import re
from collections.abc import Callable, Iterator
from pathlib import Path

LOG_FORMAT = (
    '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent" '
    '$request_time "$upstream_addr" "$upstream_response_time" $connection $connection_requests $request_length'
)
AGENTS = [
    f"Mozilla/5.0 ({system}) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{version}.0.0.0 Safari/537.36"
    for system in (
        "Windows NT 10.0; Win64; x64",
        "Macintosh; Intel Mac OS X 10_15_7",
        "X11; Linux x86_64",
        "Linux; Android 10; K",
    )
    for version in range(110, 150)
] + [f"Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:{v}.0) Gecko/20100101 Firefox/{v}.0" for v in range(110, 150)]
PAGES = [
    "/",
    "/app",
    "/static/app.js",
    "/static/site.css",
    "/api/items?page=3",
    "/api/items/1841",
    "/img/logo.svg",
    "/favicon.ico",
]
START = datetime.datetime(2026, 11, 16, tzinfo=datetime.UTC)
BAD_SHARE = 0.0001


def nginx_lines(count: int, seed: int) -> Iterator[tuple[bytes, bool]]:
    """Yield (line, is bad): 30 % WebSocket (status 101), the rest ordinary traffic, 0.01 % bad."""
    rng = random.Random(seed)
    addresses = [
        f"{rng.randrange(1, 224)}.{rng.randrange(256)}.{rng.randrange(256)}.{rng.randrange(1, 255)}"
        for _ in range(20_000)
    ]
    seconds = 5 * 86_400 / count
    stamp, stamp_at = "", -1
    for i in range(count):
        now = int(i * seconds)
        if now != stamp_at:
            stamp, stamp_at = (START + datetime.timedelta(seconds=now)).strftime("%d/%b/%Y:%H:%M:%S +0000"), now
        address, agent, roll = rng.choice(addresses), rng.choice(AGENTS), rng.random()
        upstream = f"10.0.0.{rng.randrange(1, 9)}:8080"
        if roll < 0.30:
            life = rng.expovariate(1 / 120)
            request, status, size, took, upstream_took = (
                "GET /ws HTTP/1.1",
                101,
                rng.randrange(200_000),
                f"{life:.3f}",
                f"{life:.3f}",
            )
        elif roll < 0.31:
            request, status, size, took, upstream_took = (
                "GET /ws HTTP/1.1",
                rng.choice((403, 502, 504)),
                157,
                "0.012",
                "0.010, 0.002",
            )
        else:
            request, status, size = (
                f"GET {rng.choice(PAGES)} HTTP/1.1",
                rng.choice((200, 200, 200, 304, 404)),
                rng.randrange(90_000),
            )
            took = upstream_took = f"{rng.random() / 4:.3f}"
        line = (
            f'{address} - - [{stamp}] "{request}" {status} {size} "https://www.example.com/app" "{agent}" {took} "{upstream}" '
            f'"{upstream_took}" {1000 + i} {rng.randrange(1, 60)} {rng.randrange(300, 1500)}'
        ).encode()
        if rng.random() < BAD_SHARE:
            yield rng.choice(NGINX_FAULTS)(line), True
        else:
            yield line, False


NGINX_FAULTS: list[Callable[[bytes], bytes]] = [
    lambda line: line.replace(b'"', b"", 1),  # a lost quote
    lambda line: line[: len(line) // 2],  # cut
    lambda line: line + b" " + line,  # two records on one line
    lambda line: b"upstream timed out (110: Connection timed out) while reading response header",
    lambda line: line.replace(b"/Nov/", b"/Nvo/"),
    lambda line: line.replace(b'HTTP/1.1" ', b'HTTP/1.1" x', 1),
    lambda line: line + b" 7",
    lambda line: line.replace(b'HTTP/1.1" ', b'HTTP/1.1"', 1).replace(b' "https', b'"https', 1),
    lambda line: line[:20] + b"\0" * 40 + line[20:],
]


def client_lines(count: int, seed: int) -> Iterator[tuple[bytes, bool]]:
    """Yield (line, is bad) of the client telemetry contract, as ``JSON.stringify`` writes it."""
    rng = random.Random(seed)
    hexadecimal = "0123456789abcdef"
    networks = [
        f'{{"type":"{kind}","effective_type":"{effective}","rtt":{rtt}}}'
        for kind in ("wifi", "cellular", "ethernet", "unknown")
        for effective, rtt in (("4g", 50), ("4g", 100), ("3g", 300))
    ]
    made = 0
    while made < count:
        session = "".join(rng.choices(hexadecimal, k=32))
        tail = f'"network":{rng.choice(networks)},"ua":"{rng.choice(AGENTS)}"}}'
        now = 5 * 86_400 * made / count  # sessions begin in time order, as a collector writes them
        for attempt in range(1, rng.choice((1, 1, 2, 4)) + 1):
            connection = "".join(rng.choices(hexadecimal, k=16))
            same = f'"session":"{session}","connection":"{connection}","attempt":{attempt},"url":"wss://ws.example.com/ws/room","transport":"websocket"'
            life = rng.expovariate(1 / 60)
            is_open = rng.random() < 0.8
            code, reason, clean = rng.choice(
                ((1006, "", "false"), (1000, "", "true"), (1001, "going away", "true"), (4001, "kicked", "true"))
            )
            steps = [("attempt", now, f"{same},")]
            if is_open:
                latency = round(rng.uniform(20, 400), 1)
                steps.append(("open", now + 0.1, f'{same},"latency_ms":{latency},'))
                steps.append(("close", now + life, f'{same},"code":{code},"reason":"{reason}","was_clean":{clean},'))
            else:
                steps.append(("error", now + 0.1, f'{same},"error":"WebSocket connection failed",'))
                steps.append(("close", now + 0.1, f'{same},"code":1006,"reason":"","was_clean":false,'))
            steps.append(
                (
                    "retry",
                    now + life,
                    f'"session":"{session}","attempt":{attempt},"retry":{attempt},"max_retries":3,"delay_ms":{attempt * 1000},',
                )
            )
            now += life + attempt
            for event, at, middle in steps:
                if made == count:
                    return
                when = (START + datetime.timedelta(milliseconds=int(at * 1000))).isoformat(timespec="milliseconds")[
                    :23
                ] + "Z"
                line = f'{{"ts":"{when}","event":"{event}",{middle}{tail}'.encode()
                made += 1
                if rng.random() < BAD_SHARE:
                    yield rng.choice(CLIENT_FAULTS)(line), True
                else:
                    yield line, False


CLIENT_FAULTS: list[Callable[[bytes], bytes]] = [
    lambda line: line[: len(line) // 2],  # cut
    lambda line: line + line,  # two objects
    lambda line: line + b" trailing",
    lambda line: line[:-1] + b',"extra":NaN}',  # not JSON (RFC 8259 section 6), though many readers take it
    lambda line: line.replace(b'"', b"'"),
    lambda line: line.replace(b'"ts":"2026', b'"ts":"20x6'),
    lambda line: re.sub(rb'"attempt":(\d+)', rb'"attempt":"x\1"', line),
    lambda line: line[:-1] + b",}",
    lambda line: b"[" + line + b"]",
    lambda line: line.replace(b"Mozilla", b"Moz\xff\xfeilla"),
]

KINDS: dict[str, Callable[[int, int], Iterator[tuple[bytes, bool]]]] = {"nginx": nginx_lines, "client": client_lines}


def write(kind: str, path: Path, count: int, seed: int = 20261123) -> dict[str, int]:
    """Write a log and its truth; return the truth: lines, bad_lines, bytes."""
    bad = size = 0
    with open(path, "wb", buffering=1 << 22) as file:
        for line, is_bad in KINDS[kind](count, seed):
            bad += is_bad
            size += len(line) + 1
            file.write(line + b"\n")
    truth = {"lines": count, "bad_lines": bad, "bytes": size, "seed": seed}
    path.with_name(path.name + ".truth.json").write_text(json.dumps(truth))
    return truth


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=sorted(KINDS))
    parser.add_argument("path", type=Path)
    parser.add_argument("--lines", type=int, default=2_000_000)
    parser.add_argument("--seed", type=int, default=20261123)
    given = parser.parse_args()
    print(write(given.kind, given.path, given.lines, given.seed))
