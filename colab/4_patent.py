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
# # 4 · The patent, step by step
#
# *On Colab: open this file by 'File → Upload notebook' and give the address of your copy of the repository
# in the first cell.*
#
# **What it does.** Walks through the claims of CN109700434A (*Meta-learning model training method,
# system and equipment based on electrocardiogram diagnosis*): each claim with its equation and a
# cell that runs it. Numbers in brackets are paragraphs of the source.
#
# **How long it takes.** About five minutes on two CPU cores. Signals are those of one lead, 10 s at
# 100 Hz; `experiments/configs/patent.py` trains on the source's own, 30 s at 200 Hz [0042].

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
import functools
import os
from pathlib import Path

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax

from metaecg import episodes, evaluate, learners, losses
from metaecg.data import protocols, synthetic
from metaecg.diagnose import artefact
from metaecg.diagnose.fitting import fit_calibration
from metaecg.diagnose.model import Form, Model
from metaecg.diagnose.predictor import Predictor
from metaecg.episodes import sequences, tasks
from metaecg.figures import plots
from metaecg.networks import encoder
from metaecg.train import batches, meta, training_step, updates
from metaecg.types import LibraryIndex

SMOKE = os.environ.get("METAECG_SMOKE") == "1"  # the tests run everything on a very small scale

# %% [markdown]
# ## The sample library [0042, 0051]
# $N$ diagnoses with $K$ records each; a record is an ECG with a physician's label,
# $\Psi = (X, Y)$. Here the ECGs are generated; 36 conditions train, 15 others are for the diagnosis
# at the end, and no patient serves both.

# %%
library = synthetic.library(patients=240 if SMOKE else 1200, leads=("II",))
protocol = protocols.load("synthetic")


def part(name):
    split = protocols.split(library, protocol, name)
    index = LibraryIndex(split.labels, split.patients)
    return batches.Data(jnp.asarray(library.signals[split.rows]), library.scale, index)


train, test = part("train"), part("test")
print(f"N = {train.index.num_classes} diagnoses, {train.index.num_records} records")
plots.ecg(library.signals[0] * library.scale, library.hz, library.leads)

# %% [markdown]
# ## Claim 2 · sample groups [0012–0013, 0051]
# Draw $M$ of the $N$ classes and $k$ records of each, shuffle: the sample sequence
# $\Psi_1, \dots, \Psi_{Mk}$. Group $i$ is $\Psi_i \dots \Psi_j$, $1 \le i < j \le Mk$: a window of
# $w = j - i + 1$ records that slides by one, $n = Mk - w + 1$ groups. Sequences are dealt until every
# record of the library was visited.

# %%
M, k, w = (2, 2, 3) if SMOKE else (5, 3, 10)
dealt = sequences.epoch(train.index, way=M, per_class=k, seed=0)
visited = sequences.coverage_curve(train.index, dealt)
print(f"{len(dealt.rows)} sequences of {M * k} records; the last visits the last record")
print("groups of a sequence, the first three:", episodes.windows(M * k, w)[:3].tolist())
figure, axis = plt.subplots(figsize=(6, 2.5), layout="constrained")
axis.plot(100 * visited)
axis.set(xlabel="sample sequences", ylabel="records visited (%)")
plt.show()

# %% [markdown]
# ## Claim 3 · labels [0052–0053]
# The model reads ECG $a$ of group $i$ after the labelled ECGs before it, and predicts its label: the
# label group is pairs $(Y_a, Y^*_a)$, $i \le a \le j$. The model is SNAIL, alternating attention and
# temporal convolutions [0043] over the embeddings of a network, here the convolutional one of
# figure 3 with its four residual structures [0047] (in a lighter size).

# %%
filters = (4, 4, 4, 4) if SMOKE else (16, 24, 32, 64)
embed = encoder("residual", filters=filters, features=32, dropout=0.0, conv="matmul")
model = learners.snail(embed, way=M, length=M * k + 1, attention=((16, 16), (32, 32)), filters=16)


def sequence(number):
    """Sample sequence `number`: ECGs X [Mk, samples, leads] in mV, labels Y one-hot [Mk, M]."""
    X = tasks.millivolts(train.signals, train.scale, dealt.rows[number])
    return X, jax.nn.one_hot(dealt.slots[number], M)


