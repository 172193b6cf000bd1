"""Plots of the method at work: an episode, a trajectory of meta-parameters, SNAIL's attention."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from metaecg.figures.ecg_paper import MM, plain
from metaecg.figures.style import BLACK, BLUE, COLOURS, ORANGE, RED, one_plot, styled


@styled
def episode(
    support: np.ndarray,
    query: np.ndarray,
    hz: float,
    labels: Sequence[str],
    *,
    truth: str = "",
) -> Figure:
    """An episode at a glance: a row of examples for each class, and the query below.

    Args:
      support: [way, shot, samples] of lead II in mV.
      query: [samples] of the same lead.
      hz: samples per second.
      labels: the classes.
      truth: what the query is, if it is to be told.
    """
    way, shot, samples = support.shape
    figure = Figure(figsize=(180 * MM, 22 * (way + 1) * MM), layout="constrained")
    grid = figure.subplots(way + 1, shot, sharex=True, sharey=True, squeeze=False)
    time = np.arange(samples) / hz
    for c in range(way):
        for k in range(shot):
            # Not in black, which is the query's.
            grid[c, k].plot(time, support[c, k], color=COLOURS[c % 6], linewidth=0.7)
        grid[c, 0].set_ylabel(plain(labels[c]), rotation=0, ha="right", va="center", weight="bold")
    for axes in grid[-1, 1:]:
        axes.set_axis_off()
    grid[-1, 0].plot(time, query, color=BLACK, linewidth=0.7)
    grid[-1, 0].set_ylabel("query", rotation=0, ha="right", va="center", weight="bold")
    if truth:
        grid[-1, 0].set_title(f"truth: {plain(truth)}", size=8, loc="left", pad=2)
    for axes in grid[:-1, :].ravel():
        axes.tick_params(labelbottom=False)
    figure.supxlabel("time (s)", size=9)
    figure.supylabel("lead II (mV)", size=9)
    return figure


@styled
def trajectory(
    distance: np.ndarray,
    loss_before: np.ndarray,
    loss_after: np.ndarray,
    *,
    star: float | None = None,
) -> Figure:
    """A trajectory of meta-parameters: how far θ_i is from θ_0, and its group's loss.

    Args:
      distance: [n], ‖θ_i − θ_0‖ for i = 1 … n.
      loss_before, loss_after: [n], loss of group i at θ_{i−1} and at θ_i.
      star: ‖θ* − θ_0‖, marked where given.
    """
    groups = np.arange(1, len(distance) + 1)
    figure = Figure(figsize=(150 * MM, 110 * MM), layout="constrained")
    top, bottom = figure.subplots(2, 1, sharex=True)
    marks = {"marker": "o", "markersize": 3, "linewidth": 1.2}
    top.plot([0, *groups], [0.0, *distance], color=BLUE, label="θ$_i$", **marks)
    if star is not None:
        line = {"color": RED, "linewidth": 1, "linestyle": "--"}
        top.axhline(star, **line)
        top.plot(groups[-1], star, color=RED, marker="*", markersize=13, label="θ*", linestyle="")
    top.set(ylabel="distance from θ$_0$ (L2 norm)", ylim=(0, None))
    top.legend(loc="lower right", bbox_to_anchor=(0.93, 0))
    bottom.plot(groups, loss_before, color=ORANGE, label="before, at θ$_{i-1}$", **marks)
    bottom.plot(groups, loss_after, color=BLUE, label="after, at θ$_i$", **marks)
    bottom.set(xlabel="sample group i", ylabel="loss of group i (nats)")
    bottom.xaxis.set_major_locator(MaxNLocator(integer=True))
    bottom.legend()
    return figure


@styled
def attention(
    weights: np.ndarray, support: Sequence[str], queries: Sequence[str] = ("query",)
) -> Figure:
    """Attention of queries to the support: weights [queries, support], sorted by class.

    Args:
      weights: shares, rows sum to at most 1; [support] for one query.
      support: class of each example.
      queries: names of the rows.
    """
    weights = np.atleast_2d(weights)
    order = sorted(range(len(support)), key=lambda i: support[i])
    names = [support[i] for i in order]
    figure, axes = one_plot(40 + max(60, 5 * len(names)), 38 + 6 * len(weights))
    image = axes.imshow(weights[:, order], cmap="cividis", vmin=0, aspect="auto")
    groups = [i for i in range(len(names)) if i == 0 or names[i] != names[i - 1]]
    for i in groups[1:]:
        axes.axvline(i - 0.5, color="white", linewidth=2)
    ends = [*groups[1:], len(names)]
    middles = [(a + b - 1) / 2 for a, b in zip(groups, ends)]
    axes.set_xticks(
        middles, [plain(names[i]) for i in groups], rotation=90 if len(groups) > 6 else 0
    )
    axes.set_yticks(range(len(weights)), [plain(query) for query in queries])
    axes.tick_params(length=0)
    axes.grid(False)
    axes.set_xlabel("labelled examples by class")
    figure.colorbar(image, label="weight")
    return figure
