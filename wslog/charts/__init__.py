"""Metric frames in, figures out; nothing is computed here.

Every function takes a metric frame of one side (client, server or proxy: they are never drawn together) as the lake
returns it: grouping columns and keys, then ``value, numerator, denominator, excluded_count, ci_low, ci_high, state``.
An estimate is drawn with its 95 % interval and its denominator n. Where the state is ``insufficient`` there is a gap
with the words "too little evidence (n = ...)", never a zero. Series differ in colour, marker and line style, bars in
hatch, so that the charts can be read in grey and by colour-blind people.

Examples
--------
>>> figure = weekly_reliability(frame)          # doctest: +SKIP
>>> Path("week.png").write_bytes(png_bytes(figure))  # doctest: +SKIP
"""

from __future__ import annotations

from wslog.charts.codes import close_code_shares
from wslog.charts.groups import fallback_by_group, retry_success, time_to_recover
from wslog.charts.style import png_bytes
from wslog.charts.weekly import budget_burn, downtime, drops_per_hour, weekly_reliability

__all__ = [
    "budget_burn",
    "close_code_shares",
    "downtime",
    "drops_per_hour",
    "fallback_by_group",
    "png_bytes",
    "retry_success",
    "time_to_recover",
    "weekly_reliability",
]