X, Y = sequence(0)
at = episodes.windows(M * k, w)
groups = jax.vmap(lambda rows: tasks.group(X[rows], Y[rows]))(at)  # leaves [n, …]
first = jax.tree.map(lambda leaf: leaf[:1], groups)
theta_0, state = jax.jit(model.init)(jax.random.key(0), first)
said = jnp.exp(jax.jit(model.predict)(theta_0, state, first))[0]
for a, (true, predicted) in enumerate(zip(first.labels[0], said)):
    print(f"a = {a}   Y = {true.astype(int)}   Y* = {np.round(predicted, 2)}")

# %% [markdown]
# ## Claims 4 and 7 · loss and meta-parameter [0045, 0055]
# The expected loss of a group's label pairs, and the parameters at which it is least:
# $$L_i(\theta) = -\frac{1}{w} \sum_{a=i}^{j} Y_a \log Y^*_a(\theta), \qquad
# \theta_i = \arg\min_\theta L_i(\theta)$$
# A fixed number of steps of an optimiser stands for the argmin. BatchNorm's averages are kept as
# they are, so that all that changes is $\theta$.


# %%
def loss(theta, group):
    alone = jax.tree.map(lambda leaf: leaf[None], group)
    return losses.cross_entropy(model.predict(theta, state, alone), alone.labels)[0]


inner, steps = optax.adam(3e-3), 3
group_1 = jax.tree.map(lambda leaf: leaf[0], groups)
minimise = jax.jit(functools.partial(meta.minimise, loss, optimizer=inner, steps=steps))
theta_1, _, report = minimise(theta_0, group_1, state=inner.init(theta_0))
print(f"L_1(θ_0) = {report.before:.3f}, L_1(θ_1) = {report.after:.3f} nats")

# %% [markdown]
# ## Claim 5 · the i-th meta-parameter trains the (i+1)-th model [0054, 0056]
# $\theta_i$ is where the minimisation of group $i + 1$ starts; all are kept, a trajectory
# $\theta_1 \dots \theta_n$. One `lax.scan`:

# %%
trajectory, report = jax.jit(
    lambda theta, groups: meta.meta_parameters(
        loss, theta, groups, inner, steps=steps, with_report=True
    )
)(theta_0, groups)
same = jax.tree.map(lambda one, all_: np.allclose(one, all_[0], atol=1e-5), theta_1, trajectory)
assert all(jax.tree.leaves(same))  # the trajectory begins with the θ_1 of the cell above
print(f"n = {len(at)} meta-parameters of {sum(x.size for x in jax.tree.leaves(theta_0)):,} numbers")

# %% [markdown]
# ## Claim 6 · the optimum from the meta-optimiser [0048, 0057]
# $\theta_0$ and then $\theta_1 \dots \theta_n$ go one after another into the meta-optimiser, SGD or
# Adam. It is fed the pseudo-gradients $\varphi - \theta_i$ and starts from $\varphi = \theta_0$; with
# SGD of rate $\alpha$ that is
# $$\varphi \leftarrow (1 - \alpha)\,\varphi + \alpha\,\theta_i, \quad i = 1 \dots n; \qquad
# \theta^* = \varphi$$

# %%
optimise = jax.jit(meta.meta_optimise, static_argnames="optimizer")
theta_star, _ = optimise(theta_0, trajectory, optimizer=optax.sgd(0.3))
by_adam, _ = optimise(theta_0, trajectory, optimizer=optax.adam(1e-2))


def by_hand(phi, thetas):
    for theta in thetas:
        phi = 0.7 * phi + 0.3 * theta
    return phi


same = jax.tree.map(
    lambda star, start, thetas: np.allclose(star, by_hand(start, thetas), atol=1e-5),
    theta_star,
    theta_0,
    trajectory,
)
assert all(jax.tree.leaves(same))


@jax.jit
def distance(theta):
    return optax.tree.norm(optax.tree.sub(theta, theta_0))


print(f"distance of θ* from θ_0: SGD {distance(theta_star):.2f}, Adam {distance(by_adam):.2f}")
far = jax.vmap(distance)(trajectory)
plots.trajectory(
    np.array(far),
    np.array(report.before),
    np.array(report.after),
    star=float(distance(theta_star)),
)

