"""Self-contained HTML pages: text, tables and inline SVG; no script and no network.

For screen and A4 paper, on which ECGs are printed true to scale. Every figure has a text for those
who cannot see it, and the numbers of the charts are in tables beside them. What a page looks like
is in `templates/`; all text that is put into them is escaped.
"""

import io
import itertools
import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple
from xml.etree import ElementTree

import jinja2
import matplotlib as mpl
import numpy as np
from markupsafe import Markup
from matplotlib.figure import Figure

from metaecg import NOTICE
from metaecg.diagnose.model import Form
from metaecg.figures.ecg_paper import MM, ecg

_OWN = "\ue000"  # before an id until `render` numbers the figures
_SVG = "{http://www.w3.org/2000/svg}"
ElementTree.register_namespace("", _SVG[1:-1])
ElementTree.register_namespace("xlink", "http://www.w3.org/1999/xlink")
_TEMPLATES = jinja2.Environment(
    loader=jinja2.PackageLoader("metaecg.figures"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


class Drawing(NamedTuple):
    """A figure as inline SVG, and what is written below it."""

    svg: Markup
    caption: str = ""


class Table(NamedTuple):
    """A table whose first column heads its rows and whose last `numbers` columns are numbers."""

    head: Sequence[str]
    rows: Sequence[Sequence[object]]
    numbers: int = 0
    caption: str = ""


Content = Drawing | Table | str | Sequence[Drawing]
"""What a section holds: figures, tables, paragraphs, and figures side by side."""


def page(title: str, sections: Iterable[tuple[str, Sequence[Content]]]) -> str:
    """A page of sections, each a heading and what is below it: HTML that needs no other file."""
    return render("page.html", title=title, sections=list(sections))


def render(template: str, **values: Any) -> str:
    """A template with its values, each figure with ids of its own."""
    html = _TEMPLATES.get_template(template).render(notice=NOTICE, **values)
    before, *figures = html.split("<figure>")
    numbered = (f"<figure>{text}".replace(_OWN, f"f{i}-") for i, text in enumerate(figures))
    return "".join(itertools.chain([before], numbered))


def figure(drawn: Figure, alt: str, caption: str = "") -> Drawing:
    """A figure as inline SVG, with a text in its place for those who cannot see it.

    Args:
      drawn: the figure.
      alt: that text.
      caption: written below.
    """
    file = io.BytesIO()
    settings: Any = {
        "svg.fonttype": "none",  # text stays text: small, and found by a search
        "svg.hashsalt": "metaecg",
        "path.simplify": True,
        "path.simplify_threshold": 0.2,  # of a point, 0.07 mm
    }
    with mpl.rc_context(settings), warnings.catch_warnings():
        # The browser has the letters that matplotlib's font has not.
        warnings.filterwarnings("ignore", "Glyph .* missing", UserWarning)
        drawn.savefig(file, format="svg", metadata=dict.fromkeys(("Date", "Creator")))
    return Drawing(Markup(_lean(file.getvalue(), drawn, alt)), caption)


def _lean(svg: bytes, drawn: Figure, alt: str) -> str:
    """What a page needs of a file: ids of its own, hundredths of a point, a name, a size in mm."""
    root = ElementTree.fromstring(svg)
    text = svg.decode("utf-8")
    used = set(re.findall(r'(?:url\(|href=")#([^")]+)', text))
    for parent in root.iter():
        for child in list(parent):
            if child.tag in (f"{_SVG}metadata", f"{_SVG}style"):
                parent.remove(child)
        parent.tail = None
        if parent.tag != f"{_SVG}text":
            parent.text = None
        for key, value in parent.items():
            if key == "d":
                parent.set(key, re.sub(r"(\.\d\d)\d+", r"\1", " ".join(value.split())))
            elif key == "id" and value not in used:
                del parent.attrib[key]
            elif key == "id":
                parent.set(key, _OWN + value)
            elif key.endswith("href"):
                parent.set(key, re.sub("^#", f"#{_OWN}", value))
            else:
                parent.set(key, value.replace("url(#", f"url(#{_OWN}"))
    width, height = drawn.get_size_inches() / MM
    root.attrib |= {"width": f"{width:.2f}mm", "height": f"{height:.2f}mm"}
    root.attrib |= {"role": "img", "aria-label": alt}
    return ElementTree.tostring(root, encoding="unicode")


def on_paper(
    signal: np.ndarray, form: Form, title: str, caption: str = "", marks: Sequence[float] = ()
) -> Drawing:
    """An ECG on paper with its text; `signal` float [samples, leads] in mV, of a model's form.

    Lines are drawn at `marks`, in seconds from the start.
    """
    alt = (
        f"ECG of {title}: {len(form.leads)} leads ({', '.join(form.leads)}), "
        f"{len(signal) / form.hz:g} s, drawn at 25 mm/s and 10 mm/mV"
    )
    return figure(ecg(signal, form.hz, form.leads, title=title, marks=marks), alt, caption)


def details(values: Mapping[str, object]) -> Table:
    """A mapping as a table; inner mappings are named 'outer: inner'."""
    rows: list[tuple[str, str]] = []
    for key, value in values.items():
        inner = value if isinstance(value, Mapping) else {"": value}
        rows += [(f"{key}: {name}" if name else key, _words(x)) for name, x in inner.items()]
    return Table(("what", "value"), rows)


def _words(value: object) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_words, value))
    return f"{value:.6g}" if isinstance(value, float) else str(value)
