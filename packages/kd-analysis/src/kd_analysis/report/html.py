"""A document as one HTML file that needs nothing else: styles, script and figures inside, no request leaves the
page."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from importlib import resources

from jinja2 import DictLoader, Environment, StrictUndefined
from markupsafe import Markup, escape

from kd_analysis.report.document import Bullets, Document, Figure, Section, Table, Text, shown
from kd_hpc.screen.escapes import visible

HOVER = b"<title>"
_ID = re.compile(r'\bid="([^"]+)"')
_BESIDE = re.compile(r'<metadata>.*?</metadata>|<!--.*?-->| xmlns(?::xlink)?="[^"]*"', re.DOTALL)
_REFERENCE = re.compile(r'(url\(#|href="#)([^")]+)')


def render_html(document: Document, svgs: Mapping[str, bytes]) -> str:
    """The page; `svgs` holds each figure's SVG by name. Everything from the tree is escaped."""
    folder = resources.files("kd_analysis.report") / "templates"
    sources = {name: (folder / name).read_text(encoding="utf-8") for name in ("report.html.j2", "page.css", "page.js")}
    environment = Environment(
        loader=DictLoader(sources), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.globals |= {
        "shown": shown,
        "kind": _kind,
        "numeric": _numeric,
        "sort_key": _sort_key,
        "breakable": _breakable,
    }
    captions = {figure.name: figure.caption for figure in document.figures}
    images = {name: _image(number, svg, captions[name]) for number, (name, svg) in enumerate(svgs.items())}
    page = environment.get_template("report.html.j2").render(
        document=document, images=images, style=sources["page.css"], script=sources["page.js"]
    )
    return visible(page)


def _image(number: int, svg: bytes, caption: str) -> Markup:
    """Inline where the pointer is to find values in it, else as an image, which browsers keep at less cost."""
    if HOVER not in svg:
        data = base64.b64encode(svg).decode("ascii")
        return Markup('<img alt="{}" src="data:image/svg+xml;base64,{}">').format(caption, data)
    text = svg.decode()
    body = _BESIDE.sub("", text[text.index("<svg") :]).replace("xlink:href", "href")
    referenced = {name for _, name in _REFERENCE.findall(body)}
    body = _ID.sub(lambda found: f'id="f{number}-{found[1]}"' if found[1] in referenced else "", body)
    body = _REFERENCE.sub(rf"\g<1>f{number}-\g<2>", body)
    return Markup(body.replace("<svg", f'<svg role="img" aria-label="{escape(caption)}"', 1))


def _kind(block: Text | Bullets | Table | Figure | Section) -> str:
    return type(block).__name__.lower()


def _numeric(table: Table) -> tuple[bool, ...]:
    """Which columns hold numbers, so that they are set and sorted as such."""
    return tuple(
        column.digits is not None
        or column.kind == "p"
        or any(isinstance(row[place], (int, float)) for row in table.rows)
        for place, column in enumerate(table.columns)
    )


def _breakable(text: str) -> Markup:
    """The text, escaped, with places where a path may break."""
    return Markup("/<wbr>").join(text.split("/"))


def _sort_key(value: object) -> str:
    if isinstance(value, float):
        return repr(value).replace("inf", "Infinity")
    return "" if value is None else str(value)
