"""Reading recordings: one record through every format, what is noted, and what is refused."""

import os
import zipfile

import numpy as np
import pytest
from recording_files import (
    CSV,
    HZ,
    LEADS,
    MV,
    recorded,
    said,
    signal,
    write_csv,
    write_dicom,
    write_edf,
    write_npy,
    write_npz,
    write_wfdb,
)

from metaecg.data import record_form
from metaecg.data.readers.lead_names import STANDARD_LEADS
from metaecg.data.readers.raw import RecordError
from metaecg.data.readers.recognise import find
from metaecg.data.readers.recordings import adapt, read

WAYS = {  # how it is written, arguments of `read`, resolution in mV, notes
    "wfdb 16": (lambda d: write_wfdb(d), {}, 1e-9, ()),
    "wfdb 16 in uV": (
        lambda d: write_wfdb(d, MV * 1000, units="uV", gain=1.0), {}, 1e-9, ("uV to mV",)
    ),
    "wfdb 212": (lambda d: write_wfdb(d, format="212", gain=200.0), {}, 0.0026, ()),
    "csv": (lambda d: write_csv(d / "r.csv"), {}, 1e-9, ("250 Hz by the column 'time'",)),
    "csv of numbers": (
        lambda d: write_csv(d / "r.csv", names=(), time=False), CSV, 1e-9,
        ("as given, not in the file: 250 Hz, mV, leads I II V1",),
    ),
    "tsv in uV": (
        lambda d: write_csv(d / "r.tsv", MV * 1000, ("I", "II", "V1"), "\t", time=False),
        {"hz": HZ, "units": "uV"}, 1e-9, ("as given, not in the file: 250 Hz, uV", "uV to mV"),
    ),
    "text with blanks": (
        lambda d: write_csv(d / "r.txt", names=("I", "II", "V1"), separator="  ", time=False),
        {"hz": HZ, "units": "mV"}, 1e-9, ("as given, not in the file: 250 Hz, mV",),
    ),
    "npy": (
        lambda d: write_npy(d / "r.npy"), CSV, 1e-6,
        ("as given, not in the file: 250 Hz, mV, leads I II V1",),
    ),
    "npz": (
        lambda d: write_npz(d / "r.npz"), {}, 1e-9, ("array [3, 2000] taken as [leads, samples]",)
    ),
    "edf": (lambda d: write_edf(d / "r.edf"), {}, 10 / 65535, ()),
    "dicom": (lambda d: write_dicom(d / "r.dcm"), {}, 1e-9, ("uV to mV",)),
}  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
def test_the_same_record_in_every_format(tmp_path, way):
    write, arguments, resolution, notes = WAYS[way]
    path = write(tmp_path)
    recording = read(path, **arguments)
    np.testing.assert_allclose(recording.signal, MV, rtol=0, atol=resolution)
    assert recording[1:4] == (HZ, LEADS, str(path))
    assert said(recording.notes) == notes
    assert recording.signal.dtype == np.float64
    if not way.startswith("wfdb"):  # found by content, whatever the file is called
        other = path.rename(path.with_suffix(".txt"))
        np.testing.assert_array_equal(read(other, **arguments).signal, recording.signal)


def test_a_wfdb_record_by_its_header_its_samples_or_its_name(tmp_path):
    write_wfdb(tmp_path)
    for name in ("r.hea", "r.dat", "r"):
        np.testing.assert_allclose(read(tmp_path / name).signal, MV)


@pytest.mark.parametrize(
    ("heading", "first", "separator", "names", "hz"),
    [
        ("time (ms),AVR [mV],Lead II [mV]", "{ms}", ",", ("aVR", "II"), 250.0),
        ("sample;lead ii;v1", "{i}", ";", ("II", "V1"), None),
        ("# I\tecg V2", "", "\t", ("I", "V2"), None),
        (",I,II", "{i}", ",", ("I", "II"), None),
        (
            "'Elapsed time','MLII','V5'\n'hh:mm:ss.mmm','mV','mV'",
            "'0:{s:06.3f}'",
            ",",
            ("II", "V5"),
            250.0,
        ),
    ],
)
def test_headings_of_tables(tmp_path, heading, first, separator, names, hz):
    lines = [heading]
    for i, row in enumerate(MV[:500, :2]):
        cells = [f"{value:.3f}" for value in row]
        if separator == ";":
            cells = [cell.replace(".", ",") for cell in cells]
        start = [first.format(i=i, ms=4 * i, s=0.004 * i)] if first else []
        lines.append(separator.join([*start, *cells]))
    path = tmp_path / "r.csv"
    path.write_text("\n".join(lines))
    recording = read(path, hz=None if hz else 500.0, units="mV")
    assert recording.leads == names
    assert recording.hz == (hz or 500.0)
    np.testing.assert_array_equal(recording.signal, MV[:500, :2])


