"""The second half of the policy page: how to put it in place, what ran, what stays unknown, limits and definitions."""

from __future__ import annotations

from wslog.charts.tuning_words import (
    FIGURES,
    STATUS_DEFINITIONS,
    STATUS_WORDS,
    Key,
)
from wslog.policy.tuning import Tuning
from wslog.report.blocks import Block, Section, note, shown, text
from wslog.report.tuning_sections import advice_key, advice_of, in_decided_order


def observed_section(tuning: Tuning) -> Section:
    """The policy in place, as the logs show it."""
    section = Section("observed", "The policy as actually run")
    items = tuple(
        (f"{shown(what, 60)}:", shown(words, 600))
        for what, words in zip(tuning.observed["what"], tuning.observed["text"], strict=True)
    )
    section.blocks.append(Block("list", items=items) if items else text("Too few retries in these logs to tell."))
    return section


def snippets_section(tuning: Tuning) -> Section | None:
    """The schedules as settings and as configuration: those to put in place first, the others folded to one block."""
    section = Section("config", "Put it in place")
    shown_groups = in_decided_order(tuning)
    told = [{words for _, words in advice_of(tuning, "setting", group.key)} for group, _ in shown_groups]
    told = [words for words in told if words]
    common = set.intersection(*told) if len(told) > 1 else set()
    in_order_told = dict.fromkeys(words for _, words in advice_of(tuning, "setting") if words in common)
    if common:
        section.blocks.append(Block("list", items=tuple(("", words) for words in in_order_told)))
    for group, decision in shown_groups:
        code = _snippets(tuning, group.key)
        if not code:
            continue
        if tuning.by:
            section.blocks.append(Block("heading", text=group.label))
        if decision != "change":
            section.blocks += [
                note("No gain is certain: the best schedule found, for those who want to try it."),
                _folded(code),
            ]
            continue
        settings = [words for _, words in advice_of(tuning, "setting", group.key)]
        section.blocks += [text(words) for words in settings if words not in common]
        section.blocks += code
        basis = " ".join(words for _, words in advice_of(tuning, "basis", group.key))
        section.blocks += [note(f"Rests on: {basis}")] if basis else []
    return section if section.blocks else None


def _snippets(tuning: Tuning, key: Key) -> list[Block]:
    """Code keeps its line ends; whatever else does not print is shown as its escape."""
    found = []
    for row in tuning.advice.to_dict("records"):
        if row["kind"] == "snippet" and advice_key(row, tuning.by) == key:
            lines = "\n".join(shown(line, 300) for line in str(row["text"]).splitlines())
            title, _, limits = str(row["title"]).partition(": ")
            found.append(Block("code", text=lines, summary=shown(title, 100), alt=shown(limits, 600)))
    return found


def _folded(code: list[Block]) -> Block:
    """Return configurations as one block, each under its library and what that cannot do."""
    parts = ["\n".join([f"// {one.summary}", *([f"// {one.alt}"] if one.alt else []), one.text]) for one in code]
    return Block("code", text="\n\n".join(parts), summary=", ".join(one.summary for one in code))


def unknown_section(tuning: Tuning) -> Section:
    """What the logs do not settle, and what would."""
    section = Section("unknown", "What stays unknown, and what would settle it")
    for kind, title in (("unknown", ""), ("log", "Log this next"), ("experiment", "Or try this")):
        items = tuple(advice_of(tuning, kind))
        if items:
            section.blocks += ([Block("heading", text=title)] if title else []) + [Block("list", items=items)]
    if not section.blocks:
        section.blocks.append(text("Nothing that a choice between these policies hangs on."))
    return section


def limits_section(tuning: Tuning) -> Section:
    """What the page cannot promise."""
    section = Section("limits", "What this cannot tell")
    items = [
        (
            "A replay is not a trial.",
            "It holds if outages would have ended when they did whatever the clients did. That fails for a server that is "
            "overloaded by retries; herds are therefore replayed apart.",
        ),
        (
            "Clients that never reported.",
            "A client log travels over the network it reports on: outages of clients that stayed cut off are missing, so the "
            "true outages are no shorter than these.",
        ),
        *advice_of(tuning, "limit"),
    ]
    section.blocks.append(Block("list", items=tuple(items)))
    return section


def definitions_section() -> Section:
    """Every figure, defined."""
    section = Section("definitions", "What the numbers mean")
    terms = [(figure.title, figure.definition) for figure in FIGURES.values()]
    terms += [(STATUS_WORDS[name], words) for name, words in STATUS_DEFINITIONS.items()]
    terms.append(
        (
            "95 % interval",
            "From resampling whole sessions, so that outages of one session count as the dependent things they are. Policies are "
            "compared on the same outages: the interval of a difference is narrower than the two intervals suggest.",
        )
    )
    section.blocks.append(Block("terms", items=tuple(terms)))
    return section