# %% [markdown]
# ## Claim 1 · training [0049]
# The model is set to $\theta^*$ and goes on with the next sequences: $\theta_0 \leftarrow \theta^*$.
# `updates.trajectory` does claims 2–6 for several sequences at once and folds each $\theta_i$ into
# $\varphi$ as it comes, so that memory does not grow with $n$. Slots are named anew in every window:
# neighbouring ones share most of their records, and $\theta_i$ would learn them by heart.

# %%
rounds, together = (2, 1) if SMOKE else (60, 4)
plan = sequences.stream(train.index, rounds * together, way=M, per_class=k, seed=1)
draw = batches.SequenceDraw(plan, slots=M, batch=together)
update = updates.trajectory(
    model, optax.sgd(0.5), inner=optax.adam(1e-3), width=w, permute_slots=True, carry_inner=True
)
step = jax.jit(functools.partial(training_step.train_step, draw=draw, update=update))
now = jax.jit(functools.partial(training_step.init, model, update, draw))(train, jax.random.key(0))
history = []
for _ in range(rounds):
    now, metrics = step(now, train, jax.random.key(1))
    history.append((float(metrics["loss"]), float(metrics["loss_after"])))
figure, axis = plt.subplots(figsize=(6, 3), layout="constrained")
for values, name in zip(np.transpose(history), ("before, at $θ_{i-1}$", "after, at $θ_i$")):
    axis.plot(values, label=name)
axis.set(xlabel=f"update ({together} sequences each)", ylabel="loss of a group (nats)")
axis.legend()
plt.show()

# %% [markdown]
# A few hundred sequences are a beginning; `docs/trajectory.md` has what longer trainings reach, on
# frozen embeddings of a pretrained encoder.
#
# ## Claim 8 · diagnosis [0061]
# ECG into the optimal model, diagnosis out: here of conditions and patients that were not trained
# on, told apart by $k - 1$ labelled examples of each of $M$.

# %%
questions = evaluate.draw_episodes(
    test, jax.random.key(2), 20 if SMOKE else 300, way=M, shot=k - 1, query=1
)
optimal = now.variables
answers = evaluate.predict(model, optimal, test, questions, M)
names = protocols.split(library, protocol, "test").classes
found = evaluate.summarise(answers, names)
print(f"accuracy {found['accuracy']:.3f} ± {found['accuracy_ci95']:.3f}, chance {1 / M:.3f}")
one = jax.tree.map(lambda leaf: leaf[0], questions)
candidates = [names[c] for c in one.classes]
probs = [round(float(p), 2) for p in answers.probs[0, 0]]
print(f"a recording of {candidates[one.query_slots[0]]}:", dict(zip(candidates, probs)))

# %% [markdown]
# ## Claim 9 · the system [0063–0068]
#
# | module | what it does | here |
# |---|---|---|
# | S401 | sample groups | `sequences.epoch`, `episodes.windows` |
# | S402 | labels | `tasks.group`, `networks.Snail` |
# | S403 | loss, meta-parameters | `losses.cross_entropy`, `meta.meta_parameters` |
# | S404 | optimal meta-parameters | `meta.meta_optimise` |
# | S405 | training | `training_step.train_step` with `updates.trajectory` |
#
# ## Claim 10 · the device [0070]
# Memory, a processor and a program that does all this: one file that diagnoses without the training
# code (in a terminal, `python -m experiments.export`), with the calibration of its probabilities on
# the validation part.

# %%
validation = part("validation")
kind = dict(way=M, shot=k - 1, query=1)
predictor = Predictor.of(model, optimal)
check = evaluate.draw_episodes(validation, jax.random.key(4), 20 if SMOKE else 200, **kind)
calibration = fit_calibration(
    predictor,
    np.asarray(evaluate.embed(model, optimal, validation)),
    [check],
    np.asarray(evaluate.embed(model, optimal, train)),
)
path = Path("workdirs/patent.metaecg")
path.parent.mkdir(parents=True, exist_ok=True)
form = Form(library.hz, library.signals.shape[1], library.leads)
ready = Model(predictor, calibration, form, {"notebook": "4_patent"})
artefact.write(path, ready, model, optimal)
device = artefact.read(path)
ecgs = tasks.millivolts(test.signals, test.scale, jnp.arange(4))
difference = np.abs(device.predictor.embed(ecgs) - predictor.embed(ecgs)).max()
print(f"{path}: {path.stat().st_size / 1e6:.1f} MB; embeddings differ by at most {difference:.0e}")
