"""What a file does not say is asked for or noted; what it says in an unusual way is understood."""

import tracemalloc

import hypothesis
import numpy as np
import pytest
import wfdb
from hypothesis import strategies as st
from recording_files import (
    HZ,
    LEADS,
    MV,
    recorded,
    said,
    signal,
    write_dicom,
    write_edf,
    write_wfdb,
)

from metaecg.data.readers.lead_names import is_lead, lead_name
from metaecg.data.readers.raw import RecordError
from metaecg.data.readers.recognise import find
from metaecg.data.readers.recordings import adapt, read
from metaecg.data.readers.wfdb import read_signal
from metaecg.data.readers.wfdb_header import read_header, remarks
from metaecg.data.record_form import Target, transform
from metaecg.data.signal import SignalError, resample

GIVEN = {"hz": HZ, "units": "mV"}


@pytest.mark.parametrize(
    ("name", "usual"),
    [
        ("-aVR", "-aVR"), ("−AVR", "-aVR"), ("ECG -aVR", "-aVR"), ("aVR (inverted)", "-aVR"),
        ("MDC_ECG_LEAD_AVRneg", "-aVR"), ("2:65", "-aVR"), ("--II", "II"), ("ECG-II", "II"),
        ("MDC_ECG_LEAD_AVF", "aVF"), ("MDC_ECG_LEAD_V3", "V3"), ("5.6.3-9-61", "III"),
        ("ECG Lead I", "I"), ("Lead I (Einthoven)", "I"), ("aVL, augmented voltage, left", "aVL"),
    ],
)  # fmt: skip
def test_names_of_leads(name, usual):
    assert lead_name(name) == usual
    assert is_lead(name)


@pytest.mark.parametrize(
    "name", ["ECG1", "ECG2", "EKG1", "ECG 3", "1", "2", "Lead 1", "Lead 3", "Channel 2", "ch1",
             "ECG", "EKG", "", "V3 (R)", "Resp", "I-II", "signal 0"]
)  # fmt: skip
def test_names_that_are_no_lead(name):
    assert not is_lead(name)


@hypothesis.given(
    st.text()
    | st.lists(
        st.sampled_from(
            ["lead", "ECG", "ekg", "-", "−", " ", "_", "MDC_ECG_LEAD_", "I", "v1", "aVR", "1",
             "2:65", "(inverted)", "neg", "(x)", "ML", "ß"]
        ),
        max_size=6,
    ).map("".join)
)  # fmt: skip
def test_the_usual_name_of_a_usual_name_is_itself(name):
    assert lead_name(lead_name(name)) == lead_name(name)


def test_inverted_leads_are_turned(tmp_path):
    expected = MV * [1, -1, 1]
    path = write_wfdb(tmp_path, MV, leads=("II", "-aVR", "V1"))
    recording = read(path)
    assert recording.leads == ("II", "aVR", "V1")
    np.testing.assert_allclose(recording.signal, expected)
    assert said(recording.notes) == ("inverted in the file, turned upright: -aVR",)
    codes = (("2:2", "MDC"), ("2:65", "MDC"), ("2:3", "MDC"))
    np.testing.assert_allclose(read(write_dicom(tmp_path / "r.dcm", MV, codes)).signal, expected)
    both = read(write_wfdb(tmp_path, MV, leads=("aVR", "-aVR", "V1")))
    assert both.leads == ("aVR", "-aVR", "V1")


def test_names_that_are_no_lead_can_be_given(tmp_path):
    path = write_edf(tmp_path / "r.edf", MV[:, :1], labels=("ECG",))
    assert read(path).leads == ("ECG",)
    recording = read(path, leads=["I"])
    assert recording.leads == ("I",)
    assert said(recording.notes) == ("leads I as given; the file says ECG",)
    numbered = write_wfdb(tmp_path, leads=("ECG1", "ECG2", "ECG3"))
    assert read(numbered).leads == ("ECG1", "ECG2", "ECG3")
    with pytest.raises(RecordError, match="has leads ECG1 ECG2 ECG3, the model reads I II III"):
        adapt(read(numbered), hz=HZ, leads=("I", "II", "III"), samples=1000)
    assert read(numbered, leads=LEADS).leads == LEADS
    with pytest.raises(RecordError, match="--leads names 2 leads, the file has 3: ECG1 ECG2 ECG3"):
        read(numbered, leads=("I", "II"))


