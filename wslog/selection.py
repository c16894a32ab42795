"""What a metric is asked for: grouping columns, a period, a filter. The only road by which user text reaches SQL.

Grouping columns come from the registry's allow-list. A filter is parsed by the small grammar below into columns of the
registry, operators of a closed list and literals, and written back as SQL from those: the text itself never reaches an
engine, and text literals carry neither quotes nor backslashes (engines disagree about escapes).

    filter   := term ("and" term)*
    term     := column op literal | column "in" "(" literal ("," literal)* ")" | column "is" ["not"] "null"
    op       := = | != | < | <= | > | >=
    literal  := 'text' | "text" | number | true | false | instant (2026-11-23, 2026-11-23T10:00:00Z)
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from wslog.errors import UsageError
from wslog.schema import COLUMNS, TABLES, grouping_columns

SQL_NAMES = {"end": "end_word"}
"""Registry names that are reserved in SQL, and what the tables inside the engine call them."""

_PERIOD_COLUMNS = {
    "attempts": "COALESCE(started_us, opened_us, ended_us)",
    "episodes": "started_us",
    "sessions": "started_us",
}
_TIME_COLUMNS = {
    "attempts": "COALESCE(started_at, opened_at, ended_at)",
    "episodes": "started_at",
    "sessions": "started_at",
}
SESSION_COLUMNS = (
    "side", "format", "source_label", "session_key", "started_at", "url_host", "url_path", "network_type", "network_class",
    "effective_type", "asn", "as_org", "browser", "browser_version", "os", "client_prefix",
)  # fmt: skip
"""Columns of the internal table ``sessions`` that may be grouped by or filtered on."""

_TOKEN = re.compile(
    r"\s*(?:(?P<text>'[^']*'|\"[^\"]*\")"
    r"|(?P<instant>\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d{1,6})?)?(?:Z|[+-]\d{2}:?\d{2})?)?(?![\w.]))"
    r"|(?P<number>[+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?(?![\w.]))"
    r"|(?P<op><=|>=|!=|<>|==|=|<|>)|(?P<mark>[(),])|(?P<word>[A-Za-z_][A-Za-z0-9_]*))"
)
_WEEK = re.compile(r"(\d{4})-?W(\d{2})\Z")


@dataclass(frozen=True)
class Period:
    """A half-open stretch of time, microseconds since 1970 UTC; None leaves a side open."""

    since_us: int | None = None
    until_us: int | None = None

    def sql(self, table: str) -> str:
        """Return the condition that selects rows of ``table`` (``TRUE`` when both sides are open)."""
        column = _PERIOD_COLUMNS[table]
        parts = [] if self.since_us is None else [f"{column} >= {self.since_us:d}"]
        parts += [] if self.until_us is None else [f"{column} < {self.until_us:d}"]
        return " AND ".join(parts) or "TRUE"


@dataclass(frozen=True)
class Term:
    """One comparison of a filter: a registered column, an operator and its literals."""

    column: str
    op: str
    literals: tuple[str | int | float | bool, ...] = ()

    def sql(self, table: str) -> str:
        name = self.column
        if name in ("iso_week", "day"):
            left = time_word_sql(name, table)
        elif COLUMNS[name].type == "instant":
            left = f"unix_micros({name})"
        else:
            left = SQL_NAMES.get(name, name)
        if self.op in ("IS NULL", "IS NOT NULL"):
            return f"{left} {self.op}"
        values = ", ".join(_literal_sql(value) for value in self.literals)
        return f"{left} IN ({values})" if self.op == "IN" else f"{left} {self.op} {values}"


@dataclass(frozen=True)
class Filter:
    """Comparisons that must all hold."""

    terms: tuple[Term, ...] = ()

    def sql(self, table: str) -> str:
        return " AND ".join(term.sql(table) for term in self.terms) or "TRUE"


@dataclass(frozen=True)
class Selection:
    """Grouping columns, period and filter, checked: what a metric's SQL file is filled with.

    Build it from user input with :func:`check_by`, :func:`parse_period` and :func:`parse_filter`.
    """

    by: tuple[str, ...] = ()
    period: Period = Period()
    filter: Filter = Filter()


def unknown(what: str, given: object, choices: Sequence[str]) -> UsageError:
    """Return the error for a name that does not exist: it lists the choices and the closest one."""
    close = difflib.get_close_matches(str(given), choices, n=1)
    hint = f"; did you mean {close[0]}?" if close else ""
    return UsageError(f"{what} {str(given)[:60]!r} is unknown{hint} Choices: {', '.join(choices)}")


# --- grouping -------------------------------------------------------------------------------------------


def groupings(tables: Sequence[str]) -> tuple[str, ...]:
    """Return the columns that all of ``tables`` can be grouped by, in the order of the registry."""
    allowed = [_grouping_columns(table) for table in tables]
    return tuple(name for name in allowed[0] if all(name in other for other in allowed[1:]))


def _grouping_columns(table: str) -> tuple[str, ...]:
    if table == "sessions":
        return tuple(n for n in (*SESSION_COLUMNS, "iso_week", "day") if COLUMNS[n].is_grouping)
    return grouping_columns(table)


def check_by(by: str | Iterable[str], tables: Sequence[str], keys: Sequence[str] = ()) -> tuple[str, ...]:
    """Check grouping columns against the allow-list.

    Parameters
    ----------
    by : str or iterable of str
        Column names; one string may hold several with commas.
    tables : sequence of str
        Tables the metric reads; a column must belong to all of them.
    keys : sequence of str
        The metric's own keys: asked for or not, they are there, so they are left out of the result.

    Raises
    ------
    UsageError
    """
    names = by.split(",") if isinstance(by, str) else list(by)
    choices = groupings(tables)
    found: list[str] = []
    for name in (str(n).strip() for n in names):
        if name and name not in choices:
            raise unknown("grouping column", name, choices)
        if name and name not in found and name not in keys:
            found.append(name)
    return tuple(found)


def time_word_sql(name: str, table: str) -> str:
    """Return the SQL of ``iso_week`` or ``day`` of a table's rows (UTC)."""
    date = f"CAST({_TIME_COLUMNS[table]} AS DATE)"
    if name == "day":
        return f"CAST({date} AS STRING)"
    # the year of an ISO week is that of its Thursday
    year = f"YEAR(DATE_TRUNC('week', {date}) + INTERVAL '3' DAY)"
    return f"(CAST({year} AS STRING) || '-W' || LPAD(CAST(WEEKOFYEAR({date}) AS STRING), 2, '0'))"


