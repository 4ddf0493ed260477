"""A document as one HTML file that needs nothing else: styles, script and figures inside, no request leaves the
page."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from importlib import resources

from jinja2 import DictLoader, Environment, StrictUndefined
from markupsafe import Markup

from kd_analysis.report.document import Bullets, Document, Figure, Section, Table, Text, shown


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
        "is_number": _is_number,
        "sort_key": _sort_key,
        "breakable": _breakable,
    }
    images = {name: base64.b64encode(content).decode("ascii") for name, content in svgs.items()}
    return environment.get_template("report.html.j2").render(
        document=document, images=images, style=sources["page.css"], script=sources["page.js"]
    )


def _kind(block: Text | Bullets | Table | Figure | Section) -> str:
    return type(block).__name__.lower()


def _is_number(table: Table, place: int) -> bool:
    """True if the column holds numbers, so that it is set and sorted as such."""
    numeric = table.columns[place].digits is not None
    return numeric or any(isinstance(row[place], int | float) for row in table.rows)


def _breakable(text: str) -> Markup:
    """The text, escaped, with places where a path may break."""
    return Markup("/<wbr>").join(text.split("/"))


def _sort_key(value: object) -> str:
    if isinstance(value, float):
        return repr(value).replace("inf", "Infinity")
    return "" if value is None else str(value)
