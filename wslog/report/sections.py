"""The sections of the page, in the order an engineer reads on Monday morning."""

from __future__ import annotations

import pandas as pd

from wslog import charts
from wslog.charts.words import METRICS, Row, between, code_name, count, group_name, in_words, percent, rows, too_little
from wslog.report.blocks import (
    Block,
    Book,
    Cell,
    Section,
    find,
    interval_text,
    metric_rows,
    note,
    one_side_of,
    shown,
    table,
    text,
)
from wslog.report.compare import before_text, change
from wslog.report.headline import estimates, excluded_text

NETWORK_COLUMNS = ("network_type", "network_class")
MAX_LINES = 60


def estimate_cells(row: Row | None, metric: str) -> tuple[Cell, Cell, Cell]:
    """Return value, interval and counts of a row, in words where there is no estimate."""
    if row is None:
        return Cell("no data", is_quiet=True), Cell(""), Cell("")
    counts = f"{count(row.numerator)} of {count(row.denominator)}"
    if not row.is_ok or row.value is None:
        return Cell(too_little(row), is_quiet=True), Cell(""), Cell(counts)
    kind = METRICS[metric].kind
    if kind == "s_per_hour":
        counts = f"{count(row.numerator)} s in {count(row.denominator)} h"
    elif kind == "per_hour":
        counts = f"{count(row.numerator)} in {count(row.denominator)} h"
    return (
        Cell(in_words(row.value, kind), row.value if kind == "share" else None),
        Cell(interval_text(row, metric)),
        Cell(counts),
    )


def weeks_section(book: Book, side: str) -> Section:
    """The week against the weeks before: a line per metric, and the numbers."""
    frame = book.weekly(side)
    is_lead = side == book.lead
    title = "The week against the weeks before" if is_lead else f"What the {side} logs saw"
    section = Section("weeks" if is_lead else f"weeks-{side}", title)
    if not len(frame):
        section.blocks.append(text("There is nothing to show for these weeks."))
        return section
    if book.period.week is not None:
        name = "reliability" if is_lead else f"reliability-{side}"
        caption = "Bars are 95 % intervals; the blue diamond is the week of this report."
        figure = charts.weekly_reliability(frame, book.period.week)
        section.blocks.append(book.draw(name, figure, f"Reliability by week, as the {side} logs saw it", caption))
    lines = []
    for metric in dict.fromkeys(str(name) for name in frame["metric"]):
        if metric not in METRICS:
            continue
        now, before = estimates(book, metric, side)
        left_out = excluded_text(now) if now is not None else ""
        versus = before_text(before, metric) if before is not None else "none"
        value, interval, counts = estimate_cells(now, metric)
        plain = Cell(value.text, is_quiet=value.is_quiet)
        lines.append(
            (
                Cell(METRICS[metric].title),
                plain,
                interval,
                counts,
                Cell(left_out, is_quiet=True),
                Cell(versus),
                Cell(change(now, before, metric).text),
            )
        )
    head = ("", "This week", "95 % interval", "Counts", "Left out", "Before", "Change")
    section.blocks.append(table(head, lines, "The numbers of the week", texts=(0, 4, 5, 6)))
    if book.period.weeks_before:
        compared = one_side_of(book.versus_weeks_before("reliability"), side)
        for left_out in compared["days_left_out"].drop_duplicates() if len(compared) else ():
            if left_out:
                section.blocks.append(note(f"Days not compared with the weeks before: {shown(left_out, 300)}."))
    return section


def failure_section(book: Book) -> Section:
    """One failure rate under two definitions, and the outcomes behind them."""
    return Section("failures", "Attempts that did not connect", _failures(book, book.lead))


def other_side_section(book: Book, side: str) -> Section:
    """What another side saw, never mixed with the leading one."""
    section = weeks_section(book, side)
    if book.period.has_data and (book.weekly(side)["iso_week"] == book.period.week).any():
        section.blocks.extend(_failures(book, side))
    return section


