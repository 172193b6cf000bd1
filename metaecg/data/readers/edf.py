"""EDF, EDF+ and BDF files, read by pyedflib."""

import math
import re
from pathlib import Path

from metaecg.data.readers.lead_names import is_lead
from metaecg.data.readers.notes import Note
from metaecg.data.readers.raw import WHOLE, Part, Raw, RecordError
from metaecg.data.signal import one_rate
from metaecg.errors import missing

_ECG = re.compile(r"(ECG|EKG|LEAD)", re.IGNORECASE)


def read(path: Path, part: Part = WHOLE) -> Raw:
    """Reads EDF, EDF+ and BDF; of a polygraphy, the ECG's channels.

    Channels count as ECG by their name where any does; they are brought to the highest rate.
    """
    try:
        import pyedflib
    except ImportError:
        raise RecordError(missing("reading EDF", "pyedflib", "formats")) from None
    file = pyedflib.EdfReader(str(path), pyedflib.DO_NOT_READ_ANNOTATIONS)
    with file:
        labels = [label.strip() for label in file.getSignalLabels()]
        if not labels:
            raise RecordError("no channel in it")
        ecg = [i for i, name in enumerate(labels) if _ECG.match(name) or is_lead(name)]
        ecg = ecg or list(range(len(labels)))
        rates = [float(file.getSampleFrequency(i)) for i in ecg]
        whole = [int(file.getNSamples()[i]) for i in ecg]
        seconds = whole[0] / rates[0]
        read = min(seconds, part.seconds or math.inf)
        counts = [min(n, math.ceil(read * hz)) for n, hz in zip(whole, rates)]
        signals = [file.readSignal(i, 0, n) for i, n in zip(ecg, counts)]
        units = tuple(file.getPhysicalDimension(i).strip() for i in ecg)
    notes = []
    if left := [name for i, name in enumerate(labels) if i not in ecg]:
        notes.append(Note(f"left out, no ECG by name: {', '.join(left)}"))
    slower = sorted({hz for hz in rates if hz < max(rates)})
    notes += [Note(f"{hz:g} Hz to {max(rates):g} Hz, the rate of the fastest") for hz in slower]
    names = tuple(labels[i] for i in ecg)
    signal = one_rate(signals, rates)
    return Raw(
        signal, max(rates), units, names if all(names) else None, tuple(notes), seconds=seconds
    )
