"""Importing: the library's form, the quarantine's reasons, and parallel = serial."""

import csv
from collections import Counter

import numpy as np
import pytest
import wfdb

from metaecg.data import library
from metaecg.data.readers.raw import RecordError
from metaecg.data.record_form import Target, transform
from metaecg.data.signal import STANDARD_LEADS, SignalError
from metaecg.data.sources import importing
from metaecg.data.sources.importing import Options, import_records
from metaecg.data.sources.listing import Item
from metaecg.data.sources.source import Source, survey
from metaecg.data.sources.wfdb_folder import form, list_folder, read
from metaecg.data.writing import Writer
from metaecg.errors import MetaecgError

TARGET = Target(hz=100.0, seconds=2.0, leads=("I", "II"))


def write(folder, name, hz=100, seconds=2, leads=("I", "II"), unit="mV", value=None):
    """Writes a record of small noise, or of `value`, that carries AFIB."""
    noise = np.random.default_rng(list(name.encode())).normal(
        0, 0.1, (int(hz * seconds), len(leads))
    )
    digital = (noise * 1000).astype(int) if value is None else value(noise)
    wfdb.wrsamp(
        name, fs=hz, units=[unit] * len(leads), sig_name=list(leads), d_signal=digital,
        fmt=["16"] * len(leads), adc_gain=[1000.0] * len(leads), baseline=[0] * len(leads),
        comments=["Dx: AFIB"], write_dir=str(folder),
    )  # fmt: skip


def run(folder, output, items=None, **options):
    with Writer(output) as writer:
        items = items or list_folder(folder, "header")
        source = Source("wfdb", folder, items, read, TARGET)
        counts, *_ = import_records(writer, source, TARGET, Options(**options))
        writer.finish(vocabulary=sorted(counts), hz=100, leads=TARGET.leads)
    with open(output / "quarantine.csv", newline="") as file:
        reasons = {row["path"]: row["reason"] for row in csv.DictReader(file)}
    return library.open_library(output), reasons


def test_what_is_in_the_library_s_form_is_kept_bit_by_bit():
    units = np.arange(-200, 200).reshape(200, 2).astype(np.int16)
    signal, done = transform(units / 1000, 100.0, ["mV", "mV"], ["I", "MLII"], TARGET)
    np.testing.assert_array_equal(signal, units)
    assert signal.dtype == np.int16
    assert done == ()


def test_every_step_is_applied_and_noted():
    seconds = np.arange(1500) / 500  # 3 s
    signal = np.stack([np.full(1500, 80.0), 500 * np.sin(2 * np.pi * 5 * seconds)], axis=1)
    signal[100:103, 1] = np.nan
    imported, done = transform(signal, 500.0, ["bpm", "uV"], ["HR", "ii"], Target(100, 2, ("II",)))
    expected = 500 * np.sin(2 * np.pi * 5 * np.arange(200) / 100)
    np.testing.assert_allclose(imported[5:-5, 0], expected[5:-5], atol=12)
    assert done == (
        ("uV to mV", False),
        ("first 2 of 3 s", False),
        ("3 missing samples interpolated", True),
        ("500 Hz to 100 Hz", False),
    )
    padded, done = transform(signal, 500.0, ["bpm", "uV"], ["HR", "ii"], Target(500, 4, ("II",)))
    assert not padded[1500:].any()
    assert done[-1] == ("1500 samples padded with zeros to 2000", True)
    banded = Target(500, 2, ("II",), (0.5, 40))
    assert banded.describe()[3] == "band-pass 0.5–40 Hz, zero phase"
    offset = transform(signal + 3000, 500.0, ["bpm", "uV"], ["HR", "ii"], banded)[0]
    assert abs(offset.mean()) < 100


def test_a_gap_after_the_end_does_no_harm():
    signal = np.random.default_rng(0).normal(size=(3000, 2))
    signal[250:] = np.nan
    assert transform(signal, 100.0, ["mV"] * 2, ["I", "II"], TARGET)[0].shape == (200, 2)
    with pytest.raises(SignalError, match="missing"):
        transform(signal, 100.0, ["mV"] * 2, ["I", "II"], TARGET._replace(seconds=5.0))


