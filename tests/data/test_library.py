"""The sample library: checks, and the way to the disk and back."""

import json
import tempfile

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from metaecg.data import library as lib
from metaecg.data import writing
from metaecg.data.files import npy_header
from metaecg.data.library import Library, LibraryError
from metaecg.data.writing import Writer


def make(records=5, **fields):
    """A library of 4 samples, 2 leads and 3 codes, deterministic."""
    generator = np.random.default_rng(0)
    fields = {
        "signals": generator.integers(-999, 999, (records, 4, 2)).astype(np.int16),
        "labels": generator.random((records, 3)) < 0.5,
        "vocabulary": ("AFIB", "LAO/LAE", "PRC(S)"),
        "patients": np.arange(records) // 2,
    } | fields
    return Library(**fields)


def test_millivolts_are_units_times_scale():
    signals = np.array([[[1000, -500]], [[0, 32767]]], np.int16)
    library = make(2, signals=signals)
    np.testing.assert_array_equal(
        library.millivolts([1, 0]), np.array([[[0, 32.767]], [[1, -0.5]]], np.float32)
    )
    assert library.millivolts([0]).dtype == np.float32
    assert library.millivolts().shape == (2, 1, 2)


def test_millivolts_are_rounded_once():
    units = np.arange(-32768, 32768).astype(np.int16)
    library = make(1, signals=units[None, :, None], labels=np.zeros((1, 3), bool), leads=("I",))
    np.testing.assert_array_equal(library.millivolts()[0, :, 0], (units / 1000).astype(np.float32))


def test_a_band_pass_in_words_alone_is_refused_once_it_is_on_disk(tmp_path):
    words = ("band-pass 5e-05–40 Hz, zero phase",)
    with pytest.raises(LibraryError, match=r"band-pass is given in words alone.*import it again"):
        writing.save(make(processing=words), tmp_path / "old")
    for wrong in ((40, 0.5), (0, 40), (1,)):
        with pytest.raises(LibraryError, match="bandpass"):
            make(bandpass=wrong)
    assert make().fingerprint != make(bandpass=(0.5, 40)).fingerprint


def test_defaults_and_dense_patients():
    library = make(4, patients=np.array([70, 3, 70, 9]))
    np.testing.assert_array_equal(library.patients, [0, 1, 0, 2])
    assert library.patients.dtype == np.int32
    assert library.ids == ("0", "1", "2", "3")
    assert library.leads == ("lead 0", "lead 1")
    assert library.names == library.vocabulary
    assert library.kinds == ("", "", "")
    np.testing.assert_array_equal(library.folds, [0, 0, 0, 0])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"signals": np.zeros((5, 4, 2))}, r"int16 .* float64 \[5, 4, 2\]"),
        ({"signals": np.zeros((5, 0, 2), np.int16)}, r"\[5, 0, 2\] hold no sample"),
        ({"labels": np.zeros((5, 2), bool)}, r"bool \[5, 3\] .* bool \[5, 2\]"),
        ({"labels": np.zeros((5, 3))}, r"got float64"),
        ({"patients": np.zeros(4, int)}, "patients has 4 entries instead of 5"),
        ({"leads": ("I",)}, "leads has 1 entries instead of 2"),
        ({"ids": ("a", "a", "b", "c", "d")}, "ids has repeated"),
        ({"vocabulary": ("A", "B;C", "D")}, "'B;C'"),
        ({"hz": 0}, "hz 0.0"),
    ],
)
def test_refuses_what_does_not_fit(fields, message):
    with pytest.raises(LibraryError, match=message):
        make(**fields)


word = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
code = st.text(st.characters(exclude_categories=["Cs"], exclude_characters=";"), min_size=1)


