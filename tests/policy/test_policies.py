"""Presets against the algorithm that each library publishes, written here anew; and what holds for every policy."""

from __future__ import annotations

import json
from collections.abc import Callable
from math import floor, inf
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ks_2samp
from typer.testing import CliRunner

import wslog
from wslog.cli.app import app
from wslog.errors import UsageError
from wslog.policy.backoff import CAPS, GROWTHS, JITTERS, Backoff
from wslog.policy.policies import Fallback, Policy
from wslog.policy.presets import load_policy, policies, presets

NAMES = tuple(presets())


def backo2(base_ms: float, cap_ms: float) -> Callable[[int, Random], float]:
    """npm backo2 with jitter 0.5, line by line."""

    def duration(retry: int, rng: Random) -> float:
        ms = base_ms * 2.0 ** (retry - 1)
        rand = rng.random()
        deviation = floor(rand * 0.5 * ms)
        ms = ms - deviation if floor(rand * 10) & 1 == 0 else ms + deviation
        return floor(min(ms, cap_ms)) / 1e3

    return duration


def listed(*seconds: float, then: float = inf) -> Callable[[int, Random], float]:
    return lambda retry, rng: seconds[retry - 1] if retry <= len(seconds) else then


def mattermost(retry: int, rng: Random) -> float:
    wait = 3.0 if retry <= 7 else min(3.0 * retry * retry, 300.0)
    return wait + rng.random() * 2


def actioncable(retry: int, rng: Random) -> float:
    attempts = retry - 1
    jitter = (1.0 if attempts == 0 else 0.15) * rng.random()
    return 6 * 1.15 ** min(attempts, 10) * (1 + jitter)


def meteor(retry: int, rng: Random) -> float:
    count = retry - 1
    return 0.01 if count < 2 else min(300.0, 1.0 * 2.2**count) * (rng.random() * 0.5 + 0.75)


def grpc(retry: int, rng: Random) -> float:
    current = min(1.6 ** (retry - 1), 120.0)
    return 1.0 if retry == 1 else current + rng.uniform(-0.2 * current, 0.2 * current)


def python_websockets(retry: int, rng: Random) -> float:
    """``async for`` over connect(): a lost connection is opened anew at once, then client.py's backoff()."""
    if retry <= 2:
        return 0.0 if retry == 1 else rng.random() * 5
    delay = 3.1
    for _ in range(retry - 3):
        delay *= 1.618
    return min(delay, 90.0)


def ably(retry: int, rng: Random) -> float:
    n = retry - 1
    return 0.0 if n == 0 else 15 * min((n + 2) / 3, 2) * (1 - 0.2 * rng.random())


PUBLISHED: dict[str, Callable[[int, Random], float]] = {
    "socket.io": backo2(1000, 5000),
    "subscriptions-transport-ws": backo2(100, 10_000),
    "reconnecting-websocket-joewalnes": lambda n, rng: min(1.5 ** (n - 1), 30.0),
    "phoenix": listed(0.01, 0.05, 0.1, 0.15, 0.2, 0.25, 0.5, 1, 2, then=5),
    "supabase-realtime": listed(1, 2, 5, 10, then=10),
    "centrifuge": lambda n, rng: min(20.0, 0.5 + rng.uniform(0, min(20.0, 0.5 * 2 ** (n - 1)))),
    "graphql-ws": lambda n, rng: 2.0 ** (n - 1) + rng.uniform(0.3, 3.0),
    "aws-full-jitter": lambda n, rng: rng.uniform(0, min(30.0, 2.0 ** (n - 1))),
    "aws-equal-jitter": lambda n, rng: min(30.0, 2.0 ** (n - 1)) * rng.uniform(0.5, 1),
    "mattermost": mattermost,
    "actioncable": actioncable,
    "meteor": meteor,
    "grpc": grpc,
    "python-websockets": python_websockets,
    "python-websockets-legacy": lambda n, rng: rng.random() * 5 if n == 2 else listed(1, 0, 5, 8, 13, 21, 34, 55, 89, then=90)(n, rng),
    "ably": ably,
    "home-assistant": lambda n, rng: min(n - 1.0, 5.0),
    "slack-socket-mode": lambda n, rng: 5.0 * n,
    "hocuspocus": lambda n, rng: 0.0 if n == 1 else rng.uniform(1, min(30.0, 2.0 ** (n - 2))) if n > 2 else 1.0,
    "rfc6455": lambda n, rng: rng.uniform(0, min(60.0, 5 * 2.0 ** (n - 1))),
    "pusher": listed(then=1),
    "fixed-5s": listed(then=5),
}  # fmt: skip