_DAY_US = 86_400_000_000
_YEAR_1_US = 719_162 * _DAY_US
"""From 0001-01-01, a Monday, to 1970: counted from there, no day of a log is below 0, where remainders differ."""
TIME_GROUPS = {"iso_week": 7 * _DAY_US, "day": _DAY_US}
"""Grouping columns that SQL gives as numbers of weeks or days since 0001-01-01, and their lengths in µs."""


def time_number_sql(name: str, table: str) -> str:
    """Return the SQL of the number of a row's week or day: :func:`time_words` says it as ``2026-W47`` or ``2026-11-23``.

    Engines make numbers many times as fast as text, and group by them so.
    """
    length = TIME_GROUPS[name]
    since = f"({_PERIOD_COLUMNS[table]} + {_YEAR_1_US})"
    # whole numbers below 2^53 times 2^13: exact in floating point
    return f"CAST(({since} - {since} % {length}) / {length:.15e} AS BIGINT)"


def time_words(name: str, numbers: Iterable[int]) -> list[str]:
    """Return ISO weeks or days (UTC) by their numbers since 0001-01-01."""
    import numpy as np

    numbers = np.asarray(list(numbers), np.int64)
    if name == "day":
        return [str(day) for day in np.datetime64("0001-01-01") + numbers]
    # the year of an ISO week is that of its Thursday
    thursdays = np.datetime64("0001-01-04") + 7 * numbers
    years = thursdays.astype("datetime64[Y]")
    weeks = (thursdays - years.astype("datetime64[D]")).astype(np.int64) // 7 + 1
    return [f"{year}-W{week:02d}" for year, week in zip(years, weeks, strict=True)]


