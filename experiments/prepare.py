"""Makes a sample library from a folder of recordings, from a published archive or from nothing.

    python -m experiments.prepare --source=ptbxl --input=ptbxl --output=libraries/ptbxl
    python -m experiments.prepare --source=wfdb --input=records --output=libraries/mine --hz=100
    python -m experiments.prepare --source=csv --input=files --output=libraries/mine
        --file_hz=500 --units=uV
    python -m experiments.prepare --source=ludb --input=ludb --output=libraries/ludb
    python -m experiments.prepare --source=cinc2017 --input=cinc2017 --output=libraries/cinc2017
    python -m experiments.prepare --source=synthetic --patients=2000 --output=libraries/synthetic

The source csv is for single files of any other format: CSV, TSV, NPY, NPZ, MAT, EDF, DICOM, GE
MUSE, Philips and HL7 XML, SCP-ECG or ISHNE. Records that cannot be used are listed with their
reason in the library's quarantine.csv. The shipped model, and the configurations for PTB-XL, read
12 leads of 10 s at 100 Hz.
"""

import math
import os
import signal
import sys
import time
from collections import Counter
from pathlib import Path

from absl import flags
from tqdm import tqdm

from experiments.runs import command_line, prepared
from metaecg.data import library as lib
from metaecg.data import signal as steps
from metaecg.data import writing
from metaecg.data.readers.given_by_user import FASTEST, SLOWEST, Given
from metaecg.data.readers.given_by_user import UNITS as VOLTAGES
from metaecg.data.readers.wfdb import MOST_SAMPLES
from metaecg.data.record_form import Target
from metaecg.data.sources import cinc2017, importing, ludb, ptbxl, recording_folder, wfdb_folder
from metaecg.data.sources.importing import Imported, Options
from metaecg.data.sources.source import Source
from metaecg.errors import MetaecgError

FLAGS = flags.FLAGS

_ARCHIVES = ("ptbxl", "ludb", "cinc2017")
_ONLY_FOR = (
    ((*_ARCHIVES, "wfdb", "csv"), ("input", "bandpass", "limit", "equivalent_codes")),
    (("wfdb", "csv", "cinc2017"), ("cut",)),
    (("wfdb", "csv"), ("labels",)),
    (("csv",), ("file_hz", "units", "file_leads")),
    (("wfdb", "csv"), ("keep_ids",)),
    (("synthetic",), ("patients", "seed")),
)


@command_line.defines_flags
def define_flags() -> None:
    flags.DEFINE_enum(
        "source",
        None,
        [*_ARCHIVES, "wfdb", "csv", "synthetic"],
        "What the recordings are: an archive as it is published (ptbxl, ludb, cinc2017), a folder "
        "of WFDB records, single files, each of a format of its own (csv), or synthetic.",
    )
    flags.DEFINE_string("input", None, "The folder of the recordings; none if synthetic.")
    flags.DEFINE_string("output", None, "The folder of the library to make.")
    flags.DEFINE_float(
        "hz",
        None,
        "Samples per second to store. The default is 100 for ptbxl, ludb and synthetic, else the "
        "commonest rate of the recordings. The shipped model and the configurations read 100.",
    )
    flags.DEFINE_float(
        "seconds",
        None,
        "The length to store, from the start of each recording. The default is 10 for ptbxl, ludb "
        "and synthetic, 30 for cinc2017, else the commonest length of the recordings.",
    )
    flags.DEFINE_float(
        "cut",
        None,
        "Cuts each recording into pieces of this many seconds, which become records of one "
        "patient with the labels of the recording.",
    )
    flags.DEFINE_list(
        "leads",
        None,
        "The leads to store, by name. The default is the 12 standard ones where the recordings "
        "have them or they can be computed, else the commonest. Limb leads are computed from "
        "two others.",
    )
    flags.DEFINE_list(
        "bandpass", None, "The low and the high cut in Hz, such as 0.5,40. The default is none."
    )
    flags.DEFINE_string(
        "labels",
        None,
        "'folders' (the names of the sub-folders; the default for csv), 'header' (the Dx "
        "comment of wfdb; its default), or a CSV file with columns path, label and, if known, "
        "patient.",
    )
    flags.DEFINE_enum(
        "equivalent_codes",
        None,
        ["keep", "merge"],
        "Whether equivalent codes of several code systems, such as AF, AFIB and 164889003, are "
        "kept as separate classes (the default) or merged into one.",
    )
    flags.DEFINE_float(
        "file_hz",
        None,
        "For csv: samples per second of files that do not say.",
        lower_bound=SLOWEST,
        upper_bound=FASTEST,
    )
    flags.DEFINE_enum(
        "units",
        None,
        list(VOLTAGES),
        "For csv: the unit of files that do not say.",
        case_sensitive=False,
    )
    flags.DEFINE_list(
        "file_leads", None, "For csv: the names of the leads, in order, of files that do not say."
    )
    flags.DEFINE_bool(
        "keep_ids",
        None,
        "Write the ids of patients, from the files or the table of labels, into patient_ids.csv of "
        "the library. Without it they are kept nowhere.",
    )
    flags.DEFINE_bool("strict", False, "Stop at the first record that cannot be used.")
    flags.DEFINE_bool("overwrite", False, "Replace the library if there is one.")
    flags.DEFINE_integer(
        "workers", None, "Processes that read. The default is one a core.", lower_bound=1
    )
    flags.DEFINE_integer("limit", None, "Import the first recordings only.", lower_bound=1)
    flags.DEFINE_integer(
        "patients", None, "For synthetic: how many patients. The default is 2000.", lower_bound=1
    )
    flags.DEFINE_integer(
        "seed", None, "For synthetic: the seed of the generator. The default is 0.", lower_bound=0
    )


