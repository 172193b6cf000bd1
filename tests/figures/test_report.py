"""Pages: self-contained, complete, legible without seeing the figures, and true to the numbers."""

import base64
import json
import re
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from browser import CHROME, Browser
from matplotlib.figure import Figure

from metaecg.data.readers.notes import Note
from metaecg.diagnose.answers import Answers
from metaecg.diagnose.calibration import Calibration
from metaecg.diagnose.diagnosis import Diagnosis, Evidence
from metaecg.diagnose.measurements import measure
from metaecg.diagnose.model import Form, Model
from metaecg.diagnose.predictor import Predictor
from metaecg.diagnose.support import Read
from metaecg.figures import pages, report

LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
CSS = (Path(pages.__file__).parent / "templates" / "page.css").read_text("utf-8")


class Reader(HTMLParser):
    """Text, elements and attributes of a page; fails where tags do not match."""

    def __init__(self, html):
        super().__init__()
        self.open, self.found, self.words = [], [], []
        self.feed(html)
        self.close()
        assert self.open == []
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        if tag not in ("meta", "link"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.words.append(data)

    def all(self, tag):
        return [attrs for name, attrs in self.found if name == tag]


def ecg(seed=0, samples=1000):
    rng = np.random.default_rng(seed)
    beats = np.exp(-((np.arange(samples) / 100 % 0.8 - 0.3) ** 2) / 2 / 0.02**2)
    return beats[:, None] * rng.uniform(-1, 1.5, 12) + rng.normal(0, 0.03, (samples, 12))


def recorded(name, signal, *notes):
    return Read(name, name, signal, 100.0, tuple(map(Note, notes)))


def diagnosis_page(cases, support, provenance=None, hz=100.0, warnings=()):
    """Cases of (query, diagnosis)."""
    queries, diagnoses = zip(*cases)
    known = Calibration((), (), (), 0.0)
    form = Form(hz, len(queries[0].signal), LEADS)
    model = Model(Predictor(lambda x: x, lambda x: x), known, form, provenance or {})
    measured = [measure(query.signal, hz, LEADS) for query in queries]
    found = Answers(support, queries, diagnoses, warnings, measured=measured, model=model)
    return report.diagnosis_page(found)


SUPPORT = [
    (recorded(f"{label}/{k}.csv", ecg(k)), label) for label in ("AFIB", "<WPW>") for k in range(2)
]
SURE = Diagnosis(
    ("AFIB", "<WPW>"), np.float32([0.2, 0.8]), np.float32([0.1, 0.7]), np.float32([0.3, 0.9]),
    "<WPW>", ("<WPW>",), 0.1,
    (Evidence(0, 0.1, -0.02), Evidence(1, 0.05, 0.0), Evidence(2, 0.6, 0.31), Evidence(3, 0.25, 0)),
    (),
)  # fmt: skip
UNSURE = SURE._replace(
    answer=None, plausible=("AFIB", "<WPW>"), warnings=("far from all examples & <odd>",)
)


@pytest.fixture(scope="module")
def diagnosed():
    cases = [
        (recorded("a&b.edf", ecg(7)), SURE),
        (recorded("c.csv", ecg(8), "500 Hz to 100 Hz"), UNSURE),
    ]
    provenance = {"model": {"fingerprint": "ab" * 32}, "leads": LEADS, "rate": 0.1234567}
    return diagnosis_page(cases, SUPPORT, provenance, warnings=["all examples are <flat>"])


def results():
    def row(learner, shot, **more):
        confusion = np.diag([8, 4, 0, 9]) + np.array(
            [[0, 2, 0, 0], [5, 0, 0, 1], [0] * 4, [1, 0, 0, 0]]
        )
        per_class = {
            name: {"queries": 10, "recall": recall, "auroc": 0.8}
            for name, recall in (("A", 0.8), ("<B>", 0.4), ("D", 0.9))
        }
        return {
            "learner": learner, "way": 3, "shot": shot, "query": 5, "episodes": 10,
            "accuracy": 0.7, "accuracy_ci95": 0.05, "accuracy_patients95": [0.6, 0.8],
            "macro_auroc": 0.8, "ece": 0.1, "brier": 0.5, "per_class": per_class,
            "confusion": confusion.tolist(),
        } | more  # fmt: skip

    bins = [{"confidence": 0.5, "accuracy": 0.4, "count": 10}]
    bins += [{"confidence": 0.9, "accuracy": 0.8, "count": 20}]
    return {
        "command": "python -m experiments.evaluate", "seed": 0, "protocol": "p", "part": "test",
        "library": {"fingerprint": "cd" * 32}, "machine": {"jax": "1"}, "seconds": 1.25,
        "runs": {"snail": {"step": 5, "config": {}}},
        "rows": [row("snail", 1), row("snail", 5, reliability=bins),
                 row("plain", 1, difference=[0.1, 0.05])],
    }  # fmt: skip


CURVES = [{"step": 1, "loss": 1.0}, {"step": 2, "loss": 0.5, "validation": {"accuracy": 0.61}}]


@pytest.fixture(scope="module")
def evaluated():
    return report.evaluation_page(results(), CURVES)


@pytest.fixture(scope="module")
def referred():
    rows = results()["rows"]
    detected = {"Detection by <statement>": (("statement", "AUROC"), [("<B>", "0.9")])}
    return report.reference_page("All of <p>", rows, {"Split 0": rows[1]}, detected, {"seeds": 3})


def test_the_reference_shows_scores_classes_and_what_else_there_is(referred):
    page = Reader(referred)
    assert "All of <p>" in page.text
    assert "snail 5 0.700 ± 0.050 0.600 – 0.800" in page.text
    assert "Split 0 Worst classes" in page.text
    assert "Detection by <statement> statement AUROC <B> 0.9" in page.text
    assert "seeds 3" in page.text
    assert len(page.all("svg")) == 3


def test_a_run_without_a_validation_part_has_its_learning_curve():
    html = report.evaluation_page(results(), [{"step": 1, "loss": 1.0, "validation": {}}])
    assert "Training loss by step" in Reader(html).text


@pytest.mark.parametrize("name", ["diagnosed", "evaluated", "referred"])
def test_a_page_needs_nothing_else_and_can_be_read_aloud(name, request):
    html = request.getfixturevalue(name)
    page = Reader(html)
    assert "<script" not in html
    links = [v for _, a in page.found for k, v in a.items() if k in ("src", "href", "xlink:href")]
    assert all(link.startswith(("#", "data:")) for link in links)
    assert not re.search(r"@import|url\((?!#)", html)
    assert page.all("html") == [{"lang": "en"}]
    assert page.text.count("Research software, not a medical device.") == 2
    ids = [attrs["id"] for _, attrs in page.found if "id" in attrs]
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'(?:url\(|href=")#([^")]+)', html)) <= set(ids)
    assert "\ue000" not in html
    for svg in page.all("svg"):
        assert svg["role"] == "img"
        assert len(svg["aria-label"]) > 20
    for cell in page.all("th"):
        assert cell["scope"] in ("row", "col")
    headings = [int(tag[1]) for tag, _ in page.found if re.fullmatch(r"h\d", tag)]
    assert headings[0] == 1
    assert max(np.diff(headings)) <= 1


