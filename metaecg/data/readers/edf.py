"""EDF, EDF+ and BDF files, read by pyedflib."""

import re
from pathlib import Path

import numpy as np

from metaecg.data.readers.notes import Note
from metaecg.data.readers.raw import MISSING, Raw, RecordError


def read(path: Path) -> Raw:
    """Reads EDF, EDF+ and BDF; of a polygraphy, the ECG's channels.

    Channels count as ECG by their name where any does; they must share one rate.
    """
    try:
        import pyedflib
    except ImportError:
        raise RecordError(MISSING.format("EDF", "pyedflib")) from None
    file = pyedflib.EdfReader(str(path), pyedflib.DO_NOT_READ_ANNOTATIONS)
    with file:
        labels = [label.strip() for label in file.getSignalLabels()]
        ecg = [i for i, label in enumerate(labels) if _ECG.match(label)] or range(len(labels))
        rates = {labels[i]: float(file.getSampleFrequency(i)) for i in ecg}
        if len(set(rates.values())) > 1:
            listed = ", ".join(f"{label} {hz:g} Hz" for label, hz in rates.items())
            raise RecordError(f"channels of several rates ({listed}): export them at one rate")
        if not rates:
            raise RecordError("no channel in it")
        signal = np.stack([file.readSignal(i) for i in ecg], axis=1)
        units = tuple(file.getPhysicalDimension(i).strip() for i in ecg)
    left = [label for i, label in enumerate(labels) if i not in ecg]
    notes = (Note(f"left out, no ECG by name: {', '.join(left)}"),) if left else ()
    return Raw(signal, next(iter(rates.values())), units, tuple(labels[i] for i in ecg), notes)


_ECG = re.compile(r"(ECG|EKG|LEAD|ML?I|D?I{1,3}\b|aV[RLF]\b|V[1-9]\b)", re.IGNORECASE)
