"""Embeddings that are kept: right, never stale, gone on with after a kill, damage is found."""

import json
import re

import numpy as np
import pytest
from searched import FEATURES, embed, library, model

from metaecg.data import files, writing
from metaecg.data.library import open_library
from metaecg.errors import MetaecgError
from metaecg.search import archive, cache


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "BLOCK", 48)  # 200 records are five blocks
    writing.save(library(), tmp_path / "library")
    return tmp_path / "library"


def millivolts(units):
    """As recordings are diagnosed: without offsets, in whole microvolts."""
    return np.rint(units - np.median(units, axis=1, keepdims=True)).astype(np.float32) / 1000


def counted(asked):
    def function(records):
        asked.append(len(records))
        return embed(records)

    return model(function)


def test_embeddings_are_the_models_own_and_are_computed_once(folder):
    opened, asked = open_library(folder), []
    kept, _ = cache.embeddings(counted(asked), opened, folder)
    assert (kept.shape, kept.dtype) == ((200, FEATURES), np.float16)
    signals = opened.signals
    expected = embed(millivolts(signals))
    np.testing.assert_allclose(kept, expected, rtol=1e-3, atol=1e-2)
    before = len(asked)
    again, _ = cache.embeddings(counted(asked), opened, folder)
    np.testing.assert_array_equal(again, kept)
    assert len(asked) == before
    open_library(folder)  # is still one


@pytest.mark.parametrize("left", ["whole", "torn", "edited", "a scalar", "of others", "unwritable"])
def test_the_space_of_an_archive_is_kept_and_is_never_another(folder, monkeypatch, left):
    opened = open_library(folder)
    first = cache.archive(model(), opened, folder)
    expected = archive.Archive.of(*cache.embeddings(model(), opened, folder))
    (place,) = (folder / "embeddings").iterdir()
    path = place / "space.npz"
    content, computed = path.read_bytes(), []
    if left == "torn":
        path.write_bytes(content[: len(content) // 2])
    if left == "edited":
        middle = len(content) // 2
        path.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])
    if left == "a scalar":
        np.savez(path, **(dict(np.load(path)) | {"root": np.float32(1)}))
    if left == "of others":
        monkeypatch.setattr(archive, "SHRINKAGE", 3.0)
        expected = archive.Archive.of(*cache.embeddings(model(), opened, folder), shrinkage=3.0)
    if left == "unwritable":
        path.unlink()
        (place / ".space.new").mkdir()

    def counted_of(*args, **kwargs):
        computed.append(1)
        return expected

    monkeypatch.setattr(archive.Archive, "of", counted_of)
    again = cache.archive(model(), opened, folder)
    assert len(computed) == (left != "whole")
    for one in [again] if left == "of others" else [first, again]:
        for name in ("embeddings", "basis", "mean", "root", "lengths"):
            np.testing.assert_array_equal(getattr(one, name), getattr(expected, name))


def killed_after(blocks):
    """A progress bar at which the process dies."""

    def progress(starts):
        for number, start in enumerate(starts):
            if number == blocks:
                raise KeyboardInterrupt
            yield start

    return progress


@pytest.mark.parametrize("left", ["whole", "torn block", "torn line", "line without block"])
def test_what_a_killed_process_left_is_gone_on_with(folder, left):
    opened, asked = open_library(folder), []
    with pytest.raises(KeyboardInterrupt):
        cache.embeddings(model(), opened, folder, killed_after(3))
    (place,) = (folder / "embeddings").iterdir()
    if left == "torn block":
        with open(place / "embeddings.f16", "ab") as file:
            file.write(b"x" * 100)
    if left == "torn line":
        with open(place / "blocks.jsonl", "a") as file:
            file.write('{"rows": 48, "cr')
    if left == "line without block":
        with open(place / "blocks.jsonl", "a") as file:
            file.write('{"rows": 48, "crc32": 1}\n')
    kept, _ = cache.embeddings(counted(asked), opened, folder)
    assert sum(asked) == 2 * 64  # two of five blocks, each filled up to a batch
    whole, _ = cache.embeddings(model(), library(), folder.parent)  # computed without a stop
    np.testing.assert_array_equal(kept, whole)


def test_a_library_that_was_made_anew_is_embedded_anew(folder):
    cache.embeddings(model(), open_library(folder), folder)
    other, asked = library(seed=1), []
    kept, _ = cache.embeddings(counted(asked), other, folder)
    assert asked
    signals = other.signals
    expected = embed(millivolts(signals))
    np.testing.assert_allclose(kept, expected, rtol=1e-3, atol=1e-2)