def test_units_that_an_edf_file_lacks_are_asked_for(tmp_path):
    path = write_edf(tmp_path / "r.edf", units="")
    with pytest.raises(RecordError, match=r"the file does not say; give --units"):
        read(path)
    np.testing.assert_allclose(read(path, units="mV").signal, MV, atol=10 / 65535)


def test_two_channels_of_one_name_and_two_rates(tmp_path):
    path = write_edf(tmp_path / "r.edf", MV[:, :2], labels=("ECG", "ECG"), rates=[250, 125])
    assert read(path, leads=("I", "II")).leads == ("I", "II")


def test_format_61_has_the_high_byte_first(tmp_path):
    digital = np.rint(MV * 200).astype(int)
    digital.astype(">i2").tofile(tmp_path / "r.dat")
    lines = [
        f"r.dat 61 200/mV 12 0 {x[0]} {x.sum() % 65536} 0 {n}" for x, n in zip(digital.T, LEADS)
    ]
    (tmp_path / "r.hea").write_text("\n".join(["r 3 250 2000", *lines, ""]))
    recording = read(tmp_path / "r.hea")
    assert (recording.hz, recording.leads, recording.notes) == (250, LEADS, ())
    np.testing.assert_allclose(recording.signal, digital / 200)
    np.testing.assert_allclose(read(tmp_path / "r.hea", seconds=2).signal, digital[:500] / 200)


@pytest.mark.parametrize("format", ["16", "61", "212"])
def test_several_samples_a_frame_are_samples(tmp_path, format):
    digital = np.rint(MV[:, 0] * 200).astype(int)
    path = tmp_path / "r.hea"
    if format == "212":
        pairs = digital.reshape(-1, 2) & 0xFFF
        packed = [pairs[:, 0] & 0xFF, pairs[:, 0] >> 8 | pairs[:, 1] >> 8 << 4, pairs[:, 1] & 0xFF]
        np.stack(packed, axis=1).astype("u1").tofile(tmp_path / "r.dat")
    else:
        digital.astype({"16": "<i2", "61": ">i2"}[format]).tofile(tmp_path / "r.dat")
    path.write_text(f"r 1 62.5 500\nr.dat {format}x4 200/mV 12 0 0 {digital.sum() % 65536} 0 II\n")
    recording = read(path)
    assert recording.hz == 250
    np.testing.assert_allclose(recording.signal[:, 0], digital / 200)


def test_a_skew_is_aligned_as_wfdb_does(tmp_path):
    path = write_wfdb(tmp_path)
    path.write_text(path.read_text().replace("r.dat 16", "r.dat 16:7", 1))
    expected = wfdb.rdrecord(str(tmp_path / "r")).p_signal
    recording = read(path)
    np.testing.assert_array_equal(recording.signal, expected)
    assert np.isnan(recording.signal[-7:, 0]).all()
    assert "channels with a skew aligned" in said(recording.notes)


def test_what_a_wfdb_header_leaves_out_is_noted_or_given(tmp_path):
    path = write_wfdb(tmp_path, MV, gain=200.0)
    text = path.read_text()
    path.write_text(text.replace("r 3 250.0", "r 3").replace("r 3 250", "r 3"))
    path.write_text("\n".join(" ".join(line.split()[:2]) if ".dat" in line else line.split(" 2")[0]
                              for line in path.read_text().splitlines()[:4]))  # fmt: skip
    recording = read(path, leads=LEADS)
    np.testing.assert_allclose(recording.signal, np.rint(MV * 200) / 200)
    assert said(recording.notes)[:2] == (
        "! no gain in the header for ? ? ?: 200 units per mV are assumed",
        "no checksum",
    )
    assert "! no rate in the file: 250 Hz is assumed" in said(recording.notes)
    given = read(path, leads=LEADS, hz=500)
    assert given.hz == 500
    assert "as given, not in the file: 500 Hz, leads I II V1" in said(given.notes)


def test_a_gain_of_zero_is_none(tmp_path):
    path = write_wfdb(tmp_path, MV, gain=200.0)
    head, *lines = path.read_text().splitlines()
    cells = [line.split() for line in lines[:3]]
    assert all(cell[2].startswith("200") for cell in cells)
    path.write_text("\n".join([head, *(" ".join([*c[:2], "0/mV", *c[3:]]) for c in cells)]) + "\n")
    recording = read(path)
    np.testing.assert_allclose(recording.signal, np.rint(MV * 200) / 200)
    assert "! no gain in the header for I II V1: 200 units per mV are assumed" in said(
        recording.notes
    )


