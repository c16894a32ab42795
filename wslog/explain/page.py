"""The answer as plain text for a terminal, in the order one needs it."""

from __future__ import annotations

from typing import Any

from wslog.explain.facts import data
from wslog.explain.lake_section import lake_lines
from wslog.explain.layout import columns, command_lines, hang, pad, wrap
from wslog.explain.model import Cause, Explanation

_COLUMN = 12
MIN_WIDTH = 50


def render(explanation: Explanation, width: int = 80, is_full: bool = True) -> str:
    """Return the answer as lines of at most ``width`` cells (50 at least), without escape sequences.

    Parameters
    ----------
    explanation : Explanation
    width : int
        Columns of the terminal. A shell command or a configuration line is never broken inside a word.
    is_full : bool
        Else the page of a code with a tree of causes stops after the causes (with a lake: those found in it), so that what
        to do next is not scrolled away; it names the command that tells the rest.

    Returns
    -------
    str
        Ends with a newline.
    """
    e = explanation
    width = max(width, MIN_WIDTH)
    words = data(f"{e.lang}/words")
    sections = [_top(e, words, width)]
    if e.evidence is not None:
        sections.append(lake_lines(e, words, width))
    is_short = bool(e.causes) and not is_full
    shown = _found(e) if is_short else e.causes
    sections.append(
        [
            words["head"]["do"],
            *(_find(e, shown, width) if e.causes else [*_numbered(e.steps, width), *_look(e, words, width)]),
        ]
    )
    if e.usually:
        sections.append(
            [words["head"]["usually"], *(line for text in e.usually for line in hang("-", text, width, 2, 4))]
        )
    sections += [part for group in ("never_opened", "opened") if (part := _causes(shown, group, words, width))]
    if is_short:
        sections.append(_more(e, words, width))
    else:
        rest = (_services(e, words, width), _timeouts(e, words, width), _snippets(e, words, width))
        sections += [*(part for part in rest if part), _sources(e, words, width)]
    return "\n\n".join("\n".join(section) for section in sections) + "\n"


def _top(e: Explanation, words: dict[str, Any], width: int) -> list[str]:
    head = words["head"]
    is_status = e.kind == "http_status"
    lines = wrap(f"{e.code} {e.name}", width)
    if is_status:
        lines += hang("", words["http_title"], width, 0, 2)
    lines += hang(head["means"], e.meaning, width, 2, _COLUMN)
    if is_status:
        if e.code >= 200:
            lines += hang("", words["http_note"], width, 2, _COLUMN)
    else:
        wire = words["wire"]["yes" if e.on_wire else "no"]
        lines += hang(head["sent_by"], _listing((words["sender"][e.sender], wire), e.lang), width, 2, _COLUMN)
    return [*lines, *hang(head["retry"], e.retry_how, width, 2, _COLUMN)]


def _listing(parts: tuple[str, ...], lang: str) -> str:
    return ("；" if lang == "zh" else "; ").join(part for part in parts if part)


def _numbered(steps: tuple[str, ...], width: int) -> list[str]:
    return [line for n, text in enumerate(steps, 1) for line in hang(f"{n}.", text, width, 2, 5)]


def _look(e: Explanation, words: dict[str, Any], width: int) -> list[str]:
    commands = e.commands if e.evidence is None else e.commands[1:]
    lines = [line for command in commands for line in command_lines(f"$ {command}", width, 5)]
    return [*hang("", words["head"]["look" if e.evidence is None else "look_lake"], width, 2, 2), *lines]


def _find(e: Explanation, shown: tuple[Cause, ...], width: int) -> list[str]:
    """Return the steps of a code that has a tree of causes: look, then find the sign in a list."""
    look, find = e.steps
    if e.evidence is not None:
        # what the lake shows is told already: go on with the causes one by one
        look = data(f"{e.lang}/words")["head"]["diagnose"]
    command = e.commands[0] if e.evidence is None else e.commands[1]
    lines = [*_numbered((look,), width), *command_lines(f"$ {command}", width, 5)]
    shares = _shares(e, shown)
    if not shares:
        lines += hang("2.", find, width, 2, 5)
        return lines + [line for cause in shown for line in hang(cause.label, cause.short, width, 5, 9)]
    begin = data(f"{e.lang}/words")["head"]["begin"].format(code=e.code)
    lines += hang("2.", begin, width, 2, 5)
    for cause, share in sorted(shares, key=lambda pair: -pair[1]):
        lines += hang(f"{cause.label}  {100 * share:4.1f} %", cause.short, width, 5, 17)
    return lines


