"""Files of ECG machines: the millivolts that were written come back, or a line says why not."""

import base64
import os
import re
import socket
import sys
import tracemalloc
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest

from experiments.stress.machine_files import LEADS, WRITERS, aecg, counts, ishne, muse, philips, scp
from metaecg.data.readers import recordings
from metaecg.data.readers.raw import RecordError

pytest.importorskip("ecgdatakit", reason="the vendors extra is not installed")

TWELVE = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")


@pytest.mark.parametrize("name", WRITERS)
def test_what_was_written_is_read(tmp_path, name):
    write, microvolts = WRITERS[name]
    written = counts()
    (tmp_path / name).write_bytes(write(written))
    found = recordings.read(tmp_path / name)
    assert (found.hz, found.leads) == (500.0, LEADS)
    np.testing.assert_allclose(found.signal, written * microvolts / 1000, rtol=1e-12, atol=1e-12)
    # By content, not by name.
    (tmp_path / "unnamed").write_bytes(write(written))
    np.testing.assert_array_equal(recordings.read(tmp_path / "unnamed").signal, found.signal)
    start = recordings.read(tmp_path / name, seconds=1)
    np.testing.assert_array_equal(start.signal, found.signal[:500])


def test_eight_leads_become_twelve_with_a_note(tmp_path):
    written = counts(5000)
    (tmp_path / "a.xml").write_bytes(muse(written))
    found = recordings.read(tmp_path / "a.xml")
    signal, notes = recordings.adapt(found, hz=500, leads=TWELVE, samples=5000)
    assert "III aVR aVL aVF computed from I and II" in [note.text for note in notes]
    first, second = (x - np.median(x) for x in found.signal.T[:2])
    third = found.signal[:, 1] - found.signal[:, 0]
    np.testing.assert_allclose(signal[:, 0], first, atol=1e-3)
    np.testing.assert_allclose(signal[:, 1], second, atol=1e-3)
    np.testing.assert_allclose(signal[:, 2], third - np.median(third), atol=1e-3)


def test_a_calibration_pulse_is_cut_off_and_a_beat_is_not(tmp_path):
    (tmp_path / "a.xml").write_bytes(philips(counts(), pulse=True))
    with_pulse = recordings.read(tmp_path / "a.xml")
    assert [n.text for n in with_pulse.notes if "calibration" in n.text]
    (tmp_path / "a.xml").write_bytes(philips(counts(), pulse=False))
    without = recordings.read(tmp_path / "a.xml")
    assert not [n.text for n in without.notes if "calibration" in n.text]
    np.testing.assert_array_equal(with_pulse.signal, without.signal)


def test_what_a_file_does_not_say_is_asked_for(tmp_path):
    (tmp_path / "a.xml").write_bytes(muse(counts(), unit="FURLONGS"))
    with pytest.raises(RecordError, match="units"):
        recordings.read(tmp_path / "a.xml")
    found = recordings.read(tmp_path / "a.xml", units="uV")
    np.testing.assert_allclose(found.signal, counts() / 1000)


@pytest.mark.parametrize("scale", [b'<scale unit="uV"/>', b'<scale value="1e999" unit="uV"/>'])
@pytest.mark.parametrize("resolution", [1, 2.5])
def test_a_scale_that_is_not_there_is_not_taken_for_one(tmp_path, scale, resolution):
    content = aecg(counts(), resolution=resolution)
    written = b'<scale value="%s" unit="uV"/>' % str(resolution).encode()
    assert written in content
    (tmp_path / "a.xml").write_bytes(content.replace(written, scale))
    with pytest.raises(RecordError, match="the file does not say; give --units"):
        recordings.read(tmp_path / "a.xml")


def test_a_lead_fault_is_a_missing_sample(tmp_path):
    written = counts()
    written[7, 2] = -32768
    (tmp_path / "a.ecg").write_bytes(ishne(written))
    found = recordings.read(tmp_path / "a.ecg").signal
    assert np.argwhere(np.isnan(found)).tolist() == [[7, 2]]


