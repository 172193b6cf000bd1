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
# # 1 · Quickstart: learn to learn diagnoses
#
# *On Colab: open this file by 'File → Upload notebook' and give the address of your copy of the repository
# in the first cell.*
#
# **What it does.** Generates a library of synthetic 12-lead ECGs, meta-trains SNAIL on 36 of its 60
# conditions, measures it on 15 conditions and patients that it has never seen, and lets it diagnose
# a recording from five labelled examples of each candidate. Nothing is downloaded but the package.
#
# **How long it takes.** Under ten minutes on two CPU cores (a free Colab machine has as many); no
# GPU is needed.
#
# *Research software, not a medical device. Scores on synthetic ECGs say that the software works;
# what it does on recordings of people is in the README.*

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
import json
import os
from pathlib import Path

import jax
import numpy as np

from experiments import train
from experiments.configs import quickstart
from experiments.runs import build, models, trained
from experiments.tables import learners, markdown, measure
from metaecg.data import open_library, protocols, save, synthetic
from metaecg.diagnose.diagnoser import Diagnoser
from metaecg.episodes import sample_episode
from metaecg.figures import plots

SMOKE = os.environ.get("METAECG_SMOKE") == "1"  # the tests run everything on a very small scale
folder = Path("workdirs/colab_quickstart")

# %% [markdown]
# ## Generate a library
# Sixty conditions, each in equally many patients; a patient has one to three records, and one in
# eight has a second diagnosis. Signals are int16 in µV, labels multi-hot.

# %%
if not (folder / "library").exists():
    save(synthetic.library(patients=240 if SMOKE else 1200), folder / "library")
library = open_library(folder / "library")
library.signals.shape, library.labels.shape, library.hz

# %%
row = int(np.flatnonzero(library.labels[:, library.vocabulary.index("AFIB")])[0])
plots.ecg(
    library.signals[row] * library.scale, library.hz, library.leads, title="Atrial fibrillation"
)

# %% [markdown]
# ## A protocol: who may be seen when
# The protocol says which diagnoses are for training, for validation and for the test. Patients are
# parted, too: one who has any test diagnosis serves the test alone.

# %%
protocol = protocols.load("synthetic")
test = build.part(library, protocol, "test")
print(f"{len(test.rows)} test records of these diagnoses: {', '.join(test.classes)}")

# %% [markdown]
# ## Meta-train
# Three stages: the encoder learns all training conditions at once, SNAIL's head learns to tell
# conditions apart from examples, and both go on together. Stopped and run again, it resumes. In a
# terminal:
#
#     python -m experiments.train --config=quickstart --workdir=…

# %%
settings = f"library={folder / 'library'}"
if SMOKE:
    settings += (
        ",way=2,shot=1,query=1,batch=2,steps=2,validate_every=2,validation_episodes=4,"
        "pretrain.steps=2,pretrain.batch=8,head.steps=2,head.batch=2,snail.attention=4x4,"
        "snail.filters=4,test_episodes=6,test_shots=1"
    )
config = quickstart.get_config(settings)
train.train(config, folder)

# %%
log = (folder / "head" / "metrics.jsonl").read_text().splitlines()
plots.learning_curves([json.loads(line) for line in log])

# %% [markdown]
# ## Evaluate on diagnoses never seen
# Every learner answers the same episodes: a few examples of each of five unseen diagnoses, then
# records of other patients to assign. Beside SNAIL stand two yardsticks: the nearest class centroid
# in the embeddings of the pretrained encoder, and in those of an encoder that was never trained.
# In a terminal: `python -m experiments.evaluate --workdir=… --compare=…/pretrain`.

# %%
runs = {"SNAIL": trained.load(folder), "nearest centroid": trained.load(folder / "pretrain")}
runs[learners.RANDOM] = trained.untrained(runs["SNAIL"])
wanted = measure.Wanted(
    part="test",
    way=config.way,
    shots=[int(shot) for shot in config.test_shots.split("+")],
    episodes=config.test_episodes,
    seed=0,
)
found = measure.measure(runs, library, protocol, wanted)
print(markdown.report(found))

# %%
points: dict[str, list] = {}
for score in found["rows"]:
    low, high = score["accuracy_patients95"]
    points.setdefault(score["learner"], []).append((score["shot"], score["accuracy"], low, high))
plots.shots_curve(points, chance=1 / config.way)

# %% [markdown]
# On synthetic conditions the nearest centroid does well: they differ plainly and patients little.
# Is SNAIL as sure as it is right, and which diagnoses does it know least?

# %%
snail = [score for score in found["rows"] if score["learner"] == "SNAIL"][-1]
bins = snail["reliability"]
plots.calibration(
    *(np.array([b[key] for b in bins]) for key in ("confidence", "accuracy", "count"))
)

# %%
recall = {name: score["recall"] for name, score in snail["per_class"].items()}
plots.per_class_bars(recall, chance=1 / config.way)

# %% [markdown]
# ## Diagnose
# A diagnosis begins with labelled examples; no gradient step is taken. First, an episode at a
# glance: the examples of each candidate, and a record to diagnose.

# %%
episode = jax.tree.map(
    np.asarray,
    sample_episode(
        jax.random.key(7), test.data.index, way=config.way, shot=config.shot, query=config.query
    ),
)
signals = np.asarray(test.data.signals).astype(np.float32) * library.scale
names = [test.classes[c] for c in episode.classes]
support = [
    (f"example {i}", names[slot], signals[row])
    for i, (row, slot) in enumerate(zip(episode.support, episode.support_slots))
]
query, truth = signals[episode.query[0]], names[episode.query_slots[0]]
shown = [[s[:, 1] for _, label, s in support if label == name] for name in names]
plots.episode(np.array(shown), query[:, 1], library.hz, names, truth=truth)

# %% [markdown]
# The diagnoser's probabilities are calibrated on the validation diagnoses, and it may say *unsure*:
# `plausible` lists what it cannot rule out at the stated rate of error.

# %%
model = models.load(folder).model
diagnosis = Diagnoser(model, error_rate=0.1).fit(support)(query)
print(f"answer: {diagnosis.answer or 'unsure'}; plausible: {', '.join(diagnosis.plausible)}")
print(f"truth: {truth}")
for warning in diagnosis.warnings:
    print("warning:", warning)

# %%
plots.probabilities(
    diagnosis.labels, diagnosis.probs, diagnosis.low, diagnosis.high, marked=diagnosis.plausible
)

# %% [markdown]
# Which examples stand behind the answer? The weight of an example says how like the query it is
# among the examples of its label; its effect is what the answer's probability loses without it.

# %%
weights = np.zeros(len(support))
for evidence in diagnosis.evidence:
    weights[evidence.example] = evidence.weight
plots.attention(weights, [label for _, label, _ in support])

# %%
for evidence in diagnosis.evidence[:3]:
    name, label, _ = support[evidence.example]
    print(f"{name} ({label}): weight {evidence.weight:.0%}, effect {evidence.effect:+.1%}")

# %% [markdown]
# **Next:** notebook 2 does the same with a folder of your own recordings; notebook 3 takes the pure
# functions out of the toolkit; notebook 4 walks through the method's claims.
