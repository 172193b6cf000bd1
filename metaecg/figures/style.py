"""The style that all plots share: colours, markers, and axes without a frame."""

import functools
from collections.abc import Callable
from typing import Any, ParamSpec

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from metaecg.figures.ecg_paper import MM

# Okabe & Ito (2008): distinct with every common colour blindness, and in grey by lightness.
BLUE, ORANGE, GREEN, RED, SKY, PINK, BLACK = COLOURS = (
    "#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7", "#000000",
)  # fmt: skip
MARKERS = "osD^vPX"
DASHES = ("-", "--", ":")  # after seven, colours and markers come again
_STYLE: Any = {
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
}
P = ParamSpec("P")


def styled(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """Decorates a function that draws a figure, which then has this style."""

    @functools.wraps(draw)
    def drawn(*args: P.args, **kwargs: P.kwargs) -> Figure:
        with mpl.rc_context(_STYLE):
            return draw(*args, **kwargs)

    return drawn


def one_plot(width: float = 150, height: float = 90) -> tuple[Figure, Axes]:
    """A figure of one plot, width and height in mm."""
    figure = Figure(figsize=(width * MM, height * MM), layout="constrained")
    return figure, figure.add_subplot()
