"""Self-contained HTML pages: text, tables and inline SVG; no script and no network.

For screen and A4 paper, on which ECGs are printed true to scale. Every figure has a text for those
who cannot see it, and the numbers of the charts stand in tables beside them.
"""

import io
import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any
from xml.etree import ElementTree

import matplotlib as mpl
from matplotlib.figure import Figure

from metaecg import NOTICE
from metaecg.figures.ecg_paper import MM

_OWN = "\ue000"  # stands before an id until `page` numbers the figures
_SVG = "{http://www.w3.org/2000/svg}"
ElementTree.register_namespace("", _SVG[1:-1])
ElementTree.register_namespace("xlink", "http://www.w3.org/1999/xlink")
_CSS = """
:root { color-scheme: light; }
body { font: 16px/1.5 system-ui, "DejaVu Sans", sans-serif; color: #1a1a1a; background: #fff;
  max-width: 285mm; margin: 0 auto; padding: 1rem 1.5rem; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: .5rem 0; overflow-wrap: anywhere; }
h2 { font-size: 1.25rem; border-bottom: 2px solid #0072B2; padding-bottom: .2rem;
  margin-top: 2.2rem; overflow-wrap: anywhere; }
h3 { font-size: 1.05rem; margin: 1.4rem 0 .4rem; overflow-wrap: anywhere; }
.notice { border: 1px solid #1a1a1a; padding: .3rem .8rem; font-weight: 600; }
.answer { font-size: 1.15rem; border-left: 6px solid #0072B2; background: #eef5fa;
  padding: .6rem 1rem; }
.unsure { border-left-color: #8a5a00; background: #fdf4e3; }
.answer p, .warning p { margin: .2rem 0; }
.warning { border-left: 6px solid #b23c00; background: #fdeee6; padding: .5rem 1rem;
  margin: .6rem 0; }
figure { margin: 1rem 0; }
.row { display: flex; flex-wrap: wrap; gap: 0 1rem; align-items: center; }
.row figure { min-width: 0; }
figcaption { font-size: .9rem; color: #333; margin-top: .2rem; overflow-wrap: anywhere; }
svg { max-width: 100%; height: auto; display: block; stroke-linejoin: round; }
table { border-collapse: collapse; margin: .8rem 0; font-variant-numeric: tabular-nums; }
.wide { overflow-x: auto; }
caption { text-align: left; font-weight: 600; padding-bottom: .3rem; }
th, td { border: 1px solid #b0b0b0; padding: .2rem .6rem; text-align: left; vertical-align: top;
  overflow-wrap: anywhere; }
thead th { background: #f0f0f0; overflow-wrap: normal; }
tbody th { font-weight: 600; }
td.n { text-align: right; white-space: nowrap; }
@page { size: A4 landscape; margin: 10mm; }
@media print {
  body { font-size: 10pt; max-width: none; padding: 0; }
  h2, h3 { break-after: avoid; }
  figure, table, .answer, .warning { break-inside: avoid; }
  svg { max-height: 175mm; }
  section.case { break-before: page; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
}
"""


def page(title: str, sections: Iterable[tuple[str, str]], *, case: bool = False) -> str:
    """A whole page.

    Args:
      title: its name.
      sections: (heading, HTML) of each part; the heading is escaped, the HTML is not.
      case: whether each section but the last starts a page of paper.

    Returns:
      HTML that needs no other file.
    """
    parts = list(sections)
    body = "".join(
        f"<section{' class=case' if case and 0 < i < len(parts) - 1 else ''} "
        f'aria-labelledby="s{i}"><h2 id="s{i}">{escape(heading)}</h2>{html}</section>\n'
        for i, (heading, html) in enumerate(parts)
    )
    before, *figures = body.split("<figure>")
    numbered = (f"<figure>{html}".replace(_OWN, f"f{i}-") for i, html in enumerate(figures))
    body = "".join((before, *numbered))
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        "<link rel=icon href=data:,>\n"  # or browsers ask the network for one
        f"<title>{escape(title)}</title>\n<style>{_CSS}</style>\n</head>\n<body>\n"
        f'<header><h1>{escape(title)}</h1><p class="notice" role="note">{NOTICE}</p></header>\n'
        f"<main>\n{body}</main>\n<footer><p>{NOTICE}</p></footer>\n</body>\n</html>\n"
    )


def figure(drawn: Figure, alt: str, caption: str = "") -> str:
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
    svg = _lean(file.getvalue(), drawn, alt)
    caption = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    return f"<figure>{svg}{caption}</figure>\n"


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


def table(
    head: Sequence[str], rows: Iterable[Sequence[object]], *, caption: str = "", numbers: int = 0
) -> str:
    """A table whose first column heads its rows and whose last `numbers` columns are numbers."""
    first = len(head) - numbers
    lines = []
    for row in rows:
        cells = [
            f"<td{' class=n' if i >= first else ''}>{escape(str(cell))}</td>"
            for i, cell in enumerate(row[1:], 1)
        ]
        lines.append(f'<tr><th scope="row">{escape(str(row[0]))}</th>{"".join(cells)}</tr>')
    heads = "".join(f'<th scope="col">{escape(name)}</th>' for name in head)
    title = f"<caption>{escape(caption)}</caption>" if caption else ""
    return (
        f'<div class="wide"><table>{title}<thead><tr>{heads}</tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table></div>\n"
    )


def side_by_side(*parts: str) -> str:
    """Parts side by side where there is room."""
    return f'<div class="row">{"".join(parts)}</div>\n'


def items(lines: Iterable[str]) -> str:
    """A list of plain sentences."""
    return "<ul>" + "".join(f"<li>{escape(line)}</li>" for line in lines) + "</ul>\n"


def details(values: Mapping[str, object], caption: str = "") -> str:
    """A mapping as a table; inner mappings are named 'outer: inner'."""
    rows: list[tuple[str, str]] = []
    for key, value in values.items():
        inner = value if isinstance(value, Mapping) else {"": value}
        rows += [(f"{key}: {name}" if name else key, _words(x)) for name, x in inner.items()]
    return table(("what", "value"), rows, caption=caption)


def _words(value: object) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_words, value))
    return f"{value:.6g}" if isinstance(value, float) else str(value)