def test_empty_cells_are_missing_samples(tmp_path):
    lines = write_csv(tmp_path / "r.csv").read_text().split("\n")
    lines[8] = "0.0280,,nan,0.1"
    (tmp_path / "r.csv").write_text("\n".join(lines))
    recording = read(tmp_path / "r.csv")
    assert np.isnan(recording.signal[7]).tolist() == [True, True, False]
    assert said(recording.notes) == (
        "250 Hz by the column 'time'",
        "! 2 missing samples (NaN) in I II",
    )


def change(line, cell):
    def edit(path):
        lines = path.read_text().split("\n")
        lines[line - 1] = cell
        path.write_text("\n".join(lines))

    return edit


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (change(5, "0.0120,1,x7,1"), "line 5, column 3 (II (mV)): no number"),
        (change(5, "0.0120,1,1"), "line 5 has 3 columns, the ones before have 4"),
        (change(1, "I,II,V1"), "3 names in the first line for 4 columns"),
        (change(1, "clock,I,II,V1"), "column 1 rises in each line, as time does: name the columns"),
        (change(300, "9,1,1,1"), "the time column does not rise evenly: one rate is wanted"),
        (change(1, "t (s),I,II,V1"), "the file does not say; give --units (mV, uV, V or nV)"),
        (
            lambda path: path.write_text("I,II\n"),
            "no line of numbers in it; if it is no recording, move it",
        ),
        (lambda path: path.write_bytes(b""), "the file is empty"),
        (
            lambda path: path.write_bytes(b"I\nok\n\xe9,2\n"),
            "line 3: byte 0xe9 is not UTF-8; save it as 'CSV UTF-8'",
        ),
    ],
)
def test_tables_that_are_refused(tmp_path, edit, message):
    path = write_csv(tmp_path / "r.csv")
    edit(path)
    with pytest.raises(RecordError) as error:
        read(path)
    assert str(error.value).startswith(f"{path}: ")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_table_of_numbers_with_a_time_column_is_refused(tmp_path):
    path = write_csv(tmp_path / "r.csv", names=())
    path.write_text(path.read_text().split("\n", 1)[1])
    with pytest.raises(RecordError, match="column 1 rises in each line, as time does"):
        read(path, **CSV | {"leads": ("a", *LEADS)})


@pytest.mark.parametrize(
    ("array", "arguments", "message"),
    [
        (MV, {}, r"give --hz \(samples.*--units \(mV.*--leads \(names of the 3 leads in order"),
        (MV, {"hz": HZ, "leads": LEADS}, r"does not say; give --units \(mV, uV, V or nV\)$"),
        (MV, CSV | {"units": "mm"}, r"--units=mm is not one of mV, uV, V, nV"),
        (MV, CSV | {"hz": 2}, r"2 Hz: an ECG has 20 to 50000 samples per second"),
        (MV, CSV | {"hz": 1e6}, r"1e\+06 Hz: an ECG has"),
        (MV, CSV | {"hz": np.nan}, r"nan Hz: an ECG has"),
        (MV, CSV | {"leads": ("I",)}, r"--leads names 1 leads, the file has 3"),
        (MV * 1000, CSV, r"spans \S+ mV: looks like µV read as mV; give --units=uV$"),
        (MV / 1000, CSV, r"spans \S+ mV: looks like V read as mV; give --units=V$"),
        (MV, CSV | {"units": "uV"}, r"looks like mV read as uV; give --units=mV$"),
        (MV * 1e9, CSV, r"no ECG; are these raw counts\? convert them to mV$"),
        (MV * np.nan, CSV, r"no sample is a number$"),
        (MV * 0 + 1, CSV, r"all leads are flat$"),
        (MV[:0], CSV, r"no sample in it|mmap an empty file"),
        (MV[None], CSV, r"an array of shape \(1, 2000, 3\)"),
        (MV.astype(str), CSV, r"an array of <U\d+; numbers are wanted"),
        (MV.astype(object), CSV, r"it holds Python objects, which could run code"),
    ],
)
def test_what_is_asked_for_and_what_cannot_be_an_ecg(tmp_path, array, arguments, message):
    path = tmp_path / "r.npy"
    np.save(path, array, allow_pickle=True)
    with pytest.raises(RecordError, match=message):
        read(path, **arguments)