@pytest.mark.parametrize("way", ["aligned", "a block before", "an odd end"])
def test_the_start_of_a_day_of_ishne_takes_the_memory_of_the_start(tmp_path, way):
    """All of it would be 52 million samples; it is more than a file may have that is read whole."""
    written = counts(5000, 3)
    content = ishne(written, codes=(5, 6, 11))
    if way == "a block before":
        more = b"a comment" * 3
        content = content[:10] + len(more).to_bytes(4, "little") + content[14:]
        content = content[:22] + (522 + len(more)).to_bytes(4, "little") + content[26:]
        content = content[:522] + more + content[522:]
    path = tmp_path / "day.ecg"
    path.write_bytes(content)
    with open(path, "r+b") as file:
        file.truncate(len(content) - 30_000 + 24 * 3600 * 500 * 6 + (way == "an odd end"))
    recordings.read(path, seconds=1)
    tracemalloc.start()
    try:
        found = recordings.read(path, seconds=10)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert most < 2**21
    np.testing.assert_allclose(found.signal, written * 0.005)
    assert found.leads == LEADS[:3]
    assert [note.text for note in found.notes] == ["uV to mV", "first 10 of 86400 s"]
    with open(path, "r+b") as file:
        file.truncate((256 << 20) + 1)
    with pytest.raises(RecordError, match="ISHNE file of more than 256 MiB"):
        recordings.read(path)


ENCODING = re.compile(rb"encoding=\"[^\"]+\"")
KINDS = {
    "GE MUSE XML": (muse(counts(), doctype=False), b"<WaveFormData>"),
    "Philips XML": (philips(counts()), b'resolution="5">'),
    "HL7 aECG": (aecg(counts()), b"<digits>"),
}
"""A good file of each kind of XML, and after what its samples begin."""


def with_doctype(content, said):
    """A file with a document type definition before its root."""
    end = content.index(b"?>") + 2
    root = re.search(rb"<(\w+)", content[end:])[1]
    return content[:end] + b"<!DOCTYPE " + root + b" " + said + b">" + content[end:]


def hostile(content, samples, address):
    """What can be wrong with XML, and what is said of it."""
    bomb = b'<!ENTITY a0 "aaaaaaaaaa">' + b"".join(
        f'<!ENTITY a{n + 1} "{f"&a{n};" * 10}">'.encode() for n in range(9)
    )
    end = re.search(rb"</\w+>\s*$", content)
    assert end
    before, root = content[: end.start()], end[0]
    definition = "document type definition"
    return {
        "cut in half": (content[: len(content) // 2], "damaged"),
        "cut at its end": (before, "damaged"),
        "an unknown encoding": (ENCODING.sub(b'encoding="KLINGON"', content), "encoding"),
        "not in its encoding": (
            ENCODING.sub(b'encoding="UTF-8"', before) + b"<!-- M\xfcller -->" + root,
            "damaged .*not well-formed",
        ),
        "samples that are none": (content.replace(samples, samples + b"*$*"), "damaged|digits"),
        "tags without end": (before + b"<a>" * 10**6, "nested more than 100 deep"),
        "an entity bomb": (
            with_doctype(before, b"[" + bomb + b"]") + b"<a>&a9;</a>" + root,
            definition,
        ),
        "a file of the machine": (
            with_doctype(before, b'[<!ENTITY b SYSTEM "file:///etc/passwd">]') + b"&b;" + root,
            definition,
        ),
        "a definition in the network": (
            with_doctype(content, b'SYSTEM "' + address + b'a.dtd"'),
            definition,
        ),
        "a public definition": (
            with_doctype(content, b'PUBLIC "-//A//B" "' + address + b'a.dtd"'),
            definition,
        ),
        "an entity in the network": (
            with_doctype(content, b'[<!ENTITY % c SYSTEM "' + address + b'c.ent"> %c;]'),
            definition,
        ),
    }


@pytest.mark.parametrize("kind", KINDS)
def test_hostile_xml_of_every_kind_ends_in_one_line_and_nothing_is_fetched(tmp_path, kind):
    content, samples = KINDS[kind]
    (tmp_path / "good.xml").write_bytes(content)
    recordings.read(tmp_path / "good.xml")
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        address = f"http://127.0.0.1:{server.getsockname()[1]}/".encode()
        for what, (wrong, message) in hostile(content, samples, address).items():
            path = tmp_path / f"{what}.xml"
            path.write_bytes(wrong)
            with pytest.raises(RecordError, match=message) as caught:
                recordings.read(path)
            assert "\n" not in str(caught.value), what
            assert str(caught.value).startswith(f"{path}: "), what
            assert len(str(caught.value)) < len(str(path)) + 300, what
        with pytest.raises(BlockingIOError):  # nobody has asked
            server.accept()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (muse(counts()).replace(b"<WaveFormData>", b"<WaveFormData>*"), "Base64"),
        (muse(counts()).replace(b"<WaveFormData>", b"<WaveFormData>AAAA"), "damaged GE MUSE"),
        (muse(counts()).replace(b"<LeadDataCRC32>", b"<LeadDataCRC32>1"), "CRC32 mismatch"),
        (muse(counts()).replace(b">Rhythm<", b">Median<"), "rhythm"),
        (philips(counts()).replace(b'"500"', b'"0"').replace(b">500<", b">0<"), "sampling rate"),
        (scp(counts())[:3000], "damaged SCP-ECG file"),
        (scp(counts())[:-4] + b"\1\1\1\1", "CRC mismatch"),
        (ishne(counts())[:100], "damaged ISHNE file"),
        (b"<?xml version='1.0'?><svg></svg>", "not of GE MUSE, Philips or HL7"),
        (b"\x89HDF\r\n\x1a\n" + bytes(100), "HDF5 .* NPY or CSV"),
    ],
    ids=lambda x: x if isinstance(x, str) else "",
)
def test_damaged_files_end_in_one_line(tmp_path, content, message):
    path = tmp_path / "a.xml"
    path.write_bytes(content)
    with pytest.raises(RecordError, match=message) as caught:
        recordings.read(path)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(f"{path}: ")