@pytest.mark.parametrize("name", PUBLISHED)
def test_waits_are_distributed_as_published(name: str) -> None:
    count, policy, rng = 4000, presets()[name], Random(11)
    drawn = policy.waits(count, 12, np.random.default_rng(7))
    for retry in range(1, 13 if policy.max_attempts is None else policy.max_attempts + 1):
        wanted = np.array([PUBLISHED[name](retry, rng) for _ in range(count)])
        column = drawn[:, retry - 1]
        # 1 ms: backo2 cuts to whole ms, and binary fractions of a second are off by less
        if np.ptp(wanted) < 1e-3:
            assert column == pytest.approx(wanted, rel=2e-3, abs=1.1e-3)
        else:
            # about 150 comparisons in all: below 1e-5 by chance in one of 600 runs, and the seeds are fixed
            assert ks_2samp(column, wanted).pvalue > 1e-5, retry


def test_finite_schedules() -> None:
    for name, waits in (("linear-3", (1, 2, 3)), ("signalr", (0, 2, 10, 30)), ("no-retry", ())):
        policy = load_policy(name)
        row = policy.waits(2, 6, np.random.default_rng(0))[1]
        assert tuple(row[: len(waits)]) == waits
        assert np.isnan(row[len(waits) :]).all()
        assert policy.max_attempts == len(waits)
        assert not policy.has_jitter
    assert load_policy("graphql-ws").max_attempts == 5
    assert load_policy("linear-3").fallback == Fallback("polling", 1.0, None)
    assert load_policy("reference") is load_policy("linear-3")


def test_decorrelated_jitter_walks_from_the_wait_before() -> None:
    policy = load_policy("aws-decorrelated-jitter")
    waits = policy.waits(200_000, 4, np.random.default_rng(3))
    assert (waits[:, 0] >= 1).all() and (waits[:, 0] <= 3).all()
    upper = np.minimum(30, 3 * waits[:, :-1])
    assert ((waits[:, 1:] >= 1) & (waits[:, 1:] <= upper + 1e-12)).all()
    # E[U(1, 3 w)] = (1 + 3 w) / 2, twice, with E[w1] = 2 and no cap reached below w2 = 10: 3.5, then 5.75.
    # The standard error of the mean is 0.0045 and 0.0105
    assert waits[:, 1].mean() == pytest.approx(3.5, abs=0.02)
    assert waits[:, 2].mean() == pytest.approx(5.75, abs=0.05)


def test_a_page_draws_its_base_once() -> None:
    policy = load_policy("reconnecting-websocket")
    stepper = policy.stepper(1000, np.random.default_rng(1))
    everyone = np.arange(1000)
    first = stepper.next(everyone)
    assert (
        first.min() >= 1 and first.max() <= 5 and first.std() == pytest.approx(4 / 12**0.5, rel=0.05)
    )  # 3 of 1.4 % each
    assert stepper.next(everyone[:10]) == pytest.approx(np.minimum(first[:10] * 1.3, 10))
    stepper.reset()
    assert stepper.next(everyone) == pytest.approx(first)


def test_backo2_quirk() -> None:
    """The sign of the jitter is tied to its size, so the first wait of 1 s has gaps."""
    waits = load_policy("socket.io").waits(100_000, 6, np.random.default_rng(2))
    first = waits[:, 0]
    # share s = rand / 2: [0, .05) shortens, [.05, .1) lengthens, [.1, .15) shortens, ...
    assert ((first > 0.8501) & (first <= 0.8999)).any()
    assert ((first > 0.9001) & (first < 0.9499)).sum() == 0  # [.05, .1) is never subtracted
    assert ((first > 1.0001) & (first < 1.0499)).sum() == 0  # [0, .05) is never added
    assert ((first > 0.9501) & (first <= 1.0)).mean() == pytest.approx(0.1, abs=0.004)  # 4 standard errors
    assert (waits[:, 4:] == 5).all()


def test_backo2_collapses_after_an_overflow() -> None:
    """1000 ms * 2 ** 1015 is infinite: half of the waits are 0 from then on."""
    policy = load_policy("socket.io")
    stepper = policy.stepper(2000, np.random.default_rng(4))
    stepper.retry = 1014
    before = stepper.next(np.arange(2000))
    after = stepper.next(np.arange(2000))
    assert (before == 5).all()
    assert set(after) == {0.0, 5.0}
    assert (after == 0).mean() == pytest.approx(0.5, abs=0.05)  # 4 standard errors


def test_terminal_codes() -> None:
    linear, graphql, python = (load_policy(name) for name in ("linear-3", "graphql-ws", "python-websockets"))
    assert linear.is_retried(1006) and linear.is_retried(None) and not linear.is_retried(1001)
    for code, retried in (
        (1000, True),
        (1011, False),
        (1012, True),
        (4401, False),
        (4403, True),
        (4499, True),
        (4500, False),
    ):
        assert graphql.is_retried(code) is retried
    for status, retried in ((503, True), (500, True), (501, False), (403, False), (101, True), (None, True)):
        assert python.is_retried(1006, status) is retried
    centrifuge = load_policy("centrifuge")
    assert [centrifuge.is_retried(code) for code in (1009, 3499, 3500, 3999, 4000, 4500)] == [
        False,
        True,
        False,
        False,
        True,
        False,
    ]