def _shares(e: Explanation, shown: tuple[Cause, ...]) -> list[tuple[Cause, float]]:
    """Return the causes that the lake shows and their shares; none where there is too little for a share."""
    found = () if e.evidence is None else e.evidence.causes
    if any(share.value is None for share in found):
        return []
    sums = [(cause, sum(s.value or 0.0 for s in found if s.key in cause.diagnosed)) for cause in shown]
    return [(cause, share) for cause, share in sums if share > 0]


def _found(e: Explanation) -> tuple[Cause, ...]:
    """Return the causes to tell in short: those the lake shows, all when it shows none or there is none."""
    diagnosed = set() if e.evidence is None else {share.key for share in e.evidence.causes}
    return tuple(cause for cause in e.causes if diagnosed & set(cause.diagnosed)) or e.causes


def _more(e: Explanation, words: dict[str, Any], width: int) -> list[str]:
    command = f"wslog explain {e.code}{'' if e.lang == 'en' else f' --lang {e.lang}'} --full"
    return [*hang("", words["head"]["more"].format(code=e.code), width, 0, 2), f"  $ {command}"]


def _causes(causes: tuple[Cause, ...], group: str, words: dict[str, Any], width: int) -> list[str]:
    lines = [line for cause in causes if cause.group == group for line in _cause(cause, words["head"], width)]
    return [words["group"][group], *lines] if lines else []


def _cause(cause: Cause, head: dict[str, str], width: int) -> list[str]:
    lines = hang(cause.label, cause.title, width, 0, 4)
    lines += hang(head["sign"], cause.sign, width, 4, _COLUMN)
    checks = [line for command in cause.commands for line in command_lines(command, width, _COLUMN)]
    checks[0] = pad("    " + head["check"], _COLUMN) + checks[0].lstrip()
    return [*lines, *checks, *hang(head["change"], cause.change, width, 4, _COLUMN)]


def _services(e: Explanation, words: dict[str, Any], width: int) -> list[str]:
    if not e.services:
        return []
    rows = []
    for s in e.services:
        notes = _listing((words["local"] if s.is_local else "", words["verified"][s.verified]), e.lang)
        note = "" if not notes else f"（{notes}）" if e.lang == "zh" else f" ({notes})"
        rows.append((s.service, s.meaning + note, words["retry"][s.retry]))
    return [words["head"]["services"].format(code=e.code), *columns(rows, width, 2, 1)]


def _timeouts(e: Explanation, words: dict[str, Any], width: int) -> list[str]:
    rows = [
        (f"{t.seconds:>5} s", t.products, _listing((words["kind"][t.kind], words["verified"][t.verified]), e.lang))
        for t in e.timeouts
    ]
    if not rows:
        return []
    short = [(first, second + (f" ({third})" if e.lang == "en" else f"（{third}）")) for first, second, third in rows]
    return [*wrap(words["head"]["timeouts"], width), *columns(short, width, 1, 1)]


def _snippets(e: Explanation, words: dict[str, Any], width: int) -> list[str]:
    lines: list[str] = []
    for name, text in e.snippets.items():
        lines += [*hang(name, words["snippet_note"][name], width, 2, _COLUMN), *(f"      {line}" for line in text)]
    return [words["head"]["snippets"], *lines] if lines else []


def _sources(e: Explanation, words: dict[str, Any], width: int) -> list[str]:
    note = words["verified"][e.verified]
    own = e.source + ("" if not note else f"（{note}）" if e.lang == "zh" else f" ({note})")
    found = [(str(e.code), own)]
    seen: dict[str, list[str]] = {}
    for service in e.services:
        seen.setdefault(service.source, []).append(service.service)
    found += [(", ".join(dict.fromkeys(names)), source) for source, names in seen.items()]
    found += [(cause.label, cause.source) for cause in e.causes]
    found += [(f"{t.seconds} s", t.source) for t in e.timeouts]
    text = " | ".join(f"{label}: {source}" for label, source in found)
    return [words["head"]["sources"], *hang("", text, width, 0, 2)]