def _failures(book: Book, side: str) -> list[Block]:
    outcomes: dict[str, float] = {}
    for row in rows(book.of_week("close_codes", by=("outcome",), side=side)):
        name = str(row.keys["outcome"])
        outcomes[name] = outcomes.get(name, 0.0) + (row.numerator or 0.0)
    connect = find(metric_rows(book.weekly(side), "connect_success_rate"), iso_week=book.period.week)
    if connect is None or not outcomes:
        return [text("No attempt of this week has an end in the logs.")]
    total = sum(outcomes.values())
    lines = [
        (
            Cell(_OUTCOMES.get(name, shown(name, 60))),
            Cell(percent(number / total), number / total),
            Cell(f"{count(number)} of {count(total)}"),
        )
        for name, number in sorted(outcomes.items(), key=lambda item: (-item[1], item[0]))
    ]
    words = _two_definitions(connect, outcomes.get("abandoned", 0.0))
    return [text(words), table(("Outcome of ended attempts", "Share", "Counts"), lines)]


def _two_definitions(connect: Row, abandoned: float) -> str:
    tried, failed = connect.denominator or 0.0, (connect.denominator or 0.0) - (connect.numerator or 0.0)
    if connect.value is None or connect.low is None or connect.high is None or not connect.is_ok:
        return f"Too little evidence for a failure rate: {count(failed)} of {count(tried)} attempts did not open."
    words = (
        "The definition moves the number. Leaving out attempts that the page itself gave up, "
        f"{percent(1 - connect.value)} ({between(1 - connect.high, 1 - connect.low, 'share')}; {count(failed)} of "
        f"{count(tried)}) did not connect. "
    )
    if not abandoned:
        return words + "No attempt of the week was given up by its page, so counting those as failures changes nothing."
    both = (failed + abandoned) / (tried + abandoned)
    return words + (
        f"Counting the {count(abandoned)} that the page gave up as failures, it is {percent(both)} "
        f"({count(failed + abandoned)} of {count(tried + abandoned)})."
    )


_OUTCOMES = {
    "network_failed": "never opened: network failed",
    "rejected": "never opened: an HTTP answer refused it",
    "handshake_timeout": "never opened: handshake timed out",
    "abandoned": "never opened: the page gave up",
    "never_opened": "never opened: no more is known",
    "closed_normally": "opened, closed normally",
    "closed_by_application": "opened, closed by the application (3000 to 4999)",
    "closed_by_server": "opened, closed by the server",
    "idle_timeout": "opened, idle timeout",
    "dropped": "opened, dropped",
    "unloaded": "opened, the page was left",
    "ended_unknown": "opened, the log cannot tell how it ended",
    "still_open": "opened, still open",
}


def codes_section(book: Book) -> Section:
    """Close codes of the week beside the weeks before, and what 1006 is."""
    section = Section("codes", "Close codes")
    now = book.of_week("close_codes")
    if not len(now):
        section.blocks.append(text("No attempt of this week has an end in the logs."))
        return section
    before = book.of_weeks_before("close_codes") if book.period.weeks_before else None
    if all(row.keys["close_code"] is None for row in rows(now)):
        words = f"The {book.lead} logs of this week hold no close code"
        words += ": no access log does. The outcomes above are all they tell." if book.lead == "proxy" else "."
        section.blocks.append(text(words))
        return section
    section.blocks.append(text(_about_1006(book)))
    section.blocks.append(
        book.draw(
            "close-codes",
            charts.close_code_shares(now, before),
            "Share of ended attempts by close code, this week and the weeks before",
            "Numbers in brackets are attempts. Hatched bars: no close frame carried this code; the label says why.",
        )
    )
    section.blocks.append(_code_table(now, before))
    return section


def _about_1006(book: Book) -> str:
    what = (
        "1006 is never sent: an endpoint reports it by itself when a connection ended without a close frame (RFC 6455, "
        "section 7.1.5). It names no cause."
    )
    split = {True: 0.0, False: 0.0}
    for row in rows(book.of_week("close_codes", by=("is_opened",))):
        if row.keys["close_code"] is not None and int(row.keys["close_code"]) == 1006:
            split[bool(row.keys["is_opened"])] += row.numerator or 0.0
    total = sum(split.values())
    if not total:
        return what + " No attempt of this week ended with it."
    tail = ": two different problems under one number." if all(split.values()) else "."
    return what + (
        f" Of the {count(total)} attempts that ended with 1006 this week, {count(split[True])} had been open and were "
        f"cut, and {count(split[False])} never opened" + tail
    )