def test_unsure_of_a_single_plausible_diagnosis_says_why():
    probs = np.array([0.9, 0.1])
    grounds = (Evidence(0, 1.0, 0.1),)
    only = Diagnosis(("LQT", "WPW"), probs, probs, probs, None, ("LQT",), 0.1, grounds, ())
    html = diagnosis_page([(recorded("q", ecg()), only)], [(recorded("a", ecg(1)), "LQT")])
    said = "Unsure: LQT is not certain enough to be answered. Plausible: LQT."
    assert said in Reader(html).text
    rare = only._replace(error_rate=0.004)
    page = diagnosis_page([(recorded("q", ecg()), rare)], [(recorded("a", ecg(1)), "LQT")])
    assert "are wrong in about 0.4% of" in Reader(page).text


def test_where_no_rate_can_be_stated_none_is():
    without = UNSURE._replace(error_rate=None)
    said = Reader(diagnosis_page([(recorded("q", ecg()), without)], SUPPORT)).text
    assert "Unsure. No rate of errors can be stated, so that no candidate is excluded." in said
    assert "are wrong in about" not in said


def test_the_diagnosis_says_what_was_answered_and_why(diagnosed):
    page = Reader(diagnosed)
    said = page.text
    assert "<WPW>, probability 80%. Plausible: <WPW>. Answers and lists like these are " in said
    assert "wrong in about 10% of recordings like those of the validation" in said
    assert "Unsure. Plausible: AFIB, <WPW>." in said
    assert "Warning: far from all examples & <odd>" in said
    assert said.count("Warning: all examples are <flat>") == 1
    assert "<WPW> yes 80.0% 70.0% – 90.0% AFIB no 20.0% 10.0% – 30.0%" in said
    first = "<WPW> — <WPW>/0.csv: weight 60%; without it the probability of <WPW> would be "
    assert first + "31.0 points lower" in said
    assert (
        "<WPW>/1.csv: weight 25%; without it the probability of <WPW> would stay the same" in said
    )
    assert (
        "AFIB/0.csv: weight 10%; without it the probability of <WPW> would be 2.0 points higher"
        in said
    )
    assert "AFIB/1.csv" not in said  # the three that matter most
    assert "this recording 75/min not measurable" in said
    assert "PR not measurable: no clear P" in said
    assert re.search(r"rest on the median of \d+ of \d+ beats, 12 leads", said)
    assert "500 Hz to 100 Hz" in said
    assert "Nothing: it was in the model's form." in said
    assert f"model: fingerprint {'ab' * 32} leads I, II," in said
    assert "rate 0.123457" in said
    assert "AFIB (2), <WPW> (2). No other diagnosis can be answered" in said
    alts = [svg["aria-label"] for svg in page.all("svg")]
    assert len(alts) == 2 * (1 + 4 + 1 + 3)  # ECG, median beats, bars, examples
    assert alts[0].startswith("ECG of a&b.edf: 12 leads (I, II, III, aVR, aVL, aVF, V1, V2")
    assert alts[1].startswith("Probabilities: <WPW> 80.0% (from 70.0% – 90.0%), AFIB")
    assert page.all("svg")[0]["width"] == "270.00mm"  # true to scale