@hypothesis.settings(max_examples=25, deadline=None)
@hypothesis.given(st.data(), st.integers(1, 4))
def test_round_trip_keeps_everything(data, records):
    def words(strategy, n, **options):
        return tuple(data.draw(st.lists(strategy, min_size=n, max_size=n, **options)))

    library = make(
        records,
        vocabulary=words(code, 3, unique=True),
        names=words(word, 3),
        kinds=("diagnostic;form", "", "rhythm"),
        ids=words(word, records, unique=True),
        sources=words(word, records),
        notes=words(word, records),
        folds=np.arange(records),
        hz=data.draw(st.floats(1, 1000)),
        leads=("I", "aVR"),
        source="wfdb",
        processing=("one", "two"),
    )
    with tempfile.TemporaryDirectory() as folder:
        writing.save(library, f"{folder}/a")
        opened = lib.open_library(f"{folder}/a")
        for field in Library.__dataclass_fields__:
            np.testing.assert_array_equal(getattr(opened, field), getattr(library, field))
        assert opened.fingerprint == library.fingerprint
        del opened.__dict__["fingerprint"]  # as if it had been made in memory
        assert opened.fingerprint == library.fingerprint
        assert isinstance(opened.signals, np.memmap)
        assert not opened.signals.flags.writeable


def test_fingerprint_tells_libraries_apart():
    one = make()
    signals = one.signals.copy()
    signals[4, 3, 1] += 1
    labels = ~one.labels
    others = [make(signals=signals), make(labels=labels), make(hz=200), make(ids=tuple("abcde"))]
    assert len({one.fingerprint, *(other.fingerprint for other in others)}) == 5
    assert make().fingerprint == one.fingerprint


def test_header_does_not_grow_with_the_records():
    assert len(npy_header((0, 1000, 12))) == len(npy_header((10**9, 1000, 12)))


def truncate(path):
    path.write_bytes(path.read_bytes()[:-1])


def flip(path):
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)


def change_rate(path):
    path.write_text(path.read_text().replace('"hz": 100.0', '"hz": 200.0'))


def change_version(path):
    path.write_text(path.read_text().replace('"version": 1', '"version": 9'))


def drop_files(path):
    about = json.loads(path.read_text())
    del about["files"]
    path.write_text(json.dumps(about))


@pytest.mark.parametrize(
    ("name", "damage", "message"),
    [
        ("signals.npy", truncate, "signals.npy: 207 bytes instead of 208"),
        ("signals.npy", flip, "signals.npy: sha256 differs"),
        ("records.csv", truncate, "records.csv: .* bytes instead of"),
        ("records.csv", flip, "records.csv: sha256 differs"),
        ("quarantine.csv", flip, "quarantine.csv: sha256 differs"),
        ("library.json", change_rate, "library.json: fingerprint differs"),
        ("library.json", change_version, "version 9 instead of 1"),
        ("library.json", drop_files, "field 'files' is missing"),
        ("library.json", truncate, None),
        ("library.json", lambda path: path.write_text("[]"), "format"),
        ("library.json", lambda path: path.write_text("{"), "not JSON"),
        (
            "library.json",
            lambda path: path.unlink(),
            "no library.json; make one by metaecg prepare",
        ),
        ("signals.npy", lambda path: path.unlink(), "signals.npy: missing"),
        ("records.csv", lambda path: path.unlink(), "records.csv: missing"),
    ],
)
def test_refuses_the_truncated_and_the_edited(tmp_path, name, damage, message):
    writing.save(make(), tmp_path / "a")
    damage(tmp_path / "a" / name)
    if message is None:  # the last byte of library.json is a line feed
        lib.open_library(tmp_path / "a")
        return
    with pytest.raises(LibraryError, match=message) as caught:
        lib.open_library(tmp_path / "a")
    assert "\n" not in str(caught.value)
    assert "prepare" in str(caught.value)


