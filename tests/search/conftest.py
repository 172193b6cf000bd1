"""What the tests of the search share: a small library, and its archive."""

import numpy as np
import pytest
from searched import library, model

from metaecg.search import recordings
from metaecg.search.archive import Archive


@pytest.fixture(scope="module")
def opened():
    return library()


@pytest.fixture(scope="module")
def known(opened):
    return recordings.of_library(opened)


@pytest.fixture(scope="module")
def archive(opened, known):
    rows = np.arange(len(opened))
    return Archive.of(recordings.embed(model(), known.signals(rows)).astype(np.float16))
