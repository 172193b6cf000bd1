"""Reading WFDB records: equal to wfdb where the file is whole, refused where it is not."""

import contextlib
from pathlib import Path

import hypothesis
import numpy as np
import pytest
import scipy.io
import wfdb
from hypothesis import strategies as st

from metaecg.data.readers.raw import RecordError
from metaecg.data.readers.wfdb import read_signal
from metaecg.data.readers.wfdb_header import read_header

LEADS = ["I", "II", "V1"]


def write(folder, name="r", format="16", **options):
    """Writes a record of 3 leads, 2 s at 250 Hz, with wfdb; returns its header's path."""
    signal = np.cumsum(np.random.default_rng(0).normal(0, 0.005, (500, 3)), axis=0)
    fields = {"p_signal": np.clip(signal, -0.3, 0.3), "fmt": [format] * 3, "units": ["mV"] * 3}
    if format in ("80", "212"):
        fields |= {"adc_gain": [200.0] * 3, "baseline": [0] * 3}
    wfdb.wrsamp(name, fs=250, sig_name=LEADS, write_dir=str(folder), **(fields | options))
    return Path(folder, f"{name}.hea")


def write_mat(folder, digital, name="A0001"):
    """Writes a record as the PhysioNet/CinC challenges do: MATLAB v4, the header in front of it."""
    scipy.io.savemat(Path(folder, f"{name}.mat"), {"val": digital.T}, format="4")
    lines = [f"{name} {digital.shape[1]} 500 {len(digital)} 12-May-2020 12:33:59"]
    for lead, column in zip(LEADS, digital.T):
        total = int(column.sum(dtype=np.int16))
        lines.append(f"{name}.mat 16+24 1000/mV 16 0 {column[0]} {total} 0 {lead}")
    lines += ["#Age: 74", "#Sex: Male", "#Dx: 426783006,164889003,426783006", "#Rx: Unknown"]
    path = Path(folder, f"{name}.hea")
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize("format", ["16", "24", "32", "80", "212", "508"])
def test_equals_wfdb(tmp_path, format):
    path = write(tmp_path, format=format)
    header = read_header(path)
    assert header.hz == 250
    assert header.frames == 500
    assert [channel.name for channel in header.channels] == LEADS
    expected = wfdb.rdrecord(str(path.with_suffix(""))).p_signal
    np.testing.assert_array_equal(read_signal(path, header), expected)


def test_equals_wfdb_on_mat_files_with_missing_samples(tmp_path):
    digital = np.random.default_rng(0).integers(-900, 900, (100, 3)).astype(np.int16)
    digital[7, 1] = -32768
    path = write_mat(tmp_path, digital)
    header = read_header(path)
    assert header.codes == ("426783006", "164889003")
    signal = read_signal(path, header)
    assert np.isnan(signal[7, 1])
    assert np.isnan(signal).sum() == 1
    np.testing.assert_array_equal(signal, wfdb.rdrecord(str(path.with_suffix(""))).p_signal)


def test_two_files_and_several_samples_a_frame(tmp_path):
    np.arange(20, dtype="<i2").tofile(tmp_path / "a.dat")
    np.arange(10, dtype="<i2").tofile(tmp_path / "b.dat")
    path = tmp_path / "r.hea"
    path.write_text("r 3 100 10\na.dat 16\na.dat 16\nb.dat 16 200/mV 16 0 0 45 0 II\n")
    expected = np.stack([np.arange(0, 20, 2), np.arange(1, 20, 2), np.arange(10)], axis=1) / 200
    np.testing.assert_array_equal(read_signal(path, read_header(path)), expected)
    digital = [np.arange(20), np.arange(10)]
    record = wfdb.Record(
        record_name="f", n_sig=2, fs=100, samps_per_frame=[2, 1], e_d_signal=digital,
        fmt=["16", "16"], adc_gain=[200.0, 200.0], baseline=[0, 0], units=["mV", "mV"],
        sig_name=["I", "II"], sig_len=10, file_name=["f.dat", "f.dat"],
    )  # fmt: skip
    record.set_d_features(do_adc=False, expanded=True)
    record.set_defaults()
    record.wrsamp(expanded=True, write_dir=str(tmp_path))
    path = tmp_path / "f.hea"
    signal = read_signal(path, read_header(path))
    assert read_header(path).hz == 200
    np.testing.assert_allclose(signal[:, 0], np.arange(20) / 200)
    np.testing.assert_allclose(signal[:, 1], np.arange(20) / 400, atol=0.01)


