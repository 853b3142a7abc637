"""What a report is made of, whatever it is written as."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, field

import matplotlib
from matplotlib.figure import Figure as Drawing

DPI = 200  # of a drawing in a PDF
matplotlib.rcParams["text.parse_math"] = False  # names are no formulas, whatever signs they hold


@dataclass(frozen=True, slots=True)
class Text:
    """A paragraph; `alarm` says that a person must see it."""

    text: str
    alarm: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """The first row is the head, the first column names the others; note explains them."""

    caption: str
    rows: Sequence[Sequence[str]]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Figure:
    """A drawing, what it shows in words for those who do not see it, and its caption."""

    drawing: Drawing
    alt: str
    caption: str

    def svg(self) -> bytes:
        """The drawing as an SVG that needs no font."""
        return self._saved("svg")

    def png(self) -> bytes:
        """The drawing as a PNG, `DPI` dots an inch."""
        return self._saved("png")

    def _saved(self, form: str) -> bytes:
        out = io.BytesIO()
        metadata = {"Date": None} if form == "svg" else {}
        with matplotlib.rc_context({"svg.hashsalt": self.alt}):  # the same run gives the same drawing
            self.drawing.savefig(out, format=form, dpi=DPI, metadata=metadata)
        return out.getvalue()


@dataclass(frozen=True, slots=True)
class Listing:
    """A text whose lines stay as they are."""

    caption: str
    text: str


Part = Text | Table | Figure | Listing


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and what stands below it."""

    title: str
    parts: list[Part] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Document:
    """A title, a line below it, sections."""

    title: str
    subtitle: str
    sections: list[Section]