def test_unverified_opening_still_compares_sizes(tmp_path):
    writing.save(make(), tmp_path / "a")
    flip(tmp_path / "a" / "signals.npy")
    assert len(lib.open_library(tmp_path / "a", verify=False)) == 5
    truncate(tmp_path / "a" / "signals.npy")
    with pytest.raises(LibraryError, match="207 bytes"):
        lib.open_library(tmp_path / "a", verify=False)


def test_overwrites_only_libraries_and_only_when_told(tmp_path):
    (tmp_path / "empty").mkdir()
    writing.save(make(), tmp_path / "empty")
    with pytest.raises(LibraryError, match="--overwrite"):
        writing.save(make(), tmp_path / "empty")
    writing.save(make(3), tmp_path / "empty", overwrite=True)
    assert len(lib.open_library(tmp_path / "empty")) == 3
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter1").write_text("precious")
    with pytest.raises(LibraryError, match="not a library"):
        writing.save(make(), tmp_path / "thesis", overwrite=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "thesis"]


def test_giving_up_leaves_nothing_and_keeps_the_old(tmp_path):
    writing.save(make(), tmp_path / "a")
    with Writer(tmp_path / "a", overwrite=True) as writer:
        writer.add(np.zeros((4, 2), np.int16), id="1", patient="p", codes=["AFIB"])
        assert len(list(tmp_path.iterdir())) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert lib.open_library(tmp_path / "a").fingerprint == make().fingerprint


def test_writer_numbers_patients_and_lists_the_quarantined(tmp_path):
    with Writer(tmp_path / "a") as writer:
        for id, patient in (("1", "p"), ("2", "q"), ("3", "p")):
            signal = np.full((4, 2), int(id), np.int16)
            writer.add(signal, id=id, patient=patient, codes=["B", "A"], note="flat: I")
        writer.quarantine("x/4", "checksum, differs")
        writer.finish(vocabulary=["B", "A"], names=["bee", "ay"], leads=["I", "II"])
    library = lib.open_library(tmp_path / "a")
    np.testing.assert_array_equal(library.patients, [0, 1, 0])
    np.testing.assert_array_equal(library.signals[:, 0, 0], [1, 2, 3])
    assert library.names == ("bee", "ay")
    assert (tmp_path / "a" / "records.csv").read_text() == (
        "id,patient,source,fold,labels,notes\n"
        "1,0,,0,A;B,flat: I\n2,1,,0,A;B,flat: I\n3,0,,0,A;B,flat: I\n"
    )
    assert (tmp_path / "a" / "quarantine.csv").read_text() == (
        'path,reason\nx/4,"checksum, differs"\n'
    )


def test_writer_refuses_other_shapes_and_nothing(tmp_path):
    with Writer(tmp_path / "a") as writer:
        with pytest.raises(LibraryError, match="no record to write; quarantined: none"):
            writer.finish(vocabulary=["A"])
        writer.add(np.zeros((4, 2), np.int16), id="1", patient="p", codes=["A"])
        with pytest.raises(LibraryError, match=r"record 2: shape \(5, 2\) instead of \(4, 2\)"):
            writer.add(np.zeros((5, 2), np.int16), id="2", patient="p", codes=["A"])
        with pytest.raises(LibraryError, match="int16"):
            writer.add(np.zeros((4, 2)), id="2", patient="p", codes=["A"])
    assert not list(tmp_path.iterdir())


def test_records_without_offsets_are_whole_units():
    """The medians of four values are between two of them: 2.5 of 0, 2, 3 and 9, and -4."""
    signals = np.array([[[0, -4], [9, -4], [3, -4], [2, 100]]], np.int16)
    made = Library(
        signals=signals,
        labels=np.ones((1, 1), bool),
        vocabulary=("A",),
        patients=np.zeros(1),
        scale=0.005,
    )
    units = made.without_offsets([0])[0] * 200
    np.testing.assert_allclose(units.T, [[-2, 6, 0, 0], [0, 0, 0, 104]], atol=1e-4)
    assert made.without_offsets(0).shape == (4, 2)
