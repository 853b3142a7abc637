"""A report as a PDF, A4."""

from __future__ import annotations

import io
from html import escape
from pathlib import Path
from typing import Any

import matplotlib
from PIL import Image as Picture
from reportlab.lib.colors import HexColor
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.platypus import Image, KeepTogether, Paragraph, SimpleDocTemplate, Spacer, TableStyle, XPreformatted
from reportlab.platypus import Table as Grid

from stream.report.document import DPI, Document, Figure, Listing, Part, Table, Text

MARGIN = 15 * mm
WIDTH = A4[0] - 2 * MARGIN
INK, GREY, RED = HexColor("#1b1f24"), HexColor("#4a525c"), HexColor("#b3261e")
FONTS = {"Text": "DejaVuSans.ttf", "Bold": "DejaVuSans-Bold.ttf", "Mono": "DejaVuSansMono.ttf"}
"""matplotlib's own, which have Greek letters, units and overlines."""
STYLES = {
    "title": ParagraphStyle("title", fontName="Bold", fontSize=15, leading=19, textColor=INK),
    "heading": ParagraphStyle("heading", fontName="Bold", fontSize=11.5, leading=14, spaceBefore=12, spaceAfter=5),
    "caption": ParagraphStyle("caption", fontName="Bold", fontSize=8.5, leading=11, spaceBefore=6, spaceAfter=2),
    "text": ParagraphStyle("text", fontName="Text", fontSize=8.5, leading=11),
    "cell": ParagraphStyle("cell", fontName="Text", fontSize=7.5, leading=9.5, splitLongWords=1),
    "head": ParagraphStyle("head", fontName="Bold", fontSize=7.5, leading=9.5),
    "note": ParagraphStyle("note", fontName="Text", fontSize=7, leading=9, textColor=GREY, spaceAfter=4),
    "alarm": ParagraphStyle("alarm", fontName="Bold", fontSize=8.5, leading=11, textColor=RED),
    "mono": ParagraphStyle("mono", fontName="Mono", fontSize=6, leading=7.4),
}
LINES = TableStyle(
    [
        ("VALIGN", (0, 0), (-1, -1), "TOP"),
        ("LINEBELOW", (0, 0), (-1, 0), 0.7, INK),
        ("LINEBELOW", (0, 1), (-1, -1), 0.25, HexColor("#d4d9df")),
        ("LEFTPADDING", (0, 0), (-1, -1), 0),
        ("TOPPADDING", (0, 0), (-1, -1), 1.5),
        ("BOTTOMPADDING", (0, 0), (-1, -1), 1.5),
    ]
)


def to_pdf(document: Document) -> bytes:
    """The pages; figures are pictures of 200 dots an inch."""
    for name, file in FONTS.items():
        pdfmetrics.registerFont(TTFont(name, Path(matplotlib.get_data_path()) / "fonts" / "ttf" / file))
    story: list[Any] = [_words(document.title, "title"), _words(document.subtitle, "note")]
    for section in document.sections:
        for n, part in enumerate(section.parts):
            heading = [_words(section.title, "heading")] if n == 0 else []
            kept, rest = _block(part)
            story += [KeepTogether([*heading, *kept]), *rest]
    out = io.BytesIO()
    margins = {f"{side}Margin": MARGIN for side in ("left", "right", "top", "bottom")}
    pages = SimpleDocTemplate(out, pagesize=A4, title=document.title, author="braggstream", lang="en", **margins)
    pages.build(story, onFirstPage=_number, onLaterPages=_number)
    return out.getvalue()


def _words(text: str, style: str) -> Paragraph:
    return Paragraph(escape(text), STYLES[style])


def _block(part: Part) -> tuple[list[Any], list[Any]]:
    """What stays on one page with a heading before it, and what may follow on the next."""
    match part:
        case Text():
            return [_words(part.text, "alarm" if part.alarm else "text")], []
        case Table():
            note = _words(part.note, "note") if part.note else Spacer(1, 3 * mm)
            return [_words(part.caption, "caption"), _grid(part), note], []
        case Figure():
            return [_image(part), _words(part.caption, "note")], []
        case Listing():
            return [_words(part.caption, "caption")], [XPreformatted(escape(part.text), STYLES["mono"])]


def _grid(table: Table) -> Grid:
    columns = len(table.rows[0])
    rows = [[_words(cell, "cell" if n else "head") for cell in row] for n, row in enumerate(table.rows)]
    return Grid(rows, colWidths=[WIDTH / columns] * columns, repeatRows=1, hAlign="LEFT", style=LINES)


def _image(figure: Figure) -> Image:
    png = figure.png()
    with Picture.open(io.BytesIO(png)) as picture:
        width, height = (72 * n / DPI for n in picture.size)
    scale = min(1.0, WIDTH / width)
    return Image(io.BytesIO(png), width * scale, height * scale, hAlign="LEFT")


def _number(canvas: Any, _: Any) -> None:
    canvas.setFont("Text", 7)
    canvas.drawRightString(A4[0] - MARGIN, 8 * mm, str(canvas.getPageNumber()))