def select_sql(by: Sequence[str], table: str) -> str:
    """Return the select list of grouping columns, each followed by a comma; weeks and days are numbers (:func:`time_words`)."""
    return "".join(
        f"{time_number_sql(name, table)} AS {name}, " if name in TIME_GROUPS else f"{SQL_NAMES.get(name, name)}, "
        for name in by
    )


def group_sql(by: Sequence[str], is_by_client: bool = False) -> dict[str, str]:
    """Return the placeholders that speak of groups and clusters; each list ends with a comma, each condition with AND.

    Parameters
    ----------
    by : sequence of str
        Grouping columns.
    is_by_client : bool
        Clusters are clients where one is known, else what ``sql/clustered.sql`` says.

    Returns
    -------
    dict of str to str
        ``by``, ``by_of_l``: the names that :func:`select_sql` gave the grouping columns; ``by_same``: rows ``l`` and ``r`` are of
        one group; ``cluster_select``: the select list of the cluster, ``cluster``: its name.
    """
    names = [SQL_NAMES.get(name, name) for name in by]
    of_client = "COALESCE(client_number, cluster_number) AS cluster_number, "
    return {
        "by": "".join(f"{name}, " for name in names),
        "by_of_l": "".join(f"l.{name}, " for name in names),
        "by_same": "".join(f"l.{name} IS NOT DISTINCT FROM r.{name} AND " for name in names),
        "cluster_select": of_client if is_by_client else "cluster_number, ",
        "cluster": "cluster_number, ",
    }


# --- period ---------------------------------------------------------------------------------------------


