"""Episodes a second, all clinical rules on, against Python samplers that obey none of them.

    python -m experiments.benchmarks.sampler --library=libraries/ptbxl

The index is that of the training part; the million records carry its label sets, drawn with
replacement, two or three to a patient. The peers see one label a record, know no patients and
load no data; they are plain Python, and the samplers of the few-shot libraries that can be
imported. None is a dependency, and what is left out is said. To have them all, with a torch and
a torchvision made for each other:

    pip install torch torchvision
    pip install --no-deps easyfsl torchmeta ordered-set
    pip install setuptools wheel cython
    pip download --no-deps --no-binary=:all: learn2learn==0.2.0
    tar xzf learn2learn-0.2.0.tar.gz
    (cd learn2learn-0.2.0; python setup.py build_ext bdist_wheel)
    pip install --no-deps learn2learn-0.2.0/dist/*.whl

Without dependencies because those of torchmeta and learn2learn are older than this Python;
`build_ext` because the C files in learn2learn's archive are, too. Only torchmeta needs torchvision.
"""

import functools
import importlib.util
import random
import sys
import warnings
from collections.abc import Callable, Sequence

import jax
import numpy as np
from absl import flags

from experiments.benchmarks import timing
from experiments.runs import command_line
from metaecg import episodes
from metaecg.data import protocols
from metaecg.data.library import open_library
from metaecg.types import LibraryIndex

FLAGS = flags.FLAGS
WAY, QUERY = 5, 5


def ours(index: LibraryIndex, shot: int, batch: int) -> Callable[[], object]:
    """Draws a batch on the device; another one at each call."""
    draw = jax.jit(
        lambda key, first: episodes.sample_episodes(
            key, first, batch, index, way=WAY, shot=shot, query=QUERY
        )
    )
    key, drawn = jax.random.key(0), iter(range(0, 2**30, batch))
    return lambda: jax.block_until_ready(draw(key, next(drawn)))


def plain(labels: Sequence[int], shot: int, batch: int) -> Callable[[], object]:
    """A list of rows for each class; classes and rows by `random.sample`."""
    by_class: dict[int, list[int]] = {}
    for row, label in enumerate(labels):
        by_class.setdefault(label, []).append(row)
    able = [rows for rows in by_class.values() if len(rows) >= shot + QUERY]

    def run() -> list[list[list[int]]]:
        return [
            [random.sample(rows, shot + QUERY) for rows in random.sample(able, WAY)]
            for _ in range(batch)
        ]

    return run


@functools.cache
def importable(name: str, *bare: str) -> bool:
    """Imports a module of a peer; where that fails, says so once.

    Args:
      name: full name of the module.
      bare: packages, outermost first, whose `__init__` is not run: it imports what no sampler
        needs (images, games, downloads) and what fails beside a recent torch.
    """
    try:
        for package in bare:
            if package not in sys.modules:
                if (spec := importlib.util.find_spec(package)) is None:
                    raise ModuleNotFoundError(f"No module named {package!r}")
                sys.modules[package] = importlib.util.module_from_spec(spec)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            importlib.import_module(name)
    except Exception as error:  # a torchvision made for another torch raises RuntimeError
        print(f"{name.partition('.')[0]} is left out: {error}")
        return False
    return True


def easyfsl(labels: Sequence[int], shot: int, batch: int) -> Callable[[], object] | None:
    """Its TaskSampler: rows; None where it cannot be imported."""
    if not importable("easyfsl.datasets.few_shot_dataset", "easyfsl", "easyfsl.datasets"):
        return None
    from easyfsl.datasets.few_shot_dataset import FewShotDataset

    vars(sys.modules["easyfsl.datasets"]).update(FewShotDataset=FewShotDataset)
    from easyfsl.samplers import TaskSampler

    class Dataset:
        def get_labels(self) -> Sequence[int]:
            return labels

    class OfOldTorch:  # whose Sampler took the argument that TaskSampler gives it
        def __init__(self, *_: object, **__: object) -> None: ...

    class Sampler(TaskSampler, OfOldTorch): ...

    sampler = Sampler(Dataset(), WAY, shot, QUERY, batch)
    return lambda: list(sampler)


