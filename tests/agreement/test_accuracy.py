"""The joining of both sides against simulated truth; the long form is ``python -m tests.agreement.accuracy``."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.agreement.accuracy import CASES, measure

SHORT = {
    "ids shared": 2_000,
    "address and time": 6_000,
    "a tenth of the lines lost on each side": 3_000,
    "neither id nor address": 3_000,
}


@pytest.mark.parametrize("what", SHORT)
def test_pairs_are_right(what: str) -> None:
    case = CASES[what]
    found = measure(replace(case.world, attempts=SHORT[what]))
    assert found.score.both >= 0.8 * 0.9 * SHORT[what]
    assert found.score.right >= case.right
    assert found.score.wrong < case.wrong
    # 2.7 s, 50 millionths of half the world's length (at most 0.02 s), and the way back of the handshake, 0.04 s at most half
    assert found.offset_s == pytest.approx(2.7, abs=0.06)
