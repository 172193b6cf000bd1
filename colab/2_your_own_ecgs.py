# ---
# jupyter:
#   jupytext:
#     cell_metadata_filter: -all
#     formats: ipynb,py:percent
#     notebook_metadata_filter: jupytext,-jupytext.text_representation.jupytext_version
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
# ---

# %% [markdown]
# # 2 · Your own ECGs
#
# *On Colab: open this file by 'File → Upload notebook' and give the address of your copy of the repository
# in the first cell.*
#
# **What it does.** Takes a folder of recordings to a diagnosis that can be checked: import, freeze a
# protocol, look for leaks, train, diagnose, read the report; then finds the other recordings of a
# diagnosis. Without a folder of yours it writes one of synthetic ECGs in WFDB format and goes on with
# that.
#
# **How long it takes.** About ten minutes on two CPU cores with the synthetic folder, most of it
# training.
#
# *Research software, not a medical device.*

# %%
REPOSITORY = ""  # @param {type:"string"}
# On Colab: the address of your copy of the repository. Elsewhere: leave it empty.
import subprocess
import sys

if "google.colab" in sys.modules:
    assert REPOSITORY, "give the address of your copy of the repository in the first line"
    get = f"git clone -q --depth=1 {REPOSITORY} metaecg && pip install -q -e ./metaecg"
    subprocess.run(get, shell=True, check=True)
    # %cd metaecg

# %%
# %matplotlib inline
import csv
import json
import os
import shlex
import shutil
from html import escape
from pathlib import Path

import numpy as np
import wfdb
from IPython.display import HTML

from experiments import train
from experiments.configs import quickstart
from experiments.runs import models, trained
from experiments.tables import markdown, measure
from metaecg import search
from metaecg.data import protocols, synthetic
from metaecg.data.library import open_library
from metaecg.figures import plots
from metaecg.search import cache, question, recordings

SMOKE = os.environ.get("METAECG_SMOKE") == "1"  # the tests run everything on a very small scale
work = Path("workdirs/colab_own")
shutil.rmtree(work, ignore_errors=True)
work.mkdir(parents=True)


def command(line):
    """Runs one of the commands, as `python -m …` in a terminal, and shows what it says."""
    arguments = [sys.executable, "-m", *shlex.split(line)]
    done = subprocess.run(arguments, capture_output=True, text=True)
    print(done.stdout)
    if done.returncode:
        raise RuntimeError(done.stderr.strip().splitlines()[-1])


# %% [markdown]
# ## The folder
# Here the recordings are WFDB (`.hea` with `.dat` or `.mat`), read by `--source=wfdb`. Text, NumPy,
# MATLAB, EDF, DICOM and the files of ECG machines are read by `--source=csv`; `docs/prepare.md` lists
# the formats, and the archives that are read as they are published. Labels stand in a CSV file with
# the columns `path`, `label` (several joined by `;`) and, **if you know it, `patient`**; or in the
# headers' `Dx:` comments (`--labels=header`); or they are the names of the sub-folders
# (`--labels=folders`).
#
# To use a folder of yours, name it here. On Colab, upload a zip file or mount Google Drive, if the
# recordings may leave your premises: *de-identify them first, and ask those who decide on it*.

# %%
folder, labels = None, None  # such as "/content/drive/MyDrive/ecgs", "/content/…/labels.csv"