def test_header_fields_and_their_defaults(tmp_path):
    path = tmp_path / "r.hea"
    path.write_text(
        "# a comment first\n"
        "r 4 360.5/72000(10) 650000 0:0:0\n"
        "r.dat 212x2:3+512 -200.5(-7)/uV 11 1024 995 -22131 0 MLII at rest\n"
        "r.dat 16 1e3/mV 16 5\n"
        "r.dat 16\n"
        "r.dat 16 0 16 0 0 65535 0\n"
        "# Dx: 1, 2,Unknown\n"
    )
    header = read_header(path)
    assert (header.frame_hz, header.frames, header.codes) == (360.5, 650000, ("1", "2"))
    assert header.channels == (
        ("r.dat", "212", 2, 3, 512, -200.5, -7, "uV", -22131, "MLII at rest", True),
        ("r.dat", "16", 1, 0, 0, 1000.0, 5, "mV", None, "", True),
        ("r.dat", "16", 1, 0, 0, 200.0, 0, "mV", None, "", False),
        ("r.dat", "16", 1, 0, 0, 200.0, 0, "mV", 65535, "", False),
    )
    path.write_text("r 1\nr.dat 16\n")
    assert read_header(path)[:2] == (250.0, 0)


def test_length_is_that_of_the_file_where_the_header_has_none(tmp_path):
    path = write(tmp_path)
    expected = read_signal(path, read_header(path))
    path.write_text(path.read_text().replace("r 3 250 500", "r 3 250"))
    np.testing.assert_array_equal(read_signal(path, read_header(path)), expected)


@pytest.mark.parametrize("format", ["16", "24", "80", "212", "508"])
def test_truncated_and_flipped_files_are_refused(tmp_path, format):
    path = write(tmp_path, format=format)
    header = read_header(path)
    data = path.with_suffix(".dat")
    content = data.read_bytes()
    data.write_bytes(content[: len(content) * 2 // 3])
    with pytest.raises(RecordError, match=r"truncated|wfdb cannot read it"):
        read_signal(path, header)
    data.write_bytes(content[:300] + bytes([content[300] ^ 1]) + content[301:])
    with pytest.raises(RecordError, match=r"checksum|wfdb cannot read it"):
        read_signal(path, header)
    data.unlink()
    with pytest.raises(RecordError, match=r"r\.dat: missing"):
        read_signal(path, header)


def test_checksum_message_names_both_numbers(tmp_path):
    path = write_mat(tmp_path, np.ones((10, 3), np.int16))
    path.write_text(path.read_text().replace(" 1 10 0 II", " 1 -3 0 II"))
    with pytest.raises(RecordError, match="checksum of II is 10, the header has 65533"):
        read_signal(path, read_header(path))


@pytest.mark.parametrize("target", ["/etc/passwd", "../r.dat", "..", "a\\b.dat", "s3://b/r.dat"])
def test_headers_that_point_outside_their_folder_are_refused(tmp_path, target):
    path = write(tmp_path)
    path.write_text(path.read_text().replace("r.dat", target))
    with pytest.raises(RecordError, match="outside its folder"):
        read_header(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no WFDB record line"),
        ("# only\n# comments", "no WFDB record line"),
        ("r/3 2 100 10\na 5\nb 5\nc 5", "several segments"),
        ("r 2 100 10\nr.dat 16", "1 signal lines for 2 signals"),
        ("r 0 100 10", "0 signals"),
        ("r 1 0 10\nr.dat 16", "rate of 0 Hz"),
        ("r 1 1e300 10\nr.dat 16", "rate of 1e"),
        ("r 1 100 10\nr.dat sixteen", "signal line 1: no signal of WFDB"),
        ("r 1 100 " + "9" * 5000 + "\nr.dat 16", "no WFDB record line"),
    ],
)
def test_malformed_headers_are_refused(tmp_path, text, message):
    (tmp_path / "r.hea").write_text(text)
    with pytest.raises(RecordError, match=message):
        read_header(tmp_path / "r.hea")


def test_missing_header_is_refused(tmp_path):
    with pytest.raises(RecordError, match=r"r\.hea: missing"):
        read_header(tmp_path / "r.hea")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("records")
    write(folder)
    return folder


@hypothesis.settings(max_examples=150, deadline=None)
@hypothesis.given(st.data())
def test_any_garbled_header_is_read_or_refused(folder, data):
    content = bytearray((folder / "r.hea").read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(content) - 1))
        content[place : place + data.draw(st.integers(0, 2))] = data.draw(
            st.sampled_from(
                [b"9", b" ", b"\n", b"-", b"/", b"e99", b"\0", b"\xff", b"+", b"(", b"x"]
            )
        )
    path = folder / "garbled.hea"
    path.write_bytes(content)
    with contextlib.suppress(RecordError):
        header = read_header(path)
        assert read_signal(path, header).shape[1] == len(header.channels)
