"""Figures: the ECG's paper measured in mm, and what the others say."""

import json

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest

from metaecg.figures import plots
from metaecg.figures.ecg_paper import MM

LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
SIGNAL = np.random.default_rng(0).normal(0, 0.3, (1000, 12))


def lines(figure, start):
    """The lines whose id starts so, as (id, x, y) in mm on the paper, from the left and bottom."""
    figure.draw_without_rendering()
    axes = figure.axes[0]
    found = []
    for line in axes.lines:
        if (line.get_gid() or "").startswith(start):
            inches = axes.transData.transform(line.get_xydata()) / figure.dpi
            found.append((line.get_gid(), *(inches.T / MM)))
    return found


def texts(figure):
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def test_twelve_leads_are_true_to_scale():
    signal = np.zeros((1000, 12))
    signal[50, 0] = 1.0  # 1 mV in lead I at 0.5 s
    signal[900, 1] = -0.5
    figure = plots.ecg(signal, 100, LEADS, title="a $5 name")
    np.testing.assert_allclose(figure.get_size_inches() / MM, (270, 135))
    (_, x, y), *_ = [line for line in lines(figure, "lead I") if line[0] == "lead I"]
    assert x[50] - x[0] == pytest.approx(0.5 * 25)
    assert y[50] - y[0] == pytest.approx(10.0)
    assert x[-1] - x[0] == pytest.approx(2.5 * 25)
    short, rhythm = [line for line in lines(figure, "lead II") if line[0] == "lead II"]
    assert rhythm[1][-1] - rhythm[1][0] == pytest.approx(9.99 * 25)
    assert rhythm[2][900] - rhythm[2][0] == pytest.approx(-5.0)
    assert short[1][-1] - short[1][0] == pytest.approx(2.5 * 25)
    pulses = lines(figure, "pulse")
    assert len(pulses) == 4
    for _, x, y in pulses:
        assert np.ptp(y) == pytest.approx(10.0)  # 1 mV
        assert x[3] - x[2] == pytest.approx(5.0)  # 0.2 s
    said = texts(figure)
    assert "25 mm/s  ·  10 mm/mV" in said
    assert r"a \$5 name" in said
    assert said.count("III (flat)") == 1
    assert said.count("II") == 2


def test_columns_go_on_in_time_and_rows_are_the_usual_ones():
    figure = plots.ecg(SIGNAL, 100, [lead.upper() for lead in LEADS[::-1]])
    found = {name.removeprefix("lead "): (x, y) for name, x, y in lines(figure, "lead")}
    for start, column in ((62.5, "AVR AVL AVF"), (125, "V1 V2 V3"), (187.5, "V4 V5 V6")):
        for lead in column.split():
            assert found[lead][0][0] - 15 == pytest.approx(start)
    reversed_lead = SIGNAL[:, 0] - np.median(SIGNAL[:, 0])  # it is called V6
    _, y = found["V6"]
    np.testing.assert_allclose(np.diff(y), np.diff(10 * reversed_lead[750:1000]), atol=1e-6)


def test_the_grid_has_lines_each_mm_and_each_5_mm():
    figure = plots.ecg(SIGNAL, 100, LEADS)
    fine, coarse = (np.unique(p.get_path().vertices[:, 0]) for p in figure.axes[0].patches)
    np.testing.assert_allclose(fine, np.arange(271))
    np.testing.assert_allclose(coarse, np.arange(0, 271, 5))


@pytest.mark.parametrize(
    ("samples", "leads", "size", "strips", "footer"),
    [
        (3000, ("II", "V1"), (270, 75), 2, "25 mm/s  ·  10 mm/mV  ·  first 10 of 30 s"),
        (400, LEADS, (220, 165), 12, "25 mm/s  ·  10 mm/mV"),
        (100, ("II",), (60, 45), 1, "25 mm/s  ·  10 mm/mV"),
    ],
)
def test_other_leads_and_lengths(samples, leads, size, strips, footer):
    signal = np.random.default_rng(0).normal(0, 0.3, (samples, len(leads)))
    signal[3:5, 0] = np.nan
    figure = plots.ecg(signal, 100, leads)
    np.testing.assert_allclose(figure.get_size_inches() / MM, size)
    drawn = lines(figure, "lead")
    assert len(drawn) == strips
    assert np.isnan(drawn[0][2][3:5]).all()
    assert footer in texts(figure)
    assert all(np.nanmax(x) <= size[0] - 5 + 1e-6 for _, x, _ in drawn)


def test_a_wrong_number_of_leads_is_refused():
    with pytest.raises(ValueError, match=r"signal of shape \(1000, 12\) for 2 leads"):
        plots.ecg(SIGNAL, 100, ("I", "II"))


