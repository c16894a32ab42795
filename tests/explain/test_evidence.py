"""What a lake shows about a code, and the words around it."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rich.cells import cell_len

import wslog
from wslog.api import Lake
from wslog.explain import LANGUAGES, explain, render
from wslog.explain.evidence import matching, of_status, together

ROOT = Path(__file__).parent.parent.parent
TIMEOUTS = [30, 55, 60, 100, 240, 300, 350, 600, 1800, 7200]


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    path = tmp_path_factory.mktemp("explain") / "lake"
    wslog.ingest(sorted((ROOT / "data/demo/generated").glob("*W4[567]*.gz")), path)
    return wslog.open_lake(path)


def test_counts_are_those_of_the_metric(lake: Lake) -> None:
    found = explain(1006, lake).evidence
    assert found is not None
    frame = lake.close_codes()
    row = frame[(frame["close_code"] == 1006) & (frame["side"] == "client")].iloc[0]
    assert (found.side, found.count, found.total) == ("client", row["numerator"], row["denominator"])
    assert found.shares[0].value == row["value"] and found.shares[0].low == row["ci_low"]
    attempts = lake.attempts()
    coded = attempts[attempts["close_code"] == 1006]
    assert found.opened == coded["is_opened"].sum()
    assert found.opened + found.never_opened == found.count == len(coded)
    assert sum(share.count for share in found.networks) == found.count
    assert {share.key for share in found.weeks} == {"2026-W45", "2026-W46", "2026-W47"}
    assert found.duration_count == coded.loc[coded["is_opened"], "lifetime_s"].notna().sum()


def test_causes_are_those_of_the_diagnosis(lake: Lake) -> None:
    found = explain(1006, lake).evidence
    assert found is not None
    attempts = lake.diagnose().attempts.merge(lake.attempts()[["attempt_id", "close_code"]], on="attempt_id")
    counts = attempts.loc[(attempts["close_code"] == 1006) & (attempts["side"] == "client"), "cause"].value_counts()
    assert {share.key: share.count for share in found.causes} == counts.to_dict()
    assert {share.total for share in found.causes} == {counts.sum()}


def test_the_short_page_tells_what_to_do_and_ends_there(lake: Lake) -> None:
    page = render(explain(1006, lake), 80, is_full=False)
    assert "wslog diagnose --lake" in page.split("DO THIS")[1].split("2.")[0]
    shown = {
        line[:2]
        for line in page.split("A  IT NEVER OPENED")[1].splitlines()
        if line[:1] in "AB" and line[1:2].isdigit()
    }
    # the demo's lake has blocked networks, idle timeouts, mobile losses and the like; nothing of Cloudflare or compression
    assert {"A2", "B1"} <= shown and not {"A4", "B5", "B6"} & shown
    assert page.splitlines()[-1] == "  $ wslog explain 1006 --full" and "SOURCES" not in page
    assert len(page.splitlines()) <= 100
    bare = render(explain(1006, lang="zh"), 80, is_full=False)
    assert bare.splitlines()[-1] == "  $ wslog explain 1006 --lang zh --full" and "B6" in bare.split("B  ")[1]


def test_the_sixty_second_peak_matches(lake: Lake) -> None:
    found = explain(1006, lake)
    assert found.evidence is not None
    match = next(m for m in found.evidence.matches if m.measure == "lifetime" and m.seconds == 60)
    assert match.inside - match.background >= 8 and 59.7 <= match.median_s <= 61
    assert 1 <= match.session_count <= match.inside
    page = " ".join(render(found).split())
    assert "a timeout of 60 s?" in page and "nginx proxy_read_timeout" in page


@pytest.mark.parametrize("lang", LANGUAGES)
def test_what_to_do_begins_with_the_largest_cause(lake: Lake, lang: str) -> None:
    found = explain(1006, lake, lang)
    assert found.evidence is not None
    part = render(found, is_full=False).split({"en": "DO THIS", "zh": "怎么做"}[lang])[1].split("\n\n")[0]
    listed = re.findall(r"^ +([AB]\d) +([\d.]+) %", part, re.M)
    shares = [float(share) for _, share in listed]
    assert len(listed) > 2 and shares == sorted(shares, reverse=True)
    sums = {
        cause.label: sum(100 * (s.value or 0) for s in found.evidence.causes if s.key in cause.diagnosed)
        for cause in found.causes
    }
    assert {label: float(share) for label, share in listed} == pytest.approx(
        {label: share for label, share in sums.items() if share}, abs=0.051
    )


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("code", [1000, 1006, 1011, 1012, 502])
def test_pages_about_a_lake_fit(lake: Lake, code: int, lang: str) -> None:
    page = render(explain(code, lake, lang), 80)
    path = shlex.quote(str(lake.path))
    assert not [line for line in page.splitlines() if cell_len(line) > 80 and path not in line]
    assert "{" not in page.split("map $")[0].replace("http {", "")


def test_a_code_that_never_occurs_is_said(lake: Lake) -> None:
    found = explain(1009, lake)
    assert found.evidence is not None and found.evidence.side is None
    assert "1009 does not occur here" in render(found)
    assert "1006 (" in render(found)
    assert "没有出现 1009" in render(explain(1009, lake, "zh"))


def test_too_little_is_insufficient(tmp_path: Path) -> None:
    wslog.ingest([ROOT / "data/demo/lab/client.ndjson"], tmp_path / "lake")
    few = wslog.open_lake(tmp_path / "lake")
    rare = explain(1012, few).evidence
    assert rare is not None and 0 < rare.count < 20
    assert rare.timeout_state == "insufficient" and not rare.matches
    assert "insufficient" in render(explain(1012, few))


def test_json_of_a_lake(lake: Lake) -> None:
    record = json.loads(json.dumps(explain(1006, lake).to_dict(), allow_nan=False))
    assert record["lake"] == str(lake.path)
    assert record["evidence"]["timeout_state"] == "matches"
    assert record["evidence"]["weeks"][0].keys() == {"key", "count", "total", "value", "low", "high", "state"}


def test_commands_name_the_lake_and_run(lake: Lake) -> None:
    found = explain(1006, lake)
    commands = {
        c for c in (*found.commands, *(c for cause in found.causes for c in cause.commands)) if " explain " not in c
    }
    assert len(commands) > 8
    for command in commands:
        words = shlex.split(command.partition(" > ")[0])
        assert words[0] == "wslog" and str(lake.path) in words
        verb, options = words[1], words[2:]
        by = options[options.index("--by") + 1].split(",") if "--by" in options else []
        if verb == "table":
            assert list(getattr(lake, options[0])().columns)
        elif verb == "diagnose":
            assert len(lake.diagnose().attempts) > 0
        else:
            assert len(getattr(lake, verb.replace("-", "_"))(by=by)) > 0, command


# --- the computing functions ----------------------------------------------------------------------------


def spread(count: int, low: float, high: float) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.linspace(low, high, count)


def names(count: int) -> np.ndarray:
    return np.arange(count)


def test_no_match_without_a_peak() -> None:
    even = spread(4000, 1, 400)
    assert matching(even, names(4000), TIMEOUTS) == ()
    falling = -np.log(spread(20000, 0.0001, 0.9999)) * 40  # an exponential: denser below every timeout
    assert matching(falling, names(20000), TIMEOUTS) == ()
    rising = np.concatenate(
        [spread(5, 50, 59.7), spread(400, 59.7, 100)]
    )  # a step at the timeout: one side is not enough
    assert matching(rising, names(405), TIMEOUTS) == ()


def test_match_needs_eight_above_the_background() -> None:
    def peak(count: int) -> int:
        values = np.concatenate([spread(60, 1, 400), np.full(count, 60.1)])
        return len(matching(values, names(len(values)), [60]))

    assert (peak(5), peak(12)) == (0, 1)
    assert matching(np.full(19, 60.1), names(19), TIMEOUTS) == ()  # too few to say anything
    found = matching(np.full(40, 60.1), np.zeros(40, int), TIMEOUTS)
    assert [(m.seconds, m.inside, m.session_count, m.background) for m in found] == [(60, 40, 1, 0.0)]


def test_no_match_below_a_quarter_over_the_background() -> None:
    values = np.concatenate([spread(40000, 40, 80), np.full(200, 60.1)])
    assert matching(values, names(len(values)), [60]) == ()


def ends(seconds: list[float], sessions: np.ndarray, host: str = "a.example") -> pd.DataFrame:
    start = pd.Timestamp("2026-11-23T10:00:00Z").value // 1000
    columns = {"ended_us": [start + round(s * 1e6) for s in seconds], "cluster_number": sessions}
    return pd.DataFrame({**columns, "url_host": host, "network_type": "wifi"})


def test_together_counts_sessions_not_rows() -> None:
    five = together(ends([0, 1, 2, 3, 9.9], names(5)))
    assert [(g.at, g.session_count, g.hosts) for g in five] == [("2026-11-23T10:00:00Z", 5, ("a.example",))]
    assert together(ends([0, 1, 2, 3, 10.1], names(5))) == []
    assert together(ends([0, 1, 2, 3, 4, 5], np.zeros(6, int))) == []
    busy = [float(n) for n in range(1200)]  # ten sessions in any ten seconds are this service's ordinary traffic
    assert together(ends(busy, names(1200))) == []


def test_hostile_hosts_are_made_inert() -> None:
    (group,) = together(ends([0, 1, 2, 3, 4], names(5), host="\x1b]0;x\x07\u202eevil"))
    assert "\x1b" not in group.hosts[0] and "\u202e" not in group.hosts[0]


def test_hostile_reasons_are_made_inert() -> None:
    frame = ends([0, 400, 800], names(3)).assign(
        side="proxy",
        is_opened=False,
        sample_weight=1.0,
        lifetime_s=np.nan,
        silence_s=np.nan,
        close_reason="\x1b[31m\u202e",
    )
    counts = pd.DataFrame({"side": ["proxy", "proxy"], "http_status": [502, None], "weight": [3.0, 4.0]})
    found = of_status(502, counts, frame)
    assert (found.side, found.count, found.never_opened) == ("proxy", 3, 3)
    assert found.reasons == (("\\x1b[31m\\u202e", 3),)


def test_http_status_of_a_proxy_log(tmp_path: Path) -> None:
    wslog.ingest([ROOT / "data/demo/lab/haproxy.log"], tmp_path / "lake", tz="UTC")
    proxy = wslog.open_lake(tmp_path / "lake")
    status = int(proxy.attempts().query("not is_opened")["http_status"].dropna().mode().iloc[0])
    found = explain(status, proxy).evidence
    assert found is not None and found.side == "proxy" and found.never_opened > 0
    page = render(explain(1006, proxy))
    assert "1006 does not occur here" in page and "have no code" in page


@pytest.mark.parametrize(
    ("arguments", "word"), [((), "DO THIS"), (("--lang", "zh"), "怎么做"), (("--json",), '"kind": "close_code"')]
)
def test_printing(arguments: tuple[str, ...], word: str) -> None:
    call = "import sys; from wslog.cli.explaining import explain_code; explain_code('1012', None, {!r}, {!r})"
    lang = arguments[1] if "--lang" in arguments else "en"
    code = call.format(lang, "json" if "--json" in arguments else "table")
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT, encoding="utf-8"
    )
    assert word in done.stdout
    assert done.stderr == ""


def test_a_closed_pipe_is_no_error() -> None:
    if shutil.which("head") is None:
        pytest.skip("needs head")
    code = "from wslog.cli.explaining import explain_code; explain_code('1006', None, 'en', 'table')"
    done = subprocess.run(
        f"{shlex.quote(sys.executable)} -c {shlex.quote(code)} | head -1",
        shell=True,
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert done.stdout.startswith("1006")
    assert done.stderr == ""