def test_models_have_embeddings_of_their_own():
    one, other = model(), model()._replace(provenance={"model": "cosines"})
    assert cache.fingerprint(one) != cache.fingerprint(other)
    longer = one._replace(form=one.form._replace(samples=200))
    assert cache.fingerprint(one) != cache.fingerprint(longer)


def test_damage_is_found_and_the_remedy_named(folder):
    opened = open_library(folder)
    cache.embeddings(model(), opened, folder)
    (place,) = (folder / "embeddings").iterdir()
    with open(place / "embeddings.f16", "r+b") as file:
        file.seek(100 * FEATURES * 2)
        file.write(b"\0\1\2\3")
    expected = re.escape(f"{place}/embeddings.f16: damaged at record 96 to 143; delete the folder")
    with pytest.raises(MetaecgError, match=expected):
        cache.embeddings(model(), opened, folder)


@pytest.mark.parametrize("line", ["null", "[1]", '{"version": 2}', "x"])
def test_a_strange_first_line_is_no_cache(folder, line):
    opened = open_library(folder)
    kept = np.array(cache.embeddings(model(), opened, folder)[0])
    (place,) = (folder / "embeddings").iterdir()
    lines = (place / "blocks.jsonl").read_text().splitlines()
    assert json.loads(lines[0])["records"] == 200
    (place / "blocks.jsonl").write_text("\n".join([line, *lines[1:]]) + "\n")
    np.testing.assert_array_equal(cache.embeddings(model(), opened, folder)[0], kept)


@pytest.fixture
def short(monkeypatch):
    """Embeddings of more numbers than are kept."""
    monkeypatch.setattr(archive, "MOST_FEATURES", 10)
    monkeypatch.setattr(cache, "MOST_FEATURES", 10)


@pytest.mark.usefixtures("short")
def test_long_embeddings_are_kept_by_their_principal_directions(folder):
    opened, asked = open_library(folder), []
    kept, basis = cache.embeddings(counted(asked), opened, folder)
    assert (kept.shape, basis.shape) == ((200, 10), (FEATURES, 10))
    signals = opened.signals
    whole = embed(millivolts(signals))
    np.testing.assert_allclose(kept, whole @ basis, rtol=1e-3, atol=1e-2)
    before = len(asked)
    again, same = cache.embeddings(counted(asked), opened, folder)
    np.testing.assert_array_equal(again, kept)
    np.testing.assert_array_equal(same, basis)
    assert len(asked) == before


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("left", ["kept", "gone", "torn", "another", "a scalar"])
def test_blocks_are_gone_on_with_only_in_the_directions_they_were_made_in(folder, left):
    opened, asked = open_library(folder), []
    with pytest.raises(KeyboardInterrupt):
        cache.embeddings(model(), opened, folder, killed_after(3))
    (place,) = (folder / "embeddings").iterdir()
    path = place / "basis.npy"
    if left == "gone":
        path.unlink()
    if left == "torn":
        path.write_bytes(path.read_bytes()[:-5])
    if left == "another":
        np.save(path, -np.load(path))
    if left == "a scalar":
        np.save(path, np.float32(1))
    kept, basis = cache.embeddings(counted(asked), opened, folder)
    assert sum(asked) == (2 * 64 if left == "kept" else 256 + 5 * 64)
    whole, anew = cache.embeddings(model(), library(), folder.parent)
    np.testing.assert_array_equal(basis, anew)
    np.testing.assert_array_equal(kept, whole)


def test_two_processes_do_not_compute_the_same(folder):
    place = folder / "embeddings" / cache.fingerprint(model())[:16]
    place.mkdir(parents=True)
    with files.locked(place / ".lock", ""), pytest.raises(MetaecgError, match="another process"):
        cache.embeddings(model(), open_library(folder), folder)


def test_what_cannot_be_embedded_is_refused(folder):
    other = library()
    object.__setattr__(other, "hz", 25.0)
    expected = (
        "archive: 25 Hz, 100 samples, leads I II; the model reads 50 Hz, 100 samples, leads I II: "
        "prepare the library alike, by metaecg prepare … --hz=50 --seconds=2"
    )
    with pytest.raises(MetaecgError) as error:
        model().form.check(other, name="archive")
    assert str(error.value) == expected
    for form, flags in (
        (model().form._replace(samples=50), "--seconds=1"),
        (model().form._replace(samples=200, hz=100.0), "--hz=100"),
        (model().form._replace(leads=("I", "V1")), "--leads=I,V1"),
    ):
        with pytest.raises(MetaecgError, match=rf"prepare … {flags}$"):
            form.check(library())

    def broken(records):
        return np.where(np.arange(len(records))[:, None] == 2, np.nan, embed(records))

    with pytest.raises(MetaecgError, match="record r2: the model's embedding of it is not finite"):
        cache.embeddings(model(broken), open_library(folder), folder)
