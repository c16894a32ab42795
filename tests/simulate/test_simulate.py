"""The simulator itself: repeatable, honest about its arguments, and each ingredient does what its name says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest

from wslog.cli.simulating import run
from wslog.errors import UsageError
from wslog.schema import EPISODE_ENDS, OUTCOMES
from wslog.simulate import CAUSES, EXTRAS, FORMATS, LEVELS, Mess, simulate
from wslog.simulate.policy import Walk, policy_of
from wslog.simulate.session import FAILURES, fires_at
from wslog.simulate.truth import ATTEMPTS, EPISODES, SESSIONS, schema
from wslog.simulate.world import BLOCKS, NETWORKS, us

SMALL: dict[str, Any] = {"users": 60, "days": 1, "start": "2026-11-23", "seed": 3}


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def truth(folder: Path, name: str) -> pd.DataFrame:
    return pd.read_parquet(folder / f"truth_{name}.parquet")


def test_same_arguments_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        simulate(tmp_path / name, **SMALL)
    simulate(tmp_path / "other", **SMALL | {"seed": 4})
    one, two, other = (contents(tmp_path / name) for name in ("one", "two", "other"))
    assert one == two
    assert set(one) == {
        "nginx.conf",
        "truth_attempts.parquet",
        "truth_episodes.parquet",
        "truth_sessions.parquet",
        *(
            f"logs/{n}"
            for n in ("haproxy_http-2026-11-23.log", "nginx_access-2026-11-23.log", "wslog_client-2026-11-23.ndjson")
        ),
    }
    assert all(one[name] != other[name] for name in one if name != "nginx.conf")


def test_truth_tables_describe_themselves(tmp_path: Path) -> None:
    simulate(tmp_path / "sim", **SMALL)
    for name, columns in (("sessions", SESSIONS), ("attempts", ATTEMPTS), ("episodes", EPISODES)):
        table = pq.read_table(tmp_path / "sim" / f"truth_{name}.parquet")
        assert table.schema.equals(schema(columns), check_metadata=True)
        assert all(field.nullable or table[field.name].null_count == 0 for field in table.schema)
        assert all(field.metadata[b"meaning"] for field in table.schema)
    assert set(truth(tmp_path / "sim", "attempts")["outcome"]) <= set(OUTCOMES)
    assert set(truth(tmp_path / "sim", "episodes")["end"]) <= set(EPISODE_ENDS)


def test_nothing_fails_in_a_world_without_ingredients(tmp_path: Path) -> None:
    summary = simulate(tmp_path / "sim", **SMALL, scenario=[])
    assert (summary.outages, summary.causes, summary.ends) == (0, {}, {})
    assert set(truth(tmp_path / "sim", "attempts")["outcome"]) <= {
        "closed_normally",
        "closed_by_application",
        "still_open",
    }


@pytest.mark.parametrize("cause", CAUSES)
def test_one_ingredient_alone(tmp_path: Path, cause: str) -> None:
    summary = simulate(tmp_path / "sim", users=250, days=1, start="2026-11-23", seed=5, scenario=[cause])
    assert set(summary.causes) == {cause}
    episodes = truth(tmp_path / "sim", "episodes")
    initial = {"blocked_upgrade", "server_refused", "tls_or_clock", "browser_or_page"}
    if cause in initial:
        assert (episodes["kind"] == "initial").all()
        assert not (episodes["end"] == "recovered").any()
    elif cause == "flapping_server":
        assert episodes["is_flapping"].any()
    elif cause == "sleep":
        assert ((episodes["started_at"] - episodes["lost_at"]) > pd.Timedelta(seconds=5)).all()
    elif cause == "restart_herd":
        herds = episodes.groupby("front_end", observed=True)["lost_at"].agg(lambda t: t.max() - t.min())
        assert (herds < pd.Timedelta(seconds=60)).all()
        assert set(episodes["trigger_close_code"]) == {1006, 1012}
    elif cause == "client_bug":
        assert set(episodes["trigger_close_code"]) == {1009}


def test_only_some_formats(tmp_path: Path) -> None:
    summary = simulate(tmp_path / "sim", **SMALL, formats=["haproxy_http"])
    assert list(summary.logs) == ["logs/haproxy_http-2026-11-23.log"]
    assert not (tmp_path / "sim" / "nginx.conf").exists()
    assert set(FORMATS) == {"wslog_client", "nginx_access", "haproxy_http"}


def test_sampling_leaves_the_world_as_it_is(tmp_path: Path) -> None:
    whole = simulate(tmp_path / "whole", **SMALL)
    part = simulate(tmp_path / "part", **SMALL, sampling=0.25)
    assert whole.sessions == part.sessions == whole.logged_sessions
    assert 0 < part.logged_sessions < part.sessions / 2
    attempts = truth(tmp_path / "part", "attempts")
    assert (attempts["sample_weight"] == 4).all()
    assert attempts.query("is_visible")["session_id"].nunique() == part.logged_sessions
    assert len(attempts) == whole.attempts
    nginx = "logs/nginx_access-2026-11-23.log"
    assert contents(tmp_path / "whole")[nginx] == contents(tmp_path / "part")[nginx]


@pytest.mark.parametrize(
    "wrong",
    [
        {"users": 0},
        {"days": 0},
        {"days": float("nan")},
        {"sampling": 0},
        {"sampling": 1.1},
        {"start": "yesterday"},
        {"start": "1066-10-14"},
        {"scenario": ["gremlins"]},
        {"scenario": "gremlins"},
        {"formats": ["csv"]},
        {"policy": "panic"},
        {"mess": "total"},
    ],
)
def test_wrong_arguments(tmp_path: Path, wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        simulate(tmp_path / "sim", **SMALL | wrong)
    assert not (tmp_path / "sim").exists()


def test_all_leaves_the_extras_out(tmp_path: Path) -> None:
    """Worlds made before there were extras stay as they were."""
    simulate(tmp_path / "all", **SMALL)
    simulate(tmp_path / "causes", **SMALL, scenario=CAUSES)
    simulate(tmp_path / "everything", **SMALL, scenario="everything")
    simulate(tmp_path / "words", **SMALL, scenario=["all", *EXTRAS])
    every = {path.name: contents(path) for path in tmp_path.iterdir()}
    assert every["all"] == every["causes"] != every["everything"] == every["words"]


def test_certificate_that_ends(tmp_path: Path) -> None:
    """From an instant on nobody opens, apps are told of the date, and no front end has a line of it; old connections live on."""
    simulate(tmp_path / "sim", users=250, days=1, start="2026-11-23", seed=5, scenario=["certificate_expired"])
    attempts = truth(tmp_path / "sim", "attempts")
    hit = attempts[attempts["cause"] == "certificate_expired"]
    begin, end = hit["started_at"].min(), hit["started_at"].max()
    assert len(hit) > 30 and pd.Timedelta(hours=1) < end - begin < pd.Timedelta(hours=6)
    inside = attempts[(attempts["started_at"] >= begin) & (attempts["started_at"] <= end)]
    # who leaves the page while it connects is told nothing
    assert set(inside["cause"].dropna()) == {"certificate_expired"} and inside["opened_at"].isna().all()
    assert not hit["is_at_front_end"].any()
    assert ((attempts["opened_at"] < begin) & (attempts["ended_at"] > begin)).any()
    log = b"".join(part for name, part in contents(tmp_path / "sim").items() if name.endswith(".ndjson"))
    assert log.count(FAILURES["tls"][0].encode()) > 10


def test_timers_of_a_hidden_page() -> None:
    span = [(us(100), us(1000))]
    due = {
        50.0: 50.0,
        100.0: 100.0,
        100.4: 101.0,
        399.2: 400.0,
        400.1: 460.0,
        460.0: 460.0,
        990.0: 1000.0,
        1000.0: 1000.0,
    }
    assert {at: fires_at(us(at), span) / 1e6 for at in due} == due


def test_throttled_timers(tmp_path: Path) -> None:
    simulate(tmp_path / "sim", users=150, days=1, start="2026-11-23", seed=5, scenario=["all", "throttled_timers"])
    attempts = truth(tmp_path / "sim", "attempts")
    held = attempts[attempts["held_back_s"] > 0]
    assert 0.02 < len(held) / len(attempts) < 0.3
    assert (held["held_back_s"] <= 60).all() and (held["held_back_s"] > 5).mean() > 0.5
    assert (held["retry_number"] > 0).all()


def test_a_fallback_is_remembered(tmp_path: Path) -> None:
    arguments: dict[str, Any] = {"users": 150, "days": 3, "start": "2026-11-23", "seed": 5}
    simulate(tmp_path / "sim", **arguments, scenario=["blocked_upgrade", "remembered_fallback"])
    sessions = truth(tmp_path / "sim", "sessions")
    kept = sessions[sessions["is_fallback_remembered"]]
    assert len(kept) > 10
    assert (kept["attempt_count"] == 0).all() and (kept["fell_back_at"] == kept["started_at"]).all()
    assert not set(kept["session_id"]) & set(truth(tmp_path / "sim", "attempts")["session_id"])


def test_mess_changes_lines_and_not_the_world(tmp_path: Path) -> None:
    arguments = SMALL | {"users": 250}
    simulate(tmp_path / "clean", **arguments)
    half = Mess(lost_ratio=0.2, doubled_ratio=0.1)
    for name, mess in (("one", half), ("two", half), ("heavy", "heavy"), ("cut", Mess(cut_ratio=1.0))):
        simulate(tmp_path / name, **arguments, mess=mess)
    clean, one, two, heavy, cut = (contents(tmp_path / name) for name in ("clean", "one", "two", "heavy", "cut"))
    assert one == two
    for name in ("truth_sessions", "truth_attempts", "truth_episodes"):
        assert one[f"{name}.parquet"] == clean[f"{name}.parquet"] == cut[f"{name}.parquet"]
        told = pd.read_parquet(tmp_path / "heavy" / f"{name}.parquet").drop(columns="clock_offset_s")
        assert told.equals(pd.read_parquet(tmp_path / "clean" / f"{name}.parquet").drop(columns="clock_offset_s"))
    for name in (name for name in clean if name.startswith("logs/")):
        lines, kept = clean[name].splitlines(), one[name].splitlines()
        assert set(kept) < set(lines)
        # 0.2 lost and a tenth of the rest twice: five standard deviations of the counts of the smallest log (340 lines) are 0.11
        assert abs(len(set(kept)) / len(set(lines)) - 0.8) < 0.11
        assert abs(len(kept) / len(set(kept)) - 1.1) < 0.1
    log = "logs/wslog_client-2026-11-23.ndjson"
    assert len(cut[log].splitlines()) < 0.8 * len(clean[log].splitlines())
    assert cut["logs/nginx_access-2026-11-23.log"] == clean["logs/nginx_access-2026-11-23.log"]
    offsets = truth(tmp_path / "heavy", "sessions")["clock_offset_s"]
    usual = offsets[offsets > -1e6]
    # standard deviation of 250 normal draws of 60 s: within 15 %
    assert 50 < usual.std() < 70
    assert b'"network"' in heavy[log].splitlines()[0] or any(
        b'"network"' not in line for line in heavy[log].splitlines()
    )
    with pytest.raises(UsageError, match="lost_ratio"):
        Mess(lost_ratio=1.5)
    assert set(LEVELS) == {"none", "light", "heavy"}


def test_never_into_a_folder_with_files(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("precious")
    with pytest.raises(UsageError, match="not empty"):
        simulate(tmp_path, **SMALL)
    with pytest.raises(UsageError, match="cannot be written"):
        simulate(tmp_path / "mine.txt", **SMALL)


def waits_of(walk: Walk, count: int) -> list[float | None]:
    return [walk.next_s(0.0) for _ in range(count)]


def test_a_walk_through_a_policy() -> None:
    walk = Walk(policy_of("linear-3"), 1)
    assert waits_of(walk, 4) == [1.0, 2.0, 3.0, None]
    walk.opened(0.01)
    assert walk.retry == 0
    assert waits_of(walk, 2) == [1.0, 2.0]


def test_a_walk_resets_after_uptime_only() -> None:
    """reconnecting-websocket: 5 s of uptime reset the counter, and the base of the page stays."""
    walk = Walk(policy_of("reconnecting-websocket"), 1)
    first = waits_of(walk, 3)
    assert first[2] == pytest.approx(first[0] * 1.69)
    walk.opened(4.9)
    assert walk.next_s(0.0) == pytest.approx(min(10, first[0] * 1.3**3))
    walk.opened(5.0)
    assert waits_of(walk, 3) == first
    assert waits_of(Walk(policy_of("reconnecting-websocket"), 2), 1) != first[:1]


def test_a_walk_counts_from_the_begin_of_an_attempt_and_knows_first_connections() -> None:
    grpc = Walk(policy_of("grpc"), 1)
    assert grpc.next_s(0.4) == pytest.approx(0.6)
    assert grpc.next_s(20.0) == 0.0
    assert waits_of(Walk(policy_of("signalr"), 1), 1) == [None]
    python = Walk(policy_of("python-websockets"), 1)
    assert waits_of(python, 2)[1] == 3.1
    python.opened(60.0)
    assert waits_of(python, 3)[::2] == [0.0, 3.1]


def test_addresses_are_for_documentation_or_private() -> None:
    assert {block.network_type for block in BLOCKS} == set(NETWORKS)
    assert all(64496 <= block.asn <= 64511 for block in BLOCKS)
    assert all(block.cidr.startswith(("10.", "192.0.2.", "198.51.100.", "203.0.113.", "2001:db8:")) for block in BLOCKS)


@pytest.mark.parametrize("as_json", [False, True])
def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str], as_json: bool) -> None:
    run(
        tmp_path / "sim",
        **SMALL,
        scenario="carrier, sleep",
        formats=None,
        sampling=0.5,
        policy="linear-3",
        mess="light",
        as_json=as_json,
    )
    said = capsys.readouterr().out
    assert ('"causes": {' if as_json else "wslog ingest") in said
    run(
        tmp_path / "calm",
        **SMALL,
        scenario="none",
        formats="wslog_client",
        sampling=1.0,
        policy="linear-3",
        as_json=False,
    )
    assert "causes: none" in capsys.readouterr().out