def test_checksums_of_zero_everywhere_mean_none(tmp_path):
    path = write_wfdb(tmp_path)
    lines = path.read_text().splitlines()
    zeroed = [" ".join([*line.split()[:6], "0", *line.split()[7:]]) for line in lines[1:4]]
    path.write_text("\n".join([lines[0], *zeroed]) + "\n")
    header = read_header(path)
    assert said(remarks(header)) == ("no checksum",)
    np.testing.assert_allclose(read_signal(path, header), MV)
    one = [lines[1], *zeroed[1:]]
    path.write_text("\n".join([lines[0], *one]) + "\n")
    with pytest.raises(RecordError, match="checksum of II"):
        read(path)


def lines_of(mv, cell="{:.3f}"):
    return [[("" if np.isnan(v) else cell.format(v)) for v in row] for row in mv]


def test_empty_lines_of_a_table_are_missing_samples(tmp_path):
    mv = MV.copy()
    mv[300:500] = np.nan
    path = tmp_path / "r.csv"
    path.write_text("\n".join([",".join(LEADS), *(",".join(row) for row in lines_of(mv))]))
    recording = read(path, **GIVEN)
    np.testing.assert_array_equal(recording.signal, mv)
    bare = [",".join(row) for row in lines_of(MV)]
    path.write_text("\n".join([",".join(LEADS), *bare[:300], "", *bare[300:]]))
    with pytest.raises(RecordError, match="an empty line after 300 lines of numbers: is a sample"):
        read(path, **GIVEN)


@pytest.mark.parametrize(("name", "values"), [("time (s)", "{t:.3f}"), ("sample", "{i}")])
def test_lines_that_are_not_there_are_missing_samples(tmp_path, name, values):
    rows = [[values.format(t=i / HZ, i=i), *row] for i, row in enumerate(lines_of(MV))]
    text = [",".join([name, *LEADS]), *(",".join(row) for row in rows[:300] + rows[301:])]
    (tmp_path / "r.csv").write_text("\n".join(text))
    recording = read(tmp_path / "r.csv", hz=None if "time" in name else HZ, units="mV")
    assert recording.hz == HZ
    assert np.isnan(recording.signal[300]).all()
    np.testing.assert_array_equal(np.delete(recording.signal, 300, 0), np.delete(MV, 300, 0))


@pytest.mark.parametrize("start", ["0,1,2", "1,2,3", "0.0,1.0,2.0", ",0,1,2", "index,0,1,2"])
def test_a_line_of_numbers_of_columns_is_no_sample(tmp_path, start):
    rows = lines_of(MV)
    if start.count(",") == 3:
        rows = [[str(i), *row] for i, row in enumerate(rows)]
    (tmp_path / "r.csv").write_text("\n".join([start, *(",".join(row) for row in rows)]))
    with pytest.raises(RecordError, match="give --leads"):
        read(tmp_path / "r.csv", **GIVEN)
    np.testing.assert_array_equal(read(tmp_path / "r.csv", **GIVEN, leads=LEADS).signal, MV)


def test_names_that_number_columns_as_r_does_are_no_chest_leads(tmp_path):
    """R calls the columns of a matrix V1, V2, …, whatever they hold."""
    mv = np.concatenate([MV, MV[:, :1], MV, MV[:, :1]], axis=1)
    path = tmp_path / "r.csv"
    for count in (8, 6):
        names = [f"V{i + 1}" for i in range(count)]
        rows = lines_of(mv[:, :count])
        path.write_text("\n".join([",".join(names), *(",".join(row) for row in rows)]))
        if count == 8:
            with pytest.raises(RecordError, match="give --leads"):
                read(path, **GIVEN)
            leads = ["I", "II", *names[:6]]
            assert read(path, **GIVEN, leads=leads).leads == tuple(leads)
        else:
            recording = read(path, **GIVEN)
            assert recording.leads == tuple(names)
            assert "R calls columns without a name V1, V2, …" in str(said(recording.notes))


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        (
            "# OpenSignals Text File Format\n# EndOfHeader\n" + "0\t512\t498\n" * 20,
            "an OpenSignals file holds raw counts; convert them to mV",
        ),
        ("".join(f"0,{10 + n % 80}\n" for n in range(500)), "commas may be decimal commas"),
    ],
    ids=["OpenSignals", "one column with decimal commas"],
)
def test_text_that_only_its_owner_can_turn_into_millivolts_is_refused(tmp_path, text, remedy):
    path = tmp_path / "a.txt"
    path.write_text(text)
    with pytest.raises(RecordError, match=remedy):
        read(path, hz=100, units="mV", leads=("I",))


