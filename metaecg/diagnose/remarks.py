"""What a reader should know of the labelled examples and of a query before believing an answer."""

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from metaecg.data.readers.lead_names import CHEST_LEADS
from metaecg.diagnose.background import FALSE_ALARMS

SAME = 0.99
"""Recordings that correlate more than this are the same one."""

WHOLE = 0.9
"""Share of the time that is read from which on a recording is as good as whole."""


def outlines(records: np.ndarray) -> np.ndarray:
    """Records [N, samples, leads] without offset and of length 1: products are correlations."""
    flat = (records - records.mean(1, keepdims=True)).reshape(len(records), -1)
    return flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-9)


def lost(windows: np.ndarray, leads: Sequence[str], spare: int = 0) -> list[str]:
    """The leads that never change in one of the windows [windows, samples, leads] or more.

    None where they are of the chest and no more than `spare`.
    """
    least = np.ptp(windows, axis=1).min(axis=0)
    found = [lead for lead, change in zip(leads, least) if change == 0]
    return [] if len(found) <= spare and {*found} <= {*CHEST_LEADS} else found


def incomplete(windows: np.ndarray, leads: Sequence[str], spare: int = 0) -> str:
    """What a recording [windows, samples, leads] lacks beside those that were calibrated, or ''.

    Leads, as of `lost`; or more than a tenth of its time, after which nothing changes any more.
    """
    if gone := lost(windows, leads, spare):
        return f"{' '.join(gone)} missing or flat"
    changing = np.any(np.diff(windows, axis=1) != 0, axis=2)
    ends = windows.shape[1] - changing[:, ::-1].argmax(axis=1)
    share = ends.min() / windows.shape[1]
    return "" if share >= WHOLE else f"it ends after {share:.0%} of the time that is read"


def about_examples(
    names: Sequence[str], labels: Sequence[str], outlined: np.ndarray
) -> Iterator[str]:
    """Labels with one example, and recordings that are given twice."""
    for label, count in Counter(labels).items():
        if count == 1:
            yield f"{label} has a single example; the answer depends on that one recording"
    for i, j in zip(*np.nonzero(np.triu(outlined @ outlined.T > SAME, 1))):
        if labels[i] == labels[j]:
            yield f"{names[i]} and {names[j]} are the same recording, given twice as {labels[i]}"
        else:
            yield (
                f"{names[i]} and {names[j]} are the same recording, given once as {labels[i]} and "
                f"once as {labels[j]}; correct the labels"
            )


def about_copies(
    names: Sequence[str], labels: Sequence[str], likeness: np.ndarray
) -> Iterator[str]:
    """Examples that are the query itself; `likeness` [S] are correlations with it."""
    for s in np.flatnonzero(likeness > SAME).tolist():
        yield (
            f"this recording is among the examples, as {names[s]} ({labels[s]}); the answer proves "
            "nothing"
        )


def about_orders(likeliest: np.ndarray, answer: int) -> Iterator[str]:
    """Whether the answer turns with the order of the examples; `likeliest` [orders], a label's."""
    other = int((likeliest != answer).sum())
    if other > len(likeliest) / 4:
        yield (
            f"the answer depends on the order of the examples: in {other} of {len(likeliest)} "
            "orders another diagnosis is likeliest"
        )


STRANGE = (
    "this recording is unlike those the model was trained on, most likely in its amplitudes (a "
    "wrong unit or gain?); the probabilities cannot be relied on"
)


def no_rate(reason: str) -> str:
    """Why nothing is answered and no diagnosis is excluded."""
    return (
        f"{reason}: no rate of errors can be stated, so that nothing is answered and no candidate "
        "is excluded"
    )


def about_likeness(likeness: float | None) -> Iterator[str]:
    """That the diagnosis may be none of the candidates; `likeness` as of a `Diagnosis`."""
    if likeness is not None and likeness <= FALSE_ALARMS:
        yield (
            "possibly none of these diagnoses: of recordings whose diagnosis is among the "
            f"candidates, about {likeness:.0%} are as little like any of them"
        )