@pytest.mark.parametrize(
    "content",
    [
        muse(counts(), units_per_bit="1e307"),
        aecg(counts(), resolution="1e307"),
        aecg(counts()).replace(b"<digits>", b"<digits>1e999 "),
        philips(counts(), pulse=False).replace(b'resolution="5"', b'resolution="1e307"'),
    ],
    ids=["MUSE", "aECG", "infinite samples", "Philips"],
)
@pytest.mark.filterwarnings("error")
def test_numbers_that_overflow_are_refused_without_a_warning(tmp_path, content):
    (tmp_path / "a.xml").write_bytes(content)
    with pytest.raises(RecordError, match=r"damaged .* file: lead .* has samples above 1e\+15"):
        recordings.read(tmp_path / "a.xml")


def test_a_format_whose_package_is_missing_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ecgdatakit.parsing.parsers.ge_muse_xml", None)
    (tmp_path / "a.xml").write_bytes(muse(counts()))
    with pytest.raises(RecordError, match=r'GE MUSE XML needs .*pip install -e "\.\[vendors\]"'):
        recordings.read(tmp_path / "a.xml")


def test_real_files_of_machines_are_as_their_xml_says():
    """By an own reading of the XML, where a folder of samples is given."""
    folder = os.environ.get("METAECG_VENDOR_FILES")
    if not folder:
        pytest.skip("METAECG_VENDOR_FILES names no folder of files of machines")
    for name in ("muse_1.xml", "muse_2.xml"):
        found = recordings.read(Path(folder) / name)
        rhythm = next(
            w
            for w in ET.parse(Path(folder) / name).getroot().iter("Waveform")
            if w.findtext("WaveformType") == "Rhythm"
        )
        assert found.hz == float(rhythm.findtext("SampleBase"))
        for i, lead in enumerate(rhythm.iter("LeadData")):
            raw = np.frombuffer(base64.b64decode(lead.findtext("WaveFormData")), "<i2")
            scale = float(lead.findtext("LeadAmplitudeUnitsPerBit")) / 1000
            assert found.leads[i] == lead.findtext("LeadID")
            np.testing.assert_allclose(found.signal[:, i], raw * scale, rtol=1e-9, atol=1e-9)
    found = recordings.read(Path(folder) / "aecg.xml")
    space = "{urn:hl7-org:v3}"
    checked = 0
    series = next(
        s
        for s in ET.parse(Path(folder) / "aecg.xml").getroot().iter(f"{space}series")
        if s.find(f"{space}code").get("code") == "RHYTHM"
    )
    # Its own sequences; those of the representative beat are deeper.
    for sequence in series.findall(f"{space}component/{space}sequenceSet/*/{space}sequence"):
        lead = sequence.find(f"{space}code").get("code")
        digits = sequence.find(f"{space}value/{space}digits")
        if digits is None:
            continue
        scale = float(sequence.find(f"{space}value/{space}scale").get("value")) / 1000
        column = [n.upper() for n in found.leads].index(lead.removeprefix("MDC_ECG_LEAD_").upper())
        raw = np.array(digits.text.split(), float)
        np.testing.assert_allclose(found.signal[:, column], raw * scale, rtol=1e-9, atol=1e-9)
        checked += 1
    assert checked == 12
    for name, samples in (("philips_103", 5264), ("philips_104", 5300), ("philips_10401", 5300)):
        found = recordings.read(Path(folder) / f"{name}.xml")
        assert (found.hz, found.leads, len(found.signal)) == (500.0, TWELVE, samples)
        # Einthoven: an independent check of the decoding of compressed leads.
        first, second, third = found.signal.T[:3]
        np.testing.assert_allclose(third, second - first, atol=0.011)