def test_a_page_of_a_query_and_its_examples_is_small():
    sharp = np.random.default_rng(0).normal(0, 0.3, (5000, 12))  # nothing to simplify, 500 Hz
    support = [(recorded(read.name, sharp), label) for read, label in SUPPORT]
    html = diagnosis_page([(recorded("a", sharp), SURE)], support, hz=500.0)
    assert len(html.encode()) < 2e6


def test_the_evaluation_shows_scores_and_the_worst_classes(evaluated):
    page = Reader(evaluated)
    said = page.text
    assert "plain 3-way 1-shot 10 0.700 ± 0.050 0.600 – 0.800 0.800 0.100 +0.100 ± 0.050" in said
    assert "Classes: snail, 3-way 5-shot" in said
    assert "<B> A (5), D (1) 10 40.0% 0.800 A <B> (2) 10 80.0% 0.800" in said
    assert "3-way 5-shot: expected calibration error 0.100." in said
    assert "run: snail step 5" in said
    alts = [svg["aria-label"] for svg in page.all("svg")]
    assert alts == [
        "Accuracy by shot: snail 1-shot 70.0%, 5-shot 70.0%; plain 1-shot 70.0%",
        "Recall by class: A 80%, <B> 40%, D 90%",
        "Confusion matrix of 3 classes; share answered rightly: A 80%, <B> 40%, D 90%",
        "Calibration, 3-way 5-shot: confidence 50% accuracy 40% (10), confidence 90% accuracy 80% "
        "(20)",
        "Training loss and validation accuracy by step; last validation 61.0%",
    ]


