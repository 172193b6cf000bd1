"""Makes a sample library from a folder of recordings, from PTB-XL or from nothing.

    python -m experiments.prepare --source=ptbxl --input=ptbxl --output=libraries/ptbxl
    python -m experiments.prepare --source=wfdb --input=records --output=libraries/mine
    python -m experiments.prepare --source=csv --input=files --units=uV --output=libraries/mine
    python -m experiments.prepare --source=synthetic --patients=2000 --output=libraries/synthetic

The source csv stands for single files of any format: CSV, TSV, NPY, NPZ, EDF or DICOM. Records that
cannot be used are listed with their reason in the library's quarantine.csv.
"""

import functools
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from absl import flags
from tqdm import tqdm

from experiments.runs import command_line
from metaecg.data import library as lib
from metaecg.data import signal as steps
from metaecg.data import writing
from metaecg.data.readers import given as files
from metaecg.data.readers.wfdb import MOST_SAMPLES
from metaecg.data.sources import importing, ptbxl, recording_folder, wfdb_folder
from metaecg.data.sources import statements as names
from metaecg.data.writing import Writer
from metaecg.errors import MetaecgError

SOURCE = flags.DEFINE_enum(
    "source",
    None,
    ["ptbxl", "wfdb", "csv", "synthetic"],
    "what the recordings are; csv: single files, each CSV, TSV, NPY, NPZ, EDF or DICOM",
    required=True,
)
INPUT = flags.DEFINE_string("input", None, "folder of the recordings; none for synthetic ones")
OUTPUT = flags.DEFINE_string("output", None, "folder of the library to make", required=True)
HZ = flags.DEFINE_float(
    "hz",
    None,
    "samples per second to store; by default 100 for ptbxl and synthetic, else the commonest",
)
SECONDS = flags.DEFINE_float(
    "seconds", None, "length to store; by default 10 for ptbxl and synthetic, else the commonest"
)
LEADS = flags.DEFINE_list(
    "leads", None, "leads to store, by name; by default the 12 standard ones, or the commonest"
)
BANDPASS = flags.DEFINE_list("bandpass", None, "low and high cut in Hz, such as 0.5,40; or none")
LABELS = flags.DEFINE_string(
    "labels",
    None,
    "'folders' (names of the sub-folders; the default for csv), 'header' (the Dx comment of wfdb, "
    "its default), or a CSV file with columns path, label and, if known, patient",
)
FILE_HZ = flags.DEFINE_float(
    "file_hz",
    None,
    "of csv: samples per second of files that do not say",
    lower_bound=files.SLOWEST,
    upper_bound=files.FASTEST,
)
UNITS = flags.DEFINE_enum(
    "units",
    None,
    list(files.UNITS),
    "of csv: units of files that do not say",
    case_sensitive=False,
)
FILE_LEADS = flags.DEFINE_list(
    "file_leads", None, "of csv: names of the leads in order, of files that do not say"
)
STRICT = flags.DEFINE_bool("strict", False, "stop at the first record that cannot be used")
OVERWRITE = flags.DEFINE_bool("overwrite", False, "replace the library if there is one")
WORKERS = flags.DEFINE_integer(
    "workers", None, "processes that read; by default one a core", lower_bound=1
)
LIMIT = flags.DEFINE_integer("limit", None, "import the first records only", lower_bound=1)
PATIENTS = flags.DEFINE_integer("patients", 2000, "of synthetic: how many", lower_bound=1)
SEED = flags.DEFINE_integer("seed", 0, "of synthetic: seed of the generator", lower_bound=0)

_ONLY_FOR = (
    (("ptbxl", "wfdb", "csv"), (INPUT, BANDPASS, LIMIT)),
    (("wfdb", "csv"), (LABELS,)),
    (("csv",), (FILE_HZ, UNITS, FILE_LEADS)),
)


def main(argv: Sequence[str]) -> None:
    del argv
    start = time.perf_counter()
    for sources, given in _ONLY_FOR:
        for flag in given:
            if flag.value is not None and SOURCE.value not in sources:
                raise MetaecgError(
                    f"--{flag.name} does not apply to --source={SOURCE.value}; leave it out"
                )
    quarantined = _generate() if SOURCE.value == "synthetic" else _import()
    seconds = time.perf_counter() - start
    library = lib.open_library(_output(), verify=False)
    print(_summary(library, quarantined, seconds))


def _generate() -> int:
    from metaecg.data import synthetic  # imports jax, which the readers do without

    target = _target(importing.Target(100.0, 10.0, steps.STANDARD_LEADS))
    if unknown := [lead for lead in target.leads if lead not in steps.STANDARD_LEADS]:
        raise MetaecgError(f"--leads: {unknown[0]!r} is none of {', '.join(steps.STANDARD_LEADS)}")
    library = synthetic.library(
        patients=PATIENTS.value,
        seed=SEED.value,
        hz=target.hz,
        seconds=target.seconds,
        leads=target.leads,
    )
    writing.save(library, _output(), overwrite=OVERWRITE.value)
    return 0


