"""A toy run that takes seconds: nine conditions that differ in the frequency of a sine."""

import json
from pathlib import Path

import numpy as np

from metaecg.data import Library, save

SETTINGS = (
    "way=2,shot=1,query=1,batch=2,steps=4,log_every=2,validate_every=2,checkpoint_every=2,"
    "validation_episodes=4,test_episodes=6,pretrain.steps=2,pretrain.batch=8,head.steps=2,"
    "head.batch=2,snail.attention=4x4+4x4,snail.filters=4,whiten=false"
)


def write(folder: Path, *, records: int = 108, samples: int = 128, seed: int = 0) -> str:
    """Writes library and protocol to a folder; returns the settings that train on them."""
    rng = np.random.default_rng(seed)
    labels = np.eye(9, dtype=bool)[np.arange(records) * 9 // records]
    wave = np.sin(np.arange(samples)[None, :, None] * (1 + labels.argmax(1)[:, None, None]) / 9)
    signals = (500 * wave + rng.normal(0, 50, (records, samples, 2))).astype(np.int16)
    patients, vocabulary = np.arange(records), tuple("ABCDEFGHI")
    library = Library(signals=signals, labels=labels, vocabulary=vocabulary, patients=patients)
    save(library, folder / "library")
    split = {"train": "ABC", "validation": "DEF", "test": "GHI"}
    protocol = {"membership": "any", **{part: list(codes) for part, codes in split.items()}}
    (folder / "protocol.json").write_text(json.dumps(protocol))
    return f"library={folder / 'library'},protocol={folder / 'protocol.json'},{SETTINGS}"
