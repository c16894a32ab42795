"""Put the facts, their texts and the evidence together."""

from __future__ import annotations

import shlex
from typing import Any

from wslog.explain.evidence import CodeLake, observe
from wslog.explain.facts import data, language, parse_code
from wslog.explain.model import Cause, Evidence, Explanation, ServiceMeaning, Timeout
from wslog.safe_text import terminal

_UPGRADE_LOST = (200, 400, 404, 426)
_LETTERS = {"never_opened": "A", "opened": "B"}


def explain(code: str | int, lake: CodeLake | None = None, lang: str = "en") -> Explanation:
    """Explain a close code, or the HTTP status of a handshake.

    Parameters
    ----------
    code : str or int
        A number, or a name like ``going away``.
    lake : Lake, optional
        Then ``evidence`` says what this lake shows about the code.
    lang : str
        ``en`` or ``zh``.

    Returns
    -------
    Explanation

    Raises
    ------
    UsageError
        Neither a number from 0 to 65535 nor a known name; an unknown language.

    Examples
    --------
    >>> explain("going away").code
    1001
    >>> explain(502).kind
    'http_status'
    """
    language(lang)
    number = parse_code(code)
    is_status = str(number) in data("http")
    where = None if lake is None else terminal(str(lake.path), 200)
    evidence = None if lake is None else observe(lake, number, is_status)
    build = _http if is_status else _close
    return build(number, lang, where, evidence)


def _close(number: int, lang: str, where: str | None, evidence: Evidence | None) -> Explanation:
    fact = data("codes").get(str(number))
    if fact is not None:
        text = data(f"{lang}/codes")[str(number)]
        name = _named(fact["name"], text["name"])
    else:
        fact = next(r for r in data("ranges") if r["first"] <= number <= r["last"])
        text = data(f"{lang}/ranges")[fact["id"]]
        name = text["name"]
    is_1006 = number == 1006
    return Explanation(
        kind="close_code",
        code=number,
        lang=lang,
        name=name,
        meaning=text["meaning"],
        sender=fact["sender"],
        on_wire=fact["on_wire"],
        retry=fact["retry"],
        retry_how=text["retry"],
        usually=tuple(text["usually"]),
        steps=tuple(text["do"]),
        commands=_commands(
            (
                f"wslog explain {number} --lake {{lake}}",
                "wslog diagnose --lake {lake}",
                "wslog close-codes --lake {lake} --by network_type",
            ),
            where,
        ),
        services=_services(number, lang),
        causes=_causes(lang, where) if is_1006 else (),
        timeouts=_timeouts(lang) if is_1006 else (),
        snippets=_snippets() if is_1006 else {},
        source=fact["source"],
        verified=fact["verified"],
        lake=where,
        evidence=evidence,
    )


def _http(number: int, lang: str, where: str | None, evidence: Evidence | None) -> Explanation:
    fact, text = data("http")[str(number)], data(f"{lang}/http")[str(number)]
    look = (f"wslog explain {number} --lake {{lake}}", "wslog close-codes --lake {lake} --by side,http_status")
    return Explanation(
        kind="http_status",
        code=number,
        lang=lang,
        name=_named(fact["name"], text["name"]),
        meaning=text["meaning"],
        sender="server",
        on_wire=False,
        retry=fact["retry"],
        retry_how=data(f"{lang}/words")["http_retry"][fact["retry"]],
        usually=tuple(text["usually"]),
        steps=tuple(text["do"]),
        commands=_commands(look, where),
        services=(),
        causes=(),
        timeouts=(),
        snippets=_snippets() if number in _UPGRADE_LOST else {},
        source=fact["source"],
        verified=fact["verified"],
        lake=where,
        evidence=evidence,
    )


def _named(registered: str, ours: str) -> str:
    return registered if ours == registered else f"{registered}（{ours}）"


def _commands(commands: tuple[str, ...] | list[str], where: str | None) -> tuple[str, ...]:
    lake = "lake" if where is None else shlex.quote(where)
    return tuple(command.replace("{lake}", lake) for command in commands)


def _services(number: int, lang: str) -> tuple[ServiceMeaning, ...]:
    texts = data(f"{lang}/services")
    hits: list[dict[str, Any]] = [s for s in data("services") if s["first"] <= number <= s["last"]]
    exact = {s["service"] for s in hits if s["first"] == s["last"]}
    # what a service says about the very code stands for what it says about the range
    hits = [s for s in hits if s["first"] == s["last"] or s["service"] not in exact]
    others = [s for s in hits if not s["only_alone"]]
    return tuple(
        ServiceMeaning(
            s["service"],
            s["name"],
            texts[s["id"]],
            s["first"],
            s["last"],
            s["retry"],
            s["is_local"],
            s["source"],
            s["verified"],
        )
        for s in others or hits
    )


def _causes(lang: str, where: str | None) -> tuple[Cause, ...]:
    texts = data(f"{lang}/causes")
    found: list[Cause] = []
    for cause in data("causes"):
        text = texts[cause["id"]]
        letter = _LETTERS[cause["group"]]
        label = f"{letter}{1 + sum(c.group == cause['group'] for c in found)}"
        commands = _commands(cause["commands"], where)
        found.append(
            Cause(
                label,
                cause["id"],
                cause["group"],
                text["title"],
                text["short"],
                text["sign"],
                commands,
                text["change"],
                cause["source"],
                tuple(cause["diagnosed"]),
            )
        )
    return tuple(found)


def _timeouts(lang: str) -> tuple[Timeout, ...]:
    products = data(f"{lang}/timeouts")
    return tuple(Timeout(products=products[str(entry["seconds"])], **entry) for entry in data("timeouts"))


def _snippets() -> dict[str, tuple[str, ...]]:
    return {name: tuple(lines) for name, lines in data("snippets").items()}
