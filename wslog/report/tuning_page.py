"""One page to decide the reconnect policy from."""

from __future__ import annotations

import os
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from wslog.charts.tuning_words import groups
from wslog.charts.words import duration, plural
from wslog.policy.tuning import Tuning
from wslog.report import tuning_end as end
from wslog.report import tuning_sections as parts
from wslog.report.blocks import shown
from wslog.report.page import replace_file, writable
from wslog.report.tuning_decision import decisions, titles
from wslog.version import __version__


def write_tuning(tuning: Tuning, out_dir: str | os.PathLike[str]) -> Path:
    """Write a tuning as one page that needs nothing else, and its charts as PNG files beside it.

    Returns
    -------
    Path
        ``out_dir/tune.html``; the charts are ``out_dir/tune-<chart>.png``. The same tuning and version give the same bytes.

    Raises
    ------
    ReportWriteError
        The folder cannot be written.
    """
    folder = writable(Path(out_dir))
    page, charts = render_tuning(tuning)
    for name, png in charts.items():
        replace_file(folder / f"tune-{name}.png", png)
    target = folder / "tune.html"
    replace_file(target, page.encode("utf-8"))
    return target


def render_tuning(tuning: Tuning) -> tuple[str, dict[str, bytes]]:
    """Return the page, and its charts as name to PNG."""
    known = parts.Assumptions()
    gallery = parts.Gallery()
    # what to paste comes right after the decision, the long table after the charts
    decided = decisions(tuning, known)
    figures, compared = parts.figures_section(tuning, known), parts.policies_section(tuning, known)
    sections = [section for section in (end.snippets_section(tuning),) if section is not None]
    sections += [figures, *parts.chart_sections(tuning, gallery), compared]
    sections += [end.observed_section(tuning), end.unknown_section(tuning), end.limits_section(tuning)]
    sections.append(end.definitions_section())
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template("tuning.html.jinja").render(
        title="The reconnect policy: what to change",
        when=_about(tuning),
        lead="",
        banners=_banners(tuning),
        summary=" ".join(words for _, words in parts.advice_of(tuning, "summary")),
        decisions=decided,
        bought=titles(tuning),
        legend=parts.legend(),
        assumptions=known.items(),
        tiles=(),
        sections=sections if decided else sections[-2:],
        version=__version__,
    )
    return page, gallery.charts


def _about(tuning: Tuning) -> str:
    """Return what was compared on what, in one line."""
    firsts = [group.rows.iloc[0] for group in groups(tuning.policies, tuning.by)]
    outages = sum(int(first["outage_count"]) for first in firsts)
    return (
        f"In place now: {shown(tuning.current, 80)}. {plural(outages, 'outage')} of open connections, each followed for "
        f"{duration(tuning.horizon_s)}; an attempt counts as {duration(tuning.price_s)} of downtime."
    )


def _banners(tuning: Tuning) -> list[str]:
    """Warnings about all outages; those of a group stand beside its decision."""
    if not len(tuning.policies):
        return ["No outage of a client in this lake: client logs are needed to estimate what a policy does."]
    rows = tuning.advice.to_dict("records")
    whole = [row for row in rows if row["kind"] == "warning" and parts.advice_key(row, tuning.by) is None]
    return [f"{shown(row['title'], 120)} {shown(row['text'], 600)}" for row in whole]
