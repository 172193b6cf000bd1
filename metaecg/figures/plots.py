"""Figures: ECGs on paper true to scale, and what training and evaluation measured.

Every function returns a `matplotlib.figure.Figure` and touches no global state, so that it works in
a notebook, in a server and without a display: ``plots.ecg(…).savefig("ecg.png")``.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter

from metaecg.figures.ecg_paper import MM, ecg, plain
from metaecg.figures.method_plots import attention, episode, trajectory
from metaecg.figures.style import (
    BLACK,
    BLUE,
    COLOURS,
    DASHES,
    GREEN,
    MARKERS,
    RED,
    one_plot,
    styled,
)

__all__ = [
    "attention",
    "calibration",
    "confusion",
    "ecg",
    "episode",
    "learning_curves",
    "per_class_bars",
    "probabilities",
    "reading_curves",
    "shots_curve",
    "trajectory",
]


@styled
def shots_curve(
    series: Mapping[str, Sequence[tuple[int, float, float, float]]], *, chance: float | None = None
) -> Figure:
    """Accuracy by shot, a line for each learner.

    Args:
      series: by the learner's name, (shot, accuracy, low, high) of each point; shares in [0, 1],
        low and high the ends of a 95 % interval.
      chance: accuracy of guessing, drawn as a line.
    """
    columns = 2 if max(map(len, series)) < 36 else 1  # of the legend, which is below
    figure, axes = one_plot(height=70 + 5 * (len(series) + 1) / columns)
    apart = min(0.06, 0.5 / len(series))
    shots = sorted({point[0] for points in series.values() for point in points})
    for i, (name, points) in enumerate(series.items()):
        # Side by side, so that intervals do not hide each other.
        x = [shots.index(p[0]) + apart * (i - (len(series) - 1) / 2) for p in points]
        y = np.array([p[1] for p in points])
        errors = np.abs(np.array([[p[1] - p[2], p[3] - p[1]] for p in points])).T
        style: dict[str, Any] = {
            "color": COLOURS[i % 7],
            "marker": MARKERS[i % 7],
            "markersize": 5,
            "linestyle": DASHES[i // 7 % 3],
        }
        axes.errorbar(x, y, errors, label=plain(name), capsize=3, linewidth=1.2, **style)
    if chance is not None:
        axes.axhline(chance, color="#555555", linestyle=":", linewidth=1, label="chance")
    axes.set_xticks(range(len(shots)), [str(shot) for shot in shots])
    axes.set(xlabel="shots (labelled examples per class)", ylabel="accuracy, 95 % interval")
    axes.yaxis.set_major_formatter(PercentFormatter(1, 0))
    axes.set_ylim(bottom=0)
    figure.legend(loc="outside lower center", ncols=columns)
    return figure


def by_shot(rows: Iterable[Mapping[str, Any]]) -> dict[str, list[tuple[int, float, float, float]]]:
    """The series of `shots_curve`, from the rows of an evaluation.

    Args:
      rows: each with learner, shot, accuracy, its 95 % half-width over episodes `accuracy_ci95`
        and, if it was measured, the interval over patients `accuracy_patients95`.
    """
    series: dict[str, list[tuple[int, float, float, float]]] = {}
    for row in rows:
        mean, half = row["accuracy"], row["accuracy_ci95"]
        low, high = row.get("accuracy_patients95", (mean - half, mean + half))
        series.setdefault(row["learner"], []).append((row["shot"], mean, low, high))
    return series


@styled
def confusion(matrix: np.ndarray, labels: Sequence[str]) -> Figure:
    """A confusion matrix [classes, classes] of counts, rows the truth; shown as shares of a row."""
    matrix = np.asarray(matrix, float)
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    side = max(90.0, 7.0 * len(labels) + 40)
    figure, axes = one_plot(side + 20, side)
    image = axes.imshow(shares, cmap="cividis", vmin=0, vmax=max(shares.max(), 1e-9))
    names = [plain(label) for label in labels]
    axes.set_xticks(range(len(labels)), names, rotation=90)
    axes.set_yticks(range(len(labels)), names)
    axes.set(xlabel="answer", ylabel="truth")
    axes.grid(False)
    for (row, column), share in np.ndenumerate(shares):
        if share >= 0.005:
            colour = "black" if share > 0.55 * shares.max() else "white"
            text = f"{100 * share:.0f}"
            axes.text(column, row, text, color=colour, size=7, ha="center", va="center")
    colours = figure.colorbar(image, shrink=0.7, label="share of the truth's queries")
    colours.ax.yaxis.set_major_formatter(PercentFormatter(1, 0))
    return figure


@styled
def calibration(
    confidence: np.ndarray, accuracy: np.ndarray, count: np.ndarray, *, title: str = ""
) -> Figure:
    """Accuracy against confidence over bins, and the share of answers in each.

    Args:
      confidence: [B], mean probability of the answers in a bin.
      accuracy: [B], share of them that are right.
      count: [B], how many they are; empty bins are not drawn.
      title: written above.
    """
    confidence, accuracy, count = (np.asarray(x, float) for x in (confidence, accuracy, count))
    used = count > 0
    figure = Figure(figsize=(84 * MM, 100 * MM), layout="constrained")
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
    top.plot([0, 1], [0, 1], color="#555555", linestyle=":", linewidth=1, label="as sure as right")
    half = 1.96 * np.sqrt(accuracy * (1 - accuracy) / np.maximum(count, 1))[used]
    style: dict[str, Any] = {"color": BLUE, "marker": "o", "markersize": 4, "capsize": 2}
    top.errorbar(confidence[used], accuracy[used], half, label="measured, 95 %", **style)
    top.set(ylabel="accuracy", ylim=(0, 1), xlim=(0, 1), title=title)
    top.legend(loc="upper left")
    bottom.bar(confidence[used], count[used] / count.sum(), width=0.05, color=BLUE)
    bottom.set(xlabel="confidence (probability of the answer)", ylabel="share")
    for axis in (top.xaxis, top.yaxis, bottom.yaxis):
        axis.set_major_formatter(PercentFormatter(1, 0))
    return figure


def validated(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The rows of a run's metrics.jsonl that say a validation accuracy.

    Without a validation part they say nothing of it, and with global labels no accuracy.
    """
    return [row for row in rows if "accuracy" in row.get("validation", {})]