def _import() -> int:
    if INPUT.value is None:
        raise MetaecgError(f"--source={SOURCE.value} needs --input, the folder of the recordings")
    folder = Path(INPUT.value).expanduser()
    known: dict[str, names.Statement] = {}
    reader: importing.Reader = importing.read
    # Before the work, not after it: is there something in the way?
    with Writer(_output(), overwrite=OVERWRITE.value) as writer:
        if SOURCE.value == "ptbxl":
            known = ptbxl.statements(folder)
            items = ptbxl.list_records(folder, HZ.value or 100.0)
            usual = importing.Target(100.0, 10.0, steps.STANDARD_LEADS)
        elif SOURCE.value == "csv":
            given = files.Given(FILE_HZ.value, UNITS.value, FILE_LEADS.value)
            items = recording_folder.list_folder(folder, LABELS.value or "folders")
            form = functools.partial(recording_folder.form, given=given)
            usual = importing.survey(folder, items, form=form)
            reader = functools.partial(recording_folder.read, given=given)
        else:
            items = wfdb_folder.list_folder(folder, LABELS.value or "header")
            usual = importing.survey(folder, items)
        items = items[: LIMIT.value]
        target = _target(usual)
        counts = importing.import_records(
            writer,
            folder,
            items,
            target,
            workers=WORKERS.value or os.cpu_count() or 1,
            strict=STRICT.value,
            reader=reader,
            progress=lambda outcomes: tqdm(
                outcomes, "reading", len(items), unit=" records", mininterval=0.5
            ),
        )
        if SOURCE.value != "ptbxl" and all(item.patient == item.path for item in items):
            print("note: no patients are given, so every record counts as a patient of its own")
        # A data set's own list keeps its order; statements outside of it follow.
        vocabulary = [*known, *sorted(set(counts) - set(known))]
        statements = [known.get(code) or names.look_up(code) for code in vocabulary]
        writer.finish(
            vocabulary=vocabulary,
            names=[statement.name for statement in statements],
            kinds=[statement.kinds for statement in statements],
            hz=target.hz,
            leads=target.leads,
            scale=target.scale,
            source=SOURCE.value,
            processing=target.describe(),
        )
        return writer.quarantined


def _output() -> Path:
    return Path(OUTPUT.value or "").expanduser()  # no shell expands --output=~/library


def _target(usual: importing.Target) -> importing.Target:
    target = usual
    if HZ.value is not None:
        target = target._replace(hz=HZ.value)
    if SECONDS.value is not None:
        target = target._replace(seconds=SECONDS.value)
    if LEADS.value is not None:
        target = target._replace(leads=tuple(map(steps.lead_name, LEADS.value)))
    if BANDPASS.value is not None:
        try:
            low, high = map(float, BANDPASS.value)
        except ValueError:
            raise MetaecgError(
                f"--bandpass={','.join(BANDPASS.value)}: two numbers in Hz, such as 0.5,40"
            ) from None
        target = target._replace(bandpass=(low, high))
    # The product first: what is not finite has no number of samples.
    if not 0.5 < target.hz * target.seconds < MOST_SAMPLES / max(1, len(target.leads)):
        raise MetaecgError(
            f"--hz={target.hz:g} --seconds={target.seconds:g}: must be positive, and a record at "
            f"most {MOST_SAMPLES} samples of all leads"
        )
    if not 0 < target.hz < 1e6:
        raise MetaecgError(f"--hz={target.hz:g}: must be positive and below 1e6")
    return target


def _summary(library: lib.Library, quarantined: int, seconds: float) -> str:
    shape = f"{library.signals.shape[1] / library.hz:g} s at {library.hz:g} Hz"
    lines = ["", f"{'records':>8}  statement"]
    totals = library.labels.sum(axis=0)
    for c in sorted(range(len(totals)), key=lambda c: -totals[c]):
        code, name = library.vocabulary[c], library.names[c]
        lines.append(f"{totals[c]:8d}  {code}" + (f"  {name}" if name != code else ""))
    flat = Counter(bool(note) for note in library.notes)[True]
    lines += [
        "",
        f"{OUTPUT.value}: {len(library)} records of {library.patients.max() + 1} patients, "
        f"{(totals > 0).sum()} statements, {shape}, leads {' '.join(library.leads)}",
        f"quarantined {quarantined} (quarantine.csv), with remarks {flat} (records.csv)",
        f"{seconds:.1f} s, {len(library) / seconds:.0f} records/s",
    ]
    return "\n".join(lines)


def _stop(*_) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the next ones, while the writer clears up
    os.write(2, b"\nerror: stopped by SIGTERM; nothing is left behind\n")  # print may be under way
    sys.exit(143)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _stop)
    command_line.run(main)