def learn2learn(labels: Sequence[int], shot: int, batch: int) -> Callable[[], object] | None:
    """Its Taskset by the fastest of its transforms: task descriptions; None as above."""
    if not importable("learn2learn.data", "learn2learn"):
        return None
    from learn2learn.data import MetaDataset, Taskset
    from learn2learn.data.transforms import FusedNWaysKShots
    from torch.utils.data import Dataset

    class Records(Dataset):
        def __len__(self) -> int:
            return len(labels)

    records = MetaDataset(Records(), indices_to_labels=dict(enumerate(labels)))
    tasks = Taskset(records, [FusedNWaysKShots(records, n=WAY, k=shot + QUERY)])
    return lambda: [tasks.sample_task_description() for _ in range(batch)]


def torchmeta(labels: Sequence[int], shot: int, batch: int) -> Callable[[], object] | None:
    """Its CombinationMetaDataset and ClassSplitter: subsets of classes; None as above."""
    if not importable("torchmeta.utils.data", "torchmeta", "torchmeta.utils"):
        return None
    from torchmeta.transforms import ClassSplitter
    from torchmeta.utils.data import ClassDataset, CombinationMetaDataset, Dataset, SubsetTask

    # A recent torch wants it of every subset; only loading would call it.
    SubsetTask.__getitems__ = lambda self, indices: [self[i] for i in indices]
    sizes = np.unique(labels, return_counts=True)[1].tolist()

    class OneClass(Dataset):
        def __len__(self) -> int:
            return sizes[self.index]

    class Classes(ClassDataset):
        num_classes = len(sizes)

        def __getitem__(self, index: int) -> OneClass:
            return OneClass(int(index))

    split = ClassSplitter(num_train_per_class=shot, num_test_per_class=QUERY)
    tasks = CombinationMetaDataset(Classes(meta_train=True), WAY, dataset_transform=split)
    return lambda: [tasks.sample_task() for _ in range(batch)]


LIBRARIES = {"easyfsl": easyfsl, "learn2learn": learn2learn, "torchmeta": torchmeta}


def rows(
    labels: np.ndarray,
    patients: np.ndarray,
    *,
    shots: Sequence[int],
    batches: Sequence[int],
    repeats: int,
    records: str,
) -> list[dict]:
    """One row of the table a shot and batch: labels bool [R, C], patients [R]."""
    index = LibraryIndex(labels, patients)
    # The first statement of a record, of classes that can fill an episode by it.
    first = np.where(labels.any(1), labels.argmax(1), -1)
    enough = {c for c in range(labels.shape[1]) if (first == c).sum() >= max(shots) + QUERY}
    single = [c for c in first.tolist() if c in enough]
    found = []
    for shot in shots:
        for batch in batches:
            contenders = {"metaecg": ours(index, shot, batch)}
            contenders["plain Python"] = plain(single, shot, batch)
            for name, make in LIBRARIES.items():
                if peer := make(single, shot, batch):
                    contenders[name] = peer
            seconds = timing.alternate(contenders, repeats=repeats)
            rates = {n: timing.spread([batch / s for s in values]) for n, values in seconds.items()}
            row = {"records": records, "shot": shot, "batch": batch}
            row |= {f"{name}, episodes/s": rate for name, rate in rates.items()}
            for name in list(rates)[1:]:
                row[f"ratio to {name}"] = rates["metaecg"]["median"] / rates[name]["median"]
            found.append(row)
    return found


def main(_) -> None:
    command_line.need("library")
    library = open_library(FLAGS.library)
    part = protocols.split(library, protocols.load(FLAGS.protocol), "train")
    sizes = {"shots": [int(s) for s in FLAGS.shots], "batches": [int(b) for b in FLAGS.batches]}
    found = rows(
        part.labels, part.patients, **sizes, repeats=FLAGS.repeats, records=f"{len(part.rows):,}"
    )
    rng = np.random.default_rng(0)
    copies = rng.integers(0, len(part.rows), FLAGS.records)
    patients = rng.integers(0, FLAGS.records * 9 // 20, FLAGS.records)
    found += rows(
        part.labels[copies], patients, **sizes, repeats=FLAGS.repeats, records=f"{FLAGS.records:,}"
    )
    timing.report(found, FLAGS.output, protocol=FLAGS.protocol)


if __name__ == "__main__":
    flags.DEFINE_string("library", None, "library made by metaecg prepare")
    flags.DEFINE_string("protocol", "ptbxl_rare", "whose training part is drawn from")
    flags.DEFINE_list("shots", ["1", "5", "10"], "examples of a class")
    flags.DEFINE_list("batches", ["16", "1024"], "episodes drawn at a time")
    flags.DEFINE_integer("records", 1_000_000, "of the large index", lower_bound=1000)
    timing.run(main, repeats=7)
