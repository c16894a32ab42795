"""Snippets are run by node and must do what was promised.

By default the libraries stand in as their documented formulas. With ``WSLOG_NODE_MODULES`` naming a ``node_modules`` folder that
holds socket.io-client, @microsoft/signalr, phoenix and reconnecting-websocket, the libraries themselves choose the delays.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from websockets.asyncio.server import serve

from tests.policy.worlds import CELLULAR
from wslog.errors import UsageError
from wslog.policy.advice_snippets import LIBRARIES, Snippet, snippet
from wslog.policy.schedule import Schedule, best_schedule
from wslog.policy.schedule_dp import Terms, evaluate, starts_of

NODE = shutil.which("node")
MODULES = os.environ.get("WSLOG_NODE_MODULES")
OUTAGE = CELLULAR.distribution()
LOADS = 1500
WAITS = 60

needs_node = pytest.mark.skipif(NODE is None, reason="node is not installed")

STAND_INS = {
    "javascript": "",
    "signalr": """
const signalR = { HubConnectionBuilder: class {
  withUrl() { return this; }
  withAutomaticReconnect(policy) { this._reconnectPolicy = policy; return this; }
  build() { return this; }
} };""",
    "phoenix": "class Socket { constructor(url, options) { Object.assign(this, options); } }",
    "socket.io": "const io = (url, options) => options;",
    "reconnecting-websocket": "class ReconnectingWebSocket { constructor(url, protocols, options) { this._options = options; } }",
}
REAL = {
    "javascript": "",
    "signalr": "const signalR = require('@microsoft/signalr');",
    "phoenix": "globalThis.window ??= globalThis; const { Socket } = require('phoenix');",
    "socket.io": "const io = (url, options) => new (require('socket.io-client').Manager)(url, { ...options, autoConnect: false });",
    "reconnecting-websocket": """
const ReconnectingWebSocket = function (url, protocols, options) {
  return new (require('reconnecting-websocket'))(url, protocols, { ...options, startClosed: true, WebSocket: class {} });
};""",
}
# waits of one page load, as each library chooses them
WAITS_OF = {
    "javascript": "(k) => 1000 * waitS(k, 1006)",
    "signalr": """(k) => connection._reconnectPolicy.nextRetryDelayInMilliseconds(
        { previousRetryCount: k, elapsedMilliseconds: 0, retryReason: new Error('WebSocket closed with status code: 1006 ().') })""",
    "phoenix": "(k) => socket.reconnectAfterMs(k + 1)",
    "socket.io": """(k) => {
        if (socket.backoff) return socket.backoff.duration();
        // socket.io-client 4.8, contrib/backo2.ts
        let ms = options.reconnectionDelay * 2 ** k;
        const rand = Math.random(), deviation = Math.floor(rand * options.randomizationFactor * ms);
        ms = (Math.floor(rand * 10) & 1) == 0 ? ms - deviation : ms + deviation;
        return Math.min(ms, options.reconnectionDelayMax) | 0;
    }""",
    "reconnecting-websocket": """(k) => {
        if (socket._getNextDelay) { socket._retryCount = k + 1; return socket._getNextDelay(); }
        // reconnecting-websocket 4.4, _getNextDelay
        const o = socket._options;
        return Math.min(o.minReconnectionDelay * o.reconnectionDelayGrowFactor ** k, o.maxReconnectionDelay);
    }""",
}


def node(script: str, *flags: str) -> str:
    assert NODE is not None
    done = subprocess.run(
        [NODE, *flags, "-"], input=script, capture_output=True, text=True, timeout=60, check=False,
        env={**os.environ, "NODE_PATH": MODULES or ""},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def waits_by_node(made: Snippet) -> np.ndarray:
    """Return (LOADS, WAITS) seconds."""
    stand_in = (REAL if MODULES else STAND_INS)[made.library]
    script = f"""
{stand_in}
function load() {{
{made.code.replace('"/hub"', '"https://example.org/hub"')}
return {WAITS_OF[made.library]};
}}
const rows = [];
for (let i = 0; i < {LOADS}; i++) {{ const wait = load(); rows.push(Array.from({{ length: {WAITS} }}, (_, k) => wait(k))); }}
process.stdout.write(JSON.stringify(rows), () => process.exit(0)); // a library may hold timers
"""
    return np.asarray(json.loads(node(script))) / 1000


@pytest.fixture(scope="module")
def schedule() -> Schedule:
    return best_schedule(OUTAGE, CELLULAR.failure_ratio, 1.0)


@needs_node
@pytest.mark.parametrize("library", LIBRARIES)
def test_what_the_library_does_is_what_was_promised(schedule, library):
    made = snippet(library, schedule, OUTAGE, title="cellular")
    waits = waits_by_node(made)
    seen = evaluate(np.cumsum(waits, axis=1), OUTAGE, schedule.terms)
    # 1,500 page loads: the standard error of the mean downtime is about 0.2 %, of the attempts 0.4 %
    assert seen.downtime_mean_s == pytest.approx(made.evaluation.downtime_mean_s, rel=0.01)
    assert seen.attempts_mean == pytest.approx(made.evaluation.attempts_mean, rel=0.015)
    assert seen.cost_s(schedule.price_s) == pytest.approx(schedule.cost_s * (1 + made.extra_cost_ratio), rel=0.008)
    assert -0.01 < made.extra_cost_ratio < 0.02
    if library in ("javascript", "signalr", "phoenix"):
        listed = np.asarray([*schedule.waits_s, *[schedule.waits_s[-1]] * WAITS])[:WAITS]
        assert np.all(waits >= listed * 0.5 - 1e-9) and np.all(waits <= listed * 1.5 + 1e-9)
        # U(1/2, 3/2): standard deviation 0.29, over 1,500 draws; five standard errors
        assert np.allclose(waits.mean(axis=0) / listed, 1.0, atol=5 * 0.2887 / np.sqrt(LOADS))
    # clients cut together do not meet again
    assert np.all(waits.std(axis=0) > 0.15 * waits.mean(axis=0))


@needs_node
def test_a_stop_is_kept(schedule):
    limited = Schedule(**{**schedule.__dict__, "attempt_limit": 7})
    made = snippet("signalr", limited, OUTAGE)
    script = STAND_INS["signalr"] + made.code + (
        "\nconst p = connection._reconnectPolicy;"
        "console.log(JSON.stringify([6, 7].map((k) => p.nextRetryDelayInMilliseconds({ previousRetryCount: k }))))"
    )  # fmt: skip
    before, after = json.loads(node(script))
    assert before > 0 and after is None
    for library in ("socket.io", "reconnecting-websocket", "javascript"):
        code = snippet(library, limited, OUTAGE).code
        assert re.search(r"(reconnectionAttempts: |maxRetries: |ATTEMPT_LIMIT = )7\b", code)


@needs_node
def test_a_restart_is_spread_wide(schedule):
    made = snippet("javascript", schedule, OUTAGE, spread_s=20.0)
    draws = json.loads(node(made.code + "\nconsole.log(JSON.stringify([1001, 1012, 1013, 1006].map("
                            "(code) => Array.from({ length: 2000 }, () => waitS(0, code)))))"))  # fmt: skip
    first = schedule.waits_s[0]
    for told in draws[:3]:
        assert first <= min(told) < first + 1 and first + 19 < max(told) <= first + 20
    assert max(draws[3]) <= 1.5 * first
    made = snippet("signalr", schedule, OUTAGE, spread_s=20.0)
    script = (
        STAND_INS["signalr"]
        + made.code
        + """
