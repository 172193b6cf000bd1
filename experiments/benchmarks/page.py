"""The exported page in a browser, its network cut, beside metaecg diagnose on the same files.

    python -m experiments.benchmarks.page --page=FILE.html --support=FOLDER --query=FOLDER
        [--artefact=FILE] [--browser=/usr/bin/chromium] [--screenshots=FOLDER]

The page is opened from its file, the labelled examples are chosen folder by folder and then the
recordings; what it says is compared with Python. It must have been exported without --support. The
browser is driven by the package playwright, which needs no browser of its own.
"""

import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
from absl import flags

from experiments.benchmarks import timing
from experiments.runs import model_flags
from metaecg.diagnose import answers

FLAGS = flags.FLAGS
SIZES = {"desktop": (1280, 900), "phone": (390, 844)}
_FOUND = (
    "metaecg.last.map(({name, labels, probs, low, high, answer, plausible, evidence, warnings}) => "
    "({name, labels, probs, low, high, answer, plausible, evidence, warnings}))"
)


def main(_) -> None:
    from playwright import sync_api

    support, query = (Path(f).expanduser() for f in (FLAGS.support, FLAGS.query))
    page_file = Path(FLAGS.page).expanduser().resolve()
    executable = FLAGS.browser or shutil.which("chromium")
    messages: list[str] = []
    with sync_api.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        context = browser.new_context(offline=True)
        page = context.new_page()
        page.on("console", lambda said: messages.append(said.text))
        page.on("pageerror", lambda error: messages.append(str(error)))
        page.on("request", lambda asked: messages.extend([asked.url] * (asked.url[:4] == "http")))
        began = time.perf_counter()
        page.goto(page_file.as_uri())
        page.wait_for_selector("body[data-ready]")
        ready = time.perf_counter() - began
        began = time.perf_counter()
        for folder in sorted(p for p in support.iterdir() if p.is_dir()):
            page.fill("#label", folder.name)
            _give(page, "#support", folder)
        _give(page, "#query", query)
        done = time.perf_counter() - began
        found, general = page.evaluate(_FOUND), page.evaluate("metaecg.examples.length")
        if FLAGS.screenshots:
            for name, (width, height) in SIZES.items():
                page.set_viewport_size({"width": width, "height": height})
                path = Path(FLAGS.screenshots).expanduser() / f"{name}.png"
                page.screenshot(path=path, clip=_first(page, width), full_page=True)
        version = browser.version
        browser.close()
    wanted = answers.answer(model_flags.load(None, FLAGS.artefact), support, [str(query)])
    by_name = {read.name: each for read, each in zip(wanted.queries, wanted.diagnoses)}
    off, differ = 0.0, []
    for mine in found:
        theirs = by_name[mine["name"]]
        order = [mine["labels"].index(label) for label in theirs.labels]
        for part in ("probs", "low", "high"):
            off = max(off, np.abs(np.array(mine[part])[order] - getattr(theirs, part)).max())
        same = (mine["answer"], mine["plausible"]) == (theirs.answer, [*theirs.plausible])
        if not same or mine["warnings"] != [*theirs.warnings]:
            differ.append(mine["name"])
    row = {
        "browser": version,
        "size, MB": page_file.stat().st_size / 1e6,
        "examples": general,
        "recordings": len(found),
        "greatest difference of a probability": float(off),
        "answers, plausible sets or warnings that differ": len(differ),
        "console messages and requests": len(messages),
        "s until ready": ready,
        "s for all recordings": done,
    }
    timing.report([{"": name, "found": value} for name, value in row.items()], FLAGS.output)
    for text in [*messages, *differ]:
        print(text)


def _give(page, zone: str, folder: Path) -> None:
    files = [str(path) for path in sorted(folder.iterdir())]
    page.set_input_files(f"{zone} input[type=file]:not([webkitdirectory])", files)
    page.wait_for_selector("body:not([data-reading])")


def _first(page, width: int) -> Any:
    """The page down to the end of the first answer."""
    end = page.evaluate("document.querySelector('section.case').getBoundingClientRect().bottom")
    return {"x": 0, "y": 0, "width": width, "height": end + page.evaluate("scrollY") + 20}


if __name__ == "__main__":
    flags.DEFINE_string("page", None, "made by metaecg export --format=html", required=True)
    flags.DEFINE_string("support", None, "folder of sub-folders of recordings", required=True)
    flags.DEFINE_string("query", None, "folder of recordings", required=True)
    flags.DEFINE_string("artefact", None, "exported diagnoser of the page instead of the package's")
    flags.DEFINE_string("browser", None, "the program of Chromium; by default that on the path")
    flags.DEFINE_string("screenshots", None, "folder for pictures at desktop and phone width")
    timing.run(main)