@pytest.mark.parametrize("first", ["sep=;\n", '"sep=;"\r\n'])
@pytest.mark.parametrize("columns", [1, 3])
def test_excels_line_of_the_separator_is_no_line_of_the_table(tmp_path, first, columns):
    """With decimal commas, as Excel writes where it separates by semicolons."""
    end = first.strip('sep=;"')
    mv = MV[:, :columns]
    rows = [";".join(row).replace(".", ",") for row in lines_of(mv)]
    text = first + end.join([";".join(LEADS[:columns]), *rows, ""])
    (tmp_path / "r.csv").write_text(text, newline="")
    recording = read(tmp_path / "r.csv", **GIVEN)
    assert recording.leads == LEADS[:columns]
    assert said(recording.notes) == ("as given, not in the file: 250 Hz, mV",)
    np.testing.assert_array_equal(recording.signal, mv)


@pytest.mark.parametrize("heading", ["I\n", "I (mV)\n", ""])
def test_one_column_of_decimal_commas_is_one_lead(tmp_path, heading):
    text = heading + "\n".join(f"{value:.3f}".replace(".", ",") for value in MV[:, 0])
    (tmp_path / "r.csv").write_text(text)
    given = GIVEN if heading else GIVEN | {"leads": ["I"]}
    recording = read(tmp_path / "r.csv", **given)
    assert recording.leads == ("I",)
    np.testing.assert_array_equal(recording.signal[:, 0], MV[:, 0])


def test_the_text_of_a_smart_watch(tmp_path):
    """It says rate, lead and unit in lines of their own, and who it is, which is read nowhere."""
    head = ["Name,Wilhelmina Mustermann", "Date of Birth,3 Feb 1931",
            "Recorded Date,2024-02-03 10:11:12 +0100", "Classification,Sinus Rhythm", "Symptoms,",
            "Software Version,1.90", 'Device,"Watch6,1"', "Sample Rate,512 hertz", "", "",
            "Lead,Lead I", "Unit,µV", ""]  # fmt: skip
    (tmp_path / "ecg.csv").write_text("\n".join([*head, *(f"{1000 * v:.3f}" for v in MV[:, 0])]))
    recording = read(tmp_path / "ecg.csv")
    assert (recording.hz, recording.leads) == (512, ("I",))
    np.testing.assert_allclose(recording.signal[:, 0], MV[:, 0], atol=1e-12)
    assert said(recording.notes) == ("7 lines before the table not read", "µV to mV")


@pytest.mark.parametrize("spell", [str, lambda at: f"{at}Z".replace("T", " "), lambda at: at[:-3]])
def test_a_column_of_dates_gives_the_rate(tmp_path, spell):
    """Over midnight at the end of a leap month; to the µs, or to the ms alone."""
    start = np.datetime64("2024-02-29T23:59:58.000000")
    at = [spell(str(start + np.timedelta64(4000 * i, "us"))) for i in range(len(MV))]
    rows = [",".join([time, *row]) for time, row in zip(at, lines_of(MV))]
    (tmp_path / "r.csv").write_text("\n".join([",".join(["timestamp", *LEADS]), *rows]))
    recording = read(tmp_path / "r.csv", units="mV")
    assert (recording.hz, recording.leads) == (250, LEADS)
    np.testing.assert_array_equal(recording.signal, MV)


def test_a_lead_without_a_number_is_named(tmp_path):
    mv = MV.copy()
    mv[:, 1] = np.nan
    rows = [",".join(row) for row in lines_of(mv)]
    (tmp_path / "r.csv").write_text("\n".join([",".join(LEADS), *rows]))
    recording = read(tmp_path / "r.csv", **GIVEN)
    assert "! 2000 missing samples (NaN) in II" in said(recording.notes)
    with pytest.raises(SignalError, match="8 s of samples of lead II are missing"):
        transform(recording.signal, HZ, ["mV"] * 3, LEADS, Target(HZ, 8.0, LEADS))


def test_a_lead_a_line_with_names_and_numbered_columns(tmp_path):
    """As pandas writes a transposed table."""
    rows = [[lead, *row] for lead, row in zip(LEADS, zip(*lines_of(MV)))]
    path, head = tmp_path / "r.csv", ["", *map(str, range(len(MV)))]
    path.write_text("\n".join(",".join(row) for row in [head, *rows]))
    recording = read(path, **GIVEN)
    assert recording.leads == LEADS
    np.testing.assert_array_equal(recording.signal, MV)
    path.write_text("\n".join(",".join(row) for row in [["9.5", *head[1:]], *rows]))
    with pytest.raises(RecordError, match="some lines begin with the name of a lead"):
        read(path, **GIVEN)


