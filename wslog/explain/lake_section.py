"""What a lake shows, in words."""

from __future__ import annotations

from typing import Any

from wslog.explain.facts import data
from wslog.explain.layout import columns, hang, pad, wrap
from wslog.explain.model import Evidence, Explanation, Share

_COLUMN = 14
_WEEKS = 6


def lake_lines(e: Explanation, words: dict[str, Any], width: int) -> list[str]:
    """Return the lines of the section about the lake."""
    assert e.evidence is not None and e.lake is not None
    found, say, head = e.evidence, words["lake"], words["head"]
    lines = wrap(head["lake"].format(lake=e.lake), width)
    if found.side is None:
        return lines + _absent(e, found, say, width)
    lines += _counts(e, found, words, width)
    if found.opened and not found.matches:
        text = say[f"duration_{found.timeout_state}"].format(count=f"{found.duration_count:,}")
        lines += hang(head["lifetimes"], text, width, 2, _COLUMN)
    for match in found.matches:
        text = say["match"].format(
            measure=words["measure"][match.measure],
            seconds=match.seconds,
            inside=f"{match.inside:,}",
            sessions=f"{match.session_count:,}",
            low=f"{match.low_s:g}",
            high=f"{match.high_s:g}",
            background=f"{match.background:,.1f}",
            median=f"{match.median_s:.2f}",
            products=data(f"{e.lang}/timeouts")[str(match.seconds)],
        )
        label = head["lifetimes"] if match is found.matches[0] else ""
        lines += hang(label, text, width, 2, _COLUMN)
    lines += _together(found, words, width)
    lines += [
        line
        for n, (text, count) in enumerate(found.reasons)
        for line in hang(
            "" if n else head["reasons"], say["reason"].format(count=f"{count:,}", text=text), width, 2, _COLUMN
        )
    ]
    rows = _table(head["causes"], found.causes, {c: _labelled(c, name, e) for c, name in words["cause"].items()}, say)
    rows += _table(head["networks"], found.networks, words["network"], say)
    # a client whose clock is years off makes weeks of its own: those that can be judged come first
    judged = [week for week in found.weeks if week.value is not None] or list(found.weeks)
    rows += _table(head["weeks"], tuple(judged[-_WEEKS:]), {}, say)
    lines += columns(rows, width, 2, 1)
    if len(found.weeks) > len(judged[-_WEEKS:]):
        lines += hang("", say["no_more"].format(count=len(found.weeks) - len(judged[-_WEEKS:])), width, 2, _COLUMN)
    return lines


def _labelled(cause: str, name: str, e: Explanation) -> str:
    """Return a diagnosed cause's name with the label it has in the tree of causes, if there is one."""
    label = next((c.label for c in e.causes if cause in c.diagnosed), "")
    return f"{name} ({label})" if label else name


def _absent(e: Explanation, found: Evidence, say: dict[str, str], width: int) -> list[str]:
    tail = "" if e.kind == "close_code" else "_status"
    texts = [say[f"absent{tail}"].format(code=e.code, total=_number(found.total))]
    if found.present:
        listed = ("、" if e.lang == "zh" else ", ").join(f"{code} ({_number(count)})" for code, count in found.present)
        texts.append(say["present"].format(codes=listed))
    if found.without_code:
        texts.append(say[f"without{tail}"].format(count=_number(found.without_code)))
    return [line for text in texts for line in hang("", text, width, 0, 2)]


def _counts(e: Explanation, found: Evidence, words: dict[str, Any], width: int) -> list[str]:
    say = words["lake"]
    texts: list[str] = []
    for share in found.shares:
        side, _, source = str(share.key).partition(" ")
        label = words["side"][side] + ("，" if e.lang == "zh" else ", ") + words["code_source"].get(source, source)
        texts.append(_share_text(share, label, say))
    if e.kind == "http_status":
        count, total = _number(found.count), _number(found.total)
        texts.append(say["count_status"].format(side=words["side"][str(found.side)], count=count, total=total))
    texts.append(say["opened"].format(never=_number(found.never_opened), opened=_number(found.opened)))
    return [line for text in texts for line in hang("", text, width, 0, 2)]


def _share_text(share: Share, label: str, say: dict[str, str]) -> str:
    count, total = _number(share.count), _number(share.total)
    if share.value is None or share.low is None or share.high is None or share.state != "ok":
        return say["share_insufficient"].format(source=label, count=count, total=total)
    value, low, high = (_percent(x) for x in (share.value, share.low, share.high))
    return say["share"].format(source=label, value=value, low=low, high=high, count=count, total=total)


def _together(found: Evidence, words: dict[str, Any], width: int) -> list[str]:
    say, label = words["lake"], words["head"]["together"]
    if not found.together:
        return hang(label, say["together_none"], width, 2, _COLUMN)
    lines = hang(label, say["together_count"].format(count=f"{found.together_count:,}"), width, 2, _COLUMN)
    for group in found.together[:3]:
        hosts = "".join(f", {host}" for host in group.hosts)
        text = say["together_line"].format(
            at=group.at, sessions=f"{group.session_count:,}", networks=group.network_count, hosts=hosts
        )
        lines += hang("", text, width, 2, _COLUMN)
    return lines


def _table(
    title: str, shares: tuple[Share, ...], key_words: dict[str, str], say: dict[str, str]
) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for share in shares:
        key = "?" if share.key is None else key_words.get(share.key, share.key)
        counts = f"{_number(share.count)} / {_number(share.total)}"
        if share.value is None or share.low is None or share.high is None:
            rows.append((pad("" if rows else title, _COLUMN - 4), key, say["too_few"], "", counts))
        else:
            interval = f"({_percent(share.low)} – {_percent(share.high)})"
            rows.append((pad("" if rows else title, _COLUMN - 4), key, _percent(share.value), interval, counts))
    return rows


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value - round(value)) < 0.05 else f"{value:,.1f}"