def test_each_bad_record_is_quarantined_with_its_reason(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    write(folder, "good")
    write(folder, "swapped", leads=("II", "V9", "I"))
    write(folder, "lead", leads=("I", "V9"))
    write(folder, "loud", value=lambda x: np.full(x.shape, 32767) - np.arange(200)[:, None] % 9)
    header = folder / "loud.hea"
    header.write_text(header.read_text().replace("1000.0(0)/mV", "999.0(0)/mV"))
    write(folder, "flat", value=lambda x: np.zeros(x.shape, int))
    write(
        folder,
        "gap",
        value=lambda x: np.where(np.arange(200)[:, None] < 50, -32768, x * 9).astype(int),
    )
    for name in ("short", "damaged", "bare", "escaping", "label"):
        write(folder, name)
    data = (folder / "short.dat").read_bytes()
    (folder / "short.dat").write_bytes(data[:-2])
    (folder / "damaged.dat").write_bytes(b"\x01\x02" + data[2:])
    (folder / "bare.dat").unlink()
    for name, old, new in (("escaping", "escaping.dat", "../x.dat"), ("label", "Dx: AFIB", "Dx:")):
        header = folder / f"{name}.hea"
        header.write_text(header.read_text().replace(old, new))
    items = [*list_folder(folder, "header"), Item("../in/good", "up", "up", ("AFIB",))]
    items += [Item("/etc/good", "root", "root", ("AFIB",)), Item("gone", "gone", "gone", ("X",))]
    imported, reasons = run(folder, tmp_path / "out", items)
    assert imported.ids == ("good", "swapped")
    assert imported.vocabulary == ("AFIB",)
    expected = wfdb.rdrecord(str(folder / "swapped")).p_signal[:, [2, 0]]
    np.testing.assert_array_equal(imported.signals[1] / 1000, expected)
    assert {path: reason[:40] for path, reason in reasons.items()} == {
        "lead": "lead II is missing; the record has I",
        "loud": "amplitude of 32.8 mV is beyond ±32.767 m",
        "flat": "all leads are flat",
        "gap": "0.5 s of samples of lead I are missing (",
        "short": "short.dat: truncated, 798 of 800 bytes",
        "damaged": reasons["damaged"][:40],
        "bare": "bare.dat: missing",
        "escaping": "escaping.hea: signal line 1: points outs",
        "label": "no label: its header has no Dx comment; ",
        "../in/good": "points outside the folder",
        "/etc/good": "points outside the folder",
        "gone": "gone.hea: missing",
    }
    assert reasons["damaged"].startswith("damaged.dat: checksum of I is")
    with pytest.raises(RecordError, match=r"^bare: bare\.dat: missing$"):
        run(folder, tmp_path / "strict", strict=True)
    assert not (tmp_path / "strict").exists()


def test_processes_give_what_one_process_gives(tmp_path, monkeypatch):
    monkeypatch.setattr(importing, "CHUNK", 2)
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(20):
        write(folder, f"r{number}", hz=50 if number % 3 else 100)
    (folder / "r8.dat").write_bytes(b"")
    alone, reasons = run(folder, tmp_path / "1")
    together, reasons_together = run(folder, tmp_path / "2", workers=2)
    assert together.fingerprint == alone.fingerprint
    assert reasons_together == reasons
    assert reasons == {"r8": "r8.dat: truncated, 0 of 400 bytes"}


def test_survey_takes_the_commonest(tmp_path):
    with pytest.raises(MetaecgError, match="no record can be read"):
        survey(tmp_path, [Item("none", "none", "none", ())], form)
    for number in range(3):
        write(tmp_path, f"r{number}", hz=50, seconds=4, leads=STANDARD_LEADS[::-1])
    write(tmp_path, "a", hz=100)
    assert survey(tmp_path, list_folder(tmp_path, "header"), form) == Target(50, 4, STANDARD_LEADS)
    assert survey(tmp_path, list_folder(tmp_path, "header")[:1], form) == Target(
        100, 2, ("I", "II")
    )


def test_each_reason_why_nothing_can_be_read_is_said_once_the_commonest_first(tmp_path):
    """Names of files that reasons begin with make them no others; at most five are said."""
    for number in range(3):
        write(tmp_path, f"r{number}")
        (tmp_path / f"r{number}.dat").write_bytes(b"short")
    for number in range(2):
        write(tmp_path, f"bare{number}")
        (tmp_path / f"bare{number}.dat").unlink()
    items = list_folder(tmp_path, "header")
    items += [Item(f"x{n}", f"x{n}", f"x{n}", (), problem="no label: no row") for n in range(4)]
    with pytest.raises(MetaecgError) as caught:
        survey(tmp_path, items, form)
    assert str(caught.value) == (
        f"{tmp_path}: no record can be read: 4 × no label: no row (first: 'x0'); "
        "3 × *.dat: truncated, 5 of 800 bytes (first: 'r0'); "
        "2 × *.dat: missing (first: 'bare0')"
    )
    items = [Item(f"y{n}", "y", "y", (), problem=f"reason {n}") for n in range(8)]
    with pytest.raises(MetaecgError, match=r"1 × reason 4 \(first: 'y4'\); 3 other reasons$"):
        survey(tmp_path, items, form)


def test_what_will_not_be_imported_has_no_say_in_the_form(tmp_path):
    write(tmp_path, "a", hz=50, seconds=4)
    for name in ("b", "c"):
        write(tmp_path, name)
    items = list_folder(tmp_path, "header")
    assert survey(tmp_path, items, form).hz == 100
    items = [items[0], *(item._replace(problem="no label") for item in items[1:])]
    assert survey(tmp_path, items, form).hz == 50


def remarks_of(counts, statements=()):
    source = Source("wfdb", None, (), read, TARGET, dict.fromkeys(statements))
    said = importing._remarks(source, Counter(counts), 0, False, False)
    return [remark for remark in said if "one or two records" in remark]


def test_labels_of_one_or_two_records_are_noted_with_what_they_may_mean():
    assert remarks_of({"WPW": 9, "RVH": 3}) == []
    assert remarks_of({"WPW": 9, "WPv": 1, "XYZ": 2}) == [
        "labels of one or two records: WPv (1 record, nearest WPW), XYZ (2 records); "
        "correct what is misspelt"
    ]
    # Two spellings of two records each are not each other's correction.
    assert "nearest" not in remarks_of({"flutter": 2, "fluter": 2})[0]
    # Codes of a standard are no misspellings, and an archive's own list is its own.
    assert remarks_of({"AFIB": 1, "AFLT": 9}) == [
        "labels of one or two records: AFIB (1 record); correct what is misspelt"
    ]
    assert remarks_of({"mine": 1, "WPv": 1}, statements=("mine", "WPv")) == []
    many = {f"k{n}": 1 for n in range(7)} | {"my class": 5, "my clas": 2}
    assert remarks_of(many) == [
        "labels of one or two records: my clas (2 records, nearest my class), k0 (1 record), "
        "k1 (1 record), k2 (1 record), k3 (1 record) and 3 more; correct what is misspelt"
    ]


def test_copies_of_a_recording_are_of_one_patient_and_say_so(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("a", "b", "c"):
        write(folder, name)
    for name, original in (("a2", "a"), ("a3", "a"), ("b2", "b")):
        header = (folder / f"{original}.hea").read_text()
        (folder / f"{name}.hea").write_text(header.replace(original, name, 1))
    items = [
        Item("a", "a", "ann", ("AFIB",)),
        Item("b", "b", "bob", ("SR",)),
        Item("c", "c", "cid", ("SR",)),
        Item("a2", "a2", "a2", ("SR",)),
        Item("b2", "b2", "bob", ("SR",)),
        Item("a3", "a3", "cid", ("AFIB",)),
    ]
    library, reasons = run(folder, tmp_path / "out", items)
    assert reasons == {}
    np.testing.assert_array_equal(library.patients, [0, 1, 0, 0, 1, 0])
    assert library.notes == ("", "", "", *(f"the same signal as {name}" for name in "aba"))
    assert library.vocabulary == ("AFIB", "SR")
    np.testing.assert_array_equal(library.labels[:, 0], [1, 0, 0, 0, 0, 1])


def test_pieces_are_records_of_one_patient(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    write(folder, "long", seconds=7)
    write(folder, "short", seconds=1)
    write(
        folder,
        "gap",
        seconds=4,
        value=lambda x: np.where(np.arange(400)[:, None] < 50, -32768, x * 900).astype(int),
    )
    items = list_folder(folder, "header")
    target = TARGET._replace(cut=True)
    with Writer(tmp_path / "out") as writer:
        source = Source("wfdb", folder, items, read, target)
        counts, copies, named = import_records(writer, source, target)
        writer.finish(vocabulary=["AFIB"], hz=100, leads=TARGET.leads)
    found = library.open_library(tmp_path / "out")
    # Pieces share a patient though no file names one.
    assert (counts, copies, named) == ({"AFIB": 5}, 0, False)
    assert found.ids == (
        "gap from 2 s", "long from 0 s", "long from 2 s", "long from 4 s", "short from 0 s"
    )  # fmt: skip
    np.testing.assert_array_equal(found.patients, [0, 1, 1, 1, 2])
    expected = wfdb.rdrecord(str(folder / "long")).p_signal * 1000
    np.testing.assert_array_equal(np.concatenate(found.signals[1:4]), expected[:600].round())
    assert "gap,from 0 s: 0.5 s of samples" in (tmp_path / "out" / "quarantine.csv").read_text()
    assert target.describe()[1].startswith("cut into pieces of 2 s, recordings shorter than one")


def test_equivalent_codes_are_merged_when_asked(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    codes = (("164889003", "AF"), ("AFIB", "SR"), ("my own",))
    for number in range(3):
        write(folder, f"r{number}")
    items = [Item(f"r{n}", f"r{n}", f"r{n}", codes[n]) for n in range(3)]
    kept, _ = run(folder, tmp_path / "kept", items)
    assert kept.vocabulary == ("164889003", "AF", "AFIB", "SR", "my own")
    merged, _ = run(folder, tmp_path / "merged", items, merge=True)
    assert merged.vocabulary == ("AFIB", "SR", "my own")
    np.testing.assert_array_equal(merged.labels, [[1, 0, 0], [1, 1, 0], [0, 0, 1]])


def test_survey_counts_on_limb_leads_that_can_be_computed(tmp_path):
    eight = ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6")
    write(tmp_path, "a", leads=eight)
    assert survey(tmp_path, list_folder(tmp_path, "header"), form).leads == STANDARD_LEADS
    write(tmp_path, "a", leads=("I", "V1", "V2", "V3", "V4", "V5", "V6"))
    assert survey(tmp_path, list_folder(tmp_path, "header"), form).leads[:2] == ("I", "V1")