@pytest.mark.parametrize("to", [100, 250, 500])
@pytest.mark.parametrize("hz", [249.89, 62.4725, 511.3, 250.0305])
def test_odd_rates_are_resampled(hz, to):
    time = np.arange(round(10 * hz)) / hz
    resampled, _ = resample(np.sin(2 * np.pi * 5 * time)[:, None], hz, to)
    after = np.arange(len(resampled)) / to
    middle = slice(to, 9 * to)
    # 1 ms of a sine of 5 Hz is 0.031.
    assert np.abs(resampled[:, 0] - np.sin(2 * np.pi * 5 * after))[middle].max() < 0.02


def test_a_record_of_two_files_is_one_recording(tmp_path):
    write_wfdb(tmp_path, MV[:, :2], name="a", leads=LEADS[:2])
    write_wfdb(tmp_path, MV[:, 2:], name="b", leads=LEADS[2:])
    lines = [*(tmp_path / "a.hea").read_text().splitlines()[1:3],
             (tmp_path / "b.hea").read_text().splitlines()[1]]  # fmt: skip
    (tmp_path / "r.hea").write_text("\n".join(["r 3 250 2000", *lines]) + "\n")
    (tmp_path / "a.hea").unlink()
    (tmp_path / "b.hea").unlink()
    assert find(tmp_path) == [tmp_path / "r.hea"]
    np.testing.assert_allclose(read(tmp_path / "r.hea").signal, MV)


def test_a_matlab_file_without_a_header_is_read(tmp_path):
    scipy_io = pytest.importorskip("scipy.io")
    scipy_io.savemat(tmp_path / "r.mat", {"val": MV.T, "fs": HZ})
    recording = read(tmp_path / "r.mat", units="mV", leads=LEADS)
    assert recording.hz == HZ
    np.testing.assert_array_equal(recording.signal, MV)


def test_a_table_beside_a_header_is_a_table(tmp_path):
    write_wfdb(tmp_path)
    text = "\n".join([",".join(LEADS), *(",".join(row) for row in lines_of(MV[:500]))])
    (tmp_path / "r.csv").write_text(text)
    assert len(read(tmp_path / "r.csv", **GIVEN).signal) == 500


def test_capitals_of_a_card(tmp_path):
    path = write_wfdb(tmp_path)
    (tmp_path / "r.dat").rename(tmp_path / "R.DAT")
    path = path.rename(tmp_path / "R.HEA")
    np.testing.assert_allclose(read(path).signal, MV)
    np.testing.assert_allclose(read(tmp_path / "R.DAT").signal, MV)


def test_dicom_without_a_preamble_and_with_an_empty_group(tmp_path):
    def empty_first(file):
        import copy

        empty = copy.deepcopy(file.WaveformSequence[0])
        empty.NumberOfWaveformSamples, empty.WaveformData = 0, b""
        file.WaveformSequence = [empty, file.WaveformSequence[0]]

    path = write_dicom(tmp_path / "r.dcm", edit=empty_first)
    np.testing.assert_allclose(read(path).signal, MV)
    path.write_bytes(path.read_bytes()[132:])
    np.testing.assert_allclose(read(path).signal, MV)


@pytest.mark.parametrize("kind", ["MB", "AB"])
def test_companded_dicom_is_refused(tmp_path, kind):
    def compand(file):
        group = file.WaveformSequence[0]
        group.WaveformBitsAllocated, group.WaveformSampleInterpretation = 8, kind
        group.WaveformData = group.WaveformData[: len(MV) * 3]

    with pytest.raises(RecordError, match=f"samples of 8 bits as {kind}; export them as 16 bits"):
        read(write_dicom(tmp_path / "r.dcm", edit=compand))


def test_names_of_bytes_in_an_archive(tmp_path):
    np.savez(
        tmp_path / "r.npz", signal=MV, hz=HZ, leads=np.array([b"I", b"II", b"V1"]), units=b"mV"
    )
    assert read(tmp_path / "r.npz").leads == LEADS