def test_a_first_connection_is_treated_apart() -> None:
    assert load_policy("ably").first_delays(2) == [(0, 0), (12, 15)]
    assert load_policy("ably").initial().first_delays(2) == [(12, 15), (16, 20)]
    assert load_policy("signalr").initial().max_attempts == 0
    assert load_policy("phoenix").initial() is load_policy("phoenix")


@pytest.mark.parametrize("name", NAMES)
def test_first_delays_are_the_range_of_the_draws(name: str) -> None:
    policy = presets()[name]
    waits = policy.waits(20_000, 10, np.random.default_rng(5))
    ranges = policy.first_delays(10)
    assert np.isnan(waits[:, len(ranges) :]).all()
    for column, (low, high) in zip(waits.T, ranges, strict=False):
        # backo2 cuts down to whole ms
        assert low - 1.1e-3 <= column.min() and column.max() <= high + 1e-9
        # of 20 000 uniform draws some come within 2 % of each end; decorrelated jitter seldom reaches its upper end
        if name != "aws-decorrelated-jitter":
            assert (
                column.min() <= low + 0.02 * (high - low) + 1e-9 and column.max() >= high - 0.02 * (high - low) - 1.1e-3
            )
    assert policy.has_jitter == any(low < high for low, high in ranges)


def test_a_stepper_needs_no_matrix() -> None:
    """600 retries of some of the clients; those that stopped are not drawn for."""
    stepper = load_policy("fixed-1s").stepper(10, np.random.default_rng(0))
    for _ in range(600):
        assert (stepper.next(np.array([2, 5])) == 1).all()


@st.composite
def any_policy(draw: st.DrawFn) -> Policy:
    small = st.floats(0, 20, allow_subnormal=False)
    pair = st.tuples(small, small).map(lambda ends: (min(ends), max(ends)))
    jitter = draw(st.sampled_from(JITTERS))
    base = draw(small)
    backoff = Backoff(
        growth="exponential" if jitter == "once" else draw(st.sampled_from(GROWTHS)),
        base_s=base,
        step_s=draw(small),
        factor=draw(st.floats(1, 4)),
        exponent=draw(st.floats(0, 4)),
        first_step=draw(st.integers(0, 5)),
        cap_s=draw(st.one_of(st.just(inf), st.floats(max(base, 0.01), 100))),
        cap_on=draw(st.sampled_from(CAPS)),
        jitter=jitter,
        jitter_ratio=draw(st.floats(0, 1)),
        jitter_s=draw(pair),
        floor_s=draw(st.floats(0, 1)),
        offset_s=0.0 if jitter == "decorrelated" else draw(st.floats(0, 1)),
    )
    return Policy(
        "any",
        waits_s=tuple(draw(st.lists(st.one_of(small, pair), max_size=4))),
        backoff=draw(st.one_of(st.none(), st.just(backoff))),
        max_attempts=draw(st.one_of(st.none(), st.integers(0, 12))),
        is_drop_immediate=draw(st.booleans()),
    )


@settings(max_examples=300, deadline=None)
@given(any_policy(), st.integers(0, 2**32))
def test_every_policy(policy: Policy, seed: int) -> None:
    """Waits lie in their ranges and below a cap on the wait; NaN only behind the last retry; one seed, one outcome."""
    waits = policy.waits(7, 10, np.random.default_rng(seed))
    assert np.array_equal(waits, policy.waits(7, 10, np.random.default_rng(seed)), equal_nan=True)
    ranges = policy.first_delays(10)
    made = len(ranges)
    assert made == (10 if policy.max_attempts is None else min(10, policy.max_attempts))
    assert np.isnan(waits[:, made:]).all()
    assert not np.isnan(waits[:, :made]).any()
    for column, (low, high) in zip(waits.T, ranges, strict=False):
        assert column.min() >= max(0.0, low * (1 - 1e-9) - 1.1e-3) and column.max() <= high * (1 + 1e-9) + 1e-9
    if policy.backoff is not None and policy.backoff.cap_on != "nominal":
        assert (waits[:, len(policy.waits_s) + policy.is_drop_immediate : made] <= policy.backoff.cap_s).all()


