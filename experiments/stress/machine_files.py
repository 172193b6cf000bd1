"""Writers of the files of ECG machines, after their published layouts, with an invented person."""

import base64
import binascii
import struct
import zlib
from collections.abc import Callable

import numpy as np

PERSON = {
    "id": "PID-88123",
    "first": "Wilhelmina",
    "last": "Mustermann",
    "born": "1931-02-03",
    "doctor": "Dr. Zaphod",
    "hospital": "St. Elsewhere",
}
"""What must never leave a file."""

LEADS = ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6")


def counts(samples=1000, leads=8):
    """Invented samples, int [samples, leads], that no two leads share."""
    time = np.arange(samples)[:, None]
    return np.round(200 * np.sin(time / (7 + np.arange(leads))) + 3 * time % 11).astype(int)


def muse(signal, *, hz=500, units_per_bit=4.88, unit="MICROVOLTS", leads=LEADS, doctype=True):
    """GE MUSE: base64 of int16 a lead; a median beat that must not be read comes first."""

    def lead(name, column):
        payload = column.astype("<i2").tobytes()
        return f"""<LeadData><LeadByteCountTotal>{len(payload)}</LeadByteCountTotal>
<LeadAmplitudeUnitsPerBit>{units_per_bit}</LeadAmplitudeUnitsPerBit>
<LeadAmplitudeUnits>{unit}</LeadAmplitudeUnits><LeadID>{name}</LeadID>
<LeadSampleCountTotal>{len(column)}</LeadSampleCountTotal><LeadSampleSize>2</LeadSampleSize>
<LeadDataCRC32>{zlib.crc32(payload)}</LeadDataCRC32>
<WaveFormData>{base64.b64encode(payload).decode()}</WaveFormData></LeadData>"""

    def waveform(kind, block):
        found = "".join(lead(name, block[:, i]) for i, name in enumerate(leads))
        return f"""<Waveform><WaveformType>{kind}</WaveformType><SampleBase>{hz}</SampleBase>
<SampleExponent>0</SampleExponent>{found}</Waveform>"""

    said = '<!DOCTYPE RestingECG SYSTEM "restecg.dtd">' if doctype else ""
    return f"""<?xml version="1.0" encoding="ISO-8859-1"?>{said}<RestingECG>
<PatientDemographics><PatientID>{PERSON["id"]}</PatientID>
<PatientLastName>{PERSON["last"]}</PatientLastName>
<PatientFirstName>{PERSON["first"]}</PatientFirstName>
<DateofBirth>02-03-1931</DateofBirth></PatientDemographics>
<TestDemographics><SiteName>{PERSON["hospital"]}</SiteName>
<ReferringMDLastName>{PERSON["doctor"]}</ReferringMDLastName></TestDemographics>
{waveform("Median", 9 * signal[:300])}{waveform("Rhythm", signal)}</RestingECG>""".encode("latin-1")