def test_what_the_file_says_is_believed(tmp_path):
    recording = read(write_wfdb(tmp_path), hz=500, units="uV", leads=["a"])
    assert said(recording.notes) == (
        "! --hz=500 not used: the file says 250 Hz",
        "! --units=uV not used: the file says mV",
        "! --leads not used: the file says I II V1",
    )
    path = write_wfdb(tmp_path, MV * 20, name="loud", gain=1.0)
    text = path.read_text().replace("loud.dat 16 1.0", "loud.dat 16 0.01")
    path.write_text(text)
    with pytest.raises(RecordError, match="the unit or gain in the file is likely wrong"):
        read(path)


def test_other_channels_are_left_out_and_said(tmp_path):
    path = write_wfdb(tmp_path)
    path.write_text(path.read_text().replace("/mV", "/bpm", 1))
    recording = read(path)
    assert recording.leads == ("II", "V1")
    assert said(recording.notes) == ("left out, no voltage: I (bpm)",)
    np.testing.assert_allclose(recording.signal, MV[:, 1:])
    path.write_text(path.read_text().replace("/mV", "/bpm"))
    with pytest.raises(RecordError, match="units bpm: none is mV, uV, V or nV"):
        read(path)
    night = write_edf(tmp_path / "night.edf", labels=("EEG Fpz", "ECG II", "Resp"))
    recording = read(night)
    assert recording.leads == ("II",)
    assert said(recording.notes) == ("left out, no ECG by name: EEG Fpz, Resp",)


