"""The page: what it says, what it never holds, and that it is always the same."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest

from tests.report import fake
from tests.report.fake import FakeLake
from wslog.errors import EXIT_CANNOT_WRITE, UsageError
from wslog.report import ReportWriteError, write_report
from wslog.schema import METRIC_COLUMNS

VOID = {"meta", "img", "br", "link"}


class Page(HTMLParser):
    """Tags with attributes, and the text between them, read as a browser would."""

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.feed(source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> closes nothing"

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words).replace("\u00a0", " "))

    @property
    def headings(self) -> list[str]:
        return re.findall(r"<h2>(.*?)</h2>", self.source)

    source: str = ""


def page_of(lake: FakeLake, folder: Path, week: str | None = None) -> Page:
    source = write_report(lake, folder, week).read_text("utf-8")
    page = Page(source)
    page.source = source
    assert not page.open, "every element is closed"
    check_inert(page)
    return page


def check_inert(page: Page) -> None:
    """Fault 88: no script, no handler, no address but data: images; and the policy that forbids them."""
    for tag, attributes in page.tags:
        assert tag not in {"script", "iframe", "object", "embed", "form", "link", "base", "a", "svg"}
        assert not [name for name in attributes if name.startswith("on")]
        for name in ("src", "href", "action", "srcset", "background"):
            assert attributes.get(name) is None or str(attributes[name]).startswith("data:image/png;base64,")
        if "style" in attributes:
            assert re.fullmatch(r"width:[0-9.]+%", str(attributes["style"]))
    policies = [a["content"] for tag, a in page.tags if tag == "meta" and a.get("http-equiv")]
    assert policies == ["default-src 'none'; img-src data:; style-src 'unsafe-inline'"]
    assert "url(" not in page.source
    assert "@import" not in page.source


def test_the_page_and_its_charts_are_where_they_should_be(tmp_path: Path) -> None:
    path = write_report(FakeLake(), tmp_path / "new" / "out")
    assert path == tmp_path / "new" / "out" / "report-2026-W47.html"
    assert sorted(p.name for p in path.parent.iterdir()) == [
        "2026-W47-close-codes.png",
        "2026-W47-drops.png",
        "2026-W47-fallback.png",
        "2026-W47-reliability-proxy.png",
        "2026-W47-reliability.png",
        "2026-W47-retry-success.png",
        "2026-W47-time-to-recover.png",
        "report-2026-W47.html",
    ]


def test_sections_come_in_the_order_of_a_monday_morning(tmp_path: Path) -> None:
    assert page_of(FakeLake(), tmp_path).headings == [
        "The week against the weeks before",
        "Attempts that did not connect",
        "Close codes",
        "Retries and recovery",
        "Fallback and drops by network",
        "How outages ended",
        "What the proxy logs saw",
        "What the numbers mean",
        "What these logs cannot show",
        "Where every line went",
    ]


@pytest.mark.parametrize(
    "words",
    [
        "Higher than in the weeks before: drops per connected hour.",
        "Connect success 96.5 % 95 % interval 96.3 to 96.7 % n = 25,600 attempts No evidence of change",
        "7 weeks before: 0.153 /h (0.149 to 0.157 /h, n = 31,120).",
        "Of the 1,575 attempts that ended with 1006 this week, 1,260 had been open and were cut, and 315 never opened",
        "3.5 % (3.3 to 3.7 %; 896 of 25,600) did not connect",
        "94 outages began this week: 69 after the loss of an open connection, 25 with a first attempt that failed.",
        "Recovered the WebSocket was back 66.0 % 62 of 94",
        "nginx_access, proxy 2026-09-21 to 2026-11-22 81,240 61,000 240 20,000 ends early, zone assumed",
        "All 3 sources 83,240 62,800 248 20,192 adds up",
        "In 1 of 3 sources times have no zone",
        "90 attempts of the week in the client logs have no end in them",
        "time 240 1",
    ],
)
def test_what_the_page_says(tmp_path: Path, words: str) -> None:
    assert words in page_of(FakeLake(), tmp_path).text


def test_fault_095_the_same_lake_gives_the_same_bytes(tmp_path: Path) -> None:
    first, second = (write_report(FakeLake(), tmp_path / name).parent for name in "ab")
    assert {p.name: p.read_bytes() for p in first.iterdir()} == {p.name: p.read_bytes() for p in second.iterdir()}


def hostile_lake() -> FakeLake:
    """A lake whose every text field holds what strangers write."""
    texts = fake.HOSTILE
    fallback = fake.fallback(("network_type",), tuple((text, 30 + k, 900 + k) for k, text in enumerate(texts)))
    codes = pd.concat([fake.close_codes().astype(object).iloc[[2]]] * len(texts), ignore_index=True)
    written = pd.Series(texts, dtype=object)  # pandas' own text type holds no lone surrogate
    codes = codes.assign(close_code_source=written, is_opened=True, outcome=written)
    episodes = fake.episodes()
    episodes.loc[: len(texts) - 1, "end"] = list(texts)
    rejects = pd.concat([fake.rejects()] * 4, ignore_index=True)
    rejects["reason"] = written
    sources = fake.sources(paths=texts)
    sources["source_label"] = sources["format"] = pd.Series([*texts, texts[2]], dtype=object)
    return FakeLake(fallback=fallback, close_codes=codes, episodes=episodes, rejects=rejects, sources=sources)


def test_fault_087_hostile_text_is_text(tmp_path: Path) -> None:
    page = page_of(hostile_lake(), tmp_path)
    assert [tag for tag, a in page.tags if tag == "img" and not str(a["src"]).startswith("data:image/png")] == []
    assert "<img src=x" not in page.source
    assert "<script" not in page.source
    assert "\x1b" not in page.source
    assert "\u202e" not in page.source
    assert "A" * 500 not in re.sub(r"data:image/png;base64,[^\"]+", "", page.source)
    assert '<img src=x onerror="alert(1)">' in page.text  # shown, not run
    assert "{{ 7*7 }}" in page.text
    assert "lone \\ud800 surrogate" in page.text
    assert "公司代理 мир" in page.text


def test_fault_096_an_empty_lake_says_so(tmp_path: Path) -> None:
    page = page_of(FakeLake(weeks=(), sides=()), tmp_path)
    assert "The lake is empty" in page.text
    assert page.text.count("no data") == 4
    assert [p.name for p in tmp_path.iterdir()] == ["report-undated.html"]


def test_fault_096_a_week_without_data_says_so_and_names_those_with(tmp_path: Path) -> None:
    page = page_of(FakeLake(), tmp_path, "2026-W50")
    assert "No attempt falls in this week. Weeks with data: 2026-W39 to 2026-W47." in page.text
    assert "Close codes" not in page.headings


def test_fault_031_096_all_rejects_is_no_green_page(tmp_path: Path) -> None:
    sources = fake.sources(proxy=False).assign(event_lines=0, ignored=0, rejected=1000, observed_from=pd.NaT)
    page = page_of(FakeLake(weeks=(), sides=("client",), sources=sources), tmp_path)
    assert "No line became an event: of 2,000 lines, 2,000 could not be read." in page.text
    assert "Too little evidence" in page.text


def test_fault_096_one_event(tmp_path: Path) -> None:
    none = dict(zip(METRIC_COLUMNS, (None, 1.0, 1.0, 0.0, None, None, "insufficient"), strict=True))
    lake = FakeLake(
        ("2026-W47",),
        ("client",),
        reliability=fake.reliability(weeks=("2026-W47",)).iloc[:1].assign(**none),
        close_codes=fake.close_codes().iloc[:1].assign(**none, outcome="dropped"),
        retries=fake.retries().iloc[:0],
        fallback=fake.fallback().iloc[:0],
        episodes=fake.table("episodes", []),
    )
    page = page_of(lake, tmp_path)
    assert "too little evidence n = 1 attempts" in page.text
    assert "Too little evidence for a failure rate: 0 of 1 attempts did not open." in page.text
    assert "No outage began in this week." in page.text


def test_text_without_times_is_reported_without_weeks(tmp_path: Path) -> None:
    undated = fake.reliability(weeks=("2026-W47",)).assign(iso_week=None)
    codes = fake.close_codes().assign(outcome="dropped", is_opened=True)
    sources = fake.sources(proxy=False).assign(observed_from=pd.NaT, observed_until=pd.NaT)
    episodes = fake.episodes().assign(started_at=pd.NaT)
    lake = FakeLake(sides=("client",), reliability=undated, close_codes=codes, sources=sources, episodes=episodes)
    page = page_of(lake, tmp_path)
    assert "These logs carry no times" in page.text
    assert "Connect success 96.5 %" in page.text
    assert "2 sources without times" in page.text
    assert (tmp_path / "undated-close-codes.png").exists()


def test_proxy_logs_alone_say_what_they_cannot_see(tmp_path: Path) -> None:
    page = page_of(FakeLake(sides=("proxy",)), tmp_path)
    assert "There are no client logs: the numbers are what the proxy side saw." in page.text
    assert page.text.count("needs client logs") == 2
    assert "connect success is an upper bound" in page.text
    assert "no access log does" in page.text


def test_client_logs_of_other_weeks_do_not_lead(tmp_path: Path) -> None:
    frame = pd.concat([fake.reliability(weeks=("2026-W45",)), fake.reliability("proxy")])
    page = page_of(FakeLake(reliability=frame), tmp_path)
    assert "No client log reaches into this week" in page.text


def test_a_line_account_that_does_not_add_up_is_said(tmp_path: Path) -> None:
    sources = fake.sources(proxy=False).assign(ignored=[95, 96])
    page = page_of(FakeLake(sides=("client",), sources=sources), tmp_path)
    assert "lines do not add up" in page.text
    assert "1 line unaccounted for" in page.text


def test_many_sources_are_summed_after_the_first(tmp_path: Path) -> None:
    sources = fake.sources(paths=tuple(f"log-{k:04}.gz" for k in range(600)), proxy=False)
    page = page_of(FakeLake(sides=("client",), sources=sources), tmp_path)
    assert "100 more sources 100,000 90,000 400 9,600" in page.text
    assert "All 600 sources 600,000" in page.text


@pytest.mark.parametrize("week", ["../../etc/x", "2026-W99", "last"])
def test_a_week_that_is_none_is_misuse(tmp_path: Path, week: str) -> None:
    with pytest.raises(UsageError):
        write_report(FakeLake(), tmp_path / "out", week)
    assert not (tmp_path / "out").exists()


def test_fault_075_a_folder_that_is_a_file_is_said_before_reading(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("here first")
    with pytest.raises(ReportWriteError, match="cannot write the report") as caught:
        write_report(FakeLake(), tmp_path / "out")
    assert caught.value.exit_code == EXIT_CANNOT_WRITE
    assert (tmp_path / "out").read_text() == "here first"
