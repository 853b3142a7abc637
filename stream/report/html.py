"""A report as one HTML file that needs nothing beside it, on a screen and on paper."""

from __future__ import annotations

from base64 import b64encode
from html import escape
from importlib import resources

from stream.report.document import Document, Figure, Listing, Part, Section, Table, Text


def to_html(document: Document) -> bytes:
    """The page; figures are SVG within it."""
    style = resources.files("stream.report").joinpath("report.css").read_text(encoding="utf-8")
    parts = "\n".join(_section(section) for section in document.sections)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>{escape(document.title)}</title>
<style>
{style}</style>
</head>
<body>
<header><h1>{escape(document.title)}</h1><p>{escape(document.subtitle)}</p></header>
<main>
{parts}
</main>
</body>
</html>
""".encode()


def _section(section: Section) -> str:
    body = "\n".join(_part(part) for part in section.parts)
    return f"<section>\n<h2>{escape(section.title)}</h2>\n{body}\n</section>"


def _part(part: Part) -> str:
    match part:
        case Text():
            return (
                f'<p class="alarm" role="note">{escape(part.text)}</p>' if part.alarm else f"<p>{escape(part.text)}</p>"
            )
        case Table():
            return _table(part)
        case Figure():
            source = b64encode(part.svg()).decode()
            image = f'<img src="data:image/svg+xml;base64,{source}" alt="{escape(part.alt)}">'
            return f"<figure>{image}<figcaption>{escape(part.caption)}</figcaption></figure>"
        case Listing():
            text = f'<pre tabindex="0">{escape(part.text)}</pre>'
            return f"<details><summary>{escape(part.caption)}</summary>{text}</details>"


def _table(table: Table) -> str:
    head = "".join(f'<th scope="col">{escape(cell)}</th>' if cell else "<td></td>" for cell in table.rows[0])
    rows = "\n".join(
        f'<tr><th scope="row">{escape(name)}</th>' + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>"
        for name, *cells in table.rows[1:]
    )
    note = f'<p class="note">{escape(table.note)}</p>' if table.note else ""
    caption = f"<caption>{escape(table.caption)}</caption>"
    return f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>\n{rows}\n</tbody></table>{note}"