# %%
if folder is None:
    folder, labels = work / "ecgs", work / "labels.csv"
    folder.mkdir()
    made = synthetic.library(patients=240 if SMOKE else 1200)
    with open(labels, "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["path", "label", "patient"])
        for row, signal in enumerate(made.signals):
            name = f"r{row:04d}"
            wfdb.wrsamp(
                name,
                fs=made.hz,
                units=["mV"] * len(made.leads),
                sig_name=list(made.leads),
                d_signal=signal,
                fmt=["16"] * len(made.leads),
                adc_gain=[1000.0] * len(made.leads),
                baseline=[0] * len(made.leads),
                write_dir=str(folder),
            )
            carried = [made.vocabulary[c] for c in np.flatnonzero(made.labels[row])]
            rows.writerow([name, ";".join(carried), f"patient {made.patients[row]}"])
    (folder / "r0000.dat").write_bytes(b"cut off")  # archives have such files, too
print(len(list(Path(folder).rglob("*.hea"))), "recordings")

# %% [markdown]
# ## Import
# Each recording is checked (its checksum, its units, its leads), brought to one rate, length and
# order of leads, and kept as int16. What cannot be used is listed with the reason.

# %%
library_folder = work / "library"
command(
    f"experiments.prepare --source=wfdb --input={folder} --labels={labels} "
    f"--output={library_folder} --hz=100 --workers=2"
)
print((library_folder / "quarantine.csv").read_text())

# %%
library = open_library(library_folder)
plots.ecg(
    library.signals[0] * library.scale, library.hz, library.leads, title=f"record {library.ids[0]}"
)

# %% [markdown]
# ## Freeze a protocol
# Which diagnoses train, which validate, which are kept for the test: of each kind the most common
# train, the rarer ones are to be diagnosed from few examples. It is written **once, before any
# training**, and numbers are comparable as long as the file is the same; the command refuses to
# overwrite it.

# %%
fewest, way = (3, 2) if SMOKE else (15, 5)
protocol_file = work / "mine.json"
command(
    f"experiments.make_protocol --library={library_folder} --output={protocol_file} "
    f"--min_patients={fewest} --way={way} --query=1"
)

# %% [markdown]
# ## The fine print on leakage
# Four ways in which a few-shot score becomes too good, and what stands against each.
#
# **1. A patient in two parts.** An encoder recognises hearts, not only diagnoses. Split at random by
# record, many test patients would have been seen in training:

# %%
rng = np.random.default_rng(0)
trains = rng.random(len(library)) < 0.7
seen = np.isin(library.patients[~trains], library.patients[trains])
print(f"random split: {seen.mean():.0%} of the test records are of a patient who trains as well")

protocol = protocols.load(str(protocol_file))
parts = {name: protocols.split(library, protocol, name) for name in protocols.PARTS}
protocols.check_disjoint(parts)  # raises if two parts share a patient or a class
shared = np.intersect1d(parts["train"].patients, parts["test"].patients)
print(f"this protocol: {len(shared)} patients serve training and test")

# %% [markdown]
# That check is as good as the `patient` column. Without one, every record counts as a patient of its
# own and `prepare` says so: then two records of one patient may stand on both sides, and **the score
# is an upper bound**.
#
# **2. A class in two parts**: a test diagnosis that was trained on is not unseen. The check above
# covers it, and so do evaluation and calibration when they open a run.
#
# **3. Within an episode**: a record, or a patient, among both examples and queries; a second
# diagnosis of the episode carried by a query. The sampler never draws these. What they would add is
# measured below (`experiments.evaluate --leaks`), after training.
#
# **4. Choosing on the test**: settings belong to the validation part. The test is measured once, at
# the end.
#
# ## Train
# In a terminal:
#
#     python -m experiments.train --workdir=… \
#         --config=quickstart --config.library=… --config.protocol=mine.json

# %%
settings = f"library={library_folder},protocol={protocol_file}"
if SMOKE:
    settings += (
        ",way=2,shot=1,query=1,batch=2,steps=2,validate_every=2,validation_episodes=4,"
        "pretrain.steps=2,pretrain.batch=8,head.steps=2,head.batch=2,snail.attention=4x4,"
        "snail.filters=4,test_episodes=6,test_shots=1"
    )
else:
    settings += ",query=1,test_shots=1+5"
config = quickstart.get_config(settings)
train.train(config, work / "run")

# %%
runs = {"SNAIL": trained.load(work / "run")}
wanted = measure.Wanted(
    part="test",
    way=way,
    shots=[config.shot],
    episodes=config.test_episodes,
    seed=0,
    leaks=True,
)
found = measure.measure(runs, library, protocol, wanted)
print(markdown.report(found))

# %% [markdown]
# ## Diagnose
# The support is a folder with one sub-folder of recordings for each candidate diagnosis; here,
# recordings of test diagnoses, whose patients were not seen. The queries are of yet other patients.
#
# This uses the run trained above. Where a folder is too small to train on, leave `--workdir` out: the
# shipped model, trained on PTB-XL, is used; or name a file made by `metaecg export` with
# `--artefact`. Only the support need be yours then.

# %%
test = parts["test"]
taken: set[int] = set()  # patients


def take(code, count):
    """Paths of `count` recordings that carry one test diagnosis alone, each of a new patient."""
    mine = test.labels[:, test.classes.index(code)] & (test.labels.sum(axis=1) == 1)
    paths = []
    for row in test.rows[mine]:
        if len(paths) < count and library.patients[row] not in taken:
            taken.add(library.patients[row])
            paths.append(Path(folder) / library.sources[row])
    return paths


candidates = test.classes[:way]
asked = {}
for code in candidates:
    for path in take(code, config.shot):
        (work / "support" / code).mkdir(parents=True, exist_ok=True)
        for file in path.parent.glob(f"{path.name}.*"):
            shutil.copy(file, work / "support" / code)
    asked |= {path.with_name(f"{path.name}.hea"): code for path in take(code, 1)}

queries = " ".join(f"--query={path}" for path in asked)
command(
    f"experiments.diagnose --workdir={work / 'run'} --support={work / 'support'} {queries} "
    f"--output={work / 'out.json'} --report={work / 'report.html'}"
)

# %% [markdown]
# ## Read the report
# For each recording:
#
# - the **answer**, or *unsure*: given only where no other candidate is plausible;
# - the **plausible** candidates: lists like these miss the truth in about the stated rate of
#   recordings, *if* the true diagnosis is among the candidates. Nothing else can be answered;
# - **probabilities** with their range over orders of the examples;
# - the **examples** behind the answer: their likeness, and what the answer would lose without each;
# - **warnings**, such as a recording unlike all examples, or among them, or a doubtful file;
# - what was done to the recording, and where the model comes from.

# %%
for case in json.loads((work / "out.json").read_text())["diagnoses"]:
    truth = asked[Path(case["recording"])]
    print(f"truth {truth}: answer {case['answer'] or 'unsure'}, plausible {case['plausible']}")

# %%
page = escape((work / "report.html").read_text())
HTML(f'<div><iframe srcdoc="{page}" width="100%" height="700"></iframe></div>')

# %% [markdown]
# The page needs no other file and no network; print it on A4 and its ECGs are true to scale.

# %% [markdown]
# ## Find the others
# The examples of one diagnosis lead to the other recordings of it in the folder, which in an archive
# mostly have no label. No example of another diagnosis is needed: the folder as a whole is the
# background. The embeddings are kept beside the library, so that the next question takes a second.

# %%
sought = candidates[0]
command(
    f"experiments.find --workdir={work / 'run'} --library={library_folder} "
    f"--support={work / 'support' / sought} --output={work / 'ranked.csv'} "
    f"--report={work / 'found.html'}"
)
carried = library.labels[:, library.vocabulary.index(sought)]
cases = {id for id, case in zip(library.ids, carried) if case}
with open(work / "ranked.csv", newline="") as file:
    ranked = [line["id"] for line in csv.DictReader(file) if line["place"]]  # but the examples
print(f"of the first 20, {len(cases.intersection(ranked[:20]))} carry {sought}", end="; ")
print(f"of all {len(ranked)}, {len(cases.intersection(ranked))} do")

# %% [markdown]
# ## Review them
# `metaecg review --library=… --support=… --session=…` shows one recording after the other on ECG
# paper, the one most worth reading first. You answer by Y, N or ?, and each answer changes the
# order. Here the labels answer, by the same session that the page has. One reading in ten is drawn
# at random, so that the interval for what is left needs no model.

# %%
model = models.load(work / "run").model
known = recordings.of_library(library)
archive = cache.archive(model, library, library_folder)
files = {file.stem for file in (work / "support" / sought).glob("*.hea")}
ids = [id for id, source in zip(library.ids, library.sources) if Path(source).stem in files]
examples = [*question.from_ids(ids, True, known)]
session = search.Session(archive, question.ask(model, archive, examples, known))
for read in range(1, 61):
    row, _ = session.next()
    session.answer(row, "yes" if carried[row] else "no")
    if read % 20 == 0:
        left = session.remaining()
        print(
            f"{read} read, {len(session.found)} found; about {left.expected:.0f} are left, "
            f"{left.low} to {left.high} at 95 %"
        )
print(f"the labels say that {carried.sum() - len(examples) - len(session.found)} are left")
