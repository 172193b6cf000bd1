"""experiments.export refuses what is wrong before it builds a learner and converts it."""

import sys

import numpy as np
import pytest
from absl import flags

from experiments import export
from metaecg.errors import MetaecgError


@pytest.fixture
def run(monkeypatch, tmp_path):
    """Runs the command in this process with some flags; building a learner fails the test."""
    monkeypatch.setattr(export, "load", lambda *_: pytest.fail("a learner was built"))
    monkeypatch.chdir(tmp_path)

    def run(**given):
        export.define_flags()
        flags.FLAGS(["export", *(f"--{name}={value}" for name, value in given.items())])
        return export.main([])

    return run


def test_flags_that_do_not_fit_are_named(run, tmp_path):
    for given, said in (
        ({}, "--output is needed"),
        ({"output": "a.html"}, r"--output=a\.html: the format is metaecg; give --format=html, or"),
        ({"output": "a.html", "workdir": "run"}, "give --format=html"),
        (
            {"output": "a.onnx", "format": "html"},
            r"give --format=onnx, or a name that ends in \.html",
        ),
        ({"output": "a.metaecg"}, "--workdir is needed: the trained run"),
        ({"output": "no/a.onnx", "format": "onnx"}, "name a file in a folder that exists"),
    ):
        with pytest.raises(MetaecgError, match=said) as error:
            run(**given)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("form", ["onnx", "html"])
def test_a_missing_package_is_missed_at_once(run, monkeypatch, form):
    monkeypatch.setitem(sys.modules, "jax2onnx", None)
    with pytest.raises(MetaecgError, match="needs the package jax2onnx"):
        run(format=form, output=f"a.{form}")


def test_examples_are_read_at_once(run, monkeypatch, tmp_path):
    monkeypatch.setattr(export.onnx_file, "check_installed", lambda: None)
    (tmp_path / "examples" / "AF").mkdir(parents=True)
    np.save(tmp_path / "examples" / "AF" / "a.npy", np.eye(1000, 12))
    with pytest.raises(MetaecgError, match=r"a\.npy: .*give --hz"):
        run(format="html", output="a.html", support=tmp_path / "examples")
    with pytest.raises(MetaecgError, match="--artefact=gone: there is no such file"):
        run(format="html", output="a.html", support=tmp_path / "examples", artefact="gone")


def test_the_runtime_is_asked_for_before_the_conversion(run, monkeypatch, tmp_path):
    monkeypatch.setattr(export.onnx_file, "check_installed", lambda: None)
    monkeypatch.setattr(export, "load", lambda *_: (None, None, None))
    monkeypatch.setattr(export, "as_onnx", lambda *_: pytest.fail("it was converted"))
    with pytest.raises(MetaecgError, match="it is the folder of the npm package onnxruntime-web"):
        run(format="html", output="a.html", onnxruntime=tmp_path)
