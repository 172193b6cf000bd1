"""The benchmarks measure what they say: same shapes and parameters on both sides, honest rates."""

import json

import jax
import numpy as np
import pytest

from experiments.benchmarks import (
    diagnosis,
    end_to_end,
    library_growth,
    machine_limit,
    sampler,
    search_speed,
    timing,
    training_step,
)
from experiments.configs import settings


def test_contenders_take_turns_and_warming_up_does_not_count():
    calls = []
    seconds = timing.alternate(
        {"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, repeats=2
    )
    assert calls == list("ababab")
    assert [len(seconds[name]) for name in "ab"] == [2, 2]


def test_reports_name_the_machine_and_print_a_table(tmp_path, capsys):
    rows = [{"x": 1, "s": timing.spread([3.0, 1.0, 2.0])}, {"x": 2, "more": 12345.6}]
    timing.report(rows, str(tmp_path / "r.json"), way=5)
    written = json.loads((tmp_path / "r.json").read_text())
    assert written["way"] == 5
    assert written["machine"]["jax"] == jax.__version__
    assert written["rows"][0]["s"] == {"median": 2, "least": 1, "greatest": 3}
    assert capsys.readouterr().out.splitlines()[2:] == [
        "| 1 | 2 (1–3) |  |",
        "| 2 |  | 1.235e+04 |",
    ]


def test_samplers_are_asked_for_the_same_episodes():
    rng = np.random.default_rng(0)
    labels = rng.random((600, 8)) < 0.2
    (row,) = sampler.rows(
        labels, np.arange(600) // 2, shots=[1], batches=[4], repeats=2, records="600"
    )
    rate, peer = row["metaecg, episodes/s"]["median"], row["plain Python, episodes/s"]["median"]
    assert row["ratio to plain Python"] == rate / peer
    drawn = sampler.plain(np.arange(600) % 8, 1, 4)()
    assert np.shape(drawn) == (4, sampler.WAY, 1 + sampler.QUERY)
    assert all(len({row % 8 for row in rows}) == 1 for episode in drawn for rows in episode)


@pytest.mark.parametrize(
    ("name", "rows_of"),
    [
        ("easyfsl", lambda task: task),
        ("learn2learn", lambda task: [example.index for example in task]),
        # Of the classes drawn, one after another: 60 records of each.
        ("torchmeta", lambda task: [i // 60 for part in task.values() for i in part.indices]),
    ],
)
def test_samplers_of_libraries_draw_whole_episodes(name, rows_of):
    shot, batch = 2, 3
    draw = sampler.LIBRARIES[name](list(range(8)) * 60, shot, batch)
    if draw is None:
        pytest.skip(f"{name} is compared with and no dependency")
    drawn = [rows_of(task) for task in draw()]
    assert len(drawn) == batch
    for rows in drawn:
        assert (
            np.unique(np.asarray(rows) % 8, return_counts=True)[1].tolist()
            == [shot + sampler.QUERY] * sampler.WAY
        )


def test_a_sampler_that_is_not_there_is_named(capsys):
    assert not sampler.importable("no_such_peer.data", "no_such_peer")
    assert capsys.readouterr().out == "no_such_peer is left out: No module named 'no_such_peer'\n"


def test_exponents_of_known_laws():
    sizes = [10, 20, 40]
    assert library_growth.exponent(sizes, [3 * n**2 for n in sizes]) == pytest.approx(2)
    assert library_growth.exponent(sizes, [0.5] * 3) == pytest.approx(0)


def test_operations_of_a_matrix_product_are_two_a_term():
    program, run = machine_limit.compiled(lambda x: x @ x, np.ones((64, 64), np.float32))
    assert machine_limit.flops(program) == pytest.approx(2 * 64**3, rel=0.01)
    assert run().shape == (64, 64)


def test_the_whole_training_that_is_timed_may_be_started():
    settings.validate(settings.load(end_to_end.DEFAULT))


def test_latency_is_of_whole_diagnoses():
    row = diagnosis.measure("small", diagnosis.small(200, 2), 200, 2, queries=10)
    assert 0 < row["p50, ms"] <= row["p99, ms"]
    assert row["8 at a time, queries/s"]["median"] > 0


@pytest.mark.parametrize("kind", ["snail", "protonet", "maml"])
@pytest.mark.parametrize("encoder", ["small", "residual"])
def test_peers_have_the_same_parameters_and_train(kind, encoder):
    pytest.importorskip("torch", reason="PyTorch is compared with and no dependency")
    row = training_step.cell(
        kind, encoder, 1, episodes=2, repeats=1, samples=64, leads=2
    )  # raises if the parameters differ in number
    assert row["ratio, records once"] > 0


def test_a_question_to_an_archive_in_a_file_is_timed_whole(tmp_path):
    embeddings = search_speed.fill(tmp_path / "embeddings.f16", 5000, 8)
    assert np.asarray(embeddings, np.float32).std() == pytest.approx(1, rel=0.05)
    row = search_speed.measure(embeddings, answers=5)
    assert row["recordings"] == "5,000"
    assert 0 < row["question, s"]["median"] < 60
    assert 0 < row["answer, ms"] <= row["answer, 95th percentile, ms"]
    assert row["file, GB"] == pytest.approx(8e-5)