const ask = (text) => Array.from({ length: 2000 }, () => connection._reconnectPolicy.nextRetryDelayInMilliseconds(
  { previousRetryCount: 0, retryReason: text && new Error(text) }));
console.log(JSON.stringify([ask("WebSocket closed with status code: 1012 (restart)."), ask(undefined)]));"""
    )
    told, silent = json.loads(node(script))
    assert max(told) > 1000 * (first + 19) and max(silent) <= 1500 * first


@needs_node
def test_the_plain_function_keeps_a_real_connection():
    """A server that restarts, cuts, and at last says goodbye; node's own WebSocket."""
    terms = Terms(1.0, horizon_s=60.0)
    waits = (0.1, 0.2, 0.4)
    none = evaluate(starts_of(waits, terms), OUTAGE, terms)
    quick = Schedule(waits, None, 0.5, terms, np.asarray([0.1]), none, none, none)
    code = snippet("javascript", quick, OUTAGE, spread_s=0.5, stable_s=0.05).code
    opens: list[float] = []

    async def answer(connection):
        loop = asyncio.get_running_loop()
        opens.append(loop.time())
        await asyncio.sleep(0.1)
        if len(opens) == 1:
            await connection.close(1012)
        elif len(opens) == 2:
            connection.transport.abort()  # no close frame: 1006
        else:
            await connection.close(1008)

    async def session() -> list[list]:
        async with serve(answer, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            script = (
                code
                + f"""
const log = [];
keepConnected("ws://127.0.0.1:{port}", {{
  waiting: (seconds, event) => log.push([event.code, seconds]),
  ended: (event) => {{ log.push([event.code, null]); console.log(JSON.stringify(log)); }},
}});"""
            )
            return json.loads(await asyncio.to_thread(node, script, "--experimental-websocket", "--no-warnings"))

    log = asyncio.run(session())
    assert [code for code, _ in log] == [1012, 1006, 1008]
    assert 0.1 <= log[0][1] <= 0.6 and 0.05 <= log[1][1] <= 0.15 and log[2][1] is None
    gaps = np.diff(opens) - 0.1
    # timers and handshakes add up to 0.4 s on a busy machine, and never take away
    assert np.all(gaps >= np.asarray([log[0][1], log[1][1]]) - 0.01) and np.all(
        gaps <= np.asarray([log[0][1], log[1][1]]) + 0.5
    )


def test_final_codes_are_those_that_explain_says_not_to_retry():
    folder = Path(__file__).parents[2] / "wslog"
    codes = json.loads((folder / "explain/data/codes.json").read_text("utf-8"))
    known = {int(code) for code, facts in codes.items() if facts["retry"] == "no" and int(code) < 4000}
    text = (folder / "policy/snippets/javascript.js.jinja").read_text("utf-8")
    listed = re.search(r"FINAL_CODES = \[([\d, ]+)\]", text)
    assert listed is not None
    assert {int(code) for code in listed[1].split(",")} == known


def test_a_title_from_a_log_cannot_leave_the_comment(schedule):
    made = snippet("javascript", schedule, OUTAGE, title="wifi\n\u2028*/ alert(1) </script> ${x} `")
    assert made.code.splitlines()[0].startswith("// Reconnect schedule for wifi alert 1 script x:")
    with pytest.raises(UsageError, match=r"no snippet for 'sockjs'; there are javascript"):
        snippet("sockjs", schedule, OUTAGE)