def test_the_evaluation_does_with_what_older_results_hold():
    old = results()
    old["rows"] = [{k: v for k, v in old["rows"][0].items() if k != "accuracy_patients95"}]
    page = Reader(report.evaluation_page(old))
    assert "Calibration" not in page.text
    assert "Learning curves" not in page.text
    assert "Intervals of 95 % over episodes." in page.text


def test_text_of_a_figure_is_text_and_escaped():
    drawn = Figure(figsize=(1, 1))
    drawn.text(0, 0, "<i> & 心 id='x'")
    html = pages.page("<t>", [("<h>", [pages.figure(drawn, 'a "quoted" <alt>', "<caption>")])])
    page = Reader(html)
    assert page.all("svg")[0]["aria-label"] == 'a "quoted" <alt>'
    assert "<i> & 心 id='x'" in page.text
    assert "<caption>" in page.text
    assert page.all("svg")[0]["width"] == "25.40mm"
    assert html == pages.page(
        "<t>", [("<h>", [pages.figure(drawn, 'a "quoted" <alt>', "<caption>")])]
    )


def test_colours_of_text_contrast_with_what_is_behind():
    def light(colour):
        channels = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
        linear = np.where(
            channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4
        )
        return linear @ [0.2126, 0.7152, 0.0722]

    behind = re.findall(r"background: (#\w{6})\b", CSS)
    assert len(behind) == 4
    for text in ("#1a1a1a", "#333333"):
        for colour in (*behind, "#ffffff"):
            assert (light(colour) + 0.05) / (light(text) + 0.05) > 7  # WCAG 2.2, AAA


FIRST_SHEETS_ALONE = """<style>@media print {
  header, footer, section:not(.case), .sheet ~ * { display: none; }
}</style></head>"""
ENDS = """JSON.stringify([...document.querySelectorAll("section.case")].map(
  (one) => one.querySelector(".sheet figure").getBoundingClientRect().bottom
    - one.getBoundingClientRect().top))"""


@pytest.mark.skipif(CHROME is None, reason="no Chromium here")
@pytest.mark.parametrize("warnings", [0, 1, 8])
def test_in_print_an_answer_and_its_ecg_are_on_one_sheet(tmp_path, warnings):
    """A case begins a page of 277 × 190 mm; what else belongs to it may need another page."""
    said = tuple(f"a warning of many words, {number} " * 6 for number in range(warnings))
    cases = [(recorded(f"{n}.csv", ecg(n)), UNSURE._replace(warnings=said)) for n in range(3)]
    html = diagnosis_page(cases, SUPPORT).replace("</head>", FIRST_SHEETS_ALONE)
    (tmp_path / "page.html").write_text(html, encoding="utf-8")
    with Browser(tmp_path / "profile", (1047, 718)) as page:
        page._send("Emulation.setEmulatedMedia", media="print")
        page.open((tmp_path / "page.html").as_uri())
        ends = json.loads(page.run(ENDS))
        printed = page._send("Page.printToPDF", preferCSSPageSize=True)["data"]
    assert len(ends) == 3
    assert all(0 < end * 25.4 / 96 < 190 for end in ends)
    pages = len(re.findall(rb"/Type /Page\b", base64.b64decode(printed)))
    assert pages == 3 * (2 if warnings == 8 else 1)


@pytest.mark.skipif(CHROME is None, reason="no Chromium here")
def test_a_browser_shows_it_without_complaint(tmp_path, diagnosed):
    (tmp_path / "page.html").write_text(diagnosed, encoding="utf-8")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
    flags += ["--enable-logging=stderr", f"--user-data-dir={tmp_path}/profile"]
    flags += ["--window-size=1200,900", f"--screenshot={tmp_path}/page.png"]
    command = [CHROME, *flags, (tmp_path / "page.html").as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert "CONSOLE" not in done.stderr
    from matplotlib.image import imread

    seen = imread(tmp_path / "page.png")
    assert seen.shape[:2] == (900, 1200)
    assert 0.02 < (seen[..., :3] < 0.9).any(axis=-1).mean() < 0.5  # neither blank nor black