def test_listing() -> None:
    frame = policies().set_index("name")
    assert len(frame) == len(NAMES)
    assert frame.loc["linear-3", "first_delays_s"] == "1, 2, 3 then stops"
    assert frame.loc["linear-3", "fallback"] == "polling every 1 s"
    assert frame.loc["reconnecting-websocket", "reset"] == "after 5 s open"
    assert (frame["source"].str.len() > 5).all()
    assert not frame.loc["partysocket", "is_verified"]


# --- files --------------------------------------------------------------------------------------------------


def test_a_policy_file(tmp_path: Path) -> None:
    path = tmp_path / "ours.toml"
    path.write_text(
        'waits_s = [0.5, [1, 3]]\nmax_attempts = 8\nterminal_codes = [1000, "4400-4499"]\nretried_http = [502, 503]\n'
        'reset = "after_uptime"\nreset_after_s = 10\nconnect_timeout_s = 15\n\n[backoff]\ngrowth = "exponential"\nbase_s = 1\n'
        'factor = 2\ncap_s = 30\njitter = "full"\n[fallback]\ntransport = "sse"\ninterval_s = 2\nreturn_after_s = 60\n'
    )
    assert load_policy(path) == load_policy(str(path)) == Policy(
        "ours",
        waits_s=(0.5, (1.0, 3.0)),
        backoff=Backoff("exponential", 1.0, factor=2.0, cap_s=30.0, jitter="full"),
        max_attempts=8,
        terminal_codes=((1000, 1000), (4400, 4499)),
        retried_http=((502, 502), (503, 503)),
        reset="after_uptime",
        reset_after_s=10.0,
        connect_timeout_s=15.0,
        fallback=Fallback("sse", 2.0, 60.0),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("waits = [1]", "toml:1: waits is no key"),
        ("\nreset = 'never'", "toml:2: reset is 'never': choose one of on_open, after_uptime, on_message"),
        ("waits_s = [1]\nwaits_s = 2", "no TOML"),
        ("waits_s = 2", "toml:1: waits_s is '2': it must be a list"),
        ("waits_s = [-1]", "toml:1: waits_s holds -1"),
        ("waits_s = [[3, 1]]", "toml:1: waits_s holds"),
        ("waits_s = [nan]", "toml:1: waits_s holds nan"),
        ("max_attempts = 1.5", "toml:1: max_attempts is '1.5': it must be a whole number"),
        ("max_attempts = true", "toml:1: max_attempts"),
        ("[backoff]\nbase_s = 1\njitter = 'wild'", "toml:3: backoff.jitter is 'wild': choose one of none, full"),
        ("[backoff]\nfactor = 0.5", "toml:2: backoff.factor is 0.5"),
        ("[backoff]\nbase = 1", "toml:2: backoff.base is no key"),
        ("[fallback]\ntransport = 'pigeon'", "toml:2: fallback.transport is 'pigeon': choose one of polling, sse"),
        ("backoff = 3", "toml:1: backoff must be a table"),
        ("terminal_codes = ['a-b']", "toml:1: terminal_codes"),
        ("terminal_codes = ['5-2']", "toml:1: terminal_codes"),
        ("reset_after_s = 3", "toml:1: reset_after_s goes with"),
        ("name = ''", "toml:1: name is empty"),
    ],
)
def test_a_wrong_policy_file_is_told_by_line_key_and_choices(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text(text)
    with pytest.raises(UsageError) as error:
        load_policy(path)
    assert said in str(error.value)


def test_unknown_names() -> None:
    with pytest.raises(UsageError, match=r"did you mean socket\.io\?"):
        load_policy("socketio")
    with pytest.raises(UsageError, match="cannot be read"):
        load_policy("/nowhere/x.toml")


# --- the command --------------------------------------------------------------------------------------------


def said(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["policies", *arguments])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_the_command_lists_every_preset() -> None:
    records = json.loads(said("--output", "json"))
    assert [record["name"] for record in records] == list(NAMES)
    assert wslog.policies()["name"].tolist() == list(NAMES)
    by_name = {record["name"]: record for record in records}
    assert by_name["phoenix"]["first_delays_s"] == "0.01, 0.05, 0.1, 0.15, 0.2, 0.25, 0.5, 1, …"
    assert by_name["phoenix"]["max_attempts"] is None
    table = said()
    assert all(name in table for name in NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_the_command_tells_all_about_one(name: str) -> None:
    assert presets()[name].source in said(name)
    record = json.loads(said(name, "--json"))
    assert record["first_delays_s"] == [list(window) for window in presets()[name].first_delays(12)]


def test_the_command_checks_a_file(tmp_path: Path) -> None:
    path = tmp_path / "ours.toml"
    path.write_text('name = "a\\u001b[31mb"\nwaits_s = [1]\nterminal_codes = ["4000-4999"]\n')
    text = said(str(path))
    assert "\x1b" not in text
    assert "1 then stops" in text and "all close codes but 4000–4999" in text and "gives up" in text