@styled
def learning_curves(rows: Sequence[Mapping[str, Any]]) -> Figure:
    """Loss (nats) and validation accuracy by step.

    Args:
      rows: of a run's metrics.jsonl, each with `step` and some of `loss`, `loss_after` and
        `validation` (its `accuracy` and `accuracy_ci95`).
    """
    checks = validated(rows)
    figure = Figure(figsize=(150 * MM, (120 if checks else 65) * MM), layout="constrained")
    panels = figure.subplots(2 if checks else 1, 1, sharex=True, squeeze=False)[:, 0]
    for i, (key, name) in enumerate(
        (("loss", "loss"), ("loss_after", "loss after the inner step"))
    ):
        points = [(row["step"], row[key]) for row in rows if row.get(key) is not None]
        if points:
            panels[0].plot(*zip(*points), color=COLOURS[i], linewidth=1.2, label=name)
    panels[0].set_ylabel("training loss (nats)")
    if len(panels[0].lines) > 1:
        panels[0].legend()
    if checks:
        steps = [row["step"] for row in checks]
        values = np.array([row["validation"]["accuracy"] for row in checks])
        half = np.array([row["validation"].get("accuracy_ci95", 0.0) for row in checks])
        style: dict[str, Any] = {"color": GREEN, "marker": "o", "markersize": 4, "capsize": 3}
        panels[1].errorbar(steps, values, half, linewidth=1.2, **style)
        panels[1].set_ylabel("validation accuracy, 95 %")
        panels[1].yaxis.set_major_formatter(PercentFormatter(1, None))
    panels[-1].set_xlabel("step")
    panels[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
    return figure


@styled
def reading_curves(rows: Sequence[Mapping[str, Any]]) -> Figure:
    """What a reader of an archive has found after reading a share of it, a line for each reader.

    Args:
      rows: each with `reader`, `read` (a share of the archive, above 0), and `lower quartile`,
        `median` and `upper quartile` of the shares of the cases that were found. Those of the first
        reader are drawn with the area between the quartiles.
    """
    figure, axes = one_plot(height=95)
    names = list(dict.fromkeys(row["reader"] for row in rows))
    for i, name in enumerate(names):
        mine = [row for row in rows if row["reader"] == name]
        read, low, median, high = (
            np.array([row[key] for row in mine], float)
            for key in ("read", "lower quartile", "median", "upper quartile")
        )
        style: dict[str, Any] = {"color": COLOURS[i % 7], "linestyle": DASHES[i % 3]}
        axes.plot(read, median, label=plain(name), linewidth=1.6, **style)
        if i == 0:
            axes.fill_between(read, low, high, color=COLOURS[0], alpha=0.15, linewidth=0)
    shares = sorted({float(row["read"]) for row in rows})
    axes.plot(shares, shares, color="#555555", linestyle=":", linewidth=1, label="random order")
    axes.set_xscale("log")
    axes.set(xlabel="share of the archive that was read", ylabel="share of the cases found")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:g}%"))
    axes.yaxis.set_major_formatter(PercentFormatter(1, 0))
    axes.set_ylim(0, 1)
    figure.legend(loc="outside lower center", ncols=3)
    return figure