def figures():
    labels = ("AFIB", "a$b$c", "W_PW")
    i = np.arange(5.0)
    rows = [{"step": 10 * n, "loss": 1.0 / n, "loss_after": 0.9 / n} for n in (1, 2, 3)]
    rows += [{"step": 30, "validation": {"accuracy": 0.6, "accuracy_ci95": 0.02}}, {"step": 40}]
    points = [(1, 0.4, 0.3, 0.5), (5, 0.6, 0.55, 0.65)]
    yield plots.shots_curve({"a$b$": points, "b": points[:1]}, chance=0.2)
    yield plots.confusion(np.array([[3, 1, 0], [0, 0, 0], [1, 1, 2]]), labels)
    yield plots.calibration([0.5, 0.7, 0.9], [0.5, 0.6, 0.8], [10, 0, 30], title="5-way")
    yield plots.learning_curves(rows)
    yield plots.reading_curves(read("review$a$"))
    yield plots.per_class_bars(dict.fromkeys(labels, 0.3), chance=0.2)
    yield plots.probabilities(labels, i[:3] / 3, i[:3] / 4, i[:3] / 2, marked=labels[:1])
    yield plots.episode(np.zeros((2, 1, 50)), np.zeros(50), 100, labels[:2], truth="a$b$c")
    yield plots.trajectory(i, i + 1, i, star=2.0)
    yield plots.attention(np.full((2, 4), 0.25), ("b", "a$", "b", "a$"), ("q1", "q2"))


def read(*readers):
    """Found after reading 1 % and 10 %."""
    shares = {"lower quartile": 0.2, "median": 0.4, "upper quartile": 0.5}
    return [
        {"reader": name, "read": at, **{key: at + share for key, share in shares.items()}}
        for name in readers
        for at in (0.01, 0.1)
    ]


def test_reading_curves_draw_the_medians_and_random_order():
    axes = plots.reading_curves(read("review", "oracle")).axes[0]
    drawn = {line.get_label(): line.get_xydata().round(9).tolist() for line in axes.lines}
    assert drawn["oracle"] == drawn["review"] == [[0.01, 0.41], [0.1, 0.5]]
    assert drawn["random order"] == [[0.01, 0.01], [0.1, 0.1]]
    (area,) = axes.collections
    np.testing.assert_allclose(area.get_paths()[0].get_extents().extents, [0.01, 0.21, 0.1, 0.6])


def test_shares_below_a_hundredth_are_not_written_as_none():
    axes = plots.reading_curves(read("review")).axes[0]
    written = axes.xaxis.get_major_formatter()
    assert [written(share) for share in (0.001, 0.01, 0.1, 1)] == ["0.1%", "1%", "10%", "100%"]


def test_every_figure_is_drawn_labelled_and_leaves_nothing_behind(tmp_path):
    settings = dict(mpl.rcParams)
    for n, figure in enumerate(figures()):
        figure.savefig(tmp_path / f"{n}.png", dpi=50)
        words = " ".join(text.get_text() for text in figure.findobj(mpl.text.Text))
        axes = figure.axes[0]
        assert axes.get_xlabel() or axes.get_ylabel() or figure.get_supxlabel(), n
        assert "\\$" in words or "a$" not in words
    assert plt.get_fignums() == []
    assert dict(mpl.rcParams) == settings


def test_confusion_shows_shares_of_the_truth():
    figure = plots.confusion(np.array([[3, 1], [0, 0]]), ("a", "b"))
    np.testing.assert_allclose(figure.axes[0].images[0].get_array(), [[0.75, 0.25], [0, 0]])
    assert texts(figure) == ["75", "25"]


def test_shots_curve_draws_the_intervals():
    figure = plots.shots_curve({"a": [(1, 0.4, 0.3, 0.45), (10, 0.6, 0.5, 0.7)]})
    (container,) = figure.axes[0].containers
    segments = container.lines[2][0].get_segments()
    np.testing.assert_allclose([s[:, 1] for s in segments], [[0.3, 0.45], [0.5, 0.7]])
    assert [t.get_text() for t in figure.axes[0].get_xticklabels()] == ["1", "10"]


@pytest.mark.parametrize("name", ["ProtoNet", "ProtoNet (whitened; combinations) + whitened_ridge"])
def test_the_legend_of_learners_is_whole_and_leaves_room_for_their_lines(name):
    points = [(1, 0.4, 0.3, 0.45), (10, 0.6, 0.5, 0.7)]
    figure = plots.shots_curve({f"{name} {k}": points for k in range(7)}, chance=0.2)
    figure.draw_without_rendering()
    box = figure.legends[0].get_window_extent()
    assert box.x0 >= 0
    assert box.x1 <= figure.bbox.x1
    assert figure.axes[0].get_window_extent().height > 0.4 * figure.bbox.y1


def test_attention_is_sorted_by_class():
    figure = plots.attention(np.array([0.1, 0.2, 0.3, 0.4]), ("b", "a", "b", "a"))
    np.testing.assert_allclose(figure.axes[0].images[0].get_array(), [[0.2, 0.4, 0.1, 0.3]])
    assert [t.get_text() for t in figure.axes[0].get_xticklabels()] == ["a", "b"]


def test_probabilities_are_ranked_from_the_top():
    figure = plots.probabilities(("a", "b"), [0.7, 0.3], [0.6, 0.2], [0.8, 0.4], marked=("a",))
    axes = figure.axes[0]
    assert [t.get_text() for t in axes.get_yticklabels()] == ["b", "a"]
    assert [bar.get_width() for bar in axes.patches] == [0.3, 0.7]
    assert [bool(bar.get_hatch()) for bar in axes.patches] == [True, False]
    assert json.dumps(texts(figure)) == '["30%", "70%"]'
