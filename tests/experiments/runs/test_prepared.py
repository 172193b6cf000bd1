"""What prepare says of a library: the model that suits its leads, and numbers in good English."""

from collections import Counter

import numpy as np
import pytest

from experiments.runs import prepared
from metaecg.data.library import Library
from metaecg.data.sources.importing import Imported
from metaecg.data.synthetic.generator import LEADS
from metaecg.diagnose import few_leads


def said(leads, hz=100.0, seconds=10, asked=False, records=1):
    library = Library(
        signals=np.ones((records, int(seconds * hz), len(leads)), np.int16),
        labels=np.ones((records, 1), bool),
        vocabulary=("AFIB",),
        patients=np.arange(records),
        hz=hz,
        leads=leads,
    )
    return prepared.summary(library, "mine", Imported(Counter(), 0, ()), 1.0, leads_asked=asked)


def test_the_form_is_that_of_the_models_of_fewer_leads():
    assert (prepared.COMMON.hz, prepared.COMMON.seconds) == (100, few_leads.SECONDS)


@pytest.mark.parametrize(
    ("leads", "asked", "model", "remedy"),
    [
        (("I",), False, "for lead I reads", ""),
        (("II",), True, "for lead II reads", ""),
        (("I", "II"), True, "for leads I and II reads", ""),
        (("I", "II", "V2"), False, "for leads I and II reads", " --leads=I,II"),
        (LEADS[:6], False, "for leads I and II reads", " --leads=I,II"),
        (("I", "II", "V2"), True, "12 standard leads", f" --leads={','.join(LEADS)}"),
        (LEADS, False, "12 standard leads", ""),
    ],
)
def test_the_flags_that_are_named_suit_the_leads_that_are_there(leads, asked, model, remedy):
    out = said(leads, hz=300.0, seconds=3, asked=asked)
    assert model in out
    assert f": --hz=100 --seconds=10{remedy} makes such a library" in out
    assert ("note:" in said(leads, asked=asked)) == bool(remedy)


def test_leads_that_no_model_reads_are_for_a_model_of_ones_own():
    assert "no model that comes with the package reads these leads" in said(("V1", "V5"))
    assert "--config=few_leads" in said(("V1", "V5"))


def test_one_is_singular():
    assert "mine: 1 record of 1 patient, 1 statement, 10 s" in said(LEADS)
    assert "mine: 2 records of 2 patients, 1 statement, 10 s" in said(LEADS, records=2)
