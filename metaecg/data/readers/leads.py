"""What leads say of each other: limb leads computed from two, and leads that contradict."""

from collections.abc import Sequence

import numpy as np

from metaecg.data.readers.notes import Note
from metaecg.data.signal import lead_name, longest_run

# Einthoven and Goldberger: each limb lead as a · I + b · II.
LIMB = {
    "I": (1.0, 0.0),
    "II": (0.0, 1.0),
    "III": (-1.0, 1.0),
    "aVR": (-0.5, -0.5),
    "aVL": (1.0, -0.5),
    "aVF": (-0.5, 1.0),
}


def complete(
    signal: np.ndarray, leads: Sequence[str], wanted: Sequence[str]
) -> tuple[np.ndarray, list[str], list[Note]]:
    """Adds the limb leads that are wanted and that two others determine.

    Args:
      signal: [samples, leads] in mV.
      leads: their names.
      wanted: usual names of the leads to have.

    Returns:
      The signal and names of all leads that have samples, and what was done.
    """
    names = [lead_name(lead) for lead in leads]
    keep = np.isfinite(signal).any(axis=0)
    notes = [Note(f"lead {names[i]} has no samples") for i in np.flatnonzero(~keep)]
    signal, names = signal[:, keep], [name for name, kept in zip(names, keep) if kept]
    unread = [name for name in names if name not in wanted]
    pair = [lead for lead in LIMB if names.count(lead) == 1][:2]
    derived = [lead for lead in wanted if lead in LIMB and lead not in names]
    if derived and len(pair) == 2:
        basis = np.linalg.inv([LIMB[lead] for lead in pair])  # to I and II
        weights = np.array([LIMB[lead] for lead in derived]) @ basis
        added = signal[:, [names.index(lead) for lead in pair]] @ weights.T
        signal, names = np.concatenate([signal, added], axis=1), [*names, *derived]
        notes.append(Note(f"{' '.join(derived)} computed from {' and '.join(pair)}"))
    if unread:
        notes.append(Note(f"not read by the model: {' '.join(unread)}"))
    return signal, names, notes


def remarks(signal: np.ndarray, leads: Sequence[str], hz: float) -> list[Note]:
    """What a reader should know: missing samples, flat leads, leads that contradict each other.

    Args:
      signal: [samples, leads], NaN where a sample is missing.
      leads: their usual names.
      hz: samples per second.
    """
    notes: list[Note] = []
    missing = np.isnan(signal).sum(axis=0)
    if missing.any():
        which = " ".join(lead for lead, n in zip(leads, missing) if n)
        notes.append(Note(f"{missing.sum()} missing samples (NaN) in {which}", serious=True))
    still = [
        f"{lead} {seconds:.2g} s"
        for lead, column in zip(leads, signal.T)
        if hz <= (run := longest_run(np.diff(column) == 0)) and run < len(column) - 1
        for seconds in [(run + 1) / hz]
    ]
    if still:
        text = f"without any change for {', '.join(still)}: are samples missing?"
        notes.append(Note(text, serious=True))
    low, high = np.fmin.reduce(signal), np.fmax.reduce(signal)
    flat = [lead for lead, a, b in zip(leads, low, high) if a == b]
    if flat:
        notes.append(Note(f"flat: {' '.join(flat)}", serious=True))
    whole = signal[: round(60 * hz)]
    whole = whole[np.isfinite(whole).all(axis=1)]
    if len(whole) < hz:
        return notes
    whole = whole - whole.mean(axis=0)
    at = {lead: i for i, lead in enumerate(leads)}
    limbs = [lead for lead in LIMB if lead in at]
    if len(limbs) > 2:
        measured = whole[:, [at[lead] for lead in limbs]].T
        plane = np.array([LIMB[lead] for lead in limbs])
        fitted = plane @ np.linalg.lstsq(plane, measured, rcond=None)[0]
        # Of PTB-XL's records one in a thousand is off by more than 0.03.
        if np.square(measured - fitted).mean() > 0.1**2 * np.square(measured).mean():
            text = (
                f"{' '.join(limbs)} contradict each other (III is II − I, aVR is −(I + II)/2): "
                "are the leads in the order of their names, and recorded together at one gain?"
            )
            notes.append(Note(text, serious=True))
    if "I" in at and "V6" in at:
        one, six = whole[:, at["I"]], whole[:, at["V6"]]
        # So in 0.65 % of PTB-XL's records, and in 84 % of them with I turned over.
        if one @ six < -0.5 * np.sqrt((one @ one) * (six @ six)):
            text = "lead I runs against V6: are the arm electrodes swapped?"
            notes.append(Note(text, serious=True))
    return notes