def _code_table(now: pd.DataFrame, before: pd.DataFrame | None) -> Block:
    then = rows(before) if before is not None else []
    ordered = sorted(
        rows(now), key=lambda row: (row.keys["close_code"] is None, -(row.numerator or 0.0), str(row.keys))
    )
    lines = []
    for row in ordered[:MAX_LINES]:
        code, source = row.keys["close_code"], row.keys["close_code_source"]
        earlier = find(then, close_code=code, close_code_source=source)
        value, interval, counts = estimate_cells(row, "close_codes")
        old_value, old_interval, _ = (
            estimate_cells(earlier, "close_codes") if before is not None else (Cell("none"), Cell(""), Cell(""))
        )
        lines.append(
            (Cell(code_name(code, source)), value, interval, counts, Cell(old_value.text, is_quiet=True), old_interval)
        )
    head = ("Close code", "This week", "95 % interval", "Attempts", "Weeks before", "95 % interval")
    return table(head, lines, "All close codes of the week" + _cut(len(ordered)))


def _cut(total: int) -> str:
    return f" (the first {MAX_LINES} of {total})" if total > MAX_LINES else ""


def retries_section(book: Book) -> Section:
    """What retries brought, and how long recovery took."""
    section = Section("retries", "Retries and recovery")
    frame = book.of_week("retries")
    if not len(frame):
        section.blocks.append(text("No outage of this week is in the logs, so there are no retries to judge."))
        return section
    section.blocks.append(
        text(
            "An outage begins when an open connection is lost or a first attempt fails; its retries are counted from 1."
        )
    )
    section.blocks.append(
        book.draw(
            "retry-success",
            charts.retry_success(frame),
            "Share of k-th retries that opened, by k",
            "Later retries are made only in outages that the earlier ones did not end, so a falling line is expected.",
        )
    )
    if book.period.week is not None:
        since = {"since": book.period.since} if book.period.weeks_before else {}
        weekly = book.lake.retries(by=("iso_week",), **since)
        wanted = (*book.period.weeks_before, book.period.week)
        weekly = weekly[weekly["iso_week"].isin(wanted) & ((weekly["side"] == book.lead) if "side" in weekly else True)]
        alt = "Median and 90th percentile of the time to recover, by week"
        section.blocks.append(book.draw("time-to-recover", charts.time_to_recover(weekly, book.period.week), alt))
    lines = [(Cell(_retry_name(row)), *estimate_cells(row, str(row.keys["metric"]))) for row in rows(frame)]
    section.blocks.append(
        table(("", "Estimate", "95 % interval", "Counts"), lines[:MAX_LINES], "The numbers of the week")
    )
    return section


def _retry_name(row: Row) -> str:
    if row.keys.get("retry_number") is None:
        return METRICS[str(row.keys["metric"])].title
    return f"Retry {int(row.keys['retry_number'])} opened"


def no_sessions_section() -> Section:
    """The one sentence that stands for outages, retries and fallback where no client logged."""
    words = "They belong to client sessions, and no client log reaches into this week."
    return Section("outages", "Outages, retries and fallback", [text(words)])


def network_section(book: Book) -> Section:
    """Fallback and drops by kind of network: by type where clients log it, else by class."""
    section = Section("networks", "Fallback and drops by network")
    for column in NETWORK_COLUMNS:
        frame = book.of_week("fallback", by=(column,))
        if len(frame) and frame[column].notna().any():
            break
    else:
        words = "The logs do not say which network a client was on, so fallback cannot be split by network."
        section.blocks.append(text(words))
        return section
    label = "network type" if column == "network_type" else "network class (from the address)"
    figure = charts.fallback_by_group(frame)
    section.blocks.append(book.draw("fallback", figure, f"Sessions that fell back, by {label}", f"By {label}."))
    ordered = sorted(metric_rows(frame, "fallback_session_rate"), key=lambda row: -(row.denominator or 0.0))
    outages = metric_rows(frame, "fallback_episode_rate")
    lines = []
    for row in ordered[:MAX_LINES]:
        outage = find(outages, **{column: row.keys[column]})
        value, _, counts = estimate_cells(outage, "fallback_episode_rate")
        lines.append(
            (Cell(group_name(row, (column,))), *estimate_cells(row, "fallback_session_rate"), Cell(value.text), counts)
        )
    head = (label.capitalize(), "Sessions fell back", "95 % interval", "Sessions", "Outages fell back", "Outages")
    section.blocks.append(table(head, lines, "The numbers of the week" + _cut(len(ordered))))
    section.blocks.extend(_drops(book, column, label))
    section.blocks.append(
        note("Groups are small and many: a single interval that stands apart is a reason to look, not a finding.")
    )
    return section


