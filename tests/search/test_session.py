"""A reading: what is shown, what is kept on disk, and what is said of the unread."""

import json

import numpy as np
import pytest
from scipy.stats import hypergeom
from searched import model, signal

from metaecg.errors import MetaecgError
from metaecg.search import log, question, remaining
from metaecg.search.archive import Archive
from metaecg.search.export import export
from metaecg.search.question import Example
from metaecg.search.session import Session


@pytest.fixture(scope="module")
def examples():
    rng = np.random.default_rng(5)
    return [Example(f"{i}.csv", True, signal(7, rng)) for i in range(3)]


@pytest.fixture
def begin(archive, known, examples):
    asked = question.ask(model(), archive, examples, known)
    return lambda **options: Session(archive, asked, **options)


def read(session, labels, count):
    for _ in range(count):
        row, _ = session.next()
        session.answer(row, "yes" if labels[row] else "no")


def test_the_rare_ones_are_read_first(begin, opened):
    session, rare = begin(control=0), opened.labels[:, 0]
    read(session, rare, 40)
    assert len(session.found) == 20
    assert session.next()[1] == "likeliest"
    after = session.remaining()
    assert 0 < after.soon < after.expected < 5


def test_when_everything_was_read_nothing_is_left(archive, known, examples):
    few = Archive.of(archive.embeddings[:12])
    session = Session(few, question.ask(model(), few, examples, known), control=0.5)
    for _ in range(12):
        session.answer(session.next()[0], "no")
    assert session.next() is None
    assert session.remaining() == (0, 0, 0, 0)


def test_a_tenth_is_read_at_random_whatever_was_found(begin, opened):
    one, other = begin(control=0.1), begin(control=0.1)
    read(one, opened.labels[:, 0], 60)
    read(other, ~opened.labels[:, 0], 60)
    rows = [{a.row for a in session.answers} for session in (one, other)]
    sample = np.random.default_rng(0).permutation(200)[:6]
    assert rows[0] >= {*sample.tolist()} <= rows[1]
    assert sum(a.why == "control" for a in one.answers) <= 6


def test_a_mixed_reading_asks_for_the_likely_one_that_is_least_like_those_read(begin, opened):
    session = begin(strategy="mixed", control=0)
    for number in range(60):
        row, why = session.next()
        assert why == ("unlike" if number % 4 == 3 else "likeliest")
        if why == "unlike":
            read = [*session.question.known, *(answer.row for answer in session.answers)]
            unread = np.setdiff1d(np.arange(200), read)
            likely = unread[np.argsort(-session.scores[unread])][:20]
            seen = [*session.question.placed, *map(session.place, read)]
            most = {one: max(session.place(one) @ other for other in seen) for one in likely}
            assert row == min(most, key=most.__getitem__)
        session.answer(row, "yes" if opened.labels[row, 0] else "no")
    assert len(session.found) == 20


def test_undo_restores_everything(begin, opened):
    session = begin()
    read(session, opened.labels[:, 0], 12)
    scores, shown, left = session.scores.copy(), session.next(), session.remaining()
    session.answer(shown[0], "unsure")
    assert session.next() != shown
    np.testing.assert_array_equal(session.scores, scores)  # unsure moves nothing
    row, _ = session.next()
    session.answer(row, "yes")
    assert session.undo().row == row
    assert session.undo().verdict == "unsure"
    np.testing.assert_array_equal(session.scores, scores)
    assert (session.next(), session.remaining()) == (shown, left)


def test_what_cannot_be_answered(begin):
    session = begin()
    with pytest.raises(MetaecgError, match="no answer to take back"):
        session.undo()
    row, _ = session.next()
    session.answer(row, "no")
    for wrong in ((row, "no"), (-1, "no"), (200, "no"), (0, "perhaps")):
        with pytest.raises(MetaecgError):
            session.answer(*wrong)
    for options in ({"strategy": "best"}, {"control": 1.5}):
        with pytest.raises(MetaecgError):
            begin(**options)


def test_answers_are_on_disk_and_a_torn_line_is_dropped(begin, opened, examples, tmp_path):
    session = begin()
    log.create(tmp_path, examples, library="L", strategy="likeliest")
    written = log.Log(tmp_path, list(opened.ids))
    for verdict in ("yes", "no", "unsure"):
        written.answer(session, session.next()[0], verdict)
    written.undo(session)
    written.answer(session, session.next()[0], "no")
    path = tmp_path / "answers.jsonl"
    assert [json.loads(line)["event"] for line in path.read_text().splitlines()] == [
        *["answer"] * 3,
        "undo",
        "answer",
    ]
    with open(path, "a") as file:
        file.write('{"event": "answer", "id": "r1')
    again = begin()
    log.Log(tmp_path, list(opened.ids)).replay(again)
    assert again.answers == session.answers
    assert again.next() == session.next()
    assert path.read_text().endswith("}\n")
    loaded, facts = log.load(tmp_path)
    assert [e[:2] for e in loaded] == [e[:2] for e in examples]
    np.testing.assert_array_equal(loaded[1].signal, examples[1].signal)
    assert facts["library"] == "L"
    with pytest.raises(MetaecgError, match="is not empty and holds no session"):
        log.create(tmp_path, examples)


