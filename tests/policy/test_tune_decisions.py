"""Decisions: the words of a policy, what a difference needs to be told, and what is listed first."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from wslog.policy.backoff import Backoff
from wslog.policy.figures import Z95, Figure
from wslog.policy.policies import Fallback, Policy
from wslog.policy.presets import load_policy
from wslog.policy.tuning_decisions import (
    DECISIONS,
    difference_words,
    in_order,
    outages_to_tell,
    policy_words,
    waits_words,
)


def cost(value: float, half: float) -> Figure:
    return Figure("cost_s", value, value - half, value + half, value, value, "identified", "", ())


@pytest.mark.parametrize(
    ("policy", "words"),
    [
        (load_policy("linear-3"), "linear-3: 1, 2, 3 s, then polling every 1 s"),
        (Policy("once", waits_s=(0.5,)), "once: 0.5 s, then gives up"),
        (load_policy("fixed-1s"), "fixed-1s: 1 s every time"),
        (
            Policy("g", backoff=Backoff("exponential", 1.0, cap_s=1e9)),
            "g: 1, 2, 4, 8, 16, 32, 64, 128 s and so on",
        ),
        (
            Policy("l", backoff=Backoff("constant", 2.0), max_attempts=10),
            "l: 2, 2, 2, 2, 2, 2, 2, 2, … s, then gives up",
        ),
        (Policy("never", max_attempts=0), "never: no retry, then gives up"),
        (
            Policy("p", backoff=Backoff("exponential", 1.0, cap_s=4.0, jitter="full")),
            "p: 0–1, 0–2, then 0–4 s every time",
        ),
        (
            Policy("f", waits_s=(2.0,), fallback=Fallback("sse", 5.0, 60.0)),
            "f: 2 s, then sse every 5 s, WebSocket again after 60 s",
        ),
    ],
)
def test_a_policy_in_half_a_line(policy: Policy, words: str) -> None:
    assert policy_words(policy) == words


@pytest.mark.parametrize(
    ("waits", "limit", "words"),
    [
        ((0.5, 1.0, 4.0), None, "0.5, 1, then 4 s every time"),
        ((2.0,), None, "2 s every time"),
        ((0.5, 1.0, 4.0), 3, "0.5, 1, 4 s, then no more"),
        ((0.5, 1.0, 4.0), 2, "0.5, 1 s, then no more"),
        ((0.5, 4.0), 7, "0.5, then 4 s every time up to attempt 7"),
    ],
)
def test_waits_end_where_the_limit_ends_them(waits: tuple[float, ...], limit: int | None, words: str) -> None:
    assert waits_words(waits, limit) == words


def test_what_a_difference_needs_is_what_a_z_test_needs() -> None:
    error, count = 2.0, 400
    wanted = outages_to_tell(cost(-3.0, Z95 * error), count)
    # with so many outages the same difference is found in 80 % of logs: the witness is the power of the two-sided test
    shrunk = error * np.sqrt(count / wanted)
    power = norm.cdf(3.0 / shrunk - norm.ppf(0.975)) + norm.cdf(-3.0 / shrunk - norm.ppf(0.975))
    assert power == pytest.approx(0.8, abs=1e-4)  # the other tail, left out of the formula, is worth 1e-6
    assert outages_to_tell(cost(0.0, 1.0), count) == np.inf


def test_differences_in_words() -> None:
    assert difference_words(-80.0, -35.0, " s") == "35 to 80 s less"
    assert difference_words(-7.0, 2.2, " s") == "7 s less to 2.2 s more"
    assert difference_words(0.35, 0.96, "") == "0.35 to 0.96 more"
    assert difference_words(-133.2, -116.8, " s") == "117 to 133 s less"


def test_what_is_to_be_done_comes_first_and_sizes_keep_their_order() -> None:
    rows = [{"decision": word, "size": size} for size, word in enumerate(["few", "open", "change", *DECISIONS, "open"])]
    found = in_order(rows)
    assert [row["decision"] for row in found] == sorted((r["decision"] for r in rows), key=list(DECISIONS).index)
    assert [row["size"] for row in found if row["decision"] == "open"] == [1, 6, 8]
