"""Which artefact a command means: the one that is named, or the package's for some leads."""

import pytest

from experiments.runs import model_flags
from metaecg.diagnose import artefact
from metaecg.errors import MetaecgError


@pytest.mark.parametrize(
    ("leads", "file"),
    [
        (("I",), "I.metaecg"),
        (("II", "V1"), "II.metaecg"),
        (("I", "II", "V2"), "I_II.metaecg"),
        (("V1",), "ptbxl.metaecg"),
    ],
)
def test_the_leads_choose_the_model(leads, file, tmp_path):
    assert model_flags.artefact_path(None, leads).name == file
    (mine := tmp_path / "mine.metaecg").write_bytes(b"")
    assert model_flags.artefact_path(str(mine), leads) == mine


def test_an_artefact_is_a_file(tmp_path):
    with pytest.raises(MetaecgError, match=r"^--artefact=run\.metaeg: there is no such file; give"):
        model_flags.load(None, "run.metaeg")
    with pytest.raises(
        MetaecgError, match=r"^--artefact=.* is a folder; .*trained run by --workdir"
    ):
        model_flags.load(None, str(tmp_path))


def test_without_leads_it_is_the_shipped_model():
    assert model_flags.artefact_path(None) == artefact.shipped_path()