def parse_instant(text: str, what: str = "time") -> int:
    """Return an ISO date or instant (UTC unless it says otherwise) as microseconds since 1970.

    Raises
    ------
    UsageError
    """
    try:
        at = datetime.fromisoformat(text.strip())
        at = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise UsageError(
            f"{what} {text[:60]!r} is no ISO date or instant: try 2026-11-23 or 2026-11-23T10:00:00Z"
        ) from error
    return (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def parse_period(since: str | None = None, until: str | None = None, week: str | None = None) -> Period:
    """Return the period of ``--since``/``--until`` or of an ISO week (Monday to Monday, UTC).

    Raises
    ------
    UsageError
        Malformed, empty, or both ways at once.
    """
    if week is not None:
        if since is not None or until is not None:
            raise UsageError("give a week or since/until, not both")
        match = _WEEK.match(week.strip())
        try:
            monday = datetime.fromisocalendar(int(match[1]), int(match[2]), 1) if match else None
        except ValueError:
            monday = None
        if monday is None:
            raise UsageError(f"week {week[:60]!r} is no ISO week: try 2026-W47")
        start = parse_instant(monday.date().isoformat())
        return Period(start, start + 7 * 86_400_000_000)
    period = Period(
        None if since is None else parse_instant(since, "since"),
        None if until is None else parse_instant(until, "until"),
    )
    if period.since_us is not None and period.until_us is not None and period.since_us >= period.until_us:
        raise UsageError(f"since {since} is not before until {until}")
    return period


# --- filter ---------------------------------------------------------------------------------------------


def filter_columns(tables: Sequence[str]) -> tuple[str, ...]:
    """Return the columns that a filter over all of ``tables`` may name."""
    lists = [(*(SESSION_COLUMNS if t == "sessions" else TABLES[t].columns), "iso_week", "day") for t in tables]
    return tuple(name for name in lists[0] if all(name in other for other in lists[1:]))


def parse_filter(text: str | None, tables: Sequence[str]) -> Filter:
    """Parse a filter expression (grammar in the module's docstring).

    Raises
    ------
    UsageError
        Anything that is not the grammar, a column that is not there, a literal of the wrong type or outside a closed list.
    """
    if text is None or not text.strip():
        return Filter()
    tokens = _tokens(text)
    terms: list[Term] = []
    at = 0
    while True:
        term, at = _term(tokens, at, tables)
        terms.append(term)
        if at == len(tokens):
            return Filter(tuple(terms))
        if tokens[at] != ("word", "and"):
            raise UsageError(f"filter: expected 'and' before {tokens[at][1][:40]!r}")
        at += 1


def _tokens(text: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    at = 0
    text = text.rstrip()
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise UsageError(
                f"filter: cannot read {text[at : at + 40]!r}; write it as: column = 'text' and other_column >= 3"
            )
        kind = str(match.lastgroup)
        value = match[kind]
        if kind == "word" and value.lower() in ("and", "in", "is", "not", "null", "true", "false"):
            value = value.lower()
        found.append((kind, value))
        at = match.end()
    return found


def _term(tokens: list[tuple[str, str]], at: int, tables: Sequence[str]) -> tuple[Term, int]:
    def take(i: int) -> tuple[str, str]:
        if i >= len(tokens):
            raise UsageError("filter ends too early; write it as: column = 'text' and other_column >= 3")
        return tokens[i]

    kind, name = take(at)
    if kind != "word":
        raise UsageError(f"filter: expected a column before {name[:40]!r}")
    choices = filter_columns(tables)
    if name not in choices:
        raise unknown("filter column", name, choices)
    kind, op = take(at + 1)
    if (kind, op) == ("word", "is"):
        negated = take(at + 2) == ("word", "not")
        at += 3 + negated
        if take(at - 1) != ("word", "null"):
            raise UsageError(f"filter: after '{name} is' comes null or not null")
        return Term(name, "IS NOT NULL" if negated else "IS NULL"), at
    if (kind, op) == ("word", "in"):
        if take(at + 2) != ("mark", "("):
            raise UsageError(f"filter: after '{name} in' comes a list like ('a', 'b')")
        literals = [_literal(name, *take(at + 3))]
        at += 4
        while take(at) == ("mark", ","):
            literals.append(_literal(name, *take(at + 1)))
            at += 2
        if take(at) != ("mark", ")"):
            raise UsageError(f"filter: the list after '{name} in' is not closed")
        return Term(name, "IN", tuple(literals)), at + 1
    if kind != "op":
        raise UsageError(f"filter: after {name} comes one of = != < <= > >= in is, not {op[:40]!r}")
    return Term(name, {"==": "=", "!=": "<>"}.get(op, op), (_literal(name, *take(at + 2)),)), at + 3


def _literal(name: str, kind: str, value: str) -> str | int | float | bool:
    column = COLUMNS[name]
    text = value[1:-1] if kind == "text" else value
    if column.type == "instant" and kind in ("text", "instant"):
        return parse_instant(text, name)
    if column.type in ("text", "word") and (kind == "text" or (kind == "instant" and name == "day")):
        if "\x00" in text:
            raise UsageError("filter: a text literal cannot hold a NUL")
        if column.words and text not in column.words:
            raise unknown(f"value of {name}", text, column.words)
        return text
    if column.type == "bool" and kind == "word" and text in ("true", "false"):
        return text == "true"
    if column.type.startswith(("int", "float")) and kind == "number":
        number = float(text)
        if not abs(number) < 1e18:
            raise UsageError(f"filter: {text[:40]} is too large")
        return int(text) if re.fullmatch(r"[+-]?\d+", text) else number
    wanted = {
        "instant": "an ISO date or instant",
        "bool": "true or false",
        "text": "'text' in quotes",
        "word": "'text' in quotes",
    }
    raise UsageError(f"filter: {name} is compared with {wanted.get(column.type, 'a number')}, not {value[:40]!r}")


def _literal_sql(value: str | int | float | bool) -> str:
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, int):
        return f"{value:d}"
    if isinstance(value, float):
        return f"CAST({value!r} AS DOUBLE)"
    pieces = [f"CHR({ord(p)})" if p in "'\\" else f"'{p}'" for p in re.split(r"(['\\])", value) if p]
    return "(" + " || ".join(pieces) + ")" if pieces else "''"