def main(_) -> None:
    command_line.need("source", "output")
    start = time.perf_counter()
    for sources, given in _ONLY_FOR:
        for name in given:
            if FLAGS[name].value is not None and FLAGS.source not in sources:
                raise MetaecgError(
                    f"--{name} does not apply to --source={FLAGS.source}; leave it out"
                )
    done = _generate() if FLAGS.source == "synthetic" else _import()
    seconds = time.perf_counter() - start
    library = lib.open_library(_output(), verify=False)
    print(prepared.summary(library, FLAGS.output, done, seconds, leads_asked=bool(FLAGS.leads)))


def _generate() -> Imported:
    from metaecg.data import synthetic  # imports jax, which the readers do without

    target = _target(prepared.COMMON)
    if unknown := [lead for lead in target.leads if lead not in steps.STANDARD_LEADS]:
        raise MetaecgError(f"--leads: {unknown[0]!r} is none of {', '.join(steps.STANDARD_LEADS)}")
    library = synthetic.library(
        patients=FLAGS.patients or 2000,
        seed=FLAGS.seed or 0,
        hz=target.hz,
        seconds=target.seconds,
        leads=target.leads,
    )
    writing.save(library, _output(), overwrite=FLAGS.overwrite)
    return Imported(Counter(), 0, ())


def _import() -> Imported:
    if not FLAGS.input:
        raise MetaecgError(f"--source={FLAGS.source} needs --input, the folder of the recordings")
    writing.check_free(_output(), overwrite=FLAGS.overwrite)  # before the work, not after it
    source = _open(Path(FLAGS.input).expanduser())
    source = source._replace(items=source.items[: FLAGS.limit])
    workers = FLAGS.workers or os.cpu_count() or 1
    merge, ids = FLAGS.equivalent_codes == "merge", bool(FLAGS.keep_ids)
    options = Options(workers, FLAGS.strict, merge, FLAGS.overwrite, ids)
    return importing.make_library(
        _output(),
        source,
        _target(source.usual),
        options,
        lambda outcomes: tqdm(
            outcomes, "reading", len(source.items), unit=" records", mininterval=0.5
        ),
    )


def _open(folder: Path) -> Source:
    if FLAGS.source == "ptbxl":
        return ptbxl.open_folder(folder, FLAGS.hz or 100.0)
    if FLAGS.source == "ludb":
        return ludb.open_folder(folder)
    if FLAGS.source == "cinc2017":
        return cinc2017.open_folder(folder)
    if FLAGS.source == "wfdb":
        return wfdb_folder.open_folder(folder, FLAGS.labels or "header")
    given = Given(FLAGS.file_hz, FLAGS.units, FLAGS.file_leads, bool(FLAGS.keep_ids))
    return recording_folder.open_folder(folder, FLAGS.labels or "folders", given)


def _output() -> Path:
    return Path(FLAGS.output).expanduser()  # no shell expands --output=~/library


def _target(usual: Target) -> Target:
    if FLAGS.cut is not None and FLAGS.seconds is not None:
        raise MetaecgError("--cut and --seconds both say how long a record is; give one of them")
    given = {name: FLAGS[name].value for name in ("hz", "seconds")}
    if FLAGS.cut is not None:
        given |= {"seconds": FLAGS.cut, "cut": True}
    if FLAGS.leads is not None:
        given["leads"] = tuple(map(steps.lead_name, FLAGS.leads))
    target = usual._replace(**{k: value for k, value in given.items() if value is not None})
    if FLAGS.bandpass is not None:
        try:
            low, high = map(float, FLAGS.bandpass)
        except ValueError:
            raise MetaecgError(
                f"--bandpass={','.join(FLAGS.bandpass)}: give two numbers in Hz, such as 0.5,40"
            ) from None
        if not 0 < low < high < math.inf:
            raise MetaecgError(
                f"--bandpass={low:g},{high:g}: the low cut must be above 0 and below the high one"
            )
        target = target._replace(bandpass=(low, high))
    # The product first: what is not finite has no number of samples.
    if not 0.5 < target.hz * target.seconds < MOST_SAMPLES / max(1, len(target.leads)):
        length = "cut" if FLAGS.cut is not None else "seconds"
        raise MetaecgError(
            f"--hz={target.hz:g} --{length}={target.seconds:g}: both must be positive, and a "
            f"record has at most {MOST_SAMPLES} samples of all leads"
        )
    if not 0 < target.hz < 1e6:
        raise MetaecgError(f"--hz={target.hz:g}: must be positive and below 1e6")
    return target


def _stop(*_) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the next ones, while the writer clears up
    os.write(2, b"\nerror: stopped by SIGTERM; nothing is left behind\n")  # print may be under way
    sys.exit(143)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _stop)
    define_flags()
    command_line.run(main)
