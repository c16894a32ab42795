"""How the charts look: type, colours that survive grey print and colour blindness, bytes that never change.

Figures are made without pyplot, so there is no global state and no display.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import matplotlib
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from wslog.charts.words import NBSP, Row, duration
from wslog.safe_text import chart_label

# Okabe and Ito, "Color Universal Design", 2008. In grey: ink < blue < vermillion < sky; the rest is told by shape.
INK = "#1f2933"
BLUE = "#0072B2"
VERMILLION = "#D55E00"
GREEN = "#009E73"
SKY = "#56B4E9"
PURPLE = "#CC79A7"
ORANGE = "#E69F00"
QUIET = "#616e7c"
FAINT = "#e4e7eb"
PALE = "#c3cad1"

SERIES: tuple[tuple[str, str, str | tuple[int, tuple[int, int]]], ...] = (
    (BLUE, "o", "-"),
    (VERMILLION, "s", "--"),
    (INK, "^", "-."),
    (GREEN, "D", ":"),
    (PURPLE, "v", (0, (5, 1))),
    (ORANGE, "P", (0, (1, 1))),
)
"""Colour, marker and line style of the k-th series: each differs in all three."""

HATCHES = {"wire": "", "inferred": "....", "library_synthetic": "////", "mapped": "\\\\\\\\", "absent": "xxxx"}
"""Hatch of a bar by where its close code comes from."""

# DejaVu ships with matplotlib, so Latin text is the same on every machine; the others fill in what it lacks.
FONTS = (
    "DejaVu Sans",
    "Noto Sans CJK SC",
    "Noto Sans CJK JP",
    "WenQuanYi Zen Hei",
    "WenQuanYi Micro Hei",
    "Noto Sans",
    "PingFang SC",
    "Microsoft YaHei",
)

WIDTH_IN = 9.8
DPI = 200


@cache
def _fonts() -> list[str]:
    # Only installed ones: naming a missing family logs a warning for each text drawn.
    installed = set(font_manager.fontManager.get_font_names())
    return [name for name in FONTS if name in installed]


@contextmanager
def style() -> Iterator[None]:
    """Set the house style for figures made or drawn inside, and nothing outside."""
    settings: Any = {
        "text.parse_math": False,
        "text.usetex": False,
        "font.family": _fonts(),
        "font.size": 8.5,
        "text.color": INK,
        "axes.edgecolor": PALE,
        "axes.labelcolor": QUIET,
        "axes.labelsize": 8,
        "axes.linewidth": 0.8,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.titlesize": 9.5,
        "axes.titleweight": "bold",
        "axes.titlelocation": "left",
        "axes.unicode_minus": True,
        "axes.formatter.useoffset": False,
        "xtick.color": QUIET,
        "ytick.color": QUIET,
        "xtick.labelsize": 7.5,
        "ytick.labelsize": 7.5,
        "xtick.major.size": 0,
        "ytick.major.size": 0,
        "grid.color": FAINT,
        "grid.linewidth": 0.8,
        "hatch.linewidth": 0.6,
        "figure.facecolor": "white",
        "savefig.facecolor": "white",
        "path.simplify": True,
    }
    with matplotlib.rc_context(settings), warnings.catch_warnings():
        # A character no installed font has is drawn as a box: that is all there is to say about it.
        warnings.filterwarnings("ignore", message=r"(Matplotlib currently|Glyph)", category=UserWarning)
        yield


class ShownFigure(Figure):
    """A figure that a notebook shows as the last value of a cell, without pyplot."""

    def _repr_png_(self) -> bytes:
        return png_bytes(self)


def new_figure(height_in: float, width_in: float = WIDTH_IN) -> Figure:
    """Return an empty figure on the Agg canvas, ``width_in`` by ``height_in`` inches."""
    figure = ShownFigure(figsize=(width_in, height_in), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    figure.get_layout_engine().set(w_pad=0.08, h_pad=0.08, wspace=0.05, hspace=0.06)  # type: ignore[union-attr, call-arg]
    return figure


def finished(figure: Figure) -> Figure:
    """Return ``figure`` with mathematics off in every text it has, so that a later draw cannot read ``$`` as TeX."""
    for text in figure.findobj(Text):
        text.set_parse_math(False)
    return figure


def png_bytes(figure: Figure) -> bytes:
    """Return the figure as PNG: the same bytes for the same figure, no date and no program name inside."""
    buffer = io.BytesIO()
    canvas = figure.canvas
    assert isinstance(canvas, FigureCanvasAgg)
    with style():
        # savefig would draw twice, the first time to no end without a bounding box to find
        canvas.print_png(buffer, metadata={"Software": None})  # type: ignore[no-untyped-call]
    return buffer.getvalue()


def nothing(message: str) -> Figure:
    """Return a low figure that says why there is nothing to draw."""
    with style():
        figure = new_figure(1.0)
        figure.text(0.5, 0.5, chart_label(message, 120), ha="center", va="center", color=QUIET, fontsize=9)
        return finished(figure)


def percent_axis(axes: Axes, along: str = "y") -> None:
    """Write a 0 to 1 axis in per cent."""
    axis = axes.yaxis if along == "y" else axes.xaxis
    axis.set_major_formatter(lambda value, _: f"{value * 100:.6g}{NBSP}%")


def seconds_axis(axes: Axes, along: str = "y") -> None:
    """Write an axis of seconds in s, min and h."""
    axis = axes.yaxis if along == "y" else axes.xaxis
    axis.set_major_formatter(lambda value, _: duration(value) if value >= 0 else "")


def plain_axis(axes: Axes, along: str = "y") -> None:
    """Write numbers without offset or exponent."""
    axis = axes.yaxis if along == "y" else axes.xaxis
    axis.set_major_formatter(lambda value, _: f"{value:.6g}")


def interval(row: Row) -> list[list[float]] | None:
    """Return the interval as matplotlib wants it: distances below and above the value."""
    if row.value is None or row.low is None or row.high is None:
        return None
    return [[max(row.value - row.low, 0.0)], [max(row.high - row.value, 0.0)]]


def value_axis(axes: Axes, kind: str, along: str = "y") -> None:
    """Write the axis of a metric in its unit."""
    {"share": percent_axis, "seconds": seconds_axis}.get(kind, plain_axis)(axes, along)


def gap(axes: Axes, x: float, message: str, half_width: float = 0.38) -> None:
    """Mark a place on the x axis where there is no estimate: shaded, and written upwards."""
    axes.axvspan(x - half_width, x + half_width, color="#f3f4f6", zorder=0, linewidth=0)
    axes.text(
        x,
        0.04,
        message,
        transform=axes.get_xaxis_transform(),
        rotation=90,
        ha="center",
        va="bottom",
        fontsize=6.5,
        color=QUIET,
    )