def test_all_windows_of_a_long_example_are_kept(examples, tmp_path):
    long = examples[0]._replace(later=(examples[1].signal, examples[2].signal))
    log.create(tmp_path, [long, *examples[1:]])
    loaded, _ = log.load(tmp_path)
    np.testing.assert_array_equal(loaded[0].windows, long.windows)
    assert [len(each.windows) for each in loaded] == [3, *[1] * (len(examples) - 1)]
    path = tmp_path / "session.json"
    path.write_text(path.read_text().replace('"windows": 3', '"windows": 2'))
    with pytest.raises(MetaecgError, match="damaged session"):
        log.load(tmp_path)


@pytest.mark.parametrize("line", ["x", "[]", '{"event": "undo"}', '{"id": "none", "answer": "no"}'])
def test_a_damaged_line_is_named(begin, opened, tmp_path, line):
    (tmp_path / "answers.jsonl").write_text(line + "\n")
    with pytest.raises(MetaecgError, match=r"answers.jsonl, line 1: no answer of this session"):
        log.Log(tmp_path, list(opened.ids)).replay(begin())


def test_a_damaged_session_is_refused(tmp_path):
    with pytest.raises(MetaecgError, match=r"missing; is .* a session"):
        log.load(tmp_path)
    (tmp_path / "session.json").write_text('{"version": 1}')
    with pytest.raises(MetaecgError, match="missing"):
        log.load(tmp_path)
    (tmp_path / "examples.npy").write_bytes(b"x")
    with pytest.raises(MetaecgError, match="damaged session"):
        log.load(tmp_path)


def test_what_was_found_is_exported(begin, opened, known, tmp_path):
    session = begin(control=0)
    read(session, opened.labels[:, 0], 25)
    session.answer(session.next()[0], "unsure")
    said = export(tmp_path / "out", session, known, opened, "RARE")
    assert said == {"yes": 20, "no": 5, "unsure": 1}
    lines = (tmp_path / "out" / "labels.csv").read_text().splitlines()
    assert lines[0] == "path,label,patient"
    first = session.answers[0].row
    assert lines[1] == f"files/{first}.csv,RARE,{first // 2}"
    assert len(lines) == 26
    tasks = json.loads((tmp_path / "out" / "label_studio.json").read_text())
    assert len(tasks) == 26
    assert tasks[-1]["annotations"][0]["result"][0]["value"] == {"choices": ["unsure"]}
    file = tmp_path / "out" / "examples" / "RARE" / f"r{first}.csv"
    assert tasks[0]["data"]["csv"] == file.relative_to(tmp_path / "out").as_posix()
    table = np.loadtxt(file, delimiter=",", skiprows=1)
    np.testing.assert_allclose(table[:, 1:], known.signals([first])[0], atol=1e-4)
    with pytest.raises(MetaecgError, match="not empty"):
        export(tmp_path / "out", session, known, opened, "RARE")
    with pytest.raises(MetaecgError, match="must be the name of a sub-folder"):
        export(tmp_path / "new", session, known, opened, "../RARE")


@pytest.mark.parametrize(("population", "sample", "hits"), [(60, 15, 2), (60, 15, 0), (40, 40, 7)])
def test_the_interval_is_that_of_all_tests_that_do_not_reject(population, sample, hits):
    kept = [
        k
        for k in range(hits, population - (sample - hits) + 1)
        if hypergeom.sf(hits - 1, population, k, sample) > 0.025
        and hypergeom.cdf(hits, population, k, sample) > 0.025
    ]
    assert remaining.interval(population, sample, hits) == (kept[0], kept[-1])


def test_nothing_read_says_nothing():
    assert remaining.interval(200, 0, 0) == (0, 200)


@pytest.mark.parametrize("rare", [4, 20, 90])
def test_the_interval_covers_what_is_left_however_the_reading_went(rare):
    """300 readings of 200 recordings, by a ranking that is good, and stopped after 60 of them."""
    rng = np.random.default_rng(rare)
    covered = 0
    for _ in range(300):
        labels = rng.permutation(200) < rare
        order = np.argsort(-(labels + rng.normal(0, 1, 200)))
        sample = rng.permutation(200)[:18]
        others = [row for row in order if row not in set(sample.tolist())][:42]
        found = labels[sample].sum() + labels[others].sum()
        low, high = remaining.interval(200, 18, int(labels[sample].sum()))
        covered += max(0, low - found) <= rare - found <= high - found
    assert covered / 300 >= 0.925  # 0.95 less two standard errors


def test_the_curve_goes_on_as_it_went():
    rng = np.random.default_rng(0)
    places = np.arange(1, 5001) / 20000
    chance = 1 / (1 + np.exp(7 + 0.9 * np.log(places)))
    sought = rng.random(5000) < chance
    intercept, slope = remaining.curve(places, sought, np.array([-5.0, -0.6]))
    rest = np.arange(5001, 20001) / 20000
    expected = (1 / (1 + np.exp(7 + 0.9 * np.log(rest)))).sum()
    found = (1 / (1 + np.exp(-intercept - slope * np.log(rest)))).sum()
    assert 0.6 * expected < found < 1.7 * expected
    first = remaining.curve(np.zeros(0), np.zeros(0), np.array([-5.0, -0.6]))
    assert first.tolist() == [-5.0, -0.6]