def test_damaged_files_are_refused(tmp_path):
    good = {
        "edf": write_edf(tmp_path / "r.edf"),
        "dcm": write_dicom(tmp_path / "r.dcm"),
        "npy": write_npy(tmp_path / "r.npy"),
        "npz": write_npz(tmp_path / "r.npz"),
        "dat": write_wfdb(tmp_path, name="w").with_suffix(".dat"),
    }
    for kind, path in good.items():
        content = path.read_bytes()
        path.write_bytes(content[: len(content) // 2])
        with pytest.raises(RecordError, match=r"damaged or unusual|truncated") as error:
            read(path, **CSV)
        assert "\n" not in str(error.value), kind


def test_other_files_are_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "book.xlsx", "w") as archive:
        archive.writestr("xl/workbook.xml", "")
    np.savez(tmp_path / "two.npz", a=MV, b=MV)
    (tmp_path / "scan.pdf").write_bytes(b"%PDF-1.4 \0")
    (tmp_path / "lone.dat").write_bytes(bytes(100))
    for name, message in {
        "book.xlsx": "an Excel workbook; save the recording as CSV or NPY",
        "two.npz": "arrays a, b: call the recording 'signal'",
        "scan.pdf": "a known format; WFDB, CSV, TSV, .* are read: save it as NPY or CSV, see docs",
        "lone.dat": "its WFDB header lone.hea is missing",
        "absent.csv": "no such file",
        "": "is a folder; name a recording in it",
    }.items():
        with pytest.raises(RecordError, match=message):
            read(tmp_path / name)


def test_edf_of_several_rates_is_brought_to_the_highest(tmp_path):
    time = np.arange(2000) / HZ
    waves = np.sin(2 * np.pi * np.outer(time, [5, 7, 9]))
    waves[:1000, 1] = np.sin(2 * np.pi * 7 * np.arange(1000) / 125)
    recording = read(write_edf(tmp_path / "r.edf", waves, rates=[250, 125, 250]))
    expected = np.sin(2 * np.pi * np.outer(time, [5, 7, 9]))
    np.testing.assert_allclose(recording.signal[100:-100], expected[100:-100], atol=0.01)
    assert said(recording.notes) == ("125 Hz to 250 Hz, the rate of the fastest",)


def test_dicom_codes_padding_and_groups(tmp_path):
    codes = (("5.6.3-9-61", "SCPECG"), ("Lead aVL (x)", "99LOCAL"), ("2:8", "MDC"))
    mv = MV.copy()
    mv[5, 1] = np.nan

    def beats_first(file):
        import copy

        derived = copy.deepcopy(file.WaveformSequence[0])
        derived.WaveformOriginality = "DERIVED"
        file.WaveformSequence = [derived, file.WaveformSequence[0]]

    recording = read(write_dicom(tmp_path / "r.dcm", mv, codes, beats_first))
    assert recording.leads == ("III", "aVL", "V6")
    assert said(recording.notes) == (
        "waveform group 2 of 2",
        "uV to mV",
        "! 1 missing samples (NaN) in aVL",
    )
    np.testing.assert_allclose(recording.signal, mv)
    with pytest.raises(RecordError, match="a DICOM object without a waveform; is it an image"):
        read(write_dicom(tmp_path / "i.dcm", edit=lambda file: delattr(file, "WaveformSequence")))


@pytest.mark.parametrize(("package", "write"), [("pyedflib", write_edf), ("pydicom", write_dicom)])
def test_a_missing_package_is_named_with_its_remedy(tmp_path, monkeypatch, package, write):
    path = write(tmp_path / "r")
    monkeypatch.setitem(__import__("sys").modules, package, None)
    with pytest.raises(RecordError, match=rf'{package}: pip install -e "\.\[formats\]"'):
        read(path)


def twelve():
    """Twelve leads that keep Einthoven's law, and their names."""
    mv = signal(8)
    limbs = np.stack([mv[:, 0], mv[:, 1], mv[:, 1] - mv[:, 0], -(mv[:, 0] + mv[:, 1]) / 2,
                      mv[:, 0] - mv[:, 1] / 2, mv[:, 1] - mv[:, 0] / 2], axis=1)  # fmt: skip
    return np.concatenate([limbs, mv[:, 2:]], axis=1)


def test_leads_that_contradict_each_other_are_remarked(tmp_path):
    def notes(mv, leads):
        np.save(tmp_path / "r.npy", mv)
        return said(read(tmp_path / "r.npy", hz=HZ, units="mV", leads=leads).notes[1:])

    mv = twelve()
    assert notes(mv, STANDARD_LEADS) == ()
    swapped = list(STANDARD_LEADS)
    swapped[1], swapped[2] = "III", "II"
    assert notes(mv, swapped) == (
        "! I II III aVR aVL aVF contradict each other (III is II − I, aVR is −(I + II)/2): are the "
        "leads in the order of their names, and recorded together at one gain?",
    )
    arms = mv.copy()
    arms[:, 0] *= -1
    arms[:, [1, 2, 3, 4]] = mv[:, [2, 1, 4, 3]]
    arms[:, 4] *= 1
    assert notes(arms[:, [0, 11]], ["I", "V6"]) == (
        "! lead I runs against V6: are the arm electrodes swapped?",
    )
    mv[:, 7] = 0.1
    assert notes(mv, STANDARD_LEADS) == ("! flat: V2",)


@pytest.mark.parametrize(
    ("have", "words"),
    [
        (("I", "II"), "III aVR aVL aVF computed from I and II"),
        (("aVF", "III"), "I II aVR aVL computed from III and aVF"),
        (("aVL", "aVR"), "I II III aVF computed from aVR and aVL"),
    ],
)
def test_limb_leads_are_computed_from_two(have, words):
    mv = twelve()
    columns = [STANDARD_LEADS.index(lead) for lead in (*have, *STANDARD_LEADS[6:])]
    partial = recorded(mv[:, columns], [STANDARD_LEADS[c] for c in columns])
    adapted, notes = adapt(partial, hz=HZ, leads=STANDARD_LEADS, samples=2000)
    notes = said(notes)
    np.testing.assert_allclose(adapted, mv - np.median(mv, axis=0), atol=0.00051)
    assert notes == (words,)
    assert adapted.dtype == np.float32


def test_adapting_says_all_that_it_does():
    mv = np.concatenate([MV, MV[:, :1]], axis=1)
    mv[10, 2] = np.nan
    recording = recorded(mv, ("V6", "II", "I", "X"))
    adapted, notes = adapt(recording, hz=125.0, leads=("I", "V2", "V6"), samples=500)
    notes = said(notes)
    assert notes == (
        "not read by the model: II X",
        "first 4 of 8 s",
        "! 1 missing samples interpolated",
        "250 Hz to 125 Hz",
        "! MISSING LEADS V2: read as zero, so that the answer may be wrong",
    )
    assert adapted.shape == (500, 3)
    assert not adapted[:, 1].any()
    assert np.corrcoef(adapted[:, 2], MV[:1000:2, 0])[0, 1] > 0.99
    adapted, notes = adapt(recorded(MV, LEADS), hz=500.0, leads=("II",), samples=6000)
    notes = said(notes)
    assert notes == (
        "not read by the model: I V1",
        "250 Hz to 500 Hz",
        "! 4000 samples padded with zeros to 6000",
        "only 8 of the 12 s that the model reads",
        "! nothing above 125 Hz is in it, the model expects it",
    )
    assert not adapted[4000:].any()
    _, notes = adapt(recorded(MV, LEADS), hz=HZ, leads=("II",), samples=2000, bandpass=(0.5, 40))
    notes = said(notes)
    assert notes[-1] == "band-pass 0.5–40 Hz"


def test_what_is_in_the_form_already_comes_back_as_it_is():
    adapted, notes = adapt(recorded(MV, LEADS), hz=HZ, leads=LEADS, samples=2000)
    notes = said(notes)
    np.testing.assert_allclose(adapted, MV - np.median(MV, axis=0), atol=0.00051)
    assert notes == ()


def test_adapting_equals_what_prepare_does(tmp_path):
    path = write_wfdb(tmp_path)
    target = record_form.Target(100.0, 5.0, ("II", "I"), (0.5, 40.0))
    raw = MV, HZ, ["mV"] * 3, LEADS
    expected, _ = record_form.transform(*raw, target)
    adapted, _ = adapt(read(path), hz=100, leads=("II", "I"), samples=500, bandpass=(0.5, 40.0))
    np.testing.assert_array_equal(adapted, expected.astype(np.float32) * np.float32(0.001))


@pytest.mark.parametrize(
    ("mv", "leads", "message"),
    [
        (
            MV,
            ("a", "b", "c"),
            "r.csv: has leads a b c, the model reads I II; if a is one of these, give --leads",
        ),
        (MV, ("I", "I", "II"), "r.csv: lead I is there 2 times"),
        (np.where(np.arange(2000)[:, None] < 100, np.nan, MV), LEADS, "r.csv: 0.4 s of samples"),
        (MV * 100, LEADS, r"r.csv: amplitude of \S+ mV is beyond"),
    ],
)
def test_adapting_refuses(mv, leads, message):
    with pytest.raises(RecordError, match=message):
        adapt(recorded(mv, leads), hz=HZ, leads=("I", "II"), samples=2000)


def test_a_lead_without_samples_counts_as_missing():
    mv = MV.copy()
    mv[:, 2] = np.nan
    adapted, notes = adapt(recorded(mv, LEADS), hz=HZ, leads=LEADS, samples=2000)
    notes = said(notes)
    assert notes == (
        "lead V1 has no samples",
        "! MISSING LEADS V1: read as zero, so that the answer may be wrong",
    )
    assert not adapted[:, 2].any()


def test_find_lists_one_path_a_record(tmp_path):
    write_wfdb(tmp_path)
    (tmp_path / "r.atr").write_bytes(bytes(4))
    write_csv(tmp_path / "a.csv")
    write_npy(tmp_path / "b.npy")
    (tmp_path / "RECORDS").write_text("r\n")
    write_csv(tmp_path / "records_1.csv")
    (tmp_path / ".hidden").write_text("")
    (tmp_path / "deeper").mkdir()
    assert [path.name for path in find(tmp_path)] == ["a.csv", "b.npy", "r.hea", "records_1.csv"]
    (tmp_path / "notes.docx").write_bytes(b"\xd0\xcf")
    with pytest.raises(
        RecordError, match=r"cannot use notes.docx \(not a recording.*; move it away"
    ):
        find(tmp_path)
    (tmp_path / "lone.dat").write_bytes(b"\xd0\xcf")
    with pytest.raises(
        RecordError, match=r"lone.dat \(its WFDB header lone.hea is missing\).*move them"
    ):
        find(tmp_path)


def test_find_refuses_folders_without_recordings(tmp_path):
    with pytest.raises(RecordError, match="no recording in it"):
        find(tmp_path)
    (tmp_path / "AFIB").mkdir()
    with pytest.raises(RecordError, match="name one of its sub-folders, such as AFIB"):
        find(tmp_path)
    with pytest.raises(RecordError, match="no such folder"):
        find(tmp_path / "absent")


@pytest.mark.skipif(os.name == "nt", reason="file names are UTF-16 there")
def test_names_that_are_not_utf8_can_be_printed_and_written(tmp_path):
    name = os.fsdecode(b"caf\xe9.csv")
    try:
        write_csv(tmp_path / name)
    except OSError:
        pytest.skip("this file system takes UTF-8 names alone")
    recording = read(tmp_path / name)
    assert recording.source == f"{tmp_path}/caf\ufffd.csv"
    assert find(tmp_path)[0].name == name