def test_short_and_still_recordings_are_said(tmp_path):
    np.save(tmp_path / "r.npy", MV[:3, :2])
    with pytest.raises(RecordError, match="too short for an ECG"):
        read(tmp_path / "r.npy", **GIVEN, leads=("I", "II"))
    mv = MV.copy()
    mv[600:1300, 1] = 0
    np.save(tmp_path / "r.npy", mv)
    notes = said(read(tmp_path / "r.npy", **GIVEN, leads=LEADS).notes)
    assert "! without any change for II 2.8 s: are samples missing?" in notes


def test_constant_offsets_are_removed():
    plain, _ = adapt(recorded(MV, LEADS), hz=HZ, leads=LEADS, samples=2000)
    added = np.array([0.3, -40, 0.05])
    shifted, notes = adapt(recorded(MV + added, LEADS), hz=HZ, leads=LEADS, samples=2000)
    np.testing.assert_allclose(shifted, plain, atol=0.0011)
    offsets = np.median(MV, axis=0) + added
    listed = f"I {offsets[0]:.2g} mV, II {offsets[1]:.2g} mV"
    assert said(notes) == (f"constant offset removed: {listed}",)


@pytest.mark.parametrize("way", ["wfdb", "212", "csv", "npy", "edf", "dicom"])
def test_the_start_of_a_recording_is_that_of_all_of_it(tmp_path, way):
    mv = signal(3, 20_000)
    given = {}
    if way in ("wfdb", "212"):
        format = {"format": "212", "gain": 200.0} if way == "212" else {}
        path = write_wfdb(tmp_path, mv, **format)
    elif way == "csv":
        path = tmp_path / "r.csv"
        rows = [[f"{i / HZ:.3f}", *row] for i, row in enumerate(lines_of(mv))]
        names = ["time (s)", *(f"{lead} (mV)" for lead in LEADS)]
        path.write_text("\n".join(map(",".join, [names, *rows])))
    elif way == "npy":
        path, given = tmp_path / "r.npy", GIVEN | {"leads": LEADS}
        np.save(path, mv.T)
    else:
        path = {"edf": write_edf, "dicom": write_dicom}[way](tmp_path / "r", mv)
    whole = read(path, **given).signal
    part = read(path, **given, seconds=4.0)
    np.testing.assert_array_equal(part.signal, whole[:1000])
    starts = ("first 4 of 80 s", "only the first 4 s of the file were read")
    assert any(note.startswith(starts) for note in said(part.notes))


def day_of_wfdb(folder, mv, samples, format):
    path = write_wfdb(folder, mv, format=format, gain=200.0)
    head, *lines = path.read_text().splitlines()
    unchecked = [" ".join([*cells[:6], "0", *cells[7:]]) for cells in map(str.split, lines[:3])]
    path.write_text("\n".join([head.replace(str(len(mv)), str(samples)), *unchecked, ""]))
    with open(path.with_suffix(".dat"), "r+b") as file:
        file.truncate(samples * {"16": 6, "212": 9}[format] // {"16": 1, "212": 2}[format])
    return path


def day_of_npy(folder, mv, samples, turned):
    shape = (3, samples) if turned else (samples, 3)
    array = np.lib.format.open_memmap(folder / "r.npy", "w+", np.float32, shape)
    part = array.T if turned else array
    part[: len(mv)] = mv
    return folder / "r.npy"


DAYS = {  # files of 24 h that hold zeros from the 20th second on, and take no room on the disk
    "wfdb 16": (lambda *given: day_of_wfdb(*given, "16"), {}),
    "wfdb 212": (lambda *given: day_of_wfdb(*given, "212"), {}),
    "npy": (lambda *given: day_of_npy(*given, turned=False), GIVEN | {"leads": LEADS}),
    "npy, a lead a line": (
        lambda *given: day_of_npy(*given, turned=True),
        GIVEN | {"leads": LEADS},
    ),
}


@pytest.mark.parametrize("way", DAYS)
def test_the_start_of_a_day_takes_the_memory_of_the_start(tmp_path, way):
    """All of it would be 65 million samples, half a GiB of float64."""
    write, given = DAYS[way]
    mv = signal(3, 5000)
    path = write(tmp_path, mv, 24 * 3600 * 250)
    read(path, **given, seconds=1)  # what is imported at first is none of it
    tracemalloc.start()
    try:
        recording = read(path, **given, seconds=10)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert most < 32 * 2**20  # checksums are of the whole file, and summed block by block
    np.testing.assert_allclose(recording.signal, mv[:2500], atol=0.0026)
    assert "first 10 of 86400 s" in said(recording.notes)