def _drops(book: Book, column: str, label: str) -> list[Block]:
    if book.period.week is None:
        return []
    frame = book.lake.reliability(
        by=(column,), since=book.period.since if book.period.weeks_before else book.period.until
    )
    wanted = frame["iso_week"].isin((*book.period.weeks_before, book.period.week)) & (frame["side"] == book.lead)
    frame = frame[wanted & (frame["metric"] == "drops_per_connected_hour")]
    if not len(frame):
        return []
    alt = f"Drops per connected hour by week and {label}"
    return [
        book.draw("drops", charts.drops_per_hour(frame, book.period.week), alt, f"{alt}; all panels share one scale.")
    ]


_ENDS = {
    "recovered": ("Recovered", "the WebSocket was back"),
    "fell_back": ("Fell back", "the client went on with polling or SSE"),
    "gave_up": ("Gave up", "retries ran out and there was no fallback"),
    "left": ("Left", "the page was closed during the outage"),
    "censored": ("End not seen", "the log ends first"),
}


def outages_section(book: Book) -> Section:
    """How the outages of the week ended."""
    section = Section("outages", "How outages ended")
    frame = book.lake.episodes()
    frame = frame[frame["side"] == book.lead]
    now, before = _split(frame, book)
    if not len(now):
        section.blocks.append(text("No outage began in this week."))
        return section
    totals, earlier = _weights(now, "end"), _weights(before, "end")
    total, total_before = sum(totals.values()), sum(earlier.values())
    kinds = _weights(now, "kind")
    flapping = float(now.loc[now["is_flapping"].fillna(False).astype(bool), "sample_weight"].sum())
    herd = float(now.loc[now["herd_id"].notna(), "sample_weight"].sum())
    section.blocks.append(
        text(
            f"{count(total)} outages began this week: {count(kinds.get('drop', 0.0))} after the loss of an open "
            f"connection, {count(kinds.get('initial', 0.0))} with a first attempt that failed. In {count(flapping)} "
            f"the connection opened and died at once at least twice; {count(herd)} began together with those of many "
            "other clients (a deploy, a restart, an overload)."
        )
    )
    lines = []
    for end in (*_ENDS, *sorted(set(totals) - set(_ENDS))):
        title, meaning = _ENDS.get(end, (shown(end, 60), ""))
        share, number = totals.get(end, 0.0) / total, totals.get(end, 0.0)
        old = f"{percent(earlier.get(end, 0.0) / total_before)}" if total_before else "none"
        old_counts = f"{count(earlier.get(end, 0.0))} of {count(total_before)}" if total_before else ""
        lines.append(
            (
                Cell(title),
                Cell(meaning, is_quiet=True),
                Cell(percent(share), share),
                Cell(f"{count(number)} of {count(total)}"),
                Cell(old, is_quiet=True),
                Cell(old_counts, is_quiet=True),
            )
        )
    head = ("End", "", "This week", "Outages", "Weeks before", "Outages")
    section.blocks.append(table(head, lines, texts=(0, 1)))
    section.blocks.append(note("Counts of what was logged, without intervals: compare small numbers with care."))
    return section


def _split(frame: pd.DataFrame, book: Book) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Outages that began in the week, and in the weeks before."""
    if book.period.week is None:
        return frame[frame["started_at"].isna()], frame.iloc[:0]
    monday = pd.Timestamp(book.period.until, tz="UTC")
    began = frame["started_at"]
    now = (began >= monday) & (began < monday + pd.Timedelta(days=7))
    return frame[now], frame[(began >= pd.Timestamp(book.period.since, tz="UTC")) & (began < monday)]


def _weights(frame: pd.DataFrame, column: str) -> dict[str, float]:
    summed: dict[str, float] = {}
    for name, weight in zip(frame[column], frame["sample_weight"], strict=True):
        summed[str(name)] = summed.get(str(name), 0.0) + float(weight)
    return summed
