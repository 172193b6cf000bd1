"""experiments.review as its reader meets it: begun, killed, gone on with, and refused to others."""

import http.client
import io
import json
import os
import re
import signal as signals
import subprocess
import sys
import urllib.parse
from pathlib import Path
from wsgiref import util

import numpy as np
import pytest
from absl import flags
from browser import CHROME, Browser
from searched import library, model

from experiments import review
from experiments.runs import archives, model_flags, review_server
from metaecg.data import files, writing
from metaecg.data.library import open_library
from metaecg.errors import MetaecgError
from metaecg.figures import review_page
from metaecg.search import cache, log, question, recordings
from metaecg.search.session import Session

pytest.importorskip("bottle", reason="the extra 'review' is not installed")
ROOT = Path(review.__file__).parents[1]
PROGRAM = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # who runs the tests may ignore it
sys.path[:0] = [{root!r}, {tests!r}]
from absl import flags
from searched import model
from experiments import review
from experiments.runs import command_line, model_flags
model_flags.load = lambda workdir, artefact, leads=None: model()
review.define_flags()
command_line.run(review.main)
"""


class Server:
    """A review in a process of its own, by the model of sines."""

    def __init__(self, *arguments):
        program = PROGRAM.format(root=str(ROOT), tests=str(ROOT / "tests"))
        self.process = subprocess.Popen(
            [sys.executable, "-c", program, *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.address = self.process.stdout.readline().strip()
        if self.address:
            self.url = urllib.parse.urlsplit(self.address)

    def ask(self, method="GET", path="", body=None, **headers):
        connection = http.client.HTTPConnection("127.0.0.1", self.url.port, timeout=60)
        given = {"Host": self.url.netloc} | {k.title(): v for k, v in headers.items()}
        if body is not None:
            given["Content-Type"] = "application/x-www-form-urlencoded"
            body = urllib.parse.urlencode(body)
        connection.request(method, self.url.path + path, body, given)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()

    def end(self, how=signals.SIGKILL):
        self.process.send_signal(how)
        return self.process.communicate(timeout=60)[1]


@pytest.fixture
def folder(tmp_path):
    writing.save(library(), tmp_path / "library")
    return tmp_path / "library"


@pytest.fixture
def begun(folder, tmp_path):
    """The arguments that begin a session with three known cases of the library."""
    rare = np.flatnonzero(library().labels[:, 0])[:3]
    ids = ",".join(f"r{row}" for row in rare)
    return [f"--library={folder}", f"--session={tmp_path / 'session'}"], f"--positives={ids}"


class Page:
    """The same application in this process, asked as a WSGI server asks it."""

    def __init__(self, reader):
        self.app = review_server.application(
            "s3cret", reader.page, reader.answer, reader.undo, lambda: 8000
        )

    def ask(self, method="GET", path="/s3cret/", body=None, **headers):
        content = urllib.parse.urlencode(body or {}).encode()
        environ = {"REQUEST_METHOD": method, "PATH_INFO": path, "wsgi.input": io.BytesIO(content)}
        environ |= {"CONTENT_LENGTH": str(len(content)), "HTTP_HOST": "127.0.0.1:8000"}
        environ["CONTENT_TYPE"] = "application/x-www-form-urlencoded"
        environ |= {f"HTTP_{name.upper()}": value for name, value in headers.items()}
        util.setup_testing_defaults(environ)
        said = []
        text = b"".join(self.app(environ, lambda status, *_: said.append(int(status[:3]))))
        return said[0], text.decode()


@pytest.fixture
def page(folder, tmp_path):
    prepared = open_library(folder)
    archive = cache.archive(model(), prepared, folder)
    opened = archives.Opened(model(), recordings.of_library(prepared), archive)
    rare = np.flatnonzero(library().labels[:, 0])[:3]
    examples = [*question.from_ids([f"r{row}" for row in rare], True, opened.recordings)]
    asked = question.ask(model(), opened.archive, examples, opened.recordings)
    session = Session(opened.archive, asked)
    written = log.Log(tmp_path, list(opened.recordings.ids))
    return Page(review_page.Reader(model(), opened.recordings, session, written))


OURS = {"origin": "http://127.0.0.1:8000"}


def test_answers_are_taken_from_the_page_alone(page, tmp_path):
    status, text = page.ask()
    assert (status, text.count("<svg")) == (200, 2)
    assert not re.search(r"(src|href|action)=\"(http|/)", text)
    first = shown(text)
    body = {"id": first, "verdict": "yes"}
    refused = {
        "no token": page.ask(path="/"),
        "a wrong token": page.ask(path="/other/"),
        "another host": page.ask(host="evil.example"),
        "no origin": page.ask("POST", "/s3cret/answer", body),
        "another origin": page.ask("POST", "/s3cret/answer", body, origin="http://evil.example"),
        "another port": page.ask("POST", "/s3cret/answer", body, origin="http://127.0.0.1:1"),
        "a wrong token of ours": page.ask("POST", "/other/answer", body, **OURS),
        "a path": page.ask(path="/s3cret/../../etc/passwd"),
        "a file of the session": page.ask(path="/s3cret/answers.jsonl"),
        "another method": page.ask("PUT", "/s3cret/answer", body, **OURS),
        "too much": page.ask("POST", "/s3cret/answer", {"id": "x" * 3000}, **OURS),
    }
    assert {what: status for what, (status, _) in refused.items() if status < 400} == {}
    assert all("Traceback" not in text and "s3cret" not in text for _, text in refused.values())
    assert not (tmp_path / "answers.jsonl").exists()
    for _ in range(2):  # sent twice
        assert page.ask("POST", "/s3cret/answer", body, **OURS)[0] == 303
    text = page.ask()[1]
    assert "<strong>1</strong> read, <strong>1</strong> found" in text
    assert "it was not taken" in text
    second = shown(text)
    assert page.ask("POST", "/s3cret/answer", {"id": second, "verdict": "maybe"}, **OURS)[0] == 303
    assert page.ask("POST", "/s3cret/undo", {"id": "r999"}, **OURS)[0] == 303
    assert shown(page.ask()[1]) == second
    assert page.ask("POST", "/s3cret/undo", {"id": first}, **OURS)[0] == 303
    assert shown(page.ask()[1]) == first
    kept = map(json.loads, (tmp_path / "answers.jsonl").read_text().splitlines())
    assert [event["event"] for event in kept] == ["answer", "undo"]


def shown(page):
    return re.search(r'name="id" value="(r\d+)">\s*<button name="verdict"', page)[1]


@pytest.mark.slow
def test_a_review_is_killed_and_gone_on_with(begun, tmp_path):
    again, positives = begun
    server = Server(*again, positives)
    origin = {"origin": f"http://{server.url.netloc}"}
    try:
        status, page = server.ask()
        assert (status, page.count("<svg")) == (200, 2)
        assert not re.search(r"(src|href|action)=\"(http|/)", page)
        first = shown(page)
        body = {"id": first, "verdict": "yes"}
        assert server.ask("POST", "answer", body, **origin)[0] == 303
        assert server.ask("POST", "answer", body, **origin)[0] == 303  # sent twice
        status, page = server.ask()
        assert "<strong>1</strong> read, <strong>1</strong> found" in page
        assert "it was not taken" in page
        second = shown(page)
        assert second != first

        assert server.ask("POST", "undo", {"id": "r999"}, **origin)[0] == 303
        kept = (tmp_path / "session" / "answers.jsonl").read_text().splitlines()
        assert [json.loads(line)["id"] for line in kept] == [first]

        other = Server(*again)
        assert other.address == ""
        assert "another process reads in this session" in other.end()
    finally:
        server.end()
    server = Server(*again)
    try:
        assert shown(server.ask()[1]) == second
        assert server.ask("POST", "undo", {"id": first}, **origin)[0] == 403  # another port now
        here = {"origin": f"http://{server.url.netloc}"}
        assert server.ask("POST", "undo", {"id": first}, **here)[0] == 303
        assert shown(server.ask()[1]) == first
    finally:
        assert server.end(signals.SIGINT) == ""
    assert server.process.returncode == 0


@pytest.mark.slow
@pytest.mark.skipif(CHROME is None, reason="no Chromium here")
def test_thirty_recordings_are_read_by_keyboard_and_a_kill_loses_none(begun, tmp_path):
    again, positives = begun
    rare = {f"r{row}" for row in np.flatnonzero(library().labels[:, 0])}
    server, said = Server(*again, positives), []
    with Browser(tmp_path / "profile") as browser:
        try:
            for number in range(30):
                if number == 15:
                    server.end()
                    server = Server(*again)
                if number in (0, 15):
                    browser.open(server.address)
                id = browser.run("document.querySelector('input[name=id]').value")
                key = "?" if number == 7 else "y" if id in rare else "n"
                browser.press(key)
                said.append(id)
                browser.wait(f"document.title === 'Reading {number + 2}'")
            assert len(set(said)) == 30
            assert "30 read" in browser.run("document.querySelector('.numbers').textContent")
            browser.wait("document.getElementById('said').textContent.includes('is kept.')")
            assert browser.run("document.activeElement.id") == "shown"
            browser.press("u")
            browser.wait("document.title === 'Reading 30'")
            assert browser.run("document.querySelector('input[name=id]').value") == said[-1]
            before = browser.run("getComputedStyle(document.body).backgroundColor")
            browser.press("d")
            assert browser.run("getComputedStyle(document.body).backgroundColor") != before
            browser.picture(tmp_path / "dark.png")
            browser.press("d")
            browser.picture(tmp_path / "light.png")
            assert browser.console == []
        finally:
            server.end()
    lines = (tmp_path / "session" / "answers.jsonl").read_text().splitlines()
    events = [json.loads(line) for line in lines]
    assert [event["id"] for event in events[:-1]] == said
    assert events[-1]["event"] == "undo"
    if keep := os.environ.get("SCREENSHOTS"):
        for name in ("dark.png", "light.png"):
            Path(keep, name).write_bytes((tmp_path / name).read_bytes())


@pytest.fixture
def run(monkeypatch):
    """Runs the command in this process with some flags, by the model of sines."""
    monkeypatch.setattr(model_flags, "load", lambda workdir, artefact, leads=None: model())

    def run(*given):
        review.define_flags()
        flags.FLAGS(["review", *map(str, given)])
        return review.main([])

    return run


def test_bad_arguments_end_in_one_line(run, begun, folder, tmp_path):
    again, positives = begun
    session = tmp_path / "session"
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("x")
    for given, message in (
        ([], "--session and --library are needed"),
        (again, "no session is there yet; give examples"),
        ([again[0], f"--session={tmp_path / 'full'}", positives], "holds no session"),
        ([*again, "--positives=r999"], "record r999: no such id"),
    ):
        with pytest.raises(MetaecgError, match=message) as error:
            run(*given)
        assert "\n" not in str(error.value)
    run(*again, positives, f"--export={tmp_path / 'out'}", "--label=RARE")
    assert (tmp_path / "out" / "labels.csv").read_text() == "path,label,patient\n"
    with pytest.raises(MetaecgError, match="has its examples already"):
        run(*again, positives)
    with files.locked(session / ".lock", ""), pytest.raises(MetaecgError, match="another process"):
        run(*again)
    writing.save(library(seed=1), folder, overwrite=True)
    with pytest.raises(MetaecgError, match="was begun with another library"):
        run(*again)


def test_what_the_page_needs_is_asked_for_before_a_session_is_made(run, begun, tmp_path):
    again, positives = begun
    with pytest.MonkeyPatch.context() as without:
        without.setitem(sys.modules, "bottle", None)
        with pytest.raises(
            MetaecgError, match=r'needs the package bottle: pip install -e "\.\[rev'
        ):
            run(*again, positives)
        assert not (tmp_path / "session").exists()
        run(*again, positives, f"--export={tmp_path / 'out'}")  # which needs no page


def test_the_end_says_how_to_go_on(run, begun, monkeypatch, capsys):
    again, positives = begun
    monkeypatch.setattr(review_server, "serve", lambda app_of, port: None)
    run(*again, positives, "--artefact=my model.metaecg")
    said = capsys.readouterr().out
    assert said.startswith("\nEvery answer is kept. Go on by: metaecg review --library=")
    assert f"{again[1]} '--artefact=my model.metaecg'" in said
    assert "positives" not in said
    run(*again)  # which is what it says


@pytest.mark.parametrize("times", [1, 2, 5])
def test_ctrl_c_is_how_a_reading_ends_however_often_it_is_pressed(times):
    code = (
        "from experiments.runs import command_line, review_server\n"
        "def main(_):\n    review_server.serve(lambda *_: None, 0)\n    print('kept')\n"
        "command_line.run(main)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT,
    ) as ran:  # fmt: skip
        assert ran.stdout.readline().startswith("http://127.0.0.1:")
        for _ in range(times):
            ran.send_signal(signals.SIGINT)
        out, err = ran.communicate(timeout=60)
    assert (out.splitlines()[-1], err, ran.returncode) == ("kept", "", 0)


def test_every_recording_an_example_leaves_none_to_read(run, tmp_path):
    writing.save(library(rare=3, common=0), tmp_path / "library")
    given = [f"--library={tmp_path / 'library'}", f"--session={tmp_path / 'session'}"]
    with pytest.raises(MetaecgError, match="holds nothing but the examples"):
        run(*given, "--positives=r0,r1,r2")