@styled
def per_class_bars(recalls: Mapping[str, float], *, chance: float | None = None) -> Figure:
    """The recall of each class, best first.

    Args:
      recalls: by class, in [0, 1].
      chance: recall of guessing, drawn as a line.
    """
    order = sorted(recalls, key=lambda c: (recalls[c], c))
    figure, axes = one_plot(150, 20 + 5.5 * len(order))
    axes.barh(range(len(order)), [recalls[c] for c in order], color=BLUE, height=0.7)
    for i, c in enumerate(order):
        axes.text(recalls[c] + 0.01, i, f"{recalls[c]:.0%}", size=8, va="center")
    if chance is not None:
        axes.axvline(chance, color=RED, linestyle="--", linewidth=1, label="chance")
        axes.legend(loc="lower right")
    _rows_of_shares(axes, order, "recall", 1.05)
    return figure


@styled
def probabilities(
    labels: Sequence[str],
    probs: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    *,
    marked: Sequence[str] = (),
) -> Figure:
    """Ranked probabilities with their ranges.

    Args:
      labels: the classes.
      probs: [way], their probabilities.
      low, high: [way], the ends of their ranges.
      marked: classes drawn in full, such as the plausible ones; the others are hatched.
    """
    order = np.argsort(probs, kind="stable")
    figure, axes = one_plot(125, 22 + 8.0 * len(labels))
    for row, i in enumerate(order):
        strong = labels[i] in marked
        hatch = "" if strong else "////"  # distinguished without colour, too
        face, edge = (BLUE, BLUE) if strong else ("white", "#777777")
        axes.barh(row, probs[i], height=0.6, hatch=hatch, facecolor=face, edgecolor=edge)
        axes.plot([low[i], high[i]], [row, row], color=BLACK, linewidth=1.4, marker="|")
        end = max(high[i], probs[i])
        axes.text(end + 0.015, row, f"{probs[i]:.0%}", va="center", weight="bold")
    _rows_of_shares(axes, [labels[i] for i in order], "probability and its range", 1.12)
    return figure


def _rows_of_shares(axes: Axes, names: Sequence[str], label: str, most: float) -> None:
    """The axes of bars that lie one above another, each a share of 0 to 1."""
    axes.set(xlabel=label, xlim=(0, most), ylim=(-0.6, len(names) - 0.4))
    axes.set_yticks(range(len(names)), [plain(name) for name in names])
    axes.set_xticks(np.linspace(0, 1, 6))
    axes.xaxis.set_major_formatter(PercentFormatter(1, 0))
    axes.grid(False, axis="y")
