"""The policy page and its text: inert, self-contained, every figure with its status; the same tuning gives the same bytes."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from functools import cache
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.policy import fake_tuning
from tests.report.fake import HOSTILE
from wslog.charts.tuning_words import FIGURES
from wslog.cli.tuning import as_json, tuning_text
from wslog.policy.tuning import FRAMES, Tuning
from wslog.report import tuning_sections as parts
from wslog.report.page import ReportWriteError
from wslog.report.tuning_decision import decisions
from wslog.report.tuning_page import render_tuning, write_tuning


class Page(HTMLParser):
    """Tags and text of a page."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.cells: list[str] = []
        self.skip = 0
        self.is_cell = False
        self.feed(source)
        self.text = " ".join(" ".join(self.words).replace("\u00a0", " ").split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.skip += tag == "style"
        if tag == "td":
            self.cells.append("")
            self.is_cell = True

    def handle_endtag(self, tag: str) -> None:
        self.skip -= tag == "style"
        self.is_cell = self.is_cell and tag != "td"

    def handle_data(self, data: str) -> None:
        if not self.skip:
            self.words.append(data)
            if self.is_cell:
                self.cells[-1] += data


def hostile() -> Tuning:
    places = [*fake_tuning.STARTS, *fake_tuning.GROUPS]
    return fake_tuning.tuning(names=dict(zip(places, (*HOSTILE, "_y"), strict=True)), small=False)


@cache
def rendered() -> str:
    return render_tuning(fake_tuning.tuning())[0]


@pytest.mark.parametrize("kind", ["L0", "L1", "L3"])
def test_every_figure_carries_its_status(kind: str) -> None:
    tuning = fake_tuning.tuning(kind)
    known = parts.Assumptions()
    decided = [figure.change for one in decisions(tuning, known) for figure in one.bought]
    tables = [block for block in parts.figures_section(tuning, known).blocks if block.kind == "table"]
    cells = decided + [cell for block in tables for line in block.lines for cell in line[1:]]
    compared = [block for block in parts.policies_section(tuning, known).blocks if block.kind == "table"]
    short = [cell for block in compared for line in block.lines for cell in line[1:]]
    words = {"L0": {"IDENTIFIED", "ASSUMED A1", "BOUND"}, "L1": {"IDENTIFIED", "ASSUMED A1"}, "L3": {"IDENTIFIED"}}
    marks = {"L0": {"I", "A1", "B"}, "L1": {"I", "A1"}, "L3": {"I"}}
    for found, wanted in ((cells, words[kind]), (short, marks[kind])):
        figures = [cell for cell in found if not cell.text.startswith("too little")]
        assert len(figures) > 50
        assert {cell.badge for cell in figures} == wanted
        # a bound has no interval of its own and no dot; everything else has both ends
        assert all((cell.note == "") == (cell.badge in ("BOUND", "B")) for cell in figures)
        assert all(cell.dot is None for cell in figures if cell.badge in ("BOUND", "B"))
    assert known.numbers == ({} if kind == "L3" else {fake_tuning.POLLS: 1})


def test_what_is_to_be_done_stands_before_what_is_to_be_left() -> None:
    tuning = fake_tuning.tuning()
    found = decisions(tuning, parts.Assumptions())
    assert [(one.name, one.kind) for one in found] == [
        ("wifi", "change"),
        ("cellular", "change"),
        ("ethernet", "open"),
        ("vpn", "few"),
    ]
    first, last = found[0], found[-1]
    assert first.then_word == "change to"
    assert found[2].then_word == "best found"
    gain = tuning.gains.set_index(["network_type", "figure"]).loc[("wifi", "downtime_mean_s")]
    assert gain["value"] < 0
    assert first.bought[0].change.text.endswith("less")
    assert first.bought[0].change.badge == "ASSUMED A1"
    assert last.then == ""
    assert {figure.change.text for figure in last.bought} == {"too little evidence"}
    assert found[1].warnings[0][0] == "People leave during long outages."
    # time without service is a column of its own only beside a fallback
    plain = tuning.policies[~tuning.policies["figure"].str.startswith("fallback")]
    assert len(decisions(replace(tuning, policies=plain), parts.Assumptions())[0].bought) == 2


def test_the_page_answers_first_and_says_what_is_not_known() -> None:
    page = Page(rendered())
    order = [
        "wifi Change the schedule 2,104 outages in 1,052 sessions",
        "vpn Too few outages to tell 12 outages",
        "Put it in place",
        "plain JavaScript",
        "The figures, network by network",
        "Downtime against attempts",
        "The policies compared",
    ]
    order += ["What stays unknown", "Log this next", "What this cannot tell"]
    places = [page.text.index(words) for words in order]
    assert places == sorted(places)
    assert "75 s less" in page.text
    assert "Too little evidence to recommend anything" in page.text
    assert "tails of cellular are refused" in page.text
    for figure in FIGURES.values():
        assert figure.definition in page.text


def test_the_page_needs_nothing_else_and_its_charts_stand_beside_it(tmp_path: Path) -> None:
    target = write_tuning(fake_tuning.tuning(), tmp_path / "out")
    assert sorted(path.name for path in target.parent.iterdir()) == [
        "tune-frontier.png",
        "tune-herd.png",
        "tune-outages.png",
        "tune-recovery.png",
        "tune.html",
    ]
    source = target.read_text(encoding="utf-8")
    for tag, attributes in Page(source).tags:
        assert tag not in ("script", "link", "iframe", "base", "form")
        for name in ("src", "href"):
            assert str(attributes.get(name, "data:")).startswith("data:")
    assert source == rendered()


def test_hostile_text_is_text() -> None:
    source, _ = render_tuning(hostile())
    page = Page(source)
    assert [tag for tag, a in page.tags if tag == "img" and not str(a["src"]).startswith("data:image/png")] == []
    assert "<script" not in source
    assert "\x1b" not in source
    assert "\u202e" not in source
    assert "A" * 500 not in re.sub(r"data:image/png;base64,[^\"]+", "", source)
    assert '<img src=x onerror="alert(1)">' in page.text  # shown, not run
    assert "{{ 7*7 }}" in page.text
    source.encode("utf-8")


def test_a_lake_without_outages_is_a_page_that_says_so(tmp_path: Path) -> None:
    whole = fake_tuning.tuning()
    none = Tuning(**{**vars(whole), **{name: getattr(whole, name).iloc[:0] for name in FRAMES}})
    page = Page(write_tuning(none, tmp_path).read_text(encoding="utf-8"))
    assert "No outage of a client in this lake" in page.text
    assert tuning_text(none).startswith("no outage of a client")


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("here first")
    with pytest.raises(ReportWriteError, match="cannot write the report"):
        write_tuning(fake_tuning.tuning(), tmp_path / "out")


@pytest.mark.parametrize("width", [80, 100])
@pytest.mark.parametrize("kind", ["L0", "L1", "L3"])
def test_the_text_fits_a_terminal_and_marks_every_figure(kind: str, width: int) -> None:
    lines = tuning_text(fake_tuning.tuning(kind), width=width).splitlines()
    assert max(map(len, lines)) <= width
    starts = ("linear-3", "recommended", "mine.toml")
    rows = [line for line in lines if line.startswith(starts)]
    assert len(rows) == len(fake_tuning.GROUPS) * len(starts)
    for row in rows:
        assert len(re.findall(r"\S (?:i|a1|b)(?= |$)", row)) == {80: 4, 100: 5}[width], row
    assert any(" b" in row for row in rows) == (kind == "L0")


def test_the_text_decides_first() -> None:
    text = tuning_text(fake_tuning.tuning())
    order = ["wifi: Change the schedule", "vpn: Too few outages", "IDENTIFIED:", "A1 ", "as actually run", "mean down"]
    places = [text.index(words) for words in order]
    assert places == sorted(places)


def test_the_text_is_inert() -> None:
    text = tuning_text(hostile())
    assert all(line.isprintable() for line in text.splitlines())
    assert max(map(len, text.splitlines())) <= 80


def test_json_is_every_frame() -> None:
    tuning = fake_tuning.tuning()
    found = json.loads(as_json(tuning))
    assert {name: len(found[name]) for name in FRAMES} == {name: len(getattr(tuning, name)) for name in FRAMES}
    small = [row for row in found["policies"] if row["network_type"] == "vpn"]
    assert {row["state"] for row in small} == {"insufficient"}
    assert {row["value"] for row in small} == {None}
