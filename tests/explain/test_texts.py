"""Both languages say the same things, in full, on a terminal of 80 columns."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from rich.cells import cell_len

from wslog.errors import UsageError
from wslog.explain import LANGUAGES, explain, language, render
from wslog.explain.facts import data
from wslog.explain.layout import command_lines, wrap

IANA = [*range(1000, 1016), 3000, 3003, 3008]
STATUSES = [200, 301, 302, 400, 401, 403, 404, 405, 408, 426, 429, 500, 502, 503, 504, 521, 522, 525]
FILES = ("codes", "ranges", "http", "causes", "services", "timeouts", "words")
EVERY = sorted(
    {*IANA, *STATUSES, 0, 1, 101, 499, 999, 1016, 2000, 2999, 3999, 4150, 4321, 4999, 5000, 65535}
    | {s["first"] for s in data("services")}
)
# names that stay as they are in Chinese text: words of APIs, products, protocols, log lines
TERMS = {
    "closed before the connection is established", "invalid frame header", "could not decode", "keepalive ping timeout", "react strictmode",
    "openssl s_client -connect host", "durable object", "mixed content", "full jitter", "python websockets", "aws api gateway",
    "aws classic elb", "google cloud http", "oracle cloud", "api gateway", "wslog close-codes",
}  # fmt: skip


def leaves(value: Any, path: str = "") -> dict[str, str]:
    if isinstance(value, dict):
        return {k: v for key, part in value.items() for k, v in leaves(part, f"{path}/{key}").items()}
    if isinstance(value, list):
        return {k: v for n, part in enumerate(value) for k, v in leaves(part, f"{path}/{n}").items()}
    return {path: value}


@pytest.mark.parametrize("name", FILES)
def test_languages_have_the_same_keys_and_placeholders(name: str) -> None:
    english, chinese = leaves(data(f"en/{name}")), leaves(data(f"zh/{name}"))
    assert list(english) == list(chinese)
    for key, text in english.items():
        if name == "words" and "{" in text:
            assert set(re.findall(r"\{\w+\}", text)) == set(re.findall(r"\{\w+\}", chinese[key])), key
        assert bool(text) == bool(chinese[key]), key


@pytest.mark.parametrize("name", FILES)
def test_no_english_sentences_are_left_in_chinese(name: str) -> None:
    for key, text in leaves(data(f"zh/{name}")).items():
        bare = re.sub(r"wslog [a-z]+( (LOGS|--?\w+|lake|\d+))*|openssl .*|\{\w+\}", "", text)
        for run in re.findall(r"[A-Za-z][A-Za-z']*(?: [A-Za-z][A-Za-z']*){2,}", bare):
            assert run.lower() in TERMS, (key, run)


def test_every_fact_has_its_text_and_every_text_its_fact() -> None:
    for name in ("codes", "http"):
        assert list(data(name)) == list(data(f"en/{name}"))
    for name in ("ranges", "causes", "services"):
        assert [entry["id"] for entry in data(name)] == list(data(f"en/{name}"))
    assert [str(entry["seconds"]) for entry in data("timeouts")] == list(data("en/timeouts"))
    assert all(entry["source"] and entry["verified"] in data("en/words")["verified"] for entry in data("services"))


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("code", EVERY)
def test_pages_fit_80_columns_and_are_plain(code: int, lang: str) -> None:
    page = render(explain(code, lang=lang), 80)
    wide = [line for line in page.splitlines() if cell_len(line) > 80]
    assert not wide
    assert (
        "\x1b" not in page
        and "None" not in page
        and "{" not in page.replace("{ default", "").replace("http {", "").replace("server {", "").replace("/ws {", "")
    )
    if code != 1006 and code not in (200, 400, 404, 426):
        assert len(page.splitlines()) <= 50
    if lang == "zh":
        assert re.search(r"[\u4e00-\u9fff]", page)


@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_first_screen_of_1006_names_every_cause(lang: str) -> None:
    first = render(explain(1006, lang=lang)).splitlines()[:24]
    for label in ("A1", "A2", "A3", "A4", "A5", "B1", "B2", "B3", "B4", "B5", "B6"):
        assert any(line.strip().startswith(label) for line in first), label


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("width", [50, 64, 100, 200])
def test_other_widths(width: int, lang: str) -> None:
    own = {line for lines in data("snippets").values() for line in lines}
    for line in render(explain(1006, lang=lang), width).splitlines():
        assert cell_len(line) <= width or line.strip() in {text.strip() for text in own}


@pytest.mark.parametrize("code", IANA)
def test_iana_codes(code: int) -> None:
    found = explain(code)
    assert (found.kind, found.code) == ("close_code", code)
    assert found.on_wire is (code not in (1004, 1005, 1006, 1015))
    assert found.meaning and found.retry_how and found.steps and found.source
    assert (found.sender == "nobody") is (code in (1004, 1005, 1006, 1015))
    assert explain(found.name) == found
    assert explain(found.name.lower().replace(" ", "-")) == found
    chinese = data("zh/codes")[str(code)]["name"]
    assert explain(chinese).code == code


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("lang", LANGUAGES)
def test_http_statuses_are_no_close_codes(status: int, lang: str) -> None:
    found = explain(str(status), lang=lang)
    assert found.kind == "http_status"
    page = render(found)
    assert "HTTP" in page.splitlines()[1]
    assert "1006" in page


@pytest.mark.parametrize(
    ("code", "name"),
    [
        (7, "not used"),
        (418, "not used"),
        (1016, "not assigned"),
        (2999, "not assigned"),
        (3999, "registered by libraries"),
        (4999, "private use"),
        (5000, "outside the standard"),
    ],
)
def test_ranges(code: int, name: str) -> None:
    assert explain(code).name == name


def test_service_collisions() -> None:
    assert {s.service for s in explain(4000).services} >= {
        "Discord gateway",
        "Mattermost web",
        "Pusher",
        "Twitch EventSub",
        "Centrifugo",
    }
    slow = explain(3008)
    assert slow.name == "Timeout"
    assert [s.name for s in slow.services] == ["slow"]
    assert [(s.service, s.retry) for s in explain(3000).services] == [("Centrifugo", "yes")]
    assert explain(3000).retry == "no" and explain(3000).verified == "name_from_memory"
    assert "not verified" in render(explain(3000))
    assert {s.service: s.retry for s in explain(4004).services}["graphql-transport-ws"] == "no"
    assert [s.service for s in explain(4150).services] == ["Pusher", "Centrifugo"]
    assert {s.service for s in explain(4999).services} == {"Centrifugo"}
    assert all(s.is_local for s in explain(1006).services if s.service != "Kraken")


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("going away", 1001),
        ("SERVICE_RESTART", 1012),
        (" 1006 ", 1006),
        ("bad gateway", 1014),
        ("gateway timeout", 504),
        ("TooManyInitialisationRequests", 4429),
    ],
)
def test_names(text: str, code: int) -> None:
    assert explain(text).code == code


@pytest.mark.parametrize(
    "text", ["", "banana", "-1", "70000", "10 06", "1006.0", "\x1b[31m", "１００６", "٣", "not authenticated or so"]
)
def test_nonsense_names_what_exists(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        explain(text)
    assert "1000" in str(caught.value)
    assert "\x1b" not in str(caught.value) and "\n" not in str(caught.value)


def test_a_name_of_several_codes_lists_them() -> None:
    with pytest.raises(UsageError, match="500, 1011, 3004, 4000, 4500"):
        explain("internal server error")


def test_language() -> None:
    assert language(None, {}) == "en"
    assert language(None, {"LANG": "zh_CN.UTF-8"}) == "zh"
    assert language(None, {"LC_ALL": "C", "LANG": "zh_CN.UTF-8"}) == "en"
    assert language(None, {"LC_ALL": "", "LC_MESSAGES": "zh_TW", "LANG": "en_US"}) == "zh"
    assert language("en", {"LANG": "zh_CN"}) == "en"
    for bad in ("de", "\x1b"):
        with pytest.raises(UsageError, match="en, zh"):
            explain(1006, lang=bad)


def test_json_keys() -> None:
    for code in (1006, 4000, 502, 999):
        record = explain(code).to_dict()
        assert {
            "kind",
            "code",
            "lang",
            "name",
            "meaning",
            "sender",
            "on_wire",
            "retry",
            "retry_how",
            "usually",
            "steps",
            "commands",
        } <= set(record)
        assert {"services", "causes", "timeouts", "snippets", "source", "verified", "lake", "evidence"} <= set(record)
        assert json.loads(json.dumps(record, allow_nan=False))["code"] == code
    assert [t["seconds"] for t in explain(1006).to_dict()["timeouts"]] == [
        30,
        55,
        60,
        100,
        240,
        300,
        350,
        600,
        1800,
        7200,
    ]


def test_wrapping_counts_cells() -> None:
    lines = wrap("连接在没有关闭帧的情况下结束了，或者根本没有建立。", 11)
    assert all(cell_len(line) <= 11 for line in lines)
    assert "".join(lines) == "连接在没有关闭帧的情况下结束了，或者根本没有建立。"
    assert not any(line[0] in "，。" for line in lines)
    assert wrap("x" * 25, 10) == ["x" * 10, "x" * 10, "x" * 5]
    assert wrap("", 10) == [""]
    assert command_lines("wslog table attempts --where \"a = 'b c'\"", 30, 2) == [
        "  wslog table attempts \\",
        "    --where \"a = 'b c'\"",
    ]