def philips(signal, *, hz=500, resolution=5, leads=LEADS, version="1.04", pulse=True):
    """Philips, uncompressed base64, with the calibration pulse that machines put at the end."""
    if pulse:
        step = np.repeat([0, round(1000 / resolution), 0], [hz // 10, hz // 5, hz // 10])
        signal = np.concatenate([signal, np.repeat(step[:, None], signal.shape[1], 1)])
    payload = base64.b64encode(signal.T.astype("<i2").tobytes()).decode()
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<restingecgdata xmlns="http://www3.medical.philips.com">
<documentinfo><documenttype>PhilipsECG</documenttype>
<documentversion>{version}</documentversion></documentinfo>
<patient><generalpatientdata><patientid>{PERSON["id"]}</patientid><name>
<lastname>{PERSON["last"]}</lastname><firstname>{PERSON["first"]}</firstname></name>
</generalpatientdata></patient>
<dataacquisition><signalcharacteristics><samplingrate>{hz}</samplingrate>
<resolution>{resolution}</resolution></signalcharacteristics></dataacquisition>
<waveforms><parsedwaveforms dataencoding="Base64" leadlabels="{" ".join(leads)}"
numberofleads="{len(leads)}" durationperchannel="{1000 * len(signal) / hz:g}"
samplespersecond="{hz}" resolution="{resolution}">{payload}</parsedwaveforms></waveforms>
</restingecgdata>""".encode()


def aecg(signal, *, hz=500, resolution=2.5, leads=LEADS):
    """HL7 aECG: lists of digits with an origin and a scale."""
    sequences = "".join(
        f"""<component><sequence><code code="MDC_ECG_LEAD_{name.upper()}"
codeSystem="2.16.840.1.113883.6.24"/><value xsi:type="SLIST_PQ"><origin value="0" unit="uV"/>
<scale value="{resolution}" unit="uV"/><digits>{" ".join(map(str, signal[:, i]))}</digits></value>
</sequence></component>"""
        for i, name in enumerate(leads)
    )
    return f"""<?xml version="1.0" encoding="UTF-8"?><AnnotatedECG xmlns="urn:hl7-org:v3"
xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><code code="93000"
codeSystem="2.16.840.1.113883.6.12"/><componentOf><timepointEvent><componentOf><subjectAssignment>
<subject><trialSubject><id extension="{PERSON["id"]}"/><subjectDemographicPerson>
<name>{PERSON["first"]} {PERSON["last"]}</name></subjectDemographicPerson></trialSubject></subject>
</subjectAssignment></componentOf></timepointEvent></componentOf>
<component><series><code code="RHYTHM" codeSystem="2.16.840.1.113883.5.4"/><component><sequenceSet>
<component><sequence><code code="TIME_ABSOLUTE" codeSystem="2.16.840.1.113883.5.4"/>
<value xsi:type="GLIST_TS"><head value="20020906142000.000"/>
<increment value="{1 / hz:g}" unit="s"/></value></sequence></component>{sequences}
</sequenceSet></component></series></component></AnnotatedECG>""".encode()


def scp(signal, *, hz=500, nanovolts=5000, codes=(1, 2, 3, 4, 5, 6, 7, 8)):
    """SCP-ECG: sections 0, 1 (the person), 3 (leads) and 6 (the rhythm, not compressed)."""

    def crc(content):
        return struct.pack("<H", binascii.crc_hqx(content, 0xFFFF))

    def section(number, body):
        body += b"\0" * (len(body) % 2)
        reserved = b"SCPECG" if number == 0 else b"\0" * 6
        rest = struct.pack("<HIBB", number, 16 + len(body), 20, 20) + reserved + body
        return crc(rest) + rest

    def tag(number, text):
        return struct.pack("<BH", number, len(text) + 1) + text.encode() + b"\0"

    person = tag(0, PERSON["last"]) + tag(1, PERSON["first"]) + tag(2, PERSON["id"]) + b"\xff\0\0"
    leads = struct.pack("<BB", len(codes), 4 | len(codes) << 3)
    leads += b"".join(struct.pack("<IIB", 1, len(signal), code) for code in codes)
    data = [signal[:, i].astype("<i2").tobytes() for i in range(len(codes))]
    rhythm = struct.pack("<HHBB", nanovolts, 1_000_000 // hz, 0, 0)
    rhythm += b"".join(struct.pack("<H", len(lead)) for lead in data) + b"".join(data)
    sections = {1: section(1, person), 3: section(3, leads), 6: section(6, rhythm)}
    at, pointers = 6 + 16 + 10 * 12, b""
    for number in range(12):
        length = 16 + 10 * 12 if number == 0 else len(sections.get(number, b""))
        place = 7 if number == 0 else at + 1 if length else 0
        pointers += struct.pack("<HII", number, length, place)
        at += length if number else 0
    whole = section(0, pointers) + b"".join(sections.values())
    rest = struct.pack("<I", 6 + len(whole)) + whole
    return crc(rest) + rest


def ishne(signal, *, hz=500, nanovolts=5000, codes=(5, 6, 11, 12, 13, 14, 15, 16)):
    """ISHNE: a header of 522 bytes and interleaved int16; −32768 is a fault of the lead."""
    header = bytearray(522)
    header[:8] = b"ISHNE1.0"
    struct.pack_into("<iiiih", header, 10, 0, len(signal), 522, 522, 1)
    for place, text in ((28, PERSON["first"]), (68, PERSON["last"]), (108, PERSON["id"])):
        header[place : place + len(text)] = text.encode()
    struct.pack_into("<hhh", header, 132, 3, 2, 1931)
    struct.pack_into("<h", header, 156, len(codes))
    for i in range(12):
        struct.pack_into("<h", header, 158 + 2 * i, codes[i] if i < len(codes) else -9)
        struct.pack_into("<h", header, 206 + 2 * i, nanovolts if i < len(codes) else -9)
    struct.pack_into("<h", header, 272, hz)
    return bytes(header) + signal.astype("<i2").tobytes()


WRITERS: dict[str, tuple[Callable[..., bytes], float]] = {
    "muse.xml": (muse, 4.88),
    "philips.xml": (philips, 5.0),
    "aecg.xml": (aecg, 2.5),
    "scp.scp": (scp, 5.0),
    "ishne.ecg": (ishne, 5.0),
}
"""By the name of a file: its writer, and the µV of a unit."""
