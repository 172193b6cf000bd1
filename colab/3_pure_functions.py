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
# # 3 · Pure functions in your research
#
# *On Colab: open this file by 'File → Upload notebook' and give the address of your copy of the repository
# in the first cell.*
#
# **What it does.** Everything below the commands of metaecg is pure functions, of use without an ECG
# in sight: this notebook samples episodes under clinical rules, meta-trains SNAIL on small images
# with an encoder of its own, swaps the meta-optimiser, and writes a new learner in twenty lines.
#
# **How long it takes.** About three minutes on two CPU cores.

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

import flax.linen as nn
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax

from metaecg import episodes, evaluate, learners, losses
from metaecg.episodes import sequences
from metaecg.train import batches, meta, training_step, updates
from metaecg.types import Learner, LibraryIndex, Variables

SMOKE = os.environ.get("METAECG_SMOKE") == "1"  # the tests run everything on a very small scale
WAY, SHOT, QUERY = 5, 1, 3

# %% [markdown]
# ## Sample episodes
# An index says who carries what; an episode is rows of it. Its rules: classes distinct and uniform,
# slots permuted; a record carries its own class and none of the episode's others; no record and no
# patient twice; class sets that cannot fill every slot are never drawn.

# %%
rng = np.random.default_rng(0)
index = LibraryIndex(labels=rng.random((1000, 12)) < 0.1, patients=np.arange(1000) // 2)
episode = episodes.sample_episode(jax.random.key(0), index, way=WAY, shot=SHOT, query=QUERY)
for field, value in episode._asdict().items():
    print(f"{field:14}", value)

# %% [markdown]
# It is a function of its key: it may be jitted and vmapped, and episode *i* of a stream is the same
# in every batch and on every device. `verify` checks the rules on the host.

# %%
sample = functools.partial(
    episodes.sample_episodes, count=500, way=WAY, shot=SHOT, query=QUERY, index=index
)
many = jax.jit(sample)(jax.random.key(0), 0)
episodes.verify(index, many)
drawn = np.concatenate([many.support, many.query], axis=1)
print("share of each class's records drawn:", episodes.coverage(index, drawn).round(2))

# %% [markdown]
# Ask for too much, and the error says what is short:

# %%
try:
    episodes.sample_episode(jax.random.key(0), index, way=12, shot=50, query=5)
except ValueError as error:
    print(error)

# %% [markdown]
# ## Your own encoder: images
# A toy of another modality: noisy gratings of 16 × 16 pixels, 32 classes of as many orientations and
# widths, 20 images a class. The first 22 classes train, the other 10 test.

# %%
CLASSES, EACH, TRAIN = 32, 20, 22


def grating(angle, width, phase):
    """[N] angles, widths and phases to images [N, 16, 16, 1]."""
    y, x = np.mgrid[:16, :16]
    turn, width, phase = angle[:, None, None], width[:, None, None], phase[:, None, None]
    along = np.cos(turn) * x + np.sin(turn) * y
    return np.sin(2 * np.pi * along / width + phase)[..., None]


kind = rng.permutation(CLASSES)  # so that train and test classes are of all sorts
of = np.repeat(np.arange(CLASSES), EACH)
images = grating(np.pi * (kind[of] % 8) / 8, 3.0 + 2 * (kind[of] // 8), 6.28 * rng.random(len(of)))
images += rng.normal(0, 0.5, images.shape)


def part(classes):
    """The images of some classes as `Data`: int16 units, and what one unit is."""
    rows = np.flatnonzero(np.isin(of, classes))
    index = LibraryIndex(labels=of[rows, None] == classes, patients=rows)
    return batches.Data(jnp.asarray((1000 * images[rows]).astype(np.int16)), 0.001, index)


train, test = part(np.arange(TRAIN)), part(np.arange(TRAIN, CLASSES))
figure, axes = plt.subplots(2, 8, figsize=(8, 2.2), layout="constrained")
for c, axis in enumerate(axes.ravel()):
    axis.imshow(images[EACH * c, ..., 0], cmap="gray")
    axis.set_axis_off()
figure.suptitle("one image of each of 16 classes")
plt.show()

# %% [markdown]
# An encoder is any Linen module called as `encoder(records, train=…)` that turns records
# `[N, …]` into embeddings `[N, D]`. This one looks at patches of 4 × 4 pixels: a matrix product, as
# XLA's CPU backend is slow at convolutions inside the loops of the meta-updates below.


# %%
class Patches(nn.Module):
    features: int = 64

    @nn.compact
    def __call__(self, x, *, train=False):
        x = x.reshape(-1, 4, 4, 4, 4).swapaxes(2, 3).reshape(-1, 16, 16)  # [N, patches, pixels]
        x = nn.gelu(nn.Dense(self.features)(x))
        x = nn.gelu(nn.Dense(self.features)(x)).mean(axis=1)
        return nn.Dense(self.features)(x)


# %%
def run(learner, update, draw, steps):
    """Trains a learner from scratch; returns its variables and its losses."""
    init = jax.jit(functools.partial(training_step.init, learner, update, draw))
    step = jax.jit(functools.partial(training_step.train_step, draw=draw, update=update))
    state = init(train, jax.random.key(1))
    history = []
    for _ in range(steps):
        state, metrics = step(state, train, jax.random.key(2))
        history.append(float(metrics["loss"]))
    return state.variables, history


count = 20 if SMOKE else 300
questions = evaluate.draw_episodes(test, jax.random.key(3), count, way=WAY, shot=SHOT, query=QUERY)


def score(learner, variables):
    """Accuracy on episodes of the unseen classes, with its 95 % interval."""
    said = evaluate.predict(learner, variables, test, questions, WAY)
    found = evaluate.summarise(said, tuple(f"class {c}" for c in range(TRAIN, CLASSES)))
    return f"{found['accuracy']:.3f} ± {found['accuracy_ci95']:.3f}"


def snail():
    return learners.snail(
        Patches(), way=WAY, length=WAY * (SHOT + 2) + 1, attention=((16, 16), (32, 32)), filters=16
    )


draw = batches.EpisodeDraw(WAY, SHOT, QUERY, slots=WAY, batch=16)
adam = optax.adam(2e-3)
STEPS = 3 if SMOKE else 500
variables, history = run(snail(), updates.episodic(snail(), adam), draw, STEPS)
print(f"SNAIL on unseen classes of images: {score(snail(), variables)} (chance 0.2)")

# %% [markdown]
# ## Swap the meta-optimiser
# The update of the source deals *sample sequences*, slides a window over each, minimises the loss of
# every window from where the last one ended ($\theta_{i-1} \to \theta_i$), and feeds the trajectory to
# a meta-optimiser: SGD or Adam in the source, any optax transform here.
# $$\varphi \leftarrow \varphi + \mathrm{optimiser}(\varphi - \theta_i), \quad i = 1 \dots n$$

# %%
theta_0 = {"w": jnp.zeros(2)}
theta_i = {"w": jnp.array([[1.0, 0.0], [1.0, 1.0]])}  # a trajectory of n = 2
for name, optimizer in {"SGD": optax.sgd(0.5), "Lion": optax.lion(0.5)}.items():
    theta_star, _ = meta.meta_optimise(theta_0, theta_i, optimizer)
    print(name, theta_star["w"])

# %%
RULES = {
    "SGD": optax.sgd(0.5),
    "SGD with momentum": optax.sgd(0.1, momentum=0.8),
    "Adam": optax.adam(1e-3),
}
STEPS = 2 if SMOKE else 150
dealt = sequences.stream(train.index, 4 * STEPS, way=WAY, per_class=SHOT + 2, seed=0)
by_sequence = batches.SequenceDraw(dealt, slots=WAY, batch=4)
figure, axis = plt.subplots(figsize=(6, 3), layout="constrained")
for name, optimizer in RULES.items():
    update = updates.trajectory(
        snail(),
        optimizer,
        inner=optax.adam(1e-3),
        width=WAY * SHOT + 1,
        permute_slots=True,
        carry_inner=True,
    )
    variables, history = run(snail(), update, by_sequence, STEPS)
    axis.plot(history, label=name, linewidth=1)
    print(f"{name:20} {score(snail(), variables)}")
axis.set(xlabel="step (4 sequences each)", ylabel="loss of a window at $θ_{i-1}$ (nats)")
axis.legend(title="meta-optimiser")
plt.show()

# %% [markdown]
# One setting each and one seed: a demonstration of the interchange, not a comparison of methods.
#
# ## A new learner in twenty lines
# A `Learner` is a NamedTuple of pure functions over a batch of tasks, as optax's
# `GradientTransformation` is: `init`, `loss` for training and `predict` for use. Here, from scratch,
# is ridge regression on the support, differentiated through (R2-D2; Bertinetto et al., *Meta-learning
# with differentiable closed-form solvers*, ICLR 2019, section 3); `learners.ridge` is the toolkit's:
# $$W = X^\top (X X^\top + \lambda I)^{-1} Y, \qquad \mathrm{logits}(q) = s \, q \, W$$


# %%
def ridge(encoder):
    def logits(params, task):
        x = encoder.apply(params["encoder"], task.records)
        context, query, slots = x[task.support], x[task.query], task.labels[task.support]
        penalty, scale = jnp.exp(params["ridge"])
        gram = context @ context.T + penalty * jnp.eye(len(context))
        return scale * query @ (context.T @ jnp.linalg.solve(gram, slots))

    def init(key, tasks):
        encoded = encoder.init(key, tasks.records[0, :1])
        return Variables({"encoder": encoded, "ridge": jnp.zeros(2)}, {})

    def loss(params, state, tasks, key):
        said = jax.vmap(logits, (None, 0))(params, tasks)
        truth = jnp.take_along_axis(tasks.labels, tasks.query[..., None], axis=1)
        return losses.cross_entropy(said, truth).mean(), (state, {})

    def predict(params, state, tasks):
        return jax.nn.log_softmax(jax.vmap(logits, (None, 0))(params, tasks))

    return Learner(init, predict, loss)


# %% [markdown]
# It trains, evaluates and meta-optimises as every other learner does:

# %%
STEPS = 3 if SMOKE else 500
for name, learner in {
    "ridge regression": ridge(Patches()),
    "prototypes": learners.protonet(Patches()),
}.items():
    variables, history = run(learner, updates.episodic(learner, adam), draw, STEPS)
    print(f"{name:20} {score(learner, variables)}")

# %% [markdown]
# To make one a part of the toolkit: a file in `metaecg/learners/`, and an entry in
# `metaecg/learners/registry.py`.
# `metaecg.learners.from_head` shortens what embeds records by themselves to a head of a few lines
# (`metaecg/learners/ridge.py`), and gives it cached embeddings in evaluation.
